/*
 * report_metrics.c - all counters as OpenMetrics text, and those of what was lost
 *
 * A registry is filled for the question and thrown away after it. So volumes may come and go
 * without bookkeeping, and two bearers that share a name (a volume that is being detached and its
 * successor) cost a sample, not an error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/admin/counters.h"
#include "daemon/engine/engine_info.h"
#include "daemon/admin/report.h"

static void loop_read(const void *ctx, uint64_t *values)
{
	struct worker_stats stats;

	worker_stats(ctx, &stats);
	memcpy(values, &stats, sizeof(stats));
}

static void net_read(const void *ctx, uint64_t *values)
{
	struct net_stats stats;

	net_stats(ctx, &stats);
	memcpy(values, &stats, sizeof(stats));
}

static void exception_read(const void *ctx, uint64_t *values)
{
	struct slow_path_stats stats;

	slow_path_stats(ctx, &stats);
	memcpy(values, &stats, sizeof(stats));
}

static void class_read(const void *ctx, uint64_t *values)
{
	worker_class_counts(ctx, values);
}

static void port_read(const void *ctx, uint64_t *values)
{
	memcpy(values, ctx, sizeof(struct port_stats));
}

static void op_read(const void *ctx, uint64_t *values)
{
	memcpy(values, ctx, BLOCK_OP_COUNT * sizeof(uint64_t));
}

static void volume_read(const void *ctx, uint64_t *values)
{
	const struct device_info *e = ctx;
	const struct volume_info *v = &e->volume;
	const uint64_t all[] = {v->in_flight, v->in_flight_max, v->limits.size_bytes, v->conn_ready,
		v->reconnects, v->replayed, v->timeouts, v->protocol_errors, e->oldest_request_us,
		v->unstable_bytes, v->unstable_lost, v->dirty_reconnects};

	memcpy(values, all, sizeof(all));
}

static void pool_read(const void *ctx, uint64_t *values)
{
	struct reserve_info r;

	reserve_info(ctx, &r);
	const uint64_t all[] = {r.total, r.floor, r.free, r.low_water, r.ring_debt, r.depth_pct,
		r.level, r.dips, r.refused, r.refused_entitled, r.alarms, r.allocs, r.frees};

	memcpy(values, all, sizeof(all));
}

static void workers_add(struct registry *r, struct engine *e)
{
	char label[16];

	for (unsigned i = 0; i < engine_worker_count(e); i++) {
		struct worker *w = engine_worker(e, i);

		snprintf(label, sizeof(label), "%u", i);
		registry_add(r, &counters_loop, label, loop_read, w);
		registry_add(r, &counters_net, label, net_read, worker_net(w));
		registry_add(r, &counters_exception, label, exception_read, worker_slow_path(w));
		registry_add(r, &counters_class, label, class_read, w);
	}
}

static void volumes_add(
	struct registry *r, const struct device_info *volumes, unsigned volume_count)
{
	for (unsigned i = 0; i < volume_count; i++) {
		const struct volume_info *v = &volumes[i].volume;

		registry_add(r, &counters_ops, v->name, op_read, v->ops);
		registry_add(r, &counters_bytes, v->name, op_read, v->bytes);
		registry_add(r, &counters_errors, v->name, op_read, v->errors);
		registry_add(r, &counters_volume, v->name, volume_read, &volumes[i]);
	}
}

static void pools_add(struct registry *r, struct engine *e)
{
	struct reserve_info info;

	for (unsigned i = 0; i < engine_pool_count(e); i++) {
		reserve_info(engine_pool(e, i), &info);
		registry_add(r, &counters_pool, info.name, pool_read, engine_pool(e, i));
	}
}

/* Every counter there is. @volumes and @ports (VOLUME_MAX and PORT_MAX of them) last as long as @r.
 */
static void fill(struct registry *r, struct engine *e, struct device_info *volumes,
	struct ports_info *ports)
{
	workers_add(r, e);
	for (unsigned i = 0; i < engine_port_count(e); i++) {
		engine_port_info(e, i, &ports[i]);
		registry_add(r, &counters_port, ports[i].cfg->name, port_read, &ports[i].stats);
	}
	volumes_add(r, volumes, engine_device_list(e, volumes, VOLUME_MAX));
	pools_add(r, e);
}

char *report_openmetrics(struct engine *e)
{
	struct device_info *volumes = calloc(VOLUME_MAX, sizeof(*volumes));
	struct ports_info ports[PORT_MAX];
	struct registry *r = registry_create();
	char *text = NULL;

	if (volumes && r) {
		fill(r, e, volumes, ports);
		text = registry_openmetrics(r);
	}
	registry_destroy(r);
	free(volumes);
	return text;
}

json_t *report_drops(struct engine *e)
{
	struct device_info *volumes = calloc(VOLUME_MAX, sizeof(*volumes));
	struct ports_info ports[PORT_MAX];
	struct registry *r = registry_create();
	json_t *rows = NULL;

	if (volumes && r) {
		fill(r, e, volumes, ports);
		rows = registry_drops(r);
	}
	registry_destroy(r);
	free(volumes);
	return rows;
}
