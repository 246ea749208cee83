/*
 * test_tcp_exhaust.c - no memory in the middle of traffic, and peers that try to use it up
 *
 * The second half of the exhaustion table in docs/tcp.md; the steps of a connection's life are in
 * test_tcp_memory.c.
 */
#include "tests/unit/net/conv.h"
#include "tests/unit/between.h"

#define ALL    UINT32_MAX
#define RTT_MS 10

static void memory_gone(void)
{
	stt_pool_fail(conv.stt, 0, ALL);
}

static void memory_back(void)
{
	stt_pool_fail(conv.stt, 0, 0);
}

static uint32_t peer_nxt; /* what the peer has of our stream, as a script number */

/* One round trip of a peer that reads: takes what was sent, acknowledges it. Out: bytes it got. */
static uint32_t round_trip(uint32_t seq)
{
	uint32_t before = peer_nxt;

	after_ms(RTT_MS);
	while (tx_any())
		if (conv.last.seq == peer_nxt)
			peer_nxt += conv.last.len;
	rx(.flags = ACK, .seq = seq, .ack = peer_nxt);
	return peer_nxt - before;
}

static void feed(void)
{
	if (conv.queued < peer_nxt + 200000)
		send_bytes(100000);
}

static void tcp_throughput_resumes_within_two_timeouts(void **state)
{
	uint32_t usual = 0, best = 0, rto_ms;

	open_with(.rtt_ms = RTT_MS, .cc = "newreno");
	peer_nxt = 101;
	for (int i = 0; i < 30; i++) {
		feed();
		usual = round_trip(901);
	}
	assert_true(usual > 20000);
	rto_ms = info().rto_us / 1000;
	memory_gone();
	for (int i = 0; i < 300; i++)
		round_trip(901);
	memory_back();
	for (uint32_t ms = 0; ms < 2 * rto_ms; ms += RTT_MS) {
		uint32_t now;

		feed();
		now = round_trip(901);
		best = now > best ? now : best;
	}
	assert_true(best >= usual * 9 / 10);
	assert_int_equal(info().state, STT_ESTABLISHED);
}

static void tcp_reading_resumes_within_two_timeouts(void **state)
{
	uint32_t at = 901;

	open_with(.rtt_ms = RTT_MS);
	memory_gone();
	for (int i = 0; i < 100; i++) {
		rx(.flags = ACK, .seq = at + 1000 * (uint32_t)i, .ack = 101, .len = 1000);
		tx_none();
	}
	after_ms(5000);
	memory_back();
	for (int i = 0; i < 100; i++, at += 1000) {
		rx(.flags = ACK, .seq = at, .ack = 101, .len = 1000);
		read_bytes(1000);
		tx_drain();
	}
	assert_int_equal(conv.last.ack, at);
}

static void tcp_no_memory_for_arriving_data_costs_one_timeout(void **state)
{
	open_with();
	stt_pool_fail(conv.stt, 0, 1);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx_none();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 901, .sacks = 1, .sack = {{1901, 2901}});
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 2901);
	read_bytes(2000);
}

static void tcp_timeouts_without_memory_do_not_back_off(void **state)
{
	open_with(.rtt_ms = RTT_MS);
	send_bytes(1000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	memory_gone();
	after_ms(20000);
	assert_between(info().backoff, 0, 1);
	memory_back();
	after_ms(2 * info().rto_us / 1000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
}

static void tcp_no_memory_for_a_window_probe_delays_it(void **state)
{
	open_with(.rtt_ms = RTT_MS);
	rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
	send_bytes(1000);
	memory_gone();
	after_ms(3000);
	tx_none();
	memory_back();
	after_ms(2 * info().rto_us / 1000);
	tx(.flags = ACK, .seq = 101, .len = 1);
}

static void tcp_no_memory_for_a_reset_delays_it(void **state)
{
	open_with();
	memory_gone();
	assert_int_equal(stt_abort(conv.stt, conv.id), 0);
	tx_none();
	after_ms(100);
	tx_none();
	memory_back();
	after_ms(10);
	assert_true(tx_any());
	assert_true(conv.last.flags & RST);
}

/* Both directions, and the n-th allocation of the whole exchange fails, for each n. */
static void exchange(uint32_t skip)
{
	uint32_t sent = 0, seq;

	begin_with();
	stt_pool_fail(conv.stt, skip, 1);
	connect_now();
	for (int i = 0; i < 100 && !(info().state == STT_ESTABLISHED && peer_nxt > 101); i++) {
		while (tx_any())
			if (conv.last.flags & SYN)
				rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000);
		peer_nxt = 101;
		if (info().state == STT_ESTABLISHED)
			break;
		after_ms(100);
	}
	send_bytes(5000);
	for (int i = 0; i < 200 && (peer_nxt < 5101 || sent < 5000); i++) {
		seq = 901 + sent;
		rx(.flags = ACK, .seq = seq, .ack = peer_nxt, .len = sent < 5000 ? 1000 : 0);
		sent = (uint32_t)info().bytes_received;
		round_trip(901 + sent);
		if (i % 20 == 19)
			after_ms(1000);
	}
	assert_int_equal(peer_nxt, 5101);
	read_bytes(5000);
}

static void tcp_any_one_failed_allocation_loses_nothing(void **state)
{
	for (uint32_t skip = 0; skip < 48; skip++) {
		exchange(skip);
		assert_int_equal(conv_end(NULL), 0);
	}
}

static void tcp_overlap_flood_costs_the_neighbour_nothing(void **state)
{
	uint8_t bytes[4000];
	uint32_t iss;
	int neighbour;

	open_with(.quota = 16, .pool = 64);
	neighbour = stt_connect(conv.stt, AF_INET, LOCAL_PORT + 1, PEER_PORT);
	assert_true(neighbour >= 0 && tx_any());
	iss = conv.last.seq;
	rx(.flags = SYN | ACK, .seq = 900, .ack = iss + 1, .mss = 1000, .dport = LOCAL_PORT + 1);
	tx_drain();
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	for (uint32_t i = 1; i < 2000; i++) {
		rx(.flags = ACK, .seq = 901 + i, .ack = 101, .len = 1000);
		rx(.flags = ACK, .seq = 901 + 3 * i, .ack = 101, .len = 2);
		assert_between(info().held_mbufs, 1, 16);
		if (i % 500 == 0)
			rx(.flags = ACK, .seq = 901 + 2 * (i - 500), .ack = iss + 1, .len = 1000,
				.dport = LOCAL_PORT + 1);
		tx_drain();
	}
	assert_int_equal(stt_recv(conv.stt, neighbour, bytes, sizeof(bytes)), 3000);
}

static void tcp_split_acks_do_not_speed_us_up(void **state)
{
	open_with(.cc = "newreno");
	send_bytes(100000);
	assert_int_equal(tx_drain(), 10);
	for (uint32_t i = 1; i <= 1000; i++) {
		rx(.flags = ACK, .seq = 901, .ack = 101 + 10 * i);
		tx_drain();
	}
	assert_between(info().cwnd_bytes, 10000, 20000);
}

static void tcp_rst_with_text_is_a_rst(void **state)
{
	open_with();
	rx(.flags = RST, .seq = 901, .len = 20);
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.10, without memory: in the middle of traffic */
		conv_test(tcp_no_memory_for_arriving_data_costs_one_timeout),
		conv_test(tcp_timeouts_without_memory_do_not_back_off),
		conv_test(tcp_no_memory_for_a_window_probe_delays_it),
		conv_test(tcp_no_memory_for_a_reset_delays_it),
		conv_test(tcp_throughput_resumes_within_two_timeouts),
		conv_test(tcp_reading_resumes_within_two_timeouts),
		conv_test(tcp_any_one_failed_allocation_loses_nothing),
		/* RFC 9293 3.8.6, RFC 5681 3.1: hostile peers */
		conv_test(tcp_overlap_flood_costs_the_neighbour_nothing),
		conv_test(tcp_split_acks_do_not_speed_us_up),
		/* RFC 9293 3.6: a reset may say why */
		conv_test(tcp_rst_with_text_is_a_rst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
