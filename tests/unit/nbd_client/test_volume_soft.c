/*
 * test_volume_soft.c - connections end in the protocol's words: ABORT, DISC, FIN, and no reset
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include "tests/unit/nbd_client/world.h"

static struct world *ready(struct world *w)
{
	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	return w;
}

/* Every stream there was ended with our FIN, behind @aborts ABORTs and @discs DISCs in all. */
static void ended_softly(struct world *w, unsigned aborts, unsigned discs)
{
	assert_int_equal(w->srv->abort_count, aborts);
	assert_int_equal(w->srv->disc_count, discs);
	for (unsigned i = 0; i < w->net->opened; i++)
		assert_true(w->net->streams[i].is_shut && !w->net->streams[i].is_aborted);
}

static void volume_refused_by_the_server_says_abort(void **state)
{
	static const int errors[] = {NBD_REP_ERR_UNKNOWN, NBD_REP_ERR_POLICY, NBD_REP_ERR_TLS_REQD,
		NBD_REP_ERR_SHUTDOWN, NBD_REP_ERR_INVALID, NBD_REP_ERR_BLOCK_SIZE_REQD};

	for (unsigned i = 0; i < 2 * 6; i++) {
		struct world *w = world_create();

		w->srv->option_error = (uint32_t)errors[i % 6];
		w->cfg.probe_only = i >= 6;
		strcpy(w->cfg.uris[0].export_name, "disk");
		world_start(w);
		assert_true(world_until(w, VOLUME_FAILED, 100000));
		ended_softly(w, 1, 0);
		world_destroy(w);
	}
}

/* Whatever is asked for: STRUCTURED_REPLY of an attach, LIST of a probe. */
static void volume_told_of_tls_or_shutdown_at_once_says_abort(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct world *w = world_create();

		w->srv->every_option_error =
			(uint32_t)(i % 2 ? NBD_REP_ERR_SHUTDOWN : NBD_REP_ERR_TLS_REQD);
		w->cfg.probe_only = i >= 2;
		world_start(w);
		assert_true(world_until(w, VOLUME_FAILED, 100000));
		assert_has(w->last_event, i % 2 ? "shutting down" : "TLS");
		ended_softly(w, 1, 0);
		world_destroy(w);
	}
}

static void volume_that_refuses_an_export_says_disc(void **state)
{
	struct world *w = world_create();

	w->srv->size_bytes = 0;
	world_start(w);
	assert_true(world_until(w, VOLUME_FAILED, 100000));
	assert_has(w->last_event, "size is 0");
	ended_softly(w, 0, 1);
	world_destroy(w);

	w = world_create();
	w->srv->block_min = 3;
	world_start(w);
	assert_true(world_until(w, VOLUME_FAILED, 100000));
	assert_has(w->last_event, "power of two");
	ended_softly(w, 0, 1);
	world_destroy(w);
}

static void volume_that_refuses_another_identity_says_disc(void **state)
{
	struct world *w = ready(world_create());

	w->srv->flags ^= NBD_FLAG_SEND_TRIM;
	fake_stream_close(&w->net->streams[0]);
	world_turns(w, 400);
	assert_true(w->net->opened > 1 && w->srv->disc_count > 0);
	for (unsigned i = 1; i < w->net->opened; i++)
		assert_false(w->net->streams[i].is_aborted);
	world_destroy(w);
}

/* With nothing in flight, and with a READ that is never answered. */
static void volume_stopped_by_force_says_disc(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct world *w = ready(world_create());

		w->srv->held_types = 1u << NBD_CMD_READ;
		if (i % 2)
			world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
		world_turns(w, 5);
		if (i >= 2) { /* as detach --force does while the kernel waits for requests */
			volume_fail(w->volume);
			world_turns(w, 5);
			assert_true(world_settle(w, 0));
		}
		volume_stop(w->volume, true, w->now_us);
		assert_true(world_until(w, VOLUME_GONE, 10000));
		ended_softly(w, 0, 1);
		world_destroy(w);
	}
}

/* A peer that acknowledges nothing holds on to our memory: it is reset, in time. */
static void volume_stopped_by_force_waits_no_longer_than_it_may(void **state)
{
	struct world *w = ready(world_create());
	uint64_t begin;

	w->net->holds_acks = true;
	world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	world_turns(w, 5);
	begin = w->now_us;
	volume_stop(w->volume, true, w->now_us);
	w->srv->stays_after_disc = true;
	assert_true(world_until(w, VOLUME_GONE, NBD_PART_US + 10000));
	assert_true(w->now_us - begin >= NBD_PART_US);
	assert_true(w->net->streams[0].is_aborted);
	world_destroy(w);
}

/* Bytes that the server has not read of the first stream. */
static size_t unread(const struct world *w)
{
	return w->net->streams[0].to_server.len - w->net->streams[0].server_at;
}

static void volume_says_abort_only_when_its_option_was_answered(void **state)
{
	struct world *w = world_create();
	size_t asked;

	w->srv->holds_options = true;
	world_start(w);
	world_turns(w, 10);
	asked = unread(w);
	assert_true(asked > 0);
	volume_stop(w->volume, true, w->now_us);
	world_turns(w, 10);
	assert_int_equal(unread(w), asked);
	assert_int_equal(world_info(w).state, VOLUME_DRAINING);
	w->srv->holds_options = false;
	assert_true(world_until(w, VOLUME_GONE, 10000));
	ended_softly(w, 1, 0);
	world_destroy(w);
}

static void volume_says_nothing_where_its_option_is_never_answered(void **state)
{
	struct world *w = world_create();
	size_t asked;

	w->srv->holds_options = true;
	w->cfg.connect_us = 10 * NBD_PART_US;
	world_start(w);
	world_turns(w, 10);
	asked = unread(w);
	volume_stop(w->volume, false, w->now_us);
	assert_true(world_until(w, VOLUME_GONE, NBD_PART_US + 10000));
	assert_int_equal(unread(w), asked);
	ended_softly(w, 0, 0);
	world_destroy(w);
}

/* Behind an oldstyle greeting a server takes requests. */
static void volume_leaves_an_oldstyle_server_by_disc(void **state)
{
	static const uint8_t disc[] = {0x25, 0x60, 0x95, 0x13, 0, 0, 0, NBD_CMD_DISC};
	struct world *w = world_create();

	w->srv->is_oldstyle = true;
	world_start(w);
	assert_true(world_until(w, VOLUME_FAILED, NBD_PART_US + 10000));
	assert_int_equal(unread(w), sizeof(struct nbd_wire_request));
	assert_memory_equal(w->net->streams[0].to_server.bytes, disc, sizeof(disc));
	ended_softly(w, 0, 0);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volume_refused_by_the_server_says_abort),
		cmocka_unit_test(volume_told_of_tls_or_shutdown_at_once_says_abort),
		cmocka_unit_test(volume_that_refuses_an_export_says_disc),
		cmocka_unit_test(volume_that_refuses_another_identity_says_disc),
		cmocka_unit_test(volume_stopped_by_force_says_disc),
		cmocka_unit_test(volume_stopped_by_force_waits_no_longer_than_it_may),
		cmocka_unit_test(volume_says_abort_only_when_its_option_was_answered),
		cmocka_unit_test(volume_says_nothing_where_its_option_is_never_answered),
		cmocka_unit_test(volume_leaves_an_oldstyle_server_by_disc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
