/*
 * volume_tls.h - inside a volume: TLS between a connection's stream and its protocol machine
 *
 * The worker's, but for create, destroy and serve. A connection without TLS has no conn_tls, and
 * only volume_tls_is_on() and volume_tls_may_open() take NULL.
 */
#ifndef NBD_CLIENT_VOLUME_TLS_H
#define NBD_CLIENT_VOLUME_TLS_H

#include "nbd_client/tls/tls_mail.h"
#include "nbd_client/tls/tls_record.h"
#include "nbd_client/volume_priv.h"

/* Text of one record that is sent as a copy (STREAM_INLINE_BYTES_MAX), at the most. */
#define TLS_SMALL_BYTES (STREAM_INLINE_BYTES_MAX - TLS_OVERHEAD_BYTES_MAX)

static_assert(TLS_SMALL_BYTES >= sizeof(struct nbd_wire_request), "a request is one small record");
static_assert(TLS_CONTROL_BYTES_MAX <= STREAM_INLINE_BYTES_MAX, "so is a KeyUpdate");

enum conn_tls_state {
	CONN_TLS_OFF,	  /* before STARTTLS was agreed on */
	CONN_TLS_SHAKING, /* the stream is the handshake's */
	CONN_TLS_ON,	  /* records */
};

/* Where the ciphertext of WRITEs rests until it was acknowledged. */
struct conn_tls_tx {
	struct stream_buf *const *bufs; /* TLS_TX_BUFS, the caller's of volume_create() */
	unsigned cur;			/* being filled … */
	uint32_t used;			/* … up to here */
	uint64_t end[TLS_TX_BUFS]; /* stream position behind the last record in each */
};

struct conn_tls {
	enum conn_tls_state state;
	struct tls_records *records;
	uint32_t out_at; /* of mail.out, sent */
	bool is_broken;	 /* sealed and not sent: nothing may follow */
	struct conn_tls_tx tx;
	struct tls_mail mail;
	uint32_t gathered; /* of gather */
	uint8_t gather[TLS_RECORD_BYTES_MAX]; /* a record that lies in too many pieces */
};

/* Control thread. 0 or -ENOMEM. */
int volume_tls_create(struct volume_conn *vc);
void volume_tls_destroy(struct volume_conn *vc); /* no TLS is fine */

/* May a connection be opened: is the last handshake's mail back? */
bool volume_tls_may_open(const struct volume_conn *vc);
/* A stream was opened: nothing of the last one is left. */
void volume_tls_open(struct volume_conn *vc);
/* STARTTLS was agreed on. */
void volume_tls_begin(struct volume_conn *vc);
/* Does the handshake have the stream? Then goes on with it, and when it must be looked at again. */
bool volume_tls_is_shaking(const struct volume_conn *vc);
void volume_tls_shake(struct volume_conn *vc);
uint64_t volume_tls_deadline(const struct volume_conn *vc);

bool volume_tls_is_on(const struct volume_conn *vc);
/* Opens what arrived, NBD_TURN_BYTES_MAX at the most, and feeds it to the protocol machine. */
void volume_tls_read(struct volume_conn *vc);

/* ---- volume_tls_tx.c ---- */
/* Room for a small record and, with @bytes > 0, for a WRITE of so many behind READs' room? */
bool volume_tls_has_room(const struct volume_conn *vc, uint32_t bytes);
/* Seals and queues one small record, at most TLS_SMALL_BYTES. 0, -EAGAIN, or -EPIPE: it is over. */
int volume_tls_send(struct volume_conn *vc, const void *bytes, uint32_t len);
/* A WRITE: @hdr and payload, which is copied. As above. */
int volume_tls_write(struct volume_conn *vc, const struct nbd_wire_request *hdr,
	const uint8_t *payload, uint32_t len);

#endif
