/*
 * test_tcp_cwv.c - RFC 7661: what was used, and for how long what was not is kept
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "dataplane/net/tcp/tcp_cwv.h"

#define MS   1000u
#define SEC  1000000ull
#define SRTT (100 * MS)

/* A round in which @bytes were acknowledged, under a window of @cwnd. */
static void round_of(struct tcp_cwv *v, uint32_t bytes, uint32_t cwnd, uint64_t now_us)
{
	tcp_cwv_ack(v, bytes / 2, true, SRTT, cwnd, now_us);
	tcp_cwv_ack(v, bytes - bytes / 2, false, SRTT, cwnd, now_us);
}

static void cwv_is_validated_before_the_first_sample(void **state)
{
	struct tcp_cwv v;

	tcp_cwv_init(&v, 0);
	assert_true(tcp_cwv_is_validated(&v));
	assert_int_equal(v.pipeack_bytes, TCP_CWV_UNDEFINED);
	assert_int_equal(tcp_cwv_used(&v, 5000), 5000);
	round_of(&v, 1000, 100000, 0); /* begun, not measured yet */
	assert_int_equal(v.pipeack_bytes, TCP_CWV_UNDEFINED);
}

static void cwv_slow_start_stays_validated(void **state)
{
	struct tcp_cwv v;
	uint32_t cwnd = 10000;

	tcp_cwv_init(&v, 0);
	for (int i = 0; i < 10; i++) {
		round_of(&v, cwnd, cwnd, (uint64_t)i * SRTT);
		assert_true(tcp_cwv_is_validated(&v));
		cwnd *= 2;
	}
}

static void cwv_half_used_is_validated_and_less_is_not(void **state)
{
	struct tcp_cwv v;

	tcp_cwv_init(&v, 0);
	round_of(&v, 50000, 100000, 0);
	round_of(&v, 0, 100000, SRTT);
	assert_true(tcp_cwv_is_validated(&v));
	tcp_cwv_init(&v, 0);
	round_of(&v, 49998, 100000, 0);
	round_of(&v, 0, 100000, SRTT);
	assert_false(tcp_cwv_is_validated(&v));
	assert_int_equal(v.pipeack_bytes, 49998);
}

/* One full round a second keeps the window valid; two seconds without one do not. */
static void cwv_remembers_for_the_sampling_period(void **state)
{
	struct tcp_cwv v;

	tcp_cwv_init(&v, 0);
	round_of(&v, 100000, 100000, 0);
	for (uint64_t t = SRTT; t <= 9 * SRTT; t += SRTT) {
		round_of(&v, 1000, 100000, t);
		assert_true(tcp_cwv_is_validated(&v));
	}
	for (uint64_t t = 10 * SRTT; t <= 30 * SRTT; t += SRTT)
		round_of(&v, 1000, 100000, t);
	assert_false(tcp_cwv_is_validated(&v));
	assert_int_equal(v.pipeack_bytes, 1000);
}

static void cwv_full_use_validates_again(void **state)
{
	struct tcp_cwv v;

	tcp_cwv_init(&v, 0);
	round_of(&v, 1000, 100000, 0);
	round_of(&v, 100000, 100000, SRTT);
	assert_false(tcp_cwv_is_validated(&v));
	round_of(&v, 1000, 100000, 2 * SRTT);
	assert_true(tcp_cwv_is_validated(&v));
}

static void cwv_idle_beyond_the_period_invalidates(void **state)
{
	struct tcp_cwv v;

	tcp_cwv_init(&v, 0);
	round_of(&v, 100000, 100000, 0);
	round_of(&v, 100000, 100000, SRTT);
	tcp_cwv_idle(&v, 900 * MS, SRTT, SEC);
	assert_true(tcp_cwv_is_validated(&v));
	tcp_cwv_idle(&v, 2 * SEC, SRTT, 3 * SEC);
	assert_false(tcp_cwv_is_validated(&v));
	assert_int_equal(v.nonvalidated_us, 1 * SEC);
	round_of(&v, 1000, 100000, 3 * SEC);
	round_of(&v, 1000, 100000, 4 * SEC);
	assert_int_equal(v.nonvalidated_us, 1 * SEC); /* since when it began, not since today */
}

/* max(3 RTT, 1 s): on a slow path the period is longer. */
static void cwv_period_follows_the_round_trip(void **state)
{
	struct tcp_cwv v;

	tcp_cwv_init(&v, 0);
	round_of(&v, 100000, 100000, 0);
	round_of(&v, 100000, 100000, SEC);
	tcp_cwv_idle(&v, 3 * SEC, SEC, 4 * SEC);
	assert_true(tcp_cwv_is_validated(&v));
	tcp_cwv_idle(&v, 3 * SEC + 1, SEC, 4 * SEC + 1);
	assert_false(tcp_cwv_is_validated(&v));
}

static void cwv_expires_every_five_minutes(void **state)
{
	struct tcp_cwv v;

	tcp_cwv_init(&v, 0);
	assert_int_equal(tcp_cwv_expired(&v, 10000 * SEC), 0);
	round_of(&v, 1000, 100000, 0);
	round_of(&v, 1000, 100000, SEC);
	assert_int_equal(tcp_cwv_expired(&v, 300 * SEC), 0);
	assert_int_equal(tcp_cwv_expired(&v, 301 * SEC), 1);
	assert_int_equal(tcp_cwv_expired(&v, 301 * SEC), 0);
	assert_int_equal(tcp_cwv_expired(&v, 901 * SEC), 2);
	assert_int_equal(tcp_cwv_expired(&v, 10000000 * SEC), 32);
}

static void cwv_used_is_the_larger_of_sample_and_flight(void **state)
{
	struct tcp_cwv v;

	tcp_cwv_init(&v, 0);
	round_of(&v, 20000, 100000, 0);
	round_of(&v, 0, 100000, SRTT);
	assert_int_equal(tcp_cwv_used(&v, 5000), 20000);
	assert_int_equal(tcp_cwv_used(&v, 30000), 30000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cwv_is_validated_before_the_first_sample),
		cmocka_unit_test(cwv_slow_start_stays_validated),
		cmocka_unit_test(cwv_half_used_is_validated_and_less_is_not),
		cmocka_unit_test(cwv_remembers_for_the_sampling_period),
		cmocka_unit_test(cwv_full_use_validates_again),
		cmocka_unit_test(cwv_idle_beyond_the_period_invalidates),
		cmocka_unit_test(cwv_period_follows_the_round_trip),
		cmocka_unit_test(cwv_expires_every_five_minutes),
		cmocka_unit_test(cwv_used_is_the_larger_of_sample_and_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
