/*
 * print_numbers.c - stats, drops and the reserve for people
 *
 * The reserve in three views: how deep each pool is and who holds what, the sum that sized it with
 * its numbers, and who has held mbufs for long. Owners are a tree; children stand below their
 * parent, indented.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "cli/print.h"
#include "cli/table.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))
#define OWNER_DEPTH_MAX 8
#define AGE_MAX		8
#define LEAF_DEPTH_MAX	6

static const struct column pool_columns[] = {
	{"POOL", "pool", CELL_TEXT},
	{"TOTAL", "total", CELL_COUNT},
	{"FLOOR", "floor", CELL_COUNT},
	{"FREE", "free", CELL_COUNT},
	{"LOW WATER", "low_water", CELL_COUNT},
	{"DIPS", "dips", CELL_COUNT},
	{"REFUSED", "refused", CELL_COUNT},
	{"EMPTY REFILLS", "refused_refills", CELL_COUNT},
	{"RING DEBT", "ring_debt", CELL_COUNT},
	{"LEVEL", "level", CELL_TEXT},
	{"DEPTH", "depth_pct", CELL_PERCENT},
	{"STARVED", "starved", CELL_SWITCH},
};

static const struct column owner_columns[] = {
	{"OWNER", "owner", CELL_TEXT},
	{"LIMIT", "limit", CELL_COUNT},
	{"USED", "used", CELL_COUNT},
	{"MIB", "mib", CELL_REAL},
	{"PEAK", "peak", CELL_COUNT},
	{"REFUSED", "refused", CELL_COUNT},
};

static const struct column term_columns[] = {
	{"TERM", "term", CELL_TEXT},
	{"MBUFS", "mbufs", CELL_COUNT},
};

static const struct column memory_columns[] = {
	{"MEMORY", "term", CELL_TEXT},
	{"COUNT", "count", CELL_COUNT},
	{"MIB", "mib", CELL_REAL},
};

static const struct column leak_columns[] = {
	{"POOL", "pool", CELL_TEXT},
	{"OWNER", "owner", CELL_TEXT},
	{"COUNT", "count", CELL_COUNT},
	{"OLDEST", "oldest_us", CELL_AGE_US},
	{"<1ms", "age0", CELL_COUNT},
	{"<10ms", "age1", CELL_COUNT},
	{"<100ms", "age2", CELL_COUNT},
	{"<1s", "age3", CELL_COUNT},
	{"<10s", "age4", CELL_COUNT},
	{"<60s", "age5", CELL_COUNT},
	{"<600s", "age6", CELL_COUNT},
	{"older", "age7", CELL_COUNT},
};

/* How far below the root an owner stands. */
static unsigned owner_depth(const json_t *owners, const json_t *owner)
{
	unsigned depth = 0;

	while (depth < OWNER_DEPTH_MAX) {
		const json_t *parent = json_object_get(owner, "parent"), *found = NULL;

		for (size_t i = 0; !found && json_is_integer(parent) && i < json_array_size(owners);
			i++) {
			const json_t *other = json_array_get(owners, i);

			if (json_equal(json_object_get(other, "id"), parent))
				found = other;
		}
		if (!found)
			break;
		owner = found;
		depth++;
	}
	return depth;
}

static void owners_print(const json_t *owners)
{
	json_t *rows = json_deep_copy(owners);

	for (size_t i = 0; i < json_array_size(rows); i++) {
		char name[CELL_BYTES], text[CELL_BYTES + 2 * OWNER_DEPTH_MAX];
		json_t *row = json_array_get(rows, i);

		cell_format(json_object_get(json_array_get(owners, i), "owner"), CELL_TEXT, name);
		snprintf(text, sizeof(text), "%*s%s",
			(int)(2 * owner_depth(owners, json_array_get(owners, i))), "", name);
		json_object_set_new(row, "owner", json_string(text));
	}
	table_print(stdout, owner_columns, COUNT_OF(owner_columns), rows, "no owners");
	json_decref(rows);
}

void print_reserve(const json_t *result)
{
	const json_t *pools = print_rows(result, "pools");

	table_print(stdout, pool_columns, COUNT_OF(pool_columns), pools, "no pools");
	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *pool = json_array_get(pools, i);
		char name[CELL_BYTES];

		if (!json_is_array(json_object_get(pool, "owners")))
			continue;
		cell_format(json_object_get(pool, "pool"), CELL_TEXT, name);
		printf("\n%s:\n", name);
		owners_print(json_object_get(pool, "owners"));
	}
}

/* "subtotal 412 × safety 1.25 = 515" and what became of it. */
static void sum_print(const json_t *pool)
{
	char sub[CELL_BYTES], safety[CELL_BYTES], sum[CELL_BYTES], floor[CELL_BYTES];
	char total[CELL_BYTES], normal[CELL_BYTES], mib[CELL_BYTES];

	cell_format(json_object_get(pool, "subtotal"), CELL_COUNT, sub);
	cell_format(json_object_get(pool, "safety"), CELL_REAL, safety);
	cell_format(json_object_get(pool, "sum"), CELL_COUNT, sum);
	cell_format(json_object_get(pool, "floor"), CELL_COUNT, floor);
	cell_format(json_object_get(pool, "total"), CELL_COUNT, total);
	cell_format(json_object_get(pool, "normal"), CELL_COUNT, normal);
	cell_format(json_object_get(pool, "mib"), CELL_REAL, mib);
	printf("subtotal %s x safety %s = %s\n", sub, safety, sum);
	printf("reserve %s + normal %s = %s mbufs, %s MiB\n", floor, normal, total, mib);
}

/* What memory is for; a daemon that does not tell is older. */
static void memory_print(const json_t *terms)
{
	if (json_array_size(terms) == 0)
		return;
	putchar('\n');
	table_print(stdout, memory_columns, COUNT_OF(memory_columns), terms, "");
}

static void memory_sum_print(const json_t *memory)
{
	char sum[CELL_BYTES], resident[CELL_BYTES];

	if (!memory)
		return;
	printf("\nthe process:\n");
	memory_print(json_object_get(memory, "terms"));
	cell_format(json_object_get(memory, "mib"), CELL_REAL, sum);
	cell_format(json_object_get(memory, "resident_mib"), CELL_REAL, resident);
	printf("\nall terms %s MiB, resident %s MiB\n", sum, resident);
}

void print_reserve_explain(const json_t *result)
{
	const json_t *pools = print_rows(result, "pools");

	if (json_array_size(pools) == 0)
		puts("no pools");
	for (size_t i = 0; i < json_array_size(pools); i++) {
		const json_t *pool = json_array_get(pools, i);
		char name[CELL_BYTES];

		cell_format(json_object_get(pool, "pool"), CELL_TEXT, name);
		printf("%s%s:\n", i ? "\n" : "", name);
		table_print(stdout, term_columns, COUNT_OF(term_columns),
			json_object_get(pool, "terms"), "no terms");
		sum_print(pool);
		memory_print(json_object_get(pool, "memory"));
	}
	memory_sum_print(json_object_get(result, "memory"));
}

void print_reserve_leaks(const json_t *result)
{
	json_t *rows = json_deep_copy(print_rows(result, "leaks"));

	for (size_t i = 0; i < json_array_size(rows); i++) {
		json_t *row = json_array_get(rows, i);
		const json_t *ages = json_object_get(row, "ages");

		for (unsigned j = 0; j < AGE_MAX && j < json_array_size(ages); j++) {
			char key[16];

			snprintf(key, sizeof(key), "age%u", j);
			json_object_set(row, key, json_array_get(ages, j));
		}
	}
	table_print(stdout, leak_columns, COUNT_OF(leak_columns), rows, "no mbuf is held");
	json_decref(rows);
}

/* ---- stats: whatever numbers there are, each under its path ---- */

struct place {
	const json_t *node;
	void *iter;   /* object */
	size_t index; /* array */
	size_t path_bytes;
};

static void leaf_print(const char *path, const json_t *value)
{
	char text[CELL_BYTES];

	if (json_is_string(value) || json_is_null(value))
		return;
	cell_format(value, json_is_real(value) ? CELL_REAL : CELL_TEXT, text);
	printf("%-56s %s\n", path, text);
}

/* The next child of @at with its name appended to @path; NULL when there is none left. */
static const json_t *child_next(struct place *at, char *path, size_t path_room)
{
	char *end = path + at->path_bytes;
	const json_t *child, *name;

	path_room -= at->path_bytes;
	if (json_is_object(at->node)) {
		json_t *node = (json_t *)(uintptr_t)at->node;

		at->iter =
			at->iter ? json_object_iter_next(node, at->iter) : json_object_iter(node);
		if (!at->iter)
			return NULL;
		snprintf(end, path_room, "%s%s", at->path_bytes ? "." : "",
			json_object_iter_key(at->iter));
		return json_object_iter_value(at->iter);
	}
	child = json_array_get(at->node, at->index);
	if (!child)
		return NULL;
	name = json_object_get(child, "name");
	name = name ? name : json_object_get(child, "pool");
	name = name ? name : json_object_get(child, "owner");
	if (json_is_string(name))
		snprintf(end, path_room, ".%s", json_string_value(name));
	else
		snprintf(end, path_room, ".%zu", at->index);
	at->index++;
	return child;
}

void print_stats(const json_t *stats)
{
	struct place stack[LEAF_DEPTH_MAX] = {{.node = stats}};
	unsigned depth = 1;
	char path[CELL_BYTES] = "";

	/* Ends with the tree: each turn takes one child or leaves one node. */
	while (depth > 0) {
		const json_t *child = child_next(&stack[depth - 1], path, sizeof(path));

		if (!child)
			depth--;
		else if ((json_is_object(child) || json_is_array(child)) && depth < LEAF_DEPTH_MAX)
			stack[depth++] = (struct place){.node = child, .path_bytes = strlen(path)};
		else if (!json_is_object(child) && !json_is_array(child))
			leaf_print(path, child);
	}
}

void print_drops_all(const json_t *drops)
{
	static const struct column columns[] = {
		{"WHERE", "where", CELL_TEXT},
		{"COUNTER", "counter", CELL_TEXT},
		{"FATE", "fate", CELL_TEXT},
		{"COUNT", "count", CELL_COUNT},
		{"REASON", "text", CELL_TEXT},
	};

	table_print(stdout, columns, COUNT_OF(columns), print_rows(drops, "drops"),
		"nothing was dropped, held, refused or failed");
}

void print_drops(const json_t *drops)
{
	const json_t *all = print_rows(drops, "drops");
	json_t *rows = json_array();

	for (size_t i = 0; i < json_array_size(all); i++) {
		json_t *row = json_array_get(all, i);

		if (json_integer_value(json_object_get(row, "count")) > 0)
			json_array_append(rows, row);
	}
	print_drops_all(rows);
	json_decref(rows);
}

void print_openmetrics(const json_t *result)
{
	const char *text = json_string_value(json_object_get(result, "openmetrics"));

	fputs(text ? text : "# EOF\n", stdout);
}
