/*
 * test_port_socket.c - the sockets of this process, listed by domain and interface
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include "dataplane/port_socket.h"

static void port_sockets_are_listed_by_their_domain(void **state)
{
	struct port_sockets before, now;
	int other, fd;

	port_sockets_list(AF_UNIX, NULL, &before);
	other = socket(AF_INET, SOCK_DGRAM, 0);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_true(other >= 0 && fd >= 0);
	port_sockets_list(AF_UNIX, NULL, &now);
	assert_int_equal(now.count, before.count + 1);
	assert_int_equal(port_sockets_added(&before, &now), fd);
	assert_int_equal(port_sockets_added(&now, &now), -1);
	close(other);
	close(fd);
}

static void port_packet_sockets_are_those_of_the_interface(void **state)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex("lo")};
	struct port_sockets found;
	int bound = socket(AF_PACKET, SOCK_RAW, 0), loose;

	if (bound < 0) /* not root: there is nothing to find either */
		skip();
	loose = socket(AF_PACKET, SOCK_RAW, 0);
	assert_int_equal(bind(bound, (struct sockaddr *)&addr, sizeof(addr)), 0);
	port_sockets_list(AF_PACKET, "lo", &found);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.fds[0], bound);
	port_sockets_list(AF_PACKET, NULL, &found);
	assert_int_equal(found.count, 2);
	close(loose);
	close(bound);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_sockets_are_listed_by_their_domain),
		cmocka_unit_test(port_packet_sockets_are_those_of_the_interface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
