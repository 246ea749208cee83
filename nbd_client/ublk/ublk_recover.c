/*
 * ublk_recover.c - take over the devices of a daemon that died, or made way for a newer one
 *
 * With USER_RECOVERY the disk outlives its daemon: the kernel takes back what was in flight
 * (REISSUE), holds new I/O, and START_USER_RECOVERY / END_USER_RECOVERY put a new daemon in the
 * place of ADD_DEV, SET_PARAMS / START_DEV. Whoever uses the disk notices a pause and no error.
 *
 * Its price: STOP_DEV of such a device fails whatever is written afterwards, dirty page cache
 * included; hence the question who uses it (ublk_ask.c).
 *
 * Nothing is touched before everything was compared: a device whose size or abilities differ from
 * what the server now offers stays as it is, held, and the person decides.
 *
 * Control thread, at start; waits up to UBLK_RECOVER_US_MAX.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include "config/monotonic.h"
#include "nbd_client/ublk/ublk_priv.h"

static int recover_check(struct ublk *u, const struct ublk_params *want, struct error *err)
{
	const struct ublksrv_ctrl_dev_info *info = &u->info;
	int id = u->cfg.dev_id, rc;

	rc = ublk_dev_call(u, UBLK_CMD_GET_DEV_INFO, &u->info, sizeof(u->info), 0);
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
	u->params.len = sizeof(u->params);
	rc = ublk_dev_call(u, UBLK_CMD_GET_PARAMS, &u->params, sizeof(u->params), 0);
	if (rc < 0)
		return error_set(
			err, rc, "asking for the limits of ublk device %d: %s", id, strerror(-rc));
	return ublk_params_match(&u->params, want, err);
}

/* Opens the way to a device that is there, whoever made
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

/*
 * EBUSY: the kernel has not yet taken back what the dead daemon held. Nothing tells when it has (no
 * uevent, no poll), so it is asked again, at a bounded rate, up to the deadline. A daemon that
 * lives keeps it busy for ever: it is told apart first.
 */
static int recovery_begin(struct ublk *u, struct error *err)
{
	const struct timespec step = {.tv_nsec = UBLK_RECOVER_US_STEP * 1000L};
	uint64_t deadline = monotonic_us() + UBLK_RECOVER_US_MAX;
	int pid = u->info.ublksrv_pid, id = u->cfg.dev_id, rc;

	do {
		rc = ublk_dev_call(u, UBLK_CMD_START_USER_RECOVERY, NULL, 0, 0);
		if (rc != -EBUSY)
			break;
		nanosleep(&step, NULL);
	} while (monotonic_us() < deadline);
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
	if (rc == -EINVAL && u->info.state == UBLK_S_DEV_QUIESCED)
		return 0;
	if (rc < 0)
		return error_set(err, rc, "taking /dev/ublkb%d over (START_USER_RECOVERY): %s", id,
			strerror(-rc));
	return 0;
}

struct ublk *ublk_recover(const struct ublk_config *cfg, struct error *err)
{
	struct ublk_features features;
	struct ublk_params want;
	struct ublk *u;
	int rc;

	assert(cfg->dev_id >= 0);
	if (ublk_params_fill(cfg, &want, err) < 0)
		return NULL;
	u = ublk_dev_open(cfg, &features, err);
	if (!u)
		return NULL;
	u->info.dev_id = (uint32_t)cfg->dev_id;
	u->is_recovery = true;
	rc = recover_check(u, &want, err);
	if (rc == 0)
		rc = recovery_begin(u, err);
	if (rc == 0)
		rc = ublk_dev_queues(u, err);
	if (rc < 0) {
		ublk_dev_close(u);
		return NULL;
	}
	u->is_in_kernel = true;
	return u;
}
