/*
 * ublk_ctl.c - control commands to ublk_drv, each with a deadline
 *
 * A control command is an io_uring command on /dev/ublk-control; there is no ioctl. The kernel runs
 * it on a thread of its own, where it may wait: START_DEV for the fetches and then for the
 * partition scan, which is I/O that we ourselves serve; STOP_DEV for what is in flight; DEL_DEV for
 * the last reference; ADD_DEV for a lock. So a device's commands are submitted, and polled; what is
 * waited for (features, a look at a device, the end of one without a server) has a deadline.
 *
 * When the deadline passes the command is cancelled, which wakes the waits the kernel made
 * interruptible. Some are not: then the command stays `outstanding`, and since the kernel may still
 * write its answer, the buffers it was given stay until it came (ublk_make.c).
 *
 * Every sqe carries a sequence number, so a late answer is known for what it is and dropped. One
 * ring a device: a wedged one cannot hold up another device's commands.
 *
 * Control thread only. May block up to the deadline, allocates nothing after ublk_ctl_open.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "config/monotonic.h"
#include "nbd_client/ublk/ublk_priv.h"

#define RING_ENTRIES 8

static int open_failed(const char *path, int rc, struct error *err)
{
	switch (rc) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return error_set(err, rc,
			"%s is not there: load the driver (modprobe ublk_drv); it needs Linux 6.0 "
			"or newer, "
			"on Debian 12 that is the package linux-image-6.12-amd64",
			path);
	case -EACCES:
	case -EPERM:
		return error_set(err, rc, "%s: not permitted: run as root (CAP_SYS_ADMIN)", path);
	default:
		return error_set(err, rc, "%s: %s", path, strerror(-rc));
	}
}

static int ring_failed(int rc, struct error *err)
{
	switch (rc) {
	case -ENOSYS:
	case -EPERM:
		return error_set(err, rc,
			"io_uring is switched off here: allow it (sysctl "
			"kernel.io_uring_disabled=0), and in a "
			"container let its system-call filter pass io_uring");
	case -EINVAL:
		return error_set(err, rc,
			"this kernel's io_uring is too old for ublk: 6.0 or later is needed");
	case -ENOMEM:
		return error_set(
			err, rc, "no locked memory for io_uring: raise the limit (ulimit -l)");
	default:
		return error_set(err, rc, "io_uring: %s", strerror(-rc));
	}
}

int ublk_ctl_open(struct ublk_ctl *c, const char *path, struct error *err)
{
	struct stat st;
	int rc;

	assert(!c->is_open);
	c->fd = open(path, O_RDWR | O_CLOEXEC);
	if (c->fd < 0)
		return open_failed(path, -errno, err);
	/* A plain file there (a script wrote to the missing
	 * node) answers like a very old driver. */
	if (fstat(c->fd, &st) != 0 || !S_ISCHR(st.st_mode)) {
		close(c->fd);
		return error_set(err, -ENOTTY,
			"%s is not the ublk driver's device: remove it, then modprobe ublk_drv",
			path);
	}
	/* Control commands are larger than an ordinary sqe. */
	rc = io_uring_queue_init(RING_ENTRIES, &c->ring, IORING_SETUP_SQE128);
	if (rc < 0) {
		close(c->fd);
		return ring_failed(rc, err);
	}
	c->is_open = true;
	c->seq_last = 0;
	c->outstanding = 0;
	c->late_seq = 0;
	c->late_result = -ETIMEDOUT;
	memset(&c->async, 0, sizeof(c->async));
	return 0;
}

void ublk_ctl_close(struct ublk_ctl *c)
{
	if (!c->is_open)
		return;
	io_uring_queue_exit(&c->ring);
	close(c->fd);
	c->is_open = false;
}

uint32_t ublk_ctl_opcode(uint8_t nr, bool is_encoded)
{
	if (!is_encoded && nr != UBLK_NR_GET_FEATURES)
		return nr;
	switch (nr) {
	case UBLK_CMD_GET_QUEUE_AFFINITY:
	case UBLK_CMD_GET_DEV_INFO:
	case UBLK_CMD_GET_PARAMS:
	case UBLK_NR_GET_FEATURES:
		return UBLK_ENCODE_R(nr);
	default:
		return UBLK_ENCODE_WR(nr);
	}
}

static struct io_uring_sqe *sqe_take(struct ublk_ctl *c)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&c->ring);

	if (sqe)
		memset(sqe, 0, 2 * sizeof(*sqe));
	return sqe;
}

/* Out: the sequence number (> 0), or -errno. */
static int64_t sqe_send(struct ublk_ctl *c, struct io_uring_sqe *sqe)
{
	int rc;

	io_uring_sqe_set_data64(sqe, ++c->seq_last);
	rc = io_uring_submit(&c->ring);
	if (rc < 0)
		return rc;
	c->outstanding++;
	return (int64_t)c->seq_last;
}

static int64_t cmd_send(struct ublk_ctl *c, const struct ublk_ctl_cmd *cmd)
{
	struct io_uring_sqe *sqe = sqe_take(c);
	struct ublksrv_ctrl_cmd *body;

	if (!sqe)
		return -EBUSY;
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = c->fd;
	sqe->cmd_op = ublk_ctl_opcode(cmd->nr, c->is_encoded);
	body = (struct ublksrv_ctrl_cmd *)(void *)sqe->cmd;
	body->dev_id = (uint32_t)cmd->dev_id;
	body->queue_id = (uint16_t)-1;
	body->addr = (uint64_t)(uintptr_t)cmd->buf;
	body->len = cmd->len;
	body->data[0] = cmd->data;
	return sqe_send(c, sqe);
}

/* Takes every answer there is. True if @seq was among them, its result in *@result. */
static bool answers_take(struct ublk_ctl *c, uint64_t seq, int *result)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;
	bool is_found = false;

	io_uring_for_each_cqe(&c->ring, head, cqe)
	{
		count++;
		if (cqe->user_data == 0) /* a cancel's own answer */
			continue;
		assert(c->outstanding > 0);
		c->outstanding--;
		if (cqe->user_data == c->async.seq) {
			c->async.is_done = true;
			c->async.result = cqe->res;
		} else if (cqe->user_data == c->late_seq)
			c->late_result = cqe->res;
		if (cqe->user_data == seq) {
			is_found = true;
			*result = cqe->res;
		}
	}
	io_uring_cq_advance(&c->ring, count);
	return is_found;
}

/* Waits for @seq until @deadline_us. 0 with *@result, or -ETIMEDOUT. */
static int answer_wait(struct ublk_ctl *c, uint64_t seq, uint64_t deadline_us, int *result)
{
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	uint64_t now;

	/* Bounded by the deadline: every pass either takes an answer, or waits. */
	while (!answers_take(c, seq, result)) {
		now = monotonic_us();
		if (now >= deadline_us)
			return -ETIMEDOUT;
		ts.tv_sec = (int64_t)((deadline_us - now) / 1000000);
		ts.tv_nsec = (long long)((deadline_us - now) % 1000000 * 1000);
		io_uring_wait_cqe_timeout(&c->ring, &cqe, &ts);
	}
	return 0;
}

static void cancel_send(struct ublk_ctl *c, uint64_t seq)
{
	struct io_uring_sqe *sqe = sqe_take(c);

	if (!sqe)
		return;
	io_uring_prep_cancel64(sqe, seq, 0);
	io_uring_sqe_set_data64(sqe, 0);
	io_uring_submit(&c->ring);
}

/* What a cancelled command answered: if it made it after all, that is the truth. */
static int cancelled_result(int result)
{
	return result == -EINTR || result == -ECANCELED ? -ETIMEDOUT : result;
}

static int call_finish(struct ublk_ctl *c, int64_t seq, uint32_t us_max)
{
	int result;

	if (seq < 0)
		return (int)seq;
	if (answer_wait(c, (uint64_t)seq, monotonic_us() + us_max, &result) == 0)
		return result;
	cancel_send(c, (uint64_t)seq);
	if (answer_wait(c, (uint64_t)seq, monotonic_us() + UBLK_CANCEL_US_MAX, &result) == 0)
		return cancelled_result(result);
	return -ETIMEDOUT;
}

int ublk_ctl_call(struct ublk_ctl *c, const struct ublk_ctl_cmd *cmd, uint32_t us_max)
{
	assert(c->is_open);
	return call_finish(c, cmd_send(c, cmd), us_max);
}

int ublk_ctl_write(struct ublk_ctl *c, int fd, const void *bytes, uint32_t len, uint32_t us_max)
{
	struct io_uring_sqe *sqe = sqe_take(c);

	assert(c->is_open);
	if (!sqe)
		return -EBUSY;
	io_uring_prep_write(sqe, fd, bytes, len, 0);
	sqe->flags |= IOSQE_ASYNC;
	return call_finish(c, sqe_send(c, sqe), us_max);
}

int ublk_ctl_submit(struct ublk_ctl *c, const struct ublk_ctl_cmd *cmd, uint32_t us_max)
{
	int64_t seq;

	assert(c->is_open);
	assert(c->async.seq == 0);
	seq = cmd_send(c, cmd);
	if (seq < 0)
		return (int)seq;
	memset(&c->async, 0, sizeof(c->async));
	c->async.seq = (uint64_t)seq;
	c->async.deadline_us = monotonic_us() + us_max;
	return 0;
}

void ublk_ctl_cancel(struct ublk_ctl *c)
{
	if (c->async.seq == 0 || c->async.is_cancelled)
		return;
	cancel_send(c, c->async.seq);
	c->async.is_cancelled = true;
	c->async.deadline_us = monotonic_us() + UBLK_CANCEL_US_MAX;
}

static int async_end(struct ublk_ctl *c, int result)
{
	c->async.seq = 0;
	c->async.result = result;
	return result;
}

int ublk_ctl_poll(struct ublk_ctl *c)
{
	struct io_uring_cqe *cqe;
	int unused;

	if (c->async.seq == 0)
		return c->async.result;
	io_uring_peek_cqe(&c->ring, &cqe); /* runs task work if there is any; the cqe stays */
	answers_take(c, 0, &unused);
	if (c->async.is_done)
		return async_end(c, c->async.is_cancelled ? cancelled_result(c->async.result)
							  : c->async.result);
	if (monotonic_us() < c->async.deadline_us)
		return -EAGAIN;
	if (c->async.is_cancelled) {
		c->late_seq = c->async.seq;
		return async_end(c, -ETIMEDOUT);
	}
	ublk_ctl_cancel(c);
	return -EAGAIN;
}

bool ublk_ctl_answered(struct ublk_ctl *c, int *result)
{
	struct io_uring_cqe *cqe;
	int unused;

	io_uring_peek_cqe(&c->ring, &cqe);
	answers_take(c, 0, &unused);
	*result = c->late_result;
	return c->outstanding == 0;
}
