/*
 * fake_daemon.c - a sluiced with no datapath: the product's control socket over canned facts
 *
 * `sluice` is tested against it where no NIC, no DPDK and no root are to be had. It answers in the
 * real daemon's shapes, remembers what was attached, and says "ready" on stdout once it listens.
 * Some exports' names steer it: "late" becomes ready a few turns later, "refuse" never does, and
 * "evil" has a server that writes to the terminal.
 *
 *     fake_daemon SOCKET [old]     old: answers as a daemon that lacks most fields
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include "config/limits.h"
#include "daemon/admin/control.h"
#include "daemon/admin/registry.h"

#define TURN_MS	   20
#define LATE_TURNS 5

struct fake {
	struct control *control;
	struct registry *registry;
	json_t *volumes;
	struct control_call *late;
	unsigned late_turns;
	char late_uri[256];
	bool is_old, is_starved, is_ending;
};

static const struct registry_item net_items[] = {
	{"rx_packets", "Packets received", REGISTRY_COUNTER},
	{"conns", "Connections there are", REGISTRY_GAUGE},
};
static const struct registry_family net_family = {"net", "worker", net_items, 2};

static void net_read(const void *ctx, uint64_t *values)
{
	values[0] = 1234567;
	values[1] = 2;
}

static json_t *canned(const char *text)
{
	json_error_t why;
	json_t *json = json_loads(text, 0, &why);

	if (!json) {
		fprintf(stderr, "fake_daemon: %s in %s\n", why.text, text);
		abort();
	}
	return json;
}

static const char ports_text[] =
	"[{\"name\":\"p0\",\"device\":\"0000:00:03.0\",\"driver\":\"net_e1000_em\",\"mac\":"
	"\"02:00:00:00:00:01\",\"mtu\":1500,\"link\":\"up\",\"addresses\":[\"10.0.0.2/24\","
	"\"fd00::2/64\"],\"workers\":1,\"level\":\"green\",\"depth_pct\":0,\"rx_packets\":1234567,"
	"\"tx_packets\":7654321}]";

static const char pools_text[] =
	"[{\"pool\":\"p0q0\",\"total\":2048,\"floor\":515,\"free\":1792,\"low_water\":1500,"
	"\"dips\":0,\"refused\":3,\"refused_refills\":0,\"ring_debt\":0,\"level\":\"green\","
	"\"depth_pct\":0,\"starved\":false,\"owners\":["
	"{\"owner\":\"port\",\"id\":9,\"parent\":-1,\"limit\":0,\"used\":256,\"peak\":300,"
	"\"refused\":0,\"mib\":0.5},"
	"{\"owner\":\"ring\",\"id\":0,\"parent\":9,\"limit\":256,\"used\":256,\"peak\":256,"
	"\"refused\":3,\"mib\":0.5}]}]";

static const char explain_text[] =
	"[{\"pool\":\"p0q0\",\"terms\":[{\"term\":\"RX ring\",\"mbufs\":256},{\"term\":"
	"\"unclassified\",\"mbufs\":32},{\"term\":\"essential\",\"mbufs\":124}],\"subtotal\":412,"
	"\"sum\":515,\"safety\":1.25,\"floor\":515,\"total\":2048,\"normal\":1533,\"mib\":4.5}]";

static const char leaks_text[] =
	"[{\"pool\":\"p0q0\",\"owner\":\"hold\",\"count\":7,\"oldest_us\":2500000,"
	"\"ages\":[1,1,1,1,3,0,0,0]}]";

static const char doctor_text[] =
	"[{\"what\":\"device\",\"good\":true,\"required\":true,\"text\":\"it is there\",\"remedy\":"
	"\"\"},{\"what\":\"ublk\",\"good\":false,\"required\":true,\"text\":\"not loaded\","
	"\"remedy\":\"modprobe ublk_drv\"}]";

static const char probe_text[] =
	"{\"uri\":\"nbd://10.0.0.9/disk\",\"size_bytes\":10737418240,\"block_min\":512,"
	"\"read_only\":false,\"can_trim\":true}";

/* ---- methods ---- */

static int status(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct fake *f = ctx;

	if (f->is_old)
		*result = canned("{\"pid\":1}");
	else
		*result = json_pack("{s:s s:i s:I s:{s:s s:s} s:{s:s s:i} s:o s:o s:O s:i}",
			"version", "9.9", "pid", 4242, "uptime_s", (json_int_t)3725, "guarantee",
			"level", "partial", "why", "no hugepages", "kernel_memory", "state",
			"short", "shortages", 1, "ports", canned(ports_text), "reserve",
			canned(pools_text), "volumes", f->volumes, "protected_drops", 0);
	return 0;
}

static int list(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	*result = json_deep_copy(((struct fake *)ctx)->volumes);
	return 0;
}

static int stats(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct fake *f = ctx;
	char *text;

	if (!json_object_get(params, "format")) {
		*result = registry_json(f->registry);
		return 0;
	}
	text = registry_openmetrics(f->registry);
	*result = json_pack("{s:s}", "openmetrics", text);
	free(text);
	return 0;
}

static int reserve(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	*result = canned(((struct fake *)ctx)->is_old ? "[{}]" : pools_text);
	return 0;
}

static int explain(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	*result = canned(((struct fake *)ctx)->is_old ? "[{}]" : explain_text);
	return 0;
}

static int leaks(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	*result = canned(((struct fake *)ctx)->is_old ? "[{}]" : leaks_text);
	return 0;
}

static int doctor(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	*result = canned(doctor_text);
	return 0;
}

static int probe(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	*result = canned(probe_text);
	return 0;
}

/* The new volume's answer: a name from the export's, a device by its place. */
static json_t *volume_add(struct fake *f, const char *uri, const char *name)
{
	const char *slash = strrchr(uri, '/');
	bool is_evil = strstr(uri, "/evil");
	char device[32];

	name = name ? name : slash + 1;
	snprintf(device, sizeof(device), "/dev/ublkb%zu", json_array_size(f->volumes));
	json_array_append_new(
		f->volumes, json_pack("{s:s s:s s:s s:s s:I s:i s:i s:i s:s s:s s:s}", "name", name,
				    "device", device, "state", "ready", "server",
				    is_evil ? "\x1b[2Jevil\r\n" : "10.0.0.9:10809", "size_bytes",
				    (json_int_t)10 << 30, "block_size", 4096, "connections", 1,
				    "in_flight", 0, "scheduler", "none", "error",
				    is_evil ? "bad\x1b]0;magic" : "", "degraded", ""));
	return json_pack("{s:s s:s}", "name", name, "device", device);
}

static int attach(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	const char *uri = json_string_value(json_object_get(params, "uri"));
	const char *name = json_string_value(json_object_get(params, "name"));
	struct fake *f = ctx;

	if (!uri || !strchr(uri, '/'))
		return error_set(err, -EINVAL, "that is not an NBD URI; write nbd://HOST/EXPORT");
	if (strstr(uri, "/refuse"))
		return error_set(err, -ECONNREFUSED, "10.0.0.9:10809 refused the connection");
	if (!strstr(uri, "/late")) {
		*result = volume_add(f, uri, name);
		return 0;
	}
	f->late = call;
	f->late_turns = LATE_TURNS;
	snprintf(f->late_uri, sizeof(f->late_uri), "%s", uri);
	return -EINPROGRESS;
}

static int detach(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	const char *name = json_string_value(json_object_get(params, "name"));
	struct fake *f = ctx;

	for (size_t i = 0; name && i < json_array_size(f->volumes); i++) {
		const json_t *volume = json_array_get(f->volumes, i);

		if (strcmp(json_string_value(json_object_get(volume, "name")), name) != 0)
			continue;
		if (strcmp(name, "mounted") == 0 && !json_is_true(json_object_get(params, "force")))
			return error_set(err, -EBUSY, "mounted is in use; unmount it, or --force");
		json_array_remove(f->volumes, i);
		*result = json_object();
		return 0;
	}
	return error_set(err, -ENOENT, "there is no volume %s", name ? name : "without a name");
}

static int starve(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct fake *f = ctx;

	f->is_starved = json_is_true(json_object_get(params, "on"));
	*result = json_pack("{s:b}", "starved", f->is_starved);
	return 0;
}

static int end(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	((struct fake *)ctx)->is_ending = true;
	*result = json_object();
	return 0;
}

#define TEXT(name) {name, CONTROL_TEXT, 0, 0}
#define FLAG(name) {name, CONTROL_FLAG, 0, 0}
#define LAST	   {NULL, 0, 0, 0}

static const struct control_param stats_params[] = {TEXT("format"), LAST},
				  uri_params[] = {TEXT("uri"), LAST},
				  attach_params[] = {TEXT("uri"), TEXT("name"), LAST},
				  detach_params[] = {TEXT("name"), FLAG("force"), LAST},
				  starve_params[] = {FLAG("on"), LAST},
				  end_params[] = {FLAG("keep"), LAST};

static const struct control_method methods[] = {{"status", status, NULL}, {"list", list, NULL},
	{"stats", stats, stats_params}, {"reserve", reserve, NULL},
	{"reserve.explain", explain, NULL}, {"reserve.leaks", leaks, NULL},
	{"doctor", doctor, NULL}, {"probe", probe, uri_params}, {"attach", attach, attach_params},
	{"detach", detach, detach_params}, {"fault.starve", starve, starve_params},
	{"shutdown", end, end_params}};

static void turn(struct fake *f)
{
	control_poll(f->control, TURN_MS);
	if (!f->late || f->late_turns-- > 0)
		return;
	control_reply(f->late, 0, volume_add(f, f->late_uri, NULL), NULL);
	f->late = NULL;
}

int main(int argc, char **argv)
{
	struct fake f = {.is_old = argc > 2, .volumes = json_array()};
	struct error err;

	if (argc < 2)
		return 2;
	/* Whoever tests the client ends; so does this, whatever became of the test. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	f.registry = registry_create();
	if (!f.registry || registry_add(f.registry, &net_family, "0", net_read, NULL))
		return 1;
	f.control = control_create(argv[1], methods, sizeof(methods) / sizeof(*methods), &f, &err);
	if (!f.control) {
		fprintf(stderr, "fake_daemon: %s\n", err.text);
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (!f.is_ending)
		turn(&f);
	control_poll(f.control, 0);
	control_destroy(f.control);
	registry_destroy(f.registry);
	json_decref(f.volumes);
	return 0;
}
