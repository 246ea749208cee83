/*
 * test_host_process.c - the lock of one daemon, the process's protection, and the log
 *
 * What changes a process for good runs in a child of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "config/host/host.h"
#include "config/log.h"
#include "tests/unit/between.h"

#ifndef PR_GET_IO_FLUSHER
#define PR_GET_IO_FLUSHER 58
#endif

static struct error err;
static char dir[] = "/tmp/sluice-lock.XXXXXX";

static int dir_make(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int dir_remove(void **state)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/lock", dir);
	unlink(path);
	return rmdir(dir);
}

static int child_status(int (*run)(void))
{
	pid_t child = fork();
	int status = -1;

	assert_true(child >= 0);
	if (child == 0)
		_exit(run());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void second_daemon_is_told_who_holds_the_lock(void **state)
{
	char pid[32];
	int fd = host_lock(dir, &err);

	assert_true(fd >= 0);
	assert_int_equal(host_lock(dir, &err), -EBUSY);
	snprintf(pid, sizeof(pid), "(pid %d)", (int)getpid());
	assert_non_null(strstr(err.text, pid));
	assert_non_null(strstr(err.text, "run_dir"));
	close(fd);
	fd = host_lock(dir, &err);
	assert_true(fd >= 0);
	close(fd);
}

static void lock_of_a_dead_daemon_is_free(void **state)
{
	char path[64], text[32] = {0};
	int fd, file;

	snprintf(path, sizeof(path), "%s/lock", dir);
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(file >= 0);
	assert_int_equal(write(file, "99999999999999", 14), 14);
	close(file);
	fd = host_lock(dir, &err);
	assert_true(fd >= 0);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_int_equal(atoi(text), getpid());
	close(fd);
}

static void lock_that_cannot_be_made_is_told(void **state)
{
	assert_int_equal(host_lock("/proc/nothere/x", &err), -ENOENT);
	assert_non_null(strstr(err.text, "cannot make /proc/nothere/x"));
	assert_int_equal(host_lock("/dev/null", &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "cannot open /dev/null/lock"));
}

/* 0: as promised; 1..: which promise was broken; 77: this place does not allow it. */
static int namespace_run(void)
{
	struct stat before, after;

	if (stat("/proc/self/ns/mnt", &before))
		return 1;
	host_process_protect(NULL, 0, &err);
	if (strstr(err.text, "mount namespace"))
		return 77;
	return stat("/proc/self/ns/mnt", &after) == 0 && before.st_ino != after.st_ino ? 0 : 2;
}

static void process_gets_a_mount_namespace_of_its_own(void **state)
{
	int status = child_status(namespace_run);

	if (status == 77)
		skip();
	assert_int_equal(status, 0);
}

/* Is there a mount at @point in our namespace? */
static bool is_mount(const char *point)
{
	FILE *file = fopen("/proc/self/mountinfo", "r");
	char line[4096], want[256];
	bool is_found = false;

	snprintf(want, sizeof(want), " %s ", point);
	while (file && fgets(line, sizeof(line), file))
		is_found |= strstr(line, want) != NULL;
	if (file)
		fclose(file);
	return is_found;
}

/* The machine is a namespace of the test's: a disk at @dir/disk, another at "@dir/a b", a run
 * directory of its own. */
static int mounts_run(void)
{
	const char *const points[] = {"disk", "a b", "run", "run/inner"};
	const char *paths[2] = {NULL, NULL};
	char path[4][64], needed[80];

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 77;
	for (unsigned i = 0; i < 4; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/%s", dir, points[i]);
		if (mkdir(path[i], 0700) || mount("none", path[i], "tmpfs", 0, NULL))
			return 77;
	}
	snprintf(needed, sizeof(needed), "%s/not/there/yet", path[2]);
	paths[0] = needed;
	if (host_mounts_leave(paths, 2))
		return 1;
	snprintf(path[1], sizeof(path[1]), "%s/a\\040b", dir);
	if (is_mount(path[0]) || is_mount(path[1]) || is_mount(path[3]))
		return 2;
	if (!is_mount(path[2]) || !is_mount("/proc") || !is_mount("/sys") || !is_mount("/dev"))
		return 3;
	return access("/proc/self/exe", R_OK) || access("/etc/passwd", R_OK) ? 4 : 0;
}

static void daemon_holds_no_mount_but_what_it_needs(void **state)
{
	static const char *const points[] = {"disk", "a b", "run"};
	int status = child_status(mounts_run);
	char path[64];

	for (unsigned i = 0; i < 3; i++) { /* the tmpfs went with the child's namespace */
		snprintf(path, sizeof(path), "%s/%s", dir, points[i]);
		rmdir(path);
	}
	if (status == 77)
		skip();
	assert_int_equal(status, 0);
}

static int protected_run(void)
{
	char score[16] = {0};
	int fd;

	if (host_process_protect(NULL, 0, &err))
		return 77;
	if (prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) != 1)
		return 3;
	fd = open("/proc/self/oom_score_adj", O_RDONLY);
	if (fd < 0 || read(fd, score, sizeof(score) - 1) <= 0 || atoi(score) != -1000)
		return 4;
	if (host_thread_protect())
		return 5;
	return 0;
}

static void *hurry_run(void *arg)
{
	int *rc = arg;

	*rc = host_thread_hurry();
	if (*rc == 0 && getpriority(PRIO_PROCESS, 0) != -20)
		*rc = -EINVAL;
	return NULL;
}

static int hurried_run(void)
{
	int before = getpriority(PRIO_PROCESS, 0), rc = -EINVAL;
	pthread_t thread;

	host_process_protect(NULL, 0, &err); /* only asks whether it may */
	if (getpriority(PRIO_PROCESS, 0) != before)
		return 1;
	if (pthread_create(&thread, NULL, hurry_run, &rc) || pthread_join(thread, NULL))
		return 2;
	if (rc == -EACCES)
		return 77;
	return rc == 0 && getpriority(PRIO_PROCESS, 0) == before ? 0 : 3;
}

static void thread_goes_first_and_its_siblings_do_not(void **state)
{
	int status = child_status(hurried_run);

	if (status == 77)
		skip();
	assert_int_equal(status, 0);
}

static void process_is_spared_by_the_oom_killer_and_reclaim(void **state)
{
	int status = child_status(protected_run);

	if (status == 77)
		skip();
	assert_int_equal(status, 0);
}

static int refused_run(void)
{
	if (setgid(65534) || setuid(65534))
		return 77;
	if (host_process_protect(NULL, 0, &err) == 0)
		return 1;
	if (!strstr(err.text, "PR_SET_IO_FLUSHER") || !strstr(err.text, "OOM score") ||
		!strstr(err.text, "mount namespace") ||
		!strstr(err.text, "priority of the workers"))
		return 2;
	return 0;
}

static void every_refused_protection_is_named(void **state)
{
	int status = child_status(refused_run);

	if (status == 77)
		skip();
	assert_int_equal(status, 0);
}

/* The kernel's own figure: locked memory of this process in kB, or -1. */
static long locked_kb(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long kb = -1;

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "VmLck:", 6) == 0)
			kb = atol(line + 6);
	}
	if (file)
		fclose(file);
	return kb;
}

static int locked_run(void)
{
	long before = locked_kb();
	void *late;

	/* The sanitizers put a function that does nothing in mlockall's place. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return 77;
#endif
	if (host_memory_lock(&err))
		return 77;
	if (locked_kb() <= before)
		return 1;
	before = locked_kb();
	late = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (late == MAP_FAILED || locked_kb() < before + 1024)
		return 2;
	return 0;
}

static void memory_is_locked_now_and_later(void **state)
{
	int status = child_status(locked_run);

	if (status == 77)
		skip();
	assert_int_equal(status, 0);
}

/* ---- log ---- */

/* What @say writes to stderr. */
static void logged(void (*say)(void), char *out, size_t out_bytes)
{
	int saved = dup(STDERR_FILENO), ends[2];
	ssize_t got;

	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	say();
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(ends[1]);
	close(saved);
	got = read(ends[0], out, out_bytes - 1);
	close(ends[0]);
	assert_true(got >= 0);
	out[got] = '\0';
}

static void (*said)(void);

/* As systemd does it: the variable has the numbers of the descriptor that is stderr. */
static void say_to_journal(void)
{
	struct stat st;
	char text[64];

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", text, 1), 0);
	said();
	unsetenv("JOURNAL_STREAM");
}

static void logged_to_journal(void (*say)(void), char *out, size_t out_bytes)
{
	said = say;
	logged(say_to_journal, out, out_bytes);
}

static void say_levels(void)
{
	log_level_set(LOG_LEVEL_WARN);
	log_info("not this");
	log_error("one %d", 1);
	log_warn("two");
	log_level_set(LOG_LEVEL_INFO);
}

static void say_evil(void)
{
	log_info("server said \"%s\"", "a\n<3>forged\x1b[2J\x7f");
}

static void say_much(void)
{
	static char text[5000];

	memset(text, 'x', sizeof(text) - 1);
	log_info("%s", text);
}

/* A pipe is no journal, whatever JOURNAL_STREAM says of another descriptor. */
static void log_lines_of_a_file_carry_time_and_name(void **state)
{
	char out[256], name[64], level[32], text[64];
	int y, mo, d, h, mi, s, ms, pid;

	assert_int_equal(setenv("JOURNAL_STREAM", "1:2", 1), 0);
	logged(say_levels, out, sizeof(out));
	unsetenv("JOURNAL_STREAM");
	assert_int_equal(
		sscanf(out, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %63[a-z_][%d] %31[a-z]: %63[^\n]\n", &y,
			&mo, &d, &h, &mi, &s, &ms, name, &pid, level, text),
		11);
	assert_true(y >= 2024);
	assert_int_equal(pid, getpid());
	assert_string_equal(name, program_invocation_short_name);
	assert_string_equal(level, "error");
	assert_string_equal(text, "one 1");
	assert_non_null(strstr(out, " warning: two\n"));
}

static void log_lines_carry_their_level(void **state)
{
	char out[256];

	logged_to_journal(say_levels, out, sizeof(out));
	assert_string_equal(out, "<3>one 1\n<4>two\n");
}

static void log_lines_cannot_be_forged(void **state)
{
	char out[256];

	logged_to_journal(say_evil, out, sizeof(out));
	assert_string_equal(out, "<6>server said \"a <3>forged [2J \"\n");
}

static void overlong_log_line_is_cut_to_one_line(void **state)
{
	char out[8192];

	logged(say_much, out, sizeof(out));
	assert_between(strlen(out), 900, 1024);
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(second_daemon_is_told_who_holds_the_lock),
		cmocka_unit_test(lock_of_a_dead_daemon_is_free),
		cmocka_unit_test(lock_that_cannot_be_made_is_told),
		cmocka_unit_test(process_gets_a_mount_namespace_of_its_own),
		cmocka_unit_test(daemon_holds_no_mount_but_what_it_needs),
		cmocka_unit_test(process_is_spared_by_the_oom_killer_and_reclaim),
		cmocka_unit_test(thread_goes_first_and_its_siblings_do_not),
		cmocka_unit_test(every_refused_protection_is_named),
		cmocka_unit_test(memory_is_locked_now_and_later),
		cmocka_unit_test(log_lines_carry_their_level),
		cmocka_unit_test(log_lines_of_a_file_carry_time_and_name),
		cmocka_unit_test(log_lines_cannot_be_forged),
		cmocka_unit_test(overlong_log_line_is_cut_to_one_line),
	};

	return cmocka_run_group_tests(tests, dir_make, dir_remove);
}
