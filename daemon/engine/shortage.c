/*
 * shortage.c - is the machine short of memory
 *
 * Packets lie in hugepages that the kernel does not reclaim, so the depth of the reserve does not
 * show the kernel's memory. The kernel does. Pressure stall information
 * (Documentation/accounting/psi.rst) is the time in which some task could not go on because it
 * waited for memory: for a page to be made free, or for one that was pushed out too early to be
 * read back. A tenth of the time is a shortage. But a task in a cgroup at its own limit waits just
 * so while the machine has plenty, and that is no business of ours: so the kernel's own thread,
 * which makes pages free when the machine runs out of them, must have been at it too.
 *
 * It is over when neither was so for OVER_US: a storm draws breath.
 *
 * Pure: counters and time go in.
 */
#include "daemon/engine/shortage.h"

#define STALL_PCT     10u
#define RECLAIM_COUNT 32u /* pages between two readings: what kswapd takes at a time */
#define OVER_US	      5000000u

static bool is_felt(const struct shortage *s, const struct host_memory_want *r, uint64_t now_us)
{
	return s->read_us && r->reclaimed - s->last.reclaimed >= RECLAIM_COUNT &&
	       (r->stalled_us - s->last.stalled_us) * 100 >= (now_us - s->read_us) * STALL_PCT;
}

bool shortage_update(struct shortage *s, const struct host_memory_want *r, uint64_t now_us)
{
	if (is_felt(s, r, now_us)) {
		s->is_short = true;
		s->felt_us = now_us;
	} else if (now_us - s->felt_us > OVER_US) {
		s->is_short = false;
	}
	s->last = *r;
	s->read_us = now_us;
	return s->is_short;
}
