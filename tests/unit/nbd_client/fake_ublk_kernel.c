/*
 * fake_ublk_kernel.c - a ublk driver that answers control commands when it is told to
 *
 * A command writes to the buffers it was given only when it is carried out, late ones too, as the
 * driver does; so memory that was given back too early is found by the sanitizers.
 */
#include "tests/unit/nbd_client/fake_ublk_kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "config/monotonic.h"
#include "tests/unit/nbd_client/check.h"

#define PID_DEAD     0x3fffffff /* above any pid_max */
#define PENDING_MAX  UBLK_LATE_MAX
#define POLL_STEP_US 1000u

struct fake_ublk_kernel kernel;
uint64_t fake_now_us;

/* Commands the driver has not answered. */
static struct pending {
	struct ublk *u; /* NULL: free */
	uint8_t nr;
	uint64_t seq, due_us;
	void *buf;
	size_t len;
} pending[PENDING_MAX];

int __wrap_clock_gettime(clockid_t id, struct timespec *out);

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
	*out = (struct timespec){.tv_sec = (time_t)(fake_now_us / 1000000),
		.tv_nsec = (long)(fake_now_us % 1000000) * 1000};
	return 0;
}

struct ublk_config fake_ublk_kernel_reset(void)
{
	struct ublk_config cfg = {.dev_id = DEV_ID,
		.queues = 2,
		.queue_depth = 16,
		.io_bytes_max = 128 << 10,
		.is_recoverable = true,
		.limits = {.size_bytes = 1 << 20,
			.block_min = 512,
			.io_bytes_max = 128 << 10,
			.can_flush = true}};
	struct error err;

	fake_ublk_kernel_answer();
	ublk_late_poll();
	memset(&kernel, 0, sizeof(kernel));
	kernel.info = (struct ublksrv_ctrl_dev_info){.nr_hw_queues = 2,
		.queue_depth = 16,
		.max_io_buf_bytes = 128 << 10,
		.state = UBLK_S_DEV_QUIESCED,
		.flags = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE,
		.ublksrv_pid = PID_DEAD};
	assert_int_equal(ublk_params_fill(&cfg, &kernel.params, &err), 0);
	fake_now_us = 1000000;
	return cfg;
}

/* ---- the driver ---- */

static int add_dev(struct ublksrv_ctrl_dev_info *info)
{
	if (kernel.rc[UBLK_CMD_ADD_DEV])
		return kernel.rc[UBLK_CMD_ADD_DEV];
	if (info->dev_id == UINT32_MAX)
		info->dev_id = DEV_ID;
	info->flags &= ~kernel.clear_flags;
	kernel.devices++;
	return 0;
}

static int carry_out(uint8_t nr, void *buf, size_t len)
{
	kernel.last = nr;
	if (nr == UBLK_CMD_ADD_DEV)
		return add_dev(buf);
	if (nr == UBLK_CMD_START_USER_RECOVERY && kernel.busy) {
		kernel.busy--;
		return -EBUSY;
	}
	if (kernel.rc[nr])
		return kernel.rc[nr];
	if (nr == UBLK_CMD_GET_DEV_INFO)
		memcpy(buf, &kernel.info, len);
	else if (nr == UBLK_CMD_GET_PARAMS)
		memcpy(buf, &kernel.params, len);
	else if (nr == UBLK_CMD_DEL_DEV && kernel.devices)
		kernel.devices--;
	return 0;
}

static void complete(struct pending *p, int result)
{
	struct ublk_ctl *c = &p->u->ctl;

	assert_true(c->outstanding > 0);
	c->outstanding--;
	if (p->seq == c->async.seq) {
		c->async.is_done = true;
		c->async.result = result;
	} else if (p->seq == c->late_seq) {
		c->late_result = result;
	}
	p->u = NULL;
}

static void answers_take(const struct ublk_ctl *c)
{
	for (unsigned i = 0; i < PENDING_MAX; i++)
		if (pending[i].u && &pending[i].u->ctl == c && fake_now_us >= pending[i].due_us)
			complete(&pending[i],
				carry_out(pending[i].nr, pending[i].buf, pending[i].len));
}

void fake_ublk_kernel_answer(void)
{
	for (unsigned i = 0; i < PENDING_MAX; i++)
		if (pending[i].u)
			complete(&pending[i],
				carry_out(pending[i].nr, pending[i].buf, pending[i].len));
}

/* ---- ublk_dev.c ---- */

struct ublk *ublk_dev_open(
	const struct ublk_config *cfg, struct ublk_features *features, struct error *err)
{
	struct ublk *u = calloc(1, sizeof(*u));

	assert_non_null(u);
	*features = (struct ublk_features){.has_recovery = true, .has_ioctl_encode = true};
	u->cfg = *cfg;
	u->ctl.late_result = -ETIMEDOUT;
	kernel.opened++;
	return u;
}

void ublk_dev_close(struct ublk *u)
{
	assert_int_equal(u->ctl.outstanding, 0);
	kernel.closed++;
	free(u);
}

int ublk_dev_queues(struct ublk *u, struct error *err)
{
	return kernel.queues_rc ? error_set(err, kernel.queues_rc, "no queues") : 0;
}

void ublk_dev_queues_end(struct ublk *u)
{
}

bool ublk_queue_stopped(const struct ublk *u)
{
	return !kernel.is_queue_running;
}

int ublk_dev_call(struct ublk *u, uint8_t nr, void *buf, size_t len, uint64_t data)
{
	kernel.calls[nr]++;
	return carry_out(nr, buf, len);
}

int ublk_dev_send(struct ublk *u, uint8_t nr, void *buf, size_t len)
{
	struct pending *p = pending;

	assert_int_equal(u->ctl.async.seq, 0); /* one at a time */
	while (p->u)
		p++;
	assert_true(p < pending + PENDING_MAX);
	*p = (struct pending){.u = u, .nr = nr, .seq = ++u->ctl.seq_last, .buf = buf, .len = len};
	p->due_us = kernel.late_us[nr] == NEVER_US ? NEVER_US : fake_now_us + kernel.late_us[nr];
	u->ctl.async = (struct ublk_ctl_async){
		.seq = p->seq, .deadline_us = fake_now_us + UBLK_CTL_US_MAX};
	u->ctl.outstanding++;
	kernel.calls[nr]++;
	return 0;
}

int ublk_dev_id(const struct ublk *u)
{
	return (int)u->info.dev_id;
}

int ublk_node_check_at(
	const char *dev, const char *sys, int dev_id, bool is_started, struct error *err)
{
	return kernel.node_rc ? error_set(err, kernel.node_rc, "a plain file") : 0;
}

/* ---- ublk_ctl.c ---- */

void ublk_ctl_cancel(struct ublk_ctl *c)
{
	if (c->async.seq == 0 || c->async.is_cancelled)
		return;
	c->async.is_cancelled = true;
	c->async.deadline_us = fake_now_us + UBLK_CANCEL_US_MAX;
	for (unsigned i = 0; i < PENDING_MAX && !kernel.is_uncancellable; i++)
		if (pending[i].u && &pending[i].u->ctl == c && pending[i].due_us > fake_now_us)
			complete(&pending[i], -ETIMEDOUT);
}

static int async_end(struct ublk_ctl *c, int result)
{
	c->async.seq = 0;
	c->async.result = result;
	return result;
}

int ublk_ctl_poll(struct ublk_ctl *c)
{
	if (c->async.seq == 0)
		return c->async.result;
	answers_take(c);
	if (c->async.is_done)
		return async_end(c, c->async.result);
	if (fake_now_us < c->async.deadline_us)
		return -EAGAIN;
	if (c->async.is_cancelled) {
		c->late_seq = c->async.seq;
		return async_end(c, -ETIMEDOUT);
	}
	ublk_ctl_cancel(c);
	return -EAGAIN;
}

bool ublk_ctl_answered(struct ublk_ctl *c, int *result)
{
	answers_take(c);
	*result = c->late_result;
	return c->outstanding == 0;
}

/* ---- for the tests ---- */

int fake_ublk_until(struct ublk *u, fake_ublk_poll_fn *poll, uint64_t us_max, struct error *err)
{
	uint64_t end_us = fake_now_us + us_max;
	int rc;

	while ((rc = poll(u, err)) == -EAGAIN && fake_now_us < end_us)
		fake_now_us += POLL_STEP_US;
	return rc;
}
