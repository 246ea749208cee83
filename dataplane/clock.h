/*
 * clock.h - microseconds out of the TSC, without a division or a syscall
 *
 * us = (tsc * mult) >> 32 with 128-bit arithmetic. Monotonic where the TSC is invariant, which DPDK
 * asks of its machines anyway. Read once a turn: everything in a turn happens at one time.
 */
#ifndef DATAPLANE_CLOCK_H
#define DATAPLANE_CLOCK_H

#include <stdint.h>
#include <rte_cycles.h>

struct clock {
	uint64_t mult; /* microseconds per tick, 32.32 fixed point scaled by 2^32 */
};

static inline void clock_init(struct clock *c)
{
	c->mult = (uint64_t)(((unsigned __int128)1000000 << 32) / rte_get_tsc_hz());
}

static inline uint64_t clock_now_us(const struct clock *c)
{
	return (uint64_t)(((unsigned __int128)rte_rdtsc() * c->mult) >> 32);
}

#endif
