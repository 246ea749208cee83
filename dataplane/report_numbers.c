/*
 * report_numbers.c - stats, the ledger, the sum with its numbers, and the leak report
 *
 * Counters of a worker live in flat structs of uint64_t; a table of names beside each makes one
 * object of it. The table is checked against the struct's size, so a counter without a name does
 * not compile.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "dataplane/engine.h"
#include "dataplane/report.h"
#include "dataplane/report_impl.h"

static const char *const net_names[] = {"rx_packets", "rx_bytes", "tx_packets", "tx_bytes", "rx_bad_csum",
	"rx_bad_hdr", "rx_no_conn", "rx_not_ours", "arp_rx", "arp_tx", "nd_rx", "nd_tx", "icmp_rx",
	"icmp_echo_tx", "icmp_unreach_rx", "neigh_failed", "frag_rx", "reass_ok", "reass_drop", "tcp_rx_segs",
	"tcp_tx_segs", "tcp_retrans_segs", "tcp_rto", "tcp_fast_rtx", "tcp_tlp", "tcp_dupack_rx",
	"tcp_ooo_segs", "tcp_ooo_shed", "tcp_compacted", "tcp_out_of_window", "tcp_paws_drop",
	"tcp_challenge_ack", "tcp_rst_rx", "tcp_rst_tx", "tcp_zero_window_probe", "tcp_undo", "tcp_connect",
	"tcp_established", "tcp_closed", "tcp_aborted", "hdr_alloc_failed", "protected_drops"};
static const char *const worker_names[] = {"turns", "busy_turns", "sleeps", "wakeups", "other_dropped",
	"bad_dropped", "tx_full", "max_turn_us"};
static const char *const class_names[] = {"protected", "essential", "other", "bad"};
static const char *const op_names[] = {"read", "write", "flush", "trim", "write_zeroes"};

static_assert(sizeof(net_names) / sizeof(char *) == sizeof(struct net_stats) / sizeof(uint64_t),
	"each counter of net has a name");
static_assert(sizeof(worker_names) / sizeof(char *) == sizeof(struct worker_stats) / sizeof(uint64_t),
	"each counter of a worker has a name");
static_assert(sizeof(op_names) / sizeof(char *) == BLOCK_OP_COUNT, "each block operation has a name");

static json_t *named(const char *const *names, const uint64_t *values, unsigned count)
{
	json_t *o = json_object();
	unsigned i;

	for (i = 0; i < count; i++)
		json_object_set_new(o, names[i], json_integer((json_int_t)values[i]));
	return o;
}

static json_t *worker_json(struct worker *w)
{
	struct worker_stats ws;
	struct net_stats ns;
	uint64_t classes[4];

	worker_stats(w, &ws);
	net_stats(worker_net(w), &ns);
	worker_class_counts(w, classes);
	return json_pack("{s:i s:i s:o s:o s:o}", "worker", worker_config(w)->idx, "cpu",
		worker_config(w)->cpu, "loop", named(worker_names, (const uint64_t *)&ws, 8), "net",
		named(net_names, (const uint64_t *)&ns, sizeof(ns) / sizeof(uint64_t)), "classes",
		named(class_names, classes, 4));
}

static json_t *volume_numbers(const struct engine_volume_info *v)
{
	const struct volume_info *i = &v->volume;

	return json_pack("{s:s s:s s:o s:o s:o s:i s:i s:I s:I s:I s:I}", "name", i->name, "device", v->device,
		"ops", named(op_names, i->ops, BLOCK_OP_COUNT), "bytes",
		named(op_names, i->bytes, BLOCK_OP_COUNT), "errors",
		named(op_names, i->errors, BLOCK_OP_COUNT), "in_flight", i->in_flight, "in_flight_max",
		i->in_flight_max, "reconnects", (json_int_t)i->reconnects, "replayed",
		(json_int_t)i->replayed, "timeouts", (json_int_t)i->timeouts, "protocol_errors",
		(json_int_t)i->protocol_errors);
}

json_t *report_stats(struct engine *e)
{
	struct engine_volume_info *v = calloc(VOLUME_MAX, sizeof(*v));
	unsigned i, n = v ? engine_volumes(e, v, VOLUME_MAX) : 0;
	json_t *workers = json_array(), *volumes = json_array();

	for (i = 0; i < engine_worker_count(e); i++)
		json_array_append_new(workers, worker_json(engine_worker(e, i)));
	for (i = 0; i < n; i++)
		json_array_append_new(volumes, volume_numbers(&v[i]));
	free(v);
	return json_pack("{s:o s:o s:o}", "workers", workers, "volumes", volumes, "reserve", report_reserve(e));
}

json_t *report_owners(const struct reserve *r)
{
	struct reserve_owner_info *o = calloc(OWNER_MAX, sizeof(*o));
	unsigned i, n = o ? reserve_owners(r, o, OWNER_MAX) : 0;
	json_t *list = json_array();

	for (i = 0; i < n; i++)
		json_array_append_new(list,
			json_pack("{s:s s:i s:i s:i s:i s:i s:I s:f}", "owner", o[i].name, "id", o[i].id,
				"parent", o[i].parent == OWNER_NONE ? -1 : o[i].parent, "limit", o[i].limit,
				"used", o[i].used, "peak", o[i].peak, "refused", (json_int_t)o[i].refused, "mib",
				(double)o[i].used * MBUF_DATA_BYTES / (1 << 20)));
	free(o);
	return list;
}

json_t *report_reserve_explain(struct engine *e)
{
	json_t *list = json_array();
	uint32_t total, floor;
	unsigned i, t;

	for (i = 0; i < engine_pool_count(e); i++) {
		const struct reserve_sum *sum = engine_sum(e, i, &total, &floor);
		json_t *terms = json_array();
		struct reserve_info info;

		reserve_info(engine_pool(e, i), &info);
		for (t = 0; t < sum->term_count; t++)
			json_array_append_new(terms,
				json_pack("{s:s s:i}", "term", sum->terms[t].name, "mbufs", sum->terms[t].count));
		json_array_append_new(list,
			json_pack("{s:s s:o s:i s:i s:f s:i s:i s:i s:i s:f}", "pool", info.name, "terms",
				terms, "subtotal", sum->subtotal, "sum", sum->total, "safety",
				sum->subtotal ? (double)sum->total / sum->subtotal : 1.0, "floor", floor,
				"total", total, "normal", total - floor, "peak_used", info.total - info.low_water,
				"mib", (double)total * (MBUF_DATA_BYTES + 256) / (1 << 20)));
	}
	return list;
}

json_t *report_reserve_leaks(struct engine *e, uint64_t now_us)
{
	struct reserve_leak *l = calloc(OWNER_MAX, sizeof(*l));
	json_t *list = json_array();
	unsigned i, k, b, n;

	for (i = 0; l && i < engine_pool_count(e); i++) {
		struct reserve_info info;

		reserve_info(engine_pool(e, i), &info);
		n = reserve_leaks(engine_pool(e, i), now_us, l, OWNER_MAX);
		for (k = 0; k < n; k++) {
			json_t *ages = json_array();

			for (b = 0; b < RESERVE_AGE_BUCKETS; b++)
				json_array_append_new(ages, json_integer(l[k].ages[b]));
			json_array_append_new(list,
				json_pack("{s:s s:s s:i s:I s:o}", "pool", info.name, "owner", l[k].name,
					"count", l[k].count, "oldest_us", (json_int_t)l[k].oldest_us, "ages", ages));
		}
	}
	free(l);
	return list;
}
