/*
 * device_ask.c - before a block device is stopped: is it in use?
 *
 * A device that is stopped under its user loses what the user wrote and did not flush. So a detach
 * without force, a reload and the end of the daemon ask first, and when in doubt the device stays:
 * a detach is refused, and the daemon that ends leaves it to the next one.
 *
 * The tables of the machine are read by the call that asks, which is so answered at once where they
 * show a user. Then the helper process looks more thoroughly and, where the kernel has no
 * TRY_STOP_DEV, claims the device (ublk_ask.c); the claim is kept until STOP_DEV is done. Where the
 * kernel has TRY_STOP_DEV its answer decides. Something that has the device open for a moment
 * (udev, after a program closed it) gets a second to let go of it.
 *
 * There may never be an answer, because the question may wait for a program that waits for a dead
 * server. Until then the device serves (STEP_ASK). At the deadline the request is answered. A
 * claim is taken back then; TRY_STOP_DEV cannot be, so STEP_ASK goes on until the kernel answers
 * it. Control thread only.
 */
#include <errno.h>
#include <stdio.h>
#include "config/log.h"
#include "daemon/engine/device_steps.h"

#define ASK_MS_MAX   5000u
#define RETRY_MS_MAX 1000u

bool device_is_serving(const struct device *d)
{
	return d->step == STEP_SERVE || d->step == STEP_ASK;
}

int device_is_used(const struct device *d, const struct ublk_user *user, struct error *err)
{
	return error_set(err, -EBUSY,
		"/dev/ublkb%d is in use%s%s%s; unmount it or swapoff first, or use --force",
		ublk_dev_id(d->ublk), user->text[0] ? " (" : "", user->text,
		user->text[0] ? ")" : "");
}

/* Used, or not known. */
static void stays(
	struct devices *ds, struct device *d, const struct ublk_user *user, uint64_t now_us)
{
	int rc = device_is_used(d, user, &d->error);

	ublk_ask_end(&d->ask);
	d->is_trying = false;
	if (d->is_leaving) {
		d->is_kept = true;
		device_teardown(ds, d, now_us);
		return;
	}
	device_step_set(d, STEP_SERVE, now_us, 0);
	if (!d->done) /* the answer at the deadline was a guess */
		log_info("volume %s: %s", d->cfg.name, d->error.text);
	device_done(d, rc, "");
}

static bool try_stop(struct device *d)
{
	d->is_trying = ublk_try_stop(d->ublk, &d->error) == 0;
	return d->is_trying;
}

static void unknown(struct devices *ds, struct device *d, const char *why, uint64_t now_us)
{
	struct ublk_user user = {.kind = UBLK_USER_UNKNOWN};

	snprintf(user.text, sizeof(user.text), "%s", why);
	stays(ds, d, &user, now_us);
}

void device_ask_begin(struct devices *ds, struct device *d, bool is_leaving, uint64_t now_us)
{
	d->is_leaving = is_leaving;
	if (d->step == STEP_ASK) /* by a detach: the question is the same */
		return;
	d->is_trying = false;
	d->retry_us = now_us + RETRY_MS_MAX * 1000ull;
	device_step_set(d, STEP_ASK, now_us, ASK_MS_MAX);
	if (ublk_ask_begin(&d->ask, d->ublk))
		unknown(ds, d, "the process that looks does not take the question", now_us);
}

static void answered(
	struct devices *ds, struct device *d, const struct ublk_user *user, uint64_t now_us)
{
	if (user->kind != UBLK_USER_NONE) {
		stays(ds, d, user, now_us);
		return;
	}
	if (!ublk_has_try_stop(d->ublk)) {
		device_teardown(ds, d, now_us);
		return;
	}
	ublk_ask_end(&d->ask);
	if (!try_stop(d))
		unknown(ds, d, d->error.text, now_us);
}

static void late(struct devices *ds, struct device *d, uint64_t now_us)
{
	static const char why[] = "no answer within 5 s whether it is used";

	static_assert(ASK_MS_MAX == 5000, "the text says so");
	if (!d->is_trying || d->is_leaving) {
		unknown(ds, d, why, now_us);
		return;
	}
	if (!d->done)
		return;
	device_done(d,
		error_set(&d->error, -EBUSY,
			"/dev/ublkb%d is not detached: %s; it is stopped if the kernel answers "
			"later that it is not",
			ublk_dev_id(d->ublk), why),
		"");
}

static void try_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	int rc = ublk_try_stop_poll(d->ublk, &d->error);

	if (rc == -EAGAIN) {
		if (now_us > d->deadline_us)
			late(ds, d, now_us);
		return;
	}
	d->is_trying = false;
	if (rc == 0)
		device_step_set(d, STEP_STOP, now_us, STOP_MS_MAX);
	else if (rc != -EBUSY)
		unknown(ds, d, d->error.text, now_us);
	else if (now_us >= d->retry_us || !try_stop(d))
		unknown(ds, d, "a program or the kernel has it open", now_us);
}

void device_ask_poll(struct devices *ds, struct device *d, uint64_t now_us)
{
	struct ublk_user user;

	if (d->is_trying)
		try_poll(ds, d, now_us);
	else if (ublk_ask_poll(&d->ask, &user) == 0)
		answered(ds, d, &user, now_us);
	else if (now_us > d->deadline_us)
		late(ds, d, now_us);
}
