/*
 * test_registry.c - the same counters as JSON and as OpenMetrics text
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/admin/registry.h"

static const struct registry_item net_items[] = {
	{"rx_packets", "Packets received", REGISTRY_COUNTER},
	{"level", "How full it is", REGISTRY_GAUGE},
};
static const struct registry_family net = {"net", "worker", net_items, 2};
static const struct registry_family daemon_family = {"daemon", NULL, net_items, 1};

struct bearer {
	uint64_t values[2];
	unsigned read_count;
};

static void bearer_read(const void *ctx, uint64_t *values)
{
	struct bearer *b = (struct bearer *)(uintptr_t)ctx;

	memcpy(values, b->values, sizeof(b->values));
	b->read_count++;
}

static void daemon_read(const void *ctx, uint64_t *values)
{
	values[0] = 5;
}

static void drops_are_the_counters_with_a_fate(void **state)
{
	static const struct registry_item items[] = {
		{"rx_packets", "Packets received", REGISTRY_COUNTER, REGISTRY_FINE},
		{"shed", "Packets dropped", REGISTRY_COUNTER, REGISTRY_DROPPED},
	};
	static const struct registry_family family = {"other", "worker", items, 2};
	static const struct registry_family single = {"log", NULL, items + 1, 1};
	struct bearer a = {{1, 2}, 0};
	struct registry *r = registry_create();
	json_t *rows, *want;

	assert_int_equal(registry_add(r, &family, "3", bearer_read, &a), 0);
	assert_int_equal(registry_add(r, &single, "", daemon_read, NULL), 0);
	rows = registry_drops(r);
	want = json_pack("[{s:s s:s s:s s:i s:s} {s:s s:s s:s s:i s:s}]", "where", "worker 3",
		"counter", "other.shed", "fate", "dropped", "count", 2, "text", "Packets dropped",
		"where", "log", "counter", "log.shed", "fate", "dropped", "count", 5, "text",
		"Packets dropped");
	assert_non_null(want);
	assert_true(json_equal(rows, want));
	json_decref(want);
	json_decref(rows);
	registry_destroy(r);
}

static void openmetrics_keeps_the_samples_of_a_metric_together(void **state)
{
	static const char want[] =
		"# TYPE sluice_net_rx_packets counter\n"
		"# HELP sluice_net_rx_packets Packets received\n"
		"sluice_net_rx_packets_total{worker=\"0\"} 1\n"
		"sluice_net_rx_packets_total{worker=\"1\"} 18446744073709551615\n"
		"# TYPE sluice_net_level gauge\n"
		"# HELP sluice_net_level How full it is\n"
		"sluice_net_level{worker=\"0\"} 2\n"
		"sluice_net_level{worker=\"1\"} 4\n"
		"# TYPE sluice_daemon_rx_packets counter\n"
		"# HELP sluice_daemon_rx_packets Packets received\n"
		"sluice_daemon_rx_packets_total 5\n"
		"# EOF\n";
	struct bearer a = {{1, 2}, 0}, b = {{UINT64_MAX, 4}, 0};
	struct registry *r = registry_create();
	char *text;

	assert_non_null(r);
	assert_int_equal(registry_add(r, &net, "0", bearer_read, &a), 0);
	assert_int_equal(registry_add(r, &daemon_family, "", daemon_read, NULL), 0);
	assert_int_equal(registry_add(r, &net, "1", bearer_read, &b), 0);
	text = registry_openmetrics(r);
	assert_non_null(text);
	assert_string_equal(text, want);
	assert_int_equal(a.read_count, 1);
	free(text);
	registry_destroy(r);
}

static void json_keeps_the_metrics_of_a_bearer_together(void **state)
{
	struct bearer a = {{1, 2}, 0}, b = {{3, 4}, 0};
	struct registry *r = registry_create();
	json_t *json,
		*want = json_pack("{s:{s:{s:i s:i} s:{s:i s:i}} s:{s:i}}", "net", "0", "rx_packets",
			1, "level", 2, "1", "rx_packets", 3, "level", 4, "daemon", "rx_packets", 5);

	assert_int_equal(registry_add(r, &net, "0", bearer_read, &a), 0);
	assert_int_equal(registry_add(r, &daemon_family, "", daemon_read, NULL), 0);
	assert_int_equal(registry_add(r, &net, "1", bearer_read, &b), 0);
	json = registry_json(r);
	assert_true(json_equal(json, want));
	json_decref(json);
	json_decref(want);
	registry_destroy(r);
}

static void deleted_bearer_is_read_no_more(void **state)
{
	struct bearer a = {{1, 2}, 0}, b = {{3, 4}, 0};
	struct registry *r = registry_create();
	char *text;

	assert_int_equal(registry_add(r, &net, "0", bearer_read, &a), 0);
	assert_int_equal(registry_add(r, &net, "1", bearer_read, &b), 0);
	registry_del(r, &a);
	text = registry_openmetrics(r);
	assert_null(strstr(text, "worker=\"0\""));
	assert_non_null(strstr(text, "worker=\"1\"} 3\n"));
	assert_int_equal(a.read_count, 0);
	assert_int_equal(registry_add(r, &net, "0", bearer_read, &a), 0);
	free(text);
	registry_destroy(r);
}

static void series_is_added_once_and_the_table_has_an_end(void **state)
{
	struct bearer a = {{1, 2}, 0};
	struct registry *r = registry_create();
	char label[16];

	assert_int_equal(registry_add(r, &net, "0", bearer_read, &a), 0);
	assert_int_equal(registry_add(r, &net, "0", bearer_read, &a), -EEXIST);
	for (unsigned i = 1; i < REGISTRY_SERIES_MAX; i++) {
		snprintf(label, sizeof(label), "%u", i);
		assert_int_equal(registry_add(r, &net, label, bearer_read, &a), 0);
	}
	assert_int_equal(registry_add(r, &net, "one more", bearer_read, &a), -ENOSPC);
	registry_del(r, &a);
	assert_int_equal(registry_add(r, &net, "one more", bearer_read, &a), 0);
	registry_destroy(r);
	registry_destroy(NULL);
}

static void label_values_are_escaped(void **state)
{
	struct bearer a = {{1, 2}, 0};
	struct registry *r = registry_create();
	char *text;

	assert_int_equal(registry_add(r, &net, "a\"b\\c\nd", bearer_read, &a), 0);
	text = registry_openmetrics(r);
	assert_non_null(strstr(text, "{worker=\"a\\\"b\\\\c\\nd\"} 1\n"));
	free(text);
	registry_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drops_are_the_counters_with_a_fate),
		cmocka_unit_test(openmetrics_keeps_the_samples_of_a_metric_together),
		cmocka_unit_test(json_keeps_the_metrics_of_a_bearer_together),
		cmocka_unit_test(deleted_bearer_is_read_no_more),
		cmocka_unit_test(series_is_added_once_and_the_table_has_an_end),
		cmocka_unit_test(label_values_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
