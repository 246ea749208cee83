/*
 * ublk_sysfs.c - the block devices as sysfs has them: their scheduler, and which there are
 *
 * The scheduler must be `none`. A device with one hardware queue gets mq-deadline by default, which
 * sorts and holds requests for a disk that has no head and, worse, lets one starve behind others
 * that wait for memory. Writing the attribute waits for what is in flight, so it goes through
 * io_uring: a kernel thread waits, and the control thread has a deadline.
 *
 * Control thread only. Roots are arguments, so the tests have their own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_priv.h"

#define PATH_BYTES 512

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
