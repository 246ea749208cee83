/*
 * test_ublk_sysfs.c - which ublk devices there are, and which scheduler one has
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_priv.h"
#include "tests/unit/nbd_client/root_dir.h"

static void devices_are_those_with_a_number(void **state)
{
	static const char *const names[] = {
		"ublkc10", "ublkc2", "ublkc", "ublkc3x", "ublkb4", "ublkc-1"};
	char sys[128], name[64];
	int ids[8];

	in_root("sys", sys, sizeof(sys));
	assert_int_equal(ublk_devices_at(sys, ids, 8), 0);
	make_dir("sys/class");
	make_dir("sys/class/ublk-char");
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "sys/class/ublk-char/%s", names[i]);
		make_dir(name);
	}
	assert_int_equal(ublk_devices_at(sys, ids, 8), 2);
	assert_int_equal(ids[0], 2);
	assert_int_equal(ids[1], 10);
	assert_int_equal(ublk_devices_at(sys, ids, 1), 1);
}

static int root_make(void **state)
{
	snprintf(root, sizeof(root), "/tmp/sluice-sysfs-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	make_dir("sys");
	return 0;
}

static int root_remove(void **state)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void scheduler_in_brackets_is_the_one(void **state)
{
	char now[16];

	assert_int_equal(ublk_scheduler_parse("mq-deadline kyber [none]\n", now, sizeof(now)), 0);
	assert_string_equal(now, "none");
	assert_int_equal(ublk_scheduler_parse("[mq-deadline] none\n", now, sizeof(now)), 0);
	assert_string_equal(now, "mq-deadline");
	assert_int_equal(ublk_scheduler_parse("none", now, sizeof(now)), -EINVAL);
	assert_int_equal(ublk_scheduler_parse("[none", now, sizeof(now)), -EINVAL);
	assert_int_equal(ublk_scheduler_parse("[]", now, sizeof(now)), -EINVAL);
	assert_int_equal(ublk_scheduler_parse("[mq-deadline]", now, 11), -EINVAL);
	assert_int_equal(ublk_scheduler_parse("[mq-deadline]", now, 12), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			devices_are_those_with_a_number, root_make, root_remove),
		cmocka_unit_test(scheduler_in_brackets_is_the_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
