/*
 * print.c - status, list, doctor and probe for people
 *
 * The figures are the same as --json shows; here they are chosen and laid out. A volume's trouble
 * (an error, a degraded feature) is written out below its table, because a table has no room for a
 * sentence and a sentence is what is needed then.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "cli/print.h"
#include "cli/table.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

static const struct column port_columns[] = {
	{"PORT", "name", CELL_TEXT},
	{"DEVICE", "device", CELL_TEXT},
	{"DRIVER", "driver", CELL_TEXT},
	{"LINK", "link", CELL_TEXT},
	{"MTU", "mtu", CELL_COUNT},
	{"WORKERS", "workers", CELL_COUNT},
	{"LEVEL", "level", CELL_TEXT},
	{"DEPTH", "depth_pct", CELL_PERCENT},
	{"RX PACKETS", "rx_packets", CELL_COUNT},
	{"TX PACKETS", "tx_packets", CELL_COUNT},
	{"MAC", "mac", CELL_TEXT},
	{"ADDRESSES", "addresses", CELL_TEXT},
};

static const struct column volume_columns[] = {
	{"VOLUME", "name", CELL_TEXT},
	{"DEVICE", "device", CELL_TEXT},
	{"STATE", "state", CELL_TEXT},
	{"SIZE", "size_bytes", CELL_SIZE},
	{"BLOCK", "block_size", CELL_COUNT},
	{"CONNS", "connections", CELL_COUNT},
	{"WORKERS", "workers", CELL_COUNT},
	{"IN FLIGHT", "in_flight", CELL_COUNT},
	{"SCHEDULER", "scheduler", CELL_TEXT},
	{"SERVER", "server", CELL_TEXT},
};

static const struct column pool_columns[] = {
	{"POOL", "pool", CELL_TEXT},
	{"TOTAL", "total", CELL_COUNT},
	{"FLOOR", "floor", CELL_COUNT},
	{"FREE", "free", CELL_COUNT},
	{"LOW WATER", "low_water", CELL_COUNT},
	{"DIPS", "dips", CELL_COUNT},
	{"REFUSED", "refused", CELL_COUNT},
	{"LEVEL", "level", CELL_TEXT},
};

static const struct column doctor_columns[] = {
	{"", "mark", CELL_TEXT},
	{"CHECK", "what", CELL_TEXT},
	{"FOUND", "text", CELL_TEXT},
};

static const struct column export_columns[] = {
	{"EXPORT", "name", CELL_TEXT},
	{"DESCRIPTION", "description", CELL_TEXT},
};

const json_t *print_rows(const json_t *result, const char *key)
{
	const json_t *inner = json_object_get(result, key);

	if (json_is_array(result))
		return result;
	return json_is_array(inner) ? inner : NULL;
}

/* "NAME: sentence" for each volume that has one under @key. */
static void sentences_print(const json_t *volumes, const char *key)
{
	for (size_t i = 0; i < json_array_size(volumes); i++) {
		const json_t *volume = json_array_get(volumes, i);
		const char *text = json_string_value(json_object_get(volume, key));
		char name[CELL_BYTES], sentence[CELL_BYTES], line[3 * CELL_BYTES];

		if (!text || !*text)
			continue;
		cell_format(json_object_get(volume, "name"), CELL_TEXT, name);
		cell_format(json_object_get(volume, key), CELL_TEXT, sentence);
		snprintf(line, sizeof(line), "%s: %s: %s", name, key, sentence);
		text_print(stdout, line);
	}
}

/* What each connection may have in flight, and what it was measured by. */
static void credits_print(const json_t *volumes)
{
	for (size_t i = 0; i < json_array_size(volumes); i++) {
		const json_t *volume = json_array_get(volumes, i),
			     *c = json_object_get(volume, "credits");
		char name[CELL_BYTES], line[2 * CELL_BYTES];

		if (!c || json_integer_value(json_object_get(c, "most")) == 0)
			continue; /* a volume that waits has none */
		cell_format(json_object_get(volume, "name"), CELL_TEXT, name);
		snprintf(line, sizeof(line),
			"%s: credits: %lld mbufs a connection (%lld to %lld), by %.1f MB/s x %lld "
			"us",
			name, json_integer_value(json_object_get(c, "mbufs")),
			json_integer_value(json_object_get(c, "least")),
			json_integer_value(json_object_get(c, "most")),
			json_number_value(json_object_get(c, "read_mb_s")),
			json_integer_value(json_object_get(c, "read_delay_us")));
		text_print(stdout, line);
	}
}

void print_list(const json_t *result)
{
	const json_t *volumes = print_rows(result, "volumes");

	table_print(stdout, volume_columns, COUNT_OF(volume_columns), volumes,
		"no volumes; `sluice attach URI` makes one");
	sentences_print(volumes, "error");
	sentences_print(volumes, "durability");
	sentences_print(volumes, "degraded");
	sentences_print(volumes, "spread");
	credits_print(volumes);
}

static void uptime_print(json_int_t seconds)
{
	if (seconds >= 86400)
		printf(", up %lld d %lld h", seconds / 86400, seconds % 86400 / 3600);
	else if (seconds >= 3600)
		printf(", up %lld h %lld min", seconds / 3600, seconds % 3600 / 60);
	else
		printf(", up %lld min %lld s", seconds / 60, seconds % 60);
}

static void guarantee_print(const json_t *guarantee)
{
	char level[CELL_BYTES], why[CELL_BYTES], line[3 * CELL_BYTES];

	if (!json_is_object(guarantee))
		return;
	cell_format(json_object_get(guarantee, "level"), CELL_TEXT, level);
	cell_format(json_object_get(guarantee, "why"), CELL_TEXT, why);
	snprintf(line, sizeof(line), "guarantee: %s: %s", level, why);
	text_print(stdout, line);
}

static void shortage_print(const json_t *memory)
{
	const char *state = json_string_value(json_object_get(memory, "state"));

	if (state && strcmp(state, "short") == 0)
		text_print(stdout, "the kernel is short of memory: non-storage traffic passed to "
				   "it is limited");
}

/* Where exception traffic goes, a line for each port. */
static void exceptions_print(const json_t *ports)
{
	for (size_t i = 0; i < json_array_size(ports); i++) {
		const json_t *port = json_array_get(ports, i),
			     *x = json_object_get(port, "exception");
		char name[CELL_BYTES], text[CELL_BYTES], line[3 * CELL_BYTES];

		if (!json_is_object(x))
			continue;
		cell_format(json_object_get(port, "name"), CELL_TEXT, name);
		cell_format(json_object_get(x, json_object_get(x, "iface") ? "iface" : "why"),
			CELL_TEXT, text);
		snprintf(line, sizeof(line),
			json_object_get(x, "iface") ? "%s: other traffic goes to the kernel "
						      "through %s"
						    : "%s: no exception port: %s",
			name, text);
		text_print(stdout, line);
	}
}

void print_status(const json_t *status)
{
	const json_t *drops = json_object_get(status, "protected_drops");
	char version[CELL_BYTES], pid[CELL_BYTES];

	cell_format(json_object_get(status, "version"), CELL_TEXT, version);
	cell_format(json_object_get(status, "pid"), CELL_TEXT, pid);
	printf("sluiced %s, pid %s", version, pid);
	if (json_is_integer(json_object_get(status, "uptime_s")))
		uptime_print(json_integer_value(json_object_get(status, "uptime_s")));
	putchar('\n');
	guarantee_print(json_object_get(status, "guarantee"));
	if (json_is_integer(drops))
		printf("protected drops: %lld%s\n", json_integer_value(drops),
			json_integer_value(drops)
				? " (must be 0: storage packets were lost; report it with `sluice "
				  "stats --json`,\n`sluice reserve --json` and the log of sluiced)"
				: "");
	putchar('\n');
	table_print(stdout, port_columns, COUNT_OF(port_columns), json_object_get(status, "ports"),
		"no ports");
	exceptions_print(json_object_get(status, "ports"));
	shortage_print(json_object_get(status, "kernel_memory"));
	putchar('\n');
	table_print(stdout, pool_columns, COUNT_OF(pool_columns),
		json_object_get(status, "reserve"), "no pools");
	putchar('\n');
	print_list(json_object_get(status, "volumes"));
}

void print_attached(const json_t *result)
{
	char device[CELL_BYTES];

	cell_format(json_object_get(result, "device"), CELL_TEXT, device);
	puts(device);
	print_warning(result);
}

void print_level(const json_t *result)
{
	char level[CELL_BYTES];

	cell_format(json_object_get(result, "level"), CELL_TEXT, level);
	printf("level is held: %s\n", level);
}

void print_starved(const json_t *result)
{
	printf("starve is %s\n", json_is_true(json_object_get(result, "starved")) ? "on" : "off");
}

/* Does each text of @rows fit a cell? A name may have 4096 bytes. */
static bool exports_fit(const json_t *rows)
{
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);

		if (json_string_length(json_object_get(row, "name")) >= CELL_BYTES ||
			json_string_length(json_object_get(row, "description")) >= CELL_BYTES)
			return false;
	}
	return true;
}

/* What the server lists, the export asked about among them; long names whole, one a line. */
static void exports_print(const json_t *result)
{
	const json_t *list = json_object_get(result, "exports");
	json_int_t total = json_integer_value(json_object_get(result, "exports_total"));
	size_t count = json_array_size(list);
	bool is_fit = exports_fit(list);

	if (count == 0)
		return;
	putchar('\n');
	if (is_fit)
		table_print(stdout, export_columns, COUNT_OF(export_columns), list, "");
	for (size_t i = 0; i < count && !is_fit; i++)
		printf("%s\n    %s\n",
			json_string_value(json_object_get(json_array_get(list, i), "name")),
			json_string_value(json_object_get(json_array_get(list, i), "description")));
	if (total > (json_int_t)count)
		printf("\n%lld exports are listed by the server, the first %zu are shown\n",
			(long long)total, count);
}

/* Facts of an export, one a line, its size in words too; then all exports of the server. */
void print_probe(const json_t *result)
{
	json_t *facts = json_deep_copy(result); /* iterating needs it writable */
	void *at;
	size_t width = 0;

	json_object_del(facts, "exports");
	json_object_del(facts, "exports_total");
	json_object_del(facts, "warning");
	print_warning(result);
	for (at = json_object_iter(facts); at; at = json_object_iter_next(facts, at)) {
		size_t len = strlen(json_object_iter_key(at));

		width = len > width ? len : width;
	}
	for (at = json_object_iter(facts); at; at = json_object_iter_next(facts, at)) {
		const char *key = json_object_iter_key(at);
		const json_t *value = json_object_iter_value(at);
		char text[CELL_BYTES];

		cell_format(value, CELL_TEXT, text);
		printf("%-*s  %s", (int)width, key, text);
		if (strcmp(key, "size_bytes") == 0) {
			cell_format(value, CELL_SIZE, text);
			printf(" (%s)", text);
		}
		putchar('\n');
	}
	exports_print(result);
	json_decref(facts);
}

static const char *doctor_mark(const json_t *line)
{
	if (json_is_true(json_object_get(line, "good")))
		return "ok";
	return json_is_true(json_object_get(line, "required")) ? "MISSING" : "advice";
}

void print_doctor(const json_t *result)
{
	json_t *lines = json_deep_copy(print_rows(result, "lines"));

	for (size_t i = 0; i < json_array_size(lines); i++) {
		json_t *line = json_array_get(lines, i);

		json_object_set_new(line, "mark", json_string(doctor_mark(line)));
	}
	table_print(stdout, doctor_columns, COUNT_OF(doctor_columns), lines, "nothing to check");
	for (size_t i = 0; i < json_array_size(lines); i++) {
		const json_t *line = json_array_get(lines, i);
		const char *remedy = json_string_value(json_object_get(line, "remedy"));

		if (remedy && *remedy && !json_is_true(json_object_get(line, "good")))
			printf("\n%s:\n  %s\n", json_string_value(json_object_get(line, "what")),
				remedy);
	}
	json_decref(lines);
}
