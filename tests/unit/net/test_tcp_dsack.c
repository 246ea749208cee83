/*
 * test_tcp_dsack.c - what the receiver reports: RFC 2018 4, RFC 2883 4
 */
#include "tests/unit/net/conv.h"

static void tcp_duplicate_below_the_ack_is_reported_once(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 1901, .no_sack = true);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 1901, .sacks = 1, .sack = {{901, 1901}});
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 2901, .no_sack = true);
}

/* RFC 2883 4, third point: the second block is the larger one the duplicate lies in. */
static void tcp_duplicate_in_a_run_is_followed_by_its_run(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	rx(.flags = ACK, .seq = 2901, .ack = 101, .len = 1000);
	rx(.flags = ACK, .seq = 4901, .ack = 101, .len = 1000);
	tx_drain();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 901, .sacks = 3,
		.sack = {{1901, 2901}, {1901, 3901}, {4901, 5901}});
}

static void tcp_partial_duplicate_reports_the_part(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 500);
	tx(.flags = ACK, .ack = 1401);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 1901, .sacks = 1, .sack = {{901, 1401}});
	read_bytes(1000);
}

static void tcp_duplicate_of_two_runs_reports_the_first_part(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 500);
	rx(.flags = ACK, .seq = 2901, .ack = 101, .len = 500);
	tx_drain();
	rx(.flags = ACK, .seq = 2101, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 901, .sacks = 2, .sack = {{2101, 2401}, {1901, 3401}});
}

static void tcp_block_of_the_triggering_segment_comes_first(void **state)
{
	open_with();
	for (uint32_t i = 0; i < 3; i++) {
		rx(.flags = ACK, .seq = 2901 + 2000 * (2 - i), .ack = 101, .len = 1000);
		assert_true(tx_any());
		assert_int_equal(conv.last.sacks, i + 1);
		assert_int_equal(conv.last.sack[0].start, 2901 + 2000 * (2 - i));
	}
	rx(.flags = ACK, .seq = 7901, .ack = 101, .len = 500);
	tx(.flags = ACK, .ack = 901, .sacks = 3,
		.sack = {{6901, 8401}, {2901, 3901}, {4901, 5901}});
}

/* RFC 2018 4: each block is told at least three times, for ACKs get lost. */
static void tcp_each_block_is_repeated_three_times(void **state)
{
	unsigned told = 0;

	open_with(.ts = true); /* room for three blocks */
	for (uint32_t i = 0; i < 6; i++) {
		rx(.flags = ACK, .seq = 2901 + 2000 * i, .ack = 101, .len = 500);
		assert_true(tx_any());
		for (unsigned k = 0; k < conv.last.sacks; k++)
			told += conv.last.sack[k].start == 4901;
	}
	assert_int_equal(told, 3);
}

static void tcp_blocks_leave_with_the_hole(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 901, .sacks = 1, .sack = {{1901, 2901}});
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 2901, .no_sack = true);
	read_bytes(2000);
}

static void tcp_blocks_ride_on_data_too(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx_drain();
	send_bytes(10);
	tx(.flags = ACK, .seq = 101, .ack = 901, .len = 10, .sacks = 1, .sack = {{1901, 2901}});
}

static void tcp_blocks_are_told_after_our_fin_too(void **state)
{
	open_with();
	stt_shutdown(conv.stt, conv.id);
	tx(.flags = FIN | ACK, .seq = 101);
	rx(.flags = ACK, .seq = 901, .ack = 102);
	rx(.flags = ACK, .seq = 1901, .ack = 102, .len = 1000);
	tx(.flags = ACK, .ack = 901, .sacks = 1, .sack = {{1901, 2901}});
}

static void tcp_fin_beyond_a_hole_is_not_in_its_block(void **state)
{
	open_with();
	rx(.flags = FIN | ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 901, .sacks = 1, .sack = {{1901, 2901}});
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 2902, .no_sack = true);
	read_bytes(2000);
	read_end();
}

static void tcp_out_of_order_is_acknowledged_at_once_each_time(void **state)
{
	open_with();
	for (uint32_t i = 1; i < 30; i++) {
		rx(.flags = ACK, .seq = 901 + 500 * i, .ack = 101, .len = 500);
		tx(.flags = ACK, .ack = 901, .sacks = 1, .sack = {{1401, 1401 + 500 * i}});
	}
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 500);
	tx(.flags = ACK, .ack = 901 + 500 * 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 2018 4: generating SACK */
		conv_test(tcp_block_of_the_triggering_segment_comes_first),
		conv_test(tcp_each_block_is_repeated_three_times),
		conv_test(tcp_blocks_leave_with_the_hole),
		conv_test(tcp_blocks_ride_on_data_too),
		conv_test(tcp_blocks_are_told_after_our_fin_too),
		conv_test(tcp_fin_beyond_a_hole_is_not_in_its_block),
		/* RFC 5681 4.2: ACKs of out-of-order segments */
		conv_test(tcp_out_of_order_is_acknowledged_at_once_each_time),
		/* RFC 2883 4: duplicates */
		conv_test(tcp_duplicate_below_the_ack_is_reported_once),
		conv_test(tcp_duplicate_in_a_run_is_followed_by_its_run),
		conv_test(tcp_partial_duplicate_reports_the_part),
		conv_test(tcp_duplicate_of_two_runs_reports_the_first_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
