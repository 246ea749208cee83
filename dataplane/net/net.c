/*
 * net.c - the room's door: bursts in, bursts out
 *
 * Holds what the parts below share, and the order of a turn. Packets come in and are handed down by
 * their kind; timers run; output is pulled, first what we owe the link (ARP, ND, pings, packets a
 * neighbour released), because TCP can go nowhere before, then TCP's, as much as the caller takes.
 * The first has half of what the caller takes while TCP has anything: who floods us with questions shall
 * not have the NIC's ring for the answers alone.
 *
 * The control queue is a ring of finished frames, bounded; what does not fit is lost as it could be
 * on the wire, and whoever queued it asks again on a timer of its own.
 *
 * Everything here belongs to one worker and nothing allocates after net_create().
 */
#include "dataplane/net/net.h"

#include <assert.h>
#include <errno.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "classifier/classifier.h"
#include "dataplane/net/link/arp.h"
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/link/nd.h"
#include "dataplane/net/net_impl.h"
#include "dataplane/net/ip/reass.h"
#include "dataplane/net/tcp/tcp_table.h"

/* A bijection of 64 bits in which each bit of the result depends on each of the argument. */
static uint64_t mix64(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t net_random(struct net *net)
{
	net->random += 0x9e3779b97f4a7c15ull;
	return mix64(net->random);
}

static uint64_t seed_of(const uint8_t secret[32])
{
	uint64_t seed = 0;

	for (int i = 0; i < 4; i++) {
		uint64_t word;

		memcpy(&word, secret + i * 8, sizeof(word));
		seed = mix64(seed ^ word);
	}
	return seed;
}

static bool is_good_config(const struct net_config *cfg)
{
	return cfg->addr_count <= NET_ADDR_MAX && cfg->mtu >= MTU_MIN && cfg->mtu <= MTU_MAX &&
	       cfg->rx_pool && cfg->hdr_pool && cfg->conn_max <= NET_CONN_MAX &&
	       cfg->local_port_count <= LOCAL_PORT_MAX;
}

/* Whom the classifier calls essential: who asks for us, and the gateways. */
static int addresses_publish(struct net *net)
{
	struct classifier *c = net->cfg.classifier;

	if (!c)
		return 0;
	classifier_address_clear(c);
	for (unsigned i = 0; i < net->cfg.addr_count; i++) {
		const struct net_addr *a = &net->cfg.addrs[i];
		int rc = classifier_address_add(c, a->ip.family, a->ip.addr);

		if (!rc && a->gateway.family)
			rc = classifier_gateway_add(c, a->gateway.family, a->gateway.addr);
		if (rc)
			return rc;
	}
	return 0;
}

struct net *net_create(const struct net_config *cfg)
{
	struct net *net;

	if (!is_good_config(cfg)) {
		rte_errno = EINVAL;
		return NULL;
	}
	rte_errno = ENOMEM;
	net = calloc(1, sizeof(*net));
	if (!net)
		return NULL;
	net->cfg = *cfg;
	net->random = seed_of(cfg->secret);
	net->ip4_id = (uint16_t)net_random(net);
	neigh_init(net);
	net->reass = reass_create();
	if (!net->reass)
		goto err_net;
	rte_errno = -addresses_publish(net);
	if (rte_errno)
		goto err_reass;
	net->tcp = tcp_table_create(net);
	if (!net->tcp)
		goto err_reass;
	return net;
err_reass:
	reass_destroy(net->reass);
err_net:
	free(net);
	return NULL;
}

static struct rte_mbuf *control_pop(struct net_control *q)
{
	struct rte_mbuf *m = q->slots[q->head];

	assert(q->count > 0);
	q->head = (q->head + 1) % NET_CONTROL_MAX;
	q->count--;
	return m;
}

void net_destroy(struct net *net)
{
	if (!net)
		return;
	tcp_table_destroy(net->tcp);
	reass_destroy(net->reass);
	neigh_fini(net);
	while (net->control.count > 0)
		rte_pktmbuf_free(control_pop(&net->control));
	free(net);
}

struct rte_mbuf *net_hdr_alloc(struct net *net)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(reserve_pool(net->cfg.hdr_pool));

	if (!m) {
		net->stats.hdr_alloc_failed++;
		return NULL;
	}
	reserve_force(m, OWNER_TX, net->now_us);
	return m;
}

void net_ether_prepend(const struct net *net, struct rte_mbuf *m, const uint8_t dst[6],
	uint16_t ethertype)
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

static void packet_input(struct net *net, struct rte_mbuf *m, const struct pkt_info *info,
	uint64_t now_us)
{
	net->stats.rx_packets++;
	net->stats.rx_bytes += m->pkt_len;
	/* The stack has no VLANs, and what a rule protects is the exception path's, not ours. */
	if (info->flags & (PKT_VLAN | PKT_RULE)) {
		ip_drop(m, &net->stats.rx_not_ours);
		return;
	}
	switch (info->l3) {
	case PKT_L3_ARP:
		arp_input(net, m, info, now_us);
		return;
	case PKT_L3_IP4:
		ip4_input(net, m, info, now_us);
		return;
	case PKT_L3_IP6:
		ip6_input(net, m, info, now_us);
		return;
	default:
		ip_drop(m, &net->stats.rx_bad_hdr);
	}
}

void net_input(struct net *net, struct rte_mbuf **m, const struct pkt_info *info, unsigned n,
	uint64_t now_us)
{
	assert(n <= BURST_MAX);
	assert(now_us >= net->now_us);
	net->now_us = now_us;
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *eaten = m[i];
		const uint8_t *frame;

		if (!eaten || (info[i].cls != PKT_PROTECTED && info[i].cls != PKT_ESSENTIAL))
			continue;
		m[i] = NULL;
		if (tcp_run_next(net, eaten, &info[i]))
			continue;
		frame = rte_pktmbuf_mtod(eaten, const uint8_t *);
		packet_input(net, eaten, &info[i], now_us);
		tcp_run_begin(net, frame, &info[i]);
	}
	tcp_run_end(net);
}

void net_timers(struct net *net, uint64_t now_us)
{
	assert(now_us >= net->now_us);
	net->now_us = now_us;
	neigh_timers(net, now_us);
	reass_timers(net, now_us);
	tcp_timers(net, now_us);
}

static unsigned control_take(struct net *net, struct rte_mbuf **out, unsigned max)
{
	unsigned n = 0;

	while (n < max && net->control.count > 0)
		out[n++] = control_pop(&net->control);
	return n;
}

unsigned net_output(struct net *net, struct rte_mbuf **out, unsigned max, uint64_t now_us)
{
	unsigned n;

	assert(now_us >= net->now_us);
	net->now_us = now_us;
	n = control_take(net, out, (max + 1) / 2);
	if (n < max)
		n += tcp_pull(net, out + n, max - n, now_us);
	/* A first packet to a new neighbour has just queued the question about it. */
	n += control_take(net, out + n, max - n);
	for (unsigned i = 0; i < n; i++)
		net->stats.tx_bytes += out[i]->pkt_len;
	net->stats.tx_packets += n;
	return n;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t net_deadline(const struct net *net)
{
	if (net->control.count > 0)
		return net->now_us;
	return min64(min64(neigh_deadline(net), reass_deadline(net->reass)), tcp_deadline(net));
}

static void announce(struct net *net, const struct net_ip *ip)
{
	if (ip->family == AF_INET)
		arp_announce(net, ip);
	else
		nd_announce(net, ip);
}

int net_addrs_set(struct net *net, const struct net_addr *addrs, unsigned count)
{
	struct net_addr old[NET_ADDR_MAX];
	unsigned old_count = net->cfg.addr_count;
	int rc;

	if (count > NET_ADDR_MAX)
		return -ENOSPC;
	memcpy(old, net->cfg.addrs, sizeof(old));
	for (unsigned i = 0; i < count; i++)
		net->cfg.addrs[i] = addrs[i];
	net->cfg.addr_count = count;
	rc = addresses_publish(net);
	for (unsigned i = 0; i < count; i++) {
		bool is_new = true;

		for (unsigned k = 0; k < old_count && is_new; k++)
			is_new = !ip_equal(&old[k].ip, &addrs[i].ip);
		if (is_new)
			announce(net, &addrs[i].ip);
	}
	tcp_path_changed(net);
	return rc;
}

int net_mtu_set(struct net *net, uint16_t mtu)
{
	if (mtu < MTU_MIN || mtu > MTU_MAX)
		return -EINVAL;
	net->cfg.mtu = mtu;
	tcp_path_changed(net);
	return 0;
}

void net_neigh_hint(struct net *net, const struct net_ip *ip, const uint8_t mac[6])
{
	neigh_hint(net, ip, mac);
}

void net_stats(const struct net *net, struct net_stats *out)
{
	*out = net->stats;
}

unsigned net_conns(const struct net *net, struct stream_info *out, unsigned max)
{
	return tcp_conn_infos(net, out, max);
}
