/*
 * report.c - status and list: what a person asks first
 *
 * One JSON object per question; the CLI prints tables from the same objects that --json shows, so
 * there is one truth. Counters are read while workers write them: one word each, a turn old at
 * most.
 */
#include "daemon/admin/report.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/engine/engine_info.h"
#include "daemon/engine/engine_bench.h"
#include "daemon/admin/report_impl.h"
#include "dataplane/port_driver.h"
#include "nbd_client/nbd_proto.h"

static const char *const level_names[] = {"green", "yellow", "red"};

static json_t *addresses(const struct ports_info *p)
{
	json_t *list = json_array();
	char text[INET6_ADDRSTRLEN], cidr[INET6_ADDRSTRLEN + 5];
	unsigned i;

	for (i = 0; i < p->addr_count; i++) {
		inet_ntop(p->addrs[i].ip.family, p->addrs[i].ip.addr, text, sizeof(text));
		snprintf(cidr, sizeof(cidr), "%s/%u", text, p->addrs[i].prefix_bits);
		json_array_append_new(list, json_string(cidr));
	}
	return list;
}

static json_t *exception_json(const struct ports_info *p)
{
	if (!p->exception_iface)
		return json_pack("{s:s s:s}", "kind", "off", "why", p->exception_why);
	return json_pack("{s:s s:s}", "kind", "tap", "iface", p->exception_iface);
}

/* Of a port's queues, the one deepest in its reserve; pools are numbered port by port. */
static void deepest_pool(struct engine *e, unsigned port, unsigned queues, struct reserve_info *out)
{
	struct ports_info p;
	struct reserve_info r;
	unsigned first = 0, i;

	for (i = 0; i < port; i++) {
		engine_port_info(e, i, &p);
		first += p.worker_count;
	}
	reserve_info(engine_pool(e, first), out);
	for (i = 1; i < queues; i++) {
		reserve_info(engine_pool(e, first + i), &r);
		if (r.level > out->level || (r.level == out->level && r.depth_pct > out->depth_pct))
			*out = r;
	}
}

static json_t *port_json(struct engine *e, unsigned idx)
{
	struct ports_info p;
	struct reserve_info r;
	char mac[18];

	engine_port_info(e, idx, &p);
	deepest_pool(e, idx, p.worker_count, &r);
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", p.facts->mac[0],
		p.facts->mac[1], p.facts->mac[2], p.facts->mac[3], p.facts->mac[4],
		p.facts->mac[5]);
	return json_pack("{s:s s:s s:s s:s s:i s:s s:o s:i s:s s:i s:I s:I s:I s:I s:I s:b s:b s:b "
			 "s:b s:b s:b s:s s:s s:o}",
		"name", p.cfg->name, "device", p.cfg->device, "driver", p.facts->driver, "mac", mac,
		"mtu", p.facts->mtu, "link", p.is_link_up ? "up" : "down", "addresses",
		addresses(&p), "workers", p.worker_count, "level", level_names[r.level],
		"depth_pct", r.depth_pct, "rx_packets", (json_int_t)p.stats.rx_packets,
		"tx_packets", (json_int_t)p.stats.tx_packets, "rx_bytes",
		(json_int_t)p.stats.rx_bytes, "tx_bytes", (json_int_t)p.stats.tx_bytes, "rx_missed",
		(json_int_t)p.stats.rx_missed, "rx_checksum", p.facts->offload.rx_csum,
		"tx_checksum", p.facts->offload.tx_tcp_csum, "tso", p.facts->offload.tx_tso, "lro",
		p.facts->has_lro, "rx_interrupt", p.facts->has_rx_interrupt, "rss",
		p.facts->has_rss, "offloads_left_out", port_driver_left_out(p.facts->driver),
		"flow_rules", p.facts->flow_rules, "exception",
		exception_json(&p));
}

json_t *report_list(struct engine *e)
{
	struct device_info *v = calloc(VOLUME_MAX, sizeof(*v));
	unsigned i, n = v ? engine_device_list(e, v, VOLUME_MAX) : 0;
	json_t *list = json_array();

	for (i = 0; i < n; i++)
		json_array_append_new(list, report_volume(&v[i]));
	free(v);
	return list;
}

uint64_t report_protected_drops(struct engine *e)
{
	struct net_stats s;
	uint64_t drops = 0;
	unsigned i;

	for (i = 0; i < engine_worker_count(e); i++) {
		net_stats(worker_net(engine_worker(e, i)), &s);
		drops += s.protected_drops;
	}
	return drops;
}

static json_t *pool_json(const struct reserve *r)
{
	struct reserve_info i;

	reserve_info(r, &i);
	return json_pack(
		"{s:s s:i s:i s:i s:i s:I s:I s:I s:i s:i s:i s:s s:i s:b s:I s:I s:i s:I}", "pool",
		i.name, "total", i.total, "floor", i.floor, "free", i.free, "low_water",
		i.low_water, "dips", (json_int_t)i.dips, "refused", (json_int_t)i.refused,
		"refused_refills", (json_int_t)i.refused_entitled, "refused_run", i.refused_run,
		"refused_run_max", i.refused_run_max, "ring_debt", i.ring_debt, "level",
		level_names[i.level], "depth_pct", i.depth_pct, "starved", i.starved, "allocs",
		(json_int_t)i.allocs, "frees", (json_int_t)i.frees, "owners_over_limit",
		(int)reserve_over_limit(r), "refill_alarms", (json_int_t)i.alarms);
}

json_t *report_owners(const struct reserve *r)
{
	struct reserve_owner_info *o = calloc(OWNER_MAX, sizeof(*o));
	unsigned i, n = o ? reserve_owners(r, o, OWNER_MAX) : 0;
	json_t *list = json_array();

	for (i = 0; i < n; i++)
		json_array_append_new(list,
			json_pack("{s:s s:i s:i s:i s:i s:i s:I s:f}", "owner", o[i].name, "id",
				o[i].id, "parent", o[i].parent == OWNER_NONE ? -1 : o[i].parent,
				"limit", o[i].limit, "used", o[i].used, "peak", o[i].peak,
				"refused", (json_int_t)o[i].refused, "mib",
				(double)o[i].used * MBUF_DATA_BYTES / (1 << 20)));
	free(o);
	return list;
}

static void pool_append(json_t *list, const struct reserve *r)
{
	json_t *pool = pool_json(r);

	json_object_set_new(pool, "owners", report_owners(r));
	json_array_append_new(list, pool);
}

json_t *report_reserve(struct engine *e)
{
	json_t *list = json_array();
	unsigned i;

	for (i = 0; i < engine_pool_count(e); i++)
		pool_append(list, engine_pool(e, i));
	for (i = 0; i < engine_pool_count(e); i++)
		if (engine_exception_pool(e, i))
			pool_append(list, engine_exception_pool(e, i));
	return list;
}

static json_t *kernel_memory(const struct engine *e)
{
	static const char *const names[] = {"unknown", "enough", "short"};
	uint64_t shortages;
	enum engine_memory_state state = engine_kernel_memory(e, &shortages);

	return json_pack("{s:s s:I}", "state", names[state], "shortages", (json_int_t)shortages);
}

json_t *report_status(struct engine *e, uint64_t uptime_s)
{
	json_t *ports = json_array(), *pools = json_array();
	const char *why;
	bool full = engine_guarantee(e, &why);
	unsigned i;

	for (i = 0; i < engine_port_count(e); i++)
		json_array_append_new(ports, port_json(e, i));
	for (i = 0; i < engine_pool_count(e); i++)
		json_array_append_new(pools, pool_json(engine_pool(e, i)));
	return json_pack("{s:s s:i s:I s:{s:s s:s} s:o s:o s:o s:o s:I}", "version", SLUICE_VERSION,
		"pid", (int)getpid(), "uptime_s", (json_int_t)uptime_s, "guarantee", "level",
		full ? "full" : "partial", "why", why, "kernel_memory", kernel_memory(e), "ports",
		ports, "volumes", report_list(e), "reserve", pools, "protected_drops",
		(json_int_t)report_protected_drops(e));
}

/* What the server said it can, word for word: what we make of it is another matter. */
static void probe_told_add(json_t *out, const struct volume_info *v)
{
	static const struct {
		const char *key;
		uint16_t flag;
	} table[] = {
		{"read_only", NBD_FLAG_READ_ONLY},
		{"rotational", NBD_FLAG_ROTATIONAL},
		{"can_flush", NBD_FLAG_SEND_FLUSH},
		{"can_fua", NBD_FLAG_SEND_FUA},
		{"can_trim", NBD_FLAG_SEND_TRIM},
		{"can_write_zeroes", NBD_FLAG_SEND_WRITE_ZEROES},
		{"can_fast_zero", NBD_FLAG_SEND_FAST_ZERO},
		{"can_cache", NBD_FLAG_SEND_CACHE},
		{"can_df", NBD_FLAG_SEND_DF},
		{"can_multi_conn", NBD_FLAG_CAN_MULTI_CONN},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		json_object_set_new(out, table[i].key, json_boolean(v->nbd_flags & table[i].flag));
	if (!v->has_block_size)
		return;
	json_object_set_new(out, "block_min", json_integer(v->block_min));
	json_object_set_new(out, "block_preferred", json_integer(v->block_pref));
	json_object_set_new(out, "block_max", json_integer(v->block_max));
}

static void probe_exports_add(json_t *out, const struct volume_probe *found)
{
	json_t *list = json_array();
	unsigned i;

	for (i = 0; i < found->export_count; i++)
		json_array_append_new(list,
			json_pack("{s:s s:s}", "name", found->text + found->exports[i].name_at,
				"description", found->text + found->exports[i].description_at));
	json_object_set_new(out, "exports", list);
	json_object_set_new(out, "exports_total", json_integer(found->export_total));
	json_object_set_new(out, "has_list", json_boolean(found->has_list));
}

/* Facts of the export that the URI names, where the server has it. */
static void probe_export_add(
	json_t *out, const struct volume_info *v, const struct volume_probe *found)
{
	json_object_set_new(out, "size_bytes", json_integer((json_int_t)found->size_bytes));
	json_object_set_new(out, "block_size", json_integer(v->limits.block_min));
	json_object_set_new(out, "payload_max", json_integer(v->limits.io_bytes_max));
	probe_told_add(out, v);
	json_object_set_new(out, "export_name", json_string(found->text + found->name_at));
	json_object_set_new(out, "description", json_string(found->text + found->description_at));
}

json_t *report_probe(struct engine *e, const char *name)
{
	struct device_info *v = calloc(VOLUME_MAX, sizeof(*v));
	unsigned i, n = v ? engine_device_list(e, v, VOLUME_MAX) : 0;
	json_t *out = NULL;

	for (i = 0; i < n; i++) {
		const struct volume_info *vi = &v[i].volume;
		const struct volume_probe *found = engine_probe(e, name);

		if (strcmp(vi->name, name) != 0 || !found)
			continue;
		out = json_pack("{s:s s:s s:s s:b}", "uri", v[i].uri, "server", vi->server,
			"protocol", vi->is_fixed ? "newstyle-fixed" : "newstyle",
			"structured_replies", vi->structured);
		if (out && found->has_export)
			probe_export_add(out, vi, found);
		if (out)
			probe_exports_add(out, found);
		break;
	}
	free(v);
	return out;
}
