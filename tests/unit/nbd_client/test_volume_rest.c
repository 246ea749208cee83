/*
 * test_volume_rest.c - a volume at rest is asked for requests and nothing else, and misses nothing
 * all the same
 *
 * Nothing is in flight in any of these, and turns have passed without work: whatever happens next
 * must be noticed in the turn after it.
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include "tests/unit/nbd_client/world.h"
#include "tests/unit/between.h"

#define REST_TURNS 200u /* longer than a window of the credits */

static struct world *at_rest(void)
{
	struct world *w = world_create();

	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	world_ask(w, BLOCK_READ, 0, 16384, 0, 0);
	assert_true(world_settle(w, 100000));
	world_turns(w, REST_TURNS);
	return w;
}

static void assert_serves(struct world *w)
{
	unsigned r = world_ask(w, BLOCK_READ, 4096, 4096, 0, 0);

	assert_true(world_settle(w, 1000000));
	assert_int_equal(w->reqs[r].result, 0);
}

static void volume_at_rest_takes_what_is_asked_for(void **state)
{
	struct world *w = at_rest();

	for (unsigned i = 0; i < 3; i++) {
		assert_serves(w);
		world_turns(w, REST_TURNS);
	}
	assert_int_equal(world_info(w).ops[BLOCK_READ], 4);
	world_destroy(w);
}

static void volume_at_rest_hears_that_the_server_is_gone(void **state)
{
	for (unsigned is_reset = 0; is_reset < 2; is_reset++) {
		struct world *w = at_rest();

		w->net->cut_is_reset = is_reset;
		w->net->cut_to_client = w->net->streams[0].visible; /* here and now */
		world_turns(w, 2);
		assert_int_equal(world_info(w).conn_ready, 0);
		assert_serves(w);
		assert_int_equal(world_info(w).reconnects, 1);
		world_destroy(w);
	}
}

/* A firewall between forgets an idle connection after 300 s, some after 120 s: two probes may get
 * lost. */
static void volume_at_rest_is_kept_known_to_firewalls(void **state)
{
	struct world *w = at_rest();
	const struct stream_target *target = &w->net->streams[0].target;

	assert_between(target->keepalive_us, 1, 120000000 / 2);
	world_destroy(w);
}

/* The keep-alive found nobody: a new connection serves before anything is asked for. */
static void volume_at_rest_replaces_a_dead_connection(void **state)
{
	struct world *w = at_rest();

	w->net->streams[0].error = -ETIMEDOUT;
	w->net->streams[0].bits |= STREAM_DEAD;
	world_turns(w, 50);
	assert_int_equal(world_info(w).conn_ready, 1);
	assert_int_equal(world_info(w).reconnects, 1);
	assert_int_equal(w->net->opened, 2);
	assert_serves(w);
	world_destroy(w);
}

static void volume_at_rest_hears_a_server_that_speaks_unasked(void **state)
{
	struct world *w = at_rest();

	fake_stream_write(&w->net->streams[0], "as long as a header and unasked", 31);
	world_turns(w, 2);
	assert_int_equal(world_info(w).conn_ready, 0);
	assert_int_equal(world_info(w).protocol_errors, 1);
	assert_serves(w);
	world_destroy(w);
}

static void volume_at_rest_stops_in_the_next_turn(void **state)
{
	struct world *w = at_rest();

	volume_stop(w->volume, false, w->now_us + 1000000);
	world_turns(w, 1);
	assert_int_equal(w->srv->disc_count, 1);
	assert_true(world_until(w, VOLUME_GONE, 5000));
	world_destroy(w);
}

static void volume_at_rest_is_given_up_in_the_next_turn(void **state)
{
	struct world *w = at_rest();

	volume_fail(w->volume);
	world_turns(w, 1);
	assert_int_equal(world_info(w).state, VOLUME_FAILED);
	world_destroy(w);
}

static void volume_at_rest_ends_the_window_of_its_credits(void **state)
{
	struct world *w = at_rest();

	assert_true(world_info(w).read_bytes_per_s > 0);
	world_destroy(w);
}

/* The front end batches: what is answered at once goes out with a kick in the same turn. */
static void volume_at_rest_kicks_for_what_it_answers_itself(void **state)
{
	struct world *w = at_rest();
	unsigned kicks = w->kick_count, r;

	r = world_ask(w, BLOCK_READ, w->srv->size_bytes, 4096, 0, 0);
	world_turns(w, 1);
	assert_int_equal(w->reqs[r].is_done, 1);
	assert_int_equal(w->reqs[r].result, -EINVAL);
	assert_true(w->kick_count > kicks);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volume_at_rest_takes_what_is_asked_for),
		cmocka_unit_test(volume_at_rest_hears_that_the_server_is_gone),
		cmocka_unit_test(volume_at_rest_is_kept_known_to_firewalls),
		cmocka_unit_test(volume_at_rest_replaces_a_dead_connection),
		cmocka_unit_test(volume_at_rest_hears_a_server_that_speaks_unasked),
		cmocka_unit_test(volume_at_rest_stops_in_the_next_turn),
		cmocka_unit_test(volume_at_rest_is_given_up_in_the_next_turn),
		cmocka_unit_test(volume_at_rest_ends_the_window_of_its_credits),
		cmocka_unit_test(volume_at_rest_kicks_for_what_it_answers_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
