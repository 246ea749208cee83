/*
 * cc_script.h - drives a congestion control the way a connection would, for its tests
 */
#ifndef TESTS_NET_CC_SCRIPT_H
#define TESTS_NET_CC_SCRIPT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "dataplane/net/tcp/tcp_cc.h"

#define MS  1000u
#define SEC 1000000ull
#define MSS 1000u

static inline void cc_ack_at(struct tcp_cc *cc, uint32_t bytes, uint32_t rtt_us, uint64_t now_us,
	bool is_round_start)
{
	const struct tcp_cc_ack ack = {
		.now_us = now_us,
		.acked_bytes = bytes,
		.delivered_bytes = bytes,
		.rtt_us = rtt_us,
		.srtt_us = rtt_us,
		.min_rtt_us = rtt_us,
		.is_round_start = is_round_start,
		.is_cwnd_limited = true,
	};

	tcp_cc_on_ack(cc, &ack);
}

/* One ACK for @bytes within a round, the sender limited by cwnd. */
static inline void cc_ack(struct tcp_cc *cc, uint32_t bytes, uint32_t rtt_us, uint64_t now_us)
{
	cc_ack_at(cc, bytes, rtt_us, now_us, false);
}

/* The same, the first of its round. */
static inline void cc_round(struct tcp_cc *cc, uint32_t bytes, uint32_t rtt_us, uint64_t now_us)
{
	cc_ack_at(cc, bytes, rtt_us, now_us, true);
}

/* In congestion avoidance with @cwnd bytes, nothing else known. */
static inline void cc_start(struct tcp_cc *cc, const struct tcp_cc_ops *ops, uint32_t cwnd)
{
	tcp_cc_init(cc, ops, MSS, 0);
	cc->cwnd_bytes = cwnd;
	cc->ssthresh_bytes = cwnd;
	tcp_hystart_done(&cc->hystart);
}

#endif
