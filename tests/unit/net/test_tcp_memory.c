/*
 * test_tcp_memory.c - no memory, at each step of a connection's life: the exhaustion table
 *
 * Allocations fail for a while, and not one byte is lost by it: what could not be sent or taken
 * comes again, within two retransmission timeouts after memory is back. conv_end() holds each of
 * these to giving every mbuf back.
 */
#include "tests/unit/net/conv.h"
#include "tests/unit/between.h"

#define ALL UINT32_MAX

static void memory_gone(void)
{
	stt_pool_fail(conv.stt, 0, ALL);
}

static void memory_back(void)
{
	stt_pool_fail(conv.stt, 0, 0);
}

static void tcp_no_memory_for_the_syn_delays_the_open(void **state)
{
	begin_with();
	connect_now();
	memory_gone();
	tx_none();
	after_ms(500);
	tx_none();
	memory_back();
	after_ms(10);
	tx(.flags = SYN, .seq = 100);
}

static void tcp_no_memory_for_the_syn_ack_delays_the_open(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN, .seq = 100);
	memory_gone();
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000);
	assert_int_equal(info().state, STT_SYN_SENT);
	memory_back();
	at_ms(1001);
	tx(.flags = SYN, .seq = 100);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000);
	tx(.flags = ACK, .seq = 101, .ack = 901);
}

static void tcp_no_memory_for_the_first_ack_delays_it(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN, .seq = 100);
	stt_pool_fail(conv.stt, 1, ALL); /* the SYN|ACK finds a buffer, its ACK does not */
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000);
	assert_int_equal(info().state, STT_ESTABLISHED);
	tx_none();
	memory_back();
	after_ms(10);
	tx(.flags = ACK, .seq = 101, .ack = 901);
}

static void tcp_no_memory_for_first_data_delays_it(void **state)
{
	open_with();
	memory_gone();
	send_bytes(3000);
	tx_none();
	memory_back();
	after_ms(10);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx(.flags = ACK, .seq = 1101, .len = 1000);
	tx(.flags = ACK, .seq = 2101, .len = 1000);
}

/* Fresh data finds the out-of-order queue full and memory
 * short: the hole is filled all the same. */
static void tcp_hole_is_filled_with_a_full_out_of_order_queue(void **state)
{
	open_with(.quota = 32, .wnd = 60000);
	for (uint32_t i = 1; i <= 12; i++)
		rx(.flags = ACK, .seq = 901 + i * 1000, .len = 1000, .ack = 101);
	tx_drain();
	memory_gone();
	rx(.flags = ACK, .seq = 901, .len = 1000, .ack = 101);
	tx_none();
	memory_back();
	rx(.flags = ACK, .seq = 901, .len = 1000, .ack = 101);
	assert_true(tx_any());
	assert_true(conv.last.ack > 1901);
	read_bytes(conv.last.ack - 901);
}

static void tcp_no_memory_for_the_fin_delays_it(void **state)
{
	open_with();
	memory_gone();
	assert_int_equal(stt_shutdown(conv.stt, conv.id), 0);
	tx_none();
	memory_back();
	after_ms(10);
	tx(.flags = FIN | ACK, .seq = 101);
}

static void tcp_no_memory_for_the_peers_fin_is_made_good(void **state)
{
	open_with();
	memory_gone();
	rx(.flags = FIN | ACK, .seq = 901, .ack = 101);
	tx_none();
	assert_int_equal(info().state, STT_ESTABLISHED);
	memory_back();
	rx(.flags = FIN | ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .ack = 902);
	read_end();
}

static void tcp_no_memory_for_a_retransmission_delays_it(void **state)
{
	uint32_t rto_ms;

	open_with(.rtt_ms = 10);
	send_bytes(1000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	rto_ms = info().rto_us / 1000;
	memory_gone();
	after_ms(10 * rto_ms);
	tx_none();
	memory_back();
	after_ms(2 * rto_ms);
	tx(.flags = ACK, .seq = 101, .len = 1000);
}

/* The ACK that would free the last WRITE's buffer is lost for lack of one: the probe fetches
 * another. */
static void tcp_no_memory_for_the_ack_of_the_last_write_is_made_good(void **state)
{
	open_with(.rtt_ms = 10);
	send_bytes(1000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	memory_gone();
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	assert_int_equal(info().unacked_bytes, 1000);
	memory_back();
	after_ms(2 * info().rto_us / 1000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	assert_int_equal(info().unacked_bytes, 0);
}

static void tcp_no_memory_for_an_ack_delays_it(void **state)
{
	open_with();
	stt_pool_fail(conv.stt, 2, ALL);
	rx(.flags = ACK, .seq = 901, .len = 1000, .ack = 101);
	rx(.flags = ACK, .seq = 1901, .len = 1000, .ack = 101);
	tx_none();
	memory_back();
	after_ms(10);
	tx(.flags = ACK, .ack = 2901);
}

/* A peer that ignores our window pays with drops; the bound stands and the connection too. */
static void tcp_peer_that_ignores_the_window_does_not_break_the_quota(void **state)
{
	uint32_t held_max = 0;

	open_with(.quota = 32);
	for (uint32_t i = 0; i < 500; i++) {
		rx(.flags = ACK, .seq = 901 + i * 1000, .len = 1000, .ack = 101);
		tx_drain();
		held_max = info().held_mbufs > held_max ? info().held_mbufs : held_max;
	}
	assert_between(held_max, 1, 33);
	assert_int_equal(info().state, STT_ESTABLISHED);
}

/* One that lies about what it holds gets the data all the same when it asks by ACK. */
static void tcp_peer_that_lies_in_sack_gets_its_data(void **state)
{
	open_with(.rtt_ms = 10);
	send_bytes(3000);
	tx_drain();
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 3101}});
	tx_drain();
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	tx_drain();
	for (int i = 0; i < 10 && info().retrans_segs < 3; i++) {
		after_ms(2000);
		tx_drain();
	}
	rx(.flags = ACK, .seq = 901, .ack = 3101);
	assert_int_equal(info().unacked_bytes, 0);
	assert_between(info().retrans_segs, 2, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.10, without memory: opening */
		conv_test(tcp_no_memory_for_the_syn_delays_the_open),
		conv_test(tcp_no_memory_for_the_syn_ack_delays_the_open),
		conv_test(tcp_no_memory_for_the_first_ack_delays_it),
		/* RFC 9293 3.10, without memory: data, ACKs, FIN */
		conv_test(tcp_no_memory_for_first_data_delays_it),
		conv_test(tcp_hole_is_filled_with_a_full_out_of_order_queue),
		conv_test(tcp_no_memory_for_the_fin_delays_it),
		conv_test(tcp_no_memory_for_the_peers_fin_is_made_good),
		conv_test(tcp_no_memory_for_a_retransmission_delays_it),
		conv_test(tcp_no_memory_for_the_ack_of_the_last_write_is_made_good),
		conv_test(tcp_no_memory_for_an_ack_delays_it),
		/* RFC 9293 3.8.6, RFC 2018 8: hostile peers */
		conv_test(tcp_peer_that_ignores_the_window_does_not_break_the_quota),
		conv_test(tcp_peer_that_lies_in_sack_gets_its_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
