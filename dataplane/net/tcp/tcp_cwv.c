/*
 * tcp_cwv.c - is the congestion window still true? (RFC 7661)
 *
 * Block storage sends in bursts. A window that was earned by a burst a minute ago is a memory, not
 * a measurement, but throwing it away after each pause (RFC 5681 4.1) would keep every burst in
 * slow start. RFC 7661's middle way: measure what was acknowledged in a round trip; while that is
 * less than half the window, keep the window, do not grow it, and if congestion comes, fall back to
 * what was used and not to a part of what was merely allowed.
 *
 * A sample is one round, so it is held against the window at the beginning of that round: in slow
 * start the window has doubled by the end of it.
 *
 * Memory is the caller's, no clock is read. Always: bins[0] is the youngest quarter.
 */
#include "dataplane/net/tcp/tcp_cwv.h"

#include <assert.h>
#include <string.h>

#define PERIOD_US_MIN 1000000u /* RFC 7661 4.2: max(3 RTT, 1 s) */
#define EXPIRED_MAX   32u

void tcp_cwv_init(struct tcp_cwv *v, uint64_t now_us)
{
	memset(v, 0, sizeof(*v));
	v->bin_start_us = now_us;
	v->pipeack_bytes = TCP_CWV_UNDEFINED;
}

static uint64_t period_us(uint32_t srtt_us)
{
	uint64_t three_us = 3ull * srtt_us;

	return three_us > PERIOD_US_MIN ? three_us : PERIOD_US_MIN;
}

static void bins_advance(struct tcp_cwv *v, uint32_t srtt_us, uint64_t now_us)
{
	uint64_t bin_us = period_us(srtt_us) / TCP_CWV_BIN_COUNT;
	uint64_t steps = (now_us - v->bin_start_us) / bin_us;

	if (steps == 0)
		return;
	if (steps >= TCP_CWV_BIN_COUNT) {
		memset(v->bins, 0, sizeof(v->bins));
		v->bin_start_us = now_us;
		return;
	}
	memmove(v->bins + steps, v->bins, (TCP_CWV_BIN_COUNT - steps) * sizeof(v->bins[0]));
	memset(v->bins, 0, steps * sizeof(v->bins[0]));
	v->bin_start_us += steps * bin_us;
}

static uint32_t bins_largest(const struct tcp_cwv *v)
{
	uint32_t largest = 0;

	for (int i = 0; i < TCP_CWV_BIN_COUNT; i++) {
		if (v->bins[i] > largest)
			largest = v->bins[i];
	}
	return largest;
}

static void judge(struct tcp_cwv *v, bool is_used, uint64_t since_us)
{
	if (!is_used && !v->is_nonvalidated)
		v->nonvalidated_us = since_us;
	v->is_nonvalidated = !is_used;
}

void tcp_cwv_ack(struct tcp_cwv *v, uint32_t acked_bytes, bool is_round_start, uint32_t srtt_us,
	uint32_t cwnd_bytes, uint64_t now_us)
{
	if (!is_round_start) {
		v->round_bytes += acked_bytes;
		return;
	}
	if (v->round_cwnd_bytes > 0) {
		bins_advance(v, srtt_us, now_us);
		if (v->round_bytes > v->bins[0])
			v->bins[0] = v->round_bytes;
		v->pipeack_bytes = bins_largest(v);
		judge(v, v->pipeack_bytes >= v->round_cwnd_bytes / 2, now_us);
	}
	v->round_bytes = acked_bytes;
	v->round_cwnd_bytes = cwnd_bytes;
}

void tcp_cwv_idle(struct tcp_cwv *v, uint64_t idle_us, uint32_t srtt_us, uint64_t now_us)
{
	assert(idle_us <= now_us);
	if (v->pipeack_bytes == TCP_CWV_UNDEFINED || idle_us <= period_us(srtt_us))
		return;
	bins_advance(v, srtt_us, now_us);
	v->pipeack_bytes = bins_largest(v);
	v->round_cwnd_bytes = 0;
	judge(v, false, now_us - idle_us);
}

unsigned tcp_cwv_expired(struct tcp_cwv *v, uint64_t now_us)
{
	uint64_t periods;

	if (!v->is_nonvalidated)
		return 0;
	periods = (now_us - v->nonvalidated_us) / TCP_CWV_KEEP_US;
	v->nonvalidated_us += periods * TCP_CWV_KEEP_US;
	return periods > EXPIRED_MAX ? EXPIRED_MAX : (unsigned)periods;
}

uint32_t tcp_cwv_used(const struct tcp_cwv *v, uint32_t flight_bytes)
{
	if (v->pipeack_bytes == TCP_CWV_UNDEFINED || v->pipeack_bytes < flight_bytes)
		return flight_bytes;
	return v->pipeack_bytes;
}
