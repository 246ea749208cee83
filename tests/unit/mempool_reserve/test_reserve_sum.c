/*
 * test_reserve_sum.c - the arithmetic of the reserve, by hand
 */
#include "tests/unit/mempool_reserve/pool.h"

static void reserve_sum_adds_each_term_and_a_quarter(void **state)
{
	struct reserve_sum_input in = {.ring_count = 256,
		.burst_count = BURST_MAX,
		.essential_count = 64,
		.device_count = 2,
		.device_quota = {1000, 500, 7777},
		.reassembly_count = 96,
		.neighbour_count = 20,
		.safety_pct = 125};
	struct reserve_sum sum;
	uint32_t terms = 0;

	reserve_sum(&in, &sum);
	for (unsigned i = 0; i < sum.term_count; i++)
		terms += sum.terms[i].count;
	assert_int_equal(sum.term_count, 7);
	assert_string_equal(sum.terms[0].name, "ring");
	assert_int_equal(sum.terms[3].count, 1500);
	assert_int_equal(sum.subtotal, 256 + 32 + 64 + 1500 + 96 + 20);
	assert_int_equal(sum.subtotal, terms);
	assert_int_equal(sum.total, 2460);
}

static void reserve_sum_rounds_up_and_never_below_the_terms(void **state)
{
	struct reserve_sum_input in = {.ring_count = 1, .safety_pct = 101};
	struct reserve_sum sum;

	reserve_sum(&in, &sum);
	assert_int_equal(sum.total, 2);
	in.safety_pct = 50;
	reserve_sum(&in, &sum);
	assert_int_equal(sum.total, 1);
	in.safety_pct = 0;
	reserve_sum(&in, &sum);
	assert_int_equal(sum.total, 1);
}

static void reserve_sum_clamps_instead_of_wrapping(void **state)
{
	struct reserve_sum_input in = {.device_count = VOLUME_MAX * 2, .safety_pct = 125};
	struct reserve_sum sum;

	for (unsigned i = 0; i < in.device_count; i++)
		in.device_quota[i] = UINT32_MAX;
	reserve_sum(&in, &sum);
	assert_int_equal(sum.subtotal, UINT32_MAX);
	assert_int_equal(sum.total, UINT32_MAX);
}

static void reserve_quota_counts_worst_case_segments(void **state)
{
	assert_int_equal(reserve_quota(0, 512, 0), 0);
	assert_int_equal(reserve_quota(1, 512, 0), 1);
	assert_int_equal(reserve_quota(512, 512, 0), 1);
	assert_int_equal(reserve_quota(513, 512, 3), 5);
	assert_int_equal(reserve_quota(64 * IO_BYTES_DEFAULT, MBUF_DATA_BYTES / 4, 32), 65568);
	assert_int_equal(reserve_quota(UINT64_MAX, 1, UINT32_MAX), UINT32_MAX);
	assert_int_equal(reserve_quota(UINT32_MAX, 1, 1), UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reserve_sum_adds_each_term_and_a_quarter),
		cmocka_unit_test(reserve_sum_rounds_up_and_never_below_the_terms),
		cmocka_unit_test(reserve_sum_clamps_instead_of_wrapping),
		cmocka_unit_test(reserve_quota_counts_worst_case_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
