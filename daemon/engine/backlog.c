/*
 * backlog.c - commands that a worker's ring had no room for, in order
 *
 * The ring between the control thread and a worker is bounded, so a post can be refused. The state
 * machines of the control thread then have a command that must not get lost (a lost STOP leaves a
 * volume that never ends) and must not overtake another (a STOP before the ADD). Each owner of
 * commands, a channel of a volume or a queue of a port, has a backlog of its own: a command that is
 * refused waits there, and everything after it, until a later turn of the control thread finds
 * room.
 *
 * Bounded without a refusal of its own: a command that waits and a newer one of the same type say
 * the same thing about the same object, so the newer takes the place of the older, and an owner
 * posts fewer types than BACKLOG_MAX. Control thread only.
 */
#include "daemon/engine/backlog.h"

#include <assert.h>
#include <string.h>

void backlog_post(struct backlog *b, struct worker *w, const struct worker_cmd *cmd)
{
	unsigned i = 0;

	backlog_poll(b, w);
	if (b->count == 0 && worker_post(w, cmd, &b->ticket))
		return;
	while (i < b->count && b->waiting[i].type != cmd->type)
		i++;
	assert(i < BACKLOG_MAX);
	b->waiting[i] = *cmd;
	if (i == b->count)
		b->count++;
}

void backlog_poll(struct backlog *b, struct worker *w)
{
	unsigned n = 0;

	while (n < b->count && worker_post(w, &b->waiting[n], &b->ticket))
		n++;
	if (n == 0)
		return;
	b->count -= n;
	memmove(b->waiting, b->waiting + n, b->count * sizeof(b->waiting[0]));
}

bool backlog_done(const struct backlog *b, const struct worker *w)
{
	return b->count == 0 && (b->ticket == 0 || worker_done(w, b->ticket));
}
