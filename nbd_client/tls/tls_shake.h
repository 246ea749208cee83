/*
 * tls_shake.h - a client's TLS handshake, whole records in, bytes out, keys at the end
 *
 * Control thread. No I/O and no clock: the caller carries records and keeps the deadline.
 */
#ifndef NBD_CLIENT_TLS_TLS_SHAKE_H
#define NBD_CLIENT_TLS_TLS_SHAKE_H

#include "nbd_client/tls/tls_creds.h"
#include "nbd_client/tls/tls_record.h"

/* The longest record of a handshake, as RFC 5246 6.2.3 bounds it. */
#define TLS_SHAKE_RECORD_BYTES_MAX (TLS_HEADER_BYTES + TLS_TEXT_BYTES_MAX + 2048u)
/* What the client says at one time, its certificates included. */
#define TLS_SHAKE_OUT_BYTES_MAX 32768u

enum tls_shake_state {
	TLS_SHAKE_WANTS, /* send what is out, then feed the next record */
	TLS_SHAKE_DONE,	 /* send what is out; the next record is tls_open()'s */
	TLS_SHAKE_FAILED, /* tls_shake_error(); what is out is an alert for the server */
};

struct tls_shake;

/*
 * Begins: the first message is out. @creds is borrowed until tls_shake_end(). @host: what the
 * server's certificate must be for, a name or an IP address in text; unused with a PSK.
 * Out: the caller's until tls_shake_end(), or NULL: no memory.
 */
struct tls_shake *tls_shake_begin(const struct tls_creds *creds, const char *host);
void tls_shake_end(struct tls_shake *s); /* zeroes keys; NULL is fine */

enum tls_shake_state tls_shake_state(const struct tls_shake *s);

/*
 * Bytes of the record that begins at @bytes, of which @have are here: TLS_HEADER_BYTES while its
 * header is not whole; 0: too long, or no TLS record at all.
 */
uint32_t tls_shake_record_bytes(const uint8_t *bytes, size_t have);

/* Takes one whole record while it WANTS. Out: the state behind it. */
enum tls_shake_state tls_shake_feed(struct tls_shake *s, const uint8_t *record, uint32_t len);

/* What is to be sent, *len bytes, valid until the next call; and the word that it was taken. */
const uint8_t *tls_shake_out(const struct tls_shake *s, size_t *len);
void tls_shake_out_clear(struct tls_shake *s);

/* DONE: what was agreed on, for tls_records_start(); the caller zeroes it. */
void tls_shake_keys(const struct tls_shake *s, struct tls_keys *out);

/* FAILED: one sentence, with the remedy. */
const char *tls_shake_error(const struct tls_shake *s);

#endif
