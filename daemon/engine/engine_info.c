/*
 * engine_info.c - what the engine can tell about itself
 *
 * Read by the control methods. Values of workers are read while they change: each is one word, and
 * a turn old at most. Control thread.
 */
#include "daemon/engine/engine_info.h"

#include "daemon/engine/engine_bench.h"

unsigned engine_port_count(const struct engine *e)
{
	return ports_count(engine_ports(e));
}

void engine_port_info(struct engine *e, unsigned idx, struct ports_info *out)
{
	ports_info(engine_ports(e), idx, out);
}

unsigned engine_device_list(struct engine *e, struct device_info *out, unsigned max)
{
	return devices_list(engine_devices(e), out, max);
}

unsigned engine_pool_count(const struct engine *e)
{
	return ports_pool_count(engine_ports(e));
}

unsigned engine_worker_count(const struct engine *e)
{
	return engine_pool_count(e);
}

static const struct ports_queue *queue_at(const struct engine *e, unsigned idx)
{
	unsigned port, queue;

	return ports_pool_at(engine_ports(e), idx, &port, &queue)
		       ? ports_queue(engine_ports(e), port, queue)
		       : NULL;
}

const struct reserve *engine_pool(const struct engine *e, unsigned idx)
{
	const struct ports_queue *q = queue_at(e, idx);

	return q ? q->rx : NULL;
}

const struct reserve *engine_exception_pool(const struct engine *e, unsigned idx)
{
	const struct ports_queue *q = queue_at(e, idx);

	return q ? q->exception : NULL;
}

struct worker *engine_worker(struct engine *e, unsigned idx)
{
	const struct ports_queue *q = queue_at(e, idx);

	return q ? q->worker : NULL;
}

const struct reserve_sum *engine_sum(
	const struct engine *e, unsigned pool_idx, uint32_t *total, uint32_t *floor)
{
	const struct budget_queue *q;
	unsigned port, queue;

	if (!ports_pool_at(engine_ports(e), pool_idx, &port, &queue))
		return NULL;
	q = budget_queue(engine_budget(e), port, queue);
	*total = q->total;
	*floor = q->floor;
	return &q->sum;
}

bool engine_guarantee(const struct engine *e, const char **why)
{
	struct ports_info port;

	for (unsigned i = 0; i < ports_count(engine_ports(e)); i++) {
		ports_info(engine_ports(e), i, &port);
		if (!port.facts->is_full_guarantee) {
			*why = "the kernel still allocates for each packet under af_packet and "
			       "af_xdp; "
			       "bind the NIC to vfio-pci for the full guarantee";
			return false;
		}
	}
	if (!engine_facts(e)->has_hugepages) {
		*why = "no hugepages: packet memory is ordinary memory, locked but not contiguous";
		return false;
	}
	*why = "the NIC is on vfio-pci and its memory is locked hugepages";
	return true;
}

enum engine_memory_state engine_kernel_memory(const struct engine *e, uint64_t *shortages)
{
	bool is_known, is_short = ports_is_short(engine_ports(e), &is_known, shortages);

	if (!is_known)
		return KERNEL_MEMORY_UNKNOWN;
	return is_short ? KERNEL_MEMORY_SHORT : KERNEL_MEMORY_ENOUGH;
}

/* ---- of a bench or a probe ---- */

const struct volume_probe *engine_probe(const struct engine *e, const char *name)
{
	return devices_probe(engine_devices(e), name);
}

uint64_t engine_bench_ask(const struct engine *e)
{
	return devices_bench_ask(engine_devices(e));
}

bool engine_bench_done(const struct engine *e)
{
	return devices_bench_done(engine_devices(e));
}

void engine_bench_result(const struct engine *e, struct bench_result *out)
{
	devices_bench_result(engine_devices(e), out);
}
