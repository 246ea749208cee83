/*
 * volume_group.c - parts of one block device, each a volume on a worker of its own
 *
 * A device served by several workers is one volume for each of them, with connections, credits and
 * a hardware queue of its own; a request stays on the worker whose queue it came by. Two things the
 * parts must nevertheless agree on, and this is all they share:
 *
 * FLUSH. It covers what was written through every part. Each part publishes two numbers of its own
 * count of requests: the newest WRITE it has taken, and the oldest that is still open. A FLUSH notes,
 * when it is taken, the newest of each sibling, and may be sent when each sibling's oldest open one
 * is younger than that. A part that lost its server keeps its WRITEs open until they were replayed,
 * so the FLUSH waits for that too. WRITEs never wait for a FLUSH, so there is no circle.
 *
 *	taking:  oldest = seq (if none is open), then newest = seq (release)
 *	asking:  newest (acquire), later oldest (acquire): who saw the WRITE taken sees it open
 *
 * One server. CAN_MULTI_CONN is a promise about connections to one server. Part 0 leads: it alone
 * turns to another address, and opens there only when no sibling has a connection elsewhere; the
 * others go where it is, once it serves there. Leader and follower each store what they intend and
 * then look at the other (sequentially consistent): at least one of them sees the other and waits.
 *
 * Each part writes its own cache line and reads the others'. No locks; nobody waits in here.
 */
#include "nbd_client/volume_priv.h"
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NONE_OPEN UINT64_MAX
#define NOWHERE	  0u

struct part {
	_Alignas(64) _Atomic uint64_t newest;
	_Atomic uint64_t oldest;
	_Atomic uint32_t at; /* address its connections lead to, counted from 1; or NOWHERE */
};

struct volume_group {
	struct part parts[VOLUME_PART_MAX];
	_Alignas(64) _Atomic uint32_t server_idx; /* where the leader is, or wants to be */
	_Atomic bool is_led;			  /* the leader serves there */
	struct volume_sync *sync;
};

struct volume_group *volume_group_create(void)
{
	struct volume_group *g = aligned_alloc(64, sizeof(*g));

	if (!g)
		return NULL;
	memset(g, 0, sizeof(*g));
	for (unsigned i = 0; i < VOLUME_PART_MAX; i++)
		g->parts[i].oldest = NONE_OPEN;
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

void volume_follow(struct volume *v, const struct volume *first)
{
	assert(v->state == VOLUME_IDLE && v->cfg.group && v->cfg.part > 0);
	v->server_idx = atomic_load(&v->cfg.group->server_idx);
	volume_export_adopt(v, &first->identity);
}

static struct part *part_of(const struct volume *v)
{
	assert(v->cfg.part < VOLUME_PART_MAX);
	return &v->cfg.group->parts[v->cfg.part];
}

static bool is_leader(const struct volume *v)
{
	return !v->cfg.group || v->cfg.part == 0;
}

/* ---- FLUSH ---- */

void volume_group_write_taken(struct volume *v, uint64_t seq)
{
	const struct volume_io *first = TAILQ_FIRST(&v->writes_open);
	struct part *p;

	if (!v->cfg.group)
		return;
	p = part_of(v);
	assert(first);
	atomic_store_explicit(&p->oldest, first->seq, memory_order_relaxed);
	atomic_store_explicit(&p->newest, seq, memory_order_release);
}

void volume_group_write_ended(struct volume *v)
{
	const struct volume_io *first = TAILQ_FIRST(&v->writes_open);

	if (v->cfg.group)
		atomic_store_explicit(&part_of(v)->oldest, first ? first->seq : NONE_OPEN,
			memory_order_release);
}

void volume_group_flush_taken(const struct volume *v, struct volume_io *io)
{
	for (unsigned i = 0; v->cfg.group && i < VOLUME_PART_MAX; i++)
		io->covers[i] = atomic_load_explicit(
			&v->cfg.group->parts[i].newest, memory_order_acquire);
}

bool volume_group_flush_may_go(const struct volume *v, const struct volume_io *io)
{
	for (unsigned i = 0; v->cfg.group && i < VOLUME_PART_MAX; i++) {
		if (i != v->cfg.part &&
			atomic_load_explicit(&v->cfg.group->parts[i].oldest,
				memory_order_acquire) <= io->covers[i])
			return false;
	}
	return true;
}

/* ---- one server ---- */

/* Does any sibling have connections to another address than @at (or to any, if NOWHERE)? */
static bool siblings_are_elsewhere(const struct volume *v, uint32_t at)
{
	for (unsigned i = 0; i < VOLUME_PART_MAX; i++) {
		uint32_t theirs = atomic_load(&v->cfg.group->parts[i].at);

		if (i != v->cfg.part && theirs != NOWHERE && theirs != at)
			return true;
	}
	return false;
}

bool volume_group_may_open(const struct volume *v)
{
	const struct volume_group *g = v->cfg.group;

	return is_leader(v) ||
	       (atomic_load(&g->is_led) && atomic_load(&g->server_idx) == v->server_idx);
}

bool volume_group_claim(struct volume *v)
{
	struct volume_group *g = v->cfg.group;

	if (!g)
		return true;
	if (is_leader(v)) {
		atomic_store(&g->server_idx, v->server_idx);
		return !siblings_are_elsewhere(v, v->server_idx + 1);
	}
	atomic_store(&part_of(v)->at, v->server_idx + 1);
	return atomic_load(&g->server_idx) == v->server_idx;
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
	if (is_leader(v) && atomic_load_explicit(&g->is_led, memory_order_relaxed) != (v->conn_ready > 0))
		atomic_store(&g->is_led, v->conn_ready > 0);
	for (unsigned i = 0; i < v->cfg.connections; i++)
		is_idle &= v->conns[i].state == CONN_IDLE;
	if (is_leader(v))
		return;
	if (is_idle && atomic_load_explicit(&part_of(v)->at, memory_order_relaxed) != NOWHERE)
		atomic_store(&part_of(v)->at, NOWHERE);
}

void volume_group_follow_leader(struct volume *v)
{
	if (is_leader(v) || atomic_load(&v->cfg.group->server_idx) == v->server_idx)
		return;
	for (unsigned i = 0; i < v->cfg.connections; i++)
		if (v->conns[i].state != CONN_IDLE)
			volume_conn_lose(&v->conns[i], -ESHUTDOWN,
				"the other workers' connections moved to another address");
	v->server_idx = atomic_load(&v->cfg.group->server_idx);
}
