/*
 * port_shortage.c - while the kernel is short of memory its frames are rationed
 *
 * The control thread looks twice a second, and tells the exception ports what it finds; what comes
 * of that is in slow_path.c.
 */
#include "config/log.h"
#include "daemon/engine/engine_impl.h"

#define LOOK_US 500000u

void engine_shortage_start(struct engine *e)
{
	struct host_memory_want want;

	if (host_memory_want(&want))
		log_info("the kernel does not report shortage of memory (/proc/pressure/memory; "
			 "boot it with psi=1): other "
			 "traffic is never rationed");
}

static void tell(struct engine *e, bool is_short)
{
	for (unsigned i = 0; i < e->port_count; i++)
		if (e->ports[i].exception)
			exception_ration(e->ports[i].exception, is_short);
	if (is_short)
		log_warn("the kernel is short of memory: other traffic on its way there is "
			 "rationed");
	else
		log_info("the kernel has memory again: other traffic is not rationed any more");
}

void engine_shortage_poll(struct engine *e, uint64_t now_us)
{
	struct engine_shortage *s = &e->shortage;
	bool was_short = s->is.is_short;
	struct host_memory_want want;

	if (now_us < s->due_us)
		return;
	s->due_us = now_us + LOOK_US;
	if (host_memory_want(&want) == 0 && shortage_update(&s->is, &want, now_us) != was_short) {
		s->count += !was_short;
		tell(e, !was_short);
	}
}

enum engine_memory_state engine_kernel_memory(const struct engine *e, uint64_t *shortages)
{
	*shortages = e->shortage.count;
	if (!e->shortage.is.read_us)
		return KERNEL_MEMORY_UNKNOWN;
	return e->shortage.is.is_short ? KERNEL_MEMORY_SHORT : KERNEL_MEMORY_ENOUGH;
}
