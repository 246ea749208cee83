/*
 * test_port_exception.c - when a port shares its NIC with the kernel, and what happens to that
 * share
 *
 * Also the shortage of kernel memory (port_shortage.c), whose only effect is on the exception
 * ports.
 */
#include "tests/unit/daemon/engine_world.h"

static struct ports_info info;

static const struct ports_info *port(void)
{
	engine_port_info(world, 0, &info);
	return &info;
}

static int create(struct error *err)
{
	const struct engine_facts facts = {.has_hugepages = true, .memory_mib = 192};

	world_cfg.ports[0].queues = 1;
	world = engine_create(&world_cfg, &facts, err);
	return world ? 0 : -1;
}

/* ---- is there one ---- */

static void nic_has_one_with_the_addresses_of_the_port(void **state)
{
	world_cfg.ports[0].exception = EXCEPTION_AUTO;
	snprintf(world_cfg.ports[0].gateway, sizeof(world_cfg.ports[0].gateway), "192.0.2.1");
	world_make(2);
	assert_string_equal(port()->exception_iface, "sluice0");
	assert_int_equal(fake_exceptions_running, 1);
	assert_int_equal(fake_exception_last.queue_count, 2);
	assert_memory_equal(fake_exception_last.mac, fake_nic.facts.mac, 6);
	assert_int_equal(fake_host.mtu, 1500);
	assert_int_equal(fake_host.addr_adds, 1);
	assert_int_equal(fake_host.ups, 1);
	assert_int_equal(fake_host.defaults, 1);
	assert_int_equal(fake_multicasts, 1);
	assert_non_null(fake_workers[1]->cfg.exception);
	assert_non_null(engine_exception_pool(world, 1));
}

static void name_of_the_file_is_used(void **state)
{
	world_cfg.ports[0].exception = EXCEPTION_TAP;
	snprintf(world_cfg.ports[0].exception_iface, sizeof(world_cfg.ports[0].exception_iface),
		"lan0");
	world_make(1);
	assert_string_equal(port()->exception_iface, "lan0");
}

static void off_means_off(void **state)
{
	world_make(1);
	assert_null(port()->exception_iface);
	assert_non_null(strstr(port()->exception_why, "exception: off"));
	assert_null(engine_exception_pool(world, 0));
	assert_null(fake_workers[0]->cfg.exception);
}

static void auto_is_off_where_the_kernel_sees_the_packets_itself(void **state)
{
	world_cfg.ports[0].exception = EXCEPTION_AUTO;
	world_cfg.ports[0].kind = DEVICE_AF_PACKET;
	world_make(1);
	assert_null(port()->exception_iface);
	assert_non_null(strstr(port()->exception_why, "af_packet"));
}

static void auto_is_off_on_an_af_xdp_interface_with_the_addresses(void **state)
{
	world_cfg.ports[0].exception = EXCEPTION_AUTO;
	world_cfg.ports[0].kind = DEVICE_AF_XDP;
	world_cfg.ports[0].address_count = 0;
	fake_host.iface.addr_count = 1;
	fake_host.iface.addrs[0] =
		(struct host_addr){.family = 2, .prefix_bits = 24, .addr = {192, 0, 2, 10}};
	world_make(1);
	assert_null(port()->exception_iface);
	assert_non_null(strstr(port()->exception_why, "address"));
}

/* ---- refusals ---- */

static void auto_without_a_tap_starts_all_the_same(void **state)
{
	world_cfg.ports[0].exception = EXCEPTION_AUTO;
	fake_nic.exception_rc = -ENOENT;
	world_make(1);
	assert_null(port()->exception_iface);
	assert_non_null(strstr(port()->exception_why, "/dev/net/tun"));
}

static void tap_that_is_asked_for_and_refused_ends_the_start(void **state)
{
	struct error err = {""};

	world_cfg.ports[0].exception = EXCEPTION_TAP;
	fake_nic.exception_rc = -ENOENT;
	assert_int_equal(create(&err), -1);
	assert_non_null(strstr(err.text, "port storage: exception: /dev/net/tun"));
	assert_int_equal(fake_ports_alive, 0);
}

static void changes_the_kernel_refuses_cost_storage_nothing(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);

	world_cfg.ports[0].exception = EXCEPTION_TAP;
	fake_host.set_rc = -EPERM;
	world_make(1);
	assert_int_equal(fake_host.ups, 1);
	world_serve(&v, FRONT_UBLK);
}

/* ---- shortage ---- */

/* Half a second in which some task always waited and pages were made free. */
static void memory_is_short(void)
{
	fake_host.want.stalled_us += SECOND_US / 2;
	fake_host.want.reclaimed += 1000;
	world_run(SECOND_US / 2);
}

static void frames_are_rationed_while_the_kernel_is_short_of_memory(void **state)
{
	uint64_t count;

	world_cfg.ports[0].exception = EXCEPTION_TAP;
	world_make(1);
	world_run(SECOND_US);
	assert_int_equal(engine_kernel_memory(world, &count), KERNEL_MEMORY_ENOUGH);
	assert_false(fake_exception_is_rationed);
	memory_is_short();
	memory_is_short();
	assert_int_equal(engine_kernel_memory(world, &count), KERNEL_MEMORY_SHORT);
	assert_int_equal(count, 1);
	assert_true(fake_exception_is_rationed);
	world_run(10 * SECOND_US);
	assert_false(fake_exception_is_rationed);
	assert_int_equal(engine_kernel_memory(world, &count), KERNEL_MEMORY_ENOUGH);
	assert_int_equal(count, 1);
}

static void kernel_that_does_not_tell_is_unknown_and_nothing_is_rationed(void **state)
{
	uint64_t count;

	fake_host.want_rc = -ENOENT;
	world_cfg.ports[0].exception = EXCEPTION_TAP;
	world_make(1);
	memory_is_short();
	memory_is_short();
	assert_int_equal(engine_kernel_memory(world, &count), KERNEL_MEMORY_UNKNOWN);
	assert_false(fake_exception_is_rationed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(nic_has_one_with_the_addresses_of_the_port),
		world_test(name_of_the_file_is_used),
		world_test(off_means_off),
		world_test(auto_is_off_where_the_kernel_sees_the_packets_itself),
		world_test(auto_is_off_on_an_af_xdp_interface_with_the_addresses),
		world_test(auto_without_a_tap_starts_all_the_same),
		world_test(tap_that_is_asked_for_and_refused_ends_the_start),
		world_test(changes_the_kernel_refuses_cost_storage_nothing),
		world_test(frames_are_rationed_while_the_kernel_is_short_of_memory),
		world_test(kernel_that_does_not_tell_is_unknown_and_nothing_is_rationed),
	};

	return cmocka_run_group_tests(tests, eal_world_start, eal_world_stop);
}
