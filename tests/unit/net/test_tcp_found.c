/*
 * test_tcp_found.c - what the simulator found, each as the shortest conversation that shows it
 */
#include "tests/unit/net/conv.h"

/* Seed 13079. The retransmission that fills a hole has an old number but the newest window. */
static void tcp_window_of_an_advancing_ack_counts_whatever_its_number(void **state)
{
	open_with(.wnd = 3000);
	send_bytes(10000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx(.flags = ACK, .seq = 1101, .len = 1000);
	tx(.flags = ACK, .seq = 2101, .len = 1000);
	rx(.flags = ACK, .seq = 1901, .len = 100, .ack = 101);
	tx(.flags = ACK, .ack = 901);
	rx(.flags = ACK, .seq = 901, .len = 1000, .ack = 3101, .wnd = 1000);
	tx(.flags = ACK, .seq = 3101, .len = 1000, .ack = 2001);
	tx_none();
}

/* Seed 13743. A window on a SYN is never scaled, and a SYN|ACK in SYN-RECEIVED is a SYN. */
static void tcp_window_of_a_crossing_syn_ack_is_not_scaled(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN, .seq = 100);
	rx(.flags = SYN, .seq = 900, .mss = 1000, .wnd = 2048, .has_wscale = true, .wscale = 3);
	tx(.flags = SYN | ACK, .seq = 100, .ack = 901);
	conv.wscale = conv.last.wscale;
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000, .wnd = 2048, .has_wscale = true,
		.wscale = 3);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	assert_int_equal(info().snd_wnd_bytes, 2048);
	send_bytes(10000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx(.flags = ACK, .seq = 1101, .len = 1000);
	tx_none();
}

/* Seed 858. Old by its number only: nothing before the SYN was ever received. */
static void tcp_no_duplicate_is_reported_from_before_the_syn(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901 - 5000, .len = 8, .ack = 101);
	tx(.flags = ACK, .ack = 901, .no_sack = true);
	rx(.flags = ACK, .seq = 901, .len = 100, .ack = 101);
	tx_drain();
	rx(.flags = ACK, .seq = 901, .len = 100, .ack = 101);
	tx(.flags = ACK, .ack = 1001, .sacks = 1, .sack = {{901, 1001}});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.10.7.4, RFC 7323 2.2, RFC 2883 4: what the simulator found */
		conv_test(tcp_window_of_an_advancing_ack_counts_whatever_its_number),
		conv_test(tcp_window_of_a_crossing_syn_ack_is_not_scaled),
		conv_test(tcp_no_duplicate_is_reported_from_before_the_syn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
