/*
 * tls_record_priv.h - inside the machine: what tls_record.c, tls_open.c, tls_seal.c, tls_post.c and
 * tls_hkdf.c share
 */
#ifndef NBD_CLIENT_TLS_TLS_RECORD_PRIV_H
#define NBD_CLIENT_TLS_TLS_RECORD_PRIV_H

#include "nbd_client/tls/tls_record.h"

struct tls_half {
	struct tls_cipher *ciphers[TLS_AEAD_COUNT]; /* for life */
	uint8_t iv[TLS_NONCE_BYTES];
	uint8_t secret[TLS_SECRET_BYTES_MAX];
	uint64_t seq;	  /* of the next record */
	uint64_t records; /* under this key */
};

struct tls_records {
	enum tls_version version;
	enum tls_aead aead;
	uint32_t secret_bytes;
	struct tls_half rx, tx;
	bool is_started, is_closed; /* closed: the peer's close_notify came */
	bool is_alert_said;
	bool is_update_owed;
	const char *error; /* NULL: alive */
	enum tls_alert alert;
	uint32_t spare; /* records that bring little and are still allowed */
	/* The message behind the handshake being read, which may lie across records. */
	uint8_t message[5];
	uint32_t message_have, skip_bytes;
	struct tls_records_info info;
};

/* It is over: for this reason, with this alert. Out: TLS_DEAD. */
enum tls_verdict tls_die(struct tls_records *r, enum tls_alert alert, const char *why);

/* The nonce of the record with number @seq: RFC 8446 5.3, RFC 7905, and RFC 5288 for 1.2 GCM. */
void tls_nonce(const struct tls_records *r, const struct tls_half *h, const uint8_t *explicit,
	uint8_t out[TLS_NONCE_BYTES]);
/* Bytes of 1.2's explicit nonce in each record. */
uint32_t tls_explicit_bytes(const struct tls_records *r);
void tls_put_be(uint8_t *out, uint64_t value, unsigned bytes);

/* ---- tls_hkdf.c ---- */
/* HKDF-Expand-Label with an empty context, RFC 8446 7.1. 0 or -EIO. No allocation. */
int tls_expand_label(const uint8_t *secret, uint32_t secret_bytes, const char *label, uint8_t *out,
	uint32_t out_bytes);
/* The next traffic secret of @h, with its key and iv; the number starts over. 0 or -EIO. */
int tls_half_update(struct tls_records *r, struct tls_half *h);

/* ---- tls_post.c ---- */
/* An authentic record of handshake messages (1.3). NONE or DEAD. */
enum tls_verdict tls_post(struct tls_records *r, const struct iovec *pieces, unsigned count);
/* Is a message half read? Then nothing but the rest of it may come (5.1). */
bool tls_post_is_open(const struct tls_records *r);

#endif
