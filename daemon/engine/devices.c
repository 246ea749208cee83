/*
 * devices.c - the devices as one object: made, polled, and asked about
 *
 * What a device does on its way in and out is in device.c, what it is made of in the other device_
 * files. Values of workers are read while they change: each is one word, and a turn old at most.
 *
 * Control thread only.
 */
#include "daemon/engine/devices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

#define EVENT_BATCH 16

/* Readable: a name was resolved, or the kernel has answered. 0, or -errno with @err. */
static int fds_open(struct devices *ds, struct error *err)
{
	struct epoll_event ev = {.events = EPOLLIN};

	ds->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ds->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (ds->wake_fd < 0 || ds->poll_fd < 0 ||
		epoll_ctl(ds->poll_fd, EPOLL_CTL_ADD, ds->wake_fd, &ev) ||
		epoll_ctl(ds->poll_fd, EPOLL_CTL_ADD, resolver_fd(ds->resolver), &ev))
		return error_set(err, -errno, "epoll: %s", strerror(errno));
	return 0;
}

static void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

struct devices *devices_create(const struct config *cfg, struct budget *budget, struct ports *ports,
	struct clock *clock, struct error *err)
{
	struct devices *ds = calloc(1, sizeof(*ds));

	if (!ds) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	ds->cfg = cfg;
	ds->budget = budget;
	ds->ports = ports;
	ds->clock = clock;
	ds->wake_fd = ds->poll_fd = -1;
	ds->resolver = resolver_create(resolver_lookup, err);
	if (ds->resolver && fds_open(ds, err) == 0)
		return ds;
	devices_destroy(ds);
	return NULL;
}

void devices_destroy(struct devices *ds)
{
	if (!ds)
		return;
	fd_close(ds->poll_fd);
	fd_close(ds->wake_fd);
	resolver_destroy(ds->resolver);
	devices_linger_poll(ds, true);
	free(ds);
}

static void events_poll(struct devices *ds)
{
	struct volume_event ev[EVENT_BATCH];

	for (unsigned i = 0; i < ports_count(ds->ports); i++)
		for (unsigned q = 0; q < ports_queue_count(ds->ports, i); q++) {
			unsigned n = worker_events(
				ports_queue(ds->ports, i, q)->worker, ev, EVENT_BATCH);

			for (unsigned k = 0; k < n; k++)
				channels_event(ds, &ev[k]);
		}
}

void devices_poll(struct devices *ds, uint64_t now_us)
{
	uint64_t unused;

	events_poll(ds);
	resolver_clear(ds->resolver);
	if (read(ds->wake_fd, &unused, sizeof(unused)) > 0)
		unused = 0; /* how often does not matter: every device is looked at */
	for (unsigned i = 0; i < VOLUME_MAX; i++)
		if (ds->list[i].step != STEP_FREE)
			device_poll(ds, &ds->list[i], now_us);
	ublk_late_poll();
	devices_linger_poll(ds, false);
	devices_credit_poll(ds, now_us);
}

bool devices_are_moving(const struct devices *ds)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++)
		if (ds->list[i].step != STEP_FREE && ds->list[i].step != STEP_RESOLVE &&
			ds->list[i].step != STEP_SERVE)
			return true;
	return false;
}

int devices_fd(const struct devices *ds)
{
	return ds->poll_fd;
}

/* ---- facts ---- */

unsigned devices_count(const struct devices *ds)
{
	unsigned i, n = 0;

	for (i = 0; i < VOLUME_MAX; i++)
		n += ds->list[i].step != STEP_FREE;
	return n;
}

const char *devices_name_of(const struct devices *ds, int dev_id)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++) {
		const struct device *d = &ds->list[i];

		if (d->step != STEP_FREE && d->ublk && ublk_dev_id(d->ublk) == dev_id)
			return d->cfg.name;
	}
	return NULL;
}

static const char *step_name(enum device_step step)
{
	static const char *const names[] = {"free", "resolving", "connecting", "connecting",
		"spreading", "starting", "starting", "starting", "serving", "serving", "stopping",
		"draining", "draining"};

	return names[step];
}

unsigned devices_list(struct devices *ds, struct device_info *out, unsigned max)
{
	unsigned i, k, n = 0;
	uint64_t now_us;

	for (i = 0; i < VOLUME_MAX && n < max; i++) {
		struct device *d = &ds->list[i];
		struct device_info *o = &out[n];

		if (d->step == STEP_FREE)
			continue;
		memset(o, 0, sizeof(*o));
		channels_info(d, &o->volume);
		now_us = clock_now_us(ds->clock);
		if (o->volume.oldest_us && o->volume.oldest_us < now_us)
			o->oldest_request_us = now_us - o->volume.oldest_us;
		o->front = d->front_kind;
		snprintf(o->uri, sizeof(o->uri), "%s", d->cfg.uris[0]);
		o->step = step_name(d->step);
		o->port = d->port;
		o->quota_mbufs = d->quota;
		o->quota_least_mbufs = d->quota_least;
		o->worker_count = d->channel_count;
		snprintf(o->spread, sizeof(o->spread), "%s", d->spread);
		for (k = 0; k < d->channel_count; k++)
			o->staging_bytes += d->channels[k].buf ? d->channels[k].buf->bytes : 0;
		if (d->ublk && device_is_serving(d)) {
			snprintf(
				o->device, sizeof(o->device), "/dev/ublkb%d", ublk_dev_id(d->ublk));
			ublk_scheduler_read(d->ublk, o->scheduler, sizeof(o->scheduler));
		}
		device_ublk_degraded(d, o->scheduler, o->degraded, sizeof(o->degraded));
		o->is_user_copy = d->is_user_copy;
		n++;
	}
	return n;
}

/* The benches that make a load, one for each channel of each volume. Out: their number. */
static unsigned benches(const struct devices *ds, struct bench *out[DEVICE_BENCH_MAX])
{
	const struct device *d;
	unsigned i, k, n = 0;

	for (i = 0; i < VOLUME_MAX; i++) {
		d = &ds->list[i];
		for (k = 0; d->step == STEP_SERVE && !d->bench_cfg.is_idle && k < d->channel_count;
			k++)
			if (d->channels[k].bench)
				out[n++] = d->channels[k].bench;
	}
	return n;
}

uint64_t devices_bench_ask(const struct devices *ds)
{
	struct bench *all[DEVICE_BENCH_MAX];
	unsigned i, n = benches(ds, all);
	uint64_t next_ns = UINT64_MAX;

	for (i = 0; i < n; i++)
		next_ns = RTE_MIN(next_ns, bench_ask(all[i]));
	return next_ns;
}

bool devices_bench_done(const struct devices *ds)
{
	struct bench *all[DEVICE_BENCH_MAX];
	unsigned i, n = benches(ds, all);

	for (i = 0; i < n; i++)
		if (!bench_done(all[i]))
			return false;
	return n > 0;
}

void devices_bench_result(const struct devices *ds, struct bench_result *out)
{
	struct bench *all[DEVICE_BENCH_MAX];

	bench_result(all, benches(ds, all), out);
}

const struct volume_probe *devices_probe(const struct devices *ds, const char *name)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++)
		if (ds->list[i].step > STEP_RESOLVE && strcmp(ds->list[i].cfg.name, name) == 0)
			return volume_probe(ds->list[i].channels[0].volume);
	return NULL;
}

const struct config_volume *devices_config(const struct devices *ds, const char *name)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++)
		if (ds->list[i].step != STEP_FREE && strcmp(ds->list[i].cfg.name, name) == 0)
			return &ds->list[i].cfg;
	return NULL;
}

const char *devices_name_at(const struct devices *ds, unsigned idx)
{
	unsigned i, n = 0;

	for (i = 0; i < VOLUME_MAX; i++)
		if (device_is_serving(&ds->list[i]) && ds->list[i].ublk && n++ == idx)
			return ds->list[i].cfg.name;
	return NULL;
}

/* ---- memory ---- */

static size_t channel_bytes(const struct device *d, const struct channel *ch)
{
	size_t bytes = volume_bytes(ch->volume) + (ch->bench ? bench_bytes(ch->bench) : 0);

	/* The device's, and what its channels were made from, are counted with the first. */
	if (ch == &d->channels[0])
		bytes += sizeof(*d->plan) + (d->ublk ? ublk_bytes(d->ublk) : 0);
	return bytes;
}

unsigned devices_memory(const struct devices *ds, unsigned port, unsigned queue, uint64_t *staging,
	uint64_t *tables)
{
	unsigned i, k, count = 0;

	*staging = *tables = 0;
	for (i = 0; i < VOLUME_MAX; i++) {
		const struct device *d = &ds->list[i];

		for (k = 0; d->step != STEP_FREE && d->port == port && k < d->channel_count; k++) {
			if (d->channels[k].share.queue != queue)
				continue;
			*staging += d->channels[k].buf ? d->channels[k].buf->bytes : 0;
			*tables += channel_bytes(d, &d->channels[k]);
			count++;
		}
	}
	return count;
}

size_t devices_bytes(void)
{
	return sizeof(struct devices);
}

/* A channel on each queue the volume may be spread over has its own. */
uint64_t devices_staging_plan(const struct config_volume *v, unsigned queues)
{
	unsigned channels = v->connections ? RTE_MIN((unsigned)v->connections, queues) : queues;
	uint64_t user = (uint64_t)USER_PIECES_TOTAL * USER_PIECE_BYTES;

	return channels *
	       (v->copy == COPY_USER ? user : (uint64_t)v->queue_depth * v->io_bytes_max);
}
