/*
 * main.c - sluiced: from a command line to a daemon, and back out
 *
 * The order matters and is the whole file. First everything that can be wrong is looked for, while
 * a sentence on stderr still reaches the person who typed the command: the file, the machine,
 * another daemon. Then the process protects itself (own mount namespace, OOM score,
 * PR_SET_IO_FLUSHER), because what it serves may be the disk it would otherwise wait for. Then
 * DPDK, ports and workers; memory is locked once it is all there. Then volumes, and the control
 * socket, until a signal.
 *
 * SIGTERM and SIGINT detach every volume in order, and leave those in use to the next daemon.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "config/config.h"
#include "config/host/host.h"
#include "config/log.h"
#include "config/log_thread.h"
#include "daemon/bench_main.h"
#include "daemon/daemon.h"
#include "daemon/engine/engine_info.h"

#define EXIT_USAGE    2
#define ARG_COUNT_MAX 64

static const char usage_text[] =
	"usage: sluiced -c FILE [--check] [--memory] [--keep] [-- EAL-ARGUMENT...]\n"
	"       sluiced -c FILE --bench URI [BENCH-OPTION...]\n"
	"\n"
	"  -c, --config FILE  configuration, see sluice.yaml(5)\n"
	"  --check            look for mistakes in FILE and on this machine, then exit\n"
	"  --memory           print the MiB of memory FILE makes DPDK need, then exit\n"
	"  --keep             at the end leave every device to the next sluiced\n"
	"  --bench URI        run one load against URI in this process, print the result, exit; "
	"with fio's names:\n"
	"                     --rw=RW --bs=SIZE[-SIZE] --iodepth=N --runtime=S --size=SIZE "
	"--rwmixread=PERCENT\n"
	"                     --seed=N --thinktime=US --verify --json; and Sluice's own: "
	"--volumes=N "
	"(at the same URI),\n"
	"                     --busy=N (of these, how many have a load)\n"
	"  --no-ublk          start without the kernel's ublk driver: probe and status, no block "
	"devices\n"
#if SLUICE_FAULT_INJECTION
	"  --starve, --level=green|yellow|red, --plant-allocation\n"
	"                     with --bench, in this build with fault injection: see sluice fault; "
	"an allocation on a worker\n"
#endif
	"  --version          print the version\n"
	"  -h, --help         this\n"
	"\n"
	"Status: 0 success, 1 failure, 2 usage error. More in sluiced(8).\n";

enum {
	OPT_CHECK = 256,
	OPT_BENCH,
	OPT_VERSION,
	OPT_KEEP,
	OPT_NO_UBLK,
	OPT_MEMORY,
	OPT_BENCH_FIRST
};

static const struct option options[] = {
	{"config", required_argument, NULL, 'c'},
	{"check", no_argument, NULL, OPT_CHECK},
	{"memory", no_argument, NULL, OPT_MEMORY},
	{"bench", no_argument, NULL, OPT_BENCH},
	{"keep", no_argument, NULL, OPT_KEEP},
	{"version", no_argument, NULL, OPT_VERSION},
	{"no-ublk", no_argument, NULL, OPT_NO_UBLK},
	{"help", no_argument, NULL, 'h'},
	{"rw", required_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_RW},
	{"bs", required_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_BS},
	{"iodepth", required_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_IODEPTH},
	{"runtime", required_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_RUNTIME},
	{"size", required_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_SIZE},
	{"rwmixread", required_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_MIX},
	{"seed", required_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_SEED},
	{"thinktime", required_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_THINK},
	{"verify", no_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_VERIFY},
	{"json", no_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_JSON},
	{"volumes", required_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_VOLUMES},
	{"busy", required_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_BUSY},
#if SLUICE_FAULT_INJECTION
	{"starve", no_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_STARVE},
	{"level", required_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_LEVEL},
	{"plant-allocation", no_argument, NULL, OPT_BENCH_FIRST + BENCH_OPT_ALLOC},
#endif
	{NULL, 0, NULL, 0},
};

struct cmdline {
	char *config;
	bool is_check, is_bench, is_keeping, has_no_ublk, is_memory;
	struct bench_args bench;
	int eal_argc;
	char **eal_argv;
};

/* Out: -1 to go on, else the exit status. */
static int cmdline_parse(int argc, char **argv, struct cmdline *c)
{
	struct error err = {""};
	int opt, i;

	while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (opt >= OPT_BENCH_FIRST) {
			if (bench_arg(&c->bench, opt - OPT_BENCH_FIRST, optarg, &err)) {
				fprintf(stderr, "sluiced: %s\n", err.text);
				return EXIT_USAGE;
			}
			continue;
		}
		switch (opt) {
		case 'c':
			c->config = optarg;
			break;
		case OPT_CHECK:
			c->is_check = true;
			break;
		case OPT_MEMORY:
			c->is_memory = true;
			break;
		case OPT_BENCH:
			c->is_bench = true;
			break;
		case OPT_KEEP:
			c->is_keeping = true;
			break;
		case OPT_NO_UBLK:
			c->has_no_ublk = true;
			break;
		case OPT_VERSION:
			printf("sluiced %s\n", SLUICE_VERSION);
			return 0;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		default:
			fputs(usage_text, stderr);
			return EXIT_USAGE;
		}
	}
	for (i = optind; i < argc && strcmp(argv[i - 1], "--") != 0; i++) {
		if (c->bench.uri) {
			fprintf(stderr, "sluiced: --bench takes one URI; \"%s\" is one too many\n",
				argv[i]);
			return EXIT_USAGE;
		}
		c->bench.uri = argv[i];
	}
	c->eal_argc = argc - i;
	c->eal_argv = argv + i;
	if (c->config && c->is_bench == (c->bench.uri != NULL))
		return -1;
	fputs(usage_text, stderr);
	return EXIT_USAGE;
}

/* @json: --bench --json, whose answer is JSON in any case. */
static int fail(bool json, int rc, const struct error *err)
{
	if (json)
		bench_print_failure(rc, err);
	if (!log_thread_is_stuck()) /* it would not be read, and the process would not end */
		fprintf(stderr, "sluiced: %s\n", err->text);
	return EXIT_FAILURE;
}

static int check_only(const struct config *cfg)
{
	struct error err = {""};
	int rc = host_check(cfg, true, &err);

	if (rc)
		return fail(false, rc, &err);
	printf("sluiced: configuration and machine are good: %u port(s), %u volume(s)\n",
		cfg->port_count, cfg->volume_count);
	return EXIT_SUCCESS;
}

/* What must be right before anything is started. 0 or -errno; *lock is set for the daemon. */
static int prepare(const struct cmdline *c, struct config *cfg, int *lock, struct error *err)
{
	int rc;

	config_defaults(cfg);
	rc = config_load(c->config, cfg, err);
	if (rc)
		return rc;
	log_level_set(cfg->log_level);
	cfg->memory_plan_mib = engine_memory_mib(cfg);
	if (c->is_check || c->is_memory)
		return 0;
	rc = host_check(cfg, !c->is_bench && !c->has_no_ublk, err);
	if (rc || c->is_bench)
		return rc;
	*lock = host_lock(cfg->run_dir, err);
	return *lock < 0 ? *lock : 0;
}

/*
 * Becomes the next image of the program, by the same command, as it lies on the disk now. Whatever
 * descriptor a library left open ends here, for the kernel's devices are to see their daemon end.
 * Returns only if that failed.
 */
static int start_again(const struct cmdline *c, char *name)
{
	static char config[] = "-c", keep[] = "--keep", no_ublk[] = "--no-ublk", raw[] = "--";
	char path[PATH_MAX] = "", *argv[ARG_COUNT_MAX] = {name, config, c->config};
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *deleted = len > 0 ? strstr(path, " (deleted)") : NULL;
	struct error err = {""};
	int n = 3;

	if (deleted)
		*deleted = '\0';
	if (c->is_keeping)
		argv[n++] = keep;
	if (c->has_no_ublk)
		argv[n++] = no_ublk;
	if (c->eal_argc > 0)
		argv[n++] = raw;
	for (int i = 0; i < c->eal_argc && n + 1 < ARG_COUNT_MAX; i++)
		argv[n++] = c->eal_argv[i];
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	execv(path, argv);
	error_set(&err, -errno, "starting anew: %s: %s; the devices wait for the next sluiced",
		path, strerror(errno));
	return fail(false, -EIO, &err);
}

/* The working directory goes with the mounts that are left. */
static void config_path_make_absolute(struct cmdline *c)
{
	static char path[PATH_MAX];

	if (realpath(c->config, path))
		c->config = path;
}

int main(int argc, char **argv)
{
	static struct config cfg; /* large; the process has one */
	struct cmdline c = {.bench.cfg.rwmix_read_pct = 50}; /* as fio has it */
	struct error err = {""};
	struct daemon_run run;
	int rc = cmdline_parse(argc, argv, &c), lock = -1;

	if (rc >= 0)
		return rc;
	signal(SIGPIPE, SIG_IGN);
	rc = prepare(&c, &cfg, &lock, &err);
	if (rc == 0 && c.is_memory)
		return printf("%u\n", cfg.memory_plan_mib) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (rc == 0 && c.is_check)
		return check_only(&cfg);
	config_path_make_absolute(&c);
	run = (struct daemon_run){
		.cfg = &cfg,
		.config_path = c.config,
		.is_keeping = c.is_keeping,
		.eal_argc = c.eal_argc,
		.eal_argv = c.eal_argv};
	if (rc == 0)
		rc = c.is_bench ? bench_main(&run, &c.bench, &err) : daemon_main(&run, &err);
	if (rc < 0)
		rc = fail(c.is_bench && c.bench.is_json, rc, &err);
	if (lock >= 0)
		close(lock);
	return rc == DAEMON_AGAIN ? start_again(&c, argv[0]) : rc;
}
