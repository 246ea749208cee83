/*
 * test_classify.c - the verdict on each kind of packet, and on its near misses
 *
 * The mbufs stand on the stack: a classifier borrows them and needs no pool. What a packet's
 * neighbours in a burst have to do with it is test_classify_burst.c.
 */
#include <errno.h>
#include "tests/unit/classifier/verdict.h"

static struct pkt_info classify(struct classifier *c, struct frame *f)
{
	struct rte_mbuf m = mbuf_of(f), *burst = &m;
	struct pkt_info info;

	classify_burst(c, &burst, 1, &info);
	return info;
}

static enum pkt_class class_of(struct classifier *c, struct frame *f)
{
	return classify(c, f).cls;
}

static void classify_protects_the_exact_flow(void **state)
{
	struct frame f = {0};
	struct pkt_info info;

	make_tcp4(&f, RPORT, LPORT);
	info = classify(*state, &f);
	assert_int_equal(info.cls, PKT_PROTECTED);
	assert_int_equal(info.flow, COOKIE);
	assert_int_equal(info.flags, 0);
	put_eth(&f, 0x86dd);
	put_ip6(&f, IPPROTO_HOPOPTS);
	put_ext(&f, IPPROTO_TCP, 16);
	put_tcp(&f, RPORT, LPORT, 12);
	info = classify(*state, &f);
	assert_int_equal(info.cls, PKT_PROTECTED);
	assert_int_equal(info.flow, COOKIE + 1);
}

static void classify_lets_near_misses_of_a_flow_be_exceptions(void **state)
{
	struct frame f = {0};

	make_tcp4(&f, RPORT + 1, LPORT);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_tcp4(&f, RPORT, LPORT + 1);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_tcp4(&f, LPORT, RPORT);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_tcp4(&f, RPORT, LPORT);
	f.bytes[f.ip_off + 15] = 3;
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	put_eth(&f, 0x0800);
	put_ip4(&f, IPPROTO_UDP, 0, 0);
	put_udp(&f, RPORT, LPORT, 0);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	assert_int_equal(classify(*state, &f).flow, FLOW_NONE);
}

static void classify_forgets_a_removed_flow(void **state)
{
	struct flow_key key = key4();
	struct frame f = {0};

	assert_int_equal(flow_remove(*state, &key), 0);
	make_tcp4(&f, RPORT, LPORT);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
}

static void classify_takes_tagged_frames_for_another_network(void **state)
{
	struct frame f = {0};

	put_eth(&f, 0);
	put_tag(&f, 0x8100, 9, 0x0800);
	put_ip4(&f, IPPROTO_TCP, 0, 0);
	put_tcp(&f, RPORT, LPORT, 0);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	put_eth(&f, 0);
	put_tag(&f, 0x8100, 9, 0x0806);
	put_arp(&f, 1, peer4, us4);
	f.ip_off = 0;
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	put_eth(&f, 0);
	put_tag(&f, 0x8100, 0, 0x0806); /* a priority tag is no VLAN */
	put_arp(&f, 1, peer4, us4);
	assert_int_equal(class_of(*state, &f), PKT_ESSENTIAL);
}

static void classify_sees_the_tag_the_port_took_out(void **state)
{
	static const struct {
		uint64_t flags;
		uint16_t inner, outer, vlan;
		enum pkt_class cls;
	} cases[] = {
		{RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED, 0x2007, 0, 7, PKT_EXCEPTION},
		{RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED, 0xe000, 0, 0, PKT_PROTECTED},
		{RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_QINQ, 0, 5, 5, PKT_EXCEPTION},
		{0, 7, 0, 0, PKT_PROTECTED},
	};

	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		struct frame f = {0};
		struct rte_mbuf m, *burst = &m;
		struct pkt_info info;

		make_tcp4(&f, RPORT, LPORT);
		m = mbuf_of(&f);
		m.ol_flags = cases[i].flags;
		m.vlan_tci = cases[i].inner;
		m.vlan_tci_outer = cases[i].outer;
		classify_burst(*state, &burst, 1, &info);
		assert_int_equal(info.cls, cases[i].cls);
		assert_int_equal(info.vlan, cases[i].vlan);
		assert_int_equal(!!(info.flags & PKT_VLAN), cases[i].vlan != 0);
	}
}

static void classify_arp_is_essential_if_it_concerns_us(void **state)
{
	static const uint8_t gateway[4] = {10, 0, 0, 254};
	static const struct {
		const uint8_t *sender, *target;
		enum pkt_class cls;
	} cases[] = {
		{other4, us4, PKT_ESSENTIAL},	   /* asks for us */
		{us4, other4, PKT_ESSENTIAL},	   /* uses our address */
		{peer4, peer4, PKT_ESSENTIAL},	   /* a remote has moved */
		{gateway, gateway, PKT_ESSENTIAL}, /* and so has the gateway */
		{other4, other4, PKT_EXCEPTION},
		{other4, peer4, PKT_EXCEPTION},
	};

	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		struct frame f = {0};

		put_eth(&f, 0x0806);
		put_arp(&f, 1, cases[i].sender, cases[i].target);
		assert_int_equal(class_of(*state, &f), cases[i].cls);
	}
}

static void classify_forgets_cleared_addresses(void **state)
{
	static const uint8_t gateway[4] = {10, 0, 0, 254};
	struct frame f = {0};

	classifier_address_clear(*state);
	put_eth(&f, 0x0806);
	put_arp(&f, 1, other4, us4);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	put_eth(&f, 0x0806);
	put_arp(&f, 2, gateway, gateway);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	for (unsigned i = 0; i < NET_ADDR_MAX; i++) {
		uint8_t addr[4] = {192, 0, 2, (uint8_t)i};

		assert_int_equal(classifier_address_add(*state, AF_INET, addr), 0);
		assert_int_equal(classifier_address_add(*state, AF_INET, addr), 0);
	}
	assert_int_equal(classifier_address_add(*state, AF_INET, us4), -ENOSPC);
}

static void make_nd(struct frame *f, unsigned type, const uint8_t *src, const uint8_t *target)
{
	uint8_t *p;

	put_eth(f, 0x86dd);
	put_ip6_from(f, src, IPPROTO_ICMPV6);
	f->bytes[f->ip_off + 24] = 0xff; /* to a group */
	p = put(f, NULL, 24);
	p[0] = (uint8_t)type;
	memcpy(p + 8, target, 16);
}

static void classify_nd_is_essential_if_it_concerns_us(void **state)
{
	static const uint8_t gateway[16] = {0xfe, 0x80, [15] = 254};
	static const struct {
		unsigned type;
		const uint8_t *target;
		enum pkt_class cls;
	} cases[] = {
		{135, us6, PKT_ESSENTIAL},
		{135, other6, PKT_EXCEPTION},
		{135, peer6, PKT_EXCEPTION},
		{136, peer6, PKT_ESSENTIAL},
		{136, gateway, PKT_ESSENTIAL},
		{136, us6, PKT_ESSENTIAL},
		{136, other6, PKT_EXCEPTION},
		{134, us6, PKT_EXCEPTION},
		{137, us6, PKT_EXCEPTION},
	};
	struct frame f = {0};

	for (unsigned i = 0; i < RTE_DIM(cases); i++) {
		make_nd(&f, cases[i].type, other6, cases[i].target);
		assert_int_equal(class_of(*state, &f), cases[i].cls);
	}
	make_nd(&f, 135, other6, us6);
	f.bytes[f.ip_off + 7] = 254; /* was forwarded */
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_nd(&f, 135, other6, us6);
	f.bytes[f.ip_off + 41] = 1; /* no such code */
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_nd(&f, 135, other6, us6);
	f.len -= 1; /* the target is cut short */
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
}

static void classify_ping_of_our_address_is_essential(void **state)
{
	struct frame f = {0};

	make_echo(&f, true, 8);
	assert_int_equal(class_of(*state, &f), PKT_ESSENTIAL);
	f.bytes[f.ip_off + 19] = 77; /* not our address */
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_echo(&f, true, 0); /* a reply: the kernel asked */
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_echo(&f, false, 128);
	assert_int_equal(class_of(*state, &f), PKT_ESSENTIAL);
	f.bytes[f.ip_off + 39] = 77;
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_echo(&f, false, 129);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_echo(&f, true, 8);
	f.bytes[f.ip_off + 6] = 0x20; /* only a part of it: the kernel puts it together */
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
}

/* An error from a router about a packet we sent, cut after @quote bytes of its TCP header. */
static void make_error4(struct frame *f, unsigned type, unsigned lport, unsigned quote)
{
	uint32_t outer;
	uint8_t *inner;

	put_eth(f, 0x0800);
	put_ip4_from(f, other4, IPPROTO_ICMP, 0, 0);
	outer = f->ip_off;
	put(f, NULL, 8)[0] = (uint8_t)type;
	put_ip4_from(f, us4, IPPROTO_TCP, 0x4000, 4);
	inner = f->bytes + f->ip_off;
	memcpy(inner + 16, peer4, 4);
	set16(inner + 2, 1500);
	put_tcp(f, lport, RPORT, 0);
	f->len -= 20 - quote;
	f->ip_off = outer;
}

static void make_error6(struct frame *f, unsigned type, unsigned lport, bool with_ext)
{
	uint32_t outer;
	uint8_t *inner;

	put_eth(f, 0x86dd);
	put_ip6_from(f, other6, IPPROTO_ICMPV6);
	outer = f->ip_off;
	put(f, NULL, 8)[0] = (uint8_t)type;
	put_ip6_from(f, us6, with_ext ? IPPROTO_DSTOPTS : IPPROTO_TCP);
	inner = f->bytes + f->ip_off;
	memcpy(inner + 24, peer6, 16);
	set16(inner + 4, 1400);
	if (with_ext)
		put_ext(f, IPPROTO_TCP, 8);
	put_tcp(f, lport, RPORT, 0);
	f->ip_off = outer;
}

static void classify_error_about_a_flow_is_essential(void **state)
{
	static const uint8_t types4[] = {3, 11, 12}, types6[] = {1, 2, 3, 4};
	struct frame f = {0};

	for (unsigned i = 0; i < RTE_DIM(types4); i++) {
		make_error4(&f, types4[i], LPORT, 8);
		assert_int_equal(classify(*state, &f).flow, COOKIE);
		assert_int_equal(class_of(*state, &f), PKT_ESSENTIAL);
	}
	for (unsigned i = 0; i < RTE_DIM(types6); i++) {
		make_error6(&f, types6[i], LPORT, i % 2);
		assert_int_equal(classify(*state, &f).flow, COOKIE + 1);
		assert_int_equal(class_of(*state, &f), PKT_ESSENTIAL);
	}
}

static void classify_other_errors_are_exceptions(void **state)
{
	struct frame f = {0};

	make_error4(&f, 3, LPORT + 1, 8);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	assert_int_equal(classify(*state, &f).flow, FLOW_NONE);
	make_error4(&f, 5, LPORT, 8); /* redirect */
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_error4(&f, 4, LPORT, 8); /* source quench, RFC 6633 */
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_error4(&f, 3, LPORT, 7); /* quotes too little */
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_error4(&f, 3, LPORT, 8);
	f.bytes[14 + 28 + 9] = IPPROTO_UDP;
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_error4(&f, 3, LPORT, 8);
	f.bytes[14 + 28] = 0x44; /* impossible header length in the quotation */
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_error4(&f, 3, LPORT, 8);
	f.bytes[14 + 28 + 7] = 1; /* quotes a later fragment: those are no ports */
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_error6(&f, 1, LPORT + 1, false);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_error6(&f, 1, LPORT, false);
	f.bytes[14 + 48] = 0x40;
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
}

static void classify_reads_no_quotation_out_of_padding(void **state)
{
	struct frame f = {0};

	make_error4(&f, 3, LPORT, 7);
	frame_end(&f);
	f.ip_off = 0; /* its length stays as it is: the eighth byte is padding */
	f.len++;
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
}

static void classify_reads_no_ports_out_of_a_quoted_later_fragment(void **state)
{
	struct frame f = {0};
	uint8_t *ext = f.bytes + 14 + 40 + 8 + 40;

	make_error6(&f, 1, LPORT, true);
	f.bytes[14 + 48 + 6] = IPPROTO_FRAGMENT; /* the extension header becomes one */
	ext[1] = 0;
	assert_int_equal(class_of(*state, &f), PKT_ESSENTIAL);
	set16(ext + 2, 8);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
}

static void make_later4(struct frame *f, const uint8_t *src, unsigned proto)
{
	put_eth(f, 0x0800);
	put_ip4_from(f, src, proto, 0x2010, 0);
	put_payload(f, 16);
}

static void make_later6(struct frame *f, const uint8_t *src)
{
	put_eth(f, 0x86dd);
	put_ip6_from(f, src, IPPROTO_FRAGMENT);
	put_frag6(f, IPPROTO_TCP, 64, false);
	put_payload(f, 5);
}

static void classify_protects_fragments_of_protected_remotes(void **state)
{
	struct flow_key key = key4();
	struct frame f = {0};
	struct pkt_info info;

	make_later4(&f, peer4, IPPROTO_TCP);
	info = classify(*state, &f);
	assert_int_equal(info.cls, PKT_PROTECTED);
	assert_int_equal(info.flags, PKT_FRAGMENT);
	assert_int_equal(info.flow, FLOW_NONE);
	make_later6(&f, peer6);
	assert_int_equal(class_of(*state, &f), PKT_PROTECTED);
	make_later6(&f, other6);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_later4(&f, other4, IPPROTO_TCP);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	make_later4(&f, peer4, IPPROTO_UDP);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
	put_eth(&f, 0x0800);
	put_ip4(&f, IPPROTO_TCP, 0x2000, 0);
	put_tcp(&f, RPORT, LPORT, 4);
	info = classify(*state, &f);
	assert_int_equal(info.cls, PKT_PROTECTED);
	assert_int_equal(info.flags, PKT_FRAGMENT | PKT_FRAGMENT_FIRST);
	assert_int_equal(info.flow, COOKIE);
	/* Two flows of one remote: it stays protected until the last is gone. */
	key.local_port_be = htons(LPORT + 1);
	assert_int_equal(flow_insert(*state, &key, 1), 0);
	assert_int_equal(flow_remove(*state, &key), 0);
	make_later4(&f, peer4, IPPROTO_TCP);
	assert_int_equal(class_of(*state, &f), PKT_PROTECTED);
	key = key4();
	assert_int_equal(flow_remove(*state, &key), 0);
	assert_int_equal(class_of(*state, &f), PKT_EXCEPTION);
}

static void classify_headers_in_a_later_segment_are_bad(void **state)
{
	struct frame f = {0};
	struct rte_mbuf m, *burst = &m;
	struct pkt_info info;

	make_tcp4(&f, RPORT, LPORT);
	m = mbuf_of(&f);
	m.data_len = 14 + 20 + 20; /* the payload may lie elsewhere */
	m.nb_segs = 2;
	classify_burst(*state, &burst, 1, &info);
	assert_int_equal(info.cls, PKT_PROTECTED);
	m.data_len--;
	classify_burst(*state, &burst, 1, &info);
	assert_int_equal(info.cls, PKT_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		verdict_test(classify_protects_the_exact_flow),
		verdict_test(classify_lets_near_misses_of_a_flow_be_exceptions),
		verdict_test(classify_forgets_a_removed_flow),
		verdict_test(classify_takes_tagged_frames_for_another_network),
		verdict_test(classify_sees_the_tag_the_port_took_out),
		verdict_test(classify_arp_is_essential_if_it_concerns_us),
		verdict_test(classify_forgets_cleared_addresses),
		verdict_test(classify_nd_is_essential_if_it_concerns_us),
		verdict_test(classify_ping_of_our_address_is_essential),
		verdict_test(classify_error_about_a_flow_is_essential),
		verdict_test(classify_other_errors_are_exceptions),
		verdict_test(classify_reads_no_quotation_out_of_padding),
		verdict_test(classify_reads_no_ports_out_of_a_quoted_later_fragment),
		verdict_test(classify_protects_fragments_of_protected_remotes),
		verdict_test(classify_headers_in_a_later_segment_are_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
