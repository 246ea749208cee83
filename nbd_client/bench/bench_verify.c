/*
 * bench_verify.c - data that says where it belongs and when it was written
 *
 * Every 512-byte unit opens with a mark, its own offset, the generation of its block and the seed
 * of the run; the rest is a stream of 64-bit words mixed from those four. A reader that knows the
 * generation can tell three ways of being wrong apart: misplaced (another offset), stale (an older
 * generation, whole in itself) and corrupt (anything else). Comparing every word leaves no room for
 * a collision a checksum would have.
 *
 * The table holds the last generation of each block, and a bit while a request on it is in flight:
 * two overlapping requests are never in flight together, since then either result would be right
 * and a wrong one could hide. Memory is taken once, by bench_blocks_init(); after that it is the
 * worker's alone.
 */
#include "nbd_client/bench/bench_priv.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BUSY	   0x80000000u
#define UNIT_WORDS (BENCH_UNIT_BYTES / sizeof(uint64_t))
#define MARK	   0x736c75696365627eull

struct unit_key {
	uint64_t mark, offset, generation, seed;
};
static_assert(sizeof(struct unit_key) % sizeof(uint64_t) == 0, "whole words");
#define KEY_WORDS (sizeof(struct unit_key) / sizeof(uint64_t))

int bench_blocks_init(
	struct bench_blocks *t, uint64_t seed, uint32_t block_bytes, uint64_t block_count)
{
	uint32_t *generations = calloc(block_count, sizeof(*generations));

	if (!generations)
		return -ENOMEM;
	*t = (struct bench_blocks){.seed = seed,
		.block_bytes = block_bytes,
		.block_count = block_count,
		.generations = generations};
	return 0;
}

void bench_blocks_fini(struct bench_blocks *t)
{
	free(t->generations);
	t->generations = NULL;
}

bool bench_blocks_is_free(const struct bench_blocks *t, uint64_t first, uint64_t count)
{
	assert(first + count <= t->block_count);
	for (uint64_t i = first; i < first + count; i++)
		if (t->generations[i] & BUSY)
			return false;
	return true;
}

bool bench_blocks_is_known(const struct bench_blocks *t, uint64_t block)
{
	assert(block < t->block_count);
	return (t->generations[block] & ~BUSY) != 0;
}

void bench_blocks_begin(struct bench_blocks *t, uint64_t first, uint64_t count, bool is_write)
{
	assert(first + count <= t->block_count);
	for (uint64_t i = first; i < first + count; i++) {
		assert(!(t->generations[i] & BUSY));
		if (is_write)
			t->generations[i] = (t->generations[i] + 1) & ~BUSY;
		t->generations[i] |= BUSY;
	}
}

void bench_blocks_end(struct bench_blocks *t, uint64_t first, uint64_t count, bool is_lost)
{
	assert(first + count <= t->block_count);
	for (uint64_t i = first; i < first + count; i++) {
		assert(t->generations[i] & BUSY);
		t->generations[i] &= ~BUSY;
		if (is_lost)
			t->generations[i] = 0;
	}
}

/* A bijective mixer of 64 bits: xor-shift and odd multipliers, twice. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

static uint64_t key_start(const struct unit_key *key)
{
	return mix(key->offset ^ mix(key->generation ^ mix(key->seed)));
}

static void unit_fill(const struct unit_key *key, uint8_t *out)
{
	uint64_t words[UNIT_WORDS], start = key_start(key);

	memcpy(words, key, sizeof(*key));
	for (unsigned i = KEY_WORDS; i < UNIT_WORDS; i++)
		words[i] = mix(start + i);
	memcpy(out, words, sizeof(words));
}

/* First byte that differs from what @key asks for, or BENCH_UNIT_BYTES. */
static unsigned unit_differs_at(const struct unit_key *key, const uint8_t *data)
{
	uint8_t want[BENCH_UNIT_BYTES];

	unit_fill(key, want);
	for (unsigned i = 0; i < BENCH_UNIT_BYTES; i++)
		if (want[i] != data[i])
			return i;
	return BENCH_UNIT_BYTES;
}

void bench_fill(const struct bench_blocks *t, uint64_t offset, uint8_t *out, uint32_t bytes)
{
	for (uint32_t at = 0; at < bytes; at += BENCH_UNIT_BYTES) {
		uint64_t block = (offset - t->base_bytes + at) / t->block_bytes;
		struct unit_key key = {MARK, offset + at, t->generations[block] & ~BUSY, t->seed};

		unit_fill(&key, out + at);
	}
}

/* True if the unit is right; else says how it is wrong. */
static bool unit_check(
	const struct unit_key *want, const uint8_t *data, char *text, size_t text_bytes)
{
	struct unit_key got;
	unsigned at = unit_differs_at(want, data);

	if (at == BENCH_UNIT_BYTES)
		return true;
	memcpy(&got, data, sizeof(got));
	if (text[0] != '\0')
		return false;
	if (got.mark != MARK || unit_differs_at(&got, data) < BENCH_UNIT_BYTES)
		snprintf(text, text_bytes, "offset %" PRIu64 ": corrupt at byte %u of its unit",
			want->offset, at);
	else if (got.seed != want->seed)
		snprintf(text, text_bytes,
			"offset %" PRIu64 ": data of another run (seed %" PRIu64 ")", want->offset,
			got.seed);
	else if (got.offset != want->offset)
		snprintf(text, text_bytes, "offset %" PRIu64 ": misplaced, it belongs to %" PRIu64,
			want->offset, got.offset);
	else
		snprintf(text, text_bytes,
			"offset %" PRIu64 ": stale, generation %" PRIu64 " and not %" PRIu64,
			want->offset, got.generation, want->generation);
	return false;
}

uint32_t bench_check(const struct bench_blocks *t, uint64_t offset, const uint8_t *data,
	uint32_t bytes, uint64_t *checked, char *text, size_t text_bytes)
{
	uint32_t wrong = 0;

	assert((offset - t->base_bytes) % t->block_bytes == 0 && bytes % t->block_bytes == 0);
	for (uint32_t at = 0; at < bytes; at += t->block_bytes) {
		uint64_t block = (offset - t->base_bytes + at) / t->block_bytes;
		bool is_right = true;

		if (t->generations && !bench_blocks_is_known(t, block))
			continue;
		for (uint32_t u = at; u < at + t->block_bytes && is_right; u += BENCH_UNIT_BYTES) {
			struct unit_key want = {MARK, offset + u, 0, t->seed};

			if (t->generations)
				want.generation = t->generations[block] & ~BUSY;
			else
				memcpy(&want.generation,
					data + u + offsetof(struct unit_key, generation),
					sizeof(want.generation));
			is_right = unit_check(&want, data + u, text, text_bytes);
		}
		wrong += !is_right;
		++*checked;
	}
	return wrong;
}
