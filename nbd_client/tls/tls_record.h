/*
 * tls_record.h - the records of one TLS connection, 1.3 or 1.2, as a pure machine
 *
 * Bytes from the peer are opened where they lie, bytes for the peer are sealed into the caller's
 * memory. No I/O, no clock, no allocation after tls_records_create(). The machine is fatal by
 * itself: once something is wrong it opens and seals nothing more but one alert. RFC 8446 section
 * 5 and 4.6, RFC 5246 section 6.2, RFC 5288, RFC 7905.
 *
 * create, start and destroy: control thread, while no worker has the machine. The rest: the worker.
 */
#ifndef NBD_CLIENT_TLS_TLS_RECORD_H
#define NBD_CLIENT_TLS_TLS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/limits.h"
#include "nbd_client/tls/tls_cipher.h"

#define TLS_HEADER_BYTES     5u
#define TLS_TEXT_BYTES_MAX   16384u /* of one record, RFC 8446 5.1 */
#define TLS_SECRET_BYTES_MAX 48u    /* SHA-384 */
/* The longest record there is: 1.3 allows 256 bytes beside the text (5.2), 1.2's AEADs take 24. */
#define TLS_RECORD_BYTES_MAX (TLS_HEADER_BYTES + TLS_TEXT_BYTES_MAX + 256u)
/* What sealing adds to a text at most: header, 1.2's explicit nonce or 1.3's type, tag. */
#define TLS_OVERHEAD_BYTES_MAX (TLS_HEADER_BYTES + 8u + TLS_TAG_BYTES)

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

/* Content types, RFC 8446 5.1. */
enum tls_type { TLS_CCS = 20, TLS_ALERT = 21, TLS_HANDSHAKE = 22, TLS_DATA = 23 };

/* Alert descriptions we send, RFC 8446 6. */
enum tls_alert {
	TLS_ALERT_CLOSE_NOTIFY = 0,
	TLS_ALERT_UNEXPECTED_MESSAGE = 10,
	TLS_ALERT_BAD_RECORD_MAC = 20,
	TLS_ALERT_RECORD_OVERFLOW = 22,
	TLS_ALERT_DECODE_ERROR = 50,
	TLS_ALERT_ILLEGAL_PARAMETER = 47,
	TLS_ALERT_PROTOCOL_VERSION = 70,
	TLS_ALERT_INTERNAL_ERROR = 80,
	TLS_ALERT_NO_RENEGOTIATION = 100,
};

/* What a handshake agreed on, one direction. */
struct tls_keys_half {
	uint8_t key[TLS_KEY_BYTES_MAX];
	uint8_t iv[TLS_NONCE_BYTES]; /* 1.2 with GCM: the 4 implicit bytes, the rest unused */
	uint8_t secret[TLS_SECRET_BYTES_MAX]; /* 1.3: traffic secret, for KeyUpdate */
	uint64_t seq;			      /* of the next record */
};

struct tls_keys {
	enum tls_version version;
	enum tls_aead aead;
	uint32_t secret_bytes; /* 1.3: of the suite's hash, 32 or 48; 1.2: 0 */
	struct tls_keys_half rx, tx;
};

struct tls_records;

/* Holds a cipher of each kind for both directions. NULL: no memory. The caller's until destroy. */
struct tls_records *tls_records_create(void);
void tls_records_destroy(struct tls_records *r); /* zeroes every key; NULL is fine */
size_t tls_records_bytes(void);			 /* what it takes, the library's part excluded */

/* Begins with the keys of a handshake, which are copied; forgets all that was before. 0, -EINVAL */
int tls_records_start(struct tls_records *r, const struct tls_keys *keys);

enum tls_verdict {
	TLS_MORE,   /* the record is not whole: bytes says how many of the stream are needed */
	TLS_TEXT,   /* application data; the pieces are its text now */
	TLS_NONE,   /* a record without data was dealt with */
	TLS_CLOSED, /* close_notify: the peer sends nothing more */
	TLS_DEAD,   /* over; tls_records_error() says why. Nothing is to be consumed */
};

/*
 * Opens the first record in @pieces, which hold what the stream has received and not consumed, in
 * order. TEXT: @pieces is rewritten to the *count pieces of the text (none is empty), which stay
 * valid until the stream consumes them. In each case but DEAD *bytes is set: MORE, see there; else
 * what the record takes of the stream. A record that is not whole is left untouched.
 */
enum tls_verdict tls_open(
	struct tls_records *r, struct iovec *pieces, unsigned *count, uint32_t *bytes);

/* One sentence why the connection is over, static memory, or NULL. */
const char *tls_records_error(const struct tls_records *r);

/* The peer answered something it was asked: records without much data may go with it. */
void tls_records_earn(struct tls_records *r);

/* Bytes of a record with a text of @text_bytes, header included. */
uint32_t tls_sealed_bytes(const struct tls_records *r, uint32_t text_bytes);

/*
 * Seals one record of application data at @out, which has room for tls_sealed_bytes(); @text, at
 * most TLS_TEXT_BYTES_MAX and not empty, may not overlap it. Cannot be undone: what was sealed
 * must be sent, in this order. A key change that is due goes first (tls_update_is_due).
 * Out: bytes written, -EKEYREVOKED (the key's last record is used up; 1.3 never comes here while
 * updates are sent when due), -EPIPE (over), or -EIO.
 */
int tls_seal(struct tls_records *r, const struct iovec *text, unsigned count, uint8_t *out);

#define TLS_CONTROL_BYTES_MAX (TLS_OVERHEAD_BYTES_MAX + 5u) /* of the two below */

/* A KeyUpdate is owed to the peer, or our own key has sealed as much as it should. */
bool tls_update_is_due(const struct tls_records *r);
/* Seals it under the old key and changes to the next. As tls_seal(). */
int tls_seal_update(struct tls_records *r, uint8_t *out);

/* Seals the alert that says why it is over, or close_notify if nothing is wrong; once. As above. */
int tls_seal_alert(struct tls_records *r, uint8_t *out);

struct tls_records_info {
	uint64_t opened, sealed;	  /* records */
	uint64_t rx_updates, tx_updates;  /* key changes */
	uint64_t tickets;		  /* NewSessionTicket messages skipped */
};
void tls_records_info(const struct tls_records *r, struct tls_records_info *out);

#endif
