/*
 * stt_link.c - the wire between the driver and the stack
 *
 * The driver deals in IP packets, the stack in Ethernet frames. Frames go in through the classifier
 * and net_input as a worker would send them, one to a burst, or, between stt_burst_begin() and
 * stt_burst_end(), as many as a burst holds. What the classifier leaves to the
 * kernel is given to the stack all the same when it is addressed to us, so a segment without a
 * connection is answered as RFC 9293 3.10.7.1 says; in the product the kernel answers those.
 *
 * ARP requests and neighbour solicitations of the stack are answered here at once.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>
#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include "classifier/classifier.h"
#include "mempool_reserve/reserve.h"
#include "tests/abi/stt_burst.h"
#include "tests/abi/stt_impl.h"

#define NA_BYTES (sizeof(struct nd_neighbor_advert) + 8)
#define FRAME_NA_BYTES (sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv6_hdr) + NA_BYTES)

const uint8_t stt_local_mac[6] = {0x02, 0, 0, 0, 0, 0x01};
const uint8_t stt_peer_mac[6] = {0x02, 0, 0, 0, 0, 0x02};

static void burst_in(struct stt *t, struct rte_mbuf **m, unsigned n)
{
	struct pkt_info info[BURST_MAX];

	classify_burst(t->classifier, m, n, info);
	for (unsigned i = 0; i < n; i++)
		if (info[i].cls == PKT_EXCEPTION &&
			(info[i].l4_proto == IPPROTO_TCP || info[i].l4_proto == IPPROTO_ICMP ||
				info[i].l4_proto == IPPROTO_ICMPV6))
			info[i].cls = PKT_PROTECTED;
	net_input(t->net, m, info, n, t->now_us);
	for (unsigned i = 0; i < n; i++)
		rte_pktmbuf_free(m[i]); /* NULL when it was eaten */
	stt_events(t);
}

void stt_link_in(struct stt *t, struct rte_mbuf *m)
{
	reserve_force(m, OWNER_UNCLASSIFIED, t->now_us);
	if (!t->is_burst) {
		burst_in(t, &m, 1);
		return;
	}
	t->burst[t->burst_count++] = m;
	if (t->burst_count < BURST_MAX)
		return;
	burst_in(t, t->burst, t->burst_count);
	t->burst_count = 0;
}

void stt_burst_begin(struct stt *t)
{
	t->is_burst = true;
}

void stt_burst_end(struct stt *t)
{
	if (t->burst_count > 0)
		burst_in(t, t->burst, t->burst_count);
	t->burst_count = 0;
	t->is_burst = false;
}

uint64_t stt_run_segs(const struct stt *t)
{
	struct net_stats stats;

	net_stats(t->net, &stats);
	return stats.tcp_run_segs;
}

static void answer(struct stt *t, const void *frame, uint16_t len)
{
	struct rte_mbuf *m;

	stt_fault_suspend();
	m = rte_pktmbuf_alloc(reserve_pool(t->rx_pool));
	stt_fault_resume();
	if (!m)
		return; /* the stack asks again */
	memcpy(rte_pktmbuf_append(m, len), frame, len);
	stt_link_in(t, m);
}

static void answer_arp(struct stt *t, const struct rte_arp_hdr *ask)
{
	uint8_t frame[60] = {0};
	struct rte_ether_hdr *eth = (void *)frame;
	struct rte_arp_hdr *arp = (void *)(eth + 1);

	if (ask->arp_opcode != rte_cpu_to_be_16(RTE_ARP_OP_REQUEST) ||
		ask->arp_data.arp_tip != t->cfg.peer_ip4)
		return;
	memcpy(&eth->dst_addr, stt_local_mac, 6);
	memcpy(&eth->src_addr, stt_peer_mac, 6);
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP);
	*arp = *ask;
	arp->arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
	memcpy(&arp->arp_data.arp_sha, stt_peer_mac, 6);
	arp->arp_data.arp_sip = ask->arp_data.arp_tip;
	arp->arp_data.arp_tha = ask->arp_data.arp_sha;
	arp->arp_data.arp_tip = ask->arp_data.arp_sip;
	answer(t, frame, sizeof(frame));
}

static void answer_nd(struct stt *t, const struct rte_ipv6_hdr *ask)
{
	/* Two bytes before the frame, so that what lies behind the 14 of Ethernet is aligned. */
	uint8_t room[2 + FRAME_NA_BYTES] __attribute__((aligned(4))) = {0};
	uint8_t *frame = room + 2;
	struct rte_ether_hdr *eth = (void *)frame;
	struct rte_ipv6_hdr *ip = (void *)(eth + 1);
	struct nd_neighbor_advert *na = (void *)(ip + 1);
	uint8_t *option = (uint8_t *)(na + 1);
	const struct nd_neighbor_solicit *ns = (const void *)(ask + 1);

	if (memcmp(&ns->nd_ns_target, t->cfg.peer_ip6, 16) != 0)
		return;
	memcpy(&eth->dst_addr, stt_local_mac, 6);
	memcpy(&eth->src_addr, stt_peer_mac, 6);
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6);
	ip->vtc_flow = rte_cpu_to_be_32(6u << 28);
	ip->payload_len = rte_cpu_to_be_16(NA_BYTES);
	ip->proto = IPPROTO_ICMPV6;
	ip->hop_limits = 255;
	memcpy(&ip->src_addr, t->cfg.peer_ip6, 16);
	memcpy(&ip->dst_addr, &ask->src_addr, 16);
	na->nd_na_type = ND_NEIGHBOR_ADVERT;
	na->nd_na_flags_reserved = ND_NA_FLAG_SOLICITED | ND_NA_FLAG_OVERRIDE;
	memcpy(&na->nd_na_target, t->cfg.peer_ip6, 16);
	option[0] = ND_OPT_TARGET_LINKADDR;
	option[1] = 1;
	memcpy(&option[2], stt_peer_mac, 6);
	na->nd_na_cksum = rte_ipv6_udptcp_cksum(ip, na);
	answer(t, frame, FRAME_NA_BYTES);
}

/* True when the frame concerned the link only. */
static bool is_link_business(struct stt *t, const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv6_hdr *ip6 = (const void *)(eth + 1);
	const uint8_t *icmp6 = (const uint8_t *)(ip6 + 1);

	if (eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP)) {
		answer_arp(t, (const struct rte_arp_hdr *)(eth + 1));
		return true;
	}
	if (eth->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6) ||
		ip6->proto != IPPROTO_ICMPV6 || icmp6[0] < ND_ROUTER_SOLICIT ||
		icmp6[0] > ND_REDIRECT)
		return false;
	if (icmp6[0] == ND_NEIGHBOR_SOLICIT)
		answer_nd(t, ip6);
	return true;
}

void stt_link_pull(struct stt *t)
{
	struct rte_mbuf *out[BURST_MAX];
	bool has_more = true;

	while (has_more && t->fifo_count + BURST_MAX <= STT_FIFO_MAX) {
		unsigned n = net_output(t->net, out, BURST_MAX, t->now_us);

		has_more = n == BURST_MAX;
		for (unsigned i = 0; i < n; i++) {
			if (is_link_business(t, out[i])) {
				rte_pktmbuf_free(out[i]);
				has_more = true; /* an answer may have released something */
				continue;
			}
			t->fifo[(t->fifo_head + t->fifo_count++) % STT_FIFO_MAX] = out[i];
		}
	}
	stt_events(t);
}
