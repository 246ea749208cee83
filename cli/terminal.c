/*
 * terminal.c - what the terminal on stdout can do
 *
 * curses starts on a terminal that cannot move its cursor ("dumb", or an unknown name) and then
 * writes every turn below the last one. A file of its own, because <term.h> defines words such as
 * columns and lines as macros.
 */
#include "cli/terminal.h"

#include <curses.h>
#include <stdlib.h>
#include <term.h>
#include <unistd.h>

static bool has(const char *name)
{
	const char *text = tigetstr(name);

	return text && text != (const char *)-1;
}

bool terminal_is_drawable(void)
{
	int why;

	return setupterm(NULL, STDOUT_FILENO, &why) == OK && has("cup") && has("clear");
}
