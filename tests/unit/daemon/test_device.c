/*
 * test_device.c - attach and detach end, whatever goes wrong and at whichever step
 *
 * Each row of the matrix brings a device to a step, breaks one thing there for good, and lets
 * time pass. The claim is the same for all: an answer comes once and within the sum of the
 * steps' deadlines; when what was broken works again the slot is free, nothing is left of the
 * device, and the name can be attached again.
 */
#include "tests/unit/daemon/engine_world.h"

/* Of all steps together: connecting, spreading, adding, two of starting, stopping, draining,
 * deleting. */
#define ANSWER_US (115 * SECOND_US)
#define MENDED_US (60 * SECOND_US)

enum step {
	AT_CONNECT,
	AT_SPREAD,
	AT_ADD,
	AT_FRONT,
	AT_START,
	AT_SERVE,
	AT_STOP,
	AT_DRAIN,
	AT_DELETE,
	STEP_COUNT
};
enum fault { RING_FULL, WORKER_MUTE, EVENTS_LOST, KERNEL_REFUSES, KERNEL_SILENT, FAULT_COUNT };

static const char *const step_names[] = {
	"connect", "spread", "add", "front", "start", "serve", "stop", "drain", "delete"};
static const char *const fault_names[] = {"a full command ring", "a worker that never answers",
	"lost events", "a kernel that refuses", "a kernel that is silent"};

/* ---- the rows ---- */

static void is_add(bool *out)
{
	*out = fake_ublk_last && !fake_ublk_is_added(fake_ublk_last);
}

static void is_front(bool *out)
{
	*out = fake_ublk_last && fake_ublk_is_added(fake_ublk_last) &&
	       !fake_ublk_is_starting(fake_ublk_last);
}

static void is_delete(bool *out)
{
	*out = fake_ublk_last && fake_ublk_is_going(fake_ublk_last);
}

static void is_start(bool *out)
{
	*out = fake_ublk_last && fake_ublk_is_starting(fake_ublk_last);
}

static void run_until(void (*is_there)(bool *out))
{
	bool is_it = false;

	for (unsigned i = 0; i < 1000 && !is_it; i++) {
		world_run(TURN_US);
		is_there(&is_it);
	}
	assert_true(is_it);
}

/* Brings a device of two channels to @step; the answer under way goes to @a. */
static void step_reach(enum step step, const struct config_volume *v, struct answer *a)
{
	if (step >= AT_SERVE) {
		world_serve(v, FRONT_UBLK);
		if (step == AT_SERVE)
			return; /* the detach comes after the fault */
		fake_kernel.destroy_us = step == AT_DELETE ? SECOND_US : 0;
		assert_int_equal(world_detach(VOLUME, false, a), 0);
		if (step == AT_DRAIN)
			assert_true(world_until("draining", SECOND_US));
		if (step == AT_DELETE)
			run_until(is_delete);
		return;
	}
	fake_kernel.make_us = step == AT_ADD ? SECOND_US : 0;
	assert_int_equal(world_attach(v, FRONT_UBLK, a), 0);
	if (step == AT_SPREAD)
		assert_true(world_until("spreading", SECOND_US));
	else if (step == AT_ADD)
		run_until(is_add);
	else if (step == AT_FRONT)
		run_until(is_front);
	else if (step == AT_START)
		run_until(is_start);
}

static void fault_set(enum fault fault, bool is_on)
{
	for (unsigned i = 0; i < fake_worker_count; i++) {
		fake_workers[i]->room = fault == RING_FULL && is_on ? 0 : FAKE_RING_MAX;
		fake_workers[i]->is_mute = fault == WORKER_MUTE && is_on;
		fake_workers[i]->is_losing_events = fault == EVENTS_LOST && is_on;
	}
	fake_kernel = (struct fake_kernel){.scheduler = "none"};
	if (!is_on)
		return;
	if (fault == KERNEL_REFUSES) {
		fake_kernel.create_rc = -EPERM;
		fake_kernel.start_rc = fake_kernel.start_submit_rc = -EIO;
		fake_kernel.stop_submit_rc = -EAGAIN;
		fake_kernel.stop_rc = -EIO;
		fake_kernel.destroy_rc = -EBUSY;
	}
	if (fault == KERNEL_SILENT) {
		fake_kernel.is_start_silent = fake_kernel.is_stop_silent = true;
		fake_kernel.make_us = fake_kernel.destroy_us = UINT64_MAX;
	}
}

static void row(enum step step, enum fault fault)
{
	const struct config_volume v = world_volume(VOLUME, 2);
	struct takings before;
	struct answer a = {0};

	world_takings(&before);
	step_reach(step, &v, &a);
	fault_set(fault, true);
	if (step == AT_SERVE)
		assert_int_equal(world_detach(VOLUME, false, &a), 0);
	if (!world_answers(&a, ANSWER_US))
		fail_msg("%s at %s: no answer; it is %s", fault_names[fault], step_names[step],
			world_step());
	world_run(ANSWER_US); /* whatever else comes of it */
	fault_set(fault, false);
	if (strcmp(world_step(), "serving") == 0 && step < AT_SERVE) {
		assert_int_equal(a.rc, 0);
		assert_int_equal(a.calls, 1);
		assert_int_equal(world_detach(VOLUME, false, &a), 0);
	}
	if (!world_until("", MENDED_US))
		fail_msg("%s at %s: the slot is not free; it is %s", fault_names[fault],
			step_names[step], world_step());
	assert_int_equal(a.calls, 1);
	fake_ublk_kernel_ends();
	world_assert_same(&before);
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	assert_true(world_until("", MENDED_US));
	assert_int_equal(a.rc, 0);
}

static void rows(enum fault fault)
{
	world_make(2);
	for (enum step step = AT_CONNECT; step < STEP_COUNT; step++)
		row(step, fault);
}

static void full_command_ring_at_any_step_ends_in_time_and_leaves_nothing(void **state)
{
	rows(RING_FULL);
}

static void mute_worker_at_any_step_ends_in_time_and_leaves_nothing(void **state)
{
	rows(WORKER_MUTE);
}

static void lost_events_at_any_step_cost_nothing(void **state)
{
	rows(EVENTS_LOST);
}

static void kernel_that_refuses_at_any_step_ends_in_time_and_leaves_nothing(void **state)
{
	rows(KERNEL_REFUSES);
}

static void kernel_that_is_silent_at_any_step_ends_in_time_and_leaves_nothing(void **state)
{
	rows(KERNEL_SILENT);
}

/* ---- what the answers say ---- */

static void attach_answers_with_the_path_of_the_device(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 2);
	struct answer a;

	world_make(2);
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
	assert_string_equal(a.device, "/dev/ublkb0");
	assert_string_equal(world_step(), "serving");
	assert_int_equal(fake_ublk_config(fake_ublk_last)->queues, 2);
}

/* The answer comes at the deadline; the memory is kept until the worker has let go of it. */
static void worker_that_never_answers_keeps_the_volume_until_it_does(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a, second;

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_workers[0]->is_mute = true;
	assert_int_equal(world_detach(VOLUME, true, &a), 0);
	assert_true(world_answers(&a, ANSWER_US));
	assert_int_equal(a.rc, -ETIMEDOUT);
	assert_non_null(strstr(a.error.text, VOLUME));
	assert_string_equal(world_step(), "draining");
	assert_int_equal(fake_volumes_alive, 1);
	assert_int_equal(world_attach(&v, FRONT_UBLK, &second), -EEXIST);
	assert_int_equal(world_detach(VOLUME, true, &second), -EALREADY);
	fake_workers[0]->is_mute = false;
	assert_true(world_until("", MENDED_US));
	assert_int_equal(a.calls, 1);
}

static void attach_whose_worker_does_not_start_the_front_end_times_out(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	run_until(is_front);
	fake_workers[0]->is_mute = true;
	assert_true(world_answers(&a, ANSWER_US));
	assert_int_equal(a.rc, -ETIMEDOUT);
	assert_non_null(strstr(a.error.text, "worker"));
}

static void server_that_is_silent_is_named_at_the_deadline(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	fake_server.is_silent = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	world_run(ATTACH_MS * 1000 - SECOND_US);
	assert_int_equal(a.calls, 0);
	assert_true(world_answers(&a, 2 * SECOND_US));
	assert_int_equal(a.rc, -ETIMEDOUT);
	assert_non_null(strstr(a.error.text, "192.0.2.1:10809 does not answer"));
	assert_true(world_until("", SECOND_US));
}

static void server_that_refuses_ends_the_attach_with_its_reason(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	fake_server.is_refusing = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, -ECONNABORTED);
	assert_non_null(strstr(a.error.text, "the export does not exist"));
	assert_string_equal(world_step(), "");
}

/* The kernel may still write to what it was given: that memory is nobody else's. */
static void buffers_of_a_device_the_kernel_keeps_are_not_used_again(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_kernel.is_stop_silent = true;
	assert_int_equal(world_detach(VOLUME, true, &a), 0);
	assert_true(world_answers(&a, ANSWER_US));
	assert_string_equal(world_step(), "");
	assert_int_equal(fake_ublks_stuck, 1);
	world_run(SECOND_US);
	assert_int_equal(fake_dma_alive, 1);
}

static void stop_that_the_kernel_does_not_take_at_first_is_asked_again(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_kernel.stop_submit_rc = -EAGAIN;
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	world_run(SECOND_US);
	assert_string_equal(world_step(), "stopping");
	fake_kernel.stop_submit_rc = 0;
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
	assert_int_equal(fake_ublks_stuck, 0);
}

/* ---- who may be detached ---- */

static void device_in_use_is_detached_by_force_only(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_kernel.is_open = true;
	assert_int_equal(world_detach(VOLUME, false, &a), -EBUSY);
	assert_string_equal(world_step(), "serving");
	fake_server.in_flight = 0;
	assert_int_equal(world_detach(VOLUME, true, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
}

static void active_swap_is_detached_by_a_consent_of_its_own_only(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_kernel.is_open = fake_kernel.is_swap = true;
	assert_int_equal(world_detach(VOLUME, ENGINE_DETACH_UNUSED, &a), -EBUSY);
	assert_int_equal(world_detach(VOLUME, ENGINE_DETACH_FORCE, &a), -EBUSY);
	assert_string_equal(world_step(), "serving");
	assert_int_equal(world_detach(VOLUME, ENGINE_DETACH_LOSE_SWAP, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
}

/* umount -l, a second device of a btrfs: no table shows it, and the claim fails. */
static void device_that_only_the_kernel_knows_to_be_used_stays(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_kernel.is_claimed = true;
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, -EBUSY);
	assert_non_null(strstr(a.error.text, "in use (claimed)"));
	assert_string_equal(world_step(), "serving");
	engine_leave_all(world, false);
	engine_detach_all(world, false);
	assert_true(world_until("", MENDED_US));
	assert_int_equal(fake_ublks_left, 1);
	assert_int_equal(fake_ublks_stops, 0);
	assert_int_equal(fake_asks_alive, 0);
}

static void device_nobody_can_tell_of_in_time_stays(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_kernel.is_ask_silent = true;
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	world_run(4 * SECOND_US);
	assert_int_equal(a.calls, 0);
	assert_true(world_answers(&a, 2 * SECOND_US));
	assert_int_equal(a.rc, -EBUSY);
	assert_string_equal(world_step(), "serving");
	assert_int_equal(fake_asks_alive, 0);
	fake_kernel.is_ask_silent = false;
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
}

/* The claim keeps others away until the device is gone. */
static void claim_is_held_until_the_device_is_stopped(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	fake_server.in_flight = 3;
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	world_run(SECOND_US);
	assert_string_equal(world_step(), "stopping");
	assert_int_equal(fake_asks_alive, 1);
	fake_server.in_flight = 0;
	engine_detach_all(world, true);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(fake_asks_alive, 0);
}

static void kernel_with_try_stop_decides(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	fake_kernel.has_try_stop = true;
	fake_kernel.try_rc = -EBUSY;
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	assert_true(world_answers(&a, 2 * SECOND_US));
	assert_int_equal(a.rc, -EBUSY);
	assert_string_equal(world_step(), "serving");
	assert_int_equal(fake_ublks_stops, 0);
	/* What has it open for a moment gets the time to let go. */
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	world_run(SECOND_US / 2);
	fake_kernel.try_rc = 0;
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
}

/* TRY_STOP_DEV cannot be taken back: it is awaited, and force goes past it. */
static void try_stop_without_an_answer_is_told_and_awaited(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	fake_kernel.has_try_stop = fake_kernel.is_try_silent = true;
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	assert_true(world_answers(&a, 6 * SECOND_US));
	assert_int_equal(a.rc, -EBUSY);
	world_run(60 * SECOND_US);
	assert_string_equal(world_step(), "serving");
	assert_int_equal(world_detach(VOLUME, false, &a), -EALREADY);
	assert_int_equal(world_detach(VOLUME, true, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
}

static void forced_detach_fails_what_a_dead_server_holds(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct volume *volume;
	struct answer a;

	world_make(1);
	fake_server.in_flight = 3;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	volume = fake_volume(fake_workers[0], 0);
	assert_int_equal(world_detach(VOLUME, true, &a), 0);
	world_run(TURN_US);
	assert_true(fake_volume_was_failed(volume));
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
}

static void name_that_is_not_there_and_name_that_is_are_refused(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	assert_int_equal(world_detach(VOLUME, false, &a), -ENOENT);
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), -EEXIST);
	assert_int_equal(engine_device_count(world), 1);
}

/* ---- the end of the daemon ---- */

static void devices_in_use_are_left_and_the_others_go(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_kernel.is_open = true;
	engine_leave_all(world, false);
	assert_true(world_until("", MENDED_US));
	assert_int_equal(fake_ublks_left, 1);
	assert_int_equal(fake_ublks_stops, 0);
	assert_int_equal(fake_workers[0]->carried[WORKER_VOLUME_LEAVE], 1);
	fake_kernel.is_open = false;
	world_serve(&v, FRONT_UBLK);
	engine_leave_all(world, false);
	assert_string_equal(world_step(), "serving");
	engine_detach_all(world, false);
	assert_true(world_until("", MENDED_US));
	assert_int_equal(fake_ublks_left, 1);
}

static void end_of_the_daemon_ends_an_attach_under_way(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	fake_server.is_silent = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	world_run(SECOND_US);
	engine_detach_all(world, false);
	assert_true(world_until("", SECOND_US));
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.rc, -ECANCELED);
}

/* Its server is dead, so the kernel's STOP_DEV waits for what is in flight. */
static void forced_end_reaches_devices_that_are_being_detached(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);

	world_make(1);
	fake_server.in_flight = 3;
	world_serve(&v, FRONT_UBLK);
	engine_detach_all(world, false);
	world_run(SECOND_US);
	assert_string_equal(world_step(), "stopping");
	engine_detach_all(world, true);
	assert_true(world_until("", SECOND_US));
	assert_int_equal(fake_ublks_stuck, 0);
}

static void forced_end_reaches_devices_that_are_being_left(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_kernel.is_open = true;
	fake_workers[0]->room = 0;
	engine_leave_all(world, false);
	engine_detach_all(world, true);
	fake_workers[0]->room = FAKE_RING_MAX;
	world_run(2 * TURN_US);
	assert_int_equal(fake_workers[0]->last[WORKER_VOLUME_LEAVE].n, 0);
	assert_true(world_until("", SECOND_US));
	assert_int_equal(fake_ublks_left, 1);
	assert_int_equal(fake_workers[0]->carried[WORKER_VOLUME_STOP], 0);
}

/* A server that needs 3 s for each of the first requests. */
static void answer_slowly(uint64_t us)
{
	for (uint64_t i = 0; i < us; i += 3 * SECOND_US) {
		world_run(3 * SECOND_US);
		fake_server.heard_us = virtual_us;
	}
}

static void attach_waits_while_a_slow_server_answers_the_kernels_first_reads(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a = {0};

	world_make(1);
	fake_server.in_flight = 1;
	fake_kernel.is_start_silent = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	answer_slowly(90 * SECOND_US);
	assert_string_equal(world_step(), "starting");
	assert_int_equal(a.calls, 0);
	fake_kernel.is_start_silent = false;
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
	fake_server.in_flight = 0;
}

static void attach_ends_when_the_kernels_first_reads_are_not_answered(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a = {0};

	world_make(1);
	fake_server.in_flight = 1;
	fake_kernel.is_start_silent = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	world_run(55 * SECOND_US);
	assert_string_equal(world_step(), "starting");
	world_run(10 * SECOND_US);
	assert_string_not_equal(world_step(), "starting");
	fake_server.in_flight = 0;
	assert_true(world_answers(&a, ANSWER_US));
	assert_int_equal(a.rc, -ETIMEDOUT);
	assert_non_null(strstr(a.error.text, "did not answer the kernel's first requests"));
}

static void detach_waits_while_a_slow_server_answers_what_is_in_flight(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a = {0};

	world_make(1);
	fake_server.in_flight = 3;
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	answer_slowly(90 * SECOND_US);
	assert_string_equal(world_step(), "stopping");
	assert_int_equal(a.calls, 0);
	world_run(65 * SECOND_US);
	assert_string_not_equal(world_step(), "stopping");
	fake_server.in_flight = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(full_command_ring_at_any_step_ends_in_time_and_leaves_nothing),
		world_test(mute_worker_at_any_step_ends_in_time_and_leaves_nothing),
		world_test(lost_events_at_any_step_cost_nothing),
		world_test(kernel_that_refuses_at_any_step_ends_in_time_and_leaves_nothing),
		world_test(kernel_that_is_silent_at_any_step_ends_in_time_and_leaves_nothing),
		world_test(attach_answers_with_the_path_of_the_device),
		world_test(attach_waits_while_a_slow_server_answers_the_kernels_first_reads),
		world_test(attach_ends_when_the_kernels_first_reads_are_not_answered),
		world_test(detach_waits_while_a_slow_server_answers_what_is_in_flight),
		world_test(worker_that_never_answers_keeps_the_volume_until_it_does),
		world_test(attach_whose_worker_does_not_start_the_front_end_times_out),
		world_test(server_that_is_silent_is_named_at_the_deadline),
		world_test(server_that_refuses_ends_the_attach_with_its_reason),
		world_test(buffers_of_a_device_the_kernel_keeps_are_not_used_again),
		world_test(stop_that_the_kernel_does_not_take_at_first_is_asked_again),
		world_test(device_in_use_is_detached_by_force_only),
		world_test(active_swap_is_detached_by_a_consent_of_its_own_only),
		world_test(device_that_only_the_kernel_knows_to_be_used_stays),
		world_test(device_nobody_can_tell_of_in_time_stays),
		world_test(claim_is_held_until_the_device_is_stopped),
		world_test(kernel_with_try_stop_decides),
		world_test(try_stop_without_an_answer_is_told_and_awaited),
		world_test(forced_detach_fails_what_a_dead_server_holds),
		world_test(name_that_is_not_there_and_name_that_is_are_refused),
		world_test(devices_in_use_are_left_and_the_others_go),
		world_test(end_of_the_daemon_ends_an_attach_under_way),
		world_test(forced_end_reaches_devices_that_are_being_detached),
		world_test(forced_end_reaches_devices_that_are_being_left),
	};

	return cmocka_run_group_tests(tests, eal_world_start, eal_world_stop);
}
