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
#include "daemon/engine/engine_impl.h"

#define SPREAD_MS_MAX                                                                              \
	5000 /* for the further channels to become ready: the server has just answered */

static struct worker *worker_of(
	const struct engine *e, const struct device *d, const struct channel *ch)
{
	return e->ports[d->port].queues[ch->queue].worker;
}

/* ---- commands to workers ---- */

void channel_post(
	struct engine *e, const struct device *d, struct channel *ch, struct worker_cmd cmd)
{
	cmd.a = ch->volume;
	backlog_post(&ch->backlog, worker_of(e, d, ch), &cmd);
}

void channels_post(struct engine *e, struct device *d, struct worker_cmd cmd)
{
	unsigned i;

	for (i = 0; i < d->channel_count; i++)
		channel_post(e, d, &d->channels[i], cmd);
}

/* Why the volume was given up before it ever served, for whoever attaches it. */
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

void channels_poll(struct engine *e, struct device *d)
{
	for (unsigned i = 0; i < d->channel_count; i++) {
		backlog_poll(&d->channels[i].backlog, worker_of(e, d, &d->channels[i]));
		channel_look(d, &d->channels[i]);
	}
}

bool channels_done(const struct engine *e, const struct device *d)
{
	unsigned i;

	for (i = 0; i < d->channel_count; i++)
		if (!backlog_done(&d->channels[i].backlog, worker_of(e, d, &d->channels[i])))
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

static unsigned channels_wanted(const struct engine *e, struct device *d)
{
	unsigned queues = e->ports[d->port].queue_count, want = queues;
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
static unsigned queue_choose(const struct engine *e, unsigned port)
{
	unsigned load[WORKER_MAX] = {0}, best = 0, i, k;

	for (i = 0; i < VOLUME_MAX; i++) {
		const struct device *d = &e->devices[i];

		for (k = 0; d->step != STEP_FREE && d->port == port && k < d->channel_count; k++)
			load[d->channels[k].queue]++;
	}
	for (i = 1; i < e->ports[port].queue_count; i++)
		if (load[i] < load[best])
			best = i;
	return best;
}

/* ---- making one ---- */

static int owners_add(const struct engine *e, struct device *d, struct channel *ch,
	struct volume_config *vc, struct error *err)
{
	struct reserve *rx = e->ports[d->port].queues[ch->queue].rx;
	char name[NAME_BYTES_MAX];
	bool is_full;
	unsigned c;

	ch->owner = reserve_owner_add(rx, vc->name, OWNER_NONE, ch->quota * ch->connections);
	is_full = ch->owner < 0;
	for (c = 0; c < ch->connections && !is_full; c++) {
		snprintf(name, sizeof(name), "%.38s/%u in-order", vc->name, c);
		ch->owner_in[c] = reserve_owner_add(rx, name, (uint16_t)ch->owner, ch->quota);
		snprintf(name, sizeof(name), "%.38s/%u out-of-order", vc->name, c);
		ch->owner_ooo[c] =
			reserve_owner_add(rx, name, (uint16_t)ch->owner, ch->quota / 4 * 3);
		is_full = ch->owner_in[c] < 0 || ch->owner_ooo[c] < 0;
		vc->owner[c] = (uint16_t)ch->owner_in[c];
		vc->owner_ooo[c] = (uint16_t)ch->owner_ooo[c];
	}
	return is_full ? error_set(err, -ENOSPC,
				 "port %s, queue %u: all %u entries of its memory ledger are in "
				 "use; detach a "
				 "volume, or lower connections: of this one",
				 e->ports[d->port].cfg->name, ch->queue, OWNER_MAX)
		       : 0;
}

/* After a change of ch->quota. */
void channel_limits(const struct engine *e, const struct device *d, const struct channel *ch)
{
	struct reserve *rx = e->ports[d->port].queues[ch->queue].rx;

	if (ch->owner > 0)
		reserve_owner_limit(rx, (uint16_t)ch->owner, ch->quota * ch->connections);
	for (unsigned c = 0; c < ch->connections; c++) {
		if (ch->owner_in[c] > 0)
			reserve_owner_limit(rx, (uint16_t)ch->owner_in[c], ch->quota);
		if (ch->owner_ooo[c] > 0)
			reserve_owner_limit(rx, (uint16_t)ch->owner_ooo[c], ch->quota / 4 * 3);
	}
}

static void owners_del(const struct engine *e, const struct device *d, struct channel *ch)
{
	struct reserve *rx = e->ports[d->port].queues[ch->queue].rx;
	unsigned c;

	for (c = 0; c < ch->connections; c++) {
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
static int channel_add(struct engine *e, struct device *d, unsigned queue, struct error *err)
{
	unsigned idx = d->channel_count, total = connections_of(d);
	struct channel *ch = &d->channels[idx];
	struct volume_config *vc = d->plan;
	int rc;

	memset(ch, 0, sizeof(*ch));
	ch->queue = queue;
	ch->connections = total / d->channel_want + (idx < total % d->channel_want);
	ch->quota = ch->told = d->quota_least;
	ch->read_us = ch->low_us = engine_now_us(e);
	rc = engine_fits(e, d->port, queue, ch->quota * ch->connections, err);
	if (rc)
		return rc;
	snprintf(vc->name, sizeof(vc->name), idx ? "%.58s/%u" : "%s", d->cfg.name, idx);
	vc->connections = (uint16_t)ch->connections;
	vc->group = d->group;
	vc->channel = idx;
	d->channel_count++; /* from here on channel_free() undoes what was done */
	rc = engine_ublk_staging(d, ch, vc, err);
	if (!rc)
		rc = owners_add(e, d, ch, vc, err);
	if (!rc) {
		ch->volume = volume_create(vc, err);
		rc = ch->volume ? 0 : -ENOMEM;
	}
	if (rc)
		channel_free(e, d, idx);
	else
		engine_floor_update(e, d->port, queue, vc->name);
	return rc;
}

void channel_free(struct engine *e, struct device *d, unsigned idx)
{
	struct channel *ch = &d->channels[idx];
	unsigned queue = ch->queue;

	volume_destroy(ch->volume);
	bench_destroy(ch->bench);
	owners_del(e, d, ch);
	engine_buf_put_aside(e, ch->buf);
	d->channel_count--;
	memmove(ch, ch + 1, (d->channel_count - idx) * sizeof(*ch));
	engine_floor_update(e, d->port, queue, "a volume left this queue");
}

int channels_make(struct engine *e, struct device *d, struct error *err)
{
	d->channel_want = channels_wanted(e, d);
	if (d->channel_want > 1) {
		d->group = volume_group_create();
		if (!d->group)
			return error_set(err, -ENOMEM, "out of memory");
	}
	return channel_add(e, d, queue_choose(e, d->port), err);
}

/* ---- spreading over the other workers, once the first channel is READY ---- */

static int follower_add(struct engine *e, struct device *d, struct error *err)
{
	unsigned idx = d->channel_count, queues = e->ports[d->port].queue_count;
	int rc = channel_add(e, d, (d->channels[0].queue + idx) % queues, err);

	if (rc)
		return rc;
	volume_follow(d->channels[idx].volume, d->channels[0].volume);
	channel_post(e, d, &d->channels[idx], (struct worker_cmd){.type = WORKER_VOLUME_ADD});
	return 0;
}

bool engine_spread_begin(
	struct engine *e, struct device *d, const struct block_limits *limits, uint64_t now_us)
{
	struct error err = {""};

	if (d->channel_want > 1 && !limits->can_multi_conn) {
		snprintf(d->spread, sizeof(d->spread),
			"the server allows one connection only (it does not say CAN_MULTI_CONN)");
		d->channel_want = 1;
	}
	while (d->channel_count < d->channel_want && follower_add(e, d, &err) == 0)
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
static bool channels_dismiss(struct engine *e, struct device *d)
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
			worker_config(worker_of(e, d, ch))->idx, why);
		log_warn("volume %s: %s", d->cfg.name, d->spread);
		channel_post(e, d, ch, (struct worker_cmd){.type = WORKER_VOLUME_STOP, .n = 0});
	}
	return is_any;
}

bool engine_spread_done(struct engine *e, struct device *d, uint64_t now_us)
{
	bool is_waiting = false;
	unsigned i;

	for (i = 1; i < d->channel_count; i++)
		is_waiting |= !d->channels[i].was_ready && !d->channels[i].is_failed;
	if (is_waiting && now_us < d->spread_us)
		return false;
	if (!channels_dismiss(e, d))
		return true;
	for (i = d->channel_count; i-- > 1;) {
		struct channel *ch = &d->channels[i];

		if (ch->is_dismissed && ch->is_gone &&
			backlog_done(&ch->backlog, worker_of(e, d, ch)))
			channel_free(e, d, i);
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
	struct engine *e, const struct volume *volume, struct device **d)
{
	unsigned i, k;

	for (i = 0; i < VOLUME_MAX; i++) {
		*d = &e->devices[i];
		for (k = 0; (*d)->step != STEP_FREE && k < (*d)->channel_count; k++)
			if ((*d)->channels[k].volume == volume)
				return &(*d)->channels[k];
	}
	return NULL;
}

void channels_event(struct engine *e, const struct volume_event *ev)
{
	struct device *d;
	struct channel *ch = channel_find(e, ev->volume, &d);

	if (!ch || !ev->text[0])
		return;
	/* The refusal of a first connection is the attach's answer, which is logged there. */
	if (ch != &d->channels[0] || ch->was_ready || ev->type != VOLUME_EVENT_REFUSED)
		log_line(ev->err ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "%s", ev->text);
}

static void info_add(struct volume_info *sum, const struct volume_info *channel)
{
	/* What a person wants to know is the worst of it. */
	static const uint8_t rank[] = {[VOLUME_READY] = 1,
		[VOLUME_IDLE] = 0,
		[VOLUME_CONNECTING] = 2,
		[VOLUME_LOST] = 3,
		[VOLUME_FAILED] = 4,
		[VOLUME_DRAINING] = 5,
		[VOLUME_GONE] = 0};
	unsigned i;

	if (rank[channel->state] > rank[sum->state])
		sum->state = channel->state;
	if (!sum->error[0])
		memcpy(sum->error, channel->error, sizeof(sum->error));
	sum->conn_count += channel->conn_count;
	sum->conn_ready += channel->conn_ready;
	sum->conn_misdirected += channel->conn_misdirected;
	sum->heard_us = RTE_MAX(sum->heard_us, channel->heard_us);
	sum->in_flight += channel->in_flight;
	sum->in_flight_max += channel->in_flight_max;
	sum->read_credit_mbufs += channel->read_credit_mbufs;
	sum->read_credit_used_mbufs += channel->read_credit_used_mbufs;
	sum->credit_granted_mbufs =
		RTE_MAX(sum->credit_granted_mbufs, channel->credit_granted_mbufs);
	sum->credit_wanted_mbufs = RTE_MAX(sum->credit_wanted_mbufs, channel->credit_wanted_mbufs);
	sum->read_bytes_per_s += channel->read_bytes_per_s;
	sum->read_delay_us = RTE_MAX(sum->read_delay_us, channel->read_delay_us);
	for (i = 0; i < BLOCK_OP_COUNT; i++) {
		sum->ops[i] += channel->ops[i];
		sum->bytes[i] += channel->bytes[i];
		sum->errors[i] += channel->errors[i];
	}
	sum->reconnects += channel->reconnects;
	sum->replayed += channel->replayed;
	sum->timeouts += channel->timeouts;
	sum->protocol_errors += channel->protocol_errors;
	sum->dirty_reconnects += channel->dirty_reconnects;
	sum->unstable_bytes += channel->unstable_bytes;
	sum->unstable_lost += channel->unstable_lost;
	if (channel->oldest_us && (!sum->oldest_us || channel->oldest_us < sum->oldest_us))
		sum->oldest_us = channel->oldest_us;
	sum->events_lost += channel->events_lost;
}

void channels_info(const struct device *d, struct volume_info *out)
{
	struct volume_info channel;
	unsigned i;

	if (d->channel_count == 0) { /* its servers' names are still being resolved */
		*out = (struct volume_info){.state = VOLUME_CONNECTING};
		snprintf(out->name, sizeof(out->name), "%s", d->cfg.name);
		return;
	}
	volume_info(d->channels[0].volume, out);
	for (i = 1; i < d->channel_count; i++) {
		volume_info(d->channels[i].volume, &channel);
		info_add(out, &channel);
	}
}
