/*
 * volume_policy.c - which export may be served, whether it is the same one, and when to give up
 *
 * What the first READY export is becomes the volume's identity: size, abilities, block sizes.
 * Whatever answers later, after a reconnect or at another address, must have at least what the
 * device uses of these, or it is refused. A larger export, smaller blocks and more abilities are
 * served as what the device knows; flags that it does not use are not compared.
 *
 * When to give up is volume_silence.c's; here is what follows from it.
 *
 * Credits. A READ may have its whole reply resting in the connection's receive quota, so it costs
 * the mbufs that reply fills in the worst case; anything else costs one. An eighth of the quota is
 * kept for the latter, so that neither kind can take the other's share. That part is an eighth of
 * the least quota there ever is, and pieces are cut to fit into it: both stay what they are while
 * credits come and go (volume_credit.c).
 */
#include "nbd_client/volume_priv.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Bytes an mbuf carries at least by default: a quarter of its room (compaction). */
#define PAYLOAD_MIN_DEFAULT (MBUF_DATA_BYTES / 4)
/* The reply's own header, and payload that begins in the middle of an mbuf. */
#define COST_SLACK	   2u
#define WRITE_QUOTA_SHARE  8u
#define BLOCK_PREF_DEFAULT 4096u

uint32_t volume_read_cost(const struct volume *v, uint32_t bytes)
{
	uint32_t payload = v->cfg.mbuf_payload_min;

	return (bytes + payload - 1) / payload + COST_SLACK;
}

uint32_t volume_write_quota(const struct volume *v)
{
	uint32_t quota = v->cfg.quota_least_mbufs / WRITE_QUOTA_SHARE;

	return quota < v->sub_max ? quota : v->sub_max;
}

uint32_t volume_read_quota(const struct volume *v)
{
	return v->credit.granted_mbufs - volume_write_quota(v);
}

uint32_t volume_read_least(const struct volume *v)
{
	return v->cfg.quota_least_mbufs - volume_write_quota(v);
}

static uint32_t block_of(const struct nbd_export *x)
{
	return x->block_min > NBD_BLOCK_BYTES_MIN ? x->block_min : NBD_BLOCK_BYTES_MIN;
}

static uint32_t payload_max_of(const struct nbd_export *x)
{
	if (!x->has_block_size || x->block_max > NBD_PAYLOAD_BYTES_MAX)
		return NBD_PAYLOAD_BYTES_MAX;
	return x->block_max;
}

/* Abilities the device relies on once the first export had them, by name. */
static const struct {
	uint16_t flag;
	const char *name;
} abilities[] = {
	{NBD_FLAG_SEND_FLUSH, "FLUSH"},
	{NBD_FLAG_SEND_FUA, "FUA"},
	{NBD_FLAG_SEND_TRIM, "TRIM"},
	{NBD_FLAG_SEND_WRITE_ZEROES, "WRITE_ZEROES"},
	{NBD_FLAG_SEND_FAST_ZERO, "fast WRITE_ZEROES"},
};

/* What was there and is used is there still. More is not used before the next attach. */
static int abilities_check(const struct volume *v, const struct nbd_export *x, struct error *err)
{
	bool has_several = v->cfg.connections > 1 || v->cfg.group;
	uint16_t was = v->identity.flags;

	for (unsigned i = 0; i < sizeof(abilities) / sizeof(*abilities); i++)
		if ((was & abilities[i].flag) && !(x->flags & abilities[i].flag))
			return error_set(err, -ESTALE,
				"the export came back without %s, which the device uses: refused, "
				"the "
				"device and its requests wait; start the server as it was",
				abilities[i].name);
	if (has_several && (was & NBD_FLAG_CAN_MULTI_CONN) && !(x->flags & NBD_FLAG_CAN_MULTI_CONN))
		return error_set(err, -ESTALE,
			"the export came back for one connection only, the device has several: "
			"refused, "
			"the device and its requests wait; start the server as it was");
	if ((x->flags & NBD_FLAG_READ_ONLY) && !v->limits.is_read_only)
		return error_set(err, -ESTALE,
			"the export came back read-only: refused, the device and its requests "
			"wait; "
			"let the server write to it again");
	return 0;
}

/* Is @x the export the volume has been using, as far as it is used? */
static int identity_check(const struct volume *v, const struct nbd_export *x, struct error *err)
{
	const struct nbd_export *was = &v->identity;

	if (x->size_bytes < was->size_bytes)
		return error_set(err, -ESTALE,
			"the export came back with %" PRIu64 " bytes, it had %" PRIu64
			": refused, the device and its requests wait; bring the old export back",
			x->size_bytes, was->size_bytes);
	if (block_of(x) > block_of(was) || payload_max_of(x) < payload_max_of(was))
		return error_set(err, -ESTALE,
			"the export came back with blocks of %u to %u bytes, it had %u to %u: "
			"refused, the device and its requests wait; start the server as it was",
			block_of(x), payload_max_of(x), block_of(was), payload_max_of(was));
	return abilities_check(v, x, err);
}

int volume_export_check(const struct volume *v, const struct nbd_export *x, struct error *err)
{
	uint32_t block = block_of(x);

	if (v->has_identity)
		return identity_check(v, x, err);
	if (x->size_bytes == 0)
		return error_set(err, -EINVAL,
			"the export's size is 0: give the server a disk that is not empty");
	if (x->size_bytes > INT64_MAX)
		return error_set(err, -EINVAL,
			"the export's size (%" PRIu64
			" bytes) is more than any disk has: check what the server serves",
			x->size_bytes);
	if (x->size_bytes < block)
		return error_set(err, -EINVAL,
			"the export's size (%" PRIu64 " bytes) is less than one block of %u: "
			"extend it on the server",
			x->size_bytes, block);
	if (payload_max_of(x) < block)
		return error_set(err, -EINVAL,
			"the server's largest request (%u bytes) is smaller than a block of %u: "
			"change its block size policy",
			payload_max_of(x), block);
	if (volume_read_cost(v, block) > volume_read_least(v))
		return error_set(err, -ENOSPC,
			"a block of this export (%u bytes) needs %u mbufs to be received, and the "
			"volume may hold %u: set its "
			"io_size_max to %u or more",
			block, volume_read_cost(v, block), volume_read_least(v), block);
	return 0;
}

/* The largest READ, in whole blocks, whose reply fits the quota and the server's limit. */
static uint32_t read_piece(const struct volume *v, uint32_t io_bytes, uint32_t block)
{
	uint64_t fits = (uint64_t)(volume_read_least(v) - COST_SLACK) * v->cfg.mbuf_payload_min;

	if (fits > io_bytes)
		fits = io_bytes;
	return (uint32_t)(fits / block * block);
}

void volume_export_adopt(struct volume *v, const struct nbd_export *x)
{
	struct block_limits *l = &v->limits;
	uint32_t block = block_of(x), pref = x->block_pref;
	uint32_t io_bytes = payload_max_of(x);

	if (io_bytes > v->cfg.io_bytes_max)
		io_bytes = v->cfg.io_bytes_max;
	if (io_bytes < block)
		io_bytes = block;
	if (!x->has_block_size || pref == 0 || (pref & (pref - 1)))
		pref = BLOCK_PREF_DEFAULT;
	v->identity = *x;
	v->has_identity = true;
	l->size_bytes = x->size_bytes / block * block;
	l->block_min = block;
	l->block_pref = pref > block ? pref : block;
	l->io_bytes_max = io_bytes / block * block;
	l->trim_bytes_max = NBD_TRIM_BYTES_MAX;
	l->trim_granularity = block;
	l->is_read_only = v->cfg.read_only || (x->flags & NBD_FLAG_READ_ONLY);
	l->is_rotational = x->flags & NBD_FLAG_ROTATIONAL;
	l->can_flush = x->flags & NBD_FLAG_SEND_FLUSH;
	/* A FUA the server does not know is done with its FLUSH. */
	l->can_fua = x->flags & (NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_FLUSH);
	l->can_trim = !l->is_read_only && (x->flags & NBD_FLAG_SEND_TRIM);
	l->can_write_zeroes = !l->is_read_only && (x->flags & NBD_FLAG_SEND_WRITE_ZEROES);
	l->can_fast_zero = l->can_write_zeroes && (x->flags & NBD_FLAG_SEND_FAST_ZERO);
	l->can_multi_conn = x->flags & NBD_FLAG_CAN_MULTI_CONN;
	v->read_piece_bytes = read_piece(v, l->io_bytes_max, block);
	v->trim_piece_bytes = l->trim_bytes_max;
	v->write_piece_bytes = l->io_bytes_max;
	if (v->cfg.staging && v->write_piece_bytes > v->cfg.staging_bytes)
		v->write_piece_bytes = v->cfg.staging_bytes / block * block;
	if (v->cfg.tls && v->write_piece_bytes > TLS_WRITE_BYTES_MAX)
		v->write_piece_bytes = TLS_WRITE_BYTES_MAX / block * block;
	if (l->size_bytes < x->size_bytes)
		volume_event_add(v, VOLUME_EVENT_SERVER, 0,
			"%s:%u: the last %u bytes of the export are not served: its size is no "
			"multiple of %u",
			volume_uri_now(v)->host, volume_uri_now(v)->port,
			(unsigned)(x->size_bytes - l->size_bytes), block);
}

void volume_policy_turn(struct volume *v)
{
	unsigned held = v->in_flight;

	if (volume_give_up_us(v) > v->now_us || v->is_left)
		return;
	for (unsigned i = 0; i < v->cfg.connections; i++)
		if (v->is_given_up)
			volume_conn_part(&v->conns[i], 0);
		else
			volume_conn_abort(&v->conns[i]);
	volume_fail_held(v, -EIO);
	v->lost_us = 0;
	if (v->state != VOLUME_DRAINING)
		volume_set_state(v, VOLUME_FAILED);
	if (v->is_given_up) {
		volume_event_add(v, VOLUME_EVENT_SERVER, -EIO,
			"given up by force: %u requests failed", held);
		return;
	}
	volume_event_add(v, VOLUME_EVENT_SERVER, -EIO,
		"no answer for %" PRIu64 " ms: %u requests failed, new ones fail until the server "
		"is back",
		v->cfg.dead_us / 1000, held);
}
