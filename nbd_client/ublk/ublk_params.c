/*
 * ublk_params.c - what the server can do, said in the block layer's words
 *
 * The export's limits become queue limits once, before START_DEV; the block layer then never makes
 * a request the server would refuse. Each line below is there because its absence fails silently:
 *
 * - Without VOLATILE_CACHE the block layer swallows FLUSH and FUA: fsync succeeds and nothing is
 *   safe. It is set exactly when the server has FLUSH. FUA counts only together with it; without
 * FUA the block layer makes a FUA write of a write and a flush.
 * - Without TYPE_DISCARD neither discard nor write-zeroes is offered, whatever the maxima say. The
 *   driver requires a granularity and at most one segment.
 * - A block larger than a page cannot be a logical block (before 6.15): refused in words, because
 * the kernel's EINVAL would not say why.
 * - Sectors are 512 bytes everywhere in this interface, whatever the block size.
 *
 * Pure functions: no I/O, no state.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_priv.h"

#define SECTOR_SHIFT	   9
#define SECTOR_BYTES	   (1u << SECTOR_SHIFT)
#define PHYSICAL_BYTES_MAX 4096u /* what file systems expect of a device at most */

static bool is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static uint8_t log2_floor(uint32_t n)
{
	assert(n > 0);
	return (uint8_t)(31 - __builtin_clz(n));
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static int limits_check(const struct ublk_config *cfg, uint32_t page, struct error *err)
{
	const struct block_limits *l = &cfg->limits;
	uint32_t block = max_u32(l->block_min, SECTOR_BYTES);

	if (l->block_min > page)
		return error_set(err, -EINVAL,
			"the server requires blocks of %u bytes at least, a block device has %u at "
			"most: let the "
			"server use a smaller minimum block size (nbdkit: --filter=blocksize)",
			l->block_min, page);
	if (l->block_min && !is_power_of_two(l->block_min))
		return error_set(err, -EINVAL, "block size %u is not a power of two", l->block_min);
	if (l->size_bytes == 0)
		return error_set(
			err, -EINVAL, "the export is empty (0 bytes): there is nothing to serve");
	if (l->size_bytes % block)
		return error_set(err, -EINVAL,
			"the export's size %" PRIu64 " is not a multiple of its block size %u: "
			"enlarge or cut it to one",
			l->size_bytes, block);
	if (cfg->io_bytes_max < page || cfg->io_bytes_max % page ||
		cfg->io_bytes_max > IO_BYTES_MAX)
		return error_set(err, -EINVAL,
			"largest I/O of %u bytes: it must be a multiple of %u, and %u at most",
			cfg->io_bytes_max, page, IO_BYTES_MAX);
	if (l->io_bytes_max && l->io_bytes_max < page)
		return error_set(err, -EINVAL,
			"the server takes requests of %u bytes at most, a block device needs %u",
			l->io_bytes_max, page);
	if (cfg->queue_depth == 0 || cfg->queue_depth > QUEUE_DEPTH_MAX)
		return error_set(
			err, -EINVAL, "queue depth %u: 1 to %u", cfg->queue_depth, QUEUE_DEPTH_MAX);
	return 0;
}

static void basic_fill(const struct ublk_config *cfg, struct ublk_param_basic *p)
{
	const struct block_limits *l = &cfg->limits;
	uint32_t logical = max_u32(l->block_min, SECTOR_BYTES);
	uint32_t physical = max_u32(logical, min_u32(l->block_pref, PHYSICAL_BYTES_MAX));
	uint32_t io_min = max_u32(physical, min_u32(l->block_pref, cfg->io_bytes_max));
	uint32_t io_max = cfg->io_bytes_max;

	if (l->io_bytes_max)
		io_max = min_u32(io_max, l->io_bytes_max);
	p->logical_bs_shift = log2_floor(logical);
	p->physical_bs_shift = log2_floor(physical);
	p->io_min_shift = log2_floor(io_min);
	/* Readahead follows io_opt (twice of it): over a network large requests are what pays. */
	p->io_opt_shift = (uint8_t)max_u32(log2_floor(io_max), p->io_min_shift);
	p->max_sectors = io_max / logical * (logical >> SECTOR_SHIFT);
	p->dev_sectors = l->size_bytes >> SECTOR_SHIFT;
	if (l->is_read_only)
		p->attrs |= UBLK_ATTR_READ_ONLY;
	if (l->is_rotational)
		p->attrs |= UBLK_ATTR_ROTATIONAL;
	if (l->can_flush)
		p->attrs |= UBLK_ATTR_VOLATILE_CACHE;
	if (l->can_flush && l->can_fua)
		p->attrs |= UBLK_ATTR_FUA;
}

static void discard_fill(const struct ublk_config *cfg, struct ublk_param_discard *p)
{
	const struct block_limits *l = &cfg->limits;
	uint32_t logical = max_u32(l->block_min, SECTOR_BYTES);
	/* A request's length is 32 bits of bytes in block.h and on the wire. */
	uint32_t bytes_max = l->trim_bytes_max ? l->trim_bytes_max : UINT32_MAX;
	uint32_t sectors_max = bytes_max / logical * (logical >> SECTOR_SHIFT);

	p->discard_granularity = max_u32(l->trim_granularity, logical);
	if (l->can_trim && !l->is_read_only) {
		p->max_discard_sectors = sectors_max;
		p->max_discard_segments = 1;
	}
	if (l->can_write_zeroes && !l->is_read_only)
		p->max_write_zeroes_sectors = sectors_max;
}

int ublk_params_fill(const struct ublk_config *cfg, struct ublk_params *out, struct error *err)
{
	struct ublk_params p = {.len = sizeof(p)};
	int rc;

	rc = limits_check(cfg, (uint32_t)sysconf(_SC_PAGESIZE), err);
	if (rc < 0)
		return rc;
	p.types = UBLK_PARAM_TYPE_BASIC;
	basic_fill(cfg, &p.basic);
	if (cfg->limits.can_trim || cfg->limits.can_write_zeroes) {
		p.types |= UBLK_PARAM_TYPE_DISCARD;
		discard_fill(cfg, &p.discard);
	}
	*out = p;
	return 0;
}

int ublk_params_match(
	const struct ublk_params *have, const struct ublk_params *want, struct error *err)
{
	const struct ublk_param_basic *h = &have->basic, *w = &want->basic;

	if (h->dev_sectors > w->dev_sectors)
		return error_set(err, -EINVAL,
			"the device has %" PRIu64 " sectors, the export now has %" PRIu64
			": not the same disk",
			(uint64_t)h->dev_sectors, (uint64_t)w->dev_sectors);
	if (h->logical_bs_shift < w->logical_bs_shift)
		return error_set(err, -EINVAL,
			"the device has blocks of %u bytes, the server now requires %u",
			1u << h->logical_bs_shift, 1u << w->logical_bs_shift);
	if (h->max_sectors > w->max_sectors)
		return error_set(err, -EINVAL,
			"the device makes requests of %u sectors, the server now takes %u",
			h->max_sectors, w->max_sectors);
	if ((w->attrs & UBLK_ATTR_READ_ONLY) && !(h->attrs & UBLK_ATTR_READ_ONLY))
		return error_set(
			err, -EINVAL, "the device is writable, the export now is read-only");
	/* Losing FLUSH would lose data in silence; gaining it is harmless, the device just won't
	 * use it. */
	if ((h->attrs & UBLK_ATTR_VOLATILE_CACHE) && !(w->attrs & UBLK_ATTR_VOLATILE_CACHE))
		return error_set(err, -EINVAL,
			"the device uses FLUSH, which the server no longer "
			"supports");
	if ((h->attrs & UBLK_ATTR_FUA) && !(w->attrs & UBLK_ATTR_FUA))
		return error_set(
			err, -EINVAL, "the device uses FUA, which the server no longer supports");
	if (have->types & UBLK_PARAM_TYPE_DISCARD) {
		if (have->discard.max_discard_sectors > want->discard.max_discard_sectors)
			return error_set(err, -EINVAL,
				"the device discards more at once than the server now accepts");
		if (have->discard.max_write_zeroes_sectors > want->discard.max_write_zeroes_sectors)
			return error_set(err, -EINVAL,
				"the device zeroes more at once than the server now accepts");
	}
	return 0;
}
