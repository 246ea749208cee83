/*
 * config_yaml.c - the first pass over the file: is its shape right, and what stands where
 *
 * libyaml hands us events; each is held against libcyaml's schema table, noted by path and line,
 * and written out again through libyaml's emitter for libcyaml to load. So every complaint about
 * shape (an unknown key, a list where a word belongs, a key twice) is ours, with its line and a
 * remedy, and libcyaml then meets only text that fits. Two kindnesses are granted here since
 * libcyaml's types cannot express them: one value may stand for a list of one, and a list key
 * with nothing after it is an empty list.
 *
 * Anchors and aliases are refused: a value must stand where its line says it stands, and an alias
 * is also the known way to make a small file unfold into a huge one.
 *
 * The stack of open mappings and lists has a bound, so a deeply nested file is refused, not
 * followed. Start-up only; everything allocated here is freed before config_load() returns.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "config/config_nearest.h"
#include "config/config_yaml.h"

static_assert(offsetof(struct cyaml_schema_field, key) == 0, "config_nearest() walks the fields");

/* An open mapping or list. */
struct frame {
	const struct cyaml_schema_value *value;
	const struct cyaml_schema_field *field; /* mapping: whose value comes next; NULL = a key */
	size_t path_bytes;			/* of the path to this node */
	unsigned count;				/* list: entries so far */
	unsigned long seen;			/* mapping: keys so far, a bit a field */
};

struct pass {
	yaml_parser_t parser;
	yaml_emitter_t emitter;
	struct frame frames[CONFIG_DEPTH_MAX];
	unsigned depth;
	char path[CONFIG_PATH_BYTES];
	struct config_lines *lines;
	struct error *err;
	char *out;
	size_t out_bytes, out_room;
	bool has_document;
};

static int output_append(void *ctx, unsigned char *bytes, size_t len)
{
	struct pass *pass = ctx;

	if (len > pass->out_room - pass->out_bytes)
		return 0;
	memcpy(pass->out + pass->out_bytes, bytes, len);
	pass->out_bytes += len;
	return 1;
}

/* Eats @event on every path. */
static int emit(struct pass *pass, yaml_event_t *event)
{
	if (yaml_emitter_emit(&pass->emitter, event))
		return 0;
	return error_set(pass->err, -ENOMEM, "%s: cannot hold the configuration: %s",
		pass->lines->file, pass->emitter.problem ? pass->emitter.problem : "no memory");
}

static int emit_list_start(struct pass *pass)
{
	yaml_event_t event;

	if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_FLOW_SEQUENCE_STYLE))
		return -ENOMEM;
	return emit(pass, &event);
}

static int emit_list_end(struct pass *pass)
{
	yaml_event_t event;

	if (!yaml_sequence_end_event_initialize(&event))
		return -ENOMEM;
	return emit(pass, &event);
}

/* Notes that the node now named by pass->path stands at @event. */
static int note_line(struct pass *pass, const yaml_event_t *event)
{
	struct config_lines *lines = pass->lines;

	if (lines->line_count == CONFIG_LINE_MAX)
		return config_error(lines, pass->path, pass->err,
			"the file has more than %u keys; split it", CONFIG_LINE_MAX);
	lines->line[lines->line_count].line = (unsigned)event->start_mark.line + 1;
	snprintf(lines->line[lines->line_count].path, CONFIG_PATH_BYTES, "%s", pass->path);
	lines->line_count++;
	return 0;
}

static const char *shape_name(const struct cyaml_schema_value *value)
{
	if (value->type == CYAML_MAPPING)
		return "keys and values";
	if (value->type == CYAML_SEQUENCE)
		return "a list";
	return "a single value";
}

static int wrong_shape(struct pass *pass, const char *found, const struct cyaml_schema_value *value)
{
	const char *path = pass->path;

	if (value->type == CYAML_SEQUENCE && value->sequence.entry->type == CYAML_MAPPING)
		return config_error(pass->lines, path, pass->err,
			"found %s, expected a list; start each entry with \"- \"", found);
	return config_error(pass->lines, path, pass->err, "found %s, expected %s%s", found,
		shape_name(value),
		value->type == CYAML_STRING ? "; quote it if it has brackets or colons" : "");
}

/*
 * What the schema expects at this point; for a list also extends the path by the entry's index and
 * notes its line. NULL with pass->err set when there may be no further entry.
 */
static const struct cyaml_schema_value *expected(struct pass *pass, const yaml_event_t *event)
{
	struct frame *top;

	if (pass->depth == 0)
		return &config_schema;
	top = &pass->frames[pass->depth - 1];
	if (top->value->type == CYAML_MAPPING) {
		assert(top->field);
		return &top->field->value;
	}
	if (top->count == top->value->sequence.max) {
		config_error(pass->lines, pass->path, pass->err,
			"more than %u entries; remove some", top->count);
		return NULL;
	}
	snprintf(pass->path + top->path_bytes, sizeof(pass->path) - top->path_bytes, "[%u]",
		top->count++);
	return note_line(pass, event) == 0 ? top->value->sequence.entry : NULL;
}

/* A value is complete: the path is that of the enclosing node again, and a mapping wants a key. */
static void value_end(struct pass *pass)
{
	if (pass->depth == 0)
		return;
	pass->frames[pass->depth - 1].field = NULL;
	pass->path[pass->frames[pass->depth - 1].path_bytes] = '\0';
}

static int on_key(struct pass *pass, const yaml_event_t *event)
{
	struct frame *top = &pass->frames[pass->depth - 1];
	const struct cyaml_schema_field *fields = top->value->mapping.fields;
	const char *key = (const char *)event->data.scalar.value, *near;
	size_t at = top->path_bytes;
	unsigned idx = 0;

	while (fields[idx].key && strcmp(fields[idx].key, key) != 0)
		idx++;
	snprintf(pass->path + at, sizeof(pass->path) - at, "%s%.40s", at ? "." : "", key);
	if (note_line(pass, event))
		return -EINVAL;
	if (!fields[idx].key) {
		near = config_nearest(key, fields, sizeof(*fields));
		if (near)
			return config_error(pass->lines, pass->path, pass->err,
				"unknown key; did you mean %s?", near);
		return config_error(pass->lines, pass->path, pass->err,
			"unknown key; sluice.yaml(5) lists the known ones");
	}
	assert(idx < 8 * sizeof(top->seen));
	if (top->seen & (1ul << idx))
		return error_set(pass->err, -EINVAL,
			"%s:%zu: %s: given twice; remove it here or on line %u", pass->lines->file,
			event->start_mark.line + 1, pass->path,
			config_line_of(pass->lines, pass->path));
	top->seen |= 1ul << idx;
	top->field = &fields[idx];
	return 0;
}

static bool is_null(const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;

	return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (*text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

/* A scalar that is one value: not empty, not too long, no NUL inside. */
static int single_check(
	struct pass *pass, const yaml_event_t *event, const struct cyaml_schema_value *value)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;

	assert(value->type == CYAML_STRING);
	if (is_null(event) || len == 0)
		return config_error(pass->lines, pass->path, pass->err,
			"has no value; give one, or remove the key");
	if (strlen(text) != len)
		return config_error(
			pass->lines, pass->path, pass->err, "has a NUL byte inside; remove it");
	if (len > value->string.max)
		return config_error(pass->lines, pass->path, pass->err,
			"%zu bytes long; at most %u", len, value->string.max);
	return 0;
}

/* One value where the schema has a list of such: written as a list of one. Eats @event. */
static int on_lone_entry(
	struct pass *pass, yaml_event_t *event, const struct cyaml_schema_value *value)
{
	int rc = is_null(event) ? 0 : single_check(pass, event, value->sequence.entry);

	if (rc == 0)
		rc = emit_list_start(pass);
	if (rc || is_null(event))
		yaml_event_delete(event);
	else
		rc = emit(pass, event);
	return rc ? rc : emit_list_end(pass);
}

/* Eats @event. */
static int on_scalar(struct pass *pass, yaml_event_t *event)
{
	struct frame *top = pass->depth ? &pass->frames[pass->depth - 1] : NULL;
	const struct cyaml_schema_value *value;
	int rc = -EINVAL;

	if (top && top->value->type == CYAML_MAPPING && !top->field) {
		rc = on_key(pass, event);
		if (rc)
			goto err_event;
		return emit(pass, event);
	}
	value = expected(pass, event);
	if (!value)
		goto err_event;
	if (value->type == CYAML_SEQUENCE &&
		(is_null(event) || value->sequence.entry->type == CYAML_STRING)) {
		rc = on_lone_entry(pass, event, value);
		value_end(pass);
		return rc;
	}
	if (value->type == CYAML_STRING)
		rc = single_check(pass, event, value);
	else
		rc = wrong_shape(pass, is_null(event) ? "nothing" : "a single value", value);
	if (rc)
		goto err_event;
	value_end(pass);
	return emit(pass, event);

err_event:
	yaml_event_delete(event);
	return rc;
}

/* A mapping or list begins. Eats @event. */
static int on_open(struct pass *pass, yaml_event_t *event, enum cyaml_type type)
{
	struct frame *top = pass->depth ? &pass->frames[pass->depth - 1] : NULL;
	const struct cyaml_schema_value *value = NULL;
	int rc = -EINVAL;

	if (top && top->value->type == CYAML_MAPPING && !top->field)
		config_error(pass->lines, pass->path, pass->err, "a key must be a plain word");
	else if (pass->depth == CONFIG_DEPTH_MAX)
		config_error(pass->lines, pass->path, pass->err, "nested too deeply");
	else
		value = expected(pass, event);
	if (value && value->type != type) {
		rc = wrong_shape(pass, type == CYAML_MAPPING ? "keys and values" : "a list", value);
		value = NULL;
	}
	if (!value) {
		yaml_event_delete(event);
		return rc;
	}
	pass->frames[pass->depth++] =
		(struct frame){.value = value, .path_bytes = strlen(pass->path)};
	return emit(pass, event);
}

static int on_close(struct pass *pass, yaml_event_t *event)
{
	assert(pass->depth > 0);
	pass->depth--;
	value_end(pass);
	return emit(pass, event);
}

static int on_document(struct pass *pass, yaml_event_t *event)
{
	if (pass->has_document) {
		unsigned line = (unsigned)event->start_mark.line + 1;

		yaml_event_delete(event);
		return error_set(pass->err, -EINVAL,
			"%s:%u: a second document starts here; one file holds one configuration",
			pass->lines->file, line);
	}
	pass->has_document = true;
	return emit(pass, event);
}

static int on_alias(struct pass *pass, yaml_event_t *event)
{
	int rc = error_set(pass->err, -EINVAL,
		"%s:%zu: aliases (*name) are not used here; write the value out", pass->lines->file,
		event->start_mark.line + 1);

	yaml_event_delete(event);
	return rc;
}

/* Eats @event. */
static int on_event(struct pass *pass, yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(pass, event);
	case YAML_MAPPING_START_EVENT:
		return on_open(pass, event, CYAML_MAPPING);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(pass, event, CYAML_SEQUENCE);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		return on_close(pass, event);
	case YAML_DOCUMENT_START_EVENT:
		return on_document(pass, event);
	case YAML_ALIAS_EVENT:
		return on_alias(pass, event);
	default:
		return emit(pass, event);
	}
}

/* Where the parser gave up, and where what it was reading began if that is another line. */
static int syntax_error(const struct pass *pass)
{
	const yaml_parser_t *p = &pass->parser;
	size_t line = p->problem_mark.line + 1, begun = p->context_mark.line + 1;
	char context[128] = "";

	if (p->error == YAML_READER_ERROR)
		return error_set(pass->err, -EINVAL,
			"%s: not a text file in UTF-8: %s at byte %zu; save it as plain text",
			pass->lines->file, p->problem, p->problem_offset);
	if (p->context && begun != line)
		snprintf(context, sizeof(context), " %s begun on line %zu", p->context, begun);
	else if (p->context)
		snprintf(context, sizeof(context), " %s", p->context);
	return error_set(pass->err, -EINVAL,
		"%s:%zu: not YAML: %s%s; check the indentation (spaces, no tabs) and the quotes",
		pass->lines->file, line, p->problem ? p->problem : "no memory", context);
}

static int events_run(struct pass *pass)
{
	yaml_event_t event;
	bool is_last = false;
	int rc = 0;

	/* Ends with the input: each event uses up at least one of its bytes, or closes a frame. */
	while (rc == 0 && !is_last) {
		if (!yaml_parser_parse(&pass->parser, &event))
			return syntax_error(pass);
		is_last = event.type == YAML_STREAM_END_EVENT;
		rc = on_event(pass, &event);
	}
	if (rc == 0 && !pass->has_document)
		return error_set(pass->err, -EINVAL,
			"%s:1: the file is empty; it needs at least one port under ports:",
			pass->lines->file);
	return rc;
}

int config_yaml_check(const char *file, const char *text, size_t bytes, struct config_lines *lines,
	char **normal, size_t *normal_bytes, struct error *err)
{
	struct pass pass = {.lines = lines, .err = err, .out_room = 8 * bytes + 65536};
	int rc = -ENOMEM;

	/* Room: the emitter may indent or escape more than the input did, eight times at most. */
	assert(bytes <= CONFIG_FILE_BYTES_MAX);
	*lines = (struct config_lines){.file = file};
	lines->line = calloc(CONFIG_LINE_MAX, sizeof(*lines->line));
	pass.out = malloc(pass.out_room);
	if (!lines->line || !pass.out || !yaml_parser_initialize(&pass.parser))
		goto err_memory;
	if (!yaml_emitter_initialize(&pass.emitter))
		goto err_parser;
	yaml_parser_set_input_string(&pass.parser, (const unsigned char *)text, bytes);
	yaml_emitter_set_output(&pass.emitter, output_append, &pass);
	yaml_emitter_set_width(&pass.emitter, -1);
	yaml_emitter_set_unicode(&pass.emitter, 1);
	rc = events_run(&pass);
	yaml_emitter_delete(&pass.emitter);
	yaml_parser_delete(&pass.parser);
	if (rc)
		goto err_lines;
	*normal = pass.out;
	*normal_bytes = pass.out_bytes;
	return 0;

err_parser:
	yaml_parser_delete(&pass.parser);
err_memory:
	error_set(err, rc, "%s: no memory to read it", file);
err_lines:
	free(pass.out);
	config_lines_fini(lines);
	return rc;
}
