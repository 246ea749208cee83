/*
 * ip4.c - IPv4 packets for us (RFC 791, RFC 1122 3.2)
 *
 * The classifier has walked the header and checked every length against the frame; what is left is
 * what it does not look at: the header's checksum, whose the packet is, and fragments. Options were
 * stepped over and mean nothing to an end host here; a source route changes nothing either, since
 * only our own address is ours.
 *
 * Of fragments only TCP's are put together: a ping that needs them is not answered.
 *
 * Packets are eaten. No state. One worker.
 */
#include <assert.h>
#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include "classifier/classifier.h"
#include "dataplane/net/csum.h"
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/net_impl.h"
#include "dataplane/net/ip/reass.h"

#define FRAG_UNIT_BYTES 8

bool ip4_hdr_csum_good(
	const struct net *net, const struct rte_mbuf *m, uint32_t hdr_off, uint32_t hdr_len)
{
	uint64_t verdict = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;

	if (net->cfg.offload.rx_csum) {
		if (verdict == RTE_MBUF_F_RX_IP_CKSUM_BAD)
			return false;
		if (verdict == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
			return true;
	}
	return csum_fold(csum_add(
		       0, rte_pktmbuf_mtod_offset(m, const uint8_t *, hdr_off), hdr_len)) == 0;
}

static struct rte_mbuf *fragment(struct net *net, struct rte_mbuf *m, const struct rte_ipv4_hdr *ip,
	struct ip_in *in, uint64_t now_us)
{
	uint16_t field = rte_be_to_cpu_16(ip->fragment_offset);
	struct reass_frag frag = {
		.id = rte_be_to_cpu_16(ip->packet_id),
		.proto = ip->next_proto_id,
		.frag_off = (uint16_t)((field & RTE_IPV4_HDR_OFFSET_MASK) * FRAG_UNIT_BYTES),
		.has_more = field & RTE_IPV4_HDR_MF_FLAG,
	};

	if (ip->next_proto_id != IPPROTO_TCP) {
		net_drop(m, &net->stats.reass_drop);
		return NULL;
	}
	return ip_reassemble(net, m, &frag, in, now_us);
}

struct rte_mbuf *ip4_input(struct net *net, struct rte_mbuf *m, const struct pkt_info *info,
	uint64_t now_us, struct ip_in *in)
{
	const struct rte_ipv4_hdr *ip;
	bool is_known;

	assert(info->l3_off + info->l3_len <= rte_pktmbuf_data_len(m));
	assert(info->l3_len >= IP4_HDR_BYTES && info->l4_off == info->l3_off + info->l3_len);
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, info->l3_off);
	if (!ip4_hdr_csum_good(net, m, info->l3_off, info->l3_len)) {
		net_drop(m, &net->stats.rx_bad_csum);
		return NULL;
	}
	*in = (struct ip_in){
		.src = ip4_addr(&ip->src_addr),
		.dst = ip4_addr(&ip->dst_addr),
		.ecn = ip->type_of_service & 3,
		.ttl = ip->time_to_live,
		.proto = ip->next_proto_id,
		.l4_off = info->l4_off,
		.l4_len = info->end_off - info->l4_off,
		.flow = info->flow,
	};
	/* A flow of ours was found under these very addresses, so they need no second look. */
	is_known = info->flow != FLOW_NONE && in->proto == IPPROTO_TCP;
	if ((!is_known && !ip_is_ours(net, &in->dst)) || (info->flags & PKT_MULTICAST)) {
		net_drop(m, &net->stats.rx_not_ours);
		return NULL;
	}
	if ((!is_known && !ip_is_possible_source(net, &in->src)) || !ip_trim(m, info->end_off)) {
		net_drop(m, &net->stats.rx_bad_hdr);
		return NULL;
	}
	if (info->flags & PKT_FRAGMENT) {
		m = fragment(net, m, ip, in, now_us);
		if (!m)
			return NULL;
	}
	if (in->proto != IPPROTO_TCP && in->proto != IPPROTO_ICMP) {
		net_drop(m, &net->stats.rx_not_ours);
		return NULL;
	}
	return m;
}
