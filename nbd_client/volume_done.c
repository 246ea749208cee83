/*
 * volume_done.c - replies on their way up: payload, results, FLUSH bookkeeping, completion
 *
 * READ payload goes from the receive spans straight into the request's buffer, once. A request is
 * completed when its last sub is answered; the first error is its result, and what was not sent by
 * then is not sent any more.
 *
 * When is a WRITE's buffer free again? When the reply came and the peer's TCP has acknowledged the
 * payload (volume_conn.c waits for both: a reply that overtakes the ACK is possible for a server
 * that answers before it has read everything). Not waited for: a retransmission of those bytes that
 * may still sit in the NIC's ring. The peer drops it as an old duplicate whatever it carries, and a
 * wrong checksum would only drop it earlier. What must be waited for, by stream_buf_busy(), is the
 * end of every mbuf before the memory itself is given away; that is its owner's business at detach.
 * After a failover the same holds: the old connection's segments stand before ours in the one TX
 * ring, so once the replayed WRITE is answered the NIC has read its last old byte.
 *
 * A WRITE that is failed, by `on_dead: fail` or by force, was not answered. Its frames may wait in
 * the ring of a NIC without link, and its connection may live on at the server: if the buffer held
 * another request's bytes when the link comes back, these would be written to the old place, under
 * a checksum the NIC has just computed. So the front end is barred from before the first of them is
 * completed until the volume is ready again, and that is when a connection opened since has been
 * through its handshake: behind those frames, in the same ring. Drivers cannot tell us sooner (some
 * look at what was sent only when the ring is full), and none takes back what it was given.
 *
 * A FUA the server cannot do is a WRITE and, when that is answered, a FLUSH; the request stays one
 * of the open writes until both are done, so a FLUSH taken later covers it.
 */
#include "nbd_client/volume_priv.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

#define ZERO_BYTES 4096u

static const uint8_t zeroes[ZERO_BYTES];

/* Through the front end, for a request without a buffer. 0 or -errno */
static int payload_copy_out(
	struct volume *v, struct block_req *req, uint32_t at, const uint8_t *bytes, uint32_t len)
{
	const struct block_front_ops *ops = v->front->ops;
	int rc = 0;

	if (bytes)
		return ops->copy_out(v->front, req, at, bytes, len);
	for (uint32_t done = 0; done < len && rc == 0; done += ZERO_BYTES) {
		uint32_t part = len - done < ZERO_BYTES ? len - done : ZERO_BYTES;

		rc = ops->copy_out(v->front, req, at + done, zeroes, part);
	}
	return rc;
}

void volume_payload(struct volume_sub *sub, uint32_t ask_at, const uint8_t *bytes, uint32_t len)
{
	struct volume_io *io = sub->io;
	struct block_req *req = io->req;
	uint32_t at = (uint32_t)(sub->nbd.offset - req->offset) + ask_at;
	int rc = 0;

	assert(req->op == BLOCK_READ);
	assert(at < req->bytes && len <= req->bytes - at);
	if (!req->buf)
		rc = payload_copy_out(sub->conn->volume, req, at, bytes, len);
	else if (bytes)
		memcpy(req->buf + at, bytes, len);
	else
		memset(req->buf + at, 0, len);
	if (rc < 0 && io->result == 0)
		io->result = rc;
}

void volume_complete(struct volume *v, struct block_req *req, int result)
{
	assert(req->op < BLOCK_OP_COUNT && result <= 0);
	counter_add(&v->ops[req->op], 1);
	if (result < 0)
		counter_add(&v->errors[req->op], 1);
	else if (req->op != BLOCK_FLUSH)
		counter_add(&v->bytes[req->op], req->bytes);
	v->front->ops->complete(v->front, req, result);
}

static void unstable_note(struct volume *v, const struct block_req *req, int result)
{
	if (result < 0 || req->op == BLOCK_READ || req->op == BLOCK_FLUSH)
		return;
	if (v->limits.can_flush && !(req->flags & BLOCK_FUA))
		volume_unstable_add(v, req->bytes);
}

static void io_end(struct volume *v, struct volume_io *io)
{
	struct block_req *req = io->req;
	int result = io->result;

	assert(req && io->subs_open == 0 && !io->is_queued);
	assert(v->in_flight > 0);
	if (io->is_write) {
		TAILQ_REMOVE(&v->writes_open, io, open_link);
		volume_group_write_ended(v);
	}
	if (io->is_fua)
		volume_fua_ended(v, io);
	volume_wait_end(v, io);
	unstable_note(v, req, result);
	io->req = NULL;
	req->volume_priv = NULL;
	TAILQ_INSERT_HEAD(&v->free_ios, io, link);
	__atomic_store_n(&v->in_flight, v->in_flight - 1, __ATOMIC_RELAXED);
	nbd_client_answered(v->client, v->now_us - req->start_us);
	volume_complete(v, req, result);
}

/* Nothing more of @io is sent. */
static void io_cut_short(struct volume *v, struct volume_io *io)
{
	if (io->is_queued)
		TAILQ_REMOVE(&v->waiting[io->class], io, link);
	io->is_queued = false;
	io->is_issued = true;
	io->needs_flush = false;
}

static void io_settle(struct volume *v, struct volume_io *io)
{
	if (io->result < 0)
		io_cut_short(v, io);
	if (!io->is_issued || io->subs_open > 0)
		return;
	if (io->needs_flush) {
		io->needs_flush = false;
		io->is_issued = false;
		volume_io_queue(v, io, CLASS_FUA_FLUSH);
		return;
	}
	/*
	 * A FLUSH makes the write before it stable only if the server did not restart between them,
	 * which the loss of a connection may mean. Both are sent again: the payload is still held.
	 */
	if (io->class == CLASS_FUA_FLUSH && io->result == 0 && io->losses != v->losses) {
		volume_io_anew(v, io);
		return;
	}
	io_end(v, io);
}

void volume_sub_done(struct volume *v, struct volume_sub *sub, int result)
{
	struct volume_io *io = sub->io;

	assert(io->subs_open > 0 && result <= 0);
	volume_sub_give(v, sub);
	io->subs_open--;
	if (result < 0 && io->result == 0)
		io->result = result;
	io_settle(v, io);
}

void volume_io_done(struct volume *v, struct volume_io *io, int result)
{
	assert(io->req && io->subs_open == 0 && result <= 0);
	if (result < 0 && io->result == 0)
		io->result = result;
	io_settle(v, io);
}

void volume_fail_held(struct volume *v, int result)
{
	struct volume_sub *sub;

	if (v->front)
		v->front->is_barred = true;
	volume_flush_drop(v);
	for (unsigned i = 0; i <= KIND_COUNT; i++) {
		while ((sub = TAILQ_FIRST(&v->replay[i]))) {
			TAILQ_REMOVE(&v->replay[i], sub, link);
			sub->io->subs_open--;
			volume_sub_give(v, sub);
		}
	}
	for (unsigned i = 0; i < v->cfg.queue_depth; i++) {
		struct volume_io *io = &v->ios[i];

		if (!io->req)
			continue;
		io_cut_short(v, io);
		if (io->result == 0)
			io->result = result;
		io_end(v, io);
	}
	assert(v->in_flight == 0);
}
