/*
 * test_bench_verify.c - three ways of being wrong, each seen and named
 */
#include "tests/unit/nbd_client/check.h"
#include <stdlib.h>
#include "nbd_client/bench/bench_priv.h"

#define BLOCK 4096u

struct fixture {
	struct bench_blocks t;
	uint8_t data[4 * BLOCK];
	uint64_t checked;
	char text[160];
};

static struct fixture *fixture_new(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(bench_blocks_init(&f->t, 7, BLOCK, 16), 0);
	bench_blocks_begin(&f->t, 4, 4, true);
	bench_fill(&f->t, 4 * BLOCK, f->data, sizeof(f->data));
	bench_blocks_end(&f->t, 4, 4, false);
	return f;
}

static void fixture_free(struct fixture *f)
{
	bench_blocks_fini(&f->t);
	free(f);
}

static uint32_t check(struct fixture *f, uint64_t offset)
{
	f->checked = 0;
	f->text[0] = '\0';
	return bench_check(
		&f->t, offset, f->data, sizeof(f->data), &f->checked, f->text, sizeof(f->text));
}

static void verify_good_data_is_good(void **state)
{
	struct fixture *f = fixture_new();

	assert_int_equal(check(f, 4 * BLOCK), 0);
	assert_int_equal(f->checked, 4);
	assert_string_equal(f->text, "");
	fixture_free(f);
}

static void verify_sees_every_single_corrupt_byte(void **state)
{
	struct fixture *f = fixture_new();

	for (unsigned i = 0; i < sizeof(f->data); i++) {
		f->data[i] ^= 0x40;
		assert_int_equal(check(f, 4 * BLOCK), 1);
		f->data[i] ^= 0x40;
	}
	f->data[BLOCK + 1000] ^= 1;
	check(f, 4 * BLOCK);
	assert_has(f->text, "corrupt at byte 488");
	fixture_free(f);
}

static void verify_sees_stale_data(void **state)
{
	struct fixture *f = fixture_new();

	bench_blocks_begin(&f->t, 5, 1, true);
	bench_blocks_end(&f->t, 5, 1, false);
	assert_int_equal(check(f, 4 * BLOCK), 1);
	assert_has(f->text, "offset 20480: stale, generation 1 and not 2");
	fixture_free(f);
}

static void verify_sees_misplaced_data(void **state)
{
	struct fixture *f = fixture_new();

	memcpy(f->data, f->data + 2 * BLOCK, BLOCK);
	assert_int_equal(check(f, 4 * BLOCK), 1);
	assert_has(f->text, "misplaced, it belongs to 24576");
	fixture_free(f);
}

static void verify_sees_another_runs_data(void **state)
{
	struct fixture *f = fixture_new();

	f->t.seed = 8;
	assert_int_equal(check(f, 4 * BLOCK), 4);
	assert_has(f->text, "another run (seed 7)");
	fixture_free(f);
}

static void verify_passes_over_what_nobody_wrote(void **state)
{
	struct fixture *f = fixture_new();

	assert_int_equal(check(f, 8 * BLOCK), 0);
	assert_int_equal(f->checked, 0);
	bench_blocks_begin(&f->t, 4, 4, true);
	bench_blocks_end(&f->t, 4, 4, true); /* the write failed: anything may be there */
	assert_int_equal(check(f, 4 * BLOCK), 0);
	assert_int_equal(f->checked, 0);
	fixture_free(f);
}

static void verify_without_a_table_still_knows_place_and_content(void **state)
{
	struct fixture *f = fixture_new();

	bench_blocks_fini(&f->t);
	assert_int_equal(check(f, 4 * BLOCK), 0);
	assert_int_equal(f->checked, 4);
	assert_int_equal(check(f, 5 * BLOCK), 4);
	f->data[3000] ^= 1;
	assert_int_equal(check(f, 4 * BLOCK), 1);
	fixture_free(f);
}

static void hist_percentiles_are_close_at_every_size(void **state)
{
	struct bench_hist *h = calloc(1, sizeof(*h));

	assert_true(bench_hist_us(h, 0.5) == 0);
	for (uint64_t scale = 1; scale < 1ull << 38; scale *= 3) {
		memset(h, 0, sizeof(*h));
		for (unsigned i = 1; i <= 1000; i++)
			bench_hist_add(h, i * scale);
		for (unsigned p = 1; p < 10; p++) {
			double want = (double)(p * 100 * scale) / 1000;
			double got = bench_hist_us(h, p / 10.0);

			assert_true(got > want * 0.98 && got < want * 1.02 + 0.002 * (double)scale);
		}
		assert_int_equal(h->max_ns, 1000 * scale);
		if (scale > (1ull << 41) / 1000 / 3)
			break;
	}
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verify_good_data_is_good),
		cmocka_unit_test(verify_sees_every_single_corrupt_byte),
		cmocka_unit_test(verify_sees_stale_data),
		cmocka_unit_test(verify_sees_misplaced_data),
		cmocka_unit_test(verify_sees_another_runs_data),
		cmocka_unit_test(verify_passes_over_what_nobody_wrote),
		cmocka_unit_test(verify_without_a_table_still_knows_place_and_content),
		cmocka_unit_test(hist_percentiles_are_close_at_every_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
