/*
 * link.h - packets on their way: a heap of arrivals, and one direction's manners
 */
#ifndef SIM_LINK_H
#define SIM_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "tests/sim/rnd.h"

/* What one direction does. Parts per million. Zeroed = perfect and instant. */
struct link_config {
	uint32_t delay_us, jitter_us;
	uint32_t loss_ppm, dup_ppm, reorder_ppm, corrupt_ppm, ce_ppm;
	uint32_t early_ppm;   /* passes the delay by and overtakes what is under way, as netem's
				 reorder */
	uint32_t late_us_max; /* what a reordered packet or a copy is late by */
	uint64_t bytes_per_s; /* 0 = no limit */
	uint32_t queue_bytes;
	uint32_t mtu; /* larger packets vanish without a word; 0 = no limit */
	uint64_t mtu_from_us; /* since when */
	uint32_t gather_us; /* who is at the end looks that often and finds several; 0 = each as it
			       comes */
	uint64_t dark_from_us, dark_until_us;
};

struct link {
	struct link_config cfg;
	uint64_t free_us;    /* when the wire is free again */
	uint64_t arrival_us; /* of the last packet in order */
};

struct flight {
	uint64_t at_us, wire_us, order; /* when it is found, and when it was there to be found */
	uint8_t way; /* the sender's business */
	uint32_t len;
	uint8_t *bytes;
};

struct flights {
	struct flight *heap;
	uint32_t count, room;
	uint64_t order;
};

enum link_fate {
	LINK_OK = 0,
	LINK_LOST = 1,
	LINK_LATE = 2,
	LINK_DUP = 4,
	LINK_BAD = 8,
	LINK_CE = 16
};

/* Out: what happened, as bits, for the log. */
unsigned link_send(struct link *l, struct flights *f, struct rnd *r, uint8_t way,
	const uint8_t *bytes, size_t len, uint64_t now_us);
uint64_t flights_next_us(const struct flights *f); /* UINT64_MAX = none */
/* Takes the next arrival; the caller frees its bytes. Only when there is one. */
struct flight flights_take(struct flights *f);
void flights_clear(struct flights *f);

#endif
