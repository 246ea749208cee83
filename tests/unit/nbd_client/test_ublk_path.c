/*
 * test_ublk_path.c - paths of ublk devices, taken apart
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_priv.h"

int __real_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st);
int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st);

/* Character devices count as block devices, so that no node must be made. */
int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *st)
{
	int rc = __real_statx(dir, path, flags, mask, st);

	if (rc == 0 && S_ISCHR(st->stx_mode))
		st->stx_mode = (uint16_t)((st->stx_mode & ~S_IFMT) | S_IFBLK);
	return rc;
}

static void is_device(const char *path, int want_id, int want_partition)
{
	int id = -1, partition = -1;

	if (ublk_path_parse(path, &id, &partition) || id != want_id || partition != want_partition)
		fail_msg("%s is device %d partition %d, not %d and %d", path, id, partition,
			want_id, want_partition);
}

static void is_none(const char *path)
{
	int id = -7, partition = -8;

	if (ublk_path_parse(path, &id, &partition) != -EINVAL || id != -7 || partition != -8)
		fail_msg("\"%s\" was taken for device %d partition %d", path, id, partition);
}

static void ublk_path_of_a_device_and_of_a_partition(void **state)
{
	is_device("/dev/ublkb0", 0, 0);
	is_device("/dev/ublkb17", 17, 0);
	is_device("/dev/ublkb1048575", 1048575, 0);
	is_device("/dev/ublkb3p1", 3, 1);
	is_device("/dev/ublkb3p128", 3, 128);
}

static void ublk_path_of_anything_else_is_refused(void **state)
{
	static const char *const others[] = {"", "ublkb0", "/dev/ublkb", "/dev/ublkbx",
		"/dev/ublkb-1", "/dev/ublkb 1", "/dev/ublkb+1", "/dev/ublkb01", "/dev/ublkb0 ",
		"/dev/ublkb0\n", "/dev/ublkb0p", "/dev/ublkb0p0", "/dev/ublkb0p01",
		"/dev/ublkb0p1p1", "/dev/ublkb1048576", "/dev/ublkb4294967296",
		"/dev/ublkb18446744073709551616", "/dev/ublkc0", "/dev/../dev/ublkb0"};

	for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++)
		is_none(others[i]);
}

static void node_is(const char *dir, const char *at_path, int want_before, int want_after)
{
	struct error err = {""};
	char command[256];
	int rc;

	snprintf(command, sizeof(command), "rm -rf %s/ublkb3; %s %s/ublkb3", dir, at_path, dir);
	assert_int_equal(system(command), 0);
	rc = ublk_node_check_at(dir, dir, 3, false, &err);
	if (rc != want_before)
		fail_msg("before the start, %s: %d (%s)", at_path, rc, err.text);
	rc = ublk_node_check_at(dir, dir, 3, true, &err);
	if (rc != want_after)
		fail_msg("after the start, %s: %d (%s)", at_path, rc, err.text);
}

/* Device 3 is the number of /dev/null here. */
static void ublk_node_that_is_not_the_device_is_refused(void **state)
{
	char dir[] = "/tmp/sluice-node-XXXXXX", command[128];

	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command),
		"mkdir -p %s/block/ublkb3; echo 1:3 >%s/block/ublkb3/dev", dir, dir);
	assert_int_equal(system(command), 0);
	node_is(dir, "ln -s /dev/null", 0, 0);
	node_is(dir, "test ! -e", 0, -ENOENT);
	node_is(dir, "ln -s /dev/zero", 0, -EEXIST);
	node_is(dir, "touch", -EEXIST, -EEXIST);
	node_is(dir, "mkdir", -EEXIST, -EEXIST);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ublk_path_of_a_device_and_of_a_partition),
		cmocka_unit_test(ublk_path_of_anything_else_is_refused),
		cmocka_unit_test(ublk_node_that_is_not_the_device_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
