/*
 * test_port_packet.c - what the kernel says of a frame arrives with it, over a veth as `ip link
 * add` makes it
 *
 * The group runs in a network namespace of its own. The port is on pp-a; frames come from a plain
 * packet socket on pp-b, with the offload header that the kernel of a sender on the same host would
 * give them.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include "dataplane/port.h"
#include "dataplane/port_packet.h"
#include "tests/unit/mempool_reserve/pool.h"

#define HEADERS	   54u /* Ethernet, IPv4, TCP */
#define TEXT_BYTES 30000u
#define MSS	   1448
#define POOL	   128u

static struct port_packet *port;
static struct port_facts facts;
static struct reserve *pool;
static int peer = -1;
static struct error err;
static const uint8_t from_mac[6] = {2, 0, 0, 0, 0, 0xb}, to_mac[6] = {2, 0, 0, 0, 0, 0xa};

static int peer_open(void)
{
	const struct sockaddr_ll addr = {
		.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("pp-b")};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;

	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
		bind(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return -1;
	return fd;
}

static int world_start(void **state)
{
	const struct config_port cfg = {.kind = DEVICE_AF_PACKET, .name = "p", .device = "pp-a"};

	if (geteuid() != 0 || unshare(CLONE_NEWNET))
		return 0;
	if (system("ip link add pp-a address 02:00:00:00:00:0a type veth peer name pp-b address "
		   "02:00:00:00:00:0b &&"
		   "sysctl -qw net.ipv6.conf.pp-a.disable_ipv6=1 net.ipv6.conf.pp-b.disable_ipv6=1 "
		   "&&"
		   "ip link set pp-a up && ip link set pp-b up && ip tuntap add pp-tun mode tun") ||
		eal_start(state) || port_packet_open(&cfg, 1, &facts, &port, &err))
		return -1;
	pool = pool_of("test", POOL, 0, MBUF_DATA_BYTES);
	port_packet_queue_setup(port, 0, reserve_pool(pool), POOL);
	peer = peer_open();
	return port_packet_start(port, &err) || peer < 0 ? -1 : 0;
}

static int world_end(void **state)
{
	port_packet_close(port);
	return 0;
}

static void need_world(void)
{
	if (!port)
		skip();
}

/* A segment of @text bytes of 0, 1, 2 … whose checksum is begun if @is_half, else whole. */
static uint32_t segment_lay(uint8_t *frame, uint32_t text, bool is_half)
{
	struct rte_ether_hdr *eth = (void *)frame;
	struct rte_ipv4_hdr *ip = (void *)(eth + 1);
	struct rte_tcp_hdr *tcp = (void *)(ip + 1);

	memset(frame, 0, HEADERS);
	memcpy(eth->dst_addr.addr_bytes, to_mac, 6);
	memcpy(eth->src_addr.addr_bytes, from_mac, 6);
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	*ip = (struct rte_ipv4_hdr){.version_ihl = 0x45,
		.total_length = rte_cpu_to_be_16((uint16_t)(HEADERS - sizeof(*eth) + text)),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_TCP,
		.src_addr = RTE_BE32(0x0a000002),
		.dst_addr = RTE_BE32(0x0a000001)};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	tcp->data_off = 5 << 4;
	for (uint32_t i = 0; i < text; i++)
		frame[HEADERS + i] = (uint8_t)i;
	tcp->cksum = is_half ? rte_ipv4_phdr_cksum(ip, 0) : rte_ipv4_udptcp_cksum(ip, tcp);
	return HEADERS + text;
}

static void peer_send(struct virtio_net_hdr h, uint8_t *frame, uint32_t bytes)
{
	struct iovec iov[] = {{&h, sizeof(h)}, {frame, bytes}};
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	assert_int_equal(sendmsg(peer, &msg, 0), sizeof(h) + bytes);
}

static struct virtio_net_hdr half_hdr(uint8_t gso_type)
{
	return (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = 34,
		.csum_offset = 16,
		.gso_type = gso_type,
		.gso_size = gso_type ? MSS : 0,
		.hdr_len = HEADERS};
}

/* The next frame, waited for at most a second; NULL: none. */
static struct rte_mbuf *receive(void)
{
	struct pollfd at = {.fd = port_packet_fd(port, 0), .events = POLLIN};
	struct rte_mbuf *m[BURST_MAX];
	unsigned n = port_packet_rx(port, 0, m);

	if (n == 0 && poll(&at, 1, 1000) == 1)
		n = port_packet_rx(port, 0, m);
	assert_true(n <= 1);
	return n ? m[0] : NULL;
}

static bool has_text(const struct rte_mbuf *m, uint32_t off, uint32_t text)
{
	uint8_t *copy = malloc(text);
	const uint8_t *p = rte_pktmbuf_read(m, off, text, copy);
	uint32_t i = 0;

	while (p && i < text && p[i] == (uint8_t)i)
		i++;
	free(copy);
	return i == text;
}

static void facts_are_the_interfaces(void **state)
{
	need_world();
	assert_memory_equal(facts.mac, to_mac, 6);
	assert_true(facts.has_lro && facts.offload.rx_csum && facts.offload.tx_tso);
	assert_true(port_packet_link_up(port));
}

static void a_frame_longer_than_the_mtu_arrives_whole(void **state)
{
	static uint8_t frame[HEADERS + TEXT_BYTES];
	struct rte_mbuf *m;

	need_world();
	peer_send(half_hdr(VIRTIO_NET_HDR_GSO_TCPV4), frame, segment_lay(frame, TEXT_BYTES, true));
	m = receive();
	assert_non_null(m);
	assert_int_equal(m->pkt_len, sizeof(frame));
	assert_int_equal(m->nb_segs, (sizeof(frame) + MBUF_DATA_BYTES - 1) / MBUF_DATA_BYTES);
	assert_true(m->ol_flags & RTE_MBUF_F_RX_LRO);
	assert_int_equal(m->tso_segsz, MSS);
	assert_true(has_text(m, HEADERS, TEXT_BYTES));
	rte_pktmbuf_free(m);
}

static void a_checksum_is_marked_as_begun_only_if_it_is(void **state)
{
	uint8_t frame[HEADERS + 100];
	struct rte_mbuf *m;

	need_world();
	peer_send(half_hdr(0), frame, segment_lay(frame, 100, true));
	m = receive();
	assert_non_null(m);
	assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_NONE);
	rte_pktmbuf_free(m);
	peer_send((struct virtio_net_hdr){0}, frame, segment_lay(frame, 100, false));
	m = receive();
	assert_non_null(m);
	assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN);
	rte_pktmbuf_free(m);
}

static void a_vlan_tag_is_put_back(void **state)
{
	uint8_t frame[HEADERS + 104], plain[HEADERS + 100];
	struct rte_mbuf *m;

	need_world();
	segment_lay(plain, 100, false);
	memcpy(frame, plain, 12);
	memcpy(frame + 12, "\x81\x00\x60\x05", 4);
	memcpy(frame + 16, plain + 12, sizeof(plain) - 12);
	peer_send((struct virtio_net_hdr){0}, frame, sizeof(frame));
	m = receive();
	assert_non_null(m);
	assert_int_equal(m->pkt_len, sizeof(frame));
	assert_memory_equal(rte_pktmbuf_mtod(m, uint8_t *), frame, sizeof(frame));
	rte_pktmbuf_free(m);
}

static void a_frame_waits_for_mbufs(void **state)
{
	struct rte_mbuf *all[POOL], *m;
	uint8_t frame[HEADERS + 100];
	struct port_stats stats;

	need_world();
	assert_int_equal(rte_pktmbuf_alloc_bulk(reserve_pool(pool), all, POOL), 0);
	peer_send((struct virtio_net_hdr){0}, frame, segment_lay(frame, 100, false));
	assert_null(receive());
	port_packet_stats(port, &stats);
	assert_true(stats.rx_nombuf > 0);
	rte_pktmbuf_free_bulk(all, POOL);
	m = receive();
	assert_non_null(m);
	assert_true(has_text(m, HEADERS, 100));
	rte_pktmbuf_free(m);
}

/* A chain of mbufs, as the stack gives it with TSO: the length is not in the pseudo header. */
static struct rte_mbuf *chain_of(const uint8_t *frame, uint32_t bytes)
{
	struct rte_mbuf *m = NULL;

	for (uint32_t at = 0; at < bytes;) {
		struct rte_mbuf *seg = rte_pktmbuf_alloc(reserve_pool(pool));
		uint32_t n = RTE_MIN(bytes - at, MBUF_DATA_BYTES);

		assert_non_null(seg);
		memcpy(rte_pktmbuf_append(seg, (uint16_t)n), frame + at, n);
		at += n;
		if (!m)
			m = seg;
		else
			assert_int_equal(rte_pktmbuf_chain(m, seg), 0);
	}
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG;
	m->l2_len = sizeof(struct rte_ether_hdr);
	m->l3_len = sizeof(struct rte_ipv4_hdr);
	m->l4_len = sizeof(struct rte_tcp_hdr);
	m->tso_segsz = MSS;
	return m;
}

static void a_long_segment_is_cut_with_good_checksums(void **state)
{
	static uint8_t frame[HEADERS + TEXT_BYTES], got[sizeof(struct virtio_net_hdr) + 2048];
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = RTE_BE16(0x0800)};
	int fd = socket(AF_PACKET, SOCK_RAW, RTE_BE16(0x0800));
	uint32_t bytes = segment_lay(frame, TEXT_BYTES, true), text = 0;
	struct rte_mbuf *m = chain_of(frame, bytes);

	need_world();
	addr.sll_ifindex = (int)if_nametoindex("pp-b");
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(system("ethtool -K pp-a tso off gso off tx off >/dev/null"), 0);
	assert_int_equal(port_packet_tx(port, 0, &m, 1), 1);
	while (text < TEXT_BYTES) {
		const struct rte_ipv4_hdr *ip = (void *)(got + sizeof(struct rte_ether_hdr));
		struct pollfd at = {.fd = fd, .events = POLLIN};
		ssize_t n;

		assert_int_equal(poll(&at, 1, 1000), 1);
		n = recv(fd, got, sizeof(got), 0);
		assert_true(n > (ssize_t)HEADERS && n <= (ssize_t)HEADERS + MSS);
		assert_int_equal(rte_ipv4_udptcp_cksum_verify(ip, ip + 1), 0);
		assert_int_equal(got[HEADERS], (uint8_t)text);
		text += (uint32_t)n - HEADERS;
	}
	assert_int_equal(text, TEXT_BYTES);
	assert_int_equal(system("ethtool -K pp-a tso on gso on tx on >/dev/null"), 0);
	close(fd);
}

static void a_link_that_went_down_comes_back(void **state)
{
	uint8_t frame[HEADERS + 100];
	struct port_stats before, after;
	struct rte_mbuf *m;

	need_world();
	assert_int_equal(system("ip link set pp-a down"), 0);
	assert_false(port_packet_link_up(port));
	assert_null(receive());
	port_packet_wait_end(port, 0);
	assert_int_equal(
		poll(&(struct pollfd){.fd = port_packet_fd(port, 0), .events = POLLIN}, 1, 0), 0);
	port_packet_stats(port, &before);
	m = chain_of(frame, segment_lay(frame, 100, true));
	assert_int_equal(port_packet_tx(port, 0, &m, 1), 1);
	port_packet_stats(port, &after);
	assert_int_equal(after.tx_errors, before.tx_errors + 1);
	assert_int_equal(system("ip link set pp-a up"), 0);
	/* The kernel opens the peer's queue a moment later (linkwatch), and drops until then. */
	m = NULL;
	for (int i = 0; i < 10 && !m; i++) {
		peer_send((struct virtio_net_hdr){0}, frame, segment_lay(frame, 100, false));
		m = receive();
	}
	assert_non_null(m);
	rte_pktmbuf_free(m);
}

static void what_is_no_ethernet_is_refused_by_name(void **state)
{
	const struct config_port cfg = {.kind = DEVICE_AF_PACKET, .name = "p", .device = "pp-tun"};
	struct port_packet *other = NULL;
	struct port_facts f = {0};

	need_world();
	assert_int_equal(port_packet_open(&cfg, 1, &f, &other, &err), -EPROTOTYPE);
	assert_null(other);
	assert_non_null(strstr(err.text, "pp-tun is not an Ethernet interface"));
}

/* Last: what is gone does not come back. */
static void an_interface_that_is_gone_wakes_nobody(void **state)
{
	struct rte_mbuf *m[BURST_MAX];
	uint8_t frame[HEADERS + 100];

	need_world();
	assert_int_equal(rte_mempool_avail_count(reserve_pool(pool)), POOL);
	assert_int_equal(system("ip link del pp-a"), 0);
	assert_int_equal(port_packet_rx(port, 0, m), 0);
	port_packet_wait_end(port, 0);
	assert_int_equal(
		poll(&(struct pollfd){.fd = port_packet_fd(port, 0), .events = POLLIN}, 1, 0), 0);
	m[0] = chain_of(frame, segment_lay(frame, 100, true));
	assert_int_equal(port_packet_tx(port, 0, m, 1), 1);
	assert_false(port_packet_link_up(port));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_are_the_interfaces),
		cmocka_unit_test(a_frame_longer_than_the_mtu_arrives_whole),
		cmocka_unit_test(a_checksum_is_marked_as_begun_only_if_it_is),
		cmocka_unit_test(a_vlan_tag_is_put_back),
		cmocka_unit_test(a_frame_waits_for_mbufs),
		cmocka_unit_test(a_long_segment_is_cut_with_good_checksums),
		cmocka_unit_test(a_link_that_went_down_comes_back),
		cmocka_unit_test(what_is_no_ethernet_is_refused_by_name),
		cmocka_unit_test(an_interface_that_is_gone_wakes_nobody),
	};

	return cmocka_run_group_tests(tests, world_start, world_end);
}
