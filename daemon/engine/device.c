/*
 * device.c - a volume's way into the world and out of it
 *
 * Attach: wait for the servers' addresses, find the port that reaches them, see that the reserve
 * can hold the volume's share, hand it to a worker, wait until it is READY; then make the block
 * device from what the server said, let the worker fetch its tags, and start it. Detach is the way
 * back, and its order is not free: the kernel's STOP_DEV waits for requests, so the worker must
 * still serve them; only when every tag came home is the volume drained, and only when the worker
 * let go is memory freed.
 *
 * Each step waits for one thing, named by enum volume_step; engine_volume_poll() looks whether it
 * has come or its deadline has passed. A failure anywhere before STEP_SERVE takes the same way back
 * and reports why. A worker that does not let go keeps the volume's memory, for it may still use
 * it; whoever asked has the answer at the deadline all the same, and the slot is freed when the
 * worker is done. Control thread only.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "config/log.h"
#include "daemon/engine/engine_impl.h"

#define STOP_MS_MAX  30000 /* the kernel's patience and ours with a device that is going */
#define DRAIN_MS_MAX 10000
#define START_MS_MAX 10000
#define CONNECT_MS_MAX 100000u /* for all addresses of a device together: clients wait for 120 s */

/* ---- steps ---- */

static void step_set(struct engine_volume *v, enum volume_step step, uint64_t now_us, uint64_t ms)
{
	v->step = step;
	v->deadline_us = now_us + ms * 1000;
}

static void done_call(struct engine_volume *v, int rc, const char *device)
{
	engine_done_fn *done = v->done;

	v->done = NULL;
	if (done)
		done(v->arg, rc, device, &v->error);
}

/* Takes the way back, from wherever attach had come. */
static void teardown_begin(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	/* Whoever uses a device that was there before us must not lose it by our failing to serve
	 * it. */
	v->is_kept |= v->is_recovery && v->step < STEP_SERVE && engine_ublk_may_stay(v);
	if (v->ublk && !v->is_kept) {
		struct error err = {""};

		v->is_stop_due = ublk_stop(v->ublk, &err) != 0;
		if (v->is_stop_due)
			log_warn("volume %s: %s; trying again", v->cfg.name, err.text);
		step_set(v, STEP_STOP, now_us, STOP_MS_MAX);
		if (v->is_forced)
			engine_parts_post(e, v, (struct worker_cmd){.type = WORKER_VOLUME_FAIL});
		return;
	}
	engine_parts_post(e, v,
		(struct worker_cmd){.type = v->is_kept ? WORKER_VOLUME_LEAVE : WORKER_VOLUME_STOP,
			.n = v->is_forced || !v->parts[0].was_ready ? 0 : DRAIN_MS_MAX * 1000ull});
	step_set(v, STEP_DRAIN, now_us, DRAIN_MS_MAX + 5000);
}

static void attach_fail(struct engine *e, struct engine_volume *v, int rc, uint64_t now_us)
{
	v->result = rc;
	v->is_forced = true;
	teardown_begin(e, v, now_us);
}

static int front_make(struct engine *e, struct engine_volume *v, const struct block_limits *limits)
{
	unsigned i;
	int rc = 0;

	if (v->front_kind == FRONT_UBLK)
		return engine_ublk_make(e, v, limits);
	for (i = 0; !rc && i < v->part_count; i++)
		rc = engine_part_bench(v, i, limits);
	return rc;
}

static void front_begin(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	struct volume_info info;
	unsigned i;
	int rc;

	volume_info(v->parts[0].volume, &info);
	rc = front_make(e, v, &info.limits);
	if (rc) {
		attach_fail(e, v, rc, now_us);
		return;
	}
	for (i = 0; i < v->part_count; i++)
		engine_part_post(e, v, &v->parts[i],
			(struct worker_cmd){.type = WORKER_FRONT_SET,
				.b = v->ublk ? ublk_front(v->ublk, i)
					     : bench_front(v->parts[i].bench)});
	step_set(v, STEP_FRONT, now_us, START_MS_MAX);
}

/* Why an attach ends at STEP_SPREAD or STEP_FRONT, which a worker ends within a turn. Out:
 * -ETIMEDOUT. */
static int worker_is_late(struct engine_volume *v)
{
	return error_set(&v->error, -ETIMEDOUT, "volume %s: a worker did not answer within %u s",
		v->cfg.name, START_MS_MAX / 1000);
}

static void spread_poll(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	if (engine_spread_done(e, v, now_us))
		front_begin(e, v, now_us);
	else if (now_us > v->deadline_us)
		attach_fail(e, v, worker_is_late(v), now_us);
}

/* The first part is READY: the others may follow. */
static void connected(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	struct volume_info info;

	volume_info(v->parts[0].volume, &info);
	if (engine_spread_begin(e, v, &info.limits, now_us))
		step_set(v, STEP_SPREAD, now_us, START_MS_MAX);
	else
		front_begin(e, v, now_us);
}

/* The servers' addresses are known. Each gets the time to answer that a single one has, within
 * bounds. */
static int connect_begin(
	struct engine *e, struct engine_volume *v, uint64_t now_us, struct error *err)
{
	int rc = engine_volume_make(e, v, err);
	uint64_t ms;

	if (rc)
		return rc;
	ms = v->attach_ms + (v->plan->servers.count - 1ull) * v->cfg.connect_ms;
	step_set(v, STEP_CONNECT, now_us, RTE_MIN(ms, RTE_MAX(v->attach_ms, CONNECT_MS_MAX)));
	engine_parts_post(e, v, (struct worker_cmd){.type = WORKER_VOLUME_ADD});
	return 0;
}

static void resolve_poll(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	int rc;

	if (!engine_names_done(e, v, now_us))
		return;
	rc = connect_begin(e, v, now_us, &v->error);
	if (rc)
		attach_fail(e, v, rc, now_us);
}

static void connect_poll(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	const struct engine_part *first = &v->parts[0];

	if (v->front_kind == FRONT_NONE && first->is_gone) { /* a probe ends by itself */
		done_call(v, 0, "");
		step_set(v, STEP_DRAIN, now_us, DRAIN_MS_MAX);
	} else if (first->was_ready)
		connected(e, v, now_us);
	else if (first->is_failed)
		attach_fail(e, v, -ECONNABORTED, now_us);
	else if (now_us > v->deadline_us) {
		struct volume_info info;

		volume_info(first->volume, &info);
		error_set(&v->error, 0,
			"%s does not answer%s%s; start it, or see that port %s reaches it",
			info.server[0] ? info.server : v->cfg.uris[0], info.error[0] ? ": " : "",
			info.error, e->ports[v->port].cfg->name);
		attach_fail(e, v, -ETIMEDOUT, now_us);
	}
}

static void serve_begin(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	char device[64] = "", sched[sizeof(v->scheduler)] = "";

	step_set(v, STEP_SERVE, now_us, 0);
	if (v->ublk) {
		snprintf(device, sizeof(device), "/dev/ublkb%d", ublk_dev_id(v->ublk));
		if (ublk_scheduler_none(v->ublk, sched, sizeof(sched)))
			log_warn("%s: its scheduler is %s, which may hold back what frees memory; "
				 "echo none > /sys/block/ublkb%d/queue/scheduler",
				device, sched, ublk_dev_id(v->ublk));
		memcpy(v->scheduler, sched, sizeof(v->scheduler));
		log_info("volume %s: %s serves %s by %u worker%s%s", v->cfg.name, device,
			v->cfg.uris[0], v->part_count, v->part_count > 1 ? "s" : "",
			v->is_recovery ? ", taken over with what was in flight" : "");
	}
	done_call(v, 0, device);
}

static void front_poll(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	if (!engine_parts_done(e, v)) {
		if (now_us > v->deadline_us)
			attach_fail(e, v, worker_is_late(v), now_us);
		return;
	}
	if (!v->ublk) {
		serve_begin(e, v, now_us);
		return;
	}
	step_set(v, STEP_START, now_us, START_MS_MAX);
	if (ublk_start(v->ublk, &v->error))
		attach_fail(e, v, -EIO, now_us);
}

static void start_poll(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	int rc = ublk_start_poll(v->ublk, &v->error);

	if (rc == -EAGAIN && now_us > v->deadline_us)
		rc = error_set(&v->error, -ETIMEDOUT,
			"the kernel did not start the device within %u s", START_MS_MAX / 1000);
	if (rc == 0)
		serve_begin(e, v, now_us);
	else if (rc != -EAGAIN)
		attach_fail(e, v, rc, now_us);
}

static void stop_poll(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	bool is_stopped;

	if (v->is_stop_due)
		v->is_stop_due = ublk_stop(v->ublk, NULL) != 0;
	is_stopped = !v->is_stop_due && ublk_stop_poll(v->ublk, NULL) != -EAGAIN &&
		     ublk_queue_stopped(v->ublk);
	if (!is_stopped && now_us <= v->deadline_us)
		return;
	if (is_stopped)
		engine_parts_post(e, v, (struct worker_cmd){.type = WORKER_FRONT_SET});
	else /* its tags are still out: the volume answers them through the front end as it ends */
		log_error("volume %s: the kernel did not give the device back within %u s",
			v->cfg.name, STOP_MS_MAX / 1000);
	engine_parts_post(e, v,
		(struct worker_cmd){.type = WORKER_VOLUME_STOP,
			.n = v->is_forced ? 0 : DRAIN_MS_MAX * 1000ull});
	step_set(v, STEP_DRAIN, now_us, DRAIN_MS_MAX + 5000);
}

/* The answer does not wait any longer, but the volume's memory must. */
static void drain_late(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	if (!v->is_late) {
		v->is_late = true;
		log_error("volume %s: a worker does not let go of it; its memory stays in use "
			  "until it does",
			v->cfg.name);
		if (!v->result)
			v->result = error_set(&v->error, -ETIMEDOUT,
				"volume %s: a worker did not let go of it; it is still being "
				"detached",
				v->cfg.name);
		done_call(v, v->result, "");
	}
	engine_parts_post(e, v, (struct worker_cmd){.type = WORKER_VOLUME_STOP, .n = 0});
	step_set(v, STEP_DRAIN, now_us, DRAIN_MS_MAX);
}

static void drain_poll(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	/* No room: staging of earlier volumes is still in TX rings; they move on. */
	if (!engine_parts_gone(v) || !engine_parts_done(e, v) || !engine_linger_has_room(e)) {
		if (now_us > v->deadline_us)
			drain_late(e, v, now_us);
		return;
	}
	if (v->ublk)
		engine_ublk_end(e, v);
	if (v->result == 0) /* else whoever asked for it says what became of it */
		log_info("volume %s: gone", v->cfg.name);
	done_call(v, v->result, "");
	engine_volume_free(e, v);
}

void engine_volume_poll(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	engine_parts_poll(e, v);
	switch (v->step) {
	case STEP_RESOLVE:
		resolve_poll(e, v, now_us);
		break;
	case STEP_CONNECT:
		connect_poll(e, v, now_us);
		break;
	case STEP_SPREAD:
		spread_poll(e, v, now_us);
		break;
	case STEP_FRONT:
		front_poll(e, v, now_us);
		break;
	case STEP_START:
		start_poll(e, v, now_us);
		break;
	case STEP_STOP:
		stop_poll(e, v, now_us);
		break;
	case STEP_DRAIN:
		drain_poll(e, v, now_us);
		break;
	case STEP_SERVE:
		engine_servers_follow(e, v, now_us);
		engine_ublk_watch(v, now_us);
		break;
	case STEP_FREE:
		break;
	}
}

/* ---- the calls ---- */

static struct engine_volume *name_find(struct engine *e, const char *name)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++)
		if (e->volumes[i].step != STEP_FREE && strcmp(e->volumes[i].cfg.name, name) == 0)
			return &e->volumes[i];
	return NULL;
}

bool engine_has(const struct engine *e, const char *name)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++)
		if (e->volumes[i].step != STEP_FREE && strcmp(e->volumes[i].cfg.name, name) == 0)
			return true;
	return false;
}

const char *engine_name_of_device(const struct engine *e, int dev_id)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++) {
		const struct engine_volume *v = &e->volumes[i];

		if (v->step != STEP_FREE && v->ublk && ublk_dev_id(v->ublk) == dev_id)
			return v->cfg.name;
	}
	return NULL;
}

static struct engine_volume *slot_take(struct engine *e)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++)
		if (e->volumes[i].step == STEP_FREE) {
			memset(&e->volumes[i], 0, sizeof(e->volumes[i]));
			return &e->volumes[i];
		}
	return NULL;
}

int engine_attach(struct engine *e, const struct engine_attach *how, struct error *err)
{
	uint64_t now_us = clock_now_us(&e->clock);
	struct engine_volume *v;
	int rc;

	if (name_find(e, how->volume->name))
		return error_set(err, -EEXIST,
			"volume %s is attached already; detach it or choose a name",
			how->volume->name);
	v = slot_take(e);
	if (!v)
		return error_set(err, -ENOSPC, "all %u volumes are in use", VOLUME_MAX);
	v->cfg = *how->volume;
	v->front_kind = how->front;
	if (how->bench)
		v->bench_cfg = *how->bench;
	v->quota = engine_quota_most(&v->cfg);
	v->quota_least = engine_quota_least(&v->cfg);
	rc = how->front == FRONT_UBLK ? engine_ublk_shape(v, how->recover, err) : 0;
	if (!rc)
		rc = engine_volume_plan(e, v, now_us, err);
	v->attach_ms = (uint32_t)how->deadline_ms;
	if (!rc && !v->names.has_name)
		rc = connect_begin(e, v, now_us, err);
	if (rc) {
		engine_volume_free(e, v);
		return rc;
	}
	v->done = how->done;
	v->arg = how->arg;
	if (v->names.has_name)
		step_set(v, STEP_RESOLVE, now_us, 0); /* its deadline is that of the names */
	return 0;
}

int engine_detach(struct engine *e, const char *name, bool force, engine_done_fn *done, void *arg,
	struct error *err)
{
	struct engine_volume *v = name_find(e, name);

	if (!v)
		return error_set(
			err, -ENOENT, "there is no volume %s; `sluice list` shows them", name);
	if (v->step != STEP_SERVE)
		return error_set(err, -EALREADY, "volume %s is %s", name,
			v->step < STEP_SERVE ? "still being attached" : "being detached already");
	if (v->ublk && !force && ublk_is_open(v->ublk))
		return error_set(err, -EBUSY,
			"/dev/ublkb%d is in use; unmount it or swapoff first, or use --force",
			ublk_dev_id(v->ublk));
	v->done = done;
	v->arg = arg;
	v->is_forced = force;
	v->result = 0;
	v->error.text[0] = 0;
	teardown_begin(e, v, clock_now_us(&e->clock));
	return 0;
}

void engine_leave_all(struct engine *e, bool all)
{
	uint64_t now_us = clock_now_us(&e->clock);
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++) {
		struct engine_volume *v = &e->volumes[i];

		if (v->step != STEP_SERVE || !engine_ublk_may_stay(v) ||
			(!all && !ublk_is_open(v->ublk)))
			continue;
		v->is_kept = true;
		teardown_begin(e, v, now_us);
	}
}

/* On its way out already: what holds it up is given up. */
static void teardown_force(struct engine *e, struct engine_volume *v)
{
	if (v->is_forced)
		return;
	v->is_forced = true;
	if (v->step == STEP_STOP)
		engine_parts_post(e, v, (struct worker_cmd){.type = WORKER_VOLUME_FAIL});
	else
		engine_parts_post(e, v,
			(struct worker_cmd){
				.type = v->is_kept ? WORKER_VOLUME_LEAVE : WORKER_VOLUME_STOP,
				.n = 0});
}

void engine_detach_all(struct engine *e, bool force)
{
	uint64_t now_us = clock_now_us(&e->clock);
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++) {
		struct engine_volume *v = &e->volumes[i];

		if (v->step > STEP_SERVE && force)
			teardown_force(e, v);
		if (v->step == STEP_FREE || v->step > STEP_SERVE)
			continue;
		v->is_forced = force;
		if (v->step < STEP_SERVE) {
			v->result = -ECANCELED;
			error_set(&v->error, 0, "the daemon is ending");
			v->is_forced = true;
		}
		teardown_begin(e, v, now_us);
	}
}
