/*
 * test_tcp_open.c - opening a connection: RFC 9293 3.5 and 3.10.7.3, options, retries, failures
 */
#include "tests/unit/net/conv.h"
#include "tests/unit/between.h"

static void tcp_syn_offers_all_options(void **state)
{
	begin_with(.mtu = 1500);
	connect_now();
	tx(.flags = SYN, .seq = 100, .mss = 1460, .has_wscale = true, .sack_ok = true,
		.has_ts = true);
	tx_none();
	assert_int_equal(info().state, STT_SYN_SENT);
}

static void tcp_syn_leaves_out_what_is_disabled(void **state)
{
	begin_with(.disable = STT_NO_SACK | STT_NO_TS | STT_NO_WSCALE);
	connect_now();
	tx(.flags = SYN, .mss = 1460);
	assert_false(conv.last.has_wscale || conv.last.sack_ok || conv.last.has_ts);
}

static void tcp_handshake_is_three_segments(void **state)
{
	begin_with(.ts = true);
	connect_now();
	tx(.flags = SYN, .seq = 100);
	after_ms(10);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1400, .sack_ok = true);
	tx(.flags = ACK, .seq = 101, .ack = 901, .has_ts = true, .tsecr = TSVAL_PEER + 10);
	tx_none();
	assert_int_equal(info().state, STT_ESTABLISHED);
	assert_between(info().srtt_us, 9000, 11000);
	assert_int_equal(info().mss, 1388);
}

static void tcp_window_of_syn_ack_is_not_scaled(void **state)
{
	open_with(.wscale = true, .wscale_value = 7, .wnd = 1000);
	assert_int_equal(info().snd_wnd_bytes, 1000);
	rx(.flags = ACK, .seq = 901, .ack = 101, .wnd = 1000);
	assert_int_equal(info().snd_wnd_bytes, 128000);
}

static void tcp_wscale_above_14_is_taken_as_14(void **state)
{
	open_with(.wscale = true, .wscale_value = 20);
	rx(.flags = ACK, .seq = 901, .ack = 101, .wnd = 2);
	assert_int_equal(info().snd_wnd_bytes, 2 << 14);
}

static void tcp_mss_defaults_to_536_for_ip4(void **state)
{
	begin_with(.mss = 0);
	connect_now();
	tx(.flags = SYN);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101);
	tx(.flags = ACK);
	assert_int_equal(info().mss, 536);
}

static void tcp_mss_defaults_to_1220_for_ip6(void **state)
{
	begin_with(.ip6 = true);
	connect_now();
	tx(.flags = SYN, .mss = 1440);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101);
	tx(.flags = ACK);
	assert_int_equal(info().mss, 1220);
}

static void tcp_mss_set_by_user_is_announced(void **state)
{
	begin_with(.mtu = 1500);
	connect_now();
	assert_int_equal(stt_set(conv.stt, conv.id, "mss", 700), 0);
	tx(.flags = SYN, .mss = 700);
	assert_int_equal(stt_set(conv.stt, conv.id, "mss", 800), -EINVAL);
}

static void tcp_syn_is_sent_again_with_backoff(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN, .seq = 100);
	at_ms(999);
	tx_none();
	at_ms(1000);
	tx(.flags = SYN, .seq = 100);
	at_ms(2999);
	tx_none();
	at_ms(3000);
	tx(.flags = SYN, .seq = 100);
	at_ms(7000);
	tx(.flags = SYN, .seq = 100);
}

static void tcp_open_gives_up_after_three_minutes(void **state)
{
	begin_with();
	connect_now();
	at_ms(179999);
	assert_between(tx_drain(), 6, 9);
	assert_int_equal(info().state, STT_SYN_SENT);
	at_ms(180000);
	tx_none();
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ETIMEDOUT);
}

static void tcp_user_timeout_is_for_the_open_too(void **state)
{
	begin_with();
	connect_now();
	assert_int_equal(stt_set(conv.stt, conv.id, "user_timeout_us", 5000000), 0);
	at_ms(4999);
	assert_int_equal(tx_drain(), 3);
	assert_int_equal(info().state, STT_SYN_SENT);
	at_ms(5000);
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ETIMEDOUT);
}

static void tcp_chosen_ports_make_no_row(void **state)
{
	unsigned in_a_row = 0;
	uint16_t last = 0;

	begin_with();
	for (int i = 0; i < 40; i++) {
		assert_true(stt_connect(conv.stt, AF_INET, 0, PEER_PORT) >= 0);
		assert_true(tx_any());
		in_a_row += conv.last.sport == (uint16_t)(last + 1);
		last = conv.last.sport;
	}
	assert_between(in_a_row, 0, 4);
}

static void tcp_lost_syn_means_one_segment_and_three_seconds(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	at_ms(1000);
	tx(.flags = SYN);
	at_ms(1010);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000);
	tx(.flags = ACK);
	assert_int_equal(info().rto_us, 3000000);
	send_bytes(3000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx_none();
}

static void tcp_refused_open_says_so(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	rx(.flags = RST | ACK, .seq = 0, .ack = 101);
	tx_none();
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ECONNREFUSED);
}

static void tcp_rst_without_ack_does_not_end_an_open(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	rx(.flags = RST, .seq = 900);
	tx_none();
	assert_int_equal(info().state, STT_SYN_SENT);
}

static void tcp_rst_with_wrong_ack_does_not_end_an_open(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	rx(.flags = RST | ACK, .seq = 900, .ack = 102);
	rx(.flags = RST | ACK, .seq = 900, .ack = 100);
	tx_none();
	assert_int_equal(info().state, STT_SYN_SENT);
}

static void tcp_half_open_peer_is_reset_in_syn_sent(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	rx(.flags = ACK, .seq = 5000, .ack = 7000);
	tx(.flags = RST, .seq = 7000);
	tx_none();
	assert_int_equal(info().state, STT_SYN_SENT);
	at_ms(1000);
	tx(.flags = SYN);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000);
	tx(.flags = ACK, .ack = 901);
}

static void tcp_simultaneous_open_with_syn_ack(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN, .seq = 100);
	rx(.flags = SYN, .seq = 900, .mss = 1000);
	tx(.flags = SYN | ACK, .seq = 100, .ack = 901, .mss = 1460);
	assert_int_equal(info().state, STT_SYN_RECEIVED);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000);
	assert_int_equal(info().state, STT_ESTABLISHED);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	tx_none();
	send_bytes(10);
	tx(.flags = ACK, .seq = 101, .len = 10);
}

static void tcp_simultaneous_open_with_ack(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN, .seq = 100);
	rx(.flags = SYN, .seq = 900, .mss = 1000);
	tx(.flags = SYN | ACK, .seq = 100, .ack = 901);
	rx(.flags = ACK, .seq = 901, .ack = 101);
	assert_int_equal(info().state, STT_ESTABLISHED);
	assert_int_equal(info().cwnd_bytes, 10000); /* no SYN was lost */
}

static void tcp_syn_ack_of_simultaneous_open_is_sent_again(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN, .seq = 100);
	at_ms(10);
	rx(.flags = SYN, .seq = 900, .mss = 1000);
	tx(.flags = SYN | ACK, .seq = 100, .ack = 901);
	at_ms(1010);
	tx(.flags = SYN | ACK, .seq = 100, .ack = 901);
}

static void tcp_wrong_ack_in_syn_received_is_reset(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN, .seq = 100);
	rx(.flags = SYN, .seq = 900, .mss = 1000);
	tx(.flags = SYN | ACK);
	rx(.flags = ACK, .seq = 901, .ack = 555);
	tx(.flags = RST, .seq = 555);
	assert_int_equal(info().state, STT_SYN_RECEIVED);
}

static void tcp_text_with_syn_ack_is_taken(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000, .len = 50);
	tx(.flags = ACK, .seq = 101, .ack = 951);
	read_bytes(50);
}

static void tcp_bytes_queued_before_the_open_leave_after_it(void **state)
{
	begin_with();
	connect_now();
	send_bytes(300);
	tx(.flags = SYN);
	tx_none();
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000);
	tx(.flags = ACK, .seq = 101, .ack = 901, .len = 300);
	tx_none();
}

static void tcp_ecn_is_asked_for_once(void **state)
{
	begin_with(.ecn = true);
	connect_now();
	tx(.flags = SYN | ECE | CWR);
	at_ms(1000);
	tx(.flags = SYN);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000);
	tx(.flags = ACK);
}

static void tcp_unreachable_ends_an_open(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	conv_icmp(3, 3, 0, 100);
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ECONNREFUSED);
}

static void tcp_soft_icmp_does_not_end_an_open(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	conv_icmp(3, 1, 0, 100);
	assert_int_equal(info().state, STT_SYN_SENT);
	at_ms(180000);
	tx_drain();
	read_fails(EHOSTUNREACH);
}

static void tcp_icmp_about_another_number_is_ignored(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	conv_icmp(3, 3, 0, 99);
	conv_icmp(3, 3, 0, 101);
	assert_int_equal(info().state, STT_SYN_SENT);
}

static void tcp_isn_differs_between_ports_and_moves_with_time(void **state)
{
	uint32_t first;
	int id;

	begin_with();
	connect_now();
	assert_true(tx_any());
	first = conv.iss;
	id = stt_connect(conv.stt, AF_INET, 0, PEER_PORT);
	assert_true(id > 0);
	assert_true(tx_any());
	assert_int_not_equal(conv.last.seq, OUR_ISS);
	assert_between(conv.last.sport, 49152, 65535);
	stt_abort(conv.stt, conv.id);
	after_ms(1000);
	tx_drain();
	connect_now();
	conv.has_iss = false;
	tx(.flags = SYN);
	assert_between(conv.iss - first, 249000, 251000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.10.1, 3.7.1, RFC 7323 2: OPEN, and what the SYN offers */
		conv_test(tcp_syn_offers_all_options),
		conv_test(tcp_syn_leaves_out_what_is_disabled),
		conv_test(tcp_mss_set_by_user_is_announced),
		conv_test(tcp_mss_defaults_to_536_for_ip4),
		conv_test(tcp_mss_defaults_to_1220_for_ip6),
		conv_test(tcp_window_of_syn_ack_is_not_scaled),
		conv_test(tcp_wscale_above_14_is_taken_as_14),
		/* RFC 9293 3.5 and 3.10.7.3: three segments, and what may come instead */
		conv_test(tcp_handshake_is_three_segments),
		conv_test(tcp_text_with_syn_ack_is_taken),
		conv_test(tcp_bytes_queued_before_the_open_leave_after_it),
		conv_test(tcp_refused_open_says_so),
		conv_test(tcp_rst_without_ack_does_not_end_an_open),
		conv_test(tcp_rst_with_wrong_ack_does_not_end_an_open),
		conv_test(tcp_half_open_peer_is_reset_in_syn_sent),
		/* RFC 9293 3.5, figure 8: simultaneous open */
		conv_test(tcp_simultaneous_open_with_syn_ack),
		conv_test(tcp_simultaneous_open_with_ack),
		conv_test(tcp_syn_ack_of_simultaneous_open_is_sent_again),
		conv_test(tcp_wrong_ack_in_syn_received_is_reset),
		/* RFC 9293 3.8.3, RFC 6298 5: the SYN is lost */
		conv_test(tcp_syn_is_sent_again_with_backoff),
		conv_test(tcp_open_gives_up_after_three_minutes),
		conv_test(tcp_user_timeout_is_for_the_open_too),
		conv_test(tcp_lost_syn_means_one_segment_and_three_seconds),
		/* RFC 3168 6.1.1: ECN is asked for */
		conv_test(tcp_ecn_is_asked_for_once),
		/* RFC 9293 3.9.2.2, RFC 5927 4: ICMP */
		conv_test(tcp_unreachable_ends_an_open),
		conv_test(tcp_soft_icmp_does_not_end_an_open),
		conv_test(tcp_icmp_about_another_number_is_ignored),
		/* RFC 6528, RFC 6056: what must not be guessed */
		conv_test(tcp_isn_differs_between_ports_and_moves_with_time),
		conv_test(tcp_chosen_ports_make_no_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
