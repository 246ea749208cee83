/*
 * report_numbers.c - stats, the ledger, the sum with its numbers, and the leak report
 *
 * Counters take their names from the families in counters.c, as OpenMetrics does.
 */
#include <stdlib.h>
#include <string.h>
#include "config/log_thread.h"
#include "daemon/admin/counters.h"
#include "daemon/engine/engine_info.h"
#include "daemon/admin/report.h"
#include "daemon/admin/report_impl.h"

static json_t *worker_json(struct worker *w)
{
	struct worker_stats ws;
	struct net_stats ns;
	struct slow_path_stats os;
	uint64_t classes[4];

	worker_stats(w, &ws);
	net_stats(worker_net(w), &ns);
	slow_path_stats(worker_slow_path(w), &os);
	worker_class_counts(w, classes);
	return json_pack("{s:i s:i s:o s:o s:o s:o}", "worker", worker_config(w)->idx, "cpu",
		worker_config(w)->cpu, "loop",
		registry_values(&counters_loop, (const uint64_t *)&ws), "net",
		registry_values(&counters_net, (const uint64_t *)&ns), "other",
		registry_values(&counters_exception, (const uint64_t *)&os), "classes",
		registry_values(&counters_class, classes));
}

static json_t *volume_numbers(const struct device_info *v)
{
	const struct volume_info *i = &v->volume;

	return json_pack("{s:s s:s s:o s:o s:o s:i s:i s:I s:I s:I s:I s:I s:I s:I s:I}", "name",
		i->name, "device", v->device, "ops", registry_values(&counters_ops, i->ops),
		"bytes", registry_values(&counters_bytes, i->bytes), "errors",
		registry_values(&counters_errors, i->errors), "in_flight", i->in_flight,
		"in_flight_max", i->in_flight_max, "reconnects", (json_int_t)i->reconnects,
		"replayed", (json_int_t)i->replayed, "timeouts", (json_int_t)i->timeouts,
		"protocol_errors", (json_int_t)i->protocol_errors, "oldest_request_us",
		(json_int_t)v->oldest_request_us, "unstable_bytes", (json_int_t)i->unstable_bytes,
		"unstable_lost", (json_int_t)i->unstable_lost, "dirty_reconnects",
		(json_int_t)i->dirty_reconnects);
}

/* The NIC's own counters: what it dropped before any worker saw it. */
static json_t *port_numbers(struct engine *e, unsigned idx)
{
	struct ports_info p;
	json_t *port;

	engine_port_info(e, idx, &p);
	port = registry_values(&counters_port, (const uint64_t *)&p.stats);
	json_object_set_new(port, "name", json_string(p.cfg->name));
	return port;
}

json_t *report_stats(struct engine *e)
{
	struct device_info *v = calloc(VOLUME_MAX, sizeof(*v));
	unsigned i, n = v ? engine_device_list(e, v, VOLUME_MAX) : 0;
	json_t *workers = json_array(), *volumes = json_array(), *ports = json_array();

	for (i = 0; i < engine_port_count(e); i++)
		json_array_append_new(ports, port_numbers(e, i));
	for (i = 0; i < engine_worker_count(e); i++)
		json_array_append_new(workers, worker_json(engine_worker(e, i)));
	for (i = 0; i < n; i++)
		json_array_append_new(volumes, volume_numbers(&v[i]));
	free(v);
	return json_pack("{s:o s:o s:o s:o s:{s:I}}", "ports", ports, "workers", workers, "volumes",
		volumes, "reserve", report_reserve(e), "log", "lines_lost",
		(json_int_t)log_lines_lost());
}

static json_t *memory_terms(const struct engine_memory *m)
{
	json_t *list = json_array();
	unsigned i;

	for (i = 0; i < m->term_count; i++)
		json_array_append_new(list, json_pack("{s:s s:I s:I s:f}", "term", m->terms[i].name,
						    "count", (json_int_t)m->terms[i].count, "bytes",
						    (json_int_t)m->terms[i].bytes, "mib",
						    (double)m->terms[i].bytes / (1 << 20)));
	return list;
}

static json_t *pool_explain(struct engine *e, unsigned idx)
{
	uint32_t total, floor;
	const struct reserve_sum *sum = engine_sum(e, idx, &total, &floor);
	json_t *terms = json_array();
	struct engine_memory memory;
	struct reserve_info info;
	unsigned t;

	reserve_info(engine_pool(e, idx), &info);
	engine_memory_worker(e, idx, &memory);
	for (t = 0; t < sum->term_count; t++)
		json_array_append_new(terms, json_pack("{s:s s:i}", "term", sum->terms[t].name,
						     "mbufs", sum->terms[t].count));
	return json_pack("{s:s s:o s:i s:i s:f s:i s:i s:i s:i s:f s:o}", "pool", info.name,
		"terms", terms, "subtotal", sum->subtotal, "sum", sum->total, "safety",
		sum->subtotal ? (double)sum->total / sum->subtotal : 1.0, "floor", floor, "total",
		total, "normal", total - floor, "peak_used", info.total - info.low_water, "mib",
		(double)reserve_bytes(engine_pool(e, idx)) / (1 << 20), "memory",
		memory_terms(&memory));
}

json_t *report_memory(struct engine *e)
{
	struct engine_memory memory, shared;
	uint64_t bytes = 0;
	unsigned i;

	for (i = 0; i < engine_pool_count(e); i++) {
		engine_memory_worker(e, i, &memory);
		bytes += memory.bytes;
	}
	engine_memory_process(e, &shared);
	bytes += shared.bytes;
	return json_pack("{s:o s:I s:f s:I s:f}", "terms", memory_terms(&shared), "bytes",
		(json_int_t)bytes, "mib", (double)bytes / (1 << 20), "resident_bytes",
		(json_int_t)shared.resident, "resident_mib", (double)shared.resident / (1 << 20));
}

json_t *report_reserve_explain(struct engine *e)
{
	json_t *list = json_array();
	unsigned i;

	for (i = 0; i < engine_pool_count(e); i++)
		json_array_append_new(list, pool_explain(e, i));
	return json_pack("{s:o s:o}", "pools", list, "memory", report_memory(e));
}

static void leaks_append(
	json_t *list, const struct reserve *r, uint64_t now_us, struct reserve_leak *l)
{
	struct reserve_info info;
	unsigned k, b, n = reserve_leaks(r, now_us, l, OWNER_MAX);

	reserve_info(r, &info);
	for (k = 0; k < n; k++) {
		json_t *ages = json_array();

		for (b = 0; b < RESERVE_AGE_BUCKETS; b++)
			json_array_append_new(ages, json_integer(l[k].ages[b]));
		json_array_append_new(
			list, json_pack("{s:s s:s s:i s:I s:o}", "pool", info.name, "owner",
				      l[k].name, "count", l[k].count, "oldest_us",
				      (json_int_t)l[k].oldest_us, "ages", ages));
	}
}

json_t *report_reserve_leaks(struct engine *e, uint64_t now_us)
{
	struct reserve_leak *l = calloc(OWNER_MAX, sizeof(*l));
	json_t *list = json_array();
	unsigned i;

	for (i = 0; l && i < engine_pool_count(e); i++) {
		leaks_append(list, engine_pool(e, i), now_us, l);
		if (engine_exception_pool(e, i))
			leaks_append(list, engine_exception_pool(e, i), now_us, l);
	}
	free(l);
	return list;
}
