/*
 * test_tcp_ooo.c - data beyond a hole: RFC 2018 and 2883 as receiver, bounds and shedding
 */
#include "tests/unit/net/conv.h"
#include "tests/unit/between.h"

static void tcp_hole_is_reported_by_sack(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 901, .sacks = 1, .sack = {{1901, 2901}});
	read_nothing();
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 2901, .no_sack = true);
	read_bytes(2000);
}

static void tcp_latest_block_comes_first(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 2901, .ack = 101, .len = 100);
	tx(.flags = ACK, .ack = 901, .sacks = 1, .sack = {{2901, 3001}});
	rx(.flags = ACK, .seq = 4901, .ack = 101, .len = 100);
	tx(.flags = ACK, .ack = 901, .sacks = 2, .sack = {{4901, 5001}, {2901, 3001}});
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 100);
	tx(.flags = ACK, .sacks = 3, .sack = {{1901, 2001}, {4901, 5001}, {2901, 3001}});
	rx(.flags = ACK, .seq = 3001, .ack = 101, .len = 100);
	tx(.flags = ACK, .sacks = 3, .sack = {{2901, 3101}, {1901, 2001}, {4901, 5001}});
}

static void tcp_four_blocks_fit_without_timestamps_three_with(void **state)
{
	open_with(.ts = true);
	for (uint32_t i = 0; i < 5; i++)
		rx(.flags = ACK, .seq = 1901 + i * 1000, .ack = 101, .len = 100);
	tx(.flags = ACK, .ack = 901, .sacks = 3,
		.sack = {{5901, 6001}, {4901, 5001}, {3901, 4001}});
	conv_end(state);
	open_with();
	for (uint32_t i = 0; i < 5; i++)
		rx(.flags = ACK, .seq = 1901 + i * 1000, .ack = 101, .len = 100);
	tx(.flags = ACK, .ack = 901, .sacks = 4,
		.sack = {{5901, 6001}, {4901, 5001}, {3901, 4001}, {2901, 3001}});
}

static void tcp_filling_a_gap_joins_its_neighbours(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	rx(.flags = ACK, .seq = 3901, .ack = 101, .len = 1000);
	rx(.flags = ACK, .seq = 2901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 901, .sacks = 1, .sack = {{1901, 4901}});
}

static void tcp_dsack_reports_a_duplicate_beyond_the_hole(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .sacks = 1, .sack = {{1901, 2901}});
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .sacks = 2, .sack = {{1901, 2901}, {1901, 2901}});
	rx(.flags = ACK, .seq = 5901, .ack = 101, .len = 10);
	tx(.flags = ACK, .sacks = 2, .sack = {{5901, 5911}, {1901, 2901}});
}

static void tcp_segment_that_covers_a_run_replaces_it(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 2001, .ack = 101, .len = 100);
	tx(.flags = ACK, .sacks = 1, .sack = {{2001, 2101}});
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .sacks = 2, .sack = {{2001, 2101}, {1901, 2901}});
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 2901);
	read_bytes(2000);
	assert_int_equal(info().held_mbufs, 0);
}

static void tcp_text_over_several_runs_keeps_every_byte(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 500);
	rx(.flags = ACK, .seq = 2901, .ack = 101, .len = 500);
	rx(.flags = ACK, .seq = 3901, .ack = 101, .len = 500);
	rx(.flags = ACK, .seq = 2201, .ack = 101, .len = 1000);
	rx(.flags = ACK, .seq = 2301, .ack = 101, .len = 1900);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1500);
	tx(.flags = ACK, .ack = 4401);
	tx_none();
	read_bytes(3500);
	assert_int_equal(info().held_mbufs, 0);
}

static void tcp_no_sack_means_a_duplicate_ack_for_each(void **state)
{
	open_with(.no_sack = true);
	for (uint32_t i = 0; i < 4; i++)
		rx(.flags = ACK, .seq = 1901 + i * 1000, .ack = 101, .len = 1000);
	for (int i = 0; i < 4; i++)
		tx(.flags = ACK, .seq = 101, .ack = 901, .no_sack = true);
	tx_none();
}

static void tcp_out_of_order_data_stays_below_its_share(void **state)
{
	open_with(.quota = 40);
	for (uint32_t i = 0; i < 60; i++)
		rx(.flags = ACK, .seq = 1901 + i * 600, .ack = 101, .len = 590);
	tx_drain();
	assert_between(info().held_mbufs, 1, 30);
}

static void tcp_shedding_takes_the_highest_first(void **state)
{
	open_with(.quota = 16);
	for (uint32_t i = 0; i < 12; i++)
		rx(.flags = ACK, .seq = 1901 + (11 - i) * 410, .ack = 101, .len = 400);
	assert_int_equal(info().held_mbufs, 12);
	tx_drain();
	rx(.flags = ACK, .seq = 1301, .ack = 101, .len = 400);
	tx(.flags = ACK, .ack = 901);
	assert_int_equal(conv.last.sack[0].start, 1301);
	assert_int_equal(info().held_mbufs, 12);
	/* The highest run went, and it does not push out a lower one when it comes again. */
	rx(.flags = ACK, .seq = 6411, .ack = 101, .len = 400);
	tx(.flags = ACK, .ack = 901);
	assert_int_equal(conv.last.sack[0].start, 1301);
	assert_int_equal(info().held_mbufs, 12);
}

static void tcp_segment_at_rcv_nxt_is_always_admitted(void **state)
{
	open_with(.quota = 16);
	for (uint32_t i = 0; i < 12; i++)
		rx(.flags = ACK, .seq = 1901 + i * 490, .ack = 101, .len = 480);
	tx_drain();
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK);
	assert_true((int32_t)(conv.last.ack - 1901) >= 0);
	assert_between(info().held_mbufs, 1, 16);
	read_bytes(1000 + 480);
}

static void tcp_one_byte_segments_do_not_break_the_quota(void **state)
{
	open_with(.quota = 16);
	for (uint32_t i = 0; i < 5000; i++) {
		rx(.flags = ACK, .seq = 901 + i, .ack = 101, .len = 1);
		tx_drain();
		assert_between(info().held_mbufs, 1, 16);
	}
	read_bytes(5000);
}

static void tcp_one_byte_overlaps_do_not_break_the_quota(void **state)
{
	open_with(.quota = 16);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	for (uint32_t i = 1; i < 3000; i++) {
		rx(.flags = ACK, .seq = 901 + i, .ack = 101, .len = 1000);
		tx_drain();
		assert_between(info().held_mbufs, 1, 16);
	}
	read_bytes(3999);
}

static void tcp_runs_of_one_byte_are_bounded(void **state)
{
	open_with();
	for (uint32_t i = 0; i < 1000; i++)
		rx(.flags = ACK, .seq = 903 + 2 * i, .ack = 101, .len = 1);
	tx_drain();
	assert_between(info().held_mbufs, 1, 128);
	for (uint32_t i = 0; i < 1001; i++)
		rx(.flags = ACK, .seq = 901 + 2 * i, .ack = 101, .len = 2);
	tx_drain();
	read_bytes(2002);
}

static void tcp_old_out_of_order_data_is_let_go(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .sacks = 1, .sack = {{1901, 2901}});
	after_ms(6000);
	assert_int_equal(info().held_mbufs, 0);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 1901);
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 1000);
	tx(.flags = ACK, .ack = 2901);
	read_bytes(2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 2018 3 and 4: reporting a hole */
		conv_test(tcp_hole_is_reported_by_sack),
		conv_test(tcp_latest_block_comes_first),
		conv_test(tcp_four_blocks_fit_without_timestamps_three_with),
		conv_test(tcp_filling_a_gap_joins_its_neighbours),
		conv_test(tcp_no_sack_means_a_duplicate_ack_for_each),
		/* RFC 2883 4: duplicates */
		conv_test(tcp_dsack_reports_a_duplicate_beyond_the_hole),
		conv_test(tcp_segment_that_covers_a_run_replaces_it),
		conv_test(tcp_text_over_several_runs_keeps_every_byte),
		/* RFC 2018 8: what may be let go, and the bound */
		conv_test(tcp_out_of_order_data_stays_below_its_share),
		conv_test(tcp_shedding_takes_the_highest_first),
		conv_test(tcp_segment_at_rcv_nxt_is_always_admitted),
		conv_test(tcp_one_byte_segments_do_not_break_the_quota),
		conv_test(tcp_one_byte_overlaps_do_not_break_the_quota),
		conv_test(tcp_runs_of_one_byte_are_bounded),
		conv_test(tcp_old_out_of_order_data_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
