/*
 * tcp_rcv.h - the receiving half of a connection: queues, window, SACK blocks
 *
 * Counts mbufs, never bytes: what a peer sends in one-byte segments costs as many buffers as it
 * would with full ones, unless they are copied together. Knows no connection state. Worker only.
 */
#ifndef DATAPLANE_NET_TCP_TCP_RCV_H
#define DATAPLANE_NET_TCP_TCP_RCV_H

#include <stdbool.h>
#include <stdint.h>
#include "config/limits.h"
#include "dataplane/net/stream.h"
#include "dataplane/net/tcp/tcp_chain.h"
#include "dataplane/net/tcp/tcp_wire.h"

struct net;
struct rte_mbuf;

/* A run of bytes beyond a hole: [seq, end), in mbufs linked by next. */
struct tcp_ooo {
	uint32_t seq, end;
	struct tcp_chain chain;
	uint32_t stamp; /* when it last grew, for the order of SACK blocks */
};

struct tcp_rcv {
	uint32_t nxt;	/* RCV.NXT */
	uint32_t edge;	/* right edge of the window as advertised: never goes back */
	uint32_t acked; /* last ACK sent (RFC 7323's Last.ACK.sent) */
	uint32_t mss;	/* what we announced */
	uint8_t wscale;
	uint16_t owner, owner_ooo;
	uint32_t quota, quota_ooo; /* mbufs */
	struct tcp_chain chain;	   /* in order, not consumed yet */
	uint32_t bytes;		   /* in it */
	struct tcp_ooo *ooo;	   /* TCP_OOO_MAX, ascending, with a hole between each */
	uint32_t ooo_count, ooo_mbufs;
	uint32_t stamp;
	bool has_fin; /* the peer's FIN is known, perhaps beyond a hole */
	uint32_t fin_seq;
	bool has_dsack;
	struct tcp_sack dsack;
	uint32_t ack_segs;	/* data segments since the last ACK */
	uint32_t dup_acks_owed; /* without SACK: one duplicate ACK a segment (RFC 5681 4.2) */
	uint32_t quick_acks;	/* acknowledge at once this many more times */
	uint64_t text_us;	/* when text last arrived */
	uint64_t received;	/* bytes in order, for status */
};

/* ---- tcp_ooo.c: data beyond a hole ---- */

/* Keeps @c, whose bytes are [seq, end) and lie beyond RCV.NXT. Eats it. Out: false when shed. */
bool tcp_ooo_insert(
	struct net *net, struct tcp_rcv *r, struct tcp_chain c, uint32_t seq, uint32_t end);
/* RCV.NXT reached the first run: takes it out, trimmed to begin at RCV.NXT. Out: false = none
 * there. */
bool tcp_ooo_absorb(struct tcp_rcv *r, struct tcp_chain *out, uint32_t *end);
/* Frees out-of-order mbufs, highest sequence first, only above @above, up to @need. Out: freed. */
uint32_t tcp_ooo_shed(struct net *net, struct tcp_rcv *r, uint32_t need, uint32_t above);
void tcp_ooo_drop(struct tcp_rcv *r);
/* SACK blocks to send: a pending D-SACK first, then the latest. At most @max. Out: their number. */
uint8_t tcp_ooo_sacks(const struct tcp_rcv *r, struct tcp_sack *out, uint8_t max);

/* ---- tcp_rcv.c ---- */

/* Remembers [start, end) as received twice (RFC 2883), unless one is pending already. */
void tcp_rcv_dsack(struct tcp_rcv *r, uint32_t start, uint32_t end);

/* What became of a segment's text. */
enum tcp_rcv_verdict {
	RCV_NOTHING,	  /* no text left after trimming: a duplicate, or beyond the window */
	RCV_IN_ORDER,	  /* RCV.NXT moved */
	RCV_OUT_OF_ORDER, /* kept beyond a hole */
	RCV_SHED,	  /* out of order, and there was no room: dropped, as reneging allows */
};

void tcp_rcv_init(struct tcp_rcv *r, const struct stream_target *target, struct tcp_ooo *ooo);

/*
 * One whole mbuf, the next in order, nothing to trim, pack or fill: what a transfer is made of.
 * Out: false, and @m is still the caller's, when it is not that.
 */
bool tcp_rcv_append(struct net *net, struct tcp_rcv *r, struct rte_mbuf *m, uint32_t seq);
/* The same for one that the caller charges to the
 * connection before anything else is done with it. */
bool tcp_rcv_append_uncharged(struct tcp_rcv *r, struct rte_mbuf *m, uint32_t seq);

/* Any other: trimmed to the window, in order or beyond a hole. Eats @m. */
enum tcp_rcv_verdict tcp_rcv_fit(
	struct net *net, struct tcp_rcv *r, struct rte_mbuf *m, uint32_t seq);

/* One or the other. Takes a segment's payload (data of @m is exactly that) at @seq. Eats @m. Trims
 * to the window. */
enum tcp_rcv_verdict tcp_rcv_text(
	struct net *net, struct tcp_rcv *r, struct rte_mbuf *m, uint32_t seq);

unsigned tcp_rcv_peek(const struct tcp_rcv *r, struct stream_span *spans, unsigned max);
void tcp_rcv_consume(struct tcp_rcv *r, uint64_t bytes);

/* All text, in order or not, goes back to the pool. */
void tcp_rcv_drop(struct tcp_rcv *r);

/* The window to advertise now, in bytes from RCV.NXT; moves the edge. @shift: 0 on a SYN. */
uint16_t tcp_rcv_window(struct tcp_rcv *r, uint8_t shift);
/* The window that leaves the edge where it is, in an ACK of @ack, at or below RCV.NXT. */
uint16_t tcp_rcv_window_kept(struct tcp_rcv *r, uint32_t ack, uint8_t shift);
/* The reader made enough room to be worth an ACK of its own (RFC 9293 3.8.6.2.2). */
bool tcp_rcv_window_pays(const struct tcp_rcv *r);
uint32_t tcp_rcv_wnd(const struct tcp_rcv *r); /* RCV.WND: from nxt to the edge */
uint8_t tcp_rcv_wscale_choose(uint32_t quota);

/* Text arrived. After a silence of @silence_us the peer is taken to be in slow start again. */
void tcp_rcv_heard(struct tcp_rcv *r, uint64_t silence_us, uint64_t now_us);

/* An ACK left: what was owed is paid. */
void tcp_rcv_acked(struct tcp_rcv *r);

static inline uint32_t tcp_rcv_held(const struct tcp_rcv *r)
{
	return r->chain.mbufs + r->ooo_mbufs;
}

#endif
