/*
 * text.c - the bytes of a simulated stream, made and checked eight at a time
 */
#include "tests/sim/text.h"

#include <string.h>
#include "tests/sim/rnd.h"

static void word_at(uint64_t key, uint64_t word, uint8_t out[8])
{
	uint64_t value = rnd_mix(key + word * 0x9e3779b97f4a7c15u);

	memcpy(out, &value, 8);
}

void text_fill(uint64_t key, uint64_t off, uint8_t *out, size_t len)
{
	for (size_t done = 0; done < len;) {
		uint8_t word[8];
		size_t skip = (off + done) % 8, n = 8 - skip;

		word_at(key, (off + done) / 8, word);
		n = n < len - done ? n : len - done;
		memcpy(out + done, word + skip, n);
		done += n;
	}
}

size_t text_diff(uint64_t key, uint64_t off, const uint8_t *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		uint8_t word[8];
		size_t skip = (off + done) % 8, n = 8 - skip;

		word_at(key, (off + done) / 8, word);
		n = n < len - done ? n : len - done;
		if (memcmp(bytes + done, word + skip, n) != 0) {
			while (bytes[done] == word[skip++])
				done++;
			return done;
		}
		done += n;
	}
	return len;
}
