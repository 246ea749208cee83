/*
 * methods.c - what the control socket offers: JSON-RPC methods over the engine
 *
 * Methods that only read answer at once. Attach, detach and probe take as long as a server takes:
 * they are answered when the engine says so, and until then the control thread goes on with others.
 * All run on the control thread.
 */
#include "daemon/admin/methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config/host/host.h"
#include "config/log.h"
#include "config/monotonic.h"
#include "daemon/admin/report.h"
#include "daemon/engine/takeover.h"
#include "nbd_client/ublk/ublk.h"

#define ATTACH_MS_DEFAULT 30000
#define PROBE_MS	  15000

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

static int reserve(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	*result = report_reserve(((struct daemon_state *)ctx)->engine);
	return 0;
}

static int reserve_explain(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
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
		json_array_append_new(*result,
			json_pack("{s:s s:b s:b s:s s:s}", "what", lines[i].what, "good", lines[i].is_good,
				"required", lines[i].is_required, "text", lines[i].text, "remedy",
				lines[i].remedy));
	report_takeover_doctor(d->takeover, *result);
	return 0;
}

/* ---- attach, detach, probe ---- */

/* One call that waits for the engine. */
struct pending {
	struct daemon_state *daemon;
	struct control_call *call;
	bool is_probe;
	char name[NAME_BYTES_MAX];
	char warning[sizeof(((struct config_volume *)NULL)->warning)]; /* of the URI; may be empty */
};

static void pending_done(void *arg, int rc, const char *device, const struct error *err)
{
	struct pending *p = arg;
	json_t *result = NULL;

	if (rc && !p->is_probe)
		log_error("volume %s: %s", p->name, err->text);
	if (rc == 0 && p->is_probe) {
		result = report_probe(p->daemon->engine, p->name);
	} else if (rc == 0) {
		result = json_pack("{s:s s:s}", "name", p->name, "device", device);
	}
	if (result && p->warning[0])
		json_object_set_new(result, "warning", json_string(p->warning));
	control_reply(p->call, rc, result, err);
	free(p);
}

static struct pending *pending_make(struct daemon_state *d, struct control_call *call, const char *name)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->daemon = d;
	p->call = call;
	snprintf(p->name, sizeof(p->name), "%s", name);
	return p;
}

static int attach_begin(struct daemon_state *d, struct pending *p, const struct config_volume *v,
	enum engine_front front, uint64_t ms, struct error *err)
{
	const struct engine_attach how = {
		.volume = v, .front = front, .deadline_ms = ms, .done = pending_done, .arg = p};
	int rc = p ? engine_attach(d->engine, &how, err) : error_set(err, -ENOMEM, "out of memory");

	if (rc) {
		free(p);
		return rc;
	}
	snprintf(p->warning, sizeof(p->warning), "%s", v->warning);
	return -EINPROGRESS;
}

static int attach(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;
	const char *uri = json_string_value(json_object_get(params, "uri"));
	const char *name = json_string_value(json_object_get(params, "name"));
	const json_t *depth = json_object_get(params, "queue_depth");
	struct config_volume v;
	int rc = name ? config_name_check(name, err) : 0;

	if (rc)
		return rc;
	if (!uri)
		return error_set(err, -EINVAL, "attach needs a URI such as nbd://192.0.2.1/export");
	rc = config_volume_from_uri(uri, &v, err);
	if (rc)
		return rc;
	if (name)
		snprintf(v.name, sizeof(v.name), "%s", name);
	if (json_is_integer(depth))
		v.queue_depth = (uint16_t)json_integer_value(depth); /* within its bounds: checked */
	if (takeover_has(d->takeover, v.name))
		return error_set(err, -EEXIST, "volume %s waits to be taken over; `sluice list` shows why", v.name);
	if (takeover_waits(d->takeover, v.name))
		return error_set(err, -EEXIST,
			"volume %s of the configuration waits to be attached; `sluice list` shows why", v.name);
	return attach_begin(d, pending_make(d, call, v.name), &v, FRONT_UBLK, ATTACH_MS_DEFAULT, err);
}

/*
 * The volume that @text means: its name, or the path of its block device. A path means that device
 * always, so nothing can be called like one. Out: 0 with *name, NULL if no volume here has that device;
 * -EINVAL: a partition, or no path of ublk's.
 */
static int volume_name_find(struct daemon_state *d, const char *text, const char **name, struct error *err)
{
	int id, partition;

	*name = text;
	if (text[0] != '/')
		return config_name_check(text, err);
	if (ublk_path_parse(text, &id, &partition))
		return error_set(err, -EINVAL,
			"%s is not a volume: give its name or its device, /dev/ublkbN; `sluice list` shows both",
			text);
	if (partition)
		return error_set(err, -EINVAL, "%s is a partition: give the whole device, /dev/ublkb%d", text, id);
	*name = engine_name_of_device(d->engine, id);
	if (!*name)
		*name = takeover_name_of_device(d->takeover, id);
	return 0;
}

/* @path is a device that no volume of this daemon has. */
static int orphan_drop(struct daemon_state *d, const char *path, bool is_forced, json_t **result,
	struct error *err)
{
	int id = -1, partition, rc;

	if (!is_forced)
		return error_set(err, -ENOENT, "no volume has the device %s; `sluice list` shows them", path);
	rc = ublk_path_parse(path, &id, &partition);
	if (!rc)
		rc = takeover_drop_device(d->takeover, id, err);
	if (rc)
		return rc;
	*result = json_object();
	return 0;
}

static int detach_begin(struct daemon_state *d, const char *name, bool is_forced, struct control_call *call,
	struct error *err)
{
	struct pending *p = pending_make(d, call, name);
	int rc;

	if (!p)
		return error_set(err, -ENOMEM, "out of memory");
	rc = engine_detach(d->engine, name, is_forced, pending_done, p, err);
	if (rc) {
		free(p);
		return rc;
	}
	return -EINPROGRESS;
}

static int detach(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;
	const char *text = json_string_value(json_object_get(params, "name")), *name;
	bool is_forced = json_is_true(json_object_get(params, "force"));
	int rc;

	if (!text)
		return error_set(err, -EINVAL, "detach needs a volume's name; `sluice list` shows them");
	rc = volume_name_find(d, text, &name, err);
	if (rc)
		return rc;
	if (!name)
		return orphan_drop(d, text, is_forced, result, err);
	if (takeover_has(d->takeover, name) && !is_forced)
		return error_set(err, -EBUSY,
			"volume %s is waiting for takeover with requests held; --force discards them", name);
	if (takeover_waits(d->takeover, name)) {
		takeover_forget(d->takeover, name);
		if (!engine_has(d->engine, name)) {
			*result = json_object();
			return 0;
		}
	}
	rc = is_forced && !engine_has(d->engine, name) ? takeover_drop(d->takeover, name, err) : -ENOENT;
	if (rc != -ENOENT) {
		*result = json_object();
		return rc;
	}
	return detach_begin(d, name, is_forced, call, err);
}

static int probe(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;
	const char *uri = json_string_value(json_object_get(params, "uri"));
	static unsigned serial;
	struct config_volume v;
	struct pending *p;
	int rc;

	if (!uri)
		return error_set(err, -EINVAL, "probe needs a URI such as nbd://192.0.2.1/export");
	rc = config_volume_from_uri(uri, &v, err);
	if (rc)
		return rc;
	snprintf(v.name, sizeof(v.name), "probe-%u", ++serial);
	p = pending_make(d, call, v.name);
	if (p)
		p->is_probe = true;
	return attach_begin(d, p, &v, FRONT_NONE, PROBE_MS, err);
}

/* ---- the rest ---- */

static int fault_starve(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;
	bool on = json_is_true(json_object_get(params, "on"));

	if (engine_starve(d->engine, on))
		return error_set(err, -ENOTSUP,
			"this build has no fault injection; configure it with -Dfault_injection=true");
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
	int rc = owner && count > 0 ? engine_fault_leak(d->engine, owner, (uint32_t)count) : -EINVAL;

	if (rc == -EAGAIN)
		return error_set(err, rc, "the command ring of the worker is full; try again");
	if (rc)
		return error_set(err, rc,
			"fault leak needs an owner `sluice reserve` shows, and a count, in a build with "
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

static int shutdown_daemon(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;

	d->is_keeping |= json_is_true(json_object_get(params, "keep"));
	d->is_ending = true;
	*result = json_object();
	return 0;
}

/* ---- what each takes ---- */

#define FAULT_COUNT_MAX 65536 /* mbufs to lose, refills to fail: more than any pool or ring has */

static const struct control_param stats_params[] = {{"format", CONTROL_TEXT, 0, 0}, {NULL, 0, 0, 0}},
	attach_params[] = {{"uri", CONTROL_TEXT, 0, 0}, {"name", CONTROL_TEXT, 0, 0},
		{"queue_depth", CONTROL_NUMBER, 1, QUEUE_DEPTH_MAX}, {NULL, 0, 0, 0}},
	detach_params[] = {{"name", CONTROL_TEXT, 0, 0}, {"force", CONTROL_FLAG, 0, 0}, {NULL, 0, 0, 0}},
	probe_params[] = {{"uri", CONTROL_TEXT, 0, 0}, {NULL, 0, 0, 0}},
	starve_params[] = {{"on", CONTROL_FLAG, 0, 0}, {NULL, 0, 0, 0}},
	level_params[] = {{"level", CONTROL_TEXT, 0, 0}, {NULL, 0, 0, 0}},
	leak_params[] = {{"owner", CONTROL_TEXT, 0, 0}, {"count", CONTROL_NUMBER, 1, FAULT_COUNT_MAX},
		{NULL, 0, 0, 0}},
	refill_params[] = {{"count", CONTROL_NUMBER, 1, FAULT_COUNT_MAX}, {NULL, 0, 0, 0}},
	shutdown_params[] = {{"keep", CONTROL_FLAG, 0, 0}, {NULL, 0, 0, 0}};

const struct control_method *methods_table(unsigned *count)
{
	static const struct control_method table[] = {
		{"status", status, NULL},
		{"list", list, NULL},
		{"stats", stats, stats_params},
		{"reserve", reserve, NULL},
		{"reserve.explain", reserve_explain, NULL},
		{"reserve.leaks", leaks, NULL},
		{"doctor", doctor, NULL},
		{"attach", attach, attach_params},
		{"detach", detach, detach_params},
		{"probe", probe, probe_params},
		{"fault.starve", fault_starve, starve_params},
		{"fault.level", fault_level, level_params},
		{"fault.leak", fault_leak, leak_params},
		{"fault.refill", fault_refill, refill_params},
		{"shutdown", shutdown_daemon, shutdown_params},
	};

	*count = sizeof(table) / sizeof(table[0]);
	return table;
}
