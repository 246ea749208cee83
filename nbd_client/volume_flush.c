/*
 * volume_flush.c - FLUSH and FUA: one FLUSH in flight per device, and when its success counts
 *
 * A server's fsync() reports a write-back error once, to whichever caller comes first. With two
 * FLUSHes in flight, or a FLUSH beside a FUA, one of them gets the error and the other a success
 * that covers lost data. Therefore:
 *
 * - A device has one FLUSH in flight, whichever channel (volume_group.c) sends it. The right to
 *   send is a token, taken by compare-and-swap and given back when the FLUSH is settled or its
 *   connection ends. Requests of the same channel that this FLUSH also covers ride on it and share
 *   its result.
 * - A FLUSH answered with success is held back until every FUA that was open beside it, on any
 *   channel, is answered. It fails with EIO if a FUA has failed since the last answered FLUSH was
 *   sent.
 *
 * Where a server has no FUA, a FLUSH behind the write stands for it. If a connection is lost after
 * the write was begun, the server may have restarted between the two: both go again (io_settle()).
 *
 * Each channel publishes the newest FUA it has taken and the oldest still open, as volume_group.c
 * does for writes. FUAs never wait for a FLUSH, so there is no circle. A channel that is not given
 * the token polls; the poll period grows with the wait. A channel that had the token last does not
 * take it while another channel waits for it, so no channel starves.
 *
 * The same places know how much is unstable (answered, and not covered by a FLUSH): each channel
 * counts the bytes it answered; a FLUSH notes all counts when it is sent and publishes them as
 * stable when it succeeds. When the last connection of a channel is lost the server may have
 * restarted, and what is unstable may be gone: it is counted and logged, and the server is trusted
 * (`unstable: trust`; with `through` every write has FUA and nothing is unstable;
 * docs/durability.md). A server without FLUSH has nothing that can be called stable or not: nothing
 * is counted.
 *
 * Shared: struct volume_sync, one per device; a volume without a group has its own. Worker thread,
 * no locks. Always: the holder of the token has flush.sub set, or is about to set it in this turn.
 */
#include "nbd_client/volume_priv.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NONE_OPEN  UINT64_MAX
#define NOBODY	   0u
#define POLL_SHARE 16u	  /* of the time waited so far */
#define POLL_US_MAX 5000u

struct sync_channel {
	_Alignas(64) _Atomic uint64_t fua_newest;
	_Atomic uint64_t fua_oldest;
	_Atomic uint64_t answered_bytes, stable_bytes;
	_Atomic uint64_t heard_us; /* when the server last replied to it */
	_Atomic bool is_waiting; /* for the token */
};

struct volume_sync {
	struct sync_channel channels[DEVICE_CHANNEL_MAX];
	_Alignas(
		64) _Atomic uint32_t owner; /* of the token: a channel, counted from 1; or NOBODY */
	_Atomic uint32_t owner_last;
	_Atomic uint64_t fua_errors;
	uint64_t fua_errors_noted; /* when the last answered FLUSH was sent; the owner's */
};

struct volume_sync *volume_sync_create(void)
{
	struct volume_sync *s = aligned_alloc(64, sizeof(*s));

	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < DEVICE_CHANNEL_MAX; i++)
		s->channels[i].fua_oldest = NONE_OPEN;
	return s;
}

void volume_sync_destroy(struct volume_sync *s)
{
	free(s);
}

size_t volume_sync_bytes(void)
{
	return sizeof(struct volume_sync);
}

static struct sync_channel *channel_of(const struct volume *v)
{
	assert(v->cfg.channel < DEVICE_CHANNEL_MAX);
	return &v->sync->channels[v->cfg.channel];
}

/* ---- FUA ---- */

void volume_fua_taken(struct volume *v, struct volume_io *io)
{
	struct sync_channel *p = channel_of(v);

	TAILQ_INSERT_TAIL(&v->fuas_open, io, fua_link);
	atomic_store_explicit(
		&p->fua_oldest, TAILQ_FIRST(&v->fuas_open)->seq, memory_order_relaxed);
	atomic_store_explicit(&p->fua_newest, io->seq, memory_order_release);
}

void volume_fua_ended(struct volume *v, struct volume_io *io)
{
	const struct volume_io *first;

	TAILQ_REMOVE(&v->fuas_open, io, fua_link);
	/* Before it is published as ended, for a FLUSH looks in the opposite order. */
	if (io->result < 0)
		atomic_fetch_add(&v->sync->fua_errors, 1);
	first = TAILQ_FIRST(&v->fuas_open);
	atomic_store_explicit(
		&channel_of(v)->fua_oldest, first ? first->seq : NONE_OPEN, memory_order_release);
}

/* ---- replies ---- */

void volume_sync_heard(struct volume *v)
{
	atomic_store_explicit(&channel_of(v)->heard_us, v->now_us, memory_order_relaxed);
}

uint64_t volume_sync_heard_us(const struct volume *v)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < DEVICE_CHANNEL_MAX; i++) {
		uint64_t t =
			atomic_load_explicit(&v->sync->channels[i].heard_us, memory_order_relaxed);

		last = t > last ? t : last;
	}
	return last;
}

/* ---- the token ---- */

static void poll_again(struct volume *v)
{
	uint64_t us;

	if (v->flush.wait_us == 0)
		v->flush.wait_us = v->now_us;
	us = (v->now_us - v->flush.wait_us) / POLL_SHARE;
	us = us > NBD_FLUSH_POLL_US ? us : NBD_FLUSH_POLL_US;
	v->flush_poll_us = v->now_us + (us < POLL_US_MAX ? us : POLL_US_MAX);
	v->flush.polls = true;
}

static bool others_wait(const struct volume *v)
{
	for (unsigned i = 0; i < DEVICE_CHANNEL_MAX; i++)
		if (i != v->cfg.channel && atomic_load(&v->sync->channels[i].is_waiting))
			return true;
	return false;
}

bool volume_flush_begin(struct volume *v, const struct volume_sub *sub)
{
	uint32_t me = v->cfg.channel + 1, nobody = NOBODY;
	struct volume_sync *s = v->sync;

	if (v->flush.has_token || (v->flush.sub && v->flush.sub != sub))
		return false; /* one of this channel's is in flight, and its end comes by here */
	if ((atomic_load(&s->owner_last) == me && others_wait(v)) ||
		!atomic_compare_exchange_strong(&s->owner, &nobody, me)) {
		v->flush.is_waiting = true;
		poll_again(v);
		return false;
	}
	atomic_store(&s->owner_last, me);
	v->flush.has_token = true;
	return true;
}

static void token_give(struct volume *v)
{
	if (!v->flush.has_token)
		return;
	assert(atomic_load(&v->sync->owner) == v->cfg.channel + 1);
	v->flush.has_token = false;
	atomic_store(&v->sync->owner, NOBODY);
}

void volume_flush_undo(struct volume *v)
{
	token_give(v);
}

void volume_flush_sent(struct volume *v, struct volume_sub *sub)
{
	assert(v->flush.has_token && (!v->flush.sub || v->flush.sub == sub));
	v->flush.sub = sub;
	v->flush.fua_errors = atomic_load(&v->sync->fua_errors);
	for (unsigned i = 0; i < DEVICE_CHANNEL_MAX; i++)
		v->flush.answered_bytes[i] = atomic_load(&v->sync->channels[i].answered_bytes);
}

void volume_flush_ride(struct volume *v, struct volume_io *io)
{
	assert(v->flush.sub && io->is_queued);
	TAILQ_REMOVE(&v->waiting[io->class], io, link);
	io->is_queued = false;
	io->is_issued = true;
	TAILQ_INSERT_TAIL(&v->flush.riders, io, link);
}

void volume_flush_lost(struct volume *v, const struct volume_sub *sub)
{
	assert(v->flush.sub == sub && !v->flush.is_answered);
	token_give(v);
}

/* ---- the answer ---- */

static void settle(struct volume *v, int result)
{
	struct volume_sub *sub = v->flush.sub;
	struct volume_io_list riders;
	struct volume_io *io;

	v->sync->fua_errors_noted = v->flush.fua_errors;
	for (unsigned i = 0; result == 0 && i < DEVICE_CHANNEL_MAX; i++)
		atomic_store(&v->sync->channels[i].stable_bytes, v->flush.answered_bytes[i]);
	v->flush.sub = NULL;
	v->flush.is_answered = false;
	token_give(v);
	TAILQ_INIT(&riders);
	TAILQ_CONCAT(&riders, &v->flush.riders, link);
	volume_sub_done(v, sub, result);
	while ((io = TAILQ_FIRST(&riders))) {
		TAILQ_REMOVE(&riders, io, link);
		volume_io_done(v, io, result);
	}
}

/* Were all FUAs that were open when the answer came answered since? */
static bool fuas_are_over(const struct volume *v)
{
	for (unsigned i = 0; i < DEVICE_CHANNEL_MAX; i++)
		if (atomic_load_explicit(&v->sync->channels[i].fua_oldest, memory_order_acquire) <=
			v->flush.fua_newest[i])
			return false;
	return true;
}

static void settle_if_fuas_are_over(struct volume *v)
{
	if (!fuas_are_over(v)) {
		if (v->cfg.group)
			poll_again(v);
		return;
	}
	settle(v, atomic_load(&v->sync->fua_errors) == v->sync->fua_errors_noted ? 0 : -EIO);
}

void volume_flush_answered(struct volume *v, struct volume_sub *sub, int result)
{
	assert(v->flush.sub == sub && v->flush.has_token && !sub->conn);
	if (result < 0) {
		settle(v, result);
		return;
	}
	v->flush.is_answered = true;
	for (unsigned i = 0; i < DEVICE_CHANNEL_MAX; i++)
		v->flush.fua_newest[i] = atomic_load_explicit(
			&v->sync->channels[i].fua_newest, memory_order_acquire);
	settle_if_fuas_are_over(v);
}

void volume_flush_turn(struct volume *v)
{
	v->flush.is_waiting = false;
	v->flush.polls = false;
	if (v->flush.is_answered)
		settle_if_fuas_are_over(v);
}

void volume_flush_publish(struct volume *v)
{
	struct sync_channel *p = channel_of(v);

	if (!v->flush.polls)
		v->flush.wait_us = 0;
	if (atomic_load_explicit(&p->is_waiting, memory_order_relaxed) != v->flush.is_waiting)
		atomic_store(&p->is_waiting, v->flush.is_waiting);
}

void volume_flush_drop(struct volume *v)
{
	struct volume_sub *sub = v->flush.sub;

	TAILQ_INIT(&v->flush.riders);
	v->flush.sub = NULL;
	v->flush.is_waiting = false;
	if (v->flush.is_answered) {
		v->flush.is_answered = false;
		sub->io->subs_open--;
		volume_sub_give(v, sub);
	}
	token_give(v);
}

/* ---- what is unstable ---- */

void volume_unstable_add(struct volume *v, uint64_t bytes)
{
	struct sync_channel *p = channel_of(v);

	atomic_store_explicit(&p->answered_bytes,
		atomic_load_explicit(&p->answered_bytes, memory_order_relaxed) + bytes,
		memory_order_release);
}

void volume_unstable_expose(struct volume *v)
{
	const struct sync_channel *p = channel_of(v);
	uint64_t answered = atomic_load(&p->answered_bytes), from = atomic_load(&p->stable_bytes);

	/* What was reported at an earlier loss is not reported again. */
	from = from > v->flush.exposed_bytes ? from : v->flush.exposed_bytes;
	v->flush.exposed_bytes = answered;
	if (answered == from)
		return;
	counter_add(&v->unstable_lost, answered - from);
	volume_event_add(v, VOLUME_EVENT_SERVER, -ESTALE,
		"%" PRIu64
		" bytes were answered and not flushed when the connection was lost: a server "
		"that restarted may have lost them (unstable: trust)",
		answered - from);
}

uint64_t volume_unstable_bytes(const struct volume *v)
{
	const struct sync_channel *p = channel_of(v);
	uint64_t stable = atomic_load(&p->stable_bytes);

	return atomic_load(&p->answered_bytes) - stable;
}
