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
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "cli/table.h"

#define COLUMN_MAX	16
#define GAP		2  /* blanks between two columns */
#define WIDTH_DEFAULT	80 /* of a terminal that does not say */
#define SENTENCE_INDENT 2  /* of what is folded */
#define FOLD_MIN	20 /* columns a folded cell needs, else it goes to the left edge */

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

/* Columns of @to's terminal; UINT_MAX where it is none: a file has lines of any length. */
static unsigned width_limit(FILE *to)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (!isatty(fileno(to)))
		return UINT_MAX;
	if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return columns && atoi(columns) > 0 ? (unsigned)atoi(columns) : WIDTH_DEFAULT;
}

/* Bytes of @text that take at most @room places, cut
 * behind a word if there is one. At least one. */
static size_t line_bytes(const char *text, unsigned room)
{
	size_t at = 0, word = 0;
	unsigned width = 0;

	for (; text[at]; at++) {
		width += ((unsigned char)text[at] & 0xc0) != 0x80;
		if (width > room)
			return word ? word : (at ? at : 1);
		if (text[at] == ' ')
			word = at + 1;
	}
	return at;
}

/* @text from place @at on, of @limit: what does not fit goes on below, behind @indent blanks. */
static void text_fold(FILE *to, const char *text, unsigned at, unsigned indent, unsigned limit)
{
	for (;;) {
		size_t bytes = line_bytes(text, limit > at ? limit - at : 1);

		fprintf(to, "%.*s", (int)bytes, text);
		text += bytes;
		if (!*text)
			break;
		fprintf(to, "\n%*s", (int)indent, "");
		at = indent;
	}
}

void text_print(FILE *to, const char *text)
{
	text_fold(to, text, 0, SENTENCE_INDENT, width_limit(to));
	fputc('\n', to);
}

static bool is_right(const struct column *column)
{
	return column->cell != CELL_TEXT && column->cell != CELL_SWITCH;
}

/* Some of a table's columns side by side: as many as the terminal has room for. */
struct block {
	unsigned idx[COLUMN_MAX], count;
};

/* Takes column 0, which names the row, and those from
 * *next on that fit; moves *next behind them. */
static void block_fill(struct block *b, const unsigned *widths, unsigned column_count,
	unsigned limit, unsigned *next)
{
	unsigned width = widths[0];

	b->count = 0;
	b->idx[b->count++] = 0;
	for (; *next < column_count; ++*next) {
		if (widths[*next] == 0)
			continue;
		width += GAP + widths[*next];
		if (width > limit && b->count > 1)
			return;
		b->idx[b->count++] = *next;
	}
}

/* @row NULL: the titles. A text in the last column that is too long is folded. */
static void row_print(FILE *to, const struct column *columns, const unsigned *widths,
	const struct block *b, unsigned limit, const json_t *row)
{
	char buf[CELL_BYTES];
	unsigned at = 0;

	for (unsigned i = 0; i < b->count; i++) {
		const struct column *c = &columns[b->idx[i]];
		unsigned width = widths[b->idx[i]], pad;

		if (row)
			cell_format(json_object_get(row, c->key), c->cell, buf);
		else
			snprintf(buf, sizeof(buf), "%s", c->title);
		pad = width > text_width(buf) ? width - text_width(buf) : 0;
		fprintf(to, "%*s%*s", i ? GAP : 0, "", is_right(c) ? (int)pad : 0, "");
		at += (i ? GAP : 0) + (is_right(c) ? pad : 0);
		if (i + 1 == b->count)
			text_fold(to, buf, at, at + FOLD_MIN < limit ? at : SENTENCE_INDENT, limit);
		else
			fprintf(to, "%s%*s", buf, is_right(c) ? 0 : (int)pad, "");
		at += width - (is_right(c) ? pad : 0);
	}
	fputc('\n', to);
}

void table_print(FILE *to, const struct column *columns, unsigned column_count, const json_t *rows,
	const char *when_empty)
{
	unsigned widths[COLUMN_MAX], next = 1, limit = width_limit(to);
	struct block block;

	assert(column_count > 0 && column_count <= COLUMN_MAX);
	if (json_array_size(rows) == 0) {
		fprintf(to, "%s\n", when_empty);
		return;
	}
	for (unsigned i = 0; i < column_count; i++)
		widths[i] = column_width(&columns[i], rows);
	do {
		block_fill(&block, widths, column_count, limit, &next);
		row_print(to, columns, widths, &block, limit, NULL);
		for (size_t i = 0; i < json_array_size(rows); i++)
			row_print(to, columns, widths, &block, limit, json_array_get(rows, i));
	} while (next < column_count);
}
