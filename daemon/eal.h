/*
 * eal.h - DPDK's environment, started from our configuration and hidden behind it
 */
#ifndef DAEMON_EAL_H
#define DAEMON_EAL_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"

struct eal_facts {
	bool has_hugepages; /* memory is locked 2 MiB pages */
	uint32_t memory_mib; /* what was asked for; without hugepages it is also all there is */
};

/*
 * Starts the EAL for @cfg with @mib of memory; @extra_argc raw arguments (after "--" on our command line) go last.
 * Control thread, once a process. Out: 0, or -errno with the reason and remedy in @err.
 */
int eal_start(const struct config *cfg, uint32_t mib, int extra_argc, char **extra_argv, struct eal_facts *facts,
	struct error *err);
void eal_stop(void);

#endif
