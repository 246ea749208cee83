/*
 * test_device_servers.c - attach by name, and names that lead elsewhere later
 *
 * The engine of engine_world.h, with a look-up of the test's own: it runs on the resolver's
 * threads, in real time, while the engine's time is virtual. "block…" waits at a gate, "none…" does
 * not exist, any other name has the addresses of the zone.
 */
#include <netinet/in.h>
#include <semaphore.h>
#include <sched.h>
#include "tests/unit/daemon/engine_world.h"
#include "daemon/engine/resolver.h"

#define ANSWER_US (30 * SECOND_US)

int __wrap_resolver_lookup(const char *host, struct resolver_ips *ips, struct error *err);

static sem_t entered, gate;
static struct resolver_ips zone;

/* 192.0.2.@last, in the network of the world's port; @last 0: an address that no port reaches. */
static struct net_ip address(uint8_t last)
{
	if (last == 0)
		return (struct net_ip){AF_INET6, {0xfd, 0, 0x77}};
	return (struct net_ip){AF_INET, {192, 0, 2, last}};
}

static void zone_set(unsigned count, const uint8_t last[])
{
	zone.count = count;
	for (unsigned i = 0; i < count; i++)
		zone.ip[i] = address(last[i]);
}
#define ZONE(...) zone_set(sizeof((uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})

int __wrap_resolver_lookup(const char *host, struct resolver_ips *ips, struct error *err)
{
	if (strncmp(host, "block", 5) == 0) {
		sem_post(&entered);
		sem_wait(&gate);
	}
	if (strncmp(host, "none", 4) == 0)
		return error_set(err, -EHOSTUNREACH, "no such name");
	*ips = zone;
	return 0;
}

static int setup(void **state)
{
	sem_init(&entered, 0, 0);
	sem_init(&gate, 0, 0);
	ZONE(1);
	return world_setup(state);
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < 16; i++)
		sem_post(&gate);
	return world_teardown(state);
}

static struct config_volume volume_of(const char *first, const char *second)
{
	struct config_volume v = world_volume(VOLUME, 1);

	snprintf(v.uris[0], sizeof(v.uris[0]), "nbd://%s/disk", first);
	if (second)
		snprintf(v.uris[1], sizeof(v.uris[1]), "nbd://%s/disk", second);
	v.uri_count = second ? 2 : 1;
	return v;
}

/* Virtual time stands still while the threads look up:
 * what answers at once answers within no time. */
static void resolved_wait(void)
{
	while (strcmp(world_step(), "resolving") == 0) {
		engine_poll(world);
		sched_yield();
	}
}

static const struct volume_config *made(void)
{
	const struct volume *v = fake_volume(fake_workers[0], 0);

	assert_non_null(v);
	return fake_volume_config(v);
}

static void attach_by_name_takes_every_address_the_port_reaches(void **state)
{
	const struct config_volume v = volume_of("server.test", "192.0.2.9");
	struct answer a;

	ZONE(0, 5, 6);
	world_make(1);
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	resolved_wait();
	assert_true(world_answers(&a, ANSWER_US));
	assert_int_equal(a.rc, 0);
	assert_int_equal(made()->servers.count, 3);
	assert_int_equal(made()->servers.list[0].ip.addr[3], 5);
	assert_int_equal(made()->servers.list[1].ip.addr[3], 6);
	assert_int_equal(made()->servers.list[2].ip.addr[3], 9);
	assert_int_equal(made()->servers.list[2].uri, 1);
}

static void name_that_is_unknown_leaves_the_others(void **state)
{
	const struct config_volume v = volume_of("none.test", "server.test");
	struct answer a;

	world_make(1);
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	resolved_wait();
	assert_true(world_answers(&a, ANSWER_US));
	assert_int_equal(a.rc, 0);
	assert_int_equal(made()->servers.count, 1);
	assert_int_equal(made()->servers.list[0].uri, 1);
}

static void attach_without_any_address_fails_with_the_name(void **state)
{
	const struct config_volume unknown = volume_of("none.test", NULL),
				   far = volume_of("far.test", NULL);
	struct takings before;
	struct answer a;

	world_make(1);
	world_takings(&before);
	assert_int_equal(world_attach(&unknown, FRONT_UBLK, &a), 0);
	resolved_wait();
	assert_true(world_answers(&a, ANSWER_US));
	assert_int_equal(a.rc, -EHOSTUNREACH);
	assert_non_null(strstr(a.error.text, "none.test: no such name"));
	ZONE(0);
	assert_int_equal(world_attach(&far, FRONT_UBLK, &a), 0);
	resolved_wait();
	assert_true(world_answers(&a, ANSWER_US));
	assert_int_equal(a.rc, -ENETUNREACH);
	assert_non_null(strstr(a.error.text, "no port reaches far.test"));
	world_assert_same(&before);
}

static void silent_name_server_has_a_deadline(void **state)
{
	const struct config_volume v = volume_of("block.test", NULL);
	struct takings before;
	struct answer a;

	world_make(1);
	world_takings(&before);
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	sem_wait(&entered);
	world_run(14 * SECOND_US);
	assert_string_equal(world_step(), "resolving");
	assert_int_equal(a.calls, 0);
	assert_true(world_answers(&a, 2 * SECOND_US));
	assert_int_equal(a.rc, -EHOSTUNREACH);
	assert_non_null(strstr(a.error.text, "block.test: the name server does not answer"));
	world_assert_same(&before);
}

static void address_at_hand_does_not_wait_long_for_another_name(void **state)
{
	const struct config_volume v = volume_of("192.0.2.9", "block.test");
	struct answer a;

	world_make(1);
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	sem_wait(&entered);
	assert_true(world_answers(&a, 4 * SECOND_US));
	assert_int_equal(a.rc, 0);
	assert_int_equal(made()->servers.count, 1);
}

static void end_of_the_daemon_does_not_wait_for_a_name(void **state)
{
	const struct config_volume v = volume_of("block.test", NULL);
	struct answer a;

	world_make(1);
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	sem_wait(&entered);
	world_run(SECOND_US);
	engine_detach_all(world, false);
	assert_true(world_until("", SECOND_US));
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.rc, -ECANCELED);
}

static unsigned sets(void)
{
	return fake_workers[0]->carried[WORKER_SERVERS_SET];
}

static void names_are_looked_up_again_while_no_connection_is_left(void **state)
{
	const struct config_volume v = volume_of("server.test", NULL);
	const struct volume_servers *posted;
	struct answer a;

	world_make(1);
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	resolved_wait();
	assert_true(world_answers(&a, ANSWER_US));
	world_run(60 * SECOND_US);
	assert_int_equal(sets(), 0); /* as long as it serves nobody asks */
	ZONE(7);
	fake_volume_state(fake_volume(fake_workers[0], 0), VOLUME_LOST);
	for (unsigned i = 0; i < 10000 && sets() == 0; i++) {
		world_run(TURN_US);
		sched_yield();
	}
	assert_true(sets() > 0);
	posted = fake_workers[0]->last[WORKER_SERVERS_SET].b;
	assert_int_equal(posted->count, 1);
	assert_int_equal(posted->list[0].ip.addr[3], 7);
}

/* ---- ports ---- */

/* A second port, in 198.51.100.0/24; workers 0 and 1. */
static void two_ports(void)
{
	world_cfg.port_count = 2;
	world_cfg.ports[1] = world_cfg.ports[0];
	snprintf(world_cfg.ports[1].name, sizeof(world_cfg.ports[1].name), "other");
	snprintf(world_cfg.ports[1].device, sizeof(world_cfg.ports[1].device), "0000:00:04.0");
	snprintf(world_cfg.ports[1].address[0], sizeof(world_cfg.ports[1].address[0]),
		"198.51.100.10/24");
	world_make(1);
}

static void attach_goes_by_the_port_whose_network_answers(void **state)
{
	const struct config_volume v = volume_of("192.0.2.9", "198.51.100.9");
	struct takings before;
	struct answer a = {0};

	two_ports();
	world_takings(&before);
	fake_server.is_net_cut = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	assert_true(world_answers(&a, 2 * ATTACH_MS * 1000 + SECOND_US));
	assert_int_equal(a.rc, 0);
	assert_null(fake_volume(fake_workers[0], 0));
	assert_non_null(fake_volume(fake_workers[1], 0));
	assert_int_equal(fake_volume_config(fake_volume(fake_workers[1], 0))->servers.count, 1);
	assert_int_equal(world_detach(VOLUME, false, &a), 0);
	assert_true(world_until("", ANSWER_US));
	world_assert_same(&before);
}

static void first_address_decides_where_both_networks_answer(void **state)
{
	const struct config_volume v = volume_of("192.0.2.9", "198.51.100.9");
	struct answer a = {0};

	two_ports();
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	assert_true(world_answers(&a, ANSWER_US));
	assert_int_equal(a.rc, 0);
	assert_int_equal(made()->servers.count, 1); /* the other port's is left out */
	assert_null(fake_volume(fake_workers[1], 0));
}

static void port_in_the_network_goes_before_a_gateway(void **state)
{
	const struct config_volume v = volume_of("198.51.100.9", NULL);
	struct answer a = {0};

	snprintf(world_cfg.ports[0].gateway, sizeof(world_cfg.ports[0].gateway), "192.0.2.1");
	two_ports();
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	assert_true(world_answers(&a, ANSWER_US));
	assert_null(fake_volume(fake_workers[0], 0));
	assert_non_null(fake_volume(fake_workers[1], 0));
}

static void attach_goes_by_another_port_when_the_first_ones_server_refuses(void **state)
{
	const struct config_volume v = volume_of("192.0.2.9", "198.51.100.9");
	struct answer a = {0};

	two_ports();
	fake_server.is_refusing = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	while (!fake_volume(fake_workers[1], 0) && a.calls == 0)
		world_run(TURN_US);
	fake_server.is_refusing = false;
	assert_true(world_answers(&a, SECOND_US));
	assert_int_equal(a.rc, 0);
}

static void attach_fails_when_no_ports_servers_answer(void **state)
{
	const struct config_volume v = volume_of("192.0.2.9", "198.51.100.9");
	struct takings before;
	struct answer a = {0};

	two_ports();
	world_takings(&before);
	fake_server.is_silent = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	assert_true(world_answers(&a, 2 * ATTACH_MS * 1000 + ANSWER_US));
	assert_int_equal(a.rc, -ETIMEDOUT);
	assert_non_null(strstr(a.error.text, "port other"));
	assert_true(world_until("", ANSWER_US));
	world_assert_same(&before);
}

static void attach_whose_worker_keeps_the_volume_does_not_try_another_port(void **state)
{
	const struct config_volume v = volume_of("192.0.2.9", "198.51.100.9");
	struct answer a = {0};

	two_ports();
	fake_server.is_net_cut = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	world_run(SECOND_US);
	fake_workers[0]->is_mute = true;
	assert_true(world_answers(&a, 2 * ATTACH_MS * 1000 + 2 * ANSWER_US));
	assert_int_equal(a.rc, -ETIMEDOUT);
	assert_null(fake_volume(fake_workers[1], 0));
	fake_workers[0]->is_mute = false;
}

static void end_of_the_daemon_ends_an_attach_between_two_ports(void **state)
{
	const struct config_volume v = volume_of("192.0.2.9", "198.51.100.9");
	struct answer a = {0};

	two_ports();
	fake_server.is_net_cut = true;
	assert_int_equal(world_attach(&v, FRONT_UBLK, &a), 0);
	world_run(SECOND_US);
	fake_workers[0]->is_mute = true;
	world_run(ATTACH_MS * 1000);
	engine_detach_all(world, true);
	fake_workers[0]->is_mute = false;
	assert_true(world_until("", ANSWER_US));
	assert_int_equal(a.rc, -ECANCELED);
	assert_null(fake_volume(fake_workers[1], 0));
}

/* A device on the first port, whose network is cut: it has no connection. */
static void serving_without_its_network(void)
{
	const struct config_volume v = volume_of("192.0.2.9", "198.51.100.9");

	two_ports();
	world_serve(&v, FRONT_UBLK);
	fake_server.is_net_cut = true;
	fake_volume_state(fake_volume(fake_workers[0], 0), VOLUME_LOST);
}

static void restart_is_wanted_when_the_server_answers_through_another_port(void **state)
{
	serving_without_its_network();
	world_run(14 * SECOND_US);
	assert_null(fake_volume(fake_workers[1], 0));
	assert_false(engine_wants_restart(world));
	world_run(4 * SECOND_US);
	assert_true(engine_wants_restart(world)); /* and the probe is gone */
	assert_int_equal(engine_device_count(world), 1);
	engine_restart_refused(world);
	world_run(29 * SECOND_US);
	assert_false(engine_wants_restart(world));
	world_run(4 * SECOND_US);
	assert_true(engine_wants_restart(world));
}

static void no_restart_is_wanted_where_no_port_reaches_a_server(void **state)
{
	serving_without_its_network();
	fake_server.is_silent = true;
	world_run(120 * SECOND_US);
	assert_false(engine_wants_restart(world));
	assert_string_equal(world_step(), "serving");
}

static void no_restart_is_wanted_once_the_network_is_back(void **state)
{
	serving_without_its_network();
	world_run(18 * SECOND_US);
	assert_true(engine_wants_restart(world));
	fake_volume_state(fake_volume(fake_workers[0], 0), VOLUME_READY);
	world_run(2 * SECOND_US);
	assert_false(engine_wants_restart(world));
}

static void no_restart_is_wanted_for_a_device_that_was_detached(void **state)
{
	const struct config_volume other = world_volume("other", 1);
	struct answer a = {0};

	serving_without_its_network();
	world_run(18 * SECOND_US);
	fake_server.is_net_cut = false;
	world_serve(&other, FRONT_UBLK);
	assert_true(engine_wants_restart(world));
	assert_int_equal(world_detach(VOLUME, true, &a), 0);
	assert_true(world_answers(&a, ANSWER_US));
	assert_int_equal(engine_device_count(world), 1);
	assert_false(engine_wants_restart(world));
}

static void restart_waits_for_an_attach_under_way(void **state)
{
	const struct config_volume late = world_volume("late", 1);
	struct answer a = {0};

	serving_without_its_network();
	world_run(18 * SECOND_US);
	fake_server.is_silent = true;
	assert_int_equal(world_attach(&late, FRONT_UBLK, &a), 0);
	world_run(SECOND_US);
	assert_false(engine_wants_restart(world));
	fake_server.is_silent = fake_server.is_net_cut = false;
	assert_true(world_answers(&a, ANSWER_US));
	assert_int_equal(a.rc, 0);
	assert_true(engine_wants_restart(world));
}

static void one_port_asks_nobody(void **state)
{
	const struct config_volume v = volume_of("192.0.2.9", "198.51.100.9");

	world_make(1);
	world_serve(&v, FRONT_UBLK);
	fake_volume_state(fake_volume(fake_workers[0], 0), VOLUME_LOST);
	world_run(60 * SECOND_US);
	assert_false(engine_wants_restart(world));
	assert_int_equal(engine_device_count(world), 1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(attach_by_name_takes_every_address_the_port_reaches),
		CASE(name_that_is_unknown_leaves_the_others),
		CASE(attach_without_any_address_fails_with_the_name),
		CASE(silent_name_server_has_a_deadline),
		CASE(address_at_hand_does_not_wait_long_for_another_name),
		CASE(end_of_the_daemon_does_not_wait_for_a_name),
		CASE(names_are_looked_up_again_while_no_connection_is_left),
		CASE(attach_goes_by_the_port_whose_network_answers),
		CASE(first_address_decides_where_both_networks_answer),
		CASE(port_in_the_network_goes_before_a_gateway),
		CASE(attach_goes_by_another_port_when_the_first_ones_server_refuses),
		CASE(attach_fails_when_no_ports_servers_answer),
		CASE(attach_whose_worker_keeps_the_volume_does_not_try_another_port),
		CASE(end_of_the_daemon_ends_an_attach_between_two_ports),
		CASE(restart_is_wanted_when_the_server_answers_through_another_port),
		CASE(no_restart_is_wanted_where_no_port_reaches_a_server),
		CASE(no_restart_is_wanted_once_the_network_is_back),
		CASE(no_restart_is_wanted_for_a_device_that_was_detached),
		CASE(restart_waits_for_an_attach_under_way),
		CASE(one_port_asks_nobody),
	};

	return cmocka_run_group_tests(tests, eal_world_start, eal_world_stop);
}
