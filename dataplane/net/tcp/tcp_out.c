/*
 * tcp_out.c - what a connection sends when it is asked
 *
 * Called once a turn for each connection that was touched, until it answers that there is nothing
 * more. The order is fixed: the SYN, then what is lost, then new data, then a probe, then a bare
 * ACK; an ACK rides on whatever goes before it. Retransmissions and new data may leave while the
 * pipe is below cwnd; three things may leave regardless: the first segment after a timeout, the
 * tail loss probe and the window probe.
 *
 * New data obeys RFC 9293 3.8.6.2.1: a full segment, or the last of the queue, or half the largest
 * window the peer ever offered, or else the persist timer decides. Nagle is off unless asked for:
 * the pull gathers what was queued in a turn, which is what Nagle is for.
 *
 * After a pause a burst beyond the initial window is spread over a round trip, so that a window
 * remembered from before (RFC 7661) does not arrive at a switch as one train. The initial window
 * itself leaves at once (docs/adr/0009).
 */
#include "dataplane/net/tcp/tcp_conn.h"

#include <assert.h>
#include <rte_common.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_packet.h"
#include "dataplane/net/tcp/tcp_seq.h"

#define PACE_RTT_US_MIN 2000u /* below it a worker's turn is too coarse to pace with */

bool tcp_out_has_unsent(const struct tcp_conn *conn)
{
	return !conn->fin_sent && (conn->snd_nxt != tcp_fin_seq(conn) || conn->fin_queued);
}

static bool may_send(const struct tcp_conn *conn)
{
	switch (conn->state) {
	case TCP_STATE_ESTABLISHED:
	case TCP_STATE_FIN_WAIT_1:
	case TCP_STATE_CLOSE_WAIT:
	case TCP_STATE_CLOSING:
	case TCP_STATE_LAST_ACK:
		return true;
	default:
		return false;
	}
}

static uint32_t wnd_room(const struct tcp_conn *conn, uint32_t from)
{
	int32_t room = seq_diff(conn->snd_una + conn->snd_wnd, from);

	return room > 0 ? (uint32_t)room : 0;
}

static uint32_t cwnd_room(const struct tcp_conn *conn)
{
	uint32_t pipe = tcp_rtx_pipe(&conn->rtx);

	return conn->cc.cwnd_bytes > pipe ? conn->cc.cwnd_bytes - pipe : 0;
}

/* Sends [seq, end) again, as far as one packet reaches; FIN where the range has it. */
static enum tcp_out resend(struct tcp_conn *conn, struct tcp_rec *rec, uint32_t bytes_max,
	struct rte_mbuf **out, uint64_t now_us)
{
	uint32_t fin_seq = tcp_fin_seq(conn);
	uint32_t text_end = conn->fin_sent ? seq_min(rec->end, fin_seq) : rec->end;
	struct tcp_plan plan = {
		.seq = rec->seq,
		.len = RTE_MIN(text_end - rec->seq, bytes_max),
	};
	uint32_t end;
	enum tcp_out rc;

	if (conn->fin_sent && rec->end == fin_seq + 1 && plan.seq + plan.len == fin_seq)
		plan.flags |= TCP_FIN;
	if (plan.seq + plan.len == fin_seq)
		plan.flags |= TCP_PSH;
	rc = tcp_packet_send(conn, &plan, out, now_us);
	if (rc != TCP_OUT_SENT || conn->state == TCP_STATE_CLOSED)
		return rc;
	end = plan.seq + plan.len + !!(plan.flags & TCP_FIN);
	if (rec == TAILQ_FIRST(&conn->rtx.by_seq)) {
		tcp_pmtu_resent(conn);
		if (!conn->rto_due)
			tcp_timer_stop(conn,
				TIMER_RTO); /* restarted below: the head is on its way again */
	}
	tcp_rtx_resent(&conn->rtx, rec, end, now_us);
	tcp_recovery_sent(conn, end - plan.seq, true, now_us);
	conn->retrans_segs++;
	conn->net->stats.tcp_retrans_segs++;
	conn->last_sent_us = now_us;
	conn->rto_due = false;
	tcp_timer_rearm(conn, now_us);
	return rc;
}

/* First: what is lost. */
static enum tcp_out out_lost(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us)
{
	struct tcp_rec *rec = tcp_rtx_next_lost(&conn->rtx);
	uint32_t mss, max, room, want;

	if (!rec)
		return TCP_OUT_NONE;
	tcp_rtx_spare(&conn->rtx);
	rec = tcp_rtx_next_lost(&conn->rtx);
	tcp_pmtu_resend(conn, rec, now_us);
	mss = tcp_out_mss(conn);
	max = tcp_packet_bytes_max(conn);
	tcp_rtx_join_lost(&conn->rtx, rec, max);
	room = cwnd_room(conn);
	want = RTE_MIN(rec->end - rec->seq, mss);
	if (conn->rto_due)
		room = RTE_MAX(room, want);
	if (room < want) {
		conn->is_cwnd_limited = true;
		return TCP_OUT_NONE;
	}
	if (wnd_room(conn, rec->seq) == 0)
		return TCP_OUT_NONE; /* the peer shrank its window: the persist timer asks */
	max = RTE_MIN(max, room >= mss ? room / mss * mss : room);
	return resend(conn, rec, RTE_MIN(max, wnd_room(conn, rec->seq)), out, now_us);
}

/* The tail loss probe without new data: the last segment once more (RFC 8985 7.3). */
static enum tcp_out out_tail(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us)
{
	struct tcp_rec *rec;
	uint32_t mss = tcp_out_mss(conn);
	enum tcp_out rc;

	tcp_rtx_spare(&conn->rtx);
	rec = tcp_rtx_last_unsacked(&conn->rtx);
	if (!rec || wnd_room(conn, rec->seq) == 0) {
		conn->tlp_due = false;
		return TCP_OUT_NONE;
	}
	if (rec->end - rec->seq > mss)
		rec = tcp_rtx_split(&conn->rtx, rec, rec->end - mss);
	rc = resend(conn, rec, RTE_MIN(mss, tcp_packet_bytes_max(conn)), out, now_us);
	if (rc == TCP_OUT_SENT) {
		conn->tlp_due = false;
		conn->rack.is_tlp_out = conn->rack.is_tlp_resend = true;
		conn->rack.tlp_end = conn->snd_nxt;
		tcp_timer_stop(conn, TIMER_TLP);
	}
	return rc;
}

/* RFC 9293 3.8.6.2.1 and, where it is enabled, 3.7.4 (Nagle). @unsent counts the FIN out. */
static bool is_worth_it(const struct tcp_conn *conn, uint32_t len, uint32_t unsent, uint32_t mss)
{
	bool has_flight = tcp_rtx_flight(&conn->rtx) > 0;

	if (len >= mss || conn->probe_due || conn->tlp_due)
		return true;
	if (len == unsent)
		return conn->is_nodelay || !has_flight || conn->fin_queued;
	return len > 0 && len >= conn->snd_wnd_max / 2 && wnd_room(conn, conn->snd_nxt) == len;
}

/* After a pause: the window may be large, the train may not. */
static void restart_after_idle(struct tcp_conn *conn, uint64_t now_us)
{
	uint64_t idle_us = now_us - conn->last_sent_us;
	uint32_t srtt_us = tcp_rtt_srtt_us(&conn->rtt);

	if (tcp_rtx_flight(&conn->rtx) > 0 || idle_us <= tcp_rtt_rto_us(&conn->rtt))
		return;
	tcp_cc_on_restart(&conn->cc, idle_us, srtt_us, now_us);
	conn->pace_us = 0;
	conn->pace_end_us = srtt_us >= PACE_RTT_US_MIN ? now_us + srtt_us : 0;
	/* The window in a round trip, a quarter faster, as the pace must not become the limit. */
	conn->pace_us_fp =
		((uint64_t)srtt_us * 4 / 5 << TCP_PACE_SHIFT) / RTE_MAX(conn->cc.cwnd_bytes, 1u);
}

/* Bytes the pacer releases: all, outside the first round trip after a pause. */
static uint32_t pace_room(struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t flight = tcp_rtx_flight(&conn->rtx), at_once;

	if (now_us >= conn->pace_end_us)
		return UINT32_MAX;
	at_once = tcp_cc_initial_window(conn->cc.mss);
	if (flight + conn->cc.mss <=
		at_once) /* a rest below a segment would only wait for an ACK */
		return at_once - flight;
	if (now_us >= conn->pace_us)
		return 2 * conn->cc.mss;
	tcp_timer_set(conn, TIMER_PACE, conn->pace_us);
	return 0;
}

static void paced(struct tcp_conn *conn, uint32_t bytes, uint64_t now_us)
{
	if (now_us >= conn->pace_end_us)
		return;
	/* What may leave at once is not paid for, in one packet or in ten. */
	bytes = RTE_MIN(bytes, 2 * conn->cc.mss);
	conn->pace_us = now_us + (bytes * conn->pace_us_fp >> TCP_PACE_SHIFT) + 1;
}

static enum tcp_out send_new(
	struct tcp_conn *conn, uint32_t len, bool has_fin, struct rte_mbuf **out, uint64_t now_us)
{
	bool is_last = conn->snd_nxt + len == tcp_fin_seq(conn);
	struct tcp_plan plan = {
		.seq = conn->snd_nxt,
		.len = len,
		.flags = (uint8_t)((has_fin ? TCP_FIN : 0) | (is_last && len > 0 ? TCP_PSH : 0)),
		.is_new = !conn->probe_due, /* a probe is not ECN-capable (RFC 3168 6.1.6) */
	};
	bool was_idle = tcp_rtx_flight(&conn->rtx) == 0;
	enum tcp_out rc = tcp_packet_send(conn, &plan, out, now_us);
	uint32_t bytes;

	if (rc != TCP_OUT_SENT || conn->state == TCP_STATE_CLOSED)
		return rc;
	if (plan.flags & TCP_FIN)
		conn->fin_sent = true;
	bytes = plan.len + !!(plan.flags & TCP_FIN);
	conn->train_bytes = plan.flags == 0 && plan.is_new ? plan.len : 0;
	if (was_idle && conn->snd_wnd > 0)
		conn->progress_us = now_us;
	conn->snd_nxt += bytes;
	tcp_rtx_push(&conn->rtx, conn->snd_nxt, now_us);
	tcp_recovery_sent(conn, bytes, false, now_us);
	conn->last_sent_us = now_us;
	if (!conn->is_size_proved)
		tcp_pmtu_sent(conn, plan.len);
	paced(conn, bytes, now_us);
	conn->probe_due = false;
	if (conn->tlp_due) {
		conn->tlp_due = false;
		conn->rack.is_tlp_out = true;
		conn->rack.is_tlp_resend = false;
		conn->rack.tlp_end = conn->snd_nxt;
	}
	tcp_timer_rearm(conn, now_us);
	return rc;
}

/* Second: new data, and the FIN behind it. A segment is
 * full when its options leave no more room. */
static enum tcp_out out_new(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us)
{
	uint32_t max = tcp_packet_bytes_max(conn), mss = RTE_MIN(tcp_out_mss(conn), max);
	uint32_t unsent = tcp_fin_seq(conn) - conn->snd_nxt, wnd = wnd_room(conn, conn->snd_nxt);
	uint32_t room, len;
	bool has_fin;

	if (!tcp_out_has_unsent(conn) || !may_send(conn) || !tcp_rtx_has_room(&conn->rtx))
		return TCP_OUT_NONE;
	restart_after_idle(conn, now_us);
	room = cwnd_room(conn);
	if (conn->tlp_due)
		room = RTE_MAX(room, mss);
	len = RTE_MIN(RTE_MIN(unsent, wnd), max);
	if (len > room) {
		conn->is_cwnd_limited = true;
		len = room >= mss ? room / mss * mss : 0;
	}
	len = RTE_MIN(len, pace_room(conn, now_us));
	if (len > mss && len < unsent)
		len -= len % mss;
	has_fin = conn->fin_queued && len == unsent && wnd > len;
	if ((len == 0 && !has_fin) || !is_worth_it(conn, len, unsent, mss))
		return TCP_OUT_NONE;
	return send_new(conn, len, has_fin, out, now_us);
}

/* Third: one byte into a shut window (RFC 9293 3.8.6.1): the oldest one not acknowledged. */
static enum tcp_out out_probe(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us)
{
	struct tcp_plan plan = {.seq = conn->snd_una};
	enum tcp_out rc;

	if (tcp_rtx_flight(&conn->rtx) == 0) {
		if (!tcp_out_has_unsent(conn) || conn->snd_wnd > 0 || !may_send(conn)) {
			conn->probe_due = false;
			return TCP_OUT_NONE;
		}
		plan.len = conn->snd_nxt != tcp_fin_seq(conn);
		return send_new(conn, plan.len, plan.len == 0, out, now_us);
	}
	plan.len = conn->snd_una != tcp_fin_seq(conn);
	plan.flags = plan.len == 0 ? TCP_FIN : 0;
	rc = tcp_packet_send(conn, &plan, out, now_us);
	if (rc == TCP_OUT_SENT) {
		conn->probe_due = false;
		conn->last_sent_us = now_us;
		tcp_timer_rearm(conn, now_us);
	}
	return rc;
}

/* Last: nothing but an acknowledgement. A keep-alive is one from just before the window, while all
 * is acknowledged. */
static enum tcp_out out_ack(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us)
{
	struct tcp_plan plan = {.seq = conn->snd_nxt};
	enum tcp_out rc;

	if (tcp_rtx_flight(&conn->rtx) > 0)
		conn->keepalive_due = false;
	if (!conn->ack_now && !conn->keepalive_due)
		return TCP_OUT_NONE;
	plan.seq -= conn->keepalive_due;
	rc = tcp_packet_send(conn, &plan, out, now_us);
	if (rc == TCP_OUT_SENT)
		conn->keepalive_due = false;
	return rc;
}

static enum tcp_out out_syn(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us)
{
	enum tcp_out rc = tcp_packet_send_syn(conn, out, now_us);

	if (rc != TCP_OUT_SENT || conn->state == TCP_STATE_CLOSED)
		return rc;
	conn->syn_due = false;
	conn->syn_sent_us = conn->last_sent_us = now_us;
	tcp_timer_set(conn, TIMER_RTO, now_us + tcp_rtt_rto_us(&conn->rtt));
	return rc;
}

enum tcp_out tcp_output(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us)
{
	enum tcp_out rc;

	conn->train_bytes = 0;
	if (conn->state == TCP_STATE_CLOSED)
		return TCP_OUT_NONE;
	if (conn->syn_due)
		return out_syn(conn, out, now_us);
	if (!tcp_is_synchronized(conn)) /* SYN-RECEIVED may owe an ACK, and nothing else */
		return conn->ack_now ? out_ack(conn, out, now_us) : TCP_OUT_NONE;
	if (conn->ecn.owed_count > 0)
		return tcp_packet_send_owed(conn, out, now_us);
	conn->is_cwnd_limited = false;
	rc = out_lost(conn, out, now_us);
	if (rc == TCP_OUT_NONE)
		rc = out_new(conn, out, now_us);
	if (rc == TCP_OUT_NONE && conn->tlp_due)
		rc = out_tail(conn, out, now_us);
	if (rc == TCP_OUT_NONE && conn->probe_due)
		rc = out_probe(conn, out, now_us);
	if (rc == TCP_OUT_NONE && (conn->ack_now || conn->keepalive_due))
		rc = out_ack(conn, out, now_us);
	if (rc == TCP_OUT_NONE && may_send(conn))
		tcp_timer_persist_update(conn, now_us);
	return rc;
}
