/*
 * test_port_follow.c - what changes on the kernel's end of a port reaches the workers, or is
 * set back
 *
 * The kernel's interface is the test's own. Each change is seen as the commands the workers
 * carry out.
 */
#include <arpa/inet.h>
#include "tests/unit/daemon/engine_world.h"

#define LOOK_US (SECOND_US / 4)

static void addr_set(unsigned idx, const char *text, uint8_t bits)
{
	struct host_addr *a = &fake_host.iface.addrs[idx];

	a->family = strchr(text, ':') ? AF_INET6 : AF_INET;
	a->prefix_bits = bits;
	assert_int_equal(inet_pton(a->family, text, a->addr), 1);
	fake_host.iface.addr_count = idx + 1;
}

/* An af_packet port whose addresses are its interface's own, on two queues. */
static void following(void)
{
	struct config_port *cfg = &world_cfg.ports[0];

	cfg->kind = DEVICE_AF_PACKET;
	snprintf(cfg->device, sizeof(cfg->device), "eth1");
	cfg->address_count = 0;
	fake_host.iface = (struct host_iface){.index = 3, .mtu = 1500, .is_up = true};
	addr_set(0, "192.0.2.10", 24);
	world_make(2);
	world_run(LOOK_US);
	assert_int_equal(fake_workers[0]->carried[WORKER_ADDRS_SET], 0);
}

/* A port with a kernel's end of its own, and its address from the file. */
static void sharing(void)
{
	world_cfg.ports[0].exception = EXCEPTION_TAP;
	fake_host.iface = (struct host_iface){.index = 9, .mtu = 1500, .is_up = true};
	world_make(1);
	world_run(LOOK_US);
}

static void changes(void)
{
	fake_host.has_changed = true;
	world_run(LOOK_US);
}

static unsigned port_addrs(void)
{
	struct ports_info info;

	engine_port_info(world, 0, &info);
	return info.addr_count;
}

/* ---- how often ---- */

/* 100,000 routes take the kernel 50 ms to tell, and change all the time. */
static void reading_takes_a_bounded_share_of_the_time(void **state)
{
	uint64_t end_us;
	unsigned reads;

	following();
	fake_host.read_us = 50000;
	reads = fake_host.reads;
	end_us = virtual_us + 20 * SECOND_US;
	while (virtual_us < end_us) {
		fake_host.has_changed = true;
		world_run(TURN_US);
	}
	assert_true(fake_host.reads - reads >= 10);
	assert_true(fake_host.reads - reads <= 20); /* a twentieth of the time */
	fake_host.read_us = 0;
}

static void last_of_many_changes_is_read(void **state)
{
	following();
	fake_host.read_us = 50000;
	changes();
	addr_set(1, "192.0.2.11", 24); /* while the next reading waits */
	fake_host.has_changed = true;
	world_run(2 * SECOND_US);
	assert_int_equal(port_addrs(), 2);
	fake_host.read_us = 0;
}

/* ---- addresses ---- */

static void new_address_reaches_every_worker(void **state)
{
	following();
	addr_set(1, "192.0.2.11", 24);
	changes();
	for (unsigned w = 0; w < 2; w++)
		assert_int_equal(fake_workers[w]->carried[WORKER_ADDRS_SET], 1);
	assert_int_equal(port_addrs(), 2);
	changes();
	assert_int_equal(fake_workers[0]->carried[WORKER_ADDRS_SET], 1); /* nothing is different */
}

static void last_address_is_kept(void **state)
{
	following();
	fake_host.iface.addr_count = 0;
	changes();
	assert_int_equal(fake_workers[0]->carried[WORKER_ADDRS_SET], 0);
	assert_int_equal(port_addrs(), 1);
}

static void address_of_the_file_stays_whatever_the_interface_has(void **state)
{
	sharing();
	fake_host.iface.addr_count = 0;
	changes();
	assert_int_equal(port_addrs(), 1);
	addr_set(0, "198.51.100.3", 24);
	changes();
	assert_int_equal(port_addrs(), 2);
}

static void link_local_address_of_the_kernels_end_is_the_kernels_own(void **state)
{
	sharing();
	addr_set(0, "fe80::1", 64);
	changes();
	assert_int_equal(port_addrs(), 1);
}

/* A worker may still read the list of the change before. */
static void second_change_waits_until_the_first_is_carried_out(void **state)
{
	following();
	fake_workers[1]->is_mute = true;
	addr_set(1, "192.0.2.11", 24);
	changes();
	addr_set(2, "192.0.2.12", 24);
	changes();
	assert_int_equal(port_addrs(), 2);
	assert_int_equal(fake_workers[0]->carried[WORKER_ADDRS_SET], 1);
	fake_workers[1]->is_mute = false;
	world_run(LOOK_US);
	assert_int_equal(port_addrs(), 3);
	assert_int_equal(fake_workers[0]->carried[WORKER_ADDRS_SET], 2);
	assert_int_equal(fake_workers[1]->carried[WORKER_ADDRS_SET], 2);
}

static void change_is_not_lost_where_the_command_ring_is_full(void **state)
{
	following();
	fake_workers[0]->room = 0;
	addr_set(1, "192.0.2.11", 24);
	changes();
	assert_int_equal(fake_workers[0]->carried[WORKER_ADDRS_SET], 0);
	fake_workers[0]->room = FAKE_RING_MAX;
	world_run(LOOK_US);
	assert_int_equal(fake_workers[0]->carried[WORKER_ADDRS_SET], 1);
}

/* ---- MTU ---- */

static void smaller_mtu_is_followed_and_lowers_the_floor(void **state)
{
	uint32_t total, before, after;

	sharing();
	engine_sum(world, 0, &total, &before);
	fake_host.iface.mtu = 576;
	changes();
	assert_int_equal(fake_workers[0]->last[WORKER_MTU_SET].n, 576);
	engine_sum(world, 0, &total, &after);
	assert_true(after < before);
}

static void mtu_larger_than_the_ports_is_set_back(void **state)
{
	sharing();
	fake_host.mtu_sets = 0;
	fake_host.iface.mtu = 9000;
	changes();
	assert_int_equal(fake_workers[0]->carried[WORKER_MTU_SET], 0);
	assert_int_equal(fake_host.mtu_sets, 1);
	assert_int_equal(fake_host.mtu, 1500);
}

/* ---- neighbours and link ---- */

static void neighbour_of_the_ports_interface_is_a_hint_for_its_workers(void **state)
{
	following();
	fake_host.neigh[0] = (struct host_neigh){
		.index = 3, .family = AF_INET, .addr = {192, 0, 2, 1}, .mac = {2, 9}};
	fake_host.neigh[1] =
		(struct host_neigh){.index = 4, .family = AF_INET, .addr = {10, 0, 0, 1}};
	fake_host.neigh_count = 2;
	world_run(LOOK_US);
	assert_int_equal(fake_workers[1]->carried[WORKER_NEIGH_HINT], 1);
	assert_int_equal(fake_workers[1]->last[WORKER_NEIGH_HINT].ip.addr[3], 1);
	assert_int_equal(fake_workers[1]->last[WORKER_NEIGH_HINT].mac[1], 9);
}

static void carrier_of_the_kernels_end_follows_the_link(void **state)
{
	sharing();
	assert_int_equal(fake_host.carriers, 0);
	fake_nic.is_link_down = true;
	world_run(LOOK_US);
	assert_int_equal(fake_host.carriers, 1);
	assert_false(fake_host.is_carrier_on);
	fake_nic.is_link_down = false;
	world_run(LOOK_US);
	assert_int_equal(fake_host.carriers, 2);
	assert_true(fake_host.is_carrier_on);
}

static void engine_runs_where_nothing_can_be_followed(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);

	fake_host.follow_rc = -EPERM;
	world_make(1);
	world_serve(&v, FRONT_UBLK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(reading_takes_a_bounded_share_of_the_time),
		world_test(last_of_many_changes_is_read),
		world_test(new_address_reaches_every_worker),
		world_test(last_address_is_kept),
		world_test(address_of_the_file_stays_whatever_the_interface_has),
		world_test(link_local_address_of_the_kernels_end_is_the_kernels_own),
		world_test(second_change_waits_until_the_first_is_carried_out),
		world_test(change_is_not_lost_where_the_command_ring_is_full),
		world_test(smaller_mtu_is_followed_and_lowers_the_floor),
		world_test(mtu_larger_than_the_ports_is_set_back),
		world_test(neighbour_of_the_ports_interface_is_a_hint_for_its_workers),
		world_test(carrier_of_the_kernels_end_follows_the_link),
		world_test(engine_runs_where_nothing_can_be_followed),
	};

	return cmocka_run_group_tests(tests, eal_world_start, eal_world_stop);
}
