/*
 * takeover.c - the devices an earlier daemon left, and the volumes the file names
 *
 * A daemon that was killed, or ended while its devices were in use, leaves them in the kernel with
 * their requests held, and a file for each in the run directory. Each is served again: connect to
 * where it was served from, see that the export is the same, put our queue in the place of the
 * dead one. Devices made by `sluice attach` come back like those the configuration names.
 *
 * No program above the device sees an error, however long it takes: a server that is away is tried
 * again, with a pause that grows to RETRY_US_MAX. What cannot be taken over (another size, another
 * daemon's) stays as it is, is shown in `status` with the reason, and `sluice detach --force`
 * gives it up, because only a person may decide that.
 *
 * A volume of the file whose server is not there yet waits here too, in the same way but for the
 * longer pauses: after a power cut the machines of a site do not come back in order.
 *
 * Where the file names a volume of that name it decides how the volume is served, as long as it
 * still means the same export; otherwise the device keeps what it had, with a warning: editing a
 * file must not change the disk below a mounted file system.
 *
 * Control thread. Always: an item is here until its device is served, gone or given up. Each name
 * is here once.
 */
#include "daemon/engine/takeover.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config/log.h"
#include "nbd_client/ublk/ublk.h"
#include "nbd_client/ublk/ublk_state.h"

#define ATTACH_MS    30000
#define RETRY_US_MIN 1000000u
#define RETRY_US_MAX 10000000u
#define WAIT_US_MAX  60000000u /* no requests are held during it */
/* A predecessor that has released the lock is gone from the kernel by then. */
#define FOREIGN_US 5000000u
#define DEVICE_MAX 256
#define ITEM_MAX   (2 * VOLUME_MAX) /* all an earlier daemon left, all the file names */

struct item {
	struct takeover *owner;
	struct ublk_state state; /* its volume is how it will be served */
	bool is_used, is_attaching;
	bool is_new; /* the file names it, and there is no device of it yet: state.dev_id is -1 */
	bool is_given_up; /* while attaching: what comes of it is the engine's business */
	uint64_t retry_us;
	uint32_t pause_us;
	int foreign_pid;     /* it serves the device … */
	uint64_t foreign_us; /* … since then at least; 0: no process does */
	struct error error;
};

struct takeover {
	const struct config *cfg;
	struct engine *engine;
	struct item items[ITEM_MAX];
};

static const struct config_volume *configured(const struct config *cfg, const char *name)
{
	unsigned i;

	for (i = 0; i < cfg->volume_count; i++)
		if (strcmp(cfg->volumes[i].name, name) == 0)
			return &cfg->volumes[i];
	return NULL;
}

/* ---- one device ---- */

static struct item *item_named(struct takeover *t, const char *name)
{
	unsigned i;

	for (i = 0; i < ITEM_MAX; i++)
		if (t->items[i].is_used && strcmp(t->items[i].state.volume.name, name) == 0)
			return &t->items[i];
	return NULL;
}

static bool shares_uri(const struct config_volume *a, const struct config_volume *b)
{
	unsigned i, k;

	for (i = 0; i < a->uri_count; i++)
		for (k = 0; k < b->uri_count; k++)
			if (strcmp(a->uris[i], b->uris[k]) == 0)
				return true;
	return false;
}

/* How the device will be served: as the file says, within what the device is. */
static void volume_choose(const struct config *cfg, struct ublk_state *s)
{
	const struct config_volume *file = configured(cfg, s->volume.name);
	struct config_volume was = s->volume;

	if (!file)
		return;
	if (!shares_uri(file, &was)) {
		log_warn("volume %s: the configuration now has %s, /dev/ublkb%d serves %s and goes "
			 "on with it; detach it to change that",
			was.name, file->uris[0], s->dev_id, was.uris[0]);
		return;
	}
	s->volume = *file;
	s->volume.queue_depth = was.queue_depth;
	s->volume.io_bytes_max = was.io_bytes_max;
	s->volume.copy = was.copy;
	s->volume.read_only = was.read_only;
}

/* The device is served, gone or given up. */
static void item_end(struct item *it)
{
	memset(it, 0, sizeof(*it));
}

static void item_wait(struct item *it, const struct error *why)
{
	uint32_t us_max = it->is_new ? WAIT_US_MAX : RETRY_US_MAX;

	it->is_attaching = false;
	it->retry_us = engine_now_us(it->owner->engine) + it->pause_us;
	it->pause_us = it->pause_us * 2 < us_max ? it->pause_us * 2 : us_max;
	if (strcmp(it->error.text, why->text) != 0 && it->is_new)
		log_warn("volume %s: not attached yet, and tried again until it is: %s",
			it->state.volume.name, why->text);
	else if (strcmp(it->error.text, why->text) != 0)
		log_error("volume %s: /dev/ublkb%d cannot be taken over yet, its requests wait: %s",
			it->state.volume.name, it->state.dev_id, why->text);
	it->error = *why;
}

static void taken(void *arg, int rc, const char *device, const struct error *err)
{
	struct item *it = arg;

	(void)device;
	if (rc == 0 || it->is_given_up)
		item_end(it);
	else
		item_wait(it, err);
}

static void item_attach(struct item *it)
{
	const struct engine_attach how = {.volume = &it->state.volume,
		.front = FRONT_UBLK,
		.recover = it->is_new ? NULL : &it->state,
		.deadline_ms = ATTACH_MS,
		.done = taken,
		.arg = it};
	struct error err = {""};

	it->is_attaching = true;
	if (engine_attach(it->owner->engine, &how, &err))
		item_wait(it, &err);
}

static void attach_new(struct takeover *t, const struct config_volume *volume)
{
	unsigned i;

	for (i = 0; t->items[i].is_used; i++)
		assert(i + 1 < ITEM_MAX);
	t->items[i] = (struct item){.owner = t,
		.is_used = true,
		.is_new = true,
		.pause_us = RETRY_US_MIN,
		.state.dev_id = -1};
	t->items[i].state.volume = *volume;
	item_attach(&t->items[i]);
}

int takeover_attach(struct takeover *t, const struct config_volume *volume)
{
	unsigned i;

	if (item_named(t, volume->name) || engine_has(t->engine, volume->name))
		return -EEXIST;
	for (i = 0; i < ITEM_MAX && t->items[i].is_used; i++)
		;
	if (i == ITEM_MAX)
		return -ENOSPC;
	attach_new(t, volume);
	return 0;
}

/* The device is no more: what the file names is attached like any other. */
static void item_gone(struct item *it, bool is_in_kernel)
{
	const struct config_volume *file = configured(it->owner->cfg, it->state.volume.name);
	struct takeover *t = it->owner;
	int id = it->state.dev_id;

	if (is_in_kernel)
		ublk_delete(id, NULL);
	ublk_state_remove(t->cfg->run_dir, id);
	log_info(
		"volume %s: /dev/ublkb%d is gone: nothing to take over", it->state.volume.name, id);
	item_end(it);
	if (file)
		attach_new(t, file);
}

/*
 * We hold the run directory's lock, so the daemon that wrote the state file has ended or is about
 * to. A process that goes on serving the device is another program that got the number after ours
 * was deleted.
 */
static bool is_foreign(struct item *it, const struct ublk_look *look)
{
	uint64_t now_us = engine_now_us(it->owner->engine);

	if (!look->is_served)
		it->foreign_us = 0;
	else if (it->foreign_us == 0 || it->foreign_pid != look->pid)
		it->foreign_us = now_us;
	it->foreign_pid = look->pid;
	return it->foreign_us && now_us - it->foreign_us >= FOREIGN_US;
}

/* The number is another program's: the state file means nothing any more, and the device is left
 * alone. */
static void item_foreign(struct item *it, int pid)
{
	const struct config_volume *file = configured(it->owner->cfg, it->state.volume.name);
	struct takeover *t = it->owner;

	log_warn("volume %s: /dev/ublkb%d belongs to process %d now, so there is nothing to take "
		 "over%s",
		it->state.volume.name, it->state.dev_id, pid,
		file ? "; attaching the volume anew" : "");
	ublk_state_remove(t->cfg->run_dir, it->state.dev_id);
	item_end(it);
	if (file)
		attach_new(t, file);
}

static void item_try(struct item *it)
{
	struct ublk_look look;
	struct error err = {""};
	int rc;

	if (it->is_new) {
		item_attach(it);
		return;
	}
	rc = ublk_look(it->state.dev_id, &look, &err);
	if (rc == -ENODEV || (rc == 0 && !look.is_started)) {
		item_gone(it, rc == 0);
		return;
	}
	if (rc == 0 && is_foreign(it, &look)) {
		item_foreign(it, look.pid);
		return;
	}
	if (rc == 0 && look.is_served)
		rc = error_set(&err, -EBUSY, "process %d serves it: stop it first", look.pid);
	if (rc)
		item_wait(it, &err);
	else
		item_attach(it);
}

void takeover_poll(struct takeover *t)
{
	uint64_t now_us = engine_now_us(t->engine);
	unsigned i;

	for (i = 0; i < ITEM_MAX; i++)
		if (t->items[i].is_used && !t->items[i].is_attaching &&
			t->items[i].retry_us <= now_us)
			item_try(&t->items[i]);
}

/* ---- start and end ---- */

static void states_read(struct takeover *t)
{
	int ids[VOLUME_MAX], count = ublk_state_list(t->cfg->run_dir, ids, VOLUME_MAX), i, rc;
	struct error err = {""};

	for (i = 0; i < count; i++) {
		struct item *it = &t->items[i];

		rc = ublk_state_read(t->cfg->run_dir, ids[i], &it->state, &err);
		if (rc == -ESTALE)
			ublk_state_remove(t->cfg->run_dir, ids[i]);
		if (rc && rc != -ESTALE)
			log_error("%s", err.text);
		if (rc)
			continue;
		it->owner = t;
		it->is_used = true;
		it->pause_us = RETRY_US_MIN;
		volume_choose(t->cfg, &it->state);
	}
}

struct takeover *takeover_create(const struct config *cfg, struct engine *e)
{
	struct takeover *t = calloc(1, sizeof(*t));
	unsigned i;

	if (!t)
		return NULL;
	t->cfg = cfg;
	t->engine = e;
	states_read(t);
	takeover_poll(t);
	for (i = 0; i < cfg->volume_count; i++)
		if (!item_named(t, cfg->volumes[i].name) && !engine_has(e, cfg->volumes[i].name))
			attach_new(t, &cfg->volumes[i]);
	return t;
}

void takeover_destroy(struct takeover *t)
{
	free(t);
}

bool takeover_has(struct takeover *t, const char *name)
{
	const struct item *it = item_named(t, name);

	return it && !it->is_new;
}

const char *takeover_name_of_device(const struct takeover *t, int dev_id)
{
	unsigned i;

	for (i = 0; i < ITEM_MAX; i++)
		if (t->items[i].is_used && !t->items[i].is_new &&
			t->items[i].state.dev_id == dev_id)
			return t->items[i].state.volume.name;
	return NULL;
}

/* ---- giving up ---- */

bool takeover_waits(struct takeover *t, const char *name)
{
	const struct item *it = item_named(t, name);

	return it && it->is_new;
}

void takeover_forget(struct takeover *t, const char *name)
{
	struct item *it = item_named(t, name);

	assert(it && it->is_new);
	if (it->is_attaching)
		it->is_given_up = true;
	else
		item_end(it);
}

int takeover_drop_device(struct takeover *t, int dev_id, bool lose_swap, struct error *err)
{
	int rc = lose_swap ? 0 : ublk_swap_check(dev_id, err);

	if (!rc)
		rc = ublk_delete(dev_id, err);
	if (rc && rc != -ENODEV)
		return rc;
	ublk_state_remove(t->cfg->run_dir, dev_id);
	log_warn("/dev/ublkb%d is deleted by force: requests it held have failed", dev_id);
	return 0;
}

int takeover_drop(struct takeover *t, const char *name, bool lose_swap, struct error *err)
{
	struct item *it = item_named(t, name);
	int rc;

	if (!it || it->is_new)
		return -ENOENT;
	if (it->is_attaching)
		return error_set(
			err, -EBUSY, "volume %s is being taken over: try again in a moment", name);
	rc = takeover_drop_device(t, it->state.dev_id, lose_swap, err);
	if (rc == 0)
		item_end(it);
	return rc;
}

/* ---- facts ---- */

bool takeover_next(const struct takeover *t, unsigned *at, struct takeover_item *out)
{
	while (*at < ITEM_MAX) {
		const struct item *it = &t->items[(*at)++];

		if (!it->is_used || it->is_attaching)
			continue;
		*out = (struct takeover_item){
			.name = it->state.volume.name,
			.uri = it->state.volume.uris[0],
			.dev_id = it->is_new ? -1 : it->state.dev_id,
			.limits = &it->state.limits,
			.error = it->error.text,
		};
		return true;
	}
	return false;
}

static bool is_known(const struct takeover *t, int id)
{
	for (unsigned i = 0; i < ITEM_MAX; i++)
		if (t->items[i].is_used && t->items[i].state.dev_id == id)
			return true;
	return false;
}

unsigned takeover_orphans(const struct takeover *t, int *out, unsigned max)
{
	int ids[DEVICE_MAX], count = ublk_devices(ids, DEVICE_MAX);
	struct ublk_look look;
	unsigned n = 0;

	for (int i = 0; i < count && n < max; i++)
		if (!is_known(t, ids[i]) && ublk_look(ids[i], &look, NULL) == 0 && !look.is_served)
			out[n++] = ids[i];
	return n;
}
