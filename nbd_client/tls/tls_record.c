/*
 * tls_record.c - the machine's life: its ciphers, its keys, its end
 *
 * Which AEAD a server chooses is known only after the handshake, and a reconnect under memory
 * pressure may not allocate. So a cipher of each kind exists for each direction from the start, and
 * a handshake only puts keys in. Keys are zeroed when the machine starts over and when it ends.
 *
 * Always: what error is set is over. Nothing is opened or sealed after that, but one alert.
 */
#include "nbd_client/tls/tls_record_priv.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void half_destroy(struct tls_half *h)
{
	for (unsigned i = 0; i < TLS_AEAD_COUNT; i++)
		tls_cipher_destroy(h->ciphers[i]);
}

static bool half_create(struct tls_half *h)
{
	for (unsigned i = 0; i < TLS_AEAD_COUNT; i++) {
		h->ciphers[i] = tls_cipher_create((enum tls_aead)i);
		if (!h->ciphers[i])
			return false;
	}
	return true;
}

struct tls_records *tls_records_create(void)
{
	struct tls_records *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	if (half_create(&r->rx) && half_create(&r->tx))
		return r;
	tls_records_destroy(r);
	return NULL;
}

void tls_records_destroy(struct tls_records *r)
{
	if (!r)
		return;
	half_destroy(&r->rx);
	half_destroy(&r->tx);
	explicit_bzero(r, sizeof(*r));
	free(r);
}

size_t tls_records_bytes(void)
{
	return sizeof(struct tls_records);
}

static int half_start(struct tls_records *r, struct tls_half *h, const struct tls_keys_half *keys)
{
	static const uint8_t no_key[TLS_KEY_BYTES_MAX];

	for (unsigned i = 0; i < TLS_AEAD_COUNT; i++)
		if (tls_cipher_key_set(h->ciphers[i], i == r->aead ? keys->key : no_key) < 0)
			return -EINVAL;
	memcpy(h->iv, keys->iv, sizeof(h->iv));
	memcpy(h->secret, keys->secret, sizeof(h->secret));
	h->seq = keys->seq;
	h->records = 0;
	return 0;
}

int tls_records_start(struct tls_records *r, const struct tls_keys *keys)
{
	struct tls_half rx = r->rx, tx = r->tx;

	if ((unsigned)keys->aead >= TLS_AEAD_COUNT)
		return -EINVAL;
	if (keys->version == TLS_VERSION_1_3 && keys->secret_bytes != 32 &&
		keys->secret_bytes != 48)
		return -EINVAL;
	explicit_bzero(r, sizeof(*r));
	memcpy(r->rx.ciphers, rx.ciphers, sizeof(rx.ciphers));
	memcpy(r->tx.ciphers, tx.ciphers, sizeof(tx.ciphers));
	explicit_bzero(&rx, sizeof(rx));
	explicit_bzero(&tx, sizeof(tx));
	r->version = keys->version;
	r->aead = keys->aead;
	r->secret_bytes = keys->version == TLS_VERSION_1_3 ? keys->secret_bytes : 0;
	r->spare = TLS_SPARE_MAX;
	if (half_start(r, &r->rx, &keys->rx) < 0 || half_start(r, &r->tx, &keys->tx) < 0)
		return -EINVAL;
	r->is_started = true;
	return 0;
}

const char *tls_records_error(const struct tls_records *r)
{
	return r->error;
}

void tls_records_earn(struct tls_records *r)
{
	r->spare = r->spare < TLS_SPARE_MAX - TLS_SPARE_EARNED ? r->spare + TLS_SPARE_EARNED
							       : TLS_SPARE_MAX;
}

void tls_records_info(const struct tls_records *r, struct tls_records_info *out)
{
	*out = r->info;
}

/* ---- for the other files ---- */

enum tls_verdict tls_die(struct tls_records *r, enum tls_alert alert, const char *why)
{
	assert(!r->error && why);
	r->error = why;
	r->alert = alert;
	return TLS_DEAD;
}

void tls_put_be(uint8_t *out, uint64_t value, unsigned bytes)
{
	assert(bytes <= sizeof(value));
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

uint32_t tls_explicit_bytes(const struct tls_records *r)
{
	return r->version == TLS_VERSION_1_2 && r->aead != TLS_CHACHA20_POLY1305 ? 8 : 0;
}

void tls_nonce(const struct tls_records *r, const struct tls_half *h, const uint8_t *explicit,
	uint8_t out[TLS_NONCE_BYTES])
{
	uint32_t explicit_bytes = tls_explicit_bytes(r);
	uint8_t seq[8];

	memcpy(out, h->iv, TLS_NONCE_BYTES);
	if (explicit_bytes > 0) {
		memcpy(out + TLS_NONCE_BYTES - explicit_bytes, explicit, explicit_bytes);
		return;
	}
	tls_put_be(seq, h->seq, sizeof(seq));
	for (unsigned i = 0; i < sizeof(seq); i++)
		out[TLS_NONCE_BYTES - sizeof(seq) + i] ^= seq[i];
}
