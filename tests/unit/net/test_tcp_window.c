/*
 * test_tcp_window.c - flow control: RFC 9293 3.8.6, RFC 7323 2, the quota behind our window
 */
#include "tests/unit/net/conv.h"
#include "tests/unit/between.h"

static void tcp_sends_no_more_than_the_window(void **state)
{
	open_with(.wnd = 2500);
	send_bytes(5000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx(.flags = ACK, .seq = 1101, .len = 1000);
	tx_none(); /* 500 more would fit, but that is a silly segment */
	rx(.flags = ACK, .seq = 901, .ack = 1101, .wnd = 2500);
	tx(.flags = ACK, .seq = 2101, .len = 1000);
	tx_none();
}

static void tcp_half_of_a_small_window_is_worth_sending(void **state)
{
	open_with(.wnd = 600);
	send_bytes(2000);
	tx(.flags = ACK, .seq = 101, .len = 600);
	tx_none();
}

static void tcp_shut_window_is_probed_with_backoff(void **state)
{
	open_with(.rtt_ms = 100);
	send_bytes(1000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 1101, .is_shut = true);
	send_bytes(500);
	tx_none();
	after_ms(info().rto_us / 1000 - 1);
	tx_none();
	after_ms(1);
	tx(.flags = ACK, .seq = 1101, .len = 1);
	rx(.flags = ACK, .seq = 901, .ack = 1101, .is_shut = true);
	after_ms(2 * info().rto_us / 1000 - 1);
	tx_none();
	after_ms(2);
	tx(.flags = ACK, .seq = 1101, .len = 1);
	assert_int_equal(info().cwnd_bytes, 10000);
}

static void tcp_opened_window_sends_what_the_probe_could_not(void **state)
{
	open_with(.rtt_ms = 100);
	rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
	send_bytes(1500);
	after_ms(400);
	tx(.flags = ACK, .seq = 101, .len = 1);
	rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
	rx(.flags = ACK, .seq = 901, .ack = 101, .wnd = 5000);
	assert_true(tx_drain() >= 2);
	assert_int_equal(info().unacked_bytes, 1500);
	rx(.flags = ACK, .seq = 901, .ack = 1601, .wnd = 5000);
	assert_int_equal(info().unacked_bytes, 0);
}

static void tcp_probed_peer_that_answers_is_never_given_up(void **state)
{
	open_with(.rtt_ms = 100);
	stt_set(conv.stt, conv.id, "user_timeout_us", 90000000);
	rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
	send_bytes(1000);
	for (int i = 0; i < 100; i++) {
		after_ms(61000);
		while (tx_any())
			rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
		assert_int_equal(info().state, STT_ESTABLISHED);
	}
	rx(.flags = ACK, .seq = 901, .ack = 101, .wnd = 5000);
	assert_true(tx_drain() >= 1);
	assert_int_equal(info().unacked_bytes, 1000);
}

static void tcp_probed_peer_that_is_silent_is_given_up(void **state)
{
	open_with(.rtt_ms = 100);
	stt_set(conv.stt, conv.id, "user_timeout_us", 90000000);
	rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
	send_bytes(1000);
	after_ms(200000);
	tx_drain();
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ETIMEDOUT);
}

static void tcp_shrunk_window_is_survived(void **state)
{
	open_with(.rtt_ms = 100, .wnd = 5000);
	send_bytes(5000);
	assert_int_equal(tx_drain(), 5);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 1101, .wnd = 500);
	rx(.flags = ACK, .seq = 901, .ack = 1101, .is_shut = true);
	after_ms(5000);
	while (tx_any()) {
		assert_int_equal(conv.last.seq, 1101);
		assert_int_equal(conv.last.len, 1);
	}
	rx(.flags = ACK, .seq = 901, .ack = 1101, .wnd = 5000);
	for (uint32_t i = 0; i < 20 && info().unacked_bytes > 0; i++) {
		tx_drain();
		after_ms(100);
		rx(.flags = ACK, .seq = 901, .ack = 5101, .wnd = 5000);
	}
	assert_int_equal(info().bytes_acked, 5000);
}

static void tcp_fin_into_a_shut_window_is_probed(void **state)
{
	open_with(.rtt_ms = 100);
	rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
	stt_shutdown(conv.stt, conv.id);
	after_ms(400);
	tx(.flags = FIN | ACK, .seq = 101);
	rx(.flags = ACK, .seq = 901, .ack = 102, .is_shut = true);
	assert_int_equal(info().state, STT_FIN_WAIT_2);
}

static void tcp_old_segment_does_not_change_the_window(void **state)
{
	open_with(.wnd = 5000);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 10, .wnd = 3000);
	rx(.flags = ACK, .seq = 901, .ack = 101, .wnd = 9000);
	assert_int_equal(info().snd_wnd_bytes, 3000);
}

static void tcp_unread_data_closes_our_window(void **state)
{
	uint16_t first;

	open_with(.quota = 16);
	first = conv.last.wnd;
	assert_int_equal(first, 14 * 512);
	for (uint32_t seq = 901; seq < conv.right_edge;) {
		uint32_t len = conv.right_edge - seq > 400 ? 400 : conv.right_edge - seq;

		rx(.flags = ACK, .seq = seq, .ack = 101, .len = len);
		seq += len;
		tx_drain();
	}
	assert_true(conv.last.wnd < first);
	assert_between(info().held_mbufs, 1, 16);
}

static void tcp_reader_that_catches_up_reopens_the_window(void **state)
{
	uint32_t total = 0;

	open_with(.quota = 4);
	for (uint32_t seq = 901; seq < conv.right_edge; seq += 10, total += 10) {
		rx(.flags = ACK, .seq = seq, .ack = 101, .len = 10);
		tx_drain();
		if (conv.right_edge - seq < 30)
			break;
	}
	assert_true(total > 500);
	tx_drain();
	total = (uint32_t)info().bytes_received;
	read_bytes(total);
	tx(.flags = ACK, .seq = 101);
	assert_int_equal(conv.last.wnd, 4 * 512);
}

static void tcp_window_scale_offers_the_whole_quota(void **state)
{
	open_with(.wscale = true, .quota = 2048);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	read_bytes(1000);
	tx(.flags = ACK, .ack = 1901);
	assert_true((uint32_t)conv.last.wnd << conv.wscale > 850000);
}

static void tcp_nagle_waits_when_asked_to(void **state)
{
	open_with();
	assert_int_equal(stt_set(conv.stt, conv.id, "nodelay", 0), 0);
	send_bytes(10);
	tx(.flags = ACK, .seq = 101, .len = 10);
	send_bytes(10);
	send_bytes(10);
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 111);
	tx(.flags = ACK, .seq = 111, .len = 20);
}

static void tcp_small_pieces_leave_at_once_without_nagle(void **state)
{
	open_with();
	send_bytes(10);
	tx(.flags = ACK, .seq = 101, .len = 10);
	send_bytes(10);
	tx(.flags = ACK, .seq = 111, .len = 10);
}

static void tcp_pieces_of_a_turn_share_a_segment(void **state)
{
	open_with();
	for (int i = 0; i < 20; i++)
		send_bytes(100);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx(.flags = ACK, .seq = 1101, .len = 1000);
	tx_none();
}

static void tcp_full_queue_says_try_again(void **state)
{
	static uint8_t bytes[1 << 20];
	long n, total = 0;

	open_with();
	while ((n = stt_send(conv.stt, conv.id, bytes, sizeof(bytes))) > 0)
		total += n;
	assert_int_equal(n, -EAGAIN);
	assert_between(total, 1 << 20, 4 << 20);
	conv.queued = (uint64_t)total;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.8.6, 3.8.6.2.1: the window of the peer */
		conv_test(tcp_sends_no_more_than_the_window),
		conv_test(tcp_half_of_a_small_window_is_worth_sending),
		conv_test(tcp_shrunk_window_is_survived),
		conv_test(tcp_old_segment_does_not_change_the_window),
		/* RFC 9293 3.8.6.1: zero-window probing */
		conv_test(tcp_shut_window_is_probed_with_backoff),
		conv_test(tcp_opened_window_sends_what_the_probe_could_not),
		conv_test(tcp_probed_peer_that_answers_is_never_given_up),
		conv_test(tcp_probed_peer_that_is_silent_is_given_up),
		conv_test(tcp_fin_into_a_shut_window_is_probed),
		/* RFC 9293 3.8.6.2.2, RFC 7323 2: our own window */
		conv_test(tcp_unread_data_closes_our_window),
		conv_test(tcp_reader_that_catches_up_reopens_the_window),
		conv_test(tcp_window_scale_offers_the_whole_quota),
		/* RFC 9293 3.7.4: Nagle; 3.9.1.2: SEND */
		conv_test(tcp_nagle_waits_when_asked_to),
		conv_test(tcp_small_pieces_leave_at_once_without_nagle),
		conv_test(tcp_pieces_of_a_turn_share_a_segment),
		conv_test(tcp_full_queue_says_try_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
