/*
 * net.c - the room's door: bursts in, bursts out
 *
 * Holds what the parts below share, and the order of a turn. Packets come in and are handed down
 * by their kind; timers run; output is pulled, first what we owe the link (ARP, ND, pings, packets
 * a neighbour released), because TCP can go nowhere before, then TCP's, as much as the caller
 * takes. The first has half of what the caller takes while TCP has anything: replies to a flood of
 * requests must not fill the NIC's ring.
 *
 * Everything here belongs to one worker and nothing allocates after net_create().
 */
#include "dataplane/net/net.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "classifier/classifier.h"
#include "dataplane/net/link/arp.h"
#include "dataplane/net/ip/icmp.h"
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/link/nd.h"
#include "dataplane/net/net_impl.h"
#include "dataplane/net/ip/reass.h"
#include "dataplane/net/tcp/tcp_table.h"

static uint64_t seed_of(const uint8_t secret[32])
{
	uint64_t seed = 0;

	for (int i = 0; i < 4; i++) {
		uint64_t word;

		memcpy(&word, secret + i * 8, sizeof(word));
		seed = net_mix64(seed ^ word);
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

static void tcp_input(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us)
{
	assert(m->pkt_len == in->l4_off + in->l4_len);
	if (in->l4_len < 20 || rte_pktmbuf_data_len(m) < in->l4_off + 20u)
		net_drop(m, &net->stats.rx_bad_hdr);
	else if (!ip_tcp_csum_good(net, m, in))
		net_drop(m, &net->stats.rx_bad_csum);
	else
		tcp_packet(net, m, in, now_us);
}

/* A quoted segment of ours, and what a router or the peer says about it; whether it was ever sent
 * is TCP's to judge. */
static void icmp_input(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us)
{
	struct icmp_error e;
	bool is_error = in->proto == IPPROTO_ICMP ? icmp4_input(net, m, in, now_us, &e)
						  : icmp6_input(net, m, in, now_us, &e);

	if (is_error)
		tcp_icmp_error(net, &e.quoted, e.sport, e.dport, e.seq, e.err, e.mtu, e.is_hard);
}

static void deliver(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us)
{
	if (in->proto == IPPROTO_TCP)
		tcp_input(net, m, in, now_us);
	else
		icmp_input(net, m, in, now_us);
}

static void packet_input(struct net *net, struct rte_mbuf *m, const struct pkt_info *info,
	uint64_t now_us)
{
	struct ip_in in;

	net->stats.rx_packets++;
	net->stats.rx_bytes += m->pkt_len;
	/* The stack has no VLANs, and what a rule protects is the exception path's, not ours. */
	if (info->flags & (PKT_VLAN | PKT_RULE)) {
		net_drop(m, &net->stats.rx_not_ours);
		return;
	}
	switch (info->l3) {
	case PKT_L3_ARP:
		arp_input(net, m, info, now_us);
		return;
	case PKT_L3_IP4:
		m = ip4_input(net, m, info, now_us, &in);
		break;
	case PKT_L3_IP6:
		m = ip6_input(net, m, info, now_us, &in);
		break;
	default:
		net_drop(m, &net->stats.rx_bad_hdr);
		return;
	}
	if (m)
		deliver(net, m, &in, now_us);
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
