/*
 * peer.h - the reference TCP the product is held against: small, strict, and plainly right
 *
 * Passive open, and active for the simultaneous one. It stores no text (see text.h), only which
 * positions it sent, what was acknowledged and what it holds. Positions are 64-bit: 0 is the SYN, 1
 * the first byte, the FIN sits behind the last. Performance is not its business; the order of
 * events comes from the link and the clock it is given.
 */
#ifndef SIM_PEER_H
#define SIM_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include "tests/sim/ranges.h"
#include "tests/sim/rnd.h"
#include "tests/sim/wire.h"

#define PEER_NEVER UINT64_MAX

struct peer_config {
	struct wire_addr local, remote;
	uint16_t local_port, remote_port;
	uint16_t mtu, mss; /* mss: offered; 0 = no option */
	bool use_sack, use_ts, use_wscale, use_ecn, use_dsack;
	bool is_active; /* sends a SYN of its own: simultaneous open */
	bool is_silly;	/* tells every byte of new window (no SWS avoidance) */
	uint32_t renege_ppm; /* an arrival makes it let go of all it holds beyond a hole (RFC 2018
				8) */
	uint32_t shrink_ppm; /* a window is offered smaller than it was, down to nothing */
	uint32_t tiny_bytes; /* its segments are no longer than this; 0 = full ones */
	uint8_t wscale;
	uint32_t rcv_bytes; /* receive buffer */
	uint32_t delack_us; /* 0 = every segment at once */
	uint32_t isn, ts_offset;
	uint32_t rto_us_min, rto_us_max;
	uint32_t cwnd_max;
	uint64_t key; /* of the text it sends */
};

enum peer_state { PEER_LISTEN, PEER_SYN_SENT, PEER_SYN_RECEIVED, PEER_OPEN, PEER_RESET };

struct peer {
	struct peer_config cfg;
	enum peer_state state;
	bool has_sack, has_ts, has_wscale, has_ecn;

	/* Sending. una <= nxt <= max; nxt goes back to una on a timeout. */
	uint64_t una, nxt, max, edge, written;
	bool fin_wanted, is_probe_due, is_recovering, cwr_due;
	struct ranges sacked;
	uint64_t rtx_next, recover, ecn_point;
	uint32_t rtx_credit, dupacks, cwnd, ssthresh, mss;
	uint32_t wnd;
	uint8_t snd_shift;
	uint32_t wl1, wl2;
	uint64_t rto_at, probe_at, timed_pos, timed_us;
	uint32_t rto_us, srtt_us, rttvar_us, backoff;
	bool is_timing;

	/* Receiving. */
	uint32_t irs;
	uint64_t rcv_nxt, rcv_edge, read_pos, fin_pos;
	struct ranges ooo;
	uint64_t recent[4]; /* starts of the latest arrivals, newest first, for the order of SACK
			       blocks */
	struct range dsack;
	struct rnd rnd; /* for its whims */
	bool ack_due, ece, reset_due;
	uint32_t reset_seq, reset_ack;
	uint64_t ack_at;
	uint32_t unacked_segs, ts_recent;
	uint64_t last_acked; /* last acknowledgement sent */
	uint64_t probes_seen, rtx_segs;
};

void peer_init(struct peer *p, const struct peer_config *cfg, uint64_t now_us);
void peer_fini(struct peer *p);

void peer_input(struct peer *p, const struct wire_pkt *pkt, uint64_t now_us);
/* Next packet into @out (WIRE_PACKET_MAX). Out: its bytes, 0 = nothing now. */
size_t peer_output(struct peer *p, uint8_t *out, uint64_t now_us);
uint64_t peer_deadline_us(const struct peer *p);
void peer_timeout(struct peer *p, uint64_t now_us);

void peer_write(struct peer *p, uint64_t bytes); /* more text to send */
void peer_shutdown(struct peer *p);
uint64_t peer_readable(const struct peer *p);
void peer_read(struct peer *p, uint64_t bytes); /* makes room; at most what is readable */
/* Builds a reset as this end sends it, and is dead after: it answers everything with a reset. */
size_t peer_abort(struct peer *p, uint8_t *out);

/* Text received in order and text acknowledged, in bytes. */
uint64_t peer_received(const struct peer *p);
uint64_t peer_acked(const struct peer *p);
bool peer_has_fin(const struct peer *p);       /* theirs, in order */
bool peer_is_fin_acked(const struct peer *p);  /* ours */

#endif
