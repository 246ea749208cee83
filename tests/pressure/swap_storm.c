/*
 * swap_storm.c - processes that want more memory than there is, and read all of it back
 *
 *	swap_storm --mib=N [--processes=N] [--rounds=N] [--stall=S] [--blocked] [--pulse=FILE]
 *
 * Each process maps its share, writes every page with a pattern made of its own number and the
 * page's, waits until all have, and reads the share back --rounds times. Pages that do not fit go
 * to swap and come back, so a word out of place was spoilt on the way there or back, and is
 * reported with the place. They wait so that all of it is wanted at once: else a few may be done
 * before the others begin, and there is room for everybody.
 *
 * The parent is the watchdog. It is resident (what it watches is the memory of everybody else),
 * counts pages by a shared table, and says how far things are. When no process gets on for --stall
 * seconds it says where they stand, has the kernel print who is blocked (--blocked), and gives up:
 * processes that wait for a page that never comes cannot be killed, so it does not wait for them.
 * Another watchdog must stand outside of the machine, for a machine may stop as a whole. With
 * --pulse it makes FILE and removes it every few seconds, for who floods the machine while it is
 * there, and says what that cost (pulse.c).
 *
 * It ends with a line "finished in S s", "stuck at …" or "spoilt: …", before that of the pulses;
 * the status is 0, 1 or 2.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/pressure/pulse.h"

#define PAGE_BYTES   4096u
#define PAGE_WORDS   (PAGE_BYTES / sizeof(uint64_t))
#define PROCESS_MAX  256
#define TELL_MS	     5000
#define LOOK_MS	     100
#define EXIT_STUCK   1
#define EXIT_SPOILT  2
#define EXIT_USAGE   64

/* One line of the shared table; written by its process, read by the parent. */
struct progress {
	uint64_t written, read; /* pages */
	uint64_t spoilt_page, spoilt_word; /* valid when is_spoilt */
	bool is_spoilt;
} __attribute__((aligned(64)));

/* What all of them share. */
struct storm {
	pthread_barrier_t written;
	struct progress table[PROCESS_MAX];
};

struct options {
	uint64_t mib;
	unsigned processes, rounds, stall_s;
	bool shows_blocked;
	const char *pulse;
};

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void pause_ms(unsigned ms)
{
	const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

static bool text_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* ---- a process of the storm ---- */

static uint64_t word_of(unsigned process, uint64_t page, unsigned word)
{
	return (((uint64_t)process << 40 | page) * PAGE_WORDS + word) *
	       UINT64_C(0x9e3779b97f4a7c15);
}

static void page_write(uint64_t *at, unsigned process, uint64_t page)
{
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		at[i] = word_of(process, page, i);
}

/* Out: the first word that is not what was written, or PAGE_WORDS. */
static unsigned page_check(const uint64_t *at, unsigned process, uint64_t page)
{
	unsigned i = 0;

	while (i < PAGE_WORDS && at[i] == word_of(process, page, i))
		i++;
	return i;
}

static int storm_process(const struct options *opt, unsigned process, struct storm *storm)
{
	struct progress *p = &storm->table[process];
	uint64_t pages = opt->mib * ((1u << 20) / PAGE_BYTES) / opt->processes, page;
	uint64_t *memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	unsigned round, word;

	if (memory == MAP_FAILED || prctl(PR_SET_PDEATHSIG, SIGKILL))
		return EXIT_USAGE;
	/* The parent is spared by the OOM killer; its children are what it may have first. */
	text_write("/proc/self/oom_score_adj", "1000");
	for (page = 0; page < pages; page++) {
		page_write(memory + page * PAGE_WORDS, process, page);
		__atomic_store_n(&p->written, page + 1, __ATOMIC_RELAXED);
	}
	pthread_barrier_wait(&storm->written);
	for (round = 0; round < opt->rounds; round++)
		for (page = 0; page < pages; page++) {
			word = page_check(memory + page * PAGE_WORDS, process, page);
			if (word < PAGE_WORDS) {
				p->spoilt_page = page;
				p->spoilt_word = word;
				__atomic_store_n(&p->is_spoilt, true, __ATOMIC_RELEASE);
				return EXIT_SPOILT;
			}
			__atomic_store_n(&p->read, p->read + 1, __ATOMIC_RELAXED);
		}
	return 0;
}

/* ---- the parent ---- */

struct totals {
	uint64_t written, read;
	int spoilt; /* a process that found something else, or -1 */
};

static struct totals totals_of(const struct progress *table, unsigned count)
{
	struct totals t = {.spoilt = -1};

	for (unsigned i = 0; i < count; i++) {
		t.written += __atomic_load_n(&table[i].written, __ATOMIC_RELAXED);
		t.read += __atomic_load_n(&table[i].read, __ATOMIC_RELAXED);
		if (__atomic_load_n(&table[i].is_spoilt, __ATOMIC_ACQUIRE))
			t.spoilt = (int)i;
	}
	return t;
}

static void tell(const struct options *opt, const struct totals *t, const char *what, uint64_t ms)
{
	printf("%s written %llu MiB, read %llu of %llu MiB after %llu.%llu s\n", what,
		(unsigned long long)(t->written / 256), (unsigned long long)(t->read / 256),
		(unsigned long long)(opt->mib * opt->rounds), (unsigned long long)(ms / 1000),
		(unsigned long long)(ms % 1000 / 100));
	fflush(stdout);
}

/* Out: how many of @left ended just now; *failed grows by those that were killed or could not
 * begin. */
static unsigned reap(unsigned *failed)
{
	unsigned ended = 0;
	int status;

	while (waitpid(-1, &status, WNOHANG) > 0) {
		ended++;
		*failed += !WIFEXITED(status) ||
			   (WEXITSTATUS(status) && WEXITSTATUS(status) != EXIT_SPOILT);
	}
	return ended;
}

static int watch(const struct options *opt, const struct progress *table, struct pulse *pulse)
{
	uint64_t start = clock_ms(), moved = start, told = start, now, seen = 0;
	unsigned left = opt->processes, failed = 0;
	struct totals t;

	for (;;) {
		left -= reap(&failed);
		now = clock_ms();
		t = totals_of(table, opt->processes);
		if (t.spoilt >= 0) {
			printf("spoilt: process %d, page %llu, word %llu\n", t.spoilt,
				(unsigned long long)table[t.spoilt].spoilt_page,
				(unsigned long long)table[t.spoilt].spoilt_word);
			return EXIT_SPOILT;
		}
		if (failed) {
			tell(opt, &t, "stuck at (a process was killed)", now - start);
			return EXIT_STUCK;
		}
		if (!left)
			break;
		if (t.written + t.read != seen) {
			seen = t.written + t.read;
			moved = now;
		}
		if (now - moved > opt->stall_s * 1000ull) {
			if (opt->shows_blocked)
				text_write("/proc/sysrq-trigger", "w");
			tell(opt, &t, "stuck at", now - start);
			return EXIT_STUCK;
		}
		if (now - told >= TELL_MS) {
			tell(opt, &t, "storm:", now - start);
			told = now;
		}
		if (t.read) /* written as fast as it goes and read back are two paces */
			pulse_look(pulse, now);
		pause_ms(LOOK_MS);
	}
	now = clock_ms() - start;
	printf("finished in %llu.%llu s\n", (unsigned long long)(now / 1000),
		(unsigned long long)(now % 1000 / 100));
	return 0;
}

static bool options_read(int argc, char **argv, struct options *opt)
{
	static const struct option names[] = {{"mib", required_argument, NULL, 'm'},
		{"processes", required_argument, NULL, 'p'},
		{"rounds", required_argument, NULL, 'r'}, {"stall", required_argument, NULL, 's'},
		{"blocked", no_argument, NULL, 'b'}, {"pulse", required_argument, NULL, 'u'},
		{NULL, 0, NULL, 0}};
	int c;

	*opt = (struct options){.processes = 16, .rounds = 1, .stall_s = 30};
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'm')
			opt->mib = strtoull(optarg, NULL, 10);
		else if (c == 'p')
			opt->processes = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'r')
			opt->rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 's')
			opt->stall_s = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'b')
			opt->shows_blocked = true;
		else if (c == 'u')
			opt->pulse = optarg;
		else
			return false;
	}
	return opt->mib >= opt->processes && opt->processes > 0 && opt->processes <= PROCESS_MAX &&
	       opt->stall_s > 0;
}

static void end_all(const pid_t *pids, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
}

int main(int argc, char **argv)
{
	static pid_t pids[PROCESS_MAX];
	struct options opt;
	struct pulse pulse;
	pthread_barrierattr_t shared;
	struct storm *storm;
	int rc;

	if (!options_read(argc, argv, &opt)) {
		fprintf(stderr, "usage: swap_storm --mib=N [--processes=N] [--rounds=N] "
				"[--stall=S] [--blocked] [--pulse=FILE]\n");
		return EXIT_USAGE;
	}
	storm = mmap(
		NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (storm == MAP_FAILED || mlockall(MCL_CURRENT | MCL_FUTURE)) {
		fprintf(stderr, "swap_storm: %s: run it as root\n", strerror(errno));
		return EXIT_USAGE;
	}
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&storm->written, &shared, opt.processes);
	text_write("/proc/self/oom_score_adj", "-1000");
	for (unsigned i = 0; i < opt.processes; i++) {
		pids[i] = fork(); /* locks are not inherited */
		if (pids[i] == 0)
			_exit(storm_process(&opt, i, storm));
		if (pids[i] > 0)
			continue;
		fprintf(stderr, "swap_storm: fork: %s\n", strerror(errno));
		end_all(pids, i);
		return EXIT_USAGE;
	}
	pulse_begin(&pulse, opt.pulse);
	rc = watch(&opt, storm->table, &pulse);
	pulse_end(&pulse);
	if (rc)
		end_all(pids, opt.processes);
	return rc;
}
