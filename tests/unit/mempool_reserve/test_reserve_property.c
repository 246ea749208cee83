/*
 * test_reserve_property.c - long seeded walks, compared after each step with a model
 *
 * The model is what the pool claims to be, built the plain way: two lists, as counts. Dequeue takes
 * from normal and, if entitled, from the reserve when normal is short; enqueue tops up the reserve
 * first; starving locks the normal list. Owners are sums over a plain array of packets. If one
 * stack with a floor differs from that anywhere, a walk finds it.
 */
#include <stdlib.h>
#include "tests/unit/mempool_reserve/pool.h"

#define SEGS_MAX 4u
#define OWNERS	 6u
#define STEPS	 20000u

struct packet {
	struct rte_mbuf *m;
	unsigned segs;
	unsigned owner[SEGS_MAX]; /* index into model.owners */
};

struct model_owner {
	uint16_t id;
	int parent;		       /* index, -1: root */
	uint32_t limit, peak, refused; /* limit 0: none */
};

struct model {
	struct reserve *r;
	unsigned seed;
	uint32_t normal, reserve, floor, low_water;
	bool is_entitled, is_starved;
	uint32_t fail_skip, fail_count;
	uint64_t dips, refused, refused_entitled, allocs;
	uint32_t ring_debt, emergency;
	struct model_owner owners[OWNERS]; /* 0 is the ring */
	struct packet packets[TOTAL];
	unsigned packet_count;
};

static unsigned pick(struct model *md, unsigned n)
{
	return (unsigned)rand_r(&md->seed) % n;
}

static bool is_below(const struct model *md, int owner, int ancestor)
{
	for (; owner >= 0; owner = md->owners[owner].parent)
		if (owner == ancestor)
			return true;
	return false;
}

static uint32_t used(const struct model *md, int owner)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < md->packet_count; i++)
		for (unsigned s = 0; s < md->packets[i].segs; s++)
			n += is_below(md, (int)md->packets[i].owner[s], owner);
	return n;
}

static void raise_peaks(struct model *md)
{
	for (unsigned o = 0; o < OWNERS; o++)
		md->owners[o].peak = RTE_MAX(md->owners[o].peak, used(md, (int)o));
}

static void rebalance(struct model *md)
{
	uint32_t all = md->normal + md->reserve;

	md->reserve = RTE_MIN(all, md->floor);
	md->normal = all - md->reserve;
}

/* Out: how many of @n come from the reserve, or -1. */
static int model_dequeue(struct model *md, uint32_t n)
{
	uint32_t normal = md->is_starved ? 0 : md->normal;
	uint32_t all = normal + (md->is_entitled ? md->reserve : 0);
	bool is_failed = false;
	uint32_t below;

	if (md->fail_skip)
		md->fail_skip--;
	else if (md->fail_count) {
		md->fail_count--;
		is_failed = true;
	}
	if (is_failed || n > all) {
		md->refused++;
		md->refused_entitled += md->is_entitled;
		if (md->is_entitled)
			md->ring_debt = n;
		return -1;
	}
	below = n > normal ? n - normal : 0;
	md->normal -= n - below;
	md->reserve -= below;
	md->dips += below;
	md->allocs += n;
	md->low_water = RTE_MIN(md->low_water, md->normal + md->reserve);
	if (md->is_entitled)
		md->ring_debt = 0;
	return (int)below;
}

static void model_enqueue(struct model *md, uint32_t n)
{
	uint32_t top_up = RTE_MIN(n, md->floor - RTE_MIN(md->floor, md->reserve));

	md->reserve += top_up;
	md->normal += n - top_up;
}

static void step_alloc(struct model *md)
{
	struct rte_mbuf *m[40];
	unsigned n = 1 + pick(md, RTE_DIM(m)), stamped = 0;
	int below, rc;

	md->is_entitled = pick(md, 2);
	if (md->is_entitled)
		reserve_entitle(md->r);
	below = model_dequeue(md, n);
	rc = take(md->r, m, n);
	if (md->is_entitled)
		reserve_disentitle(md->r);
	assert_int_equal(rc == 0, below >= 0);
	if (rc)
		return;
	for (unsigned i = 0; i < n; i++) {
		stamped += reserve_emergency(m[i]);
		md->packets[md->packet_count++] = (struct packet){.m = m[i], .segs = 1};
	}
	assert_int_equal(stamped, below);
	md->emergency += stamped;
	raise_peaks(md);
}

static void step_free(struct model *md)
{
	struct packet *p = &md->packets[pick(md, md->packet_count)];

	for (struct rte_mbuf *m = p->m; m; m = m->next)
		md->emergency -= reserve_emergency(m);
	if (pick(md, 2))
		rte_pktmbuf_free(p->m);
	else
		rte_pktmbuf_free_bulk(&p->m, 1);
	model_enqueue(md, p->segs);
	*p = md->packets[--md->packet_count];
}

static void step_chain(struct model *md)
{
	unsigned a = pick(md, md->packet_count), b = pick(md, md->packet_count);
	struct packet *to = &md->packets[a], *from = &md->packets[b];

	if (a == b || to->segs + from->segs > SEGS_MAX)
		return;
	assert_int_equal(rte_pktmbuf_chain(to->m, from->m), 0);
	for (unsigned s = 0; s < from->segs; s++)
		to->owner[to->segs + s] = from->owner[s];
	to->segs += from->segs;
	*from = md->packets[--md->packet_count];
}

/* Out: the owner that has no room for @p below @target, or -1. The one with least room is first. */
static int model_refuses(const struct model *md, const struct packet *p, int target)
{
	uint32_t least = UINT32_MAX;
	int refuser = -1;

	for (int o = target; o >= 0; o = md->owners[o].parent) {
		uint32_t others = used(md, o), room;

		for (unsigned s = 0; s < p->segs; s++)
			others -= is_below(md, (int)p->owner[s], o);
		if (!md->owners[o].limit)
			continue;
		room = md->owners[o].limit - RTE_MIN(md->owners[o].limit, others);
		if (room < p->segs && room < least) {
			least = room;
			refuser = o;
		}
	}
	return refuser;
}

static void step_move(struct model *md)
{
	struct packet *p = &md->packets[pick(md, md->packet_count)];
	unsigned target = pick(md, OWNERS);
	uint16_t id = md->owners[target].id;

	if (pick(md, 8) == 0) {
		reserve_force(p->m, id, 0);
	} else {
		int refuser = model_refuses(md, p, (int)target);

		assert_int_equal(reserve_move(p->m, id, 0), refuser < 0);
		if (refuser >= 0) {
			md->owners[refuser].refused++;
			return;
		}
	}
	for (unsigned s = 0; s < p->segs; s++)
		p->owner[s] = target;
	raise_peaks(md);
}

static void step_floor(struct model *md)
{
	md->floor = pick(md, TOTAL / 2);
	assert_int_equal(reserve_floor_set(md->r, md->floor), 0);
	rebalance(md);
}

static void step_limit(struct model *md)
{
	struct model_owner *o = &md->owners[1 + pick(md, OWNERS - 1)];

	uint32_t before = o->limit ? o->limit : UINT32_MAX;

	o->limit = pick(md, 60);
	if (o->limit && o->limit < before && o->peak > o->limit)
		o->peak = used(md, (int)(o - md->owners)); /* of the new limit's time */
	reserve_owner_limit(md->r, o->id, o->limit);
	reserve_level_update(md->r); /* a turn ends: the new peak has begun */
}

static void step_fault(struct model *md)
{
#if SLUICE_FAULT_INJECTION
	if (pick(md, 2)) {
		md->fail_skip = pick(md, 3);
		md->fail_count = pick(md, 4);
		assert_int_equal(reserve_fault_fail(md->r, md->fail_skip, md->fail_count), 0);
		return;
	}
	md->is_starved = !md->is_starved;
	assert_int_equal(reserve_fault_starve(md->r, md->is_starved), 0);
	reserve_level_update(md->r); /* a turn ends: the fault is in force */
	rebalance(md);
#endif
}

static void compare(const struct model *md)
{
	struct reserve_info got = info(md->r);
	uint32_t free = md->normal + md->reserve;
	uint32_t reachable = md->is_starved ? md->reserve : free;

	reserve_check(md->r);
	assert_int_equal(got.free, free);
	assert_int_equal(got.floor, md->floor);
	assert_int_equal(got.low_water, md->low_water);
	assert_int_equal(got.dips, md->dips);
	assert_int_equal(got.refused, md->refused);
	assert_int_equal(got.refused_entitled, md->refused_entitled);
	assert_int_equal(got.ring_debt, md->ring_debt);
	assert_int_equal(got.emergency, md->emergency);
	assert_int_equal(got.allocs, md->allocs);
	assert_int_equal(got.allocs - got.frees, TOTAL - free);
	if (md->floor)
		assert_int_equal(got.depth_pct,
			reachable >= md->floor ? 0 : (md->floor - reachable) * 100 / md->floor);
	for (unsigned o = 0; o < OWNERS; o++) {
		struct reserve_owner_info had = owner(md->r, md->owners[o].id);

		assert_int_equal(had.used, used(md, (int)o));
		assert_int_equal(had.peak, md->owners[o].peak);
		assert_int_equal(had.refused, md->owners[o].refused);
	}
}

static void step(struct model *md)
{
	unsigned what = pick(md, 100);

	if (what < 25 || !md->packet_count)
		step_alloc(md);
	else if (what < 62)
		step_free(md);
	else if (what < 70)
		step_chain(md);
	else if (what < 94)
		step_move(md);
	else if (what < 96)
		step_limit(md);
	else if (what < 98)
		step_floor(md);
	else
		step_fault(md);
}

static void walk(struct reserve *r, unsigned seed)
{
	static struct model md;
	uint16_t dev = (uint16_t)reserve_owner_add(r, "dev", OWNER_NONE, 0);

	md = (struct model){.r = r,
		.seed = seed,
		.normal = TOTAL - FLOOR,
		.reserve = FLOOR,
		.floor = FLOOR,
		.low_water = TOTAL};
	md.owners[0] = (struct model_owner){.id = OWNER_RING, .parent = -1};
	md.owners[1] = (struct model_owner){.id = OWNER_HOLD, .parent = -1};
	md.owners[2] = (struct model_owner){.id = dev, .parent = -1};
	for (unsigned o = 3; o < OWNERS; o++)
		md.owners[o] = (struct model_owner){
			.parent = 2, .id = (uint16_t)reserve_owner_add(r, "part", dev, 0)};
	for (unsigned n = 0; n < STEPS; n++) {
		step(&md);
		compare(&md);
	}
	while (md.packet_count)
		step_free(&md);
	compare(&md);
	assert_true(md.dips > 0 && md.refused_entitled > 0 && md.owners[2].refused > 0);
}

static void reserve_equals_two_lists_on_a_random_walk(void **state)
{
	for (unsigned seed = 1; seed <= 5; seed++) {
		struct reserve *r = pool_make(TOTAL, FLOOR);

		assert_non_null(r);
		reserve_arm(r);
		walk(r, seed);
		assert_int_equal(info(r).free, TOTAL);
		reserve_destroy(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reserve_equals_two_lists_on_a_random_walk),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
