/*
 * test_methods.c - which volume a request means, and which requests are refused before the engine
 *
 * The engine and what an earlier daemon left are the test's own: a few volumes by name and device
 * number. Requests pass the method's own list of parameters first, as the control socket has it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/admin/methods.h"
#include "daemon/admin/reload.h"
#include "daemon/admin/report.h"
#include "daemon/engine/engine_fault.h"
#include "daemon/engine/takeover.h"

/* ---- an engine, and devices an earlier daemon left ---- */

struct volume_there {
	const char *name;
	int dev_id;
};
static const struct volume_there serving[] = {{"alpha", 1}, {"beta", 4}},
				 held[] = {{"/dev/ublkb1", 7}};
static char detached[80], dropped[80], attached[80];
static int dropped_id;
static unsigned attached_depth;

bool engine_has(const struct engine *e, const char *name)
{
	return strcmp(name, serving[0].name) == 0 || strcmp(name, serving[1].name) == 0;
}

const char *engine_name_of_device(const struct engine *e, int dev_id)
{
	for (unsigned i = 0; i < 2; i++)
		if (serving[i].dev_id == dev_id)
			return serving[i].name;
	return NULL;
}

int engine_attach(struct engine *e, const struct engine_attach *how, struct error *err)
{
	snprintf(attached, sizeof(attached), "%s", how->volume->name);
	attached_depth = how->volume->queue_depth;
	return error_set(err, -ECANCELED, "the test ends here");
}

int engine_detach(struct engine *e, const char *name, enum engine_detach how, engine_done_fn *done,
	void *arg, struct error *err)
{
	snprintf(detached, sizeof(detached), "%s", name);
	return error_set(err, -ECANCELED, "the test ends here");
}

bool takeover_has(struct takeover *t, const char *name)
{
	return strcmp(name, held[0].name) == 0;
}

bool takeover_waits(struct takeover *t, const char *name)
{
	return false;
}

void takeover_forget(struct takeover *t, const char *name)
{
}

const char *takeover_name_of_device(const struct takeover *t, int dev_id)
{
	return dev_id == held[0].dev_id ? held[0].name : NULL;
}

int takeover_drop(struct takeover *t, const char *name, bool lose_swap, struct error *err)
{
	if (!takeover_has(t, name))
		return -ENOENT;
	snprintf(dropped, sizeof(dropped), "%s", name);
	return 0;
}

int takeover_drop_device(struct takeover *t, int dev_id, bool lose_swap, struct error *err)
{
	dropped_id = dev_id;
	return 0;
}

/* ---- what these requests do not come to ---- */

#define UNUSED_JSON(call)                                                                          \
	json_t *call                                                                               \
	{                                                                                          \
		return NULL;                                                                       \
	}
UNUSED_JSON(report_status(struct engine *e, uint64_t uptime_s))
UNUSED_JSON(report_list(struct engine *e))
UNUSED_JSON(report_stats(struct engine *e))
UNUSED_JSON(report_drops(struct engine *e))
UNUSED_JSON(report_reserve(struct engine *e))
UNUSED_JSON(report_reserve_explain(struct engine *e))
UNUSED_JSON(report_reserve_leaks(struct engine *e, uint64_t now_us))
UNUSED_JSON(report_probe(struct engine *e, const char *name))

char *report_openmetrics(struct engine *e)
{
	return NULL;
}

void report_takeover(const struct takeover *t, json_t *volumes)
{
}

void report_takeover_doctor(const struct takeover *t, json_t *lines)
{
}

int reload(struct daemon_state *d, json_t **result, struct error *err)
{
	return 0;
}

const struct config_volume *engine_config(const struct engine *e, const char *name)
{
	return NULL;
}

const char *engine_name_at(const struct engine *e, unsigned idx)
{
	return NULL;
}

uint64_t engine_now_us(struct engine *e)
{
	return 0;
}

int engine_starve(struct engine *e, bool on)
{
	return 0;
}

int engine_level(struct engine *e, const char *level, struct error *err)
{
	return 0;
}

int engine_fault_leak(struct engine *e, const char *owner, uint32_t count)
{
	return 0;
}

int engine_fault_refill(struct engine *e, uint32_t count)
{
	return 0;
}

/* ---- requests ---- */

static int ask(const char *method, json_t *params, struct error *err)
{
	struct daemon_state d = {0};
	unsigned count;
	const struct control_method *m = methods_table(&count);
	json_t *result = NULL;
	int rc;

	detached[0] = dropped[0] = attached[0] = '\0';
	dropped_id = -1;
	assert_non_null(params);
	while (count > 0 && strcmp(m->name, method) != 0) {
		m++;
		count--;
	}
	assert_true(count > 0);
	rc = control_params_check(m->name, m->params, params, err);
	if (!rc)
		rc = m->call(&d, params, NULL, &result, err);
	json_decref(params);
	json_decref(result);
	return rc;
}

static int detach(const char *name, bool force, struct error *err)
{
	return ask("detach", json_pack("{s:s s:b}", "name", name, "force", force), err);
}

static void path_means_its_device_whatever_volumes_are_called(void **state)
{
	struct error err = {""};

	detach("/dev/ublkb4", false, &err);
	assert_string_equal(detached, "beta");
	detach("beta", false, &err);
	assert_string_equal(detached, "beta");
	/* An earlier daemon took a path for a name: device 7 is called like device 1. */
	detach("/dev/ublkb1", true, &err);
	assert_string_equal(detached, "alpha");
	assert_string_equal(dropped, "");
	assert_int_equal(detach("/dev/ublkb7", false, &err), -EBUSY);
	assert_int_equal(detach("/dev/ublkb7", true, &err), 0);
	assert_string_equal(dropped, "/dev/ublkb1");
	assert_string_equal(detached, "");
	assert_int_equal(dropped_id, -1);
}

static void device_of_no_volume_goes_by_force_only(void **state)
{
	struct error err = {""};

	assert_int_equal(detach("/dev/ublkb2", false, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no volume has the device /dev/ublkb2"));
	assert_int_equal(dropped_id, -1);
	assert_int_equal(detach("/dev/ublkb2", true, &err), 0);
	assert_int_equal(dropped_id, 2);
	assert_string_equal(detached, "");
}

static void partition_is_not_its_device(void **state)
{
	struct error err = {""};

	assert_int_equal(detach("/dev/ublkb1p1", true, &err), -EINVAL);
	assert_non_null(strstr(err.text, "partition: give the whole device, /dev/ublkb1"));
	assert_int_equal(detach("/dev/sda", true, &err), -EINVAL);
	assert_int_equal(detach("", true, &err), -EINVAL);
	assert_string_equal(detached, "");
	assert_int_equal(dropped_id, -1);
}

static void name_that_the_file_refuses_is_refused_everywhere(void **state)
{
	static const char *const bad[] = {"", "/dev/ublkb0", "a\nb", "a b", ".", "-f", "a/b",
		"\xc3\xa4",
		"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
		"1234567890123456789012345678901234567890123456789012345678901234"};
	static const char *const good[] = {"a", "a.b_c-d", "0",
		"123456789012345678901234567890123456789012345678901234567890123"};
	struct error err = {""};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int rc = ask(
			"attach", json_pack("{s:s s:s}", "uri", "nbd://h/x", "name", bad[i]), &err);

		if (rc != -EINVAL || attached[0])
			fail_msg("\"%s\" was taken", bad[i]);
	}
	for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++) {
		ask("attach", json_pack("{s:s s:s}", "uri", "nbd://h/x", "name", good[i]), &err);
		assert_string_equal(attached, good[i]);
	}
}

static void queue_depth_is_never_truncated(void **state)
{
	struct error err = {""};

	for (json_int_t depth = -65536 + 1; depth <= (json_int_t)1 << 33; depth += 65536 * 4096ll) {
		int rc = ask("attach",
			json_pack("{s:s s:I}", "uri", "nbd://h/x", "queue_depth", depth), &err);

		if (rc != -EINVAL || attached[0])
			fail_msg("queue_depth %lld became %u", (long long)depth, attached_depth);
	}
	assert_int_equal(
		ask("attach", json_pack("{s:s s:i}", "uri", "nbd://h/x", "queue_depth", 65537),
			&err),
		-EINVAL);
	assert_string_equal(attached, "");
	ask("attach", json_pack("{s:s s:i}", "uri", "nbd://h/x", "queue_depth", QUEUE_DEPTH_MAX),
		&err);
	assert_int_equal(attached_depth, QUEUE_DEPTH_MAX);
}

static void every_method_refuses_what_it_does_not_know(void **state)
{
	unsigned count;
	const struct control_method *m = methods_table(&count);
	struct error err = {""};

	for (unsigned i = 0; i < count; i++) {
		int rc = ask(m[i].name, json_pack("{s:b}", "frobnicate", 1), &err);

		if (rc != -EINVAL || !strstr(err.text, "frobnicate"))
			fail_msg("%s took it: %s", m[i].name, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_means_its_device_whatever_volumes_are_called),
		cmocka_unit_test(device_of_no_volume_goes_by_force_only),
		cmocka_unit_test(partition_is_not_its_device),
		cmocka_unit_test(name_that_the_file_refuses_is_refused_everywhere),
		cmocka_unit_test(queue_depth_is_never_truncated),
		cmocka_unit_test(every_method_refuses_what_it_does_not_know),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
