/*
 * volume_silence.c - silence is not death: deadlines of requests, the clock of on_dead, slow
 * servers
 *
 * A server whose TCP answers is waited for, however long a request takes: if a request is given up
 * and sent again, the server may carry both out, the old one after a newer write. So a connection
 * is lost when its TCP is dead (dead_peer_timeout: user timeout while bytes are unacknowledged,
 * keep-alive while replies are awaited), and a request has a deadline only where request_timeout
 * is set. There a request that is sent again gets twice the time it had. That time begins when the
 * oldest request of the connection was answered last: behind a queue a request waits for the
 * others, and a server that works through them is not silent.
 *
 * on_dead: fail gives up dead_timeout after the last reply of any kind to any channel of the
 * device while a request waits, or after the last connection was lost. A handshake is no reply: a
 * server that negotiates again and again and answers nothing is as dead as one that is switched
 * off. A frozen process's kernel goes on acknowledging, so this clock does not ask TCP. on_dead:
 * hold never gives up.
 *
 * A request older than NBD_SLOW_US is reported once, until none is as old.
 *
 * Worker thread. Always: ios_open holds the ios taken and not ended, oldest first.
 */
#include "nbd_client/volume_priv.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#define TRIES_SHIFT_MAX 10u /* of a request's deadline */

/* ---- who waits ---- */

void volume_wait_begin(struct volume *v, struct volume_io *io)
{
	if (TAILQ_EMPTY(&v->ios_open)) {
		v->wait_us = v->now_us;
		__atomic_store_n(&v->oldest_us, io->req->start_us, __ATOMIC_RELAXED);
	}
	TAILQ_INSERT_TAIL(&v->ios_open, io, wait_link);
}

void volume_wait_end(struct volume *v, struct volume_io *io)
{
	bool was_oldest = io == TAILQ_FIRST(&v->ios_open);
	const struct volume_io *first;

	TAILQ_REMOVE(&v->ios_open, io, wait_link);
	if (!was_oldest)
		return;
	first = TAILQ_FIRST(&v->ios_open);
	__atomic_store_n(&v->oldest_us, first ? first->req->start_us : 0, __ATOMIC_RELAXED);
}

static bool is_slow(const struct volume *v)
{
	return v->oldest_us && v->oldest_us + NBD_SLOW_US <= v->now_us;
}

/* What is wrong at present is over: the last error was about it. */
static void slow_over(struct volume *v)
{
	v->is_slow_told = false;
	if (v->conn_ready == (v->limits.can_multi_conn ? v->cfg.connections : 1u))
		v->error[0] = '\0';
}

void volume_slow_turn(struct volume *v)
{
	char where[VOLUME_WHERE_BYTES];

	if (!is_slow(v) && v->is_slow_told)
		slow_over(v);
	if (!is_slow(v) || v->is_slow_told || v->conn_ready == 0)
		return;
	v->is_slow_told = true;
	volume_where(v, where);
	volume_event_add(v, VOLUME_EVENT_SERVER, -ETIMEDOUT,
		"%s is slow: the oldest of %u requests has waited for %" PRIu64
		" s; still waiting, because its TCP responds",
		where, v->in_flight, (v->now_us - v->oldest_us) / 1000000);
}

/* When volume_slow_turn() has something to say. */
uint64_t volume_slow_us(const struct volume *v)
{
	return v->oldest_us && !v->is_slow_told && v->conn_ready > 0 ? v->oldest_us + NBD_SLOW_US
								     : UINT64_MAX;
}

/* ---- deadlines of requests ---- */

/* Of a request in flight on @vc; UINT64_MAX: none. */
static uint64_t due_of(const struct volume_conn *vc, const struct volume_sub *sub)
{
	uint64_t request_us = vc->volume->cfg.request_us, since_us = sub->sent_us;

	if (request_us == 0)
		return UINT64_MAX;
	if (vc->moved_us > since_us)
		since_us = vc->moved_us;
	return since_us + (request_us << sub->tries);
}

void volume_due_set(struct volume_conn *vc, const struct volume_sub *sub)
{
	uint64_t due_us = due_of(vc, sub);

	if (due_us < vc->due_us)
		vc->due_us = due_us;
}

void volume_due_move(struct volume_conn *vc, const struct volume_sub *sub)
{
	if (vc->volume->cfg.request_us && sub == TAILQ_FIRST(&vc->in_flight))
		vc->moved_us = vc->volume->now_us;
}

void volume_due_again(struct volume_sub *sub)
{
	if (sub->tries < TRIES_SHIFT_MAX)
		sub->tries++;
}

/* due_us is the earliest that ever was; what it belonged to may have been answered. */
bool volume_is_due(struct volume_conn *vc)
{
	const struct volume_sub *sub;

	vc->due_us = UINT64_MAX;
	TAILQ_FOREACH(sub, &vc->in_flight, link)
		volume_due_set(vc, sub);
	return vc->due_us <= vc->volume->now_us;
}

/* ---- when to give up ---- */

void volume_heard(struct volume *v)
{
	v->lost_us = 0;
	if (v->heard_us == v->now_us)
		return; /* in this turn already: a READ is answered in many pieces */
	v->heard_us = v->now_us;
	volume_sync_heard(v);
}

void volume_progress(struct volume *v)
{
	v->lost_us = 0;
}

void volume_lost(struct volume *v)
{
	if (v->lost_us == 0 && v->conn_ready == 0)
		v->lost_us = v->now_us;
}

uint64_t volume_give_up_us(const struct volume *v)
{
	uint64_t since = UINT64_MAX;

	if (v->state == VOLUME_FAILED)
		return UINT64_MAX;
	if (v->is_given_up)
		return 0;
	if (v->cfg.on_dead == ON_DEAD_HOLD || !v->has_identity ||
		(v->is_stopping && v->in_flight == 0))
		return UINT64_MAX;
	if (v->in_flight > 0) {
		uint64_t heard_us = volume_sync_heard_us(v);

		since = heard_us > v->wait_us ? heard_us : v->wait_us;
	}
	if (v->lost_us && v->lost_us < since)
		since = v->lost_us;
	return since == UINT64_MAX ? since : since + v->cfg.dead_us;
}
