/*
 * volume_io.c - requests on their way down: taken, checked, cut into subs, sent within the credits
 *
 * The throttle. A request is taken only while the volume has a free io for it; the rest stays in
 * the block layer. A taken request that lacks credit waits in the line of its class, in order.
 * Lines are served swap first, then reads, then writes; reads and writes have credits, subs and
 * send room of their own, so a full line of one kind never holds up the other.
 *
 * Cutting. READ and WRITE are cut where the server's payload limit or the read quota says so, TRIM
 * and WRITE_ZEROES at NBD_TRIM_BYTES_MAX. Pieces of one request travel independently.
 *
 * FLUSH. writes_open holds every WRITE, TRIM and WRITE_ZEROES taken and not completed, oldest
 * first. A FLUSH is sent when no older one is left there, on whichever connection: then all it
 * covers was answered on every connection, and that is what CAN_MULTI_CONN promises to be enough.
 * Younger writes pass it. Where other workers have channels of the device, their open writes count
 * too (volume_group.c). One is in flight per device (volume_flush.c). Replay keeps this by itself:
 * a FLUSH that was ever sent had nothing older open.
 *
 * What no client can mend: a WRITE the old connection had passed to the server may still be carried
 * out after its replay. The connection is reset first, and a server that works on for a peer that
 * reset it must order that against its later requests.
 */
#include "nbd_client/volume_tls.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

/* Send room kept free of WRITEs, so that READs, 28 bytes each, always find some. */
#define READ_ROOM_CHUNKS 64u
#define READ_ROOM_BYTES	 (READ_ROOM_CHUNKS * sizeof(struct nbd_wire_request))
/* Of the least credits, what may be in flight beside a READ whose time is taken for the path's. */
#define ALONE_SHARE	 8u

static enum volume_kind kind_of(enum volume_class class)
{
	return class == CLASS_READ || class == CLASS_SWAP_READ ? KIND_READ : KIND_WRITE;
}

/* ---- in ---- */

static bool is_supported(const struct block_limits *l, const struct block_req *req)
{
	if (req->op == BLOCK_TRIM)
		return l->can_trim;
	if (req->op == BLOCK_WRITE_ZEROES)
		return l->can_write_zeroes && (!(req->flags & BLOCK_FAST_ZERO) || l->can_fast_zero);
	return true;
}

/* 0, or -errno for a request that need not travel to be refused. */
static int req_check(const struct volume *v, const struct block_req *req)
{
	const struct block_limits *l = &v->limits;

	assert(req->op < BLOCK_OP_COUNT);
	if (req->op == BLOCK_FLUSH)
		return 0;
	if (req->op != BLOCK_READ && l->is_read_only)
		return -EPERM;
	if (req->bytes == 0 || (req->offset | req->bytes) & (l->block_min - 1))
		return -EINVAL;
	if (req->offset > l->size_bytes || req->bytes > l->size_bytes - req->offset)
		return -EINVAL;
	if (!is_supported(l, req))
		return -EOPNOTSUPP;
	if (req->op == BLOCK_WRITE && !req->buf && !v->cfg.staging)
		return -EINVAL;
	return 0;
}

static enum volume_class class_of(const struct block_req *req)
{
	bool is_swap = req->flags & BLOCK_SWAP;

	if (req->op == BLOCK_FLUSH)
		return CLASS_FLUSH;
	if (req->op == BLOCK_READ)
		return is_swap ? CLASS_SWAP_READ : CLASS_READ;
	return is_swap ? CLASS_SWAP_WRITE : CLASS_WRITE;
}

void volume_io_queue(struct volume *v, struct volume_io *io, enum volume_class class)
{
	assert(!io->is_queued);
	io->class = (uint8_t) class;
	io->is_queued = true;
	TAILQ_INSERT_TAIL(&v->waiting[class], io, link);
}

static void io_start(struct volume *v, struct block_req *req)
{
	struct volume_io *io = TAILQ_FIRST(&v->free_ios);
	bool is_fua = req->flags & BLOCK_FUA;

	assert(io && !io->req);
	TAILQ_REMOVE(&v->free_ios, io, link);
	*io = (struct volume_io){
		.req = req,
		.seq = ++v->seq,
		.losses = v->losses,
		.is_write = req->op != BLOCK_READ && req->op != BLOCK_FLUSH,
	};
	io->needs_flush = io->is_write && is_fua && v->limits.can_flush &&
			  !(v->identity.flags & NBD_FLAG_SEND_FUA);
	io->is_fua = io->is_write && is_fua && (v->identity.flags & NBD_FLAG_SEND_FUA);
	req->volume_priv = io;
	__atomic_store_n(&v->in_flight, v->in_flight + 1, __ATOMIC_RELAXED);
	volume_wait_begin(v, io);
	if (io->is_write) {
		TAILQ_INSERT_TAIL(&v->writes_open, io, open_link);
		volume_group_write_taken(v, io->seq);
		if (io->is_fua)
			volume_fua_taken(v, io);
	} else if (req->op == BLOCK_FLUSH) {
		volume_group_flush_taken(v, io);
	}
	volume_io_queue(v, io, class_of(req));
}

void volume_io_anew(struct volume *v, struct volume_io *io)
{
	assert(io->is_write && io->subs_open == 0 && !io->is_queued);
	io->losses = v->losses;
	io->needs_flush = true;
	io->is_issued = false;
	io->issued_bytes = 0;
	volume_io_queue(v, io, class_of(io->req));
}

/* One request from the front end: refused, done at once, or begun. */
static void req_begin(struct volume *v, struct block_req *req)
{
	int rc = v->state == VOLUME_FAILED ? -EIO : req_check(v, req);

	if (v->cfg.unstable == UNSTABLE_THROUGH && v->limits.can_fua && req->op != BLOCK_READ &&
		req->op != BLOCK_FLUSH)
		req->flags |= BLOCK_FUA; /* nothing is answered before it is stable */
	if (rc < 0 || (req->op == BLOCK_FLUSH && !v->limits.can_flush))
		volume_complete(v, req, rc);
	else
		io_start(v, req);
}

void volume_take(struct volume *v)
{
	struct block_req *reqs[BURST_MAX];
	unsigned rounds = v->cfg.queue_depth / BURST_MAX + 1;

	if (!volume_is_taking(v))
		return;
	for (unsigned round = 0; round < rounds; round++) {
		unsigned max = v->cfg.queue_depth - v->in_flight, n;

		if (max > BURST_MAX)
			max = BURST_MAX;
		n = max ? v->front->ops->take(v->front, reqs, max, v->now_us) : 0;
		assert(n <= max);
		for (unsigned i = 0; i < n; i++)
			req_begin(v, reqs[i]);
		if (n < BURST_MAX)
			return;
	}
}

/* ---- cut ---- */

static struct volume_sub *sub_take(struct volume *v, enum volume_kind kind)
{
	struct volume_sub *sub = TAILQ_FIRST(&v->free_subs);

	if (v->sub_used[kind] == v->sub_max)
		return NULL;
	assert(sub && !sub->io);
	TAILQ_REMOVE(&v->free_subs, sub, link);
	v->sub_used[kind]++;
	sub->kind = (uint8_t)kind;
	sub->staging = -1;
	sub->cost_mbufs = 0;
	sub->tries = 0;
	return sub;
}

void volume_sub_give(struct volume *v, struct volume_sub *sub)
{
	assert(!sub->conn && v->sub_used[sub->kind] > 0);
	if (sub->staging >= 0)
		v->staging_free[v->staging_free_count++] = sub->staging;
	v->sub_used[sub->kind]--;
	sub->io = NULL;
	TAILQ_INSERT_HEAD(&v->free_subs, sub, link);
}

void volume_sub_resend(struct volume *v, struct volume_sub *sub)
{
	unsigned line = sub->nbd.type == NBD_CMD_FLUSH ? (unsigned)REPLAY_FLUSH : sub->kind;
	struct volume_sub *after = TAILQ_LAST(&v->replay[line], volume_sub_list);

	assert(!sub->conn);
	if (line == REPLAY_FLUSH)
		volume_flush_lost(v, sub);
	while (after &&
		(after->io->seq > sub->io->seq ||
			(after->io->seq == sub->io->seq && after->nbd.offset > sub->nbd.offset)))
		after = TAILQ_PREV(after, volume_sub_list, link);
	if (after)
		TAILQ_INSERT_AFTER(&v->replay[line], after, sub, link);
	else
		TAILQ_INSERT_HEAD(&v->replay[line], sub, link);
}

void volume_sub_replay(struct volume *v, struct volume_sub *sub)
{
	volume_due_again(sub);
	volume_sub_resend(v, sub);
	counter_add(&v->replayed, 1);
}

static uint16_t cmd_flags(const struct volume *v, const struct block_req *req)
{
	uint16_t flags = 0;

	if ((req->flags & BLOCK_FUA) && (v->identity.flags & NBD_FLAG_SEND_FUA) &&
		req->op != BLOCK_READ)
		flags |= NBD_CMD_FLAG_FUA;
	if (req->op == BLOCK_WRITE_ZEROES && (req->flags & BLOCK_NO_HOLE))
		flags |= NBD_CMD_FLAG_NO_HOLE;
	if (req->op == BLOCK_WRITE_ZEROES && (req->flags & BLOCK_FAST_ZERO))
		flags |= NBD_CMD_FLAG_FAST_ZERO;
	return flags;
}

/* The next piece of @io as an NBD request. */
static void sub_cut(const struct volume *v, struct volume_io *io, struct volume_sub *sub)
{
	static const uint16_t types[] = {
		[BLOCK_READ] = NBD_CMD_READ,
		[BLOCK_WRITE] = NBD_CMD_WRITE,
		[BLOCK_FLUSH] = NBD_CMD_FLUSH,
		[BLOCK_TRIM] = NBD_CMD_TRIM,
		[BLOCK_WRITE_ZEROES] = NBD_CMD_WRITE_ZEROES,
	};
	const struct block_req *req = io->req;
	uint32_t max = v->trim_piece_bytes, left = req->bytes - io->issued_bytes;

	sub->io = io;
	sub->nbd.piece_bytes = 0;
	sub->nbd.is_partial = false;
	if (io->class == CLASS_FUA_FLUSH || io->class == CLASS_FLUSH) {
		sub->nbd.type = NBD_CMD_FLUSH;
		sub->nbd.flags = 0;
		sub->nbd.offset = 0;
		sub->nbd.bytes = 0;
		return;
	}
	if (req->op == BLOCK_READ)
		max = v->read_piece_bytes;
	else if (req->op == BLOCK_WRITE)
		max = v->write_piece_bytes;
	sub->nbd.type = types[req->op];
	sub->nbd.flags = cmd_flags(v, req);
	sub->nbd.offset = req->offset + io->issued_bytes;
	sub->nbd.bytes = left < max ? left : max;
}

/* Payload of a request without a buffer comes to rest in staging memory. 0, -EAGAIN or -errno */
static int sub_stage(struct volume *v, struct volume_sub *sub)
{
	struct block_req *req = sub->io->req;
	uint8_t *bytes;

	if (sub->nbd.type != NBD_CMD_WRITE || req->buf)
		return 0;
	if (v->staging_free_count == 0)
		return -EAGAIN;
	sub->staging = v->staging_free[--v->staging_free_count];
	bytes = v->cfg.staging->base + (size_t)sub->staging * v->cfg.staging_bytes;
	return v->front->ops->copy_in(
		v->front, req, (uint32_t)(sub->nbd.offset - req->offset), bytes, sub->nbd.bytes);
}

/* ---- send ---- */

static bool conn_has_credit(
	const struct volume *v, const struct volume_conn *vc, const struct volume_sub *sub)
{
	if (vc->state != CONN_SERVING)
		return false;
	if (sub->kind == KIND_READ)
		return vc->read_used_mbufs + sub->cost_mbufs <= volume_read_quota(v);
	return vc->write_used_mbufs < volume_write_quota(v);
}

static bool conn_has_room(const struct volume_conn *vc, const struct volume_sub *sub)
{
	uint64_t bytes = sizeof(struct nbd_wire_request);
	uint32_t chunks = 2;

	if (vc->tls)
		return volume_tls_has_room(
			vc, sub->nbd.type == NBD_CMD_WRITE ? sub->nbd.bytes : 0);
	if (sub->nbd.type == NBD_CMD_WRITE) {
		bytes += sub->nbd.bytes + READ_ROOM_BYTES;
		chunks += READ_ROOM_CHUNKS;
	}
	return stream_room_bytes(vc->stream) >= bytes && stream_room_chunks(vc->stream) >= chunks;
}

/* The least loaded connection that can take @sub now, or NULL. */
static struct volume_conn *conn_pick(struct volume *v, const struct volume_sub *sub)
{
	struct volume_conn *best = NULL;

	for (unsigned i = 0; i < v->cfg.connections; i++) {
		struct volume_conn *vc = &v->conns[i];

		if (!conn_has_credit(v, vc, sub) || !conn_has_room(vc, sub))
			continue;
		if (!best || vc->in_flight_bytes < best->in_flight_bytes ||
			(vc->in_flight_bytes == best->in_flight_bytes &&
				vc->nbd.in_flight < best->nbd.in_flight))
			best = vc;
	}
	return best;
}

static int sub_queue(struct volume *v, struct volume_conn *vc, struct volume_sub *sub,
	const struct nbd_wire_request *hdr)
{
	const struct block_req *req = sub->io->req;
	struct stream_buf *dma = req->dma;
	const uint8_t *bytes;

	if (sub->nbd.type != NBD_CMD_WRITE)
		return vc->tls ? volume_tls_send(vc, hdr, sizeof(*hdr))
			       : stream_send_copy(vc->stream, hdr, sizeof(*hdr));
	if (sub->staging >= 0) {
		dma = v->cfg.staging;
		bytes = dma->base + (size_t)sub->staging * v->cfg.staging_bytes;
	} else {
		bytes = req->buf + (sub->nbd.offset - req->offset);
	}
	if (vc->tls)
		return volume_tls_write(vc, hdr, bytes, sub->nbd.bytes);
	return stream_send_pair(vc->stream, hdr, sizeof(*hdr), dma, bytes, sub->nbd.bytes);
}

/* Sends @sub where there is credit and room. False: not now. */
static bool sub_send(struct volume *v, struct volume_sub *sub)
{
	bool is_flush = sub->nbd.type == NBD_CMD_FLUSH;
	struct nbd_wire_request hdr;
	struct volume_conn *vc;

	if (sub->kind == KIND_READ)
		sub->cost_mbufs = volume_read_cost(v, sub->nbd.bytes);
	vc = conn_pick(v, sub);
	if (!vc || (is_flush && !volume_flush_begin(v, sub)))
		return false;
	if (nbd_conn_request(&vc->nbd, &sub->nbd, &hdr) < 0)
		goto err_flush;
	if (sub_queue(v, vc, sub, &hdr) < 0) {
		/* Full after all, or dying: the event that follows says which. */
		nbd_conn_forget(&vc->nbd, &sub->nbd);
		goto err_flush;
	}
	sub->conn = vc;
	sub->sent_us = v->now_us;
	volume_due_set(vc, sub);
	if (TAILQ_EMPTY(&vc->in_flight))
		stream_expect(vc->stream, true);
	sub->is_alone = vc->read_used_mbufs <= volume_read_least(v) / ALONE_SHARE;
	sub->send_end = stream_queued(vc->stream);
	TAILQ_INSERT_TAIL(&vc->in_flight, sub, link);
	vc->in_flight_bytes += sub->nbd.bytes;
	vc->read_used_mbufs += sub->cost_mbufs;
	vc->write_used_mbufs += sub->kind == KIND_WRITE;
	/* Credits may have shrunk below what is in flight: then no READ leaves, but WRITEs do. */
	assert(sub->kind != KIND_READ || vc->read_used_mbufs <= volume_read_quota(v));
	assert(vc->write_used_mbufs <= volume_write_quota(v));
	if (is_flush)
		volume_flush_sent(v, sub);
	return true;

err_flush:
	if (is_flush)
		volume_flush_undo(v);
	return false;
}

/* Was every write that @io, a FLUSH of the front end, covers answered? */
static bool flush_may_go(struct volume *v, const struct volume_io *io)
{
	const struct volume_io *oldest = TAILQ_FIRST(&v->writes_open);

	if (oldest && oldest->seq < io->seq)
		return false;
	if (volume_group_flush_may_go(v, io))
		return true;
	v->flush_poll_us = v->now_us + NBD_FLUSH_POLL_US;
	return false;
}

/* A FLUSH was sent just now: what waits in line for one
 * and is covered by it needs none of its own. */
static void flush_riders_board(struct volume *v)
{
	struct volume_io *io;

	while ((io = TAILQ_FIRST(&v->waiting[CLASS_FUA_FLUSH])))
		volume_flush_ride(v, io);
	while ((io = TAILQ_FIRST(&v->waiting[CLASS_FLUSH])) && flush_may_go(v, io))
		volume_flush_ride(v, io);
}

/* Sends the next piece of the first in line. False: no credit, no room, or not its turn. */
static bool io_send_next(struct volume *v, struct volume_io *io)
{
	struct volume_sub *sub;
	int rc;

	if (io->class == CLASS_FLUSH && !flush_may_go(v, io))
		return false;
	sub = sub_take(v, kind_of(io->class));
	if (!sub)
		return false;
	sub_cut(v, io, sub);
	rc = sub_stage(v, sub);
	if (rc < 0 && rc != -EAGAIN) {
		io->subs_open++;
		volume_sub_done(v, sub, rc);
		return true;
	}
	if (rc == -EAGAIN || !sub_send(v, sub)) {
		volume_sub_give(v, sub);
		return false;
	}
	io->subs_open++;
	io->issued_bytes += sub->nbd.bytes;
	io->is_issued = sub->nbd.type == NBD_CMD_FLUSH || io->issued_bytes == io->req->bytes;
	if (io->is_issued) {
		TAILQ_REMOVE(&v->waiting[io->class], io, link);
		io->is_queued = false;
	}
	if (sub->nbd.type == NBD_CMD_FLUSH)
		flush_riders_board(v);
	return true;
}

/* Bounded by the subs there are. True: the line is empty. */
static bool line_send(struct volume *v, enum volume_class class)
{
	struct volume_io *io;

	while ((io = TAILQ_FIRST(&v->waiting[class])))
		if (!io_send_next(v, io))
			return false;
	return true;
}

static bool replay_send(struct volume *v, unsigned line)
{
	struct volume_sub *sub;

	while ((sub = TAILQ_FIRST(&v->replay[line]))) {
		TAILQ_REMOVE(&v->replay[line], sub, link);
		if (!sub_send(v, sub)) {
			TAILQ_INSERT_HEAD(&v->replay[line], sub, link);
			return false;
		}
	}
	return true;
}

void volume_dispatch(struct volume *v)
{
	if (v->conn_ready == 0)
		return;
	(void)(replay_send(v, KIND_READ) && line_send(v, CLASS_SWAP_READ) &&
		line_send(v, CLASS_READ));
	(void)(replay_send(v, KIND_WRITE) && line_send(v, CLASS_SWAP_WRITE) &&
		line_send(v, CLASS_WRITE));
	(void)(replay_send(v, REPLAY_FLUSH) && line_send(v, CLASS_FUA_FLUSH) &&
		line_send(v, CLASS_FLUSH));
}
