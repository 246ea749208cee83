/*
 * test_tcp_rtx.c - the retransmission timer and recovery without SACK: RFC 6298, 5681, 6582, 3042
 */
#include "tests/unit/net/conv.h"

static void tcp_lost_data_is_sent_again_after_rto(void **state)
{
	open_with(.no_sack = true, .rtt_ms = 100);
	send_bytes(1000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	assert_int_equal(info().rto_us, 300000);
	after_ms(299);
	tx_none();
	after_ms(1);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	assert_int_equal(info().cwnd_bytes, 1000);
}

static void tcp_timeout_doubles_each_time(void **state)
{
	open_with(.no_sack = true, .rtt_ms = 100);
	send_bytes(1000);
	tx(.flags = ACK, .len = 1000);
	at_ms(400);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	at_ms(999);
	tx_none();
	at_ms(1000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	at_ms(2199);
	tx_none();
	at_ms(2200);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	assert_int_equal(info().backoff, 3);
}

static void tcp_timer_restarts_when_new_data_is_acknowledged(void **state)
{
	open_with(.no_sack = true, .rtt_ms = 100);
	send_bytes(2000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx(.flags = ACK, .seq = 1101, .len = 1000);
	at_ms(300);
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	tx_none();
	at_ms(300 + info().rto_us / 1000 - 1);
	tx_none();
	after_ms(2);
	tx(.flags = ACK, .seq = 1101, .len = 1000);
}

static void tcp_timer_stops_when_all_is_acknowledged(void **state)
{
	open_with(.rtt_ms = 100);
	send_bytes(1000);
	tx(.flags = ACK, .len = 1000);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	after_ms(10000);
	tx_none();
	assert_int_equal(stt_deadline_us(conv.stt), UINT64_MAX);
	assert_int_equal(info().bytes_acked, 1000);
}

static void tcp_karn_takes_no_sample_of_a_retransmission(void **state)
{
	uint32_t srtt;

	open_with(.no_sack = true, .rtt_ms = 100);
	srtt = info().srtt_us;
	send_bytes(1000);
	tx(.flags = ACK, .len = 1000);
	at_ms(400);
	tx(.flags = ACK, .len = 1000);
	at_ms(401);
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	assert_int_equal(info().srtt_us, srtt);
	assert_int_equal(info().backoff, 1);
}

static void tcp_timeout_halves_ssthresh_once(void **state)
{
	open_with(.no_sack = true, .rtt_ms = 100, .cc = "newreno");
	send_bytes(8000);
	assert_int_equal(tx_drain(), 8);
	at_ms(400);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	assert_int_equal(info().ssthresh_bytes, 4000);
	at_ms(1000);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	assert_int_equal(info().ssthresh_bytes, 4000);
}

static void tcp_slow_start_sends_the_rest_after_a_timeout(void **state)
{
	open_with(.no_sack = true, .rtt_ms = 100, .cc = "newreno");
	send_bytes(4000);
	assert_int_equal(tx_drain(), 4);
	at_ms(400);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx_none();
	at_ms(500);
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	tx(.flags = ACK, .seq = 1101, .len = 1000);
	tx(.flags = ACK, .seq = 2101, .len = 1000);
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 4101);
	tx_none();
}

static void tcp_three_duplicate_acks_retransmit(void **state)
{
	open_with(.no_sack = true, .rtt_ms = 100, .cc = "newreno");
	send_bytes(10000);
	assert_int_equal(tx_drain(), 10);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 101);
	rx(.flags = ACK, .seq = 901, .ack = 101);
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx_none();
	assert_int_equal(info().ssthresh_bytes, 5000);
	rx(.flags = ACK, .seq = 901, .ack = 10101);
	assert_int_equal(info().cwnd_bytes, 5000);
}

static void tcp_limited_transmit_sends_new_data(void **state)
{
	open_with(.no_sack = true, .rtt_ms = 100);
	send_bytes(14000);
	assert_int_equal(tx_drain(), 10);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .seq = 10101, .len = 1000);
	rx(.flags = ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .seq = 11101, .len = 1000);
	tx_none();
}

static void tcp_partial_ack_retransmits_the_next_hole(void **state)
{
	open_with(.no_sack = true, .rtt_ms = 100, .cc = "newreno");
	send_bytes(10000);
	assert_int_equal(tx_drain(), 10);
	after_ms(100);
	for (int i = 0; i < 3; i++)
		rx(.flags = ACK, .seq = 901, .ack = 101);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 3101);
	tx(.flags = ACK, .seq = 3101, .len = 1000);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 10101);
	tx_none();
	assert_int_equal(info().unacked_bytes, 0);
}

static void tcp_window_updates_are_no_duplicate_acks(void **state)
{
	open_with(.no_sack = true, .rtt_ms = 100);
	send_bytes(5000);
	assert_int_equal(tx_drain(), 5);
	for (uint16_t i = 0; i < 5; i++)
		rx(.flags = ACK, .seq = 901, .ack = 101, .wnd = (uint16_t)(50000 + i));
	tx_none();
	assert_int_equal(info().retrans_segs, 0);
}

static void tcp_data_of_the_peer_is_no_duplicate_ack(void **state)
{
	open_with(.no_sack = true, .rtt_ms = 100);
	send_bytes(5000);
	assert_int_equal(tx_drain(), 5);
	for (uint32_t i = 0; i < 4; i++)
		rx(.flags = ACK, .seq = 901 + i * 10, .ack = 101, .len = 10);
	tx(.flags = ACK, .ack = 941);
	assert_int_equal(info().retrans_segs, 0);
}

static void tcp_initial_window_is_ten_segments(void **state)
{
	open_with();
	send_bytes(20000);
	assert_int_equal(tx_drain(), 10);
	assert_int_equal(info().unacked_bytes, 10000);
}

static void tcp_slow_start_doubles_the_window(void **state)
{
	open_with(.rtt_ms = 100);
	send_bytes(60000);
	assert_int_equal(tx_drain(), 10);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 10101);
	assert_int_equal(tx_drain(), 20);
}

static void tcp_spurious_timeout_is_undone_by_timestamps(void **state)
{
	uint32_t cwnd, tsval;

	open_with(.ts = true, .rtt_ms = 100);
	send_bytes(5000);
	assert_true(tx_any());
	tsval = conv.last.tsval;
	tx_drain();
	cwnd = info().cwnd_bytes;
	/* The probe first, then the timeout: the originals only took long. */
	after_ms(3000);
	assert_true(tx_drain() >= 2);
	assert_true(info().cwnd_bytes < cwnd);
	rx(.flags = ACK, .seq = 901, .ack = 1089, .tsecr = tsval);
	assert_true(info().cwnd_bytes >= cwnd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 6298: the timer */
		conv_test(tcp_lost_data_is_sent_again_after_rto),
		conv_test(tcp_timeout_doubles_each_time),
		conv_test(tcp_timer_restarts_when_new_data_is_acknowledged),
		conv_test(tcp_timer_stops_when_all_is_acknowledged),
		conv_test(tcp_karn_takes_no_sample_of_a_retransmission),
		/* RFC 5681 3.1, RFC 6928: windows */
		conv_test(tcp_initial_window_is_ten_segments),
		conv_test(tcp_slow_start_doubles_the_window),
		conv_test(tcp_timeout_halves_ssthresh_once),
		conv_test(tcp_slow_start_sends_the_rest_after_a_timeout),
		/* RFC 5681 3.2, RFC 6582, RFC 3042: without SACK */
		conv_test(tcp_three_duplicate_acks_retransmit),
		conv_test(tcp_limited_transmit_sends_new_data),
		conv_test(tcp_partial_ack_retransmits_the_next_hole),
		conv_test(tcp_window_updates_are_no_duplicate_acks),
		conv_test(tcp_data_of_the_peer_is_no_duplicate_ack),
		/* RFC 3522: undo */
		conv_test(tcp_spurious_timeout_is_undone_by_timestamps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
