/*
 * test_volume_group.c - channels of one device, each in a world of its own, turned by one thread
 *
 * What the channels share is only the group, so two worlds with a server each stand for two workers
 * with a connection each to one server: the FLUSH of one must wait for the WRITEs of the other.
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include "tests/unit/nbd_client/pair.h"

static void flush_waits_for_writes_of_the_other_worker(void **state)
{
	struct pair *p = pair_ready(pair_make());
	unsigned flush;

	p->b->srv->held_types = 1u << NBD_CMD_WRITE;
	world_ask(p->b, BLOCK_WRITE, 0, 4096, 0, 1);
	pair_turns(p, 3);
	assert_int_equal(p->b->srv->cmd_count, 1);
	flush = world_ask(p->a, BLOCK_FLUSH, 0, 0, 0, 0);
	pair_turns(p, 200);
	assert_int_equal(fake_server_count(p->a->srv, NBD_CMD_FLUSH), 0);
	p->b->srv->held_types = 0;
	pair_turns(p, 20);
	assert_int_equal(fake_server_count(p->a->srv, NBD_CMD_FLUSH), 1);
	assert_true(p->a->reqs[flush].is_done);
	assert_int_equal(p->a->reqs[flush].result, 0);
	pair_free(p);
}

static void waiting_flush_looks_again_soon(void **state)
{
	struct pair *p = pair_ready(pair_make());

	assert_true(nbd_client_deadline(p->a->nc) > p->a->now_us + 10000);
	p->b->srv->held_types = 1u << NBD_CMD_WRITE;
	world_ask(p->b, BLOCK_WRITE, 0, 4096, 0, 1);
	pair_turns(p, 3);
	world_ask(p->a, BLOCK_FLUSH, 0, 0, 0, 0);
	pair_turns(p, 3);
	assert_true(nbd_client_deadline(p->a->nc) <= p->a->now_us);
	p->b->srv->held_types = 0;
	pair_turns(p, 20);
	assert_true(nbd_client_deadline(p->a->nc) > p->a->now_us + 10000);
	pair_free(p);
}

static void younger_writes_of_the_other_worker_do_not_hold_up_a_flush(void **state)
{
	struct pair *p = pair_ready(pair_make());
	unsigned flush;

	p->b->srv->held_types = 1u << NBD_CMD_WRITE;
	p->a->srv->held_types = 1u << NBD_CMD_WRITE;
	world_ask(p->a, BLOCK_WRITE, 0, 4096, 0, 1);
	pair_turns(p, 3);
	flush = world_ask(p->a, BLOCK_FLUSH, 0, 0, 0, 0);
	pair_turns(p, 3);
	world_ask(p->b, BLOCK_WRITE, 0, 4096, 0, 1);
	pair_turns(p, 3);
	p->a->srv->held_types = 0;
	pair_turns(p, 20);
	assert_true(p->a->reqs[flush].is_done);
	assert_int_equal(p->b->srv->answered_count, 0);
	p->b->srv->held_types = 0;
	pair_turns(p, 20);
	pair_free(p);
}

static void flush_waits_for_the_replay_of_a_channel_that_lost_its_server(void **state)
{
	struct pair *p = pair_ready(pair_make());
	unsigned write, flush;

	p->b->srv->is_silent = true;
	write = world_ask(p->b, BLOCK_WRITE, 0, 4096, 0, 1);
	pair_turns(p, 3);
	p->b->net->connect_error = -ENETUNREACH;
	fake_stream_close(&p->b->net->streams[p->b->net->opened - 1]);
	flush = world_ask(p->a, BLOCK_FLUSH, 0, 0, 0, 0);
	pair_turns(p, 30);
	assert_int_equal(world_info(p->b).state, VOLUME_LOST);
	assert_false(p->a->reqs[flush].is_done);
	assert_int_equal(fake_server_count(p->a->srv, NBD_CMD_FLUSH), 0);
	p->b->srv->is_silent = false;
	p->b->net->connect_error = 0;
	pair_turns(p, 1000);
	assert_true(p->b->reqs[write].is_done);
	assert_true(p->a->reqs[flush].is_done);
	assert_true(world_info(p->b).replayed > 0);
	pair_free(p);
}

static void two_flushes_and_writes_on_both_sides_end(void **state)
{
	struct pair *p = pair_ready(pair_make());

	for (unsigned i = 0; i < 20; i++) {
		world_ask(p->a, BLOCK_WRITE, i * 4096, 4096, 0, 1);
		world_ask(p->b, BLOCK_WRITE, i * 4096, 4096, BLOCK_FUA, 1);
		world_ask(p->a, BLOCK_FLUSH, 0, 0, 0, 0);
		world_ask(p->b, BLOCK_FLUSH, 0, 0, 0, 0);
	}
	pair_turns(p, 500);
	assert_true(world_settle(p->a, 0) && world_settle(p->b, 0));
	pair_free(p);
}

static void channel_insists_on_the_export_the_first_found(void **state)
{
	struct pair *p = pair_make();

	p->b->srv->size_bytes = 1u << 19;
	pair_start(p);
	assert_int_equal(world_info(p->b).conn_ready, 0);
	assert_non_null(strstr(p->b->last_event, "refused"));
	pair_free(p);
}

/* Two addresses; the leader's breaks, so it goes to the second, and the other must go along. */
static void channels_stay_on_one_server(void **state)
{
	struct pair *p = pair_make();
	struct stream *followers;

	p->a->cfg.servers.count = p->b->cfg.servers.count = 2;
	pair_ready(p);
	followers = &p->b->net->streams[p->b->net->opened - 1];
	fake_stream_close(&p->a->net->streams[p->a->net->opened - 1]);
	pair_turns(p, 500);
	/* The follower still served at the first, so the leader went back there. */
	assert_int_equal(world_info(p->a).state, VOLUME_READY);
	assert_false(followers->is_released);
	assert_string_equal(world_info(p->a).server, world_info(p->b).server);
	fake_stream_close(followers);
	fake_stream_close(&p->a->net->streams[p->a->net->opened - 1]);
	p->a->net->connect_error = -ENETUNREACH;
	for (unsigned i = 0; i < 5000 && !strstr(world_info(p->a).server, "10.0.0.3"); i++)
		pair_turns(p, 1);
	p->a->net->connect_error = 0;
	pair_turns(p, 1000);
	assert_int_equal(world_info(p->a).state, VOLUME_READY);
	assert_int_equal(world_info(p->b).state, VOLUME_READY);
	assert_string_equal(world_info(p->a).server, world_info(p->b).server);
	assert_string_equal(world_info(p->a).server, "10.0.0.3:10809");
	pair_free(p);
}

static void follower_waits_for_its_leader(void **state)
{
	struct pair *p = pair_ready(pair_make());

	p->a->net->connect_error = -ENETUNREACH;
	fake_stream_close(&p->a->net->streams[p->a->net->opened - 1]);
	fake_stream_close(&p->b->net->streams[p->b->net->opened - 1]);
	pair_turns(p, 1000);
	assert_int_equal(world_info(p->b).conn_ready, 0);
	p->a->net->connect_error = 0;
	for (unsigned i = 0; i < 20000 && world_info(p->b).conn_ready == 0; i++)
		pair_turns(p, 1);
	assert_int_equal(world_info(p->a).conn_ready, 1);
	assert_int_equal(world_info(p->b).conn_ready, 1);
	pair_free(p);
}

static void connection_tries_ports_until_replies_arrive_here(void **state)
{
	struct world *w = world_create();

	w->net->misdirected_next = 5;
	world_start(w);
	world_turns(w, 50);
	assert_int_equal(world_info(w).state, VOLUME_READY);
	assert_int_equal(w->net->opened, 6);
	assert_int_equal(world_info(w).conn_misdirected, 0);
	assert_int_equal(world_info(w).reconnects, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(w->net->streams[i].to_server.len, 0);
	world_destroy(w);
}

static void connection_always_misdirected_is_kept_in_the_end(void **state)
{
	struct world *w = world_create();
	unsigned i;

	w->net->misdirected_next = UINT32_MAX;
	world_start(w);
	world_turns(w, 200);
	assert_int_equal(world_info(w).state, VOLUME_READY);
	assert_int_equal(w->net->opened, NBD_MISDIRECTED_TRIES_MAX + 1);
	assert_int_equal(world_info(w).conn_misdirected, 1);
	i = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	assert_true(world_settle(w, 10000));
	assert_int_equal(w->reqs[i].result, 0);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flush_waits_for_writes_of_the_other_worker),
		cmocka_unit_test(waiting_flush_looks_again_soon),
		cmocka_unit_test(younger_writes_of_the_other_worker_do_not_hold_up_a_flush),
		cmocka_unit_test(flush_waits_for_the_replay_of_a_channel_that_lost_its_server),
		cmocka_unit_test(two_flushes_and_writes_on_both_sides_end),
		cmocka_unit_test(channel_insists_on_the_export_the_first_found),
		cmocka_unit_test(channels_stay_on_one_server),
		cmocka_unit_test(follower_waits_for_its_leader),
		cmocka_unit_test(connection_tries_ports_until_replies_arrive_here),
		cmocka_unit_test(connection_always_misdirected_is_kept_in_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
