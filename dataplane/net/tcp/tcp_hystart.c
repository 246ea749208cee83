/*
 * tcp_hystart.c - the end of slow start, seen in the round-trip time (RFC 9406)
 *
 * Slow start doubles until something is lost, and then a whole window is. A queue that builds up
 * shows earlier: once the smallest RTT of a round is clearly above that of the round before, growth
 * is cut to a quarter for a few rounds (Conservative Slow Start). When the delay falls back to what
 * it was, it was a hiccup and slow start goes on; when it stays, slow start is over.
 *
 * Memory is the caller's, no clock is read; the caller says when a round begins. Always: in CSS
 * css_baseline_us is a real sample.
 */
#include "dataplane/net/tcp/tcp_hystart.h"

#include <assert.h>

/* The constants of RFC 9406 4.3. L (the limit on growth without pacing) is the caller's pacing. */
#define RTT_THRESH_US_MIN  4000u
#define RTT_THRESH_US_MAX  16000u
#define RTT_DIVISOR	   8u
#define RTT_SAMPLE_COUNT   8u
#define CSS_GROWTH_DIVISOR 4u
#define CSS_ROUND_MAX	   5u

#define RTT_NONE UINT32_MAX

void tcp_hystart_init(struct tcp_hystart *h)
{
	h->phase = HYSTART_SLOW_START;
	h->css_rounds = 0;
	h->sample_count = 0;
	h->last_round_min_us = RTT_NONE;
	h->this_round_min_us = RTT_NONE;
	h->css_baseline_us = RTT_NONE;
}

void tcp_hystart_done(struct tcp_hystart *h)
{
	h->phase = HYSTART_DONE;
}

void tcp_hystart_round(struct tcp_hystart *h)
{
	h->last_round_min_us = h->this_round_min_us;
	h->this_round_min_us = RTT_NONE;
	h->sample_count = 0;
	if (h->phase == HYSTART_CSS)
		h->css_rounds++;
}

static uint32_t threshold_us(uint32_t last_min_us)
{
	uint32_t thresh_us = last_min_us / RTT_DIVISOR;

	if (thresh_us < RTT_THRESH_US_MIN)
		return RTT_THRESH_US_MIN;
	return thresh_us > RTT_THRESH_US_MAX ? RTT_THRESH_US_MAX : thresh_us;
}

static bool delay_grew(const struct tcp_hystart *h)
{
	if (h->this_round_min_us == RTT_NONE || h->last_round_min_us == RTT_NONE)
		return false;
	return h->this_round_min_us >=
	       (uint64_t)h->last_round_min_us + threshold_us(h->last_round_min_us);
}

bool tcp_hystart_ack(struct tcp_hystart *h, uint32_t rtt_us)
{
	if (h->phase == HYSTART_DONE)
		return false;
	if (rtt_us > 0) {
		h->sample_count++;
		if (rtt_us < h->this_round_min_us)
			h->this_round_min_us = rtt_us;
	}
	if (h->phase == HYSTART_SLOW_START) {
		if (h->sample_count >= RTT_SAMPLE_COUNT && delay_grew(h)) {
			h->css_baseline_us = h->this_round_min_us;
			h->css_rounds = 0;
			h->phase = HYSTART_CSS;
		}
		return false;
	}
	assert(h->css_baseline_us != RTT_NONE);
	if (h->sample_count >= RTT_SAMPLE_COUNT && h->this_round_min_us < h->css_baseline_us) {
		h->css_baseline_us = RTT_NONE;
		h->phase = HYSTART_SLOW_START;
		return false;
	}
	if (h->css_rounds < CSS_ROUND_MAX)
		return false;
	h->phase = HYSTART_DONE;
	return true;
}

uint32_t tcp_hystart_growth(const struct tcp_hystart *h, uint32_t acked_bytes)
{
	return h->phase == HYSTART_CSS ? acked_bytes / CSS_GROWTH_DIVISOR : acked_bytes;
}
