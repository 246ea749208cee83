/*
 * test_parse.c - each good packet, and the same cut short, too long and illegal
 */
#include "tests/unit/classifier/frame.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void make_arp(struct frame *f)
{
	put_eth(f, 0x0806);
	put_arp(f, 1, peer4, us4);
}

static void make_ip4_tcp(struct frame *f)
{
	put_eth(f, 0x0800);
	put_ip4(f, IPPROTO_TCP, 0x4000, 0);
	put_tcp(f, RPORT, LPORT, 0);
	put_payload(f, 100);
}

static void make_ip4_options(struct frame *f)
{
	put_eth(f, 0x0800);
	put_ip4(f, IPPROTO_TCP, 0, 40);
	put_tcp(f, RPORT, LPORT, 40);
	put_payload(f, 1);
}

static void make_ip4_udp(struct frame *f)
{
	put_eth(f, 0x0800);
	put_ip4(f, IPPROTO_UDP, 0, 0);
	put_udp(f, RPORT, LPORT, 9);
	put_payload(f, 9);
}

static void make_ip4_icmp(struct frame *f)
{
	put_eth(f, 0x0800);
	put_ip4(f, IPPROTO_ICMP, 0, 0);
	put(f, NULL, 8);
}

static void make_ip4_first_fragment(struct frame *f)
{
	put_eth(f, 0x0800);
	put_ip4(f, IPPROTO_TCP, 0x2000, 0);
	put_tcp(f, RPORT, LPORT, 0);
	put_payload(f, 12);
}

static void make_ip4_later_fragment(struct frame *f)
{
	put_eth(f, 0x0800);
	put_ip4(f, IPPROTO_TCP, 0x0004, 0);
	put_payload(f, 5);
}

static void make_vlan(struct frame *f)
{
	put_eth(f, 0);
	put_tag(f, 0x8100, 0x6007, 0x0800);
	put_ip4(f, IPPROTO_TCP, 0, 0);
	put_tcp(f, RPORT, LPORT, 0);
}

static void make_qinq(struct frame *f)
{
	put_eth(f, 0);
	put_tag(f, 0x88a8, 5, 0x8100);
	put_tag(f, 0x8100, 7, 0x86dd);
	put_ip6(f, IPPROTO_TCP);
	put_tcp(f, RPORT, LPORT, 12);
}

static void make_ip6_tcp(struct frame *f)
{
	put_eth(f, 0x86dd);
	put_ip6(f, IPPROTO_TCP);
	put_tcp(f, RPORT, LPORT, 12);
	put_payload(f, 64);
}

static void make_ip6_chain(struct frame *f)
{
	put_eth(f, 0x86dd);
	put_ip6(f, IPPROTO_HOPOPTS);
	put_ext(f, IPPROTO_DSTOPTS, 8);
	put_ext(f, IPPROTO_ROUTING, 24);
	put_ext(f, IPPROTO_FRAGMENT, 16);
	put_frag6(f, IPPROTO_DSTOPTS, 0, false);
	put_ext(f, IPPROTO_UDP, 8);
	put_udp(f, RPORT, LPORT, 0);
}

static void make_ip6_first_fragment(struct frame *f)
{
	put_eth(f, 0x86dd);
	put_ip6(f, IPPROTO_FRAGMENT);
	put_frag6(f, IPPROTO_TCP, 0, true);
	put_tcp(f, RPORT, LPORT, 0);
	put_payload(f, 4);
}

static void make_ip6_later_fragment(struct frame *f)
{
	put_eth(f, 0x86dd);
	put_ip6(f, IPPROTO_FRAGMENT);
	put_frag6(f, IPPROTO_TCP, 24, true);
	put_payload(f, 16);
}

static void make_ip6_icmp(struct frame *f)
{
	put_eth(f, 0x86dd);
	put_ip6(f, IPPROTO_ICMPV6);
	put(f, NULL, 4);
}

#define PORTS .sport = RPORT, .dport = LPORT
#define LATER PKT_FRAGMENT
#define FIRST (PKT_FRAGMENT | PKT_FRAGMENT_FIRST)

static const struct good {
	void (*make)(struct frame *f);
	struct pkt_info want; /* end_off and l4_off are worked out */
} good[] = {
	{make_arp, {.l3 = PKT_L3_ARP, .l3_off = 14, .l3_len = 28, .ethertype = 0x0806}},
	{make_ip4_tcp, {.l3 = PKT_L3_IP4,
			       .l3_off = 14,
			       .l3_len = 20,
			       .l4_proto = IPPROTO_TCP,
			       .ethertype = 0x0800,
			       PORTS}},
	{make_ip4_options, {.l3 = PKT_L3_IP4,
				   .l3_off = 14,
				   .l3_len = 60,
				   .l4_proto = IPPROTO_TCP,
				   .ethertype = 0x0800,
				   PORTS}},
	{make_ip4_udp, {.l3 = PKT_L3_IP4,
			       .l3_off = 14,
			       .l3_len = 20,
			       .l4_proto = IPPROTO_UDP,
			       .ethertype = 0x0800,
			       PORTS}},
	{make_ip4_icmp, {.l3 = PKT_L3_IP4,
				.l3_off = 14,
				.l3_len = 20,
				.l4_proto = IPPROTO_ICMP,
				.ethertype = 0x0800}},
	{make_ip4_first_fragment, {.l3 = PKT_L3_IP4,
					  .l3_off = 14,
					  .l3_len = 20,
					  .flags = FIRST,
					  .l4_proto = IPPROTO_TCP,
					  .ethertype = 0x0800,
					  PORTS}},
	{make_ip4_later_fragment, {.l3 = PKT_L3_IP4,
					  .l3_off = 14,
					  .l3_len = 20,
					  .flags = LATER,
					  .l4_proto = IPPROTO_TCP,
					  .ethertype = 0x0800}},
	{make_vlan, {.l3 = PKT_L3_IP4,
			    .l3_off = 18,
			    .l3_len = 20,
			    .flags = PKT_VLAN,
			    .vlan = 7,
			    .l4_proto = IPPROTO_TCP,
			    .ethertype = 0x0800,
			    PORTS}},
	{make_qinq, {.l3 = PKT_L3_IP6,
			    .l3_off = 22,
			    .l3_len = 40,
			    .flags = PKT_VLAN,
			    .vlan = 7,
			    .l4_proto = IPPROTO_TCP,
			    .ethertype = 0x86dd,
			    PORTS}},
	{make_ip6_tcp, {.l3 = PKT_L3_IP6,
			       .l3_off = 14,
			       .l3_len = 40,
			       .l4_proto = IPPROTO_TCP,
			       .ethertype = 0x86dd,
			       PORTS}},
	{make_ip6_chain, {.l3 = PKT_L3_IP6,
				 .l3_off = 14,
				 .l3_len = 104,
				 .l4_proto = IPPROTO_UDP,
				 .ethertype = 0x86dd,
				 PORTS}},
	{make_ip6_first_fragment, {.l3 = PKT_L3_IP6,
					  .l3_off = 14,
					  .l3_len = 48,
					  .flags = FIRST,
					  .l4_proto = IPPROTO_TCP,
					  .ethertype = 0x86dd,
					  PORTS}},
	{make_ip6_later_fragment, {.l3 = PKT_L3_IP6,
					  .l3_off = 14,
					  .l3_len = 48,
					  .flags = LATER,
					  .l4_proto = IPPROTO_TCP,
					  .ethertype = 0x86dd}},
	{make_ip6_icmp, {.l3 = PKT_L3_IP6,
				.l3_off = 14,
				.l3_len = 40,
				.l4_proto = IPPROTO_ICMPV6,
				.ethertype = 0x86dd}},
};

static void build(unsigned i, struct frame *f)
{
	*f = (struct frame){0};
	good[i].make(f);
	frame_end(f);
}

static void assert_parsed(unsigned i, const struct pkt_info *info, uint32_t end_off)
{
	const struct pkt_info *want = &good[i].want;

	assert_int_equal(info->cls, PKT_EXCEPTION);
	assert_int_equal(info->l3, want->l3);
	assert_int_equal(info->l4_proto, want->l4_proto);
	assert_int_equal(info->flags, want->flags);
	assert_int_equal(info->l3_off, want->l3_off);
	assert_int_equal(info->l3_len, want->l3_len);
	assert_int_equal(info->l4_off, want->l3_off + want->l3_len);
	assert_int_equal(info->end_off, end_off);
	assert_int_equal(info->sport, want->sport);
	assert_int_equal(info->dport, want->dport);
	assert_int_equal(info->vlan, want->vlan);
	assert_int_equal(info->ethertype, want->ethertype);
	assert_int_equal(info->flow, FLOW_NONE);
}

static void parse_finds_every_header(void **state)
{
	struct frame f;

	for (unsigned i = 0; i < COUNT(good); i++) {
		struct pkt_info info;

		build(i, &f);
		info = parse(&f);
		assert_parsed(i, &info, f.len);
	}
}

static void parse_rejects_every_frame_cut_short(void **state)
{
	struct frame f;

	for (unsigned i = 0; i < COUNT(good); i++) {
		build(i, &f);
		for (uint32_t len = 0; len < f.len; len++) {
			struct pkt_info info;

			classify_parse(f.bytes, len, len, &info);
			assert_int_equal(info.cls, PKT_BAD);
		}
	}
}

/* The rest of the packet may lie in other segments, but not its headers. */
static void parse_needs_headers_in_the_first_segment(void **state)
{
	struct frame f;

	for (unsigned i = 0; i < COUNT(good); i++) {
		build(i, &f);
		for (uint32_t len = 0; len <= f.len; len++) {
			struct pkt_info info;

			classify_parse(f.bytes, len, f.len, &info);
			if (len < f.header_end)
				assert_int_equal(info.cls, PKT_BAD);
			else
				assert_parsed(i, &info, f.len);
		}
	}
}

static void parse_takes_bytes_after_the_datagram_for_padding(void **state)
{
	struct frame f;

	for (unsigned i = 0; i < COUNT(good); i++) {
		struct pkt_info info;
		uint32_t end;

		build(i, &f);
		end = f.len;
		put_payload(&f, 60);
		info = parse(&f);
		assert_parsed(i, &info, end);
	}
}

/* One byte, or two, of a good frame changed, so that it contradicts itself. */
static const struct illegal {
	const char *what;
	void (*make)(struct frame *f);
	uint16_t at, value;
	bool is_wide;
} illegal[] = {
	{"ARP hardware address of 7 bytes", make_arp, 14 + 4, 7},
	{"ARP protocol address of 16 bytes", make_arp, 14 + 5, 16},
	{"IPv4 with version 5", make_ip4_tcp, 14, 0x55},
	{"IPv4 header of 16 bytes", make_ip4_tcp, 14, 0x44},
	{"IPv4 header longer than the datagram", make_ip4_icmp, 14, 0x4f},
	{"IPv4 datagram shorter than its header", make_ip4_tcp, 14 + 3, 19},
	{"IPv4 datagram that ends within TCP", make_ip4_tcp, 14 + 3, 39},
	{"IPv4 datagram longer than the frame", make_ip4_tcp, 14 + 3, 141},
	{"TCP header of 16 bytes", make_ip4_tcp, 34 + 12, 0x40},
	{"TCP header beyond the datagram", make_qinq, 62 + 12, 0x90},
	{"UDP length of 7", make_ip4_udp, 34 + 5, 7},
	{"UDP length beyond the datagram", make_ip4_udp, 34 + 5, 18},
	{"first fragment of no multiple of eight", make_ip4_first_fragment, 14 + 3, 51},
	{"first fragment without all of TCP", make_ip4_first_fragment, 14 + 3, 36},
	{"fragment without a byte", make_ip4_later_fragment, 14 + 3, 20},
	{"fragment beyond 65535", make_ip4_later_fragment, 14 + 6, 0x1fff, true},
	{"IPv6 with version 4", make_ip6_tcp, 14, 0x40},
	{"IPv6 payload longer than the frame", make_ip6_tcp, 14 + 5, 97},
	{"IPv6 payload that ends within TCP", make_ip6_tcp, 14 + 5, 31},
	{"hop-by-hop options that are not first", make_ip6_chain, 54, IPPROTO_HOPOPTS},
	{"extension header beyond the datagram", make_ip6_chain, 54 + 1, 40},
	{"two fragment headers", make_ip6_chain, 102, IPPROTO_FRAGMENT},
	{"IPv6 fragment of no multiple of eight", make_ip6_later_fragment, 14 + 5, 23},
	{"IPv6 fragment without a byte", make_ip6_later_fragment, 14 + 5, 8},
	{"IPv6 fragment beyond 65535", make_ip6_later_fragment, 54 + 2, 0xfff9, true},
	{"ICMPv6 of three bytes", make_ip6_icmp, 14 + 5, 3},
	{"ICMP of seven bytes", make_ip4_icmp, 14 + 3, 27},
};

static void parse_rejects_what_contradicts_itself(void **state)
{
	for (unsigned i = 0; i < COUNT(illegal); i++) {
		struct frame f = {0};
		struct pkt_info info;

		illegal[i].make(&f);
		frame_end(&f);
		assert_int_equal(parse(&f).cls, PKT_EXCEPTION);
		if (illegal[i].is_wide)
			set16(f.bytes + illegal[i].at, illegal[i].value);
		else
			f.bytes[illegal[i].at] = (uint8_t)illegal[i].value;
		info = parse(&f);
		if (info.cls != PKT_BAD)
			fail_msg("accepted: %s", illegal[i].what);
	}
}

static void parse_leaves_other_ethertypes_alone(void **state)
{
	struct frame f = {0};
	struct pkt_info info;

	put_eth(&f, 0x88a2);
	f.bytes[0] = 0xff;
	info = parse(&f);
	assert_int_equal(info.cls, PKT_EXCEPTION);
	assert_int_equal(info.l3, PKT_L3_NONE);
	assert_int_equal(info.flags, PKT_MULTICAST);
	assert_int_equal(info.ethertype, 0x88a2);
}

static void parse_sees_two_tags_and_no_third(void **state)
{
	struct frame f = {0};
	struct pkt_info info;

	put_eth(&f, 0);
	put_tag(&f, 0x9100, 3, 0);
	put_tag(&f, 0x8100, 4, 0);
	put_tag(&f, 0x8100, 5, 0x0800);
	info = parse(&f);
	assert_int_equal(info.cls, PKT_EXCEPTION);
	assert_int_equal(info.l3, PKT_L3_NONE);
	assert_int_equal(info.vlan, 4);
	assert_int_equal(info.ethertype, 0x8100);
}

static void parse_takes_a_priority_tag_for_none(void **state)
{
	struct frame f = {0};
	struct pkt_info info;

	put_eth(&f, 0);
	put_tag(&f, 0x8100, 0xe000, 0x0806);
	put_arp(&f, 1, peer4, us4);
	info = parse(&f);
	assert_int_equal(info.l3, PKT_L3_ARP);
	assert_int_equal(info.flags & PKT_VLAN, 0);
	assert_int_equal(info.vlan, 0);
}

static void parse_does_not_enter_tunnels(void **state)
{
	static const uint8_t protos[] = {
		IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_GRE, IPPROTO_ESP, IPPROTO_AH};

	for (unsigned i = 0; i < COUNT(protos); i++) {
		struct frame f = {0};
		struct pkt_info info;

		put_eth(&f, 0x0800);
		put_ip4(&f, protos[i], 0, 0);
		put_ip4(&f, IPPROTO_TCP, 0, 0);
		put_tcp(&f, RPORT, LPORT, 0);
		f.ip_off = 14;
		frame_end(&f);
		info = parse(&f);
		assert_int_equal(info.cls, PKT_EXCEPTION);
		assert_int_equal(info.l4_proto, protos[i]);
		assert_int_equal(info.sport, 0);
	}
}

static void parse_stops_at_a_route_not_yet_travelled(void **state)
{
	struct frame f = {0};
	struct pkt_info info;

	put_eth(&f, 0x86dd);
	put_ip6(&f, IPPROTO_ROUTING);
	put_ext(&f, IPPROTO_TCP, 24);
	f.bytes[54 + 3] = 1;
	put_tcp(&f, RPORT, LPORT, 0);
	frame_end(&f);
	info = parse(&f);
	assert_int_equal(info.cls, PKT_EXCEPTION);
	assert_int_equal(info.l4_proto, IPPROTO_ROUTING);
	assert_int_equal(info.sport, 0);
}

static void parse_walks_a_bounded_chain(void **state)
{
	struct frame f = {0};
	struct pkt_info info;

	put_eth(&f, 0x86dd);
	put_ip6(&f, IPPROTO_DSTOPTS);
	for (unsigned i = 0; i < 8; i++)
		put_ext(&f, IPPROTO_DSTOPTS, 8);
	put_ext(&f, IPPROTO_TCP, 8);
	put_tcp(&f, RPORT, LPORT, 0);
	frame_end(&f);
	info = parse(&f);
	assert_int_equal(info.cls, PKT_EXCEPTION);
	assert_int_equal(info.l4_proto, IPPROTO_DSTOPTS);
	f.bytes[54 + 7 * 8] = IPPROTO_TCP; /* the eighth is the last but one now */
	info = parse(&f);
	assert_int_equal(info.l4_proto, IPPROTO_TCP);
}

/* What follows the header of a later fragment is payload, whatever it would mean elsewhere. */
static void parse_walks_no_further_than_a_later_fragment(void **state)
{
	struct frame f = {0};
	struct pkt_info info;

	put_eth(&f, 0x86dd);
	put_ip6(&f, IPPROTO_FRAGMENT);
	put_frag6(&f, IPPROTO_DSTOPTS, 8, false);
	put_payload(&f, 16);
	frame_end(&f);
	info = parse(&f);
	assert_int_equal(info.cls, PKT_EXCEPTION);
	assert_int_equal(info.l4_proto, IPPROTO_DSTOPTS);
	assert_int_equal(info.l3_len, 48);
}

static void parse_leaves_foreign_arp_alone(void **state)
{
	struct frame f = {0};
	struct pkt_info info;

	make_arp(&f);
	f.bytes[14 + 1] = 6; /* IEEE 802 networks */
	info = parse(&f);
	assert_int_equal(info.cls, PKT_EXCEPTION);
	assert_int_equal(info.l3, PKT_L3_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_finds_every_header),
		cmocka_unit_test(parse_rejects_every_frame_cut_short),
		cmocka_unit_test(parse_needs_headers_in_the_first_segment),
		cmocka_unit_test(parse_takes_bytes_after_the_datagram_for_padding),
		cmocka_unit_test(parse_rejects_what_contradicts_itself),
		cmocka_unit_test(parse_leaves_other_ethertypes_alone),
		cmocka_unit_test(parse_sees_two_tags_and_no_third),
		cmocka_unit_test(parse_takes_a_priority_tag_for_none),
		cmocka_unit_test(parse_does_not_enter_tunnels),
		cmocka_unit_test(parse_stops_at_a_route_not_yet_travelled),
		cmocka_unit_test(parse_walks_a_bounded_chain),
		cmocka_unit_test(parse_walks_no_further_than_a_later_fragment),
		cmocka_unit_test(parse_leaves_foreign_arp_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
