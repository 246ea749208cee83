/*
 * host_left.c - devices that a daemon left, while no daemon runs
 *
 * A daemon that ended with its devices in use leaves them in the kernel with their requests held,
 * and a state file for each in its run directory. Until a daemon runs again every program that
 * touches such a device hangs, and nothing else on the machine says why. So the doctor does.
 *
 * A running daemon is known by the lock of the run directory; the state files are ublk_state.c's,
 * of which two lines are read here: the boot they belong to, and the volume's name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "config/host/host.h"
#include "config/host/host_check.h"
#include "config/host/host_file.h"

#define FILE_MAX      256 /* entries looked at of the run directory and of a device */
#define BOOT_ID_BYTES 40

/* Does a daemon hold the lock? Without a lock file, or
 * without the right to open it, none is known. */
static bool is_daemon_running(const char *run_dir)
{
	char path[HOST_PATH_BYTES];
	bool is_held;
	int fd;

	snprintf(path, sizeof(path), "%s/lock", run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	is_held = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return is_held;
}

/* The file of a device that was made since the machine started: 0 with its number and the volume's
 * name. */
static int state_read(const char *run_dir, const char *file, int *id, char *name, size_t name_bytes)
{
	char path[HOST_PATH_BYTES], boot[BOOT_ID_BYTES], now[BOOT_ID_BYTES];
	int end = 0;

	if (sscanf(file, "ublk-%d.state%n", id, &end) != 1 || end == 0 || file[end] || *id < 0)
		return -EINVAL;
	snprintf(path, sizeof(path), "%s/%.60s", run_dir, file);
	if (host_file_field(path, "boot ", boot, sizeof(boot)) ||
		host_file_read("/proc/sys/kernel/random/boot_id", now, sizeof(now)) ||
		strcmp(boot, now) != 0)
		return -ESTALE;
	return host_file_field(path, "volume.name ", name, name_bytes);
}

/* Is the block device @sys (its directory in sysfs) mounted anywhere in our namespace? */
static bool is_mounted(const char *sys)
{
	char path[HOST_PATH_BYTES], dev[32], field[40];

	snprintf(path, sizeof(path), "%.400s/dev", sys);
	if (host_file_read(path, dev, sizeof(dev)))
		return false;
	snprintf(field, sizeof(field), " %s ", dev);
	return host_file_has("/proc/self/mountinfo", field);
}

/* What hangs on the device, or on a partition of it; NULL: nothing that can be seen. */
static const char *use_of(int id)
{
	char names[FILE_MAX][HOST_NAME_BYTES], sys[HOST_PATH_BYTES], text[64];
	unsigned count;

	snprintf(text, sizeof(text), "/dev/ublkb%d ",
		id); /* the table's columns are filled up with blanks */
	if (host_file_has("/proc/swaps", text))
		return "in use as swap";
	snprintf(text, sizeof(text), "/dev/ublkb%dp", id);
	if (host_file_has("/proc/swaps", text))
		return "in use as swap";
	snprintf(sys, sizeof(sys), "/sys/block/ublkb%d", id);
	if (is_mounted(sys))
		return "mounted";
	count = host_dir_names(sys, names, FILE_MAX);
	for (unsigned i = 0; i < count; i++) {
		snprintf(sys, sizeof(sys), "/sys/block/ublkb%d/%.60s", id, names[i]);
		if (strncmp(names[i], "ublkb", 5) == 0 && is_mounted(sys))
			return "mounted";
	}
	return NULL;
}

unsigned host_left(const char *run_dir, struct host_check_line *out, unsigned max)
{
	char files[FILE_MAX][HOST_NAME_BYTES], name[NAME_BYTES_MAX], path[HOST_PATH_BYTES];
	unsigned count = is_daemon_running(run_dir) ? 0 : host_dir_names(run_dir, files, FILE_MAX);
	struct check_list list = {.line = out, .max = max};

	for (unsigned i = 0; i < count && list.count < max; i++) {
		const char *use;
		int id;

		if (state_read(run_dir, files[i], &id, name, sizeof(name)))
			continue;
		snprintf(path, sizeof(path), "/sys/block/ublkb%d", id);
		if (!host_file_exists(path))
			continue;
		use = use_of(id);
		check_bad(&list, "left device", true, -ENOTCONN,
			"/dev/ublkb%d (volume %s) %s%s, and no sluiced serves it: programs that "
			"use it hang",
			id, name, use ? "is " : "waits for a daemon", use ? use : "");
		check_remedy(
			&list, "start the daemon: systemctl start sluiced, or sluiced -c FILE");
	}
	return list.count;
}
