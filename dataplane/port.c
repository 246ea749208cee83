/*
 * port.c - the only door to ethdev: a NIC's queues, offloads and facts
 *
 * Everything a PMD does differently ends here. The rest of the dataplane sees bursts of mbufs and a
 * struct of booleans. What we insist on, and why:
 *
 *  - No MBUF_FAST_FREE: it returns mbufs of one TX ring to one pool, and our packets are chains
 *  from
 *    three (headers, attached payload, forwarded RX).
 *  - Small rings: each RX slot permanently holds an mbuf of the reserve.
 *  - rx_burst is the one place where a refill may dip (reserve_entitle), whatever the PMD's refill
 *    looks like inside.
 *  - Offloads are asked for when the port has them; software does the same where not. LRO needs
 *    scattered RX; a PMD that names LRO but refuses it falls back to plain RX.
 *
 * A port on a packet socket is no ethdev (port_packet.c); the difference is handled here, and
 * nowhere above.
 *
 * A port is opened and closed by the control thread; a queue pair is used by its worker alone.
 */
#include "dataplane/port.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <rte_ethdev.h>
#include <rte_errno.h>
#include <rte_flow.h>
#include "dataplane/port_packet.h"
#include "dataplane/port_driver.h"
#include "dataplane/port_socket.h"
#include "mempool_reserve/reserve.h"

/* af_xdp fills its ring with this many at set-up, and
 * copies what it sends into mbufs of that pool. */
#define AF_XDP_FILL_COUNT 2048

struct port {
	struct port_facts facts;
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	struct reserve *rx_pool[WORKER_MAX];
	int rx_fd[WORKER_MAX];
	bool is_started;
	bool sends_from_rx_pool; /* af_xdp: TX must not wait for normal memory either */
	struct port_packet *packet; /* af_packet; NULL: an ethdev */
	bool is_xdp; /* rx_fd is the driver's own socket */
};

/* The EAL name that eal.c gave the device. */
static void device_name(const struct config_port *cfg, unsigned idx, char *name, size_t len)
{
	switch (cfg->kind) {
	case DEVICE_PCI:
		snprintf(name, len, "%s", cfg->device);
		break;
	case DEVICE_AF_PACKET: /* no ethdev */
		break;
	case DEVICE_AF_XDP:
		snprintf(name, len, "net_af_xdp%u", idx);
		break;
	}
}

/* What we ask of the port, out of what it has. */
static void conf_choose(struct port *p, uint16_t queues)
{
	const uint64_t rx_want = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
	const uint64_t tx_csum = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	uint64_t rx = p->info.rx_offload_capa, tx = p->info.tx_offload_capa;
	struct net_offload *o = &p->facts.offload;

	port_driver_trust(p->info.driver_name, &rx, &tx);
	p->conf.rxmode.offloads = rx & rx_want;
	o->rx_csum = (rx & rx_want) == rx_want || (rx & RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
	if ((rx & RTE_ETH_RX_OFFLOAD_TCP_LRO) && (rx & RTE_ETH_RX_OFFLOAD_SCATTER)) {
		p->conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER;
		p->conf.rxmode.max_lro_pkt_size = p->info.max_lro_pkt_size;
		p->facts.has_lro = true;
	}
	if (tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS)
		p->conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (tx & tx_csum) {
		p->conf.txmode.offloads |= tx_csum;
		o->tx_tcp_csum = true;
	}
	if (tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) {
		p->conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
		o->tx_ip_csum = true;
	}
	if ((tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) && o->tx_tcp_csum) {
		p->conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
		o->tx_tso = true;
		o->tso_bytes_max = 60000;
	}
	/* A PMD that does not say it sends chains sends the first segment, and garbage after it. */
	o->tx_seg_max = tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS ? TX_CHAIN_MAX : 1;
	if (p->info.tx_desc_lim.nb_mtu_seg_max &&
		p->info.tx_desc_lim.nb_mtu_seg_max < o->tx_seg_max)
		o->tx_seg_max = p->info.tx_desc_lim.nb_mtu_seg_max;
	p->conf.intr_conf.rxq = 1;
	/* Without it many NICs send everything to queue 0,
	 * and no local port would help a worker. */
	p->facts.has_rss = queues > 1 && (p->info.flow_type_rss_offloads & RTE_ETH_RSS_TCP);
	if (p->facts.has_rss) {
		p->conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		p->conf.rx_adv_conf.rss_conf.rss_hf =
			p->info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP);
	}
}

/* Configures, taking back what this PMD turns out to
 * refuse: interrupts first, then LRO, then RSS. */
static int conf_apply(struct port *p, uint16_t queues)
{
	int rc = rte_eth_dev_configure(p->facts.id, queues, queues, &p->conf);

	p->facts.has_rx_interrupt = rc == 0;
	if (rc) {
		p->conf.intr_conf.rxq = 0;
		rc = rte_eth_dev_configure(p->facts.id, queues, queues, &p->conf);
	}
	if (rc && p->facts.has_lro) {
		p->facts.has_lro = false;
		p->conf.rxmode.offloads &=
			~(RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER);
		p->conf.rxmode.max_lro_pkt_size = 0;
		rc = rte_eth_dev_configure(p->facts.id, queues, queues, &p->conf);
	}
	if (rc && p->facts.has_rss) {
		p->facts.has_rss = false;
		p->conf.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
		p->conf.rx_adv_conf.rss_conf.rss_hf = 0;
		rc = rte_eth_dev_configure(p->facts.id, queues, queues, &p->conf);
	}
	return rc;
}

/* Mbufs the longest packet arrives in: 64 KiB where the
 * NIC merges them, else a frame of the MTU. */
static uint32_t mbufs_of_frame(const struct port_facts *f)
{
	uint32_t bytes = f->has_lro ? 65536u : f->mtu + RTE_ETHER_HDR_LEN + 8u;

	return (bytes + MBUF_DATA_BYTES - 1) / MBUF_DATA_BYTES;
}

/* Once rings, MTU and LRO are settled. */
static void mbufs_count(struct port_facts *f, const struct config_port *cfg)
{
	unsigned rings = port_driver_rx_rings(f->driver);

	if (cfg->kind == DEVICE_PCI && !f->driver[0]) /* not known yet */
		rings = PORT_RX_RINGS_MAX;
	f->ring_mbufs = cfg->kind == DEVICE_AF_XDP ? (uint32_t)AF_XDP_FILL_COUNT + f->tx_ring
						   : rings * f->rx_ring;
	/* A packet the NIC merged is a chain as long as 64 KiB need, but no burst is longer than
	 * its ring. */
	f->burst_mbufs = RTE_MIN(BURST_MAX * mbufs_of_frame(f), f->ring_mbufs);
}

static void rings_want(struct port_facts *f, const struct config_port *cfg, uint16_t queues)
{
	f->queues = queues;
	f->rx_ring = cfg->rx_ring ? cfg->rx_ring : RX_RING_DEFAULT;
	f->tx_ring = TX_RING_DEFAULT;
	f->mtu = cfg->mtu ? cfg->mtu : RTE_ETHER_MTU;
}

void port_facts_plan(const struct config_port *cfg, struct port_facts *out)
{
	*out = (struct port_facts){.has_lro = cfg->kind != DEVICE_AF_XDP};
	out->offload.tx_seg_max = cfg->kind == DEVICE_AF_XDP ? 1 : TX_CHAIN_MAX;
	rings_want(out, cfg, cfg->queues ? cfg->queues : 1);
	mbufs_count(out, cfg);
}

static int facts_read(struct port *p, const struct config_port *cfg)
{
	struct rte_ether_addr mac;
	int rc = rte_eth_macaddr_get(p->facts.id, &mac);

	if (rc)
		return rc;
	memcpy(p->facts.mac, mac.addr_bytes, sizeof(p->facts.mac));
	snprintf(p->facts.driver, sizeof(p->facts.driver), "%s", p->info.driver_name);
	p->facts.is_full_guarantee = cfg->kind == DEVICE_PCI;
	p->sends_from_rx_pool = cfg->kind == DEVICE_AF_XDP;
	p->is_xdp = p->facts.has_half_sums = cfg->kind == DEVICE_AF_XDP;
	p->facts.offload.rx_csum |=
		p->facts.has_half_sums; /* what half_sum.c has marked is believed */
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->facts.id, &p->facts.rx_ring, &p->facts.tx_ring);
	mbufs_count(&p->facts, cfg);
	return rc;
}

static int mtu_check(const struct port *p, const struct config_port *cfg, struct error *err)
{
	uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN, max = p->info.max_mtu;

	if (p->info.max_rx_pktlen > overhead)
		max = RTE_MIN(max, p->info.max_rx_pktlen - overhead);
	if (cfg->mtu <= max)
		return 0;
	return error_set(err, -EINVAL,
		"port %s: mtu: %u, and driver %s takes %u at most: lower it, there and at the "
		"peers",
		cfg->name, cfg->mtu, p->info.driver_name, max);
}

static int ethdev_open(struct port *p, const struct config_port *cfg, unsigned idx, uint16_t queues,
	struct error *err)
{
	char name[RTE_ETH_NAME_MAX_LEN] = "";
	int rc;

	device_name(cfg, idx, name, sizeof(name));
	rc = rte_eth_dev_get_port_by_name(name, &p->facts.id);
	if (rc)
		return error_set(err, rc, "port %s: DPDK does not find %s; run `sluice doctor`",
			cfg->name, name);
	rc = rte_eth_dev_info_get(p->facts.id, &p->info);
	if (rc)
		goto err_conf;
	if (queues > p->info.max_rx_queues || queues > p->info.max_tx_queues)
		return error_set(err, -EINVAL, "port %s: queues: %u asked for, the device has %u",
			cfg->name, queues, RTE_MIN(p->info.max_rx_queues, p->info.max_tx_queues));
	rc = mtu_check(p, cfg, err);
	if (rc)
		return rc;
	if (cfg->mtu) {
		rte_eth_dev_set_mtu(p->facts.id, cfg->mtu);
		p->conf.rxmode.mtu = cfg->mtu;
	}
	rings_want(&p->facts, cfg, queues);
	conf_choose(p, queues);
	rc = conf_apply(p, queues);
	if (!rc)
		rc = facts_read(p, cfg);
	if (!rc)
		return 0;

err_conf:
	return error_set(err, rc, "port %s: %s refuses its configuration: %s", cfg->name, name,
		strerror(-rc));
}

int port_open(const struct config_port *cfg, unsigned idx, uint16_t queues, struct port **out,
	struct error *err)
{
	struct port *p = calloc(1, sizeof(*p));
	unsigned q;
	int rc;

	if (!p)
		return error_set(err, -ENOMEM, "out of memory");
	for (q = 0; q < WORKER_MAX; q++)
		p->rx_fd[q] = -1;
	if (cfg->kind == DEVICE_AF_PACKET) {
		rings_want(&p->facts, cfg, queues);
		rc = port_packet_open(cfg, queues, &p->facts, &p->packet, err);
		mbufs_count(&p->facts, cfg);
	} else {
		rc = ethdev_open(p, cfg, idx, queues, err);
	}
	if (rc) {
		free(p);
		return rc;
	}
	*out = p;
	return 0;
}

int port_queue_setup(struct port *p, uint16_t q, struct reserve *rx, struct error *err)
{
	struct rte_eth_rxconf rxconf = p->info.default_rxconf;
	struct rte_eth_txconf txconf = p->info.default_txconf;
	struct port_sockets before, now;
	int rc;

	assert(q < p->facts.queues && !p->is_started);
	p->rx_pool[q] = rx;
	if (p->packet) {
		port_packet_queue_setup(p->packet, q, reserve_pool(rx), p->facts.burst_mbufs);
		return 0;
	}
	rxconf.offloads = p->conf.rxmode.offloads;
	txconf.offloads = p->conf.txmode.offloads;
	port_sockets_list(AF_XDP, &before);
	rc = rte_eth_rx_queue_setup(
		p->facts.id, q, p->facts.rx_ring, SOCKET_ID_ANY, &rxconf, reserve_pool(rx));
	if (rc)
		return error_set(err, rc, "RX queue %u of %u descriptors: %s", q, p->facts.rx_ring,
			strerror(-rc));
	if (p->is_xdp) { /* made just now, one a queue */
		port_sockets_list(AF_XDP, &now);
		p->rx_fd[q] = port_sockets_added(&before, &now);
	}
	rc = rte_eth_tx_queue_setup(p->facts.id, q, p->facts.tx_ring, SOCKET_ID_ANY, &txconf);
	if (rc)
		return error_set(err, rc, "TX queue %u of %u descriptors: %s", q, p->facts.tx_ring,
			strerror(-rc));
	return 0;
}

/*
 * Whether a NIC could mark the storage's packets, and so save their look-up, is shown by no
 * capability bit: one asks about a rule. So we ask, about the one that a connection would need,
 * and pass the answer on. Nothing is programmed: the look-up costs less than the packet
 * (bench/cost), and it must be there anyhow, for the NICs that refuse.
 */
static void flow_ask(struct port_facts *f)
{
	static const struct rte_flow_item_ipv4 ip_mask = {
		.hdr = {.src_addr = RTE_BE32(0xffffffff), .dst_addr = RTE_BE32(0xffffffff)}};
	static const struct rte_flow_item_tcp tcp_mask = {
		.hdr = {.src_port = RTE_BE16(0xffff), .dst_port = RTE_BE16(0xffff)}};
	/* Addresses that documents may use. */
	const struct rte_flow_item_ipv4 ip = {
		.hdr = {.src_addr = RTE_BE32(0xc0000201), .dst_addr = RTE_BE32(0xc0000202)}};
	const struct rte_flow_item_tcp tcp = {
		.hdr = {.src_port = RTE_BE16(10809), .dst_port = RTE_BE16(50000)}};
	const struct rte_flow_attr attr = {.ingress = 1};
	const struct rte_flow_item pattern[] = {{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &ip, .mask = &ip_mask},
		{.type = RTE_FLOW_ITEM_TYPE_TCP, .spec = &tcp, .mask = &tcp_mask},
		{.type = RTE_FLOW_ITEM_TYPE_END}};
	const struct rte_flow_action_queue queue = {.index = 0};
	const struct rte_flow_action_mark mark = {.id = 1};
	const struct rte_flow_action actions[] = {
		{.type = RTE_FLOW_ACTION_TYPE_MARK, .conf = &mark},
		{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &queue},
		{.type = RTE_FLOW_ACTION_TYPE_END}};
	struct rte_flow_error err = {0};
	int rc = rte_flow_validate(f->id, &attr, pattern, actions, &err);

	if (rc == 0)
		snprintf(f->flow_rules, sizeof(f->flow_rules),
			"in software; the port could mark flows");
	else
		snprintf(f->flow_rules, sizeof(f->flow_rules),
			"in software: the port refuses to mark a flow (%s)",
			err.message ? err.message : rte_strerror(-rc));
}

static int ethdev_start(struct port *p, struct error *err)
{
	int rc = rte_eth_dev_start(p->facts.id);
	uint16_t q;

	if (rc && p->conf.intr_conf.rxq) { /* some PMDs find only here that they have none */
		p->conf.intr_conf.rxq = 0;
		p->facts.has_rx_interrupt = false;
		rc = rte_eth_dev_configure(p->facts.id, p->facts.queues, p->facts.queues, &p->conf);
		for (q = 0; !rc && q < p->facts.queues; q++)
			rc = port_queue_setup(p, q, p->rx_pool[q], err);
		if (!rc)
			rc = rte_eth_dev_start(p->facts.id);
	}
	if (rc)
		return error_set(err, rc, "port does not start: %s", strerror(-rc));
	flow_ask(&p->facts);
	for (q = 0; p->facts.has_rx_interrupt && !p->is_xdp && q < p->facts.queues; q++) {
		p->rx_fd[q] = rte_eth_dev_rx_intr_ctl_q_get_fd(p->facts.id, q);
		if (p->rx_fd[q] < 0 || rte_eth_dev_rx_intr_disable(p->facts.id, q))
			p->rx_fd[q] = -1;
	}
	p->facts.has_rx_interrupt = p->rx_fd[0] >= 0;
	return 0;
}

int port_start(struct port *p, struct error *err)
{
	int rc = p->packet ? port_packet_start(p->packet, err) : ethdev_start(p, err);

	if (p->packet)
		p->facts.has_rx_interrupt = rc == 0;
	p->is_started = rc == 0;
	return rc;
}

void port_stop(struct port *p)
{
	if (p && p->is_started) {
		if (!p->packet)
			rte_eth_dev_stop(p->facts.id);
		p->is_started = false;
	}
}

void port_close(struct port *p)
{
	if (!p)
		return;
	port_stop(p);
	if (p->packet)
		port_packet_close(p->packet);
	else
		rte_eth_dev_close(p->facts.id);
	free(p);
}

const struct port_facts *port_facts(const struct port *p)
{
	return &p->facts;
}

bool port_link_up(const struct port *p)
{
	struct rte_eth_link link = {0};

	if (p->packet)
		return port_packet_link_up(p->packet);
	return rte_eth_link_get_nowait(p->facts.id, &link) == 0 && link.link_status;
}

void port_multicast_all(struct port *p)
{
	/* A driver without the call has no filter, or none that we could open. */
	if (!p->packet) /* which listens to all from the start */
		rte_eth_allmulticast_enable(p->facts.id);
}

void port_stats(const struct port *p, struct port_stats *out)
{
	struct rte_eth_stats s = {0};

	if (p->packet) {
		port_packet_stats(p->packet, out);
		return;
	}
	rte_eth_stats_get(p->facts.id, &s);
	out->rx_packets = s.ipackets;
	out->tx_packets = s.opackets;
	out->rx_bytes = s.ibytes;
	out->tx_bytes = s.obytes;
	out->rx_missed = s.imissed;
	out->rx_errors = s.ierrors;
	out->tx_errors = s.oerrors;
	out->rx_nombuf = s.rx_nombuf;
}

unsigned port_rx(struct port *p, uint16_t q, struct rte_mbuf **m)
{
	unsigned n;

	reserve_entitle(p->rx_pool[q]);
	n = p->packet ? port_packet_rx(p->packet, q, m)
		      : rte_eth_rx_burst(p->facts.id, q, m, BURST_MAX);
	reserve_disentitle(p->rx_pool[q]);
	return n;
}

unsigned port_tx(struct port *p, uint16_t q, struct rte_mbuf **m, unsigned n)
{
	if (p->packet)
		return port_packet_tx(p->packet, q, m, n);
	if (p->sends_from_rx_pool) {
		reserve_entitle(p->rx_pool[q]);
		n = rte_eth_tx_burst(p->facts.id, q, m, (uint16_t)n);
		reserve_disentitle(p->rx_pool[q]);
		return n;
	}
	return rte_eth_tx_burst(p->facts.id, q, m, (uint16_t)n);
}

void port_tx_reclaim(struct port *p, uint16_t q)
{
	if (p->packet) /* its frames are the kernel's before port_tx() returns */
		return;
	/* Not every PMD has the call; an empty burst makes the others look at their ring. */
	if (rte_eth_tx_done_cleanup(p->facts.id, q, 0) == -ENOTSUP)
		rte_eth_tx_burst(p->facts.id, q, NULL, 0);
}

bool port_rx_is_socket(const struct port *p)
{
	return p->packet || p->is_xdp;
}

int port_rx_fd(struct port *p, uint16_t q)
{
	return p->packet ? port_packet_fd(p->packet, q) : p->rx_fd[q];
}

bool port_rx_arm(struct port *p, uint16_t q)
{
	return p->rx_fd[q] >= 0 && rte_eth_dev_rx_intr_enable(p->facts.id, q) == 0;
}

void port_rx_disarm(struct port *p, uint16_t q)
{
	if (p->packet)
		port_packet_wait_end(p->packet, q);
	else if (!p->is_xdp)
		rte_eth_dev_rx_intr_disable(p->facts.id, q);
}
