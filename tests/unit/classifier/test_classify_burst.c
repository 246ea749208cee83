/*
 * test_classify_burst.c - a verdict does not depend on the packets beside it
 *
 * A burst looks up the first of packets that are alike, and those behind it get its answer. Here
 * are those that are nearly alike, and bursts of few kinds at random. And what nearly all traffic
 * looks like has a parse of its own, which must say what the walk over the headers says.
 */
#include "tests/unit/classifier/verdict.h"
#include "tests/unit/between.h"

static void classify_answers_a_whole_burst_in_order(void **state)
{
	static struct frame f[BURST_MAX];
	struct rte_mbuf m[BURST_MAX], *burst[BURST_MAX];
	struct pkt_info info[BURST_MAX];
	struct classifier_stats stats;

	for (unsigned i = 0; i < BURST_MAX; i++) {
		make_tcp4(&f[i], i % 4 == 1 ? RPORT + 1 : RPORT, LPORT);
		if (i % 4 == 2)
			make_echo(&f[i], true, 8);
		m[i] = mbuf_of(&f[i]);
		if (i % 4 == 3)
			m[i].data_len = m[i].pkt_len = i % 8 == 3 ? 13 : 60;
		if (i % 8 == 7)
			f[i].bytes[14] = 0x41;
		burst[i] = &m[i];
	}
	classify_burst(*state, burst, BURST_MAX, info);
	for (unsigned i = 0; i < BURST_MAX; i++) {
		static const enum pkt_class want[4] = {
			PKT_PROTECTED, PKT_EXCEPTION, PKT_ESSENTIAL, PKT_BAD};

		assert_int_equal(info[i].cls, want[i % 4]);
		assert_int_equal(info[i].flow, i % 4 ? FLOW_NONE : COOKIE);
	}
	classifier_stats(*state, &stats);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(stats.count[i], BURST_MAX / 4);
	assert_int_equal(stats.bad_short, BURST_MAX / 8);
	assert_int_equal(stats.bad_length, BURST_MAX / 8);
	assert_int_equal(stats.fragments, 0);
	classify_burst(*state, burst, 0, info);
}

/* Each kind of packet that has something of the flow, and is not of it. */
static void make_nearly(struct frame *f, unsigned kind)
{
	put_eth(f, kind < 8 ? 0x0800 : 0x86dd);
	switch (kind) {
	case 0:
	case 1: /* another port, at either end */
		put_ip4(f, IPPROTO_TCP, 0, 0);
		put_tcp(f, RPORT + (kind == 0), LPORT + (kind == 1), 0);
		break;
	case 2:
	case 3: /* not TCP, with the same bytes where TCP has its ports */
		put_ip4(f, kind == 2 ? IPPROTO_UDP : 253, 0, 0);
		put_udp(f, RPORT, LPORT, 0);
		break;
	case 4:
	case 5: /* a later fragment whose payload looks like ports, and a first one of another port
		 */
		put_ip4(f, IPPROTO_TCP, kind == 4 ? 0x2010 : 0x2000, 0);
		put_tcp(f, RPORT, LPORT + (kind == 5), 4);
		break;
	case 6: /* IP options that look like ports */
		put_ip4(f, IPPROTO_TCP, 0, 4);
		put_tcp(f, RPORT + 1, LPORT, 0);
		set16(f->bytes + f->ip_off + 20, RPORT);
		set16(f->bytes + f->ip_off + 22, LPORT);
		break;
	case 7: /* of another network */
		put_tag(f, 0x8100, 5, 0x0800);
		put_ip4(f, IPPROTO_TCP, 0, 0);
		put_tcp(f, RPORT, LPORT, 0);
		break;
	case 8:
	case 9: /* another port, at either end */
		put_ip6(f, IPPROTO_TCP);
		put_tcp(f, RPORT + (kind == 8), LPORT + (kind == 9), 0);
		break;
	case 10: /* another address of ours */
		put_ip6(f, IPPROTO_TCP);
		f->bytes[f->ip_off + 39]++;
		put_tcp(f, RPORT, LPORT, 0);
		break;
	}
	put_payload(f, 8);
}

#define NEARLY_COUNT 11

static void make_of_a_flow(struct frame *f, bool is_ip6)
{
	if (!is_ip6) {
		make_tcp4(f, RPORT, LPORT);
		return;
	}
	put_eth(f, 0x86dd);
	put_ip6(f, IPPROTO_TCP);
	put_tcp(f, RPORT, LPORT, 0);
	put_payload(f, 8);
}

/* One of a flow, and behind it another and the packet that is nearly of one: of either family, in
 * either order. */
static void classify_gives_no_packet_the_flow_of_its_neighbour(void **state)
{
	static struct frame f[3];

	for (unsigned i = 0; i < NEARLY_COUNT * 8; i++) {
		struct rte_mbuf m[3], *burst[3];
		struct pkt_info alone, info[3];
		unsigned at = 1 + i % 8 / 4,
			 other = 3 - at; /* the first has no neighbour before it */
		bool is_ip6[2] = {i % 2, i % 4 / 2};

		make_of_a_flow(&f[0], is_ip6[0]);
		make_of_a_flow(&f[other], is_ip6[1]);
		make_nearly(&f[at], i / 8);
		for (unsigned k = 0; k < 3; k++) {
			m[k] = mbuf_of(&f[k]);
			burst[k] = &m[k];
		}
		classify_burst(*state, &burst[at], 1, &alone);
		assert_int_equal(alone.flow, FLOW_NONE);
		classify_burst(*state, burst, 3, info);
		assert_memory_equal(&info[at], &alone, sizeof(alone));
		assert_int_equal(info[0].flow, is_ip6[0] ? COOKIE + 1 : COOKIE);
		assert_int_equal(info[other].flow, is_ip6[1] ? COOKIE + 1 : COOKIE);
	}
}

/* The same on each run. */
static unsigned draw(uint32_t *seed, unsigned count)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 16) % count;
}

#define PORT_RULED 4000 /* of UDP or TCP, and a neighbour that no rule names */

static void make_one_of_a_few(struct frame *f, uint32_t *seed)
{
	unsigned sport = draw(seed, 2) ? RPORT : PORT_RULED + draw(seed, 2);
	uint8_t proto = draw(seed, 2) ? IPPROTO_UDP : IPPROTO_TCP;

	put_eth(f, 0x0800);
	if (draw(seed, 4))
		put_ip4(f, proto, draw(seed, 8) ? 0x4000 : 0x2000, draw(seed, 8) ? 0 : 4);
	else
		put_ip4_from(f, other4, proto, 0, 0);
	if (proto == IPPROTO_UDP)
		put_udp(f, sport, LPORT, 8);
	else
		put_tcp(f, sport, LPORT, 0);
	put_payload(f, 8 * draw(seed, 3));
	f->bytes[0] ^= !draw(seed, 8); /* multicast */
	if (!draw(seed, 8))
		make_echo(f, true, 8);
}

/* A priority tag is no network, but no plain frame has it. */
static void put_priority_tag(struct frame *to, const struct frame *from)
{
	memcpy(to->bytes, from->bytes, 12);
	memcpy(to->bytes + 12, (const uint8_t[]){0x81, 0, 0xe0, 0}, 4);
	memcpy(to->bytes + 16, from->bytes + 12, from->len - 12);
	to->len = from->len + 4;
	to->ip_off = from->ip_off + 4;
}

/* Its ends lie where those of a plain frame would be, but for the tag in front of the other. */
static void classify_compares_no_plain_packet_with_a_tagged_one(void **state)
{
	static struct frame plain, f[2];
	struct rte_mbuf m[2], *burst[2] = {&m[0], &m[1]};
	struct pkt_info alone, info[2];

	make_tcp4(&plain, RPORT, LPORT);
	frame_end(&plain);
	put_priority_tag(&f[0], &plain);
	make_tcp4(&f[1], RPORT, LPORT);
	m[0] = mbuf_of(&f[0]);
	memcpy(f[1].bytes + 26, f[0].bytes + 26, 12);
	m[1] = mbuf_of(&f[1]);
	classify_burst(*state, &burst[1], 1, &alone);
	classify_burst(*state, burst, 2, info);
	assert_int_equal(info[0].flow, COOKIE);
	assert_memory_equal(&info[1], &alone, sizeof(alone));
	assert_int_equal(alone.flow, FLOW_NONE);
}

static void classify_judges_a_burst_as_each_of_it_alone(void **state)
{
	const struct protect_rule rule = {.port = PORT_RULED, .proto = IPPROTO_UDP};
	const struct protect_rule from = {
		.family = AF_INET, .remote = {10, 0, 0, 9}, .remote_prefix_bits = 32};
	static struct frame f[BURST_MAX], plain;
	unsigned classes[PKT_BAD + 1] = {0};
	uint32_t seed = 1;

	assert_int_equal(classifier_rule_add(*state, &rule), 0);
	assert_int_equal(classifier_rule_add(*state, &from), 0);
	for (unsigned round = 0; round < 200; round++) {
		struct rte_mbuf m[BURST_MAX], *burst[BURST_MAX];
		struct pkt_info info[BURST_MAX], alone;

		for (unsigned i = 0; i < BURST_MAX; i++) {
			make_one_of_a_few(&f[i], &seed);
			if (!draw(&seed, 8)) {
				plain = f[i];
				frame_end(&plain);
				put_priority_tag(&f[i], &plain);
			}
			m[i] = mbuf_of(&f[i]);
			burst[i] = &m[i];
		}
		classify_burst(*state, burst, BURST_MAX, info);
		for (unsigned i = 0; i < BURST_MAX; i++) {
			classify_burst(*state, &burst[i], 1, &alone);
			assert_memory_equal(&info[i], &alone, sizeof(alone));
			classes[alone.cls]++;
		}
	}
	for (unsigned i = 0; i < PKT_BAD; i++)
		assert_true(classes[i] > 0);
}

static void classify_takes_the_short_way_where_the_long_one_leads(void **state)
{
	static const uint8_t touched[] = {14, 16, 17, 20, 21, 23, 38, 39,
		46}; /* IP's and transport's lengths, flags, protocol */
	static struct frame plain, tagged;
	unsigned good = 0, count = 20000;
	uint32_t seed = 2;

	(void)state;
	for (unsigned i = 0; i < count; i++) {
		struct pkt_info short_way, long_way;
		unsigned cut, behind;

		make_one_of_a_few(&plain, &seed);
		frame_end(&plain);
		if (draw(&seed, 2))
			plain.bytes[touched[draw(&seed, RTE_DIM(touched))]] ^=
				(uint8_t)(1u << draw(&seed, 8));
		cut = draw(&seed, 4) ? 0 : draw(&seed, 30); /* of the first segment, and what of
							       that is in others */
		behind = cut && draw(&seed, 2) ? cut : 0;
		put_priority_tag(&tagged, &plain);
		classify_parse(plain.bytes, plain.len - cut, plain.len - cut + behind, &short_way);
		classify_parse(
			tagged.bytes, tagged.len - cut, tagged.len - cut + behind, &long_way);
		assert_int_equal(short_way.cls, long_way.cls);
		if (short_way.cls == PKT_BAD)
			continue;
		good++;
		long_way.l3_off -= 4;
		long_way.l4_off -= 4;
		long_way.end_off -= 4;
		assert_memory_equal(&short_way, &long_way, sizeof(short_way));
	}
	assert_between(good, count / 4, count - 100);
}

/* A burst of one packet of the IPv4 flow. */
static struct pkt_info info_of_the_flow(struct classifier *c)
{
	struct frame f;
	struct rte_mbuf m, *burst = &m;
	struct pkt_info info;

	make_tcp4(&f, RPORT, LPORT);
	m = mbuf_of(&f);
	classify_burst(c, &burst, 1, &info);
	return info;
}

/* The last packet of a flow is remembered, but not longer than the flow. */
static void classify_forgets_a_flow_that_is_gone(void **state)
{
	struct flow_key key = key4();

	for (int i = 0; i < 2; i++) {
		assert_int_equal(info_of_the_flow(*state).cls, PKT_PROTECTED);
		assert_int_equal(info_of_the_flow(*state).flow, COOKIE);
	}
	assert_int_equal(flow_remove(*state, &key), 0);
	assert_int_equal(info_of_the_flow(*state).cls, PKT_EXCEPTION);
	assert_int_equal(info_of_the_flow(*state).flow, FLOW_NONE);
	assert_int_equal(flow_insert(*state, &key, COOKIE + 7), 0);
	assert_int_equal(info_of_the_flow(*state).flow, COOKIE + 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		verdict_test(classify_answers_a_whole_burst_in_order),
		verdict_test(classify_gives_no_packet_the_flow_of_its_neighbour),
		verdict_test(classify_judges_a_burst_as_each_of_it_alone),
		verdict_test(classify_compares_no_plain_packet_with_a_tagged_one),
		verdict_test(classify_forgets_a_flow_that_is_gone),
		cmocka_unit_test(classify_takes_the_short_way_where_the_long_one_leads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
