/*
 * test_reserve_threads.c - the control thread looks on while the worker works
 *
 * The worker counts with relaxed stores and no lock. Under the thread sanitizer this test shows
 * that no access races; without it, that what the control thread sees is always possible.
 */
#include <pthread.h>
#include "tests/unit/mempool_reserve/pool.h"

#define TURNS 20000u

struct stage {
	struct reserve *r;
	bool is_over;	   /* the worker is done */
	unsigned looks;	   /* the watcher's rounds */
	unsigned nonsense; /* impossible things it saw */
};

static unsigned look(const struct reserve *r)
{
	struct reserve_owner_info owners[OWNER_MAX];
	struct reserve_leak leaks[OWNER_MAX];
	struct reserve_info now = info(r);
	unsigned n, bad = 0;

	bad += now.free > TOTAL || now.depth_pct > 100 || now.low_water > TOTAL;
	n = reserve_owners(r, owners, OWNER_MAX);
	bad += n < OWNER_FIXED_COUNT;
	for (unsigned i = 0; i < n; i++)
		bad += owners[i].used > TOTAL;
	n = reserve_leaks(r, 1000000, leaks, OWNER_MAX);
	for (unsigned i = 0; i < n; i++)
		bad += leaks[i].count > TOTAL || leaks[i].owner >= OWNER_MAX;
	return bad;
}

/* As attach and detach do, with owners the worker does not use, and one whose limit falls below
 * what it held. */
static unsigned attach_and_detach(struct reserve *r)
{
	int dev = reserve_owner_add(r, "disk", OWNER_NONE, 10);

	reserve_owner_limit(r, OWNER_EXCEPTION, 0);
	reserve_owner_limit(r, OWNER_EXCEPTION, BURST_MAX / 4);
	reserve_owner_limit(r, OWNER_EXCEPTION, 0);
	reserve_fault_fail(r, 0, 1);
	return dev < OWNER_FIXED_COUNT || reserve_owner_del(r, (uint16_t)dev) != 0;
}

static void *watch(void *arg)
{
	struct stage *st = arg;

	do {
		st->nonsense += look(st->r) + attach_and_detach(st->r);
		st->looks++;
	} while (!__atomic_load_n(&st->is_over, __ATOMIC_ACQUIRE));
	return NULL;
}

static void turn(struct reserve *r, unsigned n)
{
	struct rte_mbuf *m[BURST_MAX];

	if (take_entitled(r, m, BURST_MAX) == 0) {
		for (unsigned i = 0; i < BURST_MAX; i++) {
			reserve_force(m[i], OWNER_UNCLASSIFIED, n);
			reserve_move(m[i], i % 2 ? OWNER_EXCEPTION : OWNER_HOLD, n);
		}
		reserve_check(r);
		rte_pktmbuf_free_bulk(m, BURST_MAX);
	}
	assert_int_equal(reserve_floor_set(r, n % 2 ? FLOOR : TOTAL - BURST_MAX / 2), 0);
	reserve_level_update(r);
	reserve_check(r);
}

static void reserve_may_be_watched_while_it_works(void **state)
{
	struct stage st = {.r = *state};
	pthread_t watcher;

	assert_int_equal(pthread_create(&watcher, NULL, watch, &st), 0);
	for (unsigned n = 0; n < TURNS; n++)
		turn(st.r, n);
	__atomic_store_n(&st.is_over, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(watcher, NULL), 0);
	assert_true(st.looks > 0);
	assert_int_equal(st.nonsense, 0);
	assert_int_equal(info(st.r).free, TOTAL);
	reserve_check(st.r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pool_test(reserve_may_be_watched_while_it_works),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
