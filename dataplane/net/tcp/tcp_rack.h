/*
 * tcp_rack.h - state of time-based loss detection and the tail loss probe (RFC 8985)
 */
#ifndef DATAPLANE_NET_TCP_TCP_RACK_H
#define DATAPLANE_NET_TCP_TCP_RACK_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_conn;
struct tcp_delivery;
struct tcp_seg;

struct tcp_rack {
	bool has_sample;
	uint64_t sent_us; /* RACK.xmit_ts: when the latest delivered transmission left */
	uint32_t end;	  /* RACK.end_seq: and where it ended */
	uint32_t rtt_us;  /* RACK.rtt */
	bool is_reordering_seen;
	uint8_t reo_mult;    /* quarters of min RTT the reordering window is wide */
	uint8_t reo_persist; /* recoveries until it shrinks again */
	bool has_dsack_round;
	uint32_t dsack_round;
	bool is_tlp_out; /* a tail loss probe awaits its verdict */
	bool is_tlp_resend;
	uint32_t tlp_end;
};

void tcp_rack_init(struct tcp_rack *rack);

/* Takes what an ACK delivered (RFC 8985 6.2 steps 1 to 4). */
void tcp_rack_update(struct tcp_conn *conn, const struct tcp_delivery *d);
/* Marks what must be lost by now and sets the reordering timer (step 5). Out: bytes newly lost. */
uint32_t tcp_rack_detect(struct tcp_conn *conn, uint64_t now_us);
/* The retransmission timer went off: what is lost, sparing what left just now (6.3). */
void tcp_rack_mark_on_rto(struct tcp_conn *conn, uint64_t now_us);
/* A retransmission was for nothing (6.2 step 4): the window widens, once a round trip. */
void tcp_rack_needless(struct tcp_conn *conn);
/* A recovery ended that had a reason: the window of the reordering timer may shrink again. */
void tcp_rack_recovered(struct tcp_rack *rack);

/* Arms the probe timer when the rules of 7.2 allow a probe. Out: it is armed. */
bool tcp_rack_tlp_arm(struct tcp_conn *conn, uint64_t now_us);
/* The probe timer went off: picks what is sent (7.3). */
void tcp_rack_tlp_fire(struct tcp_conn *conn, uint64_t now_us);
/* Did the probe repair an undetected loss (7.4)? Then congestion control must hear of it. */
bool tcp_rack_tlp_ack(
	struct tcp_conn *conn, const struct tcp_seg *seg, const struct tcp_delivery *d);

#endif
