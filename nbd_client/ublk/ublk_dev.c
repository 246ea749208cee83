/*
 * ublk_dev.c - the life of a ublk device, in the one order that cannot deadlock
 *
 * Coming up: ADD_DEV, SET_PARAMS, open and map (ublk_make.c), and only then, with the worker
 * already fetching, START_DEV. The kernel holds START_DEV back until every tag was fetched, and up
 * to Linux 6.18 reads the partition table inside it: I/O that the worker must answer for START_DEV
 * to return. So it is submitted and polled, never waited for. Newer kernels read the table from a
 * work item, after START_DEV returned: a live device promises no partitions.
 *
 * Going down is the reverse: STOP_DEV while the worker still serves (it waits for what is in
 * flight, then removes the disk, then aborts every fetch), then the worker releases it, then the
 * mapping, the ring and the file, and only then DEL_DEV, which waits for the last reference to
 * them. Any other order waits for something only we could end.
 *
 * The kernel never times a privileged server out: a request that is never answered blocks the
 * processes that wait for it until reboot. So every command has a deadline and a failure says what
 * it waited for.
 *
 * Control thread only. Owns the queue until the worker starts it and after the worker let it go. A
 * command that never came back keeps its struct ublk allocated, because the kernel may yet write
 * (ublk_make.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "dataplane/net/stream.h"
#include "nbd_client/ublk/ublk_priv.h"

void ublk_dev_state_set(struct ublk *u, enum ublk_dev_state next)
{
	int now = atomic_load(&u->state);

	assert(next > (enum ublk_dev_state)now ||
		(next == UBLK_DEV_STOPPING && now == UBLK_DEV_STOPPING) ||
		(next == UBLK_DEV_LIVE && now == UBLK_DEV_TRYING));
	atomic_store(&u->state, next);
}

int ublk_dev_send(struct ublk *u, uint8_t nr, void *buf, size_t len)
{
	const struct ublk_ctl_cmd cmd = {
		.nr = nr, .dev_id = (int)u->info.dev_id, .buf = buf, .len = (uint16_t)len};

	return ublk_ctl_submit(&u->ctl, &cmd, UBLK_CTL_US_MAX);
}

int ublk_dev_call(struct ublk *u, uint8_t nr, void *buf, size_t len, uint64_t data)
{
	const struct ublk_ctl_cmd cmd = {
		.nr = nr,
		.dev_id = (int)u->info.dev_id,
		.buf = buf,
		.len = (uint16_t)len,
		.data = data,
	};

	return ublk_ctl_call(&u->ctl, &cmd, UBLK_CTL_US_MAX);
}

/* ---- memory, ring and queues ---- */

/* The node is made by devtmpfs before ADD_DEV returns. Out: its descriptor, or -errno with @err. */
static int char_open(const struct ublk *u, struct error *err)
{
	struct stat st;
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/ublkc%u", u->info.dev_id);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode))
		return fd;
	if (fd >= 0) {
		close(fd);
		return error_set(
			err, -EEXIST, "%s is no device: move it away, then attach again", path);
	}
	if (errno == ENOENT)
		return error_set(err, -ENOENT,
			"%s is not there: /dev must be a devtmpfs (in a container, the host's)",
			path);
	if (errno == EBUSY)
		return error_set(err, -EBUSY, "%s is held by another process", path);
	return error_set(err, -errno, "%s: %s", path, strerror(errno));
}

static int queue_prepare(struct ublk *u, unsigned idx, struct error *err)
{
	struct ublk_queue *q = &u->queues[idx];

	q->idx = (uint16_t)idx;
	q->op_fetch = u->ctl.is_encoded ? UBLK_ENCODE_IO(UBLK_IO_FETCH_REQ) : UBLK_IO_FETCH_REQ;
	q->op_commit = u->ctl.is_encoded ? UBLK_ENCODE_IO(UBLK_IO_COMMIT_AND_FETCH_REQ)
					 : UBLK_IO_COMMIT_AND_FETCH_REQ;
	q->depth = u->cfg.queue_depth;
	q->io_bytes_max = u->cfg.io_bytes_max;
	q->size_bytes = u->cfg.limits.size_bytes;
	q->is_user_copy = u->cfg.user_copy;
	q->buf = u->cfg.user_copy ? NULL : u->cfg.buf[idx];
	q->has_spares = u->cfg.has_spares;
	q->spare = u->spares;
	if (u->cfg.has_spares)
		q->spare += idx * (size_t)q->depth * q->io_bytes_max;
	return ublk_queue_init(q, err);
}

/* Filled now: the kernel writes to it in a worker's name, when memory may be short. */
static int spares_make(struct ublk *u, struct error *err)
{
	size_t bytes = u->cfg.io_bytes_max;
	void *map;

	if (u->cfg.user_copy)
		return 0;
	if (u->cfg.has_spares)
		bytes *= (size_t)u->queue_count * u->cfg.queue_depth;
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		-1, 0);
	if (map == MAP_FAILED)
		return error_set(err, -errno,
			"no %zu MiB for spare buffers (on_dead: fail has one for each request): "
			"lower "
			"queue_depth or io_size_max",
			(bytes >> 20) + 1);
	u->spares = map;
	u->spare_bytes = bytes;
	return 0;
}

int ublk_dev_queues(struct ublk *u, struct error *err)
{
	int rc = char_open(u, err);

	if (rc < 0)
		return rc;
	u->queues[0].char_fd = rc;
	rc = spares_make(u, err);
	if (rc < 0)
		return rc;
	/* It can be opened once only; so the queues have one file by several descriptors. */
	for (unsigned i = 1; i < u->queue_count; i++) {
		u->queues[i].char_fd = fcntl(u->queues[0].char_fd, F_DUPFD_CLOEXEC, 0);
		if (u->queues[i].char_fd < 0)
			return error_set(
				err, -errno, "a descriptor for queue %u: %s", i, strerror(errno));
	}
	for (unsigned i = 0; i < u->queue_count; i++) {
		rc = queue_prepare(u, i, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void ublk_dev_queues_end(struct ublk *u)
{
	for (unsigned i = 0; i < u->queue_count; i++)
		ublk_queue_fini(&u->queues[i]);
	if (u->spares)
		munmap(u->spares, u->spare_bytes);
	u->spares = NULL;
	u->spare_bytes = 0;
}

struct ublk *ublk_dev_open(
	const struct ublk_config *cfg, struct ublk_features *features, struct error *err)
{
	unsigned queues = cfg->queues ? cfg->queues : 1;
	struct ublk *u = calloc(1, sizeof(*u) + queues * sizeof(u->queues[0]));
	int rc;

	assert(queues <= UBLK_QUEUE_MAX);
	if (!u) {
		error_set(err, -ENOMEM, "no memory for a block device");
		return NULL;
	}
	u->cfg = *cfg;
	u->queue_count = queues;
	u->cfg.queues = (uint16_t)queues;
	for (unsigned i = 0; i < queues; i++) {
		u->queues[i].char_fd = -1;
		u->queues[i].front.event_fd = -1;
	}
	memcpy(u->sysfs_none, "none", 4);
	rc = ublk_ctl_open(&u->ctl, UBLK_CONTROL_PATH, err);
	if (rc < 0)
		goto err_free;
	rc = ublk_features_ask(&u->ctl, features);
	if (rc < 0) {
		error_set(err, rc, "%s does not answer: %s", UBLK_CONTROL_PATH, strerror(-rc));
		goto err_ctl;
	}
	u->has_try_stop = features->has_try_stop;
	/* Not fatal without: the commands are polled, only later. */
	if (cfg->wake_fd > 0)
		io_uring_register_eventfd(&u->ctl.ring, cfg->wake_fd);
	return u;
err_ctl:
	ublk_ctl_close(&u->ctl);
err_free:
	free(u);
	return NULL;
}

void ublk_dev_close(struct ublk *u)
{
	bool is_borrowed = u->ctl.outstanding > 0;

	ublk_dev_queues_end(u);
	ublk_ctl_close(&u->ctl);
	if (!is_borrowed)
		free(u);
}

/* ---- start, leave ---- */

int ublk_dev_submit(
	struct ublk *u, uint8_t nr, uint32_t us_max, enum ublk_dev_state next, struct error *err)
{
	const struct ublk_ctl_cmd cmd = {
		.nr = nr, .dev_id = (int)u->info.dev_id, .data = (uint64_t)getpid()};
	int rc = ublk_ctl_submit(&u->ctl, &cmd, us_max);

	if (rc < 0)
		return error_set(err, rc, "io_uring did not take a command for ublk device %u: %s",
			u->info.dev_id, strerror(-rc));
	ublk_dev_state_set(u, next);
	return 0;
}

int ublk_start(struct ublk *u, struct error *err)
{
	uint8_t nr = u->is_recovery ? UBLK_CMD_END_USER_RECOVERY : UBLK_CMD_START_DEV;

	assert(atomic_load(&u->state) == UBLK_DEV_ADDED && u->making == UBLK_MAKE_DONE);
	return ublk_dev_submit(u, nr, UBLK_START_US_MAX, UBLK_DEV_STARTING, err);
}

int ublk_start_poll(struct ublk *u, struct error *err)
{
	int refused = 0, rc;

	assert(atomic_load(&u->state) == UBLK_DEV_STARTING);
	for (unsigned i = 0; i < u->queue_count && !refused; i++)
		refused = atomic_load(&u->queues[i].error);
	/* A tag that was not fetched would keep START_DEV waiting for the whole deadline. */
	if (refused)
		ublk_ctl_cancel(&u->ctl);
	rc = ublk_ctl_poll(&u->ctl);
	if (rc == -EAGAIN)
		return rc;
	if (rc >= 0) {
		ublk_dev_state_set(u, UBLK_DEV_LIVE);
		return 0;
	}
	if (refused)
		return error_set(err, refused, "the kernel refused this worker's fetch: %s",
			strerror(-refused));
	if (rc == -ETIMEDOUT)
		return error_set(err, rc,
			"/dev/ublkb%u did not start in %u s: its first reads (partition table) "
			"were not answered",
			u->info.dev_id, UBLK_START_US_MAX / 1000000);
	return error_set(err, rc, "starting /dev/ublkb%u: %s", u->info.dev_id, strerror(-rc));
}

/*
 * Ring, file and mapping stay until the process ends. Closed while the worker's thread lived, the
 * ring was seen to leave requests that the driver (6.12) then waited for, holding the device's
 * lock, without end; a thread that exits takes them back.
 */
void ublk_leave(struct ublk *u)
{
	assert(u->info.flags & UBLK_F_USER_RECOVERY);
	ublk_ctl_close(&u->ctl);
}

/* ---- facts ---- */

struct block_front *ublk_front(struct ublk *u, unsigned queue)
{
	assert(queue < u->queue_count);
	return &u->queues[queue].front;
}

int ublk_dev_id(const struct ublk *u)
{
	return (int)u->info.dev_id;
}

bool ublk_copy_choose(enum config_copy want)
{
	return want == COPY_USER;
}

size_t ublk_bytes(const struct ublk *u)
{
	return sizeof(*u) + u->queue_count * sizeof(u->queues[0]) + u->spare_bytes;
}

static uint64_t count_read(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void ublk_info(const struct ublk *u, struct ublk_info *out)
{
	int state = atomic_load(&u->state);

	*out = (struct ublk_info){
		.dev_id = (int)u->info.dev_id,
		.is_live = state == UBLK_DEV_LIVE || state == UBLK_DEV_TRYING,
		.is_user_copy = u->cfg.user_copy,
		.is_recoverable = u->info.flags & UBLK_F_USER_RECOVERY,
		.is_defer_taskrun = u->queues[0].is_defer_taskrun,
	};
	for (unsigned i = 0; i < u->queue_count; i++) {
		const struct ublk_counters *c = &u->queues[i].count;

		out->queue_requests[i] = count_read(&c->requests);
		out->requests += out->queue_requests[i];
		out->swap_first += count_read(&c->swap_first);
		out->enters += count_read(&c->enters);
		out->enter_errors += count_read(&c->enter_errors);
		out->sleeps += count_read(&c->sleeps);
		out->rejected += count_read(&c->rejected);
		out->from_spare += count_read(&c->from_spare);
		out->command_errors += count_read(&c->command_errors);
	}
}
