/*
 * tls_cipher.c - AEAD by libcrypto's EVP interface
 *
 * The record layer encrypts a record in one contiguous piece and decrypts one where the network's
 * pieces of it lie. EVP takes a text piece by piece in place, and with a context that exists
 * neither a nonce, a key nor a tag that does not match allocates (test_tls_trap.c). GnuTLS, which
 * makes the handshake, is not used here: 3.7.9 computes wrong tags after
 * gnutls_aead_cipher_set_key() with AES-GCM (findings/gnutls-aead-set-key.sh), and its ChaCha20 is
 * thirteen times slower. The numbers are in docs/adr, "TLS ciphers by libcrypto".
 *
 * A context works in both directions; which one is said with each nonce. It copies the key, and
 * EVP_CIPHER_CTX_free() zeroes the copy. Two contexts share nothing that is written, so each may be
 * used on a thread of its own.
 */
#include "nbd_client/tls/tls_cipher.h"
#include <assert.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

struct tls_cipher {
	EVP_CIPHER_CTX *ctx;
};

static const EVP_CIPHER *algorithm_of(enum tls_aead aead)
{
	switch (aead) {
	case TLS_AES_128_GCM:
		return EVP_aes_128_gcm();
	case TLS_AES_256_GCM:
		return EVP_aes_256_gcm();
	case TLS_CHACHA20_POLY1305:
		return EVP_chacha20_poly1305();
	}
	return NULL;
}

uint32_t tls_cipher_key_bytes(enum tls_aead aead)
{
	assert((unsigned)aead < TLS_AEAD_COUNT);
	return aead == TLS_AES_128_GCM ? 16 : 32;
}

struct tls_cipher *tls_cipher_create(enum tls_aead aead)
{
	static const uint8_t zeroes[TLS_KEY_BYTES_MAX];
	struct tls_cipher *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ctx = EVP_CIPHER_CTX_new();
	/* Fetches the algorithm, which allocates: later calls name none. */
	if (c->ctx && EVP_CipherInit_ex(c->ctx, algorithm_of(aead), NULL, zeroes, zeroes, 1) == 1)
		return c;
	tls_cipher_destroy(c);
	return NULL;
}

void tls_cipher_destroy(struct tls_cipher *c)
{
	if (!c)
		return;
	EVP_CIPHER_CTX_free(c->ctx);
	free(c);
}

int tls_cipher_key_set(struct tls_cipher *c, const uint8_t *key)
{
	return EVP_CipherInit_ex(c->ctx, NULL, NULL, key, NULL, -1) == 1 ? 0 : -EINVAL;
}

/* The pieces in place, up to the tag. False: the library failed. */
static bool text_pass(struct tls_cipher *c, const struct tls_aad *aad, const struct iovec *text,
	unsigned count, bool is_seal)
{
	int len = 0;

	if (EVP_CipherInit_ex(c->ctx, NULL, NULL, NULL, aad->nonce, is_seal) != 1 ||
		EVP_CipherUpdate(c->ctx, NULL, &len, aad->bytes, (int)aad->len) != 1)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (EVP_CipherUpdate(c->ctx, text[i].iov_base, &len, text[i].iov_base,
			    (int)text[i].iov_len) != 1)
			return false;
	return true;
}

int tls_cipher_seal(struct tls_cipher *c, const struct tls_aad *aad, const struct iovec *text,
	unsigned count, uint8_t *tag)
{
	uint8_t none[TLS_TAG_BYTES]; /* an AEAD has no last block */
	int len = 0;

	if (!text_pass(c, aad, text, count, true) ||
		EVP_CipherFinal_ex(c->ctx, none, &len) != 1 ||
		EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, TLS_TAG_BYTES, tag) != 1)
		return -EIO;
	return 0;
}

int tls_cipher_open(struct tls_cipher *c, const struct tls_aad *aad, const struct iovec *text,
	unsigned count, const uint8_t *tag)
{
	uint8_t want[TLS_TAG_BYTES], none[TLS_TAG_BYTES];
	int len = 0;

	for (unsigned i = 0; i < TLS_TAG_BYTES; i++)
		want[i] = tag[i]; /* the library takes it as writable */
	if (!text_pass(c, aad, text, count, false) ||
		EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, TLS_TAG_BYTES, want) != 1 ||
		EVP_CipherFinal_ex(c->ctx, none, &len) != 1)
		return -EBADMSG;
	return 0;
}
