/*
 * virtual_time.h - put before every file of the engine that a test compiles: its clock is the
 * test's
 *
 * The engine reads the time from the TSC (dataplane/clock.h). Here a tick is a microsecond and the
 * test turns the counter, so that deadlines of a minute pass in no time and at the same place on
 * every run.
 */
#ifndef TESTS_UNIT_DAEMON_VIRTUAL_TIME_H
#define TESTS_UNIT_DAEMON_VIRTUAL_TIME_H

#include <stdint.h>
#include <rte_cycles.h>

extern uint64_t virtual_us; /* engine_world.c */

#define rte_rdtsc()	 virtual_us
#define rte_get_tsc_hz() ((uint64_t)1000000)

#endif
