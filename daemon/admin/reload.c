/*
 * reload.c - the configuration read again while the daemon runs
 *
 * SIGHUP and `sluice reload` come here. The file is loaded as at the start, so a mistake is found
 * before anything changes. Then, in this order: log level and volumes_dir; protect rules; volumes.
 * A volume that left the file is detached, one that came is attached, one that changed is both, in
 * turn. A device in use is not touched: its volume is named as busy, keeps what it has, and is
 * tried again by the next reload. A volume that `sluice attach` made belongs to no file and is left
 * alone.
 *
 * Ports, reserve and memory were sized at the start: a change there is named, and is in force after
 * a restart. d->cfg keeps their old values, because the engine lives by them.
 *
 * Control thread. What a detach needs after reload() returned has memory of its own (struct
 * change).
 */
#include "daemon/admin/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "config/log.h"
#include "daemon/admin/methods.h"
#include "daemon/engine/takeover.h"

/* One detach in progress, and what is attached in its place. */
struct change {
	struct daemon_state *daemon;
	bool has_next;
	struct config_volume next, was;
	char name[NAME_BYTES_MAX];
};

static void list_add(json_t *result, const char *key, const char *name)
{
	json_array_append_new(json_object_get(result, key), json_string(name));
}

static void busy_add(json_t *result, const char *name, const char *why)
{
	json_array_append_new(
		json_object_get(result, "busy"), json_pack("{s:s s:s}", "name", name, "why", why));
	log_warn("reload: volume %s stays as it is: %s", name, why);
}

/* ---- volumes ---- */

static void detached(void *arg, int rc, const char *device, const struct error *err)
{
	struct change *c = arg;

	(void)device;
	/* Only a closer look than reload()'s found a user: the next reload compares with that. */
	if (rc == -EBUSY) {
		config_volume_put(c->daemon->cfg, &c->was);
		log_warn("reload: volume %s stays as it is: %s", c->name, err->text);
	} else if (rc)
		log_warn("reload: volume %s: %s", c->name, err->text);
	else if (c->has_next && !c->daemon->is_ending &&
		 takeover_attach(c->daemon->takeover, &c->next))
		log_warn("reload: volume %s cannot be attached again yet; reload once more",
			c->name);
	free(c);
}

/* Takes @was away and, unless @next is NULL, attaches that. False: it is busy, and said so. */
static bool volume_end(struct daemon_state *d, const struct config_volume *was,
	const struct config_volume *next, json_t *result)
{
	struct error err = {""};
	struct change *c;

	if (takeover_has(d->takeover, was->name)) {
		busy_add(result, was->name, "its device waits for takeover, with requests held");
		return false;
	}
	if (takeover_waits(d->takeover, was->name) && engine_has(d->engine, was->name)) {
		busy_add(
			result, was->name, "it is being attached at this moment; reload once more");
		return false;
	}
	if (takeover_waits(d->takeover, was->name))
		takeover_forget(d->takeover, was->name);
	if (!engine_has(d->engine, was->name))
		return !next || takeover_attach(d->takeover, next) == 0;
	c = calloc(1, sizeof(*c));
	if (!c) {
		busy_add(result, was->name, "out of memory");
		return false;
	}
	c->daemon = d;
	c->has_next = next;
	c->was = *was;
	if (next)
		c->next = *next;
	snprintf(c->name, sizeof(c->name), "%s", was->name);
	if (engine_detach(d->engine, was->name, ENGINE_DETACH_UNUSED, detached, c, &err)) {
		busy_add(result, was->name, err.text);
		free(c);
		return false;
	}
	return true;
}

/* Volumes of the file that left it or changed. @keep gets back those that are busy. */
static void volumes_end(
	struct daemon_state *d, const struct config *now, struct config *keep, json_t *result)
{
	for (unsigned i = 0; i < d->cfg->volume_count; i++) {
		const struct config_volume *was = &d->cfg->volumes[i],
					   *next = config_volume_find(now, was->name);

		if (next && memcmp(next, was, sizeof(*was)) == 0)
			continue;
		if (volume_end(d, was, next, result))
			list_add(result, next ? "changed" : "removed", was->name);
		else
			config_volume_put(keep, was); /* the next reload compares with that */
	}
}

/* Volumes of the file that are not there, new ones and such as were detached by hand. */
static void volumes_begin(struct daemon_state *d, const struct config *now, json_t *result)
{
	for (unsigned i = 0; i < now->volume_count; i++) {
		const struct config_volume *v = &now->volumes[i];

		if (engine_has(d->engine, v->name) || takeover_has(d->takeover, v->name) ||
			takeover_waits(d->takeover, v->name))
			continue;
		if (takeover_attach(d->takeover, v) == 0)
			list_add(result, "added", v->name);
		else
			busy_add(result, v->name, "too many volumes wait");
	}
}

/* ---- the rest ---- */

/* What is sized or opened at the start, by the names of its keys. */
static void restart_find(const struct config *was, const struct config *now, json_t *result)
{
	const struct {
		const char *key;
		bool is_changed;
	} keys[] = {
		{"ports", was->port_count != now->port_count ||
				  memcmp(was->ports, now->ports, sizeof(was->ports)) != 0},
		{"reserve", memcmp(&was->reserve, &now->reserve, sizeof(was->reserve)) != 0},
		{"memory", was->memory_mib != now->memory_mib},
		{"hugepages", was->use_hugepages != now->use_hugepages ||
				      was->is_hugepages_given != now->is_hugepages_given},
		{"run_dir", strcmp(was->run_dir, now->run_dir) != 0},
		{"socket", strcmp(was->socket, now->socket) != 0},
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (!keys[i].is_changed)
			continue;
		list_add(result, "restart", keys[i].key);
		log_warn("reload: %s: has changed and takes effect after a restart", keys[i].key);
	}
}

static void live_apply(struct daemon_state *d, const struct config *now, json_t *result)
{
	if (d->cfg->log_level != now->log_level)
		json_object_set_new(result, "log_level", json_true());
	log_level_set(now->log_level);
	d->cfg->log_level = now->log_level;
	memcpy(d->cfg->volumes_dir, now->volumes_dir, sizeof(now->volumes_dir));
	if (d->cfg->protect_count == now->protect_count &&
		memcmp(d->cfg->protect, now->protect, sizeof(now->protect)) == 0)
		return;
	if (engine_protect_set(d->engine, now)) {
		log_warn("reload: workers have not applied the rules of the previous reload yet; "
			 "reload once more");
		list_add(result, "restart", "protect");
		return;
	}
	json_object_set_new(result, "protect", json_true());
	d->cfg->protect_count = now->protect_count;
	memcpy(d->cfg->protect, now->protect, sizeof(now->protect));
}

int reload(struct daemon_state *d, json_t **result, struct error *err)
{
	struct config *now = calloc(2, sizeof(*now)), *keep = now ? now + 1 : NULL;
	int rc;

	if (!now)
		return error_set(err, -ENOMEM, "out of memory");
	rc = d->config_path ? config_load(d->config_path, now, err)
			    : error_set(err, -ENOTSUP,
				      "this daemon was started without a configuration file");
	if (rc) {
		log_error("reload: nothing is changed: %s", err->text);
		free(now);
		return rc;
	}
	*result = json_pack("{s:[] s:[] s:[] s:[] s:[] s:b s:b}", "added", "removed", "changed",
		"busy", "restart", "log_level", 0, "protect", 0);
	restart_find(d->cfg, now, *result);
	live_apply(d, now, *result);
	*keep = *now;
	volumes_end(d, now, keep, *result);
	volumes_begin(d, now, *result);
	memcpy(d->cfg->volumes, keep->volumes, sizeof(keep->volumes));
	d->cfg->volume_count = keep->volume_count;
	log_info("reload: %s: %zu volume(s) added, %zu removed, %zu changed, %zu busy",
		d->config_path, json_array_size(json_object_get(*result, "added")),
		json_array_size(json_object_get(*result, "removed")),
		json_array_size(json_object_get(*result, "changed")),
		json_array_size(json_object_get(*result, "busy")));
	free(now);
	return 0;
}
