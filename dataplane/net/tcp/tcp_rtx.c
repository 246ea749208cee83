/*
 * tcp_rtx.c - what was sent and not acknowledged yet: send records and the SACK scoreboard
 *
 * Records come from a fixed array. Bytes sent at one moment share a record as long as it stays
 * below 64 KiB, and neighbours that are both SACKed become one, so the list is about as long as
 * the number of bursts and holes in flight, and walking it for a SACK block is short. A record
 * leaves the time list when it is SACKed or found lost and comes back, last, when it is
 * retransmitted; RACK therefore never looks at what it has judged already.
 *
 * One worker, nothing allocated. Always: the records in by_seq cover exactly [una, end) without
 * gaps, and the byte counters are the sums over their flags.
 */
#include "dataplane/net/tcp/tcp_rtx.h"

#include <assert.h>
#include <string.h>
#include <rte_common.h>
#include "dataplane/net/tcp/tcp_seq.h"

void tcp_rtx_init(struct tcp_rtx *rtx, struct tcp_rec *recs, uint32_t seq)
{
	memset(rtx, 0, sizeof(*rtx));
	rtx->recs = recs;
	TAILQ_INIT(&rtx->by_seq);
	TAILQ_INIT(&rtx->by_time);
	TAILQ_INIT(&rtx->free);
	for (unsigned i = 0; i < TCP_RECORD_MAX; i++)
		TAILQ_INSERT_TAIL(&rtx->free, &recs[i], by_seq);
	rtx->free_count = TCP_RECORD_MAX;
	rtx->una = rtx->end = rtx->fack = seq;
}

bool tcp_rtx_sent_after(uint64_t t1, uint32_t seq1, uint64_t t2, uint32_t seq2)
{
	return t1 > t2 || (t1 == t2 && seq_gt(seq1, seq2));
}

uint32_t tcp_rtx_flight(const struct tcp_rtx *rtx)
{
	return rtx->end - rtx->una;
}

uint32_t tcp_rtx_pipe(const struct tcp_rtx *rtx)
{
	uint32_t gone = rtx->sacked_bytes + rtx->lost_bytes + rtx->reno_sacked_bytes;
	uint32_t there = tcp_rtx_flight(rtx) + rtx->resent_bytes;

	return there > gone ? there - gone : 0;
}

bool tcp_rtx_has_room(const struct tcp_rtx *rtx)
{
	return rtx->free_count > TCP_RECORD_SPARE;
}

static uint32_t rec_bytes(const struct tcp_rec *rec)
{
	return rec->end - rec->seq;
}

/* Adds or takes the record's bytes from the counters its flags stand for. */
static void account(struct tcp_rtx *rtx, const struct tcp_rec *rec, bool add)
{
	uint32_t n = add ? rec_bytes(rec) : 0u - rec_bytes(rec);

	if (rec->flags & REC_SACKED)
		rtx->sacked_bytes += n;
	if (rec->flags & REC_LOST)
		rtx->lost_bytes += n;
	if (rec->flags & REC_RESENT)
		rtx->resent_bytes += n;
}

static void flags_set(struct tcp_rtx *rtx, struct tcp_rec *rec, uint8_t flags)
{
	account(rtx, rec, false);
	rec->flags = flags;
	account(rtx, rec, true);
}

static void untime(struct tcp_rtx *rtx, struct tcp_rec *rec)
{
	if (!rec->is_timed)
		return;
	TAILQ_REMOVE(&rtx->by_time, rec, by_time);
	rec->is_timed = false;
}

static void time_last(struct tcp_rtx *rtx, struct tcp_rec *rec)
{
	untime(rtx, rec);
	TAILQ_INSERT_TAIL(&rtx->by_time, rec, by_time);
	rec->is_timed = true;
}

static void rec_give(struct tcp_rtx *rtx, struct tcp_rec *rec)
{
	account(rtx, rec, false);
	untime(rtx, rec);
	TAILQ_REMOVE(&rtx->by_seq, rec, by_seq);
	TAILQ_INSERT_HEAD(&rtx->free, rec, by_seq);
	rtx->free_count++;
}

static struct tcp_rec *rec_take(struct tcp_rtx *rtx)
{
	struct tcp_rec *rec = TAILQ_FIRST(&rtx->free);

	if (!rec)
		return NULL;
	TAILQ_REMOVE(&rtx->free, rec, by_seq);
	rtx->free_count--;
	return rec;
}

void tcp_rtx_push(struct tcp_rtx *rtx, uint32_t end, uint64_t now_us)
{
	struct tcp_rec *last = TAILQ_LAST(&rtx->by_seq, tcp_rec_list);

	assert(seq_gt(end, rtx->end));
	if (last && last->flags == 0 && last->sent_us == now_us &&
		end - last->seq <= REC_BYTES_MAX) {
		last->end = rtx->end = end;
		return;
	}
	struct tcp_rec *rec = rec_take(rtx);

	assert(rec);
	*rec = (struct tcp_rec){.seq = rtx->end, .end = end, .sent_us = now_us};
	TAILQ_INSERT_TAIL(&rtx->by_seq, rec, by_seq);
	time_last(rtx, rec);
	rtx->end = end;
}

struct tcp_rec *tcp_rtx_split(struct tcp_rtx *rtx, struct tcp_rec *rec, uint32_t at)
{
	assert(seq_gt(at, rec->seq) && seq_lt(at, rec->end));
	struct tcp_rec *right = rec_take(rtx);

	if (!right)
		return rec;
	*right = *rec;
	right->seq = at;
	rec->end = at;
	right->is_timed = rec->is_timed;
	TAILQ_INSERT_AFTER(&rtx->by_seq, rec, right, by_seq);
	if (rec->is_timed)
		TAILQ_INSERT_AFTER(&rtx->by_time, rec, right, by_time);
	return right;
}

/*
 * RFC 8985 6.2 step 2: of a record sent more than once, was it this transmission the peer has?
 * An echo older than it, or a round trip shorter than any seen, says the ACK is of an earlier one.
 */
static bool is_ambiguous(const struct tcp_rec *rec, const struct tcp_delivery *d)
{
	if (!(rec->flags & REC_EVER))
		return false;
	if (d->has_ts && ts_lt(d->tsecr, (uint32_t)(rec->sent_us / 1000) + d->ts_offset))
		return true;
	return d->now_us - rec->sent_us < d->min_rtt_us;
}

/* [@rec] reached the peer: what RACK, RTT and reordering learn from it. */
static void note_delivered(struct tcp_rtx *rtx, const struct tcp_rec *rec, uint32_t end,
	bool is_cumulative, struct tcp_delivery *d)
{
	if (!(rec->flags & REC_EVER)) {
		if (seq_lt(end, rtx->fack))
			d->is_reordered = true;
		if (!d->has_rtt || rec->sent_us > d->rtt_sent_us)
			d->rtt_sent_us = rec->sent_us;
		d->has_rtt = true;
		if (is_cumulative && (!d->has_first_rtt || rec->sent_us < d->first_sent_us)) {
			d->first_sent_us = rec->sent_us;
			d->has_first_rtt = true;
		}
	}
	rtx->fack = seq_max(rtx->fack, end);
	if (is_ambiguous(rec, d))
		return;
	if (!d->has_rack || tcp_rtx_sent_after(rec->sent_us, end, d->rack_sent_us, d->rack_end)) {
		d->has_rack = true;
		d->rack_sent_us = rec->sent_us;
		d->rack_end = end;
	}
}

void tcp_rtx_ack(struct tcp_rtx *rtx, uint32_t una, struct tcp_delivery *d)
{
	struct tcp_rec *rec, *next;
	bool has_resent = false;

	assert(seq_acks(una, rtx->una, rtx->end));
	for (rec = TAILQ_FIRST(&rtx->by_seq); rec && seq_lt(rec->seq, una); rec = next) {
		uint32_t end = seq_min(rec->end, una);

		next = TAILQ_NEXT(rec, by_seq);
		if (!(rec->flags & REC_SACKED)) {
			has_resent |= rec->flags & REC_EVER;
			note_delivered(rtx, rec, end, true, d);
			d->acked_bytes += end - rec->seq;
		}
		if (end == rec->end) {
			rec_give(rtx, rec);
			continue;
		}
		account(rtx, rec, false);
		rec->seq = una;
		account(rtx, rec, true);
	}
	/* What lay behind a repaired hole waited for the repair: that is no round trip (Karn). */
	if (has_resent)
		d->has_rtt = d->has_first_rtt = false;
	rtx->reno_sacked_bytes -= RTE_MIN(rtx->reno_sacked_bytes, una - rtx->una);
	rtx->una = una;
	rtx->fack = seq_max(rtx->fack, una);
	rec = TAILQ_FIRST(&rtx->by_seq);
	if (rec && rec->flags & REC_SACKED && rec->seq == una)
		d->is_reneged = true;
}

/* Joins @rec to SACKed neighbours: their history is of no more use. */
static void merge_sacked(struct tcp_rtx *rtx, struct tcp_rec *rec)
{
	struct tcp_rec *prev = TAILQ_PREV(rec, tcp_rec_list, by_seq);
	struct tcp_rec *next = TAILQ_NEXT(rec, by_seq);

	if (next && next->flags & REC_SACKED) {
		uint32_t end = next->end;

		rec_give(rtx, next);
		account(rtx, rec, false);
		rec->end = end;
		account(rtx, rec, true);
	}
	if (prev && prev->flags & REC_SACKED) {
		uint32_t end = rec->end;

		rec_give(rtx, rec);
		account(rtx, prev, false);
		prev->end = end;
		account(rtx, prev, true);
	}
}

/* One block, clipped to [una, end). Splits records that reach out of it. */
static void sack_range(struct tcp_rtx *rtx, struct tcp_sack b, struct tcp_delivery *d)
{
	struct tcp_rec *rec, *next;

	for (rec = TAILQ_FIRST(&rtx->by_seq); rec && seq_lt(rec->seq, b.end); rec = next) {
		next = TAILQ_NEXT(rec, by_seq);
		if (rec->flags & REC_SACKED || seq_le(rec->end, b.start))
			continue;
		if (seq_lt(rec->seq, b.start)) {
			next = tcp_rtx_split(rtx, rec, b.start);
			if (next == rec)
				next = TAILQ_NEXT(rec, by_seq);
			continue;
		}
		if (seq_gt(rec->end, b.end) && tcp_rtx_split(rtx, rec, b.end) == rec)
			continue;
		note_delivered(rtx, rec, rec->end, false, d);
		d->sacked_bytes += rec_bytes(rec);
		untime(rtx, rec);
		flags_set(rtx, rec, REC_SACKED);
		next = TAILQ_NEXT(rec, by_seq);
		if (next && next->flags & REC_SACKED)
			next = TAILQ_NEXT(next, by_seq);
		merge_sacked(rtx, rec);
	}
}

/* RFC 2883 4: below the cumulative ACK, or inside the second block. */
static bool is_dsack(const struct tcp_seg *seg)
{
	const struct tcp_sack *b = seg->sack;

	if (seq_lt(b[0].start, seg->ack))
		return seq_le(b[0].end, seg->ack);
	return seg->sack_count > 1 && seq_ge(b[0].start, b[1].start) && seq_le(b[0].end, b[1].end);
}

static bool is_known(const struct tcp_rtx *rtx, struct tcp_sack b)
{
	for (unsigned i = 0; i < rtx->seen_count; i++)
		if (rtx->seen[i].start == b.start && rtx->seen[i].end == b.end)
			return true;
	return false;
}

void tcp_rtx_sack(
	struct tcp_rtx *rtx, const struct tcp_seg *seg, uint32_t una_min, struct tcp_delivery *d)
{
	struct tcp_sack todo[TCP_SACK_MAX];
	unsigned count = 0, from = 0;

	if (seg->sack_count > 0 && seq_lt(seg->sack[0].start, seg->sack[0].end) && is_dsack(seg)) {
		from = 1;
		if (seq_ge(seg->sack[0].start, una_min) && seq_le(seg->sack[0].end, rtx->end)) {
			d->has_dsack = true;
			d->dsack = seg->sack[0];
		}
	}
	for (unsigned i = from; i < seg->sack_count; i++) {
		struct tcp_sack b = seg->sack[i];
		unsigned at = count;

		if (seq_ge(b.start, b.end) || seq_gt(b.end, rtx->end) || seq_le(b.end, rtx->una) ||
			seq_lt(b.start, una_min) || is_known(rtx, b))
			continue;
		for (; at > 0 && seq_lt(b.start, todo[at - 1].start); at--)
			todo[at] = todo[at - 1];
		todo[at] = b;
		count++;
	}
	/* In ascending order, or fack would run ahead and lower blocks would look reordered. */
	for (unsigned i = 0; i < count; i++)
		sack_range(
			rtx, (struct tcp_sack){seq_max(todo[i].start, rtx->una), todo[i].end}, d);
	rtx->seen_count = seg->sack_count;
	memcpy(rtx->seen, seg->sack, sizeof(rtx->seen));
}
