/*
 * test_volume_order.c - FLUSH behind what it covers, FUA without FUA, credits never exceeded
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include "tests/unit/nbd_client/world.h"

static struct world *ready(struct world *w)
{
	world_start(w);
	world_turns(w, 50);
	assert_int_equal(world_info(w).state, VOLUME_READY);
	return w;
}

/* Two connections; the server sits on the WRITE of one of them. */
static void volume_flush_waits_for_writes_on_every_connection(void **state)
{
	struct world *w = world_create();
	unsigned flush, late;

	w->cfg.connections = 2;
	ready(w);
	assert_int_equal(world_info(w).conn_ready, 2);
	world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	world_ask(w, BLOCK_WRITE, 8192, 4096, 0, 2);
	w->srv->held_stream = &w->net->streams[1];
	world_turns(w, 3);
	assert_int_equal(w->srv->cmd_count, 2);
	assert_ptr_not_equal(w->srv->cmds[0].stream, w->srv->cmds[1].stream);
	flush = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	late = world_ask(w, BLOCK_WRITE, 16384, 4096, 0, 3);
	world_turns(w, 100);
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_FLUSH), 0);
	assert_true(w->reqs[late].is_done || w->srv->cmd_count == 3); /* younger ones pass */
	w->srv->held_stream = NULL;
	assert_true(world_settle(w, 100000));
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_FLUSH), 1);
	assert_int_equal(w->reqs[flush].result, 0);
	for (unsigned i = 0; i < w->srv->cmd_count; i++)
		if (w->srv->cmds[i].type == NBD_CMD_FLUSH)
			assert_true(w->srv->cmds[i].answered_before >= 2);
	world_destroy(w);
}

static void volume_flush_covers_trim_zeroes_and_every_piece(void **state)
{
	struct world *w = world_create();

	w->srv->block_max = 4096;
	ready(w);
	w->srv->held_types = 1u << NBD_CMD_TRIM;
	world_ask(w, BLOCK_TRIM, 0, 4096, 0, 0);
	world_ask(w, BLOCK_WRITE, 0, 65536, 0, 0);
	world_ask(w, BLOCK_WRITE_ZEROES, 0, 4096, 0, 0);
	world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	world_turns(w, 50);
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_WRITE), 16);
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_FLUSH), 0);
	w->srv->held_types = 0;
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->srv->cmds[w->srv->cmd_count - 1].type, NBD_CMD_FLUSH);
	assert_int_equal(w->srv->cmds[w->srv->cmd_count - 1].answered_before, 18);
	world_destroy(w);
}

static void volume_fua_is_write_then_flush_where_the_server_has_none(void **state)
{
	struct world *w = world_create();
	unsigned i;

	w->srv->flags &= (uint16_t)~NBD_FLAG_SEND_FUA;
	ready(w);
	w->srv->held_types = 1u << NBD_CMD_FLUSH;
	i = world_ask(w, BLOCK_WRITE, 0, 4096, BLOCK_FUA, 1);
	world_turns(w, 20);
	assert_int_equal(w->srv->cmds[0].flags, 0);
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_FLUSH), 1);
	assert_int_equal(w->srv->cmds[1].answered_before, 1);
	assert_false(w->reqs[i].is_done);
	w->srv->held_types = 0;
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[i].result, 0);
	world_destroy(w);
}

/* The FUA's FLUSH must not stand behind a FLUSH that waits for that very FUA. */
static void volume_fua_flush_overtakes_the_flush_that_waits_for_it(void **state)
{
	struct world *w = world_create();

	w->srv->flags &= (uint16_t)~NBD_FLAG_SEND_FUA;
	ready(w);
	for (unsigned i = 0; i < 4; i++) {
		world_ask(w, BLOCK_WRITE, i * 4096, 4096, BLOCK_FUA, 1);
		world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	}
	assert_true(world_settle(w, 100000));
	/* One for the four FUAs, then one for the four FLUSHes. */
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_FLUSH), 2);
	world_destroy(w);
}

static void volume_failed_fua_write_is_not_flushed(void **state)
{
	struct world *w = world_create();
	unsigned i;

	w->srv->flags &= (uint16_t)~NBD_FLAG_SEND_FUA;
	w->srv->error = NBD_EIO;
	w->srv->error_type = NBD_CMD_WRITE;
	ready(w);
	i = world_ask(w, BLOCK_WRITE, 0, 4096, BLOCK_FUA, 1);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[i].result, -EIO);
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_FLUSH), 0);
	world_destroy(w);
}

/* 200 mbufs of 512 bytes, an eighth (16: the queue depth bounds it) for writes. */
static void volume_reads_in_flight_never_exceed_the_quota(void **state)
{
	struct world *w = world_create();
	uint32_t quota = 200 - 16;

	w->cfg.quota_mbufs = 200;
	w->cfg.mbuf_payload_min = 512;
	ready(w);
	w->srv->held_types = 1u << NBD_CMD_READ;
	for (unsigned i = 0; i < 16; i++)
		world_ask(w, BLOCK_READ, i * 16384, 16384, 0, 0);
	world_turns(w, 50);
	assert_int_equal(w->srv->read_bytes_open, 5 * 16384); /* 5 * (32 + 2) <= 184 */
	assert_true(world_info(w).read_credit_used_mbufs <= quota);
	w->srv->held_types = 0;
	assert_true(world_settle(w, 1000000));
	assert_int_equal(w->srv->read_bytes_open_max, 5 * 16384);
	assert_int_equal(world_info(w).read_credit_used_mbufs, 0);
	world_destroy(w);
}

static void volume_read_larger_than_the_quota_goes_in_pieces(void **state)
{
	struct world *w = world_create();
	unsigned r;

	w->cfg.quota_mbufs = 100;
	w->cfg.mbuf_payload_min = 512;
	ready(w);
	memset(w->srv->disk, 0x5a, 262144);
	r = world_ask(w, BLOCK_READ, 0, 262144, 0, 0);
	assert_true(world_settle(w, 1000000));
	assert_memory_equal(world_data(w, r), w->srv->disk, 262144);
	assert_true(w->srv->read_bytes_open_max <= 100 * 512);
	world_destroy(w);
}

static void volume_writes_without_credit_do_not_hold_up_reads(void **state)
{
	struct world *w = world_create();
	unsigned r;

	ready(w);
	w->net->holds_acks = true;
	w->net->room_bytes = 2 * (32768 + 28); /* two WRITEs would fill it to the last byte */
	for (unsigned i = 0; i < 8; i++)
		world_ask(w, BLOCK_WRITE, i * 32768, 32768, 0, 1);
	world_turns(w, 5);
	r = world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	world_turns(w, 20);
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_WRITE), 1);
	assert_true(w->reqs[r].is_done);
	w->net->holds_acks = false;
	assert_true(world_settle(w, 1000000));
	world_destroy(w);
}

static void volume_write_is_done_when_its_payload_is_acknowledged(void **state)
{
	struct world *w = ready(world_create());
	unsigned i;

	w->net->holds_acks = true;
	i = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	world_turns(w, 20);
	assert_int_equal(w->srv->answered_count, 1);
	assert_false(w->reqs[i].is_done);
	assert_true(stream_buf_busy(&w->buf));
	w->net->holds_acks = false;
	assert_true(world_settle(w, 10000));
	assert_int_equal(w->reqs[i].result, 0);
	world_destroy(w);
}

static void volume_swap_goes_first(void **state)
{
	struct world *w = world_create();

	w->cfg.quota_mbufs = 40; /* one READ of 8 KiB at a time */
	w->cfg.mbuf_payload_min = 512;
	ready(w);
	for (unsigned i = 0; i < 6; i++)
		world_ask(w, BLOCK_READ, i * 8192, 8192, i == 5 ? BLOCK_SWAP : 0, 0);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->srv->cmds[0].offset, 5 * 8192);
	world_destroy(w);
}

static void volume_takes_no_more_than_it_has_slots(void **state)
{
	struct world *w = ready(world_create());

	w->srv->is_silent = true;
	for (unsigned i = 0; i < 100; i++)
		world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	world_turns(w, 20);
	assert_int_equal(w->taken_count, 16);
	assert_false(nbd_client_pending(w->nc));
	w->srv->is_silent = false;
	assert_true(world_settle(w, 100000));
	world_destroy(w);
}

static void volume_full_send_queue_loses_nothing(void **state)
{
	struct world *w = ready(world_create());

	for (unsigned i = 0; i < 16; i++)
		world_ask(w, i % 2 ? BLOCK_READ : BLOCK_WRITE, i * 4096, 4096, 0, 7);
	w->net->refused_sends = 9;
	assert_true(world_settle(w, 100000));
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(w->reqs[i].result, 0);
	assert_int_equal(w->srv->cmd_count, 16);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volume_flush_waits_for_writes_on_every_connection),
		cmocka_unit_test(volume_flush_covers_trim_zeroes_and_every_piece),
		cmocka_unit_test(volume_fua_is_write_then_flush_where_the_server_has_none),
		cmocka_unit_test(volume_fua_flush_overtakes_the_flush_that_waits_for_it),
		cmocka_unit_test(volume_failed_fua_write_is_not_flushed),
		cmocka_unit_test(volume_reads_in_flight_never_exceed_the_quota),
		cmocka_unit_test(volume_read_larger_than_the_quota_goes_in_pieces),
		cmocka_unit_test(volume_writes_without_credit_do_not_hold_up_reads),
		cmocka_unit_test(volume_write_is_done_when_its_payload_is_acknowledged),
		cmocka_unit_test(volume_swap_goes_first),
		cmocka_unit_test(volume_takes_no_more_than_it_has_slots),
		cmocka_unit_test(volume_full_send_queue_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
