/*
 * pace.h - how long a worker may look away, while exception packets pour in or the storage is at
 * work
 */
#ifndef DATAPLANE_PACE_H
#define DATAPLANE_PACE_H

#include <stdint.h>
#include "nbd_client/nbd_client.h"

struct pace {
	uint64_t window_us;	   /* when the present window began */
	uint32_t exceptions, exceptions_last; /* exception packets in it, and in the one before */
	uint32_t storage,
		storage_last;	   /* and mbufs of the storage: each takes a place in the ring */
	uint64_t storage_us;	   /* the last turn in which packets of the storage came */
	uint64_t gap_us;	   /* mean time between such turns */
};

/* After a turn with work: @exceptions packets of class exception came in it; mbufs with @storage of
 * its own. */
void pace_turn(struct pace *p, unsigned exceptions, unsigned storage, uint64_t now_us);
/* How long the NIC may be left alone now; 0: not at all. */
uint64_t pace_nap_us(const struct pace *p, unsigned ring_count, uint64_t now_us);
/* How long it may be, when nothing came and @load is in flight; 0: not at all. */
uint64_t pace_rest_us(
	const struct pace *p, const struct nbd_client_load *load, unsigned ring_count);

#endif
