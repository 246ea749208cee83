/*
 * test_ublk_recover.c - which devices are taken over, which are left alone, and in what order the
 * kernel is asked
 *
 * The kernel is a struct here that answers control commands and counts them; time passes when
 * somebody sleeps.
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_priv.h"
#include "tests/unit/between.h"

#define DEV_ID	 3
#define PID_DEAD 0x3fffffff /* above any pid_max */

static struct {
	struct ublksrv_ctrl_dev_info info;
	struct ublk_params params;
	int info_rc, begin_rc, stop_rc;
	unsigned busy; /* so often START_USER_RECOVERY answers EBUSY */
	unsigned calls[256], opened, closed;
	uint8_t last;
} kernel;

static uint64_t now_us;

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left);
int __wrap_clock_gettime(clockid_t id, struct timespec *out);

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left)
{
	now_us += (uint64_t)wanted->tv_sec * 1000000 + (uint64_t)wanted->tv_nsec / 1000;
	return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
	*out = (struct timespec){
		.tv_sec = (time_t)(now_us / 1000000), .tv_nsec = (long)(now_us % 1000000) * 1000};
	return 0;
}

struct ublk *ublk_dev_open(
	const struct ublk_config *cfg, struct ublk_features *features, struct error *err)
{
	struct ublk *u = calloc(1, sizeof(*u));

	u->cfg = *cfg;
	kernel.opened++;
	return u;
}

void ublk_dev_close(struct ublk *u)
{
	kernel.closed++;
	free(u);
}

int ublk_dev_queues(struct ublk *u, struct error *err)
{
	return 0;
}

static int recovery_start(void)
{
	if (kernel.busy == 0)
		return kernel.begin_rc;
	kernel.busy--;
	return -EBUSY;
}

int ublk_dev_call(struct ublk *u, uint8_t nr, void *buf, size_t len, uint64_t data)
{
	kernel.calls[nr]++;
	kernel.last = nr;
	switch (nr) {
	case UBLK_CMD_GET_DEV_INFO:
		if (kernel.info_rc == 0)
			memcpy(buf, &kernel.info, len);
		return kernel.info_rc;
	case UBLK_CMD_GET_PARAMS:
		memcpy(buf, &kernel.params, len);
		return 0;
	case UBLK_CMD_START_USER_RECOVERY:
		return recovery_start();
	case UBLK_CMD_STOP_DEV:
		return kernel.stop_rc;
	case UBLK_CMD_DEL_DEV:
		return 0;
	}
	fail_msg("command %u is not expected", nr);
	return -EINVAL;
}

/* What the state file remembers, and a device that is just that, its daemon dead. */
static struct ublk_config device_new(void)
{
	struct ublk_config cfg = {.dev_id = DEV_ID,
		.queues = 2,
		.queue_depth = 16,
		.io_bytes_max = 128 << 10,
		.is_recoverable = true,
		.limits = {.size_bytes = 1 << 20,
			.block_min = 512,
			.io_bytes_max = 128 << 10,
			.can_flush = true}};
	struct error err;

	memset(&kernel, 0, sizeof(kernel));
	kernel.info = (struct ublksrv_ctrl_dev_info){.nr_hw_queues = 2,
		.queue_depth = 16,
		.max_io_buf_bytes = 128 << 10,
		.state = UBLK_S_DEV_QUIESCED,
		.flags = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE,
		.ublksrv_pid = PID_DEAD};
	assert_int_equal(ublk_params_fill(&cfg, &kernel.params, &err), 0);
	now_us = 1000000;
	return cfg;
}

/* Tries, and expects to be told @text; "": it works. */
static void recovers(const struct ublk_config *cfg, const char *text)
{
	struct error err = {""};
	struct ublk *u = ublk_recover(cfg, &err);

	if (*text) {
		assert_null(u);
		assert_has(err.text, text);
		assert_int_equal(kernel.closed, kernel.opened);
		return;
	}
	assert_non_null(u);
	assert_true(u->is_recovery);
	assert_true(u->is_in_kernel);
	ublk_dev_close(u);
}

static unsigned begun(void)
{
	return kernel.calls[UBLK_CMD_START_USER_RECOVERY];
}

static void device_that_is_what_it_was_is_taken_over(void **state)
{
	struct ublk_config cfg = device_new();

	recovers(&cfg, "");
	assert_int_equal(begun(), 1);
}

static void device_that_differs_is_left_untouched(void **state)
{
	struct ublk_config cfg;

#define DIFFERS(change, text)                                                                      \
	do {                                                                                       \
		cfg = device_new();                                                                \
		change;                                                                            \
		recovers(&cfg, text);                                                              \
		assert_int_equal(begun(), 0);                                                      \
	} while (0)
	DIFFERS(kernel.info_rc = -ENODEV, "is gone");
	DIFFERS(kernel.info_rc = -EPERM, "asking for ublk device 3");
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
	struct ublk_config cfg = device_new();

	kernel.busy = 5;
	recovers(&cfg, "");
	assert_int_equal(begun(), 6);
	assert_int_equal(now_us, 1000000 + 5 * UBLK_RECOVER_US_STEP);
}

static void kernel_that_is_never_ready_is_not_waited_for_for_ever(void **state)
{
	struct ublk_config cfg = device_new();

	kernel.busy = UINT32_MAX;
	recovers(&cfg, "the kernel has not released");
	assert_between(now_us, 1000000 + UBLK_RECOVER_US_MAX,
		1000000 + UBLK_RECOVER_US_MAX + UBLK_RECOVER_US_STEP);
}

static void process_that_lives_is_named(void **state)
{
	struct ublk_config cfg = device_new();
	char text[64];

	kernel.busy = UINT32_MAX;
	kernel.info.ublksrv_pid = getpid();
	snprintf(text, sizeof(text), "served by process %d", getpid());
	recovers(&cfg, text);
}

static void recovery_another_daemon_began_goes_on(void **state)
{
	struct ublk_config cfg = device_new();

	kernel.begin_rc = -EINVAL;
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
		device_new();
		kernel.info.state = (uint16_t)cases[i].state;
		kernel.info.ublksrv_pid = cases[i].lives ? getpid() : PID_DEAD;
		assert_int_equal(ublk_look(DEV_ID, &look, NULL), 0);
		assert_int_equal(look.is_served, cases[i].is_served);
		assert_int_equal(look.is_held, cases[i].is_held);
		assert_int_equal(look.is_started, cases[i].is_started);
		assert_int_equal(kernel.closed, 1);
	}
	kernel.info_rc = -ENODEV;
	assert_int_equal(ublk_look(DEV_ID, &look, NULL), -ENODEV);
}

static void device_is_stopped_before_it_is_deleted(void **state)
{
	struct error err = {""};

	device_new();
	assert_int_equal(ublk_delete(DEV_ID, &err), 0);
	assert_int_equal(kernel.calls[UBLK_CMD_STOP_DEV], 1);
	assert_int_equal(kernel.calls[UBLK_CMD_DEL_DEV], 1);
	assert_int_equal(kernel.last, UBLK_CMD_DEL_DEV);
	device_new();
	kernel.stop_rc = -EIO;
	assert_int_equal(ublk_delete(DEV_ID, &err), -EIO);
	assert_int_equal(kernel.calls[UBLK_CMD_DEL_DEV], 0);
	assert_int_equal(kernel.closed, 1);
}

static void device_that_is_served_is_not_deleted(void **state)
{
	struct error err = {""};

	device_new();
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
