/*
 * rnd.h - the simulator's randomness: one 64-bit state, the same numbers from the same seed
 * anywhere
 */
#ifndef SIM_RND_H
#define SIM_RND_H

#include <stdbool.h>
#include <stdint.h>

struct rnd {
	uint64_t state;
};

/* splitmix64: passes the usual batteries and every state is good. */
static inline uint64_t rnd_mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint64_t rnd_next(struct rnd *r)
{
	r->state += 0x9e3779b97f4a7c15u;
	return rnd_mix(r->state);
}

/* 0 <= result < n. */
static inline uint64_t rnd_below(struct rnd *r, uint64_t n)
{
	return n ? rnd_next(r) % n : 0;
}

/* lo <= result <= hi. */
static inline uint64_t rnd_in(struct rnd *r, uint64_t lo, uint64_t hi)
{
	return lo + rnd_below(r, hi - lo + 1);
}

static inline bool rnd_ppm(struct rnd *r, uint32_t ppm)
{
	return rnd_below(r, 1000000) < ppm;
}

static inline bool rnd_pct(struct rnd *r, uint32_t pct)
{
	return rnd_below(r, 100) < pct;
}

/* 0 <= result <= max, every magnitude about as likely as the next. */
static inline uint64_t rnd_log(struct rnd *r, uint64_t max)
{
	unsigned bits = max ? 64 - (unsigned)__builtin_clzll(max) : 0;
	uint64_t cap = (uint64_t)1 << rnd_below(r, bits + 1);
	uint64_t value = rnd_below(r, cap);

	return value > max ? max : value;
}

#endif
