/*
 * slow_path.h - the traffic that shares the NIC with the storage: to the kernel and back, or shed
 */
#ifndef DATAPLANE_EXCEPTION_SLOW_PATH_H
#define DATAPLANE_EXCEPTION_SLOW_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dataplane/exception/exception.h"
#include "mempool_reserve/reserve.h"

struct rte_mbuf;
struct pkt_info;
struct slow_path;

struct slow_path_config {
	struct exception_queue
		*exception; /* NULL: this port has none, and what is not ours is dropped */
	struct reserve *rx_pool;
};

/* Counters; uint64_t only, so that the registry can name each. */
struct slow_path_stats {
	uint64_t to_kernel, rule_to_kernel,
		copied_to_kernel; /* rule: protected by one; copied: ARP, ND */
	uint64_t from_kernel;
	uint64_t held, released, aged; /* in the hold queue, see hold.h */
	uint64_t rationed;	       /* found the ration eaten up, and waited or went */
	uint64_t shed_flow, shed_off, shed_red, shed_memory, shed_unfit;
	uint64_t bad;
};

/* Control thread, before the worker starts and after it ended. NULL: no memory. */
struct slow_path *slow_path_create(const struct slow_path_config *cfg);
size_t slow_path_bytes(void);		     /* what it takes of memory, mbufs apart */
void slow_path_destroy(struct slow_path *o); /* NULL is fine */

/* ---- worker ---- */

/*
 * Takes what is the kernel's out of a classified burst: eats packets of class EXCEPTION and BAD
 * and those a rule protects, and sets their entries to NULL; of essential ones that concern the
 * kernel too it gives the kernel a copy.
 */
void slow_path_rx(struct slow_path *o, struct rte_mbuf **m, const struct pkt_info *info, unsigned n,
	uint64_t now_us);
/*
 * The other direction, after storage has sent what it had. Out: how many frames wait to be sent,
 * and *frames, the first of them. The worker owns the port: it sends what the NIC takes and then
 * says by slow_path_tx_done() how many those were, which are its own from then on; the others are
 * offered again.
 */
unsigned slow_path_tx(struct slow_path *o, struct rte_mbuf ***frames, uint64_t now_us);
void slow_path_tx_done(struct slow_path *o, unsigned n);
/* Once a turn, last: releases held packets, and passes to the kernel what the turn collected. */
void slow_path_turn(struct slow_path *o, uint64_t now_us);
void slow_path_sleep(struct slow_path
		*o); /* before the worker sleeps: nothing is kept back for company any more */
uint64_t slow_path_deadline(
	const struct slow_path *o); /* when something must be done; UINT64_MAX: never */
bool slow_path_has_work(const struct slow_path *o); /* for a worker about to sleep */

bool slow_path_can_release(
	const struct slow_path *o); /* of that, what waits in the hold queue and could go on */

void slow_path_stats(const struct slow_path *o, struct slow_path_stats *out); /* any thread */

#endif
