/*
 * main.c - sluice-sim: many seeds, several processes, and the command that plays a bad one again
 *
 *     sluice-sim [--seeds N] [--first S] [--bytes MAX] [--jobs J] [--big] [--bad N] [-v]
 *
 * Each job is a process that takes the next seed from a shared counter, so a crash (an assertion of
 * the stack is one) costs that seed and nothing else: the parent names it and starts another job.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/sim/sim.h"

#define JOBS_MAX     16
#define BAD_DEFAULT  20 /* then stop: one bug shows in many seeds */
#define BYTES_DEFAULT 10000000u

struct shared {
	atomic_ullong next, packets, virtual_us, done, bad;
	unsigned long long at[JOBS_MAX]; /* the seed a job plays */
};

struct options {
	unsigned long long seeds, first, bytes_max;
	unsigned jobs, bad_max;
	bool is_verbose, is_big;
};

static void report_bad(
	const struct options *o, unsigned long long seed, const char *why, uint64_t at_us)
{
	char bytes[48] = "";

	if (o->bytes_max != BYTES_DEFAULT)
		snprintf(bytes, sizeof(bytes), " --bytes %llu", o->bytes_max);
	fprintf(stderr,
		"seed %llu at %.6f s: %s\n    again: tests/sim/run --first %llu --seeds 1%s%s -v\n",
		seed, (double)at_us / 1e6, why, seed, bytes, o->is_big ? " --big" : "");
}

static void play_seed(const struct options *o, struct shared *s, unsigned long long seed)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	if (!sim)
		abort();
	sim->seed = seed;
	sim->bytes_max = o->bytes_max;
	sim->is_verbose = o->is_verbose;
	sim->is_big = o->is_big;
	if (!sim_run(sim)) {
		report_bad(o, seed, sim->why, sim->now_us);
		atomic_fetch_add(&s->bad, 1);
	}
	atomic_fetch_add(&s->packets, sim->packets);
	atomic_fetch_add(&s->virtual_us, sim->now_us);
	atomic_fetch_add(&s->done, 1);
	free(sim);
}

static void job(const struct options *o, struct shared *s, unsigned idx)
{
	unsigned long long seed;

	while (atomic_load(&s->bad) < o->bad_max &&
		(seed = atomic_fetch_add(&s->next, 1)) < o->first + o->seeds) {
		s->at[idx] = seed;
		play_seed(o, s, seed);
	}
	fflush(stdout);
	_exit(0);
}

static pid_t start_job(const struct options *o, struct shared *s, unsigned idx)
{
	pid_t pid = fork();

	if (pid == 0)
		job(o, s, idx);
	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	return pid;
}

static void run(const struct options *o, struct shared *s)
{
	pid_t pids[JOBS_MAX];
	unsigned left = o->jobs;
	int status;

	for (unsigned i = 0; i < o->jobs; i++)
		pids[i] = start_job(o, s, i);
	while (left > 0) {
		pid_t pid = wait(&status);

		for (unsigned i = 0; i < o->jobs; i++) {
			if (pids[i] != pid)
				continue;
			left--;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
				continue;
			report_bad(o, s->at[i], "the process died", 0);
			atomic_fetch_add(&s->bad, 1);
			pids[i] = start_job(o, s, i);
			left++;
		}
	}
}

static int usage(void)
{
	fprintf(stderr, "usage: sluice-sim [--seeds N] [--first S] [--bytes MAX] [--jobs J] "
			"[--big] [--bad N] [-v]\n");
	return 2;
}

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "seeds", required_argument, NULL, 'n' },
		{ "first", required_argument, NULL, 'f' },
		{ "bytes", required_argument, NULL, 'b' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "bad", required_argument, NULL, 'x' },
		{ "big", no_argument, NULL, 'B' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "v", names, NULL)) != -1) {
		unsigned long long value = 0;
		char *end = NULL;

		if (optarg)
			value = strtoull(optarg, &end, 0);
		if (c == '?' || (optarg && (*end || end == optarg)))
			return false;
		o->is_verbose |= c == 'v';
		o->is_big |= c == 'B';
		o->seeds = c == 'n' ? value : o->seeds;
		o->first = c == 'f' ? value : o->first;
		o->bytes_max = c == 'b' ? value : o->bytes_max;
		o->bad_max = c == 'x' ? (unsigned)value : o->bad_max;
		o->jobs = c == 'j' ? (unsigned)value : o->jobs;
	}
	return optind == argc && o->jobs >= 1 && o->jobs <= JOBS_MAX;
}

int main(int argc, char **argv)
{
	struct options o = {.seeds = 1000,
		.first = 1,
		.bytes_max = BYTES_DEFAULT,
		.jobs = 1,
		.bad_max = BAD_DEFAULT};
	struct shared *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct timespec t0, t1;

	if (s == MAP_FAILED || !parse(argc, argv, &o))
		return usage();
	setenv("STT_CONN_MAX", SIM_PAIRS_TEXT, 1);
	setvbuf(stdout, NULL, _IOLBF, 0); /* or a crash takes the log with it */
	clock_gettime(CLOCK_MONOTONIC, &t0);
	atomic_store(&s->next, o.first);
	run(&o, s);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	printf("%llu seeds from %llu: %llu bad; %llu packets, %.0f s of virtual time in %.1f s\n",
		(unsigned long long)s->done, o.first, (unsigned long long)s->bad,
		(unsigned long long)s->packets, (double)s->virtual_us / 1e6,
		(double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
	return s->bad ? 1 : 0;
}
