/*
 * hold.h - exception traffic that must wait a moment, and who goes first when there is too much of
 * it
 */
#ifndef DATAPLANE_EXCEPTION_HOLD_H
#define DATAPLANE_EXCEPTION_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct hold;

/* Keeps at most @mbuf_max mbufs, each packet for at most HOLD_US_MAX. Control thread. NULL: no
 * memory. */
struct hold *hold_create(uint32_t mbuf_max);
size_t hold_bytes(void); /* what it takes of memory, mbufs apart */
void hold_destroy(struct hold *h); /* frees what is held; NULL is fine */

/* ---- worker ---- */

/* A packet of flow @flow (a hash) is seen, held or not: so
 * that old flows are known from new ones. */
void hold_see(struct hold *h, uint32_t flow, uint64_t now_us);
/*
 * Before a packet is copied to be held: is there room for @mbufs of @flow, if need be in the place
 * of packets of a newer or larger flow, which go? False: it is this flow's packet that must go.
 */
bool hold_make_room(struct hold *h, uint32_t mbufs, uint32_t flow);
/*
 * Eats @m, which is not charged to a reserve: takes it in behind all others, having made room.
 * Out: false if @m itself had to go.
 */
bool hold_push(struct hold *h, struct rte_mbuf *m, uint32_t flow, uint64_t now_us);
struct rte_mbuf *hold_pop(struct hold *h); /* the oldest; NULL: none. The caller's. */
void hold_age(struct hold *h, uint64_t now_us); /* frees what has waited too long */
uint64_t hold_deadline(
	const struct hold *h); /* when the oldest is too old; UINT64_MAX: nothing is held */
bool hold_is_empty(const struct hold *h);

struct hold_stats {
	uint64_t held, released, aged, shed_flow;
};
void hold_stats(const struct hold *h, struct hold_stats *out);

#endif
