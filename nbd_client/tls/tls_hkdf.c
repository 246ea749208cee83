/*
 * tls_hkdf.c - the next key of a direction, derived on the worker
 *
 * A KeyUpdate replaces a traffic secret by one derived from it, and key and iv by those of the new
 * secret (RFC 8446 7.2, 7.3): three HKDF-Expand-Labels of one or two hash blocks. GnuTLS computes
 * them on the stack (test_tls_trap.c). The old secret is overwritten.
 */
#include "nbd_client/tls/tls_record_priv.h"
#include <assert.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define LABEL_BYTES_MAX 12u

int tls_expand_label(const uint8_t *secret, uint32_t secret_bytes, const char *label, uint8_t *out,
	uint32_t out_bytes)
{
	static const char prefix[] = "tls13 ";
	uint8_t info[2 + 1 + sizeof(prefix) + LABEL_BYTES_MAX + 1], key[TLS_SECRET_BYTES_MAX];
	gnutls_datum_t secret_datum = {key, secret_bytes}, info_datum = {info, 0};
	uint32_t prefix_bytes = sizeof(prefix) - 1, label_bytes = (uint32_t)strlen(label), n = 0;
	int rc;

	assert(label_bytes <= LABEL_BYTES_MAX && secret_bytes <= sizeof(key));
	tls_put_be(info, out_bytes, 2);
	info[2] = (uint8_t)(prefix_bytes + label_bytes);
	n = 3;
	memcpy(info + n, prefix, prefix_bytes);
	n += prefix_bytes;
	memcpy(info + n, label, label_bytes);
	n += label_bytes;
	info[n++] = 0; /* no context */
	info_datum.size = n;
	memcpy(key, secret, secret_bytes);
	rc = gnutls_hkdf_expand(secret_bytes == 48 ? GNUTLS_MAC_SHA384 : GNUTLS_MAC_SHA256,
		&secret_datum, &info_datum, out, out_bytes);
	explicit_bzero(key, sizeof(key));
	return rc < 0 ? -EIO : 0;
}

int tls_half_update(struct tls_records *r, struct tls_half *h)
{
	uint8_t secret[TLS_SECRET_BYTES_MAX], key[TLS_KEY_BYTES_MAX], iv[TLS_NONCE_BYTES];
	uint32_t bytes = r->secret_bytes;
	int rc;

	assert(r->version == TLS_VERSION_1_3 && bytes > 0);
	rc = tls_expand_label(h->secret, bytes, "traffic upd", secret, bytes);
	if (rc == 0)
		rc = tls_expand_label(secret, bytes, "key", key, tls_cipher_key_bytes(r->aead));
	if (rc == 0)
		rc = tls_expand_label(secret, bytes, "iv", iv, sizeof(iv));
	if (rc == 0 && tls_cipher_key_set(h->ciphers[r->aead], key) < 0)
		rc = -EIO;
	if (rc == 0) {
		memcpy(h->secret, secret, bytes);
		memcpy(h->iv, iv, sizeof(h->iv));
		h->seq = h->records = 0;
	}
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(key, sizeof(key));
	return rc;
}
