/*
 * test_signals.c - no signal ends or stops the daemon but those that shall
 *
 * Each case runs in a child, whose log is a pipe.
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
#include "daemon/signals.h"

static char said[65536];

/* Runs @run with its standard error kept in said. Out: what waitpid() says. */
static int child_run(int (*run)(int arg), int arg)
{
	size_t len = 0;
	int status, fds[2];
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(fds[1], STDERR_FILENO);
		signal(SIGQUIT,
			SIG_DFL); /* a shell's background job, as this test may be, ignores both */
		signal(SIGINT, SIG_DFL);
		_exit(run(arg));
	}
	close(fds[1]);
	while ((n = read(fds[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* The number of signals that ask for an end, of one @sig; 100 for one that asks for a reload. */
static int raised(int sig)
{
	int fd = signals_open(), ends;
	bool is_reload;

	if (fd < 0 || kill(getpid(), sig))
		return 99;
	ends = (int)signals_read(fd, &is_reload);
	return is_reload ? 100 : ends;
}

static void no_signal_but_the_documented_ones_ends_the_daemon(void **state)
{
	static const int deadly[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
		SIGSYS, SIGABRT, SIGQUIT, SIGPIPE, SIGTERM, SIGINT, SIGHUP};

	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		bool is_listed = sig >= 32 && sig < SIGRTMIN; /* the C library's own */
		int status;

		for (unsigned i = 0; i < sizeof(deadly) / sizeof(*deadly); i++)
			is_listed |= deadly[i] == sig;
		if (is_listed)
			continue;
		status = child_run(raised, sig);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("signal %d: status 0x%x", sig, status);
	}
}

static void ignored_signal_is_logged(void **state)
{
	static const struct {
		int sig;
		const char *name;
	} some[] = {{SIGUSR1, "SIGUSR1"}, {SIGALRM, "SIGALRM"}, {SIGTSTP, "SIGTSTP"},
		{SIGXFSZ, "SIGXFSZ"}};

	for (unsigned i = 0; i < sizeof(some) / sizeof(*some); i++) {
		child_run(raised, some[i].sig);
		if (!strstr(said, some[i].name))
			fail_msg("%s: \"%s\"", some[i].name, said);
	}
	child_run(raised, SIGWINCH); /* does nothing by default: no line either */
	assert_string_equal(said, "");
}

static void sighup_asks_for_a_reload(void **state)
{
	int status = child_run(raised, SIGHUP);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 100);
	assert_string_equal(said, "");
}

static void sigterm_and_sigint_ask_for_the_end(void **state)
{
	int status = child_run(raised, SIGTERM);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	status = child_run(raised, SIGINT);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_string_equal(said, "");
}

static void sigquit_and_faults_still_end_it(void **state)
{
	int status = child_run(raised, SIGQUIT);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
	status = child_run(raised, SIGABRT);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_signal_but_the_documented_ones_ends_the_daemon),
		cmocka_unit_test(ignored_signal_is_logged),
		cmocka_unit_test(sighup_asks_for_a_reload),
		cmocka_unit_test(sigterm_and_sigint_ask_for_the_end),
		cmocka_unit_test(sigquit_and_faults_still_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
