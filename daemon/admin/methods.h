/*
 * methods.h - what the control socket offers: JSON-RPC methods over the engine
 */
#ifndef DAEMON_ADMIN_METHODS_H
#define DAEMON_ADMIN_METHODS_H

#include <stdbool.h>
#include <stdint.h>
#include "daemon/admin/control.h"
#include "daemon/engine/engine.h"

struct takeover;

struct daemon_state {
	struct config *cfg; /* as last loaded; what needs a restart is as it was at the start */
	const char *config_path; /* of the main file, for reload; NULL = none */
	struct engine *engine;
	struct control *control;
	struct takeover *takeover;
	uint64_t start_us;
	bool is_ending;	 /* set by the method "shutdown" and by signals */
	bool is_keeping; /* at the end every device is left to the next daemon */
	bool is_again;	 /* … which this process becomes at once */
};

/* The table for control_create(); its methods get a struct daemon_state as context. */
const struct control_method *methods_table(unsigned *count);

#endif
