/*
 * ublk_state.h - what a restarted daemon must know to take its devices over
 *
 * One file a device, ublk-N.state in the daemon's run directory. Written after ublk_create() and
 * before ublk_start(); removed after ublk_destroy(). Control thread only.
 */
#ifndef NBD_CLIENT_UBLK_UBLK_STATE_H
#define NBD_CLIENT_UBLK_UBLK_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"
#include "nbd_client/block.h"

struct ublk_state {
	int dev_id;
	uint16_t queues;      /* hardware queues; 0 in files of a daemon that knew one only */
	uint16_t queue_depth; /* as the device has it, after credits; the volume's wish is in volume
			       */
	uint32_t io_bytes_max;
	bool user_copy;
	struct block_limits limits;
	struct config_volume volume; /* where to connect: it may have been attached at run time */
};

/* Replaces the file as a whole: a crash leaves the old or the new one. 0, or -errno with @err. */
int ublk_state_write(const char *run_dir, const struct ublk_state *state, struct error *err);
/*
 * Out: 0; -ENOENT (none); -ESTALE (of an earlier boot: the device is gone with it); -EINVAL (not
 * ours, damaged or cut short), with @err.
 */
int ublk_state_read(const char *run_dir, int dev_id, struct ublk_state *out, struct error *err);
/* 0, also when there is none; or -errno. */
int ublk_state_remove(const char *run_dir, int dev_id);
/* Device numbers that have a file, ascending, at most @max. Out: their number, or -errno. */
int ublk_state_list(const char *run_dir, int *dev_ids, unsigned max);

#endif
