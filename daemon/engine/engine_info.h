/*
 * engine_info.h - what the engine can tell about itself
 */
#ifndef DAEMON_ENGINE_ENGINE_INFO_H
#define DAEMON_ENGINE_ENGINE_INFO_H

#include "daemon/engine/engine.h"

/* ---- ports and devices ---- */
unsigned engine_port_count(const struct engine *e);
void engine_port_info(struct engine *e, unsigned idx, struct ports_info *out);

/* Fills @out with the volumes there are. Out: their number. */
unsigned engine_device_list(struct engine *e, struct device_info *out, unsigned max);

/* ---- pools and workers: RX pools, in port and queue order ---- */
unsigned engine_pool_count(const struct engine *e);
const struct reserve *engine_pool(const struct engine *e, unsigned idx);
/* The exception port's pool beside RX pool @idx: held packets, and the kernel's own. NULL: none. */
const struct reserve *engine_exception_pool(const struct engine *e, unsigned idx);
/* The sum of an RX pool with its numbers, as last computed. */
const struct reserve_sum *engine_sum(
	const struct engine *e, unsigned pool_idx, uint32_t *total, uint32_t *floor);
unsigned engine_worker_count(const struct engine *e);
struct worker *engine_worker(struct engine *e, unsigned idx);
/* full (true) or partial; @why is one line either way. */
bool engine_guarantee(const struct engine *e, const char **why);

/* ---- memory, by what takes it: terms of a worker, or of what the workers share. All of it is
 * resident. ---- */
struct engine_memory_term {
	const char *name;
	uint64_t count, bytes; /* of them, all together */
};
struct engine_memory {
	struct engine_memory_term terms[10];
	unsigned term_count;
	uint64_t bytes;	   /* their sum */
	uint64_t resident; /* of the process: what the kernel counts, all workers included */
};
/* MiB that @cfg needs, with room for devices attached later: what must be free before the start. */
uint32_t engine_memory_mib(const struct config *cfg);
/* What DPDK takes of it at start, into @facts, of which has_hugepages is set. */
void engine_memory_start(const struct config *cfg, struct engine_facts *facts);
void engine_memory_worker(const struct engine *e, unsigned pool_idx, struct engine_memory *out);
void engine_memory_process(const struct engine *e, struct engine_memory *out);

/* Is the kernel short of memory (port_shortage.c), and how often has it been. */
enum engine_memory_state { KERNEL_MEMORY_UNKNOWN, KERNEL_MEMORY_ENOUGH, KERNEL_MEMORY_SHORT };
enum engine_memory_state engine_kernel_memory(const struct engine *e, uint64_t *shortages);

#endif
