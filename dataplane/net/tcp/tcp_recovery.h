/*
 * tcp_recovery.h - from loss found to loss repaired: fast recovery, RTO recovery, undo
 *
 * The phases of RFC 5681/6675 (fast recovery) and RFC 6298 (timeout), with proportional rate
 * reduction (RFC 9937) and with undo when the loss turns out to have been none (RFC 3522's test by
 * timestamps, RFC 3708's by D-SACK).
 */
#ifndef DATAPLANE_NET_TCP_TCP_RECOVERY_H
#define DATAPLANE_NET_TCP_TCP_RECOVERY_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_conn;
struct tcp_delivery;
struct tcp_seg;

enum tcp_recovery_phase { RECOVERY_NONE, RECOVERY_FAST, RECOVERY_RTO };

struct tcp_recovery {
	uint8_t phase;				     /* enum tcp_recovery_phase */
	uint8_t dupacks;			     /* without SACK */
	uint32_t point;				     /* SND.NXT when it began: RecoveryPoint */
	uint32_t prr_delivered, prr_out, prr_flight; /* RFC 9937; prr_flight is RecoverFS */
	uint32_t resent_bytes;			     /* retransmitted in this recovery */
	bool can_undo;
	bool has_resend_ts;
	uint32_t resend_ts;  /* TSval of the first retransmission */
	uint32_t undo_una;   /* D-SACKs below it are about earlier recoveries */
	uint32_t undo_bytes; /* retransmitted and not reported as duplicate yet */
	uint32_t undo_until; /* past this a D-SACK comes too late to undo */
};

/* What the ACK said about the sender's state, beside the delivery. */
struct tcp_ack_info {
	uint64_t now_us;
	uint32_t una_before, flight_before, pipe_before;
	bool is_dup;	 /* RFC 5681 2's definition */
	uint32_t rtt_us; /* sample, 0 = none */
	bool has_ece;
};

/* Runs the phases for one ACK and lets congestion control see it. */
void tcp_recovery_ack(struct tcp_conn *conn, const struct tcp_seg *seg, struct tcp_delivery *d,
	const struct tcp_ack_info *info);
/* RACK's reordering timer went off and something was marked. */
void tcp_recovery_lost(struct tcp_conn *conn, uint64_t now_us);
void tcp_recovery_rto(struct tcp_conn *conn, uint64_t now_us);
/* @bytes were retransmitted, or sent anew, under the present phase. */
void tcp_recovery_sent(struct tcp_conn *conn, uint32_t bytes, bool is_resend, uint64_t now_us);

#endif
