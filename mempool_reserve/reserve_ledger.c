/*
 * reserve_ledger.c - who holds each mbuf, and how many more they may
 *
 * A tree of named owners. An mbuf that leaves the pool is charged to the ring; each hand-over
 * moves the charge with it, and the free path takes it off the owner, so no caller can forget. A
 * charge counts for the owner and for everyone above it, and a limit anywhere on that way refuses.
 *
 * A move first takes the whole chain off its old owners and then asks the new one for room, because
 * old and new often share an ancestor whose use must not be counted twice. A refusal is undone; the
 * tags are written last, so they tell where to put the charges back.
 *
 * The owning worker moves; the control thread adds and removes owners the worker does not use,
 * which is safe because an owner is made live last. Always: free + sum of used at the root ==
 * total.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <rte_string_fns.h>
#include "mempool_reserve/reserve_impl.h"

static const char *const fixed_names[OWNER_FIXED_COUNT] = {
	[OWNER_RING] = "ring",
	[OWNER_UNCLASSIFIED] = "unclassified",
	[OWNER_ESSENTIAL] = "essential",
	[OWNER_HOLD] = "hold",
	[OWNER_EXCEPTION] = "exception",
	[OWNER_REASSEMBLY] = "reassembly",
	[OWNER_NEIGHBOUR] = "neighbour",
	[OWNER_TX] = "tx",
};

static bool is_live(const struct reserve *r, uint16_t id)
{
	return id < OWNER_MAX && __atomic_load_n(&r->owners[id].is_live, __ATOMIC_ACQUIRE);
}

static void owner_open(struct reserve *r, uint16_t id, const char *name, uint16_t parent)
{
	struct owner *o = &r->owners[id];

	assert(!o->is_live && o->used == 0);
	rte_strscpy(r->labels[id].name, name, sizeof(r->labels[id].name));
	relaxed_store(&r->labels[id].refused, 0);
	r->labels[id].was_over = false;
	relaxed_store(&r->labels[id].is_peak_old, false);
	relaxed_store(&o->peak, 0);
	relaxed_store(&o->limit, UINT32_MAX);
	relaxed_store(&o->parent, parent);
	o->depth = parent == OWNER_NONE ? 0 : (uint8_t)(r->owners[parent].depth + 1);
	__atomic_store_n(&o->is_live, 1, __ATOMIC_RELEASE);
	relaxed_raise(&r->owner_end, (uint16_t)(id + 1));
}

void ledger_init(struct reserve *r)
{
	for (uint16_t id = 0; id < OWNER_FIXED_COUNT; id++)
		owner_open(r, id, fixed_names[id], OWNER_NONE);
}

int reserve_owner_add(struct reserve *r, const char *name, uint16_t parent, uint32_t limit)
{
	if (parent != OWNER_NONE && !is_live(r, parent))
		return -EINVAL;
	if (parent != OWNER_NONE && r->owners[parent].depth + 1 >= OWNER_DEPTH_MAX)
		return -ENOSPC;
	for (uint16_t id = OWNER_FIXED_COUNT; id < OWNER_MAX; id++) {
		if (is_live(r, id))
			continue;
		owner_open(r, id, name, parent);
		reserve_owner_limit(r, id, limit);
		return id;
	}
	return -ENOSPC;
}

int reserve_owner_del(struct reserve *r, uint16_t owner)
{
	if (owner < OWNER_FIXED_COUNT || !is_live(r, owner))
		return -EINVAL;
	if (relaxed_load(&r->owners[owner].used))
		return -EBUSY;
	for (uint16_t id = 0; id < r->owner_end; id++)
		if (is_live(r, id) && r->owners[id].parent == owner)
			return -EBUSY;
	__atomic_store_n(&r->owners[owner].is_live, 0, __ATOMIC_RELEASE);
	return 0;
}

void reserve_owner_limit(struct reserve *r, uint16_t owner, uint32_t limit)
{
	struct owner *o = &r->owners[owner];
	uint32_t before = relaxed_load(&o->limit), peak = relaxed_load(&o->peak);

	assert(is_live(r, owner));
	limit = limit ? limit : UINT32_MAX;
	relaxed_store(&o->limit, limit);
	if (limit >= before || peak <= limit)
		return;
	r->labels[owner].was_over |= peak > before;
	__atomic_store_n(&r->labels[owner].is_peak_old, true, __ATOMIC_RELEASE);
	__atomic_store_n(&r->peaks_old, r->peaks_old + 1, __ATOMIC_RELEASE);
}

/* A peak is the worker's to write, so the control thread only says which ones are out of date. */
void peaks_renew(struct reserve *r)
{
	uint32_t old = __atomic_load_n(&r->peaks_old, __ATOMIC_ACQUIRE);

	if (likely(old == r->peaks_renewed))
		return;
	r->peaks_renewed = old;
	for (uint16_t id = 0; id < relaxed_load(&r->owner_end); id++) {
		if (!__atomic_exchange_n(&r->labels[id].is_peak_old, false, __ATOMIC_ACQ_REL))
			continue;
		relaxed_store(&r->owners[id].peak, r->owners[id].used);
	}
}

/* Charges one mbuf, or counts the refusal on the owner without room. */
static bool charge_within_limits(struct reserve *r, uint16_t owner)
{
	for (uint16_t id = owner; id != OWNER_NONE; id = r->owners[id].parent) {
		if (r->owners[id].used < relaxed_load(&r->owners[id].limit))
			continue;
		relaxed_add(&r->labels[id].refused, 1);
		return false;
	}
	owner_charge(r, owner, 1);
	return true;
}

static uint16_t tag_owner(const struct reserve *r, const struct rte_mbuf *m)
{
	return (uint16_t)(tag_of(r, m)->held & TAG_OWNER_MASK);
}

/* Takes the segments before @end off their owners. */
static void chain_uncharge(const struct rte_mbuf *m, const struct rte_mbuf *end)
{
	for (; m != end; m = m->next) {
		struct reserve *r = pool_of(m);

		if (r)
			owner_uncharge(r, tag_owner(r, m), 1);
	}
}

/* Out: the first segment that got no room, or NULL. */
static const struct rte_mbuf *chain_charge(const struct rte_mbuf *m, uint16_t owner)
{
	for (; m; m = m->next) {
		struct reserve *r = pool_of(m);

		if (r && !charge_within_limits(r, owner))
			return m;
	}
	return NULL;
}

/* Back to where the tags say, after @refused got no room with @owner. */
static void chain_recharge(const struct rte_mbuf *m, const struct rte_mbuf *refused, uint16_t owner)
{
	bool is_charged = true;

	for (; m; m = m->next) {
		struct reserve *r = pool_of(m);

		if (m == refused)
			is_charged = false;
		if (!r)
			continue;
		if (is_charged)
			owner_uncharge(r, owner, 1);
		owner_charge(r, tag_owner(r, m), 1);
	}
}

/* Makes the move of one mbuf visible: the tag, its time unless the owner is the same, and the
 * peaks. */
static void stamp(struct reserve *r, struct rte_mbuf *m, uint16_t owner, uint64_t now_us)
{
	struct tag *tag = tag_of(r, m);

	if ((tag->held & TAG_OWNER_MASK) != owner)
		relaxed_store(&tag->when, tag_when(now_us));
	relaxed_store(&tag->held, (tag->held & ~TAG_OWNER_MASK) | owner);
	for (uint16_t id = owner; id != OWNER_NONE; id = r->owners[id].parent)
		relaxed_raise(&r->owners[id].peak, r->owners[id].used);
}

static void chain_stamp(struct rte_mbuf *m, uint16_t owner, uint64_t now_us)
{
	for (; m; m = m->next) {
		struct reserve *r = pool_of(m);

		if (r)
			stamp(r, m, owner, now_us);
	}
}

/* The same for a packet of one mbuf, as most are: one look at each thing. */
static inline bool move_one(
	struct reserve *r, struct rte_mbuf *m, uint16_t owner, uint64_t now_us, bool is_forced)
{
	struct tag *tag = tag_of(r, m);
	uint32_t held = tag->held;

	owner_uncharge(r, (uint16_t)(held & TAG_OWNER_MASK), 1);
	for (uint16_t id = owner; !is_forced && id != OWNER_NONE; id = r->owners[id].parent) {
		if (likely(r->owners[id].used < relaxed_load(&r->owners[id].limit)))
			continue;
		relaxed_add(&r->labels[id].refused, 1);
		owner_charge(r, (uint16_t)(held & TAG_OWNER_MASK), 1);
		return false;
	}
	for (uint16_t id = owner; id != OWNER_NONE; id = r->owners[id].parent) {
		struct owner *o = &r->owners[id];

		relaxed_add(&o->used, 1);
		relaxed_raise(&o->peak, o->used);
	}
	if ((held & TAG_OWNER_MASK) != owner)
		relaxed_store(&tag->when, tag_when(now_us));
	relaxed_store(&tag->held, (held & ~TAG_OWNER_MASK) | owner);
	return true;
}

static void assert_owner(const struct rte_mbuf *m, uint16_t owner)
{
	assert(!pool_of(m) || is_live(pool_of(m), owner));
}

bool reserve_move(struct rte_mbuf *m, uint16_t owner, uint64_t now_us)
{
	const struct rte_mbuf *refused;
	struct reserve *r = pool_of(m);

	assert_owner(m, owner);
	if (r && !m->next)
		return move_one(r, m, owner, now_us, false);
	chain_uncharge(m, NULL);
	refused = chain_charge(m, owner);
	if (refused) {
		chain_recharge(m, refused, owner);
		return false;
	}
	chain_stamp(m, owner, now_us);
	return true;
}

void reserve_force(struct rte_mbuf *m, uint16_t owner, uint64_t now_us)
{
	struct reserve *first = pool_of(m);

	assert_owner(m, owner);
	if (first && !m->next) {
		move_one(first, m, owner, now_us, true);
		return;
	}
	chain_uncharge(m, NULL);
	for (const struct rte_mbuf *seg = m; seg; seg = seg->next) {
		struct reserve *r = pool_of(seg);

		if (r)
			owner_charge(r, owner, 1);
	}
	chain_stamp(m, owner, now_us);
}

/*
 * Most mbufs of a burst are @r's, @from's and not an emergency: nothing of theirs need be looked
 * at, only written, and the charge is one for all of them. The rest goes one by one.
 */
static inline bool retag(const struct reserve *r, const struct rte_mbuf *m, uint16_t from,
	uint16_t to, uint32_t when)
{
	struct tag *tag = tag_of(r, m);

	if (unlikely(m->pool != r->pool || tag->held != from))
		return false;
	relaxed_store(&tag->when, when);
	relaxed_store(&tag->held, to);
	return true;
}

static void charge_retagged(struct reserve *r, uint16_t from, uint16_t to, uint32_t n)
{
	owner_uncharge(r, from, n);
	owner_charge(r, to, n);
	for (uint16_t id = to; id != OWNER_NONE; id = r->owners[id].parent)
		relaxed_raise(&r->owners[id].peak, r->owners[id].used);
}

void reserve_force_burst(struct reserve *r, struct rte_mbuf *const *m, unsigned n, uint16_t from,
	uint16_t to, uint64_t now_us)
{
	uint32_t when = tag_when(now_us), count = 0;

	assert(is_live(r, from) && is_live(r, to) && from != to);
	for (unsigned i = 0; i < n; i++) {
		if (likely(!m[i]->next) && retag(r, m[i], from, to, when))
			count++;
		else
			reserve_force(m[i], to, now_us);
	}
	charge_retagged(r, from, to, count);
}

void reserve_force_segs(struct reserve *r, struct rte_mbuf *const *m, unsigned n, uint16_t from,
	uint16_t to, uint64_t now_us)
{
	uint32_t when = tag_when(now_us), count = 0;

	assert(is_live(r, from) && is_live(r, to) && from != to);
	for (unsigned i = 0; i < n; i++) {
		struct reserve *own;

		if (retag(r, m[i], from, to, when))
			count++;
		else if ((own = pool_of(m[i])))
			move_one(own, m[i], to, now_us, true);
	}
	charge_retagged(r, from, to, count);
}

uint32_t reserve_room(const struct reserve *r, uint16_t owner)
{
	uint32_t room = UINT32_MAX;

	assert(is_live(r, owner));
	for (uint16_t id = owner; id != OWNER_NONE; id = r->owners[id].parent) {
		uint32_t limit = relaxed_load(&r->owners[id].limit), used = r->owners[id].used;

		room = RTE_MIN(room, used < limit ? limit - used : 0);
	}
	return room;
}

uint16_t reserve_owner(const struct rte_mbuf *m)
{
	const struct reserve *r = pool_of(m);

	return r ? tag_owner(r, m) : OWNER_NONE;
}

bool reserve_emergency(const struct rte_mbuf *m)
{
	const struct reserve *r = pool_of(m);

	return r && (tag_of(r, m)->held & TAG_EMERGENCY);
}

static void owner_info(const struct reserve *r, uint16_t id, struct reserve_owner_info *out)
{
	const struct owner *o = &r->owners[id];
	uint32_t limit = relaxed_load(&o->limit);

	*out = (struct reserve_owner_info){
		.id = id,
		.parent = o->parent,
		.limit = limit == UINT32_MAX ? 0 : limit,
		.used = relaxed_load(&o->used),
		.peak = relaxed_load(&o->peak),
		.refused = relaxed_load(&r->labels[id].refused),
	};
	rte_strscpy(out->name, r->labels[id].name, sizeof(out->name));
}

unsigned reserve_owners(const struct reserve *r, struct reserve_owner_info *out, unsigned max)
{
	uint16_t end = relaxed_load(&r->owner_end);
	unsigned n = 0;

	for (unsigned depth = 0; depth < OWNER_DEPTH_MAX; depth++)
		for (uint16_t id = 0; id < end && n < max; id++)
			if (is_live(r, id) && r->owners[id].depth == depth)
				owner_info(r, id, &out[n++]);
	return n;
}

static bool is_over_limit(const struct reserve *r, uint16_t id)
{
	const struct owner *o = &r->owners[id];

	if (r->labels[id].was_over)
		return true;
	return !__atomic_load_n(&r->labels[id].is_peak_old, __ATOMIC_ACQUIRE) &&
	       relaxed_load(&o->peak) > relaxed_load(&o->limit);
}

unsigned reserve_over_limit(const struct reserve *r)
{
	uint16_t end = relaxed_load(&r->owner_end);
	unsigned n = 0;

	for (uint16_t id = 0; id < end; id++)
		n += is_live(r, id) && is_over_limit(r, id);
	return n;
}

void reserve_check(const struct reserve *r)
{
	uint32_t below[OWNER_MAX] = {0};
	uint16_t end = relaxed_load(&r->owner_end);
	uint64_t at_root = 0;

	/* Owners may be added and removed at the same time, but only those that hold nothing. */
	for (uint16_t id = 0; id < end; id++) {
		uint16_t parent = relaxed_load(&r->owners[id].parent);
		uint32_t used = relaxed_load(&r->owners[id].used);

		assert(!used || is_live(r, id));
		assert(used <= relaxed_load(&r->owners[id].peak));
		if (parent == OWNER_NONE)
			at_root += used;
		else
			below[parent] += used;
	}
	for (uint16_t id = 0; id < end; id++)
		assert(below[id] <= relaxed_load(&r->owners[id].used));
	assert(r->free + at_root == r->total);
	assert(r->hidden <= r->free);
}
