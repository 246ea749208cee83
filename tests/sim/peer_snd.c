/*
 * peer_snd.c - the reference peer's sending half: go-back-N with a SACK scoreboard and slow start
 *
 * Three duplicate ACKs (or three segments of SACKed text above a hole) start a repair that resends
 * the holes one per arriving ACK; a timeout goes back to SND.UNA and skips what is SACKed. It
 * believes a SACK only until the timeout (RFC 2018 8). The window is never overrun; a shut one is
 * probed with one byte for ever.
 */
#include "tests/sim/peer_impl.h"

static void rtt_sample(struct peer *p, uint32_t rtt_us)
{
	uint32_t diff = rtt_us > p->srtt_us ? rtt_us - p->srtt_us : p->srtt_us - rtt_us;

	if (p->srtt_us == 0) {
		p->srtt_us = rtt_us + 1;
		p->rttvar_us = rtt_us / 2;
	} else {
		p->rttvar_us = (3 * p->rttvar_us + diff) / 4;
		p->srtt_us = (7 * p->srtt_us + rtt_us) / 8 + 1;
	}
	p->rto_us = (uint32_t)peer_max(p->cfg.rto_us_min, p->srtt_us + 4ull * p->rttvar_us);
}

static void window_update(struct peer *p, const struct wire_pkt *pkt, uint64_t ack)
{
	if ((int32_t)(p->wl1 - pkt->seq) > 0 ||
		(p->wl1 == pkt->seq && (int32_t)(p->wl2 - pkt->ack) > 0))
		return;
	p->wnd = (uint32_t)pkt->wnd << (pkt->flags & W_SYN ? 0 : p->snd_shift);
	p->wl1 = pkt->seq;
	p->wl2 = pkt->ack;
	p->edge = peer_max(p->edge, ack + p->wnd);
	if (p->edge > p->nxt) {
		p->probe_at = PEER_NEVER;
		p->is_probe_due = false;
	}
}

static void take_sacks(struct peer *p, const struct wire_pkt *pkt)
{
	for (unsigned i = 0; p->has_sack && i < pkt->sack_count; i++) {
		uint64_t start = peer_unwrap(pkt->sack[i].start, p->cfg.isn, p->una);
		uint64_t end = peer_unwrap(pkt->sack[i].end, p->cfg.isn, p->una);

		if (start < end && start >= p->una && end <= p->max)
			ranges_add(&p->sacked, start, end);
	}
}

static void start_repair(struct peer *p)
{
	p->is_recovering = true;
	p->recover = p->max;
	p->rtx_next = p->una;
	p->rtx_credit = 1;
	p->ssthresh = (uint32_t)peer_max((p->max - p->una) / 2, 2 * p->mss);
	p->cwnd = p->ssthresh;
}

static void duplicate(struct peer *p)
{
	uint64_t above = ranges_bytes(&p->sacked, p->una, p->max);

	p->dupacks++;
	if (p->is_recovering)
		p->rtx_credit++;
	else if ((p->dupacks >= 3 || above > 3ull * p->mss) && p->una >= p->recover)
		start_repair(p);
}

static void advanced(struct peer *p, uint64_t ack, uint64_t now_us)
{
	uint32_t bytes = (uint32_t)(ack - p->una);

	if (p->is_timing && ack > p->timed_pos) {
		p->is_timing = false;
		rtt_sample(p, (uint32_t)(now_us - p->timed_us));
	}
	p->una = ack;
	p->nxt = peer_max(p->nxt, ack);
	ranges_cut_below(&p->sacked, ack);
	p->backoff = 0;
	p->dupacks = 0;
	p->rto_at = PEER_NEVER;
	if (p->is_recovering && ack < p->recover) {
		p->rtx_next = peer_max(p->rtx_next, ack);
		if (!p->has_sack)
			p->rtx_next = ack; /* RFC 6582: the next hole is here */
		p->rtx_credit++;
		return;
	}
	p->is_recovering = false;
	p->cwnd += p->cwnd < p->ssthresh ? bytes : (uint32_t)((uint64_t)p->mss * bytes / p->cwnd);
	p->cwnd = (uint32_t)peer_min(p->cwnd, p->cfg.cwnd_max);
}

void peer_snd_ack(struct peer *p, const struct wire_pkt *pkt, uint64_t ack, uint64_t now_us)
{
	bool is_dup = ack == p->una && p->max > p->una && pkt->text_bytes == 0 &&
		      !(pkt->flags & (W_SYN | W_FIN));
	uint32_t wnd = p->wnd;

	take_sacks(p, pkt);
	window_update(p, pkt, ack);
	if (ack > p->una)
		advanced(p, ack, now_us);
	else if (is_dup && (p->wnd == wnd || pkt->sack_count > 0))
		duplicate(p);
	if (p->has_ecn && pkt->flags & W_ECE && p->una > p->ecn_point) {
		p->ecn_point = p->max;
		p->cwnd = p->ssthresh = (uint32_t)peer_max(p->cwnd / 2, p->mss);
		p->cwr_due = true;
	}
	peer_snd_timers(p, now_us);
}

/* A hole below what was SACKed, or below where the repair began. */
static bool pick_hole(struct peer *p, uint64_t *start, uint64_t *end, uint32_t text_max)
{
	uint64_t limit = p->recover;

	if (!p->is_recovering || p->rtx_credit == 0)
		return false;
	*start = ranges_gap(&p->sacked, peer_max(p->rtx_next, p->una));
	if (p->has_sack)
		limit = p->sacked.count ? p->sacked.v[p->sacked.count - 1].start : p->una + 1;
	if (*start >= limit && !(*start == p->una && *start < p->recover && p->rtx_next <= p->una))
		return false;
	*end = peer_min(peer_min(*start + text_max, ranges_next(&p->sacked, *start)), p->recover);
	*end = peer_min(*end, p->max);
	if (*start >= *end)
		return false;
	p->rtx_credit--;
	p->rtx_next = *end;
	p->rtx_segs++;
	return true;
}

bool peer_snd_pick(struct peer *p, uint64_t *start, uint64_t *end, uint32_t text_max)
{
	uint64_t last = peer_min(peer_send_end(p), p->edge), flight;

	if (p->una > 0 && pick_hole(p, start, end, text_max))
		return true;
	p->nxt = ranges_gap(&p->sacked, peer_max(p->nxt, p->una));
	*start = p->nxt;
	if (p->is_probe_due) {
		p->is_probe_due = false;
		*end = *start + 1;
		return *start < peer_send_end(p);
	}
	flight = p->nxt - p->una - ranges_bytes(&p->sacked, p->una, p->nxt);
	*end = peer_min(peer_min(*start + text_max, ranges_next(&p->sacked, *start)), last);
	if (*start >= *end || (flight > 0 && flight + (*end - *start) > p->cwnd))
		return false;
	/* Sender's silly window (RFC 9293 3.8.6.2.1): a part of a segment only when alone or the
	 * last. */
	if (*end - *start < text_max && *end < peer_send_end(p) && flight > 0 && *end > p->max)
		return false;
	p->rtx_segs += *start < p->max;
	return true;
}

void peer_snd_sent(struct peer *p, uint64_t start, uint64_t end, uint64_t now_us)
{
	if (start == p->nxt && end - start > 0)
		p->nxt = end;
	if (start < p->max && p->is_timing && p->timed_pos >= start)
		p->is_timing = false; /* Karn */
	if (!p->is_timing && start >= p->max) {
		p->is_timing = true;
		p->timed_pos = start;
		p->timed_us = now_us;
	}
	p->max = peer_max(p->max, end);
	peer_snd_timers(p, now_us);
}

void peer_snd_timers(struct peer *p, uint64_t now_us)
{
	uint64_t wait_us =
		peer_min((uint64_t)p->rto_us << peer_min(p->backoff, 20), p->cfg.rto_us_max);
	bool is_shut = p->state == PEER_OPEN && p->nxt >= p->edge && p->nxt < peer_send_end(p);

	if (p->max > p->una && !is_shut) {
		if (p->rto_at == PEER_NEVER)
			p->rto_at = now_us + wait_us;
	} else {
		p->rto_at = PEER_NEVER;
	}
	if (is_shut && p->probe_at == PEER_NEVER)
		p->probe_at = now_us + wait_us;
	if (!is_shut)
		p->probe_at = PEER_NEVER;
}

void peer_snd_timeout(struct peer *p, uint64_t now_us)
{
	if (p->rto_at <= now_us) {
		p->rto_at = PEER_NEVER;
		p->backoff++;
		p->ssthresh = (uint32_t)peer_max((p->max - p->una) / 2, 2 * p->mss);
		p->cwnd = p->mss;
		p->nxt = p->una;
		p->is_recovering = p->is_timing = false;
		p->recover = p->max;
		p->dupacks = 0;
		ranges_clear(&p->sacked);
	}
	if (p->probe_at <= now_us) {
		p->probe_at = PEER_NEVER;
		p->backoff++;
		p->nxt = p->una; /* whatever went before was not taken, or its ACK was lost */
		ranges_clear(&p->sacked);
		p->is_recovering = p->is_timing = false;
		p->is_probe_due = p->nxt >= p->edge;
	}
	peer_snd_timers(p, now_us);
}

void peer_write(struct peer *p, uint64_t bytes)
{
	p->written += bytes;
}

void peer_shutdown(struct peer *p)
{
	p->fin_wanted = true;
}

uint64_t peer_acked(const struct peer *p)
{
	uint64_t pos = peer_min(p->una, 1 + p->written);

	return pos > 0 ? pos - 1 : 0;
}

bool peer_is_fin_acked(const struct peer *p)
{
	return p->fin_wanted && p->una == 2 + p->written;
}
