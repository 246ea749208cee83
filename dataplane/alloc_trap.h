/*
 * alloc_trap.h - proof that a worker allocates nothing
 *
 * In builds with fault injection malloc and its kin are ours: on a thread that armed the trap the
 * first allocation aborts the process with its caller's address. Elsewhere these are no-ops.
 */
#ifndef DATAPLANE_ALLOC_TRAP_H
#define DATAPLANE_ALLOC_TRAP_H

#include <stdbool.h>

void alloc_trap_arm(bool on);	/* this thread */
bool alloc_trap_is_built(void); /* is there a trap at all? */
void alloc_trap_spring(void);	/* allocates on purpose: shows that the trap works */

#endif
