/*
 * test_tcp_rcv.c - receiving: acknowledgements and when they leave (RFC 9293 3.8.6.3, RFC 5681 4.2)
 */
#include "tests/unit/net/conv.h"
#include "tests/unit/between.h"

/* Past the first segments, which are acknowledged at once while the peer is in slow start. */
static uint32_t past_quick_acks(void)
{
	uint32_t seq = 901;

	for (int i = 0; i < 16; i++, seq += 100) {
		rx(.flags = ACK, .seq = seq, .ack = 101, .len = 100);
		tx(.flags = ACK, .ack = seq + 100);
		read_bytes(100);
	}
	return seq;
}

static void tcp_first_segments_are_acknowledged_at_once(void **state)
{
	open_with();
	past_quick_acks();
}

static void tcp_lone_segment_waits_for_the_delayed_ack(void **state)
{
	uint32_t seq;

	open_with();
	seq = past_quick_acks();
	rx(.flags = ACK, .seq = seq, .ack = 101, .len = 1000);
	tx_none();
	after_ms(39);
	tx_none();
	after_ms(2);
	tx(.flags = ACK, .ack = seq + 1000);
	after_ms(1000);
	tx_none();
}

/* Soon: within an eighth of the round trip, and no later than 20 microseconds after the second. */
static void tcp_second_segment_is_acknowledged_soon(void **state)
{
	uint32_t seq;

	open_with();
	seq = past_quick_acks();
	rx(.flags = ACK, .seq = seq, .ack = 101, .len = 1000);
	tx_none();
	rx(.flags = ACK, .seq = seq + 1000, .ack = 101, .len = 1000);
	tx_none();
	after_ms(1);
	tx(.flags = ACK, .ack = seq + 2000);
	after_ms(1000);
	tx_none();
}

/* … and rides on what the owner has to say meanwhile. */
static void tcp_ack_of_two_segments_rides_on_data(void **state)
{
	uint32_t seq;

	open_with();
	seq = past_quick_acks();
	rx(.flags = ACK, .seq = seq, .ack = 101, .len = 1000);
	rx(.flags = ACK, .seq = seq + 1000, .ack = 101, .len = 1000);
	send_bytes(100);
	tx(.flags = ACK, .seq = 101, .ack = seq + 2000, .len = 100);
	after_ms(10);
	tx_none();
}

/* What comes meanwhile puts it off no further; and much of it, a quarter of the window, does not
 * wait at all. */
static void tcp_ack_waits_for_no_more_than_a_quarter_of_the_window(void **state)
{
	uint32_t seq, i, most;

	open_with();
	seq = past_quick_acks();
	most = info().rcv_wnd_bytes / 4 / 1000 + 1;
	assert_true(most > 3);
	for (i = 1; i < most; i++) {
		rx(.flags = ACK, .seq = seq + (i - 1) * 1000, .ack = 101, .len = 1000);
		tx_none();
	}
	rx(.flags = ACK, .seq = seq + (i - 1) * 1000, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = seq + i * 1000);
	after_ms(1000);
	tx_none();
}

/* Room that the reader made is no reason for a packet of its own while more than half of the window
 * is open. */
static void tcp_open_window_is_not_reported_by_itself(void **state)
{
	uint32_t seq, i;

	open_with(.quota = 128); /* 56 KiB of window, for which 16 bits do */
	seq = past_quick_acks();
	for (i = 0; i < 4; i++)
		rx(.flags = ACK, .seq = seq + i * 1000, .ack = 101, .len = 1000);
	read_bytes(4000);
	tx_none(); /* it goes with the ACK */
	after_ms(1);
	tx(.flags = ACK, .ack = seq + 4000);
	tx_none();
}

/* A sender whose timer went off has one segment under way: it waits for each ACK. */
static void tcp_first_segments_after_a_silence_are_acknowledged_at_once(void **state)
{
	uint32_t seq;

	open_with();
	seq = past_quick_acks();
	after_ms(190); /* below the timeout */
	rx(.flags = ACK, .seq = seq, .ack = 101, .len = 1000);
	tx_none();
	after_ms(40);
	tx(.flags = ACK, .ack = seq + 1000);
	after_ms(210);
	rx(.flags = ACK, .seq = seq + 1000, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = seq + 2000);
	rx(.flags = ACK, .seq = seq + 2000, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = seq + 3000);
}

static void tcp_burst_gets_one_ack(void **state)
{
	open_with();
	for (uint32_t i = 0; i < 20; i++)
		rx(.flags = ACK, .seq = 901 + i * 1000, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 20901);
	tx_none();
	read_bytes(20000);
}

static void tcp_ack_rides_on_data(void **state)
{
	uint32_t seq;

	open_with();
	seq = past_quick_acks();
	rx(.flags = ACK, .seq = seq, .ack = 101, .len = 1000);
	send_bytes(10);
	tx(.flags = ACK, .seq = 101, .ack = seq + 1000, .len = 10);
	after_ms(100);
	tx_none();
}

static void tcp_duplicate_is_acknowledged_at_once(void **state)
{
	uint32_t seq;

	open_with();
	seq = past_quick_acks();
	rx(.flags = ACK, .seq = seq - 100, .ack = 101, .len = 100);
	tx(.flags = ACK, .ack = seq, .sacks = 1, .sack = {{seq - 100, seq}});
	read_nothing();
}

static void tcp_overlapping_text_is_trimmed(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 1901);
	rx(.flags = ACK, .seq = 1401, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 2401, .sacks = 1, .sack = {{1401, 1901}});
	read_bytes(1500);
}

static void tcp_text_beyond_the_window_is_trimmed(void **state)
{
	uint32_t edge, seq = 901;

	open_with(.quota = 8);
	edge = conv.right_edge;
	for (; seq + 1000 <= edge; seq += 1000)
		rx(.flags = ACK, .seq = seq, .ack = 101, .len = 1000);
	rx(.flags = ACK, .seq = seq, .ack = 101, .len = 1400);
	tx(.flags = ACK, .ack = edge);
	read_bytes(edge - 901);
	read_nothing();
}

static void tcp_bare_ack_is_not_acknowledged(void **state)
{
	open_with();
	for (int i = 0; i < 10; i++)
		rx(.flags = ACK, .seq = 901, .ack = 101);
	tx_none();
	after_ms(1000);
	tx_none();
}

static void tcp_keepalive_of_the_peer_is_answered(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 900, .ack = 101);
	tx(.flags = ACK, .seq = 101, .ack = 901);
}

static void tcp_large_merged_segment_is_taken_whole(void **state)
{
	open_with(.quota = 512, .mtu = 1500);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 40000);
	tx(.flags = ACK, .ack = 40901);
	assert_between(info().held_mbufs, 19, 22);
	read_bytes(40000);
	assert_int_equal(info().held_mbufs, 0);
}

static void tcp_ip6_carries_data_both_ways(void **state)
{
	open_with(.ip6 = true);
	send_bytes(1500);
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx(.flags = ACK, .seq = 1101, .len = 500);
	rx(.flags = ACK, .seq = 901, .ack = 1601, .len = 777);
	read_bytes(777);
	tx(.flags = ACK, .ack = 1678);
}

static void tcp_wrapping_sequence_numbers_do_no_harm(void **state)
{
	uint32_t irs = 0xffffff00u;

	begin_with();
	connect_now();
	tx(.flags = SYN);
	conv.peer_edge = irs;
	rx(.flags = SYN | ACK, .seq = irs, .ack = 101, .mss = 1000, .sack_ok = true);
	tx(.flags = ACK, .ack = irs + 1);
	rx(.flags = ACK, .seq = irs + 1, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 0xffffff00u + 1001);
	assert_int_equal(info().bytes_received, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.8.6.3, RFC 5681 4.2: when an ACK is due */
		conv_test(tcp_first_segments_are_acknowledged_at_once),
		conv_test(tcp_lone_segment_waits_for_the_delayed_ack),
		conv_test(tcp_second_segment_is_acknowledged_soon),
		conv_test(tcp_ack_of_two_segments_rides_on_data),
		conv_test(tcp_ack_waits_for_no_more_than_a_quarter_of_the_window),
		conv_test(tcp_open_window_is_not_reported_by_itself),
		conv_test(tcp_first_segments_after_a_silence_are_acknowledged_at_once),
		conv_test(tcp_burst_gets_one_ack),
		conv_test(tcp_ack_rides_on_data),
		conv_test(tcp_duplicate_is_acknowledged_at_once),
		conv_test(tcp_bare_ack_is_not_acknowledged),
		/* RFC 9293 3.10.7.4, first and seventh: what is text */
		conv_test(tcp_overlapping_text_is_trimmed),
		conv_test(tcp_text_beyond_the_window_is_trimmed),
		conv_test(tcp_keepalive_of_the_peer_is_answered),
		conv_test(tcp_large_merged_segment_is_taken_whole),
		conv_test(tcp_ip6_carries_data_both_ways),
		/* RFC 9293 3.4: sequence numbers */
		conv_test(tcp_wrapping_sequence_numbers_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
