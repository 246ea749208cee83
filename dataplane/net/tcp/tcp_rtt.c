/*
 * tcp_rtt.c - the retransmission timeout, from measured round trips
 *
 * RFC 6298's smoothed mean and deviation. With timestamps every ACK is a sample; RFC 6298's gains
 * assume one a round trip, so each is divided by the number of samples expected in one (RFC 7323
 * appendix G), and the estimator remembers as far back as it was meant to. Divided gains move the
 * mean by less than a microsecond at a time, hence the fixed point.
 *
 * The lower bound on the RTO is 200 ms where RFC 6298 2.4 says a second SHOULD: between servers in
 * one building a second of silence is five orders of magnitude more than a round trip. 200 ms stays
 * above every delayed-ACK timer in use, which is what the bound is for.
 *
 * The minimum serves RACK and HyStart++: three samples, each the smallest since the one before, so
 * that the window slides without remembering every sample.
 *
 * Memory is the caller's; no clock is read. Always: rto_us_min <= rto_us <= TCP_RTO_US_MAX, save
 * that the initial second stands until the first sample.
 */
#include "dataplane/net/tcp/tcp_rtt.h"

#include <assert.h>
#include <string.h>

#define RTT_SHIFT 12
#define RTT_ONE	  (1 << RTT_SHIFT)

void tcp_rtt_init(struct tcp_rtt *rtt, uint32_t rto_us_min)
{
	memset(rtt, 0, sizeof(*rtt));
	rtt->rto_us_min = rto_us_min ? rto_us_min : TCP_RTO_US_MIN;
	if (rtt->rto_us_min > TCP_RTO_US_MAX)
		rtt->rto_us_min = TCP_RTO_US_MAX;
	rtt->rto_us = TCP_RTO_US_INITIAL;
}

static void min_reset(struct tcp_rtt_min *min, uint32_t rtt_us, uint64_t now_us)
{
	for (int i = 0; i < 3; i++) {
		min->rtt_us[i] = rtt_us;
		min->at_us[i] = now_us;
	}
}

/* The best left the window: the next ones move up, and the newest sample ends the row. */
static void min_slide(struct tcp_rtt_min *min, uint32_t rtt_us, uint64_t now_us)
{
	for (int i = 0; i < 2 && now_us - min->at_us[0] > TCP_RTT_WINDOW_US; i++) {
		min->rtt_us[0] = min->rtt_us[1];
		min->at_us[0] = min->at_us[1];
		min->rtt_us[1] = min->rtt_us[2];
		min->at_us[1] = min->at_us[2];
		min->rtt_us[2] = rtt_us;
		min->at_us[2] = now_us;
	}
}

/* A stand-by as old as the best would leave with it: choose younger ones once a part is over. */
static void min_refresh(struct tcp_rtt_min *min, uint32_t rtt_us, uint64_t now_us)
{
	uint64_t age_us = now_us - min->at_us[0];

	if (min->at_us[1] == min->at_us[0] && age_us > TCP_RTT_WINDOW_US / 4) {
		min->rtt_us[1] = min->rtt_us[2] = rtt_us;
		min->at_us[1] = min->at_us[2] = now_us;
	} else if (min->at_us[2] == min->at_us[1] && age_us > TCP_RTT_WINDOW_US / 2) {
		min->rtt_us[2] = rtt_us;
		min->at_us[2] = now_us;
	}
}

static void min_sample(struct tcp_rtt_min *min, uint32_t rtt_us, bool is_first, uint64_t now_us)
{
	if (is_first || rtt_us <= min->rtt_us[0] || now_us - min->at_us[2] > TCP_RTT_WINDOW_US) {
		min_reset(min, rtt_us, now_us);
		return;
	}
	if (rtt_us <= min->rtt_us[1]) {
		min->rtt_us[1] = min->rtt_us[2] = rtt_us;
		min->at_us[1] = min->at_us[2] = now_us;
	} else if (rtt_us <= min->rtt_us[2]) {
		min->rtt_us[2] = rtt_us;
		min->at_us[2] = now_us;
	}
	min_slide(min, rtt_us, now_us);
	min_refresh(min, rtt_us, now_us);
	assert(min->rtt_us[0] <= min->rtt_us[1] && min->rtt_us[1] <= min->rtt_us[2]);
}

/* RFC 6298 2.2: the first measurement. */
static void estimate_first(struct tcp_rtt *rtt, uint64_t sample_fp)
{
	rtt->srtt_fp = sample_fp;
	rtt->rttvar_fp = sample_fp / 2;
}

/* RFC 6298 2.3 with the gains of RFC 7323 appendix G: alpha = 1/8n, beta = 1/4n. */
static void estimate_next(struct tcp_rtt *rtt, uint64_t sample_fp, uint32_t n)
{
	int64_t error_fp = (int64_t)(sample_fp - rtt->srtt_fp);
	int64_t spread_fp = error_fp < 0 ? -error_fp : error_fp;
	int64_t var_fp = (int64_t)rtt->rttvar_fp;

	rtt->rttvar_fp = (uint64_t)(var_fp + (spread_fp - var_fp) / (4 * (int64_t)n));
	rtt->srtt_fp = (uint64_t)((int64_t)rtt->srtt_fp + error_fp / (8 * (int64_t)n));
}

/* RFC 6298 2.2 to 2.5: RTO = SRTT + max(G, 4 RTTVAR), within the bounds. */
static uint32_t timeout_of(const struct tcp_rtt *rtt)
{
	uint64_t spread_us = 4 * rtt->rttvar_fp >> RTT_SHIFT;
	uint64_t rto_us;

	if (spread_us < TCP_RTT_GRANULARITY_US)
		spread_us = TCP_RTT_GRANULARITY_US;
	rto_us = (rtt->srtt_fp >> RTT_SHIFT) + spread_us;
	if (rto_us < rtt->rto_us_min)
		return rtt->rto_us_min;
	return rto_us > TCP_RTO_US_MAX ? TCP_RTO_US_MAX : (uint32_t)rto_us;
}

void tcp_rtt_sample(struct tcp_rtt *rtt, uint32_t rtt_us, uint32_t samples_per_rtt, uint64_t now_us)
{
	uint64_t sample_fp;

	assert(samples_per_rtt >= 1);
	if (rtt_us == 0)
		rtt_us = 1; /* within one turn of the worker: 0 means "no sample" elsewhere */
	sample_fp = (uint64_t)rtt_us * RTT_ONE;
	min_sample(&rtt->min, rtt_us, !rtt->has_sample, now_us);
	if (rtt->has_sample)
		estimate_next(rtt, sample_fp, samples_per_rtt);
	else
		estimate_first(rtt, sample_fp);
	rtt->has_sample = true;
	rtt->latest_us = rtt_us;
	rtt->backoff = 0;
	rtt->rto_us = timeout_of(rtt);
	assert(rtt->rto_us >= rtt->rto_us_min);
}

uint32_t tcp_rtt_expected_samples(uint32_t flight_bytes, uint32_t mss)
{
	uint64_t pair = 2ull * mss;
	uint64_t n;

	assert(mss > 0);
	n = (flight_bytes + pair - 1) / pair;
	return n ? (uint32_t)n : 1;
}

uint32_t tcp_rtt_srtt_us(const struct tcp_rtt *rtt)
{
	return (uint32_t)(rtt->srtt_fp >> RTT_SHIFT);
}

uint32_t tcp_rtt_rttvar_us(const struct tcp_rtt *rtt)
{
	return (uint32_t)(rtt->rttvar_fp >> RTT_SHIFT);
}

uint32_t tcp_rtt_min_us(const struct tcp_rtt *rtt)
{
	return rtt->has_sample ? rtt->min.rtt_us[0] : 0;
}

uint32_t tcp_rtt_rto_us(const struct tcp_rtt *rtt)
{
	uint64_t rto_us = (uint64_t)rtt->rto_us << rtt->backoff;

	return rto_us > TCP_RTO_US_MAX ? TCP_RTO_US_MAX : (uint32_t)rto_us;
}

void tcp_rtt_backoff(struct tcp_rtt *rtt)
{
	if (tcp_rtt_rto_us(rtt) < TCP_RTO_US_MAX)
		rtt->backoff++;
	assert(rtt->backoff < 32);
}

void tcp_rtt_backoff_clear(struct tcp_rtt *rtt)
{
	rtt->backoff = 0;
}

void tcp_rtt_syn_lost(struct tcp_rtt *rtt)
{
	if (rtt->has_sample)
		return;
	rtt->rto_us = TCP_RTO_US_SYN_LOST;
	rtt->backoff = 0;
}
