/*
 * test_tcp_hystart.c - RFC 9406 round by round
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "dataplane/net/tcp/tcp_hystart.h"

#define MS 1000u

/* A round of eight samples of @rtt_us. Out: slow start ended in it. */
static bool round_of(struct tcp_hystart *h, uint32_t rtt_us)
{
	bool is_over = false;

	tcp_hystart_round(h);
	for (int i = 0; i < 8; i++)
		is_over |= tcp_hystart_ack(h, rtt_us);
	return is_over;
}

static void hystart_flat_delay_stays_in_slow_start(void **state)
{
	struct tcp_hystart h;

	tcp_hystart_init(&h);
	for (int i = 0; i < 50; i++)
		assert_false(round_of(&h, 100 * MS));
	assert_int_equal(h.phase, HYSTART_SLOW_START);
	assert_int_equal(tcp_hystart_growth(&h, 1000), 1000);
}

/* Threshold of 100 ms: an eighth, 12.5 ms. */
static void hystart_enters_css_at_the_threshold(void **state)
{
	struct tcp_hystart h;

	tcp_hystart_init(&h);
	round_of(&h, 100 * MS);
	round_of(&h, 112499);
	assert_int_equal(h.phase, HYSTART_SLOW_START);
	tcp_hystart_init(&h);
	round_of(&h, 100 * MS);
	round_of(&h, 112500);
	assert_int_equal(h.phase, HYSTART_CSS);
	assert_int_equal(tcp_hystart_growth(&h, 1000), 250);
}

/* Threshold is never below 4 ms nor above 16 ms. */
static void hystart_threshold_is_clamped(void **state)
{
	struct tcp_hystart h;

	tcp_hystart_init(&h);
	round_of(&h, 1 * MS);
	round_of(&h, 4999);
	assert_int_equal(h.phase, HYSTART_SLOW_START);
	tcp_hystart_init(&h);
	round_of(&h, 1 * MS);
	round_of(&h, 5 * MS);
	assert_int_equal(h.phase, HYSTART_CSS);
	tcp_hystart_init(&h);
	round_of(&h, 400 * MS);
	round_of(&h, 416 * MS);
	assert_int_equal(h.phase, HYSTART_CSS);
}

static void hystart_needs_eight_samples(void **state)
{
	struct tcp_hystart h;

	tcp_hystart_init(&h);
	round_of(&h, 100 * MS);
	tcp_hystart_round(&h);
	for (int i = 0; i < 7; i++)
		tcp_hystart_ack(&h, 200 * MS);
	tcp_hystart_ack(&h, 0); /* no sample */
	assert_int_equal(h.phase, HYSTART_SLOW_START);
	tcp_hystart_ack(&h, 200 * MS);
	assert_int_equal(h.phase, HYSTART_CSS);
}

/* The part of a round in which CSS began counts as the first of five. */
static void hystart_ends_after_five_css_rounds(void **state)
{
	struct tcp_hystart h;

	tcp_hystart_init(&h);
	round_of(&h, 100 * MS);
	for (int i = 0; i < 5; i++)
		assert_false(round_of(&h, 130 * MS));
	assert_int_equal(h.phase, HYSTART_CSS);
	assert_true(round_of(&h, 130 * MS));
	assert_int_equal(h.phase, HYSTART_DONE);
	assert_false(round_of(&h, 130 * MS));
	assert_int_equal(tcp_hystart_growth(&h, 1000), 1000);
}

static void hystart_resumes_when_the_delay_was_a_hiccup(void **state)
{
	struct tcp_hystart h;

	tcp_hystart_init(&h);
	round_of(&h, 100 * MS);
	round_of(&h, 130 * MS);
	assert_int_equal(h.phase, HYSTART_CSS);
	assert_false(round_of(&h, 129 * MS));
	assert_int_equal(h.phase, HYSTART_SLOW_START);
	for (int i = 0; i < 20; i++)
		assert_false(round_of(&h, 129 * MS));
}

static void hystart_done_stays_done(void **state)
{
	struct tcp_hystart h;

	tcp_hystart_init(&h);
	tcp_hystart_done(&h);
	round_of(&h, 100 * MS);
	assert_false(round_of(&h, 500 * MS));
	assert_int_equal(h.phase, HYSTART_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hystart_flat_delay_stays_in_slow_start),
		cmocka_unit_test(hystart_enters_css_at_the_threshold),
		cmocka_unit_test(hystart_threshold_is_clamped),
		cmocka_unit_test(hystart_needs_eight_samples),
		cmocka_unit_test(hystart_ends_after_five_css_rounds),
		cmocka_unit_test(hystart_resumes_when_the_delay_was_a_hiccup),
		cmocka_unit_test(hystart_done_stays_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
