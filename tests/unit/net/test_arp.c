/*
 * test_arp.c - ARP from the other end of the wire
 */
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/link/arp.h"
#include "tests/unit/net/net_script.h"

static void arp_answers_who_asks_for_us(void **state)
{
	struct frame f;

	frame_arp(&f, 1, peer_mac, &peer4, &our4);
	assert_true(rx(&f));
	assert_true(tx(&f));
	assert_arp(&f, 2, peer_mac, &our4, &peer4);
	assert_memory_equal(f.bytes + 32, peer_mac, 6);
	tx_none();
}

static void arp_is_silent_about_others(void **state)
{
	struct frame f;

	frame_arp(&f, 1, peer_mac, &peer4, &gw4);
	assert_true(rx(&f));
	tx_none();
}

/* RFC 5227 2.1.1: a probe has no sender address and is answered too. */
static void arp_answers_a_probe(void **state)
{
	const struct net_ip nobody = {.family = AF_INET};
	struct frame f;

	frame_arp(&f, 1, peer_mac, &nobody, &our4);
	assert_true(rx(&f));
	assert_true(tx(&f));
	assert_arp(&f, 2, peer_mac, &our4, &nobody);
}

static void arp_padding_behind_the_packet_is_ignored(void **state)
{
	const uint8_t padding[18] = {0xee};
	struct frame f;

	frame_arp(&f, 1, peer_mac, &peer4, &our4);
	frame_put(&f, padding, sizeof(padding));
	assert_true(rx(&f));
	assert_true(tx(&f));
}

static void arp_learns_from_a_request(void **state)
{
	struct frame f;

	neigh_want(sc.net, &peer4);
	frame_arp(&f, 1, peer_mac, &peer4, &our4);
	assert_true(rx(&f));
	assert_int_equal(sc.net->neigh.slots[neigh_lookup(sc.net, &peer4)].state, NEIGH_STALE);
	assert_true(tx(&f));
}

/* Our address claimed: one reminder in ten seconds, and nothing learnt. */
static void arp_defends_our_address_now_and_then(void **state)
{
	struct frame f;

	for (int i = 0; i < 5; i++) {
		frame_arp(&f, 1, other_mac, &our4, &our4);
		assert_true(rx(&f));
	}
	assert_true(tx(&f));
	assert_arp(&f, 1, broadcast_mac, &our4, &our4);
	tx_none();
	at_us(sc.now_us + 10 * SEC);
	frame_arp(&f, 2, other_mac, &our4, &our4);
	assert_true(rx(&f));
	assert_true(tx(&f));
	assert_arp(&f, 1, broadcast_mac, &our4, &our4);
}

static void arp_ignores_its_own_echo(void **state)
{
	struct frame f;

	frame_arp(&f, 1, our_mac, &our4, &our4);
	assert_true(rx(&f));
	tx_none();
}

static void arp_cut_short_is_counted_or_refused(void **state)
{
	struct frame f;

	for (uint32_t cut = 15; cut < 42; cut++) {
		frame_arp(&f, 1, peer_mac, &peer4, &our4);
		f.len = cut;
		rx(&f);
		tx_none();
	}
	frame_arp(&f, 1, peer_mac, &peer4, &our4);
	assert_true(rx_chain(&f, 42, 1, 0));
	assert_true(tx(&f));
}

static void arp_of_another_kind_is_dropped(void **state)
{
	const uint32_t at[] = {14, 16, 18, 19}; /* hardware, protocol, both lengths */

	for (int i = 0; i < 4; i++) {
		struct frame f;

		frame_arp(&f, 1, peer_mac, &peer4, &our4);
		f.bytes[at[i]] ^= 0x41;
		rx(&f);
		tx_none();
	}
}

static void arp_multicast_sender_is_not_answered(void **state)
{
	const uint8_t group[6] = {1, 0, 0x5e, 0, 0, 9};
	struct frame f;

	neigh_want(sc.net, &peer4);
	frame_arp(&f, 1, group, &peer4, &our4);
	assert_true(rx(&f));
	tx_none();
	assert_int_equal(sc.net->neigh.slots[neigh_lookup(sc.net, &peer4)].state, NEIGH_IDLE);
}

static void arp_new_address_is_announced(void **state)
{
	const struct net_ip second = {AF_INET, {10, 0, 0, 3}};
	const struct net_addr addrs[] = {
		{.ip = our4, .prefix_bits = 24}, {.ip = second, .prefix_bits = 24}};
	struct frame f;

	assert_int_equal(net_addrs_set(sc.net, addrs, 2), 0);
	assert_true(tx(&f));
	assert_arp(&f, 1, broadcast_mac, &second, &second);
	tx_none();
}

static void arp_asks_from_the_address_on_the_same_link(void **state)
{
	const struct net_ip far_sub = {AF_INET, {172, 16, 0, 2}};
	const struct net_ip target = {AF_INET, {172, 16, 0, 9}};
	const struct net_addr addrs[] = {
		{.ip = our4, .prefix_bits = 24}, {.ip = far_sub, .prefix_bits = 24}};
	struct frame f;

	assert_int_equal(net_addrs_set(sc.net, addrs, 2), 0);
	assert_true(tx(&f));
	assert_int_equal(arp_ask(sc.net, &target, NULL), 0);
	assert_true(tx(&f));
	assert_arp(&f, 1, broadcast_mac, &far_sub, &target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(arp_answers_who_asks_for_us),
		script_test(arp_is_silent_about_others),
		script_test(arp_answers_a_probe),
		script_test(arp_padding_behind_the_packet_is_ignored),
		script_test(arp_learns_from_a_request),
		script_test(arp_defends_our_address_now_and_then),
		script_test(arp_ignores_its_own_echo),
		script_test(arp_cut_short_is_counted_or_refused),
		script_test(arp_of_another_kind_is_dropped),
		script_test(arp_multicast_sender_is_not_answered),
		script_test(arp_new_address_is_announced),
		script_test(arp_asks_from_the_address_on_the_same_link),
	};

	return cmocka_run_group_tests(tests, script_eal_start, script_eal_stop);
}
