/*
 * tcp_hystart.h - HyStart++ (RFC 9406): leave slow start before it overshoots
 *
 * Fed with each RTT sample of slow start and with the beginning of each round.
 */
#ifndef DATAPLANE_NET_TCP_TCP_HYSTART_H
#define DATAPLANE_NET_TCP_TCP_HYSTART_H

#include <stdbool.h>
#include <stdint.h>

enum tcp_hystart_phase { HYSTART_SLOW_START, HYSTART_CSS, HYSTART_DONE };

struct tcp_hystart {
	uint8_t phase; /* enum tcp_hystart_phase */
	uint8_t css_rounds;
	uint32_t sample_count;
	uint32_t last_round_min_us, this_round_min_us, css_baseline_us; /* UINT32_MAX = none */
};

void tcp_hystart_init(struct tcp_hystart *h);
void tcp_hystart_done(struct tcp_hystart *h); /* loss or ECN ended the first slow start */
void tcp_hystart_round(struct tcp_hystart *h); /* a round begins */

/* @rtt_us 0 = no sample. Out: true when slow start ends now (set ssthresh = cwnd). */
bool tcp_hystart_ack(struct tcp_hystart *h, uint32_t rtt_us);

/* Bytes by which cwnd grows for @acked_bytes: all of them, a quarter in CSS. */
uint32_t tcp_hystart_growth(const struct tcp_hystart *h, uint32_t acked_bytes);

#endif
