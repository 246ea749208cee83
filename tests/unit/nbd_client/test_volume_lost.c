/*
 * test_volume_lost.c - cut at every byte, lied to in every way, left alone: data stays right
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "tests/unit/nbd_client/world.h"

/* Two addresses, so that a cut handshake gets a second try; WRITE, FLUSH, READ. */
static struct world *cut_world(void)
{
	struct world *w = world_create();

	w->cfg.servers.count = 2;
	w->srv->shape = SHAPE_PIECES_BACKWARDS;
	memset(w->srv->disk, 0x11, 8192);
	world_ask(w, BLOCK_WRITE, 4096, 2048, 0, 0x99);
	world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	return w;
}

/* Runs the exchange over whatever cut was set; everything must come out right. */
static void cut_run(struct world *w)
{
	unsigned r;

	world_start(w);
	assert_true(world_settle(w, 60000000));
	r = world_ask(w, BLOCK_READ, 0, 8192, 0, 0);
	assert_true(world_settle(w, 60000000));
	for (unsigned i = 0; i < w->req_count; i++) {
		assert_int_equal(w->reqs[i].result, 0);
		assert_int_equal(w->reqs[i].done_count, 1);
	}
	for (unsigned i = 0; i < 8192; i++)
		assert_int_equal(world_data(w, r)[i], i >= 4096 && i < 6144 ? 0x99 : 0x11);
	assert_int_equal(world_info(w).protocol_errors, 0);
}

static void volume_survives_a_cut_after_every_byte_received(void **state)
{
	struct world *w = cut_world();
	size_t total;

	cut_run(w);
	total = w->net->streams[0].visible;
	world_destroy(w);
	for (size_t cut = 0; cut <= total; cut += cut < 400 || cut > total - 200 ? 1 : 37) {
		w = cut_world();
		w->net->cut_to_client = cut;
		w->net->cut_is_reset = cut % 2;
		cut_run(w);
		assert_int_equal(w->net->opened, 2);
		world_destroy(w);
	}
}

static void volume_survives_a_cut_after_every_byte_sent(void **state)
{
	struct world *w = cut_world();
	size_t total;

	cut_run(w);
	total = w->net->streams[0].to_server.len;
	world_destroy(w);
	for (size_t cut = 1; cut < total; cut += cut < 200 || cut > total - 100 ? 1 : 37) {
		w = cut_world();
		w->net->cut_to_server = cut;
		w->net->cut_is_reset = cut % 2;
		cut_run(w);
		world_destroy(w);
	}
}

struct neighbour {
	struct world *w;
	struct volume *volume;
};

/* A second volume on the same worker and server, with a front end of its own. */
static struct world *neighbour_start(struct world *w)
{
	struct world *other = world_create();
	struct error err;

	fake_server_destroy(other->srv);
	fake_net_destroy(other->net);
	nbd_client_destroy(other->nc);
	other->volume = volume_create(&other->cfg, &err);
	assert_non_null(other->volume);
	volume_front_set(other->volume, &other->front);
	assert_int_equal(nbd_client_add(w->nc, other->volume, w->now_us), 0);
	return other;
}

static void neighbour_end(struct world *w, struct world *other)
{
	volume_stop(other->volume, true, w->now_us);
	for (unsigned i = 0; i < 20 && world_info(other).state != VOLUME_GONE; i++)
		world_turns(w, 1);
	volume_destroy(other->volume);
	munmap(other->buf.base, other->buf.bytes);
	free(other);
}

static uint16_t lie_type(enum fake_lie lie)
{
	return lie == LIE_PAYLOAD ? NBD_CMD_WRITE : NBD_CMD_READ;
}

static void volume_cuts_off_every_liar_and_believes_nothing(void **state)
{
	for (enum fake_lie lie = LIE_MAGIC; lie < LIE_COUNT; lie++) {
		struct world *w = world_create(), *other;
		unsigned r;

		world_start(w);
		other = neighbour_start(w);
		world_turns(w, 20);
		memset(w->srv->disk, 0x21, 65536);
		w->srv->lie = lie;
		w->srv->lie_type = lie_type(lie);
		world_ask(w, BLOCK_WRITE, 4096, 4096, 0, 0x22);
		r = world_ask(w, BLOCK_READ, 8192, 8192, 0, 0);
		assert_true(world_settle(w, 30000000));
		assert_int_equal(w->srv->lies_told, 1);
		assert_int_equal(world_info(w).protocol_errors, 1);
		assert_int_equal(world_info(w).reconnects, 1);
		assert_int_equal(w->reqs[0].result, 0);
		assert_int_equal(w->reqs[r].result, 0);
		assert_memory_equal(world_data(w, r), w->srv->disk + 8192, 8192);
		world_ask(other, BLOCK_READ, 0, 4096, 0, 0);
		world_turns(w, 10);
		assert_true(other->reqs[0].is_done);
		assert_int_equal(world_info(other).reconnects, 0);
		neighbour_end(w, other);
		world_destroy(w);
	}
}

static void volume_unknown_error_chunks_are_errors(void **state)
{
	struct world *w = world_create();
	unsigned r;

	world_start(w);
	w->srv->error = 77777;
	w->srv->error_type = NBD_CMD_READ;
	r = world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	assert_true(world_settle(w, 1000000));
	assert_int_equal(w->reqs[r].result, -EINVAL);
	assert_int_equal(world_info(w).protocol_errors, 0);
	world_destroy(w);
}

static bool world_until_opened(struct world *w, unsigned count)
{
	for (unsigned i = 0; i < 1000000 && w->net->opened < count; i++)
		world_turns(w, 1);
	return w->net->opened == count;
}

static void volume_silence_costs_the_connection_not_the_request(void **state)
{
	struct world *w = world_create();
	unsigned r;
	uint64_t start;

	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	w->srv->is_silent = true;
	r = world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	start = w->now_us;
	world_turns(w, 1990);
	assert_int_equal(w->net->opened, 1);
	world_turns(w, 20);
	assert_true(w->net->streams[0].is_aborted);
	assert_int_equal(world_info(w).timeouts, 1);
	assert_has(w->last_event, "not answered in time");
	w->srv->is_silent = false;
	assert_true(world_settle(w, 1000000));
	assert_int_equal(w->reqs[r].result, 0);
	assert_true(w->reqs[r].done_us > start + w->cfg.request_us);
	assert_int_equal(world_info(w).replayed, 1);
	world_destroy(w);
}

/* The server may still have the old one, and let in nobody else. */
static void volume_reconnect_after_silence_takes_the_same_local_port(void **state)
{
	struct world *w = world_create();

	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	assert_int_equal(w->net->streams[0].target.local_port, 0);
	w->srv->is_silent = true;
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	assert_true(world_until_opened(w, 2));
	assert_int_equal(w->net->streams[1].target.local_port, FAKE_LOCAL_PORT);
	/* As long as nobody answers there: the negotiation times out. */
	assert_true(world_until_opened(w, 3));
	assert_int_equal(w->net->streams[2].target.local_port, FAKE_LOCAL_PORT);
	w->srv->is_silent = false;
	assert_true(world_settle(w, 100000000));
	/* A server that closed knows that it did; and a port that is taken hinders nobody. */
	fake_stream_close(&w->net->streams[w->net->opened - 1]);
	assert_true(world_until_opened(w, w->net->opened + 1));
	assert_int_equal(w->net->streams[w->net->opened - 1].target.local_port, 0);
	assert_true(world_until(w, VOLUME_READY, 1000000));
	w->net->is_port_taken = w->srv->is_silent = true;
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	assert_true(world_until_opened(w, w->net->opened + 1));
	assert_int_equal(w->net->streams[w->net->opened - 1].target.local_port, 0);
	w->srv->is_silent = false;
	assert_true(world_settle(w, 100000000));
	world_destroy(w);
}

/* Writes in flight on a dying connection are carried out again, the FLUSH behind them. */
static void volume_replay_keeps_flush_behind_its_writes(void **state)
{
	struct world *w = world_create();
	const struct fake_cmd *c;

	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	w->srv->is_silent = true;
	for (unsigned i = 0; i < 5; i++)
		world_ask(w, BLOCK_WRITE, i * 4096, 4096, 0, (uint8_t)(i + 1));
	world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	world_turns(w, 10);
	assert_int_equal(w->srv->cmd_count, 5);
	fake_stream_close(&w->net->streams[0]);
	w->srv->is_silent = false;
	assert_true(world_settle(w, 1000000));
	assert_int_equal(w->srv->cmd_count, 11);
	c = &w->srv->cmds[5];
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(c[i].offset, i * 4096);
	assert_int_equal(c[5].type, NBD_CMD_FLUSH);
	assert_int_equal(c[5].answered_before, 5);
	world_destroy(w);
}

static void volume_fails_over_to_a_live_connection(void **state)
{
	struct world *w = world_create();

	w->cfg.connections = 2;
	world_start(w);
	world_turns(w, 50);
	assert_int_equal(world_info(w).conn_ready, 2);
	w->srv->held_stream = &w->net->streams[0];
	for (unsigned i = 0; i < 8; i++)
		world_ask(w, BLOCK_READ, i * 4096, 4096, 0, 0);
	world_turns(w, 5);
	fake_stream_close(&w->net->streams[0]);
	w->net->syn_error = -ECONNREFUSED; /* nobody else to turn to */
	assert_true(world_settle(w, 100000));
	assert_int_equal(world_info(w).state, VOLUME_READY);
	assert_int_equal(world_info(w).conn_ready, 1);
	assert_has(w->last_event, "1 of 2 connections remain");
	assert_has(world_info(w).error, "1 of 2 connections remain");
	w->net->syn_error = 0;
	world_turns(w, 20000);
	assert_int_equal(world_info(w).conn_ready, 2);
	assert_string_equal(world_info(w).error, "");
	world_destroy(w);
}

static void volume_hold_holds_until_the_server_is_back(void **state)
{
	struct world *w = world_create();
	unsigned r;

	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	fake_stream_close(&w->net->streams[0]);
	w->net->syn_error = -ECONNREFUSED;
	w->srv->is_silent = true;
	r = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 5);
	world_turns(w, 200000); /* 200 s */
	assert_int_equal(world_info(w).state, VOLUME_LOST);
	assert_false(w->reqs[r].is_done);
	assert_true(w->net->opened < 40); /* back-off, up to 10 s */
	assert_has(world_info(w).error, "connection refused");
	w->net->syn_error = 0;
	w->srv->is_silent = false;
	assert_true(world_settle(w, 13000000));
	assert_int_equal(w->reqs[r].result, 0);
	assert_int_equal(world_info(w).state, VOLUME_READY);
	assert_string_equal(world_info(w).error, "");
	world_destroy(w);
}

/* Ready, and it fails what nobody answers for three seconds. */
static struct world *failing_world(void)
{
	struct world *w = world_create();

	w->cfg.on_dead = ON_DEAD_FAIL;
	w->cfg.dead_us = 3000000;
	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	return w;
}

static void volume_fail_fails_in_time_and_comes_back(void **state)
{
	struct world *w = failing_world();
	unsigned held, late, back;
	uint64_t start;

	w->srv->is_silent = true;
	held = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 5);
	world_turns(w, 5);
	fake_stream_close(&w->net->streams[0]);
	w->net->syn_error = -EHOSTUNREACH;
	start = w->now_us;
	assert_true(world_settle(w, 60000000));
	assert_int_equal(w->reqs[held].result, -EIO);
	assert_true(w->now_us - start <= 3010000);
	assert_int_equal(world_info(w).state, VOLUME_FAILED);
	late = world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	world_turns(w, 2);
	assert_int_equal(w->reqs[late].result, -EIO);
	w->net->syn_error = 0;
	w->srv->is_silent = false;
	assert_true(world_until(w, VOLUME_READY, 13000000));
	back = world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[back].result, 0);
	world_destroy(w);
}

/*
 * The link is gone with a WRITE in the NIC's ring, and it is failed. The kernel takes the tag's
 * buffer for another WRITE, where it may; then the link comes back, before a reset of the old
 * connection does.
 */
static void volume_failed_write_does_not_carry_others_bytes(void **state)
{
	struct world *w = failing_world();
	unsigned failed, late;

	w->net->is_stuck = true;
	failed = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 0x11);
	assert_true(world_settle(w, 13000000));
	assert_int_equal(w->reqs[failed].result, -EIO);
	assert_true(w->net->ring_count >= 2); /* the WRITE and a reset */
	if (!w->front.is_barred)
		memset(world_data(w, failed), 0x22, 4096);
	late = world_ask(w, BLOCK_WRITE, 8192, 4096, 0, 0x22);
	world_turns(w, 2);
	assert_int_equal(w->reqs[late].result, -EIO);
	w->net->is_stuck = false;
	assert_true(world_until(w, VOLUME_READY, 13000000));
	assert_false(w->front.is_barred);
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_WRITE), 1);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(w->srv->disk[i], 0x11);
	world_destroy(w);
}

/* It shakes hands every time and never answers: handshakes must not stop the clock. */
static void volume_fail_is_not_fooled_by_handshakes(void **state)
{
	struct world *w = world_create();
	unsigned held;

	w->cfg.on_dead = ON_DEAD_FAIL;
	w->cfg.dead_us = 5000000;
	w->cfg.request_us = 500000;
	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	w->srv->is_silent = true;
	held = world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	assert_true(world_settle(w, 6000000));
	assert_int_equal(w->reqs[held].result, -EIO);
	assert_true(world_info(w).reconnects > 2);
	world_destroy(w);
}

/* Not before it has answered the rest, and with DISC, as the protocol wants; ours is the second
 * FIN. */
static void volume_leaves_a_server_that_shuts_down(void **state)
{
	struct world *w = world_create();
	unsigned written, read;

	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	w->srv->error = NBD_ESHUTDOWN;
	w->srv->error_type = NBD_CMD_WRITE;
	w->srv->held_types = 1u << NBD_CMD_READ;
	written = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 5);
	read = world_ask(w, BLOCK_READ, 8192, 4096, 0, 0);
	world_turns(w, 10);
	assert_int_equal(w->srv->disc_count, 0);
	assert_int_equal(w->net->opened, 1);
	w->srv->error = 0;
	w->srv->held_types = 0;
	assert_true(world_settle(w, 1000000));
	assert_int_equal(w->srv->disc_count, 1);
	assert_true(w->net->streams[0].is_eof_told);
	assert_int_equal(w->reqs[written].result, 0);
	assert_int_equal(w->reqs[read].result, 0);
	assert_int_equal(world_info(w).reconnects, 1);
	world_destroy(w);
}

/* It says that it shuts down, and neither closes nor falls
 * silent: it is not listened to for long. */
static void volume_waits_for_no_farewell(void **state)
{
	struct world *w = world_create();
	uint64_t begin;

	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	w->srv->error = NBD_ESHUTDOWN;
	w->srv->error_type = NBD_CMD_WRITE;
	w->srv->stays_after_disc = true;
	world_ask(w, BLOCK_WRITE, 0, 4096, 0, 5);
	begin = w->now_us;
	while (w->srv->disc_count == 0 && w->now_us - begin < 1000000)
		world_turns(w, 1);
	assert_int_equal(w->srv->disc_count, 1);
	w->srv->error = 0;
	fake_stream_write(&w->net->streams[0], "more", 4);
	assert_true(world_settle(w, NBD_PART_US + 200000));
	assert_int_equal(w->reqs[0].result, 0);
	assert_int_equal(world_info(w).timeouts, 0);
	assert_int_equal(world_info(w).protocol_errors, 0);
	world_destroy(w);
}

/* By force, with hold for ever and no server: what waits fails, what comes fails, nobody is looked
 * for. */
static void volume_given_up_fails_all_and_takes_on(void **state)
{
	struct world *w = world_create();
	unsigned held, late, opened;

	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	w->srv->is_silent = true;
	held = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 5);
	world_turns(w, 5);
	fake_stream_close(&w->net->streams[0]);
	w->net->syn_error = -ECONNREFUSED;
	late = world_ask(w, BLOCK_READ, 0, 4096, 0, 0); /* not taken: nobody serves */
	world_turns(w, 100);
	assert_false(w->reqs[held].is_done || w->reqs[late].is_taken);
	volume_fail(w->volume);
	world_turns(w, 3);
	assert_int_equal(w->reqs[held].result, -EIO);
	assert_int_equal(w->reqs[late].result, -EIO);
	assert_has(w->last_event, "given up by force: 1 requests failed");
	opened = w->net->opened;
	w->net->syn_error = 0;
	world_turns(w, 30000);
	assert_int_equal(w->net->opened, opened);
	assert_int_equal(world_info(w).state, VOLUME_FAILED);
	world_destroy(w);
}

static void volume_deadline_never_lies_behind(void **state)
{
	struct world *w = world_create();

	world_start(w);
	for (unsigned i = 0; i < 5000; i++) {
		if (i == 50)
			world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
		w->srv->is_silent = i > 40 && i < 4000;
		world_turns(w, 1);
		assert_true(nbd_client_deadline(w->nc) >= w->now_us - 2 * WORLD_TURN_US);
	}
	assert_true(w->reqs[0].is_done);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volume_survives_a_cut_after_every_byte_received),
		cmocka_unit_test(volume_survives_a_cut_after_every_byte_sent),
		cmocka_unit_test(volume_cuts_off_every_liar_and_believes_nothing),
		cmocka_unit_test(volume_unknown_error_chunks_are_errors),
		cmocka_unit_test(volume_silence_costs_the_connection_not_the_request),
		cmocka_unit_test(volume_reconnect_after_silence_takes_the_same_local_port),
		cmocka_unit_test(volume_replay_keeps_flush_behind_its_writes),
		cmocka_unit_test(volume_fails_over_to_a_live_connection),
		cmocka_unit_test(volume_hold_holds_until_the_server_is_back),
		cmocka_unit_test(volume_fail_fails_in_time_and_comes_back),
		cmocka_unit_test(volume_failed_write_does_not_carry_others_bytes),
		cmocka_unit_test(volume_fail_is_not_fooled_by_handshakes),
		cmocka_unit_test(volume_leaves_a_server_that_shuts_down),
		cmocka_unit_test(volume_waits_for_no_farewell),
		cmocka_unit_test(volume_given_up_fails_all_and_takes_on),
		cmocka_unit_test(volume_deadline_never_lies_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
