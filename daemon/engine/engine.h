/*
 * engine.h - ports, workers and volumes as one thing the control thread can operate
 */
#ifndef DAEMON_ENGINE_ENGINE_H
#define DAEMON_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"
#include "mempool_reserve/reserve.h"
#include "nbd_client/bench/bench.h"
#include "nbd_client/nbd_client.h"

struct engine;
struct ublk_state;

/* What the process has for the engine. */
struct engine_facts {
	bool has_hugepages; /* memory is locked 2 MiB pages */
	uint32_t memory_mib; /* DPDK's heap at start; it grows where it is of hugepages and the
			      * file names no size */
	bool has_staging_in_heap;
};

/* Opens ports, sizes and makes the pools, starts the workers. NULL with @err. After eal_start(). */
struct engine *engine_create(
	const struct config *cfg, const struct engine_facts *facts, struct error *err);
void engine_destroy(struct engine *e); /* every volume must be gone; NULL is fine */

/* What the volume's I/O comes from. */
enum engine_front { FRONT_UBLK, FRONT_BENCH, FRONT_NONE /* negotiate only: probe */ };

/* The answer to an attach or a detach: @device is the block device's path, or "" . */
typedef void engine_done_fn(void *arg, int rc, const char *device, const struct error *err);

struct engine_attach {
	const struct config_volume *volume;
	enum engine_front front;
	const struct bench_config *bench; /* FRONT_BENCH; limits and buf are filled in */
	const struct ublk_state *recover; /* FRONT_UBLK: take this device over; NULL = make one */
	uint64_t deadline_ms;
	engine_done_fn *done;
	void *arg;
};

/*
 * Starts an attach. Out: 0 (@done will be called exactly once, from engine_poll), or -errno with
 * @err: -EEXIST, -ENOSPC (the reserve cannot hold another: the text has the numbers), -EINVAL.
 */
int engine_attach(struct engine *e, const struct engine_attach *how, struct error *err);

/* Starts a detach by name. 0, -ENOENT, -EBUSY (mounted or open, and not @force), -EALREADY. */
int engine_detach(struct engine *e, const char *name, bool force, engine_done_fn *done, void *arg,
	struct error *err);

/* Moves everything along: volume events, attach and detach steps. Call often; never blocks long. */
void engine_poll(struct engine *e);
bool engine_is_moving(const struct engine *e); /* something waits for the next poll */
int engine_fd(const struct engine *e); /* readable: a name was resolved, so poll */
unsigned engine_device_count(const struct engine *e);
/* How volume @name was asked for; NULL: there is none. Good until the next engine_poll(). */
const struct config_volume *engine_config(const struct engine *e, const char *name);
/* The name of the volume @idx that has a block device; NULL: there are fewer. */
const char *engine_name_at(const struct engine *e, unsigned idx);
/* Gives every worker the rules of cfg->protect. 0; -EAGAIN: earlier commands are still under way,
 * ask again. */
int engine_protect_set(struct engine *e, const struct config *cfg);
bool engine_has(const struct engine *e, const char *name);
/* The name of the volume whose block device is /dev/ublkb@dev_id; the engine's, until the volume is
 * gone. NULL: none. */
const char *engine_name_of_device(const struct engine *e, int dev_id);

/* Detaches all, with @force also those on their way out; engine_device_count() says when it is
 * done. */
void engine_detach_all(struct engine *e, bool force);
/*
 * Before engine_detach_all(): lets go of volumes whose block device is in use, or of @all that have
 * one. The device stays, its requests held, for the next daemon.
 */
void engine_leave_all(struct engine *e, bool all);

/* ---- facts for the control methods ---- */
struct engine_port_info {
	const struct config_port *cfg;
	struct host_iface iface;
	const struct port_facts *facts;
	struct port_stats stats;
	bool is_link_up;
	unsigned worker_count;
	struct net_addr addrs[NET_ADDR_MAX];
	unsigned addr_count;
	const char *exception_iface; /* the kernel's end of the exception port; NULL: none */
	const char *exception_why;   /* … because */
};
unsigned engine_port_count(const struct engine *e);
void engine_port_info(struct engine *e, unsigned idx, struct engine_port_info *out);

struct device_info {
	struct volume_info volume;
	enum engine_front front;
	char uri[URI_BYTES_MAX];
	char device[64];    /* /dev/ublkbN, or empty */
	char scheduler[32]; /* what the kernel says now */
	char degraded[512];
	const char *step; /* "connecting", "serving", … */
	unsigned port, worker_count;
	char spread[192]; /* why on fewer workers than the port has; empty = it is not */
	uint32_t quota_mbufs, quota_least_mbufs; /* bounds of what each connection is granted */
	uint64_t staging_bytes;
	uint64_t oldest_request_us; /* age of the oldest request held; 0 = none is */
	bool is_user_copy;
};
/* Fills @out with the volumes there are. */
unsigned engine_devices(struct engine *e, struct device_info *out, unsigned max);

/* Pools: RX pools first, in port and queue order. */
unsigned engine_pool_count(const struct engine *e);
const struct reserve *engine_pool(const struct engine *e, unsigned idx);
/* The exception port's pool beside RX pool @idx: held packets, and the kernel's own. NULL: none. */
const struct reserve *engine_exception_pool(const struct engine *e, unsigned idx);
/* The sum of an RX pool with its numbers, as last computed. */
const struct reserve_sum *engine_sum(
	const struct engine *e, unsigned pool_idx, uint32_t *total, uint32_t *floor);

/* Memory, by what takes it: terms of a worker, or of what
 * the workers share. All of it is resident. */
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

unsigned engine_worker_count(const struct engine *e);
struct worker *engine_worker(struct engine *e, unsigned idx);

uint64_t engine_now_us(struct engine *e); /* the clock that mbufs are stamped with */

/* full (true) or partial; @why is one line either way. */
bool engine_guarantee(const struct engine *e, const char **why);
int engine_starve(struct engine *e, bool on); /* 0, -ENOTSUP without fault injection */
/* Holds every pool at level "green", "yellow" or "red"; "off" lets go. 0, or -errno with @err. */
int engine_level(struct engine *e, const char *level, struct error *err);
/* Loses @count mbufs in the name of @owner. 0, -ENOENT, -ENOTSUP; -EAGAIN: the worker's command
 * ring is full */
int engine_fault_leak(struct engine *e, const char *owner, uint32_t count);
int engine_fault_refill(
	struct engine *e, uint32_t count);	 /* of the first worker; 0, -ENOTSUP, -EAGAIN */
bool engine_spring_alloc_trap(struct engine *e); /* false: the command ring is full, try again */
/* What a probe (FRONT_NONE) found, from its done call until it returns. NULL: no such volume. */
const struct volume_probe *engine_probe(const struct engine *e, const char *name);
/* Asks for requests that a pause held back, where they are due. Out: nanoseconds until the next;
 * UINT64_MAX: none known. */
uint64_t engine_bench_ask(const struct engine *e);
bool engine_bench_done(
	const struct engine *e); /* the load of every volume that makes one is through */
/* What all of them did together; so far, if it is not through. */
void engine_bench_result(const struct engine *e, struct bench_result *out);

#endif
