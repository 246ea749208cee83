/*
 * host_file.h - small files of /sys, /proc and /dev, below a root that tests may move
 *
 * Private to the room. In builds with fault injection SLUICE_SYSFS_ROOT names a directory that
 * stands for "/", so a test can present a machine with an IOMMU, or without one.
 */
#ifndef CONFIG_HOST_HOST_FILE_H
#define CONFIG_HOST_HOST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_PATH_BYTES 512
#define HOST_NAME_BYTES 64

bool host_file_exists(const char *path);
/* The first line of @path without its newline. 0 or -errno. */
int host_file_read(const char *path, char *out, size_t out_bytes);
/* What follows @prefix on the first line of @path that
 * starts with it, blanks skipped. 0, -errno. */
int host_file_field(const char *path, const char *prefix, char *out, size_t out_bytes);
/* The number in @path, 0x or decimal. 0 or -errno. */
int host_file_number(const char *path, uint64_t *out);
/* The last component of what the link @path points to. 0 or -errno. */
int host_link_name(const char *path, char *out, size_t out_bytes);
/* Names in directory @path, at most @max, dot files left out. Answers how many. */
unsigned host_dir_names(const char *path, char names[][HOST_NAME_BYTES], unsigned max);
/* Has @path a line that holds @text? At most HOST_FILE_LINE_MAX lines are read. */
bool host_file_has(const char *path, const char *text);

#define HOST_FILE_LINE_MAX 100000

#endif
