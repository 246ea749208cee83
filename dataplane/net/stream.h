/*
 * stream.h - TCP as the layers above see it: byte streams, events and spans
 *
 * One of the two public headers of net. No mbuf appears here, so what is built on it can be
 * tested without an EAL. All calls are made on the worker that owns the net.
 *
 * Sending. A small piece (<= STREAM_INLINE_BYTES_MAX) is copied when queued. A longer one is
 * attached: the bytes stay where they are and are sent, and sent again, from there. They must not
 * change until they are acknowledged AND stream_buf_busy() is 0: an mbuf in the NIC's ring may
 * still refer to a buffer whose last byte was acknowledged by the peer.
 *
 * Receiving. In-order payload is shown where it lies (stream_peek) and given back by
 * stream_consume; what is not consumed counts against the stream's quota of mbufs and closes the
 * advertised window.
 *
 * Events. Net never calls up. It queues at most one pending record per stream with a set of bits;
 * the owner takes them on its own turn with stream_events().
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net;
struct stream;

/* An IP address: family AF_INET (first four bytes of addr) or AF_INET6. Network order. */
struct net_ip {
	uint8_t family;
	uint8_t addr[16];
};

/* Where to connect, and what it may cost. */
struct stream_target {
	struct net_ip ip;
	uint16_t port;		   /* host order */
	uint16_t local_port;	   /* host order; 0 = chosen per RFC 6056 */
	uint32_t quota_mbufs; /* receive quota, in-order and out-of-order together; 0 = default */
	uint32_t quota_ooo_mbufs;  /* part of it out-of-order data may hold; 0 = three quarters */
	uint16_t owner;		   /* ledger owner in-order mbufs are charged to (reserve.h) */
	uint16_t owner_ooo;	   /* ledger owner out-of-order mbufs are charged to */
	uint32_t connect_us_max;   /* give up the open after this long; 0 = default */
	uint32_t user_timeout_us;  /* RFC 9293 3.8.3: unacknowledged for this long = dead; 0 =
				      default */
	uint32_t keepalive_us;	   /* silence before a keep-alive probe; 0 = none */
	uint32_t keepalive_busy_us; /* the same while stream_expect() is on; 0 = keepalive_us */
	uint32_t
		keepalive_step_us; /* between probes, five of which go unanswered before -ETIMEDOUT;
				    * 0 = a quarter of the silence, between 1 and 75 s */
	uint32_t send_bytes_max;   /* most bytes queued unacknowledged; 0 = default */
	const char *cc;		   /* "cubic", "newreno" or "dctcp"; NULL or empty = "cubic" */
};

enum stream_event_bit {
	STREAM_CONNECTED = 1, /* the handshake is done */
	STREAM_READABLE = 2,  /* stream_peek has something new */
	STREAM_WRITABLE = 4,  /* room again after -EAGAIN */
	STREAM_ACKED = 8,     /* attached bytes were acknowledged: see stream_acked() */
	STREAM_EOF = 16,      /* the peer sent FIN; readable data before it is still there */
	STREAM_DEAD = 32,     /* stream_error() says why; only stream_release() may follow */
};

struct stream_event {
	struct stream *stream;
	void *ctx;
	uint32_t bits;
};

/*
 * A piece of received payload, valid until the stream_consume() that covers it. Until then the
 * owner may write to it: nothing else reads these bytes again.
 */
struct stream_span {
	uint8_t *bytes;
	uint32_t len;
};

/*
 * DMA-able memory that attached pieces point into. iova is the address of base for the NIC (the
 * same as base where IOVA is VA). refs counts mbufs that refer into the buffer; it is touched by
 * the owning worker only, and a driver that frees on another thread is not supported.
 *
 * No mbuf crosses a multiple of page_bytes, a power of two (0: all may). The IOMMU makes pages
 * contiguous for the device, but not every device reads on over their edge: QEMU's e1000e drops a
 * packet with such a piece, and drops it again each time it is sent again.
 */
struct stream_buf {
	uint8_t *base;
	uint64_t iova;
	uint32_t bytes;
	uint32_t refs;
	uint64_t page_bytes;
};

/* True while any mbuf (in a TX ring, or queued) still points into @buf. */
static inline bool stream_buf_busy(const struct stream_buf *buf)
{
	return buf->refs != 0;
}

/*
 * Opens a connection; the SYN leaves at the next output. @ctx comes back in events.
 * Out: a stream the caller owns until stream_release(), or NULL with *err = -errno:
 * -ENOSPC (no free connection), -EADDRNOTAVAIL (no address or port), -ENETUNREACH (no route),
 * -EINVAL (no such congestion control).
 */
struct stream *stream_connect(
	struct net *net, const struct stream_target *target, void *ctx, int *err);

/* Takes up to @max events, oldest first. Out: their number. */
unsigned stream_events(struct net *net, struct stream_event *events, unsigned max);

/* In-order payload not consumed yet, at most @max spans. Out: number of spans. */
unsigned stream_peek(struct stream *s, struct stream_span *spans, unsigned max);

/* Gives back the first @bytes of what was peeked; whole mbufs go back to the pool at once. */
void stream_consume(struct stream *s, size_t bytes);

/*
 * Queues a copy of @len <= STREAM_INLINE_BYTES_MAX bytes. All or nothing.
 * Out: 0, -EAGAIN (queue full; STREAM_WRITABLE follows), or the stream's error.
 */
int stream_send_copy(struct stream *s, const void *bytes, size_t len);

/*
 * Queues @len bytes at @bytes, which lie inside @buf. Not copied; see the top of this file.
 * Out: 0, -EAGAIN, or the stream's error.
 */
int stream_send_buf(struct stream *s, struct stream_buf *buf, const void *bytes, uint32_t len);

/* Queue both or neither: a request header and its payload. */
int stream_send_pair(struct stream *s, const void *hdr, size_t hdr_len, struct stream_buf *buf,
	const void *bytes, uint32_t len);

/* Stream position of the next byte to be queued, and of the first unacknowledged one (from 0). */
uint64_t stream_queued(const struct stream *s);
uint64_t stream_acked(const struct stream *s);

/* Free room: bytes and pieces that can be queued now. */
uint32_t stream_room_bytes(const struct stream *s);
uint32_t stream_room_chunks(const struct stream *s);

int stream_shutdown(struct stream *s); /* sends FIN after what is queued. 0 or -errno */
void stream_abort(struct stream *s);   /* RST, drops both queues; STREAM_DEAD is not reported */

/*
 * The owner is done with the handle. A live connection is aborted first; one that is closing
 * orderly (after stream_shutdown) lives on inside net to the end of TIME-WAIT. Attached pieces
 * still unacknowledged at an orderly close keep referring to their stream_buf: abort where that
 * memory is about to go.
 */
void stream_release(struct stream *s);

/*
 * 0 while alive, else -ECONNREFUSED -ECONNRESET -ETIMEDOUT -EHOSTUNREACH -ENETUNREACH …, and
 * -ENOTCONN once both directions were closed in order.
 */
int stream_error(const struct stream *s);

/* Did packets of it arrive at another worker's queue? They were handed over, which costs a copy. */
bool stream_is_misdirected(const struct stream *s);

/*
 * The owner awaits an answer from the peer, or no longer does. While it does, silence is judged by
 * keepalive_busy_us: dead after that and five steps. Cheap enough for each request; the stream's
 * worker only. Keep-alives are sent while nothing is unacknowledged (RFC 9293 3.8.4); what is, is
 * the user timeout's affair.
 */
void stream_expect(struct stream *s, bool is_expecting);

/* Settings of one stream. MSS (the largest segment, options included) before the SYN left only. */
enum stream_option {
	STREAM_OPTION_NODELAY,	       /* default 1: small pieces do not wait for an ACK */
	STREAM_OPTION_KEEPALIVE_US,    /* 0 = off */
	STREAM_OPTION_KEEPALIVE_BUSY_US, /* as in struct stream_target */
	STREAM_OPTION_KEEPALIVE_STEP_US,
	STREAM_OPTION_USER_TIMEOUT_US, /* 0 = default */
	STREAM_OPTION_MSS,
};
/* 0, -EINVAL, or the stream's error. */
int stream_option(struct stream *s, enum stream_option option, uint64_t value);

/* Facts for status and for credits. */
struct stream_info {
	uint32_t state; /* RFC 9293 state number, as in tcp.md 6 */
	uint32_t mss, cwnd_bytes, ssthresh_bytes, rcv_wnd_bytes, snd_wnd_bytes;
	uint32_t rto_us, srtt_us, rttvar_us, min_rtt_us;
	uint32_t unacked_bytes, sacked_bytes, lost_bytes, retrans_segs, backoff;
	uint32_t held_mbufs;
	uint64_t bytes_acked, bytes_received, delivery_rate_bps;
	uint16_t local_port, peer_port;
};
void stream_info(const struct stream *s, struct stream_info *out);
uint32_t stream_rtt_us(const struct stream *s); /* smoothed; 0 before the first sample */

#endif
