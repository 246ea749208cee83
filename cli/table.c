/*
 * table.c - arrays of JSON objects as tables that fit their contents
 *
 * Each cell is formatted twice, once to learn the width of its column and once to print it, so no
 * table is held in memory. Numbers stand right, words left, and the last column is not padded. The
 * daemon may be older or newer than this program: what is missing shows as "-" or not at all.
 *
 * Some strings come from an NBD server (export names, its errors). They are cut at CELL_BYTES and
 * stripped of control characters, so a server cannot write to the terminal.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "cli/table.h"

#define COLUMN_MAX 16

static void size_format(double bytes, char *buf)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned i = 0;

	while (bytes >= 1024 && i + 1 < sizeof(units) / sizeof(*units)) {
		bytes /= 1024;
		i++;
	}
	/* Whole numbers are common (an export of 10 GiB), and then the fraction is noise. */
	if (bytes == (double)(uint64_t)bytes)
		snprintf(buf, CELL_BYTES, "%.0f %s", bytes, units[i]);
	else
		snprintf(buf, CELL_BYTES, "%.1f %s", bytes, units[i]);
}

static void age_format(double us, char *buf)
{
	if (us < 1e3)
		snprintf(buf, CELL_BYTES, "%.0f us", us);
	else if (us < 1e6)
		snprintf(buf, CELL_BYTES, "%.1f ms", us / 1e3);
	else
		snprintf(buf, CELL_BYTES, "%.1f s", us / 1e6);
}

static void list_format(const json_t *list, char *buf)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < json_array_size(list) && at < CELL_BYTES; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		at += (size_t)snprintf(
			buf + at, CELL_BYTES - at, "%s%s", i ? " " : "", text ? text : "?");
	}
}

static void text_format(const json_t *value, char *buf)
{
	if (json_is_array(value))
		list_format(value, buf);
	else if (json_is_string(value))
		snprintf(buf, CELL_BYTES, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(buf, CELL_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_boolean(value))
		snprintf(buf, CELL_BYTES, "%s", json_is_true(value) ? "yes" : "no");
	for (unsigned char *c = (unsigned char *)buf; *c; c++) {
		if (*c < ' ' || *c == 0x7f)
			*c = '?';
	}
}

void cell_format(const json_t *value, enum cell cell, char buf[CELL_BYTES])
{
	double number = json_number_value(value);

	buf[0] = '\0';
	if (cell == CELL_TEXT || cell == CELL_SWITCH || !json_is_number(value))
		text_format(value, buf);
	else if (cell == CELL_SIZE)
		size_format(number, buf);
	else if (cell == CELL_AGE_US)
		age_format(number, buf);
	else if (cell == CELL_REAL)
		snprintf(buf, CELL_BYTES, "%.2f", number);
	else
		snprintf(buf, CELL_BYTES, "%.0f%s", number, cell == CELL_PERCENT ? " %" : "");
	if (buf[0] == '\0')
		snprintf(buf, CELL_BYTES, "-");
}

/* Characters, not bytes: what UTF-8 continues takes no place. */
static unsigned text_width(const char *text)
{
	unsigned width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/* 0 if no row has the column: then it is not shown. */
static unsigned column_width(const struct column *column, const json_t *rows)
{
	unsigned width = 0, cell_width;
	char buf[CELL_BYTES];
	bool is_known = false;

	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *value = json_object_get(json_array_get(rows, i), column->key);

		is_known = is_known || (value && !json_is_null(value));
		cell_format(value, column->cell, buf);
		cell_width = text_width(buf);
		width = cell_width > width ? cell_width : width;
	}
	cell_width = text_width(column->title);
	return is_known ? (width > cell_width ? width : cell_width) : 0;
}

/* @text in @width places, after two blanks unless it is the first. */
static void cell_print(FILE *to, const char *text, unsigned width, bool is_right, bool is_first)
{
	unsigned have = text_width(text), pad = width > have ? width - have : 0;

	fprintf(to, "%s%*s%s%*s", is_first ? "" : "  ", is_right ? (int)pad : 0, "", text,
		is_right ? 0 : (int)pad, "");
}

/* @row NULL: the titles. */
static void row_print(FILE *to, const struct column *columns, const unsigned *widths,
	unsigned column_count, const json_t *row)
{
	char buf[CELL_BYTES];
	bool is_first = true;
	unsigned last = 0;

	for (unsigned i = 0; i < column_count; i++)
		last = widths[i] ? i : last;
	for (unsigned i = 0; i < column_count; i++) {
		bool is_right = columns[i].cell != CELL_TEXT && columns[i].cell != CELL_SWITCH;

		if (widths[i] == 0)
			continue;
		if (row)
			cell_format(json_object_get(row, columns[i].key), columns[i].cell, buf);
		else
			snprintf(buf, sizeof(buf), "%s", columns[i].title);
		cell_print(to, buf, i == last && !is_right ? 0 : widths[i], is_right, is_first);
		is_first = false;
	}
	fputc('\n', to);
}

void table_print(FILE *to, const struct column *columns, unsigned column_count, const json_t *rows,
	const char *when_empty)
{
	unsigned widths[COLUMN_MAX];

	assert(column_count <= COLUMN_MAX);
	if (json_array_size(rows) == 0) {
		fprintf(to, "%s\n", when_empty);
		return;
	}
	for (unsigned i = 0; i < column_count; i++)
		widths[i] = column_width(&columns[i], rows);
	row_print(to, columns, widths, column_count, NULL);
	for (size_t i = 0; i < json_array_size(rows); i++)
		row_print(to, columns, widths, column_count, json_array_get(rows, i));
}
