/*
 * reload.h - the configuration read again while the daemon runs
 */
#ifndef DAEMON_ADMIN_RELOAD_H
#define DAEMON_ADMIN_RELOAD_H

#include <jansson.h>
#include "config/error.h"

struct daemon_state;

/*
 * Reads d->config_path and carries out what may change while the daemon runs. A file with a mistake
 * changes nothing. Out: 0 with *result a new reference, which names what was begun, what is busy
 * and what needs a restart; -errno with @err. Detaches it begins end later. Control thread; waits
 * for the disk.
 */
int reload(struct daemon_state *d, json_t **result, struct error *err);

#endif
