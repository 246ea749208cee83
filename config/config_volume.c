/*
 * config_volume.c - the volumes: section, and a volume from a bare URI
 *
 * A volume is one export of one or several servers, and how hard to try for it. The URI is checked
 * by the parser that everything else uses (nbd_uri.c), so what is read here can be attached.
 *
 * A volume without a name is called after its export, because that is what a person would call it;
 * if the export has no usable name, or the name is taken, it becomes volN.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "config/config_item.h"
#include "config/config_section.h"
#include "config/log.h"
#include "config/nbd_uri.h"

#define IO_BYTES_MIN	   (64u << 10)
#define IO_BYTES_STEP	   4096 /* a tag's buffer begins on a page */
#define DEAD_FAIL_MS	   30000
#define DEAD_FAIL_MS_MIN   1000
#define REQUEST_MS_MIN	   100
#define DEAD_PEER_MS	   15000
#define CONNECT_MS_DEFAULT 10000
#define DAY_MS		   (24u * 3600 * 1000)

static const char *const on_dead_words[] = {[ON_DEAD_HOLD] = "hold", [ON_DEAD_FAIL] = "fail", NULL};
static const char *const unstable_words[] = {
	[UNSTABLE_TRUST] = "trust", [UNSTABLE_THROUGH] = "through", NULL};
static const char *const copy_words[] = {
	[COPY_AUTO] = "auto", [COPY_DEFAULT] = "default", [COPY_USER] = "user", NULL};
static const char *const cc_words[] = {"cubic", "newreno", "dctcp", NULL};

#define VOLUME_ITEM(raw_member, out_member, ...)                                                   \
	ITEM(struct raw_volume, struct config_volume, raw_member, out_member, __VA_ARGS__)

static const struct item volume_items[] = {
	VOLUME_ITEM(connections, connections, ITEM_COUNT, .min = 1, .max = VOLUME_CONN_MAX),
	VOLUME_ITEM(queue_depth, queue_depth, ITEM_COUNT, .min = 1, .max = QUEUE_DEPTH_MAX),
	VOLUME_ITEM(io_size_max, io_bytes_max, ITEM_SIZE, .min = IO_BYTES_MIN, .max = IO_BYTES_MAX),
	VOLUME_ITEM(on_dead, on_dead, ITEM_WORD, .words = on_dead_words),
	VOLUME_ITEM(unstable, unstable, ITEM_WORD, .words = unstable_words),
	VOLUME_ITEM(dead_timeout, dead_ms, ITEM_TIME, .min = 0, .max = DAY_MS),
	VOLUME_ITEM(request_timeout, request_ms, ITEM_TIME, .min = 0, .max = DAY_MS),
	VOLUME_ITEM(dead_peer_timeout, dead_peer_ms, ITEM_TIME, .min = 1000, .max = 3600 * 1000),
	VOLUME_ITEM(connect_timeout, connect_ms, ITEM_TIME, .min = 100, .max = DAY_MS),
	VOLUME_ITEM(copy, copy, ITEM_WORD, .words = copy_words),
	VOLUME_ITEM(read_only, read_only, ITEM_BOOL),
};

void config_volume_defaults(struct config_volume *volume)
{
	memset(volume, 0, sizeof(*volume));
	volume->connections = 0; /* one for each worker */
	volume->queue_depth = QUEUE_DEPTH_DEFAULT;
	volume->io_bytes_max = IO_BYTES_DEFAULT;
	volume->on_dead = ON_DEAD_HOLD;
	volume->dead_peer_ms = DEAD_PEER_MS;
	volume->connect_ms = CONNECT_MS_DEFAULT;
	snprintf(volume->cc, sizeof(volume->cc), "%s", cc_words[0]);
}

/* ---- URI ---- */

/* 0 with *out, what @uri means; or -errno with @why. */
static int uri_check(const char *uri, struct nbd_uri *out, struct error *why)
{
	size_t len = strlen(uri);

	if (len >= URI_BYTES_MAX)
		return error_set(why, -EINVAL, "the URI is %zu bytes long; at most %d", len,
			URI_BYTES_MAX - 1);
	return nbd_uri_parse(uri, out, why);
}

/* The export's name as the volume's, where it is fit for one; else volN. */
static void name_from_uri(const struct nbd_uri *uri, unsigned idx, char *name)
{
	if (strlen(uri->export_name) < NAME_BYTES_MAX &&
		item_name_check(uri->export_name, NULL) == 0)
		snprintf(name, NAME_BYTES_MAX, "%.*s", NAME_BYTES_MAX - 1, uri->export_name);
	else
		snprintf(name, NAME_BYTES_MAX, "vol%u", idx);
}

void config_volume_name_fill(struct config_volume *volume)
{
	struct nbd_uri parsed;

	if (volume->name[0] == '\0' && uri_check(volume->uris[0], &parsed, NULL) == 0)
		name_from_uri(&parsed, 0, volume->name);
}

int config_volume_from_uri(const char *uri, struct config_volume *out, struct error *err)
{
	struct nbd_uri parsed;
	int rc = uri_check(uri, &parsed, err);

	if (rc)
		return rc;
	config_volume_defaults(out);
	snprintf(out->uris[0], sizeof(out->uris[0]), "%s", uri);
	out->uri_count = 1;
	snprintf(out->warning, sizeof(out->warning), "%s", parsed.ignored);
	if (parsed.ignored[0])
		log_warn("%s: %s", uri, parsed.ignored);
	name_from_uri(&parsed, 0, out->name);
	return 0;
}

/* ---- section ---- */

static int uri_store(const struct config_lines *lines, const char *path, const char *uri,
	struct config_volume *volume, struct error *err)
{
	struct nbd_uri parsed;
	struct error why, where;

	assert(volume->uri_count < VOLUME_URI_MAX);
	if (uri_check(uri, &parsed, &why))
		return config_error(lines, path, err, "%s", why.text);
	if (parsed.ignored[0]) {
		(void)config_error(lines, path, &where, "%s", parsed.ignored);
		log_warn("%s", where.text);
		snprintf(volume->warning, sizeof(volume->warning), "%s", parsed.ignored);
	}
	for (unsigned i = 0; i < volume->uri_count; i++) {
		if (strcmp(volume->uris[i], uri) == 0)
			return config_error(
				lines, path, err, "the same URI is given twice; remove one");
	}
	snprintf(volume->uris[volume->uri_count], URI_BYTES_MAX, "%s", uri);
	volume->uri_count++;
	return 0;
}

static int uris_store(const struct raw_volume *raw, const char *base, struct config_volume *volume,
	const struct config_lines *lines, struct error *err)
{
	char path[CONFIG_PATH_BYTES];
	int rc = 0;

	if (!raw->uri && raw->uris_count == 0)
		return config_error(
			lines, base, err, "no server is given; add `uri: nbd://HOST/EXPORT`");
	snprintf(path, sizeof(path), "%s.uris", base);
	if (raw->uri && raw->uris_count)
		return config_error(lines, path, err, "both uri and uris are given; keep one");
	snprintf(path, sizeof(path), "%s.uri", base);
	if (raw->uri)
		return uri_store(lines, path, raw->uri, volume, err);
	for (unsigned i = 0; rc == 0 && i < raw->uris_count; i++) {
		snprintf(path, sizeof(path), "%s.uris[%u]", base, i);
		rc = uri_store(lines, path, raw->uris[i], volume, err);
	}
	return rc;
}

/* What no single key can tell: on_dead with its timeout, and whole pages of I/O. */
static int values_check(const struct raw_volume *raw, const char *base,
	struct config_volume *volume, const struct config_lines *lines, struct error *err)
{
	char path[CONFIG_PATH_BYTES];

	snprintf(path, sizeof(path), "%s.io_size_max", base);
	if (volume->io_bytes_max % IO_BYTES_STEP)
		return config_error(lines, path, err,
			"%s is not a whole number of 4k pages; give a multiple of 4k",
			raw->io_size_max);
	snprintf(path, sizeof(path), "%s.request_timeout", base);
	if (volume->request_ms > 0 && volume->request_ms < REQUEST_MS_MIN)
		return config_error(lines, path, err,
			"%s is less than %ums; give 0 for no deadline", raw->request_timeout,
			REQUEST_MS_MIN);
	snprintf(path, sizeof(path), "%s.dead_timeout", base);
	if (volume->on_dead == ON_DEAD_HOLD && volume->dead_ms > 0)
		return config_error(lines, path, err,
			"`on_dead: hold` never gives up; remove dead_timeout, or add `on_dead: "
			"fail`");
	if (volume->on_dead == ON_DEAD_HOLD)
		return 0;
	if (!raw->dead_timeout)
		volume->dead_ms = DEAD_FAIL_MS;
	if (volume->dead_ms < DEAD_FAIL_MS_MIN)
		return config_error(lines, path, err,
			"%s is too short for `on_dead: fail`; give at least 1s", raw->dead_timeout);
	return 0;
}

static int word_store(const struct raw_volume *raw, const char *base, struct config_volume *volume,
	const struct config_lines *lines, struct error *err)
{
	char path[CONFIG_PATH_BYTES];
	struct error why;
	uint64_t idx;

	if (raw->congestion_control) {
		snprintf(path, sizeof(path), "%s.congestion_control", base);
		if (item_word_parse(raw->congestion_control, cc_words, &idx, &why))
			return config_error(lines, path, err, "%s", why.text);
		snprintf(volume->cc, sizeof(volume->cc), "%s", cc_words[idx]);
	}
	if (raw->name) {
		snprintf(path, sizeof(path), "%s.name", base);
		if (item_name_check(raw->name, &why))
			return config_error(lines, path, err, "%s", why.text);
		snprintf(volume->name, sizeof(volume->name), "%s", raw->name);
	}
	return 0;
}

static bool name_is_taken(const struct config *cfg, const char *name, unsigned *idx)
{
	for (unsigned i = 0; i < cfg->volume_count; i++) {
		if (strcmp(cfg->volumes[i].name, name) == 0) {
			*idx = i;
			return true;
		}
	}
	return false;
}

int config_volume_parse(const struct raw_volume *raw, const char *base,
	struct config_volume *volume, const struct config_lines *lines, struct error *err)
{
	int rc;

	config_volume_defaults(volume);
	rc = items_store(volume_items, sizeof(volume_items) / sizeof(*volume_items), raw, volume,
		lines, base, err);
	if (rc == 0)
		rc = word_store(raw, base, volume, lines, err);
	if (rc == 0)
		rc = uris_store(raw, base, volume, lines, err);
	return rc ? rc : values_check(raw, base, volume, lines, err);
}

/* @first: how many volumes came from other files. */
static int volume_store(const struct raw_volume *raw, const char *base, unsigned first,
	struct config *cfg, const struct config_lines *lines, struct error *err)
{
	struct config_volume *volume = &cfg->volumes[cfg->volume_count];
	char path[CONFIG_PATH_BYTES];
	unsigned other;
	int rc = config_volume_parse(raw, base, volume, lines, err);

	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%s.name", base);
	if (!raw->name || !name_is_taken(cfg, volume->name, &other))
		return 0;
	if (other < first)
		return config_error(lines, path, err,
			"%s is the name of a volume of another file too; choose another",
			volume->name);
	return config_error(lines, path, err, "%s is the name of volumes[%u] too; choose another",
		volume->name, other - first);
}

/* Names for the volumes that were given none, once all given names are known. */
static void names_fill(struct config *cfg)
{
	static struct nbd_uri uri;
	unsigned other;

	for (unsigned i = 0; i < cfg->volume_count; i++) {
		struct config_volume *volume = &cfg->volumes[i];
		char name[NAME_BYTES_MAX];

		if (volume->name[0])
			continue;
		(void)uri_check(volume->uris[0], &uri, NULL); /* it was good when it was stored */
		name_from_uri(&uri, i, name);
		/* A user may have chosen the name vol3: there are only volume_count names. */
		for (unsigned n = i; name_is_taken(cfg, name, &other) && n < i + VOLUME_MAX + 1;
			n++)
			snprintf(name, sizeof(name), "vol%u", n);
		assert(!name_is_taken(cfg, name, &other));
		snprintf(volume->name, sizeof(volume->name), "%s", name);
	}
}

int config_volumes_store(const struct raw_config *raw, struct config *cfg,
	const struct config_lines *lines, struct error *err)
{
	unsigned first = cfg->volume_count;
	char base[32];

	if (raw->volumes_count > VOLUME_MAX - first)
		return config_error(lines, "volumes", err,
			"there are more than %u volumes in all files; remove some", VOLUME_MAX);
	for (unsigned i = 0; i < raw->volumes_count; i++) {
		snprintf(base, sizeof(base), "volumes[%u]", i);
		if (volume_store(&raw->volumes[i], base, first, cfg, lines, err))
			return -EINVAL;
		cfg->volume_count++;
	}
	names_fill(cfg);
	return 0;
}
