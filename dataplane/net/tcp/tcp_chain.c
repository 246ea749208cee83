/*
 * tcp_chain.c - trimming and packing chains of mbufs that hold received text
 *
 * The receive quota is counted in mbufs while the window is promised in bytes, so a held mbuf must
 * carry a known minimum on average. Packing gives that: of any two neighbours in a chain the
 * second is either at least TCP_MBUF_PAYLOAD_MIN long or did not fit behind the first, which then
 * is nearly full. A small segment without a predecessor is moved to the start of its own buffer
 * (it may be the last byte of a frame whose rest was a duplicate), or a flood of overlapping
 * segments would leave one byte at the end of each buffer and no tail room anywhere.
 *
 * Only mbufs without other references are written to. One worker.
 */
#include "dataplane/net/tcp/tcp_chain.h"

#include <assert.h>
#include <string.h>
#include <rte_mbuf.h>
#include "config/limits.h"

static bool is_ours_to_write(struct rte_mbuf *m)
{
	return RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1;
}

struct tcp_chain tcp_chain_from(struct rte_mbuf *m, uint32_t skip, uint32_t len)
{
	struct tcp_chain c = {0};
	struct rte_mbuf *next;

	for (; m; m = next) {
		uint32_t cut = RTE_MIN(skip, (uint32_t)m->data_len);

		next = m->next;
		m->next = NULL;
		skip -= cut;
		m->data_off += (uint16_t)cut;
		m->data_len -= (uint16_t)cut;
		m->data_len = (uint16_t)RTE_MIN((uint32_t)m->data_len, len);
		len -= m->data_len;
		m->nb_segs = 1;
		m->pkt_len = m->data_len;
		if (m->data_len == 0) {
			rte_pktmbuf_free_seg(m);
			continue;
		}
		if (c.tail)
			c.tail->next = m;
		else
			c.head = m;
		c.tail = m;
		c.mbufs++;
	}
	return c;
}

/* Copies @m behind @tail if that is small enough to pay and fits. */
static bool pack(struct rte_mbuf *tail, const struct rte_mbuf *m)
{
	if (m->data_len >= TCP_MBUF_PAYLOAD_MIN || !is_ours_to_write(tail))
		return false;
	if (rte_pktmbuf_tailroom(tail) < m->data_len)
		return false;
	memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len),
		rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
	tail->data_len += m->data_len;
	return true;
}

/* A small mbuf must leave room behind it for others: half a buffer is enough for the average. */
static void to_front(struct rte_mbuf *m)
{
	if (m->data_len >= TCP_MBUF_PAYLOAD_MIN || !is_ours_to_write(m))
		return;
	if (rte_pktmbuf_tailroom(m) >= MBUF_DATA_BYTES / 2)
		return;
	memmove(m->buf_addr, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
	m->data_off = 0;
}

uint32_t tcp_chain_pack(struct rte_mbuf *before, struct tcp_chain *c)
{
	struct rte_mbuf *m, *next;
	struct tcp_chain packed = {0};
	uint32_t saved = 0;

	for (m = c->head; m; m = next) {
		next = m->next;
		m->next = NULL;
		if (before && pack(before, m)) {
			rte_pktmbuf_free_seg(m);
			saved++;
			continue;
		}
		to_front(m);
		tcp_chain_join(&packed, (struct tcp_chain){.head = m, .tail = m, .mbufs = 1});
		before = m;
	}
	*c = packed;
	return saved;
}

void tcp_chain_join(struct tcp_chain *to, struct tcp_chain c)
{
	if (!c.head)
		return;
	if (to->tail)
		to->tail->next = c.head;
	else
		to->head = c.head;
	to->tail = c.tail;
	to->mbufs += c.mbufs;
}

void tcp_chain_trim(struct tcp_chain *c, uint32_t bytes)
{
	struct rte_mbuf *done[BURST_MAX], *m; /* the pool takes them back in one go */
	unsigned count = 0;

	while (bytes > 0) {
		m = c->head;
		assert(m);
		if (bytes < m->data_len) {
			m->data_off += (uint16_t)bytes;
			m->data_len -= (uint16_t)bytes;
			m->pkt_len = m->data_len;
			break;
		}
		bytes -= m->data_len;
		c->head = m->next;
		c->mbufs--;
		m->next = NULL;
		done[count++] = m;
		if (count < BURST_MAX)
			continue;
		rte_pktmbuf_free_bulk(done, count);
		count = 0;
	}
	if (!c->head)
		c->tail = NULL;
	rte_pktmbuf_free_bulk(done, count);
}

void tcp_chain_clip(struct tcp_chain *c, uint32_t len)
{
	struct rte_mbuf *m = c->head;
	uint32_t keep = 0;

	for (; m && len > 0; m = m->next, keep++) {
		m->data_len = (uint16_t)RTE_MIN((uint32_t)m->data_len, len);
		m->pkt_len = m->data_len;
		len -= m->data_len;
	}
	tcp_chain_truncate(c, keep);
}

uint32_t tcp_chain_truncate(struct tcp_chain *c, uint32_t keep)
{
	struct rte_mbuf *last = NULL, *m = c->head, *next;
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < keep && m; i++) {
		last = m;
		m = m->next;
	}
	if (last)
		last->next = NULL;
	else
		c->head = NULL;
	c->tail = last;
	for (; m; m = next) {
		next = m->next;
		bytes += m->data_len;
		rte_pktmbuf_free_seg(m);
		c->mbufs--;
	}
	return bytes;
}

void tcp_chain_free(struct tcp_chain *c)
{
	tcp_chain_truncate(c, 0);
	assert(c->mbufs == 0 && !c->tail);
}
