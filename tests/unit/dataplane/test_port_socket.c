/*
 * test_port_socket.c - the sockets of this process, listed by domain
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>
#include "dataplane/port_socket.h"

static void port_sockets_are_listed_by_their_domain(void **state)
{
	struct port_sockets before, now;
	int other, fd;

	port_sockets_list(AF_UNIX, &before);
	other = socket(AF_INET, SOCK_DGRAM, 0);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_true(other >= 0 && fd >= 0);
	port_sockets_list(AF_UNIX, &now);
	assert_int_equal(now.count, before.count + 1);
	assert_int_equal(port_sockets_added(&before, &now), fd);
	assert_int_equal(port_sockets_added(&now, &now), -1);
	close(other);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_sockets_are_listed_by_their_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
