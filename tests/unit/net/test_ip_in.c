/*
 * test_ip_in.c - what of IPv4 and IPv6 reaches TCP, and what does not
 */
#include <netinet/in.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "tests/unit/net/net_script.h"

static bool rx_tcp(const struct net_ip *src, const struct net_ip *dst, uint32_t payload,
	const struct ip_how *how)
{
	static uint8_t l4[9000];
	struct frame f;

	frame_ip(&f, src, dst, IPPROTO_TCP, l4, l4_tcp(l4, src, dst, payload), how);
	return rx(&f);
}

static void input_delivers_both_families(void **state)
{
	struct ip_how how = {.tos = 3, .ttl = 57};

	assert_true(rx_tcp(&peer4, &our4, 100, &how));
	assert_int_equal(sc.tcp.packets, 1);
	assert_true(ip_equal(&sc.tcp.in.src, &peer4));
	assert_true(ip_equal(&sc.tcp.in.dst, &our4));
	assert_int_equal(sc.tcp.in.ecn, IP_ECN_CE);
	assert_int_equal(sc.tcp.in.ttl, 57);
	assert_int_equal(sc.tcp.in.l4_off, 34);
	assert_int_equal(sc.tcp.in.l4_len, 120);
	assert_int_equal(sc.tcp.l4[119], pattern(99));
	how.tos = 2;
	assert_true(rx_tcp(&peer6, &our6, 100, &how));
	assert_int_equal(sc.tcp.packets, 2);
	assert_true(ip_equal(&sc.tcp.in.src, &peer6));
	assert_int_equal(sc.tcp.in.ecn, IP_ECN_ECT0);
	assert_int_equal(sc.tcp.in.l4_off, 54);
	assert_int_equal(sc.tcp.in.l4_len, 120);
}

/* Ethernet pads to 60 bytes: the fake asserts that the packet ends where the datagram does. */
static void input_trims_padding(void **state)
{
	const uint8_t padding[6] = {0xaa, 0xbb};
	uint8_t l4[20];
	struct frame f;

	frame_ip(&f, &peer4, &our4, IPPROTO_TCP, l4, l4_tcp(l4, &peer4, &our4, 0), NULL);
	frame_put(&f, padding, sizeof(padding));
	assert_true(rx(&f));
	assert_int_equal(sc.tcp.packets, 1);
	assert_int_equal(sc.tcp.in.l4_len, 20);
}

static void input_sums_a_chain_of_odd_segments(void **state)
{
	static uint8_t l4[3000];
	struct frame f;

	frame_ip(&f, &peer4, &our4, IPPROTO_TCP, l4, l4_tcp(l4, &peer4, &our4, 2901), NULL);
	assert_true(rx_chain(&f, 67, 501, 0));
	assert_int_equal(sc.tcp.packets, 1);
	f.bytes[2000] ^= 0x10;
	assert_true(rx_chain(&f, 67, 501, 0));
	assert_int_equal(sc.tcp.packets, 1);
	assert_int_equal(sc.net->stats.rx_bad_csum, 1);
}

static void input_drops_every_single_flipped_bit(void **state)
{
	uint8_t l4[60];
	struct frame f;

	frame_ip(&f, &peer6, &our6, IPPROTO_TCP, l4, l4_tcp(l4, &peer6, &our6, 40), NULL);
	for (uint32_t bit = 0; bit < 60 * 8; bit++) {
		if (bit / 8 == 12)
			continue; /* the data offset: the parser's business */
		f.bytes[54 + bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(rx(&f));
		f.bytes[54 + bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(sc.tcp.packets, 0);
	assert_int_equal(sc.net->stats.rx_bad_csum, 59 * 8);
}

/* GOOD and NONE are believed, BAD too, UNKNOWN is summed. Here the sum is wrong in fact. */
static void input_believes_the_port_when_it_may(void **state)
{
	const struct net_offload offload = {.rx_csum = true};
	uint8_t l4[60];
	struct frame f;

	script_offload(&offload);
	frame_ip(&f, &peer4, &our4, IPPROTO_TCP, l4, l4_tcp(l4, &peer4, &our4, 40), NULL);
	f.bytes[60] ^= 1;
	assert_true(rx_chain(&f, 2000, 0, RTE_MBUF_F_RX_L4_CKSUM_GOOD));
	assert_int_equal(sc.tcp.packets, 1);
	assert_true(rx_chain(&f, 2000, 0, RTE_MBUF_F_RX_L4_CKSUM_NONE));
	assert_int_equal(sc.tcp.packets, 2);
	assert_true(rx_chain(&f, 2000, 0, 0));
	assert_int_equal(sc.tcp.packets, 2);
	f.bytes[60] ^= 1;
	assert_true(rx_chain(&f, 2000, 0, RTE_MBUF_F_RX_L4_CKSUM_BAD));
	assert_int_equal(sc.tcp.packets, 2);
	assert_true(rx_chain(&f, 2000, 0, RTE_MBUF_F_RX_IP_CKSUM_BAD));
	assert_int_equal(sc.tcp.packets, 2);
	f.bytes[24] ^= 1; /* the IPv4 header's own sum */
	assert_true(rx_chain(&f, 2000, 0, 0));
	assert_int_equal(sc.tcp.packets, 2);
	assert_true(rx_chain(&f, 2000, 0, RTE_MBUF_F_RX_IP_CKSUM_GOOD));
	assert_int_equal(sc.tcp.packets, 3);
}

static void input_does_not_believe_a_port_it_may_not(void **state)
{
	uint8_t l4[60];
	struct frame f;

	frame_ip(&f, &peer4, &our4, IPPROTO_TCP, l4, l4_tcp(l4, &peer4, &our4, 40), NULL);
	assert_true(rx_chain(&f, 2000, 0, RTE_MBUF_F_RX_L4_CKSUM_BAD));
	assert_int_equal(sc.tcp.packets, 1);
	f.bytes[60] ^= 1;
	assert_true(rx_chain(&f, 2000, 0, RTE_MBUF_F_RX_L4_CKSUM_GOOD));
	assert_int_equal(sc.tcp.packets, 1);
}

static void input_for_others_is_dropped(void **state)
{
	const struct ip_how group = {.dst_mac = (const uint8_t[6]){1, 0, 0x5e, 0, 0, 1}};
	const struct net_ip all6 = {AF_INET6, {0xff, 2, [15] = 1}};

	assert_true(rx_tcp(&peer4, &gw4, 1, NULL));
	assert_true(rx_tcp(&peer6, &gw6, 1, NULL));
	assert_true(rx_tcp(&peer4, &our4, 1, &group));
	assert_true(rx_tcp(&peer6, &our6, 1, &group));
	assert_true(rx_tcp(&peer6, &all6, 1, &group));
	assert_int_equal(sc.tcp.packets, 0);
	assert_int_equal(sc.net->stats.rx_not_ours, 5);
}

static void input_from_nowhere_is_dropped(void **state)
{
	const struct net_ip bad4[] = {{AF_INET, {0}}, {AF_INET, {127, 0, 0, 1}},
		{AF_INET, {224, 0, 0, 9}}, {AF_INET, {255, 255, 255, 255}}, our4};
	const struct net_ip bad6[] = {{AF_INET6, {0xff, 2, [15] = 9}}, {AF_INET6, {0}},
		{AF_INET6, {[15] = 1}}, our6};

	for (int i = 0; i < 5; i++)
		assert_true(rx_tcp(&bad4[i], &our4, 1, NULL));
	for (int i = 0; i < 4; i++)
		assert_true(rx_tcp(&bad6[i], &our6, 1, NULL));
	assert_int_equal(sc.tcp.packets, 0);
	assert_int_equal(sc.net->stats.rx_bad_hdr, 9);
}

static void input_steps_over_extension_headers(void **state)
{
	/* Hop-by-hop with PadN and Pad1, then destination options with one of type 00xxxxxx. */
	const uint8_t ext[] = {60, 0, 1, 3, 0, 0, 0, 0, 6, 0, 0x1e, 2, 9, 9, 0, 0};
	const struct ip_how how = {.ext_first = 0, .ext = ext, .ext_len = sizeof(ext)};

	assert_true(rx_tcp(&peer6, &our6, 10, &how));
	assert_int_equal(sc.tcp.packets, 1);
	assert_int_equal(sc.tcp.in.l4_off, 14 + 40 + 16);
	assert_int_equal(sc.tcp.in.l4_len, 30);
}

/* RFC 8200 4.2: an unknown option with the top bits set forbids the packet. */
static void input_obeys_options_that_forbid_it(void **state)
{
	uint8_t ext[] = {6, 0, 0x40, 4, 0, 0, 0, 0};
	const struct ip_how how = {.ext_first = 60, .ext = ext, .ext_len = sizeof(ext)};

	for (unsigned top = 0x40; top <= 0xc0; top += 0x40) {
		ext[2] = (uint8_t)top;
		assert_true(rx_tcp(&peer6, &our6, 10, &how));
	}
	ext[2] = 1;
	ext[3] = 5; /* passes the header's end */
	assert_true(rx_tcp(&peer6, &our6, 10, &how));
	assert_int_equal(sc.tcp.packets, 0);
	assert_int_equal(sc.net->stats.rx_bad_hdr, 4);
}

/* Fragment header with offset 0 and nothing to follow: RFC 6946. */
static void input_takes_an_atomic_fragment(void **state)
{
	const uint8_t ext[] = {6, 0, 0, 0, 1, 2, 3, 4};
	const struct ip_how how = {.ext_first = 44, .ext = ext, .ext_len = sizeof(ext)};

	assert_true(rx_tcp(&peer6, &our6, 10, &how));
	assert_int_equal(sc.tcp.packets, 1);
	assert_int_equal(sc.net->stats.frag_rx, 0);
}

static void input_steps_over_a_spent_routing_header(void **state)
{
	uint8_t ext[] = {6, 0, 4, 0, 0, 0, 0, 0};
	const struct ip_how how = {.ext_first = 43, .ext = ext, .ext_len = sizeof(ext)};

	assert_true(rx_tcp(&peer6, &our6, 10, &how));
	assert_int_equal(sc.tcp.packets, 1);
	ext[3] = 1; /* somewhere left to go */
	rx_tcp(&peer6, &our6, 10, &how);
	assert_int_equal(sc.tcp.packets, 1);
}

static void input_of_another_protocol_is_dropped(void **state)
{
	uint8_t l4[40] = {0};
	struct frame f;

	frame_ip(&f, &peer4, &our4, 132, l4, sizeof(l4), NULL);
	assert_true(rx(&f));
	frame_ip(&f, &peer6, &our6, 132, l4, sizeof(l4), NULL);
	assert_true(rx(&f));
	assert_int_equal(sc.net->stats.rx_not_ours, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(input_delivers_both_families),
		script_test(input_trims_padding),
		script_test(input_sums_a_chain_of_odd_segments),
		script_test(input_drops_every_single_flipped_bit),
		script_test(input_believes_the_port_when_it_may),
		script_test(input_does_not_believe_a_port_it_may_not),
		script_test(input_for_others_is_dropped),
		script_test(input_from_nowhere_is_dropped),
		script_test(input_steps_over_extension_headers),
		script_test(input_obeys_options_that_forbid_it),
		script_test(input_takes_an_atomic_fragment),
		script_test(input_steps_over_a_spent_routing_header),
		script_test(input_of_another_protocol_is_dropped),
	};

	return cmocka_run_group_tests(tests, script_eal_start, script_eal_stop);
}
