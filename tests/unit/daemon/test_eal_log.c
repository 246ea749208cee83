/*
 * test_eal_log.c - a refusal has DPDK's last line in it, and nothing of DPDK's on stderr
 *
 * DPDK's log is the real one; EAL need not be up for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <rte_log.h>
#include "daemon/eal_log.h"

#define SAY(...) rte_log(RTE_LOG_ERR, RTE_LOGTYPE_EAL, __VA_ARGS__)

static struct error err;

static int setup(void **state)
{
	rte_log_set_global_level(RTE_LOG_INFO);
	error_set(&err, 0, "port storage: refused");
	eal_log_keep();
	return 0;
}

static int teardown(void **state)
{
	eal_log_release();
	return 0;
}

static void last_line_stands_in_the_refusal(void **state)
{
	SAY("EAL: first\n");
	SAY("EAL: VFIO group is not viable\n");
	eal_log_append(&err);
	assert_string_equal(
		err.text, "port storage: refused (DPDK: EAL: VFIO group is not viable)");
}

static void last_of_several_lines_written_at_once_is_the_last(void **state)
{
	SAY("one\ntwo\nthree \n\n");
	eal_log_append(&err);
	assert_string_equal(err.text, "port storage: refused (DPDK: three)");
}

static void where_nothing_was_logged_nothing_is_added(void **state)
{
	eal_log_append(&err);
	assert_string_equal(err.text, "port storage: refused");
}

static void line_longer_than_an_error_is_cut(void **state)
{
	static char line[3000];

	memset(line, 'x', sizeof(line) - 2);
	line[sizeof(line) - 2] = '\n';
	SAY("%s", line);
	eal_log_append(&err);
	assert_true(strlen(err.text) < sizeof(err.text));
	assert_int_equal(strncmp(err.text, "port storage: refused (DPDK: xxx", 32), 0);
}

static void lines_of_the_start_before_are_forgotten(void **state)
{
	SAY("of the first start\n");
	eal_log_release();
	eal_log_keep();
	eal_log_append(&err);
	assert_string_equal(err.text, "port storage: refused");
}

/* Out: how many bytes @say puts on stderr. */
static size_t on_stderr(void (*say)(void))
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	long bytes;

	dup2(fileno(file), STDERR_FILENO);
	say();
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	fseek(file, 0, SEEK_END);
	bytes = ftell(file);
	fclose(file);
	return (size_t)bytes;
}

static void say_error(void)
{
	SAY("an error\n");
}

static void say_critical(void)
{
	rte_log(RTE_LOG_CRIT, RTE_LOGTYPE_EAL, "critical\n");
}

static void stderr_has_nothing_until_the_release_and_critical_lines_after(void **state)
{
	assert_int_equal(on_stderr(say_critical), 0);
	eal_log_release();
	assert_int_equal(on_stderr(say_error), 0);
	assert_true(on_stderr(say_critical) > 0);
}

#define log_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		log_test(last_line_stands_in_the_refusal),
		log_test(last_of_several_lines_written_at_once_is_the_last),
		log_test(where_nothing_was_logged_nothing_is_added),
		log_test(line_longer_than_an_error_is_cut),
		log_test(lines_of_the_start_before_are_forgotten),
		log_test(stderr_has_nothing_until_the_release_and_critical_lines_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
