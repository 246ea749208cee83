/*
 * test_tcp_cc.c - the part all congestion controls share, seen through NewReno
 */
#include "tests/unit/net/cc_script.h"

static void cc_is_found_by_name(void **state)
{
	assert_ptr_equal(tcp_cc_find("cubic"), &tcp_cc_cubic);
	assert_ptr_equal(tcp_cc_find("newreno"), &tcp_cc_newreno);
	assert_ptr_equal(tcp_cc_find("dctcp"), &tcp_cc_dctcp);
	assert_ptr_equal(tcp_cc_find(""), &tcp_cc_cubic);
	assert_ptr_equal(tcp_cc_find(NULL), &tcp_cc_cubic);
	assert_null(tcp_cc_find("vegas"));
}

/* RFC 6928 2: min(10 * MSS, max(2 * MSS, 14600)). */
static void cc_initial_window_is_rfc_6928(void **state)
{
	assert_int_equal(tcp_cc_initial_window(536), 5360);
	assert_int_equal(tcp_cc_initial_window(1460), 14600);
	assert_int_equal(tcp_cc_initial_window(1500), 14600);
	assert_int_equal(tcp_cc_initial_window(8960), 17920);
}

static void cc_lost_syn_starts_with_one_segment(void **state)
{
	struct tcp_cc cc;

	tcp_cc_init(&cc, &tcp_cc_newreno, MSS, 0);
	tcp_cc_syn_lost(&cc);
	assert_int_equal(cc.cwnd_bytes, MSS);
}

static void cc_grows_only_when_limited_by_cwnd(void **state)
{
	struct tcp_cc_ack ack = {.acked_bytes = 10000, .delivered_bytes = 10000};
	struct tcp_cc cc;

	tcp_cc_init(&cc, &tcp_cc_newreno, MSS, 0);
	tcp_cc_on_ack(&cc, &ack);
	assert_int_equal(cc.cwnd_bytes, 10000);
	ack.is_cwnd_limited = true;
	tcp_cc_on_ack(&cc, &ack);
	assert_int_equal(cc.cwnd_bytes, 20000);
}

static void cc_recovery_leaves_the_window_to_prr(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_newreno, 40000);
	tcp_cc_enter_recovery(&cc, 40000, 1);
	assert_int_equal(cc.ssthresh_bytes, 20000);
	assert_int_equal(cc.cwnd_bytes, 40000);
	cc_ack(&cc, 10000, 0, 2);
	assert_int_equal(cc.cwnd_bytes, 40000);
	tcp_cc_exit_recovery(&cc, 1000, 3);
	assert_int_equal(cc.cwnd_bytes, 20000);
}

static void cc_timeout_falls_to_one_segment(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_newreno, 40000);
	tcp_cc_on_rto(&cc, 30000, true, 1);
	assert_int_equal(cc.cwnd_bytes, MSS);
	assert_int_equal(cc.ssthresh_bytes, 15000);
	tcp_cc_on_rto(&cc, 1000, false, 2);
	assert_int_equal(cc.ssthresh_bytes, 15000);
}

static void cc_ssthresh_has_a_floor_of_two_segments(void **state)
{
	const struct tcp_cc_ops *const ops[] = {&tcp_cc_newreno, &tcp_cc_cubic, &tcp_cc_dctcp};

	for (int i = 0; i < 3; i++) {
		struct tcp_cc cc;

		cc_start(&cc, ops[i], 2 * MSS);
		tcp_cc_on_rto(&cc, 100, true, 1);
		assert_int_equal(cc.ssthresh_bytes, 2 * MSS);
		cc_start(&cc, ops[i], 2 * MSS);
		tcp_cc_on_ecn(&cc, 100, 1);
		assert_int_equal(cc.cwnd_bytes, 2 * MSS);
	}
}

static void cc_undo_gives_back_what_was_taken_once(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_cubic, 40000);
	tcp_cc_enter_recovery(&cc, 40000, 1);
	cc.cwnd_bytes = 28000;
	tcp_cc_undo(&cc, 2);
	assert_int_equal(cc.cwnd_bytes, 40000);
	assert_int_equal(cc.ssthresh_bytes, 40000);
	assert_int_equal(cc.u.cubic.w_max_bytes, 0);
	assert_false(cc.is_in_recovery);
	cc.cwnd_bytes = 10000;
	tcp_cc_undo(&cc, 3);
	assert_int_equal(cc.cwnd_bytes, 10000);
}

static void cc_undo_never_shrinks(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_newreno, 40000);
	tcp_cc_on_rto(&cc, 40000, true, 1);
	cc.cwnd_bytes = 90000;
	tcp_cc_undo(&cc, 2);
	assert_int_equal(cc.cwnd_bytes, 90000);
}

static void cc_mark_reduces_at_once_and_is_not_undone(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_newreno, 40000);
	tcp_cc_on_ecn(&cc, 40000, 1);
	assert_int_equal(cc.cwnd_bytes, 20000);
	tcp_cc_undo(&cc, 2);
	assert_int_equal(cc.cwnd_bytes, 20000);
}

/* RFC 7661 4.4.1: 100 kB allowed, 10 kB used; on loss 10 / 2, after it (10 - R) / 2. */
static void cc_loss_under_an_unused_window_counts_what_was_used(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_newreno, 100000);
	for (int i = 0; i < 3; i++)
		cc_round(&cc, 10000, 100 * MS, (uint64_t)i * 100 * MS);
	assert_int_equal(cc.cwnd_bytes, 100000);
	tcp_cc_enter_recovery(&cc, 8000, 400 * MS);
	assert_int_equal(cc.ssthresh_bytes, 5000);
	tcp_cc_exit_recovery(&cc, 4000, 500 * MS);
	assert_int_equal(cc.ssthresh_bytes, 3000);
	assert_int_equal(cc.cwnd_bytes, 3000);
}

/* RFC 7661 4.4.2: after five idle minutes cwnd halves, ssthresh remembers three quarters. */
static void cc_unused_window_is_forgotten_slowly(void **state)
{
	struct tcp_cc cc;

	cc_start(&cc, &tcp_cc_newreno, 80000);
	cc_round(&cc, 80000, MS, 0);
	cc_round(&cc, 80000, MS, MS);
	cc.cwnd_bytes = 80000;
	cc.ssthresh_bytes = 20000;
	tcp_cc_on_restart(&cc, 299 * SEC, MS, 299 * SEC + MS);
	assert_int_equal(cc.cwnd_bytes, 80000);
	tcp_cc_on_restart(&cc, 300 * SEC, MS, 300 * SEC + MS);
	assert_int_equal(cc.cwnd_bytes, 40000);
	assert_int_equal(cc.ssthresh_bytes, 60000);
	tcp_cc_on_restart(&cc, 100000 * SEC, MS, 100000 * SEC + MS);
	assert_int_equal(cc.cwnd_bytes, 10 * MSS);
}

static void cc_window_is_bounded(void **state)
{
	struct tcp_cc cc;

	tcp_cc_init(&cc, &tcp_cc_newreno, 9000, 0);
	for (uint64_t i = 0; i < 40; i++)
		cc_ack(&cc, cc.cwnd_bytes, 0, i);
	assert_int_equal(cc.cwnd_bytes, TCP_CC_CWND_BYTES_MAX);
	tcp_cc_mss_set(&cc, 1200);
	assert_int_equal(cc.cwnd_bytes, TCP_CC_CWND_BYTES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cc_is_found_by_name),
		cmocka_unit_test(cc_initial_window_is_rfc_6928),
		cmocka_unit_test(cc_lost_syn_starts_with_one_segment),
		cmocka_unit_test(cc_grows_only_when_limited_by_cwnd),
		cmocka_unit_test(cc_recovery_leaves_the_window_to_prr),
		cmocka_unit_test(cc_timeout_falls_to_one_segment),
		cmocka_unit_test(cc_ssthresh_has_a_floor_of_two_segments),
		cmocka_unit_test(cc_undo_gives_back_what_was_taken_once),
		cmocka_unit_test(cc_undo_never_shrinks),
		cmocka_unit_test(cc_mark_reduces_at_once_and_is_not_undone),
		cmocka_unit_test(cc_loss_under_an_unused_window_counts_what_was_used),
		cmocka_unit_test(cc_unused_window_is_forgotten_slowly),
		cmocka_unit_test(cc_window_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
