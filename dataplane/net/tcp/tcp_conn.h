/*
 * tcp_conn.h - one TCP connection, and the table that holds all of a worker's
 *
 * For the tcp_*.c files and stream.c only. The fields every segment touches come first; what is
 * needed at open, close and in trouble is at the end. Arrays (queue, records, runs) are allocated
 * once with the table.
 */
#ifndef DATAPLANE_NET_TCP_TCP_CONN_H
#define DATAPLANE_NET_TCP_TCP_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "classifier/classifier.h"
#include "config/limits.h"
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/stream.h"
#include "dataplane/net/tcp/tcp_cc.h"
#include "dataplane/net/tcp/tcp_rack.h"
#include "dataplane/net/tcp/tcp_rcv.h"
#include "dataplane/net/tcp/tcp_recovery.h"
#include "dataplane/net/tcp/tcp_rtt.h"
#include "dataplane/net/tcp/tcp_rtx.h"
#include "dataplane/net/tcp/tcp_sndq.h"
#include "dataplane/net/tcp/tcp_timer.h"
#include "dataplane/net/tcp/tcp_wire.h"

/* RFC 9293 3.3.2. The numbers are part of the test ABI and of stream_info. LISTEN is never used. */
enum tcp_state {
	TCP_STATE_CLOSED = 0,
	TCP_STATE_LISTEN = 1,
	TCP_STATE_SYN_SENT = 2,
	TCP_STATE_SYN_RECEIVED = 3,
	TCP_STATE_ESTABLISHED = 4,
	TCP_STATE_FIN_WAIT_1 = 5,
	TCP_STATE_FIN_WAIT_2 = 6,
	TCP_STATE_CLOSE_WAIT = 7,
	TCP_STATE_CLOSING = 8,
	TCP_STATE_LAST_ACK = 9,
	TCP_STATE_TIME_WAIT = 10,
};

#define TCP_MSL_US	       30000000u  /* TIME-WAIT lasts two of them */
#define TCP_USER_TIMEOUT_US    300000000u /* RFC 9293 3.9.1.1: five minutes */
#define TCP_CONNECT_US	       180000000u /* RFC 9293 3.8.3: R2 of a SYN, three minutes */
#define TCP_FIN_WAIT_2_US      60000000u  /* no caller holds the handle any more */
#define TCP_DELACK_US	       40000u	  /* RFC 9293 3.8.6.3: below half a second */
#define TCP_SEND_BYTES_DEFAULT (4u << 20)
#define TCP_R1_RETRIES	       3 /* RFC 9293 3.8.3: then the path is looked up again */
#define TCP_KEEPALIVE_PROBES   STREAM_KEEPALIVE_PROBES
#define TCP_RETRY_US	       1000u /* the header pool was empty: try again */
#define TCP_PACE_SHIFT	       16

/* What the owner sees; struct stream is the front of a connection. */
struct stream {
	TAILQ_ENTRY(stream) event_link;
	uint32_t event_bits; /* pending; on the list while not 0 */
	int error;
	void *ctx;
	bool is_released, wants_writable;
};

#define TCP_ECN_OWED_MAX 8 /* changes of the mark told apart between two pulls; more share an ACK */

/* DCTCP: an ACK of what came before the mark changed, with the mark it had (RFC 8257 3.2). */
struct tcp_ecn_owed {
	uint32_t ack;
	bool echo;
};

struct tcp_ecn {
	bool is_on;	 /* negotiated (RFC 3168 6.1.1) */
	bool is_asked;	 /* our SYN asked for it */
	bool echo;	 /* send ECE until CWR arrives */
	bool cwr_due;	 /* next new data carries CWR */
	bool is_reduced; /* until cwr_point is acknowledged no second reduction */
	uint32_t cwr_point;
	uint8_t owed_count; /* of ecn_owed[] */
};

struct tcp_pmtu {
	uint16_t mtu;		/* of the path as far as we know, L3 bytes */
	uint64_t lowered_us;	/* when it was lowered; 0 = never */
	uint8_t losses;		/* retransmissions in a row of the oldest packet, at this size */
	bool is_suspect; /* no larger size than the base has got through since it was doubted */
	uint16_t blackhole_mtu; /* what we came down from by guess, 0 = did not */
	uint8_t messages;	/* followed since something was acknowledged */
	uint16_t claimed_mtu; /* of a message that waits for the oldest packet to be lost; 0 = none
			       */
	uint32_t claimed_seq;	/* and what it quoted */
	uint16_t proved_bytes;	/* largest text of a packet that got through */
	uint16_t trial_bytes;	/* of one on its way that would prove more; 0 = none */
	uint32_t trial_end;
};

struct tcp_conn {
	struct stream stream;
	struct net *net;
	TAILQ_ENTRY(tcp_conn) pending_link; /* may have output */
	uint8_t state;			    /* enum tcp_state; only tcp_state_set() changes it */
	bool is_pending;
	bool has_sack, has_ts, has_wscale;
	bool ack_now; /* an ACK must leave at the next pull */
	bool is_nodelay;
	bool fin_queued, fin_sent;
	bool syn_due;	/* the SYN (or SYN|ACK) must leave */
	bool probe_due; /* zero-window or SWS probe */
	bool keepalive_due;
	bool tlp_due; /* the tail loss probe may leave regardless of cwnd */
	bool rto_due; /* and so may the first segment after a timeout */
	bool is_cwnd_limited;
	bool is_size_proved; /* a full segment got through */
	uint8_t snd_wscale;
	uint16_t local_port, peer_port;
	uint16_t idx;
	uint32_t iss, snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2, snd_wnd_max;
	uint16_t mss; /* payload and options of a segment we send */
	uint16_t peer_mss;
	uint32_t ts_offset, ts_recent;
	uint64_t ts_recent_us;
	uint32_t round_end; /* a round trip ends when this is acknowledged */
	struct ip_path path;
	struct tcp_rcv rcv;
	struct tcp_rtx rtx;
	struct tcp_sndq sndq;
	struct tcp_rtt rtt;
	struct tcp_rack rack;
	struct tcp_recovery recovery;
	struct tcp_ecn ecn;
	struct tcp_cc cc;
	uint64_t last_sent_us, last_heard_us, progress_us;
	uint32_t train_bytes; /* of the packet just sent, if others like it may follow; else 0 */
	uint64_t pace_us; /* nothing new before this time; 0 = not paced */
	uint64_t pace_end_us;
	uint64_t pace_us_fp; /* a byte takes, << TCP_PACE_SHIFT */

	struct tcp_timers timers;
	uint16_t heap_pos; /* in the table's heap of deadlines; TCP_HEAP_NONE = not in it */

	/* Rarely looked at. */
	struct tcp_pmtu pmtu;
	uint16_t mss_limit; /* the user's, 0 = none */
	uint8_t syn_tries, probe_backoff, keepalive_tries;
	uint8_t challenge_left;
	uint64_t challenge_until_us;
	uint32_t keepalive_us, keepalive_busy_us, keepalive_step_us, user_timeout_us;
	bool is_expecting; /* the owner awaits an answer: the busy period counts */
	uint64_t syn_sent_us;
	struct tcp_ecn_owed ecn_owed[TCP_ECN_OWED_MAX]; /* oldest first */
	bool is_flow_inserted;
	bool is_misdirected; /* packets of it arrived at another worker's queue */
	int soft_error; /* last ICMP error that was not fatal; told when the connection times out */
	uint32_t retrans_segs;
	uint64_t delivered_bytes, rate_us, rate_delivered, rate_bps; /* delivery rate, for status */
};

#define TCP_HEAP_NONE 0xffff

/* A segment that belongs to no connection: a reset (RFC 9293 3.10.7.1), or the last word of an
 * abort. */
struct tcp_reply {
	struct ip_path path;
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags;
	bool has_ts; /* of a connection that agreed on them */
	uint32_t tsval, tsecr;
};

TAILQ_HEAD(tcp_conn_list, tcp_conn);
TAILQ_HEAD(stream_list, stream);

/* The last packet of the burst at hand, if it was predicted: tcp_run.c. */
struct tcp_run {
	struct tcp_conn *conn; /* NULL: it was not, or there was none */
	const uint8_t *frame;  /* its headers, in an mbuf the connection holds */
	uint16_t text_off;     /* where the text begins behind them */
	uint16_t count, room;  /* mbufs appended and not charged yet, and how many may be */
	uint32_t bytes;	       /* of their text */
	struct pkt_info info;
	struct ip_in in;
	struct rte_mbuf *appended[BURST_MAX];
};

struct tcp_table {
	struct net *net;
	struct tcp_conn *conns;
	bool *is_taken;
	uint32_t conn_max;
	struct tcp_conn_list pending;
	struct stream_list events;
	uint16_t *heap;
	uint32_t heap_count;
	struct tcp_reply replies[TCP_REPLY_MAX];
	uint32_t reply_head, reply_count;
	uint64_t reply_until_us; /* the limit of resets is per this second */
	uint32_t reply_left;
	uint32_t port_next;
	struct tcp_run run;
};

static inline struct tcp_conn *tcp_conn_of(struct stream *s)
{
	return (struct tcp_conn *)((char *)s - offsetof(struct tcp_conn, stream));
}

static inline const struct tcp_conn *tcp_conn_of_const(const struct stream *s)
{
	return (const struct tcp_conn *)((const char *)s - offsetof(struct tcp_conn, stream));
}

/* Synchronized, RFC 9293 3.5: both sides know the other's number. */
static inline bool tcp_is_synchronized(const struct tcp_conn *conn)
{
	return conn->state >= TCP_STATE_ESTABLISHED;
}

/* Stream offset of @seq, and back. Valid for what is queued. */
static inline uint64_t tcp_off_of(const struct tcp_conn *conn, uint32_t seq)
{
	return conn->sndq.start + (uint32_t)(seq - conn->snd_una);
}

/* Sequence number right behind the last queued byte: where the FIN goes. */
static inline uint32_t tcp_fin_seq(const struct tcp_conn *conn)
{
	return conn->iss + 1 + (uint32_t)conn->sndq.end;
}

/* Our timestamp clock (RFC 7323 5.4): milliseconds from an offset of the connection's own. */
static inline uint32_t tcp_ts_now(const struct tcp_conn *conn, uint64_t now_us)
{
	return (uint32_t)(now_us / 1000) + conn->ts_offset;
}

/* ---- tcp_conn.c ---- */
void tcp_state_set(struct tcp_conn *conn, enum tcp_state state);
/* Readies a taken slot for an active open. */
void tcp_conn_open(struct tcp_conn *conn, const struct stream_target *target, uint16_t local_port,
	uint64_t now_us);
/* Failed: -errno @err for the owner; unread in-order text stays readable. */
void tcp_conn_die(struct tcp_conn *conn, int err);
/* Ends at once with a reset to the peer where it has one coming; then as die(). */
void tcp_conn_reset(struct tcp_conn *conn, int err);
/* Both directions are closed in order: nothing is left to wait for. */
void tcp_conn_finish(struct tcp_conn *conn);
void tcp_conn_time_wait(struct tcp_conn *conn, uint64_t now_us);
/* Tells the owner. */
void tcp_conn_event(struct tcp_conn *conn, uint32_t bits);
/* Something to acknowledge, at the next pull, limited as RFC 5961 7 asks. */
void tcp_conn_challenge(struct tcp_conn *conn, uint64_t now_us);
/* Frees the slot: the owner is gone and the state is CLOSED. */
void tcp_conn_free(struct tcp_conn *conn);
/* A received SYN's options, or their absence, settle what both use. */
void tcp_conn_negotiate(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us);
void tcp_conn_established(struct tcp_conn *conn, uint64_t now_us);
/* Segment size from path MTU, peer's MSS and the user's limit. */
void tcp_conn_mss_update(struct tcp_conn *conn);
uint16_t tcp_conn_mss_offer(const struct tcp_conn *conn);

/* ---- tcp_id.c: what must not be guessed ---- */
uint32_t tcp_id_iss(const struct tcp_conn *conn, uint64_t now_us);
uint32_t tcp_id_ts_offset(const struct tcp_conn *conn);
/* A free local port towards the target (RFC 6056 3.3.3), or 0. */
uint16_t tcp_id_port(struct tcp_table *t, const struct ip_path *path, uint16_t peer_port);

/* ---- tcp_table.c ---- */
struct tcp_conn *tcp_table_take(struct tcp_table *t); /* NULL: full */
void tcp_table_give(struct tcp_table *t, struct tcp_conn *conn);
struct tcp_conn *tcp_table_lookup(struct tcp_table *t, const struct net_ip *local,
	uint16_t local_port, const struct net_ip *peer, uint16_t peer_port);
/* It may have something to send: ask it at the next pull. */
void tcp_conn_touch(struct tcp_conn *conn);
void tcp_conn_untouch(struct tcp_conn *conn);
/* Its timers changed: put it where it belongs in the heap. */
void tcp_conn_settle(struct tcp_conn *conn);
/* Queues a segment without a connection; full or over the limit = dropped. */
void tcp_reply_push(struct tcp_table *t, const struct tcp_reply *reply, bool is_limited);

/* ---- tcp_in.c ---- */
/*
 * RFC 9293 3.10.7 for one segment whose payload is the data of @m. Eats @m. Out: it was the
 * predicted one and @m is kept as it came: what differs from it in the sequence number only may go
 * to tcp_input_next(), if nothing comes between.
 */
bool tcp_input(struct tcp_conn *conn, struct rte_mbuf *m, const struct tcp_seg *seg, uint8_t ecn,
	uint64_t now_us);
/* Such a segment. Eats @m if it is the next text and there
 * is room for it in one piece; else false. */
bool tcp_input_next(struct tcp_conn *conn, struct rte_mbuf *m, uint32_t seq);
/* There were @segs such, of @bytes, and no more follow: when are they acknowledged? Before anything
 * is sent. */
void tcp_input_ended(struct tcp_conn *conn, uint32_t segs, uint32_t bytes, uint64_t now_us);

/* ---- tcp_ack.c ---- */
/* 3.10.7.4's fifth step. Out: false when the segment must be dropped. */
bool tcp_ack_input(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us);

/* ---- tcp_out.c ---- */
enum tcp_out {
	TCP_OUT_NONE,	 /* nothing to send now */
	TCP_OUT_SENT,	 /* one packet; *out is NULL when the neighbour is not known yet */
	TCP_OUT_BLOCKED, /* no memory: try later */
};
enum tcp_out tcp_output(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us);
enum tcp_out tcp_output_reply(
	struct net *net, struct tcp_reply *reply, struct rte_mbuf **out, uint64_t now_us);
/* Payload bytes of one segment with the options that data carries now. */
uint32_t tcp_out_mss(const struct tcp_conn *conn);
/* Queued bytes (and FIN) that were never sent. */
bool tcp_out_has_unsent(const struct tcp_conn *conn);

/* ---- tcp_ecn.c ---- */
void tcp_ecn_received(struct tcp_conn *conn, const struct tcp_seg *seg, uint8_t ecn);
/* Takes the oldest ACK that is owed for a change of the mark; there is one. */
struct tcp_ecn_owed tcp_ecn_owed_take(struct tcp_conn *conn);
uint8_t tcp_ecn_flags(struct tcp_conn *conn, bool is_new_data);
void tcp_ecn_ack(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us);
/*
 * The window was reduced, for a mark or for a loss: the peer is informed, and no mark of this
 * window counts again.
 */
void tcp_ecn_reduced(struct tcp_conn *conn);

/* ---- tcp_pmtu.c ---- */
/* "Packet too big" about the segment at @seq, in flight; @mtu 0: the router did not say. */
void tcp_pmtu_icmp(struct tcp_conn *conn, uint32_t seq, uint32_t mtu, uint64_t now_us);
/* @rec is lost and about to be sent again: is that its
 * size's fault? May change the segment size. */
void tcp_pmtu_resend(struct tcp_conn *conn, const struct tcp_rec *rec, uint64_t now_us);
void tcp_pmtu_resent(struct tcp_conn *conn); /* the oldest packet was sent again */
void tcp_pmtu_sent(
	struct tcp_conn *conn, uint32_t bytes); /* new text up to SND.NXT; unless is_size_proved */
void tcp_pmtu_acked(struct tcp_conn *conn); /* SND.UNA moved */
void tcp_pmtu_raise(
	struct tcp_conn *conn, uint64_t now_us); /* the timer of 8201 4, or a new path */

/* What status shows of a connection (tcp_turn.c). */
void tcp_conn_info(const struct tcp_conn *conn, struct stream_info *out);

#endif
