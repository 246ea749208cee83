/*
 * test_asks.c - which essential packets are questions to us, and so not the kernel's too
 */
#include <rte_mbuf.h>
#include "tests/unit/classifier/frame.h"

static int setup(void **state)
{
	struct classifier *c = classifier_create(16, 7);

	if (!c || classifier_address_add(c, AF_INET, us4) ||
		classifier_address_add(c, AF_INET6, us6) ||
		classifier_gateway_add(c, AF_INET, peer4) ||
		classifier_gateway_add(c, AF_INET6, peer6))
		return -1;
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	classifier_destroy(*state);
	return 0;
}

/* Out: 1 asks us, 0 does not; either way it must be essential. */
static int asks(struct classifier *c, struct frame *f)
{
	struct rte_mbuf m, *burst = &m;
	struct pkt_info info;

	frame_end(f);
	m = (struct rte_mbuf){.buf_addr = f->bytes,
		.data_len = (uint16_t)f->len,
		.pkt_len = f->len,
		.nb_segs = 1};
	classify_burst(c, &burst, 1, &info);
	assert_int_equal(info.cls, PKT_ESSENTIAL);
	return !!(info.flags & PKT_ASKS_US);
}

static int asks_arp(struct classifier *c, unsigned op, const uint8_t *sender, const uint8_t *target)
{
	struct frame f = {0};

	put_eth(&f, 0x0806);
	put_arp(&f, op, sender, target);
	return asks(c, &f);
}

static int asks_icmp6(struct classifier *c, unsigned type, const uint8_t *target)
{
	struct frame f = {0};
	uint8_t *p;

	put_eth(&f, 0x86dd);
	put_ip6(&f, IPPROTO_ICMPV6);
	p = put(&f, NULL, 24);
	p[0] = (uint8_t)type;
	memcpy(p + 8, target, 16);
	return asks(c, &f);
}

static void classify_knows_an_arp_question_to_us(void **state)
{
	assert_int_equal(asks_arp(*state, 1, other4, us4), 1);
	assert_int_equal(
		asks_arp(*state, 2, other4, us4), 0); /* an answer: perhaps the kernel asked */
	assert_int_equal(asks_arp(*state, 1, peer4, other4), 0);
	assert_int_equal(asks_arp(*state, 1, peer4, peer4), 0); /* an announcement */
	assert_int_equal(asks_arp(*state, 1, us4, other4), 0);	/* somebody has our address */
}

static void classify_knows_an_nd_question_to_us(void **state)
{
	assert_int_equal(asks_icmp6(*state, 135, us6), 1);
	assert_int_equal(asks_icmp6(*state, 136, us6), 0);
	assert_int_equal(asks_icmp6(*state, 136, peer6), 0);
	assert_int_equal(asks_icmp6(*state, 136, other6), 0);
}

static void classify_knows_a_ping_is_a_question(void **state)
{
	struct frame f = {0};

	put_eth(&f, 0x0800);
	put_ip4(&f, IPPROTO_ICMP, 0, 0);
	put(&f, NULL, 8)[0] = 8;
	assert_int_equal(asks(*state, &f), 1);
	assert_int_equal(asks_icmp6(*state, 128, us6), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			classify_knows_an_arp_question_to_us, setup, teardown),
		cmocka_unit_test_setup_teardown(
			classify_knows_an_nd_question_to_us, setup, teardown),
		cmocka_unit_test_setup_teardown(
			classify_knows_a_ping_is_a_question, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
