/*
 * print_change.c - what a change did: attach, detach, save, reload
 *
 * Standard output has what a script takes on, the device's path; what a person should know besides
 * goes to standard error.
 */
#include <stdio.h>
#include "cli/print.h"
#include "cli/table.h"

void print_warning(const json_t *result)
{
	char warning[CELL_BYTES];

	if (!json_object_get(result, "warning"))
		return;
	cell_format(json_object_get(result, "warning"), CELL_TEXT, warning);
	fprintf(stderr, "sluice: warning: %s\n", warning);
}

void print_saved(const json_t *result)
{
	char names[CELL_BYTES];

	if (json_array_size(json_object_get(result, "saved")) == 0) {
		puts("nothing to save: every volume is in a file already");
		return;
	}
	cell_format(json_object_get(result, "saved"), CELL_TEXT, names);
	printf("saved: %s\n", names);
}

void print_reloaded(const json_t *result)
{
	static const char *const lists[] = {"added", "removed", "changed"}, *const live[] = {
										    "log_level",
										    "protect"};
	const json_t *busy = json_object_get(result, "busy"),
		     *restart = json_object_get(result, "restart");
	unsigned count = 0;
	char text[CELL_BYTES], why[CELL_BYTES];

	for (unsigned i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		const json_t *list = json_object_get(result, lists[i]);

		count += json_array_size(list) > 0;
		cell_format(list, CELL_TEXT, text);
		if (json_array_size(list) > 0)
			printf("%s: %s\n", lists[i], text);
	}
	for (size_t i = 0; i < json_array_size(busy); i++, count++) {
		cell_format(json_object_get(json_array_get(busy, i), "name"), CELL_TEXT, text);
		cell_format(json_object_get(json_array_get(busy, i), "why"), CELL_TEXT, why);
		printf("busy: %s: %s\n", text, why);
	}
	for (size_t i = 0; i < json_array_size(restart); i++, count++)
		printf("needs a restart: %s\n", json_string_value(json_array_get(restart, i)));
	for (unsigned i = 0; i < sizeof(live) / sizeof(*live); i++) {
		if (!json_is_true(json_object_get(result, live[i])))
			continue;
		printf("changed: %s\n", live[i]);
		count++;
	}
	if (count == 0)
		puts("nothing has changed");
}
