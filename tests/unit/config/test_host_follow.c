/*
 * test_host_follow.c - changes of a real kernel's interfaces are noticed, and neighbours named
 *
 * In a network namespace of the test's own, with a veth pair that ip(8) makes and changes.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "config/host/host.h"

#define NEWS_MAX 8

static struct error err;

static int setup(void **state)
{
	*state = NULL;
	if (geteuid() != 0 || unshare(CLONE_NEWNET))
		return 0;
	if (system("ip link add sl-a type veth peer name sl-b && ip link set sl-a up && ip link "
		   "set sl-b up"))
		return -1;
	*state = host_follow_create(&err);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	host_follow_destroy(*state);
	return 0;
}

struct news {
	struct host_neigh neigh[NEWS_MAX];
	unsigned count;
	bool has_changed;
};

/* All there is to hear until nothing more comes for a moment. */
static struct news listen_now(struct host_follow *f)
{
	struct pollfd p = {.fd = host_follow_fd(f), .events = POLLIN};
	struct news all = {.count = 0};

	for (unsigned i = 0; i < 50 && poll(&p, 1, 100) == 1; i++) {
		bool has_changed;

		all.count += host_follow_read(
			f, all.neigh + all.count, NEWS_MAX - all.count, &has_changed);
		all.has_changed |= has_changed;
	}
	return all;
}

static bool changes(struct host_follow *f, const char *command)
{
	listen_now(f);
	assert_int_equal(system(command), 0);
	return listen_now(f).has_changed;
}

/* A link that has just come up goes on changing by itself for a second or two: carrier, IPv6
 * addresses. */
static bool quiet_comes(struct host_follow *f)
{
	for (unsigned i = 0; i < 50; i++)
		if (!changes(f, "true"))
			return true;
	return false;
}

static void changes_are_noticed(void **state)
{
	if (!*state)
		skip();
	assert_true(changes(*state, "ip addr add 10.9.0.2/24 dev sl-a"));
	assert_true(changes(*state, "ip addr del 10.9.0.2/24 dev sl-a"));
	assert_true(changes(*state, "ip -6 addr add fd00:9::2/64 dev sl-a nodad"));
	assert_true(changes(*state, "ip link set sl-a mtu 1400"));
	assert_true(changes(*state, "ip addr add 10.9.0.3/24 dev sl-a"));
	assert_true(changes(*state, "ip route add default via 10.9.0.1 dev sl-a"));
	assert_true(quiet_comes(*state));
}

/* A router's table: what is not a default route neither wakes nor counts, nor does it fill the
 * socket. */
static void other_routes_are_no_news(void **state)
{
	if (!*state)
		skip();
	assert_int_equal(
		system("ip addr add 10.9.0.2/24 dev sl-a; seq -f 'route add 10.100.%g.0/24 via "
		       "10.9.0.1 dev sl-a' 0 255 >"
		       " /tmp/sl-routes && sed s/add/del/ /tmp/sl-routes > /tmp/sl-routes-del"),
		0);
	assert_true(quiet_comes(*state));
	assert_false(changes(*state, "ip -batch /tmp/sl-routes && ip -batch /tmp/sl-routes-del"));
	assert_true(changes(
		*state, "ip -batch /tmp/sl-routes && ip route add default via 10.9.0.1 dev sl-a"));
	assert_true(changes(*state, "ip route del default via 10.9.0.1 dev sl-a"));
	assert_int_equal(system("rm /tmp/sl-routes /tmp/sl-routes-del"), 0);
}

static void neighbours_are_named(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9}, addr[4] = {10, 9, 0, 9};
	struct news n;

	if (!*state)
		skip();
	assert_int_equal(system("ip addr add 10.9.0.2/24 dev sl-a"), 0);
	assert_true(quiet_comes(*state));
	assert_int_equal(
		system("ip neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 nud reachable dev sl-a"), 0);
	n = listen_now(*state);
	assert_int_equal(n.count, 1);
	assert_int_equal(n.neigh[0].index, if_nametoindex("sl-a"));
	assert_int_equal(n.neigh[0].family, AF_INET);
	assert_memory_equal(n.neigh[0].addr, addr, 4);
	assert_memory_equal(n.neigh[0].mac, mac, 6);
	assert_false(n.has_changed);
	assert_int_equal(
		system("ip neigh change 10.9.0.9 lladdr 02:00:00:00:00:09 nud stale dev sl-a"), 0);
	assert_int_equal(listen_now(*state).count, 0); /* not known to be so any more */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(changes_are_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(other_routes_are_no_news, setup, teardown),
		cmocka_unit_test_setup_teardown(neighbours_are_named, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
