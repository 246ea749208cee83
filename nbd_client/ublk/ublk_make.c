/*
 * ublk_make.c - a device comes into the kernel and leaves it, one control command at a time
 *
 * ADD_DEV waits for a lock that another device's deletion may hold, DEL_DEV for the last program
 * that has the device open, GET_PARAMS for one that is being started. So each command is submitted,
 * and what follows is done by the poll that finds its answer:
 *
 *	create:  ADD_DEV, SET_PARAMS, the queues
 *	recover: GET_DEV_INFO, GET_PARAMS, START_USER_RECOVERY until it is not busy, the queues
 *	destroy: what is on its way, then DEL_DEV
 *
 * GET_FEATURES takes no lock in the driver and waits for no other process, so it is awaited
 * (ublk_feature.c).
 *
 * A command that misses its deadline is cancelled, and some cannot be. Its caller has its answer
 * then, but the kernel still has the buffers it was given, and may carry it out later: an ADD_DEV
 * that is answered late leaves a device without a server. So such a struct ublk goes into the
 * list of the late ones when its owner lets go of it. There its answer is waited for, for as long
 * as it takes; a device that comes of it is deleted; then the memory is freed. The list is bounded:
 * while it is full no device is made. What is left in it at the end of the process the kernel takes
 * back with the ring.
 *
 * Control thread only.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "nbd_client/ublk/ublk_priv.h"

static struct ublk *late[UBLK_LATE_MAX];

int ublk_late_check(struct error *err)
{
	unsigned n = 0;

	for (unsigned i = 0; i < UBLK_LATE_MAX; i++)
		n += late[i] != NULL;
	/* Of the places one is kept for each device there is. */
	return n + VOLUME_MAX < UBLK_LATE_MAX
		       ? 0
		       : error_set(err, -EBUSY,
				 "the ublk driver has not answered for %u devices: see the "
				 "kernel's log, and restart the machine",
				 n);
}

/* ---- create ---- */

static int add_failed(const struct ublk_config *cfg, int rc, struct error *err)
{
	switch (rc) {
	case -EEXIST:
		return error_set(err, rc,
			"/dev/ublkb%d exists already: choose another number, or delete it",
			cfg->dev_id);
	case -EPERM:
	case -EACCES:
		return error_set(err, rc,
			"creating a ublk device is not permitted: run as root (CAP_SYS_ADMIN)");
	case -ENOMEM:
		return error_set(err, rc, "the kernel has no memory for a ublk device of depth %u",
			cfg->queue_depth);
	case -ETIMEDOUT:
		return error_set(err, rc,
			"the ublk driver did not answer ADD_DEV in %u s: another device's deletion "
			"may be stuck",
			UBLK_CTL_US_MAX / 1000000);
	default:
		return error_set(
			err, rc, "the ublk driver refused the device (ADD_DEV): %s", strerror(-rc));
	}
}

static int add_begin(struct ublk *u, const struct ublk_features *f, struct error *err)
{
	struct ublksrv_ctrl_dev_info *info = &u->info;

	if (u->cfg.user_copy && !f->has_user_copy)
		return error_set(
			err, -EOPNOTSUPP, "copy: user needs kernel 6.5; use copy: default or auto");
	if (u->cfg.user_copy)
		u->flags_wanted |= UBLK_F_USER_COPY;
	if (u->cfg.is_recoverable && f->has_recovery)
		u->flags_wanted |= UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE;
	info->nr_hw_queues = u->cfg.queues;
	info->queue_depth = u->cfg.queue_depth;
	info->max_io_buf_bytes = u->cfg.io_bytes_max;
	info->dev_id = (uint32_t)u->cfg.dev_id;
	info->ublksrv_pid = getpid();
	info->flags = u->flags_wanted | (f->has_ioctl_encode ? UBLK_F_CMD_IOCTL_ENCODE : 0);
	u->making = UBLK_MAKE_ADD;
	u->is_adding = true;
	return ublk_dev_send(u, UBLK_CMD_ADD_DEV, info, sizeof(*info));
}

/* Is the device what was asked for? 0, or -errno with @err. */
static int add_check(const struct ublk *u, struct error *err)
{
	const struct ublksrv_ctrl_dev_info *info = &u->info;

	/* The driver clears what it does not know and says nothing. */
	if ((info->flags & u->flags_wanted) != u->flags_wanted)
		return error_set(err, -EOPNOTSUPP,
			"the kernel's ublk driver refused features it announced (UBLK_F_ flags "
			"0x%llx): boot "
			"another kernel, and report this one",
			(unsigned long long)(u->flags_wanted & ~info->flags));
	if (info->nr_hw_queues != u->cfg.queues)
		return error_set(err, -EPROTO,
			"the kernel gives the device %u of %u queues, one for each processor: "
			"lower the port's queues:",
			info->nr_hw_queues, u->cfg.queues);
	if (info->queue_depth != u->cfg.queue_depth ||
		info->max_io_buf_bytes != u->cfg.io_bytes_max)
		return error_set(err, -EPROTO,
			"the kernel changed depth or I/O size: %u and %u bytes", info->queue_depth,
			info->max_io_buf_bytes);
	return 0;
}

static int added(struct ublk *u, int answer, struct error *err)
{
	int rc;

	u->is_adding = answer == -ETIMEDOUT; /* it may yet */
	if (answer < 0)
		return add_failed(&u->cfg, answer, err);
	u->is_in_kernel = true;
	rc = add_check(u, err);
	if (!rc)
		rc = ublk_node_check_at("/dev", "/sys", ublk_dev_id(u), false, err);
	if (rc < 0)
		return rc;
	u->making = UBLK_MAKE_PARAMS;
	rc = ublk_dev_send(u, UBLK_CMD_SET_PARAMS, &u->params, sizeof(u->params));
	return rc < 0 ? error_set(err, rc, "io_uring did not take SET_PARAMS: %s", strerror(-rc))
		      : -EAGAIN;
}

static int params_set(struct ublk *u, int answer, struct error *err)
{
	if (answer < 0)
		return error_set(err, answer,
			"the ublk driver refused the device's limits (SET_PARAMS): %s",
			strerror(-answer));
	return ublk_dev_queues(u, err);
}

struct ublk *ublk_create(const struct ublk_config *cfg, struct error *err)
{
	struct ublk_features features;
	struct ublk_params params;
	struct ublk *u;
	int rc;

	if (ublk_params_fill(cfg, &params, err) < 0 || ublk_late_check(err) < 0)
		return NULL;
	u = ublk_dev_open(cfg, &features, err);
	if (!u)
		return NULL;
	u->params = params;
	rc = add_begin(u, &features, err);
	if (rc == 0)
		return u;
	if (rc != -EOPNOTSUPP)
		error_set(err, rc, "io_uring did not take ADD_DEV: %s", strerror(-rc));
	ublk_dev_close(u);
	return NULL;
}

struct ublk *ublk_recover(const struct ublk_config *cfg, struct error *err)
{
	struct ublk_features features;
	struct ublk_params want;
	struct ublk *u;
	int rc;

	assert(cfg->dev_id >= 0);
	if (ublk_params_fill(cfg, &want, err) < 0 || ublk_late_check(err) < 0)
		return NULL;
	u = ublk_dev_open(cfg, &features, err);
	if (!u)
		return NULL;
	u->info.dev_id = (uint32_t)cfg->dev_id;
	u->is_recovery = true;
	u->params_wanted = want;
	u->making = UBLK_MAKE_INFO;
	rc = ublk_dev_send(u, UBLK_CMD_GET_DEV_INFO, &u->info, sizeof(u->info));
	if (rc == 0)
		return u;
	error_set(err, rc, "io_uring did not take GET_DEV_INFO: %s", strerror(-rc));
	ublk_dev_close(u);
	return NULL;
}

int ublk_make_poll(struct ublk *u, struct error *err)
{
	int answer, rc = -EAGAIN;

	if (u->making == UBLK_MAKE_DONE)
		return 0;
	assert(u->making != UBLK_MAKE_FAILED);
	if (u->making == UBLK_MAKE_PAUSE)
		return ublk_recover_again(u);
	answer = ublk_ctl_poll(&u->ctl);
	if (answer == -EAGAIN)
		return answer;
	if (u->making == UBLK_MAKE_ADD)
		rc = added(u, answer, err);
	else if (u->making == UBLK_MAKE_PARAMS)
		rc = params_set(u, answer, err);
	else
		rc = ublk_recover_step(u, answer, err);
	if (rc == 0)
		u->making = UBLK_MAKE_DONE;
	else if (rc != -EAGAIN)
		u->making = UBLK_MAKE_FAILED;
	return rc;
}

/* ---- destroy ---- */

static int gone_answer(unsigned id, int rc, struct error *err)
{
	if (rc == -ETIMEDOUT)
		return error_set(err, rc,
			"/dev/ublkb%d is not deleted after %u s: a process holds it (open, "
			"mounted, "
			"mapped); "
			"it is deleted when they release it",
			(int)id, UBLK_CTL_US_MAX / 1000000);
	if (rc < 0 && rc != -ENODEV)
		return error_set(err, rc, "deleting /dev/ublkb%d: %s", (int)id, strerror(-rc));
	return 0;
}

/* Frees @u, or keeps it until the kernel has answered. */
static void let_go(struct ublk *u)
{
	unsigned i = 0;

	if (u->ctl.outstanding == 0) {
		ublk_dev_close(u);
		return;
	}
	while (i < UBLK_LATE_MAX && late[i])
		i++;
	assert(i < UBLK_LATE_MAX); /* as many as there can be devices, and then none is made */
	late[i] = u;
}

/* Nothing of @u is under way any more that could still make a device. */
static int delete_begin(struct ublk *u)
{
	int rc = -ENODEV;

	/* A device that was to be taken over, and was not, is left as it is. */
	if (u->is_in_kernel) {
		u->is_in_kernel = false;
		u->ending = UBLK_END_DELETE;
		rc = ublk_dev_send(u, UBLK_CMD_DEL_DEV, NULL, 0);
	}
	return rc < 0 ? rc : -EAGAIN;
}

/* -EAGAIN, or what DEL_DEV answered; -ENODEV: there was nothing to delete. */
static int end_step(struct ublk *u)
{
	int answer = ublk_ctl_poll(&u->ctl);

	if (answer == -EAGAIN || u->ending == UBLK_END_DELETE)
		return answer;
	if (u->is_adding && answer != -ETIMEDOUT) {
		u->is_adding = false;
		u->is_in_kernel = answer >= 0; /* it made it after all */
	}
	return delete_begin(u);
}

int ublk_destroy(struct ublk *u, struct error *err)
{
	/*
	 * Only after a stop that missed its deadline. Whatever we took from the kernel now, it
	 * would wait for: so all of it stays as it is, and the kernel cleans up when this process
	 * ends.
	 */
	if (!ublk_queue_stopped(u))
		return error_set(err, -EBUSY,
			"/dev/ublkb%u remains: the kernel still uses its queue; it is deleted "
			"when this process ends",
			u->info.dev_id);
	ublk_dev_queues_end(u);
	ublk_ctl_cancel(&u->ctl);
	u->ending = UBLK_END_MAKE;
	return 0;
}

int ublk_destroy_poll(struct ublk *u, struct error *err)
{
	int rc = end_step(u);

	if (rc == -EAGAIN)
		return rc;
	rc = gone_answer(u->info.dev_id, rc, err);
	let_go(u);
	return rc;
}

/* ---- those whose last command was not answered in time ---- */

/* Out: whether @u is done with. */
static bool late_step(struct ublk *u)
{
	int answer;

	if (u->ctl.async.seq && ublk_ctl_poll(&u->ctl) == -EAGAIN)
		return false;
	if (!ublk_ctl_answered(&u->ctl, &answer))
		return false;
	if (u->is_adding) {
		u->is_adding = false;
		u->is_in_kernel = answer >= 0;
	}
	return delete_begin(u) != -EAGAIN;
}

void ublk_late_poll(void)
{
	for (unsigned i = 0; i < UBLK_LATE_MAX; i++)
		if (late[i] && late_step(late[i])) {
			ublk_dev_close(late[i]);
			late[i] = NULL;
		}
}
