/*
 * hold.c - exception traffic that must wait a moment, and who goes first when there is too much of
 * it
 *
 * Under pressure the traffic beside the storage is slowed before it is cut: what does not go on
 * this turn waits here, in order, for the next turns or for better times. What has waited for
 * HOLD_US_MAX is dropped, since its sender has sent it again by then. The mbufs are copies in
 * memory of the exception port's own: a packet that waits keeps nothing of the reserve.
 *
 * When it is full a packet must be dropped, and not the last to arrive: a flood would then lock
 * everybody else out. It is the newest packet of the largest flow; of flows about as large (within
 * a factor of two), the newest flow's. So a flood sheds itself, a thousand strangers shed each
 * other, and the session that was there before, with its few packets, goes on. A flow's newest
 * packet goes because the older ones are nearer to being delivered, and order is kept.
 *
 * A queue that is never empty must be no longer than what goes on in HOLD_US_MAX, or each packet of
 * it waits in vain, was copied in vain, and the session's is dropped for its age beside the
 * flood's. So when packets have become too old, there is room for a little less than was left, and
 * it grows again packet by packet as the kernel takes them; a queue that has run empty may be of
 * any length up to its limit.
 *
 * Flows are buckets of a hash; two that share one are taken for one. A flow is known by when it
 * began, which is noted for each packet that passes, held or not.
 *
 * Under a flood that verdict is passed on nearly each of its packets, so it must cost little: flows
 * are counted by size, and where no other flow is as large the newcomer goes without a look at any.
 * And it is asked for before the packet is copied (hold_make_room).
 *
 * Slots are on one list from the oldest to the newest, and each knows the slot of its flow before
 * it. A slot leaves as the oldest of all, so the oldest of its flow, or as the newest of its flow:
 * never from the middle of a flow, so that chain needs no mending. One worker.
 */
#include "dataplane/exception/hold.h"

#include <assert.h>
#include <stdlib.h>
#include <rte_mbuf.h>
#include "config/counter.h"
#include "config/limits.h"

#define NONE	  UINT16_MAX
#define SMALL_MAX 7u /* mbufs of a flow that is not worth shedding for its size; all bits set */
#define CLASS_MAX 32u
#define ROOM_MIN  ((uint32_t)EXCEPTION_SEG_MAX) /* one packet always fits */
/* The room grows by one for so many packets released, and shrinks by one of so many. */
#define ROOM_PACE 8u

struct slot {
	struct rte_mbuf *m;
	uint64_t since_us;
	uint16_t prev, next; /* in order of arrival; next also chains free slots */
	uint16_t before;     /* the slot of the same flow that came before, if there still is one */
	uint16_t flow;
};

struct flow {
	uint64_t first_us, last_us; /* 0 = never seen */
	uint32_t mbufs;
	uint16_t count, newest; /* newest is good while count > 0 */
};

struct hold {
	uint32_t mbuf_max, mbufs;
	uint32_t room; /* <= mbuf_max: what can be released in time */
	uint16_t head, tail, free;
	struct slot slots[HOLD_MAX];
	struct flow flows[HOLD_FLOW_COUNT];
	uint16_t class_counts[CLASS_MAX + 1]; /* flows that hold something, by size class */
	uint64_t classes;		      /* a bit for each where that is not 0 */
	struct hold_stats stats;
};

static_assert(HOLD_MAX < NONE, "a slot number fits");

size_t hold_bytes(void)
{
	return sizeof(struct hold);
}

struct hold *hold_create(uint32_t mbuf_max)
{
	struct hold *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	assert(mbuf_max > 0 && mbuf_max <= HOLD_MAX);
	h->mbuf_max = h->room = mbuf_max;
	h->head = h->tail = NONE;
	for (uint16_t i = 0; i < HOLD_MAX; i++)
		h->slots[i].next = i + 1 < HOLD_MAX ? (uint16_t)(i + 1) : NONE;
	return h;
}

void hold_destroy(struct hold *h)
{
	struct rte_mbuf *m;

	if (!h)
		return;
	while ((m = hold_pop(h)))
		rte_pktmbuf_free(m);
	free(h);
}

static struct flow *flow_of(struct hold *h, uint32_t hash)
{
	return &h->flows[hash % HOLD_FLOW_COUNT];
}

void hold_see(struct hold *h, uint32_t hash, uint64_t now_us)
{
	struct flow *f = flow_of(h, hash);

	if (!f->last_us || now_us - f->last_us > HOLD_FLOW_IDLE_US)
		f->first_us = now_us;
	f->last_us = now_us;
}

/* Flows of one class are about as large as each other; those with a few packets are all small. */
static unsigned size_class(uint32_t mbufs)
{
	return mbufs ? 32 - (unsigned)__builtin_clz(mbufs | SMALL_MAX) : 0;
}

static void class_count(struct hold *h, unsigned class, int change)
{
	h->class_counts[class] = (uint16_t)(h->class_counts[class] + change);
	if (h->class_counts[class])
		h->classes |= UINT64_C(1) << class;
	else
		h->classes &= ~(UINT64_C(1) << class);
}

/* @f holds @mbufs from now on. */
static void flow_resize(struct hold *h, struct flow *f, uint32_t mbufs)
{
	if (f->mbufs)
		class_count(h, size_class(f->mbufs), -1);
	if (mbufs)
		class_count(h, size_class(mbufs), 1);
	h->mbufs = h->mbufs - f->mbufs + mbufs;
	f->mbufs = mbufs;
}

/* Takes slot @idx off both lists. Out: its mbuf, the caller's. */
static struct rte_mbuf *slot_take(struct hold *h, uint16_t idx)
{
	struct slot *s = &h->slots[idx];
	struct flow *f = &h->flows[s->flow];
	struct rte_mbuf *m = s->m;

	assert(m && f->count > 0 && f->mbufs >= m->nb_segs && h->mbufs >= m->nb_segs);
	if (s->prev == NONE)
		h->head = s->next;
	else
		h->slots[s->prev].next = s->next;
	if (s->next == NONE)
		h->tail = s->prev;
	else
		h->slots[s->next].prev = s->prev;
	if (f->newest == idx)
		f->newest = s->before;
	f->count--;
	flow_resize(h, f, f->mbufs - m->nb_segs);
	s->m = NULL;
	s->next = h->free;
	h->free = idx;
	return m;
}

static void slot_append(struct hold *h, struct rte_mbuf *m, uint32_t hash, uint64_t now_us)
{
	struct flow *f = flow_of(h, hash);
	uint16_t idx = h->free;
	struct slot *s = &h->slots[idx];

	assert(idx != NONE && !s->m);
	h->free = s->next;
	*s = (struct slot){.m = m,
		.since_us = now_us,
		.prev = h->tail,
		.next = NONE,
		.before = f->count ? f->newest : NONE,
		.flow = (uint16_t)(f - h->flows)};
	if (h->tail == NONE)
		h->head = idx;
	else
		h->slots[h->tail].next = idx;
	h->tail = idx;
	f->newest = idx;
	f->count++;
	flow_resize(h, f, f->mbufs + m->nb_segs);
}

/* Is a flow other than @f of @class, or larger? */
static bool has_rival(const struct hold *h, const struct flow *f, unsigned class)
{
	unsigned own = size_class(f->mbufs);
	uint64_t classes = h->classes;

	if (own > 0 && h->class_counts[own] == 1)
		classes &= ~(UINT64_C(1) << own);
	return classes >> class;
}

/* Whose packet goes, if @f with @more mbufs than it holds asks for room. May be @f. */
static struct flow *victim(struct hold *h, struct flow *f, uint32_t more)
{
	unsigned class = size_class(f->mbufs + more);
	struct flow *worst = f;

	if (!has_rival(h, f, class))
		return f;
	for (unsigned i = 0; i < HOLD_FLOW_COUNT; i++) {
		struct flow *other = &h->flows[i];
		unsigned theirs = size_class(other->mbufs);

		if (other == f || theirs < class ||
			(theirs == class && other->first_us <= worst->first_us))
			continue;
		worst = other;
		class = theirs;
	}
	return worst;
}

bool hold_make_room(struct hold *h, uint32_t mbufs, uint32_t hash)
{
	struct flow *f = flow_of(h, hash), *worst;

	/* Bounded: each round frees at least one mbuf, or ends. */
	while (h->mbufs + mbufs > h->room) {
		worst = victim(h, f, mbufs);
		counter_add(&h->stats.shed_flow, 1);
		if (worst == f)
			return false;
		rte_pktmbuf_free(slot_take(h, worst->newest));
	}
	return true;
}

bool hold_push(struct hold *h, struct rte_mbuf *m, uint32_t hash, uint64_t now_us)
{
	if (!hold_make_room(h, m->nb_segs, hash)) {
		rte_pktmbuf_free(m);
		return false;
	}
	slot_append(h, m, hash, now_us);
	counter_add(&h->stats.held, 1);
	return true;
}

struct rte_mbuf *hold_pop(struct hold *h)
{
	struct rte_mbuf *m;

	if (h->head == NONE)
		return NULL;
	counter_add(&h->stats.released, 1);
	m = slot_take(h, h->head);
	if (h->head == NONE)
		h->room = h->mbuf_max;
	else if (h->room < h->mbuf_max && h->stats.released % ROOM_PACE == 0)
		h->room++;
	return m;
}

void hold_age(struct hold *h, uint64_t now_us)
{
	uint64_t aged = h->stats.aged;
	uint32_t left;

	while (h->head != NONE && now_us - h->slots[h->head].since_us > HOLD_US_MAX) {
		rte_pktmbuf_free(slot_take(h, h->head));
		counter_add(&h->stats.aged, 1);
	}
	if (h->stats.aged == aged)
		return;
	left = h->mbufs - h->mbufs / ROOM_PACE;
	h->room = left > ROOM_MIN ? left : ROOM_MIN;
	h->room = h->room < h->mbuf_max ? h->room : h->mbuf_max;
}

uint64_t hold_deadline(const struct hold *h)
{
	return h->head == NONE ? UINT64_MAX : h->slots[h->head].since_us + HOLD_US_MAX + 1;
}

bool hold_is_empty(const struct hold *h)
{
	return h->head == NONE;
}

void hold_stats(const struct hold *h, struct hold_stats *out)
{
	*out = h->stats;
}
