/*
 * tls_post.c - messages behind the handshake of TLS 1.3: tickets skipped, keys changed
 *
 * A server sends NewSessionTicket when it likes, in as many records as it likes; nothing of one is
 * kept. A KeyUpdate changes the receiving key behind the record that carries it, which must end
 * there (RFC 8446 5.1). An update that is asked for is owed once, however often it is asked: the
 * caller sends it before its next record (tls_update_is_due). Everything else, CertificateRequest
 * included, was not offered by us and is fatal.
 *
 * Always: message_have < the header's length while a header is gathered; skip_bytes > 0 only while
 * a ticket is being skipped.
 */
#include "nbd_client/tls/tls_record_priv.h"
#include <string.h>

#define MESSAGE_HEADER_BYTES  4u
#define MESSAGE_NEW_TICKET    4u
#define MESSAGE_KEY_UPDATE    24u
#define TICKET_BYTES_MAX      (4u + 4u + 1u + 255u + 2u + 65535u + 2u + 65534u) /* 4.6.1 */
#define KEY_UPDATE_REQUESTED  1u

bool tls_post_is_open(const struct tls_records *r)
{
	return r->message_have > 0 || r->skip_bytes > 0;
}

/* The body of a KeyUpdate is here; @is_last: and the record ends with it. */
static enum tls_verdict key_update(struct tls_records *r, bool is_last)
{
	uint8_t request = r->message[MESSAGE_HEADER_BYTES];

	r->message_have = 0;
	if (request > KEY_UPDATE_REQUESTED)
		return tls_die(r, TLS_ALERT_ILLEGAL_PARAMETER,
			"the server sent a malformed TLS KeyUpdate");
	if (!is_last)
		return tls_die(r, TLS_ALERT_UNEXPECTED_MESSAGE,
			"the server changed its TLS key inside a record");
	if (tls_half_update(r, &r->rx) < 0)
		return tls_die(r, TLS_ALERT_INTERNAL_ERROR, "the next TLS key cannot be derived");
	r->info.rx_updates++;
	r->is_update_owed |= request == KEY_UPDATE_REQUESTED;
	return TLS_NONE;
}

/* The header of a message is whole: what is it? */
static enum tls_verdict message_begin(struct tls_records *r)
{
	const uint8_t *m = r->message;
	uint32_t len = (uint32_t)m[1] << 16 | (uint32_t)m[2] << 8 | m[3];

	if (m[0] == MESSAGE_KEY_UPDATE && len == 1)
		return TLS_NONE; /* its byte is gathered behind the header */
	if (m[0] == MESSAGE_NEW_TICKET && len > 0 && len <= TICKET_BYTES_MAX) {
		r->skip_bytes = len;
		r->message_have = 0;
		r->info.tickets++;
		return TLS_NONE;
	}
	return tls_die(r, TLS_ALERT_UNEXPECTED_MESSAGE,
		"the server sent a TLS message that is not allowed behind the handshake");
}

/* One byte of a message that is gathered. */
static enum tls_verdict gather(struct tls_records *r, uint8_t byte, bool is_last)
{
	r->message[r->message_have++] = byte;
	if (r->message_have == MESSAGE_HEADER_BYTES)
		return message_begin(r);
	if (r->message_have == MESSAGE_HEADER_BYTES + 1)
		return key_update(r, is_last);
	return TLS_NONE;
}

enum tls_verdict tls_post(struct tls_records *r, const struct iovec *pieces, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *bytes = pieces[i].iov_base;
		size_t len = pieces[i].iov_len;

		for (size_t at = 0; at < len;) {
			size_t left = len - at;

			if (r->skip_bytes > 0) {
				left = left < r->skip_bytes ? left : r->skip_bytes;
				r->skip_bytes -= (uint32_t)left;
				at += left;
				continue;
			}
			if (gather(r, bytes[at], i + 1 == count && left == 1) == TLS_DEAD)
				return TLS_DEAD;
			at++;
		}
	}
	return TLS_NONE;
}
