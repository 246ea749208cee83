/*
 * peer.c - the reference peer's states, and its segments read and written
 *
 * It never fails by itself: whether what it saw was right is the watcher's business (watch.h),
 * which looks at the wire. A segment that does not fit is dropped and answered as RFC 9293 says.
 * After both FINs it goes on answering, as a TIME-WAIT without end.
 */
#include "tests/sim/peer.h"

#include <string.h>
#include "tests/sim/peer_impl.h"
#include "tests/sim/text.h"

void peer_init(struct peer *p, const struct peer_config *cfg, uint64_t now_us)
{
	memset(p, 0, sizeof(*p));
	p->cfg = *cfg;
	p->state = cfg->is_active ? PEER_SYN_SENT : PEER_LISTEN;
	p->has_sack = cfg->use_sack;
	p->has_ts = cfg->use_ts;
	p->has_wscale = cfg->use_wscale;
	p->has_ecn = cfg->use_ecn;
	p->rto_at = p->probe_at = p->ack_at = PEER_NEVER;
	p->fin_pos = PEER_NEVER - 1;
	p->read_pos = 1;
	p->edge = 1; /* the SYN needs no permission */
	p->rto_us = 1000000;
	p->cwnd = p->ssthresh = cfg->cwnd_max;
	p->mss = cfg->remote.family == 2 ? 536 : 1220;
	p->rnd.state = cfg->key;
	if (cfg->is_active)
		peer_snd_timers(p, now_us);
}

void peer_fini(struct peer *p)
{
	ranges_clear(&p->sacked);
	ranges_clear(&p->ooo);
}

static void negotiate(struct peer *p, const struct wire_pkt *pkt)
{
	uint8_t asked = pkt->flags & (W_ECE | W_CWR);

	p->irs = pkt->seq;
	p->rcv_nxt = 1;
	p->rcv_edge = 1;
	p->has_sack = p->has_sack && pkt->has_sack_ok;
	p->has_ts = p->has_ts && pkt->has_ts;
	p->has_wscale = p->has_wscale && pkt->has_wscale;
	p->has_ecn = p->has_ecn && asked == (pkt->flags & W_ACK ? W_ECE : W_ECE | W_CWR);
	p->snd_shift = p->has_wscale ? pkt->wscale : 0;
	p->ts_recent = pkt->tsval;
	if (pkt->has_mss)
		p->mss = pkt->mss;
	p->mss = (uint32_t)peer_min(p->mss, p->cfg.mtu - wire_ip_bytes(p->cfg.local.family) - 20);
	p->cwnd = (uint32_t)peer_min(10 * p->mss, p->cfg.cwnd_max);
	p->wnd = pkt->wnd;
	p->wl1 = pkt->seq;
	p->wl2 = pkt->ack;
	p->ack_due = true;
}

static void input_unsynchronized(struct peer *p, const struct wire_pkt *pkt, uint64_t now_us)
{
	if (!(pkt->flags & W_SYN) || pkt->flags & W_RST)
		return;
	if (p->state == PEER_LISTEN && pkt->flags & W_ACK)
		return;
	if (pkt->flags & W_ACK && pkt->ack != p->cfg.isn + 1)
		return;
	negotiate(p, pkt);
	p->state = PEER_SYN_RECEIVED;
	p->nxt = 0; /* the SYN goes again, now with an ACK */
	if (pkt->flags & W_ACK) {
		p->state = PEER_OPEN;
		p->edge = 1 + pkt->wnd;
		peer_snd_ack(p, pkt, 1, now_us);
	}
}

/* RFC 7323 5.3. */
static bool is_old(struct peer *p, const struct wire_pkt *pkt)
{
	return p->has_ts && (!pkt->has_ts || (int32_t)(pkt->tsval - p->ts_recent) < 0);
}

static bool is_acceptable(const struct peer *p, uint64_t start, uint64_t end)
{
	if (start == end)
		return start >= p->rcv_nxt && start <= peer_max(p->rcv_edge, p->rcv_nxt);
	return end > p->rcv_nxt && (start < p->rcv_edge || start == p->rcv_nxt);
}

static void input_synchronized(struct peer *p, const struct wire_pkt *pkt, uint64_t now_us)
{
	uint64_t start = peer_unwrap(pkt->seq, p->irs, p->rcv_nxt), end = start + pkt->text_bytes;
	uint64_t len_end = end + !!(pkt->flags & W_FIN), ack;

	if (is_old(p, pkt) || start == UINT64_MAX || !is_acceptable(p, start, len_end)) {
		peer_rcv_dup(p, start, pkt->text_bytes ? peer_min(end, p->rcv_nxt) : 0);
		return;
	}
	if (pkt->flags & W_SYN || !(pkt->flags & W_ACK)) {
		p->ack_due = true;
		return;
	}
	ack = peer_unwrap(pkt->ack, p->cfg.isn, p->una);
	if (ack > p->max) {
		p->ack_due = true;
		return;
	}
	if (p->has_ts && start <= p->last_acked)
		p->ts_recent = pkt->tsval;
	if (p->state == PEER_SYN_RECEIVED && ack >= 1)
		p->state = PEER_OPEN;
	if (pkt->flags & W_CWR)
		p->ece = false;
	if (p->has_ecn && pkt->ecn == W_CE)
		p->ece = true;
	if (ack >= p->una)
		peer_snd_ack(p, pkt, ack, now_us);
	if (pkt->text_bytes || pkt->flags & W_FIN)
		peer_rcv_text(p, start, end, pkt->flags & W_FIN, now_us);
}

void peer_input(struct peer *p, const struct wire_pkt *pkt, uint64_t now_us)
{
	if (pkt->sport != p->cfg.remote_port || pkt->dport != p->cfg.local_port)
		return;
	if (p->state == PEER_RESET) {
		p->reset_due = !(pkt->flags & W_RST);
		p->reset_seq = pkt->flags & W_ACK ? pkt->ack : 0;
		p->reset_ack = pkt->flags & W_ACK
				       ? 0
				       : pkt->seq + pkt->text_bytes + !!(pkt->flags & W_SYN);
	} else if (p->state == PEER_LISTEN || p->state == PEER_SYN_SENT) {
		input_unsynchronized(p, pkt, now_us);
	} else if (pkt->flags & W_RST) {
		if (pkt->seq == p->irs + (uint32_t)p->rcv_nxt)
			p->state = PEER_RESET;
	} else if (p->state == PEER_SYN_RECEIVED && pkt->flags & W_SYN && pkt->seq == p->irs) {
		/* Either our SYN|ACK was lost, or this is theirs of a simultaneous open. */
		if (pkt->flags & W_ACK && pkt->ack == p->cfg.isn + 1) {
			p->state = PEER_OPEN;
			peer_snd_ack(p, pkt, 1, now_us);
			p->ack_due = true;
		} else {
			p->nxt = 0;
		}
	} else {
		input_synchronized(p, pkt, now_us);
	}
}

static void fill_options(struct peer *p, struct wire_pkt *pkt, uint64_t now_us)
{
	if (pkt->flags & W_SYN) {
		pkt->has_mss = p->cfg.mss != 0;
		pkt->mss = p->cfg.mss;
		pkt->has_wscale = p->has_wscale;
		pkt->wscale = p->cfg.wscale;
		pkt->has_sack_ok = p->has_sack;
		if (p->has_ecn)
			pkt->flags |= pkt->flags & W_ACK ? W_ECE : W_ECE | W_CWR;
	} else if (p->has_ecn && p->ece && pkt->flags & W_ACK) {
		pkt->flags |= W_ECE;
	}
	pkt->has_ts = p->has_ts;
	pkt->tsval = p->cfg.ts_offset + (uint32_t)(now_us / 1000);
	pkt->tsecr = pkt->flags & W_ACK ? p->ts_recent : 0;
}

static void fill_head(struct peer *p, struct wire_pkt *pkt, uint64_t start, uint8_t flags)
{
	*pkt = (struct wire_pkt){
		.src = p->cfg.local,
		.dst = p->cfg.remote,
		.sport = p->cfg.local_port,
		.dport = p->cfg.remote_port,
		.seq = p->cfg.isn + (uint32_t)start,
		.flags = flags,
	};
	if (p->state == PEER_SYN_SENT) {
		pkt->wnd = (uint16_t)peer_min(p->cfg.rcv_bytes, 65535);
		return;
	}
	pkt->flags |= W_ACK;
	pkt->ack = p->irs + (uint32_t)p->rcv_nxt;
	if (flags & W_SYN) {
		pkt->wnd = (uint16_t)peer_min(p->cfg.rcv_bytes, 65535);
		p->rcv_edge = peer_max(p->rcv_edge, p->rcv_nxt + pkt->wnd);
	} else {
		pkt->wnd = peer_rcv_window(p);
	}
	p->last_acked = p->rcv_nxt;
	p->ack_due = false;
	p->ack_at = PEER_NEVER;
	p->unacked_segs = 0;
}

static size_t build(
	struct peer *p, struct wire_pkt *pkt, uint8_t *out, uint64_t start, uint64_t now_us)
{
	uint8_t text[65536];

	fill_options(p, pkt, now_us);
	if (pkt->text_bytes) {
		text_fill(p->cfg.key, start - 1, text, pkt->text_bytes);
		pkt->text = text;
		pkt->ecn = p->has_ecn && start >= p->max ? W_ECT0 : W_NOT_ECT;
		if (p->cwr_due && start >= p->max) {
			pkt->flags |= W_CWR;
			p->cwr_due = false;
		}
	}
	return wire_build(out, pkt);
}

static size_t send_syn(struct peer *p, uint8_t *out, uint64_t now_us)
{
	struct wire_pkt pkt;

	fill_head(p, &pkt, 0, W_SYN);
	p->rtx_segs += p->max > 0;
	peer_snd_sent(p, 0, 1, now_us);
	return build(p, &pkt, out, 0, now_us);
}

size_t peer_output(struct peer *p, uint8_t *out, uint64_t now_us)
{
	struct wire_pkt pkt;
	uint64_t start, end;
	bool has_fin;
	uint32_t text_max = p->mss - (p->has_ts ? 12 : 0);
	size_t made;

	if (p->cfg.tiny_bytes)
		text_max = (uint32_t)rnd_in(&p->rnd, 1, peer_min(p->cfg.tiny_bytes, text_max));
	if (p->state == PEER_LISTEN)
		return 0;
	if (p->state == PEER_RESET)
		return p->reset_due ? peer_abort(p, out) : 0;
	if (p->una == 0 && p->state != PEER_OPEN)
		return p->nxt == 0 ? send_syn(p, out, now_us) : 0;
	if (peer_snd_pick(p, &start, &end, text_max)) {
		has_fin = p->fin_wanted && end == peer_send_end(p);
		fill_head(p, &pkt, start, has_fin ? W_FIN : 0);
		pkt.text_bytes = (uint32_t)(end - start) - has_fin;
		if (end == peer_send_end(p))
			pkt.flags |= W_PSH;
		made = build(p, &pkt, out, start, now_us);
		peer_snd_sent(p, start, end, now_us);
		return made;
	}
	peer_snd_timers(p, now_us);
	if (!p->ack_due)
		return 0;
	/* Behind what was sent, but never outside of the window, or it would not be taken. */
	start = peer_min(p->max, peer_max(p->edge, p->una));
	fill_head(p, &pkt, start, 0);
	if (p->has_sack)
		pkt.sack_count = peer_rcv_sacks(p, pkt.sack, p->has_ts ? 3 : 4);
	return build(p, &pkt, out, start, now_us);
}

uint64_t peer_deadline_us(const struct peer *p)
{
	if (p->state == PEER_LISTEN || p->state == PEER_RESET)
		return PEER_NEVER;
	return peer_min(peer_min(p->rto_at, p->probe_at), p->ack_at);
}

void peer_timeout(struct peer *p, uint64_t now_us)
{
	if (peer_deadline_us(p) > now_us)
		return;
	if (p->ack_at <= now_us) {
		p->ack_at = PEER_NEVER;
		p->ack_due = true;
	}
	peer_snd_timeout(p, now_us);
}

/* An answer has the number it was asked for; a reset of our own lies behind all we sent, whatever
 * was answered before: of several acknowledgements an old one may have come last. */
size_t peer_abort(struct peer *p, uint8_t *out)
{
	struct wire_pkt pkt = {
		.src = p->cfg.local,
		.dst = p->cfg.remote,
		.sport = p->cfg.local_port,
		.dport = p->cfg.remote_port,
		.seq = p->reset_due ? p->reset_seq : p->cfg.isn + (uint32_t)p->max,
		.ack = p->reset_ack,
		.flags = W_RST | (p->reset_ack ? W_ACK : 0),
	};

	p->reset_due = false;
	p->state = PEER_RESET;
	return wire_build(out, &pkt);
}
