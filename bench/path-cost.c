/*
 * path-cost.c - the datapath alone, in one thread and in the same steps each time, for counting
 * instructions
 *
 * The worker's turn with everything real between the port and the block front end: port.c over
 * DPDK's ring driver, the reserve's pools, the classifier, TCP, the NBD client, the bench front
 * end. At the other end of the rings stands a small server (path_peer.c). Time is a counter, so
 * every run does the same work in the same order, and a count of instructions can be compared with
 * yesterday's.
 *
 *   path-cost [--rw R] [--bs N] [--iodepth N] [--ios N] [--volumes N]
 *             [--csum] [--plain] [--forward]
 *
 * It is run by bench/cost under callgrind, which counts while client_turn() is on the stack.
 * --forward is the ceiling: the same port, and frames of the same size sent back as they came.
 * --csum verifies checksums in software, as a port without the offload needs it. --plain brings the
 * packets in a pool of DPDK's default ring ops, which no ledger knows of: what the reserve costs on
 * the way in is the difference. Of --volumes the first has the load and the others are attached,
 * each to a server of its own, and ask for nothing: what a volume costs by being there.
 */
#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_arp.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_malloc.h>
#include "bench/path_peer.h"
#include "classifier/classifier.h"
#include "dataplane/net/net.h"
#include "dataplane/port.h"
#include "mempool_reserve/reserve.h"
#include "nbd_client/bench/bench.h"
#include "nbd_client/nbd_client.h"

#define POOL_COUNT  16383u
#define QUOTA	    4096u
#define RING_COUNT  8192u
#define TURN_US	    10u
#define TURNS_MAX   1000000u
#define WARM_TURNS  2000u
#define FORWARD_FRAMES 32u
#define PEER_RING_COUNT 1024u

struct path {
	struct bench_config bench_cfg;
	uint64_t ios;
	bool is_forward, is_csum, is_plain;
	struct rte_ring *to_client, *from_client;
	struct reserve *rx, *hdr;
	struct rte_mempool *ext;
	struct port *port;
	struct classifier *classifier;
	struct net *net;
	struct nbd_client *nbd;
	unsigned volume_count;
	struct volume *volumes[VOLUME_MAX];
	struct bench *bench; /* of the first */
	struct path_peer peers[VOLUME_MAX];
	uint64_t now_us, turns, packets;
};

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "path-cost: %s\n", what);
	exit(1);
}

/* ---- what is measured ---- */

static unsigned rx_turn(struct path *p)
{
	struct rte_mbuf *m[BURST_MAX];
	struct pkt_info info[BURST_MAX];
	unsigned n = port_rx(p->port, 0, m);

	if (n == 0)
		return 0;
	reserve_force_burst(p->rx, m, n, OWNER_RING, OWNER_UNCLASSIFIED, p->now_us);
	classify_burst(p->classifier, m, n, info);
	net_input(p->net, m, info, n, p->now_us);
	for (unsigned i = 0; i < n; i++)
		rte_pktmbuf_free(m[i]); /* NULL where net ate it */
	return n;
}

static void tx_turn(struct path *p)
{
	struct rte_mbuf *tx[BURST_MAX];
	unsigned n;

	do {
		n = net_output(p->net, tx, BURST_MAX, p->now_us);
		if (port_tx(p->port, 0, tx, n) != n)
			fail("the ring to the peer is full");
	} while (n == BURST_MAX);
}

/* What worker_turn() does with a packet. */
__attribute__((noipa)) static void turn_body(struct path *p)
{
	p->packets += rx_turn(p);
	net_timers(p->net, p->now_us);
	nbd_client_turn(p->nbd, p->now_us);
	tx_turn(p);
	reserve_level_update(p->rx);
}

/* Counted by callgrind; the handshake goes past it. */
__attribute__((noipa)) static void client_turn(struct path *p)
{
	turn_body(p);
}

/* The least anybody can do with a frame: take it, and send it back. */
__attribute__((noipa)) static void forward_turn(struct path *p)
{
	struct rte_mbuf *m[BURST_MAX];
	unsigned n = port_rx(p->port, 0, m);

	if (port_tx(p->port, 0, m, n) != n)
		fail("the ring to the peer is full");
	p->packets += n;
}

/* ---- set-up ---- */

static void pools_make(struct path *p)
{
	struct reserve_config rx = {.name = "rx",
		.total_count = POOL_COUNT,
		.floor_count = POOL_COUNT / 4,
		.data_bytes = RTE_PKTMBUF_HEADROOM + MBUF_DATA_BYTES,
		.socket = SOCKET_ID_ANY};
	struct reserve_config hdr = {.name = "hdr",
		.total_count = 8191,
		.data_bytes = RTE_PKTMBUF_HEADROOM + HDR_DATA_BYTES,
		.socket = SOCKET_ID_ANY};

	p->rx = reserve_create(&rx);
	p->hdr = reserve_create(&hdr);
	p->ext = rte_pktmbuf_pool_create_by_ops(
		"ext", 8191, 0, NET_EXT_PRIV_BYTES, 0, SOCKET_ID_ANY, "stack");
	p->to_client = rte_ring_create(
		"to_client", RING_COUNT, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	p->from_client = rte_ring_create(
		"from_client", RING_COUNT, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!p->rx || !p->hdr || !p->ext || !p->to_client || !p->from_client)
		fail("no memory for pools and rings");
}

static struct rte_mempool *plain_pool_make(void)
{
	struct rte_mempool *mp = rte_pktmbuf_pool_create("plain", POOL_COUNT, 0, 0,
		RTE_PKTMBUF_HEADROOM + MBUF_DATA_BYTES, SOCKET_ID_ANY);

	if (!mp)
		fail("no memory for the plain pool");
	return mp;
}

static void peers_make(struct path *p)
{
	struct rte_mempool *pool = p->is_plain ? plain_pool_make() : reserve_pool(p->rx);
	char name[16];

	for (unsigned i = 0; i < p->volume_count; i++) {
		snprintf(name, sizeof(name), "peer%u", i);
		p->peers[i] = (struct path_peer){.rx = p->from_client,
			.tx = p->to_client,
			.pool = pool,
			.ip = PEER_IP(i),
			.mss = 1448,
			.has_checksums = p->is_csum,
			.mac = {{2, 0, 0, 0, (uint8_t)i, 1}}};
		if (p->volume_count > 1)
			p->peers[i].rx = rte_ring_create(name, PEER_RING_COUNT, SOCKET_ID_ANY,
				RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (!p->peers[i].rx || path_peer_init(&p->peers[i]))
			fail("no memory for the peers");
	}
}

static void port_make(struct path *p)
{
	struct config_port cfg = {.kind = DEVICE_PCI, .device = "net_ring_path"};
	struct error err;

	if (rte_eth_from_rings("path", &p->to_client, 1, &p->from_client, 1, 0) < 0)
		fail("no port over the rings");
	if (port_open(&cfg, 0, 1, &p->port, &err) || port_queue_setup(p->port, 0, p->rx, &err) ||
		port_start(p->port, &err))
		fail(err.text);
	reserve_arm(p->rx);
	reserve_arm(p->hdr);
}

static void net_make(struct path *p)
{
	struct net_config cfg = {.mac = {2, 0, 0, 0, 0, 2},
		.mtu = RTE_ETHER_MTU,
		.addrs[0] = {.ip = {.family = AF_INET, .addr = {10, 0, 0, 2}}, .prefix_bits = 16},
		.addr_count = 1,
		.offload = {.tx_ip_csum = true,
			.tx_tcp_csum = true,
			.rx_csum = !p->is_csum,
			.tx_seg_max = TX_CHAIN_MAX},
		.rx_pool = p->rx,
		.hdr_pool = p->hdr,
		.ext_pool = p->ext,
		.conn_max = p->volume_count,
		.secret = "path-cost"};

	if (p->is_csum)
		cfg.offload.tx_ip_csum = cfg.offload.tx_tcp_csum = false;
	p->classifier = classifier_create(FLOW_MAX, 1);
	cfg.classifier = p->classifier;
	p->net = p->classifier ? net_create(&cfg) : NULL;
	p->nbd = p->net ? nbd_client_create(p->net, 1) : NULL;
	if (!p->nbd)
		fail("no memory for the stack");
}

static void volume_make(struct path *p, unsigned idx)
{
	struct volume_config cfg = {.name = "path",
		.servers.count = 1,
		.connections = 1,
		.queue_depth = p->bench_cfg.iodepth,
		.io_bytes_max = p->bench_cfg.bs_max,
		.quota_mbufs = QUOTA,
		.mbuf_payload_min = MBUF_DATA_BYTES / 4};
	struct error err;

	if (nbd_uri_parse("nbd://10.0.0.1/", &cfg.uris[0], &err))
		fail(err.text);
	cfg.servers.list[0].ip =
		(struct net_ip){.family = AF_INET, .addr = {10, 0, (uint8_t)idx, 1}};
	cfg.owner[0] = (uint16_t)reserve_owner_add(p->rx, "in-order", OWNER_NONE, QUOTA);
	cfg.owner_ooo[0] = (uint16_t)reserve_owner_add(p->rx, "out-of-order", OWNER_NONE, QUOTA);
	p->volumes[idx] = volume_create(&cfg, &err);
	if (!p->volumes[idx] || nbd_client_add(p->nbd, p->volumes[idx], p->now_us))
		fail("no volume");
}

static struct bench *bench_make(struct path *p, unsigned idx)
{
	uint64_t bytes = (uint64_t)p->bench_cfg.iodepth * p->bench_cfg.bs_max;
	struct stream_buf *buf = rte_zmalloc("buf", sizeof(*buf), 0);
	struct volume_info info;
	struct bench *bench;
	struct error err;

	volume_info(p->volumes[idx], &info);
	if (info.state != VOLUME_READY)
		fail("the handshake did not end");
	if (buf)
		buf->base = rte_malloc("payload", bytes, 4096);
	if (!buf || !buf->base)
		fail("no memory for the payload");
	buf->iova = rte_malloc_virt2iova(buf->base);
	buf->bytes = (uint32_t)bytes;
	p->bench_cfg.limits = info.limits;
	p->bench_cfg.buf = buf;
	p->bench_cfg.runtime_us = UINT64_MAX;
	p->bench_cfg.seed = 1;
	p->bench_cfg.is_idle = idx > 0;
	bench = bench_create(&p->bench_cfg, &err);
	if (!bench)
		fail(err.text);
	volume_front_set(p->volumes[idx], bench_front(bench));
	return bench;
}

/* ---- the run ---- */

/* Whose frame it is: an ARP question names the address,
 * anything else goes to the peer's own MAC. */
static unsigned peer_of(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_arp_hdr *arp = (const struct rte_arp_hdr *)(eth + 1);

	if (eth->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP))
		return eth->dst_addr.addr_bytes[4];
	return rte_be_to_cpu_32(arp->arp_data.arp_tip) >> 8 & 0xff;
}

/* The switch between the client and its servers, of which each has a ring. */
static void frames_part(struct path *p)
{
	struct rte_mbuf *m;
	unsigned idx;

	while (p->volume_count > 1 && rte_ring_dequeue(p->from_client, (void **)&m) == 0) {
		idx = peer_of(m);
		if (idx >= p->volume_count || rte_ring_enqueue(p->peers[idx].rx, m))
			fail("a frame for nobody");
	}
}

static void turn(struct path *p, void (*client)(struct path *p))
{
	p->now_us += TURN_US;
	frames_part(p);
	for (unsigned i = 0; i < p->volume_count; i++)
		path_peer_turn(&p->peers[i]);
	client(p);
}

static uint64_t ios_done(const struct path *p)
{
	struct bench_result r;

	bench_result(&p->bench, 1, &r);
	if (r.errors)
		fail("a request failed");
	return r.ios[0] + r.ios[1];
}

static void run_path(struct path *p)
{
	uint64_t requests, segments;

	net_make(p);
	for (unsigned i = 0; i < p->volume_count; i++)
		volume_make(p, i);
	for (unsigned i = 0; i < WARM_TURNS; i++)
		turn(p, turn_body);
	for (unsigned i = p->volume_count; i-- > 0;)
		p->bench = bench_make(p, i);
	p->packets = requests = 0;
	segments = p->peers[0].segments;
	for (; ios_done(p) < p->ios; p->turns++) {
		if (p->turns == TURNS_MAX)
			fail("the requests are not answered");
		turn(p, client_turn);
	}
	requests = ios_done(p);
	printf("{\"ios\":%lu,\"segments\":%lu,\"packets\":%lu,\"turns\":%lu}\n", requests,
		p->peers[0].segments - segments, p->packets, p->turns);
}

static void run_forward(struct path *p)
{
	struct rte_mbuf *m[FORWARD_FRAMES];
	unsigned i;

	if (rte_pktmbuf_alloc_bulk(reserve_pool(p->rx), m, FORWARD_FRAMES))
		fail("no mbufs");
	for (i = 0; i < FORWARD_FRAMES; i++)
		rte_pktmbuf_append(m[i], 1514);
	for (p->turns = 0; p->packets < p->ios; p->turns++) {
		rte_ring_enqueue_bulk(p->to_client, (void **)m, FORWARD_FRAMES, NULL);
		forward_turn(p);
		rte_ring_dequeue_bulk(p->from_client, (void **)m, FORWARD_FRAMES, NULL);
	}
	printf("{\"packets\":%lu,\"turns\":%lu}\n", p->packets, p->turns);
}

static void options_read(struct path *p, int argc, char **argv)
{
	static const struct option options[] = {{"rw", 1, NULL, 'r'}, {"bs", 1, NULL, 'b'},
		{"iodepth", 1, NULL, 'd'}, {"ios", 1, NULL, 'n'}, {"csum", 0, NULL, 'c'},
		{"forward", 0, NULL, 'f'}, {"plain", 0, NULL, 'p'}, {"volumes", 1, NULL, 'v'}, {0}};
	uint64_t bytes = 4096;
	struct error err = {0};
	int opt;

	p->bench_cfg.iodepth = 32;
	p->ios = 2000;
	p->volume_count = 1;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == '?' || (opt == 'r' && bench_rw_parse(optarg, &p->bench_cfg.rw, &err)) ||
			(opt == 'b' && bench_size_parse(optarg, &bytes, &err)))
			fail(err.text[0] ? err.text : "see the top of path-cost.c for the options");
		if (opt == 'd')
			p->bench_cfg.iodepth = (uint16_t)atoi(optarg);
		if (opt == 'n')
			p->ios = (uint64_t)atoll(optarg);
		if (opt == 'v')
			p->volume_count = (unsigned)atoi(optarg);
		p->is_csum |= opt == 'c';
		p->is_plain |= opt == 'p';
		p->is_forward |= opt == 'f';
	}
	if (p->volume_count == 0 || p->volume_count > VOLUME_MAX)
		fail("--volumes: as many as a worker may have");
	p->bench_cfg.bs_min = p->bench_cfg.bs_max = (uint32_t)bytes;
}

int main(int argc, char **argv)
{
	static char args[][16] = {"path-cost", "--no-huge", "-m", "256", "--no-pci", "--no-shconf",
		"--no-telemetry", "--log-level=3", "-l", "0"};
	char *eal[RTE_DIM(args)];
	static struct path p = {.now_us = 1000000};

	for (unsigned i = 0; i < RTE_DIM(args); i++)
		eal[i] = args[i];
	if (rte_eal_init((int)RTE_DIM(eal), eal) < 0)
		fail("EAL does not start");
	optind = 0; /* EAL read its own arguments with getopt */
	options_read(&p, argc, argv);
	pools_make(&p);
	port_make(&p);
	peers_make(&p);
	if (p.is_forward)
		run_forward(&p);
	else
		run_path(&p);
	for (unsigned i = 0; i < p.volume_count; i++)
		path_peer_fini(&p.peers[i]);
	return 0;
}
