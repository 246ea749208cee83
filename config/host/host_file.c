/*
 * host_file.c - reading what the kernel says in small files
 *
 * One door to /sys, /proc, /dev and /lib/modules, so that one place decides what "/" is. A product
 * build has no other root than the machine's: the override is compiled in with fault injection
 * only, since a daemon that runs as root must not take its facts from an environment variable.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config/host/host_file.h"

static const char *root_dir(void)
{
#if SLUICE_FAULT_INJECTION
	const char *root = getenv("SLUICE_SYSFS_ROOT");

	return root ? root : "";
#else
	return "";
#endif
}

static const char *full_path(const char *path, char *buf)
{
	assert(path[0] == '/');
	snprintf(buf, HOST_PATH_BYTES, "%s%s", root_dir(), path);
	return buf;
}

bool host_file_exists(const char *path)
{
	char full[HOST_PATH_BYTES];

	return access(full_path(path, full), F_OK) == 0;
}

int host_file_read(const char *path, char *out, size_t out_bytes)
{
	char full[HOST_PATH_BYTES];
	int fd = open(full_path(path, full), O_RDONLY | O_CLOEXEC), rc;
	ssize_t got;

	assert(out_bytes > 1);
	if (fd < 0)
		return -errno;
	got = read(fd, out, out_bytes - 1);
	rc = got < 0 ? -errno : 0;
	close(fd);
	if (rc)
		return rc;
	out[got] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

int host_file_number(const char *path, uint64_t *out)
{
	char text[64], *end;
	unsigned long long value;
	int rc = host_file_read(path, text, sizeof(text));

	if (rc)
		return rc;
	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text)
		return -EINVAL;
	*out = value;
	return 0;
}

int host_link_name(const char *path, char *out, size_t out_bytes)
{
	char full[HOST_PATH_BYTES], target[HOST_PATH_BYTES], *last;
	ssize_t len = readlink(full_path(path, full), target, sizeof(target) - 1);

	if (len < 0)
		return -errno;
	target[len] = '\0';
	last = strrchr(target, '/');
	last = last ? last + 1 : target;
	if (strlen(last) >= out_bytes)
		return -ENAMETOOLONG;
	snprintf(out, out_bytes, "%s", last);
	return 0;
}

unsigned host_dir_names(const char *path, char names[][HOST_NAME_BYTES], unsigned max)
{
	char full[HOST_PATH_BYTES];
	DIR *dir = opendir(full_path(path, full));
	const struct dirent *entry;
	unsigned count = 0;

	if (!dir)
		return 0;
	while (count < max && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= HOST_NAME_BYTES)
			continue;
		snprintf(names[count++], HOST_NAME_BYTES, "%.63s", entry->d_name);
	}
	closedir(dir);
	return count;
}

int host_file_field(const char *path, const char *prefix, char *out, size_t out_bytes)
{
	char full[HOST_PATH_BYTES], line[1024];
	FILE *file = fopen(full_path(path, full), "re");
	size_t len = strlen(prefix);
	int rc = -ENOENT;

	if (!file)
		return -errno;
	for (unsigned i = 0; rc && i < HOST_FILE_LINE_MAX; i++) {
		if (!fgets(line, sizeof(line), file))
			break;
		if (strncmp(line, prefix, len) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(out, out_bytes, "%s", line + len + strspn(line + len, " \t"));
		rc = 0;
	}
	fclose(file);
	return rc;
}

bool host_file_has(const char *path, const char *text)
{
	char full[HOST_PATH_BYTES], line[1024];
	FILE *file = fopen(full_path(path, full), "re");
	bool has = false;

	if (!file)
		return false;
	for (unsigned i = 0; !has && i < HOST_FILE_LINE_MAX; i++) {
		if (!fgets(line, sizeof(line), file))
			break;
		has = strstr(line, text) != NULL;
	}
	fclose(file);
	return has;
}
