/*
 * test_bench.c - bench against a disk in memory: what it asks for, and what it notices
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include "dataplane/net/stream.h"
#include "nbd_client/bench/bench.h"
#include "tests/unit/between.h"

#define DISK_BYTES (1u << 20)

struct rig {
	struct bench_config cfg;
	struct bench *b;
	struct block_front *f;
	struct stream_buf buf;
	uint8_t *disk;
	struct block_req *held[64];
	unsigned held_count, requests[BLOCK_OP_COUNT];
	uint8_t touched[DISK_BYTES / 4096];
	uint64_t now_us, random;
	int result;
};

static struct rig *rig_new(enum bench_rw rw)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->disk = calloc(1, DISK_BYTES);
	r->cfg = (struct bench_config){
		.rw = rw,
		.bs_min = 4096,
		.bs_max = 4096,
		.iodepth = 8,
		.rwmix_read_pct = 50,
		.seed = 3,
		.limits = {.size_bytes = DISK_BYTES, .block_min = 512, .can_flush = true},
	};
	r->now_us = 1000;
	r->random = 5;
	return r;
}

static void rig_start(struct rig *r)
{
	struct error err;

	r->buf.bytes = r->cfg.iodepth * r->cfg.bs_max;
	r->buf.base = malloc(r->buf.bytes);
	r->cfg.buf = &r->buf;
	r->b = bench_create(&r->cfg, &err);
	assert_non_null(r->b);
	r->f = bench_front(r->b);
}

static void rig_free(struct rig *r)
{
	bench_destroy(r->b);
	free(r->buf.base);
	free(r->disk);
	free(r);
}

static bool overlaps(const struct block_req *a, const struct block_req *b)
{
	return a->op != BLOCK_FLUSH && b->op != BLOCK_FLUSH && a->offset < b->offset + b->bytes &&
	       b->offset < a->offset + a->bytes;
}

static void take(struct rig *r)
{
	struct block_req *reqs[4];
	unsigned n = r->f->ops->take(r->f, reqs, 4, r->now_us);

	assert_true(n <= 4 && r->held_count + n <= r->cfg.iodepth);
	for (unsigned i = 0; i < n; i++) {
		for (unsigned j = 0; r->cfg.verify && j < r->held_count; j++)
			assert_false(overlaps(reqs[i], r->held[j]));
		r->held[r->held_count++] = reqs[i];
		r->requests[reqs[i]->op]++;
		if (reqs[i]->op != BLOCK_FLUSH)
			r->touched[reqs[i]->offset / 4096]++;
	}
}

/* Completes one held request, any of them. */
static void complete(struct rig *r)
{
	unsigned i;
	struct block_req *req;

	if (r->held_count == 0)
		return;
	r->random = r->random * 6364136223846793005ull + 1442695040888963407ull;
	i = (unsigned)((r->random >> 33) % r->held_count);
	req = r->held[i];
	r->held[i] = r->held[--r->held_count];
	assert_true(req->op == BLOCK_FLUSH || req->offset + req->bytes <= DISK_BYTES);
	if (req->op == BLOCK_WRITE && r->result == 0)
		memcpy(r->disk + req->offset, req->buf, req->bytes);
	else if (req->op == BLOCK_READ)
		memcpy(req->buf, r->disk + req->offset, req->bytes);
	r->f->ops->complete(r->f, req, r->result);
}

static struct bench_result run(struct rig *r)
{
	struct bench_result out;

	for (unsigned i = 0; i < 100000 && !bench_done(r->b); i++) {
		take(r);
		complete(r);
		r->f->ops->kick(r->f);
		r->now_us += 10;
	}
	assert_true(bench_done(r->b));
	assert_int_equal(r->held_count, 0);
	assert_false(r->f->ops->pending(r->f));
	bench_result(&r->b, 1, &out);
	return out;
}

static void bench_covers_the_region_once_without_a_time(void **state)
{
	static const enum bench_rw kinds[] = {
		BENCH_READ, BENCH_WRITE, BENCH_RANDREAD, BENCH_RANDWRITE, BENCH_RANDRW};

	for (unsigned k = 0; k < 5; k++) {
		for (unsigned blocks = 1; blocks <= 256; blocks = blocks * 3 + 1) {
			struct rig *r = rig_new(kinds[k]);
			struct bench_result out;

			r->cfg.size_bytes = blocks * 4096;
			rig_start(r);
			out = run(r);
			assert_int_equal(out.ios[0] + out.ios[1], blocks);
			for (unsigned i = 0; i < 256; i++)
				assert_int_equal(r->touched[i], i < blocks);
			assert_int_equal(r->requests[BLOCK_FLUSH], out.ios[1] > 0);
			rig_free(r);
		}
	}
}

static void bench_keeps_the_mix_and_the_sizes(void **state)
{
	struct rig *r = rig_new(BENCH_RANDRW);
	struct bench_result out;

	r->cfg.bs_max = 16384;
	r->cfg.runtime_us = 200000;
	r->cfg.rwmix_read_pct = 70;
	rig_start(r);
	out = run(r);
	assert_true(out.ios[0] > out.ios[1]);
	assert_between(out.ios[0] * 100 / (out.ios[0] + out.ios[1]), 65, 75);
	assert_between(out.bytes[0] / out.ios[0], 9000, 11500); /* mean of 4, 8, 12, 16 KiB */
	assert_true(out.p50_us <= out.p99_us && out.p99_us <= out.max_us * 1.02);
	rig_free(r);
}

static void bench_verifies_what_it_wrote(void **state)
{
	struct rig *r = rig_new(BENCH_RANDRW);
	struct bench_result out;

	r->cfg.verify = true;
	r->cfg.bs_max = 32768;
	r->cfg.runtime_us = 300000;
	rig_start(r);
	out = run(r);
	assert_int_equal(out.verify_errors, 0);
	assert_int_equal(out.errors, 0);
	assert_true(out.verified_blocks > 1000);
	rig_free(r);
}

static void bench_notices_a_disk_that_forgets_a_write(void **state)
{
	struct rig *r = rig_new(BENCH_WRITE);
	struct bench_result out;
	uint8_t old[4096];

	r->cfg.verify = true;
	r->cfg.runtime_us = 5300; /* twice over the region and a bit: every block has gone twice */
	r->cfg.size_bytes = 64 * 4096;
	rig_start(r);
	for (unsigned i = 0; i < 100; i++) {
		take(r);
		complete(r);
		r->now_us += 10;
	}
	memcpy(old, r->disk + 20 * 4096, sizeof(old));
	while (r->requests[BLOCK_FLUSH] == 0) {
		take(r);
		complete(r);
		r->now_us += 10;
	}
	memcpy(r->disk + 20 * 4096, old, sizeof(old));
	out = run(r);
	assert_int_equal(out.verify_errors, 1);
	assert_has(out.verify_text, "offset 81920: stale");
	rig_free(r);
}

static void bench_read_checks_an_earlier_runs_data(void **state)
{
	struct rig *w = rig_new(BENCH_WRITE), *r = rig_new(BENCH_RANDREAD);
	struct bench_result out;

	w->cfg.verify = r->cfg.verify = true;
	rig_start(w);
	run(w);
	rig_start(r);
	memcpy(r->disk, w->disk, DISK_BYTES);
	r->disk[DISK_BYTES / 2 + 77] ^= 1;
	out = run(r);
	assert_int_equal(out.verified_blocks, 256);
	assert_int_equal(out.verify_errors, 1);
	rig_free(w);
	rig_free(r);
}

static void bench_counts_errors_and_goes_on(void **state)
{
	struct rig *r = rig_new(BENCH_WRITE);
	struct bench_result out;

	r->cfg.verify = true;
	r->result = -EIO;
	rig_start(r);
	out = run(r);
	assert_int_equal(out.errors, 257); /* and the FLUSH */
	assert_int_equal(out.verified_blocks, 0);
	assert_int_equal(out.bytes[1], 0);
	rig_free(r);
}

static void bench_refuses_what_makes_no_sense(void **state)
{
	static const struct {
		uint32_t bs_min, bs_max;
		uint16_t iodepth;
		uint64_t size;
		bool is_read_only;
		const char *text;
	} cases[] = {
		{0, 4096, 1, 0, false, "bs 0"},
		{700, 4096, 1, 0, false, "block size 512"},
		{4096, 5000, 1, 0, false, "multiple of the smaller"},
		{4096, 2048, 1, 0, false, "multiple of the smaller"},
		{4096, 4096, 0, 0, false, "iodepth 0"},
		{4096, 4096, 1000, 0, false, "iodepth 1000"},
		{4096, 4096, 1, 2 * DISK_BYTES, false, "size 2097152"},
		{4096, 8192, 1, 4096, false, "size 4096"},
		{4096, 4096, 1, 0, true, "read-only"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *r = rig_new(BENCH_RANDRW);
		struct error err;

		r->cfg.bs_min = cases[i].bs_min;
		r->cfg.bs_max = cases[i].bs_max;
		r->cfg.iodepth = cases[i].iodepth;
		r->cfg.size_bytes = cases[i].size;
		r->cfg.limits.is_read_only = cases[i].is_read_only;
		assert_null(bench_create(&r->cfg, &err));
		assert_has(err.text, cases[i].text);
		rig_free(r);
	}
}

static void bench_words_and_units_are_fios(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0}, {"64", 64}, {"4k", 4096}, {"4K", 4096}, {"1m", 1 << 20},
		{"2G", 2ull << 30}, {"1t", 1ull << 40}, {"4KiB", 4096}};
	static const char *const bad[] = {
		"", "k", "-1", "4x", "4kk", " 4", "99999999999999999999", "20000000t"};
	struct error err;
	enum bench_rw rw;
	uint64_t bytes;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(bench_size_parse(good[i].text, &bytes, &err), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(bench_size_parse(bad[i], &bytes, &err), -EINVAL);
	assert_int_equal(bench_rw_parse("randrw", &rw, &err), 0);
	assert_int_equal(rw, BENCH_RANDRW);
	assert_int_equal(bench_rw_parse("readwrite", &rw, &err), 0);
	assert_int_equal(rw, BENCH_RW);
	assert_int_equal(bench_rw_parse("trim", &rw, &err), -EINVAL);
	assert_has(err.text, "randrw");
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void bench_waits_after_an_answer_until_the_application_asks(void **state)
{
	struct rig *r = rig_new(BENCH_RANDREAD);
	struct bench_result result;
	struct timespec pause = {.tv_nsec = 30000000};
	uint64_t next_ns, before_us;

	r->cfg.iodepth = 1;
	r->cfg.think_us = 20000;
	rig_start(r);
	assert_int_equal(bench_ask(r->b), UINT64_MAX);
	take(r);
	assert_int_equal(r->held_count, 1);
	r->f->ops->complete(r->f, r->held[--r->held_count], 0);
	next_ns = bench_ask(r->b);
	assert_true(next_ns > 0 && next_ns <= 20000000);
	assert_false(r->f->ops->pending(r->f));
	take(r);
	assert_int_equal(r->held_count, 0);
	nanosleep(&pause, NULL);
	/* Due, but nobody has asked. */
	assert_false(r->f->ops->pending(r->f));
	assert_false(is_readable(r->f->event_fd));
	before_us = now_us();
	assert_int_equal(bench_ask(r->b), UINT64_MAX);
	assert_true(is_readable(r->f->event_fd));
	assert_true(r->f->ops->pending(r->f));
	/* It is asked for once, and its latency counts from there, whenever the worker comes for
	 * it. */
	assert_int_equal(bench_ask(r->b), UINT64_MAX);
	nanosleep(&pause, NULL);
	take(r);
	assert_int_equal(r->held_count, 1);
	r->f->ops->complete(r->f, r->held[--r->held_count], 0);
	bench_result(&r->b, 1, &result);
	assert_true(result.max_us >= 29000 && result.max_us <= (double)(now_us() - before_us + 1));
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bench_covers_the_region_once_without_a_time),
		cmocka_unit_test(bench_keeps_the_mix_and_the_sizes),
		cmocka_unit_test(bench_verifies_what_it_wrote),
		cmocka_unit_test(bench_notices_a_disk_that_forgets_a_write),
		cmocka_unit_test(bench_read_checks_an_earlier_runs_data),
		cmocka_unit_test(bench_counts_errors_and_goes_on),
		cmocka_unit_test(bench_refuses_what_makes_no_sense),
		cmocka_unit_test(bench_waits_after_an_answer_until_the_application_asks),
		cmocka_unit_test(bench_words_and_units_are_fios),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
