/*
 * test_ublk_sysfs.c - every way a device can be in use is seen, and its neighbour is not mistaken
 * for it
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

static char root[64];

static void in_root(const char *what, char *path, size_t bytes)
{
	snprintf(path, bytes, "%s/%s", root, what);
}

static void make_dir(const char *what)
{
	char path[256];

	in_root(what, path, sizeof(path));
	assert_int_equal(mkdir(path, 0700), 0);
}

static void make_file(const char *what, const char *text)
{
	char path[256];
	FILE *file;

	in_root(what, path, sizeof(path));
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void make_link(const char *what, const char *target)
{
	char path[256];

	in_root(what, path, sizeof(path));
	unlink(path);
	assert_int_equal(symlink(target, path), 0);
}

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

static bool is_open(int id)
{
	char sys[128], proc[128];

	in_root("sys", sys, sizeof(sys));
	in_root("proc", proc, sizeof(proc));
	return ublk_is_open_at(sys, proc, id);
}

/* A machine with two ublk devices, one process, nothing in use. */
static int machine_make(void **state)
{
	snprintf(root, sizeof(root), "/tmp/sluice-sysfs-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	make_dir("sys");
	make_dir("sys/block");
	make_dir("sys/block/ublkb1");
	make_dir("sys/block/ublkb1/holders");
	make_dir("sys/block/ublkb1/ublkb1p1");
	make_dir("sys/block/ublkb1/ublkb1p1/holders");
	make_dir("sys/block/ublkb10");
	make_dir("sys/block/ublkb10/holders");
	make_dir("proc");
	make_dir("proc/1");
	make_dir("proc/1/fd");
	make_dir("proc/1/ns");
	make_link("proc/1/ns/mnt", "mnt:[1]");
	make_file("proc/1/mountinfo", "22 1 0:21 / /proc rw - proc proc rw\n");
	make_link("proc/1/fd/0", "/dev/null");
	make_file("proc/swaps", "Filename Type Size Used Priority\n/dev/vda2 partition 1 0 -2\n");
	return 0;
}

static int machine_remove(void **state)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void unused_device_is_free(void **state)
{
	assert_false(is_open(1));
	assert_false(is_open(10));
}

static void open_file_is_seen_by_its_own_device_only(void **state)
{
	make_link("proc/1/fd/0", "/dev/ublkb10");
	assert_true(is_open(10));
	assert_false(is_open(1));
	make_link("proc/1/fd/0", "/dev/ublkb1p1");
	assert_true(is_open(1));
	make_link("proc/1/fd/0", "/dev/ublkb1px");
	assert_false(is_open(1));
	make_link("proc/1/fd/0", "/dev/ublkc1");
	assert_false(is_open(1));
}

static void mount_of_another_namespace_is_seen(void **state)
{
	make_dir("proc/77");
	make_dir("proc/77/ns");
	make_link("proc/77/ns/mnt", "mnt:[2]");
	make_file("proc/77/mountinfo",
		"22 1 0:21 / /proc rw - proc proc rw\n"
		"30 22 259:3 / /mnt/data rw,relatime shared:1 - ext4 /dev/ublkb1 rw\n");
	assert_true(is_open(1));
	assert_false(is_open(10));
	/* A mount point that looks like it is not the source. */
	make_file("proc/77/mountinfo", "30 22 259:3 / /mnt/ublkb1 rw - ext4 /dev/vda1 rw\n");
	assert_false(is_open(1));
}

static void swap_is_seen(void **state)
{
	make_file(
		"proc/swaps", "Filename Type Size Used Priority\n/dev/ublkb1p1 partition 1 0 -2\n");
	assert_true(is_open(1));
	assert_false(is_open(10));
}

static void holder_of_a_partition_is_seen(void **state)
{
	make_dir("sys/block/ublkb1/ublkb1p1/holders/dm-0");
	assert_true(is_open(1));
	assert_false(is_open(10));
}

static void not_knowing_counts_as_in_use(void **state)
{
	assert_true(ublk_is_open_at("/nonexistent", "/nonexistent", 1));
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

#define MACHINE_TEST(f) cmocka_unit_test_setup_teardown(f, machine_make, machine_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(unused_device_is_free),
		MACHINE_TEST(open_file_is_seen_by_its_own_device_only),
		MACHINE_TEST(mount_of_another_namespace_is_seen),
		MACHINE_TEST(swap_is_seen),
		MACHINE_TEST(holder_of_a_partition_is_seen),
		MACHINE_TEST(devices_are_those_with_a_number),
		cmocka_unit_test(not_knowing_counts_as_in_use),
		cmocka_unit_test(scheduler_in_brackets_is_the_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
