/*
 * test_reserve_ledger.c - every mbuf has one owner, and limits hold for it and all above it
 */
#include <errno.h>
#include <string.h>
#include "tests/unit/mempool_reserve/pool.h"

/* A packet of @n segments, all of them the ring's. */
static struct rte_mbuf *chain(struct reserve *r, unsigned n)
{
	struct rte_mbuf *m[32];

	assert_true(n <= RTE_DIM(m));
	assert_int_equal(take(r, m, n), 0);
	for (unsigned i = 1; i < n; i++)
		assert_int_equal(rte_pktmbuf_chain(m[0], m[i]), 0);
	return m[0];
}

static void reserve_charges_the_ring_until_the_mbuf_moves(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m = chain(r, 1);

	assert_ptr_equal(reserve_of(m), r);
	assert_int_equal(reserve_owner(m), OWNER_RING);
	assert_true(reserve_move(m, OWNER_UNCLASSIFIED, 0));
	assert_int_equal(reserve_owner(m), OWNER_UNCLASSIFIED);
	assert_int_equal(owner(r, OWNER_RING).used, 0);
	assert_int_equal(owner(r, OWNER_RING).peak, 1);
	assert_int_equal(owner(r, OWNER_UNCLASSIFIED).used, 1);
	reserve_check(r);
	rte_pktmbuf_free(m);
	assert_int_equal(owner(r, OWNER_UNCLASSIFIED).used, 0);
	assert_int_equal(owner(r, OWNER_UNCLASSIFIED).peak, 1);
	reserve_check(r);
}

static void reserve_uncharges_each_owner_of_a_mixed_free(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[12];

	assert_int_equal(take(r, m, 12), 0);
	for (unsigned i = 0; i < 12; i++)
		reserve_force(m[i], (uint16_t)(i % 3), 0);
	rte_pktmbuf_free_bulk(m, 7);
	assert_int_equal(owner(r, 0).used, 1);
	assert_int_equal(owner(r, 1).used, 2);
	assert_int_equal(owner(r, 2).used, 2);
	rte_pktmbuf_free_bulk(m + 7, 5);
	reserve_check(r);
	assert_int_equal(info(r).free, TOTAL);
}

static void reserve_limit_refuses_a_whole_chain(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *four = chain(r, 4), *three = chain(r, 3);

	reserve_owner_limit(r, OWNER_HOLD, 6);
	assert_true(reserve_move(four, OWNER_HOLD, 0));
	assert_false(reserve_move(three, OWNER_HOLD, 0));
	assert_int_equal(owner(r, OWNER_HOLD).used, 4);
	assert_int_equal(owner(r, OWNER_HOLD).peak, 4);
	assert_int_equal(owner(r, OWNER_HOLD).refused, 1);
	assert_int_equal(owner(r, OWNER_RING).used, 3);
	assert_int_equal(reserve_owner(three), OWNER_RING);
	reserve_force(three, OWNER_HOLD, 0);
	assert_int_equal(owner(r, OWNER_HOLD).used, 7);
	reserve_check(r);
	rte_pktmbuf_free(four);
	rte_pktmbuf_free(three);
}

static void reserve_limit_counts_against_ancestors(void **state)
{
	struct reserve *r = *state;
	int dev = reserve_owner_add(r, "disk0", OWNER_NONE, 5);
	int in_order = reserve_owner_add(r, "in order", (uint16_t)dev, 0);
	int ooo = reserve_owner_add(r, "out of order", (uint16_t)dev, 3);
	struct rte_mbuf *a = chain(r, 3), *b = chain(r, 3);

	assert_true(dev >= OWNER_FIXED_COUNT && in_order > dev && ooo > in_order);
	assert_true(reserve_move(a, (uint16_t)ooo, 0));
	assert_int_equal(owner(r, (uint16_t)dev).used, 3);
	assert_false(reserve_move(b, (uint16_t)in_order, 0));
	assert_int_equal(owner(r, (uint16_t)dev).refused, 1);
	assert_int_equal(owner(r, (uint16_t)in_order).refused, 0);
	/* Within the device nothing is added, so its own limit cannot refuse. */
	reserve_owner_limit(r, (uint16_t)dev, 3);
	assert_true(reserve_move(a, (uint16_t)in_order, 0));
	assert_int_equal(owner(r, (uint16_t)dev).used, 3);
	assert_int_equal(owner(r, (uint16_t)dev).peak, 3);
	assert_int_equal(owner(r, (uint16_t)ooo).used, 0);
	reserve_check(r);
	rte_pktmbuf_free(a);
	rte_pktmbuf_free(b);
	assert_int_equal(owner(r, (uint16_t)dev).used, 0);
	reserve_check(r);
}

static void reserve_owner_goes_only_when_empty(void **state)
{
	struct reserve *r = *state;
	int dev = reserve_owner_add(r, "disk0", OWNER_NONE, 0);
	int part = reserve_owner_add(r, "part", (uint16_t)dev, 0);
	struct rte_mbuf *m = chain(r, 1);

	reserve_force(m, (uint16_t)part, 0);
	assert_int_equal(reserve_owner_del(r, (uint16_t)part), -EBUSY);
	rte_pktmbuf_free(m);
	assert_int_equal(reserve_owner_del(r, (uint16_t)dev), -EBUSY);
	assert_int_equal(reserve_owner_del(r, (uint16_t)part), 0);
	assert_int_equal(reserve_owner_del(r, (uint16_t)part), -EINVAL);
	assert_int_equal(reserve_owner_del(r, (uint16_t)dev), 0);
	assert_int_equal(reserve_owner_del(r, OWNER_RING), -EINVAL);
	assert_int_equal(reserve_owner_del(r, OWNER_MAX), -EINVAL);
	/* A new owner in an old place starts afresh. */
	assert_int_equal(reserve_owner_add(r, "disk1", OWNER_NONE, 7), dev);
	assert_int_equal(owner(r, (uint16_t)dev).peak, 0);
	assert_int_equal(owner(r, (uint16_t)dev).limit, 7);
	assert_string_equal(owner(r, (uint16_t)dev).name, "disk1");
}

static void reserve_owners_are_bounded(void **state)
{
	struct reserve *r = *state;
	int id = OWNER_NONE;

	assert_int_equal(reserve_owner_add(r, "orphan", 200, 0), -EINVAL);
	for (unsigned depth = 0; depth < OWNER_DEPTH_MAX; depth++) {
		id = reserve_owner_add(r, "deeper", (uint16_t)id, 0);
		assert_true(id >= 0);
	}
	assert_int_equal(reserve_owner_add(r, "too deep", (uint16_t)id, 0), -ENOSPC);
	for (unsigned n = OWNER_FIXED_COUNT + OWNER_DEPTH_MAX; n < OWNER_MAX; n++)
		assert_true(reserve_owner_add(r, "more", OWNER_NONE, 0) >= 0);
	assert_int_equal(reserve_owner_add(r, "too many", OWNER_NONE, 0), -ENOSPC);
}

static void reserve_lists_parents_before_children(void **state)
{
	struct reserve *r = *state;
	struct reserve_owner_info out[OWNER_MAX];
	uint16_t first = (uint16_t)reserve_owner_add(r, "first", OWNER_NONE, 0);
	uint16_t parent = (uint16_t)reserve_owner_add(r, "parent", OWNER_NONE, 0);
	unsigned n, parent_at = 0, child_at = 0;

	assert_int_equal(reserve_owner_del(r, first), 0);
	assert_int_equal(reserve_owner_add(r, "child", parent, 0), first);
	n = reserve_owners(r, out, OWNER_MAX);
	assert_int_equal(n, OWNER_FIXED_COUNT + 2);
	for (unsigned i = 0; i < n; i++) {
		if (out[i].id == parent)
			parent_at = i;
		if (out[i].id == first)
			child_at = i;
	}
	assert_true(parent_at < child_at);
	assert_int_equal(out[child_at].parent, parent);
	assert_string_equal(out[OWNER_RING].name, "ring");
	assert_int_equal(reserve_owners(r, out, 3), 3);
}

static void reserve_accepts_foreign_mbufs_uncounted(void **state)
{
	struct reserve *r = *state;
	struct rte_mempool *mp =
		rte_pktmbuf_pool_create("foreign", 15, 0, 0, RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	struct rte_mbuf *ours = chain(r, 1), *theirs = rte_pktmbuf_alloc(mp);

	assert_non_null(theirs);
	assert_null(reserve_of(theirs));
	assert_int_equal(reserve_owner(theirs), OWNER_NONE);
	assert_false(reserve_emergency(theirs));
	assert_int_equal(rte_pktmbuf_chain(theirs, ours), 0);
	assert_true(reserve_move(theirs, OWNER_EXCEPTION, 0));
	assert_int_equal(owner(r, OWNER_EXCEPTION).used, 1);
	reserve_owner_limit(r, OWNER_HOLD, 0);
	reserve_check(r);
	rte_pktmbuf_free(theirs);
	assert_int_equal(info(r).free, TOTAL);
	rte_mempool_free(mp);
}

static void reserve_keeps_the_ledgers_of_two_pools_apart(void **state)
{
	struct reserve *r = *state, *hdr;
	struct reserve_config cfg = {.name = "hdr",
		.total_count = 16,
		.floor_count = 0,
		.data_bytes = 256,
		.socket = SOCKET_ID_ANY};
	struct rte_mbuf *m, *payload = chain(r, 2);

	hdr = reserve_create(&cfg);
	assert_non_null(hdr);
	reserve_arm(hdr);
	assert_int_equal(take(hdr, &m, 1), 0);
	assert_int_equal(rte_pktmbuf_chain(m, payload), 0);
	reserve_owner_limit(r, OWNER_TX, 1);
	assert_false(reserve_move(m, OWNER_TX, 0));
	reserve_check(r);
	reserve_check(hdr);
	assert_int_equal(owner(hdr, OWNER_TX).used, 0);
	assert_int_equal(owner(r, OWNER_RING).used, 2);
	reserve_owner_limit(r, OWNER_TX, 2);
	assert_true(reserve_move(m, OWNER_TX, 0));
	assert_int_equal(owner(hdr, OWNER_TX).used, 1);
	assert_int_equal(owner(r, OWNER_TX).used, 2);
	rte_pktmbuf_free(m);
	reserve_check(r);
	reserve_check(hdr);
	reserve_destroy(hdr);
}

/* m[0..1] stay held throughout; a limit that was broken stays on the books. */
static void reserve_lower_limit_begins_a_new_peak(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m[6];

	reserve_owner_limit(r, OWNER_EXCEPTION, 8);
	assert_int_equal(take(r, m, 6), 0);
	for (unsigned i = 0; i < 6; i++)
		assert_true(reserve_move(m[i], OWNER_EXCEPTION, 0));
	rte_pktmbuf_free_bulk(m + 2, 4);
	reserve_owner_limit(r, OWNER_EXCEPTION, 3);
	assert_int_equal(
		reserve_over_limit(r), 0); /* the peak is of another limit, and is not compared */
	reserve_level_update(r);
	assert_int_equal(owner(r, OWNER_EXCEPTION).peak, 2);
	assert_int_equal(reserve_over_limit(r), 0);
	assert_int_equal(take(r, m + 2, 2), 0);
	for (unsigned i = 2; i < 4; i++)
		reserve_force(m[i], OWNER_EXCEPTION, 0);
	assert_int_equal(reserve_over_limit(r), 1);
	rte_pktmbuf_free_bulk(m, 4);
	reserve_owner_limit(r, OWNER_EXCEPTION, 2);
	reserve_level_update(r);
	assert_int_equal(owner(r, OWNER_EXCEPTION).peak, 0);
	assert_int_equal(reserve_over_limit(r), 1);
	reserve_check(r);
}

/* A chain's mbufs are charged each by itself, for others may belong to somebody else. */
static void reserve_charges_single_mbufs_of_a_chain(void **state)
{
	struct reserve *r = *state;
	struct rte_mbuf *m = chain(r, 5), *some[3] = {m, m->next, m->next->next->next};
	int part = reserve_owner_add(r, "part", OWNER_EXCEPTION, 0);

	reserve_force(m, OWNER_UNCLASSIFIED, 0);
	reserve_force_segs(r, some, 3, OWNER_UNCLASSIFIED, (uint16_t)part, 0);
	assert_int_equal(owner(r, OWNER_UNCLASSIFIED).used, 2);
	assert_int_equal(owner(r, (uint16_t)part).used, 3);
	assert_int_equal(owner(r, OWNER_EXCEPTION).used, 3);
	assert_int_equal(owner(r, OWNER_EXCEPTION).peak, 3);
	assert_int_equal(reserve_owner(m->next->next), OWNER_UNCLASSIFIED);
	reserve_check(r);
	/* Not all are where the caller thinks. */
	reserve_force_segs(r, some, 3, OWNER_UNCLASSIFIED, OWNER_HOLD, 0);
	assert_int_equal(owner(r, OWNER_EXCEPTION).used, 0);
	assert_int_equal(owner(r, OWNER_HOLD).used, 3);
	reserve_check(r);
	rte_pktmbuf_free(m);
	assert_int_equal(reserve_owner_del(r, (uint16_t)part), 0);
}

static void reserve_room_is_the_least_on_the_way_up(void **state)
{
	struct reserve *r = *state;
	int part = reserve_owner_add(r, "part", OWNER_EXCEPTION, 5);
	struct rte_mbuf *m = chain(r, 3);

	assert_int_equal(reserve_room(r, OWNER_EXCEPTION), UINT32_MAX);
	assert_int_equal(reserve_room(r, (uint16_t)part), 5);
	reserve_owner_limit(r, OWNER_EXCEPTION, 4);
	reserve_force(m, (uint16_t)part, 0);
	assert_int_equal(reserve_room(r, (uint16_t)part), 1);
	reserve_owner_limit(r, OWNER_EXCEPTION, 2);
	assert_int_equal(reserve_room(r, (uint16_t)part), 0);
	rte_pktmbuf_free(m);
	assert_int_equal(reserve_owner_del(r, (uint16_t)part), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pool_test(reserve_charges_the_ring_until_the_mbuf_moves),
		pool_test(reserve_uncharges_each_owner_of_a_mixed_free),
		pool_test(reserve_limit_refuses_a_whole_chain),
		pool_test(reserve_limit_counts_against_ancestors),
		pool_test(reserve_owner_goes_only_when_empty),
		pool_test(reserve_owners_are_bounded),
		pool_test(reserve_lists_parents_before_children),
		pool_test(reserve_accepts_foreign_mbufs_uncounted),
		pool_test(reserve_keeps_the_ledgers_of_two_pools_apart),
		pool_test(reserve_lower_limit_begins_a_new_peak),
		pool_test(reserve_charges_single_mbufs_of_a_chain),
		pool_test(reserve_room_is_the_least_on_the_way_up),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
