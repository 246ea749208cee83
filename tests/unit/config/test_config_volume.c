/*
 * test_config_volume.c - volumes, their URIs and names
 */
#include "tests/unit/config/yaml_file.h"

/* One volume with @line beside its URI: the volume begins on line 4, @line is line 5. */
static void volume_refused(const char *line, const char *start)
{
	char text[1024];

	snprintf(text, sizeof(text), GOOD_PORT "volumes:\n- uri: nbd://h/x\n  %s\n", line);
	refused(text, start);
}

static void volume_loads(const char *line)
{
	char text[1024];

	snprintf(text, sizeof(text), GOOD_PORT "volumes:\n- uri: nbd://h/x\n  %s\n", line);
	loads(text);
}

static void a_volume_gets_its_defaults(void **state)
{
	const struct config_volume *v = &cfg.volumes[0];

	loads(GOOD_PORT "volumes: [{uri: nbd://10.0.0.9/disk}]\n");
	assert_int_equal(cfg.volume_count, 1);
	assert_string_equal(v->name, "disk");
	assert_int_equal(v->uri_count, 1);
	assert_int_equal(v->connections, 0); /* as many as there are queues */
	assert_int_equal(v->queue_depth, QUEUE_DEPTH_DEFAULT);
	assert_int_equal(v->io_bytes_max, IO_BYTES_DEFAULT);
	assert_int_equal(v->on_dead, ON_DEAD_HOLD);
	assert_int_equal(v->unstable, UNSTABLE_TRUST);
	assert_int_equal(v->dead_ms, 0);
	assert_int_equal(v->request_ms, 0);
	assert_int_equal(v->dead_peer_ms, 15000);
	assert_int_equal(v->connect_ms, 10000);
	assert_int_equal(v->copy, COPY_AUTO);
	assert_false(v->read_only);
	assert_string_equal(v->cc, "cubic");
}

static void every_key_of_a_volume_is_read(void **state)
{
	const struct config_volume *v = &cfg.volumes[0];

	loads(GOOD_PORT
		"volumes:\n- name: data\n  uris: [\"nbd://10.0.0.9/a\", \"nbd://10.0.0.8/a\"]\n"
		"  connections: 2\n  queue_depth: 128\n  io_size_max: 1M\n  on_dead: fail\n"
		"  unstable: through\n"
		"  dead_timeout: 2m\n  request_timeout: 500ms\n  connect_timeout: 3s\n  "
		"dead_peer_timeout: 4s\n"
		"  copy: user\n  read_only: true\n  congestion_control: dctcp\n");
	assert_string_equal(v->name, "data");
	assert_int_equal(v->uri_count, 2);
	assert_string_equal(v->uris[1], "nbd://10.0.0.8/a");
	assert_int_equal(v->connections, 2);
	assert_int_equal(v->queue_depth, 128);
	assert_int_equal(v->io_bytes_max, 1 << 20);
	assert_int_equal(v->on_dead, ON_DEAD_FAIL);
	assert_int_equal(v->unstable, UNSTABLE_THROUGH);
	assert_int_equal(v->dead_ms, 120000);
	assert_int_equal(v->request_ms, 500);
	assert_int_equal(v->dead_peer_ms, 4000);
	assert_int_equal(v->connect_ms, 3000);
	assert_int_equal(v->copy, COPY_USER);
	assert_true(v->read_only);
	assert_string_equal(v->cc, "dctcp");
}

static void overlong_host_is_told(void **state)
{
	static struct config_volume volume;
	char uri[400], *host = uri + 6;

	memcpy(uri, "nbd://", 6);
	memset(host, 'h', 256);
	strcpy(host + 256, "/x");
	assert_int_equal(config_volume_from_uri(uri, &volume, &err), -EINVAL);
	assert_non_null(strstr(err.text, "host is longer than 255 bytes"));
	strcpy(host + 255, "/x");
	assert_int_equal(config_volume_from_uri(uri, &volume, &err), 0);
	assert_string_equal(volume.name, "x");
}

static void servers_of_a_volume_are_one_list(void **state)
{
	refused(GOOD_PORT "volumes:\n- name: v\n", "c.yaml:4: volumes[0]: no server is given");
	refused(GOOD_PORT "volumes:\n- {uri: nbd://h/, uris: [\"nbd://g/\"]}\n",
		"c.yaml:4: volumes[0].uris: both uri and uris are given");
	refused(GOOD_PORT "volumes:\n- uris:\n  - nbd://h/\n  - nbd://h/\n",
		"c.yaml:6: volumes[0].uris[1]: the same URI is given twice");
	refused(GOOD_PORT "volumes:\n- uris:\n  - nbd://h/\n  - nbd:/g/\n",
		"c.yaml:6: volumes[0].uris[1]: \"nbd:/g/\" is not an NBD URI");
	refused(GOOD_PORT "volumes:\n- uris: [a, b, c, d, e]\n",
		"c.yaml:4: volumes[0].uris: more than 4 entries");
	loads(GOOD_PORT "volumes:\n- uris: nbd://h/\n");
	assert_int_equal(cfg.volumes[0].uri_count, 1);
}

static void numbers_of_a_volume_are_held_to_their_limits(void **state)
{
	volume_refused("connections: 9", "c.yaml:5: volumes[0].connections: 9 is more than 8");
	volume_refused("connections: 0", "c.yaml:5: volumes[0].connections: 0 is less than 1");
	volume_refused(
		"queue_depth: 257", "c.yaml:5: volumes[0].queue_depth: 257 is more than 256");
	volume_refused("io_size_max: 8M",
		"c.yaml:5: volumes[0].io_size_max: 8M is more than 4M; give 64k to 4M");
	volume_refused(
		"io_size_max: 32k", "c.yaml:5: volumes[0].io_size_max: 32k is less than 64k");
	volume_refused("io_size_max: 65k", "c.yaml:5: volumes[0].io_size_max: 65k is not a whole");
	volume_refused("io_size_max: 131072",
		"c.yaml:5: volumes[0].io_size_max: \"131072\" is not a number with a unit");
	volume_refused("io_size_max: 99999999999G",
		"c.yaml:5: volumes[0].io_size_max: 99999999999G is more than 4M");
	volume_refused("request_timeout: 30",
		"c.yaml:5: volumes[0].request_timeout: \"30\" is not a number with a unit");
	volume_refused("request_timeout: 99ms",
		"c.yaml:5: volumes[0].request_timeout: 99ms is less than 100ms");
	volume_refused("connect_timeout: 25h",
		"c.yaml:5: volumes[0].connect_timeout: 25h is more than 24h");
	volume_loads("io_size_max: 64k");
	volume_loads("connect_timeout: 24h");
}

static void words_of_a_volume_are_told(void **state)
{
	volume_refused("unstable: trough",
		"c.yaml:5: volumes[0].unstable: \"trough\" is not known; did you mean through?");
	volume_refused("on_dead: fial",
		"c.yaml:5: volumes[0].on_dead: \"fial\" is not known; did you mean fail?");
	volume_refused("copy: none",
		"c.yaml:5: volumes[0].copy: \"none\" is not known; give auto, default or user");
	volume_refused(
		"congestion_control: bbr", "c.yaml:5: volumes[0].congestion_control: \"bbr\"");
	volume_refused("read_only: maybe",
		"c.yaml:5: volumes[0].read_only: \"maybe\" is not a switch; give true or false");
	volume_refused("name: a/b", "c.yaml:5: volumes[0].name: \"a/b\" is not a name");
}

static void fail_policy_has_a_time(void **state)
{
	volume_loads("on_dead: fail");
	assert_int_equal(cfg.volumes[0].dead_ms, 30000);
	refused(GOOD_PORT "volumes:\n- {uri: nbd://h/, on_dead: fail, dead_timeout: 0}\n",
		"c.yaml:4: volumes[0].dead_timeout: 0 is too short");
	loads(GOOD_PORT "volumes:\n- {uri: nbd://h/, on_dead: fail, dead_timeout: 1h}\n");
	assert_int_equal(cfg.volumes[0].dead_ms, 3600000);
}

static void hold_policy_has_none(void **state)
{
	volume_loads("dead_timeout: 0");
	volume_refused("dead_timeout: 1h",
		"c.yaml:5: volumes[0].dead_timeout: `on_dead: hold` never gives up");
	refused(GOOD_PORT "volumes:\n- {uri: nbd://h/, on_dead: hold, dead_timeout: 5s}\n",
		"c.yaml:4: volumes[0].dead_timeout: `on_dead: hold` never gives up");
}

static void requests_have_a_deadline_only_where_one_is_given(void **state)
{
	volume_loads("request_timeout: 0");
	assert_int_equal(cfg.volumes[0].request_ms, 0);
	volume_refused("dead_peer_timeout: 999ms",
		"c.yaml:5: volumes[0].dead_peer_timeout: 999ms is less than 1s");
}

static void volumes_have_distinct_names(void **state)
{
	refused(GOOD_PORT "volumes:\n- {uri: nbd://h/, name: v}\n- {uri: nbd://g/, name: v}\n",
		"c.yaml:5: volumes[1].name: v is the name of volumes[0] too");
	loads(GOOD_PORT "volumes:\n- uri: nbd://h/d\n- uri: nbd://g/d\n- uri: nbd://g/\n"
			"- {uri: nbd://h/e, name: vol2}\n- uri: nbd://h/a%2fb\n");
	assert_string_equal(cfg.volumes[0].name, "d");
	assert_string_equal(cfg.volumes[1].name, "vol1");
	assert_string_equal(cfg.volumes[2].name, "vol3");
	assert_string_equal(cfg.volumes[3].name, "vol2");
	assert_string_equal(cfg.volumes[4].name, "vol4");
}

static void connections_fit_the_workers(void **state)
{
	char text[8192] = GOOD_PORT "volumes:\n";
	size_t at = strlen(text);

	for (unsigned i = 0; i < 16; i++)
		at += (size_t)snprintf(
			text + at, sizeof(text) - at, "- {uri: nbd://h/v%u, connections: 8}\n", i);
	loads(text);
	snprintf(text + at, sizeof(text) - at, "- uri: nbd://h/last\n");
	refused(text, "c.yaml:3: volumes: 129 connections for 1 workers of at most 128 each");
}

static void full_house_of_volumes_loads_and_one_more_is_told(void **state)
{
	char text[16384] = GOOD_PORT "volumes:\n";
	size_t at = strlen(text);

	for (unsigned i = 0; i < VOLUME_MAX; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "- uri: nbd://h/v%u\n", i);
	loads(text);
	assert_int_equal(cfg.volume_count, VOLUME_MAX);
	snprintf(text + at, sizeof(text) - at, "- uri: nbd://h/last\n");
	refused(text, "c.yaml:3: volumes: more than 64 entries");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_volume_gets_its_defaults),
		cmocka_unit_test(every_key_of_a_volume_is_read),
		cmocka_unit_test(overlong_host_is_told),
		cmocka_unit_test(servers_of_a_volume_are_one_list),
		cmocka_unit_test(numbers_of_a_volume_are_held_to_their_limits),
		cmocka_unit_test(words_of_a_volume_are_told),
		cmocka_unit_test(fail_policy_has_a_time),
		cmocka_unit_test(hold_policy_has_none),
		cmocka_unit_test(requests_have_a_deadline_only_where_one_is_given),
		cmocka_unit_test(volumes_have_distinct_names),
		cmocka_unit_test(connections_fit_the_workers),
		cmocka_unit_test(full_house_of_volumes_loads_and_one_more_is_told),
	};

	return cmocka_run_group_tests(tests, yaml_setup, yaml_teardown);
}
