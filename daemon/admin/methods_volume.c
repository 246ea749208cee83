/*
 * methods_volume.c - the methods that make, keep and end volumes
 *
 * Attach, detach and probe take as long as a server takes: they are answered when the engine says
 * so, and until then the control thread goes on with others. `save` writes what was attached to a
 * file of its own (config_dir.c), after the attach has come to its end: what cannot be attached is
 * not kept. All run on the control thread; a save waits for the disk.
 */
#include "daemon/admin/methods_volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config/log.h"
#include "daemon/admin/methods.h"
#include "daemon/admin/report.h"
#include "daemon/engine/takeover.h"
#include "nbd_client/ublk/ublk.h"

#define ATTACH_MS_DEFAULT 30000
#define PROBE_MS	  15000

/* One call that waits for the engine. */
struct pending {
	struct daemon_state *daemon;
	struct control_call *call;
	bool is_probe, is_saved, is_unsaved;
	struct config_volume volume; /* is_saved: what is kept once it serves */
	char name[NAME_BYTES_MAX];
	char warning[sizeof(
		((struct config_volume *)NULL)->warning)]; /* of the URI; may be empty */
};

/* The volume serves, or is to be kept as it is. A failed
 * save is no failed attach: it is a warning. */
static void saved_note(struct daemon_state *d, const struct config_volume *volume, json_t *result)
{
	struct error err = {""};

	if (config_volume_save(d->cfg->volumes_dir, volume, &err) == 0) {
		json_object_set_new(result, "saved", json_true());
		config_volume_put(d->cfg, volume);
		return;
	}
	log_warn("volume %s: %s", volume->name, err.text);
	json_object_set_new(result, "warning", json_string(err.text));
}

static void unsaved_note(struct daemon_state *d, const char *name, json_t *result)
{
	struct error err = {""};
	int rc = config_volume_unsave(d->cfg->volumes_dir, name, &err);

	if (rc == 0) {
		config_volume_drop(d->cfg, name);
		json_object_set_new(result, "saved", json_false());
		return;
	}
	if (rc == -ENOENT)
		error_set(&err, rc,
			"volume %s was not saved by sluice; if the configuration file names it, "
			"remove it there",
			name);
	json_object_set_new(result, "warning", json_string(err.text));
}

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
	if (rc == 0 && p->is_saved)
		saved_note(p->daemon, &p->volume, result);
	if (rc == 0 && p->is_unsaved)
		unsaved_note(p->daemon, p->name, result);
	if (result && p->warning[0])
		json_object_set_new(result, "warning", json_string(p->warning));
	control_reply(p->call, rc, result, err);
	free(p);
}

static struct pending *pending_make(
	struct daemon_state *d, struct control_call *call, const char *name)
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

/* What an option is in the words of the file; the rules are those of the file. */
struct options {
	const json_t *params;
	char numbers[4][24]; /* each lives until all are read */
	unsigned number_count;
};

static const char *option_get(void *ctx, const char *key)
{
	struct options *o = ctx;
	const json_t *value = json_object_get(o->params, key);

	if (json_is_boolean(value))
		return json_is_true(value) ? "true" : "false";
	if (!json_is_integer(value) ||
		o->number_count == sizeof(o->numbers) / sizeof(o->numbers[0]))
		return json_string_value(value);
	snprintf(o->numbers[o->number_count], sizeof(o->numbers[0]), "%" JSON_INTEGER_FORMAT,
		json_integer_value(value));
	return o->numbers[o->number_count++];
}

static int volume_of_params(const json_t *params, struct config_volume *out, struct error *err)
{
	const json_t *list = json_object_get(params, "uris");
	const char *uris[VOLUME_URI_MAX + 1];
	struct options options = {.params = params};
	unsigned count = 0;
	size_t i;

	if (json_is_string(json_object_get(params, "uri")))
		uris[count++] = json_string_value(json_object_get(params, "uri"));
	for (i = 0; i < json_array_size(list); i++)
		uris[count++] = json_string_value(json_array_get(list, i));
	if (count == 0)
		return error_set(err, -EINVAL, "attach needs a URI such as nbd://192.0.2.1/export");
	return config_volume_from_options(uris, count, option_get, &options, out, err);
}

int methods_attach(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;
	struct config_volume v;
	struct pending *p;
	int rc = volume_of_params(params, &v, err);

	if (rc)
		return rc;
	if (takeover_has(d->takeover, v.name))
		return error_set(err, -EEXIST,
			"volume %s waits to be taken over; `sluice list` shows why", v.name);
	if (takeover_waits(d->takeover, v.name))
		return error_set(err, -EEXIST,
			"volume %s of the configuration waits to be attached; `sluice list` shows "
			"why",
			v.name);
	p = pending_make(d, call, v.name);
	if (p) {
		p->is_saved = json_is_true(json_object_get(params, "save"));
		p->volume = v;
	}
	return attach_begin(d, p, &v, FRONT_UBLK, ATTACH_MS_DEFAULT, err);
}

/*
 * The volume that @text means: its name, or the path of its block device. A path means that device
 * always, so nothing can be called like one. Out: 0 with *name, NULL if no volume here has that
 * device; -EINVAL: a partition, or no path of ublk's.
 */
static int volume_name_find(
	struct daemon_state *d, const char *text, const char **name, struct error *err)
{
	int id, partition;

	*name = text;
	if (text[0] != '/')
		return config_name_check(text, err);
	if (ublk_path_parse(text, &id, &partition))
		return error_set(err, -EINVAL,
			"%s is not a volume: give its name or its device, /dev/ublkbN; `sluice "
			"list` shows both",
			text);
	if (partition)
		return error_set(err, -EINVAL,
			"%s is a partition: give the whole device, /dev/ublkb%d", text, id);
	*name = engine_name_of_device(d->engine, id);
	if (!*name)
		*name = takeover_name_of_device(d->takeover, id);
	return 0;
}

/* @path is a device that no volume of this daemon has. */
static int orphan_drop(struct daemon_state *d, const char *path, bool is_forced, bool lose_swap,
	json_t **result, struct error *err)
{
	int id = -1, partition, rc;

	if (!is_forced)
		return error_set(err, -ENOENT,
			"no volume has the device %s; `sluice list` shows them", path);
	rc = ublk_path_parse(path, &id, &partition);
	if (!rc)
		rc = takeover_drop_device(d->takeover, id, lose_swap, err);
	if (rc)
		return rc;
	*result = json_object();
	return 0;
}

static int detach_begin(struct daemon_state *d, const char *name, enum engine_detach how,
	bool is_unsaved, struct control_call *call, struct error *err)
{
	struct pending *p = pending_make(d, call, name);
	int rc;

	if (!p)
		return error_set(err, -ENOMEM, "out of memory");
	p->is_unsaved = is_unsaved;
	rc = engine_detach(d->engine, name, how, pending_done, p, err);
	if (rc) {
		free(p);
		return rc;
	}
	return -EINPROGRESS;
}

/* The volume is gone already, if @rc is 0. */
static int detach_end(
	struct daemon_state *d, const char *name, bool is_unsaved, int rc, json_t **result)
{
	*result = json_object();
	if (rc == 0 && is_unsaved)
		unsaved_note(d, name, *result);
	return rc;
}

static enum engine_detach detach_how(const json_t *params)
{
	if (!json_is_true(json_object_get(params, "force")))
		return ENGINE_DETACH_UNUSED;
	return json_is_true(json_object_get(params, "lose_swap")) ? ENGINE_DETACH_LOSE_SWAP
								  : ENGINE_DETACH_FORCE;
}

int methods_detach(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;
	const char *text = json_string_value(json_object_get(params, "name")), *name;
	char name_kept[NAME_BYTES_MAX]; /* @name may lie in what is forgotten */
	bool is_forced = json_is_true(json_object_get(params, "force"));
	bool lose_swap = json_is_true(json_object_get(params, "lose_swap"));
	bool is_unsaved = json_is_true(json_object_get(params, "save"));
	int rc;

	if (!text)
		return error_set(
			err, -EINVAL, "detach needs a volume's name; `sluice list` shows them");
	rc = volume_name_find(d, text, &name, err);
	if (rc)
		return rc;
	if (!name)
		return orphan_drop(d, text, is_forced, lose_swap, result, err);
	snprintf(name_kept, sizeof(name_kept), "%s", name);
	if (takeover_has(d->takeover, name) && !is_forced)
		return error_set(err, -EBUSY,
			"volume %s is waiting for takeover with requests held; --force discards "
			"them",
			name);
	if (takeover_waits(d->takeover, name)) {
		takeover_forget(d->takeover, name);
		if (!engine_has(d->engine, name))
			return detach_end(d, name_kept, is_unsaved, 0, result);
	}
	rc = -ENOENT;
	if (is_forced && !engine_has(d->engine, name))
		rc = takeover_drop(d->takeover, name, lose_swap, err);
	if (rc != -ENOENT)
		return detach_end(d, name_kept, is_unsaved, rc, result);
	return detach_begin(d, name, detach_how(params), is_unsaved, call, err);
}

/* Writes @name, or NULL, every volume that is in no file. */
int methods_save(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err)
{
	struct daemon_state *d = ctx;
	const char *only = json_string_value(json_object_get(params, "name")), *name;
	const struct config_volume *volume;
	json_t *saved = json_array();
	int rc = 0;

	if (only && !engine_config(d->engine, only))
		rc = error_set(
			err, -ENOENT, "there is no volume %s; `sluice list` shows them", only);
	for (unsigned i = 0; rc == 0 && (name = engine_name_at(d->engine, i)); i++) {
		volume = engine_config(d->engine, name);
		if (only ? strcmp(name, only) != 0 : config_volume_find(d->cfg, name) != NULL)
			continue;
		rc = config_volume_save(d->cfg->volumes_dir, volume, err);
		if (rc)
			continue;
		config_volume_put(d->cfg, volume);
		json_array_append_new(saved, json_string(name));
	}
	*result = json_pack("{s:o}", "saved", saved);
	return rc;
}

int methods_probe(void *ctx, const json_t *params, struct control_call *call, json_t **result,
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
