/*
 * test_ublk_make.c - a device comes and goes one control command at a time, and nothing waits
 *
 * Each command in turn is refused, never answered, or answered when its caller has given up. The
 * claims: an answer within the command's deadline, no device left in the kernel that nobody
 * serves, no memory given back that the kernel may still write to, and none kept for ever.
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include "tests/unit/between.h"
#include "tests/unit/nbd_client/fake_ublk_kernel.h"

#define DEADLINE_US (UBLK_CTL_US_MAX + UBLK_CANCEL_US_MAX)
#define SLACK_US    50000

static const uint8_t make_steps[] = {UBLK_CMD_ADD_DEV, UBLK_CMD_SET_PARAMS};
static const uint8_t recover_steps[] = {
	UBLK_CMD_GET_DEV_INFO, UBLK_CMD_GET_PARAMS, UBLK_CMD_START_USER_RECOVERY};

static struct ublk *created(const struct ublk_config *cfg)
{
	struct error err = {""};
	uint64_t begin_us = fake_now_us;
	struct ublk *u = ublk_create(cfg, &err);

	assert_non_null(u);
	assert_int_equal(fake_now_us, begin_us);
	return u;
}

/* Ends @u. Out: what the end of it answered. */
static int destroyed(struct ublk *u)
{
	struct error err = {""};

	assert_int_equal(ublk_destroy(u, &err), 0);
	return fake_ublk_until(u, ublk_destroy_poll, 3 * DEADLINE_US, &err);
}

/* Nothing is left but, with @is_late, what the kernel still has. */
static void nothing_is_left(bool is_late)
{
	ublk_late_poll();
	assert_int_equal(kernel.opened - kernel.closed, is_late);
	if (!is_late)
		assert_int_equal(kernel.devices, 0);
}

static void device_is_made_and_deleted(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	struct error err = {""};
	struct ublk *u;

	cfg.dev_id = -1;
	u = created(&cfg);
	assert_int_equal(kernel.calls[UBLK_CMD_SET_PARAMS], 0);
	assert_int_equal(fake_ublk_until(u, ublk_make_poll, SLACK_US, &err), 0);
	assert_int_equal(u->info.dev_id, DEV_ID);
	assert_int_equal(kernel.calls[UBLK_CMD_SET_PARAMS], 1);
	assert_int_equal(ublk_make_poll(u, &err), 0); /* … and stays so */
	assert_int_equal(destroyed(u), 0);
	nothing_is_left(false);
}

static void command_that_takes_its_time_is_waited_for_by_polls(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	struct error err = {""};
	struct ublk *u;

	for (unsigned i = 0; i < 2; i++)
		kernel.late_us[make_steps[i]] = 3000000;
	kernel.late_us[UBLK_CMD_DEL_DEV] = 3000000;
	u = created(&cfg);
	assert_int_equal(ublk_make_poll(u, &err), -EAGAIN);
	assert_int_equal(fake_ublk_until(u, ublk_make_poll, 7000000, &err), 0);
	assert_true(fake_now_us >= 1000000 + 6000000);
	assert_int_equal(destroyed(u), 0);
	nothing_is_left(false);
}

static void refusal_at_each_step_leaves_nothing(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ublk_config cfg = fake_ublk_kernel_reset();
		struct error err = {""};
		struct ublk *u = created(&cfg);

		kernel.rc[make_steps[i]] = -EPERM;
		assert_int_equal(fake_ublk_until(u, ublk_make_poll, SLACK_US, &err), -EPERM);
		assert_has(err.text, i ? "SET_PARAMS" : "run as root");
		assert_int_equal(destroyed(u), 0);
		assert_int_equal(kernel.calls[UBLK_CMD_DEL_DEV], i);
		nothing_is_left(false);
	}
}

static void device_whose_path_is_taken_is_deleted(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	struct error err = {""};
	struct ublk *u = created(&cfg);

	kernel.node_rc = -EEXIST;
	assert_int_equal(fake_ublk_until(u, ublk_make_poll, SLACK_US, &err), -EEXIST);
	assert_int_equal(kernel.calls[UBLK_CMD_SET_PARAMS], 0);
	assert_int_equal(destroyed(u), 0);
	nothing_is_left(false);
}

static void device_without_queues_is_deleted(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	struct error err = {""};
	struct ublk *u = created(&cfg);

	kernel.queues_rc = -ENOENT;
	assert_int_equal(fake_ublk_until(u, ublk_make_poll, SLACK_US, &err), -ENOENT);
	assert_int_equal(destroyed(u), 0);
	nothing_is_left(false);
}

static void silence_at_each_step_ends_at_the_deadline(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ublk_config cfg = fake_ublk_kernel_reset();
		struct error err = {""};
		struct ublk *u = created(&cfg);
		uint64_t begin_us = fake_now_us;

		kernel.late_us[make_steps[i]] = NEVER_US;
		fake_ublk_kernel_answer();
		kernel.is_uncancellable = true;
		if (i == 0) { /* submitted already: once more, and silent */
			assert_int_equal(destroyed(u), 0);
			u = created(&cfg);
		}
		assert_int_equal(
			fake_ublk_until(u, ublk_make_poll, 2 * DEADLINE_US, &err), -ETIMEDOUT);
		assert_between(
			fake_now_us, begin_us + UBLK_CTL_US_MAX, begin_us + DEADLINE_US + SLACK_US);
		assert_int_equal(destroyed(u), 0);
		nothing_is_left(true);
		fake_ublk_kernel_answer();
		for (unsigned k = 0; k < 3; k++)
			ublk_late_poll();
		nothing_is_left(false);
	}
}

/* Nobody waits for it any more, and nobody would serve it. */
static void device_that_is_added_too_late_is_deleted(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	struct error err = {""};
	struct ublk *u;

	kernel.late_us[UBLK_CMD_ADD_DEV] = NEVER_US;
	kernel.is_uncancellable = true;
	u = created(&cfg);
	assert_int_equal(fake_ublk_until(u, ublk_make_poll, 2 * DEADLINE_US, &err), -ETIMEDOUT);
	assert_int_equal(destroyed(u), 0);
	assert_int_equal(kernel.devices, 0);
	fake_ublk_kernel_answer();
	assert_int_equal(kernel.devices, 1);
	ublk_late_poll();
	assert_int_equal(kernel.calls[UBLK_CMD_DEL_DEV], 1);
	ublk_late_poll();
	nothing_is_left(false);
}

/* The attach was given up while ADD_DEV was under way, and the cancel came too late. */
static void device_that_is_given_up_while_it_is_added_is_deleted(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	struct ublk *u;

	kernel.late_us[UBLK_CMD_ADD_DEV] = 100000;
	kernel.is_uncancellable = true;
	u = created(&cfg);
	assert_int_equal(destroyed(u), 0);
	assert_int_equal(kernel.calls[UBLK_CMD_DEL_DEV], 1);
	nothing_is_left(false);
}

static void cancelled_add_leaves_nothing_to_delete(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	struct ublk *u;

	kernel.late_us[UBLK_CMD_ADD_DEV] = NEVER_US;
	u = created(&cfg);
	assert_int_equal(destroyed(u), 0);
	assert_int_equal(kernel.calls[UBLK_CMD_DEL_DEV], 0);
	nothing_is_left(false);
}

static void delete_that_is_never_answered_says_so_and_keeps_its_memory(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	struct error err = {""};
	struct ublk *u = created(&cfg);
	uint64_t begin_us;

	assert_int_equal(fake_ublk_until(u, ublk_make_poll, SLACK_US, &err), 0);
	kernel.late_us[UBLK_CMD_DEL_DEV] = NEVER_US;
	kernel.is_uncancellable = true;
	begin_us = fake_now_us;
	assert_int_equal(destroyed(u), -ETIMEDOUT);
	assert_between(fake_now_us, begin_us + UBLK_CTL_US_MAX, begin_us + DEADLINE_US + SLACK_US);
	nothing_is_left(true);
	fake_ublk_kernel_answer();
	nothing_is_left(false);
}

static void device_whose_queue_runs_stays(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	struct error err = {""};
	struct ublk *u = created(&cfg);

	assert_int_equal(fake_ublk_until(u, ublk_make_poll, SLACK_US, &err), 0);
	kernel.is_queue_running = true;
	assert_int_equal(ublk_destroy(u, &err), -EBUSY);
	assert_has(err.text, "remains");
	assert_int_equal(kernel.calls[UBLK_CMD_DEL_DEV], 0);
	kernel.is_queue_running = false; /* the process ends */
	assert_int_equal(destroyed(u), 0);
}

static void feature_that_was_dropped_is_seen(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	struct error err = {""};
	struct ublk *u;

	kernel.clear_flags = UBLK_F_USER_RECOVERY;
	u = created(&cfg);
	assert_int_equal(fake_ublk_until(u, ublk_make_poll, SLACK_US, &err), -EOPNOTSUPP);
	assert_int_equal(destroyed(u), 0);
	nothing_is_left(false);
}

/* A device that waits for a daemon has somebody's data in flight: it is not deleted, whatever goes
 * wrong. */
static void takeover_that_fails_at_any_step_deletes_nothing(void **state)
{
	static const uint64_t late[] = {0, NEVER_US};

	for (unsigned i = 0; i < 2 * 3; i++) {
		struct ublk_config cfg = fake_ublk_kernel_reset();
		struct error err = {""};
		struct ublk *u;

		kernel.is_uncancellable = true;
		kernel.late_us[recover_steps[i / 2]] = late[i % 2];
		kernel.rc[recover_steps[i / 2]] = i % 2 ? 0 : -EIO;
		u = ublk_recover(&cfg, &err);
		assert_non_null(u);
		assert_int_equal(fake_ublk_until(u, ublk_make_poll, 2 * DEADLINE_US, &err),
			i % 2 ? -ETIMEDOUT : -EIO);
		assert_int_equal(destroyed(u), 0);
		nothing_is_left(i % 2);
		fake_ublk_kernel_answer();
		ublk_late_poll();
		nothing_is_left(false);
		assert_int_equal(kernel.calls[UBLK_CMD_DEL_DEV], 0);
	}
}

static void driver_that_answers_nothing_gets_no_more_devices(void **state)
{
	struct ublk_config cfg = fake_ublk_kernel_reset();
	struct error err = {""};
	struct ublk *u;
	unsigned n = 0;

	kernel.late_us[UBLK_CMD_ADD_DEV] = NEVER_US;
	kernel.is_uncancellable = true;
	while ((u = ublk_create(&cfg, &err)) != NULL) {
		assert_true(n++ < UBLK_LATE_MAX);
		assert_int_equal(destroyed(u), 0);
	}
	assert_has(err.text, "has not answered");
	assert_int_equal(n, UBLK_LATE_MAX - VOLUME_MAX);
	assert_int_equal(ublk_late_check(&err), -EBUSY);
	fake_ublk_kernel_answer();
	for (unsigned k = 0; k < 3; k++)
		ublk_late_poll();
	nothing_is_left(false);
	assert_int_equal(ublk_late_check(&err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_is_made_and_deleted),
		cmocka_unit_test(command_that_takes_its_time_is_waited_for_by_polls),
		cmocka_unit_test(refusal_at_each_step_leaves_nothing),
		cmocka_unit_test(device_whose_path_is_taken_is_deleted),
		cmocka_unit_test(device_without_queues_is_deleted),
		cmocka_unit_test(silence_at_each_step_ends_at_the_deadline),
		cmocka_unit_test(device_that_is_added_too_late_is_deleted),
		cmocka_unit_test(device_that_is_given_up_while_it_is_added_is_deleted),
		cmocka_unit_test(cancelled_add_leaves_nothing_to_delete),
		cmocka_unit_test(delete_that_is_never_answered_says_so_and_keeps_its_memory),
		cmocka_unit_test(device_whose_queue_runs_stays),
		cmocka_unit_test(feature_that_was_dropped_is_seen),
		cmocka_unit_test(takeover_that_fails_at_any_step_deletes_nothing),
		cmocka_unit_test(driver_that_answers_nothing_gets_no_more_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
