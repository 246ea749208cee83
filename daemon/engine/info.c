/*
 * info.c - what the engine can tell about itself
 *
 * Read by the control methods. Values of workers are read while they change: each is one word, and
 * a turn old at most.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <rte_common.h>
#include "dataplane/alloc_trap.h"
#include "daemon/engine/engine_impl.h"

unsigned engine_device_count(const struct engine *e)
{
	unsigned i, n = 0;

	for (i = 0; i < VOLUME_MAX; i++)
		n += e->devices[i].step != STEP_FREE;
	return n;
}

uint64_t engine_now_us(struct engine *e)
{
	return clock_now_us(&e->clock);
}

unsigned engine_port_count(const struct engine *e)
{
	return e->port_count;
}

void engine_port_info(struct engine *e, unsigned idx, struct engine_port_info *out)
{
	struct engine_port *p = &e->ports[idx];

	*out = (struct engine_port_info){
		.cfg = p->cfg,
		.iface = p->iface,
		.facts = port_facts(p->port),
		.is_link_up = port_link_up(p->port),
		.worker_count = p->queue_count,
		.addr_count = p->addr_count,
	};
	memcpy(out->addrs, p->addrs, sizeof(out->addrs));
	out->exception_iface = p->exception ? p->exception_iface : NULL;
	out->exception_why = p->exception_why;
	port_stats(p->port, &out->stats);
}

static const char *step_name(enum device_step step)
{
	static const char *const names[] = {"free", "resolving", "connecting", "spreading",
		"starting", "starting", "serving", "stopping", "draining"};

	return names[step];
}

unsigned engine_devices(struct engine *e, struct device_info *out, unsigned max)
{
	unsigned i, k, n = 0;
	uint64_t now_us;

	for (i = 0; i < VOLUME_MAX && n < max; i++) {
		struct device *d = &e->devices[i];
		struct device_info *o = &out[n];

		if (d->step == STEP_FREE)
			continue;
		memset(o, 0, sizeof(*o));
		channels_info(d, &o->volume);
		now_us = engine_now_us(e);
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
		if (d->ublk && d->step == STEP_SERVE) {
			snprintf(
				o->device, sizeof(o->device), "/dev/ublkb%d", ublk_dev_id(d->ublk));
			ublk_scheduler_read(d->ublk, o->scheduler, sizeof(o->scheduler));
		}
		engine_ublk_degraded(d, o->scheduler, o->degraded, sizeof(o->degraded));
		o->is_user_copy = d->is_user_copy;
		n++;
	}
	return n;
}

unsigned engine_pool_count(const struct engine *e)
{
	unsigned i, n = 0;

	for (i = 0; i < e->port_count; i++)
		n += e->ports[i].queue_count;
	return n;
}

static const struct engine_queue *queue_at(const struct engine *e, unsigned idx)
{
	unsigned i;

	for (i = 0; i < e->port_count; i++) {
		if (idx < e->ports[i].queue_count)
			return &e->ports[i].queues[idx];
		idx -= e->ports[i].queue_count;
	}
	return NULL;
}

const struct reserve *engine_pool(const struct engine *e, unsigned idx)
{
	const struct engine_queue *q = queue_at(e, idx);

	return q ? q->rx : NULL;
}

const struct reserve *engine_exception_pool(const struct engine *e, unsigned idx)
{
	const struct engine_queue *q = queue_at(e, idx);
	const struct exception_queue *x =
		q && q->worker ? worker_config(q->worker)->exception : NULL;

	return x ? exception_pool(x) : NULL;
}

const struct reserve_sum *engine_sum(
	const struct engine *e, unsigned pool_idx, uint32_t *total, uint32_t *floor)
{
	const struct engine_queue *q = queue_at(e, pool_idx);

	if (!q)
		return NULL;
	*total = q->total;
	*floor = q->floor;
	return &q->sum;
}

unsigned engine_worker_count(const struct engine *e)
{
	return engine_pool_count(e);
}

struct worker *engine_worker(struct engine *e, unsigned idx)
{
	const struct engine_queue *q = queue_at(e, idx);

	return q ? q->worker : NULL;
}

bool engine_guarantee(const struct engine *e, const char **why)
{
	unsigned i;

	for (i = 0; i < e->port_count; i++)
		if (!port_facts(e->ports[i].port)->is_full_guarantee) {
			*why = "the kernel still allocates for each packet under af_packet and "
			       "af_xdp; "
			       "bind the NIC to vfio-pci for the full guarantee";
			return false;
		}
	if (!e->facts.has_hugepages) {
		*why = "no hugepages: packet memory is ordinary memory, locked but not contiguous";
		return false;
	}
	*why = "the NIC is on vfio-pci and its memory is locked hugepages";
	return true;
}

int engine_starve(struct engine *e, bool on)
{
	struct worker_cmd cmd = {.type = WORKER_STARVE, .n = on};

	if (!SLUICE_FAULT_INJECTION)
		return -ENOTSUP;
	for (unsigned i = 0; i < e->port_count; i++)
		for (unsigned q = 0; q < e->ports[i].queue_count; q++)
			backlog_post(
				&e->ports[i].queues[q].backlog, e->ports[i].queues[q].worker, &cmd);
	return 0;
}

int engine_level(struct engine *e, const char *level, struct error *err)
{
	static const char *const names[] = {"off", "green", "yellow", "red"};
	unsigned i, k;

	if (!SLUICE_FAULT_INJECTION)
		return error_set(err, -ENOTSUP,
			"this build has no fault injection; configure it with "
			"-Dfault_injection=true");
	for (k = 0; k < RTE_DIM(names) && strcmp(level, names[k]) != 0; k++)
		;
	if (k == RTE_DIM(names))
		return error_set(err, -EINVAL,
			"level %s is not known; give green, yellow, red or off", level);
	for (i = 0; i < e->port_count; i++)
		for (unsigned q = 0; q < e->ports[i].queue_count; q++)
			reserve_fault_level(e->ports[i].queues[q].rx, (int)k - 1);
	return 0;
}

static int owner_find(const struct reserve *r, const char *name)
{
	struct reserve_owner_info owners[OWNER_MAX];
	unsigned i, n = reserve_owners(r, owners, OWNER_MAX);

	for (i = 0; i < n; i++)
		if (strcmp(owners[i].name, name) == 0)
			return owners[i].id;
	return -ENOENT;
}

int engine_fault_leak(struct engine *e, const char *owner, uint32_t count)
{
	struct worker_cmd cmd = {.type = WORKER_LEAK, .n = count};
	unsigned i;
	int id;

	if (!SLUICE_FAULT_INJECTION)
		return -ENOTSUP;
	for (i = 0; i < engine_pool_count(e); i++) {
		id = owner_find(engine_pool(e, i), owner);
		if (id < 0)
			continue;
		cmd.a = (void *)(uintptr_t)id;
		return worker_post(engine_worker(e, i), &cmd, NULL) ? 0 : -EAGAIN;
	}
	return -ENOENT;
}

int engine_fault_refill(struct engine *e, uint32_t count)
{
	struct worker_cmd cmd = {.type = WORKER_REFILL_FAIL, .n = count};

	if (!SLUICE_FAULT_INJECTION)
		return -ENOTSUP;
	/* The first only: that the others are not touched is what can be claimed then. */
	return worker_post(engine_worker(e, 0), &cmd, NULL) ? 0 : -EAGAIN;
}

bool engine_spring_alloc_trap(struct engine *e)
{
	struct worker_cmd cmd = {.type = WORKER_ALLOC};

	return !alloc_trap_is_built() || worker_post(engine_worker(e, 0), &cmd, NULL);
}

/* The benches that make a load, one for each channel of each volume. Out: their number. */
static unsigned benches(const struct engine *e, struct bench *out[ENGINE_BENCH_MAX])
{
	const struct device *d;
	unsigned i, k, n = 0;

	for (i = 0; i < VOLUME_MAX; i++) {
		d = &e->devices[i];
		for (k = 0; d->step == STEP_SERVE && !d->bench_cfg.is_idle && k < d->channel_count;
			k++)
			if (d->channels[k].bench)
				out[n++] = d->channels[k].bench;
	}
	return n;
}

uint64_t engine_bench_ask(const struct engine *e)
{
	struct bench *all[ENGINE_BENCH_MAX];
	unsigned i, n = benches(e, all);
	uint64_t next_ns = UINT64_MAX;

	for (i = 0; i < n; i++)
		next_ns = RTE_MIN(next_ns, bench_ask(all[i]));
	return next_ns;
}

bool engine_bench_done(const struct engine *e)
{
	struct bench *all[ENGINE_BENCH_MAX];
	unsigned i, n = benches(e, all);

	for (i = 0; i < n; i++)
		if (!bench_done(all[i]))
			return false;
	return n > 0;
}

void engine_bench_result(const struct engine *e, struct bench_result *out)
{
	struct bench *all[ENGINE_BENCH_MAX];

	bench_result(all, benches(e, all), out);
}

const struct volume_probe *engine_probe(const struct engine *e, const char *name)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++)
		if (e->devices[i].step > STEP_RESOLVE && strcmp(e->devices[i].cfg.name, name) == 0)
			return volume_probe(e->devices[i].channels[0].volume);
	return NULL;
}

const struct config_volume *engine_config(const struct engine *e, const char *name)
{
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++)
		if (e->devices[i].step != STEP_FREE && strcmp(e->devices[i].cfg.name, name) == 0)
			return &e->devices[i].cfg;
	return NULL;
}

const char *engine_name_at(const struct engine *e, unsigned idx)
{
	unsigned i, n = 0;

	for (i = 0; i < VOLUME_MAX; i++)
		if (e->devices[i].step == STEP_SERVE && e->devices[i].ublk && n++ == idx)
			return e->devices[i].cfg.name;
	return NULL;
}
