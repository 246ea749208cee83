/*
 * bench_main.c - sluiced --bench: the daemon in one-shot mode, with the bench front end
 *
 * The same port, worker, classifier, TCP and NBD client as the daemon's, with a load generator
 * where ublk would be. So the dataplane can be measured and verified where the kernel has no ublk,
 * and a difference between the two is ublk's. Words and units are fio's.
 */
#include "daemon/bench_main.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <jansson.h>
#include <rte_common.h>
#include "config/error_code.h"
#include "daemon/admin/counters.h"
#include "daemon/engine/engine_info.h"
#include "daemon/engine/engine_fault.h"
#include "daemon/engine/engine_bench.h"
#include "daemon/admin/report.h"
#include "daemon/admin/report_impl.h"

#define POLL_MS		   5
#define CONNECT_MS	   15000
#define RUNTIME_S_DEFAULT  5
#define RUNTIME_S_MAX	   86400
#define IODEPTH_DEFAULT	   1
#define THINK_US_MAX	   60000000
#define MAIN_MARGIN_US	   60000000ull /* past the runtime, before we call it stuck */

static volatile sig_atomic_t is_interrupted;

static void on_signal(int sig)
{
	(void)sig;
	is_interrupted = 1;
}

/* "4k" or "4k-256k". */
static int bs_parse(struct bench_config *cfg, const char *text, struct error *err)
{
	char lo[32], *dash;
	uint64_t min, max;

	snprintf(lo, sizeof(lo), "%s", text);
	dash = strchr(lo, '-');
	if (dash)
		*dash = 0;
	if (bench_size_parse(lo, &min, err))
		return -EINVAL;
	max = min;
	if (dash && bench_size_parse(dash + 1, &max, err))
		return -EINVAL;
	if (min == 0 || min > max || max > IO_BYTES_MAX)
		return error_set(
			err, -EINVAL, "--bs=%s: sizes go from 512 to %u", text, IO_BYTES_MAX);
	cfg->bs_min = (uint32_t)min;
	cfg->bs_max = (uint32_t)max;
	return 0;
}

static int number(const char *text, uint64_t min, uint64_t max, const char *name, uint64_t *out,
	struct error *err)
{
	char *end;

	*out = strtoull(text, &end, 10);
	if (*end == 's' && end[1] == 0)
		end++;
	if (end == text || *end || *out < min || *out > max)
		return error_set(err, -EINVAL, "--%s=%s: give a number from %llu to %llu", name,
			text, (unsigned long long)min, (unsigned long long)max);
	return 0;
}

int bench_arg(struct bench_args *a, int opt, const char *text, struct error *err)
{
	uint64_t n = 0;
	int rc = 0;

	switch ((enum bench_opt)opt) {
	case BENCH_OPT_RW:
		a->rw = text;
		return bench_rw_parse(text, &a->cfg.rw, err);
	case BENCH_OPT_BS:
		a->bs = text;
		return bs_parse(&a->cfg, text, err);
	case BENCH_OPT_IODEPTH:
		rc = number(text, 1, QUEUE_DEPTH_MAX, "iodepth", &n, err);
		a->cfg.iodepth = (uint16_t)n;
		return rc;
	case BENCH_OPT_RUNTIME:
		rc = number(text, 0, RUNTIME_S_MAX, "runtime", &n, err);
		a->cfg.runtime_us = n * 1000000;
		a->is_runtime_given = true;
		return rc;
	case BENCH_OPT_SIZE:
		return bench_size_parse(text, &a->cfg.size_bytes, err);
	case BENCH_OPT_MIX:
		rc = number(text, 0, 100, "rwmixread", &n, err);
		a->cfg.rwmix_read_pct = (uint32_t)n;
		return rc;
	case BENCH_OPT_SEED:
		return number(text, 0, UINT64_MAX, "seed", &a->cfg.seed, err);
	case BENCH_OPT_THINK:
		return number(text, 0, THINK_US_MAX, "thinktime", &a->cfg.think_us, err);
	case BENCH_OPT_VERIFY:
		a->cfg.verify = true;
		return 0;
	case BENCH_OPT_JSON:
		a->is_json = true;
		return 0;
	case BENCH_OPT_STARVE:
		a->is_starved = true;
		return 0;
	case BENCH_OPT_LEVEL:
		a->level = text;
		return 0;
	case BENCH_OPT_VOLUMES:
		rc = number(text, 1, VOLUME_MAX, "volumes", &n, err);
		a->volumes = (unsigned)n;
		return rc;
	case BENCH_OPT_BUSY:
		rc = number(text, 1, VOLUME_MAX, "busy", &n, err);
		a->busy = (unsigned)n;
		return rc;
	case BENCH_OPT_ALLOC:
		a->is_trapped = true;
		return 0;
	}
	return -EINVAL;
}

struct wait {
	bool is_done;
	int rc;
	struct error error;
};

static void on_done(void *arg, int rc, const char *device, const struct error *err)
{
	struct wait *w = arg;

	(void)device;
	w->is_done = true;
	w->rc = rc;
	w->error = *err;
}

static void wait_poll(struct engine *e)
{
	poll(NULL, 0, POLL_MS);
	engine_poll(e);
}

static json_t *reserve_json(const struct engine *e)
{
	struct reserve_info info;

	reserve_info(engine_pool(e, 0), &info);
	return json_pack("{s:i s:i s:i s:i s:I s:I s:i s:o}", "total", info.total, "floor",
		info.floor, "free", info.free, "low_water", info.low_water, "dips",
		(json_int_t)info.dips, "refused", (json_int_t)info.refused, "owners_over_limit",
		(int)reserve_over_limit(engine_pool(e, 0)), "owners",
		report_owners(engine_pool(e, 0)));
}

/* TCP of all workers together; *drops likewise. */
static json_t *tcp_json(struct engine *e, uint64_t *drops)
{
	json_int_t rx = 0, tx = 0, retrans = 0, rto = 0;
	struct net_stats net;
	unsigned i;

	for (i = 0; i < engine_worker_count(e); i++) {
		net_stats(worker_net(engine_worker(e, i)), &net);
		rx += (json_int_t)net.tcp_rx_segs;
		tx += (json_int_t)net.tcp_tx_segs;
		retrans += (json_int_t)net.tcp_retrans_segs;
		rto += (json_int_t)net.tcp_rto;
		*drops += net.protected_drops;
	}
	return json_pack("{s:I s:I s:I s:I}", "rx_segs", rx, "tx_segs", tx, "retrans_segs", retrans,
		"rto", rto);
}

static json_t *workers_json(struct engine *e)
{
	json_t *list = json_array();
	struct worker_stats ws;
	unsigned i;

	for (i = 0; i < engine_worker_count(e); i++) {
		worker_stats(engine_worker(e, i), &ws);
		json_array_append_new(list,
			json_pack("{s:I s:I s:I s:I s:I}", "rx_packets", (json_int_t)ws.rx_packets,
				"tx_packets", (json_int_t)ws.tx_packets, "stray_out",
				(json_int_t)ws.misdirected_out, "stray_in",
				(json_int_t)ws.misdirected_in, "stray_lost",
				(json_int_t)ws.misdirected_lost));
	}
	return list;
}

/* On how many workers the volume was, and why not on more. */
static void spread_add(json_t *out, struct engine *e)
{
	struct device_info *v = calloc(1, sizeof(*v));

	if (v && engine_device_list(e, v, 1) == 1) {
		json_object_set_new(out, "parts", json_integer(v->worker_count));
		json_object_set_new(out, "spread", json_string(v->spread));
		json_object_set_new(
			out, "connections_astray", json_integer(v->volume.conn_misdirected));
		json_object_set_new(out, "credits", report_credits(v));
	}
	free(v);
}

static json_t *result_json(
	const struct bench_args *a, struct engine *e, const struct bench_result *r, double cpu_s)
{
	double s = (double)r->elapsed_us / 1e6;
	struct slow_path_stats other;
	uint64_t drops = 0;
	json_t *tcp = tcp_json(e, &drops), *out;

	slow_path_stats(worker_slow_path(engine_worker(e, 0)), &other);
	out = json_pack("{s:s s:s s:i s:f s:f s:f s:f s:f s:f s:f s:f s:f s:I s:I s:I s:I s:I s:f "
			"s:o s:o s:o s:o}",
		"rw", a->rw ? a->rw : "read", "bs", a->bs ? a->bs : "4k", "iodepth", a->cfg.iodepth,
		"seconds", s, "iops", (double)(r->ios[0] + r->ios[1]) / s, "read_iops",
		(double)r->ios[0] / s, "write_iops", (double)r->ios[1] / s, "mb_s",
		(double)(r->bytes[0] + r->bytes[1]) / s / 1e6, "p50_us", r->p50_us, "p99_us",
		r->p99_us, "p999_us", r->p999_us, "mean_us", r->mean_us, "ios",
		(json_int_t)(r->ios[0] + r->ios[1]), "errors", (json_int_t)r->errors,
		"verify_errors", (json_int_t)r->verify_errors, "verified_blocks",
		(json_int_t)r->verified_blocks, "protected_drops", (json_int_t)drops, "cpu_s",
		cpu_s, "reserve", reserve_json(e), "tcp", tcp, "workers", workers_json(e), "other",
		registry_values(&counters_exception, (const uint64_t *)&other));
	if (out) {
		spread_add(out, e);
		json_object_set_new(out, "explain", report_reserve_explain(e));
	}
	return out;
}

static void result_print(const struct bench_args *a, struct engine *e, const struct bench_result *r,
	double cpu_s)
{
	double s = (double)r->elapsed_us / 1e6;
	json_t *json;
	char *text;

	if (a->is_json) {
		json = result_json(a, e, r, cpu_s);
		text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
		puts(text ? text : "{}");
		free(text);
		json_decref(json);
		return;
	}
	printf("%s: rw=%s bs=%s iodepth=%u: %.0f IOPS, %.1f MB/s, p50 %.0f us, p99 %.0f us, p99.9 "
	       "%.0f us, "
	       "%llu I/Os in %.1f s, %llu errors, %llu verify errors (%llu blocks verified)\n",
		a->uri, a->rw ? a->rw : "read", a->bs ? a->bs : "4k", a->cfg.iodepth,
		(double)(r->ios[0] + r->ios[1]) / s, (double)(r->bytes[0] + r->bytes[1]) / s / 1e6,
		r->p50_us, r->p99_us, r->p999_us, (unsigned long long)(r->ios[0] + r->ios[1]), s,
		(unsigned long long)r->errors, (unsigned long long)r->verify_errors,
		(unsigned long long)r->verified_blocks);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Asks for what is due, and sleeps until more is, POLL_MS at most. Out: microseconds slept. */
static uint64_t wait_ask(struct engine *e)
{
	uint64_t us = RTE_MIN(engine_bench_ask(e) / 1000, POLL_MS * 1000ull);
	const struct timespec pause = {.tv_nsec = (long)us * 1000};

	ppoll(NULL, 0, &pause, NULL);
	return us;
}

/* The load itself; the volumes are attached. */
static int run_load(struct engine *e, const struct bench_args *a, struct error *err)
{
	double cpu_s = cpu_seconds();
	struct bench_result r;
	uint64_t waited_us = 0;

	while (!engine_bench_done(e) && !is_interrupted) {
		waited_us += wait_ask(e);
		engine_poll(e);
		if (a->cfg.runtime_us && waited_us > a->cfg.runtime_us + MAIN_MARGIN_US)
			return error_set(err, -ETIMEDOUT,
				"the load did not end %llu s after its runtime: I/O is stuck",
				MAIN_MARGIN_US / 1000000);
	}
	engine_bench_result(e, &r);
	result_print(a, e, &r, cpu_seconds() - cpu_s);
	fflush(stdout);
	return r.errors || r.verify_errors ? 1 : 0;
}

/* Attaches the volumes, all at once, and waits until each is there or the first is refused. */
static int volumes_attach(
	struct engine *e, const struct bench_args *a, const struct config *cfg, struct error *err)
{
	static struct wait waits[VOLUME_MAX]; /* an attach in progress may still write into it */
	struct bench_config bench = a->cfg;
	unsigned i;
	int rc = 0;

	for (i = 0; !rc && i < cfg->volume_count; i++) {
		const struct engine_attach how = {.volume = &cfg->volumes[i],
			.front = FRONT_BENCH,
			.bench = &bench,
			.deadline_ms = CONNECT_MS,
			.done = on_done,
			.arg = &waits[i]};

		waits[i] = (struct wait){.is_done = false};
		bench.is_idle = i >= a->busy;
		bench.seed = a->cfg.seed + i;
		rc = engine_attach(e, &how, err);
	}
	for (i = 0; !rc && i < cfg->volume_count; i++) {
		while (!waits[i].is_done)
			wait_poll(e);
		if (waits[i].rc)
			rc = error_set(err, waits[i].rc, "%s", waits[i].error.text);
	}
	return rc;
}

/* Faults asked for are in force before the first packet. */
static int faults_begin(struct engine *e, const struct bench_args *a, struct error *err)
{
	if (a->is_starved && engine_starve(e, true))
		return error_set(
			err, -ENOTSUP, "--starve needs a build with -Dfault_injection=true");
	if (a->level && engine_level(e, a->level, err))
		return -EINVAL;
	if (a->is_trapped && !engine_spring_alloc_trap(e))
		return error_set(err, -EAGAIN, "the first worker's command ring is full");
	return 0;
}

static int session(
	struct engine *e, const struct bench_args *a, const struct config *cfg, struct error *err)
{
	int rc = faults_begin(e, a, err);

	if (rc)
		return rc;
	rc = volumes_attach(e, a, cfg, err);
	if (!rc)
		rc = run_load(e, a, err);
	engine_detach_all(e, rc != 0 || is_interrupted);
	while (engine_device_count(e))
		wait_poll(e);
	return rc;
}

/* As the file serves that URI, if it does: its other addresses, deadlines and policy count here
 * too. */
static int volume_of_uri(
	const struct config *cfg, const char *uri, struct config_volume *out, struct error *err)
{
	unsigned i, k;

	for (i = 0; i < cfg->volume_count; i++)
		for (k = 0; k < cfg->volumes[i].uri_count; k++)
			if (strcmp(cfg->volumes[i].uris[k], uri) == 0) {
				*out = cfg->volumes[i];
				return 0;
			}
	return config_volume_from_uri(uri, out, err);
}

/* So many of @v, each with a name of its own. */
static int volumes_plan(
	struct bench_args *a, const struct config_volume *v, struct config *cfg, struct error *err)
{
	unsigned i;

	a->volumes = a->volumes ? a->volumes : 1;
	a->busy = a->busy ? a->busy : a->volumes;
	if (a->busy > a->volumes)
		return error_set(
			err, -EINVAL, "--busy=%u: there are --volumes=%u", a->busy, a->volumes);
	if (a->volumes > 1 && a->cfg.verify)
		return error_set(err, -EINVAL,
			"--verify goes with one volume: several would write over each other");
	cfg->volume_count = a->volumes;
	for (i = 0; i < a->volumes; i++) {
		cfg->volumes[i] = *v;
		if (i > 0)
			snprintf(cfg->volumes[i].name, sizeof(cfg->volumes[i].name), "%.52s-%u",
				v->name, i);
	}
	return 0;
}

void bench_print_failure(int rc, const struct error *err)
{
	const struct error_code *code = error_code_of(rc);
	json_t *json = json_pack("{s:{s:i s:s s:s}}", "error", "code", code->code, "name",
		code->name, "message", err->text);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	puts(text ? text : "{\"error\":{}}");
	fflush(stdout);
	free(text);
	json_decref(json);
}

int bench_main(const struct daemon_run *run, struct bench_args *a, struct error *err)
{
	static struct config cfg;
	struct config_volume v;
	struct engine *e;
	int rc = volume_of_uri(run->cfg, a->uri, &v, err);

	if (rc)
		return rc;
	if (!a->cfg.bs_min)
		a->cfg.bs_min = a->cfg.bs_max = 4096;
	if (!a->cfg.iodepth)
		a->cfg.iodepth = IODEPTH_DEFAULT;
	if (!a->is_runtime_given && !a->cfg.size_bytes)
		a->cfg.runtime_us = RUNTIME_S_DEFAULT * 1000000ull;
	if (v.queue_depth < a->cfg.iodepth)
		v.queue_depth = a->cfg.iodepth;
	if (v.io_bytes_max < a->cfg.bs_max)
		v.io_bytes_max = a->cfg.bs_max;
	cfg = *run->cfg;
	rc = volumes_plan(a, &v, &cfg, err);
	if (rc)
		return rc;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	e = daemon_engine_start(&(struct daemon_run){.cfg = &cfg,
					.config_path = run->config_path,
					.eal_argc = run->eal_argc,
					.eal_argv = run->eal_argv},
		err);
	if (!e)
		return -EIO;
	rc = session(e, a, &cfg, err);
	daemon_engine_end(e);
	return rc;
}
