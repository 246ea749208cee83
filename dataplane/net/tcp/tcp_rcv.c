/*
 * tcp_rcv.c - the receiving half of a connection: in-order queue, window, what an ACK must say
 *
 * Payload stays in the mbufs the NIC wrote. The quota Q (mbufs) covers in-order and out-of-order
 * text; the window promised is what surely fits into the rest of Q when each mbuf carries
 * TCP_MBUF_PAYLOAD_MIN bytes, and tcp_chain.c sees to it that they do. So a promise can always be
 * kept: the segment at RCV.NXT is admitted whatever the ledger says, and out-of-order data, which
 * was promised nothing (RFC 2018 8 allows reneging), makes room for it, highest first.
 *
 * The right edge never goes back. A scaled window cannot express every edge, so it is rounded up
 * where rounding down would take bytes back; the eighth of the quota that is never offered pays for
 * that. Only if even this is used up, by a reader that stalled under a one-byte-segment peer, may
 * the edge on the wire give way by less than one unit of the scale (RFC 7323 2.4 foresees it).
 *
 * Always: chain.mbufs + ooo_mbufs <= quota, plus at most the mbufs of one segment.
 */
#include "dataplane/net/tcp/tcp_rcv.h"

#include <assert.h>
#include <string.h>
#include <rte_mbuf.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_seq.h"

#define WND_FIELD_MAX 65535u
#define QUICK_ACKS    16 /* while the peer is in slow start each ACK counts */

void tcp_rcv_init(struct tcp_rcv *r, const struct stream_target *target, struct tcp_ooo *ooo)
{
	memset(r, 0, sizeof(*r));
	r->ooo = ooo;
	r->owner = target->owner;
	r->owner_ooo = target->owner_ooo;
	r->quota = target->quota_mbufs ? target->quota_mbufs : TCP_QUOTA_DEFAULT;
	r->quota_ooo = target->quota_ooo_mbufs ? target->quota_ooo_mbufs : r->quota / 4 * 3;
	r->quick_acks = QUICK_ACKS;
}

/* Mbufs the window may be promised on; the rest of the quota pays for rounding. */
static uint32_t offered(uint32_t quota)
{
	return quota - quota / 8;
}

uint8_t tcp_rcv_wscale_choose(uint32_t quota)
{
	uint64_t bytes = (uint64_t)offered(quota) * TCP_MBUF_PAYLOAD_MIN;
	uint8_t shift = 0;

	while (shift < TCP_WSCALE_MAX && bytes >> shift > WND_FIELD_MAX)
		shift++;
	return shift;
}

void tcp_rcv_dsack(struct tcp_rcv *r, uint32_t start, uint32_t end)
{
	if (r->has_dsack || seq_ge(start, end))
		return;
	/* Old by its number is not yet received: what lies before the SYN is a guess. */
	if (seq_lt(start, r->nxt) && r->nxt - start > r->received + 1)
		return;
	r->has_dsack = true;
	r->dsack = (struct tcp_sack){.start = start, .end = end};
}

/* RCV.NXT is here: always admitted. */
static void admit(struct net *net, struct tcp_rcv *r, struct tcp_chain c, uint32_t bytes)
{
	net->stats.tcp_compacted += tcp_chain_pack(r->chain.tail, &c);
	if (tcp_rcv_held(r) + c.mbufs > r->quota)
		tcp_ooo_shed(net, r, tcp_rcv_held(r) + c.mbufs - r->quota, r->nxt);
	while (c.head && !reserve_move(c.head, r->owner, net->now_us)) {
		if (tcp_ooo_shed(net, r, c.mbufs, r->nxt) > 0)
			continue;
		reserve_force(c.head, r->owner, net->now_us);
		break;
	}
	tcp_chain_join(&r->chain, c);
	r->bytes += bytes;
	r->nxt += bytes;
	r->received += bytes;
}

/* The hole before the first run closed: it becomes in-order text. Bounded by TCP_OOO_MAX. */
static void absorb(struct net *net, struct tcp_rcv *r)
{
	struct tcp_chain c;
	uint32_t end;

	while (tcp_ooo_absorb(r, &c, &end)) {
		uint32_t bytes = end - r->nxt;

		net->stats.tcp_compacted += tcp_chain_pack(r->chain.tail, &c);
		if (c.head)
			reserve_force(c.head, r->owner, net->now_us);
		tcp_chain_join(&r->chain, c);
		r->bytes += bytes;
		r->nxt += bytes;
		r->received += bytes;
	}
}

/* Of a segment in one mbuf. */
static bool is_next_whole(const struct tcp_rcv *r, const struct rte_mbuf *m, uint32_t seq)
{
	return seq == r->nxt && m->data_len >= TCP_MBUF_PAYLOAD_MIN &&
	       m->data_len <= tcp_rcv_wnd(r) && tcp_rcv_held(r) < r->quota;
}

static void append(struct tcp_rcv *r, struct rte_mbuf *m)
{
	uint32_t len = m->data_len;

	tcp_chain_join(&r->chain, (struct tcp_chain){.head = m, .tail = m, .mbufs = 1});
	r->bytes += len;
	r->nxt += len;
	r->received += len;
}

bool tcp_rcv_append(struct net *net, struct tcp_rcv *r, struct rte_mbuf *m, uint32_t seq)
{
	if (m->next || r->ooo_count > 0 || r->has_fin || !is_next_whole(r, m, seq) ||
		!reserve_move(m, r->owner, net->now_us))
		return false;
	append(r, m);
	return true;
}

bool tcp_rcv_append_uncharged(struct tcp_rcv *r, struct rte_mbuf *m, uint32_t seq)
{
	assert(!m->next && r->ooo_count == 0 && !r->has_fin);
	if (!is_next_whole(r, m, seq))
		return false;
	append(r, m);
	return true;
}

enum tcp_rcv_verdict tcp_rcv_fit(
	struct net *net, struct tcp_rcv *r, struct rte_mbuf *m, uint32_t seq)
{
	uint32_t len = m->pkt_len, skip = 0;
	uint32_t end = seq + len;

	if (seq_lt(seq, r->nxt)) {
		skip = RTE_MIN(len, r->nxt - seq);
		tcp_rcv_dsack(r, seq, seq + skip);
	}
	if (r->has_fin && seq_gt(end, r->fin_seq))
		end = seq_max(r->fin_seq, seq); /* text behind the FIN is no text */
	if (seq_gt(end, r->edge))
		end = seq_max(r->edge, seq);
	if (seq_le(end, seq + skip)) {
		rte_pktmbuf_free(m);
		return RCV_NOTHING;
	}
	struct tcp_chain c = tcp_chain_from(m, skip, end - seq - skip);

	seq += skip;
	if (seq != r->nxt)
		return tcp_ooo_insert(net, r, c, seq, end) ? RCV_OUT_OF_ORDER : RCV_SHED;
	admit(net, r, c, end - seq);
	absorb(net, r);
	return RCV_IN_ORDER;
}

enum tcp_rcv_verdict tcp_rcv_text(
	struct net *net, struct tcp_rcv *r, struct rte_mbuf *m, uint32_t seq)
{
	return tcp_rcv_append(net, r, m, seq) ? RCV_IN_ORDER : tcp_rcv_fit(net, r, m, seq);
}

unsigned tcp_rcv_peek(const struct tcp_rcv *r, struct stream_span *spans, unsigned max)
{
	unsigned n = 0;

	for (struct rte_mbuf *m = r->chain.head; m && n < max; m = m->next, n++) {
		spans[n].bytes = rte_pktmbuf_mtod(m, uint8_t *);
		spans[n].len = m->data_len;
	}
	return n;
}

void tcp_rcv_consume(struct tcp_rcv *r, uint64_t bytes)
{
	assert(bytes <= r->bytes);
	tcp_chain_trim(&r->chain, (uint32_t)bytes);
	r->bytes -= (uint32_t)bytes;
	assert(r->bytes > 0 || r->chain.mbufs == 0);
}

void tcp_rcv_drop(struct tcp_rcv *r)
{
	tcp_chain_free(&r->chain);
	r->bytes = 0;
	tcp_ooo_drop(r);
}

uint32_t tcp_rcv_wnd(const struct tcp_rcv *r)
{
	return seq_gt(r->edge, r->nxt) ? r->edge - r->nxt : 0;
}

/* Bytes that fit for certain, from RCV.NXT, out of @mbufs. */
static uint32_t fitting(const struct tcp_rcv *r, uint32_t mbufs)
{
	uint32_t held = tcp_rcv_held(r);
	uint64_t bytes = held < mbufs ? (uint64_t)(mbufs - held) * TCP_MBUF_PAYLOAD_MIN : 0;

	return (uint32_t)RTE_MIN(bytes, (uint64_t)WND_FIELD_MAX << r->wscale);
}

/* RFC 9293 3.8.6.2.2: an edge moves by a segment or half the buffer, or not at all. */
static uint32_t step_min(const struct tcp_rcv *r)
{
	return RTE_MIN(r->mss, offered(r->quota) * TCP_MBUF_PAYLOAD_MIN / 2);
}

/* The edge stays; when the scale cannot say it, round up while the quota pays for it. */
uint16_t tcp_rcv_window_kept(struct tcp_rcv *r, uint32_t ack, uint8_t shift)
{
	uint32_t now = seq_gt(r->edge, ack) ? r->edge - ack : 0;
	uint32_t field = (now + (1u << shift) - 1) >> shift;

	if ((uint64_t)field << shift > RTE_MAX(now, fitting(r, r->quota) + (r->nxt - ack)))
		field = now >> shift;
	field = RTE_MIN(field, WND_FIELD_MAX);
	r->edge = seq_max(r->edge, ack + (field << shift));
	return (uint16_t)field;
}

uint16_t tcp_rcv_window(struct tcp_rcv *r, uint8_t shift)
{
	uint32_t fits = fitting(r, offered(r->quota));
	uint32_t now = tcp_rcv_wnd(r), field;

	if (fits <= now || fits - now < step_min(r))
		return tcp_rcv_window_kept(r, r->nxt, shift);
	field = RTE_MIN(fits >> shift, WND_FIELD_MAX);
	r->edge = seq_max(r->edge, r->nxt + (field << shift));
	return (uint16_t)field;
}

bool tcp_rcv_window_pays(const struct tcp_rcv *r)
{
	uint32_t fits = fitting(r, offered(r->quota)), now = tcp_rcv_wnd(r);
	uint32_t half = offered(r->quota) * TCP_MBUF_PAYLOAD_MIN / 2;

	if (fits <= now || now >= RTE_MAX(2 * r->mss, half))
		return false; /* it does not hold the peer up: the ACK of what comes next will tell
			       */
	/* A nearly shut window is news at once; one half open only in larger steps. */
	return fits - now >= (now < 2 * r->mss ? step_min(r) : RTE_MIN(2 * r->mss, half));
}

/*
 * A peer whose timer went off, or that had nothing to say for as long, begins again with a segment
 * or a few (RFC 5681 4.1). Were the first of them to wait for the delayed ACK, that would be ten
 * round trips.
 */
void tcp_rcv_heard(struct tcp_rcv *r, uint64_t silence_us, uint64_t now_us)
{
	if (now_us - r->text_us > silence_us)
		r->quick_acks = QUICK_ACKS;
	r->text_us = now_us;
}

void tcp_rcv_acked(struct tcp_rcv *r)
{
	r->acked = r->nxt;
	r->ack_segs = 0;
	r->has_dsack = false;
}
