/*
 * fake_host.h - the kernel's side of a port, and what it says of its memory
 */
#ifndef TESTS_UNIT_DAEMON_FAKE_HOST_H
#define TESTS_UNIT_DAEMON_FAKE_HOST_H

#include "config/host/host.h"

#define FAKE_NEIGH_MAX 8u

struct fake_host {
	struct host_iface iface;	 /* answers for every name */
	int iface_rc, follow_rc, set_rc; /* refusals; set: of every change to an interface */
	bool has_changed;		 /* the next look at the news says so, once */
	uint64_t read_us; /* of virtual time, that each reading of an interface takes */
	struct host_neigh neigh[FAKE_NEIGH_MAX];
	unsigned neigh_count;
	struct host_memory_want want;
	int want_rc;
	/* What was asked for. */
	unsigned mtu_sets, addr_adds, ups, defaults, carriers;
	uint16_t mtu;
	bool is_carrier_on;
	unsigned follows_alive, reads;
};
extern struct fake_host fake_host;

#endif
