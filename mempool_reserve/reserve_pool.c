/*
 * reserve_pool.c - a pool from its birth to its end
 *
 * An mbuf pool whose ops are ours, without a per-lcore cache: a cache takes more than was
 * requested, so it would drain the reserve and give it to any caller, and it would hide frees from
 * the ledger.
 *
 * Life: create (objects arrive before they are mbufs, nothing is counted), tag (each mbuf learns
 * its place), set-up (drivers fill their rings, everybody is served), arm (the floor holds).
 *
 * Control thread until the worker starts; then floor and entitlement are the worker's.
 */
#include <assert.h>
#include <errno.h>
#include <rte_errno.h>
#include "mempool_reserve/reserve_impl.h"

int32_t reserve_ops_idx = -1;

static int tag_field_offset(void)
{
	static const struct rte_mbuf_dynfield field = {
		.name = "sluice_reserve_tag",
		.size = sizeof(struct tag),
		.align = __alignof__(struct tag),
	};

	return rte_mbuf_dynfield_register(&field);
}

static void tag_init(struct rte_mempool *mp, void *arg, void *obj, unsigned obj_idx)
{
	struct tag *tag = tag_of(arg, obj);

	tag->held = OWNER_RING;
	tag->when = 0;
	tag->obj_idx = obj_idx;
}

/* What rte_pktmbuf_pool_create_by_ops() does, and our ops see the configuration. */
static struct rte_mempool *mempool_make(const struct reserve_config *cfg)
{
	struct rte_pktmbuf_pool_private priv = {.mbuf_data_room_size = (uint16_t)cfg->data_bytes};
	unsigned obj_bytes = (unsigned)sizeof(struct rte_mbuf) + cfg->data_bytes;
	struct rte_mempool *mp;
	int rc;

	mp = rte_mempool_create_empty(
		cfg->name, cfg->total_count, obj_bytes, 0, sizeof(priv), cfg->socket, 0);
	if (!mp)
		return NULL;
	rc = rte_mempool_set_ops_byname(mp, RESERVE_OPS_NAME, (void *)(uintptr_t)cfg);
	rte_pktmbuf_pool_init(mp, &priv);
	if (rc == 0)
		rc = rte_mempool_populate_default(mp);
	if (rc < 0) {
		rte_mempool_free(mp);
		rte_errno = -rc;
		return NULL;
	}
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	mp->pool_config = NULL; /* the caller's again */
	return mp;
}

struct reserve *reserve_create(const struct reserve_config *cfg)
{
	struct rte_mempool *mp;
	struct reserve *r;
	int offset;

	if (!cfg->name || !cfg->total_count || cfg->floor_count > cfg->total_count ||
		cfg->data_bytes > UINT16_MAX) {
		rte_errno = EINVAL;
		return NULL;
	}
	offset = tag_field_offset();
	if (offset < 0)
		return NULL;
	mp = mempool_make(cfg);
	if (!mp)
		return NULL;
	r = mp->pool_data;
	assert(r->free == r->total && mp->cache_size == 0);
	reserve_ops_idx = mp->ops_index;
	r->tag_offset = (uint32_t)offset;
	r->floor = cfg->floor_count;
	r->low_water = r->free;
	rte_mempool_obj_iter(mp, tag_init, r);
	r->is_tagged = true;
	return r;
}

void reserve_destroy(struct reserve *r)
{
	if (r)
		rte_mempool_free(r->pool);
}

struct rte_mempool *reserve_pool(const struct reserve *r)
{
	return r->pool;
}

void reserve_arm(struct reserve *r)
{
	relaxed_store(&r->is_armed, true);
	relaxed_store(&r->low_water, r->free);
	faults_take(r);
	guard_set(r);
}

struct reserve *reserve_of(const struct rte_mbuf *m)
{
	return pool_of(m);
}

void reserve_entitle(struct reserve *r)
{
	assert(!r->is_entitled);
	r->is_entitled = true;
}

void reserve_disentitle(struct reserve *r)
{
	assert(r->is_entitled);
	r->is_entitled = false;
}

int reserve_floor_set(struct reserve *r, uint32_t floor_count)
{
	if (floor_count > r->total)
		return -ENOSPC;
	relaxed_store(&r->floor, floor_count);
	if (r->is_starved)
		relaxed_store(&r->hidden, r->free > floor_count ? r->free - floor_count : 0);
	guard_set(r);
	return 0;
}

int reserve_fault_starve(struct reserve *r, bool on)
{
	if (!SLUICE_FAULT_INJECTION)
		return -ENOTSUP;
	relaxed_store(&r->starve_wanted, on);
	relaxed_store(&r->guard, GUARD_ALWAYS);
	return 0;
}

int reserve_fault_level(struct reserve *r, int level)
{
	if (!SLUICE_FAULT_INJECTION)
		return -ENOTSUP;
	if (level < -1 || level > RESERVE_RED)
		return -EINVAL;
	relaxed_store(&r->level_wanted, level + 1);
	return 0;
}

int reserve_fault_fail(struct reserve *r, uint32_t skip, uint32_t count)
{
	if (!SLUICE_FAULT_INJECTION)
		return -ENOTSUP;
	relaxed_store(&r->fail_skip, skip);
	relaxed_store(&r->fail_count, count);
	relaxed_store(&r->guard, GUARD_ALWAYS);
	return 0;
}

int reserve_fault_leak(struct reserve *r, uint16_t owner, uint32_t count, uint64_t now_us)
{
	struct rte_mbuf *m;
	uint32_t n;

	if (!SLUICE_FAULT_INJECTION)
		return -ENOTSUP;
	for (n = 0; n < count; n++) {
		m = rte_pktmbuf_alloc(r->pool);
		if (!m)
			break;
		reserve_force(m, owner, now_us);
	}
	return (int)n;
}
