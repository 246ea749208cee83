/*
 * tcp_rack.c - time-based loss detection and the tail loss probe (RFC 8985)
 *
 * A transmission is lost when one that left later was delivered and the reordering window has
 * passed since. That covers lost retransmissions and tails, where counting duplicate ACKs is blind;
 * three SACKed segments still act at once as long as no reordering was ever seen (the window is
 * then zero). The window starts at a quarter of the minimum round trip and widens each time a
 * D-SACK says that a retransmission was for nothing.
 *
 * The scoreboard (tcp_rtx.c) keeps transmissions in order of time and without those already
 * judged, so a look at them ends at the first that is too young. Used with SACK only.
 */
#include "dataplane/net/tcp/tcp_rack.h"

#include <assert.h>
#include <string.h>
#include <rte_common.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_conn.h"
#include "dataplane/net/tcp/tcp_seq.h"

#define DUPTHRESH	 3
#define REO_PERSIST	 16	 /* recoveries a widened window lasts (6.2 step 4) */
#define MAX_ACK_DELAY_US 200000u /* TLP.max_ack_delay: what a peer may sit on a lone segment */

void tcp_rack_init(struct tcp_rack *rack)
{
	memset(rack, 0, sizeof(*rack));
	rack->reo_mult = 1;
}

void tcp_rack_needless(struct tcp_conn *conn)
{
	struct tcp_rack *rack = &conn->rack;

	if (rack->has_dsack_round)
		return;
	rack->has_dsack_round = true;
	rack->dsack_round = conn->snd_nxt;
	rack->reo_persist = REO_PERSIST;
	if (rack->reo_mult < UINT8_MAX)
		rack->reo_mult++;
}

void tcp_rack_recovered(struct tcp_rack *rack)
{
	if (rack->reo_persist > 0 && --rack->reo_persist == 0)
		rack->reo_mult = 1;
}

void tcp_rack_update(struct tcp_conn *conn, const struct tcp_delivery *d)
{
	struct tcp_rack *rack = &conn->rack;

	if (d->is_reordered)
		rack->is_reordering_seen = true;
	if (rack->has_dsack_round && seq_ge(conn->snd_una, rack->dsack_round))
		rack->has_dsack_round = false;
	if (d->has_dsack)
		tcp_rack_needless(conn);
	if (!d->has_rack)
		return;
	assert(d->now_us >= d->rack_sent_us);
	if (rack->has_sample &&
		!tcp_rtx_sent_after(d->rack_sent_us, d->rack_end, rack->sent_us, rack->end))
		return;
	rack->has_sample = true;
	rack->sent_us = d->rack_sent_us;
	rack->end = d->rack_end;
	rack->rtt_us = (uint32_t)RTE_MIN(d->now_us - d->rack_sent_us, (uint64_t)UINT32_MAX);
}

/*
 * 6.2 step 4, rounded up. A quarter of a round trip below four microseconds would be nothing, and a
 * whole burst, which leaves in one microsecond, be lost as soon as its last segment overtook the
 * others.
 */
static uint32_t reo_wnd_us(const struct tcp_conn *conn)
{
	const struct tcp_rack *rack = &conn->rack;
	uint64_t wnd;

	if (!rack->is_reordering_seen) {
		if (conn->recovery.phase != RECOVERY_NONE)
			return 0;
		if (conn->rtx.sacked_bytes >= DUPTHRESH * tcp_out_mss(conn))
			return 0;
	}
	wnd = ((uint64_t)rack->reo_mult * tcp_rtt_min_us(&conn->rtt) + 3) / 4;
	return (uint32_t)RTE_MIN(wnd, (uint64_t)tcp_rtt_srtt_us(&conn->rtt));
}

uint32_t tcp_rack_detect(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_rack *rack = &conn->rack;
	struct tcp_rec *rec = TAILQ_FIRST(&conn->rtx.by_time), *next;
	uint32_t lost = 0;
	uint64_t wait_us = 0, wnd_us = reo_wnd_us(conn);

	tcp_timer_stop(conn, TIMER_REO);
	if (!rack->has_sample)
		return 0;
	for (; rec; rec = next) {
		uint64_t due_us = rec->sent_us + rack->rtt_us + wnd_us;

		next = TAILQ_NEXT(rec, by_time);
		if (!tcp_rtx_sent_after(rack->sent_us, rack->end, rec->sent_us, rec->end))
			break;
		if (due_us <= now_us) {
			lost += rec->end - rec->seq;
			tcp_rtx_mark_lost(&conn->rtx, rec);
		} else {
			wait_us = RTE_MAX(wait_us, due_us - now_us);
		}
	}
	if (wait_us > 0)
		tcp_timer_set(conn, TIMER_REO, now_us + wait_us);
	return lost;
}

void tcp_rack_mark_on_rto(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_rack *rack = &conn->rack;
	struct tcp_rec *first = tcp_rtx_first(&conn->rtx), *rec;
	uint64_t wnd_us = reo_wnd_us(conn);

	if (!conn->has_sack || !rack->has_sample) {
		tcp_rtx_mark_all_lost(&conn->rtx);
		return;
	}
	TAILQ_FOREACH(rec, &conn->rtx.by_seq, by_seq)
	{
		if (rec->flags & REC_SACKED)
			continue;
		if (rec == first || rec->sent_us + rack->rtt_us + wnd_us <= now_us)
			tcp_rtx_mark_lost(&conn->rtx, rec);
	}
}

bool tcp_rack_tlp_arm(struct tcp_conn *conn, uint64_t now_us)
{
	const struct tcp_rtx *rtx = &conn->rtx;
	uint64_t pto_us = TCP_RTO_US_INITIAL;

	tcp_timer_stop(conn, TIMER_TLP);
	if (!conn->has_sack || conn->rack.is_tlp_out || conn->recovery.phase != RECOVERY_NONE ||
		rtx->sacked_bytes > 0 || tcp_rtx_flight(rtx) == 0 || conn->snd_wnd == 0)
		return false;
	if (conn->rtt.has_sample) {
		pto_us = 2ull * tcp_rtt_srtt_us(&conn->rtt);
		if (tcp_rtx_flight(rtx) <= tcp_out_mss(conn))
			pto_us += MAX_ACK_DELAY_US;
		pto_us = RTE_MAX(pto_us, (uint64_t)TCP_RTT_GRANULARITY_US);
	}
	tcp_timer_set(conn, TIMER_TLP,
		RTE_MIN(now_us + pto_us, RTE_MAX(conn->timers.at_us[TIMER_RTO], now_us + 1)));
	return true;
}

void tcp_rack_tlp_fire(struct tcp_conn *conn, uint64_t now_us)
{
	if (conn->rack.is_tlp_out || conn->recovery.phase != RECOVERY_NONE ||
		tcp_rtx_flight(&conn->rtx) == 0)
		return;
	conn->tlp_due = true;
	conn->net->stats.tcp_tlp++;
	/* 7.3: the timeout counts from the probe. */
	tcp_timer_set(conn, TIMER_RTO, now_us + tcp_rtt_rto_us(&conn->rtt));
}

bool tcp_rack_tlp_ack(
	struct tcp_conn *conn, const struct tcp_seg *seg, const struct tcp_delivery *d)
{
	struct tcp_rack *rack = &conn->rack;

	if (!rack->is_tlp_out || seq_lt(seg->ack, rack->tlp_end))
		return false;
	if (!rack->is_tlp_resend || (d->has_dsack && d->dsack.end == rack->tlp_end)) {
		rack->is_tlp_out = false;
		return false;
	}
	if (seq_gt(seg->ack, rack->tlp_end)) {
		rack->is_tlp_out = false;
		return true;
	}
	if (d->acked_bytes == 0 && seg->sack_count == 0)
		rack->is_tlp_out = false; /* the original and the probe both arrived */
	return false;
}
