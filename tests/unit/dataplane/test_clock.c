/*
 * test_clock.c - time goes on from where it was when the TSC begins anew
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "dataplane/clock.h"

#define TICKS 2000ull /* in a microsecond */

/* A clock of 2 GHz, without asking this machine's. */
static struct clock clock_of_2_ghz(void)
{
	return (struct clock){.mult = (1ull << 32) / TICKS};
}

/* The multiplier is cut off, so a reading may lack a microsecond. */
static void assert_near(uint64_t us, uint64_t wanted)
{
	assert_true(us <= wanted && us + 1 >= wanted);
}

static void time_follows_the_tsc(void **state)
{
	struct clock c = clock_of_2_ghz();

	assert_near(clock_at_us(&c, 10 * TICKS), 10);
	assert_near(clock_at_us(&c, 11 * TICKS), 11);
	assert_int_equal(c.back_count, 0);
}

static void a_tsc_that_begins_anew_neither_turns_time_back_nor_stops_it(void **state)
{
	struct clock c = clock_of_2_ghz();
	uint64_t before = clock_at_us(&c, 1000 * TICKS);

	assert_int_equal(clock_at_us(&c, 5 * TICKS), before);
	assert_int_equal(c.back_count, 1);
	assert_near(clock_at_us(&c, 105 * TICKS), before + 101);
	assert_int_equal(c.back_count, 1);
}

static void each_time_is_counted(void **state)
{
	struct clock c = clock_of_2_ghz();
	uint64_t last = 0;

	for (uint64_t i = 0; i < 100; i++) {
		uint64_t now = clock_at_us(&c, (i % 10) * 100 * TICKS);

		assert_true(now >= last);
		last = now;
	}
	assert_int_equal(c.back_count, 9);
	assert_true(last <= 9000 && last >= 9000 - 10); /* each decade may lack a microsecond */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_follows_the_tsc),
		cmocka_unit_test(a_tsc_that_begins_anew_neither_turns_time_back_nor_stops_it),
		cmocka_unit_test(each_time_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
