/*
 * config_option.c - a volume from the options of a command, by the rules of the file
 *
 * `sluice attach` takes every key that a volume has in the file, and each must mean the same there:
 * so options become the strings that a file would have held, in the same struct, and the same code
 * reads them. Which keys there are is the schema's knowledge (config_schema.c).
 */
#include <errno.h>
#include <string.h>
#include "config/config_section.h"

int config_volume_from_options(const char *const *uris, unsigned uri_count,
	const char *(*get)(void *ctx, const char *key), void *ctx, struct config_volume *out,
	struct error *err)
{
	const struct config_lines no_lines = {.file = NULL};
	struct raw_volume raw = {.uris_count = uri_count};
	char *list[VOLUME_URI_MAX];
	int rc;

	if (uri_count < 1 || uri_count > VOLUME_URI_MAX)
		return error_set(
			err, -EINVAL, "uris: %u given; give 1 to %u", uri_count, VOLUME_URI_MAX);
	for (unsigned i = 0; i < uri_count; i++)
		list[i] = (char *)(uintptr_t)uris[i]; /* borrowed: @raw is not freed */
	raw.uris = list;
	for (const struct schema_field *f = config_volume_schema.fields; f->key; f++) {
		char **at = (char **)((char *)&raw + f->offset);

		if (f->value.type == SCHEMA_TEXT && strcmp(f->key, "uri") != 0)
			*at = (char *)(uintptr_t)get(ctx, f->key);
	}
	rc = config_volume_parse(&raw, "", out, &no_lines, err);
	if (rc == 0)
		config_volume_name_fill(out);
	return rc;
}
