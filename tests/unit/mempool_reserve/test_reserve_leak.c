/*
 * test_reserve_leak.c - a planted leak is named, with its owner and its age
 */
#include "tests/unit/mempool_reserve/pool.h"
#include "tests/unit/between.h"

#define SECOND UINT64_C(1000000)

static const struct reserve_leak *row(const struct reserve_leak *rows, unsigned n, uint16_t id)
{
	for (unsigned i = 0; i < n; i++)
		if (rows[i].owner == id)
			return &rows[i];
	return NULL;
}

static void reserve_reports_nothing_when_all_is_back(void **state)
{
	struct reserve *r = *state;
	struct reserve_leak rows[OWNER_MAX];
	struct rte_mbuf *m[TOTAL];

	assert_int_equal(take_entitled(r, m, TOTAL), 0);
	rte_pktmbuf_free_bulk(m, TOTAL);
	assert_int_equal(reserve_leaks(r, 5 * SECOND, rows, OWNER_MAX), 0);
	/* Nor does the first report colour the second. */
	assert_int_equal(take(r, m, 3), 0);
	assert_int_equal(reserve_leaks(r, 5 * SECOND, rows, OWNER_MAX), 1);
	assert_int_equal(rows[0].count, 3);
	rte_pktmbuf_free_bulk(m, 3);
}

static void reserve_names_the_owner_and_age_of_a_planted_leak(void **state)
{
	struct reserve *r = *state;
	struct reserve_leak rows[OWNER_MAX];
	const struct reserve_leak *leak, *ring;
	struct rte_mbuf *m[16];
	uint16_t disk = (uint16_t)reserve_owner_add(r, "disk7", OWNER_NONE, 0);
	unsigned n;

	assert_int_equal(take(r, m, 16), 0);
	for (unsigned i = 0; i < 3; i++) /* never freed: the leak */
		assert_true(reserve_move(m[i], disk, 100 * SECOND));
	for (unsigned i = 3; i < 8; i++)
		assert_true(reserve_move(m[i], disk, 130 * SECOND - 5000));
	n = reserve_leaks(r, 130 * SECOND, rows, OWNER_MAX);
	assert_int_equal(n, 2);
	leak = row(rows, n, disk);
	ring = row(rows, n, OWNER_RING);
	assert_non_null(leak);
	assert_non_null(ring);
	assert_string_equal(leak->name, "disk7");
	assert_int_equal(leak->count, 8);
	assert_int_equal(leak->ages[1], 5);
	assert_int_equal(leak->ages[5], 3);
	assert_between(leak->oldest_us, 30 * SECOND - 2048, 30 * SECOND + 2048);
	assert_int_equal(ring->count, 8);
	rte_pktmbuf_free_bulk(m, 16);
}

static void reserve_age_is_that_of_the_last_hand_over(void **state)
{
	struct reserve *r = *state;
	struct reserve_leak rows[4];
	struct rte_mbuf *m;

	assert_int_equal(take(r, &m, 1), 0);
	assert_true(reserve_move(m, OWNER_HOLD, 10 * SECOND));
	assert_true(reserve_move(m, OWNER_HOLD, 15 * SECOND)); /* it had it already */
	assert_int_equal(reserve_leaks(r, 20 * SECOND, rows, 4), 1);
	assert_between(rows[0].oldest_us, 10 * SECOND - 2048, 10 * SECOND + 2048);
	assert_true(reserve_move(m, OWNER_EXCEPTION, 15 * SECOND));
	assert_int_equal(reserve_leaks(r, 20 * SECOND, rows, 4), 1);
	assert_int_equal(rows[0].owner, OWNER_EXCEPTION);
	assert_between(rows[0].oldest_us, 5 * SECOND - 2048, 5 * SECOND + 2048);
	rte_pktmbuf_free(m);
}

static void reserve_leak_ages_fall_into_their_buckets(void **state)
{
	static const uint64_t age_us[RESERVE_AGE_BUCKETS] = {
		0, 5000, 50000, 500000, 5000000, 30000000, 300000000, 3000000000};
	uint64_t now = 4000 * SECOND;
	struct reserve *r = *state;
	struct reserve_leak rows[4];
	struct rte_mbuf *m[RESERVE_AGE_BUCKETS];

	assert_int_equal(take(r, m, RESERVE_AGE_BUCKETS), 0);
	for (unsigned i = 0; i < RESERVE_AGE_BUCKETS; i++)
		assert_true(reserve_move(m[i], OWNER_HOLD, now - age_us[i]));
	assert_int_equal(reserve_leaks(r, now, rows, 4), 1);
	for (unsigned i = 0; i < RESERVE_AGE_BUCKETS; i++)
		assert_int_equal(rows[0].ages[i], 1);
	rte_pktmbuf_free_bulk(m, RESERVE_AGE_BUCKETS);
}

static void reserve_leaks_stops_at_the_room_it_was_given(void **state)
{
	struct reserve *r = *state;
	struct reserve_leak rows[2] = {{.count = 0}, {.count = 12345}};
	struct rte_mbuf *m[2];

	assert_int_equal(take(r, m, 2), 0);
	assert_true(reserve_move(m[0], OWNER_HOLD, 0));
	assert_int_equal(reserve_leaks(r, 0, rows, 1), 1);
	assert_int_equal(rows[0].count, 1);
	assert_int_equal(rows[1].count, 12345);
	rte_pktmbuf_free_bulk(m, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pool_test(reserve_reports_nothing_when_all_is_back),
		pool_test(reserve_names_the_owner_and_age_of_a_planted_leak),
		pool_test(reserve_age_is_that_of_the_last_hand_over),
		pool_test(reserve_leak_ages_fall_into_their_buckets),
		pool_test(reserve_leaks_stops_at_the_room_it_was_given),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
