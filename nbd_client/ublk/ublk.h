/*
 * ublk.h - a block front end that is a kernel block device, /dev/ublkbN
 *
 * Two halves. Control (control thread): add, set parameters, start, stop, delete, each command with
 * a deadline. Queues, one for each worker that serves the device: io_uring on /dev/ublkcN, fetch
 * and commit; a queue is its worker's alone. START_DEV returns only when every tag of every queue
 * was fetched, so the control half starts it asynchronously.
 *
 * The life of a device, in this order and no other (each step's reason is in ublk_dev.c):
 *
 *   ublk_create / ublk_recover → ublk_make_poll until 0 → each worker: the start of its
 * ublk_front() → ublk_start, ublk_start_poll until 0 … I/O … ublk_stop (the workers still serve) →
 *   ublk_stop_poll until 0 → workers: ublk_queue_stopped → the workers let go → ublk_destroy,
 *   ublk_destroy_poll until not -EAGAIN
 *
 * Nothing of that waits for the kernel. Each command has a deadline of its own, after which its
 * poll answers -ETIMEDOUT; the memory it may still write to is kept until it is answered
 * (ublk_make.c). A poll is due when cfg.wake_fd is readable, and at the latest at a deadline.
 *
 * To leave a recoverable device to the next daemon, exit without ublk_stop: the kernel holds I/O
 * until ublk_recover() of the next one.
 */
#ifndef NBD_CLIENT_UBLK_UBLK_H
#define NBD_CLIENT_UBLK_UBLK_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"
#include "nbd_client/block.h"

struct ublk;

/* Is the driver there and may we use it? 0, or -errno with the remedy in @err. */
int ublk_probe(struct error *err);

struct ublk_features {
	uint64_t bits; /* as GET_FEATURES answers, or what this kernel is known to have */
	bool has_recovery, has_user_copy, has_ioctl_encode, has_resize, has_try_stop;
	bool is_inferred;   /* the kernel could not be asked: told by its version */
	char degraded[384]; /* one line: what is missing and what that means; empty = nothing */
};
int ublk_features(struct ublk_features *out, struct error *err);

/* User copy, or not? "auto" is not; docs/adr/0008-ublk-copy-mode.md has the figures. */
bool ublk_copy_choose(enum config_copy want);

struct ublk_config {
	int dev_id;	      /* -1 = next free */
	uint16_t queues;      /* hardware queues, 1 to UBLK_QUEUE_MAX, not more than the machine has
				 processors */
	uint16_t queue_depth; /* of each */
	uint32_t io_bytes_max; /* a multiple of the page size */
	struct block_limits limits;
	bool user_copy;
	/*
	 * Requests may be failed and the device goes on (on_dead: fail): each tag has a second
	 * buffer, ordinary memory of the device's own, where the kernel puts WRITEs meanwhile.
	 */
	bool has_spares;
	bool is_recoverable; /* the device outlives us: I/O waits for ublk_recover(); 6.1 and later
			      */
	/*
	 * One a queue: depth * io_bytes_max of DMA-able memory, page aligned; tag N at
	 * N*io_bytes_max. The caller's, until ublk_destroy() returned. May be NULL with user_copy.
	 */
	struct stream_buf *buf[UBLK_QUEUE_MAX];
	int wake_fd; /* an eventfd, written when a control command was answered; 0: none */
};

/* ---- control thread ---- */
/*
 * Submits ADD_DEV; ublk_make_poll() goes on with SET_PARAMS, opens and maps /dev/ublkcN, sets
 * io_uring up disabled. NULL with @err: refused at once, nothing is left.
 */
struct ublk *ublk_create(const struct ublk_config *cfg, struct error *err);
/*
 * Takes over device @cfg->dev_id (>= 0) whose daemon is gone. Depth, sizes, copy mode and limits
 * must be what it was created with (ublk_state.h remembers them). ublk_make_poll() gives the kernel
 * up to UBLK_RECOVER_US_MAX to let go of the dead daemon. NULL with @err: refused at once.
 */
struct ublk *ublk_recover(const struct ublk_config *cfg, struct error *err);
/* 0 made, and from then on; -EAGAIN, poll again; -errno with @err: ublk_destroy() it. A device that
 * was to be taken over is untouched then. */
int ublk_make_poll(struct ublk *u, struct error *err);
/* Its start operation enables the ring of @queue on the worker's thread and fetches every tag. */
struct block_front *ublk_front(struct ublk *u, unsigned queue);
int ublk_dev_id(const struct ublk *u);
/* Submits START_DEV; the workers have started their queues already. Then poll until not -EAGAIN. */
int ublk_start(struct ublk *u, struct error *err);
int ublk_start_poll(struct ublk *u, struct error *err); /* 0 started, -EAGAIN, -errno */
/*
 * STOP_DEV (queues still served), asynchronous too. A recoverable device fails what is written from
 * now on, page cache included: ask who uses it first (ublk_ask_begin).
 */
int ublk_stop(struct ublk *u, struct error *err);
int ublk_stop_poll(struct ublk *u, struct error *err);
/*
 * TRY_STOP_DEV, where the kernel has it: stops the device unless a program has it open. Its answer
 * may take long, for it waits for a program that opens the device at this moment, and it must be
 * awaited: it may stop the device at any time until then. Poll until not -EAGAIN: 0 stopped, and
 * ublk_stop_poll() says so too; -EBUSY it is in use and serves on; other -errno with @err: refused.
 */
bool ublk_has_try_stop(const struct ublk *u);
int ublk_try_stop(struct ublk *u, struct error *err);
int ublk_try_stop_poll(struct ublk *u, struct error *err);
/*
 * After the workers let go (ublk_queue_stopped, or no queue was ever started), or before
 * ublk_make_poll() answered: unmaps, cancels what is under way. 0: ublk_destroy_poll() then deletes
 * the device. -EBUSY with @err: a queue has not stopped; the kernel has the device, and @u with it,
 * until this process ends.
 */
int ublk_destroy(struct ublk *u, struct error *err);
/* -EAGAIN, or @u is gone: 0; -errno with @err: the kernel may still have the device. */
int ublk_destroy_poll(struct ublk *u, struct error *err);
/* Looks after commands that were answered too late for their caller. To be called now and then. */
void ublk_late_poll(void);
size_t ublk_bytes(
	const struct ublk *u); /* what it takes of memory, cfg.buf and what the kernel maps apart */
/* Stops and deletes a device without a server (an orphan). 0, -ENODEV, -errno with @err. */
int ublk_delete(int dev_id, struct error *err);
/*
 * Lets go of a recoverable device without stopping it, where ublk_destroy() would stand, and also
 * while requests are not answered: the kernel takes them back and holds new ones until a process
 * calls ublk_recover(). To be followed by the end of the process; until then @u's memory stays.
 */
void ublk_leave(struct ublk *u);

/* A device as the kernel has it, whichever process serves it. */
struct ublk_look {
	int pid;	 /* who serves, or served, it */
	bool is_served;	 /* that process lives, and the device is not waiting for another */
	bool is_held;	 /* its server is gone and the kernel holds its I/O: ublk_recover() */
	bool is_started; /* false: never was, or was stopped; fit for ublk_delete() only */
};
/* 0, -ENODEV (there is no such device), -errno with @err. */
int ublk_look(int dev_id, struct ublk_look *out, struct error *err);
/* Numbers of all devices there are, ascending, at most @max. Out: their number, or -errno. */
int ublk_devices(int *dev_ids, unsigned max);
/*
 * Takes /dev/ublkbN or /dev/ublkbNpP apart, without asking the kernel. Out: 0 with *dev_id, and
 * *partition, 0 for the whole device; -EINVAL: no such path. Any thread.
 */
int ublk_path_parse(const char *path, int *dev_id, int *partition);
/* Is /dev/ublkbN the device that was started? 0, or -errno with what lies there in @err. */
int ublk_node_check(int dev_id, struct error *err);
/* Scheduler of /sys/block/ublkbN: set to none; answers what it is now. 0, or -errno. */
int ublk_scheduler_none(struct ublk *u, char *now, unsigned len);
int ublk_scheduler_read(const struct ublk *u, char *now, unsigned len); /* only answers */

/* ---- who uses a device: ublk_users.c, ublk_ask.c ---- */

enum ublk_user_kind {
	UBLK_USER_NONE,
	UBLK_USER_SWAP,
	UBLK_USER_MOUNT,
	UBLK_USER_HOLDER,  /* device-mapper, md, a loop device, whatever claimed it in the kernel */
	UBLK_USER_PROCESS, /* has it open or mapped */
	UBLK_USER_UNKNOWN, /* something could not be looked at: counts as used */
};

/* One user of a device, the first that was found. */
struct ublk_user {
	enum ublk_user_kind kind;
	char text[160]; /* "mounted at /srv"; empty: none */
};

/*
 * Control thread. Compares device numbers with mounts, swap, open files, holders, loop devices,
 * btrfs. Reads all of /proc: for detach, not for polling. Does not see what only the kernel knows.
 */
void ublk_user_find(int dev_id, struct ublk_user *out);
/* Is the device, or what stands on it, active swap? 0, or -EBUSY with what that means in @err. */
int ublk_swap_check(int dev_id, struct error *err);

/*
 * Starts the process that ublk_ask_begin() needs. Call it once, before there are threads and
 * DPDK's memory. It ends when this process does. 0, or -errno with @err.
 */
int ublk_helper_start(struct error *err);

/* A question to that process; all zero but fd -1: none is asked. */
struct ublk_ask {
	int fd;
};

/*
 * Asks whether @u is in use: by numbers, more thoroughly than ublk_user_find(), and, where the
 * kernel has no TRY_STOP_DEV, by claiming the device (O_EXCL), which the kernel refuses while it
 * uses it itself. A claim that was granted is kept until ublk_ask_end(), so no process can mount
 * the device meanwhile. Never blocks. 0, or -errno: not known. Control thread.
 */
int ublk_ask_begin(struct ublk_ask *a, const struct ublk *u);
int ublk_ask_poll(struct ublk_ask *a, struct ublk_user *out); /* 0 with *out, or -EAGAIN */
void ublk_ask_end(struct ublk_ask *a); /* also before the answer; accepts fd -1 */

/* Facts for status, of all queues together; values may be a turn old. */
struct ublk_info {
	int dev_id;
	bool is_live, is_user_copy, is_recoverable, is_defer_taskrun;
	uint64_t requests;	 /* handed to the volume */
	uint64_t swap_first;	 /* of these, swap I/O that was let ahead */
	uint64_t enters;	 /* io_uring_enter calls of the workers */
	uint64_t enter_errors;	 /* of these, refused (tried again next turn) */
	uint64_t sleeps;	 /* times the event fd was armed */
	uint64_t rejected;	 /* descriptors we could not serve, answered with an error */
	uint64_t from_spare;	 /* WRITEs that came into a spare buffer and were copied from it */
	uint64_t command_errors; /* FETCH or COMMIT the kernel refused: our error, must stay 0 */
	uint64_t queue_requests[UBLK_QUEUE_MAX]; /* requests, by queue */
};
void ublk_info(const struct ublk *u, struct ublk_info *out);

/* ---- worker ---- */
/*
 * Every tag of every queue that was started came back aborted: nothing in flight. Seen by take(),
 * so keep taking while stopping. Any thread.
 */
bool ublk_queue_stopped(const struct ublk *u);

#endif
