/*
 * test_ublk_recover.c - which devices are taken over, which are left alone, and in what order the
 * kernel is asked
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <unistd.h>
#include "tests/unit/between.h"
#include "tests/unit/nbd_client/fake_ublk_kernel.h"

#define PID_DEAD 0x3fffffff /* above any pid_max */
#define ALL_US	 (2ull * UBLK_RECOVER_US_MAX)

/* Tries, and expects to be told @text; "": it works. */
static void recovers(const struct ublk_config *cfg, const char *text)
{
	struct error err = {""};
	struct ublk *u = ublk_recover(cfg, &err);
	int rc;

	assert_non_null(u);
	rc = fake_ublk_until(u, ublk_make_poll, ALL_US, &err);
	assert_int_equal(u->is_in_kernel, rc == 0);
	if (*text)
		assert_has(err.text, text);
	else
		assert_int_equal(rc, 0);
	assert_true(u->is_recovery);
	u->is_in_kernel = false; /* the device is for the next case */
	assert_int_equal(ublk_destroy(u, &err), 0);
	assert_int_equal(fake_ublk_until(u, ublk_destroy_poll, ALL_US, &err), 0);
	assert_int_equal(kernel.closed, kernel.opened);
}

static unsigned begun(void)
{
	return kernel.calls[UBLK_CMD_START_USER_RECOVERY];
}

static void device_that_is_what_it_was_is_taken_over(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();

	recovers(&cfg, "");
	assert_int_equal(begun(), 1);
}

static void device_that_differs_is_left_untouched(void **state)
{
	struct ublk_config cfg;

#define DIFFERS(change, text)                                                                      \
	do {                                                                                       \
		cfg = fake_ublk_kernel_reset();                                                    \
		change;                                                                            \
		recovers(&cfg, text);                                                              \
		assert_int_equal(begun(), 0);                                                      \
	} while (0)
	DIFFERS(kernel.rc[UBLK_CMD_GET_DEV_INFO] = -ENODEV, "is gone");
	DIFFERS(kernel.rc[UBLK_CMD_GET_DEV_INFO] = -EPERM, "asking for ublk device 3");
	DIFFERS(kernel.info.flags = 0, "not made recoverable");
	DIFFERS(kernel.info.state = UBLK_S_DEV_DEAD, "delete it");
	DIFFERS(kernel.info.nr_hw_queues = 1, "1 queues of depth 16");
	DIFFERS(kernel.info.queue_depth = 32, "2 queues of depth 32");
	DIFFERS(kernel.info.max_io_buf_bytes = 4096, "4096 bytes an I/O");
	DIFFERS(kernel.info.flags |= UBLK_F_USER_COPY, "other copy mode");
	DIFFERS(cfg.user_copy = true, "other copy mode");
	DIFFERS(kernel.params.basic.dev_sectors++, "not the same disk");
	DIFFERS(cfg.limits.can_flush = false, "the server no longer supports");
	DIFFERS(cfg.limits.is_read_only = true, "read-only");
#undef DIFFERS
}

/* The kernel takes back what the dead daemon held, in its own time, and tells nobody when. */
static void kernel_that_is_not_ready_is_asked_again(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();

	kernel.busy = 5;
	recovers(&cfg, "");
	assert_int_equal(begun(), 6);
	assert_between(fake_now_us, 1000000 + 5 * UBLK_RECOVER_US_STEP,
		1000000 + 7 * UBLK_RECOVER_US_STEP);
}

static void kernel_that_is_never_ready_is_not_waited_for_for_ever(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();

	kernel.busy = UINT32_MAX;
	recovers(&cfg, "the kernel has not released");
	assert_between(fake_now_us, 1000000 + UBLK_RECOVER_US_MAX,
		1000000 + UBLK_RECOVER_US_MAX + 2 * UBLK_RECOVER_US_STEP);
}

static void process_that_lives_is_named(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	char text[64];

	kernel.busy = UINT32_MAX;
	kernel.info.ublksrv_pid = getpid();
	snprintf(text, sizeof(text), "served by process %d", getpid());
	recovers(&cfg, text);
}

static void recovery_another_daemon_began_goes_on(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();

	kernel.rc[UBLK_CMD_START_USER_RECOVERY] = -EINVAL;
	recovers(&cfg, "");
	kernel.info.state = UBLK_S_DEV_LIVE; /* then EINVAL means something else */
	recovers(&cfg, "START_USER_RECOVERY");
}

static void look_tells_who_serves_and_who_only_did(void **state)
{
	static const struct {
		int state;
		bool lives, is_served, is_held, is_started;
	} cases[] = {
		{UBLK_S_DEV_LIVE, true, true, false, true},
		{UBLK_S_DEV_LIVE, false, false, false, true},
		{UBLK_S_DEV_QUIESCED, true, false, true,
			true}, /* the number may be somebody else's by now */
		{UBLK_S_DEV_QUIESCED, false, false, true, true},
		{UBLK_S_DEV_DEAD, true, false, false, false},
	};
	struct ublk_look look;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_ublk_kernel_reset();
		kernel.info.state = (uint16_t)cases[i].state;
		kernel.info.ublksrv_pid = cases[i].lives ? getpid() : PID_DEAD;
		assert_int_equal(ublk_look(DEV_ID, &look, NULL), 0);
		assert_int_equal(look.is_served, cases[i].is_served);
		assert_int_equal(look.is_held, cases[i].is_held);
		assert_int_equal(look.is_started, cases[i].is_started);
		assert_int_equal(kernel.closed, 1);
	}
	kernel.rc[UBLK_CMD_GET_DEV_INFO] = -ENODEV;
	assert_int_equal(ublk_look(DEV_ID, &look, NULL), -ENODEV);
}

static void device_is_stopped_before_it_is_deleted(void **state)
{
	struct error err = {""};

	fake_ublk_kernel_reset();
	assert_int_equal(ublk_delete(DEV_ID, &err), 0);
	assert_int_equal(kernel.calls[UBLK_CMD_STOP_DEV], 1);
	assert_int_equal(kernel.calls[UBLK_CMD_DEL_DEV], 1);
	assert_int_equal(kernel.last, UBLK_CMD_DEL_DEV);
	fake_ublk_kernel_reset();
	kernel.rc[UBLK_CMD_STOP_DEV] = -EIO;
	assert_int_equal(ublk_delete(DEV_ID, &err), -EIO);
	assert_int_equal(kernel.calls[UBLK_CMD_DEL_DEV], 0);
	assert_int_equal(kernel.closed, 1);
}

static void device_that_is_served_is_not_deleted(void **state)
{
	struct error err = {""};

	fake_ublk_kernel_reset();
	kernel.info.state = UBLK_S_DEV_LIVE;
	kernel.info.ublksrv_pid = getpid();
	assert_int_equal(ublk_delete(DEV_ID, &err), -EBUSY);
	assert_has(err.text, "stop it first");
	assert_int_equal(kernel.calls[UBLK_CMD_STOP_DEV], 0);
	assert_int_equal(kernel.closed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_that_is_what_it_was_is_taken_over),
		cmocka_unit_test(device_that_differs_is_left_untouched),
		cmocka_unit_test(kernel_that_is_not_ready_is_asked_again),
		cmocka_unit_test(kernel_that_is_never_ready_is_not_waited_for_for_ever),
		cmocka_unit_test(process_that_lives_is_named),
		cmocka_unit_test(recovery_another_daemon_began_goes_on),
		cmocka_unit_test(look_tells_who_serves_and_who_only_did),
		cmocka_unit_test(device_is_stopped_before_it_is_deleted),
		cmocka_unit_test(device_that_is_served_is_not_deleted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
