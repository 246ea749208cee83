/*
 * tcp_cc_dctcp.c - data-centre TCP (RFC 8257): as much less as was marked
 *
 * Where switches mark early and at a known depth, the share of marked bytes says how full the queue
 * is. alpha follows that share, one step a window, and a marked window is cut by alpha / 2 instead
 * of by half. Only by configuration: on a path that marks late, or not at all, it is unfair.
 *
 * alpha is in fixed point, 0 to 1 << TCP_DCTCP_SHIFT, and starts at 1: a first mark is taken as
 * seriously as a loss (RFC 8257 3.3). Loss itself halves, as in RFC 5681 (3.4).
 */
#include "dataplane/net/tcp/tcp_cc.h"

#include <assert.h>

#define ALPHA_ONE  (1u << TCP_DCTCP_SHIFT)
#define GAIN_SHIFT 4 /* g = 1/16 (RFC 8257 4.2) */

static void init(struct tcp_cc *cc)
{
	struct tcp_cc_dctcp_state *st = &cc->u.dctcp;

	st->alpha_fp = ALPHA_ONE;
	st->delivered_bytes = 0;
	st->ce_bytes = 0;
	st->reno.acked_bytes = 0;
}

/* RFC 8257 3.3 equations: alpha = alpha * (1 - g) + g * M, once an observation window. */
static void window_end(struct tcp_cc_dctcp_state *st)
{
	uint64_t marked_fp;

	if (st->delivered_bytes == 0)
		return;
	marked_fp = (uint64_t)st->ce_bytes * ALPHA_ONE / st->delivered_bytes;
	st->alpha_fp -= st->alpha_fp >> GAIN_SHIFT;
	st->alpha_fp += (uint32_t)(marked_fp >> GAIN_SHIFT);
	if (marked_fp == 0 && st->alpha_fp < 1u << GAIN_SHIFT)
		st->alpha_fp = 0; /* the shift alone would never reach it */
	if (st->alpha_fp > ALPHA_ONE)
		st->alpha_fp = ALPHA_ONE;
	st->delivered_bytes = 0;
	st->ce_bytes = 0;
}

static void on_feedback(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	struct tcp_cc_dctcp_state *st = &cc->u.dctcp;

	assert(ack->ce_bytes <= ack->delivered_bytes);
	if (ack->is_round_start)
		window_end(st);
	st->delivered_bytes += ack->delivered_bytes;
	st->ce_bytes += ack->ce_bytes;
}

static void on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	tcp_cc_reno_ack(cc, &cc->u.dctcp.reno, ack->acked_bytes);
}

static uint32_t reduce(struct tcp_cc *cc, uint32_t flight_bytes, bool is_ecn)
{
	uint64_t cut_fp;

	if (!is_ecn)
		return tcp_cc_half(cc, flight_bytes);
	cut_fp = (uint64_t)cc->cwnd_bytes * cc->u.dctcp.alpha_fp / 2;
	return cc->cwnd_bytes - (uint32_t)(cut_fp >> TCP_DCTCP_SHIFT);
}

static void on_epoch_end(struct tcp_cc *cc)
{
	cc->u.dctcp.reno.acked_bytes = 0;
}

const struct tcp_cc_ops tcp_cc_dctcp = {
	.name = "dctcp",
	.wants_ecn = true,
	.has_accurate_ecn = true,
	.init = init,
	.on_feedback = on_feedback,
	.on_ack = on_ack,
	.reduce = reduce,
	.on_rto = on_epoch_end,
	.on_epoch_end = on_epoch_end,
};
