/*
 * test_tcp_seq.c - arithmetic on the circle of sequence numbers
 *
 * Each claim is tried away from the wrap and across it, since only the second ever breaks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "dataplane/net/tcp/tcp_seq.h"

static void seq_order_survives_the_wrap(void **state)
{
	assert_true(seq_lt(1, 2));
	assert_true(seq_lt(0xffffffff, 0));
	assert_true(seq_gt(5, 0xfffffff0));
	assert_true(seq_le(7, 7));
	assert_true(seq_ge(7, 7));
	assert_false(seq_lt(7, 7));
	assert_false(seq_gt(0xfffffff0, 5));
}

static void seq_diff_is_signed(void **state)
{
	assert_int_equal(seq_diff(10, 4), 6);
	assert_int_equal(seq_diff(4, 10), -6);
	assert_int_equal(seq_diff(2, 0xfffffffe), 4);
}

static void seq_min_and_max_follow_the_circle(void **state)
{
	assert_int_equal(seq_max(0xfffffff0, 3), 3);
	assert_int_equal(seq_min(0xfffffff0, 3), 0xfffffff0);
}

static void seq_within_excludes_the_end(void **state)
{
	assert_true(seq_within(100, 100, 1));
	assert_false(seq_within(101, 100, 1));
	assert_false(seq_within(100, 100, 0));
	assert_true(seq_within(1, 0xfffffffe, 4));
	assert_false(seq_within(2, 0xfffffffe, 4));
	assert_false(seq_within(0xfffffffd, 0xfffffffe, 4));
}

static void seq_acks_takes_only_new_and_sent(void **state)
{
	assert_false(seq_acks(100, 100, 200));
	assert_true(seq_acks(101, 100, 200));
	assert_true(seq_acks(200, 100, 200));
	assert_false(seq_acks(201, 100, 200));
	assert_true(seq_acks(0, 0xffffff00, 16));
}

/* The four rows of RFC 9293 table 6. */
static void seq_acceptable_is_table_six(void **state)
{
	assert_true(seq_acceptable(500, 0, 500, 0));
	assert_false(seq_acceptable(501, 0, 500, 0));
	assert_true(seq_acceptable(500, 0, 500, 10));
	assert_true(seq_acceptable(509, 0, 500, 10));
	assert_false(seq_acceptable(510, 0, 500, 10));
	assert_false(seq_acceptable(499, 0, 500, 10));
	assert_false(seq_acceptable(500, 1, 500, 0));
	assert_true(seq_acceptable(490, 11, 500, 10));
	assert_false(seq_acceptable(490, 10, 500, 10));
	assert_true(seq_acceptable(509, 100, 500, 10));
	assert_false(seq_acceptable(510, 100, 500, 10));
	assert_true(seq_acceptable(0xfffffff0, 32, 0, 10));
}

/* It is trimmed on both sides. */
static void seq_acceptable_takes_a_segment_larger_than_the_window(void **state)
{
	assert_true(seq_acceptable(500, 100, 500, 10));
	assert_true(seq_acceptable(499, 100, 500, 10));
	assert_false(seq_acceptable(400, 50, 500, 10));
}

static void timestamps_order_survives_the_wrap(void **state)
{
	assert_true(ts_lt(0xffffffff, 1));
	assert_true(ts_le(1, 1));
	assert_false(ts_lt(1, 0xffffffff));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seq_order_survives_the_wrap),
		cmocka_unit_test(seq_diff_is_signed),
		cmocka_unit_test(seq_min_and_max_follow_the_circle),
		cmocka_unit_test(seq_within_excludes_the_end),
		cmocka_unit_test(seq_acks_takes_only_new_and_sent),
		cmocka_unit_test(seq_acceptable_is_table_six),
		cmocka_unit_test(seq_acceptable_takes_a_segment_larger_than_the_window),
		cmocka_unit_test(timestamps_order_survives_the_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
