/*
 * config_item.c - numbers, sizes, times and words of the configuration file
 *
 * Every value is still a string when it comes here. Parsing is strict: all of the string must be
 * the value ("64 k" and "64kb" are no sizes), a range is always checked, and the answer to a wrong
 * value names the bound it broke and what would do. A size or a time must carry its unit, because
 * a bare "30" has meant seconds to one reader and milliseconds to the next.
 *
 * Pure: strings in, numbers out. Results are written only on success.
 */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "config/config.h"
#include "config/config_item.h"
#include "config/config_nearest.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{"k", 1u << 10},
	{"K", 1u << 10},
	{"M", 1u << 20},
	{"G", 1u << 30},
	{NULL, 0},
};

static const struct unit time_units[] = {
	{"ms", 1},
	{"s", 1000},
	{"m", 60 * 1000},
	{"h", 3600 * 1000},
	{NULL, 0},
};

/* Digits at the start of @text. Out: 0 with the rest in @end; -EINVAL. */
static int digits_parse(const char *text, uint64_t *out, const char **end)
{
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	unsigned long long value;
	char *rest;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &rest, base);
	if (errno)
		return -EINVAL;
	*out = value;
	*end = rest;
	return 0;
}

/* @value in @units' largest unit that divides it: "512k". */
static const char *with_unit(uint64_t value, const struct unit *units, char *buf, size_t buf_bytes)
{
	const struct unit *best = NULL;

	for (const struct unit *u = units; u->name; u++) {
		if (value && value % u->factor == 0 && (!best || u->factor > best->factor))
			best = u;
	}
	snprintf(buf, buf_bytes, "%" PRIu64 "%s", best ? value / best->factor : value,
		best ? best->name : "");
	return buf;
}

static int range_check(const char *text, uint64_t value, uint64_t min, uint64_t max,
	const struct unit *units, struct error *why)
{
	char least[32], most[32];

	assert(min <= max);
	if (value >= min && value <= max)
		return 0;
	with_unit(min, units, least, sizeof(least));
	with_unit(max, units, most, sizeof(most));
	return error_set(why, -EINVAL, "%.40s is %s than %s; give %s to %s", text,
		value < min ? "less" : "more", value < min ? least : most, least, most);
}

int item_count_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out, struct error *why)
{
	static const struct unit none[] = {{NULL, 0}};
	const char *end;
	uint64_t value;

	if (digits_parse(text, &value, &end) || *end)
		return error_set(why, -EINVAL,
			"\"%.40s\" is not a whole number; give %" PRIu64 " to %" PRIu64, text, min,
			max);
	if (range_check(text, value, min, max, none, why))
		return -EINVAL;
	*out = value;
	return 0;
}

static int unit_parse(const char *text, const struct unit *units, const char *example, uint64_t min,
	uint64_t max, uint64_t *out, struct error *why)
{
	const struct unit *u = units;
	const char *end;
	uint64_t value;

	if (digits_parse(text, &value, &end))
		goto err_value;
	while (u->name && strcmp(u->name, end) != 0)
		u++;
	if (!u->name && (*end || value))
		goto err_value;
	if (u->name && value > UINT64_MAX / u->factor)
		value = UINT64_MAX;
	else if (u->name)
		value *= u->factor;
	if (range_check(text, value, min, max, units, why))
		return -EINVAL;
	*out = value;
	return 0;

err_value:
	return error_set(
		why, -EINVAL, "\"%.40s\" is not a number with a unit; write %s", text, example);
}

int item_size_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out, struct error *why)
{
	return unit_parse(text, size_units, "it like 64k, 512M or 1G", min, max, out, why);
}

int item_time_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out, struct error *why)
{
	return unit_parse(text, time_units, "it like 500ms, 30s or 5m", min, max, out, why);
}

int item_word_parse(const char *text, const char *const *words, uint64_t *out, struct error *why)
{
	char list[160] = "";
	const char *near;
	size_t at = 0;

	for (unsigned i = 0; words[i]; i++) {
		if (strcmp(words[i], text) == 0) {
			*out = i;
			return 0;
		}
		if (at < sizeof(list))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s",
				i == 0	       ? ""
				: words[i + 1] ? ", "
					       : " or ",
				words[i]);
	}
	near = config_nearest(text, words, sizeof(*words));
	if (near)
		return error_set(why, -EINVAL, "\"%.40s\" is not known; did you mean %s? (%s)",
			text, near, list);
	return error_set(why, -EINVAL, "\"%.40s\" is not known; give %s", text, list);
}

static int bool_parse(const char *text, uint64_t *out, struct error *why)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on", NULL};
	uint64_t idx;

	if (item_word_parse(text, words, &idx, NULL))
		return error_set(
			why, -EINVAL, "\"%.40s\" is not a switch; give true or false", text);
	*out = idx & 1;
	return 0;
}

int item_name_check(const char *text, struct error *why)
{
	size_t len = strlen(text);

	if (len == 0 || len >= NAME_BYTES_MAX)
		return error_set(why, -EINVAL, "a name has 1 to %d characters, this one %zu",
			NAME_BYTES_MAX - 1, len);
	for (size_t i = 0; i < len; i++) {
		if (iscntrl((unsigned char)text[i]))
			return error_set(why, -EINVAL,
				"a name has no control characters; use letters, digits, '.', '_' "
				"and '-'");
		if (!isalnum((unsigned char)text[i]) && !strchr("._-", text[i]))
			return error_set(why, -EINVAL,
				"\"%s\" is not a name; use letters, digits, '.', '_' and "
				"'-'",
				text);
	}
	if (text[0] == '.' || text[0] == '-')
		return error_set(why, -EINVAL,
			"\"%s\" is not a name; start it with a letter or a "
			"digit",
			text);
	return 0;
}

int config_name_check(const char *name, struct error *err)
{
	return item_name_check(name, err);
}

static int text_store(const struct item *item, const char *text, char *out, struct error *why)
{
	size_t len = strlen(text);

	if (len >= item->out_bytes)
		return error_set(
			why, -EINVAL, "%zu bytes long; at most %zu", len, item->out_bytes - 1);
	memset(out, 0, item->out_bytes);
	memcpy(out, text, len);
	return 0;
}

static void number_store(const struct item *item, uint64_t value, void *out)
{
	uint8_t u8 = (uint8_t)value;
	uint16_t u16 = (uint16_t)value;
	uint32_t u32 = (uint32_t)value;

	switch (item->out_bytes) {
	case 1:
		memcpy(out, &u8, 1);
		return;
	case 2:
		memcpy(out, &u16, 2);
		return;
	case 4:
		memcpy(out, &u32, 4);
		return;
	default:
		assert(item->out_bytes == 8);
		memcpy(out, &value, 8);
	}
}

static int item_parse(const struct item *item, const char *text, uint64_t *value, struct error *why)
{
	switch (item->kind) {
	case ITEM_COUNT:
		return item_count_parse(text, item->min, item->max, value, why);
	case ITEM_SIZE:
		return item_size_parse(text, item->min, item->max, value, why);
	case ITEM_TIME:
		return item_time_parse(text, item->min, item->max, value, why);
	case ITEM_BOOL:
		return bool_parse(text, value, why);
	default:
		assert(item->kind == ITEM_WORD && item->words);
		return item_word_parse(text, item->words, value, why);
	}
}

int items_store(const struct item *items, size_t item_count, const void *raw, void *out,
	const struct config_lines *lines, const char *base, struct error *err)
{
	for (size_t i = 0; i < item_count; i++) {
		const struct item *item = &items[i];
		const char *text =
			*(char *const *)(const void *)((const char *)raw + item->raw_offset);
		char *to = (char *)out + item->out_offset, path[CONFIG_PATH_BYTES];
		struct error why;
		uint64_t value;
		int rc;

		if (!text)
			continue;
		if (item->kind == ITEM_TEXT) {
			rc = text_store(item, text, to, &why);
		} else {
			rc = item_parse(item, text, &value, &why);
			if (rc == 0)
				number_store(item, value, to);
		}
		if (rc) {
			snprintf(path, sizeof(path), "%s%s%s", base, *base ? "." : "", item->key);
			return config_error(lines, path, err, "%s", why.text);
		}
	}
	return 0;
}
