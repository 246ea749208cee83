/*
 * tcp_in.c - RFC 9293 section 3.10.7, step by step
 *
 * Each step of "SEGMENT ARRIVES" is a function with its number above it, in the RFC's order, with
 * the later RFCs where they change a step: PAWS before the first (7323 5.3), challenge ACKs in the
 * second and fourth (5961), ACK plausibility in the fifth (5961 5). LISTEN does not occur. Third
 * step (security) is empty for us.
 *
 * A step answers whether the segment goes on to the next. The mbuf is eaten by the seventh step or
 * freed at the end. Nothing is sent from here: what is owed is noted on the connection, which is
 * asked for output once after the whole burst, so a burst is answered by one ACK.
 *
 * Nearly every segment of a transfer is the one that was expected: the next text, and nothing else
 * has changed. is_predicted() knows it by a dozen comparisons and spares it the steps, for which
 * each of these has the same answer (the "header prediction" of 4.4BSD); it goes straight to its
 * text.
 */
#include "dataplane/net/tcp/tcp_conn.h"

#include <assert.h>
#include <errno.h>
#include <rte_mbuf.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_seq.h"

#define ACK_PATIENCE_US_MIN 10u
#define ACK_PATIENCE_US_MAX 20u
#define ACK_BYTES_MAX	    (128u << 10)

#define PAWS_IDLE_US (24ull * 86400 * 1000000) /* RFC 7323 5.5: an echo this old means nothing */

static uint32_t seg_len(const struct tcp_seg *seg)
{
	return seg->payload_bytes + !!(seg->flags & TCP_SYN) + !!(seg->flags & TCP_FIN);
}

/* A reset for a segment of this connection that makes no sense (RFC 9293 3.10.7.3, 3.10.7.4). */
static void answer_with_reset(struct tcp_conn *conn, const struct tcp_seg *seg)
{
	struct tcp_reply reply = {
		.path = conn->path,
		.sport = conn->local_port,
		.dport = conn->peer_port,
		.seq = seg->ack,
		.flags = TCP_RST,
		.has_ts = conn->has_ts && conn->state != TCP_STATE_SYN_SENT,
		.tsval = tcp_ts_now(conn, conn->net->now_us),
		.tsecr = conn->ts_recent,
	};

	tcp_reply_push(conn->net->tcp, &reply, true);
}

/* RFC 7323 5.3 R1 and 3.2. Out: the segment is from an earlier life, or lacks its timestamp. */
static bool is_paws_reject(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	if (!conn->has_ts || seg->flags & TCP_RST)
		return false;
	if (!seg->has_ts) {
		conn->net->stats.tcp_paws_drop++;
		return true;
	}
	if (!ts_lt(seg->tsval, conn->ts_recent) || now_us - conn->ts_recent_us > PAWS_IDLE_US)
		return false;
	conn->net->stats.tcp_paws_drop++;
	if (seg_len(seg) > 0)
		conn->ack_now = true;
	else
		tcp_conn_challenge(conn, now_us);
	return true;
}

/* The special case of a shut window: a valid ACK, URG or RST is still taken, its text is not. */
static bool is_acceptable(const struct tcp_conn *conn, const struct tcp_seg *seg)
{
	uint32_t wnd = tcp_rcv_wnd(&conn->rcv);

	if (wnd == 0 && seg->seq == conn->rcv.nxt)
		return true;
	return seq_acceptable(seg->seq, seg_len(seg), conn->rcv.nxt, wnd);
}

/* 3.10.7.4, first: check sequence number. */
static bool step_sequence(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	uint32_t len = seg_len(seg);

	if (is_paws_reject(conn, seg, now_us))
		return false;
	if (is_acceptable(conn, seg))
		return true;
	conn->net->stats.tcp_out_of_window++;
	if (seg->flags & TCP_RST)
		return false;
	if (len == 0) {
		tcp_conn_challenge(conn, now_us); /* a keep-alive; limited, or two stacks could
						     answer each other without end */
		return false;
	}
	if (seq_lt(seg->seq, conn->rcv.nxt) && seg->payload_bytes > 0)
		tcp_rcv_dsack(&conn->rcv, seg->seq,
			seq_min(seg->seq + seg->payload_bytes, conn->rcv.nxt));
	conn->ack_now = true;
	if (conn->state == TCP_STATE_TIME_WAIT && seg->flags & TCP_FIN)
		tcp_timer_set(conn, TIMER_WAIT, now_us + 2 * TCP_MSL_US);
	return false;
}

/* Second: check the RST bit, as RFC 5961 3.2 narrows it. */
static bool step_rst(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	if (!(seg->flags & TCP_RST))
		return true;
	if (seg->seq != conn->rcv.nxt) {
		tcp_conn_challenge(conn, now_us);
		return false;
	}
	conn->net->stats.tcp_rst_rx++;
	switch (conn->state) {
	case TCP_STATE_SYN_RECEIVED:
		tcp_conn_die(conn, -ECONNREFUSED);
		break;
	case TCP_STATE_CLOSING:
	case TCP_STATE_LAST_ACK:
	case TCP_STATE_TIME_WAIT:
		tcp_conn_finish(conn);
		break;
	default:
		tcp_conn_die(conn, -ECONNRESET);
		break;
	}
	return false;
}

/* Fourth: check the SYN bit, as RFC 5961 4.2 changes it. */
static bool step_syn(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	if (!(seg->flags & TCP_SYN))
		return true;
	tcp_conn_challenge(conn, now_us);
	return false;
}

/* Fifth, in SYN-RECEIVED. */
static bool ack_of_syn(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	if (!seq_acks(seg->ack, conn->snd_una, conn->snd_nxt)) {
		answer_with_reset(conn, seg);
		return false;
	}
	conn->snd_wnd = (uint32_t)seg->wnd << conn->snd_wscale;
	conn->snd_wl1 = seg->seq;
	conn->snd_wl2 = seg->ack;
	tcp_conn_established(conn, now_us);
	return true;
}

/* Fifth: check the ACK field. */
static bool step_ack(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	if (!(seg->flags & TCP_ACK))
		return false;
	if (conn->state == TCP_STATE_SYN_RECEIVED && !ack_of_syn(conn, seg, now_us))
		return false;
	if (!tcp_ack_input(conn, seg, now_us))
		return false;
	if (!conn->fin_sent || conn->snd_una != tcp_fin_seq(conn) + 1)
		return true;
	switch (conn->state) {
	case TCP_STATE_FIN_WAIT_1:
		tcp_state_set(conn, TCP_STATE_FIN_WAIT_2);
		if (conn->stream.is_released)
			tcp_timer_set(conn, TIMER_WAIT, now_us + TCP_FIN_WAIT_2_US);
		return true;
	case TCP_STATE_CLOSING:
		tcp_conn_time_wait(conn, now_us);
		return false;
	case TCP_STATE_LAST_ACK:
		tcp_conn_finish(conn);
		return false;
	default:
		return true;
	}
}

/*
 * How long an ACK that is due may wait for company: an eighth of the round trip, so that what a
 * request's answer makes the owner ask for next carries it, and what else is on its way is
 * acknowledged with it.
 */
static uint32_t ack_patience_us(const struct tcp_conn *conn)
{
	uint32_t us = tcp_rtt_srtt_us(&conn->rtt) / 8;

	return RTE_MIN(RTE_MAX(us, ACK_PATIENCE_US_MIN), ACK_PATIENCE_US_MAX);
}

/* Does the peer wait for an ACK, or may it, soon? A quarter of what it may send without hearing of
 * us, or enough for a NIC to cut up. */
static bool ack_is_pressing(const struct tcp_rcv *r)
{
	return r->nxt - r->acked >= RTE_MIN((r->edge - r->acked) / 4, ACK_BYTES_MAX);
}

/*
 * When is it due: at once, or may it wait for company (RFC 5681 4.2, RFC 9293 3.8.6.3)? Two
 * segments are acknowledged soon, which need not be by a packet of its own: docs/adr/0014.
 */
static void ack_schedule(struct tcp_conn *conn, uint32_t segs, uint32_t payload_bytes,
	enum tcp_rcv_verdict verdict, bool had_hole, uint64_t now_us)
{
	struct tcp_rcv *r = &conn->rcv;
	uint64_t due_us;

	tcp_rcv_heard(r, tcp_rtt_rto_us(&conn->rtt), now_us);
	if (verdict != RCV_IN_ORDER) {
		conn->ack_now = true;
		if (!conn->has_sack && r->dup_acks_owed < UINT8_MAX && verdict != RCV_NOTHING)
			r->dup_acks_owed++;
		return;
	}
	r->ack_segs += segs + (payload_bytes > segs * r->mss); /* the NIC coalesced some */
	if (had_hole || r->quick_acks > 0 || r->has_dsack ||
		(r->ack_segs >= 2 && ack_is_pressing(r)))
		conn->ack_now = true;
	r->quick_acks -= RTE_MIN(r->quick_acks, segs);
	if (conn->ack_now)
		return;
	due_us = now_us + (r->ack_segs >= 2 ? ack_patience_us(conn) : TCP_DELACK_US);
	if (conn->timers.at_us[TIMER_DELACK] > due_us)
		tcp_timer_set(conn, TIMER_DELACK, due_us);
}

static bool takes_text(const struct tcp_conn *conn)
{
	return conn->state == TCP_STATE_ESTABLISHED || conn->state == TCP_STATE_FIN_WAIT_1 ||
	       conn->state == TCP_STATE_FIN_WAIT_2;
}

/* Seventh: process the segment text. (Sixth, URG: the pointer is read past; data stays in line.)
 * Eats @m. */
static bool step_text(
	struct tcp_conn *conn, struct rte_mbuf *m, const struct tcp_seg *seg, uint64_t now_us)
{
	struct tcp_rcv *r = &conn->rcv;
	bool had_hole = r->ooo_count > 0;
	enum tcp_rcv_verdict verdict;

	if (seg->payload_bytes == 0 || !takes_text(conn)) {
		/* Behind its FIN the peer has nothing to say; one that does may have missed our
		 * last ACK. */
		if (seg->payload_bytes > 0 && conn->state == TCP_STATE_TIME_WAIT)
			tcp_conn_challenge(conn, now_us);
		rte_pktmbuf_free(m);
		return true;
	}
	if (conn->stream.is_released && seq_gt(seg->seq + seg->payload_bytes, r->nxt)) {
		/* RFC 9293 3.6.1: it will never be read, and the peer should know. */
		rte_pktmbuf_free(m);
		tcp_conn_reset(conn, -ECONNABORTED);
		return false;
	}
	verdict = tcp_rcv_text(conn->net, r, m, seg->seq);
	if (verdict == RCV_IN_ORDER)
		tcp_conn_event(conn, STREAM_READABLE);
	ack_schedule(conn, 1, seg->payload_bytes, verdict, had_hole, now_us);
	tcp_timer_ooo_update(conn, now_us, verdict == RCV_IN_ORDER);
	return true;
}

/* The FIN's number is next: the peer has said everything. */
static void fin_received(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_rcv *r = &conn->rcv;

	r->nxt++;
	r->edge = seq_max(r->edge, r->nxt);
	conn->ack_now = true;
	tcp_ooo_drop(r);
	tcp_timer_stop(conn, TIMER_OOO);
	tcp_conn_event(conn, STREAM_EOF);
	switch (conn->state) {
	case TCP_STATE_ESTABLISHED:
		tcp_state_set(conn, TCP_STATE_CLOSE_WAIT);
		break;
	case TCP_STATE_FIN_WAIT_1:
		tcp_state_set(conn, TCP_STATE_CLOSING);
		break;
	case TCP_STATE_FIN_WAIT_2:
		tcp_conn_time_wait(conn, now_us);
		break;
	default:
		assert(false);
	}
}

/* Eighth: check the FIN bit. A FIN beyond a hole is remembered. */
static void step_fin(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	struct tcp_rcv *r = &conn->rcv;
	uint32_t fin_seq = seg->seq + seg->payload_bytes;

	if (!takes_text(conn))
		return;
	if (seg->flags & TCP_FIN) {
		conn->ack_now = true;
		if (!r->has_fin && seq_ge(fin_seq, r->nxt) &&
			seq_le(fin_seq, seq_max(r->edge, r->nxt))) {
			r->has_fin = true;
			r->fin_seq = fin_seq;
		}
	}
	if (r->has_fin && r->nxt == r->fin_seq)
		fin_received(conn, now_us);
}

/* 3.10.7.3: SYN-SENT. Out: the segment goes on to its text. */
static bool syn_sent(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	bool has_ack = seg->flags & TCP_ACK;

	/* First: the ACK bit. */
	if (has_ack && !seq_acks(seg->ack, conn->iss, conn->snd_nxt)) {
		if (!(seg->flags & TCP_RST))
			answer_with_reset(conn, seg);
		return false;
	}
	/* Second: the RST bit. */
	if (seg->flags & TCP_RST) {
		conn->net->stats.tcp_rst_rx++;
		if (has_ack)
			tcp_conn_die(conn, -ECONNREFUSED);
		return false;
	}
	/* Fourth: the SYN bit. */
	if (!(seg->flags & TCP_SYN))
		return false;
	tcp_conn_negotiate(conn, seg, now_us);
	if (!has_ack) {
		tcp_state_set(conn, TCP_STATE_SYN_RECEIVED); /* simultaneous open */
		conn->syn_due = true;
		tcp_timer_stop(conn, TIMER_RTO);
		return false;
	}
	conn->snd_wnd = conn->snd_wnd_max = seg->wnd; /* never scaled on a SYN */
	conn->snd_wl1 = seg->seq;
	conn->snd_wl2 = seg->ack;
	conn->ack_now = true;
	tcp_conn_established(conn, now_us);
	return true;
}

/*
 * RFC 7323 4.3 (2): what spans Last.ACK.sent is echoed, and what passed every step only: a segment
 * that RFC 5961 refuses leaves no trace, or its timestamp would make all that follow look old.
 * Older than TS.Recent it can only be because that has outlived its 24 days (5.5); then TS.Recent
 * is replaced.
 */
static void ts_remember(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	if (!conn->has_ts || !seg->has_ts || seq_gt(seg->seq, conn->rcv.acked))
		return;
	conn->ts_recent = seg->tsval;
	conn->ts_recent_us = now_us;
}

/* All steps for a segment in a state other than SYN-SENT. Out: the text is still to be taken. */
static bool synchronized(struct tcp_conn *conn, struct tcp_seg *seg, uint8_t ecn, uint64_t now_us)
{
	/*
	 * Simultaneous open: the peer's SYN|ACK repeats the SYN we have (RFC 9293 figure 8). Its
	 * window is not scaled (RFC 7323 2.2); what the shift takes a scaled field could not say.
	 */
	if (conn->state == TCP_STATE_SYN_RECEIVED &&
		(seg->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) &&
		seg->seq + 1 == conn->rcv.nxt) {
		seg->flags &= (uint8_t)~TCP_SYN;
		seg->seq++;
		seg->wnd >>= conn->snd_wscale;
		conn->ack_now = true;
	}
	if (!step_sequence(conn, seg, now_us) || !step_rst(conn, seg, now_us) ||
		!step_syn(conn, seg, now_us))
		return false;
	if (!step_ack(conn, seg, now_us))
		return false;
	conn->last_heard_us = now_us;
	conn->keepalive_tries = 0;
	ts_remember(conn, seg, now_us);
	tcp_ecn_received(conn, seg, ecn);
	return true;
}

/* The next text in order; it acknowledges nothing, changes no window, and no hole or loss is
 * pending. */
static bool is_predicted(
	const struct tcp_conn *conn, const struct tcp_seg *seg, uint8_t ecn, uint64_t now_us)
{
	const struct tcp_rcv *r = &conn->rcv;

	return conn->state == TCP_STATE_ESTABLISHED &&
	       (seg->flags & (uint8_t)~TCP_PSH) == TCP_ACK && seg->sack_count == 0 &&
	       seg->seq == r->nxt && seg->ack == conn->snd_una && seg->payload_bytes > 0 &&
	       seg->payload_bytes <= tcp_rcv_wnd(r) && conn->snd_wnd > 0 &&
	       (uint32_t)seg->wnd << conn->snd_wscale == conn->snd_wnd &&
	       seg->has_ts == conn->has_ts &&
	       !(conn->has_ts && (ts_lt(seg->tsval, conn->ts_recent) ||
					 now_us - conn->ts_recent_us > PAWS_IDLE_US)) &&
	       r->ooo_count == 0 && !r->has_fin && !r->has_dsack && ecn != IP_ECN_CE &&
	       !conn->ecn.echo && !conn->stream.is_released &&
	       conn->recovery.phase == RECOVERY_NONE;
}

/* What the steps would have noted on the way to the text. Eats @m. Out: it is kept as it came. */
static bool predicted_input(
	struct tcp_conn *conn, struct rte_mbuf *m, const struct tcp_seg *seg, uint64_t now_us)
{
	enum tcp_rcv_verdict verdict = RCV_IN_ORDER;
	bool is_whole;

	if (conn->has_ts && seq_le(seg->seq, conn->rcv.acked)) {
		conn->ts_recent = seg->tsval;
		conn->ts_recent_us = now_us;
	}
	conn->last_heard_us = now_us;
	conn->keepalive_tries = 0;
	conn->snd_wl1 = seg->seq;
	is_whole = tcp_rcv_append(conn->net, &conn->rcv, m, seg->seq);
	if (!is_whole)
		verdict = tcp_rcv_fit(conn->net, &conn->rcv, m, seg->seq);
	assert(verdict == RCV_IN_ORDER);
	tcp_conn_event(conn, STREAM_READABLE);
	ack_schedule(conn, 1, seg->payload_bytes, verdict, false, now_us);
	return is_whole;
}

/* Any other. Eats @m. */
static void stepwise_input(struct tcp_conn *conn, struct rte_mbuf *m, const struct tcp_seg *arrived,
	uint8_t ecn, uint64_t now_us)
{
	struct tcp_seg seg = *arrived;
	bool goes_on;

	if (conn->state == TCP_STATE_SYN_SENT) {
		goes_on = syn_sent(conn, &seg, now_us);
		seg.flags &= (uint8_t)~TCP_SYN;
		seg.seq++;
	} else {
		goes_on = synchronized(conn, &seg, ecn, now_us);
	}
	if (!goes_on)
		rte_pktmbuf_free(m);
	else if (step_text(conn, m, &seg, now_us))
		step_fin(conn, &seg, now_us);
}

bool tcp_input(struct tcp_conn *conn, struct rte_mbuf *m, const struct tcp_seg *seg, uint8_t ecn,
	uint64_t now_us)
{
	bool may_go_on = false;

	assert(conn->state != TCP_STATE_CLOSED);
	if (is_predicted(conn, seg, ecn, now_us))
		may_go_on = predicted_input(conn, m, seg, now_us);
	else
		stepwise_input(conn, m, seg, ecn, now_us);
	/* A touched connection is settled when it was asked
	 * for output, once for the whole burst. */
	if (conn->state != TCP_STATE_CLOSED)
		tcp_conn_touch(conn);
	else
		tcp_conn_settle(conn);
	return may_go_on;
}

/* What predicted_input() noted once for both is not noted again. */
bool tcp_input_next(struct tcp_conn *conn, struct rte_mbuf *m, uint32_t seq)
{
	assert(conn->state == TCP_STATE_ESTABLISHED && !conn->rcv.has_dsack);
	if (!tcp_rcv_append_uncharged(&conn->rcv, m, seq))
		return false;
	conn->snd_wl1 = seq;
	return true;
}

void tcp_input_ended(struct tcp_conn *conn, uint32_t segs, uint32_t bytes, uint64_t now_us)
{
	ack_schedule(conn, segs, bytes, RCV_IN_ORDER, false, now_us);
}
