/*
 * frame.c - what every layer of the stack makes frames from: headers, queue, chance
 *
 * A header mbuf comes from the header pool, which receiving can never empty, and is charged to
 * OWNER_TX. The control queue is a ring of finished frames, bounded: what does not fit is lost as
 * it could be on the wire, and each protocol that queues a frame sends it again by a timer of its
 * own.
 *
 * A pool's call, its statistics and the ledger cost more than the mbuf, and for a dozen mbufs the
 * same as for one. So while TCP's packets are pulled the mbufs come from two small stocks, which
 * are filled by the number that was needed before and emptied at the end of the pull: between calls
 * of net_output() nothing rests here. Mbufs of the header stock are OWNER_TX's.
 *
 * Below ARP, ND, IP and TCP. Mbufs are eaten by the two pushes and by net_drop(). Nothing
 * allocates; worker thread.
 */
#include "dataplane/net/frame.h"

#include <assert.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <string.h>
#include "dataplane/net/net_impl.h"

/* A bijection of 64 bits in which each bit of the result depends on each of the argument. */
uint64_t net_mix64(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t net_random(struct net *net)
{
	net->random += 0x9e3779b97f4a7c15ull;
	return net_mix64(net->random);
}

/* Fills the empty @stock from @pool. Out: how many came; 0: the pool has none. */
static __rte_noinline uint32_t stock_fill(struct net_stock *stock, struct rte_mempool *pool)
{
	uint32_t n = stock->step;

	if (rte_mempool_get_bulk(pool, (void **)stock->mbufs, n)) {
		n = 1;
		if (rte_mempool_get_bulk(pool, (void **)stock->mbufs, n))
			return 0;
	}
	stock->step = RTE_MIN(2 * n, NET_STOCK_MAX);
	stock->count = n;
	stock->used += n;
	return n;
}

static inline struct rte_mbuf *stock_pop(struct net_stock *stock)
{
	struct rte_mbuf *m = stock->mbufs[--stock->count];

	rte_pktmbuf_reset(m);
	return m;
}

/* The stock is empty, or closed. The first of a pull goes alone where the last pull needed one. */
static __rte_noinline struct rte_mbuf *hdr_alloc(struct net *net)
{
	struct net_stock *stock = &net->hdr_stock;
	struct rte_mempool *pool = reserve_pool(net->cfg.hdr_pool);
	struct rte_mbuf *m = NULL;
	uint32_t n;

	if (!net->is_stock_open || stock->step <= 1) {
		m = rte_pktmbuf_alloc(pool);
		if (m)
			reserve_force(m, OWNER_TX, net->now_us);
		if (net->is_stock_open)
			stock->step = 2;
	} else if ((n = stock_fill(stock, pool)) > 0) {
		reserve_force_burst(
			net->cfg.hdr_pool, stock->mbufs, n, OWNER_RING, OWNER_TX, net->now_us);
		m = stock_pop(stock);
	}
	net->stats.hdr_alloc_failed += !m;
	return m;
}

struct rte_mbuf *net_hdr_alloc(struct net *net)
{
	return net->hdr_stock.count > 0 ? stock_pop(&net->hdr_stock) : hdr_alloc(net);
}

struct rte_mbuf *net_ext_alloc(struct net *net)
{
	struct net_stock *stock = &net->ext_stock;

	if (stock->count > 0)
		return stock_pop(stock);
	if (!net->is_stock_open || stock->step <= 1) {
		if (net->is_stock_open)
			stock->step = 2;
		return rte_pktmbuf_alloc(net->cfg.ext_pool);
	}
	return stock_fill(stock, net->cfg.ext_pool) ? stock_pop(stock) : NULL;
}

static void stock_settle(struct net_stock *stock, struct rte_mempool *pool)
{
	if (stock->count > 0)
		rte_mempool_put_bulk(pool, (void *const *)stock->mbufs, stock->count);
	stock->step = RTE_MAX(1u, RTE_MIN(stock->used - stock->count, NET_STOCK_MAX));
	stock->used = stock->count = 0;
}

void net_stock_settle(struct net *net)
{
	stock_settle(&net->hdr_stock, reserve_pool(net->cfg.hdr_pool));
	stock_settle(&net->ext_stock, net->cfg.ext_pool);
}

void net_ether_prepend(
	const struct net *net, struct rte_mbuf *m, const uint8_t dst[6], uint16_t ethertype)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)rte_pktmbuf_prepend(m, sizeof(*eth));

	assert(eth); /* ip_output() asks for the headroom */
	memcpy(&eth->dst_addr, dst, RTE_ETHER_ADDR_LEN);
	memcpy(&eth->src_addr, net->cfg.mac, RTE_ETHER_ADDR_LEN);
	eth->ether_type = rte_cpu_to_be_16(ethertype);
	m->l2_len = sizeof(*eth);
}

uint8_t *net_frame_build(struct net *net, const uint8_t dst[6], uint16_t ethertype, uint16_t len,
	struct rte_mbuf **m)
{
	struct rte_mbuf *frame = net_hdr_alloc(net);
	uint8_t *body;

	assert(len > sizeof(struct rte_ether_hdr));
	if (!frame)
		return NULL;
	len -= sizeof(struct rte_ether_hdr);
	body = (uint8_t *)rte_pktmbuf_append(frame, len);
	assert(body);
	memset(body, 0, len);
	net_ether_prepend(net, frame, dst, ethertype);
	*m = frame;
	return body - sizeof(struct rte_ether_hdr);
}

void net_control_push(struct net *net, struct rte_mbuf *m)
{
	struct net_control *q = &net->control;

	if (q->count == NET_CONTROL_MAX) {
		rte_pktmbuf_free(m);
		return;
	}
	q->slots[(q->head + q->count) % NET_CONTROL_MAX] = m;
	q->count++;
}

void net_answer_push(struct net *net, struct rte_mbuf *m)
{
	if (net->control.count >= NET_ANSWER_MAX)
		rte_pktmbuf_free(m);
	else
		net_control_push(net, m);
}

void net_drop(struct rte_mbuf *m, uint64_t *counter)
{
	++*counter;
	rte_pktmbuf_free(m);
}
