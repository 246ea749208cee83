/*
 * test_takeover.c - what becomes of the devices an earlier daemon left, and of the volumes the file
 * names
 *
 * Engine and kernel are the test's own: it says what a look at a device shows and how an attach
 * ends, and sees what is asked of them. The state files are real, in a directory of the test's own.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/admin/report.h"
#include "daemon/engine/takeover.h"
#include "nbd_client/ublk/ublk.h"
#include "nbd_client/ublk/ublk_state.h"

#define DEVICES 8
#define ASKED	16
#define SECOND	1000000ull
#define THERE	"nbd://192.0.2.1/disk"
#define SAME	"nbd://192.0.2.2/disk"
#define OTHER	"nbd://192.0.2.9/else"

static struct config cfg;
static struct takeover *takeover;
static uint64_t now_us;
static bool is_swap; /* every device */

/* ---- a kernel ---- */

static struct kernel_device {
	int look_rc, delete_rc;
	struct ublk_look look;
	unsigned deleted;
} kernel[DEVICES];

int ublk_look(int dev_id, struct ublk_look *out, struct error *err)
{
	const struct kernel_device *k = &kernel[dev_id];

	if (k->look_rc)
		return error_set(err, k->look_rc, "the kernel says %d", k->look_rc);
	*out = k->look;
	return 0;
}

int ublk_swap_check(int dev_id, struct error *err)
{
	return is_swap ? error_set(err, -EBUSY, "active swap") : 0;
}

int ublk_delete(int dev_id, struct error *err)
{
	struct kernel_device *k = &kernel[dev_id];

	if (k->delete_rc)
		return error_set(err, k->delete_rc, "cannot be deleted");
	k->deleted++;
	return 0;
}

int ublk_devices(int *dev_ids, unsigned max)
{
	unsigned count = 0;

	for (int id = 0; id < DEVICES && count < max; id++)
		if (!kernel[id].look_rc)
			dev_ids[count++] = id;
	return (int)count;
}

/* ---- an engine ---- */

static struct asked {
	struct config_volume volume;
	int dev_id; /* -1: a new device */
	engine_done_fn *done;
	void *arg;
} asked[ASKED];
static unsigned asked_count;
static int attach_rc;

int engine_attach(struct engine *e, const struct engine_attach *how, struct error *err)
{
	assert_true(asked_count < ASKED);
	asked[asked_count++] = (struct asked){
		*how->volume, how->recover ? how->recover->dev_id : -1, how->done, how->arg};
	return attach_rc ? error_set(err, attach_rc, "no room") : 0;
}

uint64_t engine_now_us(struct engine *e)
{
	return now_us;
}

bool engine_has(const struct engine *e, const char *name)
{
	return false;
}

/* The attach that was asked for last ends. */
static void ends(int rc, const char *why)
{
	const struct asked *a = &asked[asked_count - 1];
	struct error err;

	error_set(&err, rc, "%s", why);
	a->done(a->arg, rc, "", &err);
}

/* ---- the world ---- */

static int world_new(void **state)
{
	memset(&cfg, 0, sizeof(cfg));
	memset(kernel, 0, sizeof(kernel));
	for (unsigned i = 0; i < DEVICES; i++)
		kernel[i].look_rc = -ENODEV;
	snprintf(cfg.run_dir, sizeof(cfg.run_dir), "/tmp/sluice-takeover-XXXXXX");
	asked_count = 0;
	attach_rc = 0;
	now_us = SECOND;
	takeover = NULL;
	return mkdtemp(cfg.run_dir) ? 0 : -1;
}

static int world_end(void **state)
{
	for (int id = 0; id < DEVICES; id++)
		ublk_state_remove(cfg.run_dir, id);
	takeover_destroy(takeover);
	return rmdir(cfg.run_dir);
}

static struct config_volume volume_of(const char *name, const char *uri)
{
	struct config_volume v = {
		.uri_count = 1, .queue_depth = 64, .io_bytes_max = 512 << 10, .cc = "cubic"};

	snprintf(v.name, sizeof(v.name), "%s", name);
	snprintf(v.uris[0], sizeof(v.uris[0]), "%s", uri);
	return v;
}

/* An earlier daemon served it with a depth, a size and a copy mode of its own, and is gone. */
static void device_is_left(int id, const char *name, const char *uri)
{
	struct ublk_state s = {.dev_id = id,
		.queues = 1,
		.queue_depth = 16,
		.io_bytes_max = 128 << 10,
		.limits = {.size_bytes = 1 << 20, .block_min = 512},
		.volume = volume_of(name, uri)};
	struct error err;

	s.volume.queue_depth = 16;
	s.volume.io_bytes_max = 128 << 10;
	s.volume.copy = COPY_USER;
	s.volume.read_only = true;
	s.volume.request_ms = 1111;
	assert_int_equal(ublk_state_write(cfg.run_dir, &s, &err), 0);
	kernel[id] = (struct kernel_device){.look = {.is_held = true, .is_started = true}};
}

static struct config_volume *file_names(const char *name, const char *uri)
{
	struct config_volume *v = &cfg.volumes[cfg.volume_count++];

	*v = volume_of(name, uri);
	v->request_ms = 2222;
	return v;
}

static void daemon_starts(void)
{
	takeover = takeover_create(&cfg, NULL);
	assert_non_null(takeover);
}

static void time_passes(uint64_t us)
{
	now_us += us;
	takeover_poll(takeover);
}

static bool has_state_file(int id)
{
	struct ublk_state s;
	struct error err;

	return ublk_state_read(cfg.run_dir, id, &s, &err) != -ENOENT;
}

/* A program that reads the list finds every key in every row, whether it is served or waits. */
static void keys_are_a_served_ones(json_t *row)
{
	struct device_info info = {
		.step = "serving", .device = "/dev/ublkb7", .volume.state = VOLUME_READY};
	json_t *served = report_volume(&info);

	assert_string_equal(json_string_value(json_object_get(served, "device")), "/dev/ublkb7");
	assert_true(json_object_size(served) > 20);
	for (void *at = json_object_iter(served); at; at = json_object_iter_next(served, at)) {
		if (!json_object_get(row, json_object_iter_key(at)))
			fail_msg("%s is missing", json_object_iter_key(at));
	}
	assert_int_equal(json_object_size(row), json_object_size(served));
	json_decref(served);
}

/* What `sluice list` shows of the only one that waits; without @how: that none does. */
static void waits_as(const char *how, const char *why)
{
	json_t *volumes = json_array(), *v;

	report_takeover(takeover, volumes);
	assert_int_equal(json_array_size(volumes), how ? 1 : 0);
	if (how) {
		v = json_array_get(volumes, 0);
		assert_string_equal(json_string_value(json_object_get(v, "state")), how);
		assert_non_null(strstr(json_string_value(json_object_get(v, "error")), why));
		assert_true(json_is_null(json_object_get(v, "device")) ==
			    (strcmp(how, "waiting") == 0));
		keys_are_a_served_ones(v);
	}
	json_decref(volumes);
}

static void nothing_waits(void)
{
	waits_as(NULL, NULL);
}

/* ---- who decides how it is served ---- */

static void device_no_file_names_comes_back_as_it_was(void **state)
{
	device_is_left(3, "disk", THERE);
	daemon_starts();
	assert_int_equal(asked_count, 1);
	assert_int_equal(asked[0].dev_id, 3);
	assert_string_equal(asked[0].volume.uris[0], THERE);
	assert_int_equal(asked[0].volume.request_ms, 1111);
	ends(0, "");
	nothing_waits();
	assert_false(takeover_has(takeover, "disk"));
	assert_true(has_state_file(3)); /* the next daemon's */
}

static void file_decides_within_what_the_device_is(void **state)
{
	struct config_volume *v = file_names("disk", SAME);

	snprintf(v->uris[v->uri_count++], sizeof(v->uris[0]), "%s", THERE);
	device_is_left(3, "disk", THERE);
	daemon_starts();
	assert_int_equal(asked_count, 1); /* not a second device for the same name */
	assert_int_equal(asked[0].dev_id, 3);
	assert_string_equal(asked[0].volume.uris[0], SAME);
	assert_int_equal(asked[0].volume.request_ms, 2222);
	assert_int_equal(asked[0].volume.queue_depth, 16);
	assert_int_equal(asked[0].volume.io_bytes_max, 128 << 10);
	assert_int_equal(asked[0].volume.copy, COPY_USER);
	assert_true(asked[0].volume.read_only);
}

static void another_export_in_the_file_changes_no_disk_in_use(void **state)
{
	file_names("disk", OTHER);
	device_is_left(3, "disk", THERE);
	daemon_starts();
	assert_int_equal(asked_count, 1);
	assert_string_equal(asked[0].volume.uris[0], THERE);
	assert_int_equal(asked[0].volume.request_ms, 1111);
}

/* ---- whether it is touched at all ---- */

static void device_of_a_living_process_is_left_alone_and_tried_again(void **state)
{
	device_is_left(3, "disk", THERE);
	kernel[3].look = (struct ublk_look){.is_served = true, .is_started = true, .pid = 77};
	daemon_starts();
	assert_int_equal(asked_count, 0);
	waits_as("held", "process 77 serves it");
	kernel[3].look.is_served = false;
	time_passes(SECOND);
	assert_int_equal(asked_count, 1);
	assert_int_equal(kernel[3].deleted, 0);
}

static void number_that_is_another_programs_now_keeps_no_volume_waiting(void **state)
{
	file_names("disk", THERE);
	device_is_left(3, "disk", THERE);
	kernel[3].look = (struct ublk_look){.is_served = true, .is_started = true, .pid = 77};
	daemon_starts();
	time_passes(3 * SECOND);
	assert_int_equal(asked_count, 0); /* it could still be a predecessor on its way out */
	assert_true(has_state_file(3));
	time_passes(3 * SECOND);
	time_passes(5 * SECOND);
	assert_int_equal(asked_count, 1);
	assert_int_equal(asked[0].dev_id, -1);
	assert_string_equal(asked[0].volume.uris[0], THERE);
	assert_int_equal(kernel[3].deleted, 0);
	assert_false(has_state_file(3));
	assert_null(takeover_name_of_device(takeover, 3));
}

static void number_of_another_program_without_a_volume_of_the_file_is_forgotten(void **state)
{
	device_is_left(3, "disk", THERE);
	kernel[3].look = (struct ublk_look){.is_served = true, .is_started = true, .pid = 77};
	daemon_starts();
	time_passes(6 * SECOND);
	time_passes(6 * SECOND);
	assert_int_equal(asked_count, 0);
	assert_int_equal(kernel[3].deleted, 0);
	assert_false(has_state_file(3));
	nothing_waits();
}

static void device_that_is_gone_is_made_anew_if_the_file_names_it(void **state)
{
	file_names("disk", THERE);
	device_is_left(3, "disk", THERE);
	kernel[3].look_rc = -ENODEV;
	daemon_starts();
	assert_false(has_state_file(3));
	assert_int_equal(kernel[3].deleted, 0);
	assert_int_equal(asked_count, 1);
	assert_int_equal(asked[0].dev_id, -1);
	assert_int_equal(asked[0].volume.queue_depth, 64);
}

static void device_that_goes_while_it_waits_is_made_anew_too(void **state)
{
	file_names("disk", THERE);
	device_is_left(3, "disk", THERE);
	daemon_starts();
	ends(-ECONNREFUSED, "refused");
	kernel[3].look_rc = -ENODEV;
	time_passes(SECOND);
	assert_int_equal(asked_count, 2);
	assert_int_equal(asked[1].dev_id, -1);
	assert_false(has_state_file(3));
}

static void device_that_was_never_started_is_deleted(void **state)
{
	device_is_left(3, "disk", THERE);
	kernel[3].look.is_started = false;
	daemon_starts();
	assert_int_equal(kernel[3].deleted, 1);
	assert_false(has_state_file(3));
	assert_int_equal(asked_count, 0);
	nothing_waits();
}

static void device_that_cannot_be_looked_at_is_kept(void **state)
{
	device_is_left(3, "disk", THERE);
	kernel[3].look_rc = -EIO;
	daemon_starts();
	assert_int_equal(asked_count, 0);
	assert_true(has_state_file(3));
	waits_as("held", "the kernel says -5");
}

static void damaged_file_keeps_nobody_from_the_others(void **state)
{
	char path[128];
	FILE *file;

	device_is_left(3, "disk", THERE);
	device_is_left(4, "second", OTHER);
	snprintf(path, sizeof(path), "%s/ublk-3.state", cfg.run_dir);
	file = fopen(path, "w");
	fputs("nothing of ours\n", file);
	fclose(file);
	daemon_starts();
	assert_int_equal(asked_count, 1);
	assert_int_equal(asked[0].dev_id, 4);
	assert_true(has_state_file(3)); /* for a person to look at */
	assert_int_equal(kernel[3].deleted, 0);
}

/* ---- how long it waits ---- */

static void pauses_are(const unsigned *seconds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(asked_count, i + 1);
		ends(-ECONNREFUSED, "refused");
		time_passes(seconds[i] * SECOND - 1);
		assert_int_equal(asked_count, i + 1);
		time_passes(1);
	}
	assert_int_equal(asked_count, count + 1);
}

static void device_whose_requests_wait_is_tried_every_ten_seconds(void **state)
{
	device_is_left(3, "disk", THERE);
	daemon_starts();
	pauses_are((const unsigned[]){1, 2, 4, 8, 10, 10}, 6);
	ends(-ECONNREFUSED, "refused");
	waits_as("held", "refused");
	assert_true(takeover_has(takeover, "disk"));
	assert_false(takeover_waits(takeover, "disk"));
}

static void volume_without_requests_is_tried_every_minute(void **state)
{
	file_names("disk", THERE);
	daemon_starts();
	pauses_are((const unsigned[]){1, 2, 4, 8, 16, 32, 60, 60}, 8);
	ends(-ECONNREFUSED, "refused");
	waits_as("waiting", "refused");
	assert_false(takeover_has(takeover, "disk"));
	assert_true(takeover_waits(takeover, "disk"));
}

static void attach_that_cannot_begin_is_tried_again(void **state)
{
	attach_rc = -ENOSPC;
	device_is_left(3, "disk", THERE);
	daemon_starts();
	waits_as("held", "no room");
	attach_rc = 0;
	time_passes(SECOND);
	assert_int_equal(asked_count, 2);
	time_passes(100 * SECOND); /* it is on its way: not a third time beside it */
	assert_int_equal(asked_count, 2);
}

/* ---- giving up ---- */

static void volume_that_is_forgotten_is_not_tried_again(void **state)
{
	file_names("disk", THERE);
	file_names("second", SAME);
	daemon_starts();
	takeover_forget(takeover, "second"); /* while it connects */
	assert_true(takeover_waits(takeover, "second"));
	ends(-ECONNREFUSED, "refused");
	assert_false(takeover_waits(takeover, "second"));
	asked_count = 1;
	ends(-ECONNREFUSED, "refused");
	takeover_forget(takeover, "disk"); /* while it waits */
	assert_false(takeover_waits(takeover, "disk"));
	time_passes(100 * SECOND);
	assert_int_equal(asked_count, 1);
	nothing_waits();
}

static void held_device_is_given_up_on_request_only(void **state)
{
	struct error err = {""};

	device_is_left(3, "disk", THERE);
	daemon_starts();
	assert_int_equal(takeover_drop(takeover, "disk", false, &err),
		-EBUSY); /* being taken over at this moment */
	assert_non_null(strstr(err.text, "being taken over"));
	assert_int_equal(kernel[3].deleted, 0);
	ends(-EINVAL, "not the same disk");
	assert_int_equal(takeover_drop(takeover, "another", false, &err), -ENOENT);
	kernel[3].delete_rc = -EBUSY;
	assert_int_equal(takeover_drop(takeover, "disk", false, &err), -EBUSY);
	waits_as("held", "not the same disk");
	assert_true(has_state_file(3));
	kernel[3].delete_rc = 0;
	is_swap = true;
	assert_int_equal(takeover_drop(takeover, "disk", false, &err), -EBUSY);
	assert_int_equal(takeover_drop(takeover, "disk", true, &err), 0);
	is_swap = false;
	assert_int_equal(kernel[3].deleted, 1);
	assert_false(has_state_file(3));
	nothing_waits();
}

static void devices_are_given_up_by_their_path_too(void **state)
{
	struct error err = {""};

	device_is_left(3, "disk", THERE);
	kernel[5] = (struct kernel_device){
		.look = {.is_held = true, .is_started = true}}; /* of no file of ours */
	daemon_starts();
	ends(-EINVAL, "not the same disk");
	assert_string_equal(takeover_name_of_device(takeover, 3), "disk");
	assert_null(takeover_name_of_device(takeover, 5));
	assert_int_equal(takeover_drop(takeover, "/dev/ublkb5", false, &err), -ENOENT);
	assert_int_equal(takeover_drop_device(takeover, 5, false, &err), 0);
	assert_int_equal(kernel[5].deleted, 1);
	assert_int_equal(kernel[3].deleted, 0);
	assert_int_equal(takeover_drop(takeover, "disk", false, &err), 0);
	assert_int_equal(kernel[3].deleted, 1);
	assert_false(takeover_has(takeover, "disk"));
}

static void volume_without_a_device_cannot_be_dropped(void **state)
{
	struct error err = {""};

	file_names("disk", THERE);
	daemon_starts();
	ends(-ECONNREFUSED, "refused");
	assert_int_equal(takeover_drop(takeover, "disk", false, &err), -ENOENT);
	assert_true(takeover_waits(takeover, "disk"));
}

static void doctor_names_what_waits_and_what_nobody_knows(void **state)
{
	json_t *lines = json_array();

	device_is_left(3, "disk", THERE);
	kernel[5] = (struct kernel_device){.look = {.is_held = true, .is_started = true}};
	kernel[6] =
		(struct kernel_device){.look = {.is_served = true, .is_started = true, .pid = 1}};
	daemon_starts();
	ends(-EINVAL, "not the same disk");
	report_takeover_doctor(takeover, lines);
	assert_int_equal(json_array_size(lines), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(lines, 0), "text")),
		"waits to be taken over: not the same disk");
	assert_non_null(
		strstr(json_string_value(json_object_get(json_array_get(lines, 0), "remedy")),
			"detach disk --force"));
	assert_non_null(
		strstr(json_string_value(json_object_get(json_array_get(lines, 1), "remedy")),
			"detach /dev/ublkb5 --force"));
	json_decref(lines);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(device_no_file_names_comes_back_as_it_was),
		CASE(file_decides_within_what_the_device_is),
		CASE(another_export_in_the_file_changes_no_disk_in_use),
		CASE(device_of_a_living_process_is_left_alone_and_tried_again),
		CASE(number_that_is_another_programs_now_keeps_no_volume_waiting),
		CASE(number_of_another_program_without_a_volume_of_the_file_is_forgotten),
		CASE(device_that_is_gone_is_made_anew_if_the_file_names_it),
		CASE(device_that_goes_while_it_waits_is_made_anew_too),
		CASE(device_that_was_never_started_is_deleted),
		CASE(device_that_cannot_be_looked_at_is_kept),
		CASE(damaged_file_keeps_nobody_from_the_others),
		CASE(device_whose_requests_wait_is_tried_every_ten_seconds),
		CASE(volume_without_requests_is_tried_every_minute),
		CASE(attach_that_cannot_begin_is_tried_again),
		CASE(volume_that_is_forgotten_is_not_tried_again),
		CASE(held_device_is_given_up_on_request_only),
		CASE(devices_are_given_up_by_their_path_too),
		CASE(volume_without_a_device_cannot_be_dropped),
		CASE(doctor_names_what_waits_and_what_nobody_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
