/*
 * test_ublk_feature.c - a missing driver is told with its remedy; a kernel is taken for what it is
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_priv.h"

static void missing_driver_names_module_and_package(void **state)
{
	struct error err = {""};

	assert_int_equal(ublk_probe_at("/dev/sluice-no-such-device", &err), -ENOENT);
	assert_non_null(strstr(err.text, "modprobe ublk_drv"));
	assert_non_null(strstr(err.text, "linux-image-6.12-amd64"));
	assert_null(strchr(err.text, '\n'));
}

static void another_file_is_not_taken_for_the_driver(void **state)
{
	char path[] = "/tmp/sluice-test-XXXXXX";
	struct error err = {""};
	int fd = mkstemp(path), rc;

	assert_true(fd >= 0);
	rc = ublk_probe_at(path, &err);
	close(fd);
	unlink(path);
	assert_int_equal(rc, -ENOTTY);
	assert_non_null(strstr(err.text, "not the ublk driver"));
}

static void old_kernels_are_known_by_their_version(void **state)
{
	const uint64_t recovery = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE;

	assert_int_equal(ublk_features_of_release("6.0.12"), 0);
	assert_int_equal(ublk_features_of_release("6.1.0-28-amd64"), recovery);
	assert_int_equal(ublk_features_of_release("6.4.3"), recovery | UBLK_F_CMD_IOCTL_ENCODE);
	assert_int_equal(ublk_features_of_release("7.0.0"), recovery | UBLK_F_CMD_IOCTL_ENCODE);
	assert_int_equal(ublk_features_of_release("5.14.0-503.el9"), 0);
	assert_int_equal(ublk_features_of_release("weird"), 0);
}

static void degradation_is_one_line_or_nothing(void **state)
{
	struct ublk_features f = {.bits = 0};

	ublk_features_describe(&f);
	assert_false(f.has_recovery);
	assert_non_null(strstr(f.degraded, "no recovery"));
	assert_non_null(strstr(f.degraded, "no user copy"));
	assert_non_null(strstr(f.degraded, "no resize"));
	assert_null(strchr(f.degraded, '\n'));
	assert_true(strlen(f.degraded) < sizeof(f.degraded) - 1); /* not cut */
	f.bits = UBLK_F_USER_RECOVERY; /* without reissue a crash is an I/O error: not recovery */
	ublk_features_describe(&f);
	assert_false(f.has_recovery);
	f.bits = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE | UBLK_F_USER_COPY |
		 UBLK_F_UPDATE_SIZE;
	ublk_features_describe(&f);
	assert_string_equal(f.degraded, "");
	assert_false(f.has_ioctl_encode);
}

static void opcodes_are_the_kernels(void **state)
{
	/* As strace shows them of any ublk server. */
	assert_int_equal(ublk_ctl_opcode(UBLK_CMD_ADD_DEV, true), 0xc0207504);
	assert_int_equal(ublk_ctl_opcode(UBLK_CMD_GET_DEV_INFO, true), 0x80207502);
	assert_int_equal(ublk_ctl_opcode(UBLK_NR_GET_FEATURES, true), 0x80207513);
	assert_int_equal(ublk_ctl_opcode(UBLK_CMD_ADD_DEV, false), UBLK_CMD_ADD_DEV);
	/* Never had a bare number. */
	assert_int_equal(ublk_ctl_opcode(UBLK_NR_GET_FEATURES, false), 0x80207513);
	assert_int_equal(UBLK_ENCODE_IO(UBLK_IO_COMMIT_AND_FETCH_REQ), 0xc0107521);
}

static void only_who_asks_for_user_copy_gets_it(void **state)
{
	assert_false(ublk_copy_choose(COPY_AUTO));
	assert_false(ublk_copy_choose(COPY_DEFAULT));
	assert_true(ublk_copy_choose(COPY_USER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(missing_driver_names_module_and_package),
		cmocka_unit_test(another_file_is_not_taken_for_the_driver),
		cmocka_unit_test(old_kernels_are_known_by_their_version),
		cmocka_unit_test(degradation_is_one_line_or_nothing),
		cmocka_unit_test(opcodes_are_the_kernels),
		cmocka_unit_test(only_who_asks_for_user_copy_gets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
