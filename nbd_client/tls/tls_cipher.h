/*
 * tls_cipher.h - one AEAD key in one direction: the seam between the records and a library's cipher
 *
 * create and destroy on the control thread; the rest on the worker that owns the key. Nothing but
 * create allocates, a tag that does not match included.
 */
#ifndef NBD_CLIENT_TLS_TLS_CIPHER_H
#define NBD_CLIENT_TLS_TLS_CIPHER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define TLS_TAG_BYTES	  16u
#define TLS_NONCE_BYTES	  12u
#define TLS_KEY_BYTES_MAX 32u

enum tls_aead { TLS_AES_128_GCM, TLS_AES_256_GCM, TLS_CHACHA20_POLY1305 };
#define TLS_AEAD_COUNT (TLS_CHACHA20_POLY1305 + 1)

/* What is authenticated beside the text, and under which number. Borrowed for one call. */
struct tls_aad {
	const uint8_t *nonce; /* TLS_NONCE_BYTES */
	const uint8_t *bytes;
	uint32_t len;
};

struct tls_cipher;

/* Has no key yet. NULL: no memory, or the library lacks this AEAD. The caller's until destroy. */
struct tls_cipher *tls_cipher_create(enum tls_aead aead);
void tls_cipher_destroy(struct tls_cipher *c); /* zeroes the key; NULL is fine */

/* Bytes of a key of @aead. */
uint32_t tls_cipher_key_bytes(enum tls_aead aead);

/* Takes a key of tls_cipher_key_bytes(), copied. 0 or -EINVAL. */
int tls_cipher_key_set(struct tls_cipher *c, const uint8_t *key);

/* Encrypts the pieces in place; @tag receives TLS_TAG_BYTES. 0 or -EIO. */
int tls_cipher_seal(struct tls_cipher *c, const struct tls_aad *aad, const struct iovec *text,
	unsigned count, uint8_t *tag);

/* Decrypts the pieces in place. 0, or -EBADMSG: they are not authentic, and hold nothing of use. */
int tls_cipher_open(struct tls_cipher *c, const struct tls_aad *aad, const struct iovec *text,
	unsigned count, const uint8_t *tag);

#endif
