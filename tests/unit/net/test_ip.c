/*
 * test_ip.c - which way to an address, and from which of ours
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "tests/unit/net/net_script.h"

static struct ip_path path_to(const struct net_ip *remote)
{
	struct ip_path path;

	assert_int_equal(ip_path_find(sc.net, remote, &path), 0);
	return path;
}

static void path_on_link_is_direct(void **state)
{
	struct ip_path path = path_to(&peer4);

	assert_true(ip_equal(&path.local, &our4));
	assert_true(ip_equal(&path.next_hop, &peer4));
	assert_int_equal(path.mtu, 1500);
	assert_int_equal(ip_path_hdr_bytes(&path), 20);
	path = path_to(&peer6);
	assert_true(ip_equal(&path.local, &our6));
	assert_true(ip_equal(&path.next_hop, &peer6));
	assert_int_equal(ip_path_hdr_bytes(&path), 40);
}

static void path_beyond_the_link_takes_the_gateway(void **state)
{
	struct ip_path path = path_to(&far4);

	assert_true(ip_equal(&path.next_hop, &gw4));
	assert_true(ip_equal(&path.remote, &far4));
	path = path_to(&far6);
	assert_true(ip_equal(&path.next_hop, &gw6));
	assert_true(ip_equal(&path.local, &our6));
}

static void path_finding_sends_nothing(void **state)
{
	path_to(&peer4);
	path_to(&far6);
	tx_none();
}

static void path_without_gateway_is_unreachable(void **state)
{
	struct net_addr addrs[1] = {{.ip = our4, .prefix_bits = 24}};
	struct ip_path path;
	struct frame f;

	assert_int_equal(net_addrs_set(sc.net, addrs, 1), 0);
	assert_int_equal(ip_path_find(sc.net, &far4, &path), -ENETUNREACH);
	assert_int_equal(ip_path_find(sc.net, &peer4, &path), 0);
	assert_int_equal(ip_path_find(sc.net, &peer6, &path), -EADDRNOTAVAIL);
	assert_false(tx(&f));
}

static void path_to_nowhere_is_refused(void **state)
{
	const struct net_ip bad[] = {
		{AF_INET, {0, 0, 0, 0}}, {AF_INET, {127, 0, 0, 1}}, {AF_INET, {224, 0, 0, 1}},
		{AF_INET, {255, 255, 255, 255}}, {AF_INET6, {0}}, {AF_INET6, {[15] = 1}},
		{AF_INET6, {0xff, 2, [15] = 1}}, our4, our6};
	struct ip_path path;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ip_path_find(sc.net, &bad[i], &path), -ENETUNREACH);
}

static void path_prefers_the_longest_prefix(void **state)
{
	const struct net_addr addrs[] = {
		{.ip = {AF_INET, {10, 0, 0, 2}}, .prefix_bits = 8},
		{.ip = {AF_INET, {10, 0, 1, 2}}, .prefix_bits = 24},
	};
	const struct net_ip near = {AF_INET, {10, 0, 1, 9}}, wide = {AF_INET, {10, 9, 9, 9}};
	struct ip_path path;
	struct frame f;

	assert_int_equal(net_addrs_set(sc.net, addrs, 2), 0);
	path = path_to(&near);
	assert_true(ip_equal(&path.local, &addrs[1].ip));
	path = path_to(&wide);
	assert_true(ip_equal(&path.local, &addrs[0].ip));
	assert_true(tx(&f)); /* 10.0.1.2 is new and was announced */
}

/* RFC 6724: the scope first, then the longest common prefix. */
static void path_chooses_an_ipv6_source_by_scope_and_prefix(void **state)
{
	const struct net_addr addrs[] = {
		{.ip = {AF_INET6, {0xfe, 0x80, [15] = 2}}, .prefix_bits = 64},
		{.ip = our6, .prefix_bits = 64, .gateway = gw6},
		{.ip = {AF_INET6, {0x20, 0x01, 0x0d, 0xb8, 9, [15] = 2}}, .prefix_bits = 64},
	};
	const struct net_ip local = {AF_INET6, {0xfe, 0x80, [15] = 9}};
	struct ip_path path;
	struct frame f;

	assert_int_equal(net_addrs_set(sc.net, addrs, 3), 0);
	path = path_to(&local);
	assert_true(ip_equal(&path.local, &addrs[0].ip));
	assert_true(ip_equal(&path.next_hop, &local));
	path = path_to(&far6);
	assert_true(ip_equal(&path.local, &addrs[2].ip));
	assert_true(ip_equal(&path.next_hop, &gw6));
	path = path_to(&peer6);
	assert_true(ip_equal(&path.local, &our6));
	while (tx(&f))
		;
}

static void prefixes_are_compared_to_the_bit(void **state)
{
	const struct net_ip a = {AF_INET, {10, 0, 0, 0x80}}, b = {AF_INET, {10, 0, 0, 0xff}};

	assert_true(ip_prefix_match(&a, &b, 25));
	assert_false(ip_prefix_match(&a, &b, 26));
	assert_true(ip_prefix_match(&a, &a, 32));
	assert_true(ip_prefix_match(&a, &far4, 0));
	assert_true(ip_prefix_match(&our6, &our6, 128));
	assert_false(ip_prefix_match(&our6, &gw6, 127));
	assert_true(ip_prefix_match(&our6, &gw6, 126));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(path_on_link_is_direct),
		script_test(path_beyond_the_link_takes_the_gateway),
		script_test(path_finding_sends_nothing),
		script_test(path_without_gateway_is_unreachable),
		script_test(path_to_nowhere_is_refused),
		script_test(path_prefers_the_longest_prefix),
		script_test(path_chooses_an_ipv6_source_by_scope_and_prefix),
		script_test(prefixes_are_compared_to_the_bit),
	};

	return cmocka_run_group_tests(tests, script_eal_start, script_eal_stop);
}
