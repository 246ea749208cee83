/*
 * test_tcp_cc_dctcp.c - RFC 8257: alpha window by window
 */
#include "tests/unit/net/cc_script.h"
#include "tests/unit/between.h"

#define ONE (1u << TCP_DCTCP_SHIFT)

/* A whole window of @bytes, of which @ce came under ECE; the next ACK closes it. */
static void window(struct tcp_cc *cc, uint32_t bytes, uint32_t ce, uint64_t now_us)
{
	const struct tcp_cc_ack ack = {
		.now_us = now_us,
		.acked_bytes = bytes,
		.delivered_bytes = bytes,
		.ce_bytes = ce,
		.is_round_start = true,
	};

	tcp_cc_on_ack(cc, &ack);
}

static void dctcp_asks_for_ecn(void **state)
{
	assert_true(tcp_cc_dctcp.wants_ecn && tcp_cc_dctcp.has_accurate_ecn);
	assert_false(tcp_cc_cubic.has_accurate_ecn || tcp_cc_newreno.has_accurate_ecn);
}

static void dctcp_first_mark_halves(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_dctcp, 100000);
	tcp_cc_on_ecn(&cc, 100000, 1);
	assert_int_equal(cc.cwnd_bytes, 50000);
}

/* alpha 1 → 15/16 after a clean window; the cut is alpha / 2 = 46.875 %. */
static void dctcp_alpha_decays_by_a_sixteenth(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_dctcp, 100000);
	window(&cc, 100000, 0, 1);
	window(&cc, 100000, 0, 2);
	assert_int_equal(cc.u.dctcp.alpha_fp, ONE / 16 * 15);
	tcp_cc_on_ecn(&cc, 100000, 3);
	assert_int_equal(cc.cwnd_bytes, 53125);
}

/* Half marked for ever: alpha comes to 1/2, the cut to a quarter. */
static void dctcp_alpha_converges_to_the_marked_share(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_dctcp, 100000);
	for (uint64_t i = 0; i < 200; i++)
		window(&cc, 100000, 50000, i);
	assert_between(cc.u.dctcp.alpha_fp, ONE / 2 - 16, ONE / 2 + 16);
	tcp_cc_on_ecn(&cc, 100000, 300);
	assert_between(cc.cwnd_bytes, 74980, 75020);
}

static void dctcp_alpha_reaches_zero(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_dctcp, 100000);
	for (uint64_t i = 0; i < 400; i++)
		window(&cc, 100000, 0, i);
	assert_int_equal(cc.u.dctcp.alpha_fp, 0);
	tcp_cc_on_ecn(&cc, 100000, 500);
	assert_int_equal(cc.cwnd_bytes, 100000);
}

static void dctcp_alpha_stays_at_one_when_all_is_marked(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_dctcp, 100000);
	for (uint64_t i = 0; i < 50; i++)
		window(&cc, 100000, 100000, i);
	assert_int_equal(cc.u.dctcp.alpha_fp, ONE);
}

static void dctcp_counts_marks_during_recovery(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_dctcp, 100000);
	tcp_cc_enter_recovery(&cc, 100000, 0);
	window(&cc, 100000, 0, 1);
	window(&cc, 100000, 0, 2);
	assert_int_equal(cc.u.dctcp.alpha_fp, ONE / 16 * 15);
}

static void dctcp_loss_halves_whatever_alpha_says(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_dctcp, 100000);
	cc.u.dctcp.alpha_fp = 0;
	tcp_cc_enter_recovery(&cc, 100000, 0);
	assert_int_equal(cc.ssthresh_bytes, 50000);
}

/* Without marks it is RFC 5681. */
static void dctcp_grows_like_newreno(void **state)
{
	struct tcp_cc cc;

	tcp_cc_init(&cc, &tcp_cc_dctcp, MSS, 0);
	cc_ack(&cc, 10000, 0, 1);
	assert_int_equal(cc.cwnd_bytes, 20000);
	cc.ssthresh_bytes = 20000;
	cc_ack(&cc, 20000, 0, 2);
	assert_int_equal(cc.cwnd_bytes, 21000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dctcp_asks_for_ecn),
		cmocka_unit_test(dctcp_first_mark_halves),
		cmocka_unit_test(dctcp_alpha_decays_by_a_sixteenth),
		cmocka_unit_test(dctcp_alpha_converges_to_the_marked_share),
		cmocka_unit_test(dctcp_alpha_reaches_zero),
		cmocka_unit_test(dctcp_alpha_stays_at_one_when_all_is_marked),
		cmocka_unit_test(dctcp_counts_marks_during_recovery),
		cmocka_unit_test(dctcp_loss_halves_whatever_alpha_says),
		cmocka_unit_test(dctcp_grows_like_newreno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
