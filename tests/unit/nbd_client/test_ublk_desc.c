/*
 * test_ublk_desc.c - the kernel's descriptors as requests, and what it is answered
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include "nbd_client/ublk/ublk_priv.h"

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

static void no_request_is_committed_short(void **state)
{
	for (unsigned op = 0; op < BLOCK_OP_COUNT; op++)
		for (int result = 0; result > -140; result--) {
			struct block_req req = {.op = (uint8_t)op, .bytes = 8192};
			int32_t committed = ublk_commit_result(&req, result);

			assert_true(result < 0 ? committed < 0
					       : committed == (op <= BLOCK_WRITE ? 8192 : 0));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_request_is_committed_short),
		cmocka_unit_test(flags_are_read_where_the_kernel_puts_them),
		cmocka_unit_test(flush_is_taken_wherever_it_says_it_lies),
		cmocka_unit_test(copy_position_is_queue_tag_and_offset),
		cmocka_unit_test(kernel_hears_no_errno_that_means_something_else_to_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
