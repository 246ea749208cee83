/*
 * engine_world.h - a whole engine on fakes: its port, its workers, the kernel and the time
 *
 * The engine is the real one, with the real pools and ledgers; everything it touches is fake. A
 * test attaches and detaches by engine.h, breaks something at a step, lets virtual time pass,
 * and looks at the answer and at what is left.
 */
#ifndef TESTS_UNIT_DAEMON_ENGINE_WORLD_H
#define TESTS_UNIT_DAEMON_ENGINE_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/engine/engine.h"
#include "daemon/engine/engine_bench.h"
#include "daemon/engine/engine_fault.h"
#include "daemon/engine/engine_info.h"
#include "nbd_client/ublk/ublk_state.h"
#include "tests/unit/daemon/fake_host.h"
#include "tests/unit/daemon/fake_port.h"
#include "tests/unit/daemon/fake_ublk.h"
#include "tests/unit/daemon/fake_worker.h"

#define SECOND_US 1000000ull
#define TURN_US	  10000ull /* of virtual time, between two turns of all */
#define VOLUME	  "disk"
#define ATTACH_MS 15000ull

/* The answer to an attach or a detach. */
struct answer {
	unsigned calls;
	int rc;
	char device[64];
	struct error error;
};

/* What a volume takes; a test compares before and after. */
struct takings {
	unsigned volumes, groups, ublks, buffers, owners, fds;
	uint32_t floor[WORKER_MAX];
};

extern uint64_t virtual_us;
extern struct config world_cfg; /* of the next engine */
extern struct engine *world;	/* the one there is */

int eal_world_start(void **state); /* cmocka group set-up and tear-down */
int eal_world_stop(void **state);
/* Before each test: defaults everywhere and no engine.
 * After each: whatever the test left is ended. */
int world_setup(void **state);
int world_teardown(void **state);

/* An engine with one port of @queues queues. */
void world_make(unsigned queues);
/* Everybody's turn until @us have passed. */
void world_run(uint64_t us);
/* … until the first volume is at @step ("connecting", "" = there is none), at most @us. False: it
 * did not come. */
bool world_until(const char *step, uint64_t us);
/* … until @a was called, at most @us. */
bool world_answers(const struct answer *a, uint64_t us);
/* What the first volume is at; "" = there is none. */
const char *world_step(void);

struct config_volume world_volume(const char *name, unsigned connections);
void world_on_answer(void *arg, int rc, const char *device,
	const struct error *err); /* an engine_done_fn; arg: the answer */
int world_attach(const struct config_volume *v, enum engine_front front, struct answer *a);
int world_detach(const char *name, enum engine_detach how, struct answer *a);
/* Attached and serving, or the test fails. */
void world_serve(const struct config_volume *v, enum engine_front front);

unsigned world_fds(void); /* open descriptors of this process */
void world_takings(struct takings *out);
void world_assert_same(const struct takings *before);

#define world_test(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

#endif
