/*
 * device_end.c - the daemon ends: which block devices are left to the next one, and which go
 *
 * A device that is in use, or for which this is not known in time, is left: the kernel holds its
 * requests until the next daemon takes it over. The others are detached in order, which waits for
 * what is in flight; a second signal or a deadline forces them. An attach under way is ended.
 * Control thread only.
 */
#include <errno.h>
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

void devices_leave_all(struct devices *ds, bool all)
{
	uint64_t now_us = clock_now_us(ds->clock);
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++) {
		struct device *d = &ds->list[i];
		struct ublk_user user = {.kind = UBLK_USER_UNKNOWN};

		if (!device_is_serving(d) || !device_ublk_may_stay(d))
			continue;
		if (!all)
			ublk_user_find(ublk_dev_id(d->ublk), &user);
		d->is_kept = user.kind != UBLK_USER_NONE;
		if (d->is_kept)
			device_teardown(ds, d, now_us);
		else
			device_ask_begin(ds, d, true, now_us);
	}
}

/* On its way out already: what holds it up is given up. */
static void teardown_force(struct devices *ds, struct device *d, uint64_t now_us)
{
	if (d->is_forced || d->step == STEP_DELETE)
		return;
	d->is_forced = true;
	if (d->step == STEP_ASK) { /* not known: it stays if it can */
		d->is_kept = d->is_leaving;
		device_teardown(ds, d, now_us);
	} else if (d->step == STEP_STOP)
		channels_post(ds, d, (struct worker_cmd){.type = WORKER_VOLUME_FAIL});
	else
		channels_post(ds, d,
			(struct worker_cmd){
				.type = d->is_kept ? WORKER_VOLUME_LEAVE : WORKER_VOLUME_STOP,
				.n = 0});
}

void devices_detach_all(struct devices *ds, bool force)
{
	uint64_t now_us = clock_now_us(ds->clock);
	unsigned i;

	for (i = 0; i < VOLUME_MAX; i++) {
		struct device *d = &ds->list[i];

		if (d->step > STEP_SERVE && force)
			teardown_force(ds, d, now_us);
		if (d->step == STEP_FREE || d->step > STEP_ASK ||
			(d->step == STEP_ASK && d->is_leaving))
			continue;
		d->is_forced = force;
		if (d->step < STEP_SERVE) {
			d->result = -ECANCELED;
			error_set(&d->error, 0, "the daemon is ending");
			d->is_forced = true;
		}
		device_teardown(ds, d, now_us);
	}
}
