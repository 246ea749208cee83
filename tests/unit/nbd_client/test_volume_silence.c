/*
 * test_volume_silence.c - a server that takes long is waited for; one that is dead is given up in
 * time
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include "tests/unit/between.h"
#include "tests/unit/nbd_client/pair.h"

#define SECOND 1000u /* in turns */

static struct world *ready(struct world *w)
{
	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	return w;
}

/* No deadline for a request, as by default. */
static struct world *patient_world(void)
{
	struct world *w = world_create();

	w->cfg.request_us = 0;
	return w;
}

static struct world *failing_world(void)
{
	struct world *w = patient_world();

	w->cfg.on_dead = ON_DEAD_FAIL;
	w->cfg.dead_us = 3000000;
	return w;
}

static void request_of_two_hundred_seconds_finishes_on_its_connection(void **state)
{
	struct world *w = ready(patient_world());
	unsigned flush;

	w->srv->is_silent = true;
	flush = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	world_turns(w, 200 * SECOND);
	assert_false(w->reqs[flush].is_done);
	assert_int_equal(w->net->opened, 1);
	assert_int_equal(world_info(w).timeouts, 0);
	w->srv->is_silent = false;
	assert_true(world_settle(w, 10000));
	assert_int_equal(w->reqs[flush].result, 0);
	assert_int_equal(w->srv->cmd_count, 1);
	world_destroy(w);
}

static void slow_server_is_told_once_until_it_is_not(void **state)
{
	struct world *w = ready(patient_world());

	w->srv->is_silent = true;
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	world_turns(w, 9 * SECOND);
	assert_int_equal(w->slow_count, 0);
	assert_true(world_info(w).oldest_us > 0);
	assert_true(nbd_client_deadline(w->nc) <= w->now_us + 1100000);
	world_turns(w, 60 * SECOND);
	assert_int_equal(w->slow_count, 1);
	assert_has(world_info(w).error, "10.0.0.2:10809 is slow: the oldest of 1 requests");
	w->srv->is_silent = false;
	assert_true(world_settle(w, 10000));
	world_turns(w, 1);
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	world_turns(w, 5);
	assert_string_equal(world_info(w).error, "");
	assert_int_equal(world_info(w).oldest_us, 0);
	w->srv->is_silent = true;
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	world_turns(w, 11 * SECOND);
	assert_int_equal(w->slow_count, 2);
	world_destroy(w);
}

static void silence_is_left_to_tcp(void **state)
{
	struct world *w = ready(patient_world());
	const struct stream_target *target = &w->net->streams[0].target;

	assert_int_equal(target->user_timeout_us, 15000000);
	assert_int_equal(target->keepalive_busy_us, 5000000);
	assert_int_equal(
		target->keepalive_busy_us + STREAM_KEEPALIVE_PROBES * target->keepalive_step_us,
		15000000);
	assert_false(w->net->streams[0].is_expecting);
	w->srv->is_silent = true;
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	world_turns(w, 2);
	assert_true(w->net->streams[0].is_expecting);
	w->srv->is_silent = false;
	assert_true(world_settle(w, 10000));
	assert_false(w->net->streams[0].is_expecting);
	world_destroy(w);
}

static void deadline_doubles_each_time_a_request_is_lost(void **state)
{
	struct world *w = ready(world_create());
	uint64_t end[4], start;

	w->srv->is_silent = true;
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	start = w->now_us;
	for (unsigned i = 0; i < 4; i++) {
		while (world_info(w).timeouts == i && w->now_us < start + 60000000)
			world_turns(w, 1);
		end[i] = w->now_us;
	}
	assert_between(end[0] - start, 2000000, 2010000);
	assert_between(end[1] - end[0], 4000000, 4600000); /* and the pause before the connection */
	assert_between(end[2] - end[1], 8000000, 8900000);
	assert_between(end[3] - end[2], 16000000, 17500000);
	w->srv->is_silent = false;
	assert_true(world_settle(w, 10000000));
	world_destroy(w);
}

/* What was lost twice may take 8 s; what was sent after it, 2 s. */
static void request_beside_a_replayed_one_keeps_its_own_deadline(void **state)
{
	struct world *w = ready(world_create());
	uint64_t asked;

	w->srv->is_silent = true;
	world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	while (world_info(w).timeouts < 2)
		world_turns(w, 1);
	assert_true(world_until(w, VOLUME_READY, 1000000));
	world_turns(w, 5);
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	asked = w->now_us;
	while (world_info(w).timeouts < 3)
		world_turns(w, 1);
	assert_between(w->now_us - asked, 2000000, 2010000);
	w->srv->is_silent = false;
	assert_true(world_settle(w, 10000000));
	world_destroy(w);
}

/* 1.5 s each, one after the other, and 2 s is the deadline. */
static void queue_that_moves_is_no_silence(void **state)
{
	struct world *w = ready(world_create());

	w->srv->answer_turns = 1500;
	for (unsigned i = 0; i < 16; i++)
		world_ask(w, i % 2 ? BLOCK_WRITE : BLOCK_READ, i * 4096, 4096, 0, 1);
	assert_true(world_settle(w, 30000000));
	assert_int_equal(world_info(w).timeouts, 0);
	assert_int_equal(world_info(w).replayed, 0);
	assert_int_equal(w->net->opened, 1);
	world_destroy(w);
}

/* What follows it is answered, it is not. */
static void stuck_request_is_late_beside_others_that_are_answered(void **state)
{
	struct world *w = ready(world_create());
	uint64_t asked = w->now_us;

	w->srv->held_types = 1u << NBD_CMD_FLUSH;
	world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	while (world_info(w).timeouts == 0 && w->now_us < asked + 60000000) {
		world_turns(w, 500);
		world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	}
	assert_between(w->now_us - asked, 2000000, 2600000);
	w->srv->held_types = 0;
	assert_true(world_settle(w, 10000000));
	world_destroy(w);
}

/* Its kernel acknowledges for ever. */
static void frozen_server_is_given_up_by_fail(void **state)
{
	struct world *w = ready(failing_world());
	uint64_t start;

	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	assert_true(world_settle(w, 10000));
	world_turns(w, 10 * SECOND); /* nobody waits: no clock runs */
	assert_int_equal(world_info(w).state, VOLUME_READY);
	w->srv->is_silent = true;
	world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	start = w->now_us;
	world_turns(w, 2);
	assert_true(nbd_client_deadline(w->nc) <= start + 3010000);
	assert_true(world_settle(w, 10000000));
	assert_int_equal(w->reqs[1].result, -EIO);
	assert_between(w->now_us - start, 3000000, 3010000);
	assert_int_equal(world_info(w).state, VOLUME_FAILED);
	assert_true(w->net->streams[0].is_aborted);
	world_destroy(w);
}

static void server_that_answers_something_is_not_given_up_by_fail(void **state)
{
	struct world *w = ready(failing_world());
	unsigned flush;

	w->srv->held_types = 1u << NBD_CMD_FLUSH;
	flush = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	for (unsigned i = 0; i < 10; i++) {
		world_turns(w, 2 * SECOND);
		world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
	}
	world_turns(w, 5);
	assert_int_equal(world_info(w).state, VOLUME_READY);
	w->srv->held_types = 0;
	assert_true(world_settle(w, 10000));
	assert_int_equal(w->reqs[flush].result, 0);
	assert_int_equal(w->net->opened, 1);
	world_destroy(w);
}

/* 64 KiB at 4 bytes a millisecond take 16 s. */
static void payload_that_arrives_is_an_answer(void **state)
{
	struct world *w = ready(failing_world());
	unsigned r = world_ask(w, BLOCK_READ, 0, 65536, 0, 0);

	w->net->drip_bytes = 4;
	assert_true(world_settle(w, 30000000));
	assert_int_equal(w->reqs[r].result, 0);
	assert_true(w->now_us > 16000000);
	assert_int_equal(w->net->opened, 1);
	world_destroy(w);
}

/* The same with a deadline of 2 s for each request. */
static void payload_that_arrives_moves_the_deadline(void **state)
{
	struct world *w = ready(world_create());

	world_ask(w, BLOCK_READ, 0, 65536, 0, 0);
	w->net->drip_bytes = 4;
	assert_true(world_settle(w, 30000000));
	assert_int_equal(world_info(w).timeouts, 0);
	assert_int_equal(w->net->opened, 1);
	world_destroy(w);
}

static void reply_to_another_worker_counts_for_the_device(void **state)
{
	struct pair *p = pair_make();
	unsigned held;

	for (struct world *w = p->a; w; w = w == p->a ? p->b : NULL) {
		w->cfg.request_us = 0;
		w->cfg.on_dead = ON_DEAD_FAIL;
		w->cfg.dead_us = 3000000;
	}
	pair_ready(p);
	p->b->srv->is_silent = true;
	held = world_ask(p->b, BLOCK_READ, 0, 4096, 0, 0);
	for (unsigned i = 0; i < 5; i++) {
		pair_turns(p, 2 * SECOND);
		world_ask(p->a, BLOCK_READ, 0, 4096, 0, 0);
	}
	pair_turns(p, 2 * SECOND);
	assert_false(p->b->reqs[held].is_done);
	pair_turns(p, 2 * SECOND);
	assert_true(p->b->reqs[held].is_done);
	assert_int_equal(p->b->reqs[held].result, -EIO);
	pair_free(p);
}

static void hold_never_gives_up_whatever_the_time_says(void **state)
{
	struct world *w = patient_world();
	unsigned r;

	w->cfg.dead_us = 5000000;
	ready(w);
	w->net->syn_error = -ECONNREFUSED;
	fake_stream_close(&w->net->streams[0]);
	r = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	world_turns(w, 60 * SECOND);
	assert_false(w->reqs[r].is_done);
	assert_int_equal(world_info(w).state, VOLUME_LOST);
	w->net->syn_error = 0;
	assert_true(world_settle(w, 15000000));
	assert_int_equal(w->reqs[r].result, 0);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_of_two_hundred_seconds_finishes_on_its_connection),
		cmocka_unit_test(slow_server_is_told_once_until_it_is_not),
		cmocka_unit_test(silence_is_left_to_tcp),
		cmocka_unit_test(deadline_doubles_each_time_a_request_is_lost),
		cmocka_unit_test(request_beside_a_replayed_one_keeps_its_own_deadline),
		cmocka_unit_test(queue_that_moves_is_no_silence),
		cmocka_unit_test(stuck_request_is_late_beside_others_that_are_answered),
		cmocka_unit_test(frozen_server_is_given_up_by_fail),
		cmocka_unit_test(server_that_answers_something_is_not_given_up_by_fail),
		cmocka_unit_test(payload_that_arrives_is_an_answer),
		cmocka_unit_test(payload_that_arrives_moves_the_deadline),
		cmocka_unit_test(reply_to_another_worker_counts_for_the_device),
		cmocka_unit_test(hold_never_gives_up_whatever_the_time_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
