/*
 * test_log_thread.c - the one who logs never waits for the one who reads
 *
 * Each case is a child whose standard error is a pipe that nobody reads until the test does.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "config/log.h"
#include "config/log_thread.h"

#define MANY 5000 /* more than the ring and any pipe hold */

static char said[1 << 20];

static void said_read(int fd)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
}

/* Runs @run; @reads: its standard error is read from when it is ready on, else after it has ended.
 * Out: its exit status. */
static int child_run(int (*run)(int ready), bool reads)
{
	int status, fds[2], ready[2];
	pid_t child;
	char byte;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		dup2(fds[1], STDERR_FILENO);
		close(fds[1]);
		_exit(run(ready[1]));
	}
	close(fds[1]);
	if (reads) {
		assert_int_equal(read(ready[0], &byte, 1), 1);
		said_read(fds[0]);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!reads)
		said_read(fds[0]);
	close(fds[0]);
	close(ready[0]);
	close(ready[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void many_log(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		log_info("line %u of many, long enough to fill a pipe of sixty-four KiB and a ring "
			 "behind it",
			i);
}

/* Standard error takes nothing more. */
static void pipe_fill(void)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);

	fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
	while (write(STDERR_FILENO, "x", 1) == 1)
		;
	fcntl(STDERR_FILENO, F_SETFL, flags);
}

static int unread_run(int ready)
{
	pipe_fill();
	if (log_thread_start())
		return 1;
	many_log(MANY);
	if (log_lines_lost() == 0)
		return 2;
	log_thread_stop(200);
	if (!log_thread_is_stuck())
		return 3;
	log_error("one more, which waits for nobody either");
	return 0;
}

static void reader_that_stands_still_holds_up_nobody(void **state)
{
	assert_int_equal(child_run(unread_run, false), 0);
	assert_null(strstr(said, "one more"));
}

static int late_run(int ready)
{
	pipe_fill();
	if (log_thread_start())
		return 1;
	many_log(MANY);
	if (log_lines_lost() == 0 || write(ready, "x", 1) != 1)
		return 2;
	log_thread_stop(30000);
	if (log_thread_is_stuck())
		return 3;
	log_warn("written by myself again");
	return 0;
}

static void lines_that_were_lost_are_counted_where_they_are_missing(void **state)
{
	unsigned next = 0;
	char *line, *rest;

	assert_int_equal(child_run(late_run, true), 0);
	for (line = strtok_r(said + strspn(said, "x"), "\n", &rest); line;
		line = strtok_r(NULL, "\n", &rest)) {
		char *text = strstr(line, ": ");
		unsigned number;

		assert_non_null(text);
		if (strstr(line, "lines of the log are missing here"))
			next += (unsigned)atoi(text + 2);
		else if (sscanf(text, ": line %u of many", &number) == 1)
			assert_int_equal(number, next++); /* in order, and each gap was told */
		else
			assert_non_null(strstr(text, "written by myself again"));
	}
	assert_int_equal(next, MANY);
}

static int short_run(int ready)
{
	if (log_thread_start())
		return 1;
	many_log(100);
	log_thread_stop(30000);
	return log_thread_is_stuck() || log_lines_lost() ? 2 : 0;
}

static void everything_is_written_before_the_end(void **state)
{
	assert_int_equal(child_run(short_run, false), 0);
	assert_non_null(strstr(said, "line 0 of many"));
	assert_non_null(strstr(said, "line 99 of many"));
	assert_null(strstr(said, "missing"));
}

static int gone_run(int ready)
{
	int fds[2];

	if (pipe(fds))
		return 1;
	dup2(fds[1], STDERR_FILENO);
	close(fds[0]);
	close(fds[1]);
	signal(SIGPIPE, SIG_IGN);
	if (log_thread_start())
		return 1;
	many_log(MANY);
	log_thread_stop(30000);
	return log_thread_is_stuck() ? 2 : 0;
}

static void reader_that_is_gone_holds_up_nobody(void **state)
{
	assert_int_equal(child_run(gone_run, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader_that_stands_still_holds_up_nobody),
		cmocka_unit_test(lines_that_were_lost_are_counted_where_they_are_missing),
		cmocka_unit_test(everything_is_written_before_the_end),
		cmocka_unit_test(reader_that_is_gone_holds_up_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
