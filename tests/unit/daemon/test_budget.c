/*
 * test_budget.c - what does not fit is refused, and the refusal says by how much
 *
 * The budget computes and does nothing else, so all of it is real: no pool, port or worker is made.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <setjmp.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/engine/budget.h"
#include "tests/unit/between.h"

#define MTU	  1500
#define MTU_JUMBO 9000
#define QUOTA	  1000
#define PLENTY	  (1u << 20)

static struct port_facts facts = {.mtu = MTU_JUMBO, .ring_mbufs = 256, .burst_mbufs = BURST_MAX};
static struct config cfg;
static struct budget *budget;
static struct budget_share share; /* of the second queue */

static void total_set(uint32_t total)
{
	const struct budget_port port = {
		.name = "port0", .facts = &facts, .queue_count = 2, .total = total};

	budget_port_set(budget, 0, &port);
	budget_mtu_set(budget, 0, MTU);
}

/* One port with two queues and a volume on the second. */
static int budget_new(void **state)
{
	(void)state;
	memset(&cfg, 0, sizeof(cfg));
	cfg.reserve.size = -1;
	cfg.reserve.safety_pct = 100;
	budget = budget_create(&cfg);
	if (!budget)
		return -1;
	total_set(PLENTY);
	share = (struct budget_share){.queue = 1, .connections = 1, .quota = QUOTA};
	budget_share_add(budget, &share);
	return 0;
}

static int budget_end(void **state)
{
	(void)state;
	budget_destroy(budget);
	return 0;
}

static uint32_t need(unsigned queue)
{
	return budget_update(budget, 0, queue)->sum.total;
}

/* The smallest pools of the port in which @mtu fits. */
static uint32_t least(uint16_t mtu)
{
	uint32_t low = 0, high = PLENTY;
	struct error err;

	while (low < high) {
		total_set((low + high) / 2);
		if (budget_mtu_fits(budget, 0, mtu, &err))
			high = (low + high) / 2;
		else
			low = (low + high) / 2 + 1;
	}
	total_set(PLENTY);
	return low;
}

static void mtu_that_does_not_fit_is_refused_with_the_numbers(void **state)
{
	uint32_t count = least(MTU_JUMBO);
	char needed[64], has[64];
	struct error err = {""};

	(void)state;
	total_set(count - 1);
	snprintf(needed, sizeof(needed), "%u mbufs needed at an MTU of %u", count, MTU_JUMBO);
	snprintf(has, sizeof(has), "pool of port0 has %u", count - 1);
	assert_false(budget_mtu_fits(budget, 0, MTU_JUMBO, &err));
	assert_non_null(strstr(err.text, needed));
	assert_non_null(strstr(err.text, has));
	assert_true(budget_mtu_fits(budget, 0, MTU, &err));
	total_set(count);
	assert_true(budget_mtu_fits(budget, 0, MTU_JUMBO, &err));
}

static void mtu_must_fit_each_queue_with_its_volumes(void **state)
{
	uint32_t with = least(MTU);

	(void)state;
	assert_int_equal(need(1), need(0) + QUOTA);
	assert_int_equal(with, need(1));
	budget_share_del(&share); /* … to the first queue */
	share.queue = 0;
	budget_share_add(budget, &share);
	assert_int_equal(least(MTU), with);
	budget_share_del(&share);
	assert_int_equal(least(MTU), with - QUOTA);
}

static void larger_mtu_needs_more(void **state)
{
	uint32_t small = need(0);

	(void)state;
	assert_true(least(MTU_JUMBO) > least(MTU));
	budget_mtu_set(budget, 0, MTU_JUMBO);
	assert_true(need(0) > small);
}

static void floor_is_the_sum_and_never_more_than_the_pool(void **state)
{
	(void)state;
	assert_int_equal(budget_update(budget, 0, 1)->floor, need(1));
	share.connections = 3;
	assert_int_equal(need(1), need(0) + 3 * QUOTA);
	total_set(need(0) + QUOTA);
	assert_int_equal(budget_update(budget, 0, 1)->floor, need(0) + QUOTA);
	assert_ptr_equal(budget_update(budget, 0, 1), budget_queue(budget, 0, 1));
}

static void volume_that_does_not_fit_is_refused_with_the_numbers(void **state)
{
	uint32_t count = need(0) + QUOTA;
	char needed[64];
	struct error err = {""};

	(void)state;
	total_set(count);
	assert_int_equal(budget_fits(budget, 0, 0, QUOTA, &err), 0);
	total_set(count - 1);
	snprintf(needed, sizeof(needed), "%u mbufs needed", count);
	assert_int_equal(budget_fits(budget, 0, 0, QUOTA, &err), -ENOSPC);
	assert_non_null(strstr(err.text, needed));
}

static void size_set_by_hand_refuses_nothing(void **state)
{
	struct error err;

	(void)state;
	cfg.reserve.size = 0;
	total_set(1);
	assert_true(budget_mtu_fits(budget, 0, MTU_JUMBO, &err));
	assert_int_equal(budget_fits(budget, 0, 0, QUOTA, &err), 0);
	assert_int_equal(budget_room(budget, &share, 5000), 5000);
}

/* Half of the normal mbufs and two volumes more stay free. */
static void quota_grows_into_what_nobody_may_need(void **state)
{
	uint32_t room;

	(void)state;
	cfg.reserve.normal = 4096;
	need(1);
	assert_int_equal(budget_room(budget, &share, 5000), 5000);
	total_set(need(1) + 4096);
	need(1);
	assert_int_equal(budget_room(budget, &share, 5000), QUOTA);
	total_set(need(1) + 4096 + 10000);
	need(1);
	room = budget_room(budget, &share, PLENTY);
	assert_between(room, QUOTA + 1, QUOTA + 10000 + 4096 / 2 - 1);
}

/* budget_fits() would refuse the next one before the tables of connections are full. */
static void tables_hold_what_the_pool_can_serve(void **state)
{
	const struct config_volume small = {.queue_depth = 1, .io_bytes_max = 4096};
	const uint32_t total = 10000;
	struct error err;
	uint32_t n;

	(void)state;
	total_set(total);
	share.quota = budget_quota_least(&small);
	share.connections = 0;
	for (n = 0; budget_fits(budget, 0, 1, share.quota, &err) == 0; n++)
		share.connections++;
	assert_between(n, 1, NET_CONN_MAX - 1);
	assert_true(budget_conn_max(&cfg, total) > n);
	assert_true(budget_conn_max(&cfg, total) < n + 2 * CONN_SPARE);
	assert_int_equal(budget_queue(budget, 0, 1)->conn_max, budget_conn_max(&cfg, total));
}

static void tables_are_never_larger_than_the_limit(void **state)
{
	(void)state;
	assert_int_equal(budget_conn_max(&cfg, UINT32_MAX), NET_CONN_MAX);
	cfg.reserve.size = 0;
	assert_int_equal(budget_conn_max(&cfg, 1), NET_CONN_MAX);
}

/* The pool is cut for the connections that a queue will have. */
static void pool_grows_with_the_connections_of_a_queue(void **state)
{
	struct reserve_config rx, hdr;
	uint32_t one, two;

	(void)state;
	facts.queues = 2;
	cfg.volume_count = 1;
	cfg.volumes[0] =
		(struct config_volume){.queue_depth = 1, .io_bytes_max = 4096, .connections = 2};
	budget_pools_shape(&cfg, &facts, false, &rx, &hdr);
	one = rx.total_count;
	cfg.volumes[0].connections = 3; /* two of them on one of the queues */
	budget_pools_shape(&cfg, &facts, false, &rx, &hdr);
	two = rx.total_count;
	assert_int_equal(two - one, (QUOTA_BYTES_PLAN / PAYLOAD_MIN) + QUOTA_SLACK + 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, budget_new, budget_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(mtu_that_does_not_fit_is_refused_with_the_numbers),
		CASE(mtu_must_fit_each_queue_with_its_volumes),
		CASE(larger_mtu_needs_more),
		CASE(floor_is_the_sum_and_never_more_than_the_pool),
		CASE(volume_that_does_not_fit_is_refused_with_the_numbers),
		CASE(size_set_by_hand_refuses_nothing),
		CASE(quota_grows_into_what_nobody_may_need),
		CASE(tables_hold_what_the_pool_can_serve),
		CASE(tables_are_never_larger_than_the_limit),
		CASE(pool_grows_with_the_connections_of_a_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
