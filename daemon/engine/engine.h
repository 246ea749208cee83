/*
 * engine.h - ports, budget and devices as one thing the control thread can operate
 *
 * What can be asked about it is in engine_info.h, the load of a bench in engine_bench.h, faults for
 * tests in engine_fault.h.
 */
#ifndef DAEMON_ENGINE_ENGINE_H
#define DAEMON_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"
#include "daemon/engine/devices.h"

struct engine;

/* What the process has for the engine. */
struct engine_facts {
	bool has_hugepages;  /* memory is locked 2 MiB pages */
	uint32_t memory_mib; /* DPDK's heap at start; it grows where it is of hugepages and the
			      * file names no size */
	bool has_staging_in_heap;
};

/* Opens ports, sizes and makes the pools, starts the workers. NULL with @err. After eal_start(). */
struct engine *engine_create(
	const struct config *cfg, const struct engine_facts *facts, struct error *err);
void engine_destroy(struct engine *e); /* every volume must be gone; NULL is fine */

/*
 * Starts an attach. Out: 0 (@done will be called exactly once, from engine_poll), or -errno with
 * @err: -EEXIST, -ENOSPC (the reserve cannot hold another: the text has the numbers), -EINVAL.
 */
int engine_attach(struct engine *e, const struct engine_attach *how, struct error *err);

/*
 * Starts a detach by name. 0 (@done will be called once), -ENOENT, -EALREADY, -EBUSY with the user
 * in @err: in use, and @how does not go past that. @done gets -EBUSY too, where only a closer look
 * or the kernel finds the user, or nothing answers: the volume then serves on; and -ETIMEDOUT or
 * another -errno where the volume is gone and the kernel still has the device.
 */
int engine_detach(struct engine *e, const char *name, enum engine_detach how, engine_done_fn *done,
	void *arg, struct error *err);

/* Moves everything along: volume events, attach and detach steps. Call often; never blocks long. */
void engine_poll(struct engine *e);
bool engine_is_moving(const struct engine *e); /* something waits for the next poll */
int engine_fd(const struct engine *e);	  /* readable: something a device waits for came, so poll */
uint64_t engine_now_us(struct engine *e); /* the clock that mbufs are stamped with */

unsigned engine_device_count(const struct engine *e);
bool engine_has(const struct engine *e, const char *name);
/* How volume @name was asked for; NULL: there is none. Good until the next engine_poll(). */
const struct config_volume *engine_config(const struct engine *e, const char *name);
/* The name of the volume @idx that has a block device; NULL: there are fewer. */
const char *engine_name_at(const struct engine *e, unsigned idx);
/* The name of the volume whose block device is /dev/ublkb@dev_id; the engine's, until the volume is
 * gone. NULL: none. */
const char *engine_name_of_device(const struct engine *e, int dev_id);
/*
 * Gives every worker the rules of cfg->protect. 0; -EAGAIN: earlier commands are still being
 * carried out, try again.
 */
int engine_protect_set(struct engine *e, const struct config *cfg);

/* Detaches all, with @force also those on their way out; engine_device_count() says when it is
 * done. */
void engine_detach_all(struct engine *e, bool force);
/*
 * Before engine_detach_all(): leaves volumes whose block device is in use, or @all that have one,
 * to the next daemon. The device stays, its requests held, for the next daemon.
 */
void engine_leave_all(struct engine *e, bool all);
/*
 * A device's server answers through another port than the device's, and every device can be left
 * now: the process is to leave all and start anew. Refused: it cannot, and is asked again later.
 */
bool engine_wants_restart(const struct engine *e);
void engine_restart_refused(struct engine *e);

/* The objects it is made of; its own, until engine_destroy(). */
struct budget *engine_budget(const struct engine *e);
struct ports *engine_ports(const struct engine *e);
struct devices *engine_devices(const struct engine *e);
const struct engine_facts *engine_facts(const struct engine *e);

#endif
