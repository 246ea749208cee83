/*
 * test_reserve_ops.c - what the pool promises to drivers and to storage
 */
#include <errno.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include "tests/unit/mempool_reserve/pool.h"

static void reserve_refuses_a_floor_above_the_total(void **state)
{
	assert_null(pool_make(TOTAL, TOTAL + 1));
	assert_int_equal(rte_errno, EINVAL);
	assert_null(pool_make(0, 0));
	assert_int_equal(rte_errno, EINVAL);
}

static void reserve_destroy_accepts_null(void **state)
{
	reserve_destroy(NULL);
}

static void reserve_keeps_what_is_sent_off_page_edges(void **state)
{
	const struct reserve_config cfg = {.name = "sent", .total_count = TOTAL, .is_sent = true,
		.data_bytes = 128 + RTE_PKTMBUF_HEADROOM, .socket = SOCKET_ID_ANY};
	struct reserve *r = reserve_create(&cfg);
	struct rte_mbuf *m[TOTAL];

	assert_non_null(r);
	assert_int_equal(take(r, m, TOTAL), 0);
	for (unsigned i = 0; i < TOTAL; i++) {
		uintptr_t first = (uintptr_t)m[i]->buf_addr, last = first + m[i]->buf_len - 1;

		assert_int_equal(first / RTE_PGSIZE_4K, last / RTE_PGSIZE_4K);
		assert_int_equal(rte_mbuf_iova_get(m[i]), first);
	}
	rte_pktmbuf_free_bulk(m, TOTAL);
	reserve_check(r);
	reserve_destroy(r);
}

/* af_xdp gives the kernel count times size bytes, and every mbuf must lie in them. */
static void reserve_packs_what_is_received(void **state)
{
	const struct rte_mempool *mp = reserve_pool(*state);
	size_t each = mp->header_size + mp->elt_size + mp->trailer_size;
	uintptr_t lowest = UINTPTR_MAX, highest = 0;
	struct rte_mbuf *m[TOTAL];

	assert_int_equal(take_entitled(*state, m, TOTAL), 0);
	for (unsigned i = 0; i < TOTAL; i++) {
		lowest = RTE_MIN(lowest, (uintptr_t)m[i]);
		highest = RTE_MAX(highest, (uintptr_t)m[i]);
	}
	assert_int_equal(highest - lowest, (TOTAL - 1) * each);
	rte_pktmbuf_free_bulk(m, TOTAL);
}

static void reserve_refuses_a_name_in_use(void **state)
{
	assert_null(pool_make(TOTAL, FLOOR));
	assert_int_equal(rte_errno, EEXIST);
}

static void reserve_has_no_cache_to_hide_in(void **state)
{
	struct reserve *r = *state;

	assert_int_equal(reserve_pool(r)->cache_size, 0);
	assert_int_equal(rte_mempool_avail_count(reserve_pool(r)), TOTAL);
	assert_int_equal(info(r).free, TOTAL);
}

static void reserve_serves_anyone_while_disarmed(void **state)
{
	struct reserve *r = pool_make(TOTAL, FLOOR);
	struct rte_mbuf *m[TOTAL];

	assert_non_null(r);
	assert_int_equal(take(r, m, TOTAL), 0);
	assert_int_equal(info(r).free, 0);
	assert_int_equal(info(r).dips, 0);
	assert_int_equal(owner(r, OWNER_RING).used, TOTAL);
	assert_false(reserve_emergency(m[0]));
	rte_pktmbuf_free_bulk(m, TOTAL / 2);
	reserve_arm(r);
	assert_int_equal(info(r).low_water, TOTAL / 2);
	reserve_check(r);
	rte_pktmbuf_free_bulk(m + TOTAL / 2, TOTAL / 2);
	reserve_check(r);
	reserve_destroy(r);
}

static void reserve_keeps_floor_for_the_entitled(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[TOTAL + 1];

	assert_int_equal(take(r, m, TOTAL - FLOOR), 0);
	assert_int_not_equal(take(r, m + TOTAL - FLOOR, 1), 0);
	assert_int_equal(info(r).refused, 1);
	assert_int_equal(info(r).refused_entitled, 0);
	assert_int_equal(take_entitled(r, m + TOTAL - FLOOR, FLOOR), 0);
	assert_int_equal(info(r).free, 0);
	assert_int_equal(info(r).low_water, 0);
	assert_int_equal(info(r).dips, FLOOR);
	assert_int_not_equal(take_entitled(r, m + TOTAL, 1), 0);
	assert_int_equal(info(r).refused_entitled, 1);
	reserve_check(r);
	rte_pktmbuf_free_bulk(m, TOTAL);
}

static void reserve_is_topped_up_before_anyone_else_is_served(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[TOTAL], *one;

	assert_int_equal(take_entitled(r, m, TOTAL), 0);
	rte_pktmbuf_free_bulk(m, FLOOR);
	assert_int_not_equal(take(r, &one, 1), 0);
	rte_pktmbuf_free(m[FLOOR]);
	assert_int_equal(take(r, &one, 1), 0);
	assert_false(reserve_emergency(one));
	rte_pktmbuf_free(one);
	rte_pktmbuf_free_bulk(m + FLOOR + 1, TOTAL - FLOOR - 1);
	reserve_check(r);
}

static void reserve_dequeue_is_all_or_nothing(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *mark = (struct rte_mbuf *)0x1, *m[TOTAL + 1];

	for (unsigned i = 0; i < TOTAL + 1; i++)
		m[i] = mark;
	assert_int_not_equal(take(r, m, TOTAL - FLOOR + 1), 0);
	assert_int_not_equal(take_entitled(r, m, TOTAL + 1), 0);
	for (unsigned i = 0; i < TOTAL + 1; i++)
		assert_ptr_equal(m[i], mark);
	assert_int_equal(info(r).free, TOTAL);
	assert_int_equal(info(r).allocs, 0);
}

static void reserve_stamps_only_what_came_from_below(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[TOTAL];
	unsigned stamped = 0;

	assert_int_equal(take(r, m, TOTAL - FLOOR - 10), 0);
	assert_int_equal(take_entitled(r, m + TOTAL - FLOOR - 10, 32), 0);
	for (unsigned i = 0; i < TOTAL - FLOOR + 22; i++)
		stamped += reserve_emergency(m[i]);
	assert_int_equal(stamped, 22);
	assert_int_equal(info(r).dips, 22);
	assert_int_equal(info(r).emergency, 22);
	/* It stays so whoever has it: the depth of that moment is a fact of its past. */
	assert_true(reserve_move(m[TOTAL - FLOOR - 10], OWNER_UNCLASSIFIED, 0));
	assert_true(reserve_emergency(m[TOTAL - FLOOR - 10]));
	rte_pktmbuf_free_bulk(m, TOTAL - FLOOR + 22);
	assert_int_equal(info(r).emergency, 0);
	assert_int_equal(info(r).emergency_peak, 22);
	assert_int_equal(take(r, m, TOTAL - FLOOR), 0);
	for (unsigned i = 0; i < TOTAL - FLOOR; i++)
		assert_false(reserve_emergency(m[i]));
	rte_pktmbuf_free_bulk(m, TOTAL - FLOOR);
}

static void reserve_hands_out_the_hottest_first(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[8], *again;

	assert_int_equal(take(r, m, 8), 0);
	rte_pktmbuf_free_bulk(m, 8);
	assert_int_equal(take(r, &again, 1), 0);
	assert_ptr_equal(again, m[7]);
	rte_pktmbuf_free(again);
}

static void reserve_remembers_the_debt_of_a_ring(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[TOTAL], *ring[32];

	assert_int_equal(take_entitled(r, m, TOTAL - 8), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_not_equal(take_entitled(r, ring, 32), 0);
	assert_int_equal(info(r).ring_debt, 32);
	assert_int_equal(info(r).refused_run, 3);
	/* Somebody else being served does not fill the ring. */
	rte_pktmbuf_free_bulk(m, FLOOR);
	assert_int_equal(take(r, m, 1), 0);
	assert_int_equal(info(r).ring_debt, 32);
	assert_int_equal(take_entitled(r, ring, 32), 0);
	assert_int_equal(info(r).ring_debt, 0);
	assert_int_equal(info(r).refused_run, 0);
	assert_int_equal(info(r).refused_run_max, 3);
	assert_int_equal(info(r).refused_entitled, 3);
	rte_pktmbuf_free_bulk(ring, 32);
	rte_pktmbuf_free(m[0]);
	rte_pktmbuf_free_bulk(m + FLOOR, TOTAL - 8 - FLOOR);
	reserve_check(r);
}

static void reserve_floor_makes_the_round_trip(void **state)
{
	struct reserve *r = *state;
	struct reserve_info before = info(r);
	struct rte_mbuf *m[TOTAL];

	assert_int_equal(reserve_floor_set(r, TOTAL + 1), -ENOSPC);
	assert_int_equal(info(r).floor, FLOOR);
	assert_int_equal(take(r, m, TOTAL - FLOOR), 0);
	assert_int_equal(reserve_floor_set(r, 2 * FLOOR), 0);
	/* Nothing is taken away from those who hold it, but what comes back fills the reserve. */
	assert_int_equal(info(r).free, FLOOR);
	assert_int_equal(info(r).depth_pct, 50);
	rte_pktmbuf_free_bulk(m, FLOOR);
	assert_int_not_equal(take(r, m, 1), 0);
	assert_int_equal(reserve_floor_set(r, FLOOR), 0);
	assert_int_equal(take(r, m, FLOOR), 0);
	rte_pktmbuf_free_bulk(m, TOTAL - FLOOR);
	assert_int_equal(info(r).free, before.free);
	assert_int_equal(info(r).floor, before.floor);
	assert_int_equal(info(r).depth_pct, 0);
	reserve_check(r);
}

static void reserve_counts_what_went_and_came(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[10];

	assert_int_equal(take(r, m, 10), 0);
	rte_pktmbuf_free_bulk(m, 4);
	assert_int_equal(info(r).allocs, 10);
	assert_int_equal(info(r).frees, 4);
	assert_int_equal(info(r).low_water, TOTAL - 10);
	rte_pktmbuf_free_bulk(m + 4, 6);
	assert_int_equal(info(r).frees, 10);
}

static void reserve_external_buffers_leave_the_owner_alone(void **state)
{
	struct reserve *r = *state;
	static uint8_t buf[256];
	struct rte_mbuf_ext_shared_info shared = {.refcnt = 1};
	struct rte_mbuf *m;

	assert_int_equal(take(r, &m, 1), 0);
	reserve_force(m, OWNER_TX, 0);
	rte_pktmbuf_attach_extbuf(m, buf, RTE_BAD_IOVA, sizeof(buf), &shared);
	rte_mbuf_ext_refcnt_update(&shared, 1); /* ours: the buffer is not to be freed */
	assert_int_equal(reserve_owner(m), OWNER_TX);
	rte_pktmbuf_free(m);
	assert_int_equal(owner(r, OWNER_TX).used, 0);
	assert_int_equal(rte_mbuf_ext_refcnt_read(&shared), 1);
	reserve_check(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reserve_refuses_a_floor_above_the_total),
		cmocka_unit_test(reserve_destroy_accepts_null),
		cmocka_unit_test(reserve_keeps_what_is_sent_off_page_edges),
		pool_test(reserve_packs_what_is_received),
		pool_test(reserve_refuses_a_name_in_use),
		pool_test(reserve_has_no_cache_to_hide_in),
		cmocka_unit_test(reserve_serves_anyone_while_disarmed),
		pool_test(reserve_keeps_floor_for_the_entitled),
		pool_test(reserve_is_topped_up_before_anyone_else_is_served),
		pool_test(reserve_dequeue_is_all_or_nothing),
		pool_test(reserve_stamps_only_what_came_from_below),
		pool_test(reserve_hands_out_the_hottest_first),
		pool_test(reserve_remembers_the_debt_of_a_ring),
		pool_test(reserve_floor_makes_the_round_trip),
		pool_test(reserve_counts_what_went_and_came),
		pool_test(reserve_external_buffers_leave_the_owner_alone),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
