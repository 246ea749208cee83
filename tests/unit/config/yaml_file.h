/*
 * yaml_file.h - a configuration given as text, loaded or refused
 *
 * The file is in a temporary directory that yaml_setup() makes and yaml_teardown() removes, and is
 * always called c.yaml, so a test can say "c.yaml:3: ports[0].mtu".
 */
#ifndef TESTS_UNIT_CONFIG_YAML_FILE_H
#define TESTS_UNIT_CONFIG_YAML_FILE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "config/config.h"

/* A port that is good, for tests about something else: lines 1 and 2. */
#define GOOD_PORT "ports:\n- {device: \"af_packet:eth0\", address: 10.0.0.2/24}\n"

static struct config cfg; /* a megabyte: not on the stack */
static struct error err;
static char yaml_path[] = "/tmp/sluice-config.XXXXXX/c.yaml";

static int yaml_setup(void **state)
{
	char *slash = strrchr(yaml_path, '/');

	*slash = '\0';
	if (!mkdtemp(yaml_path))
		return -1;
	*slash = '/';
	return 0;
}

static int yaml_teardown(void **state)
{
	char *slash = strrchr(yaml_path, '/');

	unlink(yaml_path);
	*slash = '\0';
	return rmdir(yaml_path);
}

static int load_bytes(const char *text, size_t bytes)
{
	FILE *file = fopen(yaml_path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
	memset(&cfg, 0x5a, sizeof(cfg));
	memset(&err, 0, sizeof(err));
	return config_load(yaml_path, &cfg, &err);
}

static inline void loads(const char *text)
{
	int rc = load_bytes(text, strlen(text));

	if (rc)
		fail_msg("refused: %s\n%s", err.text, text);
}

/* @start is what the message begins with behind the directory, "c.yaml:3: ports[0].mtu: …". */
static inline void refused(const char *text, const char *start)
{
	int rc = load_bytes(text, strlen(text));
	const char *said = strstr(err.text, "c.yaml");

	assert_int_equal(rc, -EINVAL);
	if (!said || strncmp(said, start, strlen(start)) != 0)
		fail_msg("wanted \"%s\", was told \"%s\" for\n%s", start, err.text, text);
	/* One sentence, and nothing half-written. */
	assert_null(strchr(err.text, '\n'));
	assert_int_equal(((unsigned char *)&cfg)[0], 0x5a);
}

#endif
