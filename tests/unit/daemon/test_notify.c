/*
 * test_notify.c - the watchdog is fed while all workers make turns, the status line is sent once
 *
 * Engine, workers and libsystemd are fakes: a worker is a counter of turns, which a ping raises
 * while the worker is not stuck.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include "daemon/engine/engine_info.h"
#include "daemon/notify.h"
#include "dataplane/worker.h"

#define INTERVAL_US 8000000u
#define LOOK_US	    1000000u

struct worker {
	uint64_t turns, pings;
	bool is_stuck, is_full;
};

static struct worker workers[2];
static unsigned fed_count, status_count, device_count;
static char status[160];
static uint64_t watchdog_us;

int sd_watchdog_enabled(int unset_environment, uint64_t *usec)
{
	*usec = watchdog_us;
	return watchdog_us > 0;
}

int sd_notify(int unset_environment, const char *state)
{
	if (strcmp(state, "WATCHDOG=1") == 0)
		fed_count++;
	if (strncmp(state, "STATUS=", 7) == 0) {
		status_count++;
		strcpy(status, state);
	}
	return 1;
}

unsigned engine_worker_count(const struct engine *e)
{
	return 2;
}

struct worker *engine_worker(struct engine *e, unsigned idx)
{
	return &workers[idx];
}

unsigned engine_device_count(const struct engine *e)
{
	return device_count;
}

bool engine_guarantee(const struct engine *e, const char **why)
{
	*why = "";
	return true;
}

void worker_stats(const struct worker *w, struct worker_stats *out)
{
	*out = (struct worker_stats){.turns = w->turns};
}

bool worker_post(struct worker *w, const struct worker_cmd *cmd, uint64_t *ticket)
{
	assert_int_equal(cmd->type, WORKER_PING);
	if (w->is_full)
		return false;
	*ticket = ++w->pings;
	w->turns += !w->is_stuck;
	return true;
}

static int setup(void **state)
{
	memset(workers, 0, sizeof(workers));
	fed_count = status_count = device_count = 0;
	watchdog_us = INTERVAL_US;
	return 0;
}

/* Looks @count times; each worker that is busy makes a turn between two looks. */
static void look(struct notify *n, uint64_t *now_us, unsigned count, bool is_busy)
{
	for (unsigned i = 0; i < count; i++) {
		workers[0].turns += is_busy && !workers[0].is_stuck;
		workers[1].turns += is_busy && !workers[1].is_stuck;
		*now_us += LOOK_US;
		notify_poll(n, NULL, *now_us);
	}
}

static void busy_workers_are_not_pinged(void **state)
{
	struct notify n = {0};
	uint64_t now_us = 0;

	notify_init(&n);
	look(&n, &now_us, 16, true);
	assert_int_equal(fed_count, 16);
	assert_int_equal(workers[0].pings + workers[1].pings, 0);
}

static void a_quiet_worker_is_pinged_and_counts_as_alive(void **state)
{
	struct notify n = {0};
	uint64_t now_us = 0;

	notify_init(&n);
	look(&n, &now_us, 16, false);
	assert_int_equal(fed_count, 16);
	assert_true(workers[0].pings > 0);
}

static void one_stuck_worker_ends_the_feeding(void **state)
{
	struct notify n = {0};
	uint64_t now_us = 0;
	unsigned before;

	notify_init(&n);
	look(&n, &now_us, 4, true);
	workers[1].is_stuck = true;
	look(&n, &now_us, 1, true);
	before = fed_count;
	look(&n, &now_us, 8, true);
	assert_int_equal(fed_count, before);
	workers[1].is_stuck = false;
	look(&n, &now_us, 1, true);
	assert_int_equal(fed_count, before + 1);
}

static void a_full_ring_of_a_quiet_worker_ends_the_feeding(void **state)
{
	struct notify n = {0};
	uint64_t now_us = 0;

	notify_init(&n);
	look(&n, &now_us, 1, true);
	workers[0].is_full = true;
	fed_count = 0;
	look(&n, &now_us, 8, false);
	assert_int_equal(fed_count, 0);
}

static void nothing_is_fed_where_nothing_asks(void **state)
{
	struct notify n = {0};
	uint64_t now_us = 0;

	watchdog_us = 0;
	notify_init(&n);
	look(&n, &now_us, 8, true);
	assert_int_equal(fed_count, 0);
}

static void status_is_sent_when_it_changes(void **state)
{
	struct notify n = {0};
	uint64_t now_us = 0;

	notify_init(&n);
	look(&n, &now_us, 5, true);
	assert_int_equal(status_count, 1);
	assert_string_equal(status, "STATUS=0 volume(s), full guarantee");
	device_count = 3;
	look(&n, &now_us, 5, true);
	assert_int_equal(status_count, 2);
	assert_string_equal(status, "STATUS=3 volume(s), full guarantee");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(busy_workers_are_not_pinged, setup),
		cmocka_unit_test_setup(a_quiet_worker_is_pinged_and_counts_as_alive, setup),
		cmocka_unit_test_setup(one_stuck_worker_ends_the_feeding, setup),
		cmocka_unit_test_setup(a_full_ring_of_a_quiet_worker_ends_the_feeding, setup),
		cmocka_unit_test_setup(nothing_is_fed_where_nothing_asks, setup),
		cmocka_unit_test_setup(status_is_sent_when_it_changes, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
