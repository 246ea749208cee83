/*
 * test_ublk_path.c - paths of ublk devices, taken apart
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "nbd_client/ublk/ublk.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ublk_path_of_a_device_and_of_a_partition),
		cmocka_unit_test(ublk_path_of_anything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
