/*
 * tcp_cc.c - what all congestion controls have in common
 *
 * The events of a connection come in here, and here it is decided whether the window may grow at
 * all: not in recovery (PRR has it), not when the sender did not want more (RFC 9438 5.8), and not
 * while RFC 7661 says the window is a memory. The algorithm behind the table of functions only
 * answers "how much more" and "how much less".
 *
 * Slow start counts bytes (RFC 3465) without the limit of two segments an ACK: one ACK a burst is
 * what both we and our peers send, and pacing, not a slow window, keeps bursts small. The windows
 * are bounded by TCP_CC_CWND_BYTES_MAX so that no sum below can wrap.
 *
 * Undo gives back what the last reduction took, once, when it turns out that nothing was lost.
 *
 * Memory is the caller's. Always: mss <= cwnd_bytes <= TCP_CC_CWND_BYTES_MAX outside of PRR.
 */
#include "dataplane/net/tcp/tcp_cc.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define IW_SEGMENTS	      10u
#define IW_BYTES	      14600u
#define SSTHRESH_SEGMENTS_MIN 2u

static const struct tcp_cc_ops *const all_ops[] = {&tcp_cc_cubic, &tcp_cc_newreno, &tcp_cc_dctcp};

const struct tcp_cc_ops *tcp_cc_find(const char *name)
{
	if (!name || !*name)
		return all_ops[0];
	for (size_t i = 0; i < sizeof(all_ops) / sizeof(all_ops[0]); i++) {
		if (strcmp(all_ops[i]->name, name) == 0)
			return all_ops[i];
	}
	return NULL;
}

static uint32_t max32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

uint32_t tcp_cc_initial_window(uint32_t mss)
{
	assert(mss > 0);
	return min32(IW_SEGMENTS * mss, max32(2 * mss, IW_BYTES));
}

void tcp_cc_init(struct tcp_cc *cc, const struct tcp_cc_ops *ops, uint32_t mss, uint64_t now_us)
{
	assert(ops);
	assert(mss > 0);
	memset(cc, 0, sizeof(*cc));
	cc->ops = ops;
	cc->mss = mss;
	cc->cwnd_bytes = tcp_cc_initial_window(mss);
	cc->ssthresh_bytes = TCP_CC_SSTHRESH_NONE;
	cc->acked_us = now_us;
	tcp_hystart_init(&cc->hystart);
	if (!ops->has_hystart)
		tcp_hystart_done(&cc->hystart);
	tcp_cwv_init(&cc->cwv, now_us);
	ops->init(cc);
}

void tcp_cc_mss_set(struct tcp_cc *cc, uint32_t mss)
{
	assert(mss > 0);
	cc->mss = mss;
	cc->cwnd_bytes = max32(cc->cwnd_bytes, mss);
}

void tcp_cc_syn_lost(struct tcp_cc *cc)
{
	cc->cwnd_bytes = cc->mss;
}

static uint32_t ssthresh_floor(const struct tcp_cc *cc, uint32_t bytes)
{
	return max32(bytes, SSTHRESH_SEGMENTS_MIN * cc->mss);
}

uint32_t tcp_cc_half(const struct tcp_cc *cc, uint32_t flight_bytes)
{
	return ssthresh_floor(cc, flight_bytes / 2);
}

static void grow(struct tcp_cc *cc, uint32_t bytes)
{
	cc->cwnd_bytes =
		min32(cc->cwnd_bytes + min32(bytes, TCP_CC_CWND_BYTES_MAX), TCP_CC_CWND_BYTES_MAX);
}

uint32_t tcp_cc_slow_start(struct tcp_cc *cc, uint32_t acked_bytes)
{
	uint32_t growth = tcp_hystart_growth(&cc->hystart, acked_bytes);
	uint32_t room;

	assert(tcp_cc_in_slow_start(cc));
	room = cc->ssthresh_bytes - cc->cwnd_bytes;
	if (growth <= room) {
		grow(cc, growth);
		return 0;
	}
	grow(cc, room);
	return growth - room;
}

/* RFC 5681 3.1 with RFC 3465: one segment more for each window of bytes acknowledged. */
void tcp_cc_reno_ack(struct tcp_cc *cc, struct tcp_cc_newreno_state *st, uint32_t acked_bytes)
{
	if (tcp_cc_in_slow_start(cc))
		acked_bytes = tcp_cc_slow_start(cc, acked_bytes);
	st->acked_bytes += acked_bytes;
	if (st->acked_bytes < cc->cwnd_bytes)
		return;
	st->acked_bytes -= cc->cwnd_bytes;
	grow(cc, cc->mss);
	st->acked_bytes = min32(st->acked_bytes, cc->cwnd_bytes);
}

/* HyStart++ looks at every ACK of the first slow start, grown or not. */
static void watch_delay(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	if (!tcp_cc_in_slow_start(cc))
		return;
	if (ack->is_round_start)
		tcp_hystart_round(&cc->hystart);
	if (tcp_hystart_ack(&cc->hystart, ack->rtt_us))
		cc->ssthresh_bytes = cc->cwnd_bytes;
}

/* RFC 7661 4.4.2: five minutes on memory alone are enough. */
static void forget(struct tcp_cc *cc, uint64_t now_us)
{
	unsigned periods = tcp_cwv_expired(&cc->cwv, now_us);

	for (unsigned i = 0; i < periods; i++) {
		cc->ssthresh_bytes = max32(cc->ssthresh_bytes, cc->cwnd_bytes / 4 * 3);
		cc->cwnd_bytes = min32(
			cc->cwnd_bytes, max32(cc->cwnd_bytes / 2, tcp_cc_initial_window(cc->mss)));
	}
}

void tcp_cc_on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	uint64_t since_us = ack->now_us - cc->acked_us;

	assert(ack->now_us >= cc->acked_us);
	cc->acked_us = ack->now_us;
	if (cc->ops->on_feedback)
		cc->ops->on_feedback(cc, ack);
	if (cc->is_in_recovery)
		return;
	watch_delay(cc, ack);
	tcp_cwv_ack(&cc->cwv, ack->acked_bytes, ack->is_round_start, ack->srtt_us, cc->cwnd_bytes,
		ack->now_us);
	forget(cc, ack->now_us);
	if (ack->acked_bytes == 0)
		return;
	if (ack->is_cwnd_limited && tcp_cwv_is_validated(&cc->cwv))
		cc->ops->on_ack(cc, ack);
	else if (cc->ops->on_pause)
		cc->ops->on_pause(cc, since_us);
	assert(cc->cwnd_bytes >= cc->mss && cc->cwnd_bytes <= TCP_CC_CWND_BYTES_MAX);
}

static void save(struct tcp_cc *cc)
{
	cc->saved.is_valid = true;
	cc->saved.cwnd_bytes = cc->cwnd_bytes;
	cc->saved.ssthresh_bytes = cc->ssthresh_bytes;
	cc->saved.algorithm = cc->u;
}

/* RFC 7661 4.4.1: a window that was not used says nothing about the path; what was used does. */
static uint32_t reduced(struct tcp_cc *cc, uint32_t flight_bytes, bool is_ecn)
{
	uint32_t ssthresh_bytes = cc->ops->reduce(cc, flight_bytes, is_ecn);

	if (!tcp_cwv_is_validated(&cc->cwv))
		ssthresh_bytes = tcp_cwv_used(&cc->cwv, flight_bytes) / 2;
	return ssthresh_floor(cc, ssthresh_bytes);
}

void tcp_cc_enter_recovery(struct tcp_cc *cc, uint32_t flight_bytes, uint64_t now_us)
{
	assert(!cc->is_in_recovery);
	save(cc);
	tcp_hystart_done(&cc->hystart);
	cc->ssthresh_bytes = reduced(cc, flight_bytes, false);
	cc->cwv.loss_flight_bytes = flight_bytes;
	cc->cwv.was_nonvalidated = !tcp_cwv_is_validated(&cc->cwv);
	cc->is_in_recovery = true;
}

static void epoch_end(struct tcp_cc *cc)
{
	if (cc->ops->on_epoch_end)
		cc->ops->on_epoch_end(cc);
}

void tcp_cc_exit_recovery(struct tcp_cc *cc, uint32_t retrans_bytes, uint64_t now_us)
{
	assert(cc->is_in_recovery);
	cc->is_in_recovery = false;
	if (cc->cwv.was_nonvalidated) {
		uint32_t used = tcp_cwv_used(&cc->cwv, cc->cwv.loss_flight_bytes);

		used = used > retrans_bytes ? (used - retrans_bytes) / 2 : 0;
		cc->ssthresh_bytes = ssthresh_floor(cc, min32(used, cc->ssthresh_bytes));
	}
	cc->cwnd_bytes = cc->ssthresh_bytes;
	tcp_cwv_init(&cc->cwv, now_us);
	epoch_end(cc);
	assert(cc->cwnd_bytes >= 2 * cc->mss);
}

void tcp_cc_on_rto(struct tcp_cc *cc, uint32_t flight_bytes, bool is_first, uint64_t now_us)
{
	tcp_hystart_done(&cc->hystart);
	if (is_first) {
		save(cc);
		cc->ssthresh_bytes = reduced(cc, flight_bytes, false);
	}
	cc->is_in_recovery = false;
	cc->cwnd_bytes = cc->mss;
	tcp_cwv_init(&cc->cwv, now_us);
	if (cc->ops->on_rto)
		cc->ops->on_rto(cc);
}

void tcp_cc_on_ecn(struct tcp_cc *cc, uint32_t flight_bytes, uint64_t now_us)
{
	if (cc->is_in_recovery)
		return; /* reduced for this window of data already */
	tcp_hystart_done(&cc->hystart);
	cc->saved.is_valid = false; /* a mark is never spurious */
	cc->ssthresh_bytes = reduced(cc, flight_bytes, true);
	cc->cwnd_bytes = min32(cc->cwnd_bytes, cc->ssthresh_bytes);
	tcp_cwv_init(&cc->cwv, now_us);
	epoch_end(cc);
}

void tcp_cc_undo(struct tcp_cc *cc, uint64_t now_us)
{
	if (!cc->saved.is_valid)
		return;
	cc->saved.is_valid = false;
	cc->is_in_recovery = false;
	cc->cwnd_bytes = max32(cc->cwnd_bytes, cc->saved.cwnd_bytes);
	cc->ssthresh_bytes = max32(cc->ssthresh_bytes, cc->saved.ssthresh_bytes);
	cc->u = cc->saved.algorithm;
	tcp_cwv_init(&cc->cwv, now_us);
}

void tcp_cc_on_restart(struct tcp_cc *cc, uint64_t idle_us, uint32_t srtt_us, uint64_t now_us)
{
	tcp_cwv_idle(&cc->cwv, idle_us, srtt_us, now_us);
	forget(cc, now_us);
	assert(now_us >= cc->acked_us);
	if (cc->ops->on_pause)
		cc->ops->on_pause(cc, now_us - cc->acked_us);
	cc->acked_us = now_us;
}
