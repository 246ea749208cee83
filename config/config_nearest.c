/*
 * config_nearest.c - the known word nearest to a mistyped one
 *
 * The measure is the number of letters to insert, drop or change, with two neighbours swapped
 * counting as one slip, since that is how fingers err ("adress", "gatewya"). A word is near when
 * it is at most a third of its length away, or when one of the two is the start of the other
 * ("addr", "volume"). Words are short, so the whole table lives on the stack.
 */
#include <assert.h>
#include <string.h>
#include "config/config_nearest.h"

#define WORD_BYTES_MAX 32

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Slips between @a and @b (optimal string alignment). Both shorter than WORD_BYTES_MAX. */
static unsigned slip_count(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned cost[WORD_BYTES_MAX][WORD_BYTES_MAX];

	assert(a_len < WORD_BYTES_MAX && b_len < WORD_BYTES_MAX);
	for (size_t i = 0; i <= a_len; i++)
		cost[i][0] = i;
	for (size_t j = 0; j <= b_len; j++)
		cost[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		for (size_t j = 1; j <= b_len; j++) {
			unsigned differs = a[i - 1] != b[j - 1];

			cost[i][j] = least(cost[i - 1][j] + 1, cost[i][j - 1] + 1,
				cost[i - 1][j - 1] + differs);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				cost[i - 2][j - 2] + 1 < cost[i][j])
				cost[i][j] = cost[i - 2][j - 2] + 1;
		}
	}
	return cost[a_len][b_len];
}

const char *config_nearest(const char *text, const void *words, size_t stride)
{
	const char *best = NULL;
	unsigned best_count = WORD_BYTES_MAX;
	size_t text_len = strlen(text);

	assert(stride >= sizeof(char *));
	if (text_len == 0 || text_len >= WORD_BYTES_MAX)
		return NULL;
	for (const char *at = words;; at += stride) {
		const char *word = *(const char *const *)(const void *)at;
		size_t len;
		unsigned count;

		if (!word)
			return best;
		len = strlen(word);
		count = slip_count(text, text_len, word, len);
		if (text_len >= 3 && len >= 3 &&
			strncmp(text, word, text_len < len ? text_len : len) == 0)
			count = 1;
		if (count * 3 <= len + 1 && count < best_count) {
			best = word;
			best_count = count;
		}
	}
}
