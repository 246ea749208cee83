/*
 * test_tcp_cc_newreno.c - RFC 5681 in round numbers
 */
#include "tests/unit/net/cc_script.h"

static void newreno_slow_start_doubles_each_round(void **state)
{
	struct tcp_cc cc;

	tcp_cc_init(&cc, &tcp_cc_newreno, MSS, 0);
	for (uint32_t i = 0; i < 10; i++)
		cc_ack(&cc, MSS, 0, i);
	assert_int_equal(cc.cwnd_bytes, 20000);
}

static void newreno_adds_one_segment_a_window(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_newreno, 20000);
	for (uint32_t i = 0; i < 19; i++)
		cc_ack(&cc, MSS, 0, i);
	assert_int_equal(cc.cwnd_bytes, 20000);
	cc_ack(&cc, MSS, 0, 19);
	assert_int_equal(cc.cwnd_bytes, 21000);
	for (uint32_t i = 0; i < 21; i++)
		cc_ack(&cc, MSS, 0, 20 + i);
	assert_int_equal(cc.cwnd_bytes, 22000);
}

/* 12 kB, ssthresh 15 kB, 5 kB acknowledged: 3 kB of slow start, 2 kB towards the next segment. */
static void newreno_splits_an_ack_at_ssthresh(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_newreno, 12000);
	cc.ssthresh_bytes = 15000;
	cc_ack(&cc, 5000, 0, 0);
	assert_int_equal(cc.cwnd_bytes, 15000);
	assert_int_equal(cc.u.newreno.acked_bytes, 2000);
}

static void newreno_stretch_ack_adds_one_segment_only(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_newreno, 5000);
	cc_ack(&cc, 100000, 0, 0);
	assert_int_equal(cc.cwnd_bytes, 6000);
	assert_true(cc.u.newreno.acked_bytes <= cc.cwnd_bytes);
}

static void newreno_halves_flight_not_window(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_newreno, 40000);
	tcp_cc_enter_recovery(&cc, 30000, 0);
	assert_int_equal(cc.ssthresh_bytes, 15000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(newreno_slow_start_doubles_each_round),
		cmocka_unit_test(newreno_adds_one_segment_a_window),
		cmocka_unit_test(newreno_splits_an_ack_at_ssthresh),
		cmocka_unit_test(newreno_stretch_ack_adds_one_segment_only),
		cmocka_unit_test(newreno_halves_flight_not_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
