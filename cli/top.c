/*
 * top.c - sluice top: volumes, reserve and ports, once a second
 *
 * Two questions a second to the daemon, and the differences between two answers. Keys: q ends it.
 * A daemon that goes away is said on the last line, and asked again: top survives a restart.
 */
#include <assert.h>
#include <errno.h>
#include <ncurses.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/rpc.h"
#include "cli/table.h"

#define ASK_MS	    5000
#define REFRESH_MS  1000
#define VOLUME_ROWS 64

/* What the last turn knew of a volume. */
struct seen {
	char name[64];
	double ios, bytes;
};

struct view {
	struct seen seen[VOLUME_ROWS];
	unsigned seen_count;
	double at_s;
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* All numbers of an object together: {"read": 3, "write": 4} → 7. */
static double numbers_sum(json_t *object)
{
	double sum = 0;

	for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
		sum += json_number_value(json_object_iter_value(at));
	return sum;
}

static const struct seen *seen_lookup(const struct view *view, const char *name)
{
	for (unsigned i = 0; i < view->seen_count; i++) {
		if (strcmp(view->seen[i].name, name) == 0)
			return &view->seen[i];
	}
	return NULL;
}

/* The row of @volumes called @name, or NULL. */
static const json_t *row_named(const json_t *volumes, const char *name)
{
	for (size_t i = 0; i < json_array_size(volumes); i++) {
		const json_t *row = json_array_get(volumes, i);
		const char *its = json_string_value(json_object_get(row, "name"));

		if (its && strcmp(its, name) == 0)
			return row;
	}
	return NULL;
}

static void volume_draw(
	const struct view *old, const struct seen *now, double span_s, const json_t *volume)
{
	const struct seen *before = seen_lookup(old, now->name);
	double ios = before ? (now->ios - before->ios) / span_s : 0;
	double mb = before ? (now->bytes - before->bytes) / span_s / 1e6 : 0;
	char device[CELL_BYTES], state[CELL_BYTES], flight[CELL_BYTES];

	cell_format(json_object_get(volume, "device"), CELL_TEXT, device);
	cell_format(json_object_get(volume, "state"), CELL_TEXT, state);
	cell_format(json_object_get(volume, "in_flight"), CELL_COUNT, flight);
	printw("%-20.20s %-12.12s %-10.10s %10.0f %10.1f %9.9s\n", now->name, device, state, ios,
		mb, flight);
}

/* Draws each volume and remembers its counters for the next turn. */
static void volumes_draw(struct view *view, const json_t *status, const json_t *stats)
{
	const json_t *volumes = json_object_get(status, "volumes");
	const json_t *numbers = json_object_get(stats, "volumes");
	struct view next = {.at_s = now_s()};
	double span_s = next.at_s > view->at_s ? next.at_s - view->at_s : 1;

	attron(A_REVERSE);
	printw("%-20s %-12s %-10s %10s %10s %9s\n", "VOLUME", "DEVICE", "STATE", "IOPS", "MB/s",
		"IN FLIGHT");
	attroff(A_REVERSE);
	for (size_t i = 0; i < json_array_size(volumes) && next.seen_count < VOLUME_ROWS; i++) {
		const json_t *volume = json_array_get(volumes, i), *row;
		const char *name = json_string_value(json_object_get(volume, "name"));
		struct seen *now = &next.seen[next.seen_count];

		if (!name)
			continue;
		row = row_named(numbers, name);
		snprintf(now->name, sizeof(now->name), "%s", name);
		now->ios = numbers_sum(json_object_get(row, "ops"));
		now->bytes = numbers_sum(json_object_get(row, "bytes"));
		volume_draw(view, now, span_s, volume);
		next.seen_count++;
	}
	*view = next;
}

static void pools_draw(const json_t *pools)
{
	attron(A_REVERSE);
	printw("%-20s %8s %8s %8s %9s %12s %8s %6s\n", "POOL", "TOTAL", "FLOOR", "FREE", "LOW",
		"DIPS", "LEVEL", "DEPTH");
	attroff(A_REVERSE);
	for (size_t i = 0; i < json_array_size(pools); i++) {
		static const char *const keys[] = {
			"total", "floor", "free", "low_water", "dips", "level", "depth_pct"};
		static const int widths[] = {8, 8, 8, 9, 12, 8, 5};
		const json_t *pool = json_array_get(pools, i);
		char text[CELL_BYTES];

		cell_format(json_object_get(pool, "pool"), CELL_TEXT, text);
		printw("%-20.20s", text);
		for (unsigned k = 0; k < sizeof(widths) / sizeof(*widths); k++) {
			cell_format(json_object_get(pool, keys[k]), CELL_TEXT, text);
			printw(" %*.*s", widths[k], widths[k], text);
		}
		printw("%%\n");
	}
}

static void head_draw(const json_t *status)
{
	char level[CELL_BYTES], why[CELL_BYTES], drops[CELL_BYTES];
	const json_t *guarantee = json_object_get(status, "guarantee");

	cell_format(json_object_get(guarantee, "level"), CELL_TEXT, level);
	cell_format(json_object_get(guarantee, "why"), CELL_TEXT, why);
	cell_format(json_object_get(status, "protected_drops"), CELL_COUNT, drops);
	printw("sluice top   guarantee %s (%.100s)   protected drops %s   q quits\n\n", level, why,
		drops);
}

static void turn(struct view *view, const struct cli *cli)
{
	json_t *status = NULL, *stats = NULL;
	struct error err = {""};

	erase();
	if (rpc_call(cli->socket, "status", NULL, ASK_MS, &status, &err) ||
		rpc_call(cli->socket, "stats", NULL, ASK_MS, &stats, &err)) {
		printw("%s\n\nq quits\n", err.text);
	} else {
		head_draw(status);
		volumes_draw(view, status, stats);
		addch('\n');
		pools_draw(json_object_get(status, "reserve"));
	}
	refresh();
	json_decref(status);
	json_decref(stats);
}

int cli_top(const struct cli *cli)
{
	static struct view view;
	struct error err = {""};
	json_t *status;
	int rc;

	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) || cli->is_json)
		return cli_usage("top draws on a terminal; for a script use status --json");
	rc = rpc_call(cli->socket, "status", NULL, ASK_MS, &status, &err);
	if (rc)
		return cli_fail(cli, rc, &err);
	json_decref(status);
	if (!newterm(NULL, stdout, stdin)) {
		rc = error_set(&err, -ENOTTY, "this terminal cannot be drawn on; set TERM");
		return cli_fail(cli, rc, &err);
	}
	noecho();
	curs_set(0);
	timeout(REFRESH_MS);
	/* Until a person has seen enough. */
	do
		turn(&view, cli);
	while (getch() != 'q');
	endwin();
	return STATUS_GOOD;
}
