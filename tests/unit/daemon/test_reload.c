/*
 * test_reload.c - what a changed file does to volumes that are served, in use, waiting, or made by
 * hand
 *
 * The engine is a table of names in this file. A detach ends when the test says so.
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
#include "config/log.h"
#include "daemon/admin/methods.h"
#include "daemon/admin/reload.h"
#include "daemon/engine/takeover.h"

#define PLACES 8

/* ---- an engine, and what waits ---- */

static struct there {
	char name[NAME_BYTES_MAX];
	unsigned depth;
	bool is_served, is_in_use, is_waiting, is_held;
	engine_done_fn *done;
	void *arg;
} there[PLACES];
static int protect_rc;
static unsigned protected_count;

static struct there *find(const char *name)
{
	for (unsigned i = 0; i < PLACES; i++) {
		if (strcmp(there[i].name, name) == 0)
			return &there[i];
	}
	return NULL;
}

bool engine_has(const struct engine *e, const char *name)
{
	return find(name) && find(name)->is_served;
}

bool takeover_has(struct takeover *t, const char *name)
{
	return find(name) && find(name)->is_held;
}

bool takeover_waits(struct takeover *t, const char *name)
{
	return find(name) && find(name)->is_waiting;
}

void takeover_forget(struct takeover *t, const char *name)
{
	find(name)->is_waiting = false;
}

int takeover_attach(struct takeover *t, const struct config_volume *volume)
{
	struct there *v = find(volume->name);

	v = v ? v : find("");
	assert_false(v->is_served || v->is_waiting || v->is_held);
	snprintf(v->name, sizeof(v->name), "%s", volume->name);
	v->depth = volume->queue_depth;
	v->is_waiting = true;
	return 0;
}

int engine_detach(struct engine *e, const char *name, enum engine_detach how, engine_done_fn *done,
	void *arg, struct error *err)
{
	struct there *v = find(name);

	assert_int_equal(how, ENGINE_DETACH_UNUSED);
	if (v->is_in_use)
		return error_set(err, -EBUSY, "/dev/ublkb0 is in use");
	v->done = done;
	v->arg = arg;
	return 0;
}

int engine_protect_set(struct engine *e, const struct config *cfg)
{
	protected_count = protect_rc ? protected_count : cfg->protect_count;
	return protect_rc;
}

static void detach_ends(const char *name)
{
	struct there *v = find(name);
	struct error err = {""};

	assert_non_null(v->done);
	v->is_served = false;
	v->done(v->arg, 0, "", &err);
	v->done = NULL;
}

/* Whatever waited is served now. */
static void servers_come(void)
{
	for (unsigned i = 0; i < PLACES; i++) {
		there[i].is_served |= there[i].is_waiting;
		there[i].is_waiting = false;
	}
}

/* ---- a file ---- */

#define HEAD                                                                                       \
	"ports: [{device: \"af_packet:eth0\", address: 10.0.0.2/24}]\nvolumes_dir: /nonexistent\n"

static char path[] = "/tmp/sluice-reload.XXXXXX";
static struct config cfg;
static struct daemon_state d = {.cfg = &cfg, .config_path = path};
static json_t *result;

static int file_says(const char *text)
{
	FILE *file = fopen(path, "w");
	struct error err = {""};

	assert_non_null(file);
	fprintf(file, HEAD "%s", text);
	fclose(file);
	json_decref(result);
	result = NULL;
	return reload(&d, &result, &err);
}

/* The names under @key, one after the other. */
static void lists(const char *key, const char *want)
{
	const json_t *list = json_object_get(result, key);
	char got[256] = "";

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *entry = json_array_get(list, i),
			     *name = json_object_get(entry, "name");

		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
			json_string_value(name ? name : entry));
	}
	assert_string_equal(got, want);
}

static int world_start(void **state)
{
	struct error err;
	FILE *file;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	close(mkstemp(path));
	file = fopen(path, "w");
	fputs(HEAD "volumes: [{name: one, uri: nbd://192.0.2.1/1}, {name: two, uri: "
		   "nbd://192.0.2.1/2}]\n",
		file);
	fclose(file);
	memset(there, 0, sizeof(there));
	protect_rc = 0;
	log_level_set(LOG_LEVEL_ERROR);
	assert_int_equal(config_load(path, &cfg, &err), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(takeover_attach(NULL, &cfg.volumes[i]), 0);
	servers_come();
	return 0;
}

static int world_end(void **state)
{
	json_decref(result);
	result = NULL;
	return unlink(path);
}

/* ---- claims ---- */

#define ONE   "{name: one, uri: nbd://192.0.2.1/1}"
#define ONE_7 "{name: one, uri: nbd://192.0.2.1/1, queue_depth: 7}"
#define TWO   "{name: two, uri: nbd://192.0.2.1/2}"

static void volumes_come_go_and_change(void **state)
{
	assert_int_equal(
		file_says("volumes: [" ONE_7 ", {name: new, uri: nbd://192.0.2.1/n}]\n"), 0);
	lists("added", "new");
	lists("removed", "two");
	lists("changed", "one");
	lists("busy", "");
	assert_false(find("one")->is_waiting); /* not before its detach has ended */
	detach_ends("one");
	detach_ends("two");
	assert_true(find("one")->is_waiting);
	assert_int_equal(find("one")->depth, 7);
	assert_false(find("two")->is_waiting);
	servers_come();
	assert_int_equal(
		file_says("volumes: [" ONE_7 ", {name: new, uri: nbd://192.0.2.1/n}]\n"), 0);
	lists("added", "");
	lists("changed", "");
	lists("removed", "");
}

static void device_in_use_is_left_alone_and_tried_by_the_next_reload(void **state)
{
	find("one")->is_in_use = find("two")->is_in_use = true;
	assert_int_equal(file_says("volumes: [" ONE_7 "]\n"), 0);
	lists("busy", "one two");
	lists("changed", "");
	lists("removed", "");
	find("one")->is_in_use = find("two")->is_in_use = false;
	assert_int_equal(file_says("volumes: [" ONE_7 "]\n"), 0);
	lists("busy", "");
	lists("changed", "one");
	lists("removed", "two");
	detach_ends("one");
	detach_ends("two");
}

static void held_device_is_left_alone(void **state)
{
	find("two")->is_served = false;
	find("two")->is_held = true;
	assert_int_equal(file_says("volumes: [" ONE "]\n"), 0);
	lists("busy", "two");
	assert_true(find("two")->is_held);
}

static void volume_that_waits_is_changed_at_once(void **state)
{
	find("one")->is_served = false;
	find("one")->is_waiting = true;
	assert_int_equal(file_says("volumes: [" ONE_7 ", " TWO "]\n"), 0);
	lists("changed", "one");
	assert_true(find("one")->is_waiting);
	assert_int_equal(find("one")->depth, 7);
	assert_int_equal(file_says("volumes: [" TWO "]\n"), 0);
	lists("removed", "one");
	assert_false(find("one")->is_waiting);
}

static void volume_made_by_hand_is_left_alone(void **state)
{
	snprintf(there[2].name, sizeof(there[2].name), "hand");
	there[2].is_served = true;
	assert_int_equal(file_says("volumes: [" ONE ", " TWO "]\n"), 0);
	lists("removed", "");
	assert_null(there[2].done);
}

static void mistake_changes_nothing(void **state)
{
	struct config before = cfg;

	assert_int_equal(file_says("log_level: debug\nvolumes: [" ONE_7 "]\nfrob: 1\n"), -EINVAL);
	assert_null(result);
	assert_memory_equal(&before, &cfg, sizeof(cfg));
	assert_null(find("two")->done);
}

static void what_needs_a_restart_is_named_and_kept(void **state)
{
	assert_int_equal(file_says("reserve: {safety: 2}\nmemory: 512M\nrun_dir: /run/other\n"
				   "protect: [{address: 192.0.2.7, port: 3260}]\nvolumes: [" ONE
				   ", " TWO "]\n"),
		0);
	lists("restart", "reserve memory run_dir socket");
	assert_true(json_is_true(json_object_get(result, "protect")));
	assert_int_equal(protected_count, 1);
	assert_int_equal(cfg.memory_mib, 0);
	assert_string_equal(cfg.run_dir, "/run/sluice");
	protect_rc = -EAGAIN;
	assert_int_equal(file_says("volumes: [" ONE ", " TWO "]\n"), 0);
	lists("restart", "protect");
	protect_rc = 0;
	assert_int_equal(file_says("volumes: [" ONE ", " TWO "]\n"), 0);
	lists("restart", "");
	assert_int_equal(protected_count, 0);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_start, world_end)
	const struct CMUnitTest tests[] = {
		IN_WORLD(volumes_come_go_and_change),
		IN_WORLD(device_in_use_is_left_alone_and_tried_by_the_next_reload),
		IN_WORLD(held_device_is_left_alone),
		IN_WORLD(volume_that_waits_is_changed_at_once),
		IN_WORLD(volume_made_by_hand_is_left_alone),
		IN_WORLD(mistake_changes_nothing),
		IN_WORLD(what_needs_a_restart_is_named_and_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
