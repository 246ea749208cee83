/*
 * ublk_sysfs.c - the block devices as the rest of the machine sees them: scheduler, users, number
 *
 * The scheduler must be `none`. A device with one hardware queue gets mq-deadline by default, which
 * sorts and holds requests for a disk that has no head and, worse, lets one starve behind others
 * that wait for memory. Writing the attribute waits for what is in flight, so it goes through
 * io_uring: a kernel thread waits, and the control thread has a deadline.
 *
 * Who uses the device? There is no counter to read (7.0 has a command), and the classic test,
 * opening it with O_EXCL, may wait behind a partition scan that waits for us, or write back on
 * close. So the kernel's tables are read instead: device-mapper and md holders, swap, the mounts of
 * every mount namespace (the daemon's own is not the one that counts), and every process's open
 * files. What only the kernel holds and lists nowhere there (a loop device on top) is not seen.
 *
 * Control thread only. Roots are arguments, so the tests have their own.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_priv.h"

#define PATH_BYTES     512
#define LINE_BYTES     8192
#define NAMESPACE_MAX  256 /* distinct mount namespaces remembered; more are read twice */
#define NAMESPACE_TEXT 32

/* ---- scheduler ---- */

int ublk_scheduler_parse(const char *text, char *now, unsigned len)
{
	const char *from = strchr(text, '['), *to = from ? strchr(from, ']') : NULL;
	size_t bytes = to ? (size_t)(to - from - 1) : 0;

	if (!to || bytes == 0 || bytes >= len)
		return -EINVAL;
	memcpy(now, from + 1, bytes);
	now[bytes] = '\0';
	return 0;
}

static int scheduler_open(const struct ublk *u, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/block/ublkb%d/queue/scheduler", ublk_dev_id(u));
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int scheduler_get(int fd, char *now, unsigned len)
{
	char text[256];
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	if (got < 0)
		return -errno;
	text[got] = '\0';
	return ublk_scheduler_parse(text, now, len);
}

int ublk_scheduler_read(const struct ublk *u, char *now, unsigned len)
{
	int fd = scheduler_open(u, O_RDONLY), rc;

	if (fd < 0)
		return fd;
	rc = scheduler_get(fd, now, len);
	close(fd);
	return rc;
}

int ublk_scheduler_none(struct ublk *u, char *now, unsigned len)
{
	int fd = scheduler_open(u, O_RDWR), rc, got;

	if (fd < 0)
		return fd;
	rc = ublk_ctl_write(&u->ctl, fd, u->sysfs_none, 4, UBLK_CTL_US_MAX);
	got = scheduler_get(fd, now, len);
	close(fd);
	if (rc < 0)
		return rc;
	return got;
}

/* ---- devices ---- */

static int number_compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return x < y ? -1 : x > y;
}

int ublk_devices_at(const char *sys, int *dev_ids, unsigned max)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	unsigned count = 0;
	DIR *dir;
	int id, used;

	snprintf(path, sizeof(path), "%s/class/ublk-char", sys);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (count < max && (entry = readdir(dir))) {
		used = 0;
		if (sscanf(entry->d_name, "ublkc%d%n", &id, &used) == 1 && used > 0 &&
			entry->d_name[used] == '\0' && id >= 0)
			dev_ids[count++] = id;
	}
	closedir(dir);
	qsort(dev_ids, count, sizeof(*dev_ids), number_compare);
	return (int)count;
}

int ublk_devices(int *dev_ids, unsigned max)
{
	return ublk_devices_at("/sys", dev_ids, max);
}

/* ---- users ---- */

/* "ublkb7" or "ublkb7p2", with a path before it or not. */
static bool names_device(const char *path, int dev_id)
{
	const char *name = strrchr(path, '/');
	char ours[24];
	size_t len;

	name = name ? name + 1 : path;
	len = (size_t)snprintf(ours, sizeof(ours), "ublkb%d", dev_id);
	if (strncmp(name, ours, len) != 0)
		return false;
	name += len;
	if (*name == '\0')
		return true;
	return *name == 'p' && isdigit((unsigned char)name[1]);
}

static bool dir_has_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool is_found = false;

	if (!dir)
		return false;
	while (!is_found && (entry = readdir(dir)))
		is_found = entry->d_name[0] != '.';
	closedir(dir);
	return is_found;
}

/* device-mapper, md and the like, on the disk or on a partition. */
static bool has_holders(const char *sys, int dev_id)
{
	char disk[PATH_BYTES], path[2 * PATH_BYTES];
	struct dirent *entry;
	bool is_held;
	DIR *dir;

	snprintf(disk, sizeof(disk), "%s/block/ublkb%d", sys, dev_id);
	snprintf(path, sizeof(path), "%s/holders", disk);
	is_held = dir_has_entries(path);
	dir = opendir(disk);
	if (!dir)
		return is_held;
	while (!is_held && (entry = readdir(dir))) {
		if (!names_device(entry->d_name, dev_id))
			continue;
		snprintf(path, sizeof(path), "%s/%s/holders", disk, entry->d_name);
		is_held = dir_has_entries(path);
	}
	closedir(dir);
	return is_held;
}

static bool is_swap(const char *proc, int dev_id)
{
	char path[PATH_BYTES], line[LINE_BYTES];
	bool is_found = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/swaps", proc);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (!is_found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, " \t\n")] = '\0';
		is_found = names_device(line, dev_id);
	}
	fclose(file);
	return is_found;
}

/* The source follows the separator: "… - ext4 /dev/ublkb0 rw". */
static bool mount_line_names(char *line, int dev_id)
{
	char *rest = strstr(line, " - "), *source;

	if (!rest)
		return false;
	source = strchr(rest + 3, ' ');
	if (!source)
		return false;
	source++;
	source[strcspn(source, " \n")] = '\0';
	return names_device(source, dev_id);
}

static bool mounts_name(const char *path, int dev_id)
{
	char line[LINE_BYTES];
	bool is_found = false;
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	while (!is_found && fgets(line, sizeof(line), file))
		is_found = mount_line_names(line, dev_id);
	fclose(file);
	return is_found;
}

struct namespaces {
	char seen[NAMESPACE_MAX][NAMESPACE_TEXT];
	unsigned count;
};

/* True the first time a namespace is met; one that cannot be named is always new. */
static bool is_new_namespace(struct namespaces *ns, const char *path)
{
	char text[NAMESPACE_TEXT];
	ssize_t len = readlink(path, text, sizeof(text) - 1);

	if (len < 0)
		return true;
	text[len] = '\0';
	for (unsigned i = 0; i < ns->count; i++)
		if (strcmp(ns->seen[i], text) == 0)
			return false;
	if (ns->count < NAMESPACE_MAX)
		memcpy(ns->seen[ns->count++], text, sizeof(text));
	return true;
}

static bool process_has_open(const char *fd_dir, int dev_id)
{
	char target[PATH_BYTES];
	struct dirent *entry;
	bool is_found = false;
	DIR *dir = opendir(fd_dir);
	ssize_t len;

	if (!dir)
		return false;
	while (!is_found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		if (len <= 0)
			continue;
		target[len] = '\0';
		is_found = names_device(target, dev_id);
	}
	closedir(dir);
	return is_found;
}

static bool process_uses(const char *proc, const char *pid, struct namespaces *ns, int dev_id)
{
	char path[2 * PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s/fd", proc, pid);
	if (process_has_open(path, dev_id))
		return true;
	snprintf(path, sizeof(path), "%s/%s/ns/mnt", proc, pid);
	if (!is_new_namespace(ns, path))
		return false;
	snprintf(path, sizeof(path), "%s/%s/mountinfo", proc, pid);
	return mounts_name(path, dev_id);
}

bool ublk_is_open_at(const char *sys, const char *proc, int dev_id)
{
	struct namespaces *ns;
	struct dirent *entry;
	bool is_open = false;
	DIR *dir;

	if (has_holders(sys, dev_id) || is_swap(proc, dev_id))
		return true;
	ns = calloc(1, sizeof(*ns));
	dir = opendir(proc);
	/* Not knowing is answered as in use: the caller asks before it throws something away. */
	if (!ns || !dir)
		is_open = true;
	while (!is_open && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			is_open = process_uses(proc, entry->d_name, ns, dev_id);
	if (dir)
		closedir(dir);
	free(ns);
	return is_open;
}

bool ublk_is_open(const struct ublk *u)
{
	return ublk_is_open_at("/sys", "/proc", ublk_dev_id(u));
}
