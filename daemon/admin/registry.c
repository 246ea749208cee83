/*
 * registry.c - one registry of counters, for JSON and OpenMetrics alike
 *
 * A table of series, each a pointer to its family and a reader. Nothing is copied before a report
 * is requested, so counting costs the workers nothing more: an add to their own memory.
 *
 * OpenMetrics requires all samples of one metric together, with its type and help once above them;
 * JSON has all metrics of one bearer together. Both walk the same table: families in the order in
 * which they first came, series in the order of adding.
 */
#include "daemon/admin/registry.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct series {
	const struct registry_family *family;
	char label_value[NAME_BYTES_MAX];
	void (*read)(const void *ctx, uint64_t *values);
	const void *ctx;
};

struct registry {
	struct series series[REGISTRY_SERIES_MAX];
	unsigned series_count;
};

struct registry *registry_create(void)
{
	return calloc(1, sizeof(struct registry));
}

void registry_destroy(struct registry *r)
{
	free(r);
}

int registry_add(struct registry *r, const struct registry_family *family, const char *label_value,
	void (*read)(const void *ctx, uint64_t *values), const void *ctx)
{
	struct series *s;

	assert(family->item_count > 0 && family->item_count <= REGISTRY_ITEM_MAX);
	assert(family->label || !*label_value);
	for (unsigned i = 0; i < r->series_count; i++) {
		if (r->series[i].family == family &&
			strcmp(r->series[i].label_value, label_value) == 0)
			return -EEXIST;
	}
	if (r->series_count == REGISTRY_SERIES_MAX)
		return -ENOSPC;
	s = &r->series[r->series_count++];
	*s = (struct series){.family = family, .read = read, .ctx = ctx};
	snprintf(s->label_value, sizeof(s->label_value), "%s", label_value);
	return 0;
}

void registry_del(struct registry *r, const void *ctx)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < r->series_count; i++) {
		if (r->series[i].ctx != ctx)
			r->series[kept++] = r->series[i];
	}
	r->series_count = kept;
}

/* Is series @idx the first of its family? */
static bool is_first(const struct registry *r, unsigned idx)
{
	for (unsigned i = 0; i < idx; i++) {
		if (r->series[i].family == r->series[idx].family)
			return false;
	}
	return true;
}

/* ---- JSON ---- */

json_t *registry_values(const struct registry_family *family, const uint64_t *values)
{
	json_t *object = json_object();

	for (unsigned i = 0; i < family->item_count; i++)
		json_object_set_new(
			object, family->items[i].name, json_integer((json_int_t)values[i]));
	return object;
}

static json_t *series_json(const struct series *s)
{
	uint64_t values[REGISTRY_ITEM_MAX] = {0};

	s->read(s->ctx, values);
	return registry_values(s->family, values);
}

json_t *registry_json(const struct registry *r)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < r->series_count; i++) {
		const struct series *s = &r->series[i];
		json_t *family = json_object_get(all, s->family->name);

		if (!s->family->label) {
			json_object_set_new(all, s->family->name, series_json(s));
			continue;
		}
		if (!family) {
			family = json_object();
			json_object_set_new(all, s->family->name, family);
		}
		json_object_set_new(family, s->label_value, series_json(s));
	}
	return all;
}

static json_t *drop_json(const struct series *s, const struct registry_item *item, uint64_t count)
{
	static const char *const fates[] = {"", "dropped", "held", "refused", "failed"};

	return json_pack("{s:s++ s:s++ s:s s:I s:s}", "where",
		s->family->label ? s->family->label : s->family->name, *s->label_value ? " " : "",
		s->label_value, "counter", s->family->name, ".", item->name, "fate",
		fates[item->fate], "count", (json_int_t)count, "text", item->help);
}

json_t *registry_drops(const struct registry *r)
{
	json_t *rows = json_array();

	for (unsigned i = 0; i < r->series_count; i++) {
		const struct series *s = &r->series[i];
		uint64_t values[REGISTRY_ITEM_MAX] = {0};

		s->read(s->ctx, values);
		for (unsigned j = 0; j < s->family->item_count; j++) {
			if (s->family->items[j].fate != REGISTRY_FINE)
				json_array_append_new(
					rows, drop_json(s, &s->family->items[j], values[j]));
		}
	}
	return rows;
}

/* ---- OpenMetrics ---- */

/* A label's value may hold anything: backslash, quote and newline are escaped. */
static void label_print(FILE *to, const char *value)
{
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fprintf(to, "\\%c", *value);
		else if (*value == '\n')
			fputs("\\n", to);
		else
			fputc(*value, to);
	}
}

static void sample_print(
	FILE *to, const struct series *s, const struct registry_item *item, uint64_t value)
{
	fprintf(to, "sluice_%s_%s%s", s->family->name, item->name,
		item->type == REGISTRY_COUNTER ? "_total" : "");
	if (s->family->label) {
		fprintf(to, "{%s=\"", s->family->label);
		label_print(to, s->label_value);
		fputs("\"}", to);
	}
	fprintf(to, " %" PRIu64 "\n", value);
}

/* Every metric of @family, with a sample for each of its @count series' @values. */
static void family_print(FILE *to, const struct registry *r, const struct registry_family *family,
	const uint64_t (*values)[REGISTRY_ITEM_MAX])
{
	for (unsigned i = 0; i < family->item_count; i++) {
		const struct registry_item *item = &family->items[i];
		unsigned row = 0;

		fprintf(to, "# TYPE sluice_%s_%s %s\n", family->name, item->name,
			item->type == REGISTRY_COUNTER ? "counter" : "gauge");
		fprintf(to, "# HELP sluice_%s_%s %s\n", family->name, item->name, item->help);
		for (unsigned j = 0; j < r->series_count; j++) {
			if (r->series[j].family == family)
				sample_print(to, &r->series[j], item, values[row++][i]);
		}
	}
}

char *registry_openmetrics(const struct registry *r)
{
	uint64_t(*values)[REGISTRY_ITEM_MAX] = calloc(REGISTRY_SERIES_MAX, sizeof(*values));
	size_t bytes;
	char *text = NULL;
	FILE *to = values ? open_memstream(&text, &bytes) : NULL;

	if (!to) {
		free(values);
		return NULL;
	}
	for (unsigned i = 0; i < r->series_count; i++) {
		const struct registry_family *family = r->series[i].family;
		unsigned row = 0;

		if (!is_first(r, i))
			continue;
		/* Each series is read once, so its numbers belong together. */
		for (unsigned j = i; j < r->series_count; j++) {
			if (r->series[j].family == family)
				r->series[j].read(r->series[j].ctx, values[row++]);
		}
		family_print(to, r, family, (const uint64_t(*)[REGISTRY_ITEM_MAX])values);
	}
	fputs("# EOF\n", to);
	free(values);
	if (fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}
