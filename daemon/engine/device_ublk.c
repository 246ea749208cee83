/*
 * device_ublk.c - a volume's block device: made, taken over, given back, or left to the next daemon
 *
 * A device is made recoverable wherever the kernel can, and a file in the run directory says what
 * it is (ublk_state.h), written before the device starts and removed after it is deleted. So at
 * any moment this process may end, by SIGKILL too: the kernel keeps the disk, takes back what was
 * in flight, and the next daemon finds both (takeover.c).
 *
 * Copies. In default copy each tag has its own piece of staging memory, as long as the device
 * lives: depth times the largest request. In user copy only WRITEs need any, while they are in
 * flight, in pieces that requests are cut to; that is why the mode is chosen before the volume is
 * made.
 *
 * Control thread only.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "config/log.h"
#include "dataplane/dma.h"
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

#define WATCH_US    5000000
#define PAGE_BYTES  4096u
#define SLOW_MS_MAX 60000u /* between two answers of a slow server: clients wait for 120 s */

int device_ublk_shape(struct device *d, const struct ublk_state *recover, struct error *err)
{
	struct ublk_features f;
	int rc;

	if (recover) {
		d->is_recovery = true;
		d->state = *recover;
		d->is_user_copy = recover->user_copy;
		return 0;
	}
	rc = ublk_features(&f, err);
	if (rc)
		return rc;
	d->is_user_copy = ublk_copy_choose(d->cfg.copy);
	snprintf(d->degraded, sizeof(d->degraded), "%s", f.degraded);
	return 0;
}

int device_ublk_staging(
	const struct device *d, struct channel *ch, struct volume_config *vc, struct error *err)
{
	if (!d->is_user_copy)
		return 0;
	ch->buf = dma_buf_create((uint64_t)USER_PIECES_TOTAL * USER_PIECE_BYTES, err);
	vc->staging = ch->buf;
	vc->staging_bytes = USER_PIECE_BYTES;
	return ch->buf ? 0 : -ENOMEM;
}

/* ---- how long the kernel's part may take ---- */

/* Do requests wait for a server whose TCP answers? Then that is what the kernel waits for. */
static bool is_server_slow(const struct volume_info *info)
{
	return info->in_flight > 0 && info->conn_ready > 0;
}

bool device_ublk_silent(const struct device *d, uint64_t now_us, uint64_t ms)
{
	struct volume_info info;
	uint64_t patience_ms = ms, since_us;

	channels_info(d, &info);
	if (is_server_slow(&info))
		patience_ms = RTE_MAX(ms, SLOW_MS_MAX);
	since_us = RTE_MAX(d->deadline_us - ms * 1000, info.heard_us);
	return now_us > since_us + patience_ms * 1000;
}

int device_ublk_start_late(struct device *d, uint64_t ms)
{
	struct volume_info info;

	channels_info(d, &info);
	if (is_server_slow(&info))
		return error_set(&d->error, -ETIMEDOUT,
			"%s did not answer the kernel's first requests within %u s", info.server,
			(unsigned)(SLOW_MS_MAX / 1000));
	return error_set(&d->error, -ETIMEDOUT, "the kernel did not start the device within %u s",
		(unsigned)(ms / 1000));
}

static void state_write(const struct devices *ds, struct device *d)
{
	struct error err = {""};

	d->state.dev_id = ublk_dev_id(d->ublk);
	d->state.volume = d->cfg;
	if (ublk_state_write(ds->cfg->run_dir, &d->state, &err))
		log_warn("volume %s: if this daemon dies, its device is lost: %s", d->cfg.name,
			err.text);
}

int device_ublk_make(struct devices *ds, struct device *d, const struct block_limits *limits)
{
	uint32_t io_bytes = RTE_MIN(limits->io_bytes_max, d->cfg.io_bytes_max) & ~(PAGE_BYTES - 1);
	unsigned i;
	struct ublk_config uc = {
		.dev_id = d->is_recovery ? d->state.dev_id : -1,
		.queues = (uint16_t)d->channel_count,
		.queue_depth = d->is_recovery ? d->state.queue_depth : d->cfg.queue_depth,
		.io_bytes_max = d->is_recovery ? d->state.io_bytes_max : io_bytes,
		.limits = *limits,
		.user_copy = d->is_user_copy,
		.has_spares = d->cfg.on_dead == ON_DEAD_FAIL,
		.is_recoverable = true,
		.wake_fd = ds->wake_fd,
	};

	/* Every write is stable when it is answered: the device has no volatile cache. */
	if (d->cfg.unstable == UNSTABLE_THROUGH && limits->can_fua)
		uc.limits.can_flush = uc.limits.can_fua = false;
	if (!d->is_recovery && io_bytes == 0)
		return error_set(&d->error, -EINVAL,
			"the server takes requests of at most %u bytes, and a block device needs "
			"%u: raise its maximum payload",
			limits->io_bytes_max, PAGE_BYTES);
	if (d->is_recovery && d->channel_count != d->channel_want)
		return error_set(&d->error, -EAGAIN, "%u of its %u queues can be served: %s",
			d->channel_count, d->channel_want, d->spread);
	for (i = 0; i < d->channel_count && !d->is_user_copy; i++) {
		uc.buf[i] = dma_buf_create((uint64_t)uc.queue_depth * uc.io_bytes_max, &d->error);
		d->channels[i].buf = uc.buf[i];
		if (!uc.buf[i])
			return -ENOMEM;
	}
	d->ublk = d->is_recovery ? ublk_recover(&uc, &d->error) : ublk_create(&uc, &d->error);
	if (!d->ublk)
		return -EIO;
	d->state.queues = uc.queues;
	d->state.queue_depth = uc.queue_depth;
	d->state.io_bytes_max = uc.io_bytes_max;
	d->state.user_copy = uc.user_copy;
	d->state.limits = *limits;
	return 0;
}

int device_ublk_made(struct devices *ds, struct device *d)
{
	int rc = ublk_make_poll(d->ublk, &d->error);

	if (rc == 0) {
		d->is_added = true;
		state_write(ds, d); /* before the device can hold a request */
	}
	return rc;
}

int device_ublk_node(struct device *d)
{
	int rc = ublk_node_check(ublk_dev_id(d->ublk), &d->error);

	if (!rc || !d->is_recovery)
		return rc;
	/* A program that has it open must not lose it for what lies at its path. */
	log_error("volume %s: %s", d->cfg.name, d->error.text);
	d->error.text[0] = '\0';
	return 0;
}

void device_ublk_watch(struct device *d, uint64_t now_us)
{
	char now[sizeof(d->scheduler)];

	if (!d->ublk || now_us < d->watch_us)
		return;
	d->watch_us = now_us + WATCH_US;
	if (ublk_scheduler_read(d->ublk, now, sizeof(now)) || strcmp(now, d->scheduler) == 0)
		return;
	memcpy(d->scheduler, now, sizeof(now));
	if (strcmp(now, "none") != 0)
		log_warn("volume %s: the scheduler of /dev/ublkb%d is %s now: it may delay the "
			 "I/O that frees memory; echo none > /sys/block/ublkb%d/queue/scheduler",
			d->cfg.name, ublk_dev_id(d->ublk), now, ublk_dev_id(d->ublk));
}

/* What is less than it could be, in one line. */
void device_ublk_degraded(const struct device *d, const char *scheduler, char *out, size_t bytes)
{
	bool is_wrong = scheduler[0] && strcmp(scheduler, "none") != 0;

	snprintf(out, bytes, "%s%s%s%s", is_wrong ? "scheduler is not none, but " : "",
		is_wrong ? scheduler : "", is_wrong && d->degraded[0] ? "; " : "", d->degraded);
}

bool device_ublk_may_stay(const struct device *d)
{
	struct ublk_info info;

	if (!d->ublk)
		return false;
	ublk_info(d->ublk, &info);
	return info.is_recoverable;
}

/* The kernel may write to them until the process ends, so nothing else may use them. */
static void buffers_give_up(struct device *d)
{
	for (unsigned i = 0; i < d->channel_count; i++)
		d->channels[i].buf = NULL;
}

static int deleted(struct devices *ds, struct device *d, int id, int rc, const struct error *err)
{
	if (d->is_added)
		ublk_state_remove(ds->cfg->run_dir, id);
	if (!rc)
		return 0;
	log_warn("volume %s: %s", d->cfg.name, err->text);
	if (!d->result) /* else the attach's own failure is reported */
		error_set(&d->error, rc, "volume %s is detached, but %s%s%s", d->cfg.name,
			err->text, d->user[0] ? "; its user: " : "", d->user);
	return rc;
}

int device_ublk_end(struct devices *ds, struct device *d)
{
	struct error err = {""};
	int id = ublk_dev_id(d->ublk), rc;

	if (d->is_kept) {
		ublk_leave(d->ublk);
		buffers_give_up(d);
		log_info("volume %s: /dev/ublkb%d is left with its requests held: the next sluiced "
			 "takes it over",
			d->cfg.name, id);
		return 0;
	}
	if (!ublk_queue_stopped(d->ublk) && !d->is_user_copy)
		buffers_give_up(d);
	rc = ublk_destroy(d->ublk, &err);
	return rc ? deleted(ds, d, id, rc, &err) : -EAGAIN;
}

int device_ublk_deleted(struct devices *ds, struct device *d)
{
	struct error err = {""};
	int id = ublk_dev_id(d->ublk), rc = ublk_destroy_poll(d->ublk, &err);

	if (rc == -EAGAIN)
		return rc;
	d->ublk = NULL;
	return deleted(ds, d, id, rc, &err);
}
