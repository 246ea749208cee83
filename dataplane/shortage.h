/*
 * shortage.h - is the machine short of memory
 */
#ifndef DATAPLANE_SHORTAGE_H
#define DATAPLANE_SHORTAGE_H

#include <stdbool.h>
#include <stdint.h>

/* What the kernel counted since it started. */
struct shortage_reading {
	uint64_t stalled_us; /* time in which some task waited for memory */
	uint64_t reclaimed;  /* pages that its own thread had to make free */
};

struct shortage {
	struct shortage_reading last;
	uint64_t read_us; /* when that was; 0 = never */
	uint64_t felt_us; /* when memory was short, last */
	bool is_short;
};

/*
 * Finds both in the texts of /proc/pressure/memory and /proc/vmstat. Out: true with *out; false where a kernel
 * does not count them.
 */
bool shortage_read(const char *pressure, const char *vmstat, struct shortage_reading *out);
/* Takes in a reading. Out: is_short. */
bool shortage_update(struct shortage *s, const struct shortage_reading *r, uint64_t now_us);

#endif
