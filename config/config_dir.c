/*
 * config_dir.c - one file for each volume that was saved: reading, writing, removing
 *
 * `sluice attach --save` must not edit the file a person wrote, with its comments and order. So
 * what is saved has a directory of its own, NAME.yaml for the volume NAME, in the same words: a
 * list `volumes:` and nothing beside it. config_load() reads them after the main file, in the order
 * of their names.
 *
 * A file is written under another name, synced, and then renamed: a reader, a crash or a power cut
 * finds the old one or the new one. Every key is written, so a changed default does not change a
 * saved volume.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "config/config_section.h"

#define PATH_ROOM (sizeof(((struct config *)0)->volumes_dir) + NAME_MAX + 2)

/* ---- reading ---- */

static int file_load(const char *path, struct config *cfg, struct error *err)
{
	struct config_lines lines;
	struct raw_config raw;
	size_t bytes = 0;
	char *text;
	int rc = config_text_read(path, &text, &bytes, err);

	if (rc)
		return rc;
	rc = config_yaml_read(path, text, bytes, &lines, &raw, err);
	free(text);
	if (rc)
		return rc;
	if (raw.ports_count || raw.protect_count || raw.volumes_dir || raw.socket || raw.run_dir ||
		raw.memory || raw.hugepages || raw.log_level || raw.reserve.size ||
		raw.reserve.safety || raw.reserve.normal)
		rc = config_error(&lines, "", err,
			"only volumes: is allowed here; move the rest to the main file");
	else
		rc = config_volumes_store(&raw, cfg, &lines, err);
	config_raw_fini(&raw);
	config_lines_fini(&lines);
	return rc;
}

static int is_volume_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

int config_dir_load(struct config *cfg, struct error *err)
{
	struct dirent **names;
	int count = scandir(cfg->volumes_dir, &names, is_volume_file, alphasort), rc = 0;
	char path[PATH_ROOM];

	if (count < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (count < 0)
		return error_set(
			err, -errno, "volumes_dir: %s: %s", cfg->volumes_dir, strerror(errno));
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", cfg->volumes_dir, names[i]->d_name);
		if (rc == 0)
			rc = file_load(path, cfg, err);
		free(names[i]);
	}
	free(names);
	return rc;
}

/* ---- writing ---- */

/* A string as YAML between single quotes: nothing in it is special but the quote. */
static void quoted_put(FILE *file, const char *text)
{
	fputc('\'', file);
	for (; *text; text++) {
		if (*text == '\'')
			fputc('\'', file);
		fputc(*text, file);
	}
	fputc('\'', file);
}

static void volume_put(FILE *file, const struct config_volume *v)
{
	static const char *const dead[] = {[ON_DEAD_HOLD] = "hold", [ON_DEAD_FAIL] = "fail"};
	static const char *const unstable[] = {
		[UNSTABLE_TRUST] = "trust", [UNSTABLE_THROUGH] = "through"};
	static const char *const copy[] = {
		[COPY_AUTO] = "auto", [COPY_DEFAULT] = "default", [COPY_USER] = "user"};

	fputs("# Written by `sluice attach --save` or `sluice save`; see "
	      "sluice.yaml(5).\nvolumes:\n  - name: ",
		file);
	quoted_put(file, v->name);
	fputs("\n    uris:\n", file);
	for (unsigned i = 0; i < v->uri_count; i++) {
		fputs("      - ", file);
		quoted_put(file, v->uris[i]);
		fputc('\n', file);
	}
	if (v->connections)
		fprintf(file, "    connections: %u\n", v->connections);
	fprintf(file,
		"    queue_depth: %u\n    io_size_max: %" PRIu32
		"k\n    unstable: %s\n    on_dead: %s\n    dead_timeout: %" PRIu32
		"ms\n    request_timeout: %" PRIu32 "ms\n    connect_timeout: %" PRIu32
		"ms\n    copy: %s\n    read_only: %s\n",
		v->queue_depth, v->io_bytes_max >> 10, unstable[v->unstable], dead[v->on_dead],
		v->dead_ms, v->request_ms, v->connect_ms, copy[v->copy],
		v->read_only ? "true" : "false");
	if (v->cc[0])
		fprintf(file, "    congestion_control: %s\n", v->cc);
}

/* @dir and the directory it is in. 0 or -errno. */
static int dir_make(const char *dir)
{
	char parent[PATH_ROOM];
	char *slash;

	snprintf(parent, sizeof(parent), "%s", dir);
	slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = '\0';
		if (mkdir(parent, 0755) && errno != EEXIST)
			return -errno;
	}
	return mkdir(dir, 0755) && errno != EEXIST ? -errno : 0;
}

/* What was renamed or removed in @dir is on the disk. */
static int dir_sync(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return rc;
}

static int file_write(const char *path, const struct config_volume *volume)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644), rc = 0;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file)
		return -errno;
	volume_put(file, volume);
	if (fflush(file) || fsync(fd))
		rc = -errno;
	if (fclose(file) && rc == 0)
		rc = -errno;
	return rc;
}

int config_volume_save(const char *dir, const struct config_volume *volume, struct error *err)
{
	char path[PATH_ROOM], whole[PATH_ROOM];
	int rc = dir_make(dir);

	snprintf(path, sizeof(path), "%s/.%s.new", dir, volume->name);
	snprintf(whole, sizeof(whole), "%s/%s.yaml", dir, volume->name);
	if (rc == 0)
		rc = file_write(path, volume);
	if (rc == 0 && rename(path, whole))
		rc = -errno;
	if (rc == 0)
		rc = dir_sync(dir);
	if (rc == 0)
		return 0;
	unlink(path);
	return error_set(err, rc,
		"%s cannot be saved: %s; make the directory writable for sluiced, or set "
		"volumes_dir:",
		whole, strerror(-rc));
}

int config_volume_unsave(const char *dir, const char *name, struct error *err)
{
	char path[PATH_ROOM];

	snprintf(path, sizeof(path), "%s/%s.yaml", dir, name);
	if (unlink(path) == 0)
		return dir_sync(dir);
	return error_set(err, -errno, "%s cannot be removed: %s", path, strerror(errno));
}
