/*
 * tcp_recovery.c - from loss found to loss repaired: fast recovery, RTO recovery, undo
 *
 * Three phases. NONE: nothing is believed lost. FAST: RACK (or three duplicate ACKs without SACK)
 * found a loss; until everything sent before is acknowledged, cwnd belongs to proportional rate
 * reduction. RTO: the timer went off; cwnd starts again from one segment and congestion control
 * grows it. In each phase what is marked lost leaves first, see tcp_out.c.
 *
 * Without SACK a duplicate ACK says that one segment arrived, somewhere; that is counted in
 * reno_sacked_bytes, so the pipe shrinks and limited transmit (RFC 3042) and window inflation
 * (RFC 6582) come out by themselves. A partial ACK says the next segment is missing too.
 *
 * A reduction is undone when the ACK that ends the wait echoes a timestamp older than the first
 * retransmission (RFC 3522: the original arrived), or when D-SACKs have reported every
 * retransmitted byte as a duplicate (RFC 3708). And when everything was acknowledged before
 * anything was sent again: a worker that rests finds the SACK that condemns a segment and the ACK
 * that acquits it in one turn.
 */
#include "dataplane/net/tcp/tcp_recovery.h"

#include <assert.h>
#include <rte_common.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_conn.h"
#include "dataplane/net/tcp/tcp_seq.h"

#define DUPTHRESH 3

static void undo_prepare(struct tcp_conn *conn)
{
	struct tcp_recovery *r = &conn->recovery;

	r->can_undo = true;
	r->has_resend_ts = false;
	r->undo_una = conn->snd_una;
	r->undo_bytes = 0;
	r->resent_bytes = 0;
}

/* RFC 9937 6: how much may leave for what this ACK delivered. Sets cwnd. */
static void prr(struct tcp_conn *conn, uint32_t delivered, bool is_safe)
{
	struct tcp_recovery *r = &conn->recovery;
	uint32_t pipe = tcp_rtx_pipe(&conn->rtx), ssthresh = conn->cc.ssthresh_bytes;
	int64_t count;

	r->prr_delivered += delivered;
	if (pipe > ssthresh) {
		uint32_t flight = RTE_MAX(r->prr_flight, 1u);

		count = (int64_t)(((uint64_t)r->prr_delivered * ssthresh + flight - 1) / flight) -
			r->prr_out;
	} else {
		count = RTE_MAX((int64_t)r->prr_delivered - r->prr_out, (int64_t)delivered);
		if (is_safe)
			count += conn->cc.mss;
		count = RTE_MIN((int64_t)(ssthresh - pipe), count);
	}
	if (r->prr_out == 0)
		count = RTE_MAX(count, (int64_t)conn->cc.mss); /* the fast retransmit itself */
	conn->cc.cwnd_bytes = (uint32_t)RTE_MIN(
		(int64_t)pipe + RTE_MAX(count, (int64_t)0), (int64_t)TCP_CC_CWND_BYTES_MAX);
}

static void enter_fast(
	struct tcp_conn *conn, const struct tcp_delivery *d, uint32_t flight, uint64_t now_us)
{
	struct tcp_recovery *r = &conn->recovery;
	uint32_t newly = d ? d->acked_bytes + d->sacked_bytes : 0;

	assert(r->phase == RECOVERY_NONE);
	undo_prepare(conn);
	r->phase = RECOVERY_FAST;
	r->point = conn->snd_nxt;
	r->prr_delivered = r->prr_out = 0;
	r->prr_flight = tcp_rtx_flight(&conn->rtx) - conn->rtx.sacked_bytes + newly;
	conn->rack.is_tlp_out = false;
	tcp_timer_stop(conn, TIMER_TLP);
	conn->tlp_due = false;
	tcp_cc_enter_recovery(&conn->cc, flight, now_us);
	tcp_ecn_reduced(conn);
	conn->net->stats.tcp_fast_rtx++;
}

static void leave(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_recovery *r = &conn->recovery;

	if (r->phase == RECOVERY_FAST && conn->cc.is_in_recovery)
		tcp_cc_exit_recovery(&conn->cc, r->resent_bytes, now_us);
	r->phase = RECOVERY_NONE;
	r->dupacks = 0;
	r->undo_until = conn->snd_nxt;
	conn->rtx.reno_sacked_bytes = 0;
	conn->rto_due = false;
}

static bool is_spurious(struct tcp_conn *conn, const struct tcp_seg *seg,
	const struct tcp_delivery *d, const struct tcp_ack_info *info)
{
	struct tcp_recovery *r = &conn->recovery;

	if (!r->can_undo)
		return false;
	if (r->resent_bytes == 0)
		return r->phase != RECOVERY_NONE && seq_ge(conn->snd_una, r->point);
	if (d->has_dsack && seq_ge(d->dsack.start, r->undo_una)) {
		r->undo_bytes -= RTE_MIN(r->undo_bytes, d->dsack.end - d->dsack.start);
		if (r->undo_bytes == 0)
			return true;
	}
	return r->phase != RECOVERY_NONE && conn->has_ts && seg->has_ts && r->has_resend_ts &&
	       conn->snd_una != info->una_before && ts_lt(seg->tsecr, r->resend_ts);
}

static void undo(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_recovery *r = &conn->recovery;

	r->can_undo = false;
	tcp_rtx_unmark_lost(&conn->rtx);
	tcp_rtt_backoff_clear(&conn->rtt);
	if (r->phase != RECOVERY_NONE)
		leave(conn, now_us);
	if (conn->has_sack)
		tcp_rack_needless(conn);
	tcp_cc_undo(&conn->cc, now_us);
	conn->net->stats.tcp_undo++;
}

/* RFC 5681 3.2 and RFC 6582 3.2, for peers without SACK. Out: bytes taken for delivered. */
static uint32_t reno(
	struct tcp_conn *conn, const struct tcp_delivery *d, const struct tcp_ack_info *info)
{
	struct tcp_recovery *r = &conn->recovery;
	uint32_t mss = tcp_out_mss(conn);

	if (info->is_dup) {
		uint32_t room = tcp_rtx_flight(&conn->rtx) - conn->rtx.reno_sacked_bytes;
		uint32_t one = RTE_MIN(mss, room);

		conn->rtx.reno_sacked_bytes += one;
		if (r->dupacks < UINT8_MAX)
			r->dupacks++;
		/* RFC 6582 3.2 step 2: not again for what the last recovery covered. */
		if (r->dupacks == DUPTHRESH && r->phase == RECOVERY_NONE &&
			seq_ge(conn->snd_una, r->point))
			tcp_rtx_mark_head_lost(&conn->rtx, mss);
		return one;
	}
	if (conn->snd_una == info->una_before)
		return 0;
	r->dupacks = 0;
	if (r->phase == RECOVERY_FAST && seq_lt(conn->snd_una, r->point))
		tcp_rtx_mark_head_lost(&conn->rtx, mss);
	else if (r->phase == RECOVERY_NONE)
		conn->rtx.reno_sacked_bytes = 0;
	return d->acked_bytes;
}

static void tell_cc(struct tcp_conn *conn, const struct tcp_delivery *d,
	const struct tcp_ack_info *info, uint32_t delivered, bool may_grow)
{
	struct tcp_cc_ack ack = {
		.now_us = info->now_us,
		.acked_bytes = may_grow ? d->acked_bytes : 0,
		.delivered_bytes = delivered,
		.ce_bytes = info->has_ece ? delivered : 0,
		.in_flight_bytes = tcp_rtx_pipe(&conn->rtx),
		.rtt_us = info->rtt_us,
		.srtt_us = tcp_rtt_srtt_us(&conn->rtt),
		.min_rtt_us = tcp_rtt_min_us(&conn->rtt),
		.is_cwnd_limited = conn->is_cwnd_limited || conn->recovery.phase == RECOVERY_RTO,
	};

	if (delivered == 0)
		return;
	if (seq_gt(conn->snd_una, conn->round_end)) {
		ack.is_round_start = true;
		conn->round_end = conn->snd_nxt;
	}
	tcp_cc_on_ack(&conn->cc, &ack);
}

/* The tail loss probe repaired a loss alone: the reduction is due nevertheless (RFC 8985 7.4). */
static void tlp_repaired(struct tcp_conn *conn, const struct tcp_ack_info *info)
{
	if (conn->recovery.phase != RECOVERY_NONE)
		return;
	tcp_cc_enter_recovery(&conn->cc, info->flight_before, info->now_us);
	tcp_ecn_reduced(conn);
	tcp_cc_exit_recovery(&conn->cc, conn->cc.mss, info->now_us);
}

/* Lost and not on its way again. */
static uint32_t missing(const struct tcp_conn *conn)
{
	return conn->rtx.lost_bytes - conn->rtx.resent_bytes;
}

/* What this ACK says is lost. Out: bytes it says were delivered. */
static uint32_t judge(struct tcp_conn *conn, const struct tcp_seg *seg, struct tcp_delivery *d,
	const struct tcp_ack_info *info)
{
	uint32_t before = missing(conn), delivered = d->acked_bytes + d->sacked_bytes;

	if (conn->has_sack) {
		tcp_rack_update(conn, d);
		if (d->is_reneged)
			tcp_rtx_renege(&conn->rtx);
		tcp_rack_detect(conn, info->now_us);
		if (tcp_rack_tlp_ack(conn, seg, d))
			tlp_repaired(conn, info);
	} else {
		delivered = reno(conn, d, info);
	}
	if (missing(conn) > before)
		d->marked_lost_bytes = missing(conn) - before;
	return delivered;
}

void tcp_recovery_ack(struct tcp_conn *conn, const struct tcp_seg *seg, struct tcp_delivery *d,
	const struct tcp_ack_info *info)
{
	struct tcp_recovery *r = &conn->recovery;
	bool was_fast = r->phase == RECOVERY_FAST; /* the ACK that ends it sets cwnd, no more */
	uint32_t delivered = judge(conn, seg, d, info);

	if (r->can_undo && r->phase == RECOVERY_NONE && seq_gt(conn->snd_una, r->undo_until))
		r->can_undo = false;
	if (is_spurious(conn, seg, d, info))
		undo(conn, info->now_us);
	/* Without a recovery it follows SND.UNA: left behind by 2 GiB it would lie ahead of it. */
	if (r->phase == RECOVERY_NONE && seq_gt(conn->snd_una, r->point))
		r->point = conn->snd_una;
	if (r->phase != RECOVERY_NONE && seq_ge(conn->snd_una, r->point)) {
		leave(conn, info->now_us);
		tcp_rack_recovered(&conn->rack);
	}
	/* What a smaller path MTU or a window that opened made us send again is no congestion. */
	if (r->phase == RECOVERY_NONE && d->marked_lost_bytes > 0 && missing(conn) > 0)
		enter_fast(conn, d, info->flight_before, info->now_us);
	if (r->phase == RECOVERY_FAST)
		prr(conn, delivered, d->acked_bytes > 0 && d->marked_lost_bytes == 0);
	tell_cc(conn, d, info, delivered, !was_fast);
}

void tcp_recovery_lost(struct tcp_conn *conn, uint64_t now_us)
{
	if (conn->recovery.phase == RECOVERY_NONE)
		enter_fast(conn, NULL, tcp_rtx_flight(&conn->rtx), now_us);
	if (conn->recovery.phase == RECOVERY_FAST)
		prr(conn, 0, false);
}

void tcp_recovery_rto(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_recovery *r = &conn->recovery;
	struct tcp_rec *head = TAILQ_FIRST(&conn->rtx.by_seq);
	bool is_first = r->phase != RECOVERY_RTO;

	assert(head);
	if (head->flags & REC_SACKED)
		tcp_rtx_renege(&conn->rtx); /* RFC 2018 8: what is not acknowledged was discarded */
	if (r->phase != RECOVERY_FAST && is_first)
		undo_prepare(conn);
	tcp_cc_on_rto(&conn->cc, tcp_rtx_flight(&conn->rtx), is_first, now_us);
	tcp_ecn_reduced(conn);
	tcp_rack_mark_on_rto(conn, now_us);
	r->phase = RECOVERY_RTO;
	r->point = conn->snd_nxt;
	r->dupacks = 0;
	conn->rtx.reno_sacked_bytes = 0;
	conn->rack.is_tlp_out = conn->tlp_due = false;
	conn->rto_due = true;
	conn->net->stats.tcp_rto++;
}

void tcp_recovery_sent(struct tcp_conn *conn, uint32_t bytes, bool is_resend, uint64_t now_us)
{
	struct tcp_recovery *r = &conn->recovery;

	if (r->phase == RECOVERY_FAST)
		r->prr_out += bytes;
	if (!is_resend || r->phase == RECOVERY_NONE)
		return;
	r->resent_bytes += bytes;
	r->undo_bytes += bytes;
	if (!r->has_resend_ts) {
		r->has_resend_ts = true;
		r->resend_ts = tcp_ts_now(conn, now_us);
	}
}
