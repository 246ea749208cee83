/*
 * config_lines.c - from a key's path to its line, and the sentence that names both
 *
 * Most checks of values run after the file was read, and must still name the line a value stands
 * on. So the first pass (config_yaml.c) writes down the line of every key and list entry under its
 * path, "volumes[2].uri", and every later complaint is made by path. The table has a fixed bound
 * because the schema bounds every list.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "config/config_yaml.h"

void config_lines_fini(struct config_lines *lines)
{
	free(lines->line);
	memset(lines, 0, sizeof(*lines));
}

/* Cuts the last component off @path. False when nothing is left above it. */
static bool parent_of(char *path)
{
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] != '.' && path[len - 1] != '[')
		len--;
	if (len == 0)
		return false;
	path[len - 1] = '\0';
	return true;
}

unsigned config_line_of(const struct config_lines *lines, const char *path)
{
	char at[CONFIG_PATH_BYTES];

	snprintf(at, sizeof(at), "%s", path);
	for (unsigned depth = 0; depth < CONFIG_DEPTH_MAX; depth++) {
		for (unsigned i = 0; i < lines->line_count; i++) {
			if (strcmp(lines->line[i].path, at) == 0)
				return lines->line[i].line;
		}
		if (!parent_of(at))
			break;
	}
	return 1;
}

int config_error(
	const struct config_lines *lines, const char *path, struct error *err, const char *fmt, ...)
{
	char what[ERROR_TEXT_BYTES];
	va_list ap;

	assert(path);
	path += *path == '.'; /* of a section without a name */
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (!lines->file) /* options of a command */
		return error_set(err, -EINVAL, "%s%s%s", path, *path ? ": " : "", what);
	return error_set(err, -EINVAL, "%s:%u: %s%s%s", lines->file, config_line_of(lines, path),
		path, *path ? ": " : "", what);
}
