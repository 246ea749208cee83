/*
 * fake_ublk.c - the kernel's block devices and the memory they write to, with settable answers
 *
 * A buffer of a device that is still in the kernel may be written to at any time, so giving it
 * back is an assertion here: in the product it would be damage in somebody else's data, much
 * later.
 */
#include "tests/unit/daemon/fake_ublk.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dataplane/dma.h"
#include "tests/unit/daemon/fake_worker.h"
#include "tests/unit/daemon/virtual_time.h"

#define HELD_MAX 16u

enum fake_ublk_state { MAKING, ADDED, STARTING, LIVE, TRYING, STOPPING, STOPPED };

struct fake_queue {
	struct block_front front; /* first: the queue is found by it */
	struct worker *worker;
	struct volume *volume;
	bool is_started, is_gone;
};

struct ublk {
	struct ublk_config cfg;
	int dev_id;
	enum fake_ublk_state state;
	bool is_recovery;
	uint64_t make_us, destroy_us; /* submitted then; 0: not */
	uint64_t stop_us, stop_turns[UBLK_QUEUE_MAX];
	struct fake_queue queues[UBLK_QUEUE_MAX];
	char scheduler[32];
};

struct fake_kernel fake_kernel;
unsigned fake_asks_alive;
unsigned fake_ublks_alive, fake_ublks_added, fake_ublks_deleted, fake_ublks_left, fake_ublks_stuck,
	fake_ublks_stops, fake_dma_alive, fake_dma_room;
struct ublk *fake_ublk_last;
static struct ublk *held[HELD_MAX]; /* whose buffers the kernel may write to */
static int next_id;

void fake_ublk_reset(void)
{
	assert(fake_ublks_alive == 0);
	fake_kernel = (struct fake_kernel){.scheduler = "none"};
	fake_ublks_added = fake_ublks_deleted = 0;
	fake_ublks_left = fake_ublks_stuck = fake_ublks_stops = 0;
	fake_ublk_last = NULL;
	fake_dma_room = UINT32_MAX;
	next_id = 0;
}

static void hold(struct ublk *u)
{
	unsigned i = 0;

	while (i < HELD_MAX && held[i])
		i++;
	assert(i < HELD_MAX);
	held[i] = u;
}

void fake_ublk_kernel_ends(void)
{
	for (unsigned i = 0; i < HELD_MAX; i++) {
		struct ublk *u = held[i];

		held[i] = NULL;
		for (unsigned q = 0; u && q < u->cfg.queues; q++)
			dma_buf_destroy(u->cfg.buf[q]);
		free(u);
	}
}

/* ---- memory ---- */

void dma_from_heap(bool is)
{
	(void)is;
}

struct stream_buf *dma_buf_create(uint64_t bytes, struct error *err)
{
	struct stream_buf *buf;

	if (fake_dma_room == 0) {
		error_set(err, -ENOMEM, "no %llu MiB left", (unsigned long long)bytes >> 20);
		return NULL;
	}
	fake_dma_room--;
	fake_dma_alive++;
	buf = calloc(1, sizeof(*buf));
	buf->base = calloc(1, bytes);
	buf->bytes = (uint32_t)bytes;
	return buf;
}

void dma_buf_destroy(struct stream_buf *buf)
{
	if (!buf)
		return;
	for (unsigned i = 0; i < HELD_MAX; i++)
		for (unsigned q = 0; held[i] && q < held[i]->cfg.queues; q++)
			assert(held[i]->cfg.buf[q] != buf);
	assert(!stream_buf_busy(buf));
	fake_dma_alive--;
	free(buf->base);
	free(buf);
}

/* ---- a device ---- */

int ublk_features(struct ublk_features *out, struct error *err)
{
	*out = (struct ublk_features){.has_recovery = true, .has_user_copy = true};
	return fake_kernel.features_rc
		       ? error_set(err, fake_kernel.features_rc, "modprobe ublk_drv")
		       : 0;
}

bool ublk_copy_choose(enum config_copy want)
{
	return want == COPY_USER;
}

static void front_start(struct block_front *f)
{
	struct fake_queue *q = (struct fake_queue *)(void *)f;

	assert(!q->is_started);
	q->is_started = true;
	q->worker = fake_starter.worker;
	q->volume = fake_starter.volume;
}

static const struct block_front_ops front_ops = {.start = front_start};

static struct ublk *ublk_new(const struct ublk_config *cfg, int dev_id, int rc, struct error *err)
{
	struct ublk *u;

	if (rc) {
		error_set(err, rc, "the ublk driver refused the device");
		return NULL;
	}
	u = calloc(1, sizeof(*u));
	u->cfg = *cfg;
	u->dev_id = dev_id;
	u->make_us = virtual_us;
	for (unsigned q = 0; q < cfg->queues; q++)
		u->queues[q].front = (struct block_front){
			.ops = &front_ops, .depth = cfg->queue_depth, .event_fd = -1};
	fake_ublks_alive++;
	fake_ublk_last = u;
	return u;
}

struct ublk *ublk_create(const struct ublk_config *cfg, struct error *err)
{
	return ublk_new(
		cfg, cfg->dev_id >= 0 ? cfg->dev_id : next_id++, fake_kernel.submit_rc, err);
}

struct ublk *ublk_recover(const struct ublk_config *cfg, struct error *err)
{
	struct ublk *u = ublk_new(cfg, cfg->dev_id, fake_kernel.submit_rc, err);

	if (u)
		u->is_recovery = true;
	return u;
}

/* The answer to a command submitted at @since_us: after @us, and never if that is NEVER. */
static int command_poll(uint64_t since_us, uint64_t us, int answer)
{
	uint64_t passed_us = virtual_us - since_us;

	if (passed_us >= us)
		return answer;
	return passed_us < UBLK_CTL_US_MAX ? -EAGAIN : -ETIMEDOUT;
}

int ublk_make_poll(struct ublk *u, struct error *err)
{
	int rc = command_poll(u->make_us, fake_kernel.make_us,
		u->is_recovery ? fake_kernel.recover_rc : fake_kernel.create_rc);

	if (u->state != MAKING || rc == -EAGAIN)
		return u->state == MAKING ? rc : 0;
	if (rc)
		return error_set(err, rc, "the ublk driver refused the device");
	u->state = ADDED;
	fake_ublks_added++;
	return 0;
}

const struct ublk_config *fake_ublk_config(const struct ublk *u)
{
	return &u->cfg;
}

bool fake_ublk_is_added(const struct ublk *u)
{
	return u->state != MAKING;
}

bool fake_ublk_is_going(const struct ublk *u)
{
	return u->destroy_us != 0;
}

bool fake_ublk_is_starting(const struct ublk *u)
{
	return u->state == STARTING;
}

struct block_front *ublk_front(struct ublk *u, unsigned queue)
{
	assert(queue < u->cfg.queues);
	return &u->queues[queue].front;
}

int ublk_dev_id(const struct ublk *u)
{
	return u->dev_id;
}

size_t ublk_bytes(const struct ublk *u)
{
	return sizeof(*u);
}

int ublk_start(struct ublk *u, struct error *err)
{
	assert(u->state == ADDED);
	if (fake_kernel.start_submit_rc)
		return error_set(
			err, fake_kernel.start_submit_rc, "io_uring did not take the start");
	u->state = STARTING;
	return 0;
}

int ublk_start_poll(struct ublk *u, struct error *err)
{
	assert(u->state == STARTING);
	for (unsigned q = 0; q < u->cfg.queues; q++)
		if (!u->queues[q].is_started)
			return -EAGAIN;
	if (fake_kernel.is_start_silent)
		return -EAGAIN;
	if (fake_kernel.start_rc)
		return error_set(err, fake_kernel.start_rc, "the kernel does not start the device");
	u->state = LIVE;
	return 0;
}

int ublk_stop(struct ublk *u, struct error *err)
{
	assert(u->state <= STOPPING);
	if (fake_kernel.stop_submit_rc)
		return error_set(err, fake_kernel.stop_submit_rc, "io_uring did not take the stop");
	u->state = STOPPING;
	u->stop_us = virtual_us;
	fake_ublks_stops++;
	for (unsigned q = 0; q < u->cfg.queues; q++)
		u->stop_turns[q] = u->queues[q].worker ? u->queues[q].worker->stats.turns : 0;
	return 0;
}

static bool is_gone(struct ublk *u, unsigned idx)
{
	struct fake_queue *q = &u->queues[idx];
	struct volume_info info;

	if (!q->is_started || q->is_gone)
		return true;
	if (u->state < STOPPING || fake_kernel.is_stop_silent || fake_kernel.stop_rc)
		return false;
	if (q->worker->stats.turns == u->stop_turns[idx])
		return false; /* it has not looked since */
	volume_info(q->volume, &info);
	q->is_gone = info.in_flight == 0;
	return q->is_gone;
}

bool ublk_queue_stopped(const struct ublk *u)
{
	for (unsigned q = 0; q < u->cfg.queues; q++)
		if (!is_gone((struct ublk *)(uintptr_t)u, q))
			return false;
	return true;
}

int ublk_stop_poll(struct ublk *u, struct error *err)
{
	if (u->state == STOPPED)
		return 0;
	assert(u->state == STOPPING);
	if (fake_kernel.stop_rc)
		return error_set(err, fake_kernel.stop_rc, "stopping the device");
	if (!ublk_queue_stopped(u) || fake_kernel.is_stop_silent)
		return virtual_us - u->stop_us < UBLK_STOP_US_MAX ? -EAGAIN : -ETIMEDOUT;
	u->state = STOPPED;
	return 0;
}

static void gone(struct ublk *u)
{
	fake_ublks_alive--;
	if (fake_ublk_last == u)
		fake_ublk_last = NULL;
}

int ublk_destroy(struct ublk *u, struct error *err)
{
	assert(u->destroy_us == 0);
	if (!ublk_queue_stopped(u)) {
		hold(u);
		gone(u);
		fake_ublks_stuck++;
		return error_set(err, -EBUSY, "/dev/ublkb%d is left behind", u->dev_id);
	}
	u->destroy_us = virtual_us;
	return 0;
}

int ublk_destroy_poll(struct ublk *u, struct error *err)
{
	int id = u->dev_id, rc = 0;

	assert(u->destroy_us != 0);
	if (u->state != MAKING)
		rc = command_poll(u->destroy_us, fake_kernel.destroy_us, fake_kernel.destroy_rc);
	if (rc == -EAGAIN)
		return rc;
	fake_ublks_deleted += u->state != MAKING && rc == 0;
	gone(u);
	free(u);
	return rc ? error_set(err, rc, "deleting /dev/ublkb%d", id) : 0;
}

void ublk_late_poll(void)
{
}

void ublk_leave(struct ublk *u)
{
	gone(u);
	fake_ublks_left++;
	hold(u);
}

/* ---- facts ---- */

int ublk_node_check(int dev_id, struct error *err)
{
	return fake_kernel.node_rc ? error_set(err, fake_kernel.node_rc, "a plain file") : 0;
}

int ublk_swap_check(int dev_id, struct error *err)
{
	return fake_kernel.is_swap ? error_set(err, -EBUSY, "active swap") : 0;
}

void ublk_user_find(int dev_id, struct ublk_user *out)
{
	*out = (struct ublk_user){.kind = UBLK_USER_NONE};
	if (fake_kernel.is_open)
		*out = (struct ublk_user){.kind = UBLK_USER_MOUNT, .text = "mounted at /mnt"};
}

int ublk_ask_begin(struct ublk_ask *a, const struct ublk *u)
{
	assert(a->fd == -1);
	a->fd = 0;
	fake_asks_alive++;
	return 0;
}

int ublk_ask_poll(struct ublk_ask *a, struct ublk_user *out)
{
	assert(a->fd == 0);
	*out = (struct ublk_user){.kind = UBLK_USER_NONE};
	if (fake_kernel.is_claimed)
		*out = (struct ublk_user){.kind = UBLK_USER_HOLDER, .text = "claimed"};
	return fake_kernel.is_ask_silent ? -EAGAIN : 0;
}

void ublk_ask_end(struct ublk_ask *a)
{
	fake_asks_alive -= a->fd == 0;
	a->fd = -1;
}

bool ublk_has_try_stop(const struct ublk *u)
{
	return fake_kernel.has_try_stop;
}

int ublk_try_stop(struct ublk *u, struct error *err)
{
	assert(u->state == LIVE);
	assert(fake_asks_alive == 0); /* a claim would count as a user */
	u->state = TRYING;
	return 0;
}

int ublk_try_stop_poll(struct ublk *u, struct error *err)
{
	assert(u->state == TRYING);
	if (fake_kernel.is_try_silent)
		return -EAGAIN;
	u->state = LIVE;
	if (fake_kernel.try_rc)
		return error_set(err, fake_kernel.try_rc, "the kernel does not stop the device");
	u->state = STOPPING;
	return ublk_stop(u, err) ? -EIO : 0;
}

void ublk_info(const struct ublk *u, struct ublk_info *out)
{
	*out = (struct ublk_info){.dev_id = u->dev_id,
		.is_live = u->state == LIVE || u->state == TRYING,
		.is_recoverable = !fake_kernel.is_not_recoverable};
}

int ublk_scheduler_read(const struct ublk *u, char *now, unsigned len)
{
	snprintf(now, len, "%s", fake_kernel.scheduler);
	return 0;
}

int ublk_scheduler_none(struct ublk *u, char *now, unsigned len)
{
	snprintf(now, len, "%s", fake_kernel.scheduler);
	return fake_kernel.scheduler_rc;
}

/* Of takeover.c, which is not tested with this kernel. */
int ublk_look(int dev_id, struct ublk_look *out, struct error *err)
{
	return -ENODEV;
}

int ublk_delete(int dev_id, struct error *err)
{
	return -ENODEV;
}

int ublk_devices(int *dev_ids, unsigned max)
{
	return 0;
}
