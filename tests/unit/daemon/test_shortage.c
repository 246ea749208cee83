/*
 * test_shortage.c - when a machine is short of memory, by what its kernel counts
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "daemon/engine/shortage.h"

#define LOOK_US 500000u

struct machine {
	struct shortage s;
	struct host_memory_want r;
	uint64_t now_us;
};

/* Half a second in which tasks waited for so long, and so many pages were made free. Out: is it
 * short. */
static bool look(struct machine *m, uint64_t stalled_us, uint64_t reclaimed)
{
	m->now_us += LOOK_US;
	m->r.stalled_us += stalled_us;
	m->r.reclaimed += reclaimed;
	return shortage_update(&m->s, &m->r, m->now_us);
}

/* What was counted before we came is nobody's news. */
static void shortage_begins_with_the_second_reading(void **state)
{
	struct machine m = {0};

	assert_false(look(&m, 3600000000, 1000000));
	assert_false(look(&m, 0, 0));
	assert_true(look(&m, LOOK_US / 10, 32));
}

static void shortage_takes_both_a_wait_and_reclaim(void **state)
{
	struct machine m = {0};

	look(&m, 0, 0);
	assert_false(look(&m, LOOK_US / 10, 31));     /* a cgroup at its limit */
	assert_false(look(
		&m, LOOK_US / 10 - 1, 5000)); /* a file read once: pages go, and nobody waits */
	assert_true(look(&m, LOOK_US / 10, 32));
}

static void shortage_outlasts_a_breath(void **state)
{
	struct machine m = {0};

	look(&m, 0, 0);
	assert_true(look(&m, LOOK_US, 1000));
	for (unsigned i = 0; i < 10; i++)
		assert_true(look(&m, 0, 0));
	assert_false(look(&m, 0, 0));
	assert_true(look(&m, LOOK_US, 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shortage_begins_with_the_second_reading),
		cmocka_unit_test(shortage_takes_both_a_wait_and_reclaim),
		cmocka_unit_test(shortage_outlasts_a_breath),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
