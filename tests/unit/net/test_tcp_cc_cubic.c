/*
 * test_tcp_cc_cubic.c - RFC 9438 against values worked out by hand
 *
 * With segments of 1000 bytes and a loss at 100 segments: ssthresh 70, K = cbrt(30 / 0.4) = 4.217
 * s, W(t) = 0.4 * (t - 4.217)^3 + 100.
 */
#include "tests/unit/net/cc_script.h"
#include "tests/unit/between.h"

/* Loss at 100 segments, recovery over: the epoch begins with the next ACK. */
static void lose_at_100(struct tcp_cc *cc)
{
	cc_start(cc, &tcp_cc_cubic, 100000);
	tcp_cc_enter_recovery(cc, 100000, 0);
	tcp_cc_exit_recovery(cc, 0, 0);
}

static void cubic_reduces_to_seven_tenths(void **state)
{
	struct tcp_cc cc;

	lose_at_100(&cc);
	assert_int_equal(cc.cwnd_bytes, 70000);
	assert_int_equal(cc.u.cubic.w_max_bytes, 100000);
}

static void cubic_k_is_the_cube_root(void **state)
{
	struct tcp_cc cc;

	lose_at_100(&cc);
	cc_ack(&cc, 1, 100 * MS, 1 * SEC);
	assert_int_equal(cc.u.cubic.k_ms, 4217);
}

/* At t = 2 s with an RTT of 100 ms the target is W(2.1) = 100 - 0.4 * 2.117^3 = 96.205. */
static void cubic_concave_part_aims_one_rtt_ahead(void **state)
{
	struct tcp_cc cc;

	lose_at_100(&cc);
	cc_ack(&cc, 1, 100 * MS, 1 * SEC);
	assert_int_equal(cc.cwnd_bytes, 70000);
	cc_ack(&cc, 70000, 100 * MS, 3 * SEC);
	assert_between(cc.cwnd_bytes, 96200, 96210);
}

/* Half a window acknowledged goes half of the way: 70 + 26.205 / 2. */
static void cubic_growth_is_in_proportion_to_the_ack(void **state)
{
	struct tcp_cc cc;

	lose_at_100(&cc);
	cc_ack(&cc, 1, 100 * MS, 1 * SEC);
	cc_ack(&cc, 35000, 100 * MS, 3 * SEC);
	assert_between(cc.cwnd_bytes, 83098, 83106);
}

/* At t + RTT = 8.434 s, twice K: 130 segments, more than 1.5 times 70: capped at 105. */
static void cubic_target_is_capped_at_half_more(void **state)
{
	struct tcp_cc cc;

	lose_at_100(&cc);
	cc_ack(&cc, 1, 100 * MS, 1 * SEC);
	cc_ack(&cc, 70000, 100 * MS, 9334 * MS);
	assert_int_equal(cc.cwnd_bytes, 105000);
	cc_ack(&cc, 105000, 100 * MS, 9335 * MS);
	assert_between(cc.cwnd_bytes, 130000, 130020);
}

/* RTT 1 ms: ten windows in 10 ms. Plain TCP gains 9/17 segment each: 75.29; the cubic has 70.2. */
static void cubic_follows_the_reno_estimate_on_short_paths(void **state)
{
	struct tcp_cc cc;

	lose_at_100(&cc);
	for (uint32_t i = 0; i < 10; i++)
		cc_ack(&cc, cc.cwnd_bytes, 1 * MS, 1 * SEC + i * MS);
	assert_between(cc.cwnd_bytes, 75280, 75300);
}

/* Past the window before the loss the estimate gains a whole segment each window. */
static void cubic_reno_estimate_speeds_up_past_the_old_window(void **state)
{
	struct tcp_cc cc;
	uint32_t before;

	lose_at_100(&cc);
	for (uint32_t i = 0; i < 58; i++)
		cc_ack(&cc, cc.cwnd_bytes, 100, 1 * SEC + i * 100);
	assert_between(cc.cwnd_bytes, 100000, 101500);
	before = cc.cwnd_bytes;
	cc_ack(&cc, cc.cwnd_bytes, 100, 1 * SEC + 5800);
	assert_between(cc.cwnd_bytes - before, 999, 1001);
}

/* Lost again at 80 of 100: the new maximum is 80 * 0.85 = 68. */
static void cubic_fast_convergence_lowers_the_maximum(void **state)
{
	struct tcp_cc cc;

	lose_at_100(&cc);
	cc.cwnd_bytes = 80000;
	tcp_cc_enter_recovery(&cc, 80000, 10);
	assert_int_equal(cc.u.cubic.w_max_bytes, 68000);
	assert_int_equal(cc.ssthresh_bytes, 56000);
}

/* RFC 9438 4.8: after a timeout K is 0 and the maximum is where congestion avoidance begins. */
static void cubic_timeout_forgets_the_maximum(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_cubic, 100000);
	tcp_cc_on_rto(&cc, 100000, true, 0);
	assert_int_equal(cc.ssthresh_bytes, 70000);
	cc_ack(&cc, 69000, 0, 1);
	assert_int_equal(cc.cwnd_bytes, 70000);
	cc_ack(&cc, 1, 100 * MS, 2);
	assert_int_equal(cc.u.cubic.k_ms, 0);
	assert_int_equal(cc.u.cubic.w_max_bytes, 70000);
}

/* Ten seconds without need must not be answered by ten seconds of cubic growth. */
static void cubic_pause_is_not_counted(void **state)
{
	struct tcp_cc cc;

	lose_at_100(&cc);
	cc_ack(&cc, 1, 100 * MS, 1 * SEC);
	tcp_cc_on_restart(&cc, 0, 100 * MS, 11 * SEC);
	cc_ack(&cc, 70000, 100 * MS, 13 * SEC);
	assert_between(cc.cwnd_bytes, 96200, 96210);
}

static void cubic_hystart_ends_slow_start(void **state)
{
	struct tcp_cc cc;
	uint64_t now = 0;

	tcp_cc_init(&cc, &tcp_cc_cubic, MSS, 0);
	for (uint32_t round = 0; round < 12; round++) {
		for (uint32_t i = 0; i < 8; i++) {
			const struct tcp_cc_ack ack = {
				.now_us = now++,
				.acked_bytes = MSS,
				.delivered_bytes = MSS,
				.rtt_us = round < 3 ? 20 * MS : 40 * MS,
				.is_round_start = i == 0,
				.is_cwnd_limited = true,
			};

			tcp_cc_on_ack(&cc, &ack);
		}
	}
	assert_false(tcp_cc_in_slow_start(&cc));
	assert_true(cc.ssthresh_bytes < 100 * MSS);
}

/* Extremes: no sum wraps, whatever time and window are. */
static void cubic_stays_in_bounds_at_the_extremes(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_cubic, TCP_CC_CWND_BYTES_MAX);
	tcp_cc_enter_recovery(&cc, TCP_CC_CWND_BYTES_MAX, 0);
	tcp_cc_exit_recovery(&cc, 0, 0);
	cc_ack(&cc, 1, 1, 1);
	cc_ack(&cc, cc.cwnd_bytes, UINT32_MAX, 1ull << 50);
	assert_int_equal(cc.cwnd_bytes, TCP_CC_CWND_BYTES_MAX);
	tcp_cc_init(&cc, &tcp_cc_cubic, 1, 0);
	cc.ssthresh_bytes = cc.cwnd_bytes = 2;
	for (uint64_t t = 1; t < 1000; t++)
		cc_ack(&cc, cc.cwnd_bytes, 1, t);
	assert_true(cc.cwnd_bytes >= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cubic_reduces_to_seven_tenths),
		cmocka_unit_test(cubic_k_is_the_cube_root),
		cmocka_unit_test(cubic_concave_part_aims_one_rtt_ahead),
		cmocka_unit_test(cubic_growth_is_in_proportion_to_the_ack),
		cmocka_unit_test(cubic_target_is_capped_at_half_more),
		cmocka_unit_test(cubic_follows_the_reno_estimate_on_short_paths),
		cmocka_unit_test(cubic_reno_estimate_speeds_up_past_the_old_window),
		cmocka_unit_test(cubic_fast_convergence_lowers_the_maximum),
		cmocka_unit_test(cubic_timeout_forgets_the_maximum),
		cmocka_unit_test(cubic_pause_is_not_counted),
		cmocka_unit_test(cubic_hystart_ends_slow_start),
		cmocka_unit_test(cubic_stays_in_bounds_at_the_extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
