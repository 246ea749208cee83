/*
 * bench.c - sluice bench: becomes sluiced --bench
 *
 * The load runs through the daemon's own datapath, which needs DPDK, which this program does not
 * link. So it looks for sluiced beside itself, then where the build puts it, then in PATH, and
 * turns into it. Options pass through as they are; the only one looked at is -c, since a bench
 * without one takes the machine's configuration.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/cli.h"
#include "config/config.h"

#define ARG_MAX_COUNT 64

static bool names_config(char **argv)
{
	for (; *argv; argv++) {
		if (strncmp(*argv, "-c", 2) == 0 || strncmp(*argv, "--config", 8) == 0)
			return true;
	}
	return false;
}

const char *cli_daemon_find(char *buf, size_t buf_bytes)
{
	static const char *const places[] = {"/sluiced", "/../daemon/sluiced"};
	char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[len > 0 ? len : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	for (unsigned i = 0; slash && i < sizeof(places) / sizeof(*places); i++) {
		snprintf(buf, buf_bytes, "%s%s", self, places[i]);
		if (access(buf, X_OK) == 0)
			return buf;
	}
	return "sluiced";
}

int cli_bench(bool is_json, char **argv)
{
	static const char option_c[] = "-c", option_bench[] = "--bench", option_json[] = "--json";
	static const char config_default[] = CONFIG_PATH_DEFAULT;
	const struct cli cli = {.is_json = is_json};
	const char *args[ARG_MAX_COUNT + 8];
	struct error err = {""};
	unsigned count = 0;
	char path[4200];
	int rc;

	args[count++] = cli_daemon_find(path, sizeof(path));
	if (!names_config(argv)) {
		args[count++] = option_c;
		args[count++] = config_default;
	}
	args[count++] = option_bench;
	if (is_json)
		args[count++] = option_json;
	for (; *argv && count < ARG_MAX_COUNT; argv++)
		args[count++] = *argv;
	if (*argv)
		return cli_usage("bench takes at most %d arguments", ARG_MAX_COUNT);
	args[count] = NULL;
	execvp(args[0], (char *const *)(uintptr_t)args);
	rc = error_set(&err, -errno, "cannot run sluiced: %s; install it beside sluice, or in PATH",
		strerror(errno));
	return cli_fail(&cli, rc, &err);
}
