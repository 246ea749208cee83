/*
 * shortage.h - is the machine short of memory
 */
#ifndef DAEMON_ENGINE_SHORTAGE_H
#define DAEMON_ENGINE_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>
#include "config/host/host.h"

struct shortage {
	struct host_memory_want last;
	uint64_t read_us; /* when that was; 0 = never */
	uint64_t felt_us; /* when memory was short, last */
	bool is_short;
};

/* Takes in a reading. Out: is_short. */
bool shortage_update(struct shortage *s, const struct host_memory_want *r, uint64_t now_us);

#endif
