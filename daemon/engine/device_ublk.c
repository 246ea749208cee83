/*
 * device_ublk.c - a volume's block device: made, taken over, given back, or left to the next daemon
 *
 * A device is made recoverable wherever the kernel can, and a file in the run directory says what
 * it is (ublk_state.h), written before the device starts and removed after it is deleted. So at any
 * moment this process may end, by a signal nobody can catch too: the kernel keeps the disk, takes
 * back what was in flight, and the next daemon finds both (takeover.c).
 *
 * Copies. In default copy each tag has its own piece of staging memory, for ever: depth times the
 * largest request. In user copy only WRITEs need any, while they are in flight, in pieces that
 * requests are cut to; that is why the mode is chosen before the volume is made.
 *
 * Control thread only.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "config/log.h"
#include "dataplane/dma.h"
#include "daemon/engine/engine_impl.h"

#define WATCH_US	  5000000
#define PAGE_BYTES	  4096u

int engine_ublk_shape(struct engine_volume *v, const struct ublk_state *recover, struct error *err)
{
	struct ublk_features f;
	int rc;

	if (recover) {
		v->is_recovery = true;
		v->state = *recover;
		v->is_user_copy = recover->user_copy;
		return 0;
	}
	rc = ublk_features(&f, err);
	if (rc)
		return rc;
	v->is_user_copy = ublk_copy_choose(v->cfg.copy);
	snprintf(v->degraded, sizeof(v->degraded), "%s", f.degraded);
	return 0;
}

int engine_ublk_staging(const struct engine_volume *v, struct engine_part *p,
	struct volume_config *vc, struct error *err)
{
	if (!v->is_user_copy)
		return 0;
	p->buf = dma_buf_create((uint64_t)USER_PIECES_TOTAL * USER_PIECE_BYTES, err);
	vc->staging = p->buf;
	vc->staging_bytes = USER_PIECE_BYTES;
	return p->buf ? 0 : -ENOMEM;
}

static void state_write(const struct engine *e, struct engine_volume *v)
{
	struct error err = {""};

	v->state.dev_id = ublk_dev_id(v->ublk);
	v->state.volume = v->cfg;
	if (ublk_state_write(e->cfg.run_dir, &v->state, &err))
		log_warn("volume %s: should this daemon die, its device is lost: %s", v->cfg.name,
			err.text);
}

int engine_ublk_make(struct engine *e, struct engine_volume *v, const struct block_limits *limits)
{
	uint32_t io_bytes = RTE_MIN(limits->io_bytes_max, v->cfg.io_bytes_max) & ~(PAGE_BYTES - 1);
	unsigned i;
	struct ublk_config uc = {
		.dev_id = v->is_recovery ? v->state.dev_id : -1,
		.queues = (uint16_t)v->part_count,
		.queue_depth = v->is_recovery ? v->state.queue_depth : v->cfg.queue_depth,
		.io_bytes_max = v->is_recovery ? v->state.io_bytes_max : io_bytes,
		.limits = *limits,
		.user_copy = v->is_user_copy,
		.has_spares = v->cfg.on_dead == ON_DEAD_FAIL,
		.is_recoverable = true,
	};

	if (!v->is_recovery && io_bytes == 0)
		return error_set(&v->error, -EINVAL,
			"the server takes requests of at most %u bytes, and a block device needs "
			"%u: raise its maximum payload",
			limits->io_bytes_max, PAGE_BYTES);
	if (v->is_recovery && v->part_count != v->part_want)
		return error_set(&v->error, -EAGAIN, "%u of its %u queues can be served: %s",
			v->part_count, v->part_want, v->spread);
	for (i = 0; i < v->part_count && !v->is_user_copy; i++) {
		uc.buf[i] = dma_buf_create((uint64_t)uc.queue_depth * uc.io_bytes_max, &v->error);
		v->parts[i].buf = uc.buf[i];
		if (!uc.buf[i])
			return -ENOMEM;
	}
	v->ublk = v->is_recovery ? ublk_recover(&uc, &v->error) : ublk_create(&uc, &v->error);
	if (!v->ublk)
		return -EIO;
	v->state.queues = uc.queues;
	v->state.queue_depth = uc.queue_depth;
	v->state.io_bytes_max = uc.io_bytes_max;
	v->state.user_copy = uc.user_copy;
	v->state.limits = *limits;
	state_write(e, v);
	return 0;
}

void engine_ublk_watch(struct engine_volume *v, uint64_t now_us)
{
	char now[sizeof(v->scheduler)];

	if (!v->ublk || now_us < v->watch_us)
		return;
	v->watch_us = now_us + WATCH_US;
	if (ublk_scheduler_read(v->ublk, now, sizeof(now)) || strcmp(now, v->scheduler) == 0)
		return;
	memcpy(v->scheduler, now, sizeof(now));
	if (strcmp(now, "none") != 0)
		log_warn("volume %s: the scheduler of /dev/ublkb%d is %s now: it may hold back "
			 "what frees "
			 "memory; echo none > /sys/block/ublkb%d/queue/scheduler",
			v->cfg.name, ublk_dev_id(v->ublk), now, ublk_dev_id(v->ublk));
}

/* What is less than it could be, in one line. */
void engine_ublk_degraded(
	const struct engine_volume *v, const char *scheduler, char *out, size_t bytes)
{
	bool is_wrong = scheduler[0] && strcmp(scheduler, "none") != 0;

	snprintf(out, bytes, "%s%s%s%s", is_wrong ? "scheduler is not none, but " : "",
		is_wrong ? scheduler : "", is_wrong && v->degraded[0] ? "; " : "", v->degraded);
}

bool engine_ublk_may_stay(const struct engine_volume *v)
{
	struct ublk_info info;

	if (!v->ublk)
		return false;
	ublk_info(v->ublk, &info);
	return info.is_recoverable;
}

/* The kernel may write to them until we end, so nobody else may have them. */
static void buffers_give_up(struct engine_volume *v)
{
	for (unsigned i = 0; i < v->part_count; i++)
		v->parts[i].buf = NULL;
}

void engine_ublk_end(struct engine *e, struct engine_volume *v)
{
	struct error err = {""};
	int id = ublk_dev_id(v->ublk);

	if (v->is_kept) {
		ublk_leave(v->ublk);
		buffers_give_up(v);
		log_info("volume %s: /dev/ublkb%d is left with its requests held: the next sluiced "
			 "takes it over",
			v->cfg.name, id);
		return;
	}
	if (!ublk_queue_stopped(v->ublk) && !v->is_user_copy)
		buffers_give_up(v);
	if (ublk_destroy(v->ublk, &err))
		log_warn("volume %s: %s", v->cfg.name, err.text);
	ublk_state_remove(e->cfg.run_dir, id);
}
