/*
 * tcp_cwv.h - congestion window validation for senders with pauses (RFC 7661)
 *
 * Measures pipeACK, what was acknowledged in a round trip, as a maximum over a sampling period of
 * max(3 RTT, 1 s). While less than half the window was used the window is kept but not grown, for
 * five minutes at most, and a loss then takes it back to what was really used.
 */
#ifndef DATAPLANE_NET_TCP_TCP_CWV_H
#define DATAPLANE_NET_TCP_TCP_CWV_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_CWV_BIN_COUNT 4
#define TCP_CWV_KEEP_US	  300000000u /* RFC 7661 4.4: the non-validated period */
#define TCP_CWV_UNDEFINED UINT32_MAX

struct tcp_cwv {
	uint32_t bins[TCP_CWV_BIN_COUNT]; /* largest sample of each quarter of the period */
	uint64_t bin_start_us;		  /* of bins[0], the youngest */
	uint32_t round_bytes;		  /* acknowledged in the round being measured */
	uint32_t round_cwnd_bytes;	  /* cwnd when it began; 0 = no round yet */
	uint32_t pipeack_bytes;		  /* TCP_CWV_UNDEFINED before the first sample */
	uint32_t loss_flight_bytes;	  /* in flight when recovery began */
	bool was_nonvalidated;		  /* when recovery began */
	bool is_nonvalidated;
	uint64_t nonvalidated_us;	  /* since when */
};

void tcp_cwv_init(struct tcp_cwv *v, uint64_t now_us);

/*
 * One ACK outside of recovery, before the window grows by it. @is_round_start closes the sample
 * being measured and judges the window by it.
 */
void tcp_cwv_ack(struct tcp_cwv *v, uint32_t acked_bytes, bool is_round_start, uint32_t srtt_us,
	uint32_t cwnd_bytes, uint64_t now_us);

/* Nothing was in flight for @idle_us: beyond the sampling period the window is not validated. */
void tcp_cwv_idle(struct tcp_cwv *v, uint64_t idle_us, uint32_t srtt_us, uint64_t now_us);

/* The window was really used lately: it may grow. */
static inline bool tcp_cwv_is_validated(const struct tcp_cwv *v)
{
	return !v->is_nonvalidated;
}

/* Whole non-validated periods that have passed, at most 32: the caller halves that often. */
unsigned tcp_cwv_expired(struct tcp_cwv *v, uint64_t now_us);

/* What the sender really used, for a reduction: max(pipeACK, @flight_bytes). */
uint32_t tcp_cwv_used(const struct tcp_cwv *v, uint32_t flight_bytes);

#endif
