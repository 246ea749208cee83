/*
 * test_backlog.c - a full command ring loses no command and changes no order
 *
 * The worker is the test's own: a ring of ROOM places which the test empties when it likes.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/engine/backlog.h"

#define ROOM 2

struct worker {
	uint64_t ring[64], n[64];
	unsigned posted, done, room;
};

bool worker_post(struct worker *w, const struct worker_cmd *cmd, uint64_t *ticket)
{
	if (w->posted - w->done == w->room)
		return false;
	w->n[w->posted] = cmd->n;
	w->ring[w->posted++] = cmd->type;
	*ticket = w->posted;
	return true;
}

bool worker_done(const struct worker *w, uint64_t ticket)
{
	assert_true(ticket > 0);
	return w->done >= ticket;
}

static void post(struct backlog *b, struct worker *w, uint64_t type, uint64_t n)
{
	const struct worker_cmd cmd = {.type = type, .n = n};

	backlog_post(b, w, &cmd);
}

static void backlog_that_was_never_used_is_done(void **state)
{
	struct worker w = {.room = ROOM};
	struct backlog b = {.count = 0};

	assert_true(backlog_done(&b, &w));
}

static void backlog_is_done_when_the_worker_is(void **state)
{
	struct worker w = {.room = ROOM};
	struct backlog b = {.count = 0};

	post(&b, &w, WORKER_VOLUME_ADD, 0);
	assert_false(backlog_done(&b, &w));
	w.done = 1;
	assert_true(backlog_done(&b, &w));
}

static void backlog_keeps_what_the_full_ring_refused(void **state)
{
	struct worker w = {.room = 0};
	struct backlog b = {.count = 0};

	post(&b, &w, WORKER_VOLUME_STOP, 7);
	assert_int_equal(w.posted, 0);
	assert_false(backlog_done(&b, &w)); /* a refusal is not a command carried out */
	w.room = ROOM;
	backlog_poll(&b, &w);
	assert_int_equal(w.posted, 1);
	assert_int_equal(w.n[0], 7);
	assert_false(backlog_done(&b, &w));
	w.done = 1;
	assert_true(backlog_done(&b, &w));
}

static void backlog_lets_nothing_overtake(void **state)
{
	static const uint64_t order[] = {
		WORKER_VOLUME_ADD, WORKER_FRONT_SET, WORKER_VOLUME_FAIL, WORKER_VOLUME_STOP};
	struct worker w = {.room = 1};
	struct backlog b = {.count = 0};
	unsigned i;

	for (i = 0; i < 3; i++)
		post(&b, &w, order[i], 0);
	w.done = w.posted; /* one place is free: the oldest that waits takes it, not the newest */
	post(&b, &w, order[3], 0);
	while (b.count) {
		w.done = w.posted;
		backlog_poll(&b, &w);
	}
	assert_int_equal(w.posted, 4);
	for (i = 0; i < 4; i++)
		assert_int_equal(w.ring[i], order[i]);
}

static void backlog_replaces_a_waiting_command_of_the_same_type(void **state)
{
	struct worker w = {.room = 0};
	struct backlog b = {.count = 0};

	for (uint64_t n = 0; n < 100; n++)
		post(&b, &w, WORKER_VOLUME_STOP, n);
	assert_int_equal(b.count, 1);
	w.room = ROOM;
	backlog_poll(&b, &w);
	assert_int_equal(w.posted, 1);
	assert_int_equal(w.n[0], 99);
}

static void backlog_posts_as_far_as_there_is_room(void **state)
{
	struct worker w = {.room = 0};
	struct backlog b = {.count = 0};

	post(&b, &w, WORKER_FLOOR_SET, 1);
	post(&b, &w, WORKER_ADDRS_SET, 2);
	post(&b, &w, WORKER_MTU_SET, 3);
	w.room = ROOM;
	backlog_poll(&b, &w);
	assert_int_equal(w.posted, ROOM);
	assert_int_equal(b.count, 1);
	w.done = 1;
	backlog_poll(&b, &w);
	assert_int_equal(w.n[2], 3);
	assert_int_equal(b.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backlog_that_was_never_used_is_done),
		cmocka_unit_test(backlog_is_done_when_the_worker_is),
		cmocka_unit_test(backlog_keeps_what_the_full_ring_refused),
		cmocka_unit_test(backlog_lets_nothing_overtake),
		cmocka_unit_test(backlog_replaces_a_waiting_command_of_the_same_type),
		cmocka_unit_test(backlog_posts_as_far_as_there_is_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
