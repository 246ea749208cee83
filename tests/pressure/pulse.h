/*
 * pulse.h - what a flood costs a storm, the flood switched on and off beside one and the same
 */
#ifndef TESTS_PRESSURE_PULSE_H
#define TESTS_PRESSURE_PULSE_H

#include <stdbool.h>
#include <stdint.h>

struct pulse_sum {
	uint64_t pages, ms;
};

struct pulse {
	const char *file; /* there is a flood while it is there; NULL: no pulses */
	uint64_t changed_ms, from_ms, from_pages;
	unsigned phase; /* 0: not yet */
	bool is_settled;
	struct pulse_sum cycle[2],
		sums[2]; /* quiet, flooded; of the cycle at hand, and of all that are whole */
};

/* @file is the caller's, and must live as long. */
void pulse_begin(struct pulse *p, const char *file);
/* To be called every tenth of a second or so while the storm is at what is to be measured, with a
 * clock of milliseconds. */
void pulse_look(struct pulse *p, uint64_t now_ms);
/* Takes the flood away and says, on stdout, what was seen. */
void pulse_end(struct pulse *p);

#endif
