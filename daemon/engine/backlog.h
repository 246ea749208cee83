/*
 * backlog.h - commands that a worker's ring had no room for, in order
 */
#ifndef DAEMON_ENGINE_BACKLOG_H
#define DAEMON_ENGINE_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>
#include "dataplane/worker.h"

/* More than the types of command that one owner of a backlog ever posts. */
#define BACKLOG_MAX 8

/* All zero is an empty one. Its owner: a channel of a volume, or a queue of a port. */
struct backlog {
	struct worker_cmd waiting[BACKLOG_MAX];
	unsigned count;
	uint64_t ticket; /* of the last command posted; 0 = none yet */
};

/*
 * Posts @cmd to @w behind what waits already; what does not fit waits in @b for backlog_poll(). A
 * command that waits is replaced by one of the same type, so at most one of each type waits.
 * Control thread.
 */
void backlog_post(struct backlog *b, struct worker *w, const struct worker_cmd *cmd);
/* Posts what waits, as far as the worker's ring has room. Control thread, on each of its turns. */
void backlog_poll(struct backlog *b, struct worker *w);
/* Whether the worker has carried out everything that was ever posted by way of @b. */
bool backlog_done(const struct backlog *b, const struct worker *w);

#endif
