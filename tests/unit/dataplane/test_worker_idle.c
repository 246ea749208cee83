/*
 * test_worker_idle.c - a worker whose NIC takes nothing sleeps, and notices when it is woken
 *
 * worker_idle.c and pace.c are real; the port, the stack, the front ends and the exception port are
 * the test's own, at their most restless: timers are due, requests wait, the kernel's frames wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <time.h>
#include "dataplane/port.h"
#include "dataplane/worker_impl.h"

#define RUN_US 300000ull

static struct port_facts facts = {.rx_ring = 256};

bool port_rx_is_socket(const struct port *p) { return false; }
int port_rx_fd(struct port *p, uint16_t q) { return -1; }
bool port_rx_arm(struct port *p, uint16_t q) { return false; }
void port_rx_disarm(struct port *p, uint16_t q) {}
const struct port_facts *port_facts(const struct port *p) { return &facts; }
uint64_t net_deadline(const struct net *net) { return 0; }
uint64_t nbd_client_deadline(const struct nbd_client *nc) { return 0; }
bool nbd_client_pending(const struct nbd_client *nc) { return true; }
void nbd_client_load(const struct nbd_client *nc, struct nbd_client_load *out)
{
	memset(out, 0, sizeof(*out));
	out->in_flight = 8;
}
uint64_t slow_path_deadline(const struct slow_path *o)
{
	return 0;
}
bool slow_path_has_work(const struct slow_path *o)
{
	return true;
}
bool slow_path_can_release(const struct slow_path *o)
{
	return true;
}
void slow_path_sleep(struct slow_path *o)
{
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void a_full_ring_that_stays_full_costs_no_processor(void **state)
{
	struct worker w = {.is_tx_full = true, .tx_count = 1};
	uint64_t begin_us, cpu_before_us, turns = 0;

	assert_int_equal(idle_init(&w), 0);
	begin_us = now_us();
	cpu_before_us = cpu_us();
	for (; now_us() - begin_us < RUN_US; turns++)
		idle_wait(&w, now_us());
	/* 100 ms at growing intervals up to 0.2 ms, then 5 ms each; spinning would be a million
	 * turns, all of the time. */
	assert_true(turns < 3000);
	assert_true(cpu_us() - cpu_before_us < RUN_US / 4);
	idle_fini(&w);
}

static void a_ring_just_found_full_is_looked_at_again_soon(void **state)
{
	struct worker w = {.is_tx_full = true, .tx_count = 1};
	uint64_t begin_us;

	assert_int_equal(idle_init(&w), 0);
	begin_us = now_us();
	idle_wait(&w, begin_us);
	idle_wait(&w, begin_us + 10);
	assert_int_equal(w.stats.naps, 0);
	idle_wait(&w, begin_us + 100);
	assert_int_equal(w.stats.naps, 1);
	idle_fini(&w);
}

/* The nap is 5 ms at that time; the wake-up is there before it, so it must not be slept through. */
static void a_command_ends_the_sleep(void **state)
{
	struct worker w = {.is_tx_full = true, .tx_count = 1};

	assert_int_equal(idle_init(&w), 0);
	idle_wait(&w, 1000000);
	idle_wake(&w);
	idle_wait(&w, 1000000 + RUN_US);
	assert_int_equal(w.stats.wakeups, 1);
	idle_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_ring_that_stays_full_costs_no_processor),
		cmocka_unit_test(a_ring_just_found_full_is_looked_at_again_soon),
		cmocka_unit_test(a_command_ends_the_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
