/*
 * engine_fault.h - faults made on purpose, for tests
 */
#ifndef DAEMON_ENGINE_ENGINE_FAULT_H
#define DAEMON_ENGINE_ENGINE_FAULT_H

#include "daemon/engine/engine.h"

/* Control thread. -ENOTSUP: built without fault injection. */
int engine_starve(struct engine *e, bool on); /* 0, -ENOTSUP */
/* Holds every pool at level "green", "yellow" or "red"; "off" ends it. 0, or -errno with @err. */
int engine_level(struct engine *e, const char *level, struct error *err);
/* Loses @count mbufs in the name of @owner. 0, -ENOENT, -ENOTSUP; -EAGAIN: the worker's command
 * ring is full */
int engine_fault_leak(struct engine *e, const char *owner, uint32_t count);
int engine_fault_refill(
	struct engine *e, uint32_t count);	 /* of the first worker; 0, -ENOTSUP, -EAGAIN */
bool engine_spring_alloc_trap(struct engine *e); /* false: the command ring is full, try again */

#endif
