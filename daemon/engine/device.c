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
 * Each step waits for one thing, named by enum device_step; device_poll() looks whether it
 * has come or its deadline has passed. A failure anywhere before STEP_SERVE takes the same way back
 * and reports why. A worker that does not let go keeps the volume's memory, for it may still use
 * it; the caller has its answer at the deadline all the same, and the slot is freed when the
 * worker is done. Control thread only.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "config/log.h"
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

#define START_MS_MAX 10000 /* of silence, for the kernel's part */
#define CONNECT_MS_MAX                                                                             \
	100000u /* for all addresses of a device together: clients wait for 120 s                  \
		 */

/* ---- steps ---- */

static void attach_fail(struct devices *ds, struct device *d, int rc, uint64_t now_us)
{
	d->result = rc;
	d->is_forced = true;
	device_teardown(ds, d, now_us);
}

static int front_make(struct devices *ds, struct device *d, const struct block_limits *limits)
{
	unsigned i;
	int rc = 0;

	if (d->front_kind == FRONT_UBLK)
		return device_ublk_make(ds, d, limits);
	for (i = 0; !rc && i < d->channel_count; i++)
		rc = channel_bench(d, i, limits);
	return rc;
}

static void front_set(struct devices *ds, struct device *d, uint64_t now_us)
{
	unsigned i;

	for (i = 0; i < d->channel_count; i++)
		channel_post(ds, d, &d->channels[i],
			(struct worker_cmd){.type = WORKER_FRONT_SET,
				.b = d->ublk ? ublk_front(d->ublk, i)
					     : bench_front(d->channels[i].bench)});
	device_step_set(d, STEP_FRONT, now_us, START_MS_MAX);
}

static void front_begin(struct devices *ds, struct device *d, uint64_t now_us)
{
	struct volume_info info;
	int rc;

	volume_info(d->channels[0].volume, &info);
	rc = front_make(ds, d, &info.limits);
	if (rc)
		attach_fail(ds, d, rc, now_us);
	else if (d->ublk)
		device_step_set(d, STEP_ADD, now_us, 0); /* each command has a deadline */
	else
		front_set(ds, d, now_us);
}

static void add_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	int rc = device_ublk_made(ds, d);

	if (rc == 0)
		front_set(ds, d, now_us);
	else if (rc != -EAGAIN)
		attach_fail(ds, d, rc, now_us);
}

/* Why an attach ends at STEP_SPREAD or STEP_FRONT, which a worker ends within a turn. Out:
 * -ETIMEDOUT. */
static int worker_is_late(struct device *d)
{
	return error_set(&d->error, -ETIMEDOUT, "volume %s: a worker did not answer within %u s",
		d->cfg.name, START_MS_MAX / 1000);
}

static void spread_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	if (channels_spread_done(ds, d, now_us))
		front_begin(ds, d, now_us);
	else if (now_us > d->deadline_us)
		attach_fail(ds, d, worker_is_late(d), now_us);
}

/* The first channel is READY: the others may follow. */
static void connected(struct devices *ds, struct device *d, uint64_t now_us)
{
	struct volume_info info;

	volume_info(d->channels[0].volume, &info);
	if (channels_spread_begin(ds, d, &info.limits, now_us))
		device_step_set(d, STEP_SPREAD, now_us, START_MS_MAX);
	else
		front_begin(ds, d, now_us);
}

/* The servers' addresses are known. Each gets the time to answer that a single one has, within
 * bounds. */
static int connect_begin(struct devices *ds, struct device *d, uint64_t now_us, struct error *err)
{
	int rc = device_make(ds, d, err);
	uint64_t ms;

	if (rc)
		return rc;
	ms = d->attach_ms + (d->plan->servers.count - 1ull) * d->cfg.connect_ms;
	ms = RTE_MIN(ms, RTE_MAX(d->attach_ms, CONNECT_MS_MAX / ports_count(ds->ports)));
	device_step_set(d, STEP_CONNECT, now_us, ms);
	channels_post(ds, d, (struct worker_cmd){.type = WORKER_VOLUME_ADD});
	return 0;
}

static void resolve_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	int rc;

	if (!device_names_done(ds, d, now_us))
		return;
	rc = connect_begin(ds, d, now_us, &d->error);
	if (rc)
		attach_fail(ds, d, rc, now_us);
}

static void port_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	int rc;

	if (!channels_gone(d) || !channels_done(ds, d) || !devices_linger_has_room(ds)) {
		if (now_us > d->deadline_us)
			attach_fail(ds, d, worker_is_late(d), now_us);
		return;
	}
	device_unmake(ds, d);
	rc = connect_begin(ds, d, now_us, &d->error);
	if (rc)
		attach_fail(ds, d, rc, now_us);
}

static void connect_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	const struct channel *first = &d->channels[0];

	if (d->front_kind == FRONT_NONE && first->is_gone) { /* a probe ends by itself */
		device_done(d, 0, "");
		device_step_set(d, STEP_DRAIN, now_us, DRAIN_MS_MAX);
	} else if (first->was_ready)
		connected(ds, d, now_us);
	else if (first->is_failed || now_us > d->deadline_us) {
		if (device_port_next(ds, d))
			device_step_set(d, STEP_PORT, now_us, DRAIN_MS_MAX);
		else
			attach_fail(ds, d, first->is_failed ? -ECONNABORTED : -ETIMEDOUT, now_us);
	}
}

static void serve_begin(struct devices *ds, struct device *d, uint64_t now_us)
{
	char device[64] = "", sched[sizeof(d->scheduler)] = "";

	device_step_set(d, STEP_SERVE, now_us, 0);
	if (d->ublk) {
		snprintf(device, sizeof(device), "/dev/ublkb%d", ublk_dev_id(d->ublk));
		if (ublk_scheduler_none(d->ublk, sched, sizeof(sched)))
			log_warn("%s: its scheduler is %s, which may delay the I/O that frees "
				 "memory; "
				 "echo none > /sys/block/ublkb%d/queue/scheduler",
				device, sched, ublk_dev_id(d->ublk));
		memcpy(d->scheduler, sched, sizeof(d->scheduler));
		log_info("volume %s: %s serves %s by %u worker%s%s", d->cfg.name, device,
			d->cfg.uris[0], d->channel_count, d->channel_count > 1 ? "s" : "",
			d->is_recovery ? ", taken over with what was in flight" : "");
	}
	device_done(d, 0, device);
}

static void front_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	if (!channels_done(ds, d)) {
		if (now_us > d->deadline_us)
			attach_fail(ds, d, worker_is_late(d), now_us);
		return;
	}
	if (!d->ublk) {
		serve_begin(ds, d, now_us);
		return;
	}
	device_step_set(d, STEP_START, now_us, START_MS_MAX);
	if (ublk_start(d->ublk, &d->error))
		attach_fail(ds, d, -EIO, now_us);
}

static void start_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	int rc = ublk_start_poll(d->ublk, &d->error);

	if (rc == -EAGAIN && device_ublk_silent(d, now_us, START_MS_MAX))
		rc = device_ublk_start_late(d, START_MS_MAX);
	if (rc == 0)
		rc = device_ublk_node(d);
	if (rc == 0)
		serve_begin(ds, d, now_us);
	else if (rc != -EAGAIN)
		attach_fail(ds, d, rc, now_us);
}

static void stop_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	bool is_stopped;

	if (d->is_stop_due)
		d->is_stop_due = ublk_stop(d->ublk, NULL) != 0;
	is_stopped = !d->is_stop_due && ublk_stop_poll(d->ublk, NULL) != -EAGAIN &&
		     ublk_queue_stopped(d->ublk);
	if (!is_stopped && !device_ublk_silent(d, now_us, STOP_MS_MAX))
		return;
	ublk_ask_end(&d->ask);
	if (is_stopped)
		channels_post(ds, d, (struct worker_cmd){.type = WORKER_FRONT_SET});
	else /* its tags are still out: the volume answers them through the front end as it ends */
		log_error("volume %s: the kernel did not give the device back, and nothing was "
			  "answered for %u s",
			d->cfg.name, STOP_MS_MAX / 1000);
	channels_post(ds, d,
		(struct worker_cmd){.type = WORKER_VOLUME_STOP,
			.n = d->is_forced ? 0 : DRAIN_MS_MAX * 1000ull});
	device_step_set(d, STEP_DRAIN, now_us, DRAIN_MS_MAX + 5000);
}

/* The answer does not wait any longer, but the volume's memory must. */
static void drain_late(struct devices *ds, struct device *d, uint64_t now_us)
{
	if (!d->is_late) {
		d->is_late = true;
		log_error("volume %s: a worker has not released it; its memory stays in use until "
			  "then",
			d->cfg.name);
		if (!d->result)
			d->result = error_set(&d->error, -ETIMEDOUT,
				"volume %s: a worker did not release it; it is still being "
				"detached",
				d->cfg.name);
		device_done(d, d->result, "");
	}
	channels_post(ds, d, (struct worker_cmd){.type = WORKER_VOLUME_STOP, .n = 0});
	device_step_set(d, STEP_DRAIN, now_us, DRAIN_MS_MAX);
}

/* The kernel has let go of the device, or says that it does not. */
static void ended(struct devices *ds, struct device *d, int rc)
{
	d->result = d->result ? d->result : rc;
	if (d->result == 0) /* else the caller reports what became of it */
		log_info("volume %s: gone", d->cfg.name);
	device_done(d, d->result, "");
	device_free(ds, d);
}

static void drain_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	int rc;

	/* No room: staging of earlier volumes is still in TX rings; they move on. */
	if (!channels_gone(d) || !channels_done(ds, d) || !devices_linger_has_room(ds)) {
		if (now_us > d->deadline_us)
			drain_late(ds, d, now_us);
		return;
	}
	rc = d->ublk ? device_ublk_end(ds, d) : 0;
	if (rc == -EAGAIN)
		device_step_set(d, STEP_DELETE, now_us, 0); /* DEL_DEV has a deadline of its own */
	else
		ended(ds, d, rc);
}

static void delete_poll(struct devices *ds, struct device *d)
{
	int rc = device_ublk_deleted(ds, d);

	if (rc != -EAGAIN)
		ended(ds, d, rc);
}

void device_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	channels_poll(ds, d);
	switch (d->step) {
	case STEP_RESOLVE:
		resolve_poll(ds, d, now_us);
		break;
	case STEP_CONNECT:
		connect_poll(ds, d, now_us);
		break;
	case STEP_PORT:
		port_poll(ds, d, now_us);
		break;
	case STEP_SPREAD:
		spread_poll(ds, d, now_us);
		break;
	case STEP_ADD:
		add_poll(ds, d, now_us);
		break;
	case STEP_FRONT:
		front_poll(ds, d, now_us);
		break;
	case STEP_START:
		start_poll(ds, d, now_us);
		break;
	case STEP_ASK:
		device_ask_poll(ds, d, now_us);
		break;
	case STEP_STOP:
		stop_poll(ds, d, now_us);
		break;
	case STEP_DRAIN:
		drain_poll(ds, d, now_us);
		break;
	case STEP_DELETE:
		delete_poll(ds, d);
		break;
	case STEP_SERVE:
		device_servers_follow(ds, d, now_us);
		device_ublk_watch(d, now_us);
		break;
	case STEP_FREE:
		break;
	}
}

/* ---- the calls ---- */

static struct device *name_find(struct devices *ds, const char *name)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++)
		if (ds->list[i].step != STEP_FREE && strcmp(ds->list[i].cfg.name, name) == 0)
			return &ds->list[i];
	return NULL;
}

static struct device *slot_take(struct devices *ds)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++)
		if (ds->list[i].step == STEP_FREE) {
			memset(&ds->list[i], 0, sizeof(ds->list[i]));
			ds->list[i].ask.fd = -1;
			return &ds->list[i];
		}
	return NULL;
}

int devices_attach(struct devices *ds, const struct engine_attach *how, struct error *err)
{
	uint64_t now_us = clock_now_us(ds->clock);
	struct device *d;
	int rc;

	if (name_find(ds, how->volume->name))
		return error_set(err, -EEXIST,
			"volume %s is attached already; detach it or choose a name",
			how->volume->name);
	d = slot_take(ds);
	if (!d)
		return error_set(err, -ENOSPC, "all %u volumes are in use", VOLUME_MAX);
	d->cfg = *how->volume;
	d->front_kind = how->front;
	if (how->bench)
		d->bench_cfg = *how->bench;
	d->quota = budget_quota_most(&d->cfg);
	d->quota_least = budget_quota_least(&d->cfg);
	rc = how->front == FRONT_UBLK ? device_ublk_shape(d, how->recover, err) : 0;
	if (!rc)
		rc = device_plan(ds, d, now_us, err);
	d->attach_ms = (uint32_t)how->deadline_ms;
	d->ports_tried = how->ports_without;
	if (!rc && !d->names.has_name)
		rc = connect_begin(ds, d, now_us, err);
	if (rc) {
		device_free(ds, d);
		return rc;
	}
	d->done = how->done;
	d->arg = how->arg;
	if (d->names.has_name)
		device_step_set(d, STEP_RESOLVE, now_us, 0); /* its deadline is that of the names */
	return 0;
}

/* May a user of the device lose it by such a detach? 0, or -EBUSY with @err. */
static int detach_check(struct device *d, enum engine_detach how, struct error *err)
{
	struct ublk_user user;

	if (!d->ublk)
		return 0;
	ublk_user_find(ublk_dev_id(d->ublk), &user);
	memcpy(d->user, user.text, sizeof(d->user));
	if (how == ENGINE_DETACH_UNUSED && user.kind != UBLK_USER_NONE)
		return device_is_used(d, &user, err);
	return how == ENGINE_DETACH_FORCE ? ublk_swap_check(ublk_dev_id(d->ublk), err) : 0;
}

int devices_detach(struct devices *ds, const char *name, enum engine_detach how,
	engine_done_fn *done, void *arg, struct error *err)
{
	struct device *d = name_find(ds, name);
	bool force = how != ENGINE_DETACH_UNUSED, is_asked;

	if (!d)
		return error_set(
			err, -ENOENT, "there is no volume %s; `sluice list` shows them", name);
	/* A question without a caller any more (device_ask.c). */
	is_asked = d->step == STEP_ASK && !d->done && force;
	if (d->step != STEP_SERVE && !is_asked)
		return error_set(err, -EALREADY, "volume %s is %s", name,
			d->step < STEP_SERVE ? "still being attached" : "being detached already");
	if (detach_check(d, how, err))
		return -EBUSY;
	d->done = done;
	d->arg = arg;
	d->is_forced = force;
	d->result = 0;
	d->error.text[0] = 0;
	if (d->ublk && !force)
		device_ask_begin(ds, d, false, clock_now_us(ds->clock));
	else
		device_teardown(ds, d, clock_now_us(ds->clock));
	return 0;
}
