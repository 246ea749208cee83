/*
 * config_item.h - one value of the file: what it may be, and where it goes
 *
 * Private to the room. Each section of the file has a table of items; a table is the whole
 * knowledge of which number, size, time or word a key takes.
 */
#ifndef CONFIG_CONFIG_ITEM_H
#define CONFIG_CONFIG_ITEM_H

#include <stddef.h>
#include <stdint.h>
#include "config/config_yaml.h"

enum item_kind {
	ITEM_COUNT, /* "64", "0x88a2" */
	ITEM_SIZE,  /* "512k": bytes, with k, M or G; min and max in bytes */
	ITEM_TIME,  /* "30s": stored in milliseconds; ms, s, m, h; "0" needs no unit */
	ITEM_BOOL,  /* true, false, yes, no, on, off */
	ITEM_WORD,  /* one of words[]: its index is stored */
	ITEM_TEXT,  /* copied, at most max - 1 bytes */
};

struct item {
	const char *key;
	enum item_kind kind;
	size_t raw_offset; /* of the char pointer in the raw struct */
	size_t out_offset; /* of the member in the struct of config.h */
	size_t out_bytes;  /* 1, 2, 4 or 8; ITEM_TEXT: the array's size */
	uint64_t min, max;
	const char *const *words; /* NULL ends */
};

#define ITEM(raw_type, out_type, raw_member, out_member, kind_, ...)                               \
	{                                                                                          \
		.key = #raw_member, .kind = kind_, .raw_offset = offsetof(raw_type, raw_member),   \
		.out_offset = offsetof(out_type, out_member),                                      \
		.out_bytes = sizeof(((out_type *)0)->out_member), __VA_ARGS__                      \
	}

/*
 * Stores each key that @raw has into @out, and leaves the others as they are. @base is the path of
 * the section, "volumes[2]" or "". Out: 0, or -EINVAL with file, line and remedy in @err.
 */
int items_store(const struct item *items, size_t item_count, const void *raw, void *out,
	const struct config_lines *lines, const char *base, struct error *err);

/* The values themselves. 0, or -EINVAL with the reason and remedy alone in @why. */
int item_count_parse(
	const char *text, uint64_t min, uint64_t max, uint64_t *out, struct error *why);
int item_size_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out, struct error *why);
int item_time_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out, struct error *why);
int item_word_parse(const char *text, const char *const *words, uint64_t *out, struct error *why);

/* Legal as the name of a port or volume: letters, digits,
 * '.', '_', '-'; not empty, not too long. */
int item_name_check(const char *text, struct error *why);

#endif
