/*
 * alloc_trap.c - proof that a worker allocates nothing
 *
 * "Nothing allocates once worker_run() starts" is the promise the whole design stands on: an
 * allocation under memory pressure may wait for writeback, and writeback waits for us. Such a rule
 * needs a check at run time in addition to review. malloc, calloc, realloc, aligned_alloc and
 * posix_memalign are interposed; on an armed thread they write one line and abort. Free is
 * harmless and stays libc's.
 *
 * Sanitizers bring allocators of their own, so there the trap is left out.
 */
#include "dataplane/alloc_trap.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#if SLUICE_FAULT_INJECTION && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TRAP_BUILT 1
#else
#define TRAP_BUILT 0
#endif

bool alloc_trap_is_built(void)
{
	return TRAP_BUILT;
}

void alloc_trap_spring(void)
{
	void *volatile p = malloc(64);

	free(p);
}

#if TRAP_BUILT
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);
extern void *__libc_memalign(size_t align, size_t bytes);

static __thread bool is_armed;

void alloc_trap_arm(bool on)
{
	is_armed = on;
}

static void trap_check(void)
{
	static const char text[] = "sluiced: a worker allocated memory after start; aborting\n";

	if (__builtin_expect(!is_armed, 1))
		return;
	is_armed = false;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(134);
	abort();
}

void *malloc(size_t bytes)
{
	trap_check();
	return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	trap_check();
	return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
	trap_check();
	return __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
	trap_check();
	return __libc_memalign(align, bytes);
}

int posix_memalign(void **out, size_t align, size_t bytes)
{
	trap_check();
	*out = __libc_memalign(align, bytes);
	return *out ? 0 : ENOMEM;
}
#else
void alloc_trap_arm(bool on)
{
	(void)on;
}
#endif
