/*
 * tls_open.c - a record from the peer, opened where the network left it
 *
 * The pieces are what the stream shows of its received bytes. A record is touched only when it is
 * whole, and then decrypted in place by one call over its pieces. Only after the tag has matched is
 * anything of it looked at: type, padding and length of the text are the peer's and are checked
 * here. What is left is cut out of the same pieces; no byte is copied but header, explicit nonce
 * and tag, which may lie across a cut.
 *
 * A record with little data costs as much as one with 16 KiB. TLS_SPARE_MAX of them are allowed
 * beyond those that bring their data; each that does, and each answer (tls_records_earn), pays for
 * more. The bound stops a peer that sends empty or padded records without end.
 */
#include "nbd_client/tls/tls_record_priv.h"
#include <assert.h>
#include <string.h>

#define VERSION_1_2 0x0303u /* the version every record says, RFC 8446 5.1 */

/* A place in the pieces. */
struct cursor {
	const struct iovec *pieces;
	unsigned count;
};

/* Copies @len bytes from @at bytes into the pieces, which have them. */
static void copy_out(struct cursor c, uint32_t at, uint8_t *out, uint32_t len)
{
	for (unsigned i = 0; i < c.count && len > 0; i++) {
		size_t has = c.pieces[i].iov_len, part;

		if (at >= has) {
			at -= (uint32_t)has;
			continue;
		}
		part = has - at < len ? has - at : len;
		memcpy(out, (const uint8_t *)c.pieces[i].iov_base + at, part);
		out += part;
		len -= (uint32_t)part;
		at = 0;
	}
	assert(len == 0);
}

/* Cuts the pieces to [at, at + len). Out: how many are left, none of them empty. */
static unsigned cut(struct iovec *pieces, unsigned count, uint32_t at, uint32_t len)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < count && len > 0; i++) {
		size_t has = pieces[i].iov_len, part;

		if (at >= has) {
			at -= (uint32_t)has;
			continue;
		}
		part = has - at < len ? has - at : len;
		pieces[kept++] = (struct iovec){(uint8_t *)pieces[i].iov_base + at, part};
		len -= (uint32_t)part;
		at = 0;
	}
	assert(len == 0);
	return kept;
}

static size_t total_of(const struct iovec *pieces, unsigned count)
{
	size_t total = 0;

	for (unsigned i = 0; i < count; i++)
		total += pieces[i].iov_len;
	return total;
}

/* What the header says of its record's body, or 0 and the machine is dead. */
static uint32_t header_check(struct tls_records *r, const uint8_t h[TLS_HEADER_BYTES])
{
	uint32_t len = (uint32_t)h[3] << 8 | h[4], least, most;
	bool is_13 = r->version == TLS_VERSION_1_3;

	if (h[0] <= TLS_CCS || h[0] > TLS_DATA || (is_13 && h[0] != TLS_DATA)) {
		(void)tls_die(r, TLS_ALERT_UNEXPECTED_MESSAGE,
			"the server sent a record that is not encrypted, where TLS was agreed on");
		return 0;
	}
	if (((uint32_t)h[1] << 8 | h[2]) != VERSION_1_2) {
		(void)tls_die(r, TLS_ALERT_PROTOCOL_VERSION,
			"the server sent a TLS record of another version");
		return 0;
	}
	least = (is_13 ? 1 : tls_explicit_bytes(r)) + TLS_TAG_BYTES;
	most = TLS_TEXT_BYTES_MAX + (is_13 ? 256 : least);
	if (len > most) {
		(void)tls_die(r, TLS_ALERT_RECORD_OVERFLOW,
			"the server sent a TLS record that is longer than allowed");
		return 0;
	}
	if (len < least) {
		(void)tls_die(r, TLS_ALERT_DECODE_ERROR,
			"the server sent a TLS record that is too short for a tag");
		return 0;
	}
	return len;
}

/* Verifies and decrypts; the pieces become the plaintext of *len bytes. False: dead. */
static bool decrypt(struct tls_records *r, const uint8_t header[TLS_HEADER_BYTES],
	struct iovec *pieces, unsigned *count, uint32_t *len)
{
	uint32_t explicit_bytes = tls_explicit_bytes(r);
	uint32_t text_bytes = *len - explicit_bytes - TLS_TAG_BYTES;
	uint8_t nonce[TLS_NONCE_BYTES], explicit[8], tag[TLS_TAG_BYTES], also[13];
	struct cursor all = {pieces, *count};
	struct tls_aad aad = {nonce, header, TLS_HEADER_BYTES};

	copy_out(all, TLS_HEADER_BYTES, explicit, explicit_bytes);
	copy_out(all, TLS_HEADER_BYTES + explicit_bytes + text_bytes, tag, sizeof(tag));
	tls_nonce(r, &r->rx, explicit, nonce);
	if (r->version == TLS_VERSION_1_2) {
		tls_put_be(also, r->rx.seq, 8);
		memcpy(also + 8, header, 3);
		tls_put_be(also + 11, text_bytes, 2);
		aad.bytes = also;
		aad.len = sizeof(also);
	}
	*count = cut(pieces, *count, TLS_HEADER_BYTES + explicit_bytes, text_bytes);
	*len = text_bytes;
	if (tls_cipher_open(r->rx.ciphers[r->aead], &aad, pieces, *count, tag) < 0) {
		(void)tls_die(r, TLS_ALERT_BAD_RECORD_MAC,
			"a TLS record was damaged or forged on its way");
		return false;
	}
	if (r->rx.seq == UINT64_MAX) {
		(void)tls_die(r, TLS_ALERT_INTERNAL_ERROR, "a TLS key has no record numbers left");
		return false;
	}
	r->rx.seq++;
	r->rx.records++;
	r->info.opened++;
	return true;
}

/* 1.3: takes zeroes and the type off the end (5.4). Out: the type, 0 if there is none. */
static uint8_t inner_type(struct iovec *pieces, unsigned *count, uint32_t *len)
{
	while (*count > 0) {
		struct iovec *last = &pieces[*count - 1];
		const uint8_t *bytes = last->iov_base;

		while (last->iov_len > 0) {
			uint8_t byte = bytes[--last->iov_len];

			(*len)--;
			if (byte != 0) {
				*count -= last->iov_len == 0;
				return byte;
			}
		}
		(*count)--;
	}
	return 0;
}

static enum tls_verdict alert(struct tls_records *r, const struct iovec *pieces, unsigned count)
{
	uint8_t body[2];

	if (total_of(pieces, count) != sizeof(body))
		return tls_die(r, TLS_ALERT_DECODE_ERROR, "the server sent a malformed TLS alert");
	copy_out((struct cursor){pieces, count}, 0, body, sizeof(body));
	if (body[1] == TLS_ALERT_CLOSE_NOTIFY) {
		r->is_closed = true;
		return TLS_CLOSED;
	}
	return tls_die(r, TLS_ALERT_CLOSE_NOTIFY,
		"the server ended TLS with an alert; see the server's log");
}

/* May this record cost what it did? @padding: bytes that were decrypted for nothing. */
static bool spare_take(struct tls_records *r, uint32_t len, uint32_t padding)
{
	if (len >= TLS_SPARE_TEXT_BYTES && padding <= len + 256) {
		r->spare += r->spare < TLS_SPARE_MAX;
		return true;
	}
	if (r->spare == 0)
		return false;
	r->spare--;
	return true;
}

/* By its type, now that it is authentic. */
static enum tls_verdict deal(
	struct tls_records *r, uint8_t type, const struct iovec *pieces, unsigned count)
{
	if (tls_post_is_open(r) && type != TLS_HANDSHAKE)
		return tls_die(r, TLS_ALERT_UNEXPECTED_MESSAGE,
			"the server sent another TLS record inside a handshake message");
	if (type == TLS_DATA)
		return count > 0 ? TLS_TEXT : TLS_NONE;
	if (count == 0)
		return tls_die(r, TLS_ALERT_UNEXPECTED_MESSAGE,
			"the server sent an empty TLS record of a kind that may not be empty");
	if (type == TLS_ALERT)
		return alert(r, pieces, count);
	if (type == TLS_HANDSHAKE && r->version == TLS_VERSION_1_3)
		return tls_post(r, pieces, count);
	if (type == TLS_HANDSHAKE)
		return tls_die(r, TLS_ALERT_NO_RENEGOTIATION,
			"the server asked to negotiate TLS again, which is refused");
	return tls_die(r, TLS_ALERT_UNEXPECTED_MESSAGE,
		"the server sent a TLS record of an unknown kind");
}

enum tls_verdict tls_open(
	struct tls_records *r, struct iovec *pieces, unsigned *count, uint32_t *bytes)
{
	size_t total = total_of(pieces, *count);
	uint8_t header[TLS_HEADER_BYTES], type;
	uint32_t len, inner, before;

	assert(r->is_started);
	if (r->error || r->is_closed)
		return r->error ? TLS_DEAD : TLS_CLOSED;
	*bytes = TLS_HEADER_BYTES;
	if (total < TLS_HEADER_BYTES)
		return TLS_MORE;
	copy_out((struct cursor){pieces, *count}, 0, header, sizeof(header));
	len = header_check(r, header);
	if (len == 0)
		return TLS_DEAD;
	*bytes = TLS_HEADER_BYTES + len;
	if (total < *bytes)
		return TLS_MORE;
	inner = len;
	if (!decrypt(r, header, pieces, count, &inner))
		return TLS_DEAD;
	before = inner;
	type = r->version == TLS_VERSION_1_3 ? inner_type(pieces, count, &inner) : header[0];
	if (type == 0)
		return tls_die(r, TLS_ALERT_UNEXPECTED_MESSAGE,
			"the server sent a TLS record of nothing but padding");
	if (inner > TLS_TEXT_BYTES_MAX)
		return tls_die(r, TLS_ALERT_RECORD_OVERFLOW,
			"the server sent a TLS record that is longer than allowed");
	if (!spare_take(r, type == TLS_DATA ? inner : 0, before - inner))
		return tls_die(r, TLS_ALERT_UNEXPECTED_MESSAGE,
			"the server sends TLS records with hardly any data, without end");
	return deal(r, type, pieces, *count);
}
