/*
 * devices.h - the devices: volumes attached, being attached or being detached
 */
#ifndef DAEMON_ENGINE_DEVICES_H
#define DAEMON_ENGINE_DEVICES_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"
#include "daemon/engine/budget.h"
#include "daemon/engine/ports.h"
#include "dataplane/clock.h"
#include "nbd_client/bench/bench.h"
#include "nbd_client/nbd_client.h"

struct devices;
struct ublk_state;

/* All on the control thread; what is given is borrowed until devices_destroy(). NULL with @err. */
struct devices *devices_create(const struct config *cfg, struct budget *budget, struct ports *ports,
	struct clock *clock, struct error *err);
/* Every device must be gone and @ports destroyed: their rings may hold the last staging. */
void devices_destroy(struct devices *ds);

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
	uint32_t ports_without; /* bits of ports that are not tried */
};

enum engine_detach {
	ENGINE_DETACH_UNUSED,	 /* unless it is in use */
	ENGINE_DETACH_FORCE,	 /* even if it is in use, but not active swap */
	ENGINE_DETACH_LOSE_SWAP, /* that too */
};

/* As engine_attach(), engine_detach() and so on of engine.h, which has the contract of each. */
bool devices_want_restart(const struct devices *ds);
void devices_restart_refused(struct devices *ds);
int devices_attach(struct devices *ds, const struct engine_attach *how, struct error *err);
int devices_detach(struct devices *ds, const char *name, enum engine_detach how,
	engine_done_fn *done, void *arg, struct error *err);
void devices_detach_all(struct devices *ds, bool force);
void devices_leave_all(struct devices *ds, bool all);

/* Events of the workers, then each device's step. Never blocks long. */
void devices_poll(struct devices *ds, uint64_t now_us);
/* device_move.c: asks servers of devices that serve through another port once their own reaches
 * none.
 */
void devices_watch(struct devices *ds, uint64_t now_us);
bool devices_are_moving(const struct devices *ds); /* something waits for the next poll */
int devices_fd(const struct devices *ds);	   /* readable: something came, so poll */

unsigned devices_count(const struct devices *ds);
/* How volume @name was asked for; NULL: there is none. Good until the next devices_poll(). */
const struct config_volume *devices_config(const struct devices *ds, const char *name);
const char *devices_name_at(const struct devices *ds, unsigned idx);
const char *devices_name_of(const struct devices *ds, int dev_id);
const struct volume_probe *devices_probe(const struct devices *ds, const char *name);

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
/* Fills @out with the devices there are. Out: their number. */
unsigned devices_list(struct devices *ds, struct device_info *out, unsigned max);

/* The load of a bench: as engine_bench_ask() and so on of engine.h. */
uint64_t devices_bench_ask(const struct devices *ds);
bool devices_bench_done(const struct devices *ds);
void devices_bench_result(const struct devices *ds, struct bench_result *out);

/* What the channels on a queue take: staging, and tables that the heap of libc holds. Out: how many
 * they are. */
unsigned devices_memory(const struct devices *ds, unsigned port, unsigned queue,
	uint64_t *staging_bytes, uint64_t *table_bytes);
size_t devices_bytes(void); /* of the object itself */
/* Staging a volume of the file takes at the most, on a port of so many queues. */
uint64_t devices_staging_plan(const struct config_volume *v, unsigned queues);

#endif
