/*
 * test_config_dir.c - a saved volume is the same volume when it is read again, and options mean
 * what keys mean
 */
#include <sys/stat.h>
#include "tests/unit/config/yaml_file.h"

static char dir[64];

/* The main file, with volumes_dir: beside it, and then @more. */
static int loads_with(const char *more)
{
	char text[1024];

	snprintf(dir, sizeof(dir), "%.*s/volumes.d", (int)(strrchr(yaml_path, '/') - yaml_path),
		yaml_path);
	snprintf(text, sizeof(text), GOOD_PORT "volumes_dir: %s\n%s", dir, more);
	return load_bytes(text, strlen(text));
}

static void file_put(const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	mkdir(dir, 0755);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void file_away(const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

static const char *option(void *ctx, const char *key)
{
	const char *const *pair;

	for (pair = ctx; *pair; pair += 2) {
		if (strcmp(pair[0], key) == 0)
			return pair[1];
	}
	return NULL;
}

static int from(const char *const *options, struct config_volume *out)
{
	static const char *const uris[] = {
		"nbd://192.0.2.1/it's%20a%20disk", "nbd://[fd00::1]:10810/x"};

	return config_volume_from_options(uris, 2, option, (void *)(uintptr_t)options, out, &err);
}

static void saved_volume_is_read_as_it_was(void **state)
{
	static const char *const all[] = {"name", "disk", "connections", "3", "queue_depth", "17",
		"io_size_max", "96k", "unstable", "through", "on_dead", "fail", "dead_timeout",
		"1500ms",
		"request_timeout", "2s", "connect_timeout", "1234ms", "copy", "user", "read_only",
		"true", "congestion_control", "dctcp", NULL};
	static const char *const none[] = {"name", "disk", NULL};
	static struct config_volume v;

	assert_int_equal(loads_with(""), 0); /* the directory is not there yet */
	assert_int_equal(cfg.volume_count, 0);
	for (unsigned i = 0; i < 2; i++) {
		memset(&v, 0, sizeof(v));
		assert_int_equal(from(i ? none : all, &v), 0);
		assert_int_equal(v.queue_depth, i ? QUEUE_DEPTH_DEFAULT : 17);
		assert_int_equal(config_volume_save(dir, &v, &err), 0);
		assert_int_equal(loads_with(""), 0);
		assert_int_equal(cfg.volume_count, 1);
		assert_memory_equal(&cfg.volumes[0], &v, sizeof(v));
	}
	assert_int_equal(config_volume_unsave(dir, "disk", &err), 0);
	assert_int_equal(config_volume_unsave(dir, "disk", &err), -ENOENT);
	assert_int_equal(loads_with(""), 0);
	assert_int_equal(cfg.volume_count, 0);
	assert_int_equal(rmdir(dir), 0); /* nothing else is left in it */
}

static void files_are_read_by_name_behind_the_main_file(void **state)
{
	(void)loads_with("");
	file_put("b.yaml", "volumes: [{name: two, uri: nbd://192.0.2.1/b}]\n");
	file_put("a.yaml", "volumes: [{name: one, uri: nbd://192.0.2.1/a}]\n");
	file_put("c.yaml~", "not for us\n");
	file_put(".d.yaml", "nor this\n");
	assert_int_equal(loads_with("volumes: [{name: zero, uri: nbd://192.0.2.1/z}]\n"), 0);
	assert_int_equal(cfg.volume_count, 3);
	assert_string_equal(cfg.volumes[0].name, "zero");
	assert_string_equal(cfg.volumes[1].name, "one");
	assert_string_equal(cfg.volumes[2].name, "two");
	file_away("a.yaml"), file_away("b.yaml"), file_away("c.yaml~"), file_away(".d.yaml");
	rmdir(dir);
}

static void mistake_in_a_file_names_that_file(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{"volumes:\n- uri: nbd://192.0.2.1/a\n  queue_dept: 3\n",
			"a.yaml:3: volumes[0].queue_dept: unknown key"},
		{"log_level: debug\n", "a.yaml:1: only volumes: is allowed here"},
		{"volumes:\n- {name: zero, uri: nbd://192.0.2.1/a}\n",
			"a.yaml:2: volumes[0].name: zero is the name of a volume of another file"},
	};

	(void)loads_with("");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		file_put("a.yaml", bad[i].text);
		assert_int_equal(
			loads_with("volumes: [{name: zero, uri: nbd://192.0.2.1/z}]\n"), -EINVAL);
		if (!strstr(err.text, bad[i].error))
			fail_msg("wanted %s, got %s", bad[i].error, err.text);
		assert_int_equal(((unsigned char *)&cfg)[0], 0x5a);
	}
	file_away("a.yaml");
	rmdir(dir);
}

static void options_are_held_to_the_rules_of_keys(void **state)
{
	static const char *const bad[][3] = {
		{"queue_depth", "65537", "queue_depth: 65537 is more than"},
		{"on_dead", "hang", "on_dead: \"hang\" is not known; give hold or fail"},
		{"name", "a/b", "name: \"a/b\" is not a name"},
		{"request_timeout", "5", "request_timeout: "}};
	struct config_volume v;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const char *const options[] = {bad[i][0], bad[i][1], NULL};

		assert_int_equal(from(options, &v), -EINVAL);
		if (strncmp(err.text, bad[i][2], strlen(bad[i][2])) != 0)
			fail_msg("wanted %s, got %s", bad[i][2], err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(saved_volume_is_read_as_it_was),
		cmocka_unit_test(files_are_read_by_name_behind_the_main_file),
		cmocka_unit_test(mistake_in_a_file_names_that_file),
		cmocka_unit_test(options_are_held_to_the_rules_of_keys),
	};

	return cmocka_run_group_tests(tests, yaml_setup, yaml_teardown);
}
