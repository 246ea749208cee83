/*
 * test_config_shape.c - keys, lists and syntax: each mistake is told with its line
 */
#include "tests/unit/config/yaml_file.h"

static void shortest_file_gets_every_default(void **state)
{
	loads(GOOD_PORT);
	assert_int_equal(cfg.port_count, 1);
	assert_int_equal(cfg.volume_count, 0);
	assert_int_equal(cfg.protect_count, 0);
	assert_int_equal(cfg.reserve.size, -1);
	assert_int_equal(cfg.reserve.safety_pct, RESERVE_SAFETY_DEFAULT_PCT);
	assert_string_equal(cfg.socket, "/run/sluice/control.sock");
	assert_string_equal(cfg.run_dir, "/run/sluice");
	assert_int_equal(cfg.log_level, LOG_LEVEL_INFO);
	assert_int_equal(cfg.memory_mib, 0);
	assert_false(cfg.is_hugepages_given);
}

static void every_top_level_key_is_read(void **state)
{
	loads(GOOD_PORT "socket: /tmp/s\nrun_dir: /tmp/r\nmemory: 64M\nhugepages: no\n"
			"log_level: debug\nreserve: {size: 77, safety: 2.5, normal: 100}\n");
	assert_string_equal(cfg.socket, "/tmp/s");
	assert_string_equal(cfg.run_dir, "/tmp/r");
	assert_int_equal(cfg.memory_mib, 64);
	assert_false(cfg.use_hugepages);
	assert_true(cfg.is_hugepages_given);
	assert_int_equal(cfg.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(cfg.reserve.size, 77);
	assert_int_equal(cfg.reserve.safety_pct, 250);
	assert_int_equal(cfg.reserve.normal, 100);
}

static void socket_follows_the_run_directory(void **state)
{
	char text[256];

	loads(GOOD_PORT "run_dir: /tmp/r\n");
	assert_string_equal(cfg.socket, "/tmp/r/control.sock");
	loads(GOOD_PORT "socket: /tmp/s\n");
	assert_string_equal(cfg.run_dir, "/run/sluice");
	assert_string_equal(cfg.socket, "/tmp/s");
	refused(GOOD_PORT "run_dir: tmp\n", "c.yaml:3: run_dir: \"tmp\" is not an absolute path");
	refused(GOOD_PORT "socket: s\n", "c.yaml:3: socket: \"s\" is not an absolute path");
	snprintf(text, sizeof(text), "%srun_dir: /%093d\n", GOOD_PORT, 1);
	loads(text);
	snprintf(text, sizeof(text), "%srun_dir: /%094d\n", GOOD_PORT, 1);
	refused(text, "c.yaml:3: run_dir: too long for the socket in it");
}

static void reserve_and_memory_are_held_to_their_limits(void **state)
{
	refused(GOOD_PORT "reserve: {size: all}\n",
		"c.yaml:3: reserve.size: \"all\" is not a whole");
	refused(GOOD_PORT "reserve: {size: -1}\n", "c.yaml:3: reserve.size: \"-1\" is not a whole");
	refused(GOOD_PORT "reserve: {safety: 0.9}\n", "c.yaml:3: reserve.safety: \"0.9\" is no");
	refused(GOOD_PORT "reserve: {safety: 10.01}\n", "c.yaml:3: reserve.safety: ");
	refused(GOOD_PORT "reserve: {safety: 1.}\n", "c.yaml:3: reserve.safety: ");
	refused(GOOD_PORT "reserve: {safety: 1.255}\n", "c.yaml:3: reserve.safety: ");
	refused(GOOD_PORT "reserve: {safety: 1.-5}\n", "c.yaml:3: reserve.safety: ");
	refused(GOOD_PORT "reserve: {normal: 0}\n", "c.yaml:3: reserve.normal: 0 is less than 1");
	refused(GOOD_PORT "memory: 15M\n",
		"c.yaml:3: memory: 15M is less than 16M; give 16M to 64G");
	refused(GOOD_PORT "memory: 512\n", "c.yaml:3: memory: \"512\" is not a number with a unit");
	refused(GOOD_PORT "log_level: loud\n", "c.yaml:3: log_level: \"loud\" is not known; give");
	loads(GOOD_PORT "reserve: {size: 0, safety: 10}\n");
	assert_int_equal(cfg.reserve.size, 0);
	assert_int_equal(cfg.reserve.safety_pct, 1000);
	loads(GOOD_PORT "reserve: {size: auto, safety: 1.5}\n");
	assert_int_equal(cfg.reserve.size, -1);
	assert_int_equal(cfg.reserve.safety_pct, 150);
}

static void unknown_key_is_told_with_the_near_one(void **state)
{
	refused(GOOD_PORT "volume: []\n", "c.yaml:3: volume: unknown key; did you mean volumes?");
	refused("ports:\n- device: af_packet:e\n  adress: 10.0.0.2/24\n",
		"c.yaml:3: ports[0].adress: unknown key; did you mean address?");
	refused("ports:\n- device: af_packet:e\n  gatewya: 10.0.0.1\n",
		"c.yaml:3: ports[0].gatewya: unknown key; did you mean gateway?");
	refused(GOOD_PORT "colour: red\n", "c.yaml:3: colour: unknown key; sluice.yaml(5)");
	refused(GOOD_PORT "volumes:\n- uri: nbd://h/\n- uri: nbd://h/\n  uris_: x\n",
		"c.yaml:6: volumes[1].uris_: unknown key; did you mean uri");
}

static void key_given_twice_is_told_with_both_lines(void **state)
{
	refused("ports:\n- device: af_packet:e\n  mtu: 1500\n  mtu: 1400\n",
		"c.yaml:4: ports[0].mtu: given twice; remove it here or on line 3");
	refused(GOOD_PORT "ports: []\n", "c.yaml:3: ports: given twice");
}

static void wrong_shape_is_told(void **state)
{
	refused("ports: {device: x}\n", "c.yaml:1: ports: found keys and values, expected a list");
	refused("ports: eth0\n", "c.yaml:1: ports: found a single value, expected a list");
	refused("ports:\n- eth0\n",
		"c.yaml:2: ports[0]: found a single value, expected keys and values");
	refused("ports:\n- device: {a: b}\n",
		"c.yaml:2: ports[0].device: found keys and values, expected a single value");
	refused("ports:\n- device: [a]\n",
		"c.yaml:2: ports[0].device: found a list, expected a single value");
	refused(GOOD_PORT "reserve: 5\n",
		"c.yaml:3: reserve: found a single value, expected keys and values");
	refused("- a\n- b\n", "c.yaml:1: found a list, expected keys and values");
	refused("just words\n", "c.yaml:1: found a single value, expected keys and values");
	refused("? [a, b]\n: c\n", "c.yaml:1: a key must be a plain word");
}

static void lone_value_stands_for_a_list_of_one(void **state)
{
	loads("ports:\n- device: af_packet:e\n  address: 10.0.0.2/24\n  cpus: 3\n");
	assert_int_equal(cfg.ports[0].address_count, 1);
	assert_string_equal(cfg.ports[0].address[0], "10.0.0.2/24");
	assert_int_equal(cfg.ports[0].cpu_count, 1);
	assert_int_equal(cfg.ports[0].cpu[0], 3);
}

static void list_key_with_nothing_behind_it_is_empty(void **state)
{
	loads(GOOD_PORT "volumes:\nprotect:\n# - address: 10.0.0.9\n");
	assert_int_equal(cfg.volume_count, 0);
	loads(GOOD_PORT "volumes: ~\n");
	assert_int_equal(cfg.volume_count, 0);
	loads(GOOD_PORT "volumes: []\n");
	assert_int_equal(cfg.volume_count, 0);
}

static void value_key_with_nothing_behind_it_is_told(void **state)
{
	refused(GOOD_PORT "socket:\n", "c.yaml:3: socket: has no value");
	refused(GOOD_PORT "socket: \"\"\n", "c.yaml:3: socket: has no value");
	refused(GOOD_PORT "socket: \"a\\0b\"\n", "c.yaml:3: socket: has a NUL byte");
}

static void empty_file_is_told(void **state)
{
	refused("", "c.yaml:1: the file is empty");
	refused("# nothing but a comment\n\n", "c.yaml:1: the file is empty");
	refused("---\n", "c.yaml:1: found nothing, expected keys and values");
}

static void broken_yaml_is_told_with_its_line(void **state)
{
	refused("ports:\n- device: x\n\tmtu: 5\n", "c.yaml:3: not YAML: ");
	refused("ports:\n- device: x\n  cpus: [\n", "c.yaml:4: not YAML: ");
	refused("ports:\n- name: \"open\n", "c.yaml:3: not YAML: ");
	assert_non_null(strstr(err.text, "begun on line 2"));
	refused("socket: b: c\n", "c.yaml:1: not YAML: ");
	refused("a: \xff\xfe\n", "c.yaml: not a text file in UTF-8");
}

static void aliases_and_second_documents_are_refused(void **state)
{
	refused("ports:\n- device: &d af_packet:e\n- device: *d\n", "c.yaml:3: aliases");
	refused(GOOD_PORT "---\n" GOOD_PORT, "c.yaml:3: a second document starts here");
}

static void deep_nesting_ends_in_a_sentence(void **state)
{
	char text[4096];

	memset(text, '[', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(load_bytes(text, sizeof(text) - 1), -EINVAL);
	assert_non_null(strstr(err.text, "c.yaml:1: "));
	memcpy(text, "ports: ", 7);
	assert_int_equal(load_bytes(text, sizeof(text) - 1), -EINVAL);
	assert_non_null(strstr(err.text, "ports[0]: found a list"));
}

static void every_prefix_of_a_good_file_is_told_or_loaded(void **state)
{
	static const char text[] =
		"ports:\n- name: p\n  device: \"0000:00:03.0\"\n  address: [10.0.0.2/24, "
		"fd00::2/64]\n"
		"  gateway: 10.0.0.1\n  mtu: 1500\nreserve: {size: auto, safety: 1.25}\n"
		"volumes:\n- name: v\n  uris: [\"nbd://10.0.0.9/a\", \"nbd://10.0.0.8/a\"]\n"
		"  io_size_max: 256k\n  on_dead: fail\n  dead_timeout: 30s\n"
		"protect:\n- {address: 10.0.0.0/24, port: 3260}\n";
	unsigned loaded_count = 0;

	for (size_t bytes = 0; bytes < sizeof(text); bytes++) {
		int rc = load_bytes(text, bytes);

		assert_true(rc == 0 || rc == -EINVAL);
		if (rc)
			assert_non_null(strstr(err.text, "c.yaml:"));
		loaded_count += rc == 0;
	}
	assert_true(loaded_count > 10);
	loads(text);
}

static void oversized_and_missing_files_are_told(void **state)
{
	size_t bytes = CONFIG_FILE_BYTES_MAX + 1;
	char *text = malloc(bytes);

	assert_non_null(text);
	memset(text, '#', bytes);
	assert_int_equal(load_bytes(text, bytes), -EINVAL);
	assert_non_null(strstr(err.text, "a configuration has at most 1048576"));
	free(text);
	assert_int_equal(config_load("/nonexistent/c.yaml", &cfg, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/c.yaml: No such file"));
	assert_int_equal(config_load("/tmp", &cfg, &err), -EINVAL);
	assert_non_null(strstr(err.text, "/tmp: not a file"));
	assert_int_equal(config_load("/nonexistent/c.yaml", &cfg, NULL), -ENOENT);
}

static void overlong_values_are_told(void **state)
{
	char text[512], uri[URI_BYTES_MAX + 128];

	snprintf(text, sizeof(text), "%slog_level: %0300d\n", GOOD_PORT, 1);
	refused(text, "c.yaml:3: log_level: 300 bytes long; at most 255");
	snprintf(text, sizeof(text), "%ssocket: /%0110d\n", GOOD_PORT, 1);
	refused(text, "c.yaml:3: socket: 111 bytes long; at most 107");
	snprintf(uri, sizeof(uri), "%svolumes: [{uri: nbd://h/%0*d}]\n", GOOD_PORT,
		URI_BYTES_MAX - 8, 1);
	assert_true(strlen(uri) > URI_BYTES_MAX);
	refused(uri, "c.yaml:3: volumes[0].uri: 4352 bytes long; at most 4351");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shortest_file_gets_every_default),
		cmocka_unit_test(every_top_level_key_is_read),
		cmocka_unit_test(socket_follows_the_run_directory),
		cmocka_unit_test(reserve_and_memory_are_held_to_their_limits),
		cmocka_unit_test(unknown_key_is_told_with_the_near_one),
		cmocka_unit_test(key_given_twice_is_told_with_both_lines),
		cmocka_unit_test(wrong_shape_is_told),
		cmocka_unit_test(lone_value_stands_for_a_list_of_one),
		cmocka_unit_test(list_key_with_nothing_behind_it_is_empty),
		cmocka_unit_test(value_key_with_nothing_behind_it_is_told),
		cmocka_unit_test(empty_file_is_told),
		cmocka_unit_test(broken_yaml_is_told_with_its_line),
		cmocka_unit_test(aliases_and_second_documents_are_refused),
		cmocka_unit_test(deep_nesting_ends_in_a_sentence),
		cmocka_unit_test(every_prefix_of_a_good_file_is_told_or_loaded),
		cmocka_unit_test(oversized_and_missing_files_are_told),
		cmocka_unit_test(overlong_values_are_told),
	};

	return cmocka_run_group_tests(tests, yaml_setup, yaml_teardown);
}
