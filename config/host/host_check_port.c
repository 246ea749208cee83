/*
 * host_check_port.c - may this NIC be ours: what each port needs of the machine
 *
 * A PCI port is taken from the kernel altogether, so its checks come in the order in which a
 * person would set it up: the device, the IOMMU, is it the machine's own way out, its driver, its
 * IOMMU group. The default route comes before the driver on purpose: the remedy for a wrong driver
 * is a command that unbinds the NIC, which must not be suggested for the NIC that carries the
 * user's ssh session.
 *
 * af_packet and af_xdp ports leave the NIC with the kernel; af_xdp takes all its packets, though,
 * so it is as bad for a default route. A Mellanox NIC keeps its kernel driver under DPDK.
 */
#include <errno.h>
#include <string.h>
#include "config/host/host_check.h"
#include "config/host/host_file.h"

#define NOIOMMU_FILE "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
#define TUN_FILE     "/dev/net/tun"

static bool driver_is_bifurcated(const char *driver)
{
	return strcmp(driver, "mlx5_core") == 0 || strcmp(driver, "mlx4_core") == 0;
}

static bool has_iommu(const struct host_pci *pci)
{
	char mode[8];

	if (pci->has_iommu_group)
		return true;
	/* The kernel's mode without an IOMMU, which an administrator must enable explicitly. */
	return host_file_read(NOIOMMU_FILE, mode, sizeof(mode)) == 0 && mode[0] == 'Y';
}

static void check_iommu(struct check_list *list, const struct host_pci *pci)
{
	if (driver_is_bifurcated(pci->driver))
		return;
	if (has_iommu(pci)) {
		check_good(list, "IOMMU", "%s is behind it", pci->address);
		return;
	}
	check_bad(list, "IOMMU", true, -ENOTSUP,
		"no IOMMU is on for %s, so vfio-pci cannot take it", pci->address);
	check_remedy(list,
		"boot with intel_iommu=on (AMD: amd_iommu=on) on the kernel command line, %s",
		"and switch VT-d or AMD-Vi on in the BIOS");
}

/* False when the NIC is the machine's way out and must stay with the kernel. */
static bool check_route(struct check_list *list, const char *device, const char *iface)
{
	char through[IF_NAMESIZE] = "";
	bool is_itself;

	if (!iface[0] || !host_default_route_by(iface, through, sizeof(through))) {
		check_good(list, "default route", "does not leave by %s", device);
		return true;
	}
	is_itself = strcmp(iface, through) == 0;
	check_bad(list, "default route", true, -EBUSY,
		"%s (%s) carries this machine's default route%s%s; taking it would cut the machine "
		"off",
		device, iface, is_itself ? "" : ", by way of ", is_itself ? "" : through);
	check_remedy(list, "use another NIC, or move the default route to another one first");
	return false;
}

static void check_driver(struct check_list *list, const struct host_pci *pci)
{
	const char *a = pci->address;
	bool has_vfio = host_file_exists("/sys/bus/pci/drivers/vfio-pci");

	if (strcmp(pci->driver, "vfio-pci") == 0 || driver_is_bifurcated(pci->driver)) {
		check_good(list, "NIC driver", "%s is on %s", a, pci->driver);
		return;
	}
	if (pci->driver[0])
		check_bad(list, "NIC driver", true, -EBUSY,
			"%s is still on its kernel driver %s%s%s", a, pci->driver,
			pci->iface[0] ? " as " : "", pci->iface);
	else
		check_bad(list, "NIC driver", true, -ENODEV, "%s has no driver", a);
	if (pci->driver[0])
		check_remedy(list,
			"%scd /sys/bus/pci && echo vfio-pci > devices/%s/driver_override && "
			"echo %s > devices/%s/driver/unbind && echo %s > drivers_probe",
			has_vfio ? "" : "modprobe vfio-pci && ", a, a, a, a);
	else
		check_remedy(list,
			"%scd /sys/bus/pci && echo vfio-pci > devices/%s/driver_override && "
			"echo %s > drivers_probe",
			has_vfio ? "" : "modprobe vfio-pci && ", a, a);
}

static void check_group(struct check_list *list, const struct host_pci *pci)
{
	if (!pci->group_blocker[0] || driver_is_bifurcated(pci->driver))
		return;
	check_bad(list, "IOMMU group", true, -EBUSY,
		"%s shares its IOMMU group with %s, which is on a kernel driver", pci->address,
		pci->group_blocker);
	check_remedy(list, "bind %s to vfio-pci too, or move the NIC to another slot",
		pci->group_blocker);
}

static void check_pci_port(struct check_list *list, const struct config_port *port)
{
	struct host_pci pci;
	struct error why;
	int rc = host_pci_read(port->device, &pci, &why);

	if (rc) {
		check_bad(list, "device", true, rc, "there is no PCI device %s", port->device);
		check_remedy(list,
			"`lspci -D` lists those there are: give port %s one of them as `device:`",
			port->name);
		return;
	}
	check_good(list, "device", "%s is there (%04x:%04x)", pci.address, pci.vendor, pci.device);
	check_iommu(list, &pci);
	if (check_route(list, pci.address, pci.iface))
		check_driver(list, &pci);
	check_group(list, &pci);
	if (port->address_count == 0 && !pci.iface[0]) {
		check_bad(list, "address", true, -EADDRNOTAVAIL,
			"port %s has no address, and %s has no kernel interface to read it from",
			port->name, pci.address);
		check_remedy(
			list, "add `address: 10.0.0.2/24` (the NIC's own) to port %s", port->name);
	}
}

static void check_iface_port(struct check_list *list, const struct config_port *port)
{
	struct host_iface iface;
	int rc = host_iface_read(port->device, &iface, NULL);

	if (rc) {
		check_bad(list, "device", true, rc, "there is no interface named %s", port->device);
		check_remedy(list,
			"`ip link` lists those there are: give port %s one of them as `device:`",
			port->name);
		return;
	}
	if (!iface.is_ethernet) {
		check_bad(list, "device", true, -EPROTOTYPE,
			"%s is not an Ethernet interface (a tunnel, or loopback)", iface.name);
		check_remedy(list,
			"give port %s an Ethernet interface as `device:`, or a NIC's PCI address",
			port->name);
		return;
	}
	check_good(list, "device", "%s is there", iface.name);
	if (!iface.is_up) {
		check_bad(list, "link", false, -ENETDOWN, "%s is down", iface.name);
		check_remedy(list, "ip link set %s up", iface.name);
	}
	if (port->kind == DEVICE_AF_XDP)
		check_route(list, iface.name, iface.name);
	if (port->address_count == 0 && iface.addr_count == 0) {
		check_bad(list, "address", true, -EADDRNOTAVAIL,
			"port %s has no address, and %s has none either", port->name, iface.name);
		check_remedy(list, "add `address: 10.0.0.2/24` to port %s", port->name);
	}
}

/* The kernel's end of a NIC that it no longer has; under af_packet it still has it. */
static void check_tap(struct check_list *list, const struct config_port *port)
{
	bool is_asked_for = port->exception == EXCEPTION_TAP;

	if (!is_asked_for && (port->exception == EXCEPTION_OFF || port->kind == DEVICE_AF_PACKET))
		return;
	if (host_file_exists(TUN_FILE)) {
		check_good(list, "tap", "%s can be shared with the kernel", port->device);
		return;
	}
	check_bad(list, "tap", is_asked_for, -ENODEV,
		"there is no " TUN_FILE
		", so %s cannot be shared with the kernel: non-storage traffic is cut off",
		port->device);
	check_remedy(list, "modprobe tun, or set `exception: off` for port %s", port->name);
}

void check_port(struct check_list *list, const struct config_port *port)
{
	if (port->kind == DEVICE_PCI)
		check_pci_port(list, port);
	else
		check_iface_port(list, port);
	check_tap(list, port);
}
