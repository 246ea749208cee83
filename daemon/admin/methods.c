/*
 * methods.c - what the control socket offers: JSON-RPC methods over the engine
 *
 * The table, what each method takes, and those that answer at once. Attach, detach and probe wait
 * for a server (methods_volume.c). All run on the control thread.
 */
#include "daemon/admin/methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config/host/host.h"
#include "config/monotonic.h"
#include "daemon/admin/methods_volume.h"
#include "daemon/admin/reload.h"
#include "daemon/admin/report.h"
#include "daemon/engine/engine_fault.h"
#include "daemon/engine/takeover.h"

/* ---- questions ---- */

static int status(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;

	*result = report_status(d->engine, (monotonic_us() - d->start_us) / 1000000);
	report_takeover(d->takeover, json_object_get(*result, "volumes"));
	return 0;
}

static int list(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;

	*result = report_list(d->engine);
	report_takeover(d->takeover, *result);
	return 0;
}

static int stats(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct engine *e = ((struct daemon_state *)ctx)->engine;
	const char *format = json_string_value(json_object_get(params, "format"));
	char *text;

	if (!format || strcmp(format, "json") == 0) {
		*result = report_stats(e);
		return 0;
	}
	if (strcmp(format, "openmetrics") != 0)
		return error_set(err, -EINVAL, "stats knows the formats json and openmetrics");
	text = report_openmetrics(e);
	*result = text ? json_pack("{s:s}", "openmetrics", text) : NULL;
	free(text);
	return *result ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int drops(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	*result = report_drops(((struct daemon_state *)ctx)->engine);
	return *result ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int reserve(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	*result = report_reserve(((struct daemon_state *)ctx)->engine);
	return 0;
}

static int reserve_explain(void *ctx, const json_t *params, struct control_call *call,
	json_t **result, struct error *err)
{
	*result = report_reserve_explain(((struct daemon_state *)ctx)->engine);
	return 0;
}

static int leaks(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;

	*result = report_reserve_leaks(d->engine, engine_now_us(d->engine));
	return 0;
}

static int doctor(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;
	struct host_check_line lines[HOST_CHECK_LINE_MAX];
	unsigned i, n = host_doctor(d->cfg, lines, HOST_CHECK_LINE_MAX);

	*result = json_array();
	for (i = 0; i < n; i++)
		json_array_append_new(
			*result, json_pack("{s:s s:b s:b s:s s:s}", "what", lines[i].what, "good",
					 lines[i].is_good, "required", lines[i].is_required, "text",
					 lines[i].text, "remedy", lines[i].remedy));
	report_takeover_doctor(d->takeover, *result);
	return 0;
}

/* ---- the rest ---- */

static int fault_starve(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;
	bool on = json_is_true(json_object_get(params, "on"));

	if (engine_starve(d->engine, on))
		return error_set(err, -ENOTSUP,
			"this build has no fault injection; configure it with "
			"-Dfault_injection=true");
	*result = json_pack("{s:b}", "starved", on);
	return 0;
}

static int fault_level(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	const char *level = json_string_value(json_object_get(params, "level"));
	int rc = engine_level(((struct daemon_state *)ctx)->engine, level ? level : "", err);

	if (rc)
		return rc;
	*result = json_pack("{s:s}", "level", level);
	return 0;
}

static int fault_leak(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;
	const char *owner = json_string_value(json_object_get(params, "owner"));
	json_int_t count = json_integer_value(json_object_get(params, "count"));
	int rc =
		owner && count > 0 ? engine_fault_leak(d->engine, owner, (uint32_t)count) : -EINVAL;

	if (rc == -EAGAIN)
		return error_set(err, rc, "the command ring of the worker is full; try again");
	if (rc)
		return error_set(err, rc,
			"fault leak needs an owner `sluice reserve` shows, and a count, in a build "
			"with "
			"-Dfault_injection=true");
	*result = json_pack("{s:s s:I}", "owner", owner, "count", count);
	return 0;
}

static int fault_refill(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;
	json_int_t count = json_integer_value(json_object_get(params, "count"));
	int rc = count > 0 ? engine_fault_refill(d->engine, (uint32_t)count) : -EINVAL;

	if (rc == -EAGAIN)
		return error_set(err, rc, "the command ring of the worker is full; try again");
	if (rc)
		return error_set(err, rc,
			"fault refill needs a count, in a build with -Dfault_injection=true");
	*result = json_pack("{s:I}", "count", count);
	return 0;
}

static int reload_files(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	return reload(ctx, result, err);
}

static int shutdown_daemon(void *ctx, const json_t *params, struct control_call *call,
	json_t **result, struct error *err)
{
	struct daemon_state *d = ctx;

	d->is_keeping |= json_is_true(json_object_get(params, "keep"));
	d->is_ending = true;
	*result = json_object();
	return 0;
}

/* ---- what each takes ---- */

#define FAULT_COUNT_MAX 65536 /* mbufs to lose, refills to fail: more than any pool or ring has */

static const struct control_param
	stats_params[] = {{"format", CONTROL_TEXT, 0, 0}, {NULL, 0, 0, 0}},
	attach_params[] = {{"uri", CONTROL_TEXT, 0, 0},
		{"uris", CONTROL_TEXTS, 1, VOLUME_URI_MAX - 1}, {"name", CONTROL_TEXT, 0, 0},
		{"connections", CONTROL_NUMBER, 1, VOLUME_CONN_MAX},
		{"queue_depth", CONTROL_NUMBER, 1, QUEUE_DEPTH_MAX},
		{"io_size_max", CONTROL_TEXT, 0, 0}, {"on_dead", CONTROL_TEXT, 0, 0},
		{"unstable", CONTROL_TEXT, 0, 0},
		{"dead_timeout", CONTROL_TEXT, 0, 0}, {"request_timeout", CONTROL_TEXT, 0, 0},
		{"connect_timeout", CONTROL_TEXT, 0, 0}, {"copy", CONTROL_TEXT, 0, 0},
		{"read_only", CONTROL_FLAG, 0, 0}, {"congestion_control", CONTROL_TEXT, 0, 0},
		{"save", CONTROL_FLAG, 0, 0}, {NULL, 0, 0, 0}},
	detach_params[] = {{"name", CONTROL_TEXT, 0, 0}, {"force", CONTROL_FLAG, 0, 0},
		{"lose_swap", CONTROL_FLAG, 0, 0},
		{"save", CONTROL_FLAG, 0, 0}, {NULL, 0, 0, 0}},
	save_params[] = {{"name", CONTROL_TEXT, 0, 0}, {NULL, 0, 0, 0}},
	probe_params[] = {{"uri", CONTROL_TEXT, 0, 0}, {NULL, 0, 0, 0}},
	starve_params[] = {{"on", CONTROL_FLAG, 0, 0}, {NULL, 0, 0, 0}},
	level_params[] = {{"level", CONTROL_TEXT, 0, 0}, {NULL, 0, 0, 0}},
	leak_params[] = {{"owner", CONTROL_TEXT, 0, 0},
		{"count", CONTROL_NUMBER, 1, FAULT_COUNT_MAX}, {NULL, 0, 0, 0}},
	refill_params[] = {{"count", CONTROL_NUMBER, 1, FAULT_COUNT_MAX}, {NULL, 0, 0, 0}},
	shutdown_params[] = {{"keep", CONTROL_FLAG, 0, 0}, {NULL, 0, 0, 0}};

const struct control_method *methods_table(unsigned *count)
{
	static const struct control_method table[] = {
		{"status", status, NULL},
		{"list", list, NULL},
		{"stats", stats, stats_params},
		{"drops", drops, NULL},
		{"reserve", reserve, NULL},
		{"reserve.explain", reserve_explain, NULL},
		{"reserve.leaks", leaks, NULL},
		{"doctor", doctor, NULL},
		{"attach", methods_attach, attach_params},
		{"detach", methods_detach, detach_params},
		{"save", methods_save, save_params},
		{"reload", reload_files, NULL},
		{"probe", methods_probe, probe_params},
		{"fault.starve", fault_starve, starve_params},
		{"fault.level", fault_level, level_params},
		{"fault.leak", fault_leak, leak_params},
		{"fault.refill", fault_refill, refill_params},
		{"shutdown", shutdown_daemon, shutdown_params},
	};

	*count = sizeof(table) / sizeof(table[0]);
	return table;
}
