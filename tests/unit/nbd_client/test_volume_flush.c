/*
 * test_volume_flush.c - one FLUSH in flight per device, no error of a FLUSH or FUA hidden by a
 * success
 *
 * The server of these tests reports an error once, to one of the requests it covers, as fsync()
 * does.
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include "tests/unit/nbd_client/pair.h"

static struct world *ready(struct world *w)
{
	world_start(w);
	world_turns(w, 50);
	assert_int_equal(world_info(w).state, VOLUME_READY);
	return w;
}

static unsigned flushes(const struct world *w)
{
	return fake_server_count(w->srv, NBD_CMD_FLUSH);
}

static void hold(struct world *w, uint16_t type, uint16_t flags)
{
	w->srv->held_types = 1u << type;
	w->srv->held_flags = flags;
}

static void let_go(struct world *w)
{
	w->srv->held_types = 0;
	w->srv->held_flags = 0;
}

static void fail_once(struct world *w, uint16_t type, uint16_t flags)
{
	w->srv->error = NBD_EIO;
	w->srv->error_type = type;
	w->srv->error_flags = flags;
	w->srv->errors_max = 1;
}

static void a_volume_with_two_connections_has_one_flush_in_flight(void **state)
{
	struct world *w = world_create();
	unsigned first, second;

	w->cfg.connections = 2;
	ready(w);
	hold(w, NBD_CMD_FLUSH, 0);
	first = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	world_turns(w, 5);
	second = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	world_turns(w, 50);
	assert_int_equal(flushes(w), 1);
	let_go(w);
	assert_true(world_settle(w, 100000));
	assert_int_equal(flushes(w), 2);
	assert_int_equal(w->reqs[first].result | w->reqs[second].result, 0);
	world_destroy(w);
}

static void a_device_on_two_workers_has_one_flush_in_flight(void **state)
{
	struct pair *p = pair_ready(pair_make());
	unsigned second;

	hold(p->a, NBD_CMD_FLUSH, 0);
	world_ask(p->a, BLOCK_FLUSH, 0, 0, 0, 0);
	pair_turns(p, 5);
	second = world_ask(p->b, BLOCK_FLUSH, 0, 0, 0, 0);
	pair_turns(p, 50);
	assert_int_equal(flushes(p->a), 1);
	assert_int_equal(flushes(p->b), 0);
	assert_true(nbd_client_deadline(p->b->nc) <= p->b->now_us + 5000);
	let_go(p->a);
	pair_turns(p, 20);
	assert_int_equal(flushes(p->b), 1);
	assert_int_equal(p->b->reqs[second].result, 0);
	assert_true(p->b->reqs[second].is_done);
	pair_free(p);
}

static void flush_success_is_held_back_until_the_fua_beside_it_is_answered(void **state)
{
	struct world *w = ready(world_create());
	unsigned flush, fua;

	hold(w, NBD_CMD_FLUSH, 0);
	flush = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	world_turns(w, 5);
	fua = world_ask(w, BLOCK_WRITE, 0, 4096, BLOCK_FUA, 1);
	hold(w, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA);
	world_turns(w, 50);
	assert_int_equal(w->srv->answered_count, 1);
	assert_false(w->reqs[flush].is_done);
	let_go(w);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[flush].result | w->reqs[fua].result, 0);
	world_destroy(w);
}

/* A FUA taken after the FLUSH was answered cannot have taken its error. */
static void flush_is_not_held_back_by_later_fuas(void **state)
{
	struct world *w = ready(world_create());
	unsigned flush;

	hold(w, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA);
	world_ask(w, BLOCK_WRITE, 0, 4096, BLOCK_FUA, 1);
	world_turns(w, 5);
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_WRITE), 1);
	let_go(w);
	world_turns(w, 5);
	flush = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	world_turns(w, 2);
	hold(w, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA);
	world_turns(w, 2);
	world_ask(w, BLOCK_WRITE, 0, 4096, BLOCK_FUA, 1);
	world_turns(w, 5);
	assert_true(w->reqs[flush].is_done);
	assert_int_equal(w->reqs[flush].result, 0);
	let_go(w);
	assert_true(world_settle(w, 100000));
	world_destroy(w);
}

static void error_of_a_fua_in_flight_beside_it_fails_the_flush(void **state)
{
	struct world *w = ready(world_create());
	unsigned flush, fua, later;

	fail_once(w, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA);
	hold(w, NBD_CMD_FLUSH, 0);
	flush = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	world_turns(w, 5);
	fua = world_ask(w, BLOCK_WRITE, 0, 4096, BLOCK_FUA, 1);
	world_turns(w, 5);
	let_go(w);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[fua].result, -EIO);
	assert_int_equal(w->reqs[flush].result, -EIO);
	later = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[later].result, -EIO); /* the FUA failed after the first was sent */
	later = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[later].result, 0);
	world_destroy(w);
}

/* The error the FUA met may be that of an earlier write, which the FLUSH is to cover. */
static void error_of_a_fua_since_the_last_flush_fails_the_next_one_once(void **state)
{
	struct world *w = ready(world_create());
	unsigned fua, first, second;

	fail_once(w, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA);
	world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	fua = world_ask(w, BLOCK_WRITE, 8192, 4096, BLOCK_FUA, 1);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[fua].result, -EIO);
	first = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	assert_true(world_settle(w, 100000));
	second = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[first].result, -EIO);
	assert_int_equal(w->reqs[second].result, 0);
	world_destroy(w);
}

static void error_of_a_fua_on_another_worker_fails_the_flush(void **state)
{
	struct pair *p = pair_ready(pair_make());
	unsigned flush, fua;

	fail_once(p->b, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA);
	hold(p->b, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA);
	fua = world_ask(p->b, BLOCK_WRITE, 0, 4096, BLOCK_FUA, 1);
	pair_turns(p, 5);
	flush = world_ask(p->a, BLOCK_FLUSH, 0, 0, 0, 0);
	pair_turns(p, 5);
	assert_int_equal(flushes(p->a), 0); /* it covers that FUA */
	hold(p->a, NBD_CMD_FLUSH, 0);
	let_go(p->b);
	pair_turns(p, 5);
	assert_int_equal(p->b->reqs[fua].result, -EIO);
	assert_int_equal(flushes(p->a), 1);
	let_go(p->a);
	pair_turns(p, 20);
	assert_int_equal(p->a->reqs[flush].result, -EIO);
	pair_free(p);
}

static void younger_fua_of_another_worker_holds_the_answer_back(void **state)
{
	struct pair *p = pair_ready(pair_make());
	unsigned flush;

	hold(p->a, NBD_CMD_FLUSH, 0);
	flush = world_ask(p->a, BLOCK_FLUSH, 0, 0, 0, 0);
	pair_turns(p, 5);
	fail_once(p->b, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA);
	hold(p->b, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA);
	world_ask(p->b, BLOCK_WRITE, 0, 4096, BLOCK_FUA, 1);
	pair_turns(p, 5);
	let_go(p->a);
	pair_turns(p, 50);
	assert_false(p->a->reqs[flush].is_done);
	let_go(p->b);
	pair_turns(p, 20);
	assert_true(p->a->reqs[flush].is_done);
	assert_int_equal(p->a->reqs[flush].result, -EIO);
	pair_free(p);
}

/* The server knows no FUA: eight WRITEs, each to be followed by a FLUSH. */
static void emulated_fuas_share_a_flush_and_its_error(void **state)
{
	struct world *w = world_create();

	w->srv->flags &= (uint16_t)~NBD_FLAG_SEND_FUA;
	ready(w);
	fail_once(w, NBD_CMD_FLUSH, 0);
	for (unsigned i = 0; i < 8; i++)
		world_ask(w, BLOCK_WRITE, i * 4096, 4096, BLOCK_FUA, 1);
	assert_true(world_settle(w, 100000));
	assert_int_equal(flushes(w), 1);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(w->reqs[i].result, -EIO);
	world_destroy(w);
}

static void flush_that_lost_its_connection_lets_the_other_worker_flush(void **state)
{
	struct pair *p = pair_ready(pair_make());
	unsigned mine, other;

	hold(p->b, NBD_CMD_FLUSH, 0);
	mine = world_ask(p->b, BLOCK_FLUSH, 0, 0, 0, 0);
	pair_turns(p, 5);
	other = world_ask(p->a, BLOCK_FLUSH, 0, 0, 0, 0);
	pair_turns(p, 5);
	assert_int_equal(flushes(p->a), 0);
	p->b->net->connect_error = -ENETUNREACH;
	fake_stream_close(&p->b->net->streams[p->b->net->opened - 1]);
	pair_turns(p, 20);
	assert_true(p->a->reqs[other].is_done);
	assert_int_equal(p->a->reqs[other].result, 0);
	p->b->net->connect_error = 0;
	let_go(p->b);
	pair_turns(p, 2000);
	assert_true(p->b->reqs[mine].is_done);
	assert_int_equal(p->b->reqs[mine].result, 0);
	pair_free(p);
}

/* Keeps one FLUSH more in line than the one that may be in flight. */
static void ask_flushes(struct world *w)
{
	unsigned open = 0;

	for (unsigned i = 0; i < w->req_count; i++)
		open += !w->reqs[i].is_done;
	if (open < 2)
		world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
}

static void no_worker_starves_of_flushes(void **state)
{
	struct pair *p = pair_ready(pair_make());

	for (unsigned i = 0; i < 200; i++) {
		ask_flushes(p->a);
		ask_flushes(p->b);
		pair_turns(p, 1);
	}
	assert_true(flushes(p->a) > 10 && flushes(p->b) > 10);
	assert_true(flushes(p->a) < 2 * flushes(p->b) && flushes(p->b) < 2 * flushes(p->a));
	pair_free(p);
}

static void given_up_flush_and_its_riders_are_answered_once(void **state)
{
	struct world *w = world_create();

	w->cfg.on_dead = ON_DEAD_FAIL;
	w->cfg.dead_us = 1000000;
	w->srv->flags &= (uint16_t)~NBD_FLAG_SEND_FUA;
	ready(w);
	hold(w, NBD_CMD_FLUSH, 0);
	for (unsigned i = 0; i < 4; i++)
		world_ask(w, BLOCK_WRITE, i * 4096, 4096, BLOCK_FUA, 1);
	world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	world_turns(w, 10);
	assert_int_equal(flushes(w), 1);
	w->net->connect_error = -ENETUNREACH;
	fake_stream_close(&w->net->streams[w->net->opened - 1]);
	assert_true(world_settle(w, 5000000));
	for (unsigned i = 0; i < w->req_count; i++) {
		assert_int_equal(w->reqs[i].done_count, 1);
		assert_int_equal(w->reqs[i].result, -EIO);
	}
	world_destroy(w);
}

static void write_answered_after_the_flush_was_sent_stays_unstable(void **state)
{
	struct world *w = ready(world_create());

	world_ask(w, BLOCK_WRITE, 0, 8192, 0, 1);
	world_ask(w, BLOCK_WRITE, 8192, 4096, BLOCK_FUA, 1);
	assert_true(world_settle(w, 100000));
	assert_int_equal(world_info(w).unstable_bytes, 8192);
	hold(w, NBD_CMD_FLUSH, 0);
	world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	world_turns(w, 5);
	world_ask(w, BLOCK_WRITE, 16384, 4096, 0, 1);
	world_turns(w, 5);
	assert_int_equal(world_info(w).unstable_bytes, 12288);
	let_go(w);
	assert_true(world_settle(w, 100000));
	assert_int_equal(world_info(w).unstable_bytes, 4096);
	world_destroy(w);
}

static void flush_of_one_worker_makes_the_writes_of_the_other_stable(void **state)
{
	struct pair *p = pair_ready(pair_make());

	world_ask(p->b, BLOCK_WRITE, 0, 4096, 0, 1);
	pair_turns(p, 10);
	assert_int_equal(world_info(p->b).unstable_bytes, 4096);
	world_ask(p->a, BLOCK_FLUSH, 0, 0, 0, 0);
	pair_turns(p, 10);
	assert_int_equal(world_info(p->b).unstable_bytes, 0);
	pair_free(p);
}

/* The server may have restarted: 8192 bytes are counted and told, once. */
static void unstable_bytes_are_told_when_the_last_connection_is_lost(void **state)
{
	struct world *w = ready(world_create());

	world_ask(w, BLOCK_WRITE, 0, 8192, 0, 1);
	assert_true(world_settle(w, 100000));
	w->net->syn_error = -ECONNREFUSED;
	fake_stream_close(&w->net->streams[0]);
	world_turns(w, 5);
	assert_int_equal(world_info(w).unstable_lost, 8192);
	assert_int_equal(world_info(w).dirty_reconnects, 1);
	assert_int_equal(w->exposed_count, 1);
	w->net->syn_error = 0;
	assert_true(world_until(w, VOLUME_READY, 13000000));
	fake_stream_close(&w->net->streams[w->net->opened - 1]);
	world_turns(w, 5);
	assert_true(world_until(w, VOLUME_READY, 13000000));
	assert_int_equal(world_info(w).unstable_lost, 8192);
	assert_int_equal(w->exposed_count, 1);
	world_destroy(w);
}

static void flushed_bytes_are_not_told(void **state)
{
	struct world *w = ready(world_create());

	world_ask(w, BLOCK_WRITE, 0, 8192, 0, 1);
	world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
	assert_true(world_settle(w, 100000));
	fake_stream_close(&w->net->streams[0]);
	world_turns(w, 5);
	assert_true(world_until(w, VOLUME_READY, 13000000));
	assert_int_equal(world_info(w).unstable_lost | world_info(w).dirty_reconnects, 0);
	assert_int_equal(w->exposed_count, 0);
	world_destroy(w);
}

/* A world whose volume has `unstable: through`, and whose server lacks @missing. */
static struct world *through(uint16_t missing)
{
	struct world *w = world_create();

	w->cfg.unstable = UNSTABLE_THROUGH;
	w->srv->flags &= (uint16_t)~missing;
	return ready(w);
}

static void through_sends_every_write_with_fua(void **state)
{
	static const enum block_op ops[] = {BLOCK_WRITE, BLOCK_TRIM, BLOCK_WRITE_ZEROES};
	static const uint16_t types[] = {NBD_CMD_WRITE, NBD_CMD_TRIM, NBD_CMD_WRITE_ZEROES};

	for (unsigned i = 0; i < 3; i++) {
		struct world *w = through(0);
		unsigned req;

		hold(w, types[i], NBD_CMD_FLAG_FUA);
		req = world_ask(w, ops[i], 0, 4096, 0, 1);
		world_turns(w, 50);
		assert_false(w->reqs[req].is_done);
		let_go(w);
		assert_true(world_settle(w, 100000));
		assert_int_equal(w->reqs[req].result, 0);
		assert_int_equal(world_info(w).unstable_bytes, 0);
		assert_true(world_info(w).is_through);
		assert_int_equal(flushes(w), 0);
		world_destroy(w);
	}
}

static void through_flushes_behind_each_write_where_the_server_has_no_fua(void **state)
{
	struct world *w = through(NBD_FLAG_SEND_FUA);
	unsigned req;

	hold(w, NBD_CMD_FLUSH, 0);
	req = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	world_turns(w, 50);
	assert_int_equal(flushes(w), 1);
	assert_false(w->reqs[req].is_done);
	let_go(w);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[req].result, 0);
	assert_int_equal(world_info(w).unstable_bytes, 0);
	world_destroy(w);
}

static void connection_lost(struct world *w)
{
	fake_stream_close(&w->net->streams[w->net->opened - 1]);
}

static unsigned writes(const struct world *w)
{
	return fake_server_count(w->srv, NBD_CMD_WRITE);
}

/* The server may have restarted between the two, and lost what it had answered. */
static void write_goes_again_when_the_connection_is_lost_before_its_flush(void **state)
{
	struct world *w = through(NBD_FLAG_SEND_FUA);
	unsigned req;

	hold(w, NBD_CMD_FLUSH, 0);
	req = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	world_turns(w, 50);
	assert_int_equal(writes(w), 1);
	assert_int_equal(flushes(w), 1);
	connection_lost(w);
	hold(w, NBD_CMD_WRITE, 0);
	world_turns(w, 500);
	assert_int_equal(writes(w), 2);
	assert_false(w->reqs[req].is_done);
	let_go(w);
	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[req].result, 0);
	assert_int_equal(w->reqs[req].done_count, 1);
	assert_int_equal(writes(w), 2);
	assert_int_equal(flushes(w), 3); /* held, replayed, and behind the second WRITE */
	world_destroy(w);
}

/* The same for the kernel's own FUA, of several writes that share a FLUSH. */
static void writes_that_share_a_lost_flush_go_again(void **state)
{
	struct world *w = world_create();

	w->srv->flags &= (uint16_t)~NBD_FLAG_SEND_FUA;
	ready(w);
	hold(w, NBD_CMD_FLUSH, 0);
	for (unsigned i = 0; i < 4; i++)
		world_ask(w, BLOCK_WRITE, i * 4096, 4096, BLOCK_FUA, 1);
	world_turns(w, 50);
	assert_int_equal(writes(w), 4);
	connection_lost(w);
	let_go(w);
	assert_true(world_settle(w, 5000000));
	assert_int_equal(writes(w), 8);
	for (unsigned i = 0; i < w->req_count; i++) {
		assert_int_equal(w->reqs[i].done_count, 1);
		assert_int_equal(w->reqs[i].result, 0);
	}
	world_destroy(w);
}

/* It says nothing of a cache, so there is nothing to write through. */
static void through_is_trust_where_the_server_has_neither(void **state)
{
	struct world *w = through(NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_FLUSH);
	unsigned req = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);

	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[req].result, 0);
	assert_false(world_info(w).is_through);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_volume_with_two_connections_has_one_flush_in_flight),
		cmocka_unit_test(a_device_on_two_workers_has_one_flush_in_flight),
		cmocka_unit_test(flush_success_is_held_back_until_the_fua_beside_it_is_answered),
		cmocka_unit_test(flush_is_not_held_back_by_later_fuas),
		cmocka_unit_test(error_of_a_fua_in_flight_beside_it_fails_the_flush),
		cmocka_unit_test(error_of_a_fua_since_the_last_flush_fails_the_next_one_once),
		cmocka_unit_test(error_of_a_fua_on_another_worker_fails_the_flush),
		cmocka_unit_test(younger_fua_of_another_worker_holds_the_answer_back),
		cmocka_unit_test(emulated_fuas_share_a_flush_and_its_error),
		cmocka_unit_test(flush_that_lost_its_connection_lets_the_other_worker_flush),
		cmocka_unit_test(no_worker_starves_of_flushes),
		cmocka_unit_test(given_up_flush_and_its_riders_are_answered_once),
		cmocka_unit_test(write_answered_after_the_flush_was_sent_stays_unstable),
		cmocka_unit_test(unstable_bytes_are_told_when_the_last_connection_is_lost),
		cmocka_unit_test(flushed_bytes_are_not_told),
		cmocka_unit_test(flush_of_one_worker_makes_the_writes_of_the_other_stable),
		cmocka_unit_test(through_sends_every_write_with_fua),
		cmocka_unit_test(through_flushes_behind_each_write_where_the_server_has_no_fua),
		cmocka_unit_test(write_goes_again_when_the_connection_is_lost_before_its_flush),
		cmocka_unit_test(writes_that_share_a_lost_flush_go_again),
		cmocka_unit_test(through_is_trust_where_the_server_has_neither),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
