/*
 * config_yaml.h - YAML text against the schema: shape, unknown keys, and the line of every key
 *
 * Private to the room.
 */
#ifndef CONFIG_CONFIG_YAML_H
#define CONFIG_CONFIG_YAML_H

#include <stddef.h>
#include "config/config_raw.h"
#include "config/error.h"
#include "config/limits.h"

struct config_line {
	char path[CONFIG_PATH_BYTES]; /* "ports[0].mtu" */
	unsigned line;		      /* from 1 */
};

/* Where each key of the file stands. Filled by
 * config_yaml_read(); freed by config_lines_fini(). */
struct config_lines {
	const char *file; /* borrowed */
	struct config_line *line;
	unsigned line_count;
};

void config_lines_fini(struct config_lines *lines);

/* The line of @path, or of the nearest thing above it that the file has; 1 if none. */
unsigned config_line_of(const struct config_lines *lines, const char *path);

/* "FILE:LINE: PATH: what; remedy" into @err. Answers -EINVAL. */
__attribute__((format(printf, 4, 5))) int config_error(const struct config_lines *lines,
	const char *path, struct error *err, const char *fmt, ...);

/*
 * Reads @text by the schema. A single value where a list belongs is a list of one, a list key with
 * nothing after it an empty list. Out: 0 with @lines and @raw, which config_lines_fini() and
 * config_raw_fini() free; -EINVAL or -ENOMEM with @err and nothing to free.
 */
int config_yaml_read(const char *file, const char *text, size_t bytes, struct config_lines *lines,
	struct raw_config *raw, struct error *err);
void config_raw_fini(struct raw_config *raw);

#endif
