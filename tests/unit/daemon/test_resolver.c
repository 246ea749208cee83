/*
 * test_resolver.c - names are looked up by threads, and nobody waits for one that does not answer
 *
 * The look-up is the test's own: a name that begins with "block" waits until the test lets it go,
 * "none" does not exist, and any other has as many addresses as its first digit says.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <cmocka.h>
#include "daemon/engine/resolver.h"

#define ANSWER_MS_MAX 10000

static sem_t entered, gate;
static unsigned answer_last; /* of the address; the zone's generation */

static int lookup(const char *host, struct resolver_ips *ips, struct error *err)
{
	if (strncmp(host, "block", 5) == 0) {
		sem_post(&entered);
		sem_wait(&gate);
	}
	if (strstr(host, "none") || __atomic_load_n(&answer_last, __ATOMIC_RELAXED) == 0)
		return error_set(err, -EHOSTUNREACH, "no such name");
	if (strcmp(host, "block.4.test") == 0) {
		ips->count = 2;
		return 0;
	}
	ips->count = host[0] >= '1' && host[0] <= '8' ? (unsigned)(host[0] - '0') : 1;
	for (unsigned i = 0; i < ips->count; i++)
		ips->ip[i] = (struct net_ip){
			AF_INET, {10, 0, (uint8_t)i,
					 (uint8_t)__atomic_load_n(&answer_last, __ATOMIC_RELAXED)}};
	return 0;
}

static int start(void **state)
{
	struct error err;

	sem_init(&entered, 0, 0);
	sem_init(&gate, 0, 0);
	__atomic_store_n(&answer_last, 1, __ATOMIC_RELAXED);
	*state = resolver_create(lookup, &err);
	return *state ? 0 : -1;
}

static int end(void **state)
{
	for (unsigned i = 0; i < 2 * RESOLVER_THREAD_MAX; i++)
		sem_post(&gate);
	resolver_destroy(*state);
	return 0;
}

/* Waits for the descriptor, as the control thread does. */
static void take(struct resolver *r, uint64_t ticket, struct resolver_answer *out)
{
	struct pollfd p = {.fd = resolver_fd(r), .events = POLLIN};

	assert_int_not_equal(ticket, 0);
	while (!resolver_take(r, ticket, out)) {
		assert_int_equal(poll(&p, 1, ANSWER_MS_MAX), 1);
		resolver_clear(r);
	}
	assert_false(resolver_take(r, ticket, out)); /* it is used up */
}

static void resolver_answers_with_every_address(void **state)
{
	struct resolver_answer a;

	take(*state, resolver_ask(*state, "5.test"), &a);
	assert_int_equal(a.ips.count, 5);
	assert_int_equal(a.ips.ip[4].addr[2], 4);
	assert_false(a.is_remembered);
	take(*state, resolver_ask(*state, "none.test"), &a);
	assert_int_equal(a.ips.count, 0);
	assert_string_equal(a.error.text, "no such name");
}

static void resolver_remembers_the_last_good_addresses(void **state)
{
	struct resolver_answer a;

	take(*state, resolver_ask(*state, "2.test"), &a);
	__atomic_store_n(&answer_last, 2, __ATOMIC_RELAXED);
	take(*state, resolver_ask(*state, "2.test"), &a);
	assert_int_equal(a.ips.ip[0].addr[3], 2);
	__atomic_store_n(&answer_last, 0, __ATOMIC_RELAXED);
	take(*state, resolver_ask(*state, "2.test"), &a);
	assert_true(a.is_remembered);
	assert_int_equal(a.ips.count, 2);
	assert_int_equal(a.ips.ip[0].addr[3], 2);
	assert_string_equal(a.error.text, "no such name");
}

static void names_that_hang_hold_up_no_other(void **state)
{
	struct resolver_answer a;
	uint64_t hanging[RESOLVER_THREAD_MAX - 1];

	for (unsigned i = 0; i < RESOLVER_THREAD_MAX - 1; i++) {
		hanging[i] = resolver_ask(*state, "block.test");
		sem_wait(&entered);
	}
	take(*state, resolver_ask(*state, "3.test"), &a);
	assert_int_equal(a.ips.count, 3);
	for (unsigned i = 0; i < RESOLVER_THREAD_MAX - 1; i++)
		assert_false(resolver_take(*state, hanging[i], &a));
}

static void answer_that_comes_too_late_is_nobodys(void **state)
{
	struct resolver_answer a;
	uint64_t first = resolver_ask(*state, "block.test"), second;

	sem_wait(&entered);
	resolver_give_up(*state, first, "silence", &a);
	assert_int_equal(a.ips.count, 0);
	assert_string_equal(a.error.text, "silence");
	assert_false(resolver_take(*state, first, &a));
	sem_post(&gate);
	second = resolver_ask(*state, "4.test");
	assert_int_not_equal(first, second);
	take(*state, second, &a);
	assert_int_equal(a.ips.count, 4);
	assert_false(resolver_take(*state, first, &a));
}

/* While the thread is still at it, its place is not the next question's. */
static void question_asked_meanwhile_gets_its_own_answer(void **state)
{
	struct resolver_answer a;
	uint64_t first = resolver_ask(*state, "block.test"), second;

	sem_wait(&entered);
	resolver_give_up(*state, first, "silence", &a);
	second = resolver_ask(*state, "block.4.test");
	sem_wait(&entered);
	sem_post(&gate);
	sem_post(&gate);
	take(*state, second, &a);
	assert_int_equal(a.ips.count, 2);
}

/* Threads that hang keep their places: what waits behind them is bounded, refused when full, and
 * can be given up. */
static void questions_that_wait_are_bounded(void **state)
{
	struct resolver_answer a;
	uint64_t ticket[RESOLVER_JOB_MAX];
	unsigned count = 0;

	while (count < RESOLVER_JOB_MAX) {
		ticket[count] = resolver_ask(*state, "block.test");
		assert_int_not_equal(ticket[count], 0);
		count++;
	}
	for (unsigned i = 0; i < RESOLVER_THREAD_MAX; i++)
		sem_wait(&entered);
	assert_int_equal(resolver_ask(*state, "1.test"), 0);
	resolver_give_up(*state, ticket[RESOLVER_JOB_MAX - 1], "silence", &a);
	ticket[RESOLVER_JOB_MAX - 1] = resolver_ask(*state, "1.test");
	assert_int_not_equal(ticket[RESOLVER_JOB_MAX - 1], 0);
	for (unsigned i = 0; i < RESOLVER_JOB_MAX - 1; i++)
		resolver_give_up(*state, ticket[i], "silence", &a);
	sem_post(&gate);
	take(*state, ticket[RESOLVER_JOB_MAX - 1], &a);
	assert_int_equal(a.ips.count, 1);
}

/* A thread in the C library cannot be called back: the process ends without it. */
static void end_does_not_wait_for_a_name_server(void **state)
{
	struct timespec before, after;
	struct error err;
	struct resolver *r = resolver_create(lookup, &err);

	assert_non_null(r);
	resolver_ask(r, "block.test");
	sem_wait(&entered);
	clock_gettime(CLOCK_MONOTONIC, &before);
	resolver_destroy(r);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 5);
	sem_post(&gate); /* the thread frees what it shared */
}

static void address_needs_no_name_server(void **state)
{
	struct net_ip ip;

	assert_int_equal(resolver_numeric("192.0.2.7", &ip), 0);
	assert_int_equal(ip.family, AF_INET);
	assert_int_equal(ip.addr[3], 7);
	assert_int_equal(resolver_numeric("fd00::7", &ip), 0);
	assert_int_equal(ip.family, AF_INET6);
	assert_int_equal(ip.addr[15], 7);
	assert_int_equal(resolver_numeric("server.example", &ip), -EINVAL);
	assert_int_equal(resolver_numeric("", &ip), -EINVAL);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, start, end)
	const struct CMUnitTest tests[] = {
		CASE(resolver_answers_with_every_address),
		CASE(resolver_remembers_the_last_good_addresses),
		CASE(names_that_hang_hold_up_no_other),
		CASE(answer_that_comes_too_late_is_nobodys),
		CASE(question_asked_meanwhile_gets_its_own_answer),
		CASE(questions_that_wait_are_bounded),
		CASE(end_does_not_wait_for_a_name_server),
		CASE(address_needs_no_name_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
