/*
 * ublk_stop.c - takes a disk away from the kernel: at once, or only if it is not open
 *
 * STOP_DEV does not ask who uses the disk. It waits for what is in flight, so the workers must
 * still serve, and fails whatever is written later. TRY_STOP_DEV (Linux 7.0) refuses with EBUSY
 * while the disk is open, under the lock that an open takes, so that no open can come in between.
 * Until it is answered it may stop the disk at any moment, so its answer is awaited however long
 * it takes; the disk serves meanwhile.
 *
 * Control thread only. Both are submitted and polled, never waited for.
 */
#include <errno.h>
#include <string.h>
#include "nbd_client/ublk/ublk_priv.h"

int ublk_stop(struct ublk *u, struct error *err)
{
	int state = atomic_load(&u->state);

	assert(state <= UBLK_DEV_STOPPING);
	/* A START_DEV that never came back does not hinder STOP_DEV; a running one is given up. */
	if (u->ctl.async.seq) {
		ublk_ctl_cancel(&u->ctl);
		u->ctl.async.seq = 0;
	}
	return ublk_dev_submit(u, UBLK_CMD_STOP_DEV, UBLK_STOP_US_MAX, UBLK_DEV_STOPPING, err);
}

bool ublk_has_try_stop(const struct ublk *u)
{
	return u->has_try_stop;
}

int ublk_try_stop(struct ublk *u, struct error *err)
{
	assert(atomic_load(&u->state) == UBLK_DEV_LIVE);
	return ublk_dev_submit(u, UBLK_NR_TRY_STOP_DEV, UBLK_TRY_STOP_US_MAX, UBLK_DEV_TRYING, err);
}

int ublk_try_stop_poll(struct ublk *u, struct error *err)
{
	int rc;

	assert(atomic_load(&u->state) == UBLK_DEV_TRYING);
	rc = ublk_ctl_poll(&u->ctl);
	if (rc == -EAGAIN)
		return rc;
	if (rc >= 0 || rc == -ENODEV) {
		ublk_dev_state_set(u, UBLK_DEV_STOPPED);
		return 0;
	}
	ublk_dev_state_set(u, UBLK_DEV_LIVE);
	return error_set(err, rc, "the kernel does not stop /dev/ublkb%u: %s", u->info.dev_id,
		strerror(-rc));
}

int ublk_stop_poll(struct ublk *u, struct error *err)
{
	int rc;

	if (atomic_load(&u->state) == UBLK_DEV_STOPPED)
		return 0;
	assert(atomic_load(&u->state) == UBLK_DEV_STOPPING);
	rc = ublk_ctl_poll(&u->ctl);
	if (rc == -EAGAIN)
		return rc;
	if (rc == -ETIMEDOUT)
		return error_set(err, rc,
			"/dev/ublkb%u did not stop in %u s: requests in flight are not answered; "
			"detach with force to fail them",
			u->info.dev_id, UBLK_STOP_US_MAX / 1000000);
	if (rc < 0 && rc != -ENODEV)
		return error_set(
			err, rc, "stopping /dev/ublkb%u: %s", u->info.dev_id, strerror(-rc));
	ublk_dev_state_set(u, UBLK_DEV_STOPPED);
	return 0;
}
