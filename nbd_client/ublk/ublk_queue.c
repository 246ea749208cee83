/*
 * ublk_queue.c - the worker's half of a ublk device: fetch requests, commit answers
 *
 * Each tag is a conversation: FETCH asks for a request, its completion means "the descriptor of
 * this tag, in mapped memory, holds one", COMMIT_AND_FETCH answers it and asks for the next. The
 * state of each tag is in q->tags, and a tag has at most one unsubmitted sqe, so the rings cannot
 * overflow.
 *
 * System calls. Completions are read from the mapped ring. The kernel is entered to submit, once in
 * kick() for a whole turn's commits, or when it says it has work for this thread (SQ_TASKRUN) and
 * the ring is empty: then the new requests come out of that very call. The ring is SINGLE_ISSUER
 * and, where there is it (6.1), DEFER_TASKRUN: nothing interrupts the worker. io_uring_peek_cqe()
 * would look at the flag too, but through a library call a turn; here it is one load from a line
 * that the kernel writes only when it has something to say.
 *
 * Sleeping. The event fd is switched off while the worker polls, for each signal would cost the
 * submitter a wake-up. pending() answers false only after it has switched it on and looked again.
 *
 * Traps, each learnt from the driver (those of the data itself are in ublk_desc.c):
 * - In copy mode the address in COMMIT is where READ data is taken from *and* where the next WRITE
 *   of that tag will be put. It is the tag's own buffer, hence complete() must not be called
 *   before the volume is done with a WRITE's bytes. Where it must be nevertheless, the front end
 *   is barred (block.h) and the address is the tag's spare: ordinary memory that no NIC reads. A
 *   WRITE that came by the spare and may be carried after all is copied into the tag's buffer when
 *   it is taken.
 * - A WRITE is never committed short: kernel 6.12 asks again for the rest, 7.3 takes any count for
 * the
 *   whole. Where a device has no spares (it fails requests only when it is given up for good) all
 *   tags share one sink, whose bytes are lost: a WRITE that came by it ends with EIO.
 * - In user-copy mode the address must be 0, and data moves before the commit only.
 * - Only the thread that fetched may commit (before PER_IO_DAEMON): SINGLE_ISSUER enforces it.
 * - All tags are fetched by one submission: a daemon killed between two would leave a queue that
 *   before 6.16 can neither be recovered nor cancelled.
 * - The kernel has no timeout for us. A request that is not answered stays unanswered, so every
 *   way out of this file ends in a commit.
 *
 * A device has a queue for each worker that serves it, with a ring of its own: SINGLE_ISSUER is
 * of the ring, and the workers share nothing but the kernel's device.
 *
 * init and fini run on the control thread while no worker has the queue; the rest on the worker.
 * Nothing allocates after init. Always: tags LENT or QUEUED == requests taken from the kernel and
 * not yet committed.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "dataplane/net/stream.h"
#include "nbd_client/ublk/ublk_priv.h"

#define CHAR_FILE_IDX 0 /* of the ring's registered files */

/* ---- small things ---- */

/* One writer: a relaxed load and store is enough, and costs what a plain ++ does. */
static void count_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_relaxed);
}

static void fifo_push(struct ublk_fifo *f, uint16_t tag)
{
	assert(f->tail - f->head < QUEUE_DEPTH_MAX);
	f->tags[f->tail++ % QUEUE_DEPTH_MAX] = tag;
}

static bool fifo_is_empty(const struct ublk_fifo *f)
{
	return f->head == f->tail;
}

static uint16_t fifo_pop(struct ublk_fifo *f)
{
	assert(!fifo_is_empty(f));
	return f->tags[f->head++ % QUEUE_DEPTH_MAX];
}

static struct ublk_queue *queue_of(struct block_front *front)
{
	return (struct ublk_queue *)(void *)((char *)front - offsetof(struct ublk_queue, front));
}

static bool ring_has_work(const struct ublk_queue *q)
{
	return IO_URING_READ_ONCE(*q->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* Submits what is queued and runs what the kernel has for
 * us. A refusal is tried again next turn. */
static void ring_enter(struct ublk_queue *q)
{
	int rc = io_uring_submit_and_get_events(&q->ring);

	count_add(&q->count.enters, 1);
	if (rc < 0)
		count_add(&q->count.enter_errors, 1);
}

static uint8_t *spare_of(const struct ublk_queue *q, uint16_t tag)
{
	return q->has_spares ? q->spare + (size_t)tag * q->io_bytes_max : q->spare;
}

/* Where READ data of @tag is, and where the kernel will put the bytes of its next WRITE. */
static uint64_t data_address(struct ublk_queue *q, uint16_t tag)
{
	if (q->is_user_copy)
		return 0;
	q->is_diverted[tag] = q->front.is_barred;
	return (uint64_t)(uintptr_t)(q->is_diverted[tag] ? spare_of(q, tag) : q->reqs[tag].buf);
}

/* Queues FETCH, or COMMIT_AND_FETCH with its result, for @tag. */
static void command_queue(struct ublk_queue *q, uint32_t op, uint16_t tag, int32_t result)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);
	struct ublksrv_io_cmd *body;

	assert(sqe); /* one unsubmitted sqe a tag, and the ring has a place for each */
	assert(q->tags[tag] != UBLK_TAG_KERNEL);
	assert(!q->front.is_barred || result <= 0);
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = CHAR_FILE_IDX;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->cmd_op = op;
	sqe->user_data = tag;
	body = (struct ublksrv_io_cmd *)(void *)sqe->cmd;
	body->q_id = q->idx;
	body->tag = tag;
	body->result = result;
	body->addr = data_address(q, tag);
	q->tags[tag] = UBLK_TAG_KERNEL;
}

/* ---- arrivals ---- */

static int request_check(const struct ublk_queue *q, const struct block_req *req)
{
	bool has_data = req->op == BLOCK_READ || req->op == BLOCK_WRITE;

	if (req->offset > q->size_bytes || req->bytes > q->size_bytes - req->offset)
		return -EIO;
	if (has_data && (req->bytes == 0 || req->bytes > q->io_bytes_max))
		return -EIO;
	return 0;
}

static void request_arrived(struct ublk_queue *q, uint16_t tag)
{
	struct block_req *req = &q->reqs[tag];
	int rc = ublk_desc_decode(&q->descs[tag], req);

	if (rc == 0)
		rc = request_check(q, req);
	q->tags[tag] = UBLK_TAG_QUEUED;
	if (rc < 0) {
		count_add(&q->count.rejected, 1);
		command_queue(q, q->op_commit, tag, rc);
		return;
	}
	if ((req->flags & BLOCK_SWAP) && !fifo_is_empty(&q->normal))
		count_add(&q->count.swap_first, 1);
	fifo_push(req->flags & BLOCK_SWAP ? &q->swap : &q->normal, tag);
}

static void tag_gone(struct ublk_queue *q, uint16_t tag, int result)
{
	int none = 0;

	q->tags[tag] = UBLK_TAG_GONE;
	if (result != UBLK_IO_RES_ABORT) {
		count_add(&q->count.command_errors, 1);
		atomic_compare_exchange_strong(&q->error, &none, result);
	}
	/* Released after everything this worker wrote: the control thread frees it next. */
	atomic_fetch_add_explicit(&q->gone_count, 1, memory_order_release);
}

/* Bounded by the ring: one completion a tag. */
static void ring_reap(struct ublk_queue *q)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	io_uring_for_each_cqe(&q->ring, head, cqe)
	{
		uint16_t tag = (uint16_t)cqe->user_data;

		count++;
		assert(tag < q->depth);
		assert(q->tags[tag] == UBLK_TAG_KERNEL);
		if (cqe->res == UBLK_IO_RES_OK)
			request_arrived(q, tag);
		else
			tag_gone(q, tag, cqe->res < 0 ? cqe->res : -EPROTO);
	}
	io_uring_cq_advance(&q->ring, count);
}

static void event_disarm(struct ublk_queue *q)
{
	uint64_t fired;
	ssize_t got;

	io_uring_cq_eventfd_toggle(&q->ring, false);
	/* Non-blocking: EAGAIN where the worker woke for another reason. */
	got = read(q->front.event_fd, &fired, sizeof(fired));
	(void)got;
	q->is_armed = false;
}

static bool has_requests(const struct ublk_queue *q)
{
	return !fifo_is_empty(&q->swap) || !fifo_is_empty(&q->normal) ||
	       io_uring_cq_ready(&q->ring) || ring_has_work(q) || io_uring_sq_ready(&q->ring);
}

/* ---- the front end's operations ---- */

/* A WRITE that did not come into its tag's buffer, and
 * nothing bars its bytes from there any more. */
static bool is_to_be_moved(const struct ublk_queue *q, uint16_t tag)
{
	return q->is_diverted[tag] && !q->front.is_barred && q->reqs[tag].op == BLOCK_WRITE;
}

/* False: its bytes are lost. */
static bool write_move(struct ublk_queue *q, uint16_t tag)
{
	if (!q->has_spares)
		return false;
	memcpy(q->reqs[tag].buf, spare_of(q, tag), q->reqs[tag].bytes);
	q->is_diverted[tag] = false;
	count_add(&q->count.from_spare, 1);
	return true;
}

static unsigned front_take(
	struct block_front *front, struct block_req **out, unsigned max, uint64_t now_us)
{
	struct ublk_queue *q = queue_of(front);
	unsigned count = 0;

	if (q->is_armed)
		event_disarm(q);
	if (!io_uring_cq_ready(&q->ring) && ring_has_work(q))
		ring_enter(q);
	ring_reap(q);
	while (count < max && (!fifo_is_empty(&q->swap) || !fifo_is_empty(&q->normal))) {
		uint16_t tag = fifo_pop(fifo_is_empty(&q->swap) ? &q->normal : &q->swap);

		assert(q->tags[tag] == UBLK_TAG_QUEUED);
		if (is_to_be_moved(q, tag) && !write_move(q, tag)) {
			count_add(&q->count.rejected, 1);
			command_queue(q, q->op_commit, tag, -EIO);
			continue;
		}
		q->tags[tag] = UBLK_TAG_LENT;
		q->reqs[tag].start_us = now_us;
		q->reqs[tag].volume_priv = NULL;
		out[count++] = &q->reqs[tag];
	}
	if (count)
		count_add(&q->count.requests, count);
	return count;
}

static void front_complete(struct block_front *front, struct block_req *req, int result)
{
	struct ublk_queue *q = queue_of(front);

	assert(req == &q->reqs[req->tag]);
	assert(q->tags[req->tag] == UBLK_TAG_LENT);
	command_queue(q, q->op_commit, req->tag, ublk_commit_result(req, result));
}

static void front_kick(struct block_front *front)
{
	struct ublk_queue *q = queue_of(front);

	if (io_uring_sq_ready(&q->ring))
		ring_enter(q);
}

static bool front_pending(struct block_front *front)
{
	struct ublk_queue *q = queue_of(front);

	if (has_requests(q))
		return true;
	if (!q->is_armed) {
		io_uring_cq_eventfd_toggle(&q->ring, true);
		q->is_armed = true;
		count_add(&q->count.sleeps, 1);
	}
	/* What arrived before the switch did not fire; it must be visible to this second look. */
	atomic_thread_fence(memory_order_seq_cst);
	return has_requests(q);
}

/* Each call moves at least a byte or fails. READ: pwrite into the request. */
static int front_copy_out(struct block_front *front, struct block_req *req, uint32_t at,
	const void *bytes, uint32_t len)
{
	const struct ublk_queue *q = queue_of(front);
	const uint8_t *from = bytes;
	ssize_t done;

	assert(q->is_user_copy && req->op == BLOCK_READ && q->tags[req->tag] == UBLK_TAG_LENT);
	assert(at <= req->bytes && len <= req->bytes - at);
	while (len > 0) {
		done = pwrite(q->char_fd, from, len, ublk_copy_position(q->idx, req->tag, at));
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		from += done;
		at += (uint32_t)done;
		len -= (uint32_t)done;
	}
	return 0;
}

/* WRITE: pread from the request. */
static int front_copy_in(
	struct block_front *front, struct block_req *req, uint32_t at, void *bytes, uint32_t len)
{
	const struct ublk_queue *q = queue_of(front);
	uint8_t *to = bytes;
	ssize_t done;

	assert(q->is_user_copy && req->op == BLOCK_WRITE && q->tags[req->tag] == UBLK_TAG_LENT);
	assert(at <= req->bytes && len <= req->bytes - at);
	while (len > 0) {
		done = pread(q->char_fd, to, len, ublk_copy_position(q->idx, req->tag, at));
		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		to += done;
		at += (uint32_t)done;
		len -= (uint32_t)done;
	}
	return 0;
}

static int queue_enable(struct ublk_queue *q)
{
	int rc;

	/* liburing 2.3 declares io_uring_enable_rings() and does not export it. */
	rc = io_uring_register((unsigned)q->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (rc < 0)
		return rc;
	for (uint16_t tag = 0; tag < q->depth; tag++)
		command_queue(q, q->op_fetch, tag, 0);
	rc = io_uring_submit(&q->ring);
	count_add(&q->count.enters, 1);
	if (rc < 0)
		return rc;
	/* Should the kernel have taken only some (no memory), the next kick() submits the rest. */
	atomic_store(&q->is_started, true);
	return 0;
}

static void front_start(struct block_front *front)
{
	struct ublk_queue *q = queue_of(front);
	int rc;

	assert(!q->is_started);
	rc = queue_enable(q);
	/* The control thread polls START_DEV, which now would never end: it must know. */
	if (rc < 0)
		atomic_store(&q->error, rc);
}

static const struct block_front_ops front_ops = {
	.start = front_start,
	.take = front_take,
	.complete = front_complete,
	.kick = front_kick,
	.copy_out = front_copy_out,
	.copy_in = front_copy_in,
	.pending = front_pending,
};

/* ---- set-up, control thread ---- */

static int ring_open(struct ublk_queue *q, struct error *err)
{
	/* Disabled: the thread that enables it becomes the
	 * single issuer, and that is the worker. */
	const unsigned flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER;
	int rc;

	rc = io_uring_queue_init(
		q->depth, &q->ring, flags | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
	q->is_defer_taskrun = rc == 0;
	if (rc == -EINVAL) /* 6.0 */
		rc = io_uring_queue_init(q->depth, &q->ring,
			flags | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
	if (rc < 0)
		return error_set(err, rc, "io_uring for the queue: %s", strerror(-rc));
	q->is_ring_open = true;
	rc = io_uring_register_files(&q->ring, &q->char_fd, 1);
	if (rc < 0)
		return error_set(err, rc, "io_uring register files: %s", strerror(-rc));
	rc = io_uring_register_eventfd(&q->ring, q->front.event_fd);
	if (rc < 0)
		return error_set(err, rc, "io_uring register eventfd: %s", strerror(-rc));
	io_uring_cq_eventfd_toggle(&q->ring, false);
	return 0;
}

static int descs_map(struct ublk_queue *q, struct error *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *map;

	/* The length must be exactly what the driver computes: descriptors rounded up to pages. */
	q->desc_bytes = (q->depth * sizeof(struct ublksrv_io_desc) + page - 1) / page * page;
	map = mmap(NULL, q->desc_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, q->char_fd,
		UBLKSRV_CMD_BUF_OFFSET +
			(off_t)q->idx * UBLK_MAX_QUEUE_DEPTH * (off_t)sizeof(*q->descs));
	if (map == MAP_FAILED)
		return error_set(err, -errno, "mapping the ublk queue: %s", strerror(errno));
	q->descs = map;
	return 0;
}

int ublk_queue_init(struct ublk_queue *q, struct error *err)
{
	int rc;

	assert(q->depth > 0 && q->depth <= QUEUE_DEPTH_MAX);
	assert(q->is_user_copy ||
		(q->spare && q->buf && q->buf->bytes >= (uint64_t)q->depth * q->io_bytes_max));
	for (uint16_t tag = 0; tag < q->depth; tag++) {
		q->reqs[tag].tag = tag;
		if (q->is_user_copy)
			continue;
		q->reqs[tag].buf = q->buf->base + (size_t)tag * q->io_bytes_max;
		q->reqs[tag].dma = q->buf;
	}
	q->front.ops = &front_ops;
	q->front.depth = q->depth;
	q->front.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->front.event_fd < 0)
		return error_set(err, -errno, "eventfd: %s", strerror(errno));
	rc = descs_map(q, err);
	return rc < 0 ? rc : ring_open(q, err);
}

void ublk_queue_fini(struct ublk_queue *q)
{
	/* DEL_DEV waits for the last reference to the device: mapping, registered file, file. */
	if (q->descs)
		munmap((void *)(uintptr_t)q->descs, q->desc_bytes);
	if (q->is_ring_open)
		io_uring_queue_exit(&q->ring);
	if (q->char_fd >= 0)
		close(q->char_fd);
	if (q->front.ops && q->front.event_fd >= 0)
		close(q->front.event_fd);
	q->descs = NULL;
	q->is_ring_open = false;
	q->char_fd = -1;
	q->front.event_fd = -1;
}

/* ---- end ---- */

static bool is_stopped(const struct ublk_queue *q)
{
	if (!atomic_load(&q->is_started))
		return true;
	return atomic_load_explicit(&q->gone_count, memory_order_acquire) == q->depth;
}

bool ublk_queue_stopped(const struct ublk *u)
{
	for (unsigned i = 0; i < u->queue_count; i++)
		if (!is_stopped(&u->queues[i]))
			return false;
	return true;
}
