/*
 * notify.c - readiness, status line and watchdog, for systemd
 *
 * The watchdog is fed for the whole process: by the control thread, which must come around to do
 * it, and only while each worker makes turns. A worker sleeps without a limit when it has nothing
 * to do, so one that made no turn since the last look is posted a command that does nothing
 * (WORKER_PING); if it has made none by the look after, it is stuck and the watchdog is not fed.
 * With eight looks in the manager's interval a stuck thread is found within it. What follows is a
 * restart, in which the next daemon takes the devices over (takeover.c).
 *
 * Nothing is sent without NOTIFY_SOCKET in the environment.
 */
#include "daemon/notify.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif
#include "daemon/engine/engine_info.h"
#include "dataplane/worker.h"

#define LOOKS	  8 /* in the interval of the watchdog */
#define STATUS_US 1000000u

void notify_init(struct notify *n)
{
#ifdef HAVE_SYSTEMD
	if (sd_watchdog_enabled(0, &n->watchdog_us) <= 0)
		n->watchdog_us = 0;
#endif
}

void notify_send(const char *state)
{
#ifdef HAVE_SYSTEMD
	sd_notify(0, state);
#else
	(void)state;
#endif
}

/* Whether worker @idx made a turn since the last look, or was quiet without a ping so far. */
static bool is_alive(struct notify *n, struct worker *w, unsigned idx)
{
	static const struct worker_cmd ping = {.type = WORKER_PING};
	struct worker_stats stats;

	worker_stats(w, &stats);
	if (stats.turns != n->workers[idx].turns) {
		n->workers[idx].turns = stats.turns;
		n->workers[idx].ticket = 0;
		return true;
	}
	if (n->workers[idx].ticket)
		return false;
	/* A ring that is full has not been read for long: the worker is stuck then, too. */
	return worker_post(w, &ping, &n->workers[idx].ticket);
}

static void watchdog_look(struct notify *n, struct engine *e)
{
	bool is_good = true;

	for (unsigned i = 0; i < engine_worker_count(e) && i < WORKER_MAX; i++)
		is_good &= is_alive(n, engine_worker(e, i), i);
	if (is_good)
		notify_send("WATCHDOG=1");
}

static void status_send(struct notify *n, struct engine *e)
{
	char status[sizeof(n->status)];
	const char *why;

	snprintf(status, sizeof(status), "STATUS=%u volume(s), %s guarantee",
		engine_device_count(e), engine_guarantee(e, &why) ? "full" : "partial");
	if (strcmp(status, n->status) == 0)
		return;
	memcpy(n->status, status, sizeof(status));
	notify_send(status);
}

void notify_poll(struct notify *n, struct engine *e, uint64_t now_us)
{
	if (now_us >= n->status_us) {
		status_send(n, e);
		n->status_us = now_us + STATUS_US;
	}
	if (n->watchdog_us && now_us >= n->look_us) {
		watchdog_look(n, e);
		n->look_us = now_us + n->watchdog_us / LOOKS;
	}
}
