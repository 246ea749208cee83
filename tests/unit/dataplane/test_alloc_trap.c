/*
 * test_alloc_trap.c - an armed thread that allocates ends the process with a line; any other is
 * left alone
 *
 * Each attempt is made in a child, whose end is looked at. Sanitized builds have no trap and skip.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <pthread.h>
#include "dataplane/alloc_trap.h"

static void *volatile kept;

static void by_malloc(void)
{
	kept = malloc(64);
}

static void by_calloc(void)
{
	kept = calloc(1, 64);
}

static void by_realloc(void)
{
	kept = realloc(kept, 128);
}

static void by_aligned_alloc(void)
{
	kept = aligned_alloc(64, 64);
}

static void by_posix_memalign(void)
{
	void *p = NULL;

	if (posix_memalign(&p, 64, 64) == 0)
		kept = p;
}

static void *by_other_thread(void *arg)
{
	by_malloc();
	return arg;
}

/* Runs @attempt in a child, armed or not. Out: its wait status; what it said is in @said. */
static int child(void (*attempt)(void), bool is_armed, char *said, size_t bytes)
{
	int status, pipes[2];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[1]);
		alloc_trap_arm(is_armed);
		attempt();
		alloc_trap_arm(false);
		_exit(0);
	}
	close(pipes[1]);
	n = read(pipes[0], said, bytes - 1);
	said[n > 0 ? n : 0] = 0;
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void aborts(void (*attempt)(void))
{
	char said[128];
	int status;

	if (!alloc_trap_is_built())
		skip();
	status = child(attempt, true, said, sizeof(said));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_string_equal(said, "sluiced: a worker allocated memory after start; aborting\n");
	assert_int_equal(child(attempt, false, said, sizeof(said)), 0);
	assert_string_equal(said, "");
}

static void malloc_on_an_armed_thread_aborts(void **state)
{
	aborts(by_malloc);
}

static void calloc_on_an_armed_thread_aborts(void **state)
{
	aborts(by_calloc);
}

static void realloc_on_an_armed_thread_aborts(void **state)
{
	aborts(by_realloc);
}

static void aligned_allocations_on_an_armed_thread_abort(void **state)
{
	aborts(by_aligned_alloc);
	aborts(by_posix_memalign);
}

static void allocation_on_purpose_springs_the_trap(void **state)
{
	aborts(alloc_trap_spring);
}

static void what_is_allocated_outside_can_be_freed_inside(void **state)
{
	void *volatile p = malloc(64);

	alloc_trap_arm(true);
	free(p);
	alloc_trap_arm(false);
}

/* What pthread_create() itself needs is asked for by the thread that makes it: so that is not armed
 * yet. */
static void thread_that_is_not_armed_may_allocate(void **state)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, by_other_thread, NULL), 0);
	alloc_trap_arm(true);
	pthread_join(thread, NULL);
	alloc_trap_arm(false);
	assert_non_null(kept);
	free(kept);
}

static void thread_that_is_disarmed_again_may_allocate(void **state)
{
	alloc_trap_arm(true);
	alloc_trap_arm(false);
	by_malloc();
	assert_non_null(kept);
	free(kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malloc_on_an_armed_thread_aborts),
		cmocka_unit_test(calloc_on_an_armed_thread_aborts),
		cmocka_unit_test(realloc_on_an_armed_thread_aborts),
		cmocka_unit_test(aligned_allocations_on_an_armed_thread_abort),
		cmocka_unit_test(allocation_on_purpose_springs_the_trap),
		cmocka_unit_test(what_is_allocated_outside_can_be_freed_inside),
		cmocka_unit_test(thread_that_is_not_armed_may_allocate),
		cmocka_unit_test(thread_that_is_disarmed_again_may_allocate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
