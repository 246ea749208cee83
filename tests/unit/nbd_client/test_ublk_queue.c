/*
 * test_ublk_queue.c - the worker's half against an io_uring of this machine, without ublk
 *
 * A memory file stands in for the character device: it can be mapped for the descriptors and takes
 * copies at any position. A no-op with a tag as its user data completes as a FETCH would. A commit
 * fails in the kernel, but its sqe can be read before it is submitted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "dataplane/net/stream.h"
#include "nbd_client/ublk/ublk_priv.h"

#define DEPTH	 8
#define IO_BYTES 65536u

static struct ublk *dev;
static struct stream_buf buf;
static uint8_t sink[IO_BYTES];

static bool has_io_uring(void)
{
	struct io_uring ring;

	if (io_uring_queue_init(2, &ring, 0) < 0)
		return false;
	io_uring_queue_exit(&ring);
	return true;
}

static int dev_make_mode(bool is_user_copy)
{
	struct error err = {""};
	struct ublk_queue *q;

	dev = calloc(1, sizeof(*dev) + sizeof(dev->queues[0]));
	dev->queue_count = 1;
	q = &dev->queues[0];
	buf.base = calloc(DEPTH, IO_BYTES);
	buf.bytes = DEPTH * IO_BYTES;
	q->char_fd = memfd_create("ublkc", MFD_CLOEXEC);
	q->depth = DEPTH;
	q->io_bytes_max = IO_BYTES;
	q->size_bytes = 1 << 20;
	q->is_user_copy = is_user_copy;
	q->buf = is_user_copy ? NULL : &buf;
	q->sink = sink;
	q->op_commit = UBLK_ENCODE_IO(UBLK_IO_COMMIT_AND_FETCH_REQ);
	q->op_fetch = UBLK_ENCODE_IO(UBLK_IO_FETCH_REQ);
	if (q->char_fd < 0 || ftruncate(q->char_fd, 4096) != 0)
		return -1;
	if (!has_io_uring())
		return 0;
	if (ublk_queue_init(q, &err) < 0) {
		print_error("%s\n", err.text);
		return -1;
	}
	return 0;
}

static int dev_make(void **state)
{
	return dev_make_mode(false);
}

static int dev_make_user_copy(void **state)
{
	return dev_make_mode(true);
}

static int dev_remove(void **state)
{
	ublk_queue_fini(&dev->queues[0]);
	free(dev);
	free(buf.base);
	return 0;
}

static void ring_enable(void)
{
	struct ublk_queue *q = &dev->queues[0];

	if (!q->is_ring_open)
		skip();
	assert_int_equal(
		io_uring_register((unsigned)q->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0),
		0);
	for (unsigned tag = 0; tag < DEPTH; tag++)
		q->tags[tag] = UBLK_TAG_KERNEL;
}

/* What the kernel does when a request comes: writes the descriptor, completes the tag with @sqe. */
static void arrive_with(struct io_uring_sqe *sqe, uint16_t tag, uint32_t op_flags, uint64_t sector, uint32_t sectors)
{
	const struct ublksrv_io_desc desc = {
		.op_flags = op_flags,
		.nr_sectors = sectors,
		.start_sector = sector,
	};
	struct ublk_queue *q = &dev->queues[0];

	assert_int_equal(
		pwrite(q->char_fd, &desc, sizeof(desc), (off_t)(tag * sizeof(desc))), sizeof(desc));
	assert_non_null(sqe);
	io_uring_prep_nop(sqe);
	sqe->user_data = tag;
	assert_true(io_uring_submit(&q->ring) >= 1); /* a commit still queued goes along */
}

static void arrive(uint16_t tag, uint32_t op_flags, uint64_t sector, uint32_t sectors)
{
	arrive_with(io_uring_get_sqe(&dev->queues[0].ring), tag, op_flags, sector, sectors);
}

static unsigned take(struct block_req **reqs, unsigned max)
{
	struct block_front *f = &dev->queues[0].front;

	return f->ops->take(f, reqs, max, 42);
}

static struct block_req *take_one(void)
{
	struct block_req *req;

	assert_int_equal(take(&req, 1), 1);
	return req;
}

/* The newest sqe that is queued and not submitted. */
static struct io_uring_sqe *last_sqe(void)
{
	struct io_uring_sq *sq = &dev->queues[0].ring.sq;

	assert_true(io_uring_sq_ready(&dev->queues[0].ring) > 0);
	return &sq->sqes[(sq->sqe_tail - 1) & sq->ring_mask];
}

static void commit_is(uint16_t tag, int32_t result, uint64_t addr)
{
	const struct io_uring_sqe *sqe = last_sqe();
	struct ublksrv_io_cmd body;

	memcpy(&body, sqe->cmd, sizeof(body));
	assert_int_equal(sqe->opcode, IORING_OP_URING_CMD);
	assert_int_equal(sqe->cmd_op, UBLK_ENCODE_IO(UBLK_IO_COMMIT_AND_FETCH_REQ));
	assert_int_equal(sqe->user_data, tag);
	assert_int_equal(body.tag, tag);
	assert_int_equal(body.q_id, 0);
	assert_int_equal(body.result, result);
	assert_true(body.addr == addr);
}

static void descriptor_becomes_request(void **state)
{
	struct block_req *req;

	ring_enable();
	arrive(3, UBLK_IO_OP_WRITE | UBLK_IO_F_FUA, 16, 8);
	req = take_one();
	assert_int_equal(req->op, BLOCK_WRITE);
	assert_int_equal(req->flags, BLOCK_FUA);
	assert_int_equal(req->offset, 8192);
	assert_int_equal(req->bytes, 4096);
	assert_int_equal(req->tag, 3);
	assert_ptr_equal(req->buf, buf.base + 3 * IO_BYTES);
	assert_ptr_equal(req->dma, &buf);
	assert_int_equal(req->start_us, 42);
}

static void swap_goes_first_and_the_rest_in_order(void **state)
{
	struct block_req *reqs[DEPTH];

	ring_enable();
	arrive(0, UBLK_IO_OP_READ, 0, 8);
	arrive(1, UBLK_IO_OP_WRITE, 8, 8);
	arrive(2, UBLK_IO_OP_WRITE | UBLK_IO_F_SWAP, 16, 8);
	arrive(5, UBLK_IO_OP_READ | UBLK_IO_F_SWAP, 24, 8);
	assert_int_equal(take(reqs, 3), 3);
	assert_int_equal(reqs[0]->tag, 2);
	assert_int_equal(reqs[0]->flags, BLOCK_SWAP);
	assert_int_equal(reqs[1]->tag, 5);
	assert_int_equal(reqs[2]->tag, 0);
	assert_int_equal(take(reqs, 3), 1);
	assert_int_equal(reqs[0]->tag, 1);
	assert_int_equal(take(reqs, 3), 0);
}

static void results_are_counts_or_zero_or_errno(void **state)
{
	struct block_front *f = &dev->queues[0].front;

	ring_enable();
	arrive(1, UBLK_IO_OP_READ, 0, 8);
	f->ops->complete(f, take_one(), 0);
	commit_is(1, 4096, (uint64_t)(uintptr_t)(buf.base + IO_BYTES));
	arrive(2, UBLK_IO_OP_FLUSH, 0, 0);
	f->ops->complete(f, take_one(), 0);
	commit_is(2, 0, (uint64_t)(uintptr_t)(buf.base + 2 * IO_BYTES));
	arrive(3, UBLK_IO_OP_DISCARD, 0, 64);
	f->ops->complete(f, take_one(), 0);
	commit_is(3, 0, (uint64_t)(uintptr_t)(buf.base + 3 * IO_BYTES));
	arrive(4, UBLK_IO_OP_WRITE, 0, 8);
	f->ops->complete(f, take_one(), -ENOSPC);
	commit_is(4, -ENOSPC, (uint64_t)(uintptr_t)(buf.base + 4 * IO_BYTES));
}

/* Bytes that came by the sink are nobody's: they are asked for again as soon as the tag's buffer may be used. */
static void barred_write_goes_to_the_sink_and_is_asked_for_again(void **state)
{
	const uint64_t nowhere = (uint64_t)(uintptr_t)sink, own = (uint64_t)(uintptr_t)buf.base;
	struct ublk_queue *q = &dev->queues[0];
	struct block_front *f = &q->front;
	struct block_req *req;

	ring_enable();
	arrive(1, UBLK_IO_OP_WRITE, 0, 8);
	req = take_one();
	f->is_barred = true;
	f->ops->complete(f, req, -EIO);
	commit_is(1, -EIO, nowhere);
	arrive_with(last_sqe(), 1, UBLK_IO_OP_WRITE, 8, 8);
	f->ops->complete(f, take_one(), -EIO);
	commit_is(1, -EIO, nowhere);
	arrive_with(last_sqe(), 1, UBLK_IO_OP_WRITE, 16, 8);
	f->is_barred = false;
	assert_int_equal(take(&req, 1), 0);
	commit_is(1, 0, own + IO_BYTES);
	assert_int_equal(q->count.asked_again, 1);
	arrive_with(last_sqe(), 1, UBLK_IO_OP_WRITE, 16, 8);
	f->ops->complete(f, take_one(), 0);
	commit_is(1, 4096, own + IO_BYTES);
}

/* A READ brings no bytes, so it needs no second asking. */
static void barred_tag_serves_a_read_at_once(void **state)
{
	struct block_front *f = &dev->queues[0].front;

	ring_enable();
	arrive(2, UBLK_IO_OP_WRITE, 0, 8);
	f->is_barred = true;
	f->ops->complete(f, take_one(), -EIO);
	arrive_with(last_sqe(), 2, UBLK_IO_OP_READ, 0, 8);
	f->is_barred = false;
	f->ops->complete(f, take_one(), 0);
	commit_is(2, 4096, (uint64_t)(uintptr_t)(buf.base + 2 * IO_BYTES));
}

static void commits_of_a_turn_are_one_system_call(void **state)
{
	struct block_front *f = &dev->queues[0].front;
	struct block_req *reqs[DEPTH];
	uint64_t enters;

	ring_enable();
	for (uint16_t tag = 0; tag < DEPTH; tag++)
		arrive(tag, UBLK_IO_OP_READ, tag * 8, 8);
	assert_int_equal(take(reqs, DEPTH), DEPTH);
	enters = dev->queues[0].count.enters;
	for (unsigned i = 0; i < DEPTH; i++)
		f->ops->complete(f, reqs[i], 0);
	assert_int_equal(dev->queues[0].count.enters, enters);
	f->ops->kick(f);
	assert_int_equal(dev->queues[0].count.enters, enters + 1);
	f->ops->kick(f);
	assert_int_equal(dev->queues[0].count.enters, enters + 1);
}

static void unservable_descriptors_are_answered_at_once(void **state)
{
	struct block_req *req;

	ring_enable();
	arrive(0, UBLK_IO_OP_WRITE_SAME, 0, 8);
	assert_int_equal(take(&req, 1), 0);
	commit_is(0, -EOPNOTSUPP, (uint64_t)(uintptr_t)buf.base);
	arrive(1, UBLK_IO_OP_READ, (1 << 20) / 512 - 7, 8); /* a sector past the end */
	assert_int_equal(take(&req, 1), 0);
	commit_is(1, -EIO, (uint64_t)(uintptr_t)(buf.base + IO_BYTES));
	arrive(2, UBLK_IO_OP_WRITE, 0, IO_BYTES / 512 + 1); /* larger than its buffer */
	assert_int_equal(take(&req, 1), 0);
	commit_is(2, -EIO, (uint64_t)(uintptr_t)(buf.base + 2 * IO_BYTES));
	assert_int_equal(dev->queues[0].count.rejected, 3);
}

static void sleeper_is_woken_and_the_awake_are_not_disturbed(void **state)
{
	struct block_front *f = &dev->queues[0].front;
	struct pollfd wait = {.fd = f->event_fd, .events = POLLIN};

	ring_enable();
	arrive(0, UBLK_IO_OP_READ, 0, 8); /* polling: no signal */
	assert_int_equal(poll(&wait, 1, 0), 0);
	assert_true(f->ops->pending(f));
	f->ops->complete(f, take_one(), 0);
	assert_true(f->ops->pending(f)); /* a commit waits to be submitted */
	f->ops->kick(f);
	/* The commit came back refused: this is no ublk device. */
	assert_int_equal(take(&(struct block_req *){NULL}, 1), 0);
	assert_false(f->ops->pending(f));
	arrive(1, UBLK_IO_OP_READ, 0, 8); /* asleep now */
	assert_int_equal(poll(&wait, 1, 0), 1);
	assert_int_equal(take_one()->tag, 1);
	assert_int_equal(poll(&wait, 1, 0), 0);
}

static void refused_fetch_is_told_and_counts_as_gone(void **state)
{
	struct ublk_queue *q = &dev->queues[0];

	if (!q->is_ring_open)
		skip();
	assert_true(ublk_queue_stopped(dev)); /* not started: nothing in flight */
	assert_int_equal(ublk_queue_start(dev, 0), 0);
	assert_false(ublk_queue_stopped(dev));
	assert_int_equal(take(&(struct block_req *){NULL}, 1), 0);
	assert_true(ublk_queue_stopped(dev));
	assert_true(q->error < 0);
	assert_int_equal(q->count.command_errors, DEPTH);
}

static void user_copy_moves_bytes_at_the_requests_position(void **state)
{
	struct block_front *f = &dev->queues[0].front;
	struct block_req *req;
	char text[16] = "";

	ring_enable();
	arrive(5, UBLK_IO_OP_READ, 0, 8);
	req = take_one();
	assert_null(req->buf);
	assert_null(req->dma);
	assert_int_equal(f->ops->copy_out(f, req, 100, "payload", 8), 0);
	assert_int_equal(pread(dev->queues[0].char_fd, text, 8, 0x80000000LL + (5LL << 25) + 100), 8);
	assert_string_equal(text, "payload");
	f->ops->complete(f, req, 0);
	commit_is(5, 4096, 0); /* the address must be 0 in this mode */
	arrive(6, UBLK_IO_OP_WRITE, 0, 8);
	req = take_one();
	assert_int_equal(
		pwrite(dev->queues[0].char_fd, "written", 8, 0x80000000LL + (6LL << 25) + 4000), 8);
	assert_int_equal(f->ops->copy_in(f, req, 4000, text, 8), 0);
	assert_string_equal(text, "written");
	/* Past what the device has of the request: an error, not a short copy. */
	arrive(7, UBLK_IO_OP_WRITE, 0, 8);
	assert_int_equal(f->ops->copy_in(f, take_one(), 0, text, 8), -EIO);
}

static void decode(uint32_t op_flags, uint32_t sectors, int rc, uint8_t op, uint8_t flags)
{
	const struct ublksrv_io_desc desc = {
		.op_flags = op_flags, .nr_sectors = sectors, .start_sector = 2};
	struct block_req req = {0};

	assert_int_equal(ublk_desc_decode(&desc, &req), rc);
	if (rc < 0)
		return;
	assert_int_equal(req.op, op);
	assert_int_equal(req.flags, flags);
	assert_int_equal(req.bytes, op == BLOCK_FLUSH ? 0 : sectors * 512);
	assert_int_equal(req.offset, op == BLOCK_FLUSH ? 0 : 1024);
}

static int committed(enum block_op op, uint8_t flags, int result)
{
	const struct block_req req = {.op = (uint8_t)op, .flags = flags, .bytes = 4096};

	return ublk_commit_result(&req, result);
}

/* The errnos block/blk-core.c gives a status of their own, and those a server may send. */
static void kernel_hears_no_errno_that_means_something_else_to_it(void **state)
{
	static const int errnos[] = {EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, EOPNOTSUPP,
		ESHUTDOWN, ETIMEDOUT, ENOLINK, EREMOTEIO, EBADE, ENODATA, EILSEQ, EAGAIN, ENODEV,
		EREMCHG, ETIME, ETOOMANYREFS};

	for (unsigned i = 0; i < sizeof(errnos) / sizeof(*errnos); i++) {
		int e = -errnos[i], space = e == -ENOSPC ? e : -EIO;
		int optional = e == -EOPNOTSUPP ? e : space;

		assert_int_equal(committed(BLOCK_READ, 0, e), -EIO);
		assert_int_equal(committed(BLOCK_FLUSH, 0, e), -EIO);
		assert_int_equal(committed(BLOCK_WRITE, BLOCK_FUA, e), -EIO);
		assert_int_equal(committed(BLOCK_WRITE_ZEROES, BLOCK_FUA, e), -EIO);
		assert_int_equal(committed(BLOCK_WRITE, 0, e), space);
		assert_int_equal(committed(BLOCK_WRITE, BLOCK_SWAP, e), space);
		assert_int_equal(committed(BLOCK_TRIM, 0, e), optional);
		assert_int_equal(committed(BLOCK_WRITE_ZEROES, 0, e), optional);
	}
}

static void flags_are_read_where_the_kernel_puts_them(void **state)
{
	decode(0, 1, 0, BLOCK_READ, 0);
	decode(1 | 1u << 13, 1, 0, BLOCK_WRITE, BLOCK_FUA);
	decode(0 | 1u << 13, 1, 0, BLOCK_READ, 0); /* FUA of a READ means nothing to the server */
	decode(1 | 1u << 16, 1, 0, BLOCK_WRITE, BLOCK_SWAP);
	decode(2, 0, 0, BLOCK_FLUSH, 0);
	decode(3, 8, 0, BLOCK_TRIM, 0);
	decode(5 | 1u << 15, 8, 0, BLOCK_WRITE_ZEROES, BLOCK_NO_HOLE);
	decode(5 | 1u << 13, 8, 0, BLOCK_WRITE_ZEROES, BLOCK_FUA);
	decode(1 | 1u << 8 | 1u << 11, 8, 0, BLOCK_WRITE, 0); /* fail-fast, metadata: not ours */
	decode(4, 8, -EOPNOTSUPP, 0, 0);
	decode(13, 8, -EOPNOTSUPP, 0, 0);
	decode(3, UINT32_MAX / 512 + 1, -EINVAL, 0, 0); /* more than a length can say */
	decode(3, UINT32_MAX / 512, 0, BLOCK_TRIM, 0);
}

static void flush_is_taken_wherever_it_says_it_lies(void **state)
{
	const struct ublksrv_io_desc desc = {
		.op_flags = UBLK_IO_OP_FLUSH, .start_sector = UINT64_MAX, .nr_sectors = UINT32_MAX};
	struct block_req req = {.offset = 1, .bytes = 1};

	assert_int_equal(ublk_desc_decode(&desc, &req), 0);
	assert_int_equal(req.op, BLOCK_FLUSH);
	assert_int_equal(req.offset, 0);
	assert_int_equal(req.bytes, 0);
}

static void copy_position_is_queue_tag_and_offset(void **state)
{
	assert_true(ublk_copy_position(0, 0, 0) == 0x80000000LL);
	assert_true(ublk_copy_position(0, 1, 5) == 0x82000005LL);
	assert_true(ublk_copy_position(3, 255, 0) == 0x80000000LL + (3LL << 41) + (255LL << 25));
}

#define QUEUE_TEST(f) cmocka_unit_test_setup_teardown(f, dev_make, dev_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(descriptor_becomes_request),
		QUEUE_TEST(swap_goes_first_and_the_rest_in_order),
		QUEUE_TEST(results_are_counts_or_zero_or_errno),
		QUEUE_TEST(barred_write_goes_to_the_sink_and_is_asked_for_again),
		QUEUE_TEST(barred_tag_serves_a_read_at_once),
		QUEUE_TEST(commits_of_a_turn_are_one_system_call),
		QUEUE_TEST(unservable_descriptors_are_answered_at_once),
		QUEUE_TEST(sleeper_is_woken_and_the_awake_are_not_disturbed),
		QUEUE_TEST(refused_fetch_is_told_and_counts_as_gone),
		cmocka_unit_test_setup_teardown(user_copy_moves_bytes_at_the_requests_position,
			dev_make_user_copy, dev_remove),
		cmocka_unit_test(kernel_hears_no_errno_that_means_something_else_to_it),
		cmocka_unit_test(flags_are_read_where_the_kernel_puts_them),
		cmocka_unit_test(flush_is_taken_wherever_it_says_it_lies),
		cmocka_unit_test(copy_position_is_queue_tag_and_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
