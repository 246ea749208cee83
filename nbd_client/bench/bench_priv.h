/*
 * bench_priv.h - what bench.c and its parts share
 */
#ifndef NBD_CLIENT_BENCH_BENCH_PRIV_H
#define NBD_CLIENT_BENCH_BENCH_PRIV_H

#include <stddef.h>
#include "config/limits.h"
#include "nbd_client/bench/bench.h"

/* ---- bench_hist.c: latencies in nanoseconds, log-linear ---- */
#define HIST_SUB_BITS 6	 /* 64 buckets an octave: an error of at most 1.6 % */
#define HIST_OCTAVES  36 /* up to 2^41 ns, half an hour */
#define HIST_BUCKETS  ((HIST_OCTAVES + 1) << HIST_SUB_BITS)

struct bench_hist {
	uint64_t count, sum_ns, max_ns;
	uint64_t buckets[HIST_BUCKETS];
};
void bench_hist_add(struct bench_hist *h, uint64_t ns);
void bench_hist_merge(struct bench_hist *h, const struct bench_hist *other);
/* The latency @share (0 to 1) of the requests did not exceed, in microseconds; 0 if none were. */
double bench_hist_us(const struct bench_hist *h, double share);

/* ---- bench_think.c: pauses, and who ends them ---- */
struct bench_think {
	int event_fd;		  /* wakes the worker; closed by the owner of the front end */
	uint64_t due_ns, due;	  /* the worker's: when the next request is due, and its number */
	uint64_t asked_ns, asked; /* the application's: when it asked, and for which */
};
int bench_think_init(struct bench_think *t); /* 0, or -1 if there is no descriptor left */
void bench_think_until(struct bench_think *t, uint64_t due_ns); /* worker */
bool bench_think_is_over(
	const struct bench_think *t); /* worker: the request was asked for; asked_ns is valid */
/* Any one thread: asks for a request that is due. Out: nanoseconds until the next is; UINT64_MAX
 * not before an answer. */
uint64_t bench_think_ask(struct bench_think *t, uint64_t now_ns);

/* ---- bench_verify.c: what each block must hold ---- */
#define BENCH_UNIT_BYTES NBD_BLOCK_BYTES_MIN

struct bench_blocks {
	uint64_t seed;
	uint64_t base_bytes; /* offset of block 0 */
	uint32_t block_bytes;
	uint64_t block_count;
	uint32_t
		*generations; /* of the last write to each block, 0 = unknown; top bit: in flight */
};
/* Allocates the table; 0, -ENOMEM. fini accepts zeroed memory. */
int bench_blocks_init(
	struct bench_blocks *t, uint64_t seed, uint32_t block_bytes, uint64_t block_count);
void bench_blocks_fini(struct bench_blocks *t);

bool bench_blocks_is_free(const struct bench_blocks *t, uint64_t first, uint64_t count);
bool bench_blocks_is_known(const struct bench_blocks *t, uint64_t block);
/* Marks blocks in flight; a write also gives each its next generation. */
void bench_blocks_begin(struct bench_blocks *t, uint64_t first, uint64_t count, bool is_write);
/* @is_lost: a write failed, the content of the blocks is unknown. */
void bench_blocks_end(struct bench_blocks *t, uint64_t first, uint64_t count, bool is_lost);

/* Fills @bytes bytes at @offset with what their blocks' generations ask for. */
void bench_fill(const struct bench_blocks *t, uint64_t offset, uint8_t *out, uint32_t bytes);

/*
 * Checks data that was read. Blocks of unknown generation are passed over; with no table at all
 * (generations NULL) any generation is right. Out: blocks that are wrong; *checked counts those
 * looked at, the first wrong one is described in @text if that is empty.
 */
uint32_t bench_check(const struct bench_blocks *t, uint64_t offset, const uint8_t *data,
	uint32_t bytes, uint64_t *checked, char *text, size_t text_bytes);

#endif
