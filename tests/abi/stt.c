/*
 * stt.c - a stack of the product's in a world of its own: created, driven by time, destroyed
 *
 * The EAL is started once a process, with ordinary memory and no devices. Each stack has its own
 * classifier and net, and pools of which it is the only user (stt_pools.c). Time stands still but
 * for stt_advance_us(), which goes from deadline to deadline and pulls output at each, as a
 * worker's turn would; what was sent on the way waits for stt_tx in a bounded queue.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_eal.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include "classifier/classifier.h"
#include "dataplane/net/tcp/tcp_cc.h"
#include "dataplane/net/tcp/tcp_table.h"
#include "mempool_reserve/reserve.h"
#include "tests/abi/stt_impl.h"

#define START_US      1000000u
#define FLOWS	      256u
#define TSO_BYTES_MAX 65535u

static int eal_start(void)
{
	static int result = 1;
	/* Writable and for ever: the EAL keeps pointers into its arguments. */
	static char args[][24] = {"sluice-tcp-test", "--no-huge", "-m", "256", "--no-pci",
		"--no-shconf", "--iova-mode=va", "--no-telemetry", "--log-level=error", "-l", "0"};
	char *argv[sizeof(args) / sizeof(args[0]) + 1] = {NULL};
	cpu_set_t before;

	if (result <= 0)
		return result;
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++)
		argv[i] = args[i];
	/* The EAL pins its thread; the driver's thread is the driver's to pin. */
	pthread_getaffinity_np(pthread_self(), sizeof(before), &before);
	result = rte_eal_init((int)(sizeof(args) / sizeof(args[0])), argv) < 0 ? -ENOTSUP : 0;
	pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
	return result;
}

static bool is_set6(const uint8_t addr[16])
{
	static const uint8_t zero[16];

	return memcmp(addr, zero, 16) != 0;
}

/* Every peer is on the link: prefixes of no length. */
static void addrs_fill(const struct stt_config *in, struct net_config *cfg)
{
	if (in->local_ip4) {
		struct net_addr *a = &cfg->addrs[cfg->addr_count++];

		a->ip.family = AF_INET;
		memcpy(a->ip.addr, &in->local_ip4, 4);
	}
	if (is_set6(in->local_ip6)) {
		struct net_addr *a = &cfg->addrs[cfg->addr_count++];

		a->ip.family = AF_INET6;
		memcpy(a->ip.addr, in->local_ip6, 16);
	}
}

/*
 * A table of 64 connections costs more than most conversations: whoever makes a stack for each of
 * thousands of them, and knows how many connections it needs, says so in the environment.
 */
static uint32_t conn_max(void)
{
	const char *text = getenv("STT_CONN_MAX");
	unsigned long n = text ? strtoul(text, NULL, 10) : 0;

	return n > 0 && n < STT_CONN_MAX ? (uint32_t)n : STT_CONN_MAX;
}

static struct net *net_of(struct stt *t)
{
	const struct stt_config *in = &t->cfg;
	struct net_config cfg = {
		.mtu = in->mtu ? in->mtu : 1500,
		.offload = {.tx_tso = !(in->disable & STT_NO_TSO), .tso_bytes_max = TSO_BYTES_MAX},
		.rx_pool = t->rx_pool,
		.hdr_pool = t->hdr_pool,
		.ext_pool = t->ext_pool,
		.classifier = t->classifier,
		.conn_max = conn_max(),
		.tcp_no_sack = in->disable & STT_NO_SACK,
		.tcp_no_ts = in->disable & STT_NO_TS,
		.tcp_no_wscale = in->disable & STT_NO_WSCALE,
		.tcp_no_ecn = in->disable & STT_NO_ECN,
	};
	uint64_t seed = in->seed;

	memcpy(cfg.mac, stt_local_mac, sizeof(cfg.mac));
	for (unsigned i = 0; i < sizeof(cfg.secret); i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		cfg.secret[i] = (uint8_t)(seed >> 33);
	}
	addrs_fill(in, &cfg);
	return net_create(&cfg);
}

static void hint(struct stt *t, uint8_t family, const void *addr, size_t len)
{
	struct net_ip ip = {.family = family};

	memcpy(ip.addr, addr, len);
	net_neigh_hint(t->net, &ip, stt_peer_mac);
}

struct stt *stt_create(const struct stt_config *config)
{
	struct stt *t;

	if (!config || eal_start())
		return NULL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	memcpy(&t->cfg, config,
		config->size && config->size < sizeof(t->cfg) ? config->size : sizeof(t->cfg));
	t->cfg.cc[sizeof(t->cfg.cc) - 1] = 0;
	t->now_us = START_US;
	stt_fault_set(0, 0);
	t->classifier = classifier_create(FLOWS, t->cfg.seed);
	/* The stack would refuse the name at each connect; the contract has one for all
	 * connections. */
	if (!tcp_cc_find(t->cfg.cc) || !t->classifier || stt_pools_take(t) ||
		!(t->net = net_of(t))) {
		stt_destroy(t);
		return NULL;
	}
	net_timers(t->net, t->now_us); /* the stack learns what time it is */
	if (t->cfg.peer_ip4)
		hint(t, AF_INET, &t->cfg.peer_ip4, 4);
	if (is_set6(t->cfg.peer_ip6))
		hint(t, AF_INET6, t->cfg.peer_ip6, 16);
	return t;
}

void stt_destroy(struct stt *t)
{
	if (!t)
		return;
	stt_fault_set(0, 0);
	for (uint32_t i = 0; i < t->fifo_count; i++)
		rte_pktmbuf_free(t->fifo[(t->fifo_head + i) % STT_FIFO_MAX]);
	net_destroy(t->net);
	classifier_destroy(t->classifier);
	stt_pools_give(t);
	for (unsigned i = 0; i < STT_CONN_MAX; i++)
		free(t->conns[i].memory);
	free(t);
}

/* Packets not fetched yet may still point into its send memory. */
static bool is_lent(const struct stt_conn *c)
{
	for (uint32_t i = 0; c->memory && i < STT_BLOCK_COUNT; i++)
		if (stream_buf_busy(&c->blocks[i]))
			return true;
	return false;
}

/*
 * A slot never used, or else that of the connection which was closed or aborted longest ago and is
 * gone from the stack too: its facts are kept for stt_info until then.
 */
static int slot_take(struct stt *t)
{
	struct stt_info info = {.size = sizeof(info)};
	int best = -ENOSPC;

	for (int i = 0; i < STT_CONN_MAX; i++) {
		if (!t->conns[i].is_used)
			return i;
		if (t->conns[i].stream || stt_info(t, i, &info) || info.state != STT_CLOSED ||
			is_lent(&t->conns[i]))
			continue;
		if (best < 0 || t->conns[i].closed_seq < t->conns[best].closed_seq)
			best = i;
	}
	if (best >= 0) {
		free(t->conns[best].memory);
		memset(&t->conns[best], 0, sizeof(t->conns[best]));
	}
	return best;
}

/* Ports used again: what a released connection had of them is history. */
static void ports_taken_over(struct stt *t, const struct stt_conn *by)
{
	struct stream_info s;

	stream_info(by->stream, &s);
	for (int i = 0; i < STT_CONN_MAX; i++) {
		struct stt_conn *c = &t->conns[i];

		if (c != by && c->is_closed && c->last.local_port == s.local_port &&
			c->last.peer_port == s.peer_port)
			c->is_over = true;
	}
}

int stt_connect(struct stt *t, int family, uint16_t local_port, uint16_t peer_port)
{
	struct stream_target target = {
		.port = peer_port,
		.local_port = local_port,
		.quota_mbufs = t->cfg.quota,
		.owner = (uint16_t)t->owner,
		.owner_ooo = (uint16_t)t->owner_ooo,
		.cc = t->cfg.cc,
	};
	int id = slot_take(t), err = 0;
	struct stt_conn *c;

	if (id < 0)
		return id;
	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	target.ip.family = (uint8_t)family;
	if (family == AF_INET)
		memcpy(target.ip.addr, &t->cfg.peer_ip4, 4);
	else
		memcpy(target.ip.addr, t->cfg.peer_ip6, 16);
	c = &t->conns[id];
	c->stream = stream_connect(t->net, &target, c, &err);
	if (!c->stream)
		return err;
	c->is_used = true;
	ports_taken_over(t, c);
	return id;
}

int stt_rx(struct stt *t, const void *ip_packet, size_t len)
{
	const uint8_t *bytes = ip_packet;
	struct rte_ether_hdr *eth;
	struct rte_mbuf *m, *tail;
	size_t n;

	if (len == 0 || len > STT_PACKET_MAX)
		return -EINVAL;
	m = tail = rte_pktmbuf_alloc(reserve_pool(t->rx_pool));
	if (!m)
		return -ENOBUFS;
	eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, sizeof(*eth));
	memcpy(&eth->dst_addr, stt_local_mac, 6);
	memcpy(&eth->src_addr, stt_peer_mac, 6);
	eth->ether_type =
		rte_cpu_to_be_16(bytes[0] >> 4 == 6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	/* Longer than one buffer: a chain, as a NIC that merges packets delivers it. */
	for (size_t done = 0; done < len; done += n) {
		if (rte_pktmbuf_tailroom(tail) == 0) {
			tail->next = rte_pktmbuf_alloc(reserve_pool(t->rx_pool));
			if (!tail->next) {
				rte_pktmbuf_free(m);
				return -ENOBUFS;
			}
			tail = tail->next;
			m->nb_segs++;
		}
		n = RTE_MIN(len - done, (size_t)rte_pktmbuf_tailroom(tail));
		memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len), bytes + done, n);
		tail->data_len += (uint16_t)n;
		m->pkt_len += (uint32_t)n;
	}
	stt_link_in(t, m);
	return 0;
}

long stt_tx(struct stt *t, void *ip_packet, size_t cap)
{
	struct rte_mbuf *m;
	uint32_t len;

	if (t->fifo_count == 0)
		stt_link_pull(t);
	if (t->fifo_count == 0)
		return 0;
	m = t->fifo[t->fifo_head];
	len = m->pkt_len - RTE_ETHER_HDR_LEN;
	if (len > cap)
		return -EMSGSIZE;
	t->fifo_head = (t->fifo_head + 1) % STT_FIFO_MAX;
	t->fifo_count--;
	for (uint32_t done = 0, off = RTE_ETHER_HDR_LEN; m; off = 0) {
		struct rte_mbuf *next = m->next;

		memcpy((uint8_t *)ip_packet + done, rte_pktmbuf_mtod_offset(m, uint8_t *, off),
			m->data_len - off);
		done += m->data_len - off;
		rte_pktmbuf_free_seg(m);
		m = next;
	}
	return len;
}

uint64_t stt_now_us(struct stt *t)
{
	return t->now_us;
}

void stt_advance_us(struct stt *t, uint64_t to_us)
{
	while (t->now_us <= to_us) {
		uint64_t due_us, next_us;

		stt_link_pull(t);
		due_us = net_deadline(t->net);
		/* 0: what is to be sent now found the queue full.
		 * It may not carry us past @to_us. */
		next_us = RTE_MAX(due_us, t->now_us + (due_us == 0));
		if (next_us > to_us)
			break;
		t->now_us = next_us;
		net_timers(t->net, t->now_us);
		stt_events(t);
	}
	t->now_us = RTE_MAX(t->now_us, to_us);
	net_timers(t->net, t->now_us);
	stt_events(t);
}

uint64_t stt_deadline_us(struct stt *t)
{
	uint64_t due_us = tcp_deadline(t->net);

	return RTE_MAX(due_us, t->now_us);
}

void stt_pool_fail(struct stt *t, uint32_t skip, uint32_t count)
{
	stt_fault_set(skip, count);
}

/* Facts of a connection that lives on without its handle: found by its ports. */
static void info_of_released(struct stt *t, const struct stt_conn *c, struct stream_info *out)
{
	struct stream_info all[STT_CONN_MAX];
	unsigned n = net_conns(t->net, all, STT_CONN_MAX);

	*out = c->last;
	out->state = STT_CLOSED;
	out->held_mbufs = 0;
	for (unsigned i = 0; i < n && !c->is_over; i++)
		if (all[i].local_port == c->last.local_port &&
			all[i].peer_port == c->last.peer_port)
			*out = all[i];
}

int stt_info(struct stt *t, int id, struct stt_info *info)
{
	uint32_t size = info->size && info->size < sizeof(*info) ? info->size : sizeof(*info);
	struct reserve_info pool;
	struct stream_info s;
	struct stt_info out;

	if (id < 0 || id >= STT_CONN_MAX || !t->conns[id].is_used)
		return -EBADF;
	if (t->conns[id].stream)
		stream_info(t->conns[id].stream, &s);
	else
		info_of_released(t, &t->conns[id], &s);
	reserve_info(t->rx_pool, &pool);
	out = (struct stt_info){
		.size = size,
		.state = s.state,
		.mss = s.mss,
		.cwnd_bytes = s.cwnd_bytes,
		.ssthresh_bytes = s.ssthresh_bytes,
		.rcv_wnd_bytes = s.rcv_wnd_bytes,
		.snd_wnd_bytes = s.snd_wnd_bytes,
		.rto_us = s.rto_us,
		.srtt_us = s.srtt_us,
		.rttvar_us = s.rttvar_us,
		.unacked_bytes = s.unacked_bytes,
		.sacked_bytes = s.sacked_bytes,
		.lost_bytes = s.lost_bytes,
		.retrans_segs = s.retrans_segs,
		.backoff = s.backoff,
		.held_mbufs = s.held_mbufs,
		.free_mbufs = pool.free,
		.total_mbufs = pool.total,
		.bytes_acked = s.bytes_acked,
		.bytes_received = s.bytes_received,
	};
	memcpy(info, &out, size);
	return 0;
}
