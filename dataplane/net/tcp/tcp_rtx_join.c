/*
 * tcp_rtx_join.c - send records put together again
 *
 * Records are cut where a packet, a SACK block or a smaller path MTU divides them. What was cut and
 * has to be sent again is joined first, so that a retransmission is as full as a first
 * transmission, whatever the pieces were; and what leaves within one microsecond becomes one
 * record, as with new data. Each cut needs a free record; when there are none, neighbours of one
 * kind are joined, and if that is not enough, what the peer SACKed is forgotten, as a sender may
 * (RFC 2018 8).
 *
 * Same data and invariants as tcp_rtx.c: joining never changes a counter of bytes.
 */
#include "dataplane/net/tcp/tcp_rtx.h"

#include <assert.h>
#include <stddef.h>
#include <rte_common.h>
#include "dataplane/net/tcp/tcp_seq.h"

#define SPLITS_MAX 2u /* of one retransmission: where the tail begins, and what memory allowed */

/* The flags that the counters of bytes and RACK go by. */
static uint8_t kind_of(const struct tcp_rec *rec)
{
	return rec->flags & (REC_SACKED | REC_LOST | REC_RESENT);
}

/* Neighbours of one kind become @keep, which has to be the later of the two in the order of
 * transmissions. */
static void join(struct tcp_rtx *rtx, struct tcp_rec *keep, struct tcp_rec *gone)
{
	assert(kind_of(keep) == kind_of(gone) &&
		(keep->end == gone->seq || gone->end == keep->seq));
	keep->seq = seq_min(keep->seq, gone->seq);
	keep->end = seq_max(keep->end, gone->end);
	keep->flags |= gone->flags;
	keep->tries = RTE_MAX(keep->tries, gone->tries);
	keep->sent_us = RTE_MAX(keep->sent_us, gone->sent_us);
	if (gone->is_timed)
		TAILQ_REMOVE(&rtx->by_time, gone, by_time);
	TAILQ_REMOVE(&rtx->by_seq, gone, by_seq);
	TAILQ_INSERT_HEAD(&rtx->free, gone, by_seq);
	rtx->free_count++;
}

void tcp_rtx_join_lost(struct tcp_rtx *rtx, struct tcp_rec *rec, uint32_t bytes)
{
	struct tcp_rec *next;

	assert(kind_of(rec) == REC_LOST);
	while (rec->end - rec->seq < bytes && (next = TAILQ_NEXT(rec, by_seq)) &&
		kind_of(next) == REC_LOST)
		join(rtx, rec, next);
}

void tcp_rtx_join_resent(struct tcp_rtx *rtx, struct tcp_rec *rec)
{
	struct tcp_rec *prev = TAILQ_PREV(rec, tcp_rec_list, by_seq);

	if (prev && kind_of(prev) == kind_of(rec) && prev->sent_us == rec->sent_us &&
		rec->end - prev->seq <= REC_BYTES_MAX)
		join(rtx, rec, prev);
}

static void join_all(struct tcp_rtx *rtx)
{
	struct tcp_rec *rec = TAILQ_FIRST(&rtx->by_seq), *next;

	for (; rec && (next = TAILQ_NEXT(rec, by_seq)); rec = next) {
		if (kind_of(rec) != kind_of(next) || rec->is_timed != next->is_timed)
			continue;
		if (tcp_rtx_sent_after(rec->sent_us, rec->end, next->sent_us, next->end)) {
			join(rtx, rec, next);
			next = rec;
		} else {
			join(rtx, next, rec);
		}
	}
}

void tcp_rtx_spare(struct tcp_rtx *rtx)
{
	if (rtx->free_count < SPLITS_MAX)
		join_all(rtx);
	if (rtx->free_count >= SPLITS_MAX)
		return;
	tcp_rtx_renege(rtx);
	tcp_rtx_mark_all_lost(rtx);
	join_all(rtx);
	assert(rtx->free_count >= SPLITS_MAX);
}
