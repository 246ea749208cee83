/*
 * tls_seal.c - records for the peer, sealed once into the caller's memory
 *
 * Sealing cannot be undone: the number is used up, and two texts under one number would show both.
 * So the caller takes room before, sends what was sealed in order, and ends the connection if it
 * cannot. The text is copied to where the record will lie and encrypted there in one piece, for
 * its source (a tag's buffer) stays as it is until the answer.
 *
 * A key seals TLS_KEY_RECORDS_MAX records at most, half of what AES-GCM's limit allows (RFC 8446
 * 5.5); from then on an update is due. TLS 1.2 has no update, and its key lasts as long as record
 * numbers do.
 */
#include "nbd_client/tls/tls_record_priv.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

uint32_t tls_sealed_bytes(const struct tls_records *r, uint32_t text_bytes)
{
	bool is_13 = r->version == TLS_VERSION_1_3;

	return TLS_HEADER_BYTES + tls_explicit_bytes(r) + text_bytes + is_13 + TLS_TAG_BYTES;
}

static uint32_t text_copy(const struct iovec *text, unsigned count, uint8_t *out)
{
	uint32_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		assert(text[i].iov_len <= TLS_TEXT_BYTES_MAX - len);
		memcpy(out + len, text[i].iov_base, text[i].iov_len);
		len += (uint32_t)text[i].iov_len;
	}
	return len;
}

/* Seals a record of any type. */
static int seal(struct tls_records *r, enum tls_type type, const struct iovec *text, unsigned count,
	uint8_t *out)
{
	uint32_t explicit_bytes = tls_explicit_bytes(r), len, body;
	bool is_13 = r->version == TLS_VERSION_1_3;
	uint8_t nonce[TLS_NONCE_BYTES], *explicit = out + TLS_HEADER_BYTES, also[13];
	struct tls_aad aad = {nonce, out, TLS_HEADER_BYTES};
	struct iovec sealed = {explicit + explicit_bytes, 0};

	if (r->tx.seq == UINT64_MAX)
		return -EKEYREVOKED;
	len = text_copy(text, count, sealed.iov_base);
	assert(len > 0);
	tls_put_be(explicit, r->tx.seq, explicit_bytes);
	tls_nonce(r, &r->tx, explicit, nonce);
	sealed.iov_len = len + is_13;
	if (is_13)
		((uint8_t *)sealed.iov_base)[len] = (uint8_t)type;
	body = explicit_bytes + (uint32_t)sealed.iov_len + TLS_TAG_BYTES;
	out[0] = (uint8_t)(is_13 ? TLS_DATA : type);
	out[1] = out[2] = 3;
	tls_put_be(out + 3, body, 2);
	if (!is_13) {
		tls_put_be(also, r->tx.seq, 8);
		memcpy(also + 8, out, 3);
		tls_put_be(also + 11, len, 2);
		aad.bytes = also;
		aad.len = sizeof(also);
	}
	if (tls_cipher_seal(r->tx.ciphers[r->aead], &aad, &sealed, 1,
		    (uint8_t *)sealed.iov_base + sealed.iov_len) < 0)
		return -EIO;
	r->tx.seq++;
	r->tx.records++;
	r->info.sealed++;
	return (int)(TLS_HEADER_BYTES + body);
}

int tls_seal(struct tls_records *r, const struct iovec *text, unsigned count, uint8_t *out)
{
	assert(r->is_started);
	if (r->error || r->is_alert_said)
		return -EPIPE;
	if (r->version == TLS_VERSION_1_3 && r->tx.records >= 2 * TLS_KEY_RECORDS_MAX)
		return -EKEYREVOKED;
	return seal(r, TLS_DATA, text, count, out);
}

bool tls_update_is_due(const struct tls_records *r)
{
	return r->version == TLS_VERSION_1_3 && !r->error && !r->is_alert_said &&
	       (r->is_update_owed || r->tx.records >= TLS_KEY_RECORDS_MAX);
}

int tls_seal_update(struct tls_records *r, uint8_t *out)
{
	/* KeyUpdate, one byte: update_not_requested. RFC 8446 4.6.3 */
	static uint8_t message[] = {24, 0, 0, 1, 0};
	struct iovec text = {message, sizeof(message)};
	int bytes;

	assert(tls_update_is_due(r));
	bytes = seal(r, TLS_HANDSHAKE, &text, 1, out);
	if (bytes < 0)
		return bytes;
	if (tls_half_update(r, &r->tx) < 0)
		return -EIO;
	r->is_update_owed = false;
	r->info.tx_updates++;
	return bytes;
}

int tls_seal_alert(struct tls_records *r, uint8_t *out)
{
	enum { WARNING = 1, FATAL = 2 };
	uint8_t body[2] = {r->error && r->alert != TLS_ALERT_CLOSE_NOTIFY ? FATAL : WARNING,
		r->error ? (uint8_t)r->alert : TLS_ALERT_CLOSE_NOTIFY};
	struct iovec text = {body, sizeof(body)};

	if (!r->is_started || r->is_alert_said)
		return -EPIPE;
	r->is_alert_said = true;
	return seal(r, TLS_ALERT, &text, 1, out);
}
