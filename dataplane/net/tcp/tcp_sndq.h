/*
 * tcp_sndq.h - the bytes a stream has queued, until they are acknowledged
 *
 * A ring of pieces, each a copy of a few bytes or a reference into a stream_buf. Positions are
 * stream offsets from 0, so nothing here knows a sequence number. Worker only.
 */
#ifndef DATAPLANE_NET_TCP_TCP_SNDQ_H
#define DATAPLANE_NET_TCP_TCP_SNDQ_H

#include <stdbool.h>
#include <stdint.h>
#include "config/limits.h"
#include "dataplane/net/stream.h"

struct net;
struct rte_mbuf;

struct tcp_chunk {
	uint64_t off;		/* stream offset of its first byte */
	const uint8_t *bytes;	/* inside *buf; unused when buf is NULL */
	struct stream_buf *buf; /* NULL: the bytes are in copy[] */
	uint32_t len;
	uint8_t copy[STREAM_INLINE_BYTES_MAX];
};

struct tcp_sndq {
	struct tcp_chunk *chunks; /* ring of STREAM_CHUNK_MAX; head and count index it */
	uint32_t head, count, count_max;
	uint32_t bytes_max;
	uint32_t last;	     /* place of the chunk the last fill took from: the next begins there or
				behind */
	uint64_t start, end; /* first unacknowledged offset, offset after the last queued byte */
};

/* Room for @chunks pieces and @bytes bytes. */
bool tcp_sndq_has_room(const struct tcp_sndq *q, uint32_t chunks, uint64_t bytes);

/* Both need room: see tcp_sndq_has_room(). Bytes that continue the last piece join it. */
void tcp_sndq_push_copy(struct tcp_sndq *q, const void *bytes, uint32_t len);
void tcp_sndq_push_buf(
	struct tcp_sndq *q, struct stream_buf *buf, const uint8_t *bytes, uint32_t len);

/* Everything before @off was acknowledged. */
void tcp_sndq_ack(struct tcp_sndq *q, uint64_t off);

/* Forgets everything queued; what was sent keeps its references in the mbufs. */
void tcp_sndq_drop(struct tcp_sndq *q);

/*
 * Appends up to @len bytes from offset @off to packet @m, whose tail may take copies: small pieces
 * are copied into header mbufs, larger ones are attached. Adjusts pkt_len and nb_segs.
 * Out: bytes appended; fewer when @seg_max mbufs are reached or a pool is empty.
 */
uint32_t tcp_sndq_fill(struct net *net, struct tcp_sndq *q, struct rte_mbuf *m, uint64_t off,
	uint32_t len, uint32_t seg_max);

#endif
