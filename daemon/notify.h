/*
 * notify.h - what the service manager hears of us: readiness, the status line, the watchdog
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdint.h>
#include "config/limits.h"

struct engine;

/* Zeroed by the caller; control thread only. */
struct notify {
	uint64_t watchdog_us; /* within which the manager must hear of us; 0 = it does not ask */
	uint64_t look_us, status_us; /* when each is due next */
	struct {
		uint64_t turns;	 /* as last looked at */
		uint64_t ticket; /* of the ping it has not answered yet; 0 = none */
	} workers[WORKER_MAX];
	char status[160]; /* as last sent */
};

/* Reads from the environment whether there is a watchdog. */
void notify_init(struct notify *n);
/* Sends @state as sd_notify(3) does; nothing without a service manager. */
void notify_send(const char *state);
/*
 * On each turn of the control thread: sends the status line when it has changed, at most once a
 * second, and feeds the watchdog while every worker makes turns. Does not block.
 */
void notify_poll(struct notify *n, struct engine *e, uint64_t now_us);

#endif
