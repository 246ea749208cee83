/*
 * config_yaml.c - from YAML text to strings in the shape of the schema, and what stands where
 *
 * libyaml hands us events; each is held against the schema table, noted by path and line, and
 * stored. So each complaint about shape (an unknown key, a list where a single value belongs, a key
 * twice) has its line and a remedy. Two liberties are granted: one value may stand for a list of
 * one, and a list key with nothing after it is an empty list.
 *
 * Anchors and aliases are refused: a value must stand where its line says it stands, and an alias
 * is also the known way to make a small file unfold into a huge one.
 *
 * The stack of open mappings and lists has a bound, so a deeply nested file is refused, not
 * followed. Start-up only; strings and lists are blocks chained to struct raw_config, which
 * config_raw_fini() frees.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "config/config_nearest.h"
#include "config/config_yaml.h"

static_assert(offsetof(struct schema_field, key) == 0, "config_nearest() walks the fields");

struct raw_block {
	struct raw_block *next;
	max_align_t bytes[];
};

/* An open mapping or list. */
struct frame {
	const struct schema_value *value;
	const struct schema_field *field; /* mapping: whose value comes next; NULL = a key */
	char *into;			  /* mapping: its struct; list: its entries */
	unsigned *count_of;		  /* list: where its entries are counted */
	size_t path_bytes;		  /* of the path to this node */
	unsigned long seen;		  /* mapping: keys so far, a bit a field */
};

struct pass {
	yaml_parser_t parser;
	struct frame frames[CONFIG_DEPTH_MAX];
	unsigned depth;
	char path[CONFIG_PATH_BYTES];
	struct config_lines *lines;
	struct raw_config *raw;
	struct error *err;
	bool has_document;
};

/* Zeroed memory that config_raw_fini() frees; NULL with pass->err. */
static void *raw_alloc(struct pass *pass, size_t bytes)
{
	struct raw_block *block = calloc(1, sizeof(*block) + bytes);

	if (!block) {
		error_set(pass->err, -ENOMEM, "%s: no memory to read it", pass->lines->file);
		return NULL;
	}
	block->next = pass->raw->blocks;
	pass->raw->blocks = block;
	return block->bytes;
}

void config_raw_fini(struct raw_config *raw)
{
	while (raw->blocks) {
		struct raw_block *next = raw->blocks->next;

		free(raw->blocks);
		raw->blocks = next;
	}
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

static const char *shape_name(const struct schema_value *value)
{
	if (value->type == SCHEMA_MAPPING)
		return "keys and values";
	if (value->type == SCHEMA_LIST)
		return "a list";
	return "a single value";
}

static int wrong_shape(struct pass *pass, const char *found, const struct schema_value *value)
{
	const char *path = pass->path;

	if (value->type == SCHEMA_LIST && value->entry->type == SCHEMA_MAPPING)
		return config_error(pass->lines, path, pass->err,
			"found %s, expected a list; start each entry with \"- \"", found);
	return config_error(pass->lines, path, pass->err, "found %s, expected %s%s", found,
		shape_name(value),
		value->type == SCHEMA_TEXT ? "; quote it if it has brackets or colons" : "");
}

/* The slot of the next entry of the list @frame; NULL with pass->err set when there may be no
 * further one. */
static char *entry_next(struct pass *pass, const struct frame *frame)
{
	unsigned count = *frame->count_of;

	if (count == frame->value->count_max) {
		config_error(pass->lines, pass->path, pass->err,
			"more than %u entries; remove some", count);
		return NULL;
	}
	++*frame->count_of;
	return frame->into + count * frame->value->entry->size;
}

/*
 * What the schema expects at this point and, in *at, where it goes; for a list also extends the
 * path by the entry's index and notes its line. NULL with pass->err set when there may be no
 * further entry.
 */
static const struct schema_value *expected(struct pass *pass, const yaml_event_t *event, char **at)
{
	struct frame *top;

	*at = (char *)pass->raw;
	if (pass->depth == 0)
		return &config_schema;
	top = &pass->frames[pass->depth - 1];
	if (top->value->type == SCHEMA_MAPPING) {
		assert(top->field);
		*at = top->into + top->field->offset;
		return &top->field->value;
	}
	*at = entry_next(pass, top);
	if (!*at)
		return NULL;
	snprintf(pass->path + top->path_bytes, sizeof(pass->path) - top->path_bytes, "[%u]",
		*top->count_of - 1);
	return note_line(pass, event) == 0 ? top->value->entry : NULL;
}

/*
 * A value is complete: the path is that of the enclosing node again, and a mapping expects a key.
 */
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
	const struct schema_field *fields = top->value->fields;
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
	struct pass *pass, const yaml_event_t *event, const struct schema_value *value)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;

	assert(value->type == SCHEMA_TEXT);
	if (is_null(event) || len == 0)
		return config_error(pass->lines, pass->path, pass->err,
			"has no value; give one, or remove the key");
	if (strlen(text) != len)
		return config_error(
			pass->lines, pass->path, pass->err, "has a NUL byte inside; remove it");
	if (len > value->bytes_max)
		return config_error(pass->lines, pass->path, pass->err,
			"%zu bytes long; at most %u", len, value->bytes_max);
	return 0;
}

static int text_store(
	struct pass *pass, const yaml_event_t *event, const struct schema_value *value, char *at)
{
	int rc = single_check(pass, event, value);
	char *text = rc ? NULL : raw_alloc(pass, event->data.scalar.length + 1);

	if (!text)
		return rc ? rc : -ENOMEM;
	memcpy(text, event->data.scalar.value, event->data.scalar.length);
	memcpy(at, &text, sizeof(text));
	return 0;
}

/* Makes the frame of a list: room for as many entries as there may be. */
static int list_open(
	struct pass *pass, const struct schema_value *value, char *at, struct frame *frame)
{
	const struct frame *top = &pass->frames[pass->depth - 1]; /* only mappings hold lists */

	assert(pass->depth > 0 && top->field);
	frame->into = raw_alloc(pass, value->count_max * value->entry->size);
	frame->count_of = (unsigned *)(void *)(top->into + top->field->count_offset);
	if (!frame->into)
		return -ENOMEM;
	memcpy(at, &frame->into, sizeof(frame->into));
	return 0;
}

/* One value where the schema has a list of them: a list of one; nothing: an empty list. */
static int on_lone_entry(
	struct pass *pass, const yaml_event_t *event, const struct schema_value *value, char *at)
{
	struct frame list = {.value = value};
	int rc = list_open(pass, value, at, &list);

	if (rc || is_null(event))
		return rc;
	return text_store(pass, event, value->entry, entry_next(pass, &list));
}

static int on_scalar(struct pass *pass, const yaml_event_t *event)
{
	struct frame *top = pass->depth ? &pass->frames[pass->depth - 1] : NULL;
	const struct schema_value *value;
	char *at;
	int rc;

	if (top && top->value->type == SCHEMA_MAPPING && !top->field)
		return on_key(pass, event);
	value = expected(pass, event, &at);
	if (!value)
		return -EINVAL;
	if (value->type == SCHEMA_LIST && (is_null(event) || value->entry->type == SCHEMA_TEXT))
		rc = on_lone_entry(pass, event, value, at);
	else if (value->type == SCHEMA_TEXT)
		rc = text_store(pass, event, value, at);
	else
		rc = wrong_shape(pass, is_null(event) ? "nothing" : "a single value", value);
	value_end(pass);
	return rc;
}

/* A mapping or list begins. */
static int on_open(struct pass *pass, const yaml_event_t *event, enum schema_type type)
{
	struct frame *top = pass->depth ? &pass->frames[pass->depth - 1] : NULL;
	const struct schema_value *value;
	struct frame frame;
	char *at;

	if (top && top->value->type == SCHEMA_MAPPING && !top->field)
		return config_error(
			pass->lines, pass->path, pass->err, "a key must be a plain word");
	if (pass->depth == CONFIG_DEPTH_MAX)
		return config_error(pass->lines, pass->path, pass->err, "nested too deeply");
	value = expected(pass, event, &at);
	if (!value)
		return -EINVAL;
	if (value->type != type)
		return wrong_shape(
			pass, type == SCHEMA_MAPPING ? "keys and values" : "a list", value);
	frame = (struct frame){.value = value, .into = at, .path_bytes = strlen(pass->path)};
	if (type == SCHEMA_LIST && list_open(pass, value, at, &frame))
		return -ENOMEM;
	pass->frames[pass->depth++] = frame;
	return 0;
}

static int on_close(struct pass *pass)
{
	assert(pass->depth > 0);
	pass->depth--;
	value_end(pass);
	return 0;
}

static int on_document(struct pass *pass, const yaml_event_t *event)
{
	if (pass->has_document)
		return error_set(pass->err, -EINVAL,
			"%s:%zu: a second document starts here; one file holds one configuration",
			pass->lines->file, event->start_mark.line + 1);
	pass->has_document = true;
	return 0;
}

static int on_event(struct pass *pass, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(pass, event);
	case YAML_MAPPING_START_EVENT:
		return on_open(pass, event, SCHEMA_MAPPING);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(pass, event, SCHEMA_LIST);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		return on_close(pass);
	case YAML_DOCUMENT_START_EVENT:
		return on_document(pass, event);
	case YAML_ALIAS_EVENT:
		return error_set(pass->err, -EINVAL,
			"%s:%zu: aliases (*name) are not used here; write the value out",
			pass->lines->file, event->start_mark.line + 1);
	default:
		return 0;
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
		yaml_event_delete(&event);
	}
	if (rc == 0 && !pass->has_document)
		return error_set(pass->err, -EINVAL,
			"%s:1: the file is empty; it needs at least one port under ports:",
			pass->lines->file);
	return rc;
}

int config_yaml_read(const char *file, const char *text, size_t bytes, struct config_lines *lines,
	struct raw_config *raw, struct error *err)
{
	struct pass pass = {.lines = lines, .raw = raw, .err = err};
	int rc = -ENOMEM;

	assert(bytes <= CONFIG_FILE_BYTES_MAX);
	memset(raw, 0, sizeof(*raw));
	*lines = (struct config_lines){.file = file};
	lines->line = calloc(CONFIG_LINE_MAX, sizeof(*lines->line));
	if (!lines->line || !yaml_parser_initialize(&pass.parser)) {
		error_set(err, rc, "%s: no memory to read it", file);
		goto err_lines;
	}
	yaml_parser_set_input_string(&pass.parser, (const unsigned char *)text, bytes);
	rc = events_run(&pass);
	yaml_parser_delete(&pass.parser);
	if (rc == 0)
		return 0;
	config_raw_fini(raw);
err_lines:
	config_lines_fini(lines);
	return rc;
}
