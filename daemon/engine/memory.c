/*
 * memory.c - how much memory the daemon takes: before it starts, and by what once it runs
 *
 * All memory is locked, and all but the staging of volumes attached later is taken at start, so two
 * questions have exact answers. How much DPDK must be given, is a sum over the configuration, of
 * the same shapes and functions by which pools are made; only what a driver takes for itself is an
 * allowance. Staging of further volumes comes from where dma.c says, and goes back with the volume.
 * What it is for, is a list of terms for each worker and one for the process, which `sluice reserve
 * explain` prints; bench/memory holds their sum to what the kernel counts.
 *
 * Control thread only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_malloc.h>
#include "config/host/host.h"
#include "daemon/engine/engine_info.h"
#include "dataplane/handover.h"

#define PAGE_BYTES   4096u /* the smaller ones: they waste most */
#define HUGEPAGE_MIB 2u
/* Of a queue: its rings, the driver's contexts, rings between threads. */
#define DRIVER_BYTES (2ull << 20)
#define EAL_BYTES    (4ull << 20) /* DPDK's own, and what its heap loses to alignment */
#define OWN_THREADS  2		  /* DPDK's interrupts, the log */
/*
 * Since DPDK 24.11 the libraries keep what each lcore has of its own in one block for all lcores
 * there might be, by libc and so locked: 16 MiB. The macro came with it. More than one block was
 * not seen (tests/net/reserve.sh).
 */
#ifdef RTE_MAX_LCORE_VAR
#define LCORE_VAR_BYTES ((uint64_t)RTE_MAX_LCORE_VAR * RTE_MAX_LCORE)
#else
#define LCORE_VAR_BYTES 0
#endif

/* ---- before the start ---- */

static bool has_exception_plan(const struct config_port *p)
{
	return p->exception == EXCEPTION_TAP ||
	       (p->exception == EXCEPTION_AUTO && p->kind != DEVICE_AF_PACKET);
}

static uint64_t queue_plan(
	const struct config *cfg, const struct config_port *port, const struct port_facts *f)
{
	bool has_exception = has_exception_plan(port);
	struct exception_config exception;
	struct reserve_config rx, hdr;
	uint64_t bytes = DRIVER_BYTES;

	budget_pools_shape(cfg, f, has_exception, &rx, &hdr);
	bytes += reserve_bytes_plan(&rx, PAGE_BYTES) + reserve_bytes_plan(&hdr, PAGE_BYTES);
	bytes += ports_ext_pool_bytes();
	if (!has_exception)
		return bytes;
	ports_exception_shape(f, &exception);
	exception_pool_shape(&exception, &rx);
	return bytes + reserve_bytes_plan(&rx, PAGE_BYTES);
}

static bool has_dma(const struct config *cfg)
{
	for (unsigned i = 0; i < cfg->port_count; i++)
		if (cfg->ports[i].kind == DEVICE_PCI)
			return true;
	return false;
}

/* Pools of every queue, and of the staging what is asked for. */
static uint32_t plan_mib(const struct config *cfg, bool has_staging, unsigned spare_devices)
{
	uint64_t bytes = EAL_BYTES, mib;
	struct port_facts f;
	unsigned queues = 1, i;

	for (i = 0; i < cfg->port_count; i++) {
		port_facts_plan(&cfg->ports[i], &f);
		bytes += f.queues * queue_plan(cfg, &cfg->ports[i], &f);
		queues = RTE_MAX(queues, f.queues);
	}
	for (i = 0; has_staging && i < cfg->volume_count; i++)
		bytes += devices_staging_plan(&cfg->volumes[i], queues);
	bytes += (uint64_t)spare_devices * QUEUE_DEPTH_DEFAULT * IO_BYTES_DEFAULT;
	mib = (bytes + (HUGEPAGE_MIB << 20) - 1) / (HUGEPAGE_MIB << 20) * HUGEPAGE_MIB;
	return (uint32_t)RTE_MIN(mib, (uint64_t)UINT32_MAX);
}

uint32_t engine_memory_mib(const struct config *cfg)
{
	return cfg->memory_mib ? cfg->memory_mib : plan_mib(cfg, true, SPARE_DEVICES);
}

void engine_memory_start(const struct config *cfg, struct engine_facts *facts)
{
	facts->has_staging_in_heap = cfg->memory_mib || facts->has_hugepages || has_dma(cfg);
	if (cfg->memory_mib)
		facts->memory_mib = cfg->memory_mib;
	else if (facts->has_hugepages)
		facts->memory_mib = plan_mib(cfg, true, 0); /* the heap grows */
	else if (has_dma(cfg))
		facts->memory_mib = plan_mib(cfg, true, SPARE_DEVICES);
	else
		facts->memory_mib = plan_mib(cfg, false, 0);
}

/* ---- what it is for ---- */

static void term_add(struct engine_memory *m, const char *name, uint64_t count, uint64_t bytes)
{
	if (bytes == 0)
		return;
	assert(m->term_count < RTE_DIM(m->terms));
	m->terms[m->term_count++] =
		(struct engine_memory_term){.name = name, .count = count, .bytes = bytes};
	m->bytes += bytes;
}

static uint64_t pool_bytes(const struct ports_queue *q)
{
	return reserve_bytes(q->rx) + reserve_bytes(q->hdr) + reserve_foreign_bytes(q->ext) +
	       (q->exception ? reserve_bytes(q->exception) : 0);
}

void engine_memory_worker(const struct engine *e, unsigned pool_idx, struct engine_memory *out)
{
	const struct budget_queue *b;
	const struct ports_queue *q;
	unsigned port = 0, queue = 0, channels;
	uint64_t staging, tables;
	bool is_there = ports_pool_at(engine_ports(e), pool_idx, &port, &queue);

	assert(is_there);
	b = budget_queue(engine_budget(e), port, queue);
	q = ports_queue(engine_ports(e), port, queue);
	channels = devices_memory(engine_devices(e), port, queue, &staging, &tables);
	*out = (struct engine_memory){0};
	term_add(out, "packets", b->total, reserve_bytes(q->rx));
	term_add(out, "headers", HDR_POOL_COUNT, reserve_bytes(q->hdr));
	term_add(out, "payload", EXT_POOL_COUNT, reserve_foreign_bytes(q->ext));
	if (q->exception)
		term_add(out, "exception", 1, reserve_bytes(q->exception));
	term_add(out, "staging", channels, staging);
	term_add(out, "volumes", channels, tables);
	term_add(out, "connections", b->conn_max, net_bytes(b->conn_max));
	term_add(out, "worker", 1,
		worker_bytes(b->conn_max) - net_bytes(b->conn_max) + THREAD_STACK_BYTES);
}

/* Bytes of DPDK's heaps: taken from the machine, and of that allocated. */
static void heap_read(uint64_t *total, uint64_t *used)
{
	struct rte_malloc_socket_stats s;
	int socket;

	*total = *used = 0;
	for (socket = 0; socket < RTE_MAX_NUMA_NODES; socket++) {
		if (rte_malloc_get_socket_stats(socket, &s))
			continue;
		*total += s.heap_totalsz_bytes;
		*used += s.heap_allocsz_bytes;
	}
}

/* What the queues take: of DPDK's heaps, and of libc's. */
static void queues_read(const struct engine *e, uint64_t *heap, uint64_t *workers, uint64_t *tables)
{
	bool has_staging = engine_facts(e)->has_staging_in_heap;
	unsigned port, queue;
	uint64_t staging, some;

	*heap = *workers = *tables = 0;
	for (unsigned i = 0; ports_pool_at(engine_ports(e), i, &port, &queue); i++) {
		devices_memory(engine_devices(e), port, queue, &staging, &some);
		*tables += some;
		*heap += pool_bytes(ports_queue(engine_ports(e), port, queue)) +
			 (has_staging ? staging : 0);
		*workers += worker_bytes(budget_queue(engine_budget(e), port, queue)->conn_max);
	}
}

void engine_memory_process(const struct engine *e, struct engine_memory *out)
{
	uint64_t total, used, heap, workers, tables, own, all = host_memory_allocated();
	struct ports_bytes ports;

	queues_read(e, &heap, &workers, &tables);
	ports_bytes(engine_ports(e), &ports);
	own = ports.tables + ports.handover + devices_bytes() + sizeof(struct config);
	heap_read(&total, &used);
	*out = (struct engine_memory){0};
	term_add(out, "drivers", 1, used > heap ? used - heap : 0);
	term_add(out, "sockets", 1, ports.sockets);
	term_add(out, "free", 1, total - used);
	term_add(out, "engine", 1, own);
	/* Of what malloc() has: what is no table of ours, a worker's, a volume's or a connection's.
	 */
	own += workers + tables;
	term_add(out, "libraries", 1, all > own ? all - own : 0);
	term_add(out, "threads", OWN_THREADS + ports.exceptions,
		(OWN_THREADS + ports.exceptions) * THREAD_STACK_BYTES);
	term_add(out, "lcores", RTE_MAX_LCORE, LCORE_VAR_BYTES);
	term_add(out, "program", 1, host_memory_files());
	out->resident = host_memory_resident();
}
