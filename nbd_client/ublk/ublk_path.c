/*
 * ublk_path.c - the paths the kernel gives ublk devices
 *
 * A device of number N is /dev/ublkbN, and its partition P /dev/ublkbNpP. A command that is given
 * one of them means that device, whatever the volumes are called.
 *
 * A program that writes to /dev/ublkbN after the device has gone makes a plain file there, and the
 * kernel does not replace it when the number is used again: what is then written to "the device"
 * stays in the memory of /dev. So what is at the path is looked at before a device starts, and
 * again when it has. The file is left alone, because it may be the only copy of a user's data.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "nbd_client/ublk/ublk_priv.h"

#define NUMBER_MAX (1 << 20) /* minor numbers have 20 bits */

/* A decimal number without sign or leading zero; *text moves behind it. -1: there is none. */
static int number_take(const char **text)
{
	int value = 0;
	const char *at = *text;

	if (*at == '0' && at[1] >= '0' && at[1] <= '9')
		return -1;
	for (; *at >= '0' && *at <= '9' && value < NUMBER_MAX; at++)
		value = value * 10 + (*at - '0');
	if (at == *text || value >= NUMBER_MAX)
		return -1;
	*text = at;
	return value;
}

int ublk_path_parse(const char *path, int *dev_id, int *partition)
{
	static const char prefix[] = "/dev/ublkb";
	const char *rest = path + sizeof(prefix) - 1;
	int id, part = 0;

	if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
		return -EINVAL;
	id = number_take(&rest);
	if (id < 0)
		return -EINVAL;
	if (*rest == 'p') {
		rest++;
		part = number_take(&rest);
		if (part <= 0)
			return -EINVAL;
	}
	if (*rest)
		return -EINVAL;
	*dev_id = id;
	*partition = part;
	return 0;
}

static int node_is_wrong(const char *path, const struct statx *st, struct error *err)
{
	if (S_ISBLK(st->stx_mode))
		return error_set(err, -EEXIST,
			"%s is the node of another device (%u:%u): remove it, then attach again",
			path, st->stx_rdev_major, st->stx_rdev_minor);
	return error_set(err, -EEXIST,
		"%s is no device but %s of %llu bytes, which a program made when the device was "
		"not there: move it away, then attach again",
		path, S_ISREG(st->stx_mode) ? "a plain file" : "an entry",
		(unsigned long long)st->stx_size);
}

int ublk_node_check_at(
	const char *dev, const char *sys, int dev_id, bool is_started, struct error *err)
{
	char path[128], number[128];
	unsigned major, minor;
	struct statx st;
	FILE *file;
	int rc;

	snprintf(path, sizeof(path), "%s/ublkb%d", dev, dev_id);
	if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &st) != 0) {
		if (errno == ENOENT && !is_started)
			return 0;
		return error_set(err, -errno,
			"%s: %s; /dev must be a devtmpfs (in a container, the host's)", path,
			strerror(errno));
	}
	/* An old node may be replaced at the start; if it is not, the next look finds it. */
	if (!S_ISBLK(st.stx_mode) || !is_started)
		return S_ISBLK(st.stx_mode) ? 0 : node_is_wrong(path, &st, err);
	snprintf(number, sizeof(number), "%s/block/ublkb%d/dev", sys, dev_id);
	file = fopen(number, "re");
	if (!file)
		return error_set(err, -errno, "%s: %s", number, strerror(errno));
	rc = fscanf(file, "%u:%u", &major, &minor);
	fclose(file);
	if (rc != 2 || major != st.stx_rdev_major || minor != st.stx_rdev_minor)
		return node_is_wrong(path, &st, err);
	return 0;
}

int ublk_node_check(int dev_id, struct error *err)
{
	return ublk_node_check_at("/dev", "/sys", dev_id, true, err);
}
