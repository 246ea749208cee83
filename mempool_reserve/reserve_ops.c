/*
 * reserve_ops.c - how mbufs leave and enter the pool
 *
 * Every driver takes and gives its mbufs through rte_mempool ops, so this is the one place that no
 * path goes around. The pool is a stack and a floor. A free raises the stack, and what lies below
 * the floor is the reserve: it is refilled first because there is nothing else to fill. Last in,
 * first out hands the mbuf that is still in the cache to the next packet.
 *
 * One comparison decides whether a dequeue is plain: enough is free that the guard stays untouched.
 * The guard is the floor, or the highest number there is while anything unusual is going on (a
 * fault was planted, a refill was refused), so all that is unusual costs the plain path nothing.
 *
 * A refused dequeue leaves the table alone: drivers keep their old mbufs in it.
 *
 * One worker. Always: slots[0..free) are the free objects, each with a tag of zero once tagged.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <rte_branch_prediction.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include "mempool_reserve/reserve_impl.h"

/* Runs before the pool has an object; the stack gets room for all of them. */
static int ops_alloc(struct rte_mempool *mp)
{
	struct reserve *r;

	r = rte_zmalloc_socket("reserve", sizeof(*r), RTE_CACHE_LINE_SIZE,
		mp->socket_id); /* reserve_bytes.c counts */
	if (!r)
		return -ENOMEM;
	r->slots = rte_zmalloc_socket(
		"reserve_slots", sizeof(void *) * mp->size, RTE_CACHE_LINE_SIZE, mp->socket_id);
	r->free_map = rte_zmalloc_socket("reserve_map", (mp->size + 63) / 64 * sizeof(uint64_t),
		RTE_CACHE_LINE_SIZE, mp->socket_id);
	if (!r->slots || !r->free_map) {
		rte_free(r->free_map);
		rte_free(r->slots);
		rte_free(r);
		return -ENOMEM;
	}
	r->pool = mp;
	r->total = mp->size;
	rte_spinlock_init(&r->leak_lock);
	ledger_init(r);
	mp->pool_data = r;
	return 0;
}

static void ops_free(struct rte_mempool *mp)
{
	struct reserve *r = mp->pool_data;

	if (!r)
		return;
	rte_free(r->free_map);
	rte_free(r->slots);
	rte_free(r);
	mp->pool_data = NULL;
}

static unsigned ops_count(const struct rte_mempool *mp)
{
	const struct reserve *r = mp->pool_data;

	return relaxed_load(&r->free);
}

/* The common end of a dequeue: @n leave from the top, and belong to the ring. */
static inline void pop(struct reserve *r, void **obj_table, uint32_t n)
{
	uint32_t left = r->free - n;

	memcpy(obj_table, &r->slots[left], n * sizeof(*obj_table));
	relaxed_store(&r->free, left);
	relaxed_lower(&r->low_water, left);
	relaxed_add(&r->allocs, n);
	relaxed_add(&r->owners[OWNER_RING].used, n);
	relaxed_raise(&r->owners[OWNER_RING].peak, r->owners[OWNER_RING].used);
}

static uint32_t available(const struct reserve *r)
{
	if (!r->is_armed || (r->is_entitled && !r->is_starved))
		return r->free;
	if (r->is_starved)
		return r->is_entitled ? r->free - r->hidden : 0;
	return r->free > r->floor ? r->free - r->floor : 0;
}

/* Stamps what came from below the floor; the deepest lie first in the table. */
static void stamp_emergency(struct reserve *r, void *const *obj_table, uint32_t n, uint32_t left)
{
	uint32_t below;

	if (!r->is_armed)
		return;
	below = left < r->floor ? RTE_MIN(n, r->floor - left) : 0;
	if (r->is_starved)
		below = n;
	for (uint32_t i = 0; i < below; i++)
		relaxed_store(&tag_of(r, obj_table[i])->held, OWNER_RING | TAG_EMERGENCY);
	relaxed_add(&r->dips, below);
	relaxed_add(&r->emergency, below);
	relaxed_raise(&r->emergency_peak, r->emergency);
}

static int refuse(struct reserve *r, uint32_t n)
{
	relaxed_add(&r->refused, 1);
	if (r->is_entitled) {
		relaxed_add(&r->refused_entitled, 1);
		relaxed_add(&r->refused_run, 1);
		relaxed_raise(&r->refused_run_max, r->refused_run);
		relaxed_add(&r->alarms, r->refused_run == RESERVE_ALARM_RUN);
		relaxed_store(&r->ring_debt, n);
	}
	guard_set(r);
	return -ENOBUFS;
}

/* True if an injected fault makes this dequeue fail. */
static bool fault_hits(struct reserve *r)
{
	uint32_t skip = relaxed_load(&r->fail_skip), count = relaxed_load(&r->fail_count);

	if (skip) {
		relaxed_store(&r->fail_skip, skip - 1);
		return false;
	}
	if (!count)
		return false;
	relaxed_store(&r->fail_count, count - 1);
	return true;
}

static __rte_noinline int dequeue_guarded(struct reserve *r, void **obj_table, uint32_t n)
{
	if (!n)
		return 0;
	faults_take(r);
	if (fault_hits(r) || n > available(r))
		return refuse(r, n);
	pop(r, obj_table, n);
	stamp_emergency(r, obj_table, n, r->free);
	if (r->is_entitled) {
		relaxed_store(&r->ring_debt, 0);
		relaxed_store(&r->refused_run, 0);
	}
	guard_set(r);
	return 0;
}

static int ops_dequeue(struct rte_mempool *mp, void **obj_table, unsigned n)
{
	struct reserve *r = mp->pool_data;

	if (unlikely(r->free < (uint64_t)relaxed_load(&r->guard) + n))
		return dequeue_guarded(r, obj_table, n);
	pop(r, obj_table, n);
	return 0;
}

/* Takes @n mbufs from their owners; neighbours in a burst mostly share an owner. */
static inline void untag(struct reserve *r, void *const *obj_table, uint32_t n)
{
	uint32_t owner = OWNER_RING, run = 0, emergency = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct tag *tag = tag_of(r, obj_table[i]);
		uint32_t held = tag->held;

		if ((held & TAG_OWNER_MASK) != owner) {
			owner_uncharge(r, owner, run);
			owner = held & TAG_OWNER_MASK;
			run = 0;
		}
		run++;
		if (held) {
			emergency += !!(held & TAG_EMERGENCY);
			relaxed_store(&tag->held, 0);
		}
	}
	owner_uncharge(r, owner, run);
	assert(r->emergency >= emergency);
	relaxed_sub(&r->emergency, emergency);
}

static int ops_enqueue(struct rte_mempool *mp, void *const *obj_table, unsigned n)
{
	struct reserve *r = mp->pool_data;
	uint32_t free = r->free;

	assert(n <= r->total - free);
	if (likely(r->is_tagged))
		untag(r, obj_table, n);
	for (uint32_t i = 0; i < n; i++)
		relaxed_store(&r->slots[free + i], obj_table[i]);
	relaxed_store(&r->free, free + n);
	if (SLUICE_FAULT_INJECTION && unlikely(r->is_starved) && reachable(r) > r->floor)
		relaxed_store(&r->hidden, r->free - r->floor);
	return 0;
}

void guard_set(struct reserve *r)
{
	uint32_t guard = r->is_armed ? r->floor : 0;

	if (r->ring_debt || r->is_starved || relaxed_load(&r->starve_wanted) ||
		relaxed_load(&r->fail_skip) || relaxed_load(&r->fail_count))
		guard = GUARD_ALWAYS;
	relaxed_store(&r->guard, guard);
}

/* Starving begins by hiding what is normal at this moment. */
void faults_take(struct reserve *r)
{
	bool wanted = relaxed_load(&r->starve_wanted) && r->is_armed;

	if (wanted == r->is_starved)
		return;
	relaxed_store(&r->is_starved, wanted);
	relaxed_store(&r->hidden, wanted && r->free > r->floor ? r->free - r->floor : 0);
	guard_set(r);
}

/* ---- where the mbufs lie ---- */

static size_t bytes_each(const struct rte_mempool *mp)
{
	return mp->header_size + mp->elt_size + mp->trailer_size;
}

static bool keeps_to_pages(const struct rte_mempool *mp)
{
	const struct reserve_config *cfg = mp->pool_config;

	return cfg->is_sent;
}

/*
 * Received mbufs lie packed, one behind the other in one piece of memory: IOVA as VA has no need of
 * gaps, and af_xdp, which hands the pool to the kernel as count times size, does not reach what
 * lies behind them. Mbufs that are sent keep clear of page edges (struct stream_buf says why); then
 * the worst case is that each page loses what does not fill an mbuf, and the first and last are
 * partial.
 */
static ssize_t ops_mem_size(const struct rte_mempool *mp, uint32_t obj_count, uint32_t pg_shift,
	size_t *min_chunk_size, size_t *align)
{
	size_t page = rte_eal_has_hugepages() ? RTE_PGSIZE_2M : RTE_PGSIZE_4K;
	size_t bytes = mbufs_bytes(obj_count, bytes_each(mp), keeps_to_pages(mp) ? page : 0);

	(void)pg_shift;
	*min_chunk_size = bytes;
	*align = RTE_CACHE_LINE_SIZE;
	return (ssize_t)bytes;
}

/* The first place at or after @at where @each bytes lie in one page. */
static size_t within_page(uintptr_t base, size_t at, size_t each, size_t page)
{
	uintptr_t first = base + at, last = first + each - 1;

	if (page == 0 || each > page || first / page == last / page)
		return at;
	return last / page * page - base;
}

static int ops_populate(struct rte_mempool *mp, unsigned max_objs, void *vaddr, rte_iova_t iova,
	size_t len, rte_mempool_populate_obj_cb_t *obj_cb, void *obj_cb_arg)
{
	const struct rte_memseg *seg = rte_mem_virt2memseg(vaddr, NULL);
	size_t page = seg && keeps_to_pages(mp) ? seg->hugepage_sz : 0;
	size_t each = bytes_each(mp), at = 0;
	unsigned count;

	for (count = 0; count < max_objs; count++, at += each) {
		void *obj;

		at = within_page((uintptr_t)vaddr, at, each, page);
		if (at + each > len)
			break;
		obj = (char *)vaddr + at + mp->header_size;
		obj_cb(mp, obj_cb_arg, obj,
			iova == RTE_BAD_IOVA ? RTE_BAD_IOVA : iova + at + mp->header_size);
		rte_mempool_ops_enqueue_bulk(mp, &obj, 1);
	}
	return (int)count;
}

static const struct rte_mempool_ops reserve_ops = {
	.name = RESERVE_OPS_NAME,
	.alloc = ops_alloc,
	.free = ops_free,
	.enqueue = ops_enqueue,
	.dequeue = ops_dequeue,
	.get_count = ops_count,
	.calc_mem_size = ops_mem_size,
	.populate = ops_populate,
};

RTE_MEMPOOL_REGISTER_OPS(reserve_ops);
