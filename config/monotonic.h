/*
 * monotonic.h - CLOCK_MONOTONIC as one number, for threads that have no turn and no TSC clock
 */
#ifndef CONFIG_MONOTONIC_H
#define CONFIG_MONOTONIC_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds since some fixed moment; not counted while the machine is suspended. Any thread. */
static inline uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t monotonic_us(void)
{
	return monotonic_ns() / 1000;
}

static inline uint64_t monotonic_ms(void)
{
	return monotonic_ns() / 1000000;
}

#endif
