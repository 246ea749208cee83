/*
 * volume_again.c - requests asked for again: for the rest of a READ, or in smaller pieces
 *
 * A READ answered in more separate chunks than the machine keeps places for lacks bytes when its
 * reply ends (nbd_range.c). It goes back in line and asks for them; each trip makes its prefix
 * longer.
 *
 * A server may refuse a READ, TRIM or WRITE_ZEROES as too long for it, by EOVERFLOW, and the latter
 * two by EINVAL as long as they are longer than a payload may be. Then the request starts over in
 * pieces of half the length, one after the other, down to a block; a block refused is EIO. The
 * length that was taken in the end is kept for the requests that follow, so the search is made
 * once.
 *
 * A sub that is asked again keeps its io open, so a FLUSH goes on waiting for a TRIM in pieces. One
 * worker; bounded by the logarithm of the length for the search, by its pieces for the rest.
 */
#include "nbd_client/volume_priv.h"
#include <errno.h>

/* The most that is asked for at one time by requests like @sub; NULL: they are never cut short. */
static uint32_t *limit_of(struct volume *v, const struct volume_sub *sub)
{
	switch (sub->nbd.type) {
	case NBD_CMD_READ:
		return &v->read_piece_bytes;
	case NBD_CMD_TRIM:
	case NBD_CMD_WRITE_ZEROES:
		return &v->trim_piece_bytes;
	default:
		return NULL;
	}
}

static bool is_too_long(
	const struct volume *v, const struct volume_sub *sub, int result, uint32_t bytes)
{
	if (result == -EINVAL && sub->nbd.type != NBD_CMD_READ)
		return bytes > v->limits.io_bytes_max;
	return result == -EOVERFLOW;
}

/* Half of what was refused, in whole blocks. False: it was one block. */
static bool piece_halve(const struct volume *v, struct volume_sub *sub, uint32_t bytes)
{
	uint32_t block = v->limits.block_min;

	if (bytes <= block)
		return false;
	sub->nbd.piece_bytes = (bytes / 2 + block - 1) / block * block;
	sub->nbd.is_partial = false;
	return true;
}

bool volume_sub_again(struct volume *v, struct volume_sub *sub, int *result)
{
	uint32_t bytes = sub->nbd.ask.to - sub->nbd.ask.from, *limit;

	if (*result == 0 && !sub->nbd.is_partial && sub->nbd.piece_bytes == 0)
		return false;
	limit = limit_of(v, sub);
	if (*result == 0 && sub->nbd.is_partial)
		return true;
	if (!limit)
		return false;
	if (is_too_long(v, sub, *result, bytes)) {
		if (piece_halve(v, sub, bytes))
			return true;
		*result = -EIO;
	}
	if (*result == 0 && sub->nbd.piece_bytes > 0 && sub->nbd.piece_bytes < *limit) {
		*limit = sub->nbd.piece_bytes;
		volume_event_add(v, VOLUME_EVENT_SERVER, 0,
			"%s:%u refuses long %s: sent in pieces of %u bytes",
			volume_uri_now(v)->host, volume_uri_now(v)->port,
			sub->nbd.type == NBD_CMD_READ ? "READs" : "TRIMs and WRITE_ZEROES", *limit);
	}
	return false;
}
