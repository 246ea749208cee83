/*
 * tcp_rtx_mark.c - the scoreboard's verdicts: lost, retransmitted, discarded by the peer
 *
 * tcp_rtx.c takes in what the peer says; here is what the sender concludes. Kept apart because
 * these are called by RACK, by the retransmission timer and by the output path, never by the
 * parse of an ACK. Same data, same invariants.
 */
#include "dataplane/net/tcp/tcp_rtx.h"

#include <assert.h>
#include <stddef.h>
#include "dataplane/net/tcp/tcp_seq.h"

static void flags_change(struct tcp_rtx *rtx, struct tcp_rec *rec, uint8_t set, uint8_t clear)
{
	uint32_t n = rec->end - rec->seq;
	uint8_t before = rec->flags, after = (uint8_t)((before & ~clear) | set);
	uint8_t gained = after & ~before, gone = before & ~after;

	rtx->sacked_bytes += (gained & REC_SACKED ? n : 0) - (gone & REC_SACKED ? n : 0);
	rtx->lost_bytes += (gained & REC_LOST ? n : 0) - (gone & REC_LOST ? n : 0);
	rtx->resent_bytes += (gained & REC_RESENT ? n : 0) - (gone & REC_RESENT ? n : 0);
	rec->flags = after;
}

static void timed_set(struct tcp_rtx *rtx, struct tcp_rec *rec, bool is_timed)
{
	if (rec->is_timed)
		TAILQ_REMOVE(&rtx->by_time, rec, by_time);
	if (is_timed)
		TAILQ_INSERT_TAIL(&rtx->by_time, rec, by_time);
	rec->is_timed = is_timed;
}

/* Back to its place in the order of transmissions: what RACK stops at must be in order. */
static void time_sorted(struct tcp_rtx *rtx, struct tcp_rec *rec)
{
	struct tcp_rec *at;

	assert(!rec->is_timed);
	rec->is_timed = true;
	TAILQ_FOREACH_REVERSE(at, &rtx->by_time, tcp_rec_list, by_time)
	if (!tcp_rtx_sent_after(at->sent_us, at->end, rec->sent_us, rec->end))
		break;
	if (at)
		TAILQ_INSERT_AFTER(&rtx->by_time, at, rec, by_time);
	else
		TAILQ_INSERT_HEAD(&rtx->by_time, rec, by_time);
}

void tcp_rtx_mark_lost(struct tcp_rtx *rtx, struct tcp_rec *rec)
{
	assert(!(rec->flags & REC_SACKED));
	flags_change(rtx, rec, REC_LOST, REC_RESENT);
	timed_set(rtx, rec, false);
}

void tcp_rtx_mark_all_lost(struct tcp_rtx *rtx)
{
	struct tcp_rec *rec;

	TAILQ_FOREACH(rec, &rtx->by_seq, by_seq)
	if (!(rec->flags & REC_SACKED))
		tcp_rtx_mark_lost(rtx, rec);
	rtx->reno_sacked_bytes = 0;
}

void tcp_rtx_mark_head_lost(struct tcp_rtx *rtx, uint32_t bytes)
{
	struct tcp_rec *rec = tcp_rtx_first(rtx);

	if (!rec || (rec->flags & REC_LOST && !(rec->flags & REC_RESENT)))
		return;
	if (rec->end - rec->seq > bytes)
		tcp_rtx_split(rtx, rec, rec->seq + bytes);
	tcp_rtx_mark_lost(rtx, rec);
}

void tcp_rtx_unmark_lost(struct tcp_rtx *rtx)
{
	struct tcp_rec *rec;

	TAILQ_FOREACH(rec, &rtx->by_seq, by_seq)
	{
		if (!(rec->flags & REC_LOST) || rec->flags & REC_RESENT)
			continue;
		flags_change(rtx, rec, 0, REC_LOST);
		time_sorted(rtx, rec);
	}
}

void tcp_rtx_renege(struct tcp_rtx *rtx)
{
	struct tcp_rec *rec;

	TAILQ_FOREACH(rec, &rtx->by_seq, by_seq)
	{
		if (!(rec->flags & REC_SACKED))
			continue;
		flags_change(rtx, rec, REC_LOST | REC_EVER, REC_SACKED);
	}
	rtx->seen_count = 0;
	rtx->fack = rtx->una;
}

struct tcp_rec *tcp_rtx_next_lost(const struct tcp_rtx *rtx)
{
	struct tcp_rec *rec;

	if (rtx->lost_bytes == rtx->resent_bytes)
		return NULL; /* each lost byte is on its way again; RESENT implies LOST */
	TAILQ_FOREACH(rec, &rtx->by_seq, by_seq)
	if ((rec->flags & (REC_LOST | REC_RESENT)) == REC_LOST)
		return rec;
	return NULL;
}

struct tcp_rec *tcp_rtx_first(const struct tcp_rtx *rtx)
{
	struct tcp_rec *rec;

	TAILQ_FOREACH(rec, &rtx->by_seq, by_seq)
	if (!(rec->flags & REC_SACKED))
		return rec;
	return NULL;
}

struct tcp_rec *tcp_rtx_last_unsacked(const struct tcp_rtx *rtx)
{
	struct tcp_rec *rec;

	TAILQ_FOREACH_REVERSE(rec, &rtx->by_seq, tcp_rec_list, by_seq)
	if (!(rec->flags & REC_SACKED))
		return rec;
	return NULL;
}

void tcp_rtx_resent(struct tcp_rtx *rtx, struct tcp_rec *rec, uint32_t end, uint64_t now_us)
{
	assert(!(rec->flags & REC_SACKED) && seq_gt(end, rec->seq));
	if (seq_lt(end, rec->end))
		tcp_rtx_split(rtx, rec, end);
	assert(rec->end == end); /* what did not leave must not count as sent */
	rec->sent_us = now_us;
	rec->tries++;
	/* A probe of what was not known to be lost counts as lost and resent: once in flight, not
	 * twice. */
	flags_change(rtx, rec, REC_LOST | REC_RESENT | REC_EVER, 0);
	timed_set(rtx, rec, true);
	tcp_rtx_join_resent(rtx, rec);
}
