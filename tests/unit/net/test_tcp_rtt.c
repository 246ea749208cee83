/*
 * test_tcp_rtt.c - RFC 6298 worked out by hand, in milliseconds
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "dataplane/net/tcp/tcp_rtt.h"
#include "tests/unit/between.h"

#define MS  1000u
#define SEC 1000000ull

static void rtt_starts_at_one_second(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 0);
	assert_int_equal(tcp_rtt_rto_us(&rtt), 1000 * MS);
	assert_int_equal(tcp_rtt_srtt_us(&rtt), 0);
	assert_int_equal(tcp_rtt_min_us(&rtt), 0);
}

/* R = 100: SRTT 100, RTTVAR 50, RTO 300. R' = 200: RTTVAR 62.5, SRTT 112.5, RTO 362.5. */
static void rtt_follows_rfc_6298(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 0);
	tcp_rtt_sample(&rtt, 100 * MS, 1, 0);
	assert_int_equal(tcp_rtt_srtt_us(&rtt), 100000);
	assert_int_equal(tcp_rtt_rttvar_us(&rtt), 50000);
	assert_int_equal(tcp_rtt_rto_us(&rtt), 300000);
	tcp_rtt_sample(&rtt, 200 * MS, 1, 1);
	assert_int_equal(tcp_rtt_srtt_us(&rtt), 112500);
	assert_int_equal(tcp_rtt_rttvar_us(&rtt), 62500);
	assert_int_equal(tcp_rtt_rto_us(&rtt), 362500);
}

/* With two samples a round trip: alpha 1/16, beta 1/8. 50 + 50/8 = 56.25, 100 + 100/16 = 106.25. */
static void rtt_divides_gains_by_expected_samples(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 0);
	tcp_rtt_sample(&rtt, 100 * MS, 1, 0);
	tcp_rtt_sample(&rtt, 200 * MS, 2, 1);
	assert_int_equal(tcp_rtt_srtt_us(&rtt), 106250);
	assert_int_equal(tcp_rtt_rttvar_us(&rtt), 56250);
	assert_int_equal(tcp_rtt_expected_samples(0, 1000), 1);
	assert_int_equal(tcp_rtt_expected_samples(2000, 1000), 1);
	assert_int_equal(tcp_rtt_expected_samples(2001, 1000), 2);
}

/* 4000 samples a round trip, and the path goes from 1 to 2 ms: microseconds would stand still. */
static void rtt_small_gains_still_move(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 0);
	tcp_rtt_sample(&rtt, 1 * MS, 1, 0);
	for (int i = 0; i < 400000; i++)
		tcp_rtt_sample(&rtt, 2 * MS, 4000, (uint64_t)i);
	assert_between(tcp_rtt_srtt_us(&rtt), 1990, 2000);
}

static void rtt_keeps_the_lower_bound(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 0);
	tcp_rtt_sample(&rtt, 50, 1, 0);
	assert_int_equal(tcp_rtt_rto_us(&rtt), TCP_RTO_US_MIN);
	tcp_rtt_init(&rtt, 5 * MS);
	tcp_rtt_sample(&rtt, 50, 1, 0);
	assert_int_equal(tcp_rtt_rto_us(&rtt), 5 * MS);
}

/* A steady path: the variance dies away, the clock's granularity stays. */
static void rtt_adds_granularity_to_a_steady_path(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 1);
	for (int i = 0; i < 200; i++)
		tcp_rtt_sample(&rtt, 10 * MS, 1, 0);
	assert_int_equal(tcp_rtt_rto_us(&rtt), 10 * MS + TCP_RTT_GRANULARITY_US);
}

static void rtt_backoff_doubles_to_the_maximum(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 0);
	tcp_rtt_backoff(&rtt);
	assert_int_equal(tcp_rtt_rto_us(&rtt), 2 * SEC);
	for (int i = 0; i < 100; i++)
		tcp_rtt_backoff(&rtt);
	assert_int_equal(tcp_rtt_rto_us(&rtt), TCP_RTO_US_MAX);
	tcp_rtt_backoff_clear(&rtt);
	assert_int_equal(tcp_rtt_rto_us(&rtt), 1 * SEC);
}

static void rtt_sample_ends_backoff(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 0);
	tcp_rtt_backoff(&rtt);
	tcp_rtt_sample(&rtt, 100 * MS, 1, 0);
	assert_int_equal(rtt.backoff, 0);
	assert_int_equal(tcp_rtt_rto_us(&rtt), 300 * MS);
}

static void rtt_lost_syn_starts_data_at_three_seconds(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 0);
	tcp_rtt_backoff(&rtt);
	tcp_rtt_syn_lost(&rtt);
	assert_int_equal(tcp_rtt_rto_us(&rtt), 3 * SEC);
	tcp_rtt_sample(&rtt, 100 * MS, 1, 0);
	tcp_rtt_syn_lost(&rtt);
	assert_int_equal(tcp_rtt_rto_us(&rtt), 300 * MS);
}

static void rtt_is_bounded_above(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 0);
	tcp_rtt_sample(&rtt, UINT32_MAX, 1, 0);
	assert_int_equal(tcp_rtt_rto_us(&rtt), TCP_RTO_US_MAX);
	tcp_rtt_sample(&rtt, 1, 1, 1);
	assert_int_equal(tcp_rtt_rto_us(&rtt), TCP_RTO_US_MAX);
}

static void rtt_min_forgets_after_the_window(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 0);
	tcp_rtt_sample(&rtt, 1 * MS, 1, 0);
	for (uint64_t t = 1; t <= 300; t++) {
		tcp_rtt_sample(&rtt, 2 * MS + (uint32_t)t, 1, t * SEC);
		assert_int_equal(tcp_rtt_min_us(&rtt), 1 * MS);
	}
	tcp_rtt_sample(&rtt, 3 * MS, 1, 301 * SEC);
	assert_between(tcp_rtt_min_us(&rtt), 2 * MS, 3 * MS);
	tcp_rtt_sample(&rtt, 5 * MS, 1, 1000 * SEC);
	assert_int_equal(tcp_rtt_min_us(&rtt), 5 * MS);
	tcp_rtt_sample(&rtt, 700, 1, 1001 * SEC);
	assert_int_equal(tcp_rtt_min_us(&rtt), 700);
}

/* When the best leaves the window the second best is next, then the third. */
static void rtt_min_keeps_runners_up(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, 0);
	tcp_rtt_sample(&rtt, 1000, 1, 0);
	tcp_rtt_sample(&rtt, 1500, 1, 80 * SEC);
	tcp_rtt_sample(&rtt, 1200, 1, 90 * SEC);
	tcp_rtt_sample(&rtt, 1400, 1, 180 * SEC);
	tcp_rtt_sample(&rtt, 1300, 1, 200 * SEC);
	assert_int_equal(tcp_rtt_min_us(&rtt), 1000);
	tcp_rtt_sample(&rtt, 1900, 1, 301 * SEC);
	assert_int_equal(tcp_rtt_min_us(&rtt), 1200);
	tcp_rtt_sample(&rtt, 1900, 1, 391 * SEC);
	assert_int_equal(tcp_rtt_min_us(&rtt), 1300);
}

static void rtt_lower_bound_is_below_the_upper(void **state)
{
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, UINT32_MAX);
	tcp_rtt_sample(&rtt, 1000, 1, 0);
	assert_int_equal(tcp_rtt_rto_us(&rtt), TCP_RTO_US_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rtt_starts_at_one_second),
		cmocka_unit_test(rtt_follows_rfc_6298),
		cmocka_unit_test(rtt_divides_gains_by_expected_samples),
		cmocka_unit_test(rtt_small_gains_still_move),
		cmocka_unit_test(rtt_keeps_the_lower_bound),
		cmocka_unit_test(rtt_adds_granularity_to_a_steady_path),
		cmocka_unit_test(rtt_backoff_doubles_to_the_maximum),
		cmocka_unit_test(rtt_sample_ends_backoff),
		cmocka_unit_test(rtt_lost_syn_starts_data_at_three_seconds),
		cmocka_unit_test(rtt_is_bounded_above),
		cmocka_unit_test(rtt_min_forgets_after_the_window),
		cmocka_unit_test(rtt_min_keeps_runners_up),
		cmocka_unit_test(rtt_lower_bound_is_below_the_upper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
