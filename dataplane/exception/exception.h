/*
 * exception.h - the way to the kernel's own network stack, for all traffic that is not the
 * storage's
 *
 * A tap interface with the NIC's MAC, with as many queues as the NIC has. Each queue belongs to one
 * worker, and has a thread of its own between the worker and the kernel.
 */
#ifndef DATAPLANE_EXCEPTION_EXCEPTION_H
#define DATAPLANE_EXCEPTION_EXCEPTION_H

#include <stdbool.h>
#include <stdint.h>
#include "config/error.h"

struct rte_mbuf;
struct reserve;
struct exception;
struct exception_queue;

struct exception_config {
	const char *iface; /* name of the interface to make */
	uint8_t mac[6];
	uint16_t mtu;	      /* of the port; the mbufs are sized for it */
	unsigned port_idx;    /* for the names of pools and rings */
	unsigned queue_count;
	uint32_t tx_count;    /* of the pool's mbufs, those that may rest on the way to the NIC */
	uint32_t hold_count;  /* … and in the hold queue */
};

/* What the pool of each queue is made of. */
struct reserve_config;
void exception_pool_shape(const struct exception_config *cfg, struct reserve_config *pool);

/* Control thread. NULL with @err; nothing is left behind then. */
struct exception *exception_create(const struct exception_config *cfg, struct error *err);
/* After exception_stop(), and when no mbuf of its pools is anywhere else. NULL is fine. */
void exception_destroy(struct exception *e);
int exception_start(struct exception *e, struct error *err); /* its threads */
void exception_stop(struct exception *e); /* ends them, and waits; NULL is fine */
/* Tells the workers, by exception_frame_ns(), to ration the kernel's frames. */
void exception_ration(struct exception *e, bool on);
struct exception_queue *exception_queue(struct exception *e, unsigned idx);

/* Tells @q how to wake its worker: @is_waiting is true while a write to @wake_fd is needed. */
void exception_queue_bind(struct exception_queue *q, const bool *is_waiting, int wake_fd);
/* Frames from the kernel, and all that is held for it: a ledger of its own. No floor. */
struct reserve *exception_pool(const struct exception_queue *q);

/* ---- worker that owns @q ---- */

/* Frames that are free to go to the kernel now. */
unsigned exception_room(const struct exception_queue *q);
/* Nanoseconds of a processor that a frame takes on its way into the kernel, where that is rationed;
 * 0: it is not. */
uint32_t exception_frame_ns(const struct exception_queue *q);
/* Eats @m, which is fit for tap_write(); exception_room() said there is room. */
void exception_send(struct exception_queue *q, struct rte_mbuf *m);
/* Frames from the kernel, ready for the NIC. Out: how many, at most @max. */
unsigned exception_receive(struct exception_queue *q, struct rte_mbuf **m, unsigned max);
/* Once a turn: frees what the kernel has taken, lays out new blanks, wakes the thread if it is
 * time. */
void exception_turn(struct exception_queue *q, uint64_t now_us);
void exception_kick(
	struct exception_queue *q); /* before the worker sleeps: wakes the thread if need be */
bool exception_has_news(const struct exception_queue *q); /* for a worker about to sleep */

struct exception_stats {
	uint64_t to_kernel, to_kernel_bytes, to_kernel_refused;
	uint64_t from_kernel, from_kernel_bytes, from_kernel_long, blank_failed, kicks;
};
void exception_stats(const struct exception_queue *q, struct exception_stats *out); /* any thread */

#endif
