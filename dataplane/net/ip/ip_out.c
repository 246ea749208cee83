/*
 * ip_out.c - from an L4 message to a frame
 *
 * The last to touch a packet. What the port does not do is done here: the checksum over header and
 * attached payload alike, without copying any of it. For the port the pseudo header's sum is left
 * in the checksum field, without the length when the port cuts the packet itself (TSO). A port may
 * have TSO without the IPv4 header checksum (virtio): then the sum is that of the uncut packet, as
 * such ports expect.
 *
 * IPv4 packets of TCP have DF set, so their ID says nothing (RFC 6864 4.1); it still counts, for
 * routers that fragment them anyway and for paths that TCP lets fragment, as they are narrower
 * than its smallest packet. Other packets get one by chance.
 *
 * Packets are eaten; those that wait for a neighbour are held by neigh.c. One worker.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/csum.h"
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/net_impl.h"

#define TCP_CSUM_OFF  16
#define ICMP_CSUM_OFF 2

/* The path's slot may have been given to another path. Out: false when no slot is free. */
static bool path_refresh(struct net *net, struct ip_path *path)
{
	if (path->neigh_idx != NEIGH_NONE &&
		net->neigh.slots[path->neigh_idx].gen == path->neigh_gen)
		return true;
	path->neigh_idx = neigh_want(net, &path->next_hop);
	if (path->neigh_idx == NEIGH_NONE)
		return false;
	path->neigh_gen = net->neigh.slots[path->neigh_idx].gen;
	return true;
}

/* Pseudo header for a port that finishes the checksum; with TSO it adds each length itself. */
static void csum_offload(
	const struct ip_path *path, struct rte_mbuf *m, uint8_t *field, uint16_t tso_segsz)
{
	uint32_t len = tso_segsz ? 0 : m->pkt_len;
	uint32_t sum = csum_pseudo(&path->local, &path->remote, IPPROTO_TCP, len);
	uint16_t csum = (uint16_t)~csum_fold(sum);

	memcpy(field, &csum, sizeof(csum));
	m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
}

static void csum_software(
	const struct ip_path *path, const struct rte_mbuf *m, uint8_t *field, uint8_t proto)
{
	uint32_t sum = 0;
	uint16_t csum;

	if (proto != IPPROTO_ICMP)
		sum = csum_pseudo(&path->local, &path->remote, proto, m->pkt_len);
	csum = csum_fold(csum_mbuf(sum, m, 0, m->pkt_len));
	memcpy(field, &csum, sizeof(csum));
}

static void l4_finish(struct net *net, const struct ip_path *path, struct rte_mbuf *m,
	uint8_t proto, uint16_t tso_segsz)
{
	uint8_t *l4 = rte_pktmbuf_mtod(m, uint8_t *);

	m->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
	if (proto != IPPROTO_TCP) {
		assert(tso_segsz == 0);
		csum_software(path, m, l4 + ICMP_CSUM_OFF, proto);
		return;
	}
	m->l4_len = (uint8_t)((l4[12] >> 4) * 4);
	assert(m->l4_len >= 20 && m->l4_len <= m->data_len);
	if (net->cfg.offload.tx_tcp_csum)
		csum_offload(path, m, l4 + TCP_CSUM_OFF, tso_segsz);
	else
		csum_software(path, m, l4 + TCP_CSUM_OFF, proto);
	if (tso_segsz) {
		m->tso_segsz = tso_segsz;
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	}
}

/* What strangers get from us (pings) has no part in the count, or it would tell them how much we
 * send. */
static uint16_t ip4_id(struct net *net, uint8_t proto)
{
	return proto == IPPROTO_TCP ? net->ip4_id++ : (uint16_t)net_random(net);
}

static void ip4_prepend(
	struct net *net, const struct ip_path *path, struct rte_mbuf *m, uint8_t proto, uint8_t tos)
{
	uint32_t total = m->pkt_len + IP4_HDR_BYTES;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)rte_pktmbuf_prepend(m, IP4_HDR_BYTES);

	assert(ip);
	assert(total <= UINT16_MAX);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = 0x45,
		.type_of_service = tos,
		.total_length = rte_cpu_to_be_16((uint16_t)total),
		.packet_id = rte_cpu_to_be_16(ip4_id(net, proto)),
		.time_to_live = IP_TTL_DEFAULT,
		.next_proto_id = proto,
	};
	if (proto == IPPROTO_TCP && !path->may_fragment)
		ip->fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG);
	memcpy(&ip->src_addr, path->local.addr, 4);
	memcpy(&ip->dst_addr, path->remote.addr, 4);
	m->ol_flags |= RTE_MBUF_F_TX_IPV4;
	if (net->cfg.offload.tx_ip_csum)
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	else
		ip->hdr_checksum = csum_fold(csum_add(0, ip, IP4_HDR_BYTES));
	m->l3_len = IP4_HDR_BYTES;
}

static void ip6_prepend(const struct ip_path *path, struct rte_mbuf *m, uint8_t proto, uint8_t tos)
{
	uint32_t len = m->pkt_len;
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)rte_pktmbuf_prepend(m, IP6_HDR_BYTES);

	assert(ip);
	assert(len <= UINT16_MAX);
	ip->vtc_flow = rte_cpu_to_be_32(6u << 28 | (uint32_t)tos << 20);
	ip->payload_len = rte_cpu_to_be_16((uint16_t)len);
	ip->proto = proto;
	ip->hop_limits = IP_TTL_DEFAULT;
	memcpy(&ip->src_addr, path->local.addr, 16);
	memcpy(&ip->dst_addr, path->remote.addr, 16);
	m->ol_flags |= RTE_MBUF_F_TX_IPV6;
	m->l3_len = IP6_HDR_BYTES;
}

/* The message gets its checksum and its IP header; Ethernet is the neighbour's. */
static void packet_build(struct net *net, const struct ip_path *path, struct rte_mbuf *m,
	uint8_t proto, uint8_t tos, uint16_t tso_segsz)
{
	assert(path->local.family == path->remote.family);
	l4_finish(net, path, m, proto, tso_segsz);
	if (path->remote.family == AF_INET)
		ip4_prepend(net, path, m, proto, tos);
	else
		ip6_prepend(path, m, proto, tos);
}

int ip_output(struct net *net, struct ip_path *path, struct rte_mbuf *m, uint8_t proto,
	uint8_t tos_ecn, uint16_t tso_segsz, uint64_t now_us, struct rte_mbuf **out)
{
	assert(tso_segsz == 0 || net->cfg.offload.tx_tso);
	if (!path_refresh(net, path)) {
		rte_pktmbuf_free(m);
		return -ENOBUFS;
	}
	packet_build(net, path, m, proto, tos_ecn, tso_segsz);
	return neigh_send(net, path->neigh_idx, m, now_us, out);
}

void ip_output_like(struct net *net, const struct ip_path *path, struct rte_mbuf *m)
{
	uint8_t *l3 = rte_pktmbuf_mtod_offset(m, uint8_t *, m->l2_len), *l4 = l3 + m->l3_len;
	uint32_t hdr_bytes = m->l2_len + m->l3_len, l4_bytes = m->pkt_len - hdr_bytes;
	uint16_t csum = 0;

	if (path->remote.family == AF_INET) {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)l3;

		ip->packet_id = rte_cpu_to_be_16(ip4_id(net, IPPROTO_TCP));
		if (!(m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM)) {
			ip->hdr_checksum = 0;
			ip->hdr_checksum = csum_fold(csum_add(0, ip, IP4_HDR_BYTES));
		}
	}
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM)
		return; /* the pseudo header's sum is the same */
	memcpy(l4 + TCP_CSUM_OFF, &csum, sizeof(csum));
	csum = csum_fold(csum_mbuf(csum_pseudo(&path->local, &path->remote, IPPROTO_TCP, l4_bytes),
		m, hdr_bytes, l4_bytes));
	memcpy(l4 + TCP_CSUM_OFF, &csum, sizeof(csum));
}

void ip_reply(struct net *net, const struct ip_in *in, const uint8_t mac[6], struct rte_mbuf *m,
	uint8_t proto)
{
	const struct ip_path path = {.local = in->dst, .remote = in->src};

	packet_build(net, &path, m, proto, 0, 0);
	net_ether_prepend(
		net, m, mac, in->src.family == AF_INET ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	net_answer_push(net, m);
}
