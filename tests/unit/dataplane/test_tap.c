/*
 * test_tap.c - what a NIC did to a frame is undone, or told to the kernel, and the kernel agrees
 *
 * The mbufs stand on the stack. The tests that need a tap make it in a network namespace of their
 * own, and skip where the kernel allows neither.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include "config/host/host.h"
#include "dataplane/exception/tap.h"
#include "tests/unit/classifier/frame.h"

#define ROOM 8192
#define MSS  1000

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

struct packet {
	struct rte_mbuf m;
	uint8_t bytes[RTE_PKTMBUF_HEADROOM + ROOM];
	struct tap_frame at;
};

static void packet_of(struct packet *p, struct frame *f)
{
	struct pkt_info info;

	frame_end(f);
	classify_parse(f->bytes, f->len, f->len, &info);
	assert_int_equal(info.cls, PKT_EXCEPTION);
	memset(p, 0, sizeof(*p));
	memcpy(p->bytes + RTE_PKTMBUF_HEADROOM, f->bytes, f->len);
	p->m = (struct rte_mbuf){.buf_addr = p->bytes,
		.buf_len = sizeof(p->bytes),
		.data_off = RTE_PKTMBUF_HEADROOM,
		.data_len = (uint16_t)f->len,
		.pkt_len = f->len,
		.nb_segs = 1,
		.refcnt = 1};
	p->at = (struct tap_frame){.l4_proto = info.l4_proto,
		.is_ip4 = info.l3 == PKT_L3_IP4,
		.l3_off = info.l3_off,
		.l4_off = info.l4_off,
		.end_off = info.end_off};
}

static uint8_t *bytes_of(struct packet *p)
{
	return rte_pktmbuf_mtod(&p->m, uint8_t *);
}

static void make_udp4(struct frame *f, unsigned payload)
{
	put_eth(f, 0x0800);
	put_ip4(f, IPPROTO_UDP, 0, 0);
	put_udp(f, 7, 9, payload);
	put_payload(f, payload);
}

static void make_tcp6(struct frame *f, unsigned payload)
{
	put_eth(f, 0x86dd);
	put_ip6(f, IPPROTO_TCP);
	put_tcp(f, 7, 9, 12);
	put_payload(f, payload);
}

static void tap_leaves_a_whole_frame_alone(void **state)
{
	struct frame f = {0};
	struct packet p;

	make_udp4(&f, 10);
	packet_of(&p, &f);
	p.m.ol_flags =
		RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_RSS_HASH;
	assert_true(tap_frame_prepare(&p.m, &p.at));
	assert_int_equal(p.m.ol_flags, 0);
	assert_memory_equal(bytes_of(&p), f.bytes, f.len);
}

static void tap_puts_a_stripped_tag_back(void **state)
{
	struct frame f = {0};
	struct packet p;

	make_udp4(&f, 10);
	packet_of(&p, &f);
	p.m.ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	p.m.vlan_tci = 0x6005;
	assert_true(tap_frame_prepare(&p.m, &p.at));
	assert_int_equal(p.m.pkt_len, f.len + 4);
	assert_memory_equal(bytes_of(&p), f.bytes, 12);
	assert_memory_equal(bytes_of(&p) + 12, "\x81\x00\x60\x05\x08\x00", 6);
	assert_memory_equal(bytes_of(&p) + 18, f.bytes + 14, f.len - 14);
}

static void tap_puts_both_tags_back(void **state)
{
	struct frame f = {0};
	struct packet p;

	make_udp4(&f, 10);
	packet_of(&p, &f);
	p.m.ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_QINQ |
		       RTE_MBUF_F_RX_QINQ_STRIPPED;
	p.m.vlan_tci = 5;
	p.m.vlan_tci_outer = 6;
	assert_true(tap_frame_prepare(&p.m, &p.at));
	assert_memory_equal(bytes_of(&p) + 12, "\x88\xa8\x00\x06\x81\x00\x00\x05\x08\x00", 10);
	assert_int_equal(p.m.ol_flags, 0);
}

static void tap_asks_for_a_checksum_left_half_made(void **state)
{
	struct frame f = {0};
	struct packet p;
	struct rte_ipv4_hdr *ip;

	make_udp4(&f, 10);
	put(&f, NULL, 6); /* padding, which no sum covers */
	packet_of(&p, &f);
	p.at.end_off -= 6;
	bytes_of(&p)[f.ip_off + 3] -= 6;
	bytes_of(&p)[f.ip_off + 26] = 1; /* any sum but none */
	p.m.ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
	assert_true(tap_frame_prepare(&p.m, &p.at));
	assert_int_equal(p.m.pkt_len, f.len - 6);
	assert_int_equal(p.m.ol_flags, RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV4);
	assert_int_equal(p.m.l2_len + p.m.l3_len, 34);
	ip = (struct rte_ipv4_hdr *)(bytes_of(&p) + 14);
	assert_int_equal(*(uint16_t *)(bytes_of(&p) + 40), rte_ipv4_phdr_cksum(ip, 0));
}

static void tap_leaves_udp_without_a_checksum_without(void **state)
{
	struct frame f = {0};
	struct packet p;

	make_udp4(&f, 10);
	packet_of(&p, &f);
	p.m.ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
	assert_true(tap_frame_prepare(&p.m, &p.at));
	assert_int_equal(p.m.ol_flags, 0);
	assert_memory_equal(bytes_of(&p), f.bytes, f.len);
}

static void tap_tells_the_segment_size_of_glued_segments(void **state)
{
	struct frame f = {0};
	struct packet p;

	make_tcp6(&f, 2 * MSS + 1);
	packet_of(&p, &f);
	p.m.ol_flags = RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_NONE;
	p.m.tso_segsz = MSS;
	assert_true(tap_frame_prepare(&p.m, &p.at));
	assert_int_equal(
		p.m.ol_flags, RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV6);
	assert_int_equal(p.m.tso_segsz, MSS);
	assert_int_equal(p.m.l4_len, 32);
	make_tcp6(&f, MSS);
	packet_of(&p, &f);
	p.m.ol_flags = RTE_MBUF_F_RX_LRO;
	p.m.tso_segsz = MSS;
	assert_true(tap_frame_prepare(&p.m, &p.at));
	assert_false(p.m.ol_flags & RTE_MBUF_F_TX_TCP_SEG); /* just one */
}

/* ---- with a tap ---- */

static int open_tap(void)
{
	struct tap_config cfg = {.iface = "t0", .queue_count = 1};
	struct host_addr addr = {.family = AF_INET, .prefix_bits = 24};
	struct error err = {""};
	int fd;

	if (unshare(CLONE_NEWNET))
		skip();
	memcpy(cfg.mac, mac, sizeof(mac));
	memcpy(addr.addr, us4, sizeof(addr.addr));
	if (tap_open(&cfg, &fd, &err)) {
		print_message("%s\n", err.text);
		skip();
	}
	assert_int_equal(host_iface_mtu_set("t0", 9000, &err), 0);
	assert_int_equal(host_iface_addr_add("t0", &addr, &err), 0);
	assert_int_equal(host_iface_addr_add("t0", &addr, &err), 0); /* it is so already */
	assert_int_equal(host_iface_up("t0", &err), 0);
	return fd;
}

static bool is_running(void)
{
	struct ifreq ifr = {.ifr_name = "t0"};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
	close(fd);
	return ifr.ifr_flags & IFF_RUNNING;
}

static void carrier_follows_what_it_is_told(void **state)
{
	struct error err = {""};
	int tap = open_tap();

	assert_true(is_running());
	assert_int_equal(host_iface_carrier_set("t0", false, &err), 0);
	for (int i = 0; i < 500 && is_running(); i++)
		usleep(10000); /* the kernel says so once a second at most (net/core/link_watch.c)
				*/
	assert_false(is_running());
	assert_int_equal(host_iface_carrier_set("t0", true, &err), 0);
	for (int i = 0; i < 500 && !is_running(); i++)
		usleep(10000);
	assert_true(is_running());
	assert_int_equal(host_iface_carrier_set("t9", true, &err), -ENODEV);
	close(tap);
}

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 2000) == 1;
}

static int udp_socket(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	memcpy(&sa.sin_addr, us4, 4);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* A datagram for us whose IP header is right and whose own checksum is @sum. */
static void make_datagram(struct packet *p, uint16_t sum)
{
	struct frame f = {0};
	struct rte_ipv4_hdr *ip;

	make_udp4(&f, 10);
	memcpy(f.bytes, mac, sizeof(mac));
	packet_of(p, &f);
	ip = (struct rte_ipv4_hdr *)(bytes_of(p) + 14);
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	memcpy(bytes_of(p) + 40, &sum, 2);
}

static void kernel_takes_a_half_made_checksum_and_no_wrong_one(void **state)
{
	char text[64];
	struct packet p;
	int tap = open_tap(), fd = udp_socket();

	make_datagram(&p, 0x1234);
	assert_true(tap_frame_prepare(&p.m, &p.at));
	assert_int_equal(tap_write(tap, &p.m), 0); /* wrong, and the NIC did not look */
	make_datagram(&p, 0x1234);
	bytes_of(&p)[42] = 'x';
	p.m.ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
	assert_true(tap_frame_prepare(&p.m, &p.at));
	assert_int_equal(tap_write(tap, &p.m), 0);
	assert_true(is_readable(fd));
	assert_int_equal(recv(fd, text, sizeof(text), 0), 10);
	assert_int_equal(text[0], 'x');
	close(fd);
	close(tap);
}

static void frames_of_the_kernel_fit_or_are_lost(void **state)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct packet p;
	struct frame f = {0};
	char text[8500] = "";
	int tap = open_tap(), fd = udp_socket(), i, rc = 0;

	memcpy(&sa.sin_addr, "\x0a\x00\x00\xff",
		4); /* broadcast, so that nobody must be asked for */
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &(int){1}, sizeof(int)), 0);
	assert_int_equal(sendto(fd, text, 8400, 0, (struct sockaddr *)&sa, sizeof(sa)), 8400);
	assert_int_equal(sendto(fd, text, 100, 0, (struct sockaddr *)&sa, sizeof(sa)), 100);
	make_udp4(&f, 10);
	for (i = 0; i < 20 && rc != -EMSGSIZE; i++) { /* the kernel has things of its own to say */
		packet_of(&p, &f);
		p.m.data_len = 0;
		rc = is_readable(tap) ? tap_read(tap, &p.m) : -EAGAIN;
	}
	assert_int_equal(rc, -EMSGSIZE);
	for (rc = 0; i < 20 && p.m.pkt_len != 142; i++) {
		packet_of(&p, &f);
		p.m.data_len = 0;
		rc = is_readable(tap) ? tap_read(tap, &p.m) : -EAGAIN;
	}
	assert_int_equal(rc, 1);
	assert_int_equal(p.m.pkt_len, 142);
	assert_int_equal(rte_ipv4_udptcp_cksum_verify(
				 (struct rte_ipv4_hdr *)(bytes_of(&p) + 14), bytes_of(&p) + 34),
		0);
	close(fd);
	close(tap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tap_leaves_a_whole_frame_alone),
		cmocka_unit_test(tap_puts_a_stripped_tag_back),
		cmocka_unit_test(tap_puts_both_tags_back),
		cmocka_unit_test(tap_asks_for_a_checksum_left_half_made),
		cmocka_unit_test(tap_leaves_udp_without_a_checksum_without),
		cmocka_unit_test(tap_tells_the_segment_size_of_glued_segments),
		cmocka_unit_test(kernel_takes_a_half_made_checksum_and_no_wrong_one),
		cmocka_unit_test(carrier_follows_what_it_is_told),
		cmocka_unit_test(frames_of_the_kernel_fit_or_are_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
