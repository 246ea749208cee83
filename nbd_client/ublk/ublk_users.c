/*
 * ublk_users.c - who uses a block device, by device numbers
 *
 * A name proves nothing: a node made with mknod, a bind mount of a node into a container and a
 * deleted node all reach the same disk. So every look compares numbers: those of the disk and of
 * its partitions, from sysfs, with the mounts of every mount namespace (mountinfo's third field),
 * with st_rdev of every process's open files and shared mappings, and with the nodes that swap and
 * loop devices name. btrfs mounts have a number of their own; its devices are listed under
 * /sys/fs/btrfs. device-mapper, md and bcache are in `holders`.
 *
 * What the kernel lists nowhere (a mount after umount -l, the journal of an ext4 or XFS that lies
 * on a device of its own) is not seen here. The claim of ublk_ask.c or TRY_STOP_DEV sees it.
 *
 * What cannot be read counts as a user: the caller is about to take the device away. A process that
 * ends while it is looked at is no doubt.
 *
 * The thorough look includes mappings, and runs in a process of its own (ublk_ask.c): it waits for
 * the memory map of a process, which may itself wait for this very disk. The other runs on the
 * control thread. Neither asks the server of a network file system for attributes
 * (AT_STATX_DONT_SYNC). Roots are arguments, so the tests have their own.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_priv.h"

#define PATH_BYTES     1024
#define NAME_BYTES     300
#define NUMBER_MAX     320 /* the disk, 255 partitions at most, and devices on top of them */
#define NAMESPACE_MAX  256 /* distinct mount namespaces remembered; more are read twice */
#define NAMESPACE_TEXT 32

struct look {
	const char *sys, *proc;
	int dev_id;
	bool is_thorough;
	struct number {
		unsigned major, minor;
	} numbers[NUMBER_MAX];
	unsigned count, stacked_count; /* the disk's own; with those of its holders and theirs */
	char namespaces[NAMESPACE_MAX][NAMESPACE_TEXT];
	unsigned namespace_count;
	struct ublk_user *out;
};

/* ---- numbers ---- */

static bool is_among(const struct look *l, unsigned count, unsigned major, unsigned minor)
{
	for (unsigned i = 0; i < count; i++)
		if (l->numbers[i].major == major && l->numbers[i].minor == minor)
			return true;
	return false;
}

static bool is_ours(const struct look *l, unsigned major, unsigned minor)
{
	return is_among(l, l->count, major, minor);
}

/* True: found, and the search is over. */
__attribute__((format(printf, 3, 4))) static bool found(
	struct look *l, enum ublk_user_kind kind, const char *format, ...)
{
	va_list ap;

	l->out->kind = kind;
	va_start(ap, format);
	vsnprintf(l->out->text, sizeof(l->out->text), format, ap);
	va_end(ap);
	return true;
}

static bool not_known(struct look *l, const char *path)
{
	return found(l, UBLK_USER_UNKNOWN, "cannot read %.80s: %s", path, strerror(errno));
}

/* A process or an entry that ended meanwhile. */
static bool is_gone(void)
{
	return errno == ENOENT || errno == ESRCH;
}

/* Is the node at @path the disk or a partition? A link of /proc is followed to what is open. */
static bool node_is_ours(const struct look *l, int dir, const char *path, bool *is_known)
{
	struct statx st;

	*is_known = statx(dir, path, AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0;
	return *is_known && S_ISBLK(st.stx_mode) &&
	       is_ours(l, st.stx_rdev_major, st.stx_rdev_minor);
}

static void number_add(struct look *l, const char *path)
{
	struct number *n = &l->numbers[l->stacked_count];
	FILE *file = l->stacked_count < NUMBER_MAX ? fopen(path, "re") : NULL;

	if (!file)
		return;
	if (fscanf(file, "%u:%u", &n->major, &n->minor) == 2)
		l->stacked_count++;
	fclose(file);
}

/* Calls @each for the entries of @path until it answers true. False too where there is no @path. */
static bool each_entry(struct look *l, const char *path, bool (*each)(struct look *, DIR *,
	const char *path, const char *name))
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool is_found = false;

	if (!dir)
		return is_gone() ? false : not_known(l, path);
	while (!is_found && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			is_found = each(l, dir, path, entry->d_name);
	closedir(dir);
	return is_found;
}

/* ---- sysfs: the disk, what stands on it, btrfs, loop devices ---- */

static bool holder_found(struct look *l, DIR *dir, const char *path, const char *name)
{
	(void)dir;
	(void)path;
	return found(l, UBLK_USER_HOLDER, "held by %.40s", name);
}

static bool is_partition(const struct look *l, const char *name)
{
	char ours[24];
	size_t len = (size_t)snprintf(ours, sizeof(ours), "ublkb%dp", l->dev_id);

	return strncmp(name, ours, len) == 0;
}

/* Of an entry of the disk's directory, or of a device's holders. */
static bool entry_number(struct look *l, DIR *dir, const char *all, const char *name)
{
	char path[PATH_BYTES + NAME_BYTES];

	(void)dir;
	snprintf(path, sizeof(path), "%s/%s/dev", all, name);
	number_add(l, path);
	return false;
}

static bool partition_number(struct look *l, DIR *dir, const char *disk, const char *name)
{
	return is_partition(l, name) && entry_number(l, dir, disk, name);
}

static bool partition_held(struct look *l, DIR *dir, const char *disk, const char *name)
{
	char path[PATH_BYTES + NAME_BYTES];

	(void)dir;
	snprintf(path, sizeof(path), "%s/%s/holders", disk, name);
	return is_partition(l, name) && each_entry(l, path, holder_found);
}

/* The numbers of the disk, and behind them those of what stands on it. */
static bool numbers_look(struct look *l)
{
	char disk[PATH_BYTES], path[PATH_BYTES + 16];
	unsigned count;

	snprintf(disk, sizeof(disk), "%s/block/ublkb%d", l->sys, l->dev_id);
	snprintf(path, sizeof(path), "%s/dev", disk);
	number_add(l, path);
	if (l->stacked_count == 0)
		return not_known(l, path);
	if (each_entry(l, disk, partition_number))
		return true;
	count = l->stacked_count;
	for (unsigned i = 0; i < l->stacked_count; i++) {
		snprintf(path, sizeof(path), "%.500s/dev/block/%u:%u/holders", l->sys,
			l->numbers[i].major, l->numbers[i].minor);
		if (each_entry(l, path, entry_number))
			return true;
	}
	l->count = count;
	return false;
}

static bool holders_look(struct look *l)
{
	char disk[PATH_BYTES], path[PATH_BYTES + 16];

	snprintf(disk, sizeof(disk), "%s/block/ublkb%d", l->sys, l->dev_id);
	snprintf(path, sizeof(path), "%s/holders", disk);
	return each_entry(l, path, holder_found) || each_entry(l, disk, partition_held);
}

static bool sysfs_number_is_ours(const struct look *l, const char *path)
{
	struct look other = {.count = 0};

	number_add(&other, path);
	return other.stacked_count == 1 &&
	       is_ours(l, other.numbers[0].major, other.numbers[0].minor);
}

static bool btrfs_device(struct look *l, DIR *dir, const char *devices, const char *name)
{
	char path[PATH_BYTES + NAME_BYTES];

	(void)dir;
	snprintf(path, sizeof(path), "%s/%s/dev", devices, name);
	return sysfs_number_is_ours(l, path) &&
	       found(l, UBLK_USER_MOUNT, "a device of a mounted btrfs");
}

static bool btrfs_look(struct look *l, DIR *dir, const char *all, const char *name)
{
	char path[PATH_BYTES];

	(void)dir;
	snprintf(path, sizeof(path), "%.500s/%.300s/devices", all, name);
	return each_entry(l, path, btrfs_device);
}

static bool loop_look(struct look *l, DIR *dir, const char *all, const char *name)
{
	char path[PATH_BYTES], text[PATH_BYTES] = "";
	bool is_known, is_used;
	FILE *file;

	(void)dir;
	if (strncmp(name, "loop", 4) != 0)
		return false;
	snprintf(path, sizeof(path), "%.500s/%.300s/loop/backing_file", all, name);
	file = fopen(path, "re");
	if (!file)
		return false; /* bound to nothing */
	is_used = fgets(text, sizeof(text), file) != NULL;
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
	is_used = is_used && node_is_ours(l, AT_FDCWD, text, &is_known);
	/* A node that was removed meanwhile keeps its name here, and is_known is false. A file's is
	 * no matter: its file system is mounted. */
	return is_used && found(l, UBLK_USER_HOLDER, "held by %.40s", name);
}

/* ---- swap and mounts ---- */

/* The kernel writes a blank as \040. In place. */
static void unescape(char *text)
{
	char *to = text;
	unsigned code;

	for (; *text; to++) {
		if (text[0] == '\\' && sscanf(text + 1, "%3o", &code) == 1) {
			*to = (char)code;
			text += 4;
		} else {
			*to = *text++;
		}
	}
	*to = '\0';
}

/* A device, also on top of ours, or a file in a file system that lies on one of them. */
static bool is_swapped_on(const struct look *l, const char *path)
{
	struct statx st;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_TYPE, &st) != 0)
		return false;
	if (S_ISBLK(st.stx_mode))
		return is_among(l, l->stacked_count, st.stx_rdev_major, st.stx_rdev_minor);
	return is_among(l, l->stacked_count, st.stx_dev_major, st.stx_dev_minor);
}

static bool swap_look(struct look *l)
{
	char path[PATH_BYTES], *line = NULL, ours[32];
	bool is_found = false;
	size_t room = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/swaps", l->proc);
	file = fopen(path, "re");
	if (!file)
		return is_gone() ? false : not_known(l, path);
	snprintf(ours, sizeof(ours), "/dev/ublkb%d", l->dev_id);
	while (!is_found && getline(&line, &room, file) > 0) {
		line[strcspn(line, " \t\n")] = '\0';
		unescape(line);
		/* The name counts too: a node that was removed cannot be looked at. */
		if (is_swapped_on(l, line) || strcmp(line, ours) == 0)
			is_found = found(l, UBLK_USER_SWAP, "active swap: %.80s", line);
	}
	free(line);
	fclose(file);
	return is_found;
}

/* "36 35 98:0 /root /point …": field 3 is the number, field 5 the place. */
static bool mounts_look(struct look *l, const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL, *point = NULL;
	bool is_found = false;
	size_t room = 0;

	if (!file) /* EINVAL: a zombie, which has no namespace any more */
		return is_gone() || errno == EINVAL ? false : not_known(l, path);
	while (!is_found && getline(&line, &room, file) > 0) {
		unsigned major, minor;

		if (sscanf(line, "%*d %*d %u:%u %*s %ms", &major, &minor, &point) == 3 &&
			is_ours(l, major, minor)) {
			unescape(point);
			is_found = found(l, UBLK_USER_MOUNT, "mounted at %.100s", point);
		}
		free(point);
		point = NULL;
	}
	free(line);
	fclose(file);
	return is_found;
}

/* True the first time a namespace is met; one that cannot be named is always new. */
static bool is_new_namespace(struct look *l, const char *path)
{
	char text[NAMESPACE_TEXT] = "";
	ssize_t len = readlink(path, text, sizeof(text) - 1);

	if (len < 0)
		return true;
	for (unsigned i = 0; i < l->namespace_count; i++)
		if (strcmp(l->namespaces[i], text) == 0)
			return false;
	if (l->namespace_count < NAMESPACE_MAX)
		memcpy(l->namespaces[l->namespace_count++], text, sizeof(text));
	return true;
}

/* ---- processes ---- */

static bool process_found(struct look *l, const char *pid, const char *how)
{
	char path[PATH_BYTES], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%.500s/%.20s/comm", l->proc, pid);
	file = fopen(path, "re");
	if (file && !fgets(name, sizeof(name), file))
		name[0] = '\0';
	if (file)
		fclose(file);
	name[strcspn(name, "\n")] = '\0';
	return found(l, UBLK_USER_PROCESS, "%s by process %.20s%s%s%s", how, pid,
		name[0] ? " (" : "", name, name[0] ? ")" : "");
}

static bool open_look(struct look *l, DIR *dir, const char *path, const char *name)
{
	bool is_known;

	(void)path;
	if (node_is_ours(l, dirfd(dir), name, &is_known))
		return found(l, UBLK_USER_PROCESS, " ");
	return !is_known && !is_gone() && errno != ESTALE && errno != ENOTCONN &&
	       not_known(l, "what a process has open");
}

/* A mapping outlives the descriptor it was made by. Private ones of programs are passed over. */
static bool maps_look(struct look *l, const char *pid)
{
	char path[PATH_BYTES], range[64], perms[8], *line = NULL;
	bool is_found = false, is_known;
	size_t room = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%.500s/%.20s/maps", l->proc, pid);
	file = fopen(path, "re");
	if (!file)
		return is_gone() ? false : not_known(l, path);
	while (!is_found && getline(&line, &room, file) > 0) {
		if (sscanf(line, "%63s %7s", range, perms) != 2 || !strchr(line, '/') ||
			(perms[3] != 's' && !strstr(line, " /dev/")))
			continue;
		snprintf(path, sizeof(path), "%.500s/%.20s/map_files/%s", l->proc, pid, range);
		is_found = node_is_ours(l, AT_FDCWD, path, &is_known);
	}
	free(line);
	fclose(file);
	return is_found && process_found(l, pid, "mapped");
}

static bool process_look(struct look *l, DIR *dir, const char *proc, const char *pid)
{
	char path[PATH_BYTES];

	(void)dir;
	if (!isdigit((unsigned char)pid[0]) || atoi(pid) == getpid())
		return false;
	snprintf(path, sizeof(path), "%.500s/%.20s/fd", proc, pid);
	if (each_entry(l, path, open_look))
		return l->out->kind == UBLK_USER_UNKNOWN || process_found(l, pid, "open");
	if (l->is_thorough && maps_look(l, pid))
		return true;
	snprintf(path, sizeof(path), "%.500s/%.20s/ns/mnt", proc, pid);
	if (!is_new_namespace(l, path))
		return false;
	snprintf(path, sizeof(path), "%.500s/%.20s/mountinfo", proc, pid);
	return mounts_look(l, path);
}

void ublk_user_find_at(
	const char *sys, const char *proc, int dev_id, bool is_thorough, struct ublk_user *out)
{
	struct look *l = calloc(1, sizeof(*l));
	char path[PATH_BYTES];
	DIR *dir;

	*out = (struct ublk_user){.kind = UBLK_USER_UNKNOWN, .text = "no memory to look"};
	if (!l)
		return;
	*l = (struct look){
		.sys = sys, .proc = proc, .dev_id = dev_id, .is_thorough = is_thorough, .out = out};
	out->kind = UBLK_USER_NONE;
	out->text[0] = '\0';
	if (numbers_look(l) || swap_look(l) || holders_look(l))
		goto out;
	snprintf(path, sizeof(path), "%.500s/fs/btrfs", sys);
	if (each_entry(l, path, btrfs_look))
		goto out;
	snprintf(path, sizeof(path), "%.500s/block", sys);
	if (each_entry(l, path, loop_look))
		goto out;
	dir = opendir(proc); /* without it nothing is known */
	if (!dir) {
		not_known(l, proc);
		goto out;
	}
	closedir(dir);
	each_entry(l, proc, process_look);
out:
	free(l);
}

void ublk_user_find(int dev_id, struct ublk_user *out)
{
	ublk_user_find_at("/sys", "/proc", dev_id, false, out);
}

int ublk_swap_check(int dev_id, struct error *err)
{
	struct ublk_user user;

	ublk_user_find(dev_id, &user);
	if (user.kind != UBLK_USER_SWAP)
		return 0;
	return error_set(err, -EBUSY,
		"/dev/ublkb%d is %s: what is swapped out would be lost, and the programs it "
		"belongs to killed; swapoff first, or use --force --lose-swap",
		dev_id, user.text);
}
