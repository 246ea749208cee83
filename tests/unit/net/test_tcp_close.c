/*
 * test_tcp_close.c - closing a connection: RFC 9293 3.6, 3.10.4 to 3.10.7.4
 */
#include "tests/unit/net/conv.h"

static void tcp_active_close_ends_in_time_wait(void **state)
{
	open_with();
	stt_shutdown(conv.stt, conv.id);
	tx(.flags = FIN | ACK, .seq = 101, .ack = 901);
	assert_int_equal(info().state, STT_FIN_WAIT_1);
	rx(.flags = ACK, .seq = 901, .ack = 102);
	assert_int_equal(info().state, STT_FIN_WAIT_2);
	rx(.flags = FIN | ACK, .seq = 901, .ack = 102);
	assert_int_equal(info().state, STT_TIME_WAIT);
	tx(.flags = ACK, .seq = 102, .ack = 902);
	read_end();
	after_ms(59000);
	assert_int_equal(info().state, STT_TIME_WAIT);
	after_ms(1001);
	assert_int_equal(info().state, STT_CLOSED);
	read_end();
	tx_none();
}

static void tcp_fin_follows_the_queued_data(void **state)
{
	open_with();
	send_bytes(2500);
	stt_shutdown(conv.stt, conv.id);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx(.flags = ACK, .seq = 1101, .len = 1000);
	tx(.flags = FIN | ACK, .seq = 2101, .len = 500);
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 2602);
	assert_int_equal(info().state, STT_FIN_WAIT_2);
}

static void tcp_passive_close_ends_without_time_wait(void **state)
{
	open_with();
	rx(.flags = FIN | ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .ack = 902);
	assert_int_equal(info().state, STT_CLOSE_WAIT);
	read_end();
	send_bytes(10);
	tx(.flags = ACK, .seq = 101, .len = 10);
	stt_shutdown(conv.stt, conv.id);
	tx(.flags = FIN | ACK, .seq = 111, .ack = 902);
	assert_int_equal(info().state, STT_LAST_ACK);
	rx(.flags = ACK, .seq = 902, .ack = 112);
	assert_int_equal(info().state, STT_CLOSED);
	tx_none();
}

static void tcp_simultaneous_close_goes_through_closing(void **state)
{
	open_with();
	stt_shutdown(conv.stt, conv.id);
	tx(.flags = FIN | ACK, .seq = 101);
	rx(.flags = FIN | ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .seq = 102, .ack = 902);
	assert_int_equal(info().state, STT_CLOSING);
	rx(.flags = ACK, .seq = 902, .ack = 102);
	assert_int_equal(info().state, STT_TIME_WAIT);
}

static void tcp_fin_with_ack_of_ours_skips_closing(void **state)
{
	open_with();
	stt_shutdown(conv.stt, conv.id);
	tx(.flags = FIN | ACK);
	rx(.flags = FIN | ACK, .seq = 901, .ack = 102);
	assert_int_equal(info().state, STT_TIME_WAIT);
	tx(.flags = ACK, .ack = 902);
}

static void tcp_lost_fin_is_sent_again(void **state)
{
	open_with();
	stt_shutdown(conv.stt, conv.id);
	tx(.flags = FIN | ACK, .seq = 101);
	after_ms(5000);
	tx(.flags = FIN | ACK, .seq = 101);
	rx(.flags = ACK, .seq = 901, .ack = 102);
	tx_drain();
	assert_int_equal(info().state, STT_FIN_WAIT_2);
}

static void tcp_half_close_still_receives(void **state)
{
	open_with();
	stt_shutdown(conv.stt, conv.id);
	tx(.flags = FIN | ACK);
	rx(.flags = ACK, .seq = 901, .ack = 102);
	rx(.flags = ACK, .seq = 901, .ack = 102, .len = 1000);
	tx(.flags = ACK, .seq = 102, .ack = 1901);
	read_bytes(1000);
	assert_int_equal(info().state, STT_FIN_WAIT_2);
}

static void tcp_send_after_shutdown_is_refused(void **state)
{
	open_with();
	stt_shutdown(conv.stt, conv.id);
	assert_int_equal(stt_send(conv.stt, conv.id, "x", 1), -EPIPE);
}

static void tcp_time_wait_acknowledges_a_repeated_fin(void **state)
{
	open_with();
	stt_shutdown(conv.stt, conv.id);
	tx(.flags = FIN | ACK);
	rx(.flags = FIN | ACK, .seq = 901, .ack = 102);
	tx(.flags = ACK);
	after_ms(50000);
	rx(.flags = FIN | ACK, .seq = 901, .ack = 102);
	tx(.flags = ACK, .seq = 102, .ack = 902);
	after_ms(50000); /* the wait began anew */
	assert_int_equal(info().state, STT_TIME_WAIT);
	after_ms(10001);
	assert_int_equal(info().state, STT_CLOSED);
}

static void tcp_fin_beyond_a_hole_waits_for_it(void **state)
{
	open_with();
	rx(.flags = FIN | ACK, .seq = 1901, .ack = 101, .len = 500);
	tx(.flags = ACK, .ack = 901, .sacks = 1, .sack = {{1901, 2401}});
	assert_int_equal(info().state, STT_ESTABLISHED);
	read_nothing();
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 2402, .no_sack = true);
	assert_int_equal(info().state, STT_CLOSE_WAIT);
	read_bytes(1500);
	read_end();
}

static void tcp_text_after_fin_is_ignored(void **state)
{
	open_with();
	rx(.flags = FIN | ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .ack = 902);
	rx(.flags = ACK, .seq = 902, .ack = 101, .len = 100);
	tx_drain();
	assert_int_equal(info().bytes_received, 0);
	read_end();
}

static void tcp_abort_sends_rst(void **state)
{
	open_with();
	send_bytes(100);
	tx(.flags = ACK, .seq = 101, .len = 100);
	stt_abort(conv.stt, conv.id);
	tx(.flags = RST | ACK, .seq = 201, .ack = 901);
	tx_none();
	assert_int_equal(info().state, STT_CLOSED);
}

static void tcp_abort_in_syn_sent_is_silent(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	stt_abort(conv.stt, conv.id);
	tx_none();
}

static void tcp_close_with_unread_data_resets(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 100);
	tx(.flags = ACK);
	stt_close(conv.stt, conv.id);
	tx(.flags = RST | ACK, .seq = 101);
	assert_int_equal(info().state, STT_CLOSED);
}

static void tcp_data_after_close_resets(void **state)
{
	open_with();
	stt_close(conv.stt, conv.id);
	tx(.flags = FIN | ACK, .seq = 101);
	rx(.flags = ACK, .seq = 901, .ack = 102);
	assert_int_equal(info().state, STT_FIN_WAIT_2);
	rx(.flags = ACK, .seq = 901, .ack = 102, .len = 10);
	tx(.flags = RST | ACK, .seq = 102);
	assert_int_equal(info().state, STT_CLOSED);
}

static void tcp_closed_handle_does_not_wait_for_ever_in_fin_wait_2(void **state)
{
	open_with();
	stt_close(conv.stt, conv.id);
	tx(.flags = FIN | ACK, .seq = 101);
	rx(.flags = ACK, .seq = 901, .ack = 102);
	after_ms(59999);
	assert_int_equal(info().state, STT_FIN_WAIT_2);
	after_ms(2);
	assert_int_equal(info().state, STT_CLOSED);
}

static void tcp_segment_without_connection_is_reset(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 4000, .ack = 5000, .sport = 1, .dport = 2);
	tx(.flags = RST, .seq = 5000);
	rx(.flags = SYN, .seq = 4000, .sport = 1, .dport = 2);
	tx(.flags = RST | ACK, .ack = 4001);
	rx(.flags = RST, .seq = 4000, .sport = 1, .dport = 2);
	tx_none();
}

static void tcp_user_timeout_ends_a_silent_connection(void **state)
{
	open_with();
	assert_int_equal(stt_set(conv.stt, conv.id, "user_timeout_us", 5000000), 0);
	send_bytes(100);
	tx(.flags = ACK, .len = 100);
	at_ms(4900);
	tx_drain();
	assert_int_equal(info().state, STT_ESTABLISHED);
	at_ms(5001);
	tx_drain();
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ETIMEDOUT);
	assert_int_equal(stt_send(conv.stt, conv.id, "x", 1), -ETIMEDOUT);
}

static void tcp_keepalive_probes_and_gives_up(void **state)
{
	open_with();
	assert_int_equal(stt_set(conv.stt, conv.id, "keepalive_us", 10000000), 0);
	at_ms(9999);
	tx_none();
	at_ms(10000);
	tx(.flags = ACK, .seq = 100, .ack = 901);
	rx(.flags = ACK, .seq = 901, .ack = 101);
	at_ms(19999);
	tx_none();
	at_ms(60000);
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ETIMEDOUT);
}

static void tcp_keepalive_is_off_by_default(void **state)
{
	open_with();
	after_ms(3600000);
	tx_none();
	assert_int_equal(info().state, STT_ESTABLISHED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.6 and 3.10.4: CLOSE */
		conv_test(tcp_active_close_ends_in_time_wait),
		conv_test(tcp_fin_follows_the_queued_data),
		conv_test(tcp_passive_close_ends_without_time_wait),
		conv_test(tcp_simultaneous_close_goes_through_closing),
		conv_test(tcp_fin_with_ack_of_ours_skips_closing),
		conv_test(tcp_lost_fin_is_sent_again),
		conv_test(tcp_half_close_still_receives),
		conv_test(tcp_send_after_shutdown_is_refused),
		conv_test(tcp_time_wait_acknowledges_a_repeated_fin),
		/* RFC 9293 3.10.7.4, eighth: the FIN bit */
		conv_test(tcp_fin_beyond_a_hole_waits_for_it),
		conv_test(tcp_text_after_fin_is_ignored),
		/* RFC 9293 3.6.1 and 3.10.5: ABORT, and half a close */
		conv_test(tcp_abort_sends_rst),
		conv_test(tcp_abort_in_syn_sent_is_silent),
		conv_test(tcp_close_with_unread_data_resets),
		conv_test(tcp_data_after_close_resets),
		conv_test(tcp_closed_handle_does_not_wait_for_ever_in_fin_wait_2),
		/* RFC 9293 3.10.7.1: no connection */
		conv_test(tcp_segment_without_connection_is_reset),
		/* RFC 9293 3.8.3 and 3.8.4: failures and keep-alives */
		conv_test(tcp_user_timeout_ends_a_silent_connection),
		conv_test(tcp_keepalive_probes_and_gives_up),
		conv_test(tcp_keepalive_is_off_by_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
