/*
 * ublk_priv.h - what only the ublk_*.c files share
 */
#ifndef NBD_CLIENT_UBLK_UBLK_PRIV_H
#define NBD_CLIENT_UBLK_UBLK_PRIV_H

#include <liburing.h>
#include <stdatomic.h>
#include <stddef.h>
#include "config/limits.h"
#include "nbd_client/ublk/ublk.h"
#include "nbd_client/ublk/ublk_abi.h"

#define UBLK_CONTROL_PATH "/dev/ublk-control"
#define UBLK_DEV_NONE	  (-1)

/* ---- ublk_ctl.c: one control ring ---- */

/* An asynchronous command on its way. seq 0: none. */
struct ublk_ctl_async {
	uint64_t seq;
	uint64_t deadline_us;
	bool is_cancelled; /* the deadline passed, the cancel was sent */
	bool is_done;
	int result;
};

struct ublk_ctl {
	int fd; /* /dev/ublk-control */
	struct io_uring ring;
	bool is_open;
	bool is_encoded;      /* command numbers go encoded like ioctls */
	uint64_t seq_last;    /* user_data of the newest sqe */
	unsigned outstanding; /* commands the kernel has not answered; their buffers are in use */
	struct ublk_ctl_async async;
	uint64_t late_seq; /* of the last asynchronous one that missed its deadline */
	int late_result;   /* what it answered then */
};

struct ublk_ctl_cmd {
	uint8_t nr;
	int dev_id;
	void *buf; /* must outlive the command, late answers included */
	uint16_t len;
	uint64_t data;
};

/* Zeroed memory is a closed ctl. 0, or -errno with the remedy. */
int ublk_ctl_open(struct ublk_ctl *c, const char *path, struct error *err);
void ublk_ctl_close(struct ublk_ctl *c); /* accepts a closed one */
uint32_t ublk_ctl_opcode(uint8_t nr, bool is_encoded);
/* Waits for the answer. The kernel's result (>= 0), -errno, or -ETIMEDOUT. */
int ublk_ctl_call(struct ublk_ctl *c, const struct ublk_ctl_cmd *cmd, uint32_t us_max);
/*
 * One at a time; poll until not -EAGAIN, after which it keeps answering the same. After -ETIMEDOUT
 * the command may still be with the kernel.
 */
int ublk_ctl_submit(struct ublk_ctl *c, const struct ublk_ctl_cmd *cmd, uint32_t us_max);
int ublk_ctl_poll(struct ublk_ctl *c);
void ublk_ctl_cancel(struct ublk_ctl *c); /* of the asynchronous command: the deadline is now */
/* Has every command been answered? Then *result is of the last that missed its deadline. */
bool ublk_ctl_answered(struct ublk_ctl *c, int *result);
/* write(2) by a kernel thread, where writing may wait for I/O. Bytes, -errno, -ETIMEDOUT. */
int ublk_ctl_write(struct ublk_ctl *c, int fd, const void *bytes, uint32_t len, uint32_t us_max);

/* ---- ublk_feature.c ---- */

int ublk_probe_at(const char *path, struct error *err);
uint64_t ublk_features_of_release(const char *release); /* "6.12.9+deb" → known bits */
void ublk_features_describe(struct ublk_features *f);	/* fills the rest from bits */
int ublk_features_ask(struct ublk_ctl *c, struct ublk_features *out);

/* ---- ublk_params.c ---- */

/* Export's limits → what SET_PARAMS gets. 0, or -EINVAL with what cannot be served. */
int ublk_params_fill(const struct ublk_config *cfg, struct ublk_params *out, struct error *err);
/* Does a device that runs with @have fit an export that requires @want? 0, or -EINVAL with @err. */
int ublk_params_match(
	const struct ublk_params *have, const struct ublk_params *want, struct error *err);

/* ---- ublk_desc.c ---- */

/* Fills op, flags, offset, bytes. 0, or -EOPNOTSUPP / -EINVAL: answer with that. */
int ublk_desc_decode(const struct ublksrv_io_desc *desc, struct block_req *req);
/* What COMMIT carries for @req ended with @result (0 or -errno). */
int32_t ublk_commit_result(const struct block_req *req, int result);
/* Position on the character device of byte @at of @tag's data. */
int64_t ublk_copy_position(uint16_t queue, uint16_t tag, uint32_t at);

/* ---- ublk_queue.c: the worker's half ---- */

enum ublk_tag {
	UBLK_TAG_IDLE,	 /* not fetched yet */
	UBLK_TAG_KERNEL, /* the kernel's: a FETCH is there, or its sqe is queued */
	UBLK_TAG_QUEUED, /* arrived, in a list */
	UBLK_TAG_LENT,	 /* with the volume */
	UBLK_TAG_GONE,	 /* aborted: will not come again */
};

/* Tags that wait for take(), oldest first. Each tag is in one list at most: never full. */
struct ublk_fifo {
	uint16_t tags[QUEUE_DEPTH_MAX];
	uint32_t head, tail; /* free running */
};

/* Single writer (the worker), read by anyone. */
struct ublk_counters {
	_Atomic uint64_t requests, swap_first, enters, enter_errors, sleeps, rejected, from_spare,
		command_errors;
};

struct ublk_queue {
	struct block_front front; /* first: ops get its address */
	uint16_t idx;		  /* of the queue in its device */
	struct io_uring ring;
	int char_fd;
	const struct ublksrv_io_desc *descs; /* mapped, the kernel writes */
	size_t desc_bytes;
	uint32_t op_fetch, op_commit;
	uint16_t depth;
	uint32_t io_bytes_max;
	uint64_t size_bytes;
	struct stream_buf *buf; /* NULL: user copy */
	uint8_t *spare;		/* io_bytes_max bytes, for each tag if has_spares; the device's */
	bool has_spares, is_user_copy, is_ring_open, is_defer_taskrun;
	bool is_armed; /* event fd may fire */
	_Atomic bool is_started;
	_Atomic uint32_t gone_count;
	_Atomic int error;		   /* first refusal of a FETCH, -errno */
	uint8_t tags[QUEUE_DEPTH_MAX];	   /* enum ublk_tag */
	bool is_diverted[QUEUE_DEPTH_MAX]; /* the tag's next WRITE comes into the spare */
	struct ublk_fifo swap, normal;
	struct block_req reqs[QUEUE_DEPTH_MAX];
	struct ublk_counters count;
};

/* @q zeroed; char_fd, buf, sizes and op_* set. 0, -errno with @err. */
int ublk_queue_init(struct ublk_queue *q, struct error *err);
void ublk_queue_fini(struct ublk_queue *q); /* accepts zeroed memory with char_fd -1 */

/* ---- ublk_dev.c ---- */

enum ublk_dev_state {
	UBLK_DEV_ADDED,	   /* in the kernel, not started */
	UBLK_DEV_STARTING, /* START_DEV or END_USER_RECOVERY is on its way */
	UBLK_DEV_LIVE,
	UBLK_DEV_TRYING, /* TRY_STOP_DEV is on its way: LIVE again, or STOPPED */
	UBLK_DEV_STOPPING,
	UBLK_DEV_STOPPED,
};

/* What ublk_make_poll() waits for. */
enum ublk_making {
	UBLK_MAKE_ADD,	   /* ADD_DEV */
	UBLK_MAKE_PARAMS,  /* SET_PARAMS */
	UBLK_MAKE_INFO,	   /* GET_DEV_INFO, of a device to be taken over */
	UBLK_MAKE_COMPARE, /* GET_PARAMS */
	UBLK_MAKE_BEGIN,   /* START_USER_RECOVERY */
	UBLK_MAKE_PAUSE,   /* the time to ask for that again */
	UBLK_MAKE_DONE,
	UBLK_MAKE_FAILED,
};

/* What ublk_destroy_poll() waits for. */
enum ublk_ending {
	UBLK_END_NOT,
	UBLK_END_MAKE,	 /* the last command before it */
	UBLK_END_DELETE, /* DEL_DEV */
};

struct ublk {
	struct ublk_ctl ctl;
	struct ublksrv_ctrl_dev_info info; /* here, not on a stack: a late answer writes into it */
	struct ublk_params params, params_wanted; /* wanted: of a device to be taken over */
	enum ublk_making making;
	enum ublk_ending ending;
	bool is_adding; /* ADD_DEV is not answered */
	uint64_t flags_wanted;
	uint64_t again_us, recover_us; /* when to ask again; until when */
	struct ublk_config cfg;
	_Atomic int state; /* enum ublk_dev_state */
	bool is_recovery;  /* started by END_USER_RECOVERY */
	bool is_in_kernel; /* ADD_DEV succeeded, DEL_DEV did not yet */
	bool has_try_stop; /* the kernel has TRY_STOP_DEV */
	char sysfs_none[8];
	uint8_t *spares; /* of all queues, one after the other */
	size_t spare_bytes;
	unsigned queue_count;
	struct ublk_queue queues[]; /* each its worker's, once started */
};

/* Asserts that the arc is legal. */
void ublk_dev_state_set(struct ublk *u, enum ublk_dev_state next);
/* Submits a command that is polled, and goes to @next. 0, or -errno with @err. */
int ublk_dev_submit(
	struct ublk *u, uint8_t nr, uint32_t us_max, enum ublk_dev_state next, struct error *err);
/* A command for this device, to be polled by ublk_ctl_poll(). 0, or -errno. */
int ublk_dev_send(struct ublk *u, uint8_t nr, void *buf, size_t len);
/* A command for this device, waited for. The kernel's result or -errno. */
int ublk_dev_call(struct ublk *u, uint8_t nr, void *buf, size_t len, uint64_t data);
/* Memory and a control ring. NULL with @err; on success *@features is asked. */
struct ublk *ublk_dev_open(
	const struct ublk_config *cfg, struct ublk_features *features, struct error *err);
/* Releases all but the kernel's device. The memory stays if the kernel may still write to it. */
void ublk_dev_close(struct ublk *u);
/* Opens /dev/ublkcN and prepares the queues. 0, or -errno with @err. */
int ublk_dev_queues(struct ublk *u, struct error *err);
void ublk_dev_queues_end(struct ublk *u); /* what it did, backwards; more than once is fine */

/* ---- ublk_make.c, ublk_recover.c ---- */

#define UBLK_LATE_MAX (2 * VOLUME_MAX) /* devices whose last command is not answered */
/* May another device be made? 0, or -EBUSY with @err. */
int ublk_late_check(struct error *err);
/* After the answer to what u->making says: 0 taken over, -EAGAIN go on polling, -errno with @err.
 */
int ublk_recover_step(struct ublk *u, int answer, struct error *err);
int ublk_recover_again(struct ublk *u); /* UBLK_MAKE_PAUSE: -EAGAIN, or -errno */

/* ---- ublk_sysfs.c, with the roots given so that a test can make its own ---- */

/* "mq-deadline kyber [none]" → "none". 0, or -EINVAL if there is no bracket. */
int ublk_scheduler_parse(const char *text, char *now, unsigned len);
/* Every /sys/class/ublk-char/ublkcN. */
int ublk_devices_at(const char *sys, int *dev_ids, unsigned max);

/* ---- ublk_path.c, likewise ---- */

/*
 * What is at @dev/ublkbN: before the start no node or any block device's, after it this device's.
 * 0, or -errno with @err.
 */
int ublk_node_check_at(
	const char *dev, const char *sys, int dev_id, bool is_started, struct error *err);

/* ---- ublk_users.c, likewise ---- */

/* Looks for a user of the device; @is_thorough: among mappings too, which may block for long. */
void ublk_user_find_at(
	const char *sys, const char *proc, int dev_id, bool is_thorough, struct ublk_user *out);

#endif
