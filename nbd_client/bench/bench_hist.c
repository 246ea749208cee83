/*
 * bench_hist.c - percentiles of latency without keeping the samples
 *
 * Log-linear, as fio counts: an octave is cut into 64 equal buckets, so a percentile is off by at
 * most one part in 64 whatever its size, and adding a sample is a shift and an increment. The first
 * two octaves' worth of values (0 to 127 ns) have a bucket each.
 *
 * Always: count == sum of buckets.
 */
#include "nbd_client/bench/bench_priv.h"
#include <assert.h>

#define SUB_COUNT (1u << HIST_SUB_BITS)

static unsigned bucket_of(uint64_t ns)
{
	unsigned top, octave;

	if (ns < SUB_COUNT)
		return (unsigned)ns;
	top = 63u - (unsigned)__builtin_clzll(ns);
	octave = top - HIST_SUB_BITS; /* how far the value is shifted to keep 6 bits and the top */
	if (octave >= HIST_OCTAVES)
		return HIST_BUCKETS - 1;
	return ((octave + 1) << HIST_SUB_BITS) + (unsigned)(ns >> octave) - SUB_COUNT;
}

/* The middle of a bucket. */
static double bucket_ns(unsigned bucket)
{
	unsigned octave = bucket >> HIST_SUB_BITS;
	double low, width;

	if (octave == 0)
		return bucket;
	width = (double)(1ull << (octave - 1));
	low = (double)((bucket & (SUB_COUNT - 1)) + SUB_COUNT) * width;
	return low + (width - 1) / 2;
}

void bench_hist_add(struct bench_hist *h, uint64_t ns)
{
	h->buckets[bucket_of(ns)]++;
	h->count++;
	h->sum_ns += ns;
	if (ns > h->max_ns)
		h->max_ns = ns;
}

void bench_hist_merge(struct bench_hist *h, const struct bench_hist *other)
{
	h->count += other->count;
	h->sum_ns += other->sum_ns;
	if (other->max_ns > h->max_ns)
		h->max_ns = other->max_ns;
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		h->buckets[i] += other->buckets[i];
}

double bench_hist_us(const struct bench_hist *h, double share)
{
	uint64_t wanted = (uint64_t)((double)h->count * share), seen = 0;

	assert(share >= 0 && share <= 1);
	if (h->count == 0)
		return 0;
	if (wanted >= h->count)
		wanted = h->count - 1;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > wanted)
			return bucket_ns(i) / 1000;
	}
	assert(!"the buckets hold fewer samples than were counted");
	return 0;
}
