/*
 * net_script.c - see net_script.h
 *
 * Two pools as in the product; after each test both must be whole again, which is how a leak in any
 * of these tests is found.
 */
#include "tests/unit/net/net_script.h"

#include <errno.h>
#include <netinet/in.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/link/arp.h"
#include "dataplane/net/tcp/tcp_table.h"

#define RX_COUNT  1024u
#define HDR_COUNT 256u

struct script sc;

const struct net_ip our4 = {AF_INET, {10, 0, 0, 2}}, our6 = {AF_INET6, {0xfd, [15] = 2}};
const struct net_ip gw4 = {AF_INET, {10, 0, 0, 1}}, gw6 = {AF_INET6, {0xfd, [15] = 1}};
const struct net_ip peer4 = {AF_INET, {10, 0, 0, 9}}, peer6 = {AF_INET6, {0xfd, [15] = 9}};
const struct net_ip far4 = {AF_INET, {192, 0, 2, 7}};
const struct net_ip far6 = {AF_INET6, {0x20, 0x01, 0x0d, 0xb8, [15] = 7}};
const struct net_ip none6 = {.family = AF_INET6};
const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 2}, peer_mac[6] = {2, 0, 0, 0, 0, 9};
const uint8_t other_mac[6] = {2, 0, 0, 0, 0, 0x77};
const uint8_t broadcast_mac[6] = {255, 255, 255, 255, 255, 255};

/* ---- the fake TCP ---- */

struct tcp_table {
	int unused;
};

struct tcp_table *tcp_table_create(struct net *net)
{
	static struct tcp_table table;

	if (!sc.tcp.is_failing)
		return &table;
	rte_errno = ENOSPC;
	return NULL;
}

void tcp_table_destroy(struct tcp_table *table)
{
}

void tcp_packet(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us)
{
	uint32_t len = in->l4_len < sizeof(sc.tcp.l4) ? in->l4_len : sizeof(sc.tcp.l4);
	const void *l4 = rte_pktmbuf_read(m, in->l4_off, len, sc.tcp.l4);

	sc.tcp.packets++;
	sc.tcp.in = *in;
	assert_int_equal(m->pkt_len, in->l4_off + in->l4_len);
	assert_non_null(l4);
	if (l4 != sc.tcp.l4)
		memcpy(sc.tcp.l4, l4, len);
	rte_pktmbuf_free(m);
}

bool tcp_run_next(struct net *net, struct rte_mbuf *m, const struct pkt_info *info)
{
	(void)net, (void)m, (void)info;
	return false;
}

void tcp_run_begin(struct net *net, const uint8_t *frame, const struct pkt_info *info)
{
	(void)net, (void)frame, (void)info;
}

void tcp_run_end(struct net *net)
{
	(void)net;
}

void tcp_icmp_error(struct net *net, const struct ip_in *quoted, uint16_t sport, uint16_t dport,
	uint32_t seq, int err, uint32_t mtu, bool is_hard)
{
	sc.tcp.errors++;
	sc.tcp.in = *quoted;
	sc.tcp.sport = sport;
	sc.tcp.dport = dport;
	sc.tcp.seq = seq;
	sc.tcp.err = err;
	sc.tcp.mtu = mtu;
	sc.tcp.is_hard = is_hard;
}

unsigned tcp_pull(struct net *net, struct rte_mbuf **out, unsigned max, uint64_t now_us)
{
	unsigned n = sc.tcp.pull_count < max ? sc.tcp.pull_count : max;

	if (sc.tcp.is_asking)
		arp_ask(net, &gw4, NULL);
	sc.tcp.is_asking = false;
	memcpy(out, sc.tcp.pull, n * sizeof(*out));
	sc.tcp.pull_count -= n;
	memmove(sc.tcp.pull, sc.tcp.pull + n, sc.tcp.pull_count * sizeof(*out));
	return n;
}

void tcp_timers(struct net *net, uint64_t now_us)
{
}

uint64_t tcp_deadline(const struct net *net)
{
	return sc.tcp.deadline_us;
}

void tcp_path_changed(struct net *net)
{
	sc.tcp.path_changes++;
}

unsigned tcp_conn_infos(const struct net *net, struct stream_info *out, unsigned max)
{
	return 0;
}

/* ---- set-up ---- */

int script_eal_start(void **state)
{
	static char arg[][24] = {"test", "--no-huge", "-m", "64", "--no-pci", "--no-shconf",
		"--iova-mode=va", "--no-telemetry", "--log-level=error", "-l", "0"};
	char *argv[RTE_DIM(arg) + 1] = {0};

	for (size_t i = 0; i < RTE_DIM(arg); i++)
		argv[i] = arg[i];
	return rte_eal_init((int)RTE_DIM(arg), argv) < 0 ? -1 : 0;
}

int script_eal_stop(void **state)
{
	return rte_eal_cleanup();
}

static struct reserve *pool_make(const char *name, uint32_t count, uint32_t data_bytes)
{
	const struct reserve_config cfg = {.name = name, .total_count = count,
		.data_bytes = data_bytes + RTE_PKTMBUF_HEADROOM, .socket = SOCKET_ID_ANY};

	return reserve_create(&cfg);
}

static void net_make(const struct net_offload *offload)
{
	struct net_config cfg = {.mtu = 1500, .rx_pool = sc.rx, .hdr_pool = sc.hdr};

	memcpy(cfg.mac, our_mac, 6);
	cfg.addrs[0] = (struct net_addr){.ip = our4, .prefix_bits = 24, .gateway = gw4};
	cfg.addrs[1] = (struct net_addr){.ip = our6, .prefix_bits = 64, .gateway = gw6};
	cfg.addr_count = 2;
	cfg.conn_max = 4;
	if (offload)
		cfg.offload = *offload;
	sc.net = net_create(&cfg);
	assert_non_null(sc.net);
}

int script_setup(void **state)
{
	memset(&sc, 0, sizeof(sc));
	sc.tcp.deadline_us = UINT64_MAX;
	sc.rx = pool_make("rx", RX_COUNT, MBUF_DATA_BYTES);
	sc.hdr = pool_make("hdr", HDR_COUNT, HDR_DATA_BYTES);
	if (!sc.rx || !sc.hdr)
		return -1;
	reserve_arm(sc.rx);
	reserve_arm(sc.hdr);
	net_make(NULL);
	at_us(1 * SEC);
	return 0;
}

static uint32_t free_count(const struct reserve *r)
{
	struct reserve_info info;

	reserve_check(r);
	reserve_info(r, &info);
	return info.free;
}

void script_pools_check(void)
{
	assert_int_equal(free_count(sc.rx), RX_COUNT);
	assert_int_equal(free_count(sc.hdr), HDR_COUNT);
}

int script_teardown(void **state)
{
	net_destroy(sc.net);
	script_pools_check();
	reserve_destroy(sc.rx);
	reserve_destroy(sc.hdr);
	return 0;
}

void script_offload(const struct net_offload *offload)
{
	net_destroy(sc.net);
	script_pools_check();
	net_make(offload);
	at_us(sc.now_us);
}

/* ---- bytes ---- */

static uint32_t ref_add(uint32_t sum, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sum += (uint32_t)p[i] << (i & 1 ? 0 : 8);
	return sum;
}

uint16_t ref_csum(const struct net_ip *src, const struct net_ip *dst, uint8_t proto,
	const uint8_t *l4, uint32_t len)
{
	uint32_t sum = ref_add(0, l4, len);

	if (src) {
		uint32_t n = src->family == AF_INET ? 4 : 16;

		sum = ref_add(ref_add(sum, src->addr, n), dst->addr, n) + proto + len;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

uint8_t pattern(uint32_t at)
{
	return (uint8_t)(at * 7 + (at >> 8) + 3);
}

void l4_csum_set(uint8_t *l4, uint32_t len, uint32_t csum_off, const struct net_ip *src,
	const struct net_ip *dst, uint8_t proto)
{
	put16(l4 + csum_off, 0);
	put16(l4 + csum_off,
		ref_csum(proto == IPPROTO_ICMP ? NULL : src, dst, proto, l4, len));
}

uint32_t l4_tcp(uint8_t *l4, const struct net_ip *src, const struct net_ip *dst, uint32_t payload)
{
	memset(l4, 0, 20);
	put16(l4, 10809);
	put16(l4 + 2, 40000);
	put16(l4 + 6, 1000);
	l4[12] = 5 << 4;
	l4[13] = 0x10;
	for (uint32_t i = 0; i < payload; i++)
		l4[20 + i] = pattern(i);
	l4_csum_set(l4, 20 + payload, 16, src, dst, IPPROTO_TCP);
	return 20 + payload;
}

void frame_put(struct frame *f, const void *bytes, uint32_t len)
{
	assert_true(f->len + len <= sizeof(f->bytes));
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

void frame_ether(struct frame *f, const uint8_t dst[6], const uint8_t src[6], uint16_t type)
{
	uint8_t type_be[2];

	f->len = 0;
	frame_put(f, dst, 6);
	frame_put(f, src, 6);
	put16(type_be, type);
	frame_put(f, type_be, 2);
}

static void put_ip4(struct frame *f, const struct net_ip *src, const struct net_ip *dst,
	uint8_t proto, uint32_t len, const struct ip_how *how)
{
	uint8_t ip[20] = {0x45, how->tos, [8] = how->ttl ? how->ttl : 64, [9] = proto};

	put16(ip + 2, 20 + len);
	put16(ip + 4, how->id);
	put16(ip + 6, how->frag);
	memcpy(ip + 12, src->addr, 4);
	memcpy(ip + 16, dst->addr, 4);
	put16(ip + 10, ref_csum(NULL, NULL, 0, ip, 20));
	frame_put(f, ip, 20);
}

static void put_ip6(struct frame *f, const struct net_ip *src, const struct net_ip *dst,
	uint8_t proto, uint32_t len, const struct ip_how *how)
{
	uint8_t ip[40] = {0x60, [7] = how->ttl ? how->ttl : 64};

	ip[0] |= how->tos >> 4;
	ip[1] = (uint8_t)(how->tos << 4);
	put16(ip + 4, len + how->ext_len);
	ip[6] = how->ext_len ? how->ext_first : proto;
	memcpy(ip + 8, src->addr, 16);
	memcpy(ip + 24, dst->addr, 16);
	frame_put(f, ip, 40);
	if (how->ext_len)
		frame_put(f, how->ext, how->ext_len);
}

void frame_ip(struct frame *f, const struct net_ip *src, const struct net_ip *dst, uint8_t proto,
	const uint8_t *l4, uint32_t len, const struct ip_how *how)
{
	static const struct ip_how plain;
	bool is_ip4 = src->family == AF_INET;

	if (!how)
		how = &plain;
	frame_ether(f, how->dst_mac ? how->dst_mac : our_mac, peer_mac, is_ip4 ? 0x0800 : 0x86dd);
	if (is_ip4)
		put_ip4(f, src, dst, proto, len, how);
	else
		put_ip6(f, src, dst, proto, len, how);
	frame_put(f, l4, len);
}

void frame_arp(struct frame *f, uint16_t op, const uint8_t sha[6], const struct net_ip *spa,
	const struct net_ip *tpa)
{
	uint8_t arp[28] = {0, 1, 8, 0, 6, 4, (uint8_t)(op >> 8), (uint8_t)op};

	memcpy(arp + 8, sha, 6);
	memcpy(arp + 14, spa->addr, 4);
	if (op == 2)
		memcpy(arp + 18, our_mac, 6);
	memcpy(arp + 24, tpa->addr, 4);
	frame_ether(f, op == 2 ? our_mac : broadcast_mac, sha, 0x0806);
	frame_put(f, arp, sizeof(arp));
}

void assert_arp(const struct frame *f, uint16_t op, const uint8_t dst[6], const struct net_ip *spa,
	const struct net_ip *tpa)
{
	const uint8_t fixed[8] = {0, 1, 8, 0, 6, 4, 0, (uint8_t)op};
	const uint8_t *arp = f->bytes + 14;

	assert_int_equal(f->len, 42);
	assert_memory_equal(f->bytes, dst, 6);
	assert_memory_equal(f->bytes + 6, our_mac, 6);
	assert_memory_equal(f->bytes + 12, "\x08\x06", 2);
	assert_memory_equal(arp, fixed, 8);
	assert_memory_equal(arp + 8, our_mac, 6);
	assert_memory_equal(arp + 14, spa->addr, 4);
	assert_memory_equal(arp + 24, tpa->addr, 4);
}

/* ---- packets in and out ---- */

bool rx_chain(const struct frame *f, uint32_t first, uint32_t seg_bytes, uint64_t ol_flags)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(reserve_pool(sc.rx));
	uint32_t at = first < f->len ? first : f->len;
	struct pkt_info info;

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)at), f->bytes, at);
	while (at < f->len) {
		struct rte_mbuf *seg = rte_pktmbuf_alloc(reserve_pool(sc.rx));
		uint32_t n = f->len - at < seg_bytes ? f->len - at : seg_bytes;

		assert_non_null(seg);
		memcpy(rte_pktmbuf_append(seg, (uint16_t)n), f->bytes + at, n);
		assert_int_equal(rte_pktmbuf_chain(m, seg), 0);
		at += n;
	}
	m->ol_flags |= ol_flags;
	reserve_force(m, OWNER_UNCLASSIFIED, sc.now_us);
	classify_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, m->pkt_len, &info);
	if (info.cls == PKT_BAD) {
		rte_pktmbuf_free(m);
		return false;
	}
	info.cls = info.l4_proto == IPPROTO_TCP ? PKT_PROTECTED : PKT_ESSENTIAL;
	net_input(sc.net, &m, &info, 1, sc.now_us);
	assert_null(m);
	return true;
}

bool rx(const struct frame *f)
{
	return rx_chain(f, MBUF_DATA_BYTES, MBUF_DATA_BYTES, 0);
}

bool tx(struct frame *f)
{
	struct rte_mbuf *m;

	if (net_output(sc.net, &m, 1, sc.now_us) == 0)
		return false;
	f->len = m->pkt_len;
	assert_true(f->len <= sizeof(f->bytes));
	for (uint32_t at = 0; m;) {
		struct rte_mbuf *next = m->next;

		memcpy(f->bytes + at, rte_pktmbuf_mtod(m, void *), m->data_len);
		at += m->data_len;
		rte_pktmbuf_free_seg(m);
		m = next;
	}
	return true;
}

void tx_none(void)
{
	struct frame f;

	assert_false(tx(&f));
}

void at_us(uint64_t now_us)
{
	sc.now_us = now_us;
	net_timers(sc.net, now_us);
}

struct rte_mbuf *mbuf_of(const uint8_t *bytes, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(reserve_pool(sc.hdr));

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
	return m;
}
