/*
 * test_device_channel.c - over which workers a device is spread, and what each channel takes of its
 * worker
 *
 * The choice of port and the memory put aside (device_make.c) are here too: both are about what
 * a channel is made from.
 */
#include "tests/unit/daemon/engine_world.h"

static struct device_info info;

static const struct device_info *first(void)
{
	assert_int_equal(engine_device_list(world, &info, 1), 1);
	return &info;
}

/* ---- spreading ---- */

static void device_has_a_channel_on_each_worker_of_its_port(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 0);

	world_make(3);
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(first()->worker_count, 3);
	assert_string_equal(first()->spread, "");
	assert_int_equal(first()->volume.conn_count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fake_workers[i]->volume_count, 1);
}

static void connections_limit_the_workers(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 2);

	world_make(3);
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(first()->worker_count, 2);
	assert_string_equal(first()->spread, "connections: 2");
}

static void more_connections_than_workers_are_shared_out(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 5);

	world_make(2);
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(first()->worker_count, 2);
	assert_int_equal(first()->volume.conn_count, 5);
}

/* sysconf() says four. */
static void device_has_no_more_channels_than_the_machine_has_processors(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 0);

	world_make(5);
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(first()->worker_count, 4);
	assert_string_equal(first()->spread, "the machine has 4 processors");
}

static void server_without_multi_conn_has_one_channel(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 0);

	world_make(2);
	fake_server.limits.can_multi_conn = false;
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(first()->worker_count, 1);
	assert_non_null(strstr(first()->spread, "CAN_MULTI_CONN"));
}

static void probe_has_one_channel_and_ends_by_itself(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 0);
	struct answer a;

	world_make(2);
	assert_int_equal(world_attach(&v, FRONT_NONE, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
	assert_true(world_until("", SECOND_US));
	assert_int_equal(fake_workers[1]->carried[WORKER_VOLUME_ADD], 0);
	assert_int_equal(fake_ublks_stops, 0);
}

static void channel_that_does_not_come_to_serve_is_left_out(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 0);
	struct takings before;

	world_make(2);
	world_takings(&before);
	fake_server.is_one_channel = true;
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(first()->worker_count, 1);
	assert_non_null(strstr(first()->spread, "worker 1 is left out"));
	assert_int_equal(fake_volumes_alive, before.volumes + 1);
	assert_int_equal(fake_ublk_config(fake_ublk_last)->queues, 1);
}

/* The channels behind one that is left out move up, and their mbufs stay in the sum. */
static void channel_between_others_is_left_out(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 0);
	struct takings before, with;
	struct answer a;

	world_make(3);
	world_takings(&before);
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	assert_true(world_until("spreading", SECOND_US));
	fake_workers[1]->is_mute = true;
	world_run(6 * SECOND_US);
	fake_workers[1]->is_mute = false;
	assert_true(world_answers(&a, 3 * SECOND_US));
	assert_int_equal(first()->worker_count, 2);
	assert_non_null(strstr(first()->spread, "worker 1 is left out"));
	assert_int_equal(fake_ublk_config(fake_ublk_last)->queues, 2);
	world_takings(&with);
	assert_true(with.floor[0] > before.floor[0] && with.floor[2] > before.floor[2]);
	assert_int_equal(with.floor[1], before.floor[1]);
	ports_floor_update(engine_ports(world), 0, 2, "a look");
	world_takings(&with);
	assert_true(with.floor[2] > before.floor[2]);
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	assert_true(world_until("", SECOND_US));
	world_assert_same(&before);
}

static void channel_whose_packets_arrive_elsewhere_is_left_out(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 0);

	world_make(2);
	fake_server.conn_misdirected = 1;
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(first()->worker_count, 1);
	assert_non_null(strstr(first()->spread, "arrive at another worker"));
}

static void second_device_goes_to_the_worker_with_fewer_channels(void **state)
{
	const struct config_volume one = world_volume("one", 1), two = world_volume("two", 1);

	world_make(2);
	world_serve(&one, FRONT_UBLK);
	world_serve(&two, FRONT_UBLK);
	assert_int_equal(fake_workers[0]->volume_count, 1);
	assert_int_equal(fake_workers[1]->volume_count, 1);
}

static void load_is_cut_into_one_bench_a_channel(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 0);

	world_make(2);
	world_serve(&v, FRONT_BENCH);
	assert_int_equal(first()->worker_count, 2);
	assert_int_equal(first()->staging_bytes, 4 * 4096); /* iodepth 4, two a channel */
	assert_false(engine_bench_done(world));
}

/* ---- what a channel takes ---- */

static void channel_takes_owners_and_a_floor_and_gives_them_back(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 2);
	struct takings before, with;
	struct answer a;

	world_make(2);
	world_takings(&before);
	world_serve(&v, FRONT_UBLK);
	world_takings(&with);
	assert_int_equal(
		with.owners, before.owners + 2 * 3); /* the channel, in order, out of order */
	assert_true(with.floor[0] > before.floor[0] && with.floor[1] > before.floor[1]);
	world_run(TURN_US);
	assert_int_equal(fake_workers[1]->last[WORKER_FLOOR_SET].n, with.floor[1]);
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	assert_true(world_until("", SECOND_US));
	world_run(TURN_US);
	world_assert_same(&before);
	assert_int_equal(fake_workers[1]->last[WORKER_FLOOR_SET].n, before.floor[1]);
}

static void device_that_does_not_fit_is_refused_and_leaves_nothing(void **state)
{
	struct config_volume v = world_volume(VOLUME, 8);
	struct takings before;
	struct answer a;

	world_make(1);
	world_takings(&before);
	v.io_bytes_max = IO_BYTES_MAX;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), -ENOSPC);
	assert_non_null(strstr(a.error.text, "the reserve does not fit"));
	assert_int_equal(a.calls, 0);
	world_assert_same(&before);
}

static void volume_that_cannot_be_made_leaves_nothing(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 2);
	struct takings before;
	struct answer a;

	world_make(2);
	world_takings(&before);
	fake_volume_create_rc = -ENOMEM;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), -ENOMEM);
	world_assert_same(&before);
	assert_string_equal(world_step(), "");
}

/* ---- which port ---- */

static void port_is_that_of_the_server_s_network_then_that_with_a_gateway(void **state)
{
	struct config_volume near = world_volume("near", 1), far = world_volume("far", 1);

	world_cfg.port_count = 2;
	world_cfg.ports[1] = world_cfg.ports[0];
	snprintf(world_cfg.ports[1].name, sizeof(world_cfg.ports[1].name), "second");
	snprintf(world_cfg.ports[1].address[0], sizeof(world_cfg.ports[1].address[0]),
		"198.51.100.10/24");
	snprintf(world_cfg.ports[0].gateway, sizeof(world_cfg.ports[0].gateway), "192.0.2.1");
	world_make(1);
	snprintf(near.uris[0], sizeof(near.uris[0]), "nbd://198.51.100.7/disk");
	snprintf(far.uris[0], sizeof(far.uris[0]), "nbd://203.0.113.7/disk");
	world_serve(&near, FRONT_UBLK);
	assert_int_equal(first()->port, 1);
	world_serve(&far, FRONT_UBLK);
	assert_int_equal(fake_workers[0]->volume_count, 1);
	assert_int_equal(fake_workers[1]->volume_count, 1);
}

static void server_that_no_port_reaches_is_refused_by_name(void **state)
{
	struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	snprintf(v.uris[0], sizeof(v.uris[0]), "nbd://203.0.113.7/disk");
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), -ENETUNREACH);
	assert_non_null(strstr(a.error.text, "203.0.113.7"));
	assert_string_equal(world_step(), "");
}

/* ---- memory that mbufs still point into ---- */

static void buffer_in_a_tx_ring_outlives_its_device(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct stream_buf *buf;
	struct answer a;

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	buf = fake_ublk_config(fake_ublk_last)->buf[0];
	buf->refs = 1;
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	world_run(SECOND_US);
	assert_int_equal(fake_dma_alive, 1);
	buf->refs = 0;
	world_run(TURN_US);
	assert_int_equal(fake_dma_alive, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(device_has_a_channel_on_each_worker_of_its_port),
		world_test(connections_limit_the_workers),
		world_test(more_connections_than_workers_are_shared_out),
		world_test(device_has_no_more_channels_than_the_machine_has_processors),
		world_test(server_without_multi_conn_has_one_channel),
		world_test(probe_has_one_channel_and_ends_by_itself),
		world_test(channel_that_does_not_come_to_serve_is_left_out),
		world_test(channel_between_others_is_left_out),
		world_test(channel_whose_packets_arrive_elsewhere_is_left_out),
		world_test(second_device_goes_to_the_worker_with_fewer_channels),
		world_test(load_is_cut_into_one_bench_a_channel),
		world_test(channel_takes_owners_and_a_floor_and_gives_them_back),
		world_test(device_that_does_not_fit_is_refused_and_leaves_nothing),
		world_test(volume_that_cannot_be_made_leaves_nothing),
		world_test(port_is_that_of_the_server_s_network_then_that_with_a_gateway),
		world_test(server_that_no_port_reaches_is_refused_by_name),
		world_test(buffer_in_a_tx_ring_outlives_its_device),
	};

	return cmocka_run_group_tests(tests, eal_world_start, eal_world_stop);
}
