/*
 * test_config_port.c - ports and protect rules: what is taken, and what is told
 */
#include "tests/unit/config/yaml_file.h"

/* One port with @line beside its device, which stands on line 2; @line is line 3. */
static void port_refused(const char *line, const char *start)
{
	char text[1024];

	snprintf(text, sizeof(text), "ports:\n- device: af_packet:eth0\n  %s\n", line);
	refused(text, start);
}

static void port_loads(const char *line)
{
	char text[1024];

	snprintf(text, sizeof(text), "ports:\n- device: af_packet:eth0\n  %s\n", line);
	loads(text);
}

static void device_refused(const char *device, const char *start)
{
	char text[256];

	snprintf(text, sizeof(text), "ports:\n- device: \"%s\"\n", device);
	refused(text, start);
}

static void a_port_gets_its_defaults(void **state)
{
	loads("ports: [{device: af_packet:eth0}, {device: af_xdp:eth1}]\n");
	assert_int_equal(cfg.port_count, 2);
	assert_string_equal(cfg.ports[0].name, "port0");
	assert_string_equal(cfg.ports[1].name, "port1");
	assert_int_equal(cfg.ports[0].kind, DEVICE_AF_PACKET);
	assert_int_equal(cfg.ports[1].kind, DEVICE_AF_XDP);
	assert_string_equal(cfg.ports[1].device, "eth1");
	assert_int_equal(cfg.ports[0].mtu, 0);
	assert_int_equal(cfg.ports[0].queues, 1);
	assert_int_equal(cfg.ports[0].rx_ring, RX_RING_DEFAULT);
	assert_int_equal(cfg.ports[0].exception, EXCEPTION_AUTO);
	assert_int_equal(cfg.ports[0].address_count, 0);
}

static void every_key_of_a_port_is_read(void **state)
{
	loads("ports:\n- name: fast\n  device: 0000:3B:00.1\n"
	      "  address: [10.0.0.2/24, \"fd00::2/64\"]\n  gateway: [10.0.0.1, \"fe80::1\"]\n"
	      "  mtu: 9000\n  exception: tap\n  queues: 2\n  rx_ring: 512\n  cpus: [2, 3]\n");
	assert_string_equal(cfg.ports[0].name, "fast");
	assert_int_equal(cfg.ports[0].kind, DEVICE_PCI);
	assert_string_equal(cfg.ports[0].device, "0000:3b:00.1");
	assert_int_equal(cfg.ports[0].address_count, 2);
	assert_string_equal(cfg.ports[0].address[1], "fd00::2/64");
	assert_string_equal(cfg.ports[0].gateway, "10.0.0.1");
	assert_string_equal(cfg.ports[0].gateway6, "fe80::1");
	assert_int_equal(cfg.ports[0].mtu, 9000);
	assert_int_equal(cfg.ports[0].exception, EXCEPTION_TAP);
	assert_int_equal(cfg.ports[0].queues, 2);
	assert_int_equal(cfg.ports[0].rx_ring, 512);
	assert_int_equal(cfg.ports[0].cpu[1], 3);
}

static void short_pci_address_is_completed(void **state)
{
	loads("ports: [{device: \"00:1f.7\"}]\n");
	assert_string_equal(cfg.ports[0].device, "0000:00:1f.7");
}

static void bad_devices_are_told(void **state)
{
	refused("ports:\n- name: p\n", "c.yaml:2: ports[0].device: missing; give");
	device_refused("0000:00:03", "c.yaml:2: ports[0].device: \"0000:00:03\" is not a device");
	device_refused("0000:00:03.8", "c.yaml:2: ports[0].device: ");
	device_refused("0000:00:03.00", "c.yaml:2: ports[0].device: ");
	device_refused("0000-00:03.0", "c.yaml:2: ports[0].device: ");
	device_refused("000g:00:03.0", "c.yaml:2: ports[0].device: ");
	device_refused("eth0", "c.yaml:2: ports[0].device: \"eth0\" is not a device");
	device_refused("af_packet:", "c.yaml:2: ports[0].device: \"\" is not an interface name");
	device_refused("af_xdp:sixteen-chars-xx", "c.yaml:2: ports[0].device: ");
	device_refused("af_packet:a/b", "c.yaml:2: ports[0].device: ");
	device_refused("af_packet:a,b", "c.yaml:2: ports[0].device: ");
	device_refused("af_packet:..", "c.yaml:2: ports[0].device: ");
}

static void bad_addresses_are_told(void **state)
{
	port_refused("address: 10.0.0.2",
		"c.yaml:3: ports[0].address[0]: 10.0.0.2 has no prefix length; write it like "
		"10.0.0.2/24");
	port_refused("address: 10.0.0.2/33", "c.yaml:3: ports[0].address[0]: \"10.0.0.2/33\"");
	port_refused("address: 10.0.0.2/", "c.yaml:3: ports[0].address[0]: ");
	port_refused("address: 10.0.0.2/024", "c.yaml:3: ports[0].address[0]: ");
	port_refused("address: 10.0.0.2/-1", "c.yaml:3: ports[0].address[0]: ");
	port_refused("address: 10.0.0/24", "c.yaml:3: ports[0].address[0]: ");
	port_refused("address: 10.0.0.256/24", "c.yaml:3: ports[0].address[0]: ");
	port_refused("address: \"fd00::2/129\"", "c.yaml:3: ports[0].address[0]: ");
	port_refused("address: \"fd00::2::1/64\"", "c.yaml:3: ports[0].address[0]: ");
	port_refused("address: [10.0.0.2/24, 10.0.0.2/24]",
		"c.yaml:3: ports[0].address[1]: 10.0.0.2/24 is given twice");
	port_refused("address: [10.0.0.2/24, 10.0.0.3/24, 10.0.0.4/24, 10.0.0.5/24, 10.0.0.6/24]",
		"c.yaml:3: ports[0].address: more than 4 entries");
}

static void addresses_no_port_can_own_are_told(void **state)
{
	port_refused("address: 0.0.0.0/8",
		"c.yaml:3: ports[0].address[0]: 0.0.0.0/8 is the unspecified address");
	port_refused(
		"address: 127.0.0.1/8", "c.yaml:3: ports[0].address[0]: 127.0.0.1/8 is a loop");
	port_refused("address: 224.0.0.1/24", "c.yaml:3: ports[0].address[0]: 224.0.0.1/24 is not");
	port_refused("address: 10.0.0.0/24",
		"c.yaml:3: ports[0].address[0]: 10.0.0.0/24 is the address of the network itself");
	port_refused("address: 10.0.0.255/24",
		"c.yaml:3: ports[0].address[0]: 10.0.0.255/24 is the network's broadcast address");
	port_refused(
		"address: \"::1/128\"", "c.yaml:3: ports[0].address[0]: ::1/128 is a loopback");
	port_refused("address: \"ff02::1/64\"", "c.yaml:3: ports[0].address[0]: ");
	port_loads("address: [10.0.0.0/31, 10.0.0.1/32]");
}

static void gateway_must_be_on_a_network_of_the_port(void **state)
{
	refused("ports:\n- {device: af_packet:e, address: 10.0.0.2/24, gateway: 10.0.1.1}\n",
		"c.yaml:2: ports[0].gateway[0]: 10.0.1.1 is on none of the port's networks");
	refused("ports:\n- {device: af_packet:e, address: 10.0.0.2/24, gateway: \"fd00::1\"}\n",
		"c.yaml:2: ports[0].gateway[0]: fd00::1 is on none");
	refused("ports:\n- {device: af_packet:e, gateway: [10.0.0.1, 10.0.0.3]}\n",
		"c.yaml:2: ports[0].gateway[1]: a second gateway for IPv4");
	refused("ports:\n- {device: af_packet:e, gateway: 10.0.0.1/24}\n",
		"c.yaml:2: ports[0].gateway[0]: \"10.0.0.1/24\" is not an address");
	loads("ports:\n- {device: af_packet:e, gateway: 10.0.0.1}\n");
	loads("ports:\n- {device: af_packet:e, address: 10.0.255.2/20, gateway: 10.0.240.1}\n");
	refused("ports:\n- {device: af_packet:e, address: 10.0.255.2/20, gateway: 10.0.239.1}\n",
		"c.yaml:2: ports[0].gateway[0]: ");
}

static void numbers_of_a_port_are_held_to_their_limits(void **state)
{
	port_refused(
		"mtu: 90000", "c.yaml:3: ports[0].mtu: 90000 is more than 9000; give 576 to 9000");
	port_refused("mtu: 575", "c.yaml:3: ports[0].mtu: 575 is less than 576");
	port_refused("mtu: 1500b", "c.yaml:3: ports[0].mtu: \"1500b\" is not a whole number");
	port_refused("mtu: -1", "c.yaml:3: ports[0].mtu: \"-1\" is not a whole number");
	port_refused("mtu: 99999999999999999999", "c.yaml:3: ports[0].mtu: ");
	port_refused("queues: 0", "c.yaml:3: ports[0].queues: 0 is less than 1");
	port_refused("queues: 9", "c.yaml:3: ports[0].queues: 9 is more than 8");
	port_refused("rx_ring: 300", "c.yaml:3: ports[0].rx_ring: 300 is not a power of two");
	port_refused("rx_ring: 8192", "c.yaml:3: ports[0].rx_ring: 8192 is more than 4096");
	port_refused("exception: tun",
		"c.yaml:3: ports[0].exception: \"tun\" is not known; give off, tap or auto");
	port_loads("mtu: 576");
	port_loads("mtu: 9000");
	port_loads("rx_ring: 4096");
}

static void cores_match_queues(void **state)
{
	port_refused("cpus: [1, 2]", "c.yaml:3: ports[0].cpus: names 2 CPUs, and the port has 1 "
				     "queue; name one CPU for each");
	port_refused("cpus: [x]", "c.yaml:3: ports[0].cpus[0]: \"x\" is not a whole number");
	refused("ports:\n- {device: af_packet:a, cpus: 1}\n- {device: af_packet:b, cpus: 1}\n",
		"c.yaml:3: ports[1].cpus[0]: core 1 is used by ports[0] too");
}

static void ports_differ_in_name_and_device(void **state)
{
	refused("ports:\n- {device: af_packet:a, name: p}\n- {device: af_packet:b, name: p}\n",
		"c.yaml:3: ports[1].name: p is the name of ports[0] too");
	refused("ports:\n- device: 00:03.0\n- device: 0000:00:03.0\n",
		"c.yaml:3: ports[1].device: 0000:00:03.0 is the device of ports[0] too");
	port_refused("name: a b", "c.yaml:3: ports[0].name: \"a b\" is not a name");
	port_refused("name: -x", "c.yaml:3: ports[0].name: \"-x\" is not a name; start it");
	refused("ports: [{device: af_packet:a}, {device: af_packet:b}, {device: af_packet:c},\n"
		" {device: af_packet:d}, {device: af_packet:e}]\n",
		"c.yaml:1: ports: more than 4 entries");
	refused("ports:\n- {device: af_packet:a, queues: 5}\n- {device: af_packet:b, queues: 4}\n",
		"c.yaml:3: ports[1]: 9 queues with the ports before");
	refused("volumes: []\n", "c.yaml:1: ports: no port is given");
	refused("\nports: []\n", "c.yaml:2: ports: no port is given");
}

static void protect_rules_are_read(void **state)
{
	loads(GOOD_PORT "protect:\n- {address: 10.0.0.9, port: 3260}\n- ethertype: 0x88a2\n"
			"- address: \"fd00::/8\"\n- port: 860\n");
	assert_int_equal(cfg.protect_count, 4);
	assert_string_equal(cfg.protect[0].address, "10.0.0.9/32");
	assert_int_equal(cfg.protect[0].port, 3260);
	assert_int_equal(cfg.protect[1].ethertype, 0x88a2);
	assert_string_equal(cfg.protect[2].address, "fd00::/8");
	assert_int_equal(cfg.protect[3].port, 860);
}

static void bad_protect_rules_are_told(void **state)
{
	refused(GOOD_PORT "protect:\n- {}\n", "c.yaml:4: protect[0]: protects nothing");
	refused(GOOD_PORT "protect:\n- port: 65536\n", "c.yaml:4: protect[0].port: 65536 is more");
	refused(GOOD_PORT "protect:\n- port: 0\n", "c.yaml:4: protect[0].port: 0 is less");
	refused(GOOD_PORT "protect:\n- ethertype: 0x5ff\n",
		"c.yaml:4: protect[0].ethertype: 0x5ff is less");
	refused(GOOD_PORT "protect:\n- {ethertype: 0x88a2, port: 1}\n",
		"c.yaml:4: protect[0].ethertype: an ethertype has no address or port");
	refused(GOOD_PORT "protect:\n- address: here\n",
		"c.yaml:4: protect[0].address: \"here\" is not an address");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_gets_its_defaults),
		cmocka_unit_test(every_key_of_a_port_is_read),
		cmocka_unit_test(short_pci_address_is_completed),
		cmocka_unit_test(bad_devices_are_told),
		cmocka_unit_test(bad_addresses_are_told),
		cmocka_unit_test(addresses_no_port_can_own_are_told),
		cmocka_unit_test(gateway_must_be_on_a_network_of_the_port),
		cmocka_unit_test(numbers_of_a_port_are_held_to_their_limits),
		cmocka_unit_test(cores_match_queues),
		cmocka_unit_test(ports_differ_in_name_and_device),
		cmocka_unit_test(protect_rules_are_read),
		cmocka_unit_test(bad_protect_rules_are_told),
	};

	return cmocka_run_group_tests(tests, yaml_setup, yaml_teardown);
}
