/*
 * test_device_ublk.c - a block device as it is made, taken over, left, and watched
 *
 * The kernel is the test's own; the state files are the real ones.
 */
#include "tests/unit/daemon/engine_world.h"

static struct device_info info;

static const struct device_info *first(void)
{
	assert_int_equal(engine_device_list(world, &info, 1), 1);
	return &info;
}

static bool has_state_file(int dev_id, struct ublk_state *s)
{
	struct error err;

	return ublk_state_read(world_cfg.run_dir, dev_id, s, &err) == 0;
}

/* A device that an earlier daemon left. */
static struct ublk_state left_behind(unsigned queues)
{
	return (struct ublk_state){.dev_id = 5,
		.queues = (uint16_t)queues,
		.queue_depth = 16,
		.io_bytes_max = 128 << 10,
		.limits = fake_server.limits,
		.volume = world_volume(VOLUME, queues)};
}

static int take_over(const struct ublk_state *left, struct answer *a)
{
	const struct engine_attach how = {.volume = &left->volume,
		.front = FRONT_UBLK,
		.recover = left,
		.deadline_ms = ATTACH_MS,
		.done = world_on_answer,
		.arg = a};

	*a = (struct answer){0};
	return engine_attach(world, &how, &a->error);
}

/* ---- making ---- */

static void state_file_is_there_before_the_device_starts_and_until_it_is_deleted(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct ublk_state s;
	struct answer a;

	world_make(1);
	fake_kernel.is_start_silent = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	world_run(SECOND_US);
	assert_true(fake_ublk_is_starting(fake_ublk_last));
	assert_true(has_state_file(0, &s));
	assert_string_equal(s.volume.name, VOLUME);
	assert_int_equal(s.queue_depth, v.queue_depth);
	assert_int_equal(s.queues, 1);
	fake_kernel.is_start_silent = false;
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	assert_true(world_until("", SECOND_US));
	assert_false(has_state_file(0, &s));
}

static void device_takes_no_larger_request_than_file_and_server_allow(void **state)
{
	struct config_volume v = world_volume(VOLUME, 1);

	world_make(1);
	fake_server.limits.io_bytes_max = (32 << 10) + 512; /* no whole number of pages */
	world_serve(&v, FRONT_UBLK);
	assert_int_equal(fake_ublk_config(fake_ublk_last)->io_bytes_max, 32 << 10);
	assert_int_equal(
		fake_ublk_config(fake_ublk_last)->buf[0]->bytes, v.queue_depth * (32 << 10));
	assert_true(fake_ublk_config(fake_ublk_last)->is_recoverable);
}

static void server_that_takes_less_than_a_page_is_refused_by_its_limit(void **state)
{
	struct config_volume v = world_volume(VOLUME, 1);
	struct takings before;
	struct answer a;

	world_make(1);
	world_takings(&before);
	fake_server.limits.io_bytes_max = 2048;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, -EINVAL);
	assert_non_null(strstr(a.error.text, "at most 2048 bytes"));
	assert_true(world_until("", SECOND_US));
	world_assert_same(&before);
}

static void user_copy_has_staging_of_its_own_and_none_in_the_kernel(void **state)
{
	struct config_volume v = world_volume(VOLUME, 1);

	world_make(1);
	v.copy = COPY_USER;
	world_serve(&v, FRONT_UBLK);
	assert_true(first()->is_user_copy);
	assert_null(fake_ublk_config(fake_ublk_last)->buf[0]);
	assert_true(fake_ublk_config(fake_ublk_last)->user_copy);
	assert_int_equal(fake_dma_alive, 1);
	assert_int_equal(first()->staging_bytes, 4 << 20);
}

static void kernel_without_ublk_refuses_the_attach_at_once(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	fake_kernel.features_rc = -ENOENT;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), -ENOENT);
	assert_non_null(strstr(a.error.text, "modprobe"));
	assert_string_equal(world_step(), "");
}

static void staging_that_is_not_there_ends_the_attach_and_leaves_nothing(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 2);
	struct takings before;
	struct answer a;

	world_make(2);
	world_takings(&before);
	fake_dma_room = 1; /* for the first of two */
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, -ENOMEM);
	assert_true(world_until("", SECOND_US));
	world_assert_same(&before);
}

/* And whoever asked hears that the kernel has it still. */
static void device_that_is_not_deleted_is_gone_for_us_only(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_kernel.destroy_rc = -ETIMEDOUT;
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, -ETIMEDOUT);
	assert_non_null(strstr(a.error.text, "deleting /dev/ublkb0"));
	assert_string_equal(world_step(), "");
}

static void device_with_a_plain_file_at_its_path_is_never_ready(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct takings before;
	struct answer a;

	world_make(1);
	world_takings(&before);
	fake_kernel.node_rc = -EEXIST;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, -EEXIST);
	assert_non_null(strstr(a.error.text, "a plain file"));
	assert_string_equal(world_step(), "");
	world_assert_same(&before);
}

/* ---- taking over ---- */

static void device_taken_over_keeps_its_number_depth_and_size(void **state)
{
	struct ublk_state left;
	struct answer a;

	world_make(2);
	left = left_behind(2);
	assert_int_equal(take_over(&left, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
	assert_string_equal(a.device, "/dev/ublkb5");
	assert_int_equal(fake_ublk_config(fake_ublk_last)->queue_depth, 16);
	assert_int_equal(fake_ublk_config(fake_ublk_last)->io_bytes_max, 128 << 10);
	assert_int_equal(fake_ublk_config(fake_ublk_last)->queues, 2);
}

/* Its queues are what they are: with a worker less it has to wait for the next try. */
static void device_whose_queues_cannot_all_be_served_is_tried_again_later(void **state)
{
	struct ublk_state left;
	struct takings before;
	struct answer a;

	world_make(2);
	world_takings(&before);
	left = left_behind(2);
	fake_server.is_one_channel = true;
	assert_int_equal(take_over(&left, &a), 0);
	assert_true(world_answers(&a, 60 * SECOND_US));
	assert_int_equal(a.rc, -EAGAIN);
	assert_true(world_until("", SECOND_US));
	assert_int_equal(fake_ublks_stops, 0);
	world_assert_same(&before);
}

/* Whoever uses it must not lose it by our failing to serve it. */
static void failed_take_over_leaves_the_device_as_it_was(void **state)
{
	struct ublk_state left;
	struct answer a;

	world_make(1);
	left = left_behind(1);
	fake_kernel.start_rc = -EIO;
	assert_int_equal(take_over(&left, &a), 0);
	assert_true(world_answers(&a, 60 * SECOND_US));
	assert_int_equal(a.rc, -EIO);
	assert_int_equal(fake_ublks_stops, 0);
	assert_int_equal(fake_ublks_left, 1);
}

/* Its requests are still held: the next daemon, or the next try, needs the file. */
static void take_over_that_never_began_keeps_the_file(void **state)
{
	struct error err = {""};
	struct ublk_state left, s;
	struct answer a;

	world_make(1);
	left = left_behind(1);
	assert_int_equal(ublk_state_write(world_cfg.run_dir, &left, &err), 0);
	fake_kernel.recover_rc = -EBUSY;
	assert_int_equal(take_over(&left, &a), 0);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, -EBUSY);
	assert_true(world_until("", SECOND_US));
	assert_true(has_state_file(5, &s));
	assert_int_equal(fake_ublks_stops + fake_ublks_deleted, 0);
}

/* ---- commands that the kernel does not answer ---- */

static void others_go_on_while_the_kernel_does_not_add_a_device(void **state)
{
	const struct config_volume served = world_volume("served", 1), v = world_volume(VOLUME, 1);
	struct device_info list[2];
	struct answer a, other;
	uint64_t begin_us;

	world_make(1);
	world_serve(&served, FRONT_UBLK);
	fake_kernel.make_us = UINT64_MAX;
	begin_us = virtual_us;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	world_run(SECOND_US);
	assert_int_equal(engine_device_list(world, list, 2), 2);
	assert_string_equal(list[0].step, "serving");
	assert_string_equal(list[1].step, "starting");
	assert_int_equal(world_detach("served", false, &other), 0);
	assert_true(world_answers(&other, SECOND_US));
	assert_int_equal(other.rc, 0);
	assert_int_equal(a.calls, 0);
	assert_true(world_answers(&a, UBLK_CTL_US_MAX));
	assert_int_equal(a.rc, -ETIMEDOUT);
	assert_true(virtual_us - begin_us >= UBLK_CTL_US_MAX);
	assert_true(world_until("", SECOND_US));
}

static void attach_that_is_given_up_while_it_is_added_leaves_nothing(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct takings before;
	struct ublk_state s;
	struct answer a;

	world_make(1);
	world_takings(&before);
	fake_kernel.make_us = UINT64_MAX;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	world_run(SECOND_US);
	engine_detach_all(world, false);
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, -ECANCELED);
	assert_true(world_until("", SECOND_US));
	assert_int_equal(fake_ublks_alive + fake_ublks_stops, 0);
	assert_false(has_state_file(0, &s));
	world_assert_same(&before);
}

static void detach_is_answered_when_the_device_is_deleted(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct ublk_state s;
	struct answer a;

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_kernel.destroy_us = 5 * SECOND_US;
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	world_run(4 * SECOND_US);
	assert_int_equal(a.calls, 0);
	assert_true(has_state_file(0, &s));
	assert_int_equal(world_detach(VOLUME, true, &a), -EALREADY);
	engine_detach_all(world, true); /* there is nothing left to force */
	assert_true(world_answers(&a, 2 * SECOND_US));
	assert_int_equal(a.rc, 0);
	assert_int_equal(fake_ublks_deleted, 1);
	assert_false(has_state_file(0, &s));
}

static void device_that_cannot_outlive_us_is_stopped_at_the_end(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);

	world_make(1);
	fake_kernel.is_not_recoverable = true;
	world_serve(&v, FRONT_UBLK);
	engine_leave_all(world, true);
	assert_string_equal(world_step(), "serving");
	engine_detach_all(world, false);
	assert_true(world_until("", SECOND_US));
	assert_int_equal(fake_ublks_left, 0);
	assert_int_equal(fake_ublks_stops, 1);
}

/* ---- watching ---- */

static void scheduler_that_is_not_none_is_shown_as_degraded(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	assert_string_equal(first()->degraded, "");
	snprintf(fake_kernel.scheduler, sizeof(fake_kernel.scheduler), "bfq");
	world_run(6 * SECOND_US);
	assert_string_equal(first()->scheduler, "bfq");
	assert_non_null(strstr(first()->degraded, "bfq"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(state_file_is_there_before_the_device_starts_and_until_it_is_deleted),
		world_test(device_takes_no_larger_request_than_file_and_server_allow),
		world_test(server_that_takes_less_than_a_page_is_refused_by_its_limit),
		world_test(user_copy_has_staging_of_its_own_and_none_in_the_kernel),
		world_test(kernel_without_ublk_refuses_the_attach_at_once),
		world_test(staging_that_is_not_there_ends_the_attach_and_leaves_nothing),
		world_test(device_that_is_not_deleted_is_gone_for_us_only),
		world_test(device_with_a_plain_file_at_its_path_is_never_ready),
		world_test(device_taken_over_keeps_its_number_depth_and_size),
		world_test(device_whose_queues_cannot_all_be_served_is_tried_again_later),
		world_test(failed_take_over_leaves_the_device_as_it_was),
		world_test(take_over_that_never_began_keeps_the_file),
		world_test(others_go_on_while_the_kernel_does_not_add_a_device),
		world_test(attach_that_is_given_up_while_it_is_added_leaves_nothing),
		world_test(detach_is_answered_when_the_device_is_deleted),
		world_test(device_that_cannot_outlive_us_is_stopped_at_the_end),
		world_test(scheduler_that_is_not_none_is_shown_as_degraded),
	};

	return cmocka_run_group_tests(tests, eal_world_start, eal_world_stop);
}
