/*
 * test_report.c - what status, list, stats, reserve and explain say is what the engine has
 *
 * The engine is real, on fakes with numbers the test sets; each claim compares the JSON with those.
 */
#include <stdlib.h>
#include <jansson.h>
#include <rte_mbuf.h>
#include "daemon/admin/report.h"
#include "tests/unit/daemon/engine_world.h"

/* The value at @path ("ports.0.name") of @root; the test fails where there is none. */
static const json_t *at(const json_t *root, const char *path)
{
	char copy[128], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *p = strtok_r(copy, ".", &save); p; p = strtok_r(NULL, ".", &save)) {
		root = json_is_array(root) ? json_array_get(root, (size_t)atoi(p))
					   : json_object_get(root, p);
		if (!root)
			fail_msg("no %s of %s", p, path);
	}
	return root;
}

#define TEXT(root, path) json_string_value(at(root, path))
#define INT(root, path)	 json_integer_value(at(root, path))

/* Σ of @key over the list at @path. */
static json_int_t sum(const json_t *root, const char *path, const char *key)
{
	const json_t *list = at(root, path), *item;
	json_int_t total = 0;
	size_t i;

	json_array_foreach(list, i, item) total += json_integer_value(json_object_get(item, key));
	return total;
}

/* ---- status and list ---- */

static void status_has_the_port_as_it_is(void **state)
{
	json_t *s;

	fake_nic.stats = (struct port_stats){
		.rx_packets = 11, .tx_packets = 12, .rx_bytes = 13, .rx_missed = 14};
	fake_nic.is_link_down = true;
	snprintf(fake_nic.facts.driver, sizeof(fake_nic.facts.driver), "net_vmxnet3");
	fake_nic.facts.offload.rx_csum = true;
	world_make(2);
	s = report_status(world, 7);
	assert_non_null(s);
	assert_string_equal(TEXT(s, "version"), SLUICE_VERSION);
	assert_int_equal(INT(s, "uptime_s"), 7);
	assert_string_equal(TEXT(s, "guarantee.level"), "full");
	assert_string_equal(TEXT(s, "ports.0.name"), "storage");
	assert_string_equal(TEXT(s, "ports.0.mac"), "02:00:00:00:00:01");
	assert_string_equal(TEXT(s, "ports.0.link"), "down");
	assert_string_equal(TEXT(s, "ports.0.exception.kind"), "off");
	assert_non_null(strstr(TEXT(s, "ports.0.offloads_left_out"), "LRO and TSO"));
	assert_true(json_is_true(at(s, "ports.0.rx_checksum")));
	assert_true(json_is_false(at(s, "ports.0.tx_checksum")));
	assert_true(json_is_false(at(s, "ports.0.tso")));
	assert_int_equal(INT(s, "ports.0.workers"), 2);
	assert_int_equal(INT(s, "ports.0.rx_packets"), 11);
	assert_int_equal(INT(s, "ports.0.rx_missed"), 14);
	assert_int_equal(json_array_size(at(s, "reserve")), 2);
	assert_int_equal(json_array_size(at(s, "volumes")), 0);
	assert_string_equal(TEXT(s, "kernel_memory.state"), "unknown");
	json_decref(s);
}

static void level_of_a_port_is_that_of_its_deepest_queue(void **state)
{
	json_t *s;

	world_make(2);
	reserve_fault_level(fake_workers[1]->cfg.rx_pool, RESERVE_YELLOW);
	world_run(TURN_US);
	s = report_status(world, 0);
	assert_string_equal(TEXT(s, "ports.0.level"), "yellow");
	json_decref(s);
	reserve_fault_level(fake_workers[1]->cfg.rx_pool, -1);
}

static void protected_drops_are_those_of_all_workers(void **state)
{
	json_t *s;

	world_make(2);
	fake_workers[0]->net.protected_drops = 3;
	fake_workers[1]->net.protected_drops = 4;
	s = report_status(world, 0);
	assert_int_equal(INT(s, "protected_drops"), 7);
	json_decref(s);
}

static void volume_under_way_has_no_device_and_says_its_step(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct answer a;
	json_t *l;

	world_make(1);
	fake_server.is_silent = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	world_run(TURN_US);
	l = report_list(world);
	assert_true(json_is_null(at(l, "0.device")));
	assert_string_equal(TEXT(l, "0.step"), "connecting");
	assert_string_equal(TEXT(l, "0.state"), "connecting");
	json_decref(l);
	fake_server.is_silent = false;
	assert_true(world_answers(&a, SECOND_US));
	l = report_list(world);
	assert_string_equal(TEXT(l, "0.device"), "/dev/ublkb0");
	assert_string_equal(TEXT(l, "0.step"), "serving");
	assert_int_equal(INT(l, "0.size_bytes"), 64 << 20);
	assert_int_equal(INT(l, "0.staging_bytes"), v.queue_depth * v.io_bytes_max);
	assert_true(INT(l, "0.credits.least") > 0 &&
		    INT(l, "0.credits.most") > INT(l, "0.credits.least"));
	json_decref(l);
}

/* ---- stats ---- */

static void stats_have_the_counters_of_each_worker_port_and_volume(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	json_t *s;

	fake_nic.stats.rx_nombuf = 21;
	world_make(2);
	world_serve(&v, FRONT_UBLK);
	fake_volume_ops(fake_volume(fake_workers[0], 0), BLOCK_READ, 31);
	fake_workers[1]->net.tcp_rto = 41;
	fake_workers[1]->other.held = 42;
	fake_workers[1]->classes[0] = 43;
	s = report_stats(world);
	assert_int_equal(INT(s, "ports.0.rx_nombuf"), 21);
	assert_int_equal(INT(s, "workers.0.net.tcp_rto"), 0);
	assert_int_equal(INT(s, "workers.1.net.tcp_rto"), 41);
	assert_int_equal(INT(s, "workers.1.other.held"), 42);
	assert_int_equal(sum(s, "workers", "worker"), 1);
	assert_int_equal(INT(s, "volumes.0.ops.read"), 31);
	assert_int_equal(json_integer_value(json_object_iter_value(json_object_iter(
				 (json_t *)(uintptr_t)at(s, "workers.1.classes")))),
		43);
	json_decref(s);
}

/* ---- the reserve ---- */

static void ledger_adds_up_and_has_the_exception_ports_pools(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct rte_mbuf *m;
	json_t *r;

	world_cfg.ports[0].exception = EXCEPTION_TAP;
	world_make(2);
	world_serve(&v, FRONT_UBLK);
	m = rte_pktmbuf_alloc(reserve_pool(fake_workers[0]->cfg.rx_pool));
	r = report_reserve(world);
	assert_int_equal(json_array_size(r), 4);
	assert_string_equal(TEXT(r, "0.pool"), "rx-0-0");
	assert_string_equal(TEXT(r, "3.pool"), "exc-0-1");
	for (unsigned i = 0; i < 4; i++) {
		const json_t *pool = json_array_get(r, i);

		assert_int_equal(
			INT(pool, "free") + sum(pool, "owners", "used"), INT(pool, "total"));
	}
	assert_int_equal(INT(r, "0.free"), INT(r, "0.total") - 1);
	json_decref(r);
	rte_pktmbuf_free(m);
}

static void explanation_adds_up_to_the_floor(void **state)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	uint32_t total, floor;
	json_t *x;

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	x = report_reserve_explain(world);
	engine_sum(world, 0, &total, &floor);
	assert_int_equal(sum(x, "pools.0.terms", "mbufs"), INT(x, "pools.0.subtotal"));
	assert_int_equal(INT(x, "pools.0.sum"), floor);
	assert_int_equal(INT(x, "pools.0.floor"), floor);
	assert_int_equal(INT(x, "pools.0.total"), total);
	assert_int_equal(INT(x, "pools.0.normal"), total - floor);
	assert_int_equal(sum(x, "pools.0.memory", "bytes") + sum(x, "memory.terms", "bytes"),
		INT(x, "memory.bytes"));
	assert_int_equal(INT(x, "memory.resident_bytes"), host_memory_resident());
	json_decref(x);
}

static void mbuf_that_does_not_come_back_is_a_leak_of_its_owner(void **state)
{
	struct rte_mbuf *m;
	json_t *l;

	world_make(1);
	l = report_reserve_leaks(world, engine_now_us(world));
	assert_int_equal(json_array_size(l), 0);
	json_decref(l);
	m = rte_pktmbuf_alloc(reserve_pool(fake_workers[0]->cfg.rx_pool));
	reserve_force(m, OWNER_REASSEMBLY, engine_now_us(world));
	world_run(30 * SECOND_US);
	l = report_reserve_leaks(world, engine_now_us(world));
	assert_int_equal(json_array_size(l), 1);
	assert_string_equal(TEXT(l, "0.pool"), "rx-0-0");
	assert_int_equal(INT(l, "0.count"), 1);
	assert_true(INT(l, "0.oldest_us") >= (json_int_t)(30 * SECOND_US));
	json_decref(l);
	rte_pktmbuf_free(m);
}

/* ---- probe ---- */

static json_t *probed;

static void on_probe(void *arg, int rc, const char *device, const struct error *err)
{
	probed = rc ? NULL : report_probe(world, arg);
}

static void probe_has_what_the_server_said(void **state)
{
	static char name[] = VOLUME;
	const struct config_volume v = world_volume(VOLUME, 1);
	const struct engine_attach how = {.volume = &v,
		.front = FRONT_NONE,
		.deadline_ms = ATTACH_MS,
		.done = on_probe,
		.arg = name};
	struct error err;

	world_make(1);
	probed = NULL;
	assert_int_equal(engine_attach(world, &how, &err), 0);
	assert_true(world_until("", SECOND_US));
	assert_non_null(probed);
	assert_string_equal(TEXT(probed, "uri"), "nbd://192.0.2.1/disk");
	assert_string_equal(TEXT(probed, "server"), "192.0.2.1:10809");
	assert_int_equal(INT(probed, "size_bytes"), 64 << 20);
	assert_true(json_is_array(at(probed, "exports")));
	json_decref(probed);
	assert_null(report_probe(world, "another"));
}

/* The durability text of a volume whose counts and modes are @volume's. */
static void says_of_durability(
	const struct volume_info *volume, const char *mode, const char *part)
{
	const struct device_info v = {.volume = *volume, .step = "serving"};
	json_t *row = report_volume(&v);

	assert_string_equal(TEXT(row, "unstable"), mode);
	if (part)
		assert_non_null(strstr(TEXT(row, "durability"), part));
	else
		assert_string_equal(TEXT(row, "durability"), "");
	json_decref(row);
}

static void mode_of_unstable_writes_is_what_it_has_come_to(void **state)
{
	says_of_durability(&(struct volume_info){.unstable_bytes = 1}, "trust", NULL);
	says_of_durability(
		&(struct volume_info){.unstable_lost = 4096}, "trust", "4096 bytes were answered");
	says_of_durability(&(struct volume_info){.is_through_asked = true, .is_through = true},
		"through", NULL);
	says_of_durability(&(struct volume_info){.is_through_asked = true}, "trust",
		"the server has neither FUA nor FLUSH");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(status_has_the_port_as_it_is),
		world_test(level_of_a_port_is_that_of_its_deepest_queue),
		world_test(protected_drops_are_those_of_all_workers),
		world_test(volume_under_way_has_no_device_and_says_its_step),
		world_test(stats_have_the_counters_of_each_worker_port_and_volume),
		world_test(ledger_adds_up_and_has_the_exception_ports_pools),
		world_test(explanation_adds_up_to_the_floor),
		world_test(mbuf_that_does_not_come_back_is_a_leak_of_its_owner),
		cmocka_unit_test(mode_of_unstable_writes_is_what_it_has_come_to),
		world_test(probe_has_what_the_server_said),
	};

	return cmocka_run_group_tests(tests, eal_world_start, eal_world_stop);
}
