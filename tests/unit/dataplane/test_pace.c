/*
 * test_pace.c - when a worker may look away or rest, and for how long
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "dataplane/pace.h"
#include "tests/unit/between.h"

#define RING 256u

/* @count other packets a millisecond and an answer of the storage each @gap_us, for @ms. Out: the
 * time it ends. */
static uint64_t run(struct pace *p, uint64_t now_us, unsigned ms, unsigned count, uint64_t gap_us)
{
	uint64_t end_us = now_us + ms * 1000ull, next_us = now_us;

	for (; now_us < end_us; now_us += 10) {
		unsigned storage = gap_us && now_us >= next_us;
		unsigned others = count && now_us % (1000 / count) < 10;

		if (storage)
			next_us += gap_us;
		if (others || storage)
			pace_turn(p, others, storage, now_us);
	}
	return end_us;
}

static void no_nap_without_a_flood(void **state)
{
	struct pace p = {0};
	uint64_t now_us = run(&p, 1000000, 50, 0, 1000);

	assert_int_equal(pace_nap_us(&p, RING, now_us), 0);
	now_us = run(&p, now_us, 50, 2, 1000);
	assert_int_equal(pace_nap_us(&p, RING, now_us), 0);
}

static void nap_is_a_share_of_the_time_between_answers(void **state)
{
	struct pace p = {0};
	uint64_t now_us = run(&p, 1000000, 100, 20, 800);

	assert_between(pace_nap_us(&p, RING, now_us), 180, 200);
	now_us = run(&p, now_us, 100, 20, 400);
	assert_between(pace_nap_us(&p, RING, now_us), 90, 110);
}

/* A device that answers in 80 microseconds must not wait 200 for its worker. */
static void fast_storage_allows_no_nap(void **state)
{
	struct pace p = {0};
	uint64_t now_us = run(&p, 1000000, 100, 20, 80);

	assert_int_equal(pace_nap_us(&p, RING, now_us), 0);
}

static void storage_at_rest_allows_the_longest(void **state)
{
	struct pace p = {0};
	uint64_t now_us = run(&p, 1000000, 100, 20, 80), longest;

	now_us = run(&p, now_us, 20, 20, 0);
	longest = pace_nap_us(&p, RING, now_us);
	assert_between(longest, 200, 1000);
	now_us = run(&p, now_us, 100, 20, 20000);
	assert_int_equal(pace_nap_us(&p, RING, now_us), longest);
}

static void nap_ends_before_the_ring_is_full(void **state)
{
	struct pace p = {0};
	uint64_t now_us = run(&p, 1000000, 20, 100, 0);

	for (unsigned i = 0; i < 8; i++) /* 800 packets in this millisecond */
		pace_turn(&p, 100, 0, now_us + i * 100);
	assert_between(pace_nap_us(&p, RING, now_us + 800), 50, RING * 1000 / 800);
	for (unsigned i = 0; i < 40; i++)
		pace_turn(&p, 100, 0, now_us + 800 + i);
	assert_int_equal(pace_nap_us(&p, RING, now_us + 850), 0);
}

static void naps_end_with_the_flood(void **state)
{
	struct pace p = {0};
	uint64_t now_us = run(&p, 1000000, 100, 20, 800);

	assert_int_equal(pace_nap_us(&p, RING, now_us + 2000), 0);
	now_us = run(&p, now_us, 3, 0, 800);
	assert_int_equal(pace_nap_us(&p, RING, now_us), 0);
}

static uint64_t rest_us(
	const struct pace *p, unsigned in_flight, uint64_t latency_us, bool is_answering)
{
	const struct nbd_client_load load = {
		latency_us, in_flight, is_answering, is_answering ? 240 : 0};

	return pace_rest_us(p, &load, RING);
}

/* An eighth of what a request takes. */
static void rest_with_many_requests_is_a_share_of_their_time(void **state)
{
	struct pace p = {0};
	uint64_t now_us = 1000000;

	now_us = run(&p, now_us, 20, 0, 100);
	assert_int_equal(rest_us(&p, 32, 800, false), 100);
	assert_int_equal(rest_us(&p, 8, 800, false), 100);
	assert_int_equal(rest_us(&p, 32, 120, false), 0);
	assert_int_equal(rest_us(&p, 32, 1000000, false), 250);
	/* In the midst of answers only while they flow: a peer that sends four segments a round
	 * trip waits for our ACK. And then for a quarter of a round trip. */
	assert_int_equal(rest_us(&p, 32, 800, true), 0);
	(void)run(&p, now_us, 20, 0, 10);
	assert_int_equal(rest_us(&p, 32, 800, true), 60);
}

/* A quarter of the time between two answers; and none where nothing is waited for or an answer has
 * begun. */
static void rest_with_few_requests_ends_before_an_answer_is_due(void **state)
{
	struct pace p = {0};

	(void)run(&p, 1000000, 20, 0, 100);
	assert_int_equal(rest_us(&p, 1, 800, false), 200);
	assert_int_equal(rest_us(&p, 4, 800, false), 50);
	assert_int_equal(rest_us(&p, 4, 800, true), 0);
	assert_int_equal(rest_us(&p, 1, 60, false), 0);
	assert_int_equal(rest_us(&p, 0, 800, false), 0);
}

static void rest_ends_before_the_ring_is_full(void **state)
{
	struct pace p = {0};
	uint64_t now_us = run(&p, 1000000, 20, 0, 1000);

	pace_turn(&p, 0, 320, now_us);
	pace_turn(&p, 320, 320, now_us + 500);
	/* 960 places taken in a millisecond: a quarter of the ring lasts 66 us. */
	assert_between(rest_us(&p, 32, 2000, false), 60, 70);
	/* The millisecond after it was quiet so far, and is not trusted yet. */
	pace_turn(&p, 0, 1, now_us + 1100);
	assert_between(rest_us(&p, 32, 2000, false), 60, 70);
	now_us = run(&p, now_us + 2000, 5, 0, 1000);
	assert_int_equal(rest_us(&p, 32, 2000, false), 250);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_nap_without_a_flood),
		cmocka_unit_test(nap_is_a_share_of_the_time_between_answers),
		cmocka_unit_test(fast_storage_allows_no_nap),
		cmocka_unit_test(storage_at_rest_allows_the_longest),
		cmocka_unit_test(nap_ends_before_the_ring_is_full),
		cmocka_unit_test(naps_end_with_the_flood),
		cmocka_unit_test(rest_with_many_requests_is_a_share_of_their_time),
		cmocka_unit_test(rest_with_few_requests_ends_before_an_answer_is_due),
		cmocka_unit_test(rest_ends_before_the_ring_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
