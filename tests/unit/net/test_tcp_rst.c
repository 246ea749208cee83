/*
 * test_tcp_rst.c - blind attacks on a connection: RFC 5961, RFC 5927
 */
#include "tests/unit/net/conv.h"

static void tcp_rst_at_rcv_nxt_ends_the_connection(void **state)
{
	open_with();
	rx(.flags = RST, .seq = 901);
	tx_none();
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ECONNRESET);
	assert_int_equal(stt_send(conv.stt, conv.id, "x", 1), -ECONNRESET);
}

static void tcp_rst_inside_window_is_challenged(void **state)
{
	open_with();
	rx(.flags = RST, .seq = 902);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	tx_none();
	assert_int_equal(info().state, STT_ESTABLISHED);
}

static void tcp_rst_outside_window_is_ignored(void **state)
{
	open_with();
	rx(.flags = RST, .seq = 900);
	rx(.flags = RST, .seq = 901 + 10000000);
	tx_none();
	assert_int_equal(info().state, STT_ESTABLISHED);
}

static void tcp_syn_on_a_live_connection_is_challenged(void **state)
{
	open_with();
	rx(.flags = SYN, .seq = 901, .mss = 500);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	rx(.flags = SYN, .seq = 77777777);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 500);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	assert_int_equal(info().state, STT_ESTABLISHED);
	assert_int_equal(info().mss, 1000);
}

static void tcp_challenges_are_limited(void **state)
{
	unsigned sent = 0;

	open_with();
	for (int i = 0; i < 100; i++) {
		rx(.flags = RST, .seq = 950);
		sent += tx_drain();
	}
	assert_int_equal(sent, 10);
	after_ms(5001);
	rx(.flags = RST, .seq = 950);
	tx(.flags = ACK);
}

static void tcp_challenge_limit_is_per_connection(void **state)
{
	struct stt_info other = {0};
	int id;

	open_with();
	id = stt_connect(conv.stt, AF_INET, LOCAL_PORT + 1, PEER_PORT);
	conv.has_iss = false;
	conv.has_edge = false;
	tx(.flags = SYN);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000, .dport = LOCAL_PORT + 1);
	tx(.flags = ACK);
	for (int i = 0; i < 100; i++)
		rx(.flags = RST, .seq = 950);
	tx_drain();
	rx(.flags = RST, .seq = 950, .dport = LOCAL_PORT + 1);
	tx(.flags = ACK, .seq = 101);
	assert_int_equal(stt_info(conv.stt, id, &other), 0);
	assert_int_equal(other.state, STT_ESTABLISHED);
}

static void tcp_ack_of_unsent_data_is_challenged_and_dropped(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901, .ack = 5000, .len = 100);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	read_nothing();
}

static void tcp_ack_from_the_distant_past_is_challenged(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901, .ack = 101 - 1000000, .len = 100);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	read_nothing();
}

static void tcp_segment_without_ack_is_dropped(void **state)
{
	open_with();
	rx(.flags = 0, .seq = 901, .len = 100);
	tx_none();
	read_nothing();
}

static void tcp_hard_icmp_does_not_end_a_live_connection(void **state)
{
	open_with();
	send_bytes(100);
	tx(.flags = ACK, .len = 100);
	conv_icmp(3, 3, 0, 101);
	conv_icmp(3, 2, 0, 101);
	assert_int_equal(info().state, STT_ESTABLISHED);
}

static void tcp_data_before_a_reset_stays_readable(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 100);
	rx(.flags = RST, .seq = 1001);
	assert_int_equal(info().state, STT_CLOSED);
	read_bytes(100);
	read_fails(ECONNRESET);
}

static void tcp_bad_checksum_is_dropped(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 100, .bad_csum = true);
	tx_none();
	read_nothing();
	rx(.flags = RST, .seq = 901, .bad_csum = true);
	assert_int_equal(info().state, STT_ESTABLISHED);
}

static void tcp_rst_in_last_ack_closes_quietly(void **state)
{
	open_with();
	rx(.flags = FIN | ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK);
	stt_shutdown(conv.stt, conv.id);
	tx(.flags = FIN | ACK);
	rx(.flags = RST, .seq = 902);
	assert_int_equal(info().state, STT_CLOSED);
	read_end();
}

static void tcp_urgent_pointer_does_no_harm(void **state)
{
	open_with();
	rx(.flags = ACK | URG, .seq = 901, .ack = 101, .len = 100, .urp = 50000);
	read_bytes(100);
	tx(.flags = ACK, .ack = 1001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.10.7.4, second, RFC 5961 3: the RST bit */
		conv_test(tcp_rst_at_rcv_nxt_ends_the_connection),
		conv_test(tcp_rst_inside_window_is_challenged),
		conv_test(tcp_rst_outside_window_is_ignored),
		conv_test(tcp_rst_in_last_ack_closes_quietly),
		conv_test(tcp_data_before_a_reset_stays_readable),
		/* RFC 9293 3.10.7.4, fourth, RFC 5961 4 and 7: the SYN bit, challenges */
		conv_test(tcp_syn_on_a_live_connection_is_challenged),
		conv_test(tcp_challenges_are_limited),
		conv_test(tcp_challenge_limit_is_per_connection),
		/* RFC 9293 3.10.7.4, fifth and sixth: ACK field, URG bit */
		conv_test(tcp_ack_of_unsent_data_is_challenged_and_dropped),
		conv_test(tcp_ack_from_the_distant_past_is_challenged),
		conv_test(tcp_segment_without_ack_is_dropped),
		conv_test(tcp_urgent_pointer_does_no_harm),
		/* RFC 9293 3.1: checksum */
		conv_test(tcp_bad_checksum_is_dropped),
		/* RFC 5927 4.1: hard errors of ICMP */
		conv_test(tcp_hard_icmp_does_not_end_a_live_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
