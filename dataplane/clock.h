/*
 * clock.h - microseconds out of the TSC, without a division or a syscall
 *
 * us = (tsc * mult) >> 32 with 128-bit arithmetic. Read once a turn: everything in a turn happens
 * at one time.
 *
 * The TSC is taken for monotonic while a machine runs. After a suspend it may begin anew, and a
 * virtual machine that moves may find a smaller one. Then time stands still for that one reading
 * and goes on from there: deadlines run on, and no difference of two times is negative. It is
 * counted.
 *
 * A clock belongs to one thread.
 */
#ifndef DATAPLANE_CLOCK_H
#define DATAPLANE_CLOCK_H

#include <stdint.h>
#include <rte_cycles.h>

struct clock {
	uint64_t mult;	    /* microseconds per tick, 32.32 fixed point scaled by 2^32 */
	uint64_t offset_us; /* what the TSC has lost by going back */
	uint64_t last_us;
	uint64_t back_count; /* times it went back */
};

static inline void clock_init(struct clock *c)
{
	*c = (struct clock){
		.mult = (uint64_t)(((unsigned __int128)1000000 << 32) / rte_get_tsc_hz())};
}

/* The time when the TSC reads @tsc. Never less than what the last call gave. */
static inline uint64_t clock_at_us(struct clock *c, uint64_t tsc)
{
	uint64_t now_us = (uint64_t)(((unsigned __int128)tsc * c->mult) >> 32) + c->offset_us;

	if (__builtin_expect(now_us < c->last_us, 0)) {
		c->offset_us += c->last_us - now_us;
		c->back_count++;
		now_us = c->last_us;
	}
	c->last_us = now_us;
	return now_us;
}

static inline uint64_t clock_now_us(struct clock *c)
{
	return clock_at_us(c, rte_rdtsc());
}

#endif
