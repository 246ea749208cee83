/*
 * test_reserve_fault.c - planted faults do what they say, and only when compiled in
 */
#include <errno.h>
#include "tests/unit/mempool_reserve/pool.h"

#if SLUICE_FAULT_INJECTION

static void reserve_starved_serves_the_floor_to_the_entitled_only(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[TOTAL];

	assert_int_equal(reserve_fault_starve(r, true), 0);
	assert_true(info(r).starved);
	assert_int_not_equal(take(r, m, 1), 0);
	assert_int_not_equal(take_entitled(r, m, FLOOR + 1), 0);
	assert_int_equal(take_entitled(r, m, FLOOR), 0);
	for (unsigned i = 0; i < FLOOR; i++)
		assert_true(reserve_emergency(m[i]));
	assert_int_not_equal(take_entitled(r, m + FLOOR, 1), 0);
	assert_int_equal(info(r).depth_pct, 100);
	rte_pktmbuf_free_bulk(m, FLOOR);
	assert_int_equal(info(r).depth_pct, 0);
	assert_int_equal(reserve_fault_starve(r, false), 0);
	assert_int_equal(take(r, m, TOTAL - FLOOR), 0);
	rte_pktmbuf_free_bulk(m, TOTAL - FLOOR);
	reserve_check(r);
}

static void reserve_starved_keeps_back_what_the_reserve_has_no_room_for(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *before[100], *m[TOTAL];

	assert_int_equal(take(r, before, 100), 0);
	assert_int_equal(reserve_fault_starve(r, true), 0);
	assert_int_equal(take_entitled(r, m, 30), 0);
	/* 30 top the reserve up again, 70 are normal and gone. */
	rte_pktmbuf_free_bulk(before, 100);
	assert_int_not_equal(take_entitled(r, m + 30, FLOOR + 1), 0);
	assert_int_equal(take_entitled(r, m + 30, FLOOR), 0);
	rte_pktmbuf_free_bulk(m, 30 + FLOOR);
	reserve_check(r);
}

static void reserve_starved_without_a_floor_serves_nobody(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m;

	assert_int_equal(reserve_floor_set(r, 0), 0);
	assert_int_equal(reserve_fault_starve(r, true), 0);
	assert_int_not_equal(take(r, &m, 1), 0);
	assert_int_not_equal(take_entitled(r, &m, 1), 0);
	assert_int_equal(info(r).depth_pct, 100);
}

static void reserve_starved_before_arming_waits_for_it(void **state)
{
	struct reserve *r = pool_make(TOTAL, FLOOR);
	struct rte_mbuf *m[TOTAL];

	assert_int_equal(reserve_fault_starve(r, true), 0);
	assert_int_equal(take(r, m, TOTAL - 1), 0);
	assert_int_equal(info(r).dips, 0);
	assert_false(reserve_emergency(m[0]));
	reserve_arm(r);
	assert_int_not_equal(take(r, m + TOTAL - 1, 1), 0);
	rte_pktmbuf_free_bulk(m, TOTAL - 1);
	reserve_destroy(r);
}

static void reserve_fault_fails_exactly_the_calls_it_was_told(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[6];

	assert_int_equal(reserve_fault_fail(r, 2, 3), 0);
	assert_int_equal(take(r, &m[0], 1), 0);
	assert_int_equal(take_entitled(r, &m[1], 1), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_not_equal(take(r, &m[2], 1), 0);
	assert_int_equal(take(r, &m[2], 4), 0);
	assert_int_equal(info(r).refused, 3);
	rte_pktmbuf_free_bulk(m, 6);
	reserve_check(r);
}

#else

static void reserve_faults_are_absent_unless_compiled_in(void **state)
{
	assert_int_equal(reserve_fault_starve(*state, true), -ENOTSUP);
	assert_int_equal(reserve_fault_fail(*state, 0, 1), -ENOTSUP);
	assert_false(info(*state).starved);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#if SLUICE_FAULT_INJECTION
		pool_test(reserve_starved_serves_the_floor_to_the_entitled_only),
		pool_test(reserve_starved_keeps_back_what_the_reserve_has_no_room_for),
		pool_test(reserve_starved_without_a_floor_serves_nobody),
		cmocka_unit_test(reserve_starved_before_arming_waits_for_it),
		pool_test(reserve_fault_fails_exactly_the_calls_it_was_told),
#else
		pool_test(reserve_faults_are_absent_unless_compiled_in),
#endif
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
