/*
 * device_channel.c - a volume's share of each worker that serves it
 *
 * A port with several queues has a worker for each, and workers share nothing. So a block device
 * that is to use several is cut where the kernel cuts it: by hardware queues. Each *channel* is a
 * struct volume on a worker of its own, with its connections, its credits in that worker's pool,
 * its staging and its hardware queue. The first channel goes alone until it knows the export; the
 * others follow, as many as there are workers, connections asked for and processors, if the server
 * says CAN_MULTI_CONN. A channel that does not come to serve, or whose packets arrive at another
 * worker whatever local port it tries, is left out: the device then has fewer queues, and status
 * says why.
 *
 * Control thread only. Channels 0 to channel_count - 1 are there, without holes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config/log.h"
#include "dataplane/dma.h"
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

#define SPREAD_MS_MAX                                                                              \
	5000 /* for the further channels to become ready: the server has just answered */

static struct worker *worker_of(
	const struct devices *ds, const struct device *d, const struct channel *ch)
{
	return ports_queue(ds->ports, d->port, ch->share.queue)->worker;
}

/* ---- commands to workers ---- */

void channel_post(
	struct devices *ds, const struct device *d, struct channel *ch, struct worker_cmd cmd)
{
	cmd.a = ch->volume;
	backlog_post(&ch->backlog, worker_of(ds, d, ch), &cmd);
}

void channels_post(struct devices *ds, struct device *d, struct worker_cmd cmd)
{
	unsigned i;

	for (i = 0; i < d->channel_count; i++)
		channel_post(ds, d, &d->channels[i], cmd);
}

/* Why the volume was given up before it was ready, for the answer to the attach. */
static void first_failed(struct device *d)
{
	struct volume_info info;

	volume_info(d->channels[0].volume, &info);
	error_set(&d->error, 0, "%s",
		info.error[0] ? info.error : "the server did not accept the connection");
}

/* The volume's state, not its events: those may be lost where many volumes have much to say. */
static void channel_look(struct device *d, struct channel *ch)
{
	enum volume_state state = volume_state_of(ch->volume);

	ch->was_ready |= state == VOLUME_READY || state == VOLUME_LOST;
	ch->is_gone |= state == VOLUME_GONE;
	if (state != VOLUME_FAILED || ch->was_ready || ch->is_failed)
		return;
	ch->is_failed = true;
	if (ch == &d->channels[0])
		first_failed(d);
}

void channels_poll(struct devices *ds, struct device *d)
{
	for (unsigned i = 0; i < d->channel_count; i++) {
		backlog_poll(&d->channels[i].backlog, worker_of(ds, d, &d->channels[i]));
		channel_look(d, &d->channels[i]);
	}
}

bool channels_done(const struct devices *ds, const struct device *d)
{
	unsigned i;

	for (i = 0; i < d->channel_count; i++)
		if (!backlog_done(&d->channels[i].backlog, worker_of(ds, d, &d->channels[i])))
			return false;
	return true;
}

bool channels_gone(const struct device *d)
{
	unsigned i;

	for (i = 0; i < d->channel_count; i++)
		if (!d->channels[i].is_gone)
			return false;
	return true;
}

/* ---- how many, and where ---- */

static unsigned connections_of(const struct device *d)
{
	/* Of one's own accord a connection a worker; a device taken over has the queues it has. */
	return RTE_MAX(d->cfg.connections ? d->cfg.connections : d->channel_want, d->channel_want);
}

static unsigned channels_wanted(const struct devices *ds, struct device *d)
{
	unsigned queues = ports_queue_count(ds->ports, d->port), want = queues;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (d->front_kind == FRONT_NONE)
		return 1;
	if (d->is_recovery)
		return d->state.queues ? d->state.queues : 1;
	if (queues > 1 && d->cfg.connections && d->cfg.connections < want) {
		want = d->cfg.connections;
		snprintf(d->spread, sizeof(d->spread), "connections: %u", want);
	}
	if (cpus > 0 && want > (unsigned)cpus) { /* the kernel gives a device no more queues */
		want = (unsigned)cpus;
		snprintf(d->spread, sizeof(d->spread), "the machine has %u processors", want);
	}
	return want;
}

/* The worker with the fewest channels. */
static unsigned queue_choose(const struct devices *ds, unsigned port)
{
	unsigned load[WORKER_MAX] = {0}, best = 0, i, k;

	for (i = 0; i < VOLUME_MAX; i++) {
		const struct device *d = &ds->list[i];

		for (k = 0; d->step != STEP_FREE && d->port == port && k < d->channel_count; k++)
			load[d->channels[k].share.queue]++;
	}
	for (i = 1; i < ports_queue_count(ds->ports, port); i++)
		if (load[i] < load[best])
			best = i;
	return best;
}

/* ---- making one ---- */

static int owners_add(const struct devices *ds, struct device *d, struct channel *ch,
	struct volume_config *vc, struct error *err)
{
	struct reserve *rx = ports_queue(ds->ports, d->port, ch->share.queue)->rx;
	char name[NAME_BYTES_MAX];
	bool is_full;
	unsigned c;

	ch->owner = reserve_owner_add(
		rx, vc->name, OWNER_NONE, ch->share.quota * ch->share.connections);
	is_full = ch->owner < 0;
	for (c = 0; c < ch->share.connections && !is_full; c++) {
		snprintf(name, sizeof(name), "%.38s/%u in-order", vc->name, c);
		ch->owner_in[c] = reserve_owner_add(rx, name, (uint16_t)ch->owner, ch->share.quota);
		snprintf(name, sizeof(name), "%.38s/%u out-of-order", vc->name, c);
		ch->owner_ooo[c] =
			reserve_owner_add(rx, name, (uint16_t)ch->owner, ch->share.quota / 4 * 3);
		is_full = ch->owner_in[c] < 0 || ch->owner_ooo[c] < 0;
		vc->owner[c] = (uint16_t)ch->owner_in[c];
		vc->owner_ooo[c] = (uint16_t)ch->owner_ooo[c];
	}
	return is_full ? error_set(err, -ENOSPC,
				 "port %s, queue %u: all %u entries of its memory ledger are in "
				 "use; detach a "
				 "volume, or lower connections: of this one",
				 ports_cfg(ds->ports, d->port)->name, ch->share.queue, OWNER_MAX)
		       : 0;
}

/* After a change of ch->share.quota. */
void channel_limits(const struct devices *ds, const struct device *d, const struct channel *ch)
{
	struct reserve *rx = ports_queue(ds->ports, d->port, ch->share.queue)->rx;

	if (ch->owner > 0)
		reserve_owner_limit(
			rx, (uint16_t)ch->owner, ch->share.quota * ch->share.connections);
	for (unsigned c = 0; c < ch->share.connections; c++) {
		if (ch->owner_in[c] > 0)
			reserve_owner_limit(rx, (uint16_t)ch->owner_in[c], ch->share.quota);
		if (ch->owner_ooo[c] > 0)
			reserve_owner_limit(
				rx, (uint16_t)ch->owner_ooo[c], ch->share.quota / 4 * 3);
	}
}

static void owners_del(const struct devices *ds, const struct device *d, struct channel *ch)
{
	struct reserve *rx = ports_queue(ds->ports, d->port, ch->share.queue)->rx;
	unsigned c;

	for (c = 0; c < ch->share.connections; c++) {
		if (ch->owner_in[c] > 0 && reserve_owner_del(rx, (uint16_t)ch->owner_in[c]))
			log_error("volume %s: mbufs still charged in order: a leak, see `sluice "
				  "reserve leaks`",
				d->cfg.name);
		if (ch->owner_ooo[c] > 0 && reserve_owner_del(rx, (uint16_t)ch->owner_ooo[c]))
			log_error("volume %s: mbufs still charged out of order: a leak, see "
				  "`sluice reserve leaks`",
				d->cfg.name);
	}
	if (ch->owner > 0)
		reserve_owner_del(rx, (uint16_t)ch->owner);
}

/* Adds the next channel, on @queue. On failure there is none. */
static int channel_add(struct devices *ds, struct device *d, unsigned queue, struct error *err)
{
	unsigned idx = d->channel_count, total = connections_of(d);
	struct channel *ch = &d->channels[idx];
	struct volume_config *vc = d->plan;
	int rc;

	memset(ch, 0, sizeof(*ch));
	ch->share.queue = queue;
	ch->share.connections = total / d->channel_want + (idx < total % d->channel_want);
	ch->share.quota = ch->told = d->quota_least;
	ch->read_us = ch->low_us = clock_now_us(ds->clock);
	rc = budget_fits(ds->budget, d->port, queue, ch->share.quota * ch->share.connections, err);
	if (rc)
		return rc;
	snprintf(vc->name, sizeof(vc->name), idx ? "%.58s/%u" : "%s", d->cfg.name, idx);
	vc->connections = (uint16_t)ch->share.connections;
	vc->group = d->group;
	vc->channel = idx;
	ch->share.port = d->port;
	budget_share_add(ds->budget, &ch->share);
	d->channel_count++; /* from here on channel_free() undoes what was done */
	rc = device_ublk_staging(d, ch, vc, err);
	if (!rc)
		rc = owners_add(ds, d, ch, vc, err);
	if (!rc) {
		ch->volume = volume_create(vc, err);
		rc = ch->volume ? 0 : -ENOMEM;
	}
	if (rc)
		channel_free(ds, d, idx);
	else
		ports_floor_update(ds->ports, d->port, queue, vc->name);
	return rc;
}

void channel_free(struct devices *ds, struct device *d, unsigned idx)
{
	struct channel *ch = &d->channels[idx];
	unsigned queue = ch->share.queue, i;

	volume_destroy(ch->volume);
	bench_destroy(ch->bench);
	owners_del(ds, d, ch);
	devices_buf_put_aside(ds, ch->buf);
	for (i = idx; i < d->channel_count; i++) /* those behind it move: they are in lists */
		budget_share_del(&d->channels[i].share);
	d->channel_count--;
	memmove(ch, ch + 1, (d->channel_count - idx) * sizeof(*ch));
	for (i = idx; i < d->channel_count; i++)
		budget_share_add(ds->budget, &d->channels[i].share);
	ports_floor_update(ds->ports, d->port, queue, "a volume left this queue");
}

int channels_make(struct devices *ds, struct device *d, struct error *err)
{
	d->channel_want = channels_wanted(ds, d);
	if (d->channel_want > 1) {
		d->group = volume_group_create();
		if (!d->group)
			return error_set(err, -ENOMEM, "out of memory");
	}
	return channel_add(ds, d, queue_choose(ds, d->port), err);
}

/* ---- spreading over the other workers, once the first channel is READY ---- */

static int follower_add(struct devices *ds, struct device *d, struct error *err)
{
	unsigned idx = d->channel_count, queues = ports_queue_count(ds->ports, d->port);
	int rc = channel_add(ds, d, (d->channels[0].share.queue + idx) % queues, err);

	if (rc)
		return rc;
	volume_follow(d->channels[idx].volume, d->channels[0].volume);
	channel_post(ds, d, &d->channels[idx], (struct worker_cmd){.type = WORKER_VOLUME_ADD});
	return 0;
}

bool channels_spread_begin(
	struct devices *ds, struct device *d, const struct block_limits *limits, uint64_t now_us)
{
	struct error err = {""};

	if (d->channel_want > 1 && !limits->can_multi_conn) {
		snprintf(d->spread, sizeof(d->spread),
			"the server allows one connection only (it does not say CAN_MULTI_CONN)");
		d->channel_want = 1;
	}
	while (d->channel_count < d->channel_want && follower_add(ds, d, &err) == 0)
		;
	if (d->channel_count < d->channel_want)
		snprintf(d->spread, sizeof(d->spread), "%.150s", err.text);
	d->spread_us = now_us + SPREAD_MS_MAX * 1000ull;
	return d->channel_count > 1;
}

/* Why channel @ch cannot be used, or NULL. */
static const char *channel_fault(const struct channel *ch)
{
	struct volume_info info;

	volume_info(ch->volume, &info);
	if (!ch->was_ready)
		return "its connection was not ready in time";
	if (info.conn_misdirected > 0)
		return "its packets arrive at another worker whatever the local port: the driver "
		       "does not steer";
	return NULL;
}

/* Sends the channels away that are of no use. True: some are, and are on their way. */
static bool channels_dismiss(struct devices *ds, struct device *d)
{
	bool is_any = false;
	unsigned i;

	for (i = 1; i < d->channel_count; i++) {
		struct channel *ch = &d->channels[i];
		const char *why = ch->is_dismissed ? NULL : channel_fault(ch);

		is_any |= ch->is_dismissed || why;
		if (!why)
			continue;
		ch->is_dismissed = true;
		snprintf(d->spread, sizeof(d->spread), "worker %u is left out: %s",
			worker_config(worker_of(ds, d, ch))->idx, why);
		log_warn("volume %s: %s", d->cfg.name, d->spread);
		channel_post(ds, d, ch, (struct worker_cmd){.type = WORKER_VOLUME_STOP, .n = 0});
	}
	return is_any;
}

bool channels_spread_done(struct devices *ds, struct device *d, uint64_t now_us)
{
	bool is_waiting = false;
	unsigned i;

	for (i = 1; i < d->channel_count; i++)
		is_waiting |= !d->channels[i].was_ready && !d->channels[i].is_failed;
	if (is_waiting && now_us < d->spread_us)
		return false;
	if (!channels_dismiss(ds, d))
		return true;
	for (i = d->channel_count; i-- > 1;) {
		struct channel *ch = &d->channels[i];

		if (ch->is_dismissed && ch->is_gone &&
			backlog_done(&ch->backlog, worker_of(ds, d, ch)))
			channel_free(ds, d, i);
	}
	return false;
}

/* ---- the load of a bench ---- */

/* Part @idx of the load: its share of the depth and of the region. */
int channel_bench(struct device *d, unsigned idx, const struct block_limits *limits)
{
	struct channel *ch = &d->channels[idx];
	struct bench_config cfg = d->bench_cfg;
	uint64_t region = cfg.size_bytes ? cfg.size_bytes : limits->size_bytes;
	unsigned n = d->channel_count;

	cfg.limits = *limits;
	if (n > 1) {
		cfg.size_bytes = region / n / cfg.bs_max * cfg.bs_max;
		cfg.offset_bytes = idx * cfg.size_bytes;
		cfg.iodepth = (uint16_t)RTE_MAX(cfg.iodepth / n + (idx < cfg.iodepth % n), 1u);
		cfg.seed += idx;
	}
	ch->buf = dma_buf_create((uint64_t)cfg.iodepth * cfg.bs_max, &d->error);
	cfg.buf = ch->buf;
	ch->bench = ch->buf ? bench_create(&cfg, &d->error) : NULL;
	return ch->bench ? 0 : -EINVAL;
}

/* ---- what the channels say ---- */

/* The channel that is @volume, or NULL; @d is set to what it is a channel of. */
static struct channel *channel_find(
	struct devices *ds, const struct volume *volume, struct device **d)
{
	unsigned i, k;

	for (i = 0; i < VOLUME_MAX; i++) {
		*d = &ds->list[i];
		for (k = 0; (*d)->step != STEP_FREE && k < (*d)->channel_count; k++)
			if ((*d)->channels[k].volume == volume)
				return &(*d)->channels[k];
	}
	return NULL;
}

void channels_event(struct devices *ds, const struct volume_event *ev)
{
	struct device *d;
	struct channel *ch = channel_find(ds, ev->volume, &d);

	if (!ch || !ev->text[0])
		return;
	/* The refusal of a first connection is the attach's answer, which is logged there. */
	if (ch != &d->channels[0] || ch->was_ready || ev->type != VOLUME_EVENT_REFUSED)
		log_line(ev->err ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "%s", ev->text);
}
