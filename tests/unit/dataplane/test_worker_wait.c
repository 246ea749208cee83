/*
 * test_worker_wait.c - how long a worker waits, on what, and what keeps it from waiting
 *
 * Port, stack and pace are the test's own; epoll and its descriptors are real, but the time that a
 * wait may take is noted and not spent. One call of idle_wait() is one turn without work.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "dataplane/worker_impl.h"

#define START_US 1000000ull
#define NEVER	 UINT64_MAX

/* What the others say. */
static struct world {
	uint64_t net_due_us, nbd_due_us, slow_path_due_us;
	bool is_pending, has_exception_work, can_release, is_socket, is_arm_refused;
	struct nbd_client_load load;
	uint64_t nap_us, rest_us;
	int rx_fd;
	struct port_facts facts;
	/* … and what was asked of them. */
	unsigned arms, disarms, waits, rests, exception_sleeps;
	uint64_t waited_us, rested_us;
	bool is_waiting_told; /* as the exception port's thread saw it during the wait */
	bool is_rx_watched;
} world;
static struct worker w;
static uint64_t now_us;

/* ---- the others ---- */

uint64_t net_deadline(const struct net *net)
{
	return world.net_due_us;
}

uint64_t nbd_client_deadline(const struct nbd_client *nc)
{
	return world.nbd_due_us;
}

void nbd_client_load(const struct nbd_client *nc, struct nbd_client_load *out)
{
	*out = world.load;
}

bool nbd_client_pending(const struct nbd_client *nc)
{
	return world.is_pending;
}

uint64_t slow_path_deadline(const struct slow_path *o)
{
	return world.slow_path_due_us;
}

bool slow_path_has_work(const struct slow_path *o)
{
	return world.has_exception_work;
}

bool slow_path_can_release(const struct slow_path *o)
{
	return world.can_release;
}

void slow_path_sleep(struct slow_path *o)
{
	world.exception_sleeps++;
}

uint64_t pace_nap_us(const struct pace *p, uint32_t ring_count, uint64_t at_us)
{
	return world.nap_us;
}

uint64_t pace_rest_us(const struct pace *p, const struct nbd_client_load *load, uint32_t ring_count)
{
	return world.rest_us;
}

const struct port_facts *port_facts(const struct port *p)
{
	return &world.facts;
}

int port_rx_fd(struct port *p, uint16_t q)
{
	return world.rx_fd;
}

bool port_rx_is_socket(const struct port *p)
{
	return world.is_socket;
}

bool port_rx_arm(struct port *p, uint16_t q)
{
	world.arms++;
	return !world.is_arm_refused;
}

void port_rx_disarm(struct port *p, uint16_t q)
{
	world.disarms++;
}

/* ---- the kernel: what there is is told, nothing is waited for ---- */

int __real_epoll_pwait2(
	int fd, struct epoll_event *ev, int max, const struct timespec *ts, const sigset_t *set);
int __wrap_epoll_pwait2(
	int fd, struct epoll_event *ev, int max, const struct timespec *ts, const sigset_t *set);
int __wrap_epoll_pwait2(
	int fd, struct epoll_event *ev, int max, const struct timespec *ts, const sigset_t *set)
{
	static const struct timespec none = {0};

	world.waits++;
	world.waited_us = (uint64_t)ts->tv_sec * 1000000 + (uint64_t)ts->tv_nsec / 1000;
	world.is_waiting_told = w.idle.is_waiting;
	return __real_epoll_pwait2(fd, ev, max, &none, set);
}

int __wrap_clock_nanosleep(
	clockid_t clock, int flags, const struct timespec *ts, struct timespec *left);
int __wrap_clock_nanosleep(
	clockid_t clock, int flags, const struct timespec *ts, struct timespec *left)
{
	world.rests++;
	world.rested_us = (uint64_t)ts->tv_nsec / 1000;
	return 0;
}

/* ---- a worker ---- */

static int setup(void **state)
{
	memset(&w, 0, sizeof(w));
	world = (struct world){
		.net_due_us = NEVER, .nbd_due_us = NEVER, .slow_path_due_us = NEVER, .rx_fd = -1};
	world.facts.rx_ring = 256;
	now_us = START_US;
	return idle_init(&w);
}

static int teardown(void **state)
{
	if (world.rx_fd >= 0)
		close(world.rx_fd);
	idle_fini(&w);
	return 0;
}

/* The NIC has an interrupt, or a socket. */
static void with_fd(bool is_socket)
{
	idle_fini(&w);
	world.rx_fd = eventfd(0, EFD_NONBLOCK);
	world.is_socket = is_socket;
	idle_init(&w);
}

static void packet_arrives(void)
{
	uint64_t one = 1;

	assert_int_equal(write(world.rx_fd, &one, sizeof(one)), sizeof(one));
}

/* A turn without work, @us after the one before. */
static void idle(uint64_t us)
{
	now_us += us;
	idle_wait(&w, now_us);
}

/* Idle for @us already. */
static void idle_for(uint64_t us)
{
	idle(0);
	idle(us);
}

/* ---- where nothing tells of a packet ---- */

static void worker_polls_on_for_a_while_after_work(void **state)
{
	idle_for(49);
	assert_int_equal(world.waits, 0);
	idle(1);
	assert_int_equal(world.waits, 1);
	idle_end(&w);
	idle(0);
	idle(49);
	assert_int_equal(world.waits, 1);
}

static void sleeps_grow_while_nothing_comes(void **state)
{
	idle_for(60);
	assert_int_equal(world.waited_us, 20);
	idle(340);
	assert_int_equal(world.waited_us, 100);
	idle(10000);
	assert_int_equal(world.waited_us, 200);
	assert_int_equal(w.stats.sleeps, 3);
}

static void sleeps_are_long_only_where_no_request_waits(void **state)
{
	idle_for(100000);
	assert_int_equal(world.waited_us, 5000);
	world.load.in_flight = 1;
	idle(10);
	assert_int_equal(world.waited_us, 200);
}

static void no_timer_is_overslept(void **state)
{
	world.net_due_us = START_US + 100000 + 70;
	idle_for(100000);
	assert_int_equal(world.waited_us, 70);
	world.nbd_due_us = now_us + 50;
	idle(0);
	assert_int_equal(world.waited_us, 50);
	world.slow_path_due_us = now_us + 30;
	idle(0);
	assert_int_equal(world.waited_us, 30);
	world.slow_path_due_us = now_us;
	idle(0);
	assert_int_equal(world.waits, 3); /* it is due */
}

/* ---- what keeps it awake ---- */

/* Timers and requests would only bring more frames. */
static void nic_that_takes_no_frames_is_looked_at_again_and_nothing_else_is(void **state)
{
	w.is_tx_full = true;
	world.is_pending = true;
	world.net_due_us = START_US;
	idle_for(1000);
	assert_int_equal(w.stats.naps, 1);
	assert_int_equal(world.waited_us, 200);
	assert_int_equal(w.stats.sleeps, 0);
}

static void requests_of_a_front_end_keep_it_awake(void **state)
{
	world.is_pending = true;
	idle_for(1000);
	assert_int_equal(world.waits, 0);
}

static void frames_of_the_kernel_keep_it_awake(void **state)
{
	world.has_exception_work = true;
	idle_for(1000);
	assert_int_equal(world.waits, 0);
}

static void exception_ports_thread_is_told_of_the_wait_and_only_of_it(void **state)
{
	idle_for(1000);
	assert_true(world.is_waiting_told);
	assert_int_equal(world.exception_sleeps, 1);
	assert_false(w.idle.is_waiting);
}

static void wake_up_ends_the_sleep(void **state)
{
	idle_for(1000);
	assert_int_equal(w.stats.wakeups, 0);
	idle_wake(&w);
	idle(10);
	assert_int_equal(w.stats.wakeups, 1);
	idle(10); /* a wake-up is one */
	assert_int_equal(w.stats.wakeups, 1);
}

static void event_of_a_front_end_ends_the_sleep(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1;

	assert_int_equal(idle_front_add(&w, fd), 0);
	assert_int_equal(idle_front_add(&w, fd), 0); /* a device taken over by the same worker */
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	idle_for(1000);
	assert_int_equal(w.stats.wakeups, 1);
	close(fd);
}

/* ---- with an interrupt ---- */

/* First arm, then one more turn, and only then sleep: or a
 * packet that came in between would wait. */
static void interrupt_is_armed_a_turn_before_the_sleep(void **state)
{
	with_fd(false);
	idle_for(1000);
	assert_int_equal(world.arms, 1);
	assert_int_equal(world.waits, 0);
	idle(1);
	assert_int_equal(world.waits, 1);
	assert_int_equal(world.disarms, 1);
	idle(1);
	assert_int_equal(world.arms, 2);
}

static void interrupt_that_is_not_armed_is_not_slept_on(void **state)
{
	with_fd(false);
	world.is_arm_refused = true;
	idle_for(1000);
	idle(1);
	assert_int_equal(world.waits, 0);
}

static void work_disarms_the_interrupt(void **state)
{
	with_fd(false);
	idle_for(1000);
	idle_end(&w);
	assert_int_equal(world.disarms, 1);
	idle_end(&w);
	assert_int_equal(world.disarms, 1);
}

/* Not every driver that promises an interrupt delivers one. */
static void interrupt_is_trusted_once_it_has_woken_us(void **state)
{
	with_fd(false);
	idle_for(1000);
	idle(1);
	assert_int_equal(world.waited_us, 200);
	packet_arrives();
	idle(1);
	idle(1);
	assert_int_equal(w.stats.rx_wakeups, 1);
	idle(1);
	idle(1);
	assert_int_equal(world.waited_us, 100000);
}

static void socket_is_trusted_at_once_and_watched_only_during_the_sleep(void **state)
{
	with_fd(true);
	packet_arrives();
	idle_for(1000);
	idle(1);
	assert_int_equal(world.waited_us, 100000);
	assert_int_equal(w.stats.rx_wakeups, 1);
	assert_int_equal(world.arms, 0);
	world.nap_us = 30; /* a nap looks at the same set */
	idle(1);
	assert_int_equal(w.stats.naps, 1);
	assert_int_equal(w.stats.wakeups, 1);
}

/* ---- naps and rests ---- */

static void flood_is_napped_through(void **state)
{
	world.nap_us = 40;
	idle_for(1000);
	assert_int_equal(w.stats.naps, 1);
	assert_int_equal(w.stats.sleeps, 0);
	assert_int_equal(world.waited_us, 40);
	world.net_due_us = now_us + 25;
	idle(0);
	assert_int_equal(world.waited_us, 25);
	world.can_release = true;
	idle(0);
	assert_int_equal(w.stats.naps, 2);
}

static void full_burst_is_no_reason_to_nap(void **state)
{
	world.nap_us = 40;
	w.rx_exceptions = BURST_MAX - 1;
	assert_true(idle_is_flooded(&w, now_us));
	w.rx_exceptions = BURST_MAX;
	assert_false(idle_is_flooded(&w, now_us));
	w.rx_exceptions = 1;
	world.nap_us = 0;
	assert_false(idle_is_flooded(&w, now_us));
}

static void rest_between_answers_ends_before_the_next_timer(void **state)
{
	world.rest_us = 30;
	idle(0);
	assert_int_equal(w.stats.rests, 1);
	assert_int_equal(world.rested_us, 30);
	world.nbd_due_us = now_us + 20;
	idle(10);
	assert_int_equal(world.rested_us, 10);
	idle(10);
	assert_int_equal(world.rests, 2); /* it is due */
}

#define idle_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		idle_test(worker_polls_on_for_a_while_after_work),
		idle_test(sleeps_grow_while_nothing_comes),
		idle_test(sleeps_are_long_only_where_no_request_waits),
		idle_test(no_timer_is_overslept),
		idle_test(nic_that_takes_no_frames_is_looked_at_again_and_nothing_else_is),
		idle_test(requests_of_a_front_end_keep_it_awake),
		idle_test(frames_of_the_kernel_keep_it_awake),
		idle_test(exception_ports_thread_is_told_of_the_wait_and_only_of_it),
		idle_test(wake_up_ends_the_sleep),
		idle_test(event_of_a_front_end_ends_the_sleep),
		idle_test(interrupt_is_armed_a_turn_before_the_sleep),
		idle_test(interrupt_that_is_not_armed_is_not_slept_on),
		idle_test(work_disarms_the_interrupt),
		idle_test(interrupt_is_trusted_once_it_has_woken_us),
		idle_test(socket_is_trusted_at_once_and_watched_only_during_the_sleep),
		idle_test(flood_is_napped_through),
		idle_test(full_burst_is_no_reason_to_nap),
		idle_test(rest_between_answers_ends_before_the_next_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
