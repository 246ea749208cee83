/*
 * device_part.c - a volume's share of each worker that serves it
 *
 * A port with several queues has a worker for each, and workers share nothing. So a block device
 * that is to use several is cut where the kernel cuts it: by hardware queues. Each *part* is a
 * struct volume on a worker of its own, with its connections, its credits in that worker's pool,
 * its staging and its hardware queue. The first part goes alone until it knows the export; the
 * others follow, as many as there are workers, connections asked for and processors, if the server
 * says CAN_MULTI_CONN. A part that does not come to serve, or whose packets arrive at another
 * worker whatever local port it tries, is left out: the device then has fewer queues, and status
 * says why.
 *
 * Control thread only. Parts 0 to part_count - 1 are there, without holes.
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

#define SPREAD_MS_MAX 5000 /* for the further parts to become ready: the server has just answered */

static struct worker *worker_of(const struct engine *e, const struct engine_volume *v,
	const struct engine_part *p)
{
	return e->ports[v->port].queues[p->queue].worker;
}

/* ---- commands to workers ---- */

void engine_part_post(struct engine *e, const struct engine_volume *v, struct engine_part *p,
	struct worker_cmd cmd)
{
	cmd.a = p->volume;
	backlog_post(&p->backlog, worker_of(e, v, p), &cmd);
}

void engine_parts_post(struct engine *e, struct engine_volume *v, struct worker_cmd cmd)
{
	unsigned i;

	for (i = 0; i < v->part_count; i++)
		engine_part_post(e, v, &v->parts[i], cmd);
}

/* Why the volume was given up before it ever served, for whoever attaches it. */
static void first_failed(struct engine_volume *v)
{
	struct volume_info info;

	volume_info(v->parts[0].volume, &info);
	error_set(&v->error, 0, "%s",
		info.error[0] ? info.error : "the server did not accept the connection");
}

/* The volume's state, not its events: those may be lost where many volumes have much to say. */
static void part_look(struct engine_volume *v, struct engine_part *p)
{
	enum volume_state state = volume_state_of(p->volume);

	p->was_ready |= state == VOLUME_READY || state == VOLUME_LOST;
	p->is_gone |= state == VOLUME_GONE;
	if (state != VOLUME_FAILED || p->was_ready || p->is_failed)
		return;
	p->is_failed = true;
	if (p == &v->parts[0])
		first_failed(v);
}

void engine_parts_poll(struct engine *e, struct engine_volume *v)
{
	for (unsigned i = 0; i < v->part_count; i++) {
		backlog_poll(&v->parts[i].backlog, worker_of(e, v, &v->parts[i]));
		part_look(v, &v->parts[i]);
	}
}

bool engine_parts_done(const struct engine *e, const struct engine_volume *v)
{
	unsigned i;

	for (i = 0; i < v->part_count; i++)
		if (!backlog_done(&v->parts[i].backlog, worker_of(e, v, &v->parts[i])))
			return false;
	return true;
}

bool engine_parts_gone(const struct engine_volume *v)
{
	unsigned i;

	for (i = 0; i < v->part_count; i++)
		if (!v->parts[i].is_gone)
			return false;
	return true;
}

/* ---- how many, and where ---- */

static unsigned connections_of(const struct engine_volume *v)
{
	/* Of one's own accord a connection a worker; a device taken over has the queues it has. */
	return RTE_MAX(v->cfg.connections ? v->cfg.connections : v->part_want, v->part_want);
}

static unsigned parts_wanted(const struct engine *e, struct engine_volume *v)
{
	unsigned queues = e->ports[v->port].queue_count, want = queues;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (v->front_kind == FRONT_NONE)
		return 1;
	if (v->is_recovery)
		return v->state.queues ? v->state.queues : 1;
	if (queues > 1 && v->cfg.connections && v->cfg.connections < want) {
		want = v->cfg.connections;
		snprintf(v->spread, sizeof(v->spread), "connections: %u", want);
	}
	if (cpus > 0 && want > (unsigned)cpus) { /* the kernel gives a device no more queues */
		want = (unsigned)cpus;
		snprintf(v->spread, sizeof(v->spread), "the machine has %u processors", want);
	}
	return want;
}

/* The worker with the fewest parts. */
static unsigned queue_choose(const struct engine *e, unsigned port)
{
	unsigned load[WORKER_MAX] = {0}, best = 0, i, k;

	for (i = 0; i < VOLUME_MAX; i++) {
		const struct engine_volume *v = &e->volumes[i];

		for (k = 0; v->step != STEP_FREE && v->port == port && k < v->part_count; k++)
			load[v->parts[k].queue]++;
	}
	for (i = 1; i < e->ports[port].queue_count; i++)
		if (load[i] < load[best])
			best = i;
	return best;
}

/* ---- making one ---- */

static int owners_add(const struct engine *e, struct engine_volume *v, struct engine_part *p,
	struct volume_config *vc, struct error *err)
{
	struct reserve *rx = e->ports[v->port].queues[p->queue].rx;
	char name[NAME_BYTES_MAX];
	bool is_full;
	unsigned c;

	p->owner = reserve_owner_add(rx, vc->name, OWNER_NONE, p->quota * p->connections);
	is_full = p->owner < 0;
	for (c = 0; c < p->connections && !is_full; c++) {
		snprintf(name, sizeof(name), "%.38s/%u in-order", vc->name, c);
		p->owner_in[c] = reserve_owner_add(rx, name, (uint16_t)p->owner, p->quota);
		snprintf(name, sizeof(name), "%.38s/%u out-of-order", vc->name, c);
		p->owner_ooo[c] = reserve_owner_add(rx, name, (uint16_t)p->owner, p->quota / 4 * 3);
		is_full = p->owner_in[c] < 0 || p->owner_ooo[c] < 0;
		vc->owner[c] = (uint16_t)p->owner_in[c];
		vc->owner_ooo[c] = (uint16_t)p->owner_ooo[c];
	}
	return is_full ? error_set(err, -ENOSPC,
				 "port %s, queue %u: all %u entries of its memory ledger are in "
				 "use; detach a "
				 "volume, or lower connections: of this one",
				 e->ports[v->port].cfg->name, p->queue, OWNER_MAX)
		       : 0;
}

/* After a change of p->quota. */
void engine_part_limits(
	const struct engine *e, const struct engine_volume *v, const struct engine_part *p)
{
	struct reserve *rx = e->ports[v->port].queues[p->queue].rx;

	if (p->owner > 0)
		reserve_owner_limit(rx, (uint16_t)p->owner, p->quota * p->connections);
	for (unsigned c = 0; c < p->connections; c++) {
		if (p->owner_in[c] > 0)
			reserve_owner_limit(rx, (uint16_t)p->owner_in[c], p->quota);
		if (p->owner_ooo[c] > 0)
			reserve_owner_limit(rx, (uint16_t)p->owner_ooo[c], p->quota / 4 * 3);
	}
}

static void owners_del(const struct engine *e, const struct engine_volume *v, struct engine_part *p)
{
	struct reserve *rx = e->ports[v->port].queues[p->queue].rx;
	unsigned c;

	for (c = 0; c < p->connections; c++) {
		if (p->owner_in[c] > 0 && reserve_owner_del(rx, (uint16_t)p->owner_in[c]))
			log_error("volume %s: mbufs still charged in order: a leak, see `sluice "
				  "reserve leaks`",
				v->cfg.name);
		if (p->owner_ooo[c] > 0 && reserve_owner_del(rx, (uint16_t)p->owner_ooo[c]))
			log_error("volume %s: mbufs still charged out of order: a leak, see "
				  "`sluice reserve leaks`",
				v->cfg.name);
	}
	if (p->owner > 0)
		reserve_owner_del(rx, (uint16_t)p->owner);
}

/* Adds the next part, on @queue. On failure there is none. */
static int part_add(struct engine *e, struct engine_volume *v, unsigned queue, struct error *err)
{
	unsigned idx = v->part_count, total = connections_of(v);
	struct engine_part *p = &v->parts[idx];
	struct volume_config *vc = v->plan;
	int rc;

	memset(p, 0, sizeof(*p));
	p->queue = queue;
	p->connections = total / v->part_want + (idx < total % v->part_want);
	p->quota = p->told = v->quota_least;
	p->read_us = p->low_us = engine_now_us(e);
	rc = engine_fits(e, v->port, queue, p->quota * p->connections, err);
	if (rc)
		return rc;
	snprintf(vc->name, sizeof(vc->name), idx ? "%.58s/%u" : "%s", v->cfg.name, idx);
	vc->connections = (uint16_t)p->connections;
	vc->group = v->group;
	vc->part = idx;
	v->part_count++; /* from here on part_free() undoes what was done */
	rc = engine_ublk_staging(v, p, vc, err);
	if (!rc)
		rc = owners_add(e, v, p, vc, err);
	if (!rc) {
		p->volume = volume_create(vc, err);
		rc = p->volume ? 0 : -ENOMEM;
	}
	if (rc)
		engine_part_free(e, v, idx);
	else
		engine_floor_update(e, v->port, queue, vc->name);
	return rc;
}

void engine_part_free(struct engine *e, struct engine_volume *v, unsigned idx)
{
	struct engine_part *p = &v->parts[idx];
	unsigned queue = p->queue;

	volume_destroy(p->volume);
	bench_destroy(p->bench);
	owners_del(e, v, p);
	engine_buf_put_aside(e, p->buf);
	v->part_count--;
	memmove(p, p + 1, (v->part_count - idx) * sizeof(*p));
	engine_floor_update(e, v->port, queue, "a volume left this queue");
}

int engine_parts_make(struct engine *e, struct engine_volume *v, struct error *err)
{
	v->part_want = parts_wanted(e, v);
	if (v->part_want > 1) {
		v->group = volume_group_create();
		if (!v->group)
			return error_set(err, -ENOMEM, "out of memory");
	}
	return part_add(e, v, queue_choose(e, v->port), err);
}

/* ---- spreading over the other workers, once the first part is READY ---- */

static int follower_add(struct engine *e, struct engine_volume *v, struct error *err)
{
	unsigned idx = v->part_count, queues = e->ports[v->port].queue_count;
	int rc = part_add(e, v, (v->parts[0].queue + idx) % queues, err);

	if (rc)
		return rc;
	volume_follow(v->parts[idx].volume, v->parts[0].volume);
	engine_part_post(e, v, &v->parts[idx], (struct worker_cmd){.type = WORKER_VOLUME_ADD});
	return 0;
}

bool engine_spread_begin(struct engine *e, struct engine_volume *v,
	const struct block_limits *limits, uint64_t now_us)
{
	struct error err = {""};

	if (v->part_want > 1 && !limits->can_multi_conn) {
		snprintf(v->spread, sizeof(v->spread),
			"the server allows one connection only (it does not say CAN_MULTI_CONN)");
		v->part_want = 1;
	}
	while (v->part_count < v->part_want && follower_add(e, v, &err) == 0)
		;
	if (v->part_count < v->part_want)
		snprintf(v->spread, sizeof(v->spread), "%.150s", err.text);
	v->spread_us = now_us + SPREAD_MS_MAX * 1000ull;
	return v->part_count > 1;
}

/* Why part @p cannot be used, or NULL. */
static const char *part_fault(const struct engine_part *p)
{
	struct volume_info info;

	volume_info(p->volume, &info);
	if (!p->was_ready)
		return "its connection was not ready in time";
	if (info.conn_misdirected > 0)
		return "its packets arrive at another worker whatever the local port: the driver "
		       "does not steer";
	return NULL;
}

/* Sends the parts away that are of no use. True: some are, and are on their way. */
static bool parts_dismiss(struct engine *e, struct engine_volume *v)
{
	bool is_any = false;
	unsigned i;

	for (i = 1; i < v->part_count; i++) {
		struct engine_part *p = &v->parts[i];
		const char *why = p->is_dismissed ? NULL : part_fault(p);

		is_any |= p->is_dismissed || why;
		if (!why)
			continue;
		p->is_dismissed = true;
		snprintf(v->spread, sizeof(v->spread), "worker %u is left out: %s",
			worker_config(worker_of(e, v, p))->idx, why);
		log_warn("volume %s: %s", v->cfg.name, v->spread);
		engine_part_post(e, v, p, (struct worker_cmd){.type = WORKER_VOLUME_STOP, .n = 0});
	}
	return is_any;
}

bool engine_spread_done(struct engine *e, struct engine_volume *v, uint64_t now_us)
{
	bool is_waiting = false;
	unsigned i;

	for (i = 1; i < v->part_count; i++)
		is_waiting |= !v->parts[i].was_ready && !v->parts[i].is_failed;
	if (is_waiting && now_us < v->spread_us)
		return false;
	if (!parts_dismiss(e, v))
		return true;
	for (i = v->part_count; i-- > 1;) {
		struct engine_part *p = &v->parts[i];

		if (p->is_dismissed && p->is_gone && backlog_done(&p->backlog, worker_of(e, v, p)))
			engine_part_free(e, v, i);
	}
	return false;
}

/* ---- the load of a bench ---- */

/* Part @idx of the load: its share of the depth and of the region. */
int engine_part_bench(struct engine_volume *v, unsigned idx, const struct block_limits *limits)
{
	struct engine_part *p = &v->parts[idx];
	struct bench_config cfg = v->bench_cfg;
	uint64_t region = cfg.size_bytes ? cfg.size_bytes : limits->size_bytes;
	unsigned n = v->part_count;

	cfg.limits = *limits;
	if (n > 1) {
		cfg.size_bytes = region / n / cfg.bs_max * cfg.bs_max;
		cfg.offset_bytes = idx * cfg.size_bytes;
		cfg.iodepth = (uint16_t)RTE_MAX(cfg.iodepth / n + (idx < cfg.iodepth % n), 1u);
		cfg.seed += idx;
	}
	p->buf = dma_buf_create((uint64_t)cfg.iodepth * cfg.bs_max, &v->error);
	cfg.buf = p->buf;
	p->bench = p->buf ? bench_create(&cfg, &v->error) : NULL;
	return p->bench ? 0 : -EINVAL;
}

/* ---- what the parts say ---- */

/* The part that is @volume, or NULL; @v is set to what it is a part of. */
static struct engine_part *part_find(
	struct engine *e, const struct volume *volume, struct engine_volume **v)
{
	unsigned i, k;

	for (i = 0; i < VOLUME_MAX; i++) {
		*v = &e->volumes[i];
		for (k = 0; (*v)->step != STEP_FREE && k < (*v)->part_count; k++)
			if ((*v)->parts[k].volume == volume)
				return &(*v)->parts[k];
	}
	return NULL;
}

void engine_parts_event(struct engine *e, const struct volume_event *ev)
{
	struct engine_volume *v;
	struct engine_part *p = part_find(e, ev->volume, &v);

	if (!p || !ev->text[0])
		return;
	/* The refusal of a first connection is the attach's answer, which is logged there. */
	if (p != &v->parts[0] || p->was_ready || ev->type != VOLUME_EVENT_REFUSED)
		log_line(ev->err ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "%s", ev->text);
}

static void info_add(struct volume_info *sum, const struct volume_info *part)
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

	if (rank[part->state] > rank[sum->state])
		sum->state = part->state;
	if (!sum->error[0])
		memcpy(sum->error, part->error, sizeof(sum->error));
	sum->conn_count += part->conn_count;
	sum->conn_ready += part->conn_ready;
	sum->conn_misdirected += part->conn_misdirected;
	sum->in_flight += part->in_flight;
	sum->in_flight_max += part->in_flight_max;
	sum->read_credit_mbufs += part->read_credit_mbufs;
	sum->read_credit_used_mbufs += part->read_credit_used_mbufs;
	sum->credit_granted_mbufs = RTE_MAX(sum->credit_granted_mbufs, part->credit_granted_mbufs);
	sum->credit_wanted_mbufs = RTE_MAX(sum->credit_wanted_mbufs, part->credit_wanted_mbufs);
	sum->read_bytes_per_s += part->read_bytes_per_s;
	sum->read_delay_us = RTE_MAX(sum->read_delay_us, part->read_delay_us);
	for (i = 0; i < BLOCK_OP_COUNT; i++) {
		sum->ops[i] += part->ops[i];
		sum->bytes[i] += part->bytes[i];
		sum->errors[i] += part->errors[i];
	}
	sum->reconnects += part->reconnects;
	sum->replayed += part->replayed;
	sum->timeouts += part->timeouts;
	sum->protocol_errors += part->protocol_errors;
	sum->dirty_reconnects += part->dirty_reconnects;
	sum->unstable_bytes += part->unstable_bytes;
	sum->unstable_lost += part->unstable_lost;
	if (part->oldest_us && (!sum->oldest_us || part->oldest_us < sum->oldest_us))
		sum->oldest_us = part->oldest_us;
	sum->events_lost += part->events_lost;
}

void engine_parts_info(const struct engine_volume *v, struct volume_info *out)
{
	struct volume_info part;
	unsigned i;

	if (v->part_count == 0) { /* its servers' names are still being resolved */
		*out = (struct volume_info){.state = VOLUME_CONNECTING};
		snprintf(out->name, sizeof(out->name), "%s", v->cfg.name);
		return;
	}
	volume_info(v->parts[0].volume, out);
	for (i = 1; i < v->part_count; i++) {
		volume_info(v->parts[i].volume, &part);
		info_add(out, &part);
	}
}
