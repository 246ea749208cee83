/*
 * reserve_leak.c - who holds mbufs, and since when
 *
 * A leak is an mbuf that will never be freed; nothing can prove that, but its age and its owner
 * give it away. The walk marks what lies in the stack as free, because a free mbuf and one in a
 * ring carry the same tag, and then counts every other mbuf of the pool by the owner in its tag.
 *
 * Runs beside the worker: an mbuf that moves during the walk may be counted at either place. It
 * allocates nothing, since it is needed most when memory is short; two reports at once take turns.
 */
#include <assert.h>
#include <string.h>
#include <rte_string_fns.h>
#include "mempool_reserve/reserve_impl.h"

struct walk {
	const struct reserve *r;
	uint32_t now;
	struct reserve_leak *rows;
	unsigned row_count, row_max;
	uint16_t row_of[OWNER_MAX]; /* 1 + index into rows, 0: none yet */
};

static unsigned age_bucket(uint64_t age_us)
{
	static const uint64_t below_us[RESERVE_AGE_BUCKETS - 1] = {
		1000, 10000, 100000, 1000000, 10000000, 60000000, 600000000};
	unsigned i;

	for (i = 0; i < RESERVE_AGE_BUCKETS - 1; i++)
		if (age_us < below_us[i])
			break;
	return i;
}

static struct reserve_leak *row_for(struct walk *w, uint16_t owner)
{
	struct reserve_leak *row;

	if (w->row_of[owner])
		return &w->rows[w->row_of[owner] - 1];
	if (w->row_count == w->row_max)
		return NULL;
	row = &w->rows[w->row_count++];
	*row = (struct reserve_leak){.owner = owner};
	rte_strscpy(row->name, w->r->labels[owner].name, sizeof(row->name));
	w->row_of[owner] = (uint16_t)w->row_count;
	return row;
}

static void count_held(struct rte_mempool *mp, void *arg, void *obj, unsigned obj_idx)
{
	struct walk *w = arg;
	const struct tag *tag = tag_of(w->r, obj);
	struct reserve_leak *row;
	uint64_t age_us;
	int32_t age;

	if (w->r->free_map[obj_idx / 64] & (UINT64_C(1) << obj_idx % 64))
		return;
	row = row_for(w, (uint16_t)(relaxed_load(&tag->held) & TAG_OWNER_MASK));
	if (!row)
		return;
	/* The stamp is the worker's, whose clock may be ahead of who asks, by a little. */
	age = (int32_t)(w->now - relaxed_load(&tag->when));
	age_us = (uint64_t)RTE_MAX(age, 0) << 10;
	row->count++;
	row->oldest_us = RTE_MAX(row->oldest_us, age_us);
	row->ages[age_bucket(age_us)]++;
}

static void map_free(struct reserve *r)
{
	uint32_t free = relaxed_load(&r->free);

	memset(r->free_map, 0, (r->total + 63) / 64 * sizeof(uint64_t));
	for (uint32_t i = 0; i < free; i++) {
		uint32_t idx = tag_of(r, relaxed_load(&r->slots[i]))->obj_idx;

		assert(idx < r->total);
		r->free_map[idx / 64] |= UINT64_C(1) << idx % 64;
	}
}

unsigned reserve_leaks(
	const struct reserve *r, uint64_t now_us, struct reserve_leak *out, unsigned max)
{
	struct reserve *self = r->pool->pool_data; /* the map is scratch, the pool stays as it is */
	struct walk w = {.r = r, .now = tag_when(now_us), .rows = out, .row_max = max};

	rte_spinlock_lock(&self->leak_lock);
	map_free(self);
	rte_mempool_obj_iter(r->pool, count_held, &w);
	rte_spinlock_unlock(&self->leak_lock);
	return w.row_count;
}
