/*
 * host_pci.c - PCI devices, read from sysfs
 *
 * All that decides whether a NIC may be taken away from the kernel: who drives it, which interface
 * it carries, and whether an IOMMU keeps its DMA inside our memory. vfio gives out whole IOMMU
 * groups, so a neighbour in the group that is still on its own driver blocks us too, and is named.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include "config/config_section.h"
#include "config/host/host.h"
#include "config/host/host_file.h"

#define GROUP_DEVICE_MAX 64
#define DIR_NAME_MAX	 128 /* entries of a device's directory */
#define PCI_CLASS_BRIDGE 0x06

/* Drivers that leave a group usable for vfio. */
static bool driver_is_harmless(const char *driver)
{
	return strcmp(driver, "vfio-pci") == 0 || strcmp(driver, "pci-stub") == 0 ||
	       strcmp(driver, "pcieport") == 0;
}

/* Writes the first device of the group, @out's own apart, that keeps vfio out of it. */
static void group_read(const char *dir, struct host_pci *out)
{
	char names[GROUP_DEVICE_MAX][HOST_NAME_BYTES], path[HOST_PATH_BYTES], driver[32];
	unsigned count;

	snprintf(path, sizeof(path), "%s/iommu_group/devices", dir);
	count = host_dir_names(path, names, GROUP_DEVICE_MAX);
	for (unsigned i = 0; i < count; i++) {
		uint64_t class = 0;

		if (strcmp(names[i], out->address) == 0)
			continue;
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.63s/driver", names[i]);
		if (host_link_name(path, driver, sizeof(driver)) || driver_is_harmless(driver))
			continue;
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.63s/class", names[i]);
		if (host_file_number(path, &class) == 0 && class >> 16 == PCI_CLASS_BRIDGE)
			continue;
		snprintf(out->group_blocker, sizeof(out->group_blocker), "%.15s", names[i]);
		return;
	}
}

/* The interface of the device: below the device itself, or below its virtio child. */
static void iface_read(const char *dir, struct host_pci *out)
{
	char names[DIR_NAME_MAX][HOST_NAME_BYTES], path[HOST_PATH_BYTES], iface[1][HOST_NAME_BYTES];
	unsigned count;

	snprintf(path, sizeof(path), "%s/net", dir);
	if (host_dir_names(path, iface, 1) == 1) {
		snprintf(out->iface, sizeof(out->iface), "%.15s", iface[0]);
		return;
	}
	count = host_dir_names(dir, names, DIR_NAME_MAX);
	for (unsigned i = 0; i < count; i++) {
		if (strncmp(names[i], "virtio", 6) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%.63s/net", dir, names[i]);
		if (host_dir_names(path, iface, 1) == 1)
			snprintf(out->iface, sizeof(out->iface), "%.15s", iface[0]);
	}
}

static int id_read(const char *dir, const char *name, uint16_t *out)
{
	char path[HOST_PATH_BYTES];
	uint64_t value;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	rc = host_file_number(path, &value);
	if (rc == 0)
		*out = (uint16_t)value;
	return rc;
}

int host_pci_read(const char *address, struct host_pci *out, struct error *err)
{
	struct host_pci found = {0};
	char dir[64], path[HOST_PATH_BYTES];
	int rc;

	if (config_pci_parse(address, found.address))
		return error_set(err, -EINVAL,
			"\"%.40s\" is not a PCI address; write it like 0000:00:03.0", address);
	snprintf(dir, sizeof(dir), "/sys/bus/pci/devices/%s", found.address);
	if (!host_file_exists(dir))
		return error_set(err, -ENODEV,
			"there is no PCI device %s; `lspci -D` lists those there are",
			found.address);
	rc = id_read(dir, "vendor", &found.vendor);
	if (rc == 0)
		rc = id_read(dir, "device", &found.device);
	if (rc)
		return error_set(
			err, rc, "%s: cannot read %s: %s", found.address, dir, strerror(-rc));
	snprintf(path, sizeof(path), "%s/driver", dir);
	/* No link: no driver holds it, which is a fact and not a failure. */
	host_link_name(path, found.driver, sizeof(found.driver));
	snprintf(path, sizeof(path), "%s/iommu_group", dir);
	found.has_iommu_group = host_file_exists(path);
	iface_read(dir, &found);
	if (found.has_iommu_group)
		group_read(dir, &found);
	*out = found;
	return 0;
}
