/*
 * device_teardown.c - a device's step, its answer, and the beginning of the way back
 *
 * What device.c, device_ask.c and device_end.c have in common: the one that finds that a device
 * has to go, or to be left to the next daemon, starts it here, and device.c does the rest.
 * Control thread only.
 */
#include "config/log.h"
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

void device_step_set(struct device *d, enum device_step step, uint64_t now_us, uint64_t ms)
{
	d->step = step;
	d->deadline_us = now_us + ms * 1000;
}

void device_done(struct device *d, int rc, const char *device)
{
	engine_done_fn *done = d->done;

	d->done = NULL;
	if (done)
		done(d->arg, rc, device, &d->error);
}

/* Takes the way back, from wherever attach had come. */
void device_teardown(struct devices *ds, struct device *d, uint64_t now_us)
{
	/* The user of a device that was there before us must not lose it because we cannot serve
	 * it. */
	bool is_made = d->ublk && d->step > STEP_ADD;

	d->is_kept |= is_made && d->is_recovery && d->step < STEP_SERVE && device_ublk_may_stay(d);
	if (is_made && !d->is_kept) {
		struct error err = {""};

		d->is_stop_due = ublk_stop(d->ublk, &err) != 0;
		if (d->is_stop_due)
			log_warn("volume %s: %s; trying again", d->cfg.name, err.text);
		device_step_set(d, STEP_STOP, now_us, STOP_MS_MAX);
		if (d->is_forced)
			channels_post(ds, d, (struct worker_cmd){.type = WORKER_VOLUME_FAIL});
		return;
	}
	ublk_ask_end(&d->ask);
	channels_post(ds, d,
		(struct worker_cmd){.type = d->is_kept ? WORKER_VOLUME_LEAVE : WORKER_VOLUME_STOP,
			.n = d->is_forced || !d->channels[0].was_ready ? 0
								       : DRAIN_MS_MAX * 1000ull});
	device_step_set(d, STEP_DRAIN, now_us, DRAIN_MS_MAX + 5000);
}
