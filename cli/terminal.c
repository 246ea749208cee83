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
	bool is_drawable;
	int why;

	if (setupterm(NULL, STDOUT_FILENO, &why) != OK)
		return false;
	is_drawable = has("cup") && has("clear");
	del_curterm(cur_term); /* newterm() reads the description again for itself */
	return is_drawable;
}
