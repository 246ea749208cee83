/*
 * eal.h - DPDK's environment, started from our configuration and hidden behind it
 */
#ifndef DAEMON_EAL_H
#define DAEMON_EAL_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"
#include "daemon/engine/engine.h"

/*
 * Starts the EAL for @cfg with @mib of memory; @extra_argc raw arguments (after "--" on our command
 * line) go last. Control thread, once a process. Out: 0, or -errno with the reason and remedy in
 * @err.
 */
int eal_start(const struct config *cfg, uint32_t mib, int extra_argc, char **extra_argv,
	struct engine_facts *facts, struct error *err);
void eal_stop(void);

#endif
