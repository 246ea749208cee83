/*
 * ublk_desc.c - the kernel's descriptor of a request, and the answer to it, as plain numbers
 *
 * - Flags are named UBLK_IO_F_* where they lie in op_flags: bits 8 and up, unshifted (the header's
 *   own helper shifts them and then no name fits).
 * - A FLUSH lies nowhere: its sector is -1 and its length means nothing.
 * - READ and WRITE are answered with their byte count, all others with 0, errors with -errno. Never
 *   short: what a kernel makes of a WRITE answered short differs (7.3 takes it for the whole).
 * - The block layer gives some errnos a meaning of its own (errno_to_blk_status() in
 * block/blk-core.c):
 *   EOPNOTSUPP is "never ask for this again" and lets fsync() return 0 after a FLUSH, ENOMEM is
 *   "short of a resource of this machine", EOVERFLOW concerns zones, EAGAIN and EREMCHG are
 *   retried. A server means none of these. Only two are passed on, for requests where both mean the
 *   same thing: ENOSPC of what may allocate, EOPNOTSUPP of TRIM and WRITE_ZEROES (the kernel then
 *   writes zeroes itself). Any error of a FLUSH or a FUA is EIO: all it says is that data is not on
 *   stable storage.
 * - Sectors are 512 bytes, whatever the block size.
 *
 * Pure functions.
 */
#include <errno.h>
#include "nbd_client/ublk/ublk_priv.h"

static int op_decode(uint32_t op_flags, uint8_t *op)
{
	switch (op_flags & 0xff) {
	case UBLK_IO_OP_READ:
		*op = BLOCK_READ;
		return 0;
	case UBLK_IO_OP_WRITE:
		*op = BLOCK_WRITE;
		return 0;
	case UBLK_IO_OP_FLUSH:
		*op = BLOCK_FLUSH;
		return 0;
	case UBLK_IO_OP_DISCARD:
		*op = BLOCK_TRIM;
		return 0;
	case UBLK_IO_OP_WRITE_ZEROES:
		*op = BLOCK_WRITE_ZEROES;
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

int ublk_desc_decode(const struct ublksrv_io_desc *desc, struct block_req *req)
{
	uint32_t op_flags = desc->op_flags, sectors = desc->nr_sectors;
	uint8_t op, flags = 0;
	int rc;

	rc = op_decode(op_flags, &op);
	if (rc < 0)
		return rc;
	/* A FLUSH has no place: the kernel leaves -1 in its sector. */
	if (op != BLOCK_FLUSH &&
		(sectors > UINT32_MAX >> 9 || desc->start_sector > UINT64_MAX >> 9))
		return -EINVAL;
	if ((op_flags & UBLK_IO_F_FUA) && op != BLOCK_READ)
		flags |= BLOCK_FUA;
	if ((op_flags & UBLK_IO_F_NOUNMAP) && op == BLOCK_WRITE_ZEROES)
		flags |= BLOCK_NO_HOLE;
	if (op_flags & UBLK_IO_F_SWAP)
		flags |= BLOCK_SWAP;
	req->op = op;
	req->flags = flags;
	req->offset = op == BLOCK_FLUSH ? 0 : desc->start_sector << 9;
	req->bytes = op == BLOCK_FLUSH ? 0 : sectors << 9;
	return 0;
}

/* What the kernel is to hear of -errno @result. */
static int error_for_kernel(const struct block_req *req, int result)
{
	bool allocates = req->op != BLOCK_READ && req->op != BLOCK_FLUSH;
	bool is_optional = req->op == BLOCK_TRIM || req->op == BLOCK_WRITE_ZEROES;

	if (req->op == BLOCK_FLUSH || (req->flags & BLOCK_FUA))
		return -EIO;
	if ((result == -ENOSPC && allocates) || (result == -EOPNOTSUPP && is_optional))
		return result;
	return -EIO;
}

int32_t ublk_commit_result(const struct block_req *req, int result)
{
	assert(result <= 0);
	if (result < 0)
		return error_for_kernel(req, result);
	return req->op == BLOCK_READ || req->op == BLOCK_WRITE ? (int32_t)req->bytes : 0;
}

int64_t ublk_copy_position(uint16_t queue, uint16_t tag, uint32_t at)
{
	assert(at < 1u << UBLK_POS_TAG_SHIFT);
	return (int64_t)UBLKSRV_IO_BUF_OFFSET + ((int64_t)queue << UBLK_POS_QUEUE_SHIFT) +
	       ((int64_t)tag << UBLK_POS_TAG_SHIFT) + at;
}
