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
static uint8_t spares[DEPTH * IO_BYTES];

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
	q->spare = spares;
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
static void arrive_with(struct io_uring_sqe *sqe, uint16_t tag, uint32_t op_flags, uint64_t sector,
	uint32_t sectors)
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

/* Commits a failed WRITE of tag 1 while barred; the kernel then puts the tag's next WRITE into the
 * spare. */
static void write_comes_into_the_spare(void)
{
	struct block_front *f = &dev->queues[0].front;
	struct block_req *req;

	arrive(1, UBLK_IO_OP_WRITE, 0, 8);
	req = take_one();
	f->is_barred = true;
	f->ops->complete(f, req, -EIO);
}

static void write_that_came_while_barred_is_served_from_its_spare(void **state)
{
	const uint64_t spare = (uint64_t)(uintptr_t)(spares + IO_BYTES),
		       own = (uint64_t)(uintptr_t)buf.base;
	struct ublk_queue *q = &dev->queues[0];
	struct block_front *f = &q->front;
	struct block_req *req;

	ring_enable();
	q->has_spares = true;
	write_comes_into_the_spare();
	commit_is(1, -EIO, spare);
	arrive_with(last_sqe(), 1, UBLK_IO_OP_WRITE, 8, 8);
	f->ops->complete(f, take_one(), -EIO);
	commit_is(1, -EIO, spare);
	memset(buf.base, 1, 2 * IO_BYTES);
	memset(spares + IO_BYTES, 7, 4096);
	arrive_with(last_sqe(), 1, UBLK_IO_OP_WRITE, 16, 8);
	f->is_barred = false;
	req = take_one();
	assert_ptr_equal(req->buf, buf.base + IO_BYTES);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(req->buf[i], 7);
	assert_int_equal(req->buf[4096], 1);
	assert_int_equal(q->count.from_spare, 1);
	f->ops->complete(f, req, 0);
	commit_is(1, 4096, own + IO_BYTES);
}

/* No kernel may be answered short: 7.3 takes any count of a WRITE for the whole of it. */
static void write_whose_bytes_are_lost_ends_with_an_error(void **state)
{
	struct block_front *f = &dev->queues[0].front;
	struct block_req *req;

	ring_enable();
	write_comes_into_the_spare();
	commit_is(1, -EIO, (uint64_t)(uintptr_t)spares);
	arrive_with(last_sqe(), 1, UBLK_IO_OP_WRITE, 16, 8);
	f->is_barred = false;
	assert_int_equal(take(&req, 1), 0);
	commit_is(1, -EIO, (uint64_t)(uintptr_t)(buf.base + IO_BYTES));
}

/* A READ brings no bytes: nothing is moved. */
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
	q->front.ops->start(&q->front);
	assert_int_equal(q->error, 0);
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
	assert_int_equal(
		pread(dev->queues[0].char_fd, text, 8, 0x80000000LL + (5LL << 25) + 100), 8);
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

#define QUEUE_TEST(f) cmocka_unit_test_setup_teardown(f, dev_make, dev_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(descriptor_becomes_request),
		QUEUE_TEST(swap_goes_first_and_the_rest_in_order),
		QUEUE_TEST(results_are_counts_or_zero_or_errno),
		QUEUE_TEST(write_that_came_while_barred_is_served_from_its_spare),
		QUEUE_TEST(write_whose_bytes_are_lost_ends_with_an_error),
		QUEUE_TEST(barred_tag_serves_a_read_at_once),
		QUEUE_TEST(commits_of_a_turn_are_one_system_call),
		QUEUE_TEST(unservable_descriptors_are_answered_at_once),
		QUEUE_TEST(sleeper_is_woken_and_the_awake_are_not_disturbed),
		QUEUE_TEST(refused_fetch_is_told_and_counts_as_gone),
		cmocka_unit_test_setup_teardown(user_copy_moves_bytes_at_the_requests_position,
			dev_make_user_copy, dev_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
