/*
 * handover.h - packets that arrived at one worker and are another's
 */
#ifndef DATAPLANE_HANDOVER_H
#define DATAPLANE_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/limits.h"

struct rte_mbuf;
struct reserve;
struct handover;

#define HANDOVER_NOBODY WORKER_MAX

/* For the @workers of one port, numbered by their queue. Start-up only. NULL: no memory. */
struct handover *handover_create(unsigned workers);
void handover_destroy(struct handover *h);
size_t handover_bytes(unsigned workers); /* what it takes of memory */
/* TCP port @port is @worker's. Before the workers start. */
void handover_port_add(struct handover *h, uint16_t port, unsigned worker);

/* ---- any worker ---- */
unsigned handover_port_owner(const struct handover *h, uint16_t port); /* or HANDOVER_NOBODY */
unsigned handover_worker_count(const struct handover *h);
/* Copies @m (borrowed) for @to. False: too large, or no room. Only worker @from calls it so. */
bool handover_put(struct handover *h, unsigned from, unsigned to, const struct rte_mbuf *m);
/* The oldest of what @from left for @to, in mbufs of @pool. NULL: nothing, or @pool is empty and it
 * stays. Only worker @to calls it so. */
struct rte_mbuf *handover_take(
	struct handover *h, unsigned from, unsigned to, struct reserve *pool);

#endif
