/*
 * nbd_text.c - strings a server sent, made fit to be shown
 *
 * NBD's strings are UTF-8 by the protocol and arbitrary bytes in fact. What is kept of them goes to
 * a log, to JSON and to a terminal: a byte that is part of no character becomes '?', and so does
 * each byte of a character that commands a terminal or turns the direction of text: C0, DEL, C1,
 * line and paragraph separators, bidirectional controls. Everything else stays whole, in its own
 * bytes.
 *
 * Pure functions; the length never changes, so text can be cleaned where it lies.
 */
#include "nbd_client/nbd_conn_priv.h"
#include <string.h>

/* How many bytes the character that begins with @first takes by the number of its leading ones; 0:
 * none. */
static unsigned char_bytes(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first < 0xe0)
		return 2;
	if (first >= 0xe0 && first < 0xf0)
		return 3;
	return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/* The character of @n bytes at @at, or 0 where it is none: cut short, overlong, a surrogate, too
 * large. */
static uint32_t char_decode(const uint8_t *at, unsigned n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t ch = n == 1 ? at[0] : at[0] & (0x7fu >> n);

	for (unsigned i = 1; i < n; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		ch = ch << 6 | (at[i] & 0x3f);
	}
	return ch < least[n] || (ch >= 0xd800 && ch < 0xe000) || ch > 0x10ffff ? 0 : ch;
}

static bool is_shown(uint32_t ch)
{
	return ch >= ' ' && (ch < 0x7f || ch > 0x9f) && ch != 0x200e && ch != 0x200f &&
	       (ch < 0x2028 || ch > 0x202e) && (ch < 0x2066 || ch > 0x2069);
}

void nbd_text_clean(uint8_t *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		unsigned n = char_bytes(bytes[at]);
		uint32_t ch = n > 0 && n <= len - at ? char_decode(bytes + at, n) : 0;

		if (ch == 0)
			n = 1;
		if (!is_shown(ch))
			memset(bytes + at, '?', n);
		at += n;
	}
}

size_t nbd_text_cut(const uint8_t *bytes, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max > 0 && (bytes[max] & 0xc0) == 0x80)
		max--;
	return max;
}

void nbd_conn_text(char *out, size_t room, const uint8_t *bytes, size_t len)
{
	size_t n = nbd_text_cut(bytes, len, room - 1);

	memcpy(out, bytes, n);
	nbd_text_clean((uint8_t *)out, n);
	out[n] = '\0';
}
