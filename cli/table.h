/*
 * table.h - JSON objects as a table for people
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <jansson.h>
#include <stdio.h>

#define CELL_BYTES 256

enum cell {
	CELL_TEXT,    /* a string; a list of strings with spaces between */
	CELL_COUNT,   /* an integer */
	CELL_SIZE,    /* bytes, as "1.5 GiB" */
	CELL_PERCENT, /* "12 %" */
	CELL_AGE_US,  /* microseconds, as "1.2 s" */
	CELL_REAL,    /* two digits after the point */
	CELL_SWITCH,  /* yes, no */
};

struct column {
	const char *title, *key;
	enum cell cell;
};

/*
 * Prints @rows (an array of objects) below a line of titles. A row without a key shows "-", and a
 * column that no row has is left out. Prints @when_empty and nothing else if there are no rows. On
 * a terminal, columns that do not fit stand in a further block below, each beginning with the
 * first.
 */
void table_print(FILE *to, const struct column *columns, unsigned column_count, const json_t *rows,
	const char *when_empty);

/* @text as a line; on a terminal folded between words, what follows indented. */
void text_print(FILE *to, const char *text);

/* One value as @cell in @buf; "-" if there is none. Control characters become '?'. */
void cell_format(const json_t *value, enum cell cell, char buf[CELL_BYTES]);

#endif
