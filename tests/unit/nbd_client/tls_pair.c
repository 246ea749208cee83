/*
 * tls_pair.c - see tls_pair.h
 */
#include "tests/unit/nbd_client/tls_pair.h"
#include <assert.h>
#include <string.h>

#define PIECE_MAX 20000u

void tls_pair_keys(struct tls_keys *keys, unsigned kind)
{
	struct tls_keys_half *halves[2] = {&keys->rx, &keys->tx};

	*keys = (struct tls_keys){
		.version = kind < TLS_AEAD_COUNT ? TLS_VERSION_1_3 : TLS_VERSION_1_2,
		.aead = (enum tls_aead)(kind % TLS_AEAD_COUNT),
		.secret_bytes = kind % TLS_AEAD_COUNT == TLS_AES_256_GCM ? 48 : 32,
	};
	for (unsigned h = 0; h < 2; h++) {
		memset(halves[h]->key, 0x11 + (int)(16 * h + kind), sizeof(halves[h]->key));
		memset(halves[h]->iv, 0x21 + (int)(16 * h + kind), sizeof(halves[h]->iv));
		memset(halves[h]->secret, 0x31 + (int)(16 * h + kind), sizeof(halves[h]->secret));
		halves[h]->seq = 3 * h;
	}
}

void tls_pair_make(struct tls_pair *p, unsigned kind)
{
	struct tls_keys keys;
	struct tls_keys_half rx;

	p->client = tls_records_create();
	p->server = tls_records_create();
	assert(p->client && p->server);
	tls_pair_keys(&keys, kind);
	assert(tls_records_start(p->client, &keys) == 0);
	rx = keys.rx;
	keys.rx = keys.tx;
	keys.tx = rx;
	assert(tls_records_start(p->server, &keys) == 0);
}

void tls_pair_free(struct tls_pair *p)
{
	tls_records_destroy(p->client);
	tls_records_destroy(p->server);
}

uint32_t tls_craft(struct tls_records *r, uint8_t type, const uint8_t *text, uint32_t len,
	uint32_t padding, uint8_t *out)
{
	bool is_13 = r->version == TLS_VERSION_1_3;
	uint32_t explicit_bytes = is_13 || r->aead == TLS_CHACHA20_POLY1305 ? 0 : 8;
	uint32_t inner = len + (is_13 ? 1 + padding : 0);
	uint8_t nonce[TLS_NONCE_BYTES], also[13], *body = out + TLS_HEADER_BYTES + explicit_bytes;
	struct tls_aad aad = {nonce, is_13 ? out : also, is_13 ? TLS_HEADER_BYTES : 13};
	struct iovec sealed = {body, inner};

	tls_put_be(out + TLS_HEADER_BYTES, r->tx.seq, explicit_bytes);
	tls_nonce(r, &r->tx, out + TLS_HEADER_BYTES, nonce);
	memcpy(body, text, len);
	if (is_13) {
		body[len] = type;
		memset(body + len + 1, 0, padding);
	}
	out[0] = is_13 ? (uint8_t)TLS_DATA : type;
	out[1] = out[2] = 3;
	tls_put_be(out + 3, explicit_bytes + inner + TLS_TAG_BYTES, 2);
	tls_put_be(also, r->tx.seq, 8);
	memcpy(also + 8, out, 3);
	tls_put_be(also + 11, len, 2);
	assert(tls_cipher_seal(r->tx.ciphers[r->aead], &aad, &sealed, 1, body + inner) == 0);
	r->tx.seq++;
	return TLS_HEADER_BYTES + explicit_bytes + inner + TLS_TAG_BYTES;
}

enum tls_verdict tls_open_flat(struct tls_records *r, uint8_t *bytes, uint32_t len, uint32_t piece,
	uint8_t *text, uint32_t *text_len, uint32_t *taken)
{
	static struct iovec pieces[PIECE_MAX];
	unsigned count = 0;
	enum tls_verdict verdict;

	for (uint32_t at = 0; at < len; at += piece) {
		assert(count < PIECE_MAX);
		pieces[count++] = (struct iovec){bytes + at, len - at < piece ? len - at : piece};
	}
	verdict = tls_open(r, pieces, &count, taken);
	*text_len = 0;
	for (unsigned i = 0; verdict == TLS_TEXT && i < count; i++) {
		assert(pieces[i].iov_len > 0);
		memcpy(text + *text_len, pieces[i].iov_base, pieces[i].iov_len);
		*text_len += (uint32_t)pieces[i].iov_len;
	}
	return verdict;
}
