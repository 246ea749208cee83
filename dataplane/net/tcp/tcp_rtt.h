/*
 * tcp_rtt.h - round-trip estimate and retransmission timeout (RFC 6298), in microseconds
 *
 * Memory is the caller's. Karn's rule is the caller's too: only unambiguous samples come in.
 */
#ifndef DATAPLANE_NET_TCP_TCP_RTT_H
#define DATAPLANE_NET_TCP_TCP_RTT_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_RTO_US_INITIAL  1000000u  /* RFC 6298 2.1 */
#define TCP_RTO_US_SYN_LOST 3000000u  /* RFC 6298 5.7 */
#define TCP_RTO_US_MIN	    200000u   /* below RFC 6298 2.4's second; configurable */
#define TCP_RTO_US_MAX	    60000000u /* RFC 6298 2.5 */
#define TCP_RTT_GRANULARITY_US 1000u  /* G: the clock is finer, the worker's turn is not */
#define TCP_RTT_WINDOW_US   300000000u /* how long a minimum is believed */

/* Minimum over a sliding window from three samples (best, second, third best of later thirds). */
struct tcp_rtt_min {
	uint32_t rtt_us[3];
	uint64_t at_us[3];
};

struct tcp_rtt {
	uint64_t srtt_fp, rttvar_fp; /* fixed point: read by the accessors */
	uint32_t rto_us;	     /* without back-off */
	uint32_t rto_us_min;
	uint32_t latest_us;
	uint8_t backoff; /* doublings in force */
	bool has_sample;
	struct tcp_rtt_min min;
};

void tcp_rtt_init(struct tcp_rtt *rtt, uint32_t rto_us_min); /* 0 = TCP_RTO_US_MIN */

/*
 * Takes a sample. @samples_per_rtt >= 1 is RFC 7323 App. G's ExpectedSamples, ceil(FlightSize /
 * (2 * SMSS)); gains are divided by it. A sample ends the back-off (RFC 6298 5.7, Karn).
 */
void tcp_rtt_sample(struct tcp_rtt *rtt, uint32_t rtt_us, uint32_t samples_per_rtt,
	uint64_t now_us);

uint32_t tcp_rtt_expected_samples(uint32_t flight_bytes, uint32_t mss);

uint32_t tcp_rtt_srtt_us(const struct tcp_rtt *rtt);   /* 0 before the first sample */
uint32_t tcp_rtt_rttvar_us(const struct tcp_rtt *rtt);
uint32_t tcp_rtt_min_us(const struct tcp_rtt *rtt);    /* 0 before the first sample */
uint32_t tcp_rtt_rto_us(const struct tcp_rtt *rtt);    /* with back-off, at most TCP_RTO_US_MAX */

void tcp_rtt_backoff(struct tcp_rtt *rtt);	 /* RFC 6298 5.5: doubled, up to the maximum */
void tcp_rtt_backoff_clear(struct tcp_rtt *rtt); /* new data was acknowledged */

/* RFC 6298 5.7: the SYN was retransmitted, data starts with 3 s when no sample says better. */
void tcp_rtt_syn_lost(struct tcp_rtt *rtt);

#endif
