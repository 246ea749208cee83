/*
 * test_shortage.c - when a machine is short of memory, by what its kernel counts
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "dataplane/shortage.h"

#define LOOK_US 500000u
#define PRESSURE "some avg10=1.00 avg60=0.50 avg300=0.10 total=123456\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=99\n"
#define VMSTAT	 "nr_free_pages 5000\npgsteal_kswapd 777\npgsteal_direct 888\npgsteal_kswapd_fake 1\n"

struct machine {
	struct shortage s;
	struct shortage_reading r;
	uint64_t now_us;
};

/* Half a second in which tasks waited for so long, and so many pages were made free. Out: is it short. */
static bool look(struct machine *m, uint64_t stalled_us, uint64_t reclaimed)
{
	m->now_us += LOOK_US;
	m->r.stalled_us += stalled_us;
	m->r.reclaimed += reclaimed;
	return shortage_update(&m->s, &m->r, m->now_us);
}

static void shortage_is_read_from_what_the_kernel_prints(void **state)
{
	struct shortage_reading r;

	assert_true(shortage_read(PRESSURE, VMSTAT, &r));
	assert_int_equal(r.stalled_us, 123456);
	assert_int_equal(r.reclaimed, 777);
}

static void shortage_is_not_read_where_it_is_not_counted(void **state)
{
	struct shortage_reading r;

	assert_false(shortage_read("", VMSTAT, &r));
	assert_false(shortage_read(PRESSURE, "", &r));
	assert_false(shortage_read("some total=", VMSTAT, &r));
	assert_false(shortage_read("some total=x", VMSTAT, &r));
	assert_false(shortage_read(PRESSURE, "pgsteal_direct 888\n", &r));
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
	assert_false(look(&m, LOOK_US / 10 - 1, 5000)); /* a file read once: pages go, and nobody waits */
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
		cmocka_unit_test(shortage_is_read_from_what_the_kernel_prints),
		cmocka_unit_test(shortage_is_not_read_where_it_is_not_counted),
		cmocka_unit_test(shortage_begins_with_the_second_reading),
		cmocka_unit_test(shortage_takes_both_a_wait_and_reclaim),
		cmocka_unit_test(shortage_outlasts_a_breath),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
