/*
 * engine_fault.c - faults made on purpose, for tests
 *
 * Each is a command to workers or a word of a pool; without fault injection none does anything.
 * Control thread.
 */
#include "daemon/engine/engine_fault.h"

#include <errno.h>
#include <string.h>
#include <rte_common.h>
#include "daemon/engine/engine_info.h"
#include "dataplane/alloc_trap.h"

int engine_starve(struct engine *e, bool on)
{
	struct worker_cmd cmd = {.type = WORKER_STARVE, .n = on};

	if (!SLUICE_FAULT_INJECTION)
		return -ENOTSUP;
	ports_post_all(engine_ports(e), &cmd);
	return 0;
}

int engine_level(struct engine *e, const char *level, struct error *err)
{
	static const char *const names[] = {"off", "green", "yellow", "red"};
	unsigned i, k, port, queue;

	if (!SLUICE_FAULT_INJECTION)
		return error_set(err, -ENOTSUP,
			"this build has no fault injection; configure it with "
			"-Dfault_injection=true");
	for (k = 0; k < RTE_DIM(names) && strcmp(level, names[k]) != 0; k++)
		;
	if (k == RTE_DIM(names))
		return error_set(err, -EINVAL,
			"level %s is not known; give green, yellow, red or off", level);
	for (i = 0; ports_pool_at(engine_ports(e), i, &port, &queue); i++)
		reserve_fault_level(ports_queue(engine_ports(e), port, queue)->rx, (int)k - 1);
	return 0;
}

static int owner_find(const struct reserve *r, const char *name)
{
	struct reserve_owner_info owners[OWNER_MAX];
	unsigned i, n = reserve_owners(r, owners, OWNER_MAX);

	for (i = 0; i < n; i++)
		if (strcmp(owners[i].name, name) == 0)
			return owners[i].id;
	return -ENOENT;
}

int engine_fault_leak(struct engine *e, const char *owner, uint32_t count)
{
	struct worker_cmd cmd = {.type = WORKER_LEAK, .n = count};
	unsigned i;
	int id;

	if (!SLUICE_FAULT_INJECTION)
		return -ENOTSUP;
	for (i = 0; i < engine_pool_count(e); i++) {
		id = owner_find(engine_pool(e, i), owner);
		if (id < 0)
			continue;
		cmd.a = (void *)(uintptr_t)id;
		return worker_post(engine_worker(e, i), &cmd, NULL) ? 0 : -EAGAIN;
	}
	return -ENOENT;
}

int engine_fault_refill(struct engine *e, uint32_t count)
{
	struct worker_cmd cmd = {.type = WORKER_REFILL_FAIL, .n = count};

	if (!SLUICE_FAULT_INJECTION)
		return -ENOTSUP;
	/* The first only: that the others are not touched is what can be claimed then. */
	return worker_post(engine_worker(e, 0), &cmd, NULL) ? 0 : -EAGAIN;
}

bool engine_spring_alloc_trap(struct engine *e)
{
	struct worker_cmd cmd = {.type = WORKER_ALLOC};

	return !alloc_trap_is_built() || worker_post(engine_worker(e, 0), &cmd, NULL);
}
