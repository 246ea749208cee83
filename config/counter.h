/*
 * counter.h - a counter with one writer, read by other threads
 *
 * A plain load and a relaxed store: no bus lock, no torn value. A reader may see it a turn late.
 * Not for a counter that two threads add to.
 */
#ifndef CONFIG_COUNTER_H
#define CONFIG_COUNTER_H

#include <stdint.h>

/* Adds @n; the thread that owns *@counter. */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* Any thread. */
static inline uint64_t counter_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
