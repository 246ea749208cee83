/*
 * test_host_iface.c - interfaces, addresses and routes, asked of a real kernel
 *
 * The group runs in a network namespace of its own, with a veth pair that ip(8) makes:
 *
 *   sl-a  10.9.0.2/24, fd00:9::2/64, default via 10.9.0.1 (metric 100 and 50), via fd00:9::1
 *   sl-b  10.8.0.2/24, no default route
 */
#include <arpa/inet.h>
#include <sched.h>
#include <sys/resource.h>
#include "tests/unit/config/machine.h"

static struct error err;
static bool has_namespace;

static int namespace_start(void **state)
{
	static const char *const commands[] = {
		"ip link set lo up",
		"ip link add sl-a type veth peer name sl-b",
		"ip link set sl-a address 02:00:00:00:00:0a mtu 1400",
		"ip link set sl-a up && ip link set sl-b up",
		"ip addr add 10.9.0.2/24 dev sl-a",
		"ip -6 addr add fd00:9::2/64 dev sl-a nodad",
		"ip addr add 10.8.0.2/24 dev sl-b",
		"ip route add default via 10.9.0.7 dev sl-a metric 100",
		"ip route add default via 10.9.0.1 dev sl-a metric 50",
		"ip route add 192.0.2.0/24 via 10.8.0.1 dev sl-b",
		"ip route add default via 10.8.0.1 dev sl-b table 77",
		"ip -6 route add default via fd00:9::1 dev sl-a",
		"ip tuntap add sl-tun mode tun",
	};

	if (geteuid() != 0 || unshare(CLONE_NEWNET))
		return 0;
	for (unsigned i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (system(commands[i]) != 0)
			return -1;
	}
	has_namespace = true;
	return 0;
}

static void need_namespace(void)
{
	if (!has_namespace)
		skip();
}

static void link_facts_are_read(void **state)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x0a};
	struct host_iface iface;

	need_namespace();
	assert_int_equal(host_iface_read("sl-a", &iface, &err), 0);
	assert_string_equal(iface.name, "sl-a");
	assert_int_equal(iface.index, if_nametoindex("sl-a"));
	assert_memory_equal(iface.mac, mac, 6);
	assert_int_equal(iface.mtu, 1400);
	assert_true(iface.is_up);
}

static void global_addresses_come_first(void **state)
{
	struct host_iface iface;
	bool was_link_local = false, has_v4 = false, has_v6 = false;

	need_namespace();
	assert_int_equal(host_iface_read("sl-a", &iface, &err), 0);
	assert_true(iface.addr_count >= 3);
	for (unsigned i = 0; i < iface.addr_count; i++) {
		const struct host_addr *a = &iface.addrs[i];
		bool is_link_local = a->family == AF_INET6 && a->addr[0] == 0xfe;

		assert_false(was_link_local && !is_link_local);
		was_link_local = is_link_local;
		has_v4 |= a->family == AF_INET && a->prefix_bits == 24 && a->addr[1] == 9;
		has_v6 |= a->family == AF_INET6 && a->prefix_bits == 64 && a->addr[15] == 2;
	}
	assert_true(has_v4 && has_v6 && was_link_local);
}

static void gateway_is_that_of_the_best_default_route(void **state)
{
	struct host_iface iface;
	uint8_t want[16] = {10, 9, 0, 1};

	need_namespace();
	assert_int_equal(host_iface_read("sl-a", &iface, &err), 0);
	assert_true(iface.has_default_route);
	assert_int_equal(iface.gateway.family, AF_INET);
	assert_memory_equal(iface.gateway.addr, want, 4);
	assert_int_equal(inet_pton(AF_INET6, "fd00:9::1", want), 1);
	assert_int_equal(iface.gateway6.family, AF_INET6);
	assert_memory_equal(iface.gateway6.addr, want, 16);
}

static void routes_elsewhere_are_no_default_route(void **state)
{
	struct host_iface iface;

	need_namespace();
	assert_int_equal(host_iface_read("sl-b", &iface, &err), 0);
	assert_false(iface.has_default_route);
	assert_int_equal(iface.gateway.family, 0);
	assert_int_equal(iface.gateway6.family, 0);
}

static void absent_interface_is_told(void **state)
{
	struct host_iface iface;

	memset(&iface, 0x5a, sizeof(iface));
	assert_int_equal(host_iface_read("sl-nothere", &iface, &err), -ENODEV);
	assert_non_null(strstr(err.text, "there is no interface named sl-nothere; `ip link`"));
	assert_int_equal((uint8_t)iface.name[0], 0x5a);
	assert_int_equal(host_iface_read("sl-nothere", &iface, NULL), -ENODEV);
}

/* ---- what host_check() makes of it ---- */

static struct config cfg;

static void check_told(enum config_device_kind kind, const char *device, int rc, const char *what)
{
	int got;

	config_defaults(&cfg);
	cfg.port_count = 1;
	cfg.ports[0].kind = kind;
	snprintf(cfg.ports[0].device, sizeof(cfg.ports[0].device), "%s", device);
	snprintf(cfg.ports[0].name, sizeof(cfg.ports[0].name), "p");
	got = host_check(&cfg, false, &err);
	if (got != rc || (rc && !strstr(err.text, what)))
		fail_msg("%s: wanted %d \"%s\", was told %d \"%s\"", device, rc, what, got,
			err.text);
}

static void default_route_is_defended(void **state)
{
	need_namespace();
	if (!SLUICE_FAULT_INJECTION)
		skip();
	assert_int_equal(machine_start(state), 0);
	machine_without("/sys/bus/pci/devices/" NIC "/driver");
	machine_link("/sys/bus/pci/devices/" NIC "/driver", "../../../bus/pci/drivers/e1000e");
	machine_dirs("/sys/bus/pci/devices/" NIC "/net/sl-a/");
	check_told(DEVICE_PCI, NIC, -EBUSY, NIC " (sl-a) carries this machine's default route");
	assert_null(strstr(err.text, "unbind"));
	machine_without("/sys/bus/pci/devices/" NIC "/net/sl-a");
	machine_dirs("/sys/bus/pci/devices/" NIC "/net/sl-b/");
	check_told(DEVICE_PCI, NIC, -EBUSY, NIC " is still on its kernel driver e1000e as sl-b");
	check_told(
		DEVICE_AF_XDP, "sl-a", -EBUSY, "sl-a (sl-a) carries this machine's default route");
	check_told(DEVICE_AF_XDP, "sl-b", 0, "");
	check_told(DEVICE_AF_PACKET, "sl-a", 0, "");
	check_told(
		DEVICE_AF_PACKET, "sl-nothere", -ENODEV, "there is no interface named sl-nothere");
	assert_int_equal(machine_end(state), 0);
}

/* KiB that were ever resident at once. */
static long peak_kib(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

/* All routes were copied to find two: 10 MB for these, each time anything changed. */
static void many_routes_take_no_memory(void **state)
{
	struct host_iface iface;
	long before;

	need_namespace();
#ifdef __SANITIZE_ADDRESS__
	skip(); /* what is freed stays resident for a while, to find who uses it */
#endif
	assert_int_equal(system("for a in $(seq 0 79); do seq -f \"route add 11.$a.%g.0/24 via "
				"10.8.0.1 dev sl-b\" 0 249; done |"
				" ip -batch -"),
		0);
	before = peak_kib();
	assert_int_equal(host_iface_read("sl-a", &iface, &err), 0);
	assert_true(peak_kib() < before + 2048);
	assert_int_equal(iface.gateway.family, AF_INET);
	assert_int_equal(iface.gateway.addr[3], 1);
	assert_int_equal(system("ip route flush root 11.0.0.0/8"), 0);
}

/* A default route on @top, which @make builds on sl-c; then all of it is taken away again. */
static void check_defended_below(const char *top, const char *make)
{
	char command[512];

	snprintf(command, sizeof(command),
		"ip link add sl-c type veth peer name sl-d && ip link set sl-c up && ip link set "
		"sl-d up && %s && ip link set %s up "
		"&& ip addr add 10.7.0.2/24 dev %s && ip route add default via 10.7.0.1 dev %s "
		"metric 7",
		make, top, top, top);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command),
		"sl-c (sl-c) carries this machine's default route, by way of %s", top);
	check_told(DEVICE_AF_XDP, "sl-c", -EBUSY, command);
	/* Neither the other end of the cable nor a neighbour is below it. */
	check_told(DEVICE_AF_XDP, "sl-b", 0, "");
	assert_int_equal(system("ip link del sl-c; ip link del sl-br 2>/dev/null || true"), 0);
}

static void default_route_is_defended_on_what_is_on_the_nic(void **state)
{
	need_namespace();
	/* A VLAN names its lower link as a macvlan does; not every kernel has VLANs. */
	if (system("modprobe -q 8021q; test -d /proc/net/vlan") == 0)
		check_defended_below("sl-v", "ip link add link sl-c name sl-v type vlan id 5");
	check_defended_below("sl-m", "ip link add link sl-c name sl-m type macvlan");
	check_defended_below(
		"sl-br", "ip link add sl-br type bridge && ip link set sl-c master sl-br");
	check_defended_below("sl-bv", "ip link add sl-br type bridge && ip link set sl-c master "
				      "sl-br && ip link set sl-br up && "
				      "ip link add link sl-br name sl-bv type macvlan");
}

static void what_is_no_ethernet_is_refused_by_name(void **state)
{
	struct host_iface iface;

	need_namespace();
	assert_int_equal(host_iface_read("sl-tun", &iface, &err), 0);
	assert_false(iface.is_ethernet);
	assert_int_equal(host_iface_read("sl-a", &iface, &err), 0);
	assert_true(iface.is_ethernet);
	check_told(DEVICE_AF_PACKET, "sl-tun", -EPROTOTYPE, "sl-tun is not an Ethernet interface");
	check_told(DEVICE_AF_XDP, "sl-tun", -EPROTOTYPE, "sl-tun is not an Ethernet interface");
	check_told(DEVICE_AF_PACKET, "lo", -EPROTOTYPE, "lo is not an Ethernet interface");
}

static void down_interface_is_advice(void **state)
{
	struct host_check_line lines[HOST_CHECK_LINE_MAX];
	unsigned count, found = 0;

	need_namespace();
	assert_int_equal(system("ip link set sl-b down"), 0);
	config_defaults(&cfg);
	cfg.port_count = 1;
	cfg.ports[0].kind = DEVICE_AF_PACKET;
	strcpy(cfg.ports[0].device, "sl-b");
	count = host_doctor(&cfg, lines, HOST_CHECK_LINE_MAX);
	assert_int_equal(system("ip link set sl-b up"), 0);
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(lines[i].what, "link") != 0)
			continue;
		found++;
		assert_false(lines[i].is_required);
		assert_string_equal(lines[i].remedy, "ip link set sl-b up");
	}
	assert_int_equal(found, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_facts_are_read),
		cmocka_unit_test(global_addresses_come_first),
		cmocka_unit_test(gateway_is_that_of_the_best_default_route),
		cmocka_unit_test(routes_elsewhere_are_no_default_route),
		cmocka_unit_test(absent_interface_is_told),
		cmocka_unit_test(default_route_is_defended),
		cmocka_unit_test(many_routes_take_no_memory),
		cmocka_unit_test(default_route_is_defended_on_what_is_on_the_nic),
		cmocka_unit_test(what_is_no_ethernet_is_refused_by_name),
		cmocka_unit_test(down_interface_is_advice),
	};

	return cmocka_run_group_tests(tests, namespace_start, NULL);
}
