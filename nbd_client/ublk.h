/*
 * ublk.h - a block front end that is a kernel block device, /dev/ublkbN
 *
 * Two halves. Control (control thread): add, set parameters, start, stop, delete, each command with
 * a deadline. Queue (worker): io_uring on /dev/ublkcN, fetch and commit. START_DEV returns only when
 * every tag was fetched, so the control half starts it asynchronously.
 */
#ifndef NBD_CLIENT_UBLK_H
#define NBD_CLIENT_UBLK_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"
#include "nbd_client/block.h"

struct ublk;

/* Is the driver there and may we use it? 0, or -errno with the remedy in @err. */
int ublk_probe(struct error *err);

struct ublk_features {
	uint64_t bits;	    /* as GET_FEATURES answers, or what this kernel is known to have */
	bool has_recovery, has_user_copy, has_ioctl_encode;
	char degraded[256]; /* one line: what is missing and what that means; empty = nothing */
};
int ublk_features(struct ublk_features *out, struct error *err);

struct ublk_config {
	int dev_id; /* -1 = next free */
	uint16_t queue_depth;
	uint32_t io_bytes_max;
	struct block_limits limits;
	bool user_copy;
	struct stream_buf *buf; /* depth * io_bytes_max of DMA-able memory, page aligned; tag N at N*io_bytes_max */
};

/* ---- control thread ---- */
/* ADD_DEV, SET_PARAMS, opens /dev/ublkcN, maps the queue, sets io_uring up disabled. NULL with @err. */
struct ublk *ublk_create(const struct ublk_config *cfg, struct error *err);
struct block_front *ublk_front(struct ublk *u);
int ublk_dev_id(const struct ublk *u);
/* Submits START_DEV; the worker must already run ublk_queue_start(). Then poll until not -EAGAIN. */
int ublk_start(struct ublk *u, struct error *err);
int ublk_start_poll(struct ublk *u, struct error *err); /* 0 started, -EAGAIN, -errno */
/* STOP_DEV (queues still served), asynchronous too. */
int ublk_stop(struct ublk *u, struct error *err);
int ublk_stop_poll(struct ublk *u, struct error *err);
/* After the worker let go (ublk_queue_stopped): DEL_DEV, unmaps, frees. */
int ublk_destroy(struct ublk *u, struct error *err);
/* Scheduler of /sys/block/ublkbN: set to none; answers what it is now. */
int ublk_scheduler_none(struct ublk *u, char *now, unsigned len);
bool ublk_is_open(const struct ublk *u); /* mounted, swapped on or opened by someone */

/* ---- worker ---- */
int ublk_queue_start(struct ublk *u); /* enables the ring on this thread, fetches every tag */
bool ublk_queue_stopped(const struct ublk *u); /* every tag came back aborted: nothing in flight */

#endif
