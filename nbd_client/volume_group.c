/*
 * volume_group.c - channels of one block device, each a volume on a worker of its own
 *
 * A device served by several workers is one volume for each of them, with connections, credits and
 * a hardware queue of its own; a request stays on the worker whose queue it came by. Two things the
 * channels must nevertheless agree on, and this is all they share:
 *
 * FLUSH. It covers what was written through every channel. Each channel publishes two numbers of
 * its own count of requests: the newest WRITE it has taken, and the oldest that is still open. A
 * FLUSH notes, when it is taken, the newest of each sibling, and may be sent when each sibling's
 * oldest open one is younger than that. A channel that lost its server keeps its WRITEs open until
 * they were replayed, so the FLUSH waits for that too. WRITEs never wait for a FLUSH, so there is
 *no circle.
 *
 *	taking:  oldest = seq (if none is open), then newest = seq (release)
 *	asking:  newest (acquire), later oldest (acquire): who saw the WRITE taken sees it open
 *
 * One server. CAN_MULTI_CONN is a promise about connections to one server. Part 0 leads: it alone
 * turns to another address, and opens there only when no sibling has a connection elsewhere; the
 * others go where it is, once it serves there. Leader and follower each store what they intend and
 * then look at the other (sequentially consistent): at least one of them sees the other and waits.
 *
 * An address is named by its place in the list of addresses and by the list's generation, so
 * channels that have different lists never take one another's place for the same server. Names are
 * resolved again only while no channel has a connection; the leader gets the new list and copies it
 * here, and a follower fetches it when the leader's place is of another generation than its own
 * list. Writing is guarded by a sequence number; a follower that meets a write looks again in its
 * next turn.
 *
 * Each channel writes its own cache line and reads the others'. No locks; nothing waits in here.
 */
#include "nbd_client/volume_priv.h"
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NONE_OPEN  UINT64_MAX
#define NOWHERE	   0u
#define LIST_WORDS (sizeof(struct volume_servers) / sizeof(uint32_t))
#define GEN_MASK   0xffffffu

static_assert(sizeof(struct volume_servers) % sizeof(uint32_t) == 0, "the list is copied by words");

struct channel {
	_Alignas(64) _Atomic uint64_t newest;
	_Atomic uint64_t oldest;
	_Atomic uint32_t at; /* address its connections lead to, as place_of() has it; or NOWHERE */
};

struct volume_group {
	struct channel channels[DEVICE_CHANNEL_MAX];
	_Alignas(64) _Atomic uint32_t place; /* where the leader is, or is connecting: place_of() */
	_Atomic bool is_led;		     /* the leader serves there */
	/* The leader's list, and how often it was replaced, twice; odd: it is being written. */
	_Atomic uint32_t list_seq, list[LIST_WORDS];
	struct volume_sync *sync;
};

struct volume_group *volume_group_create(void)
{
	struct volume_group *g = aligned_alloc(64, sizeof(*g));

	if (!g)
		return NULL;
	memset(g, 0, sizeof(*g));
	for (unsigned i = 0; i < DEVICE_CHANNEL_MAX; i++)
		g->channels[i].oldest = NONE_OPEN;
	g->sync = volume_sync_create();
	if (!g->sync) {
		free(g);
		return NULL;
	}
	return g;
}

void volume_group_destroy(struct volume_group *g)
{
	if (g)
		volume_sync_destroy(g->sync);
	free(g);
}

struct volume_sync *volume_group_sync(struct volume_group *g)
{
	return g->sync;
}

/* The address @v is at or goes to; never NOWHERE. */
static uint32_t place_of(const struct volume *v)
{
	return (v->servers_gen & GEN_MASK) << 8 | (v->server_idx + 1);
}

/* Goes to @place. False: it is in a list that cannot be read at this moment. */
static bool place_take(struct volume *v, uint32_t place)
{
	struct volume_group *g = v->cfg.group;
	uint32_t words[LIST_WORDS], seq;

	if (place == NOWHERE) /* the leader has opened nothing yet */
		return true;
	if (place >> 8 != (v->servers_gen & GEN_MASK)) {
		seq = atomic_load(&g->list_seq);
		for (unsigned i = 0; i < LIST_WORDS; i++)
			words[i] = atomic_load(&g->list[i]);
		if (seq % 2 || (seq / 2 & GEN_MASK) != place >> 8 ||
			atomic_load(&g->list_seq) != seq)
			return false;
		memcpy(&v->cfg.servers, words, sizeof(v->cfg.servers));
		v->servers_gen = seq / 2;
	}
	v->server_idx = (place & 0xff) - 1;
	assert(v->server_idx < v->cfg.servers.count);
	return true;
}

void volume_follow(struct volume *v, const struct volume *first)
{
	assert(v->state == VOLUME_IDLE && v->cfg.group && v->cfg.channel > 0);
	place_take(v, atomic_load(&v->cfg.group->place));
	volume_export_adopt(v, &first->identity);
}

static struct channel *channel_of(const struct volume *v)
{
	assert(v->cfg.channel < DEVICE_CHANNEL_MAX);
	return &v->cfg.group->channels[v->cfg.channel];
}

static bool is_leader(const struct volume *v)
{
	return !v->cfg.group || v->cfg.channel == 0;
}

/* ---- FLUSH ---- */

void volume_group_write_taken(struct volume *v, uint64_t seq)
{
	const struct volume_io *first = TAILQ_FIRST(&v->writes_open);
	struct channel *p;

	if (!v->cfg.group)
		return;
	p = channel_of(v);
	assert(first);
	atomic_store_explicit(&p->oldest, first->seq, memory_order_relaxed);
	atomic_store_explicit(&p->newest, seq, memory_order_release);
}

void volume_group_write_ended(struct volume *v)
{
	const struct volume_io *first = TAILQ_FIRST(&v->writes_open);

	if (v->cfg.group)
		atomic_store_explicit(&channel_of(v)->oldest, first ? first->seq : NONE_OPEN,
			memory_order_release);
}

void volume_group_flush_taken(const struct volume *v, struct volume_io *io)
{
	for (unsigned i = 0; v->cfg.group && i < DEVICE_CHANNEL_MAX; i++)
		io->covers[i] = atomic_load_explicit(
			&v->cfg.group->channels[i].newest, memory_order_acquire);
}

bool volume_group_flush_may_go(const struct volume *v, const struct volume_io *io)
{
	for (unsigned i = 0; v->cfg.group && i < DEVICE_CHANNEL_MAX; i++) {
		if (i != v->cfg.channel && atomic_load_explicit(&v->cfg.group->channels[i].oldest,
						   memory_order_acquire) <= io->covers[i])
			return false;
	}
	return true;
}

/* ---- one server ---- */

/* Does any sibling have connections to another address than @at (or to any, if NOWHERE)? */
static bool siblings_are_elsewhere(const struct volume *v, uint32_t at)
{
	for (unsigned i = 0; i < DEVICE_CHANNEL_MAX; i++) {
		uint32_t theirs = atomic_load(&v->cfg.group->channels[i].at);

		if (i != v->cfg.channel && theirs != NOWHERE && theirs != at)
			return true;
	}
	return false;
}

bool volume_group_may_open(const struct volume *v)
{
	const struct volume_group *g = v->cfg.group;

	return is_leader(v) ||
	       (atomic_load(&g->is_led) && atomic_load(&g->place) == place_of(v));
}

bool volume_group_claim(struct volume *v)
{
	struct volume_group *g = v->cfg.group;

	if (!g)
		return true;
	if (is_leader(v)) {
		atomic_store(&g->place, place_of(v));
		return !siblings_are_elsewhere(v, place_of(v));
	}
	atomic_store(&channel_of(v)->at, place_of(v));
	return atomic_load(&g->place) == place_of(v);
}

void volume_group_servers_set(struct volume *v)
{
	struct volume_group *g = v->cfg.group;
	uint32_t words[LIST_WORDS], seq;

	if (!g)
		return;
	assert(is_leader(v));
	memcpy(words, &v->cfg.servers, sizeof(words));
	seq = atomic_load(&g->list_seq);
	atomic_store(&g->list_seq, seq + 1);
	for (unsigned i = 0; i < LIST_WORDS; i++)
		atomic_store(&g->list[i], words[i]);
	atomic_store(&g->list_seq, seq + 2);
	v->servers_gen = (seq + 2) / 2;
}

bool volume_group_may_move(const struct volume *v)
{
	if (!v->cfg.group)
		return true;
	return is_leader(v) && !siblings_are_elsewhere(v, NOWHERE);
}

void volume_group_publish(struct volume *v)
{
	struct volume_group *g = v->cfg.group;
	bool is_idle = true;

	if (!g)
		return;
	if (is_leader(v) &&
		atomic_load_explicit(&g->is_led, memory_order_relaxed) != (v->conn_ready > 0))
		atomic_store(&g->is_led, v->conn_ready > 0);
	for (unsigned i = 0; i < v->cfg.connections; i++)
		is_idle &= v->conns[i].state == CONN_IDLE;
	if (is_leader(v))
		return;
	if (is_idle && atomic_load_explicit(&channel_of(v)->at, memory_order_relaxed) != NOWHERE)
		atomic_store(&channel_of(v)->at, NOWHERE);
}

void volume_group_follow_leader(struct volume *v)
{
	uint32_t place;

	if (is_leader(v))
		return;
	place = atomic_load(&v->cfg.group->place);
	if (place == place_of(v) || place == NOWHERE)
		return;
	for (unsigned i = 0; i < v->cfg.connections; i++)
		if (v->conns[i].state != CONN_IDLE)
			volume_conn_lose(&v->conns[i], -ESHUTDOWN,
				"the other workers' connections moved to another address");
	(void)place_take(
		v, place); /* false: the next turn tries again, and nothing is opened until then */
}
