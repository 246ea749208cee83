/*
 * tcp_cc_cubic.c - CUBIC (RFC 9438), in bytes and integers
 *
 * After a loss the window comes back along a cubic: fast to near where the loss was (w_max),
 * slowly past it, then fast again. Growth depends on time and not on the round trip, so long paths
 * are not starved; where that would be slower than what plain TCP gets, the estimate of the latter
 * (w_est) is followed instead, which is the rule in a data centre.
 *
 * Units: windows in bytes, time in milliseconds, C = 0.4 segments / s^3, beta = 0.7. The cube is
 * cut by 10^4 before the segment size is multiplied in: with |t - K| <= 1000 s nothing passes 2^63
 * and what is lost is less than a byte. Fractions of a byte of growth are carried in growth_fp.
 *
 * An epoch begins with the first ACK in congestion avoidance; time without need is not counted
 * (on_pause moves the beginning on). Always: w_max_bytes >= the window the epoch began with.
 */
#include "dataplane/net/tcp/tcp_cc.h"

#include <assert.h>
#include <string.h>

#define BETA_NUM     7u
#define BETA_DEN     10u
#define CONVERGE_NUM 17u /* (1 + beta) / 2 */
#define CONVERGE_DEN 20u
#define ALPHA_NUM    9u /* 3 * (1 - beta) / (1 + beta) */
#define ALPHA_DEN    17u
#define TIME_MS_MAX  1000000
#define ONE_FP	     (1u << TCP_CUBIC_SHIFT)

static void init(struct tcp_cc *cc)
{
	memset(&cc->u.cubic, 0, sizeof(cc->u.cubic));
}

/* Largest x with x^3 <= @v: one bit of the answer at a time, 22 bits suffice for 64. */
static uint32_t cube_root(uint64_t v)
{
	uint64_t x = 0;

	for (int bit = 21; bit >= 0; bit--) {
		uint64_t try = x | 1ull << bit;

		if (try <= 2642245 && try * try * try <= v)
			x = try;
	}
	return (uint32_t)x;
}

/* RFC 9438 4.2, figure 2: K = cbrt((w_max - cwnd_epoch) / C), with C = 0.4e-9 / ms^3. */
static uint32_t time_to_max_ms(uint32_t gap_bytes, uint32_t mss)
{
	uint64_t cube = (uint64_t)gap_bytes * 2500000000ull / mss;

	return cube_root(cube);
}

static void epoch_begin(struct tcp_cc *cc, uint64_t now_us)
{
	struct tcp_cc_cubic_state *st = &cc->u.cubic;

	st->has_epoch = true;
	st->epoch_us = now_us;
	st->growth_fp = 0;
	st->w_est_fp = (uint64_t)cc->cwnd_bytes << TCP_CUBIC_SHIFT;
	if (st->w_max_bytes <= cc->cwnd_bytes) {
		st->w_max_bytes = cc->cwnd_bytes; /* RFC 9438 4.8, 4.10: no maximum is known */
		st->k_ms = 0;
		return;
	}
	st->k_ms = time_to_max_ms(st->w_max_bytes - cc->cwnd_bytes, cc->mss);
}

/* RFC 9438 4.2, figure 1: W_cubic(t) = C * (t - K)^3 + w_max, in bytes, never below zero. */
static uint64_t window_at(const struct tcp_cc *cc, uint64_t t_us)
{
	const struct tcp_cc_cubic_state *st = &cc->u.cubic;
	int64_t d_ms = (int64_t)(t_us / 1000) - st->k_ms;
	int64_t grown;

	if (d_ms > TIME_MS_MAX)
		d_ms = TIME_MS_MAX;
	if (d_ms < -TIME_MS_MAX)
		d_ms = -TIME_MS_MAX;
	grown = d_ms * d_ms * d_ms / 10000 * 4 * cc->mss / 1000000;
	grown += st->w_max_bytes;
	return grown < 0 ? 0 : (uint64_t)grown;
}

/* RFC 9438 4.3, figure 4: what plain TCP would have by now. */
static uint32_t friendly_window(struct tcp_cc *cc, uint32_t acked_bytes)
{
	struct tcp_cc_cubic_state *st = &cc->u.cubic;
	uint64_t more_fp = (uint64_t)acked_bytes * cc->mss * ONE_FP / cc->cwnd_bytes;

	if (st->w_est_fp < (uint64_t)st->cwnd_prior_bytes << TCP_CUBIC_SHIFT)
		more_fp = more_fp * ALPHA_NUM / ALPHA_DEN;
	st->w_est_fp += more_fp;
	if (st->w_est_fp > (uint64_t)TCP_CC_CWND_BYTES_MAX << TCP_CUBIC_SHIFT)
		st->w_est_fp = (uint64_t)TCP_CC_CWND_BYTES_MAX << TCP_CUBIC_SHIFT;
	return (uint32_t)(st->w_est_fp >> TCP_CUBIC_SHIFT);
}

/* RFC 9438 4.4, 4.5: a window acknowledged brings cwnd to where the cubic is one RTT from now. */
static void follow_cubic(struct tcp_cc *cc, const struct tcp_cc_ack *ack, uint32_t acked_bytes)
{
	struct tcp_cc_cubic_state *st = &cc->u.cubic;
	uint64_t cwnd = cc->cwnd_bytes;
	uint64_t target = window_at(cc, ack->now_us - st->epoch_us + ack->srtt_us);

	if (target < cwnd)
		target = cwnd;
	if (target > cwnd + cwnd / 2)
		target = cwnd + cwnd / 2;
	if (acked_bytes > cwnd)
		acked_bytes = (uint32_t)cwnd;
	st->growth_fp += (target - cwnd) * acked_bytes / cwnd * ONE_FP +
			 (target - cwnd) * acked_bytes % cwnd * ONE_FP / cwnd;
	cwnd += st->growth_fp >> TCP_CUBIC_SHIFT;
	st->growth_fp %= ONE_FP;
	cc->cwnd_bytes = cwnd > TCP_CC_CWND_BYTES_MAX ? TCP_CC_CWND_BYTES_MAX : (uint32_t)cwnd;
}

static void on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
	struct tcp_cc_cubic_state *st = &cc->u.cubic;
	uint32_t acked_bytes = ack->acked_bytes;
	uint32_t w_est;

	if (tcp_cc_in_slow_start(cc)) {
		acked_bytes = tcp_cc_slow_start(cc, acked_bytes);
		if (acked_bytes == 0)
			return;
	}
	if (!st->has_epoch)
		epoch_begin(cc, ack->now_us);
	assert(ack->now_us >= st->epoch_us);
	w_est = friendly_window(cc, acked_bytes);
	if (window_at(cc, ack->now_us - st->epoch_us) < w_est) {
		if (w_est > cc->cwnd_bytes)
			cc->cwnd_bytes = w_est;
		return;
	}
	follow_cubic(cc, ack, acked_bytes);
}

/* RFC 9438 4.6 and 4.7: beta, and fast convergence when the maximum was not reached again. */
static uint32_t reduce(struct tcp_cc *cc, uint32_t flight_bytes, bool is_ecn)
{
	struct tcp_cc_cubic_state *st = &cc->u.cubic;
	uint64_t cwnd = cc->cwnd_bytes;
	uint64_t base = flight_bytes < cwnd ? flight_bytes : cwnd;

	st->cwnd_prior_bytes = cc->cwnd_bytes;
	if (cwnd < st->w_max_bytes)
		st->w_max_bytes = (uint32_t)(cwnd * CONVERGE_NUM / CONVERGE_DEN);
	else
		st->w_max_bytes = cc->cwnd_bytes;
	st->has_epoch = false;
	return (uint32_t)(base * BETA_NUM / BETA_DEN);
}

/* RFC 9438 4.8: after a timeout the next epoch knows no maximum. */
static void on_rto(struct tcp_cc *cc)
{
	cc->u.cubic.has_epoch = false;
	cc->u.cubic.w_max_bytes = 0;
}

static void on_epoch_end(struct tcp_cc *cc)
{
	cc->u.cubic.has_epoch = false;
}

static void on_pause(struct tcp_cc *cc, uint64_t paused_us)
{
	if (cc->u.cubic.has_epoch)
		cc->u.cubic.epoch_us += paused_us;
}

const struct tcp_cc_ops tcp_cc_cubic = {
	.name = "cubic",
	.has_hystart = true,
	.init = init,
	.on_ack = on_ack,
	.reduce = reduce,
	.on_rto = on_rto,
	.on_epoch_end = on_epoch_end,
	.on_pause = on_pause,
};
