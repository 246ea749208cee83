/*
 * test_tcp_path.c - a connection whose way fails, seen from inside the stack (RFC
 * 1122 3.3.1.4, 4.2.3.5)
 *
 * The test library answers every question about the peer's link address, so what the stack asks is
 * read from its counters.
 */
#include "tests/unit/net/conv.h"

#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/net_impl.h"
#include "tests/abi/stt_impl.h"

static uint64_t arp_questions(void)
{
	struct net_stats stats;

	net_stats(conv.stt->net, &stats);
	return stats.arp_tx;
}

static void silence_until_backoff(uint32_t backoff)
{
	for (int i = 0; i < 1000 && info().backoff < backoff; i++) {
		after_ms(10);
		tx_drain();
	}
	assert_int_equal(info().backoff, backoff);
}

/* RFC 9293 MUST-20: at R1 the link is asked whether the next hop is still there, not before. */
static void tcp_next_hop_is_asked_at_r1(void **state)
{
	uint64_t before;

	open_with(.mss = 1000);
	before = arp_questions();
	send_bytes(1000);
	tx_drain();
	silence_until_backoff(2);
	assert_int_equal(arp_questions(), before);
	silence_until_backoff(3);
	assert_int_equal(arp_questions(), before + 1);
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	assert_int_equal(arp_questions(), before + 1);
}

/* The third SYN without an answer is late enough for R1; the probe of the hint's stale entry is
 * over. */
static void tcp_next_hop_of_a_silent_open_is_asked(void **state)
{
	uint64_t before;

	begin_with(.mss = 1000);
	connect_now();
	tx(.flags = SYN);
	after_ms(6500);
	before = arp_questions();
	after_ms(1000);
	assert_int_equal(arp_questions(), before + 1);
	tx_drain();
}

/* Another address of ours is nearer to the peer by now, but the connection keeps its name. */
static void tcp_source_address_survives_r1(void **state)
{
	struct net_addr addrs[2];

	open_with(.mss = 1000, .ip6 = true);
	memset(addrs, 0, sizeof(addrs));
	addrs[0].ip.family = addrs[1].ip.family = AF_INET6;
	addrs[0].prefix_bits = addrs[1].prefix_bits = 64;
	memcpy(addrs[0].ip.addr, conv.stt->cfg.local_ip6, 16);
	memcpy(addrs[1].ip.addr, conv.stt->cfg.peer_ip6, 16);
	addrs[1].ip.addr[15] ^= 1;
	assert_int_equal(net_addrs_set(conv.stt->net, addrs, 2), 0);
	send_bytes(1000);
	tx_drain(); /* each packet's addresses are looked at on the way */
	silence_until_backoff(4);
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	assert_int_equal(info().unacked_bytes, 0);
}

static void neighbour_fails(void)
{
	struct net_ip ip = {.family = AF_INET};
	struct neigh *n;

	memcpy(ip.addr, &conv.stt->cfg.peer_ip4, 4);
	n = &conv.stt->net->neigh.slots[neigh_want(conv.stt->net, &ip)];
	n->state = NEIGH_FAILED;
	n->deadline_us = conv.stt->now_us + NEIGH_HOLDOFF_US;
}

/* Another connection asked for the neighbour in vain a moment ago; the host is back since. */
static void tcp_failed_neighbour_ends_no_open_at_its_first_syn(void **state)
{
	begin_with(.mss = 1000);
	neighbour_fails();
	connect_now();
	tx_none();
	assert_int_equal(info().state, STT_SYN_SENT);
	after_ms(1100);
	tx(.flags = SYN);
}

static void tcp_failed_neighbour_ends_an_open_at_its_second_syn(void **state)
{
	begin_with(.mss = 1000);
	connect_now();
	tx(.flags = SYN);
	after_ms(900);
	neighbour_fails();
	after_ms(200);
	tx_none();
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(EHOSTUNREACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.8.3, RFC 1122 3.3.1.4: R1 */
		conv_test(tcp_next_hop_is_asked_at_r1),
		conv_test(tcp_next_hop_of_a_silent_open_is_asked),
		conv_test(tcp_source_address_survives_r1),
		/* RFC 1122 2.3.2.1: the hold-off of a neighbour without an answer */
		conv_test(tcp_failed_neighbour_ends_no_open_at_its_first_syn),
		conv_test(tcp_failed_neighbour_ends_an_open_at_its_second_syn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
