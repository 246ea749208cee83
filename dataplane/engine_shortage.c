/*
 * engine_shortage.c - while the kernel is short of memory its frames are rationed
 *
 * The control thread looks twice a second: two small files of /proc, read into buffers on its stack. What it finds it tells the
 * exception ports; what comes of that is in other.c.
 */
#include <fcntl.h>
#include <unistd.h>
#include "config/log.h"
#include "dataplane/engine_impl.h"

#define LOOK_US	       500000u
#define TEXT_BYTES_MAX 16384u /* /proc/vmstat of 6.12 has 5 KiB */

static bool text_read(int fd, char *text)
{
	ssize_t n = pread(fd, text, TEXT_BYTES_MAX - 1, 0);

	text[n > 0 ? n : 0] = 0;
	return n > 0;
}

static bool look(const struct engine_shortage *s, struct shortage_reading *r)
{
	char pressure[TEXT_BYTES_MAX], vmstat[TEXT_BYTES_MAX];

	return text_read(s->pressure_fd, pressure) && text_read(s->vmstat_fd, vmstat) && shortage_read(pressure, vmstat, r);
}

void engine_shortage_start(struct engine *e)
{
	struct shortage_reading r;

	e->shortage.pressure_fd = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
	e->shortage.vmstat_fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
	if (!look(&e->shortage, &r))
		log_info("the kernel does not tell when it is short of memory (/proc/pressure/memory; boot it with psi=1): other "
			 "traffic is never rationed");
}

void engine_shortage_end(struct engine *e)
{
	if (e->shortage.pressure_fd >= 0)
		close(e->shortage.pressure_fd);
	if (e->shortage.vmstat_fd >= 0)
		close(e->shortage.vmstat_fd);
}

static void tell(struct engine *e, bool is_short)
{
	for (unsigned i = 0; i < e->port_count; i++)
		if (e->ports[i].exception)
			exception_ration(e->ports[i].exception, is_short);
	if (is_short)
		log_warn("the kernel is short of memory: other traffic on its way there is rationed");
	else
		log_info("the kernel has memory again: other traffic is not rationed any more");
}

void engine_shortage_poll(struct engine *e, uint64_t now_us)
{
	struct engine_shortage *s = &e->shortage;
	bool was_short = s->is.is_short;
	struct shortage_reading r;

	if (now_us < s->due_us)
		return;
	s->due_us = now_us + LOOK_US;
	if (look(s, &r) && shortage_update(&s->is, &r, now_us) != was_short) {
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
