/*
 * test_budget.c - what does not fit is refused, and the refusal says by how much
 *
 * The port and the worker are the test's own; the sum is the real one. No pool is made: what is
 * asked is whether a pool of so many mbufs would do.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <setjmp.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "daemon/engine/engine_impl.h"
#include "tests/unit/between.h"

#define MTU	  1500
#define MTU_JUMBO 9000
#define QUOTA	  1000

static struct port_facts facts = {.mtu = MTU_JUMBO, .ring_mbufs = 256, .burst_mbufs = BURST_MAX};

const struct port_facts *port_facts(const struct port *p)
{
	(void)p;
	return &facts;
}

bool worker_post(struct worker *w, const struct worker_cmd *cmd, uint64_t *ticket)
{
	(void)w;
	(void)cmd;
	(void)ticket;
	fail_msg("a question posts no command");
	return false;
}

bool worker_done(const struct worker *w, uint64_t ticket)
{
	(void)w;
	(void)ticket;
	return true;
}

static struct engine engine;
static const struct config_port port_cfg = {.name = "port0"};

/* One port with two queues and a volume on the second. */
static int engine_new(void **state)
{
	struct device *d = &engine.devices[0];
	struct engine_port *p = &engine.ports[0];

	(void)state;
	memset(&engine, 0, sizeof(engine));
	engine.cfg.reserve.size = -1;
	engine.cfg.reserve.safety_pct = 100;
	engine.port_count = 1;
	p->cfg = &port_cfg;
	p->queue_count = 2;
	p->stack_mtu = MTU;
	p->queues[0].total = p->queues[1].total = 1u << 20;
	d->channel_count = 1;
	d->channels[0].queue = 1;
	d->channels[0].connections = 1;
	d->channels[0].quota = QUOTA;
	return 0;
}

/* The smallest pool of @queue in which @mtu fits. */
static uint32_t least(unsigned queue, uint16_t mtu)
{
	uint32_t *total = &engine.ports[0].queues[queue].total, was = *total, low = 0, high = was;
	struct error err;

	while (low < high) {
		*total = (low + high) / 2;
		if (engine_mtu_fits(&engine, 0, mtu, &err))
			high = *total;
		else
			low = *total + 1;
	}
	*total = was;
	return low;
}

static void mtu_that_does_not_fit_is_refused_with_the_numbers(void **state)
{
	struct engine_queue *q = &engine.ports[0].queues[1];
	uint32_t need = least(1, MTU_JUMBO);
	char needed[64], has[64];
	struct error err = {""};

	(void)state;
	q->total = need - 1;
	snprintf(needed, sizeof(needed), "%u mbufs needed at an MTU of %u", need, MTU_JUMBO);
	snprintf(has, sizeof(has), "pool of port0 has %u", need - 1);
	assert_false(engine_mtu_fits(&engine, 0, MTU_JUMBO, &err));
	assert_non_null(strstr(err.text, needed));
	assert_non_null(strstr(err.text, has));
	assert_true(engine_mtu_fits(&engine, 0, MTU, &err));
	q->total = need;
	assert_true(engine_mtu_fits(&engine, 0, MTU_JUMBO, &err));
}

static void mtu_must_fit_each_queue_with_its_volumes(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(least(1, MTU), least(0, MTU) + QUOTA);
	engine.ports[0].queues[0].total = least(0, MTU_JUMBO) - 1;
	assert_false(engine_mtu_fits(&engine, 0, MTU_JUMBO, &err));
}

static void larger_mtu_needs_more(void **state)
{
	(void)state;
	assert_true(least(0, MTU_JUMBO) > least(0, MTU));
}

static void volume_that_does_not_fit_is_refused_with_the_numbers(void **state)
{
	struct engine_queue *q = &engine.ports[0].queues[0];
	uint32_t need = least(0, MTU) + QUOTA;
	char needed[64];
	struct error err = {""};

	(void)state;
	q->total = need;
	assert_int_equal(engine_fits(&engine, 0, 0, QUOTA, &err), 0);
	q->total = need - 1;
	snprintf(needed, sizeof(needed), "%u mbufs needed", need);
	assert_int_equal(engine_fits(&engine, 0, 0, QUOTA, &err), -ENOSPC);
	assert_non_null(strstr(err.text, needed));
}

static void size_set_by_hand_refuses_nothing(void **state)
{
	struct error err;

	(void)state;
	engine.cfg.reserve.size = 0;
	engine.ports[0].queues[0].total = engine.ports[0].queues[1].total = 1;
	assert_true(engine_mtu_fits(&engine, 0, MTU_JUMBO, &err));
	assert_int_equal(engine_fits(&engine, 0, 0, QUOTA, &err), 0);
}

/* engine_fits() would refuse the next one before the tables of connections are full. */
static void tables_hold_what_the_pool_can_serve(void **state)
{
	const struct config_volume least = {.queue_depth = 1, .io_bytes_max = 4096};
	struct engine_queue *q = &engine.ports[0].queues[0];
	struct device *d = &engine.devices[0];
	struct error err;
	uint32_t n;

	(void)state;
	q->total = 10000;
	d->channels[0].queue = 0;
	d->channels[0].quota = engine_quota_least(&least);
	d->channels[0].connections = 0;
	for (n = 0; engine_fits(&engine, 0, 0, d->channels[0].quota, &err) == 0; n++)
		d->channels[0].connections++;
	assert_between(n, 1, NET_CONN_MAX - 1);
	assert_true(engine_conn_max(&engine.cfg, q->total) > n);
	assert_true(engine_conn_max(&engine.cfg, q->total) < n + 2 * CONN_SPARE);
}

static void tables_are_never_larger_than_the_limit(void **state)
{
	(void)state;
	assert_int_equal(engine_conn_max(&engine.cfg, UINT32_MAX), NET_CONN_MAX);
	engine.cfg.reserve.size = 0;
	assert_int_equal(engine_conn_max(&engine.cfg, 1), NET_CONN_MAX);
}

/* The pool is cut for the connections that a queue will have. */
static void pool_grows_with_the_connections_of_a_queue(void **state)
{
	struct reserve_config rx, hdr;
	uint32_t one, two;

	(void)state;
	facts.queues = 2;
	engine.cfg.volume_count = 1;
	engine.cfg.volumes[0] =
		(struct config_volume){.queue_depth = 1, .io_bytes_max = 4096, .connections = 2};
	engine_pools_shape(&engine.cfg, &facts, false, &rx, &hdr);
	one = rx.total_count;
	engine.cfg.volumes[0].connections = 3; /* two of them on one of the queues */
	engine_pools_shape(&engine.cfg, &facts, false, &rx, &hdr);
	two = rx.total_count;
	assert_int_equal(two - one, (QUOTA_BYTES_PLAN / PAYLOAD_MIN) + QUOTA_SLACK + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			mtu_that_does_not_fit_is_refused_with_the_numbers, engine_new),
		cmocka_unit_test_setup(mtu_must_fit_each_queue_with_its_volumes, engine_new),
		cmocka_unit_test_setup(larger_mtu_needs_more, engine_new),
		cmocka_unit_test_setup(
			volume_that_does_not_fit_is_refused_with_the_numbers, engine_new),
		cmocka_unit_test_setup(size_set_by_hand_refuses_nothing, engine_new),
		cmocka_unit_test_setup(tables_hold_what_the_pool_can_serve, engine_new),
		cmocka_unit_test_setup(tables_are_never_larger_than_the_limit, engine_new),
		cmocka_unit_test_setup(pool_grows_with_the_connections_of_a_queue, engine_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
