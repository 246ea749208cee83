/*
 * worker_misdirected.c - packets at the wrong worker of a port with several
 *
 * Which queue a packet arrives at is the NIC's choice. Connections are opened so that it chooses
 * their worker's (volume_conn.c tries local ports until it does), but some packets are misdirected
 * nevertheless: the first reply to each such try; what comes after a long silence, when a switch
 * that follows flows has forgotten; ARP and ND, which have no ports, and ICMP errors, which come
 * from anywhere. Lost, the first would be a connection that dies after it was idle and the second a
 * worker that never learns its neighbour. So they are handed over as bytes (handover.c).
 *
 *   - TCP to a local port that is a sibling's goes to that sibling.
 *   - Answers that any worker may have asked for (ARP and ND replies, ICMP errors) go to every
 *     sibling too, and each decides whether they concern it; so does an announcement, which a
 *     server that failed over makes but once. Questions (other ARP requests, pings) are answered
 *     where they arrive, once.
 *
 * What was handed over is classified like any packet, BURST_MAX at most a turn, so the bound on
 * unclassified mbufs holds; what belongs to no worker is dropped there, never handed on.
 */
#include <assert.h>
#include <netinet/in.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <rte_mbuf.h>
#include <string.h>
#include "dataplane/handover.h"
#include "dataplane/worker_impl.h"
#include "mempool_reserve/reserve.h"

#define ARP_OP_OFF     6
#define ARP_OP_REQUEST 1
#define ARP_OP_REPLY   2
#define ARP_SENDER_OFF 14
#define ARP_TARGET_OFF 24
#define ARP_BYTES      28
#define PACKETS_A_TURN 8 /* each may be as long as LRO makes it */

/*
 * A reply, or an announcement: a request for the sender's own address is an announcement (RFC 5227
 * 2.3), also for each worker's cache.
 */
static bool arp_is_for_everybody(const struct rte_mbuf *m, uint32_t off)
{
	uint8_t buf[ARP_BYTES];
	const uint8_t *arp = rte_pktmbuf_read(m, off, sizeof(buf), buf);

	if (!arp || arp[ARP_OP_OFF] != 0)
		return false;
	if (arp[ARP_OP_OFF + 1] == ARP_OP_REPLY)
		return true;
	return arp[ARP_OP_OFF + 1] == ARP_OP_REQUEST &&
	       memcmp(arp + ARP_SENDER_OFF, arp + ARP_TARGET_OFF, 4) == 0;
}

/* Is it a reply to a request of this host, of which only the requester can tell? */
static bool is_for_everybody(const struct rte_mbuf *m, const struct pkt_info *info)
{
	const uint8_t *at;
	uint8_t buf[2];

	if (info->flags & (PKT_VLAN | PKT_FRAGMENT))
		return false;
	if (info->l3 == PKT_L3_ARP)
		return arp_is_for_everybody(m, info->l3_off);
	at = rte_pktmbuf_read(m, info->l4_off, sizeof(buf), buf);
	if (!at)
		return false;
	if (info->l3 == PKT_L3_IP4 && info->l4_proto == IPPROTO_ICMP)
		return at[0] == ICMP_DEST_UNREACH || at[0] == ICMP_TIME_EXCEEDED ||
		       at[0] == ICMP_PARAMETERPROB;
	if (info->l3 == PKT_L3_IP6 && info->l4_proto == IPPROTO_ICMPV6)
		return at[0] < ICMP6_ECHO_REQUEST || at[0] == ND_NEIGHBOR_ADVERT;
	return false;
}

/* The worker whose connection this packet is of, or HANDOVER_NOBODY. */
static unsigned owner_of(const struct worker *w, const struct pkt_info *info)
{
	bool has_ports = (info->flags & (PKT_FRAGMENT | PKT_FRAGMENT_FIRST)) != PKT_FRAGMENT;

	if (info->cls != PKT_EXCEPTION || info->l4_proto != IPPROTO_TCP || !has_ports ||
		(info->flags & PKT_VLAN))
		return HANDOVER_NOBODY;
	return handover_port_owner(w->cfg.handover, info->dport);
}

static void hand_over(struct worker *w, unsigned to, const struct rte_mbuf *m, uint32_t *woken)
{
	if (!handover_put(w->cfg.handover, w->cfg.queue, to, m)) {
		w->stats.misdirected_lost++;
		return;
	}
	*woken |= 1u << to;
}

static void misdirected_put(
	struct worker *w, struct rte_mbuf **m, const struct pkt_info *info, uint32_t *woken)
{
	unsigned workers = handover_worker_count(w->cfg.handover), to;

	if (info->cls == PKT_BAD)
		return;
	if (is_for_everybody(*m, info)) {
		for (to = 0; to < workers; to++)
			if (to != w->cfg.queue)
				hand_over(w, to, *m, woken);
		return;
	}
	to = owner_of(w, info);
	if (to >= workers || to == w->cfg.queue)
		return;
	w->stats.misdirected_out++;
	hand_over(w, to, *m, woken);
	rte_pktmbuf_free(*m);
	*m = NULL;
}

void misdirected_hand_over(
	struct worker *w, struct rte_mbuf **m, const struct pkt_info *info, unsigned n)
{
	uint32_t woken = 0;
	unsigned i;

	if (!w->cfg.handover)
		return;
	for (i = 0; i < n; i++)
		if (info[i].cls != PKT_PROTECTED)
			misdirected_put(w, &m[i], &info[i], &woken);
	for (i = 0; i < WORKER_MAX; i++)
		if (woken & (1u << i))
			idle_wake(w->cfg.siblings[i]);
}

static unsigned misdirected_collect(struct worker *w, struct rte_mbuf **m)
{
	unsigned workers = handover_worker_count(w->cfg.handover), from, n = 0;

	for (from = 0; from < workers; from++) {
		while (from != w->cfg.queue && n < PACKETS_A_TURN) {
			m[n] = handover_take(w->cfg.handover, from, w->cfg.queue, w->cfg.rx_pool);
			if (!m[n])
				break;
			n++;
		}
	}
	return n;
}

unsigned misdirected_turn(struct worker *w, uint64_t now_us)
{
	struct rte_mbuf *m[PACKETS_A_TURN];
	struct pkt_info info[PACKETS_A_TURN];
	unsigned i, n = w->cfg.handover ? misdirected_collect(w, m) : 0;

	if (n == 0)
		return 0;
	for (i = 0; i < n; i++)
		reserve_force(m[i], OWNER_UNCLASSIFIED, now_us);
	classify_burst(w->classifier, m, n, info);
	for (i = 0; i < n; i++) {
		if (info[i].cls == PKT_PROTECTED && info[i].flow != FLOW_NONE) {
			w->stats.misdirected_in++;
			net_misdirected_note(w->net, info[i].flow);
		} else if (info[i].cls != PKT_ESSENTIAL) {
			rte_pktmbuf_free(m[i]);
			m[i] = NULL;
		}
	}
	net_input(w->net, m, info, n, now_us);
	return n;
}
