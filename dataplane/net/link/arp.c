/*
 * arp.c - ARP on Ethernet for IPv4
 *
 * Answers who asks for one of our addresses, asks for the next hops that the neighbour cache
 * needs, and updates the cache from every packet's sender fields (RFC 826: merge first, whatever
 * the question was). What a claim is worth is neigh.c's decision. A claim of one of our addresses
 * updates nothing; it is answered with a defence, at most once in ten seconds (RFC 5227 2.4 b).
 *
 * Questions and answers are header mbufs in the control queue; there is no state here.
 */
#include "dataplane/net/link/arp.h"

#include <assert.h>
#include <errno.h>
#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "classifier/classifier.h"
#include "dataplane/net/addr.h"
#include "dataplane/net/net_impl.h"

#define DEFEND_INTERVAL_US 10000000u

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t unknown[6];

/* One packet from our MAC; addresses in network order. 0 or -ENOBUFS. */
static int emit(struct net *net, uint16_t opcode, const uint8_t eth_dst[6], const uint8_t tha[6],
	const uint8_t spa[4], const uint8_t tpa[4])
{
	const uint16_t len = sizeof(struct rte_ether_hdr) + sizeof(struct rte_arp_hdr);
	struct rte_mbuf *m;
	uint8_t *frame = net_frame_build(net, eth_dst, RTE_ETHER_TYPE_ARP, len, &m);
	struct rte_arp_hdr *arp;

	if (!frame)
		return -ENOBUFS;
	arp = (struct rte_arp_hdr *)(frame + sizeof(struct rte_ether_hdr));
	arp->arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = 6;
	arp->arp_plen = 4;
	arp->arp_opcode = rte_cpu_to_be_16(opcode);
	memcpy(&arp->arp_data.arp_sha, net->cfg.mac, 6);
	memcpy(&arp->arp_data.arp_sip, spa, 4);
	memcpy(&arp->arp_data.arp_tha, tha, 6);
	memcpy(&arp->arp_data.arp_tip, tpa, 4);
	net->stats.arp_tx++;
	if (opcode == RTE_ARP_OP_REPLY)
		net_answer_push(net, m);
	else
		net_control_push(net, m);
	return 0;
}

int arp_ask(struct net *net, const struct net_ip *ip, const uint8_t *mac)
{
	const struct net_addr *local = ip_local_for(net, ip);

	assert(ip->family == AF_INET);
	if (!local)
		return -EADDRNOTAVAIL;
	return emit(net, RTE_ARP_OP_REQUEST, mac ? mac : broadcast, unknown, local->ip.addr,
		ip->addr);
}

void arp_announce(struct net *net, const struct net_ip *ip)
{
	assert(ip->family == AF_INET);
	emit(net, RTE_ARP_OP_REQUEST, broadcast, unknown, ip->addr, ip->addr);
}

static void defend(struct net *net, const struct net_ip *ip, uint64_t now_us)
{
	if (net->defended_us > 0 && now_us - net->defended_us < DEFEND_INTERVAL_US)
		return;
	net->defended_us = now_us;
	arp_announce(net, ip);
}

/* Only the answer to one of us is solicited; whatever else it says, it may have a new NIC. */
static enum neigh_claim claim_of(const struct rte_arp_hdr *arp, bool is_to_us)
{
	if (arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REPLY) && is_to_us)
		return NEIGH_CLAIM_ANSWER;
	return NEIGH_CLAIM_OVERRIDE;
}

static void handle(struct net *net, const struct rte_arp_hdr *arp, uint64_t now_us)
{
	const struct net_ip sender = ip4_addr(&arp->arp_data.arp_sip);
	const struct net_ip target = ip4_addr(&arp->arp_data.arp_tip);
	const uint8_t *sha = arp->arp_data.arp_sha.addr_bytes;
	bool is_to_us = ip_is_ours(net, &target);

	if (memcmp(sha, net->cfg.mac, 6) == 0)
		return; /* our own words, back from a mirror port or the kernel's side */
	if (ip_is_ours(net, &sender)) {
		defend(net, &sender, now_us);
		return;
	}
	if (arp->arp_data.arp_sip != 0)
		neigh_learn(net, &sender, sha, claim_of(arp, is_to_us), now_us);
	if (is_to_us && arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST) && !(sha[0] & 1))
		emit(net, RTE_ARP_OP_REPLY, sha, sha, target.addr, sender.addr);
}

void arp_input(struct net *net, struct rte_mbuf *m, const struct pkt_info *info, uint64_t now_us)
{
	const struct rte_arp_hdr *arp;

	net->stats.arp_rx++;
	if (rte_pktmbuf_data_len(m) < info->l3_off + sizeof(*arp)) {
		net_drop(m, &net->stats.rx_bad_hdr);
		return;
	}
	arp = rte_pktmbuf_mtod_offset(m, const struct rte_arp_hdr *, info->l3_off);
	if (arp->arp_hardware != rte_cpu_to_be_16(RTE_ARP_HRD_ETHER) ||
		arp->arp_protocol != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) || arp->arp_hlen != 6 ||
		arp->arp_plen != 4) {
		net_drop(m, &net->stats.rx_bad_hdr);
		return;
	}
	handle(net, arp, now_us);
	rte_pktmbuf_free(m);
}
