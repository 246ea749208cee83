/*
 * reserve_impl.h - inside of the reserve, for the files of this room only
 *
 * Written by the owning worker alone. The control thread reads counters and walks the stack while
 * that worker runs, so what both touch is stored and loaded with relaxed atomics: plain moves on
 * every machine we run on, and a defined race instead of an undefined one.
 */
#ifndef MEMPOOL_RESERVE_RESERVE_IMPL_H
#define MEMPOOL_RESERVE_RESERVE_IMPL_H

#include <rte_common.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_mempool.h>
#include <rte_spinlock.h>
#include "mempool_reserve/reserve.h"

#define relaxed_load(p)	    __atomic_load_n((p), __ATOMIC_RELAXED)
#define relaxed_store(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define relaxed_add(p, n)   relaxed_store((p), *(p) + (n))
#define relaxed_sub(p, n)   relaxed_store((p), *(p) - (n))
#define relaxed_raise(p, v) relaxed_store((p), RTE_MAX(*(p), (v)))
#define relaxed_lower(p, v) relaxed_store((p), RTE_MIN(*(p), (v)))

#define RESERVE_OPS_NAME "sluice_reserve"
#define GUARD_ALWAYS	 UINT32_MAX /* no dequeue is plain */

/*
 * What an mbuf carries, in a dynamic field. A free one and one just taken look the same: held == 0,
 * that is OWNER_RING and no flag, so that plain allocation writes to no mbuf.
 */
struct tag {
	uint32_t held;	  /* owner in the low 16 bits, flags above */
	uint32_t when;	  /* of the last hand-over, in units of 1024 us, wraps after 50 days */
	uint32_t obj_idx; /* place in the pool, for the leak report; never changes */
};
#define TAG_OWNER_MASK 0xffffu
#define TAG_EMERGENCY  0x10000u

static_assert(OWNER_RING == 0, "a tag of zero means: in the ring, not emergency");
static_assert(OWNER_MAX <= TAG_OWNER_MASK, "an owner fits its tag");

/* What each charge touches, apart from what only people read. */
struct owner {
	uint32_t used, peak;
	uint32_t limit; /* UINT32_MAX: none */
	uint16_t parent;
	uint8_t is_live;
	uint8_t depth; /* 0 at the root */
};

struct owner_label {
	char name[NAME_BYTES_MAX];
	uint64_t refused;
	bool was_over; /* held more than a limit that was lowered since; the control thread's */
	bool is_peak_old; /* the limit was lowered below the peak: the worker is to begin a new one
			   */
};

struct reserve {
	/* each dequeue and enqueue */
	void **slots; /* the stack; slots[free - 1] was freed last and is hot */
	uint32_t free;
	uint32_t guard; /* free mbufs that must stay for a dequeue to be plain */
	uint32_t low_water;
	uint32_t tag_offset; /* of struct tag in an mbuf */
	uint64_t allocs;
	uint32_t total;
	bool is_entitled, is_armed;
	bool is_tagged; /* the objects are mbufs by now, their tags may be read */
	bool is_starved;
	uint32_t floor;
	uint32_t hidden; /* while starved: normal mbufs that are not allocated */

	/* trouble */
	uint32_t emergency, emergency_peak;
	uint32_t ring_debt, refused_run, refused_run_max;
	uint64_t dips, refused, refused_entitled, alarms;
	enum reserve_level level;
	bool starve_wanted;
	uint32_t fail_skip, fail_count;
	int level_wanted; /* + 1; 0: the depth decides */
	uint32_t peaks_old,
		peaks_renewed; /* how often the control thread asked, and the worker answered */

	struct rte_mempool *pool;
	uint16_t owner_end;	  /* ids in use are below it */
	rte_spinlock_t leak_lock; /* of free_map; taken by reserve_leaks() alone */
	uint64_t *free_map;
	struct owner owners[OWNER_MAX] __rte_cache_aligned;
	struct owner_label labels[OWNER_MAX];
};

/* All pools of ours share it; it tells their mbufs from foreign ones by one comparison. */
extern int32_t reserve_ops_idx;

static inline struct reserve *pool_of(const struct rte_mbuf *m)
{
	return m->pool->ops_index == reserve_ops_idx ? m->pool->pool_data : NULL;
}

static inline struct tag *tag_of(const struct reserve *r, const struct rte_mbuf *m)
{
	return RTE_MBUF_DYNFIELD((struct rte_mbuf *)(uintptr_t)m, r->tag_offset, struct tag *);
}

static inline uint32_t tag_when(uint64_t now_us)
{
	return (uint32_t)(now_us >> 10);
}

/* Adds or removes @n mbufs on @owner and everybody above it. */
static inline void owner_charge(struct reserve *r, uint16_t owner, uint32_t n)
{
	for (uint16_t id = owner; id != OWNER_NONE; id = r->owners[id].parent)
		relaxed_add(&r->owners[id].used, n);
}

static inline void owner_uncharge(struct reserve *r, uint16_t owner, uint32_t n)
{
	for (uint16_t id = owner; id != OWNER_NONE; id = r->owners[id].parent) {
		assert(r->owners[id].used >= n);
		relaxed_sub(&r->owners[id].used, n);
	}
}

/* Free mbufs that can be allocated: all, but for the starved. */
static inline uint32_t reachable(const struct reserve *r)
{
	return relaxed_load(&r->free) - relaxed_load(&r->hidden);
}

/* reserve_bytes.c: what @count mbufs of @each bytes take
 * where none may cross a page; 0: all may. */
size_t mbufs_bytes(size_t count, size_t each, size_t page);

/* reserve_ops.c: after a change of floor, arming or faults. */
void guard_set(struct reserve *r);
void faults_take(struct reserve *r);
/* The worker begins the peaks anew whose limits were lowered. */
void peaks_renew(struct reserve *r);

/* reserve_ledger.c: the owners every pool has. */
void ledger_init(struct reserve *r);

#endif
