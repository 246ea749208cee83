/*
 * daemon.h - the life of the process between a checked configuration and its end
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stdbool.h>
#include "config/config.h"
#include "config/error.h"

struct engine;

struct daemon_run {
	struct config *cfg;	 /* reload changes it */
	const char *config_path; /* the file it came from; NULL: none */
	bool is_keeping; /* at the end, leave every device to the next daemon */
	int eal_argc; /* raw arguments after "--" */
	char **eal_argv;
};

/* Protects the process, starts EAL and engine, locks memory. NULL with @err. */
struct engine *daemon_engine_start(const struct daemon_run *run, struct error *err);
void daemon_engine_end(struct engine *e);

/*
 * Serves until a signal. Out: exit status, or -errno with @err when it did not come up;
 * DAEMON_AGAIN: every device was left, and the same command is to be run again at once, in this
 * process.
 */
#define DAEMON_AGAIN 100
int daemon_main(const struct daemon_run *run, struct error *err);

#endif
