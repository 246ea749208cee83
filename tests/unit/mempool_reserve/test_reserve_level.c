/*
 * test_reserve_level.c - levels follow the depth, with hysteresis
 */
#include "tests/unit/mempool_reserve/pool.h"

/* Brings the pool to exactly @free free mbufs, by what the test holds in @m. */
static void set_free(struct reserve *r, struct rte_mbuf **m, uint32_t free)
{
	uint32_t now = info(r).free, held = TOTAL - now;

	if (now > free)
		assert_int_equal(take_entitled(r, m + held, now - free), 0);
	else if (now < free)
		rte_pktmbuf_free_bulk(m + held - (free - now), free - now);
	assert_int_equal(info(r).free, free);
}

static void reserve_level_has_hysteresis(void **state)
{
	static const struct {
		uint32_t free;
		enum reserve_level level;
	} walk[] = {
		{TOTAL, RESERVE_GREEN},
		{FLOOR + 1, RESERVE_GREEN},
		{FLOOR, RESERVE_GREEN},
		{FLOOR - 1, RESERVE_YELLOW},
		{FLOOR, RESERVE_YELLOW},
		{FLOOR + RESERVE_GREEN_MARGIN_COUNT - 1, RESERVE_YELLOW},
		{FLOOR + RESERVE_GREEN_MARGIN_COUNT, RESERVE_GREEN},
		{FLOOR / 2 + 1, RESERVE_YELLOW},
		{FLOOR / 2, RESERVE_RED},
		{0, RESERVE_RED},
		{FLOOR / 2 + 1, RESERVE_RED},
		{41, RESERVE_RED},
		{42, RESERVE_YELLOW},
		{0, RESERVE_RED},
		{TOTAL, RESERVE_GREEN},
	};
	struct reserve *r = *state;
	struct rte_mbuf *m[TOTAL];

	for (unsigned i = 0; i < RTE_DIM(walk); i++) {
		set_free(r, m, walk[i].free);
		assert_int_equal(reserve_level_update(r), walk[i].level);
		assert_int_equal(reserve_level(r), walk[i].level);
		assert_int_equal(info(r).level, walk[i].level);
	}
}

static void reserve_depth_is_a_share_of_the_floor(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[TOTAL];

	set_free(r, m, FLOOR);
	assert_int_equal(info(r).depth_pct, 0);
	set_free(r, m, FLOOR / 4);
	assert_int_equal(info(r).depth_pct, 75);
	set_free(r, m, 0);
	assert_int_equal(info(r).depth_pct, 100);
	set_free(r, m, TOTAL);
	assert_int_equal(info(r).depth_pct, 0);
}

static void reserve_small_pool_finds_back_to_green(void **state)
{
	struct reserve *r = pool_make(16, 12);
	struct rte_mbuf *m[16];

	reserve_arm(r);
	assert_int_equal(take_entitled(r, m, 5), 0);
	assert_int_equal(reserve_level_update(r), RESERVE_YELLOW);
	rte_pktmbuf_free_bulk(m, 5);
	assert_int_equal(reserve_level_update(r), RESERVE_GREEN);
	reserve_destroy(r);
}

static void reserve_disarmed_is_green(void **state)
{
	struct reserve *r = pool_make(TOTAL, FLOOR);
	struct rte_mbuf *m[TOTAL];

	assert_int_equal(take(r, m, TOTAL), 0);
	assert_int_equal(reserve_level_update(r), RESERVE_GREEN);
	reserve_arm(r);
	assert_int_equal(reserve_level_update(r), RESERVE_RED);
	rte_pktmbuf_free_bulk(m, TOTAL);
	reserve_destroy(r);
}

static void reserve_without_a_floor_is_red_when_empty(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[TOTAL];

	assert_int_equal(reserve_floor_set(r, 0), 0);
	assert_int_equal(take(r, m, TOTAL - 1), 0);
	assert_int_equal(reserve_level_update(r), RESERVE_GREEN);
	assert_int_equal(take(r, m + TOTAL - 1, 1), 0);
	assert_int_equal(reserve_level_update(r), RESERVE_RED);
	rte_pktmbuf_free_bulk(m, TOTAL);
	assert_int_equal(reserve_level_update(r), RESERVE_GREEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pool_test(reserve_level_has_hysteresis),
		pool_test(reserve_depth_is_a_share_of_the_floor),
		cmocka_unit_test(reserve_small_pool_finds_back_to_green),
		cmocka_unit_test(reserve_disarmed_is_green),
		pool_test(reserve_without_a_floor_is_red_when_empty),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
