/*
 * watch.h - the invariants of one connection, judged from outside: packets, bytes, calls
 *
 * It is told everything that goes into the stack and comes out of it, and knows no internals. What
 * the stack may acknowledge is bounded by the union of all it was handed, whether it took it or
 * not, so a watcher is sound for any peer, a lying one included. Text is checked against text.h.
 */
#ifndef SIM_WATCH_H
#define SIM_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include "tests/sim/ranges.h"
#include "tests/sim/wire.h"

struct watch {
	uint64_t key_tx, key_rx; /* text the stack sends, and receives */
	uint16_t local_port, peer_port;
	uint32_t mtu;
	bool is_tso_allowed, is_reset_allowed;
	bool may_miss_syn; /* dropped where it waited for its neighbour, when an ACK after it was
			      not */

	bool has_iss, has_irs;
	uint32_t iss, irs;
	struct wire_pkt syn, peer_syn; /* last one sent, first one handed in */
	uint64_t queued, received;     /* by calls */
	bool fin_queued, eof_seen;

	/* What the stack was given. */
	struct ranges given;
	uint64_t given_fin; /* position of the FIN, UINT64_MAX = none */
	uint64_t peer_edge; /* most the peer ever allowed */
	uint64_t peer_ack;  /* most the peer ever acknowledged */
	uint32_t tsval_given; /* the newest */
	uint32_t tsval_due;   /* the newest of a segment that began no later than our last ACK */
	bool has_tsval_given, has_tsval_due;

	/* What the stack said. */
	uint64_t sent_max, ack, edge;
	bool has_edge, has_tsval, has_tsecr, rst_seen;
	uint32_t tsval, tsecr;
	uint64_t acks, texts, resends;
	uint64_t sacked; /* bytes beyond the hole that the packet just seen claims to hold */

	char why[240]; /* the first violation; empty = none */
};

void watch_init(struct watch *w);
void watch_fini(struct watch *w);
void watch_fail(struct watch *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A packet came out of, or went into, the stack. Those of other connections are ignored. */
void watch_out(struct watch *w, const uint8_t *packet, size_t len);
void watch_in(struct watch *w, const uint8_t *packet, size_t len);

/* Calls, after they answered. */
void watch_queued(struct watch *w, uint64_t bytes);
void watch_shutdown(struct watch *w);
void watch_received(struct watch *w, const uint8_t *bytes, uint64_t len);
void watch_eof(struct watch *w);

#endif
