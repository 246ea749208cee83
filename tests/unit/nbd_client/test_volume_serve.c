/*
 * test_volume_serve.c - a volume and an honest server: every operation, every shape of server
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include "tests/unit/between.h"
#include "tests/unit/nbd_client/world.h"

static struct world *ready(struct world *w)
{
	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	return w;
}

static void volume_reads_back_what_it_wrote(void **state)
{
	struct world *w = ready(world_create());
	unsigned r;

	world_ask(w, BLOCK_WRITE, 8192, 65536, 0, 0xa5);
	assert_true(world_settle(w, 100000));
	r = world_ask(w, BLOCK_READ, 8192 + 4096, 32768, 0, 0);
	assert_true(world_settle(w, 100000));
	for (unsigned i = 0; i < 32768; i++)
		assert_int_equal(world_data(w, r)[i], 0xa5);
	assert_int_equal(world_info(w).ops[BLOCK_READ], 1);
	assert_int_equal(world_info(w).bytes[BLOCK_WRITE], 65536);
	world_destroy(w);
}

/* What worker_idle.c goes by: how many wait, how long that took of late, and whether one of them is
 * being answered. */
static void volume_tells_what_is_under_way(void **state)
{
	struct world *w = ready(world_create());
	struct nbd_client_load load;

	w->net->drip_bytes = 1000;
	nbd_client_load(w->nc, &load);
	assert_true(load.in_flight == 0 && !load.is_answering && load.latency_us == 0);
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	do {
		world_turns(w, 1);
		nbd_client_load(w->nc, &load);
		assert_int_equal(load.in_flight, 1);
	} while (!load.is_answering);
	assert_int_equal(load.rtt_us, 300);
	assert_true(world_settle(w, 100000));
	nbd_client_load(w->nc, &load);
	assert_true(load.in_flight == 0 && !load.is_answering);
	assert_between(load.latency_us, 4 * WORLD_TURN_US / 16, 20 * WORLD_TURN_US / 16);
	world_destroy(w);
}

static void volume_bytes_one_at_a_time_change_nothing(void **state)
{
	struct world *w = world_create();
	unsigned r;

	w->net->drip_bytes = 1;
	w->cfg.connect_us = w->cfg.request_us = 60000000;
	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 1000000));
	memset(w->srv->disk, 0x3c, 4096);
	r = world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	assert_true(world_settle(w, 10000000));
	assert_int_equal(w->reqs[r].result, 0);
	assert_memory_equal(world_data(w, r), w->srv->disk, 4096);
	world_destroy(w);
}

static void volume_takes_replies_of_every_shape(void **state)
{
	static const enum fake_shape shapes[] = {SHAPE_ONE, SHAPE_PIECES_BACKWARDS, SHAPE_HOLES};

	for (unsigned i = 0; i < 6; i++) {
		struct world *w = world_create();
		unsigned r;

		w->srv->shape = shapes[i % 3];
		w->srv->knows_structured = i < 3;
		ready(w);
		memset(w->srv->disk + 4096, 0x77, 4096);
		r = world_ask(w, BLOCK_READ, 0, 16384, 0, 0xff);
		assert_true(world_settle(w, 100000));
		assert_memory_equal(world_data(w, r), w->srv->disk, 16384);
		assert_int_equal(world_info(w).structured, i < 3);
		world_destroy(w);
	}
}

static void volume_moves_payload_by_copy_where_there_is_no_buf(void **state)
{
	struct world *w = world_create();
	uint8_t *memory = calloc(1, 4 * 65536);
	struct stream_buf staging = {.base = memory, .bytes = 4 * 65536};
	unsigned r;

	w->uses_copy = true;
	w->cfg.staging = &staging;
	w->cfg.staging_bytes = 65536;
	w->srv->shape = SHAPE_HOLES;
	ready(w);
	for (unsigned i = 0; i < 3; i++)
		world_ask(w, BLOCK_WRITE, i * 262144, 200 * 1024, 0, (uint8_t)(i + 1));
	assert_true(world_settle(w, 1000000));
	for (unsigned i = 0; i < 200 * 1024; i++)
		assert_int_equal(w->srv->disk[262144 + i], 2);
	r = world_ask(w, BLOCK_READ, 0, 262144, 0, 0xee);
	assert_true(world_settle(w, 100000));
	assert_memory_equal(world_data(w, r), w->srv->disk, 262144);
	assert_int_equal(staging.refs, 0);
	world_destroy(w);
	free(memory);
}

static void volume_flags_reach_the_server(void **state)
{
	struct world *w = ready(world_create());
	const struct fake_cmd *c = w->srv->cmds;

	world_ask(w, BLOCK_WRITE, 0, 4096, BLOCK_FUA, 1);
	assert_true(world_settle(w, 100000));
	world_ask(w, BLOCK_WRITE_ZEROES, 0, 4096, BLOCK_NO_HOLE | BLOCK_FAST_ZERO, 0);
	assert_true(world_settle(w, 100000));
	world_ask(w, BLOCK_TRIM, 0, 4096, BLOCK_FUA, 0);
	assert_true(world_settle(w, 100000));
	world_ask(w, BLOCK_READ, 0, 4096, BLOCK_FUA, 0);
	assert_true(world_settle(w, 100000));
	assert_int_equal(c[0].flags, NBD_CMD_FLAG_FUA);
	assert_int_equal(c[1].type, NBD_CMD_WRITE_ZEROES);
	assert_int_equal(c[1].flags, NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO);
	assert_int_equal(c[2].type, NBD_CMD_TRIM);
	assert_int_equal(c[2].flags, NBD_CMD_FLAG_FUA);
	assert_int_equal(c[3].flags, 0);
	world_destroy(w);
}

static void volume_cuts_requests_to_the_servers_limit(void **state)
{
	struct world *w = world_create();
	unsigned r;

	w->srv->block_max = 16384;
	ready(w);
	assert_int_equal(world_info(w).limits.io_bytes_max, 16384);
	world_ask(w, BLOCK_WRITE, 4096, 100 * 1024, 0, 0x42);
	assert_true(world_settle(w, 1000000));
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_WRITE), 7);
	r = world_ask(w, BLOCK_READ, 0, 128 * 1024, 0, 0);
	assert_true(world_settle(w, 1000000));
	for (unsigned i = 0; i < w->srv->cmd_count; i++)
		assert_true(w->srv->cmds[i].bytes <= 16384);
	assert_memory_equal(world_data(w, r), w->srv->disk, 128 * 1024);
	world_destroy(w);
}

static void volume_cuts_trim_where_time_is_bounded(void **state)
{
	struct world *w = world_create();

	fake_server_destroy(w->srv);
	w->srv = fake_server_create(w->net, 300u << 20);
	ready(w);
	world_ask(w, BLOCK_TRIM, 0, 300u << 20, 0, 0);
	assert_true(world_settle(w, 1000000));
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_TRIM), 3);
	assert_int_equal(w->srv->cmds[0].bytes, NBD_TRIM_BYTES_MAX);
	assert_int_equal(w->srv->cmds[2].offset + w->srv->cmds[2].bytes, 300u << 20);
	world_destroy(w);
}

static void volume_errors_arrive_as_the_server_gave_them(void **state)
{
	static const struct {
		enum block_op op;
		uint16_t cmd;
	} ops[] = {{BLOCK_READ, NBD_CMD_READ}, {BLOCK_WRITE, NBD_CMD_WRITE},
		{BLOCK_FLUSH, NBD_CMD_FLUSH}, {BLOCK_TRIM, NBD_CMD_TRIM},
		{BLOCK_WRITE_ZEROES, NBD_CMD_WRITE_ZEROES}};

	for (unsigned i = 0; i < 10; i++) {
		struct world *w = world_create();
		unsigned bad, good;

		w->srv->knows_structured = i < 5;
		w->srv->error = NBD_ENOSPC;
		w->srv->error_type = ops[i % 5].cmd;
		ready(w);
		bad = world_ask(w, ops[i % 5].op, 0, ops[i % 5].op == BLOCK_FLUSH ? 0 : 4096, 0, 0);
		good = world_ask(
			w, ops[i % 5].op == BLOCK_READ ? BLOCK_WRITE : BLOCK_READ, 0, 4096, 0, 0);
		assert_true(world_settle(w, 100000));
		assert_int_equal(w->reqs[bad].result, -ENOSPC);
		assert_int_equal(w->reqs[good].result, 0);
		assert_int_equal(world_info(w).errors[ops[i % 5].op], 1);
		assert_int_equal(world_info(w).reconnects, 0);
		world_destroy(w);
	}
}

static void volume_refuses_what_cannot_be_expressed(void **state)
{
	struct world *w = world_create();

	w->srv->block_min = 4096;
	w->srv->flags = NBD_FLAG_HAS_FLAGS;
	ready(w);
	world_ask(w, BLOCK_READ, 512, 4096, 0, 0);
	world_ask(w, BLOCK_READ, 0, 512, 0, 0);
	world_ask(w, BLOCK_READ, (1u << 20) - 4096, 8192, 0, 0);
	world_ask(w, BLOCK_READ, UINT64_MAX - 4095, 4096, 0, 0);
	world_ask(w, BLOCK_TRIM, 0, 4096, 0, 0);
	world_ask(w, BLOCK_WRITE_ZEROES, 0, 4096, 0, 0);
	world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	assert_true(world_settle(w, 100000));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(w->reqs[i].result, -EINVAL);
	assert_int_equal(w->reqs[4].result, -EOPNOTSUPP);
	assert_int_equal(w->reqs[5].result, -EOPNOTSUPP);
	assert_int_equal(w->reqs[6].result, 0); /* no cache, nothing to flush */
	assert_int_equal(w->srv->cmd_count, 0);
	world_destroy(w);
}

static void volume_read_only_exports_take_no_writes(void **state)
{
	struct world *w = world_create();
	unsigned i;

	w->srv->flags = FAKE_FLAGS_ALL | NBD_FLAG_READ_ONLY | NBD_FLAG_ROTATIONAL;
	ready(w);
	i = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[i].result, -EPERM);
	assert_int_equal(w->srv->cmd_count, 0);
	assert_true(world_info(w).limits.is_read_only);
	assert_true(world_info(w).limits.is_rotational);
	assert_false(world_info(w).limits.can_trim);
	world_destroy(w);
}

static void volume_stops_in_good_order(void **state)
{
	struct world *w = ready(world_create());
	unsigned i = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);

	w->srv->held_types = 1u << NBD_CMD_WRITE;
	world_turns(w, 5);
	volume_stop(w->volume, false, w->now_us + 1000000);
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0); /* too late: stays in the front end */
	world_turns(w, 5);
	assert_int_equal(world_info(w).state, VOLUME_DRAINING);
	w->srv->held_types = 0;
	assert_true(world_until(w, VOLUME_GONE, 100000));
	world_turns(w, 2);
	assert_int_equal(w->reqs[i].result, 0);
	assert_false(w->reqs[i + 1].is_taken);
	assert_int_equal(w->srv->disc_count, 1);
	assert_true(w->net->streams[0].is_shut && !w->net->streams[0].is_aborted);
	world_destroy(w);
}

static void volume_stop_is_bounded_by_its_deadline(void **state)
{
	struct world *w = ready(world_create());
	unsigned i = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);

	w->srv->is_silent = true;
	world_turns(w, 5);
	volume_stop(w->volume, false, w->now_us + 50000);
	assert_true(world_until(w, VOLUME_GONE, 60000));
	assert_int_equal(w->reqs[i].result, -EIO);
	assert_int_equal(w->srv->disc_count, 1);
	world_destroy(w);
}

/* Left to the next daemon: what the server answers in time is answered, the rest is nobody's to
 * fail. */
static void volume_that_is_left_fails_nothing(void **state)
{
	struct world *w = ready(world_create());
	unsigned held, done = world_ask(w, BLOCK_READ, 0, 4096, 0, 0);

	held = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	w->srv->held_types = 1u << NBD_CMD_WRITE;
	world_turns(w, 5);
	volume_leave(w->volume, w->now_us + 50000);
	assert_true(world_until(w, VOLUME_GONE, 60000));
	assert_true(w->reqs[done].is_done);
	assert_false(w->reqs[held].is_done);
	assert_true(w->net->streams[0].is_aborted);
	world_destroy(w);
}

static void volume_that_is_left_without_a_server_goes_at_once(void **state)
{
	struct world *w = world_create();
	unsigned held;

	w->cfg.on_dead = ON_DEAD_FAIL;
	w->cfg.dead_us = 20000;
	ready(w);
	w->srv->is_silent = true;
	held = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	world_turns(w, 5);
	fake_stream_close(&w->net->streams[0]);
	w->net->syn_error = -ECONNREFUSED;
	volume_leave(w->volume, w->now_us + 10000000);
	assert_true(world_until(w, VOLUME_GONE, 100000));
	assert_false(w->reqs[held].is_done);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volume_reads_back_what_it_wrote),
		cmocka_unit_test(volume_tells_what_is_under_way),
		cmocka_unit_test(volume_bytes_one_at_a_time_change_nothing),
		cmocka_unit_test(volume_takes_replies_of_every_shape),
		cmocka_unit_test(volume_moves_payload_by_copy_where_there_is_no_buf),
		cmocka_unit_test(volume_flags_reach_the_server),
		cmocka_unit_test(volume_cuts_requests_to_the_servers_limit),
		cmocka_unit_test(volume_cuts_trim_where_time_is_bounded),
		cmocka_unit_test(volume_errors_arrive_as_the_server_gave_them),
		cmocka_unit_test(volume_refuses_what_cannot_be_expressed),
		cmocka_unit_test(volume_read_only_exports_take_no_writes),
		cmocka_unit_test(volume_stops_in_good_order),
		cmocka_unit_test(volume_stop_is_bounded_by_its_deadline),
		cmocka_unit_test(volume_that_is_left_fails_nothing),
		cmocka_unit_test(volume_that_is_left_without_a_server_goes_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
