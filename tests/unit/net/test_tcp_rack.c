/*
 * test_tcp_rack.c - loss by time, and the tail loss probe: RFC 8985
 */
#include "tests/unit/net/conv.h"

static void flight_of(uint32_t segments)
{
	open_with(.rtt_ms = 100, .cc = "newreno");
	send_bytes(segments * 1000);
	assert_int_equal(tx_drain(), segments);
}

static void tcp_probe_of_the_tail_leaves_after_two_round_trips(void **state)
{
	flight_of(5);
	after_ms(199);
	tx_none();
	after_ms(1);
	tx(.flags = ACK, .seq = 4101, .len = 1000);
	tx_none();
}

static void tcp_lone_segment_gives_the_peer_time_to_acknowledge(void **state)
{
	flight_of(1);
	after_ms(299);
	tx_none();
	after_ms(1); /* 2 SRTT + 200 ms would be later than RTO: the probe comes at RTO */
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx_none();
	assert_int_equal(info().cwnd_bytes, 10000);
}

static void tcp_probe_is_new_data_where_there_is_some(void **state)
{
	open_with(.rtt_ms = 100, .cc = "newreno");
	send_bytes(12000);
	assert_int_equal(tx_drain(), 10);
	after_ms(200);
	tx(.flags = ACK, .seq = 10101, .len = 1000);
	tx_none();
}

static void tcp_lost_tail_is_repaired_without_a_timeout(void **state)
{
	flight_of(5);
	after_ms(200);
	tx(.flags = ACK, .seq = 4101, .len = 1000);
	after_ms(100);
	/* The probe arrived, the four before it did not. */
	rx(.flags = ACK, .seq = 901, .ack = 1101, .sacks = 1, .sack = {{4101, 5101}});
	tx_drain();
	after_ms(30);
	tx_drain();
	assert_true(info().retrans_segs >= 2);
	assert_int_equal(info().backoff, 0);
	assert_true(info().cwnd_bytes > 1000);
}

static void tcp_probe_that_repaired_a_loss_costs_half_the_window(void **state)
{
	flight_of(5);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 4101);
	after_ms(300);
	tx(.flags = ACK, .seq = 4101, .len = 1000);
	after_ms(100);
	send_bytes(1000);
	tx(.flags = ACK, .seq = 5101, .len = 1000);
	rx(.flags = ACK, .seq = 901, .ack = 6101);
	assert_true(info().ssthresh_bytes <= 7000);
}

static void tcp_probe_that_was_not_needed_costs_nothing(void **state)
{
	flight_of(5);
	after_ms(200);
	tx(.flags = ACK, .seq = 4101, .len = 1000);
	rx(.flags = ACK, .seq = 901, .ack = 5101);
	rx(.flags = ACK, .seq = 901, .ack = 5101, .sacks = 1, .sack = {{4101, 5101}});
	assert_true(info().ssthresh_bytes > 100000);
	after_ms(5000);
	tx_none();
}

static void tcp_one_probe_a_tail(void **state)
{
	flight_of(5);
	at_ms(300);
	tx(.flags = ACK, .seq = 4101, .len = 1000);
	at_ms(599);
	tx_none();
	at_ms(600);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	assert_int_equal(info().cwnd_bytes, 1000);
}

static void tcp_slight_reordering_is_waited_for(void **state)
{
	flight_of(5);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 2101}});
	tx_none();
	after_ms(20);
	rx(.flags = ACK, .seq = 901, .ack = 2101);
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 5101);
	after_ms(1000);
	tx_none();
	assert_int_equal(info().retrans_segs, 0);
}

static void tcp_reordering_beyond_the_window_is_a_loss(void **state)
{
	flight_of(5);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 2101}});
	tx_none();
	after_ms(24);
	tx_none();
	after_ms(2); /* a quarter of the round trip */
	tx(.flags = ACK, .seq = 101, .len = 1000);
}

static void tcp_seen_reordering_takes_dupthresh_out_of_force(void **state)
{
	flight_of(8);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 2101}});
	rx(.flags = ACK, .seq = 901, .ack = 2101);
	/* Reordering was seen: four SACKed segments do not make a loss at once. */
	rx(.flags = ACK, .seq = 901, .ack = 2101, .sacks = 1, .sack = {{3101, 7101}});
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 7101);
	assert_int_equal(info().retrans_segs, 0);
}

/* A quarter of next to nothing is still not nothing. */
static void tcp_reordering_is_waited_for_on_the_shortest_path(void **state)
{
	open_with(.cc = "newreno");
	send_bytes(8000);
	assert_int_equal(tx_drain(), 8);
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 2101}});
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 2101);
	rx(.flags = ACK, .seq = 901, .ack = 2101, .sacks = 1, .sack = {{3101, 8101}});
	tx_none();
	after_ms(1);
	tx(.flags = ACK, .seq = 2101, .len = 1000);
	tx_none();
}

static void tcp_lost_retransmission_is_noticed(void **state)
{
	open_with(.rtt_ms = 100, .cc = "newreno");
	send_bytes(20000);
	assert_int_equal(tx_drain(), 10);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 8101}});
	tx(.flags = ACK, .seq = 101, .len = 1000);
	assert_true(tx_drain() >= 1); /* new data leaves behind it */
	after_ms(10);
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 10101}});
	tx_drain();
	after_ms(100);
	/* What left after the retransmission arrived; the retransmission did not. */
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 12101}});
	after_ms(30);
	assert_true(tx_any());
	assert_int_equal(conv.last.seq, 101);
	assert_int_equal(info().backoff, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 8985 7: the tail loss probe */
		conv_test(tcp_probe_of_the_tail_leaves_after_two_round_trips),
		conv_test(tcp_lone_segment_gives_the_peer_time_to_acknowledge),
		conv_test(tcp_probe_is_new_data_where_there_is_some),
		conv_test(tcp_lost_tail_is_repaired_without_a_timeout),
		conv_test(tcp_probe_that_repaired_a_loss_costs_half_the_window),
		conv_test(tcp_probe_that_was_not_needed_costs_nothing),
		conv_test(tcp_one_probe_a_tail),
		/* RFC 8985 6: RACK and reordering */
		conv_test(tcp_slight_reordering_is_waited_for),
		conv_test(tcp_reordering_beyond_the_window_is_a_loss),
		conv_test(tcp_seen_reordering_takes_dupthresh_out_of_force),
		conv_test(tcp_reordering_is_waited_for_on_the_shortest_path),
		conv_test(tcp_lost_retransmission_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
