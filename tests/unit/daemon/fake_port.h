/*
 * fake_port.h - NICs without a NIC: facts, link and refusals as the test sets them
 *
 * The exception port is here too: an interface of the kernel's that only exists in the test.
 */
#ifndef TESTS_UNIT_DAEMON_FAKE_PORT_H
#define TESTS_UNIT_DAEMON_FAKE_PORT_H

#include "dataplane/exception/exception.h"
#include "dataplane/port.h"

struct fake_nic {
	struct port_facts facts; /* of every port opened from now on; queues as asked for */
	struct port_stats stats;
	bool is_link_down;
	int open_rc, queue_rc, start_rc;
	int exception_rc, exception_start_rc;
};
extern struct fake_nic fake_nic;
extern unsigned fake_ports_alive, fake_ports_started, fake_multicasts;
extern unsigned fake_exceptions_alive, fake_exceptions_running;
extern struct exception_config fake_exception_last;
extern bool fake_exception_is_rationed;

void fake_port_reset(void);

#endif
