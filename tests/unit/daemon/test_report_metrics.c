/*
 * test_report_metrics.c - every counter of an engine comes out in OpenMetrics, named and explained
 *
 * The engine here is a few functions in this file: two workers, one port, one volume, one pool, in
 * which the Nth counter has the value N.
 */
#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/admin/counters.h"
#include "daemon/engine/engine_info.h"
#include "daemon/admin/report.h"

static const struct registry_family *const families[] = {&counters_loop, &counters_net,
	&counters_exception, &counters_class, &counters_port, &counters_ops, &counters_bytes,
	&counters_errors, &counters_volume, &counters_pool};

#define FAMILY_COUNT (sizeof(families) / sizeof(*families))

/* ---- an engine ---- */

static struct config_port port_config = {.name = "p0"};

static void numbers_fill(void *out, size_t bytes)
{
	uint64_t *values = out;

	for (size_t i = 0; i < bytes / sizeof(uint64_t); i++)
		values[i] = i + 1;
}

unsigned engine_worker_count(const struct engine *e)
{
	return 2;
}

struct worker *engine_worker(struct engine *e, unsigned idx)
{
	static char workers[2];

	return (struct worker *)&workers[idx];
}

struct net *worker_net(struct worker *w)
{
	return (struct net *)w;
}

void worker_stats(const struct worker *w, struct worker_stats *out)
{
	numbers_fill(out, sizeof(*out));
}

void net_stats(const struct net *net, struct net_stats *out)
{
	numbers_fill(out, sizeof(*out));
}

const struct slow_path *worker_slow_path(const struct worker *w)
{
	return (const struct slow_path *)w;
}

void slow_path_stats(const struct slow_path *o, struct slow_path_stats *out)
{
	numbers_fill(out, sizeof(*out));
}

void worker_class_counts(const struct worker *w, uint64_t counts[4])
{
	numbers_fill(counts, 4 * sizeof(uint64_t));
}

unsigned engine_port_count(const struct engine *e)
{
	return 1;
}

void engine_port_info(struct engine *e, unsigned idx, struct ports_info *out)
{
	memset(out, 0, sizeof(*out));
	out->cfg = &port_config;
	numbers_fill(&out->stats, sizeof(out->stats));
}

unsigned engine_device_list(struct engine *e, struct device_info *out, unsigned max)
{
	struct volume_info *v = &out[0].volume;

	assert_true(max >= 1);
	snprintf(v->name, sizeof(v->name), "disk");
	numbers_fill(v->ops, sizeof(v->ops));
	numbers_fill(v->bytes, sizeof(v->bytes));
	numbers_fill(v->errors, sizeof(v->errors));
	v->in_flight = 1;
	v->in_flight_max = 2;
	v->limits.size_bytes = 3;
	v->conn_ready = 4;
	v->reconnects = 5;
	v->replayed = 6;
	v->timeouts = 7;
	v->protocol_errors = 8;
	out[0].oldest_request_us = 9;
	v->unstable_bytes = 10;
	v->unstable_lost = 11;
	v->dirty_reconnects = 12;
	return 1;
}

unsigned engine_pool_count(const struct engine *e)
{
	return 1;
}

const struct reserve *engine_pool(const struct engine *e, unsigned idx)
{
	return NULL;
}

void reserve_info(const struct reserve *r, struct reserve_info *out)
{
	*out = (struct reserve_info){.name = "rx0",
		.total = 1,
		.floor = 2,
		.free = 3,
		.low_water = 4,
		.ring_debt = 5,
		.depth_pct = 6,
		.level = (enum reserve_level)7,
		.dips = 8,
		.refused = 9,
		.refused_entitled = 10,
		.alarms = 11,
		.allocs = 12,
		.frees = 13};
}

/* ---- claims ---- */

static const char *label_value(const struct registry_family *f)
{
	if (strcmp(f->label, "worker") == 0)
		return "1";
	if (strcmp(f->label, "volume") == 0)
		return "disk";
	return strcmp(f->label, "port") == 0 ? "p0" : "rx0";
}

static void every_counter_has_its_own_value(void **state)
{
	char *text = report_openmetrics(NULL), line[256];

	assert_non_null(text);
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		for (unsigned i = 0; i < families[f]->item_count; i++) {
			const struct registry_item *item = &families[f]->items[i];

			snprintf(line, sizeof(line), "\nsluice_%s_%s%s{%s=\"%s\"} %u\n",
				families[f]->name, item->name,
				item->type == REGISTRY_COUNTER ? "_total" : "", families[f]->label,
				label_value(families[f]), i + 1);
			if (!strstr(text, line))
				fail_msg("no%sin\n%s", line, text);
		}
	}
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	free(text);
}

static void names_are_legal_and_helps_are_sentences(void **state)
{
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		for (unsigned i = 0; i < families[f]->item_count; i++) {
			const struct registry_item *item = &families[f]->items[i];

			assert_int_equal(strspn(item->name, "abcdefghijklmnopqrstuvwxyz_"),
				strlen(item->name));
			assert_true(isupper((unsigned char)item->help[0]));
			assert_null(strpbrk(item->help, "\n\\\""));
			for (unsigned j = 0; j < i; j++)
				assert_string_not_equal(families[f]->items[j].name, item->name);
		}
	}
}

/* One type and one help a metric, all its samples below them and nowhere else. */
static void samples_stand_with_their_metric(void **state)
{
	char *text = report_openmetrics(NULL), *next, metric[128] = "";
	unsigned type_count = 0, want = 0;

	for (char *line = text; *line; line = next) {
		next = strchr(line, '\n') + 1;
		if (sscanf(line, "# TYPE %127s", metric) == 1)
			type_count++;
		else if (line[0] != '#')
			assert_int_equal(strncmp(line, metric, strlen(metric)), 0);
	}
	for (unsigned f = 0; f < FAMILY_COUNT; f++)
		want += families[f]->item_count;
	assert_int_equal(type_count, want);
	free(text);
}

/* Whether the words of @item tell of a loss. */
static bool tells_of_loss(const struct registry_item *item)
{
	static const char *const words[] = {"drop", "shed_", "missed", "refused", "given up",
		"failed", "no memory", "wrong", "malformed", "full"};

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strstr(item->name, words[i]) || strstr(item->help, words[i]))
			return true;
	}
	return false;
}

/* Those of the words above that count something else. */
static bool is_no_loss(const struct registry_item *item)
{
	return item->type == REGISTRY_GAUGE || strcmp(item->name, "neigh_failed") == 0;
}

static void every_counter_of_a_loss_is_among_the_drops(void **state)
{
	json_t *rows = report_drops(NULL);

	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		for (unsigned i = 0; i < families[f]->item_count; i++) {
			const struct registry_item *item = &families[f]->items[i];
			unsigned found = 0;
			char name[128];
			size_t at;
			json_t *row;

			snprintf(name, sizeof(name), "%s.%s", families[f]->name, item->name);
			json_array_foreach(rows, at, row)
				found += strcmp(json_string_value(json_object_get(row, "counter")),
						 name) == 0 &&
					 json_integer_value(json_object_get(row, "count")) == i + 1;
			assert_true((found > 0) == (item->fate != REGISTRY_FINE));
			if (tells_of_loss(item) && !is_no_loss(item) && !found)
				fail_msg("%s: %s: is not among the drops", name, item->help);
		}
	}
	json_decref(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_counter_has_its_own_value),
		cmocka_unit_test(names_are_legal_and_helps_are_sentences),
		cmocka_unit_test(samples_stand_with_their_metric),
		cmocka_unit_test(every_counter_of_a_loss_is_among_the_drops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
