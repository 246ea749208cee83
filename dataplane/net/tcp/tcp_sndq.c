/*
 * tcp_sndq.c - the bytes a stream has queued, until they are acknowledged
 *
 * What is sent once may have to be sent again, so the queue never gives a byte away: a packet only
 * refers to it. Large pieces are attached to mbufs of ext_pool. Each such mbuf carries the shared
 * info that DPDK requires in its own private area with a count of one, so freeing the mbuf on any
 * path runs buf_release() exactly once, without an atomic, and stream_buf.refs is the exact number
 * of mbufs that point into the buffer. Small pieces are copied behind the header, where the NIC
 * reads them in the same cache line; an mbuf for 28 bytes would cost more than the copy.
 *
 * The chunk ring is allocated with the connection table. Always: the chunks from head on are
 * contiguous in offset and cover exactly [start, end), the first one perhaps from its middle.
 */
#include "dataplane/net/tcp/tcp_sndq.h"

#include <string.h>
#include <rte_mbuf.h>
#include "dataplane/net/net_impl.h"

static_assert(sizeof(struct rte_mbuf_ext_shared_info) <= NET_EXT_PRIV_BYTES, "net.h says how much");

static struct tcp_chunk *chunk_at(const struct tcp_sndq *q, uint32_t i)
{
	return &q->chunks[(q->head + i) & (STREAM_CHUNK_MAX - 1)];
}

bool tcp_sndq_has_room(const struct tcp_sndq *q, uint32_t chunks, uint64_t bytes)
{
	return q->count + chunks <= q->count_max && q->end - q->start + bytes <= q->bytes_max;
}

static struct tcp_chunk *push(struct tcp_sndq *q, uint32_t len)
{
	struct tcp_chunk *c = chunk_at(q, q->count);

	assert(q->count < q->count_max);
	q->count++;
	c->off = q->end;
	c->len = len;
	q->end += len;
	return c;
}

void tcp_sndq_push_copy(struct tcp_sndq *q, const void *bytes, uint32_t len)
{
	struct tcp_chunk *last = q->count ? chunk_at(q, q->count - 1) : NULL;

	assert(len > 0 && len <= STREAM_INLINE_BYTES_MAX);
	if (last && !last->buf && last->len + len <= STREAM_INLINE_BYTES_MAX) {
		memcpy(last->copy + last->len, bytes, len);
		last->len += len;
		q->end += len;
		return;
	}
	struct tcp_chunk *c = push(q, len);

	c->buf = NULL;
	c->bytes = NULL;
	memcpy(c->copy, bytes, len);
}

void tcp_sndq_push_buf(
	struct tcp_sndq *q, struct stream_buf *buf, const uint8_t *bytes, uint32_t len)
{
	struct tcp_chunk *last = q->count ? chunk_at(q, q->count - 1) : NULL;

	assert(len > 0);
	assert(bytes >= buf->base && bytes + len <= buf->base + buf->bytes);
	if (last && last->buf == buf && last->bytes + last->len == bytes) {
		last->len += len;
		q->end += len;
		return;
	}
	struct tcp_chunk *c = push(q, len);

	c->buf = buf;
	c->bytes = bytes;
}

void tcp_sndq_ack(struct tcp_sndq *q, uint64_t off)
{
	assert(off >= q->start && off <= q->end);
	q->start = off;
	while (q->count > 0) {
		struct tcp_chunk *c = chunk_at(q, 0);

		if (c->off + c->len > off)
			break;
		q->head = (q->head + 1) & (STREAM_CHUNK_MAX - 1);
		q->count--;
	}
	assert(q->count > 0 || q->start == q->end);
}

void tcp_sndq_drop(struct tcp_sndq *q)
{
	q->count = 0;
	q->end = q->start;
}

static bool holds(const struct tcp_sndq *q, uint32_t i, uint64_t off)
{
	const struct tcp_chunk *c = chunk_at(q, i);

	return i < q->count && off >= c->off && off - c->off < c->len;
}

/* The chunk that holds @off: mostly where the last packet
 * ended, else log2(STREAM_CHUNK_MAX) steps. */
static uint32_t find(const struct tcp_sndq *q, uint64_t off)
{
	uint32_t lo = (q->last - q->head) & (STREAM_CHUNK_MAX - 1), hi = q->count;

	assert(off >= q->start && off < q->end);
	for (uint32_t i = lo; i < lo + 2; i++)
		if (holds(q, i, off))
			return i;
	lo = 0;
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (chunk_at(q, mid)->off <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static void buf_release(void *addr, void *opaque)
{
	struct stream_buf *buf = opaque;

	assert(buf->refs > 0);
	buf->refs--;
}

/* Bytes from @bytes to the end of its page. */
static uint32_t page_room(const struct stream_buf *buf, const uint8_t *bytes)
{
	uint64_t at = buf->iova + (uint64_t)(bytes - buf->base);

	return buf->page_bytes ? (uint32_t)(buf->page_bytes - (at & (buf->page_bytes - 1)))
			       : UINT32_MAX;
}

static struct rte_mbuf *attach(
	struct net *net, struct stream_buf *buf, const uint8_t *bytes, uint16_t len)
{
	struct rte_mbuf *m = net_ext_alloc(net);

	if (!m)
		return NULL;
	struct rte_mbuf_ext_shared_info *shinfo = rte_mbuf_to_priv(m);
	size_t at = (size_t)(bytes - buf->base);

	shinfo->free_cb = buf_release;
	shinfo->fcb_opaque = buf;
	rte_mbuf_ext_refcnt_set(shinfo, 1);
	rte_pktmbuf_attach_extbuf(m, buf->base + at, buf->iova + at, len, shinfo);
	m->data_len = len;
	buf->refs++;
	return m;
}

/* One step of the fill: an mbuf to append, or a copy into
 * @tail. Out: bytes taken, 0 = no memory. */
static uint32_t take(struct net *net, const struct tcp_chunk *c, uint32_t at, uint32_t len,
	struct rte_mbuf *tail, bool may_grow, struct rte_mbuf **grown)
{
	const uint8_t *bytes = (c->buf ? c->bytes : c->copy) + at;

	*grown = NULL;
	if (RTE_MBUF_DIRECT(tail)) {
		uint32_t room = rte_pktmbuf_tailroom(tail);

		/* A port that cannot send chains has header mbufs
		 * large enough for a whole packet. */
		if (!may_grow)
			len = RTE_MIN(len, room);
		if (!may_grow || (len <= STREAM_INLINE_BYTES_MAX && room >= len)) {
			memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len), bytes,
				len);
			tail->data_len += (uint16_t)len;
			return len;
		}
	}
	if (!may_grow)
		return 0;
	if (!c->buf) {
		*grown = net_hdr_alloc(net);
		if (!*grown)
			return 0;
		memcpy(rte_pktmbuf_mtod(*grown, uint8_t *), bytes, len);
		(*grown)->data_len = (uint16_t)len;
		return len;
	}
	len = RTE_MIN(len, RTE_MIN(page_room(c->buf, bytes), (uint32_t)UINT16_MAX));
	*grown = attach(net, c->buf, bytes, (uint16_t)len);
	return *grown ? len : 0;
}

uint32_t tcp_sndq_fill(struct net *net, struct tcp_sndq *q, struct rte_mbuf *m, uint64_t off,
	uint32_t len, uint32_t seg_max)
{
	struct rte_mbuf *tail = rte_pktmbuf_lastseg(m), *grown;
	uint32_t done = 0, segs = m->nb_segs, i, at;

	if (len == 0)
		return 0;
	i = find(q, off);
	at = (uint32_t)(off - chunk_at(q, i)->off);
	while (done < len && i < q->count) {
		const struct tcp_chunk *c = chunk_at(q, i);
		uint32_t got = take(
			net, c, at, RTE_MIN(c->len - at, len - done), tail, segs < seg_max, &grown);

		if (got == 0)
			break;
		if (grown) {
			tail->next = grown;
			tail = grown;
			segs++;
		}
		done += got;
		at += got;
		if (at == c->len) {
			i++;
			at = 0;
		}
	}
	q->last = q->head + i; /* where the next packet begins, most often */
	m->nb_segs = (uint16_t)segs;
	m->pkt_len += done;
	return done;
}
