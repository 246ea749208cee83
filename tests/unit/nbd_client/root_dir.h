/*
 * root_dir.h - a directory that stands for "/", for tests of what reads /sys and /proc
 */
#ifndef TESTS_UNIT_NBD_CLIENT_ROOT_DIR_H
#define TESTS_UNIT_NBD_CLIENT_ROOT_DIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

/* The test makes it. */
static char root[64];

static inline void in_root(const char *what, char *path, size_t bytes)
{
	snprintf(path, bytes, "%s/%s", root, what);
}

static inline void make_dir(const char *what)
{
	char path[256];

	in_root(what, path, sizeof(path));
	assert_int_equal(mkdir(path, 0700), 0);
}

#endif
