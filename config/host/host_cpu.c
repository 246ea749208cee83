/*
 * host_cpu.c - the processors this process may run on
 *
 * A cpuset, a unit's CPUAffinity= or taskset leaves a process some processors of the machine, and
 * their numbers need neither begin at 0 nor be without gaps. The number of online processors does
 * not show this, so it is not used here. Control thread, before workers are made.
 * sched_getaffinity(2), cpuset(7).
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include "config/host/host.h"

unsigned host_cpus(uint16_t *out, unsigned max)
{
	cpu_set_t set;
	unsigned count = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0; /* more than 1024: no thread is pinned */
	for (unsigned cpu = 0; cpu < CPU_SETSIZE && count < max; cpu++)
		if (CPU_ISSET(cpu, &set))
			out[count++] = (uint16_t)cpu;
	return count;
}

void host_cpus_text(const uint16_t *cpus, unsigned count, char *out, unsigned out_bytes)
{
	unsigned at = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < count;) {
		char range[16];
		unsigned end = i;
		int len;

		while (end + 1 < count && cpus[end + 1] == cpus[end] + 1)
			end++;
		if (end > i)
			len = snprintf(
				range, sizeof(range), "%s%u-%u", at ? "," : "", cpus[i], cpus[end]);
		else
			len = snprintf(range, sizeof(range), "%s%u", at ? "," : "", cpus[i]);
		if (at + (unsigned)len >= out_bytes)
			return;
		at += (unsigned)snprintf(out + at, out_bytes - at, "%s", range);
		i = end + 1;
	}
}
