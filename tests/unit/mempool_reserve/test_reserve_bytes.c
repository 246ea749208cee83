/*
 * test_reserve_bytes.c - what a pool will take is known before it is made, to a hundredth
 *
 * DPDK's heap is the judge: what a pool takes from it.
 */
#include <rte_malloc.h>
#include "tests/unit/mempool_reserve/pool.h"
#include "tests/unit/between.h"

#define PAGE_BYTES 4096 /* this EAL has no hugepages */

static uint64_t heap_used(void)
{
	struct rte_malloc_socket_stats s;
	uint64_t used = 0;

	for (int i = 0; i < RTE_MAX_NUMA_NODES; i++)
		if (rte_malloc_get_socket_stats(i, &s) == 0)
			used += s.heap_allocsz_bytes;
	return used;
}

static void assert_close(uint64_t told, uint64_t taken)
{
	assert_between(told, taken - taken / 100, taken + taken / 100);
}

static void check(const struct reserve_config *cfg)
{
	uint64_t before = heap_used(), taken;
	struct reserve *r = reserve_create(cfg);

	assert_non_null(r);
	taken = heap_used() - before;
	assert_close(reserve_bytes(r), taken);
	assert_close(reserve_bytes_plan(cfg, PAGE_BYTES), taken);
	reserve_destroy(r);
}

static void pool_of_frames_takes_what_was_planned(void **state)
{
	check(&(struct reserve_config){.name = "frames",
		.total_count = 4096,
		.data_bytes = MBUF_DATA_BYTES + RTE_PKTMBUF_HEADROOM,
		.socket = SOCKET_ID_ANY});
}

static void pool_that_keeps_to_pages_takes_what_was_planned(void **state)
{
	check(&(struct reserve_config){.name = "sent",
		.total_count = 8191,
		.data_bytes = HDR_DATA_BYTES + RTE_PKTMBUF_HEADROOM,
		.is_sent = true,
		.socket = SOCKET_ID_ANY});
}

static void pool_that_is_not_ours_is_counted_too(void **state)
{
	uint64_t before = heap_used(), taken;
	struct rte_mempool *mp =
		rte_pktmbuf_pool_create_by_ops("foreign", 8191, 0, 24, 0, SOCKET_ID_ANY, "stack");

	assert_non_null(mp);
	taken = heap_used() - before;
	assert_between(reserve_foreign_bytes(mp), taken - taken / 20, taken);
	rte_mempool_free(mp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_of_frames_takes_what_was_planned),
		cmocka_unit_test(pool_that_keeps_to_pages_takes_what_was_planned),
		cmocka_unit_test(pool_that_is_not_ours_is_counted_too),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
