/*
 * test_rule.c - protect rules: traffic of the kernel's that is storage too
 */
#include <errno.h>
#include <rte_mbuf.h>
#include "tests/unit/classifier/frame.h"

#define ISCSI 3260

static int setup(void **state)
{
	*state = classifier_create(16, 7);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	classifier_destroy(*state);
	return 0;
}

/* True if a rule protects the frame; it must then say so in the flags. */
static bool is_protected(struct classifier *c, struct frame *f)
{
	struct rte_mbuf m = {.buf_addr = f->bytes}, *burst = &m;
	struct pkt_info info;

	frame_end(f);
	m.data_len = (uint16_t)f->len;
	m.pkt_len = f->len;
	classify_burst(c, &burst, 1, &info);
	assert_int_equal(info.cls == PKT_PROTECTED, !!(info.flags & PKT_RULE));
	assert_int_equal(info.flow, FLOW_NONE);
	return info.cls == PKT_PROTECTED;
}

static void make_tcp4(struct frame *f, unsigned sport, unsigned dport)
{
	put_eth(f, 0x0800);
	put_ip4(f, IPPROTO_TCP, 0, 0);
	put_tcp(f, sport, dport, 0);
}

static void make_tcp6(struct frame *f, unsigned sport, unsigned dport)
{
	put_eth(f, 0x86dd);
	put_ip6(f, IPPROTO_TCP);
	put_tcp(f, sport, dport, 0);
}

static void rule_protects_a_port_on_either_side(void **state)
{
	struct protect_rule rule = {.proto = IPPROTO_TCP, .port = ISCSI};
	struct frame f = {0};

	make_tcp4(&f, ISCSI, 50000);
	assert_false(is_protected(*state, &f));
	assert_int_equal(classifier_rule_add(*state, &rule), 0);
	assert_true(is_protected(*state, &f));
	make_tcp4(&f, 50000, ISCSI);
	assert_true(is_protected(*state, &f));
	make_tcp6(&f, ISCSI, 50000);
	assert_true(is_protected(*state, &f));
	make_tcp4(&f, 50000, ISCSI + 1);
	assert_false(is_protected(*state, &f));
	put_eth(&f, 0x0800);
	put_ip4(&f, IPPROTO_UDP, 0, 0);
	put_udp(&f, ISCSI, ISCSI, 0);
	assert_false(is_protected(*state, &f));
}

static void rule_protects_an_ethertype(void **state)
{
	struct protect_rule rule = {.ethertype = 0x88a2};
	struct frame f = {0};

	assert_int_equal(classifier_rule_add(*state, &rule), 0);
	put_eth(&f, 0x88a2);
	put_payload(&f, 30);
	assert_true(is_protected(*state, &f));
	put_eth(&f, 0);
	put_tag(&f, 0x8100, 12, 0x88a2); /* a network of the kernel's */
	assert_true(is_protected(*state, &f));
	put_eth(&f, 0x88a3);
	assert_false(is_protected(*state, &f));
	make_tcp4(&f, 1, 2);
	assert_false(is_protected(*state, &f));
}

static void rule_protects_a_prefix(void **state)
{
	struct protect_rule rule = {.family = AF_INET,
		.remote = {10, 0, 0, 0x0f},
		.remote_prefix_bits = 29}; /* 10.0.0.8 to .15 */
	struct frame f = {0};

	assert_int_equal(classifier_rule_add(*state, &rule), 0);
	for (unsigned last = 0; last < 32; last++) {
		make_tcp4(&f, 1, 2);
		f.bytes[f.ip_off + 15] = (uint8_t)last;
		assert_int_equal(is_protected(*state, &f), last >= 8 && last < 16);
	}
	make_tcp6(&f, 1, 2);
	assert_false(is_protected(*state, &f));
	put_eth(&f, 0x88a2);
	assert_false(is_protected(*state, &f));
}

static void rule_protects_one_address(void **state)
{
	struct protect_rule rule = {.family = AF_INET6, .remote_prefix_bits = 128, .port = ISCSI};
	struct frame f = {0};

	memcpy(rule.remote, peer6, 16);
	assert_int_equal(classifier_rule_add(*state, &rule), 0);
	make_tcp6(&f, ISCSI, 2);
	assert_true(is_protected(*state, &f));
	f.bytes[f.ip_off + 8] ^= 1;
	assert_false(is_protected(*state, &f));
	make_tcp6(&f, 1, 2);
	assert_false(is_protected(*state, &f));
}

static void rule_protects_later_fragments_of_a_named_remote_only(void **state)
{
	struct protect_rule any = {.proto = IPPROTO_UDP, .port = 2049};
	struct protect_rule named = {.family = AF_INET,
		.proto = IPPROTO_UDP,
		.port = 2049,
		.remote = {10, 0, 0, 2},
		.remote_prefix_bits = 32};
	struct frame f = {0};

	put_eth(&f, 0x0800);
	put_ip4(&f, IPPROTO_UDP, 0x0020, 0);
	put_payload(&f, 40);
	assert_int_equal(classifier_rule_add(*state, &any), 0);
	assert_false(is_protected(*state, &f));
	assert_int_equal(classifier_rule_add(*state, &named), 0);
	assert_true(is_protected(*state, &f));
	f.bytes[f.ip_off + 15] = 3;
	assert_false(is_protected(*state, &f));
}

static void rule_does_not_take_what_is_essential(void **state)
{
	struct protect_rule arp = {.ethertype = 0x0806};
	struct frame f = {0};
	struct rte_mbuf m = {.buf_addr = f.bytes}, *burst = &m;
	struct pkt_info info;

	assert_int_equal(classifier_rule_add(*state, &arp), 0);
	assert_int_equal(classifier_address_add(*state, AF_INET, us4), 0);
	put_eth(&f, 0x0806);
	put_arp(&f, 1, other4, us4);
	m.data_len = (uint16_t)f.len;
	m.pkt_len = f.len;
	classify_burst(*state, &burst, 1, &info);
	assert_int_equal(info.cls, PKT_ESSENTIAL);
	assert_int_equal(info.flags & PKT_RULE, 0);
}

static void rule_that_makes_no_sense_is_refused(void **state)
{
	const struct protect_rule bad[] = {
		{.port = 0}, /* everything */
		{.family = AF_UNIX},
		{.port = 1, .remote_prefix_bits = 8}, /* a prefix of what? */
		{.family = AF_INET, .remote_prefix_bits = 33},
		{.family = AF_INET6, .remote_prefix_bits = 129},
	};
	const struct protect_rule good = {.port = 1};

	for (unsigned i = 0; i < RTE_DIM(bad); i++)
		assert_int_equal(classifier_rule_add(*state, &bad[i]), -EINVAL);
	for (unsigned i = 0; i < PROTECT_RULE_MAX; i++)
		assert_int_equal(classifier_rule_add(*state, &good), 0);
	assert_int_equal(classifier_rule_add(*state, &good), -ENOSPC);
}

#define rule_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rule_test(rule_protects_a_port_on_either_side),
		rule_test(rule_protects_an_ethertype),
		rule_test(rule_protects_a_prefix),
		rule_test(rule_protects_one_address),
		rule_test(rule_protects_later_fragments_of_a_named_remote_only),
		rule_test(rule_does_not_take_what_is_essential),
		rule_test(rule_that_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
