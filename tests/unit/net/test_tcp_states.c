/*
 * test_tcp_states.c - odd segments in every state: RFC 9293 3.10.7, and 3.6 for how it ends
 *
 * The table of section 3.10.7.4 has a column for each state and a row for each control bit; what is
 * not tested where its subject is (open, close, rst) is here, state by state.
 */
#include "tests/unit/net/conv.h"

/* ESTABLISHED and our FIN acknowledged. */
static void reach_fin_wait_2(void)
{
	open_with();
	assert_int_equal(stt_shutdown(conv.stt, conv.id), 0);
	tx(.flags = FIN | ACK, .seq = 101);
	rx(.flags = ACK, .seq = 901, .ack = 102);
	assert_int_equal(info().state, STT_FIN_WAIT_2);
}

static void reach_time_wait(void)
{
	reach_fin_wait_2();
	rx(.flags = FIN | ACK, .seq = 901, .ack = 102);
	tx(.flags = ACK, .seq = 102, .ack = 902);
	assert_int_equal(info().state, STT_TIME_WAIT);
}

static void reach_closing(void)
{
	open_with();
	assert_int_equal(stt_shutdown(conv.stt, conv.id), 0);
	tx(.flags = FIN | ACK, .seq = 101);
	rx(.flags = FIN | ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .seq = 102, .ack = 902);
	assert_int_equal(info().state, STT_CLOSING);
}

static void reach_close_wait(void)
{
	open_with();
	rx(.flags = FIN | ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .seq = 101, .ack = 902);
	assert_int_equal(info().state, STT_CLOSE_WAIT);
}

static void reach_last_ack(void)
{
	reach_close_wait();
	assert_int_equal(stt_shutdown(conv.stt, conv.id), 0);
	tx(.flags = FIN | ACK, .seq = 101, .ack = 902);
	assert_int_equal(info().state, STT_LAST_ACK);
}

static void tcp_text_in_close_wait_is_ignored(void **state)
{
	reach_close_wait();
	rx(.flags = ACK, .seq = 902, .ack = 101, .len = 100);
	tx_drain();
	read_end();
	assert_int_equal(info().state, STT_CLOSE_WAIT);
}

static void tcp_second_fin_changes_nothing(void **state)
{
	reach_close_wait();
	rx(.flags = FIN | ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .seq = 101, .ack = 902);
	rx(.flags = FIN | ACK, .seq = 902, .ack = 101);
	tx_drain();
	assert_int_equal(info().state, STT_CLOSE_WAIT);
}

static void tcp_fin_in_closing_and_last_ack_is_acknowledged_only(void **state)
{
	reach_closing();
	rx(.flags = FIN | ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .seq = 102, .ack = 902);
	assert_int_equal(info().state, STT_CLOSING);
	conv_end(NULL);
	reach_last_ack();
	rx(.flags = FIN | ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .seq = 102, .ack = 902);
	assert_int_equal(info().state, STT_LAST_ACK);
}

static void tcp_time_wait_lasts_two_msl(void **state)
{
	reach_time_wait();
	after_ms(59999);
	assert_int_equal(info().state, STT_TIME_WAIT);
	after_ms(1);
	assert_int_equal(info().state, STT_CLOSED);
	tx_none();
}

static void tcp_repeated_fin_restarts_time_wait(void **state)
{
	reach_time_wait();
	after_ms(50000);
	rx(.flags = FIN | ACK, .seq = 901, .ack = 102);
	tx(.flags = ACK, .seq = 102, .ack = 902);
	after_ms(59999);
	assert_int_equal(info().state, STT_TIME_WAIT);
	after_ms(1);
	assert_int_equal(info().state, STT_CLOSED);
}

/* Behind its FIN: not taken, answered, and not for ever. */
static void tcp_text_in_time_wait_is_acknowledged(void **state)
{
	reach_time_wait();
	rx(.flags = ACK, .seq = 902, .len = 10, .ack = 102);
	tx(.flags = ACK, .seq = 102, .ack = 902);
	for (int i = 0; i < 30; i++)
		rx(.flags = ACK, .seq = 902, .len = 10, .ack = 102);
	assert_true(tx_drain() <= 10);
	assert_int_equal(info().state, STT_TIME_WAIT);
}

static void tcp_bare_ack_does_not_prolong_time_wait(void **state)
{
	reach_time_wait();
	after_ms(50000);
	rx(.flags = ACK, .seq = 902, .ack = 102);
	tx_none();
	after_ms(10000);
	assert_int_equal(info().state, STT_CLOSED);
}

static void tcp_syn_in_time_wait_is_challenged(void **state)
{
	reach_time_wait();
	rx(.flags = SYN, .seq = 5000000, .mss = 1000);
	tx(.flags = ACK, .seq = 102, .ack = 902);
	assert_int_equal(info().state, STT_TIME_WAIT);
}

static void tcp_rst_ends_each_half_closed_state_with_an_error(void **state)
{
	reach_fin_wait_2();
	rx(.flags = RST, .seq = 901);
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ECONNRESET);
	conv_end(NULL);
	reach_close_wait();
	rx(.flags = RST, .seq = 902);
	assert_int_equal(info().state, STT_CLOSED);
	tx_none();
}

static void tcp_rst_in_fin_wait_1_is_an_error(void **state)
{
	open_with();
	send_bytes(100);
	stt_shutdown(conv.stt, conv.id);
	tx(.flags = FIN | ACK, .seq = 101, .len = 100);
	rx(.flags = RST, .seq = 901);
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ECONNRESET);
}

static void tcp_rst_in_closing_and_time_wait_ends_quietly(void **state)
{
	reach_closing();
	rx(.flags = RST, .seq = 902);
	assert_int_equal(info().state, STT_CLOSED);
	read_end();
	conv_end(NULL);
	reach_time_wait();
	rx(.flags = RST, .seq = 902);
	assert_int_equal(info().state, STT_CLOSED);
	read_end();
}

static void tcp_syn_in_a_half_closed_state_is_challenged(void **state)
{
	reach_fin_wait_2();
	rx(.flags = SYN, .seq = 901);
	tx(.flags = ACK, .seq = 102, .ack = 901);
	assert_int_equal(info().state, STT_FIN_WAIT_2);
	conv_end(NULL);
	reach_close_wait();
	rx(.flags = SYN, .seq = 902);
	tx(.flags = ACK, .seq = 101, .ack = 902);
	assert_int_equal(info().state, STT_CLOSE_WAIT);
}

static void tcp_fin_without_ack_bit_is_dropped(void **state)
{
	open_with();
	rx(.flags = FIN, .seq = 901);
	tx_none();
	assert_int_equal(info().state, STT_ESTABLISHED);
}

static void tcp_fin_with_an_ack_of_unsent_data_is_dropped(void **state)
{
	open_with();
	rx(.flags = FIN | ACK, .seq = 901, .ack = 5000);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	assert_int_equal(info().state, STT_ESTABLISHED);
}

static void tcp_fin_outside_the_window_is_ignored(void **state)
{
	open_with();
	rx(.flags = FIN | ACK, .seq = 901 + 1000000, .ack = 101);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	assert_int_equal(info().state, STT_ESTABLISHED);
	read_nothing();
}

static void tcp_nothing_but_a_syn_is_heard_in_syn_sent(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	rx(.flags = ACK, .seq = 900, .ack = 101, .len = 100);
	rx(.flags = FIN | ACK, .seq = 900, .ack = 101);
	rx(.flags = FIN, .seq = 900);
	rx(.flags = URG, .seq = 900, .len = 4, .urp = 2);
	tx_none();
	assert_int_equal(info().state, STT_SYN_SENT);
	read_nothing();
}

static void tcp_syn_ack_of_another_connection_is_reset(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 100, .mss = 1000);
	tx(.flags = RST, .seq = 100);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 102, .mss = 1000);
	tx(.flags = RST, .seq = 102);
	assert_int_equal(info().state, STT_SYN_SENT);
}

static void tcp_fin_with_the_syn_ack_is_taken(void **state)
{
	begin_with();
	connect_now();
	tx(.flags = SYN);
	rx(.flags = SYN | ACK | FIN, .seq = 900, .ack = 101, .mss = 1000, .len = 10);
	tx(.flags = ACK, .seq = 101, .ack = 912);
	assert_int_equal(info().state, STT_CLOSE_WAIT);
	read_bytes(10);
	read_end();
}

static void reach_syn_received(void)
{
	begin_with();
	connect_now();
	tx(.flags = SYN, .seq = 100);
	rx(.flags = SYN, .seq = 900, .mss = 1000);
	tx(.flags = SYN | ACK, .seq = 100, .ack = 901);
	assert_int_equal(info().state, STT_SYN_RECEIVED);
}

static void tcp_repeated_syn_in_syn_received_is_acknowledged(void **state)
{
	reach_syn_received();
	rx(.flags = SYN, .seq = 900, .mss = 1000);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	assert_int_equal(info().state, STT_SYN_RECEIVED);
	rx(.flags = ACK, .seq = 901, .ack = 101);
	assert_int_equal(info().state, STT_ESTABLISHED);
}

static void tcp_rst_in_syn_received_refuses_the_open(void **state)
{
	reach_syn_received();
	rx(.flags = RST, .seq = 950);
	assert_int_equal(info().state, STT_SYN_RECEIVED);
	rx(.flags = RST, .seq = 901);
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ECONNREFUSED);
}

static void tcp_text_in_syn_received_is_taken_with_the_ack(void **state)
{
	reach_syn_received();
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 50);
	assert_int_equal(info().state, STT_ESTABLISHED);
	read_bytes(50);
	tx(.flags = ACK, .seq = 101, .ack = 951);
}

static void tcp_close_in_syn_received_sends_fin_once_open(void **state)
{
	reach_syn_received();
	assert_int_equal(stt_shutdown(conv.stt, conv.id), 0);
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 101);
	tx(.flags = FIN | ACK, .seq = 101, .ack = 901);
	assert_int_equal(info().state, STT_FIN_WAIT_1);
}

static void tcp_abort_resets_in_each_state_that_has_a_peer(void **state)
{
	void (*const reach[])(void) = {reach_fin_wait_2, reach_close_wait, reach_syn_received};

	for (unsigned i = 0; i < 3; i++) {
		reach[i]();
		assert_int_equal(stt_abort(conv.stt, conv.id), 0);
		assert_true(tx_any());
		assert_true(conv.last.flags & RST);
		tx_none();
		conv_end(NULL);
	}
	reach_time_wait();
	assert_int_equal(stt_abort(conv.stt, conv.id), 0);
	tx_none();
	assert_int_equal(info().state, STT_CLOSED);
}

static void tcp_rst_and_ack_count_while_our_window_is_shut(void **state)
{
	uint32_t at = 901;

	open_with(.quota = 16);
	send_bytes(100);
	tx_drain();
	while (info().rcv_wnd_bytes > 0 && at < 60000) {
		uint32_t n = info().rcv_wnd_bytes < 1000 ? info().rcv_wnd_bytes : 1000;

		rx(.flags = ACK, .seq = at, .ack = 101, .len = n);
		at += n;
		tx_drain();
	}
	assert_int_equal(info().rcv_wnd_bytes, 0);
	rx(.flags = ACK, .seq = at, .ack = 201, .len = 10);
	assert_int_equal(info().unacked_bytes, 0);
	tx(.flags = ACK, .ack = at, .is_shut = true);
	rx(.flags = URG | ACK, .seq = at, .ack = 201, .urp = 1);
	assert_int_equal(info().state, STT_ESTABLISHED);
	rx(.flags = RST, .seq = at);
	assert_int_equal(info().state, STT_CLOSED);
}

static void tcp_last_segment_of_the_queue_is_pushed(void **state)
{
	open_with();
	send_bytes(2500);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	assert_false(conv.last.flags & PSH);
	tx(.flags = ACK, .seq = 1101, .len = 1000);
	tx(.flags = ACK, .seq = 2101, .len = 500);
	assert_true(conv.last.flags & PSH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.10.7.3: SYN-SENT */
		conv_test(tcp_nothing_but_a_syn_is_heard_in_syn_sent),
		conv_test(tcp_syn_ack_of_another_connection_is_reset),
		conv_test(tcp_fin_with_the_syn_ack_is_taken),
		/* RFC 9293 3.10.7.4: SYN-RECEIVED */
		conv_test(tcp_repeated_syn_in_syn_received_is_acknowledged),
		conv_test(tcp_rst_in_syn_received_refuses_the_open),
		conv_test(tcp_text_in_syn_received_is_taken_with_the_ack),
		conv_test(tcp_close_in_syn_received_sends_fin_once_open),
		/* RFC 9293 3.10.7.4: first to eighth, in the states of the close */
		conv_test(tcp_text_in_close_wait_is_ignored),
		conv_test(tcp_second_fin_changes_nothing),
		conv_test(tcp_fin_in_closing_and_last_ack_is_acknowledged_only),
		conv_test(tcp_rst_ends_each_half_closed_state_with_an_error),
		conv_test(tcp_rst_in_fin_wait_1_is_an_error),
		conv_test(tcp_rst_in_closing_and_time_wait_ends_quietly),
		conv_test(tcp_syn_in_a_half_closed_state_is_challenged),
		conv_test(tcp_fin_without_ack_bit_is_dropped),
		conv_test(tcp_fin_with_an_ack_of_unsent_data_is_dropped),
		conv_test(tcp_fin_outside_the_window_is_ignored),
		conv_test(tcp_rst_and_ack_count_while_our_window_is_shut),
		/* RFC 9293 3.6 and 3.10.5: TIME-WAIT, ABORT */
		conv_test(tcp_time_wait_lasts_two_msl),
		conv_test(tcp_repeated_fin_restarts_time_wait),
		conv_test(tcp_text_in_time_wait_is_acknowledged),
		conv_test(tcp_bare_ack_does_not_prolong_time_wait),
		conv_test(tcp_syn_in_time_wait_is_challenged),
		conv_test(tcp_abort_resets_in_each_state_that_has_a_peer),
		/* RFC 9293 3.9.1.2: PUSH */
		conv_test(tcp_last_segment_of_the_queue_is_pushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
