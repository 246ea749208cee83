/*
 * ip_in.c - what both families do with a packet for us before TCP sees it
 *
 * Checksums first: nothing of a segment is believed before they add up, by the port's word or by
 * ours. Padding behind the datagram is cut off, so that above here a packet's length is its
 * datagram's.
 *
 * Packets are eaten. No state. One worker.
 */
#include <assert.h>
#include <netinet/in.h>
#include <rte_mbuf.h>
#include "dataplane/net/csum.h"
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/net_impl.h"
#include "dataplane/net/ip/reass.h"

bool ip_trim(struct rte_mbuf *m, uint32_t end_off)
{
	uint32_t extra;

	if (end_off > m->pkt_len)
		return false;
	extra = m->pkt_len - end_off;
	if (extra == 0)
		return true;
	return extra <= UINT16_MAX && rte_pktmbuf_trim(m, (uint16_t)extra) == 0;
}

struct rte_mbuf *ip_reassemble(struct net *net, struct rte_mbuf *m, struct reass_frag *frag,
	struct ip_in *in, uint64_t now_us)
{
	net->stats.frag_rx++;
	frag->src = in->src;
	frag->dst = in->dst;
	frag->ecn = in->ecn;
	frag->payload_off = in->l4_off;
	frag->payload_len = in->l4_len;
	m = reass_input(net, m, frag, now_us);
	if (!m)
		return NULL;
	m->ol_flags &= ~RTE_MBUF_F_RX_L4_CKSUM_MASK; /* that was about one fragment */
	in->ecn = frag->ecn;
	in->l4_off = frag->payload_off;
	in->l4_len = frag->payload_len;
	return m;
}

bool ip_l4_csum_good(const struct rte_mbuf *m, const struct ip_in *in, uint8_t proto)
{
	uint32_t sum = 0;

	if (proto != IPPROTO_ICMP)
		sum = csum_pseudo(&in->src, &in->dst, proto, in->l4_len);
	return csum_fold(csum_mbuf(sum, m, in->l4_off, in->l4_len)) == 0;
}

/*
 * GOOD and NONE (a sender on the same host left the sum to a card that was not needed; the data
 * never was on a wire) are the port's word and taken where the port may be believed. A reassembled
 * chain has no flags and is summed.
 */
bool ip_tcp_csum_good(const struct net *net, const struct rte_mbuf *m, const struct ip_in *in)
{
	uint64_t verdict = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	if (net->cfg.offload.rx_csum) {
		if (verdict == RTE_MBUF_F_RX_L4_CKSUM_BAD)
			return false;
		if (verdict == RTE_MBUF_F_RX_L4_CKSUM_GOOD ||
			verdict == RTE_MBUF_F_RX_L4_CKSUM_NONE)
			return true;
	}
	return ip_l4_csum_good(m, in, IPPROTO_TCP);
}

