/*
 * volume_tls_tx.c - requests sealed: small ones in the copy, payload in memory that rests
 *
 * Sealing uses up a record number, so room is looked for before: bytes and pieces of the send queue
 * with what records add, and memory for ciphertext. What was sealed and cannot be queued all the
 * same ends the connection (is_broken): nothing may follow a gap.
 *
 * A request without payload fits the stream's inline copy as a record, so READs need no memory and
 * a full one cannot hold them up. The ciphertext of a WRITE lies in one of TLS_TX_BUFS buffers,
 * filled in turn. A buffer is filled again when its last byte was acknowledged, for a
 * retransmission sends the same bytes from there, and when no mbuf refers to it any more.
 *
 * A KeyUpdate that is due goes first. A server that asks for one is answered before the next
 * record, as RFC 8446 4.6.3 says; GnuTLS's servers end a connection on more than eight answers a
 * second, so who asks more often ends it himself.
 */
#include "nbd_client/volume_tls.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

/* As volume_io.c has it for plain connections: send room that WRITEs leave to READs. */
#define READ_ROOM_CHUNKS 64u
#define READ_ROOM_BYTES	 (READ_ROOM_CHUNKS * STREAM_INLINE_BYTES_MAX)

static bool buf_is_free(const struct volume_conn *vc, unsigned idx)
{
	const struct conn_tls_tx *tx = &vc->tls->tx;

	return !stream_buf_busy(tx->bufs[idx]) && tx->end[idx] <= stream_acked(vc->stream);
}

/* A place in the buffers. */
struct place {
	unsigned buf;
	uint32_t at;
};

static struct place place_now(const struct volume_conn *vc)
{
	const struct conn_tls_tx *tx = &vc->tls->tx;

	return (struct place){tx->cur, buf_is_free(vc, tx->cur) ? 0 : tx->used};
}

/* Where a record of @bytes may lie, at *p or in the next buffer. False: it is not free. */
static bool place_find(const struct volume_conn *vc, struct place *p, uint32_t bytes)
{
	unsigned next = (p->buf + 1) % TLS_TX_BUFS;

	if (bytes <= TLS_TX_BUF_BYTES - p->at && (p->at > 0 || buf_is_free(vc, p->buf)))
		return true;
	if (next == vc->tls->tx.cur || !buf_is_free(vc, next))
		return false;
	*p = (struct place){next, 0};
	return true;
}

/* Text of the record of a WRITE that begins @at bytes into header and payload. */
static uint32_t text_bytes(uint32_t at, uint32_t total)
{
	return total - at < TLS_TEXT_BYTES_MAX ? total - at : TLS_TEXT_BYTES_MAX;
}

bool volume_tls_has_room(const struct volume_conn *vc, uint32_t bytes)
{
	uint32_t total = bytes + (uint32_t)sizeof(struct nbd_wire_request), chunks = 2;
	uint64_t room = 2 * STREAM_INLINE_BYTES_MAX; /* a KeyUpdate, and a request */
	struct place p = place_now(vc);

	if (vc->tls->is_broken)
		return false;
	for (uint32_t at = 0; bytes > 0 && at < total; at += text_bytes(at, total)) {
		uint32_t sealed = tls_sealed_bytes(vc->tls->records, text_bytes(at, total));

		if (!place_find(vc, &p, sealed))
			return false;
		p.at += sealed;
		room += sealed;
		chunks++;
	}
	if (bytes > 0) {
		room += READ_ROOM_BYTES;
		chunks += READ_ROOM_CHUNKS;
	}
	return stream_room_bytes(vc->stream) >= room && stream_room_chunks(vc->stream) >= chunks;
}

/* Something was sealed and is lost: the next turn ends the connection. */
static int broken(struct volume_conn *vc)
{
	vc->tls->is_broken = true;
	vc->is_readable = true; /* no event tells of it */
	return -EPIPE;
}

/* Sends a KeyUpdate if one is due. 0 or -EPIPE. Room for it was looked for. */
static int update_send(struct volume_conn *vc)
{
	uint8_t record[TLS_CONTROL_BYTES_MAX];
	int n;

	if (!tls_update_is_due(vc->tls->records))
		return 0;
	n = tls_seal_update(vc->tls->records, record);
	if (n < 0 || stream_send_copy(vc->stream, record, (size_t)n) < 0)
		return broken(vc);
	return 0;
}

int volume_tls_send(struct volume_conn *vc, const void *bytes, uint32_t len)
{
	struct iovec text = {(void *)(uintptr_t)bytes, len};
	uint8_t record[STREAM_INLINE_BYTES_MAX];
	int n;

	assert(len > 0 && len <= TLS_SMALL_BYTES);
	if (vc->tls->is_broken)
		return -EPIPE;
	if (!volume_tls_has_room(vc, 0))
		return -EAGAIN;
	if (update_send(vc) < 0)
		return -EPIPE;
	n = tls_seal(vc->tls->records, &text, 1, record);
	if (n < 0 || stream_send_copy(vc->stream, record, (size_t)n) < 0)
		return broken(vc);
	return 0;
}

/* One record of a WRITE, sealed where it rests, and queued. */
static int record_send(struct volume_conn *vc, const struct iovec *text, unsigned count)
{
	struct conn_tls_tx *tx = &vc->tls->tx;
	uint32_t len = (uint32_t)text[0].iov_len + (count > 1 ? (uint32_t)text[1].iov_len : 0);
	struct place p = place_now(vc);
	uint8_t *out;
	int n;

	if (!place_find(vc, &p, tls_sealed_bytes(vc->tls->records, len)))
		return broken(vc);
	out = tx->bufs[p.buf]->base + p.at;
	n = tls_seal(vc->tls->records, text, count, out);
	if (n < 0 || stream_send_buf(vc->stream, tx->bufs[p.buf], out, (uint32_t)n) < 0)
		return broken(vc);
	tx->cur = p.buf;
	tx->used = p.at + (uint32_t)n;
	tx->end[p.buf] = stream_queued(vc->stream);
	return 0;
}

int volume_tls_write(struct volume_conn *vc, const struct nbd_wire_request *hdr,
	const uint8_t *payload, uint32_t len)
{
	uint32_t total = len + (uint32_t)sizeof(*hdr);

	if (vc->tls->is_broken)
		return -EPIPE;
	if (!volume_tls_has_room(vc, len))
		return -EAGAIN;
	if (update_send(vc) < 0)
		return -EPIPE;
	for (uint32_t at = 0; at < total;) {
		uint32_t n = text_bytes(at, total), head = at == 0 ? sizeof(*hdr) : 0;
		const uint8_t *from = payload + at + head - sizeof(*hdr);
		struct iovec text[2] = {{(void *)(uintptr_t)hdr, head},
			{(void *)(uintptr_t)from, n - head}};

		if (record_send(vc, head ? text : text + 1, head ? 2 : 1) < 0)
			return -EPIPE;
		at += n;
	}
	return 0;
}
