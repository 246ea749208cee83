/*
 * daemon.c - the life of the process between a checked configuration and its end
 *
 * The control thread is the process's first thread. It comes up in the order that makes promises
 * hold: own mount namespace before any thread (or exit can deadlock on our own device), DPDK and
 * every pool, then mlockall over what is there, then volumes. From then on it is one loop around
 * one poll: the control socket, signals, the engine's steps.
 *
 * At SIGTERM volumes are detached in order, but for those whose device is mounted, swapped on or
 * open: what is answered is answered, and the device stays with its requests held, for the next
 * daemon (takeover.c). So an upgrade is a restart, and no data is lost. With --keep every device
 * stays. What does not end by itself, the second signal or END_MS_MAX ends.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config/host/host.h"
#include "config/log.h"
#include "config/log_thread.h"
#include "config/monotonic.h"
#include "daemon/admin/control.h"
#include "daemon/eal.h"
#include "daemon/eal_log.h"
#include "daemon/engine/engine_info.h"
#include "daemon/admin/methods.h"
#include "daemon/admin/reload.h"
#include "daemon/engine/takeover.h"
#include "daemon/notify.h"
#include "daemon/signals.h"
#include "nbd_client/ublk/ublk.h"

#define POLL_MS_MOVING	 2   /* something waits for the kernel or a worker */
#define POLL_MS_QUIET	 100 /* worker events are looked for this often */
#define END_MS_MAX	 60000
#define FORCED_MS_MAX	 30000 /* … and once it is forced; then the process ends with what it has */
#define LOG_END_MS_MAX	 1000 /* for what the log still has, at the end */

/* The process as it is to be, and the log's thread in it: a thread keeps the mount namespace it was
 * made in. */
static void process_begin(const struct daemon_run *run)
{
	const char *const paths[] = {
		run->cfg->run_dir, run->cfg->socket, run->cfg->volumes_dir, run->config_path};
	struct error note = {""};
	int rc = host_process_protect(paths, 4, &note);

	if (host_stacks_fit())
		log_debug("the C library did not accept a smaller thread stack size");
	if (log_thread_start())
		log_warn("no thread for the log: the daemon blocks while standard error is not "
			 "read");
	if (rc)
		log_warn("%s", note.text);
}

struct engine *daemon_engine_start(const struct daemon_run *run, struct error *err)
{
	struct error note = {""};
	struct engine_facts facts;
	struct engine *e = NULL;
	const char *why;
	bool full;

	process_begin(run);
	if (eal_start(run->cfg, engine_memory_mib(run->cfg), run->eal_argc, run->eal_argv, &facts,
		    err))
		goto err_log;
	e = engine_create(run->cfg, &facts, err);
	if (!e)
		eal_log_append(err);
	eal_log_release();
	if (!e)
		goto err_eal;
	if (host_memory_lock(&note))
		log_warn("%s", note.text);
	full = engine_guarantee(e, &why);
	log_info("guarantee: %s: %s", full ? "full" : "partial", why);
	return e;

err_eal:
	eal_stop();
err_log:
	log_thread_stop(LOG_END_MS_MAX);
	return NULL;
}

void daemon_engine_end(struct engine *e)
{
	engine_destroy(e);
	eal_stop();
	log_thread_stop(LOG_END_MS_MAX);
}

/* For systemd a reload lasts from RELOADING=1 to READY=1 (sd_notify(3)). */
static void reloading_send(void)
{
	char text[64];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)monotonic_us());
	notify_send(text);
}

static void signal_reload(struct daemon_state *d)
{
	struct error err = {""};
	json_t *result = NULL;

	reloading_send();
	(void)reload(d, &result, &err); /* it logs what it did, or why not */
	json_decref(result);
	notify_send("READY=1");
}

static void turn(struct daemon_state *d, struct notify *n)
{
	control_poll(d->control, engine_is_moving(d->engine) ? POLL_MS_MOVING : POLL_MS_QUIET);
	engine_poll(d->engine);
	if (!d->is_ending)
		takeover_poll(d->takeover);
	notify_poll(n, d->engine, monotonic_us());
}

/* Would the next image come up by the file as it is now? Else the devices stay with this one. */
static bool may_start_again(struct daemon_state *d)
{
	struct config *next = calloc(1, sizeof(*next));
	struct error err = {"out of memory"};
	int rc = -ENOMEM;

	if (next) {
		config_defaults(next);
		rc = config_load(d->config_path, next, &err);
	}
	free(next);
	if (rc == 0)
		return true;
	log_error("sluiced cannot start anew: %s", err.text);
	engine_restart_refused(d->engine);
	return false;
}

static void serve(struct daemon_state *d, struct notify *n, int sigfd)
{
	bool is_reload = false;

	while (!d->is_ending) {
		turn(d, n);
		d->is_ending |= signals_read(sigfd, &is_reload) > 0;
		if (is_reload && !d->is_ending)
			signal_reload(d);
		if (!d->is_ending && engine_wants_restart(d->engine) && may_start_again(d))
			d->is_ending = d->is_keeping = d->is_again = true;
	}
}

/*
 * A worker or the kernel never releases a volume. Devices that outlive a process are the next
 * one's.
 */
static void give_up(const struct daemon_state *d)
{
	log_error("ending, but %u volume(s) are not detached: their devices are left to the next "
		  "sluiced",
		engine_device_count(d->engine));
	log_thread_stop(LOG_END_MS_MAX);
	_exit(EXIT_FAILURE);
}

static void end(struct daemon_state *d, struct notify *n, int sigfd)
{
	uint64_t force_us = monotonic_us() + END_MS_MAX * 1000ull;
	bool forced = false, is_reload, is_signalled;

	if (d->is_again) /* the next image says READY=1 */
		reloading_send();
	else
		notify_send("STOPPING=1");
	log_info("ending: %s %u volume(s); a second signal forces it",
		d->is_keeping ? "leaving" : "detaching", engine_device_count(d->engine));
	engine_leave_all(d->engine, d->is_keeping);
	engine_detach_all(d->engine, false);
	while (engine_device_count(d->engine)) {
		turn(d, n);
		is_signalled = signals_read(sigfd, &is_reload) > 0;
		d->is_again &= !is_signalled; /* it is to end after all */
		if (!is_signalled && monotonic_us() <= force_us)
			continue;
		if (forced)
			give_up(d);
		forced = true;
		force_us = monotonic_us() + FORCED_MS_MAX * 1000ull;
		engine_detach_all(d->engine, true);
	}
}

int daemon_main(const struct daemon_run *run, struct error *err)
{
	struct daemon_state d = {
		.cfg = run->cfg, .config_path = run->config_path, .is_keeping = run->is_keeping,
		.start_us = monotonic_us()};
	int sigfd = signals_open(); /* before threads, so that none of them takes a signal */
	const struct control_method *methods;
	struct notify notify = {0};
	unsigned method_count;
	int rc = -EIO;

	if (sigfd < 0)
		return error_set(err, sigfd, "signalfd: %s", strerror(-sigfd));
	if (ublk_helper_start(err))
		goto out_signals;
	d.engine = daemon_engine_start(run, err);
	if (!d.engine)
		goto out_signals;
	methods = methods_table(&method_count);
	d.control = control_create(run->cfg->socket, methods, method_count, &d, err);
	if (!d.control)
		goto out_engine;
	if (control_watch(d.control, sigfd) || control_watch(d.control, engine_fd(d.engine)))
		log_debug("signals and resolved names cannot be waited for: they are polled every "
			  "%u ms",
			POLL_MS_QUIET);
	d.takeover = takeover_create(run->cfg, d.engine);
	if (!d.takeover) {
		error_set(err, -ENOMEM, "out of memory");
		goto out_control;
	}
	notify_init(&notify);
	notify_send("READY=1");
	log_info("sluiced %s is up: %s", SLUICE_VERSION, run->cfg->socket);
	serve(&d, &notify, sigfd);
	end(&d, &notify, sigfd);
	rc = d.is_again ? DAEMON_AGAIN : 0;
	takeover_destroy(d.takeover);
out_control:
	control_destroy(d.control);
out_engine:
	daemon_engine_end(d.engine);
out_signals:
	close(sigfd);
	return rc;
}
