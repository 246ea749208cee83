/*
 * test_classify_burst.c - a verdict does not depend on the packets beside it
 *
 * A burst looks up the first of packets that are alike, and those behind it get its answer. Here are those
 * that are nearly alike.
 */
#include "tests/unit/classifier/verdict.h"

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
			PKT_PROTECTED, PKT_OTHER, PKT_ESSENTIAL, PKT_BAD};

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
	case 5: /* a later fragment whose payload looks like ports, and a first one of another port */
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

/* One of a flow, and behind it another and the packet that is nearly of one: of either family, in either order. */
static void classify_gives_no_packet_the_flow_of_its_neighbour(void **state)
{
	static struct frame f[3];

	for (unsigned i = 0; i < NEARLY_COUNT * 8; i++) {
		struct rte_mbuf m[3], *burst[3];
		struct pkt_info alone, info[3];
		unsigned at = 1 + i % 8 / 4, other = 3 - at; /* the first has no neighbour before it */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		verdict_test(classify_answers_a_whole_burst_in_order),
		verdict_test(classify_gives_no_packet_the_flow_of_its_neighbour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
