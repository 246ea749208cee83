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

/* Where each key of the file stands. Filled by config_yaml_check(); freed by config_lines_fini().
 */
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
 * Checks @text against the schema and writes it out again in the one form libcyaml accepts: a
 * single value where a list belongs becomes a list of one, an empty list key an empty list.
 * Out: 0 with @lines and @normal (malloc'ed, @normal_bytes long); -EINVAL with @err; -ENOMEM.
 */
int config_yaml_check(const char *file, const char *text, size_t bytes, struct config_lines *lines,
	char **normal, size_t *normal_bytes, struct error *err);

#endif
