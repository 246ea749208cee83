/*
 * config.c - sluice.yaml → struct config
 *
 * Two passes: config_yaml.c reads the strings by the schema (config_schema.c) and remembers the
 * lines, and the sections give them meaning (config_port.c, config_volume.c). Defaults are filled
 * in first, so a key that is absent keeps its default.
 *
 * The first error ends it: one sentence with file, line, key and remedy. Nothing of libyaml
 * outlives config_load(), and the result holds no pointers.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "config/config_item.h"
#include "config/config_section.h"

#define RESERVE_COUNT_MAX (1u << 20)
#define MEMORY_BYTES_MIN  (16ull << 20)
#define MEMORY_BYTES_MAX  (64ull << 30)

static const char *const log_words[] = {"error", "warn", "info", "debug", NULL};
static const enum log_level log_levels[] = {
	LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG};

#define TOP_ITEM(raw_member, out_member, ...)                                                      \
	ITEM(struct raw_config, struct config, raw_member, out_member, __VA_ARGS__)

static const struct item top_items[] = {
	TOP_ITEM(socket, socket, ITEM_TEXT),
	TOP_ITEM(run_dir, run_dir, ITEM_TEXT),
	TOP_ITEM(volumes_dir, volumes_dir, ITEM_TEXT),
	TOP_ITEM(hugepages, use_hugepages, ITEM_BOOL),
};

static const struct item reserve_items[] = {
	ITEM(struct raw_reserve, struct config_reserve, normal, normal, ITEM_COUNT, .min = 1,
		.max = RESERVE_COUNT_MAX),
};

void config_defaults(struct config *cfg)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->reserve.size = -1;
	cfg->reserve.safety_pct = RESERVE_SAFETY_DEFAULT_PCT;
	snprintf(cfg->socket, sizeof(cfg->socket), CONFIG_SOCKET_DEFAULT);
	snprintf(cfg->run_dir, sizeof(cfg->run_dir), CONFIG_RUN_DIR_DEFAULT);
	snprintf(cfg->volumes_dir, sizeof(cfg->volumes_dir), CONFIG_VOLUMES_DIR_DEFAULT);
	cfg->log_level = LOG_LEVEL_INFO;
	cfg->use_hugepages = true;
}

/* "1.25" → 125. At most two digits after the point, since that is what is stored. */
static int safety_parse(const char *text, uint32_t *pct)
{
	const char *point = strchr(text, '.');
	char whole[8], part[4] = "00";
	uint64_t units, hundredths;

	snprintf(whole, sizeof(whole), "%.*s", point ? (int)(point - text) : 7, text);
	if (point) {
		size_t digits = strlen(point + 1);

		if (digits == 0 || digits > 2)
			return -EINVAL;
		memcpy(part, point + 1, digits);
	}
	if (strspn(whole, "0123456789") != strlen(whole) || strspn(part, "0123456789") != 2)
		return -EINVAL;
	if (item_count_parse(whole, 1, 10, &units, NULL) ||
		item_count_parse(part, 0, 99, &hundredths, NULL))
		return -EINVAL;
	if (units * 100 + hundredths > 1000)
		return -EINVAL;
	*pct = (uint32_t)(units * 100 + hundredths);
	return 0;
}

static int reserve_store(const struct raw_reserve *raw, struct config_reserve *out,
	const struct config_lines *lines, struct error *err)
{
	struct error why;
	uint64_t count;

	if (raw->size && strcmp(raw->size, "auto") != 0) {
		if (item_count_parse(raw->size, 0, RESERVE_COUNT_MAX, &count, &why))
			return config_error(lines, "reserve.size", err, "%s, or auto", why.text);
		out->size = (int64_t)count;
	}
	if (raw->safety && safety_parse(raw->safety, &out->safety_pct))
		return config_error(lines, "reserve.safety", err,
			"\"%.20s\" is not a safety factor; give 1 to 10 like 1.25", raw->safety);
	return items_store(reserve_items, sizeof(reserve_items) / sizeof(*reserve_items), raw, out,
		lines, "reserve", err);
}

static int paths_check(
	const struct config *cfg, const struct config_lines *lines, struct error *err)
{
	if (cfg->run_dir[0] != '/')
		return config_error(lines, "run_dir", err,
			"\"%s\" is not an absolute path; start it with /", cfg->run_dir);
	if (cfg->volumes_dir[0] != '/')
		return config_error(lines, "volumes_dir", err,
			"\"%s\" is not an absolute path; start it with /", cfg->volumes_dir);
	if (cfg->socket[0] != '/')
		return config_error(lines, "socket", err,
			"\"%s\" is not an absolute path; start it with /", cfg->socket);
	return 0;
}

static int top_store(const struct raw_config *raw, struct config *cfg,
	const struct config_lines *lines, struct error *err)
{
	struct error why;
	uint64_t value;

	if (items_store(
		    top_items, sizeof(top_items) / sizeof(*top_items), raw, cfg, lines, "", err))
		return -EINVAL;
	cfg->is_hugepages_given = raw->hugepages != NULL;
	/* The socket goes where the daemon's other files go, unless told apart. */
	if (raw->run_dir && !raw->socket &&
		snprintf(cfg->socket, sizeof(cfg->socket), "%s/control.sock", cfg->run_dir) >=
			(int)sizeof(cfg->socket))
		return config_error(lines, "run_dir", err,
			"too long for the socket in it; give a shorter one, or socket: too");
	if (raw->log_level) {
		if (item_word_parse(raw->log_level, log_words, &value, &why))
			return config_error(lines, "log_level", err, "%s", why.text);
		cfg->log_level = log_levels[value];
	}
	if (raw->memory) {
		if (item_size_parse(raw->memory, MEMORY_BYTES_MIN, MEMORY_BYTES_MAX, &value, &why))
			return config_error(lines, "memory", err, "%s", why.text);
		cfg->memory_mib = (uint32_t)(value >> 20);
	}
	return paths_check(cfg, lines, err);
}

/* A worker's connections are a table: all volumes together must fit those of all workers. */
static int connections_check(
	const struct config *cfg, const struct config_lines *lines, struct error *err)
{
	unsigned worker_count = 0, conn_count = 0;

	for (unsigned i = 0; i < cfg->port_count; i++)
		worker_count += cfg->ports[i].queues;
	for (unsigned i = 0; i < cfg->volume_count; i++)
		conn_count += cfg->volumes[i].connections ? cfg->volumes[i].connections : 1;
	if (conn_count <= worker_count * NET_CONN_MAX)
		return 0;
	return config_error(lines, "volumes", err,
		"%u connections for %u workers of at most %u each; lower connections: or add "
		"queues",
		conn_count, worker_count, NET_CONN_MAX);
}

static int raw_store(const struct raw_config *raw, struct config *cfg,
	const struct config_lines *lines, struct error *err)
{
	int rc = top_store(raw, cfg, lines, err);

	if (rc == 0)
		rc = reserve_store(&raw->reserve, &cfg->reserve, lines, err);
	if (rc == 0)
		rc = config_ports_store(raw, cfg, lines, err);
	if (rc == 0)
		rc = config_volumes_store(raw, cfg, lines, err);
	if (rc == 0)
		rc = config_protect_store(raw, cfg, lines, err);
	return rc;
}

int config_text_read(const char *path, char **text, size_t *bytes, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct stat st;
	ssize_t got;

	if (fd < 0)
		return error_set(err, -errno, "%s: %s; name the configuration file with -c FILE",
			path, strerror(errno));
	rc = -EINVAL;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		error_set(
			err, rc, "%s: not a file; name the configuration file with -c FILE", path);
		goto out_fd;
	}
	if ((uint64_t)st.st_size > CONFIG_FILE_BYTES_MAX) {
		error_set(err, rc, "%s: %lld bytes long; a configuration has at most %u", path,
			(long long)st.st_size, CONFIG_FILE_BYTES_MAX);
		goto out_fd;
	}
	rc = error_set(err, -ENOMEM, "%s: no memory to read it", path);
	*text = malloc((size_t)st.st_size + 1);
	if (!*text)
		goto out_fd;
	got = read(fd, *text, (size_t)st.st_size);
	rc = got < 0 ? error_set(err, -errno, "%s: %s", path, strerror(errno)) : 0;
	if (rc)
		free(*text);
	else
		*bytes = (size_t)got;
out_fd:
	close(fd);
	return rc;
}

int config_load(const char *path, struct config *cfg, struct error *err)
{
	struct config *loaded;
	struct config_lines lines;
	struct raw_config raw;
	size_t bytes = 0;
	char *text;
	int rc;

	assert(path && cfg);
	rc = config_text_read(path, &text, &bytes, err);
	if (rc)
		return rc;
	rc = config_yaml_read(path, text, bytes, &lines, &raw, err);
	free(text);
	if (rc)
		return rc;
	loaded = malloc(sizeof(*loaded)); /* a megabyte of URIs: too much for a stack */
	rc = loaded ? 0 : error_set(err, -ENOMEM, "%s: no memory to load it", path);
	if (rc == 0) {
		config_defaults(loaded);
		rc = raw_store(&raw, loaded, &lines, err);
	}
	if (rc == 0)
		rc = config_dir_load(loaded, err);
	if (rc == 0)
		rc = connections_check(loaded, &lines, err);
	if (rc == 0)
		*cfg = *loaded;
	free(loaded);
	config_raw_fini(&raw);
	config_lines_fini(&lines);
	return rc;
}

const struct config_volume *config_volume_find(const struct config *cfg, const char *name)
{
	for (unsigned i = 0; i < cfg->volume_count; i++) {
		if (strcmp(cfg->volumes[i].name, name) == 0)
			return &cfg->volumes[i];
	}
	return NULL;
}

/* A full list is left as it is: it has as many as can be attached. */
void config_volume_put(struct config *cfg, const struct config_volume *volume)
{
	const struct config_volume *found = config_volume_find(cfg, volume->name);

	if (found)
		cfg->volumes[found - cfg->volumes] = *volume;
	else if (cfg->volume_count < VOLUME_MAX)
		cfg->volumes[cfg->volume_count++] = *volume;
}

void config_volume_drop(struct config *cfg, const char *name)
{
	const struct config_volume *found = config_volume_find(cfg, name);
	size_t idx = found ? (size_t)(found - cfg->volumes) : 0;

	if (!found)
		return;
	memmove(&cfg->volumes[idx], &cfg->volumes[idx + 1],
		(cfg->volume_count - idx - 1) * sizeof(*found));
	cfg->volume_count--;
}
