/*
 * tcp_rtx.h - what was sent and not acknowledged yet: send records and the SACK scoreboard
 *
 * A record covers a range of sequence numbers that left at one moment; a TSO packet or a whole
 * burst may be one record, and it is split where the peer or a loss divides it. Records are kept in
 * order of sequence and, those believed to be in flight, also in order of their last transmission
 * (RFC 8985 needs that). Pure: knows no connection, no mbuf, no clock. Memory is the caller's.
 *
 *   in flight = (end - una) - sacked - lost + resent          (RFC 6675's pipe, RFC 8985's
 * inflight)
 */
#ifndef DATAPLANE_NET_TCP_TCP_RTX_H
#define DATAPLANE_NET_TCP_TCP_RTX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "config/limits.h"
#include "dataplane/net/tcp/tcp_wire.h"

#define REC_BYTES_MAX 65536u /* what left at one moment shares a record up to here */

#define REC_SACKED 1u /* the peer holds it */
#define REC_LOST   2u /* believed lost */
#define REC_RESENT 4u /* and its retransmission is in flight */
#define REC_EVER   8u /* was retransmitted at least once: no RTT sample (Karn) */

struct tcp_rec {
	TAILQ_ENTRY(tcp_rec) by_seq;
	TAILQ_ENTRY(tcp_rec) by_time; /* linked only while is_timed */
	uint64_t sent_us;	      /* last transmission */
	uint32_t seq, end;
	uint8_t flags;
	bool is_timed;
	uint16_t tries; /* retransmissions */
};
TAILQ_HEAD(tcp_rec_list, tcp_rec);

struct tcp_rtx {
	struct tcp_rec *recs; /* TCP_RECORD_MAX of them */
	struct tcp_rec_list by_seq, by_time, free;
	uint32_t free_count;
	uint32_t una, end; /* the range the records cover */
	uint32_t sacked_bytes, lost_bytes, resent_bytes;
	uint32_t fack; /* highest sequence known to be delivered (RFC 8985 RACK.fack) */
	uint32_t reno_sacked_bytes; /* without SACK: duplicate ACKs, taken for delivered segments */
	struct tcp_sack seen[TCP_SACK_MAX]; /* blocks of the ACK before, to skip what is known */
	uint8_t seen_count;
};

/* The latest transmission among what an ACK delivered, and everything else it told. */
struct tcp_delivery {
	/* in: to tell which transmission of a record was acknowledged (RFC 8985 6.2 step 2) */
	uint64_t now_us;
	uint32_t min_rtt_us;
	bool has_ts;
	uint32_t tsecr,
		ts_offset; /* the timestamp of a transmission is sent_us / 1000 + ts_offset */
	/* out */
	uint32_t acked_bytes, sacked_bytes; /* newly, each byte once */
	uint32_t marked_lost_bytes;	    /* found lost while this ACK was handled */
	bool has_rack;
	uint64_t rack_sent_us;
	uint32_t rack_end;
	bool has_rtt;
	uint64_t rtt_sent_us; /* when the latest never-retransmitted delivered record left */
	bool has_first_rtt;
	uint64_t first_sent_us; /* … and the earliest of those cumulatively acknowledged */
	bool is_reordered;	/* delivered below fack without a retransmission */
	bool is_reneged;	/* the peer discarded SACKed data */
	bool has_dsack;
	struct tcp_sack dsack;
};

void tcp_rtx_init(struct tcp_rtx *rtx, struct tcp_rec *recs, uint32_t seq);

/* New data may be recorded (splits keep TCP_RECORD_SPARE for themselves). */
bool tcp_rtx_has_room(const struct tcp_rtx *rtx);

/* [rtx->end, @end) left at @now_us. Needs room. */
void tcp_rtx_push(struct tcp_rtx *rtx, uint32_t end, uint64_t now_us);

/* Cumulative acknowledgement up to @una, which lies in (rtx->una, rtx->end]. */
void tcp_rtx_ack(struct tcp_rtx *rtx, uint32_t una, struct tcp_delivery *d);

/*
 * SACK blocks of an ACK of @ack, after tcp_rtx_ack(). The first may be a D-SACK (RFC 2883 4).
 * Blocks outside what was sent are ignored. @una_min: below it a D-SACK is too old to mean us.
 */
void tcp_rtx_sack(
	struct tcp_rtx *rtx, const struct tcp_seg *seg, uint32_t una_min, struct tcp_delivery *d);

void tcp_rtx_mark_lost(struct tcp_rtx *rtx, struct tcp_rec *rec);
void tcp_rtx_mark_all_lost(struct tcp_rtx *rtx);
/* The first bytes, at most @bytes, of the first record not yet marked: for senders without SACK. */
void tcp_rtx_mark_head_lost(struct tcp_rtx *rtx, uint32_t bytes);
/* Takes back LOST from everything not retransmitted (the loss was none). */
void tcp_rtx_unmark_lost(struct tcp_rtx *rtx);
/* The peer reneged: nothing is SACKed any more, what was is lost. */
void tcp_rtx_renege(struct tcp_rtx *rtx);

/* First record that is lost and not retransmitted, or NULL. */
struct tcp_rec *tcp_rtx_next_lost(const struct tcp_rtx *rtx);
/* First and last record that is not SACKed, or NULL. */
struct tcp_rec *tcp_rtx_first(const struct tcp_rtx *rtx);
struct tcp_rec *tcp_rtx_last_unsacked(const struct tcp_rtx *rtx);

/* ---- tcp_rtx_join.c ---- */
/* @rec, lost and not retransmitted, takes in the lost ones behind it until it is @bytes long. */
void tcp_rtx_join_lost(struct tcp_rtx *rtx, struct tcp_rec *rec, uint32_t bytes);
/* @rec was retransmitted just now: it takes in the one before it that was too. */
void tcp_rtx_join_resent(struct tcp_rtx *rtx, struct tcp_rec *rec);
/* Sees to it that records can be split for one retransmission, at the cost of what the others
 * remember. Records may be gone afterwards. */
void tcp_rtx_spare(struct tcp_rtx *rtx);

/*
 * [@rec->seq, @end) of @rec left once more at @now_us. Splits when @end is short of rec->end, for
 * which tcp_rtx_spare() was called before. @rec may be gone afterwards.
 */
void tcp_rtx_resent(struct tcp_rtx *rtx, struct tcp_rec *rec, uint32_t end, uint64_t now_us);
/* Cuts @rec so that one begins at @at. Out: the record that begins there (@rec when no spare is
 * left). */
struct tcp_rec *tcp_rtx_split(struct tcp_rtx *rtx, struct tcp_rec *rec, uint32_t at);

uint32_t tcp_rtx_flight(const struct tcp_rtx *rtx); /* unacknowledged, whatever became of it */
uint32_t tcp_rtx_pipe(const struct tcp_rtx *rtx);   /* believed to be in the network */

/* Order of transmissions (RFC 8985 6.2): later time, or the same and higher sequence. */
bool tcp_rtx_sent_after(uint64_t t1, uint32_t seq1, uint64_t t2, uint32_t seq2);

#endif
