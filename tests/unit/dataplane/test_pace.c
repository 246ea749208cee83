/*
 * test_pace.c - when a worker may look away or rest, and for how long
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "dataplane/pace.h"

#define RING 256u

/* @count other packets a millisecond and an answer of the storage each @gap_us, for @ms. Out: the time it ends. */
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

	assert_in_range(pace_nap_us(&p, RING, now_us), 180, 200);
	now_us = run(&p, now_us, 100, 20, 400);
	assert_in_range(pace_nap_us(&p, RING, now_us), 90, 110);
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
	assert_in_range(longest, 200, 1000);
	now_us = run(&p, now_us, 100, 20, 20000);
	assert_int_equal(pace_nap_us(&p, RING, now_us), longest);
}

static void nap_ends_before_the_ring_is_full(void **state)
{
	struct pace p = {0};
	uint64_t now_us = run(&p, 1000000, 20, 100, 0);

	for (unsigned i = 0; i < 8; i++) /* 800 packets in this millisecond */
		pace_turn(&p, 100, 0, now_us + i * 100);
	assert_in_range(pace_nap_us(&p, RING, now_us + 800), 50, RING * 1000 / 800);
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

/* An eighth of what a request takes, where many are under way. */
static void rest_is_a_share_of_what_a_request_takes(void **state)
{
	struct pace p = {0};

	(void)run(&p, 1000000, 20, 0, 100);
	assert_int_equal(pace_rest_us(&p, 32, 800, RING), 100);
	assert_int_equal(pace_rest_us(&p, 8, 800, RING), 100);
	assert_int_equal(pace_rest_us(&p, 7, 800, RING), 0);
	assert_int_equal(pace_rest_us(&p, 0, 800, RING), 0);
	assert_int_equal(pace_rest_us(&p, 32, 120, RING), 0);
	assert_int_equal(pace_rest_us(&p, 32, 1000000, RING), 250);
}

static void rest_ends_before_the_ring_is_full(void **state)
{
	struct pace p = {0};
	uint64_t now_us = run(&p, 1000000, 20, 0, 1000);

	pace_turn(&p, 0, 320, now_us);
	pace_turn(&p, 320, 320, now_us + 500);
	/* 960 places taken in a millisecond: a quarter of the ring lasts 66 us. */
	assert_in_range(pace_rest_us(&p, 32, 2000, RING), 60, 70);
	/* The millisecond after it was quiet so far, and is not trusted yet. */
	pace_turn(&p, 0, 1, now_us + 1100);
	assert_in_range(pace_rest_us(&p, 32, 2000, RING), 60, 70);
	now_us = run(&p, now_us + 2000, 5, 0, 1000);
	assert_int_equal(pace_rest_us(&p, 32, 2000, RING), 250);
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
		cmocka_unit_test(rest_is_a_share_of_what_a_request_takes),
		cmocka_unit_test(rest_ends_before_the_ring_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
