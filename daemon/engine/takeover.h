/*
 * takeover.h - the devices an earlier daemon left, and the volumes the file names
 */
#ifndef DAEMON_ENGINE_TAKEOVER_H
#define DAEMON_ENGINE_TAKEOVER_H

#include <stdbool.h>
#include "config/config.h"
#include "config/error.h"
#include "daemon/engine/engine.h"

struct takeover;

/*
 * Reads the run directory and begins: devices that wait for us are taken over, the other volumes of
 * the file are attached. NULL: out of memory. Control thread, once, when workers run.
 */
struct takeover *takeover_create(const struct config *cfg, struct engine *e);
void takeover_destroy(struct takeover *t); /* NULL is fine */
void takeover_poll(struct takeover *t);

/*
 * Attaches a volume of the file that came later, and tries again until its server is there. 0;
 * -EEXIST: a volume of that name is served, waits, or is still being attached; -ENOSPC: too many
 * wait.
 */
int takeover_attach(struct takeover *t, const struct config_volume *volume);

/* Does a device of a volume called @name still wait for us? */
bool takeover_has(struct takeover *t, const char *name);
/* Or does a volume of the file, called @name, wait for its server? It may be connecting at this
 * moment. */
bool takeover_waits(struct takeover *t, const char *name);
/* Such a one is not tried again; what the engine has of it is the engine's. */
void takeover_forget(struct takeover *t, const char *name);
/* The volume whose device /dev/ublkb@dev_id waits for us,
 * until it is served or gone. NULL: none. */
const char *takeover_name_of_device(const struct takeover *t, int dev_id);
/*
 * Gives up a device that no process serves, known here as volume @name, or, by its number, not
 * known here: what it holds fails. 0; -ENOENT: no such volume; -EBUSY: it is served, or being
 * taken over; -errno with @err.
 */
int takeover_drop(struct takeover *t, const char *name, bool lose_swap, struct error *err);
int takeover_drop_device(struct takeover *t, int dev_id, bool lose_swap, struct error *err);

/* What waits, for a device of an earlier daemon or for its server. Its strings are good until the
 * next takeover_poll(). */
struct takeover_item {
	const char *name, *uri, *error; /* error: why the last try failed; "" = none yet */
	int dev_id; /* of the device whose requests are held; -1 = there is no device yet */
	const struct block_limits *limits;
};
/* The next one from *@at on, which begins at 0 and is moved behind it. False: no more. */
bool takeover_next(const struct takeover *t, unsigned *at, struct takeover_item *out);
/* Numbers of ublk devices that no process serves and no state file describes. Out: how many, at
 * most @max. */
unsigned takeover_orphans(const struct takeover *t, int *out, unsigned max);

#endif
