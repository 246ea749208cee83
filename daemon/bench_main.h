/*
 * bench_main.h - sluiced --bench: the daemon in one-shot mode, with the bench front end
 */
#ifndef DAEMON_BENCH_MAIN_H
#define DAEMON_BENCH_MAIN_H

#include <stdbool.h>
#include "config/error.h"
#include "daemon/daemon.h"
#include "nbd_client/bench/bench.h"

enum bench_opt {
	BENCH_OPT_RW,
	BENCH_OPT_BS,
	BENCH_OPT_IODEPTH,
	BENCH_OPT_RUNTIME,
	BENCH_OPT_SIZE,
	BENCH_OPT_MIX,
	BENCH_OPT_SEED,
	BENCH_OPT_THINK,
	BENCH_OPT_VERIFY,
	BENCH_OPT_JSON,
	BENCH_OPT_STARVE, /* fault injection: the reserve alone */
	BENCH_OPT_LEVEL,  /* fault injection: holds the port at a level */
	BENCH_OPT_VOLUMES, /* so many volumes of that URI … */
	BENCH_OPT_BUSY,	   /* … of which the first so many make the load */
	BENCH_OPT_ALLOC,  /* fault injection: springs the allocation trap */
};

struct bench_args {
	const char *uri, *rw, *bs;
	struct bench_config cfg; /* zero fields get fio's defaults */
	bool is_json, is_starved, is_trapped;
	bool is_runtime_given; /* as 0 it means: the region once */
	unsigned volumes, busy; /* 0: one; all */
	const char *level; /* NULL: as it comes */
};

/* One option as getopt found it. 0 or -EINVAL with @err. */
int bench_arg(struct bench_args *a, int opt, const char *text, struct error *err);

/* One line of JSON on standard output for what went wrong, as `sluice --json` prints it. */
void bench_print_failure(int rc, const struct error *err);
/* Runs the load. Out: 0 good, 1 if an I/O or a verify failed, -errno with @err if it never ran. */
int bench_main(const struct daemon_run *run, struct bench_args *args, struct error *err);

#endif
