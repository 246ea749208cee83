/*
 * test_hold.c - held packets keep their order and their bounds, and the newest and largest flows go
 * first
 */
#include <stdlib.h>
#include <string.h>
#include "config/limits.h"
#include "dataplane/exception/hold.h"
#include "tests/unit/between.h"
#include "tests/unit/mempool_reserve/pool.h"

#define ROOM 64u

struct world {
	struct reserve *pool;
	struct hold *hold;
	uint64_t now_us;
};

static int setup(void **state)
{
	static struct world w;

	w = (struct world){
		.pool = pool_make(4 * ROOM, 0), .hold = hold_create(ROOM), .now_us = 1000};
	if (!w.pool || !w.hold)
		return -1;
	reserve_arm(w.pool);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	hold_destroy(w->hold);
	assert_int_equal(info(w->pool).free, 4 * ROOM);
	reserve_destroy(w->pool);
	return 0;
}

/* A packet of @flow in @segs mbufs that bears @number. */
static bool push_long(struct world *w, uint32_t flow, uint32_t number, unsigned segs)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(reserve_pool(w->pool));

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, sizeof(number)), &number, sizeof(number));
	for (unsigned i = 1; i < segs; i++)
		assert_int_equal(rte_pktmbuf_chain(m, rte_pktmbuf_alloc(reserve_pool(w->pool))), 0);
	reserve_force(m, OWNER_HOLD, w->now_us);
	hold_see(w->hold, flow, w->now_us);
	return hold_push(w->hold, m, flow, w->now_us);
}

static bool push(struct world *w, uint32_t flow, uint32_t number)
{
	return push_long(w, flow, number, 1);
}

/* Out: the number of the oldest, UINT32_MAX if there is none. */
static uint32_t pop(struct world *w)
{
	struct rte_mbuf *m = hold_pop(w->hold);
	uint32_t number = UINT32_MAX;

	if (!m)
		return number;
	memcpy(&number, rte_pktmbuf_mtod(m, void *), sizeof(number));
	rte_pktmbuf_free(m);
	return number;
}

static struct hold_stats stats(const struct world *w)
{
	struct hold_stats s;

	hold_stats(w->hold, &s);
	return s;
}

static uint32_t held_mbufs(const struct world *w)
{
	return 4 * ROOM - info(w->pool).free;
}

static void hold_releases_in_order(void **state)
{
	struct world *w = *state;

	assert_true(hold_is_empty(w->hold));
	for (uint32_t i = 0; i < ROOM; i++)
		assert_true(push(w, i % 7, i));
	for (uint32_t i = 0; i < ROOM; i++)
		assert_int_equal(pop(w), i);
	assert_int_equal(pop(w), UINT32_MAX);
	assert_true(hold_is_empty(w->hold));
	assert_int_equal(stats(w).held, ROOM);
	assert_int_equal(stats(w).released, ROOM);
}

static void hold_never_passes_its_limit(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < 1000; i++) {
		push_long(w, i % 5, i, 1 + i % 9);
		assert_between(held_mbufs(w), 0, ROOM);
	}
	assert_false(push_long(w, 3, 0, ROOM + 1)); /* larger than all of it */
}

static void hold_sheds_the_flood_and_not_the_session(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < 10; i++) {
		assert_true(push(w, 1, i));
		for (uint32_t k = 0; k < 100; k++)
			push(w, 2, 1000 + i);
	}
	for (uint32_t want = 0, got; (got = pop(w)) != UINT32_MAX;)
		if (got < 1000)
			assert_int_equal(got, want++);
	assert_int_equal(stats(w).shed_flow, 1010 - ROOM);
	/* All of the session's was released: the flood alone was shed. */
	assert_int_equal(stats(w).released, ROOM);
}

static void hold_sheds_the_newest_packet_of_a_flow(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < ROOM; i++)
		assert_true(push(w, 1, i));
	w->now_us++;
	assert_true(push(w, 2, 100));
	for (uint32_t i = 0; i < ROOM - 1; i++)
		assert_int_equal(pop(w), i);
	assert_int_equal(pop(w), 100);
}

static void hold_sheds_the_newest_of_equal_flows(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < ROOM; i++, w->now_us++)
		assert_true(push(w, i, i));
	assert_false(push(w, ROOM + 1, 100)); /* newer than all */
	w->now_us++;
	assert_true(push(w, 3, 101)); /* one of the first comes again, and still is small */
	assert_int_equal(stats(w).shed_flow, 2);
	for (uint32_t i = 0; i < ROOM - 1; i++)
		assert_int_equal(pop(w), i);
	assert_int_equal(pop(w), 101);
}

/* Asked before the packet is copied, so that a flood costs no copies. */
static void hold_says_beforehand_who_must_go(void **state)
{
	struct world *w = *state;

	assert_true(hold_make_room(w->hold, ROOM, 1));
	for (uint32_t i = 0; i < ROOM; i++)
		assert_true(push(w, 1, i));
	assert_false(hold_make_room(w->hold, 1, 1));
	assert_int_equal(stats(w).shed_flow, 1);
	assert_int_equal(held_mbufs(w), ROOM);
	assert_true(hold_make_room(w->hold, 2, 2));
	assert_int_equal(stats(w).shed_flow, 3);
	assert_int_equal(held_mbufs(w), ROOM - 2);
	assert_true(push_long(w, 2, 100, 2));
}

static void hold_says_when_the_oldest_is_too_old(void **state)
{
	struct world *w = *state;

	assert_true(hold_deadline(w->hold) == UINT64_MAX);
	push(w, 1, 1);
	assert_int_equal(hold_deadline(w->hold), w->now_us + HOLD_US_MAX + 1);
	hold_age(w->hold, hold_deadline(w->hold));
	assert_true(hold_is_empty(w->hold));
}

static void hold_drops_what_waited_too_long(void **state)
{
	struct world *w = *state;

	push(w, 1, 1);
	w->now_us += HOLD_US_MAX;
	push(w, 1, 2);
	hold_age(w->hold, w->now_us);
	assert_int_equal(stats(w).aged, 0);
	hold_age(w->hold, w->now_us + 1);
	assert_int_equal(stats(w).aged, 1);
	assert_int_equal(pop(w), 2);
}

/* A flood of four for each one that goes on, and a session: nobody stands in the queue until he is
 * too old. */
static void hold_takes_no_more_than_it_can_release_in_time(void **state)
{
	struct world *w = *state;
	uint32_t session = 0, came = 0;

	for (uint32_t i = 0; i < 4000; i++, w->now_us += HOLD_US_MAX / 50) {
		if (i % 40 == 0)
			assert_true(push(w, 1, ++session));
		for (uint32_t k = 0; k < 4; k++)
			push(w, 2, UINT32_MAX - 1);
		hold_age(w->hold, w->now_us);
		came += pop(w) == came + 1;
	}
	assert_between(stats(w).aged, 0, stats(w).held / 20);
	assert_between(session - came, 0, session / 20);
	assert_between(stats(w).released, 3990, 4000); /* nor is it so short that it runs empty */
}

/* Against a plain list: per flow, what comes out is in order, and nothing is lost but what is
 * counted. */
static void hold_keeps_the_order_of_each_flow_whatever_comes(void **state)
{
	struct world *w = *state;
	uint32_t next[16] = {0}, last[16] = {0};

	srandom(4);
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t flow = (uint32_t)random() % 16, number;

		w->now_us += (uint64_t)random() % 500;
		if (random() % 3) {
			push_long(w, flow, flow << 24 | ++next[flow], 1 + (unsigned)random() % 3);
			continue;
		}
		hold_age(w->hold, w->now_us);
		number = pop(w);
		if (number == UINT32_MAX)
			continue;
		assert_true((number & 0xffffff) > last[number >> 24]);
		last[number >> 24] = number & 0xffffff;
	}
	while (pop(w) != UINT32_MAX)
		;
	assert_int_equal(held_mbufs(w), 0);
	assert_true(stats(w).shed_flow > 0);
	reserve_check(w->pool);
}

#define hold_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		hold_test(hold_releases_in_order),
		hold_test(hold_never_passes_its_limit),
		hold_test(hold_sheds_the_flood_and_not_the_session),
		hold_test(hold_sheds_the_newest_packet_of_a_flow),
		hold_test(hold_sheds_the_newest_of_equal_flows),
		hold_test(hold_says_beforehand_who_must_go),
		hold_test(hold_says_when_the_oldest_is_too_old),
		hold_test(hold_drops_what_waited_too_long),
		hold_test(hold_takes_no_more_than_it_can_release_in_time),
		hold_test(hold_keeps_the_order_of_each_flow_whatever_comes),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
