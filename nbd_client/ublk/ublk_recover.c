/*
 * ublk_recover.c - take over the devices of a daemon that died, or made way for a newer one
 *
 * With USER_RECOVERY the disk outlives its daemon: the kernel takes back what was in flight
 * (REISSUE), holds new I/O, and START_USER_RECOVERY / END_USER_RECOVERY put a new daemon in the
 * place of ADD_DEV, SET_PARAMS / START_DEV. The disk's user notices a pause and no error.
 *
 * Its price: STOP_DEV of such a device fails whatever is written afterwards, dirty page cache
 * included; hence the question who uses it (ublk_ask.c).
 *
 * Nothing is touched before everything was compared: a device whose size or abilities differ from
 * what the server now offers stays as it is, held, and the person decides.
 *
 * Control thread. Taking over waits for nothing: ublk_make_poll() goes on when the kernel answered.
 * A look at a device, and the end of one, wait for each answer, at most UBLK_CTL_US_MAX.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include "config/monotonic.h"
#include "nbd_client/ublk/ublk_priv.h"

/* Is it the device that was left? 0, or -errno with @err. */
static int info_check(const struct ublk *u, int rc, struct error *err)
{
	const struct ublksrv_ctrl_dev_info *info = &u->info;
	int id = u->cfg.dev_id;

	if (rc == -ENODEV)
		return error_set(err, rc, "/dev/ublkb%d is gone: nothing to take over", id);
	if (rc < 0)
		return error_set(err, rc, "asking for ublk device %d: %s", id, strerror(-rc));
	if (!(info->flags & UBLK_F_USER_RECOVERY))
		return error_set(err, -EINVAL, "/dev/ublkb%d was not made recoverable", id);
	if (info->state == UBLK_S_DEV_DEAD)
		return error_set(err, -ENODEV,
			"/dev/ublkb%d was never started, or is stopped: delete it", id);
	if (info->nr_hw_queues != u->cfg.queues || info->queue_depth != u->cfg.queue_depth ||
		info->max_io_buf_bytes != u->cfg.io_bytes_max)
		return error_set(err, -EINVAL,
			"/dev/ublkb%d has %u queues of depth %u and %u bytes an I/O, not %u of %u "
			"and %u",
			id, info->nr_hw_queues, info->queue_depth, info->max_io_buf_bytes,
			u->cfg.queues, u->cfg.queue_depth, u->cfg.io_bytes_max);
	if (!!(info->flags & UBLK_F_USER_COPY) != u->cfg.user_copy)
		return error_set(
			err, -EINVAL, "/dev/ublkb%d was made with the other copy mode", id);
	return 0;
}

/* ---- taking over ---- */

static int submit(struct ublk *u, enum ublk_making next, uint8_t nr, void *buf, size_t len)
{
	int rc = ublk_dev_send(u, nr, buf, len);

	u->making = next;
	return rc < 0 ? rc : -EAGAIN;
}

static int begin(struct ublk *u)
{
	return submit(u, UBLK_MAKE_BEGIN, UBLK_CMD_START_USER_RECOVERY, NULL, 0);
}

/*
 * EBUSY: the kernel has not yet taken back what the dead daemon held. Nothing tells when it has (no
 * uevent, no poll), so it is asked again, at a bounded rate, up to the deadline. A daemon that
 * lives keeps it busy without end: it is recognised.
 */
static int begun(struct ublk *u, int rc, struct error *err)
{
	int pid = u->info.ublksrv_pid, id = u->cfg.dev_id;

	if (rc == -EBUSY && monotonic_us() < u->recover_us) {
		u->again_us = monotonic_us() + UBLK_RECOVER_US_STEP;
		u->making = UBLK_MAKE_PAUSE;
		return -EAGAIN;
	}
	if (rc == -EBUSY && pid > 0 && kill(pid, 0) == 0)
		return error_set(
			err, rc, "/dev/ublkb%d is served by process %d: stop it first", id, pid);
	if (rc == -EBUSY)
		return error_set(err, rc,
			"the kernel has not released /dev/ublkb%d from the dead daemon after %u s",
			id, UBLK_RECOVER_US_MAX / 1000000);
	/*
	 * EINVAL on a quiesced device: an earlier recovery began and its daemon died before it
	 * fetched. The queue is as START_USER_RECOVERY leaves it, so go on from there.
	 */
	if (rc < 0 && !(rc == -EINVAL && u->info.state == UBLK_S_DEV_QUIESCED))
		return error_set(err, rc, "taking /dev/ublkb%d over (START_USER_RECOVERY): %s", id,
			strerror(-rc));
	rc = ublk_dev_queues(u, err);
	u->is_in_kernel = rc == 0;
	return rc;
}

static int compared(struct ublk *u, int rc, struct error *err)
{
	if (rc < 0)
		return error_set(err, rc, "asking for the limits of ublk device %d: %s",
			u->cfg.dev_id, strerror(-rc));
	rc = ublk_params_match(&u->params, &u->params_wanted, err);
	if (rc < 0)
		return rc;
	u->recover_us = monotonic_us() + UBLK_RECOVER_US_MAX;
	return begin(u);
}

int ublk_recover_again(struct ublk *u)
{
	return monotonic_us() < u->again_us ? -EAGAIN : begin(u);
}

int ublk_recover_step(struct ublk *u, int answer, struct error *err)
{
	int rc;

	if (u->making == UBLK_MAKE_BEGIN)
		return begun(u, answer, err);
	if (u->making == UBLK_MAKE_COMPARE)
		return compared(u, answer, err);
	assert(u->making == UBLK_MAKE_INFO);
	rc = info_check(u, answer, err);
	if (rc < 0)
		return rc;
	u->params.len = sizeof(u->params);
	return submit(u, UBLK_MAKE_COMPARE, UBLK_CMD_GET_PARAMS, &u->params, sizeof(u->params));
}

/* ---- devices without a server of ours ---- */

/* Opens the way to a device that is there, whichever process made
 * it. Out: 0 and @out, to be closed; -errno. */
static int look_open(int dev_id, struct ublk **out, struct ublk_look *look, struct error *err)
{
	const struct ublk_config cfg = {.dev_id = dev_id};
	struct ublk_features features;
	struct ublk *u = ublk_dev_open(&cfg, &features, err);
	int rc, pid;

	if (!u)
		return -EIO;
	u->info.dev_id = (uint32_t)dev_id;
	rc = ublk_dev_call(u, UBLK_CMD_GET_DEV_INFO, &u->info, sizeof(u->info), 0);
	if (rc < 0) {
		ublk_dev_close(u);
		return rc == -ENODEV ? error_set(err, rc, "there is no ublk device %d", dev_id)
				     : error_set(err, rc, "asking for ublk device %d: %s", dev_id,
					       strerror(-rc));
	}
	pid = u->info.ublksrv_pid;
	*look = (struct ublk_look){
		.pid = pid,
		.is_served = u->info.state == UBLK_S_DEV_LIVE && pid > 0 && kill(pid, 0) == 0,
		.is_held = u->info.state == UBLK_S_DEV_QUIESCED,
		.is_started = u->info.state != UBLK_S_DEV_DEAD,
	};
	*out = u;
	return 0;
}

int ublk_look(int dev_id, struct ublk_look *out, struct error *err)
{
	struct ublk *u;
	int rc = look_open(dev_id, &u, out, err);

	if (rc == 0)
		ublk_dev_close(u);
	return rc;
}

int ublk_delete(int dev_id, struct error *err)
{
	struct ublk_look look;
	struct ublk *u;
	int rc = look_open(dev_id, &u, &look, err);

	if (rc < 0)
		return rc;
	if (look.is_served) {
		ublk_dev_close(u);
		return error_set(err, -EBUSY, "/dev/ublkb%d is served by process %d: stop it first",
			dev_id, look.pid);
	}
	rc = ublk_dev_call(u, UBLK_CMD_STOP_DEV, NULL, 0, 0);
	if (rc == 0)
		rc = ublk_dev_call(u, UBLK_CMD_DEL_DEV, NULL, 0, 0);
	ublk_dev_close(u);
	return rc < 0 ? error_set(err, rc, "deleting ublk device %d: %s", dev_id, strerror(-rc))
		      : 0;
}
