/*
 * host_mount.c - a mount namespace of our own, with no mount in it but what the daemon needs
 *
 * Two reasons. A process that ends as the last holder of a mount waits for the unmount, which waits
 * for I/O, and if that is I/O to our own device, for the process: a deadlock. And a namespace is a
 * copy of every mount of its moment, each of which keeps its file system and its disk in use: a
 * disk unmounted everywhere else could not be formatted, detached or removed while the daemon runs,
 * nor a dm, md or loop device above our own be taken apart.
 *
 * So the daemon makes the namespace itself, however it was started (a unit's sandbox may have made
 * one before), cuts it off so that nothing done in it or outside propagates, and detaches every
 * mount in it, but for those on the way to a path the daemon needs, and what is below /dev, /proc
 * and /sys. New mounts of the machine never appear in it.
 *
 * A mount hidden below a later one cannot be reached by its path and stays. Before threads; the
 * working directory becomes "/", for the old one may lie in what was detached.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include "config/host/host.h"

#define MOUNT_MAX 16384

static bool are_own;

struct mount {
	int id, parent;
	bool is_kept;
	char *point;
};

struct mounts {
	struct mount *list;
	unsigned count;
};

/* What name resolution, the C library, drivers and a new configuration are read from. */
static const char *const always[] = {"/", "/dev", "/proc", "/sys", "/run", "/etc", "/usr", "/lib",
	"/lib64", "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf",
	"/etc/localtime"};

/* "\040" and its like, as the kernel writes a blank. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; to++) {
		unsigned code;

		if (text[0] == '\\' && sscanf(text + 1, "%3o", &code) == 1 && strlen(text) >= 4) {
			*to = (char)code;
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

static void mounts_free(struct mounts *m)
{
	for (unsigned i = 0; i < m->count; i++)
		free(m->list[i].point);
	free(m->list);
}

/* All mounts, oldest first. 0 or -errno. */
static int mounts_read(struct mounts *m)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;
	int rc = 0;

	*m = (struct mounts){0};
	if (!file)
		return -errno;
	m->list = calloc(MOUNT_MAX, sizeof(*m->list));
	while (m->list && m->count < MOUNT_MAX && getline(&line, &room, file) > 0) {
		struct mount *at = &m->list[m->count];

		if (sscanf(line, "%d %d %*s %*s %ms", &at->id, &at->parent, &at->point) != 3) {
			free(at->point);
			at->point = NULL;
			continue;
		}
		unescape(at->point);
		m->count++;
	}
	if (!m->list)
		rc = -ENOMEM;
	free(line);
	fclose(file);
	return rc;
}

/* Is @path @dir itself or below it? */
static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return true;
	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* The mount and those it hangs on. The bound: a chain visits no mount twice. */
static void keep(struct mounts *m, struct mount *from)
{
	for (unsigned steps = 0; from && !from->is_kept && steps < m->count; steps++) {
		int parent = from->parent;

		from->is_kept = true;
		from = NULL;
		for (unsigned i = 0; i < m->count && !from; i++)
			if (m->list[i].id == parent)
				from = &m->list[i];
	}
}

/* Keeps what @path lies on: of the mounts above it the
 * deepest, of several at one point the last. */
static void path_keep(struct mounts *m, const char *path)
{
	char resolved[PATH_MAX], above[PATH_MAX];
	struct mount *best = NULL;
	char *slash;

	snprintf(above, sizeof(above), "%s", path);
	while (!realpath(above, resolved)) {
		slash = strrchr(above, '/');
		if (!slash || slash == above)
			return;
		*slash = '\0';
	}
	for (unsigned i = 0; i < m->count; i++) {
		struct mount *at = &m->list[i];

		if (is_below(resolved, at->point) &&
			(!best || strlen(at->point) >= strlen(best->point)))
			best = at;
	}
	keep(m, best);
}

/* Programs and libraries that are mapped: more are loaded from beside them. */
static void maps_keep(struct mounts *m)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char *line = NULL, *path;
	size_t room = 0;

	while (file && getline(&line, &room, file) > 0) {
		path = strchr(line, '/');
		if (!path)
			continue;
		path[strcspn(path, "\n")] = '\0';
		path_keep(m, path);
	}
	free(line);
	if (file)
		fclose(file);
}

/* A kept mount at that point or below it: a mount hidden by it has the same path. */
static bool has_kept_below(const struct mounts *m, const char *point)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->list[i].is_kept && is_below(m->list[i].point, point))
			return true;
	return false;
}

static void mounts_drop(struct mounts *m)
{
	for (unsigned i = m->count; i-- > 0;) {
		const struct mount *at = &m->list[i];

		if (!at->is_kept && !has_kept_below(m, at->point))
			umount2(at->point, MNT_DETACH | UMOUNT_NOFOLLOW);
	}
}

int host_mounts_leave(const char *const paths[], unsigned count)
{
	struct mounts m;
	int rc;

	if (unshare(CLONE_NEWNS))
		return -errno;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	rc = mounts_read(&m);
	if (rc)
		return rc;
	for (unsigned i = 0; i < sizeof(always) / sizeof(*always); i++)
		path_keep(&m, always[i]);
	for (unsigned i = 0; i < count; i++)
		if (paths[i])
			path_keep(&m, paths[i]);
	maps_keep(&m);
	for (unsigned i = 0; i < m.count; i++)
		if (is_below(m.list[i].point, "/dev") || is_below(m.list[i].point, "/proc") ||
			is_below(m.list[i].point, "/sys"))
			keep(&m, &m.list[i]);
	mounts_drop(&m);
	mounts_free(&m);
	are_own = true;
	return chdir("/") ? -errno : 0;
}

bool host_mounts_are_own(void)
{
	return are_own;
}
