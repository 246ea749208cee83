/*
 * bench.h - a block front end that makes its own load, so the path below ublk runs anywhere
 *
 * fio's words and units. Verify: each block carries its offset, a generation and a checksum, so a
 * read proves that it is the last data written there.
 */
#ifndef NBD_CLIENT_BENCH_BENCH_H
#define NBD_CLIENT_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/error.h"
#include "nbd_client/block.h"

enum bench_rw { BENCH_READ, BENCH_WRITE, BENCH_RANDREAD, BENCH_RANDWRITE, BENCH_RW, BENCH_RANDRW };

struct bench_config {
	enum bench_rw rw;
	uint32_t bs_min, bs_max; /* bytes; "4k" or "4k-256k" */
	uint16_t iodepth;
	uint64_t runtime_us; /* 0 = until size is covered once */
	uint64_t offset_bytes; /* where the region begins; a multiple of bs_min */
	uint64_t size_bytes;   /* region used; 0 = to the end of the export */
	uint32_t rwmix_read_pct; /* default 50 */
	bool verify;
	uint64_t seed;
	bool is_idle; /* attached, and asks for nothing */
	uint64_t think_us; /* pause after each answer before the next request is due; 0 = none */
	struct block_limits limits;
	struct stream_buf *buf; /* iodepth * bs_max */
};

/* "--rw=randread --bs=4k …" words to numbers. 0 or -EINVAL with @err. */
int bench_rw_parse(const char *text, enum bench_rw *out, struct error *err);
int bench_size_parse(const char *text, uint64_t *bytes, struct error *err); /* "4k" "1m" "64" */

struct bench;
struct bench *bench_create(const struct bench_config *cfg, struct error *err); /* control thread */
size_t bench_bytes(const struct bench *b); /* what it takes of memory, cfg->buf apart */
void bench_destroy(struct bench *b);
struct block_front *bench_front(struct bench *b);
/*
 * The application's part where there are pauses (think_us), from one thread of its own: asks for
 * the request that is due, and wakes the worker. Out: nanoseconds until the next is due;
 * UINT64_MAX: not before an answer, or no pauses.
 */
uint64_t bench_ask(struct bench *b);
bool bench_done(const struct bench *b); /* any thread */

struct bench_result {
	uint64_t elapsed_us;
	uint64_t ios[2], bytes[2];	/* read, write */
	uint64_t errors, verify_errors, verified_blocks;
	double p50_us, p99_us, p999_us, mean_us, max_us;
	char verify_text[160]; /* the first block found wrong: where and how; empty if none */
};
/* Of @count benches that ran side by side, as if they were one. All done. */
void bench_result(struct bench *const *b, unsigned count, struct bench_result *out);

#endif
