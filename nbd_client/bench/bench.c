/*
 * bench.c - a block front end that asks for I/O the way fio would
 *
 * It stands where ublk stands, so the whole path below can be driven and measured where the kernel
 * has no ublk. iodepth requests, each with its own piece of the caller's DMA-able buffer; a request
 * is made when the volume asks for one, never ahead of that.
 *
 *   LOAD ─▶ SYNC (a FLUSH, if anything was written) ─▶ CHECK (verify: reads back) ─▶ DONE
 *
 * Random offsets come from a keyed permutation of the blocks, so a run without a time limit touches
 * each block once, as fio's random map would have it, without the map. Latency is taken from a
 * clock of its own in nanoseconds, from take() to complete(); reads of the CHECK phase are not in
 * it. With a pause between requests (bench_think.c) it counts from when the request was asked for.
 *
 * Allocated by bench_create(); then the worker's alone, except for bench_ask() and bench_done(),
 * after which the control thread may ask for the result.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config/monotonic.h"
#include "nbd_client/bench/bench_priv.h"
#include "dataplane/net/stream.h"

enum bench_phase { PHASE_LOAD, PHASE_SYNC, PHASE_CHECK, PHASE_DONE };

struct bench_slot {
	struct block_req req;
	uint64_t start_ns;
	enum bench_phase phase; /* it belongs to */
};

/* Where the next request would go; kept while a request in flight overlaps it. */
struct candidate {
	uint64_t block, count;
	bool is_set, is_write;
};

struct bench {
	struct block_front front;
	struct bench_config cfg;
	enum bench_phase phase;
	bool is_done, has_written, is_synced;
	uint64_t block_count;
	unsigned perm_bits;
	uint64_t perm_key, perm_next;
	uint64_t random;
	uint64_t cursor[2]; /* next block of sequential reads, writes */
	uint64_t check_next;
	uint64_t issued_bytes;
	uint64_t start_us, start_ns, end_ns;
	struct bench_think think;
	struct candidate next;
	struct bench_blocks blocks;
	struct bench_slot *slots;
	uint16_t *free_tags;
	unsigned free_count;
	struct bench_hist hist;
	struct bench_result result;
};

static bool rw_is_random(enum bench_rw rw)
{
	return rw == BENCH_RANDREAD || rw == BENCH_RANDWRITE || rw == BENCH_RANDRW;
}

static bool rw_writes(enum bench_rw rw)
{
	return rw != BENCH_READ && rw != BENCH_RANDREAD;
}

static uint64_t random_next(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

/* ---- pauses ---- */

static bool is_thinking(const struct bench *b)
{
	return b->cfg.is_idle ||
	       (b->cfg.think_us && b->phase == PHASE_LOAD && !bench_think_is_over(&b->think));
}

uint64_t bench_ask(struct bench *b)
{
	return b->cfg.think_us ? bench_think_ask(&b->think, monotonic_ns()) : UINT64_MAX;
}

/* ---- what comes next ---- */

/* A bijection of perm_bits bits: each step can be undone, so no value comes twice. */
static uint64_t permute(const struct bench *b, uint64_t x)
{
	uint64_t mask = (b->perm_bits < 64 ? 1ull << b->perm_bits : 0) - 1;
	unsigned shift = (b->perm_bits + 1) / 2;

	x = (x + b->perm_key) & mask;
	x ^= x >> shift;
	x = x * 0x9e3779b97f4a7c15ull & mask;
	x ^= x >> shift;
	x = x * 0xd6e8feb86659fd93ull & mask;
	return x ^ x >> shift;
}

/* At most as many steps as there are numbers beyond the last block: fewer than the blocks. */
static uint64_t random_block(struct bench *b)
{
	uint64_t block;

	do {
		if (b->perm_next == 1ull << b->perm_bits) { /* all seen: another order */
			b->perm_next = 0;
			b->perm_key = random_next(b);
		}
		block = permute(b, b->perm_next++);
	} while (block >= b->block_count);
	return block;
}

static void candidate_make(struct bench *b)
{
	struct candidate *n = &b->next;
	uint32_t steps = (b->cfg.bs_max - b->cfg.bs_min) / b->cfg.bs_min + 1;
	bool is_mixed = b->cfg.rw == BENCH_RW || b->cfg.rw == BENCH_RANDRW;

	n->is_set = true;
	n->is_write =
		is_mixed ? random_next(b) % 100 >= b->cfg.rwmix_read_pct : rw_writes(b->cfg.rw);
	n->count = steps > 1 ? random_next(b) % steps + 1 : 1;
	if (rw_is_random(b->cfg.rw)) {
		n->block = random_block(b);
	} else {
		n->block = b->cursor[n->is_write];
	}
	if (n->count > b->block_count - n->block)
		n->count = b->block_count - n->block;
	if (!rw_is_random(b->cfg.rw))
		b->cursor[n->is_write] = (n->block + n->count) % b->block_count;
	assert(n->count > 0);
}

/* The next run of blocks that were written. False: all were looked at. */
static bool check_make(struct bench *b)
{
	struct candidate *n = &b->next;
	uint64_t max = b->cfg.bs_max / b->cfg.bs_min;

	while (b->check_next < b->block_count && !bench_blocks_is_known(&b->blocks, b->check_next))
		b->check_next++;
	if (b->check_next == b->block_count)
		return false;
	*n = (struct candidate){.block = b->check_next, .is_set = true};
	while (n->count < max && b->check_next < b->block_count &&
		bench_blocks_is_known(&b->blocks, b->check_next)) {
		b->check_next++;
		n->count++;
	}
	return true;
}

static bool load_is_over(const struct bench *b, uint64_t now_us)
{
	if (b->cfg.runtime_us)
		return now_us - b->start_us >= b->cfg.runtime_us;
	return b->issued_bytes >= b->block_count * b->cfg.bs_min;
}

/* Moves on where nothing of the phase is left. True: there may be something to ask for. */
static bool phase_update(struct bench *b, uint64_t now_us)
{
	bool is_idle = b->free_count == b->cfg.iodepth;

	if (b->phase == PHASE_LOAD && load_is_over(b, now_us)) {
		if (!is_idle)
			return false;
		b->next.is_set = false;
		b->phase = PHASE_SYNC;
		if (!b->has_written || !b->cfg.limits.can_flush)
			b->is_synced = true;
	}
	if (b->phase == PHASE_SYNC && b->is_synced && is_idle)
		b->phase = b->blocks.generations && b->has_written ? PHASE_CHECK : PHASE_DONE;
	if (b->phase == PHASE_CHECK && !b->next.is_set && !check_make(b) && is_idle)
		b->phase = PHASE_DONE;
	if (b->phase == PHASE_DONE)
		__atomic_store_n(&b->is_done, true, __ATOMIC_RELEASE);
	if (b->phase == PHASE_SYNC)
		return !b->is_synced;
	return b->phase == PHASE_LOAD || (b->phase == PHASE_CHECK && b->next.is_set);
}

/* ---- the front end ---- */

static struct block_req *slot_start(struct bench *b, enum block_op op)
{
	uint16_t tag = b->free_tags[--b->free_count];
	struct bench_slot *slot = &b->slots[tag];

	slot->phase = b->phase;
	slot->req.op = op;
	slot->req.offset = 0;
	slot->req.bytes = 0;
	slot->start_ns = b->think.asked_ns ? b->think.asked_ns : monotonic_ns();
	return &slot->req;
}

/* The candidate becomes a request, unless one in flight overlaps it. */
static struct block_req *request_make(struct bench *b, uint64_t now_us)
{
	struct candidate *n = &b->next;
	struct block_req *req;
	uint32_t bytes;

	if (b->phase == PHASE_LOAD && !n->is_set)
		candidate_make(b);
	if (b->blocks.generations && !bench_blocks_is_free(&b->blocks, n->block, n->count))
		return NULL;
	n->is_set = false;
	bytes = (uint32_t)n->count * b->cfg.bs_min;
	req = slot_start(b, n->is_write ? BLOCK_WRITE : BLOCK_READ);
	req->offset = b->cfg.offset_bytes + n->block * b->cfg.bs_min;
	req->bytes = bytes;
	req->start_us = now_us;
	if (b->blocks.generations)
		bench_blocks_begin(&b->blocks, n->block, n->count, n->is_write);
	/* Barred, it is failed whatever it holds. */
	if (n->is_write && b->blocks.generations && !b->front.is_barred)
		bench_fill(&b->blocks, req->offset, req->buf, bytes);
	b->has_written |= n->is_write;
	if (b->phase == PHASE_LOAD)
		b->issued_bytes += bytes;
	return req;
}

static unsigned front_take(
	struct block_front *f, struct block_req **out, unsigned max, uint64_t now_us)
{
	struct bench *b = (struct bench *)f;
	unsigned n = 0;

	if (b->start_ns == 0) {
		b->start_ns = monotonic_ns();
		b->start_us = now_us;
	}
	if (is_thinking(b))
		return 0;
	while (n < max && b->free_count > 0 && phase_update(b, now_us)) {
		struct block_req *req;

		if (b->phase == PHASE_SYNC) {
			req = slot_start(b, BLOCK_FLUSH);
			b->is_synced = true;
		} else {
			req = request_make(b, now_us);
		}
		if (!req)
			break;
		out[n++] = req;
	}
	return n;
}

static void verify_result(struct bench *b, const struct block_req *req, int result)
{
	struct bench_result *r = &b->result;
	uint64_t block = (req->offset - b->cfg.offset_bytes) / b->cfg.bs_min,
		 count = req->bytes / b->cfg.bs_min;

	if (req->op == BLOCK_READ && result == 0)
		r->verify_errors += bench_check(&b->blocks, req->offset, req->buf, req->bytes,
			&r->verified_blocks, r->verify_text, sizeof(r->verify_text));
	if (b->blocks.generations)
		bench_blocks_end(&b->blocks, block, count, req->op == BLOCK_WRITE && result < 0);
}

static void front_complete(struct block_front *f, struct block_req *req, int result)
{
	struct bench *b = (struct bench *)f;
	struct bench_slot *slot = &b->slots[req->tag];
	bool is_write = req->op == BLOCK_WRITE;

	assert(&slot->req == req && b->free_count < b->cfg.iodepth);
	if (slot->phase == PHASE_LOAD) {
		b->end_ns = monotonic_ns();
		bench_hist_add(&b->hist, b->end_ns - slot->start_ns);
		b->result.ios[is_write]++;
		b->result.bytes[is_write] += result < 0 ? 0 : req->bytes;
	}
	b->result.errors += result < 0;
	if (b->cfg.verify && req->op != BLOCK_FLUSH)
		verify_result(b, req, result);
	b->free_tags[b->free_count++] = req->tag;
	if (b->cfg.think_us)
		bench_think_until(&b->think, monotonic_ns() + b->cfg.think_us * 1000);
}

static void front_kick(struct block_front *f)
{
	struct bench *b = (struct bench *)f;

	/* The last completion may be what the end waits for, and nothing else polls for it. */
	if (b->phase != PHASE_LOAD && b->free_count == b->cfg.iodepth)
		(void)phase_update(b, 0);
}

static bool front_pending(struct block_front *f)
{
	struct bench *b = (struct bench *)f;

	if (b->phase == PHASE_DONE || b->free_count == 0 || is_thinking(b))
		return false;
	if (b->next.is_set && b->blocks.generations)
		return bench_blocks_is_free(&b->blocks, b->next.block, b->next.count);
	return b->phase != PHASE_SYNC || b->free_count == b->cfg.iodepth;
}

static const struct block_front_ops front_ops = {
	.take = front_take,
	.complete = front_complete,
	.kick = front_kick,
	.pending = front_pending,
};

/* ---- create ---- */

static int sizes_check(const struct bench_config *cfg, uint64_t region, struct error *err)
{
	const struct block_limits *l = &cfg->limits;

	if (cfg->bs_min == 0 || cfg->bs_min % l->block_min)
		return error_set(err, -EINVAL,
			"bs %u is not a multiple of the export's block size %u", cfg->bs_min,
			l->block_min);
	if (cfg->bs_max < cfg->bs_min || cfg->bs_max % cfg->bs_min || cfg->bs_max > IO_BYTES_MAX)
		return error_set(err, -EINVAL,
			"bs %u-%u: the larger must be a multiple of the smaller, up to %u",
			cfg->bs_min, cfg->bs_max, IO_BYTES_MAX);
	if (cfg->iodepth == 0 || cfg->iodepth > QUEUE_DEPTH_MAX)
		return error_set(
			err, -EINVAL, "iodepth %u: give 1 to %u", cfg->iodepth, QUEUE_DEPTH_MAX);
	if (cfg->offset_bytes > l->size_bytes || region > l->size_bytes - cfg->offset_bytes ||
		region < cfg->bs_max)
		return error_set(err, -EINVAL,
			"size %" PRIu64 ": give at least bs (%u) and at most the export's %" PRIu64,
			region, cfg->bs_max, l->size_bytes);
	if (rw_writes(cfg->rw) && l->is_read_only)
		return error_set(
			err, -EROFS, "the export is read-only: use rw=read or rw=randread");
	if (cfg->verify && rw_writes(cfg->rw) && region / cfg->bs_min > BENCH_BLOCK_MAX)
		return error_set(err, -EINVAL,
			"verify keeps track of %u blocks at most: give a smaller size or a larger "
			"bs",
			BENCH_BLOCK_MAX);
	if (cfg->rwmix_read_pct > 100)
		return error_set(err, -EINVAL, "rwmixread %u: give 0 to 100", cfg->rwmix_read_pct);
	return 0;
}

static void slots_init(struct bench *b)
{
	const struct bench_config *cfg = &b->cfg;

	for (uint16_t tag = 0; tag < cfg->iodepth; tag++) {
		struct block_req *req = &b->slots[tag].req;

		req->tag = tag;
		req->buf = cfg->buf->base + (size_t)tag * cfg->bs_max;
		req->dma = cfg->buf;
		b->free_tags[b->free_count++] = (uint16_t)(cfg->iodepth - 1 - tag);
	}
	/* Without verify the content does not matter, but must not compress to nothing. */
	for (size_t at = 0; at + 8 <= (size_t)cfg->iodepth * cfg->bs_max; at += 8) {
		uint64_t word = random_next(b);

		memcpy(cfg->buf->base + at, &word, sizeof(word));
	}
}

struct bench *bench_create(const struct bench_config *cfg, struct error *err)
{
	uint64_t region = cfg->size_bytes ? cfg->size_bytes
					  : cfg->limits.size_bytes - cfg->offset_bytes;
	struct bench *b;

	if (sizes_check(cfg, region, err) < 0)
		return NULL;
	assert(cfg->buf && cfg->buf->bytes >= (uint64_t)cfg->iodepth * cfg->bs_max);
	b = calloc(1, sizeof(*b));
	if (!b)
		goto err_memory;
	b->cfg = *cfg;
	b->block_count = region / cfg->bs_min;
	b->random = cfg->seed * 2 + 1; /* never 0 */
	b->perm_bits = 1;
	while (1ull << b->perm_bits < b->block_count)
		b->perm_bits++;
	b->perm_key = random_next(b);
	b->blocks = (struct bench_blocks){.seed = cfg->seed, .block_bytes = cfg->bs_min};
	b->slots = calloc(cfg->iodepth, sizeof(*b->slots));
	b->free_tags = calloc(cfg->iodepth, sizeof(*b->free_tags));
	if (!b->slots || !b->free_tags)
		goto err_parts;
	if (cfg->verify && rw_writes(cfg->rw) &&
		bench_blocks_init(&b->blocks, cfg->seed, cfg->bs_min, b->block_count) < 0)
		goto err_parts;
	b->blocks.base_bytes = cfg->offset_bytes;
	slots_init(b);
	b->front = (struct block_front){&front_ops, cfg->iodepth, -1};
	if (cfg->think_us) {
		if (bench_think_init(&b->think) < 0)
			goto err_parts;
		b->front.event_fd = b->think.event_fd;
	}
	return b;

err_parts:
	bench_destroy(b);
err_memory:
	error_set(err, -ENOMEM, "bench: out of memory");
	return NULL;
}

size_t bench_bytes(const struct bench *b)
{
	return sizeof(*b) + b->cfg.iodepth * (sizeof(*b->slots) + sizeof(*b->free_tags)) +
	       (b->blocks.generations ? b->blocks.block_count * sizeof(*b->blocks.generations) : 0);
}

void bench_destroy(struct bench *b)
{
	if (!b)
		return;
	if (b->front.ops && b->front.event_fd >= 0)
		close(b->front.event_fd);
	bench_blocks_fini(&b->blocks);
	free(b->free_tags);
	free(b->slots);
	free(b);
}

struct block_front *bench_front(struct bench *b)
{
	return &b->front;
}

bool bench_done(const struct bench *b)
{
	return __atomic_load_n(&b->is_done, __ATOMIC_ACQUIRE);
}

static void result_add(struct bench_result *sum, const struct bench *b)
{
	const struct bench_result *r = &b->result;
	uint64_t elapsed_us = (b->end_ns - b->start_ns) / 1000;

	for (unsigned i = 0; i < 2; i++) {
		sum->ios[i] += r->ios[i];
		sum->bytes[i] += r->bytes[i];
	}
	sum->errors += r->errors;
	sum->verify_errors += r->verify_errors;
	sum->verified_blocks += r->verified_blocks;
	if (sum->verify_text[0] == '\0')
		memcpy(sum->verify_text, r->verify_text, sizeof(sum->verify_text));
	if (elapsed_us > sum->elapsed_us)
		sum->elapsed_us = elapsed_us;
}

void bench_result(struct bench *const *b, unsigned count, struct bench_result *out)
{
	static struct bench_hist all; /* the control thread's; large for a stack */

	memset(out, 0, sizeof(*out));
	memset(&all, 0, sizeof(all));
	for (unsigned i = 0; i < count; i++) {
		result_add(out, b[i]);
		bench_hist_merge(&all, &b[i]->hist);
	}
	out->p50_us = bench_hist_us(&all, 0.5);
	out->p99_us = bench_hist_us(&all, 0.99);
	out->p999_us = bench_hist_us(&all, 0.999);
	out->max_us = (double)all.max_ns / 1000;
	if (all.count)
		out->mean_us = (double)all.sum_ns / (double)all.count / 1000;
}
