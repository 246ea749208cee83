/*
 * top.c - sluice top: volumes and reserve, once a second
 *
 * Two questions a second to the daemon, and the differences between two answers. Keys: q ends it. A
 * daemon that goes away is reported in the place of the tables and asked again: top survives its
 * restart.
 *
 * The screen is written line by line, and each line is cut at the terminal's width, because one
 * that wraps moves all below it. 80 columns hold every column; on fewer, those at the right are cut
 * off, so what matters most stands left. Pools keep their lines; volumes without one are counted. A
 * terminal that cannot move its cursor is refused.
 */
#include <assert.h>
#include <errno.h>
#include <ncurses.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/rpc.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "config/monotonic.h"

#define ASK_MS	    5000
#define REFRESH_MS  1000
#define VOLUME_ROWS 64
#define LINE_BYTES  (4 * CELL_BYTES)

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

/* The next line of the screen, cut at its width. Nothing below the last. */
__attribute__((format(printf, 3, 4))) static void line(int *row, attr_t attr, const char *fmt, ...)
{
	char text[LINE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (*row >= LINES)
		return;
	attron(attr);
	mvaddnstr(*row, 0, text, COLS);
	attroff(attr);
	++*row;
}

static void volume_draw(int *row, const struct view *old, const struct seen *now, double span_s,
	const json_t *volume)
{
	const struct seen *before = seen_lookup(old, now->name);
	double ios = before ? (now->ios - before->ios) / span_s : 0;
	double mb = before ? (now->bytes - before->bytes) / span_s / 1e6 : 0;
	char device[CELL_BYTES], state[CELL_BYTES], flight[CELL_BYTES];

	cell_format(json_object_get(volume, "device"), CELL_TEXT, device);
	cell_format(json_object_get(volume, "state"), CELL_TEXT, state);
	cell_format(json_object_get(volume, "in_flight"), CELL_COUNT, flight);
	line(row, A_NORMAL, "%-20.20s %-12.12s %-10.10s %10.0f %10.1f %9.9s", now->name, device,
		state, ios, mb, flight);
}

/* Draws volumes on @room lines and remembers the counters of all for the next turn. */
static void volumes_draw(
	int *row, int room, struct view *view, const json_t *status, const json_t *stats)
{
	const json_t *volumes = json_object_get(status, "volumes");
	const json_t *numbers = json_object_get(stats, "volumes");
	struct view next = {.at_s = (double)monotonic_ns() / 1e9};
	double span_s = next.at_s > view->at_s ? next.at_s - view->at_s : 1;
	int count = (int)json_array_size(volumes), shown = count > room ? room - 1 : count;

	line(row, A_REVERSE, "%-20s %-12s %-10s %10s %10s %9s", "VOLUME", "DEVICE", "STATE", "IOPS",
		"MB/s", "IN FLIGHT");
	for (int i = 0; i < count && next.seen_count < VOLUME_ROWS; i++) {
		const json_t *volume = json_array_get(volumes, (size_t)i), *its;
		const char *name = json_string_value(json_object_get(volume, "name"));
		struct seen *now = &next.seen[next.seen_count];

		if (!name)
			continue;
		its = row_named(numbers, name);
		snprintf(now->name, sizeof(now->name), "%s", name);
		now->ios = numbers_sum(json_object_get(its, "ops"));
		now->bytes = numbers_sum(json_object_get(its, "bytes"));
		if (i < shown)
			volume_draw(row, view, now, span_s, volume);
		next.seen_count++;
	}
	if (shown < count)
		line(row, A_NORMAL, "and %d more: `sluice list` shows all", count - shown);
	*view = next;
}

static void pools_draw(int *row, const json_t *pools)
{
	static const char *const keys[] = {
		"level", "depth_pct", "free", "floor", "total", "low_water", "dips"};
	char cells[7][CELL_BYTES], pool[CELL_BYTES];

	line(row, A_REVERSE, "%-20s %7s %6s %8s %8s %8s %8s %8s", "POOL", "LEVEL", "DEPTH", "FREE",
		"FLOOR", "TOTAL", "LOW", "DIPS");
	for (size_t i = 0; i < json_array_size(pools); i++) {
		cell_format(json_object_get(json_array_get(pools, i), "pool"), CELL_TEXT, pool);
		for (unsigned k = 0; k < sizeof(keys) / sizeof(*keys); k++)
			cell_format(json_object_get(json_array_get(pools, i), keys[k]), CELL_TEXT,
				cells[k]);
		line(row, A_NORMAL, "%-20.20s %7.7s %5.5s%% %8.8s %8.8s %8.8s %8.8s %8.10s", pool,
			cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6]);
	}
}

static void head_draw(int *row, const json_t *status)
{
	char level[CELL_BYTES], why[CELL_BYTES], drops[CELL_BYTES];
	const json_t *guarantee = json_object_get(status, "guarantee");

	cell_format(json_object_get(guarantee, "level"), CELL_TEXT, level);
	cell_format(json_object_get(guarantee, "why"), CELL_TEXT, why);
	cell_format(json_object_get(status, "protected_drops"), CELL_COUNT, drops);
	line(row, A_NORMAL, "sluice top   protected drops %s   q quits", drops);
	line(row, A_NORMAL, "guarantee %s (%s)", level, why);
	++*row;
}

static void turn(struct view *view, const struct cli *cli)
{
	json_t *status = NULL, *stats = NULL;
	struct error err = {""};
	int row = 0, below;

	erase();
	if (rpc_call(cli->socket, "status", NULL, ASK_MS, &status, &err) ||
		rpc_call(cli->socket, "stats", NULL, ASK_MS, &stats, &err)) {
		line(&row, A_NORMAL, "%s", err.text);
		line(&row, A_NORMAL, "q quits");
	} else {
		head_draw(&row, status);
		below = 2 + (int)json_array_size(json_object_get(status, "reserve"));
		volumes_draw(&row, LINES - row - 1 - below > 1 ? LINES - row - 1 - below : 1, view,
			status, stats);
		row++;
		pools_draw(&row, json_object_get(status, "reserve"));
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
		return cli_usage("top needs a terminal; in a script use status --json");
	rc = rpc_call(cli->socket, "status", NULL, ASK_MS, &status, &err);
	if (rc)
		return cli_fail(cli, rc, &err);
	json_decref(status);
	if (!terminal_is_drawable() || !newterm(NULL, stdout, stdin)) {
		rc = error_set(&err, -ENOTTY,
			"cannot draw on a terminal of type \"%s\"; set TERM, or use `watch sluice "
			"status`",
			getenv("TERM") ? getenv("TERM") : "");
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
