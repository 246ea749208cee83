/*
 * port_shortage.c - limits frames passed to the kernel while it is short of memory
 *
 * The control thread checks twice a second, and tells the exception ports the result; what comes
 * of that is in slow_path.c.
 */
#include "config/log.h"
#include "daemon/engine/ports_impl.h"

#define LOOK_US 500000u

void ports_shortage_start(struct ports *ps)
{
	struct host_memory_want want;

	if (host_memory_want(&want))
		log_info("the kernel does not report shortage of memory (/proc/pressure/memory; "
			 "boot it with psi=1): non-storage traffic is never limited");
}

static void tell(struct ports *ps, bool is_short)
{
	for (unsigned i = 0; i < ps->count; i++)
		if (ps->list[i].exception)
			exception_ration(ps->list[i].exception, is_short);
	if (is_short)
		log_warn("the kernel is short of memory: non-storage traffic passed to it is "
			 "limited");
	else
		log_info("the kernel has free memory again: non-storage traffic is no longer "
			 "limited");
}

void ports_shortage_poll(struct ports *ps, uint64_t now_us)
{
	struct ports_shortage *s = &ps->shortage;
	bool was_short = s->is.is_short;
	struct host_memory_want want;

	if (now_us < s->due_us)
		return;
	s->due_us = now_us + LOOK_US;
	if (host_memory_want(&want) == 0 && shortage_update(&s->is, &want, now_us) != was_short) {
		s->count += !was_short;
		tell(ps, !was_short);
	}
}

bool ports_is_short(const struct ports *ps, bool *is_known, uint64_t *times)
{
	*times = ps->shortage.count;
	*is_known = ps->shortage.is.read_us != 0;
	return *is_known && ps->shortage.is.is_short;
}
