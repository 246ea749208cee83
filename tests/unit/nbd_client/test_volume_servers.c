/*
 * test_volume_servers.c - names resolved again: a volume without a connection gets new addresses
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "tests/unit/nbd_client/world.h"

static struct volume_servers servers_of(unsigned count, const uint8_t last[])
{
	struct volume_servers s = {.count = count};

	for (unsigned i = 0; i < count; i++)
		s.list[i].ip = (struct net_ip){AF_INET, {10, 0, 0, last[i]}};
	return s;
}

#define SERVERS(...)                                                                               \
	servers_of(sizeof((uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})

/* The last octet of where the newest stream leads. */
static unsigned goes_to(const struct world *w)
{
	return w->net->streams[w->net->opened - 1].target.ip.addr[3];
}

static struct world *world_ready(void)
{
	struct world *w = world_create();

	world_start(w);
	world_turns(w, 50);
	assert_int_equal(world_info(w).state, VOLUME_READY);
	return w;
}

static void server_lose(struct world *w)
{
	w->net->connect_error = -ENETUNREACH;
	fake_stream_close(&w->net->streams[w->net->opened - 1]);
	world_turns(w, 20);
	assert_int_equal(world_info(w).conn_ready, 0);
}

static void lost_volume_goes_to_its_new_address(void **state)
{
	struct world *w = world_ready();
	struct volume_servers s = SERVERS(7);
	unsigned i;

	server_lose(w);
	i = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	volume_servers_set(w->volume, &s);
	w->net->connect_error = 0;
	world_turns(w, 3); /* at once: the pause was for the old address */
	assert_int_equal(goes_to(w), 7);
	assert_true(world_settle(w, 10000));
	assert_int_equal(w->reqs[i].result, 0);
	assert_int_equal(world_info(w).state, VOLUME_READY);
	world_destroy(w);
}

static void volume_that_serves_keeps_its_addresses(void **state)
{
	struct world *w = world_ready();
	struct volume_servers s = SERVERS(7);
	unsigned opened = w->net->opened;

	volume_servers_set(w->volume, &s);
	world_turns(w, 100);
	assert_int_equal(w->net->opened, opened);
	assert_int_equal(world_info(w).conn_ready, 1);
	server_lose(w);
	w->net->connect_error = 0;
	assert_true(world_settle(w, 10000));
	world_turns(w, 2000);
	assert_int_equal(goes_to(w), 2);
	world_destroy(w);
}

static void address_in_both_lists_is_not_given_up(void **state)
{
	struct world *w = world_ready();
	struct volume_servers s = SERVERS(9, 8, 2);

	fake_stream_close(&w->net->streams[0]);
	for (unsigned i = 0; i < 5000 && w->net->opened < 2; i++) {
		world_turns(w, 1);
		w->net->is_deaf = world_info(w).conn_ready == 0;
	}
	assert_int_equal(w->net->opened, 2);
	assert_int_equal(
		world_info(w).conn_ready, 0); /* under way to an address that is still right */
	volume_servers_set(w->volume, &s);
	w->net->is_deaf = false;
	world_turns(w, 200);
	assert_int_equal(w->net->opened, 2);
	assert_int_equal(goes_to(w), 2);
	assert_int_equal(world_info(w).state, VOLUME_READY);
	fake_stream_close(&w->net->streams[1]); /* the next one in the new list is its first */
	for (unsigned i = 0; i < 5000 && w->net->opened < 3; i++)
		world_turns(w, 1);
	assert_int_equal(goes_to(w), 9);
	world_destroy(w);
}

static void every_address_of_the_new_list_is_tried(void **state)
{
	struct world *w = world_ready();
	struct volume_servers s = SERVERS(4, 5, 6);
	bool seen[16] = {false};

	server_lose(w);
	volume_servers_set(w->volume, &s);
	w->net->connect_error = 0;
	w->net->syn_error = -ECONNREFUSED;
	for (unsigned i = 0; i < 20000 && !(seen[4] && seen[5] && seen[6]); i++) {
		world_turns(w, 1);
		seen[goes_to(w) % 16] = true;
	}
	assert_true(seen[4] && seen[5] && seen[6]);
	w->net->syn_error = 0;
	for (unsigned i = 0; i < 20000 && world_info(w).conn_ready == 0; i++)
		world_turns(w, 1);
	assert_int_equal(world_info(w).conn_ready, 1);
	world_destroy(w);
}

/* ---- two channels of one device ---- */

static void both_turn(struct world *a, struct world *b, unsigned count)
{
	while (count-- > 0) {
		world_turns(a, 1);
		if (b->volume)
			world_turns(b, 1);
	}
}

static void channels_take_the_new_addresses_from_their_leader(void **state)
{
	struct volume_group *g = volume_group_create();
	struct world *a = world_create(), *b = world_create();
	struct volume_servers s = SERVERS(7, 8);

	assert_non_null(g);
	a->cfg.group = b->cfg.group = g;
	b->cfg.channel = 1;
	b->first = a;
	world_start(a);
	both_turn(a, b, 50);
	world_start(b);
	both_turn(a, b, 100);
	assert_int_equal(world_info(b).conn_ready, 1);
	/* The leader's connection breaks; while the other's serves, the list stays. */
	a->net->connect_error = -ENETUNREACH;
	fake_stream_close(&a->net->streams[a->net->opened - 1]);
	both_turn(a, b, 20);
	volume_servers_set(a->volume, &s);
	a->net->connect_error = 0;
	both_turn(a, b, 1000);
	assert_int_equal(goes_to(a), 2);
	/* Both break: both go where the leader's new list leads. */
	a->net->connect_error = b->net->connect_error = -ENETUNREACH;
	fake_stream_close(&a->net->streams[a->net->opened - 1]);
	fake_stream_close(&b->net->streams[b->net->opened - 1]);
	both_turn(a, b, 50);
	volume_servers_set(a->volume, &s);
	a->net->connect_error = b->net->connect_error = 0;
	for (unsigned i = 0; i < 20000 && world_info(b).conn_ready + world_info(a).conn_ready < 2;
		i++)
		both_turn(a, b, 1);
	assert_int_equal(goes_to(a), 7);
	assert_int_equal(goes_to(b), 7);
	assert_int_equal(world_info(a).conn_ready + world_info(b).conn_ready, 2);
	world_destroy(a);
	world_destroy(b);
	volume_group_destroy(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost_volume_goes_to_its_new_address),
		cmocka_unit_test(volume_that_serves_keeps_its_addresses),
		cmocka_unit_test(address_in_both_lists_is_not_given_up),
		cmocka_unit_test(every_address_of_the_new_list_is_tried),
		cmocka_unit_test(channels_take_the_new_addresses_from_their_leader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
