/*
 * tcp_cc.h - congestion control: how much may be in flight, decided by one small table of functions
 *
 * The connection reports events; the algorithm moves cwnd and ssthresh, in bytes. During fast
 * recovery the window belongs to PRR (RFC 9937), which only reads ssthresh from here; the
 * algorithm's on_ack is not called until tcp_cc_exit_recovery(). Memory is the caller's, no clock
 * is read, arithmetic is integer only.
 */
#ifndef DATAPLANE_NET_TCP_TCP_CC_H
#define DATAPLANE_NET_TCP_TCP_CC_H

#include <stdbool.h>
#include <stdint.h>
#include "dataplane/net/tcp/tcp_cwv.h"
#include "dataplane/net/tcp/tcp_hystart.h"

struct tcp_cc;

#define TCP_CC_SSTHRESH_NONE UINT32_MAX /* RFC 5681 3.1: arbitrarily high at the start */
#define TCP_CC_CWND_BYTES_MAX (1u << 30)

/* What one arriving ACK says. */
struct tcp_cc_ack {
	uint64_t now_us;
	uint32_t acked_bytes;	  /* newly acknowledged cumulatively */
	uint32_t delivered_bytes; /* newly acknowledged or SACKed (DCTCP counts these) */
	uint32_t ce_bytes;	  /* of the delivered ones, those under ECE */
	uint32_t in_flight_bytes; /* after this ACK */
	uint32_t rtt_us;	  /* sample, 0 = none */
	uint32_t srtt_us, min_rtt_us; /* 0 = unknown */
	bool is_round_start;	  /* the first ACK of data sent after the last round began */
	bool is_cwnd_limited;	  /* the sender had more to send than cwnd allowed */
};

struct tcp_cc_ops {
	const char *name;
	bool wants_ecn;		/* the connection must negotiate ECN */
	bool has_accurate_ecn;	/* reacts per mark (DCTCP): the receiver must echo CE per segment */
	bool has_hystart;	/* its first slow start ends by HyStart++ */
	void (*init)(struct tcp_cc *cc);
	/* Each ACK, in recovery too: for measuring, not for growing. May be NULL. */
	void (*on_feedback)(struct tcp_cc *cc, const struct tcp_cc_ack *ack);
	/* An ACK by which the window may grow. */
	void (*on_ack)(struct tcp_cc *cc, const struct tcp_cc_ack *ack);
	/* Loss or ECE: the new ssthresh for @flight_bytes outstanding. May remember a maximum. */
	uint32_t (*reduce)(struct tcp_cc *cc, uint32_t flight_bytes, bool is_ecn);
	void (*on_rto)(struct tcp_cc *cc);	     /* after reduce; may be NULL */
	void (*on_epoch_end)(struct tcp_cc *cc); /* the window was set, not grown; may be NULL */
	/* Time that must not count went by. May be NULL. */
	void (*on_pause)(struct tcp_cc *cc, uint64_t paused_us);
};

extern const struct tcp_cc_ops tcp_cc_newreno;
extern const struct tcp_cc_ops tcp_cc_cubic;
extern const struct tcp_cc_ops tcp_cc_dctcp;

struct tcp_cc_newreno_state {
	uint32_t acked_bytes; /* towards the next segment in congestion avoidance (RFC 5681 3.1) */
};

#define TCP_CUBIC_SHIFT 10
struct tcp_cc_cubic_state {
	bool has_epoch;		   /* begins with the first ACK in congestion avoidance */
	uint64_t epoch_us;	   /* when; moved on by pauses */
	uint32_t w_max_bytes;	   /* 0 = unknown */
	uint32_t k_ms;
	uint32_t cwnd_prior_bytes; /* cwnd before the last reduction */
	uint64_t w_est_fp;	   /* bytes << TCP_CUBIC_SHIFT */
	uint64_t growth_fp;	   /* growth not applied yet, same unit, below one byte */
};

#define TCP_DCTCP_SHIFT 16
struct tcp_cc_dctcp_state {
	uint32_t alpha_fp;		    /* fraction marked, << TCP_DCTCP_SHIFT */
	uint32_t delivered_bytes, ce_bytes; /* of this observation window */
	struct tcp_cc_newreno_state reno;
};

union tcp_cc_algorithm {
	struct tcp_cc_newreno_state newreno;
	struct tcp_cc_cubic_state cubic;
	struct tcp_cc_dctcp_state dctcp;
};

/* What undo gives back (RFC 5682, RFC 3522, D-SACK). */
struct tcp_cc_saved {
	bool is_valid;
	uint32_t cwnd_bytes, ssthresh_bytes;
	union tcp_cc_algorithm algorithm;
};

struct tcp_cc {
	const struct tcp_cc_ops *ops;
	uint32_t mss;		 /* bytes of payload in a full segment */
	uint32_t cwnd_bytes, ssthresh_bytes;
	bool is_in_recovery;
	uint64_t acked_us; /* the last tcp_cc_on_ack() */
	struct tcp_hystart hystart;
	struct tcp_cwv cwv;
	struct tcp_cc_saved saved;
	union tcp_cc_algorithm u;
};

/* By name; empty or NULL = "cubic". NULL when there is none. */
const struct tcp_cc_ops *tcp_cc_find(const char *name);

/* IW10 (RFC 6928): min(10 * mss, max(2 * mss, 14600)). */
uint32_t tcp_cc_initial_window(uint32_t mss);

void tcp_cc_init(struct tcp_cc *cc, const struct tcp_cc_ops *ops, uint32_t mss, uint64_t now_us);

/* The segment size changed (PMTU): windows keep their bytes, but never below one segment. */
void tcp_cc_mss_set(struct tcp_cc *cc, uint32_t mss);

/* RFC 5681 3.1: the SYN was lost, begin with one segment. Before data only. */
void tcp_cc_syn_lost(struct tcp_cc *cc);

/* Each ACK of new data, recovery included (the window moves only outside of it). */
void tcp_cc_on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *ack);

/*
 * Loss is taken for congestion: saves for undo, sets ssthresh. cwnd stays for PRR to move.
 * @flight_bytes: what was in flight when the loss was found.
 */
void tcp_cc_enter_recovery(struct tcp_cc *cc, uint32_t flight_bytes, uint64_t now_us);
/* Recovery is over: cwnd = ssthresh (RFC 6675, RFC 9937), RFC 7661 4.4.1's correction inside.
 * @retrans_bytes: retransmitted during it. */
void tcp_cc_exit_recovery(struct tcp_cc *cc, uint32_t retrans_bytes, uint64_t now_us);

/*
 * RFC 6298 / 5681 3.1: @is_first on the first timeout of this data, later ones keep ssthresh.
 * cwnd becomes one segment; recovery, if any, ends.
 */
void tcp_cc_on_rto(struct tcp_cc *cc, uint32_t flight_bytes, bool is_first, uint64_t now_us);

/* ECE, at most once a round trip (the caller's duty): cwnd = ssthresh at once. */
void tcp_cc_on_ecn(struct tcp_cc *cc, uint32_t flight_bytes, uint64_t now_us);

/* The last reduction was spurious: windows come back, never smaller than they are now. */
void tcp_cc_undo(struct tcp_cc *cc, uint64_t now_us);

/* About to send after @idle_us with nothing in flight: RFC 7661 keeps the window for a while, and
 * the algorithm's clock is moved on (RFC 9438 5.8). */
void tcp_cc_on_restart(struct tcp_cc *cc, uint64_t idle_us, uint32_t srtt_us, uint64_t now_us);

static inline bool tcp_cc_in_slow_start(const struct tcp_cc *cc)
{
	return cc->cwnd_bytes < cc->ssthresh_bytes;
}

/* For the algorithms. */
uint32_t tcp_cc_slow_start(struct tcp_cc *cc, uint32_t acked_bytes); /* what ssthresh left over */
void tcp_cc_reno_ack(struct tcp_cc *cc, struct tcp_cc_newreno_state *st, uint32_t acked_bytes);
uint32_t tcp_cc_half(const struct tcp_cc *cc, uint32_t flight_bytes); /* RFC 5681 equation 4 */

#endif
