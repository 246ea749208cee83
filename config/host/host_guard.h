/*
 * host_guard.h - keeps the kernel's TCP away from ports that are ours, on an interface both hear
 */
#ifndef CONFIG_HOST_GUARD_H
#define CONFIG_HOST_GUARD_H

#include <stdint.h>
#include "config/error.h"

struct host_guard;

/*
 * From now on the kernel drops what comes in by @iface for the TCP ports @ports, @count of them,
 * before its TCP sees it; packet sockets see it still. Control thread; may allocate. NULL with
 * @err: no root, or a kernel without nf_tables. It ends with host_guard_destroy(), and however the
 * process ends.
 */
struct host_guard *host_guard_create(
	const char *iface, const uint16_t *ports, unsigned count, struct error *err);
void host_guard_destroy(struct host_guard *g); /* NULL is fine */

#endif
