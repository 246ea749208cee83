/*
 * ublk_null.c - a block device of RAM behind the ublk front end, to test that front end alone
 *
 * It has the daemon's shape: the control thread creates, starts, stops and deletes; one worker
 * turns take → serve → complete → kick and sleeps on the event fd. There is no network, so what
 * fails here is ublk's or ours.
 *
 * The bytes live in a file (--file, in /dev/shm), so they survive a kill -9; --state makes the
 * device recoverable, and --recover takes over what that state file tells. --hold-us keeps each
 * request for a while, so that some are in flight when the kill comes. --model moves data as the
 * daemon will: a WRITE of copy mode stays where the kernel put it (it is sent from there), all else
 * is one memcpy or one copy_in/copy_out, in pieces of --chunk bytes as packets bring them.
 *
 * Prints "ready /dev/ublkbN" when the device is there and one line of counters at the end, which
 * SIGTERM brings about. Exit status 0: everything went as it should.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "dataplane/net/stream.h"
#include "nbd_client/ublk/ublk.h"
#include "nbd_client/ublk/ublk_state.h"

#define SAMPLE_MAX 65536
#define TAKE_MAX   32
#define POLL_MS	   10
#define SPIN_TURNS 64 /* empty turns before it sleeps */

struct options {
	struct ublk_config ublk;
	struct config_volume volume;
	const char *file, *state_dir;
	uint64_t eio_at, enospc_at; /* requests that cover this offset fail so; 0 = none */
	uint32_t hold_us, chunk, spin, cycles;
	bool is_recover, is_model;
};

struct held {
	struct block_req *req;
	uint64_t due_us;
};

struct null {
	struct options opt;
	struct ublk *dev;
	uint8_t *bytes;
	struct held held[QUEUE_DEPTH_MAX]; /* oldest first; all wait equally long */
	unsigned held_count;
	uint8_t *staging; /* of WRITE in user-copy mode */
	uint64_t ops[BLOCK_OP_COUNT], fua, swap, no_hole, errors;
	uint32_t samples[SAMPLE_MAX]; /* ns of each turn that served one request */
	_Atomic uint32_t sample_count;
	pthread_t thread;
};

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t clock_us(void)
{
	return clock_ns() / 1000;
}

/* ---- worker ---- */

static int piece_move(struct null *n, struct block_req *req, uint32_t at, uint32_t len)
{
	struct block_front *f = ublk_front(n->dev, 0);
	uint8_t *bytes = n->bytes + req->offset + at;

	if (!req->buf && req->op == BLOCK_READ)
		return f->ops->copy_out(f, req, at, bytes, len);
	if (!req->buf)
		return f->ops->copy_in(f, req, at, n->opt.is_model ? n->staging + at : bytes, len);
	if (req->op == BLOCK_READ)
		memcpy(req->buf + at, bytes, len);
	else if (!n->opt.is_model)
		memcpy(bytes, req->buf + at, len);
	return 0;
}

static int payload_move(struct null *n, struct block_req *req)
{
	/* Packets cut what is read; what is written is moved whole. */
	uint32_t chunk = n->opt.chunk && req->op == BLOCK_READ ? n->opt.chunk : req->bytes;
	int rc = 0;

	for (uint32_t at = 0; at < req->bytes && rc == 0; at += chunk)
		rc = piece_move(n, req, at, req->bytes - at < chunk ? req->bytes - at : chunk);
	return rc;
}

static bool covers(const struct block_req *req, uint64_t at)
{
	return at && req->op != BLOCK_FLUSH && req->offset <= at && at - req->offset < req->bytes;
}

static int serve(struct null *n, struct block_req *req)
{
	n->ops[req->op]++;
	n->fua += !!(req->flags & BLOCK_FUA);
	n->swap += !!(req->flags & BLOCK_SWAP);
	n->no_hole += !!(req->flags & BLOCK_NO_HOLE);
	if (covers(req, n->opt.eio_at))
		return -EIO;
	if (covers(req, n->opt.enospc_at) && req->op == BLOCK_WRITE)
		return -ENOSPC;
	switch (req->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		return payload_move(n, req);
	case BLOCK_TRIM:
	case BLOCK_WRITE_ZEROES:
		memset(n->bytes + req->offset, 0, req->bytes);
		return 0;
	default:
		return 0;
	}
}

static unsigned serve_due(struct null *n, struct block_front *f, uint64_t now)
{
	unsigned done = 0;

	while (done < n->held_count && n->held[done].due_us <= now) {
		struct block_req *req = n->held[done++].req;
		int rc = serve(n, req);

		n->errors += rc < 0;
		f->ops->complete(f, req, rc);
	}
	n->held_count -= done;
	memmove(n->held, n->held + done, n->held_count * sizeof(n->held[0]));
	return done;
}

/* A turn with one request holds all it costs: the kernel's copies are made inside take and kick. */
static void sample_take(struct null *n, uint64_t start_ns)
{
	uint32_t at = atomic_load_explicit(&n->sample_count, memory_order_relaxed);

	if (at < SAMPLE_MAX) {
		n->samples[at] = (uint32_t)(clock_ns() - start_ns);
		atomic_store_explicit(&n->sample_count, at + 1, memory_order_release);
	}
}

static bool turn(struct null *n, struct block_front *f)
{
	struct block_req *reqs[TAKE_MAX];
	uint64_t start_ns = clock_ns(), now = start_ns / 1000;
	unsigned taken = f->ops->take(f, reqs, TAKE_MAX, now), done;

	for (unsigned i = 0; i < taken; i++)
		n->held[n->held_count++] = (struct held){reqs[i], now + n->opt.hold_us};
	done = serve_due(n, f, n->opt.hold_us ? clock_us() : now);
	f->ops->kick(f);
	if (taken == 1 && done == 1)
		sample_take(n, start_ns);
	return taken || done;
}

static void idle(struct null *n, struct block_front *f)
{
	struct pollfd wait = {.fd = f->event_fd, .events = POLLIN};
	struct timespec until = {0};
	uint64_t now;

	if (f->ops->pending(f))
		return;
	if (n->held_count == 0) {
		poll(&wait, 1, -1);
		return;
	}
	now = clock_us();
	if (n->held[0].due_us > now)
		until.tv_nsec = (long)(n->held[0].due_us - now) * 1000 % 1000000000;
	ppoll(&wait, 1, &until, NULL);
}

static void *worker_run(void *arg)
{
	struct null *n = arg;
	struct block_front *f = ublk_front(n->dev, 0);
	unsigned empty = 0;

	f->ops->start(f);
	while (!ublk_queue_stopped(n->dev)) {
		empty = turn(n, f) ? 0 : empty + 1;
		if (empty > n->opt.spin && !ublk_queue_stopped(n->dev))
			idle(n, f);
	}
	return NULL;
}

/* ---- control thread ---- */

static bool serve_option_set(struct options *o, int key, const char *value, uint64_t number)
{
	switch (key) {
	case 'f':
		o->file = value;
		return true;
	case 'e':
		o->eio_at = number;
		return true;
	case 'E':
		o->enospc_at = number;
		return true;
	case 'h':
		o->hold_us = (uint32_t)number;
		return true;
	case 'c':
		o->chunk = (uint32_t)number;
		return true;
	case 'p':
		o->spin = (uint32_t)number;
		return true;
	case 'm':
		o->is_model = true;
		return true;
	case 'C':
		o->cycles = (uint32_t)number;
		return true;
	default:
		return false;
	}
}

static bool limit_option_set(struct block_limits *l, int key, uint64_t number)
{
	switch (key) {
	case 's':
		l->size_bytes = number;
		return true;
	case 'b':
		l->block_min = (uint32_t)number;
		return true;
	case 'r':
		l->is_read_only = true;
		return true;
	case 'n':
		l->can_flush = l->can_fua = false;
		return true;
	case 'R':
		l->is_rotational = true;
		return true;
	default:
		return false;
	}
}

static void option_set(struct options *o, int key, const char *value)
{
	uint64_t number = value ? strtoull(value, NULL, 0) : 0;

	if (serve_option_set(o, key, value, number) ||
		limit_option_set(&o->ublk.limits, key, number))
		return;
	switch (key) {
	case 'd':
		o->ublk.dev_id = (int)number;
		break;
	case 'q':
		o->ublk.queue_depth = (uint16_t)number;
		break;
	case 'i':
		o->ublk.io_bytes_max = (uint32_t)number;
		break;
	case 'u':
		o->ublk.user_copy = true;
		break;
	case 'S':
		o->state_dir = value;
		break;
	case 'T':
		o->is_recover = true;
		break;
	default:
		exit(2);
	}
}

static void options_parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{"dev", 1, NULL, 'd'},
		{"size", 1, NULL, 's'},
		{"bs", 1, NULL, 'b'},
		{"depth", 1, NULL, 'q'},
		{"io-max", 1, NULL, 'i'},
		{"user-copy", 0, NULL, 'u'},
		{"read-only", 0, NULL, 'r'},
		{"no-flush", 0, NULL, 'n'},
		{"rotational", 0, NULL, 'R'},
		{"file", 1, NULL, 'f'},
		{"state", 1, NULL, 'S'},
		{"recover", 0, NULL, 'T'},
		{"eio", 1, NULL, 'e'},
		{"enospc", 1, NULL, 'E'},
		{"hold-us", 1, NULL, 'h'},
		{"chunk", 1, NULL, 'c'},
		{"cycles", 1, NULL, 'C'},
		{"spin", 1, NULL, 'p'},
		{"model", 0, NULL, 'm'},
		{NULL, 0, NULL, 0},
	};
	int key;

	o->ublk = (struct ublk_config){.dev_id = -1, .queue_depth = 32, .io_bytes_max = 512 << 10};
	o->ublk.limits = (struct block_limits){
		.size_bytes = 64 << 20,
		.block_min = 512,
		.block_pref = 4096,
		.can_flush = true,
		.can_fua = true,
		.can_trim = true,
		.can_write_zeroes = true,
	};
	o->spin = SPIN_TURNS;
	snprintf(o->volume.name, sizeof(o->volume.name), "null");
	snprintf(o->volume.uris[0], sizeof(o->volume.uris[0]), "nbd://none/");
	o->volume.uri_count = 1;
	while ((key = getopt_long(argc, argv, "", longs, NULL)) != -1)
		option_set(o, key, optarg);
	o->ublk.is_recoverable = o->state_dir != NULL;
}

static void *memory_map(const char *file, size_t bytes)
{
	int flags = file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd = -1;
	void *map;

	if (file) {
		fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
			return NULL;
	}
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, fd, 0);
	if (fd >= 0)
		close(fd);
	return map == MAP_FAILED ? NULL : map;
}

static int failed(const char *what, const struct error *err)
{
	fprintf(stderr, "ublk_null: %s: %s\n", what, err->text);
	return 1;
}

static int state_load(struct options *o, struct error *err)
{
	struct ublk_state state;
	int ids[4];

	if (ublk_state_list(o->state_dir, ids, 4) != 1)
		return error_set(err, -ENOENT, "not exactly one state file in %s", o->state_dir);
	if (ublk_state_read(o->state_dir, ids[0], &state, err) < 0)
		return -EINVAL;
	o->ublk.dev_id = state.dev_id;
	o->ublk.queue_depth = state.queue_depth;
	o->ublk.io_bytes_max = state.io_bytes_max;
	o->ublk.user_copy = state.user_copy;
	o->ublk.limits = state.limits;
	return 0;
}

static int state_save(const struct null *n, struct error *err)
{
	const struct options *o = &n->opt;
	struct ublk_state state = {
		.dev_id = ublk_dev_id(n->dev),
		.queue_depth = o->ublk.queue_depth,
		.io_bytes_max = o->ublk.io_bytes_max,
		.user_copy = o->ublk.user_copy,
		.limits = o->ublk.limits,
		.volume = o->volume,
	};

	return ublk_state_write(o->state_dir, &state, err);
}

static int memory_make(struct null *n, struct stream_buf *buf, struct error *err)
{
	struct options *o = &n->opt;

	if (o->is_recover && state_load(o, err) < 0)
		return -1;
	*buf = (struct stream_buf){.bytes = o->ublk.queue_depth * o->ublk.io_bytes_max};
	buf->base = memory_map(NULL, buf->bytes);
	n->staging = memory_map(NULL, o->ublk.io_bytes_max);
	n->bytes = memory_map(o->file, o->ublk.limits.size_bytes);
	if (!buf->base || !n->staging || !n->bytes)
		return error_set(err, -ENOMEM, "no memory");
	o->ublk.buf[0] = buf;
	return 0;
}

typedef int poll_fn(struct ublk *u, struct error *err);

/* The ring of control commands has no descriptor to wait
 * on that the daemon's loop lacks: a timer. */
static int poll_until(struct ublk *u, poll_fn *step, struct error *err)
{
	int rc;

	while ((rc = step(u, err)) == -EAGAIN)
		poll(NULL, 0, POLL_MS);
	return rc;
}

static int device_open(struct null *n, struct error *err)
{
	struct options *o = &n->opt;

	n->dev = o->is_recover ? ublk_recover(&o->ublk, err) : ublk_create(&o->ublk, err);
	if (!n->dev || poll_until(n->dev, ublk_make_poll, err) < 0)
		return -1;
	return o->state_dir && !o->is_recover ? state_save(n, err) : 0;
}

static int device_start(struct null *n, struct error *err)
{
	char scheduler[32] = "?";

	if (pthread_create(&n->thread, NULL, worker_run, n) != 0)
		return error_set(err, -EAGAIN, "no thread");
	if (ublk_start(n->dev, err) < 0 || poll_until(n->dev, ublk_start_poll, err) < 0)
		return -1;
	if (ublk_scheduler_none(n->dev, scheduler, sizeof(scheduler)) < 0)
		return error_set(err, -EIO, "scheduler is %s", scheduler);
	printf("ready /dev/ublkb%d scheduler %s\n", ublk_dev_id(n->dev), scheduler);
	fflush(stdout);
	return 0;
}

static int device_stop(struct null *n, struct error *err)
{
	struct ublk_info info;
	int id = ublk_dev_id(n->dev);

	if (ublk_stop(n->dev, err) < 0 || poll_until(n->dev, ublk_stop_poll, err) < 0)
		return -1;
	pthread_join(n->thread, NULL);
	ublk_info(n->dev, &info);
	printf("stats reads %lu writes %lu flushes %lu trims %lu zeroes %lu fua %lu swap %lu "
	       "no_hole %lu errors %lu "
	       "requests %lu enters %lu sleeps %lu rejected %lu command_errors %lu enter_errors "
	       "%lu defer %d\n",
		n->ops[BLOCK_READ], n->ops[BLOCK_WRITE], n->ops[BLOCK_FLUSH], n->ops[BLOCK_TRIM],
		n->ops[BLOCK_WRITE_ZEROES], n->fua, n->swap, n->no_hole, n->errors, info.requests,
		info.enters, info.sleeps, info.rejected, info.command_errors, info.enter_errors,
		info.is_defer_taskrun);
	if (ublk_destroy(n->dev, err) < 0 || poll_until(n->dev, ublk_destroy_poll, err) < 0)
		return -1;
	return n->opt.state_dir ? ublk_state_remove(n->opt.state_dir, id) : 0;
}

/* Files this process has open: what a cycle leaks shows here. */
static unsigned fd_count(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int cycle(struct null *n, struct error *err)
{
	n->dev = ublk_create(&n->opt.ublk, err);
	if (!n->dev || poll_until(n->dev, ublk_make_poll, err) < 0 || device_start(n, err) < 0)
		return -1;
	return device_stop(n, err);
}

/* Comes and goes @cycles times before it stays. */
static int cycles_run(struct null *n, struct error *err)
{
	unsigned first = 0;

	for (uint32_t i = 0; i < n->opt.cycles; i++) {
		if (cycle(n, err) < 0)
			return -1;
		if (i == 0)
			first = fd_count();
	}
	printf("cycles %u fds_leaked %d\n", n->opt.cycles, (int)fd_count() - (int)first);
	return 0;
}

static int sample_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/*
 * The quarter of the turns that was quickest ends where nothing was stolen from this machine: on a
 * busy host that is the number to compare. Called between loads, when the worker sleeps.
 */
static void samples_print(struct null *n)
{
	uint32_t count = atomic_load_explicit(&n->sample_count, memory_order_acquire);

	qsort(n->samples, count, sizeof(n->samples[0]), sample_compare);
	printf("turns %u p10_ns %u p25_ns %u p50_ns %u\n", count,
		count ? n->samples[count / 10] : 0, count ? n->samples[count / 4] : 0,
		count ? n->samples[count / 2] : 0);
	atomic_store_explicit(&n->sample_count, 0, memory_order_release);
}

/* Until told to end; SIGUSR1 asks whether the device is in use, SIGUSR2 what a turn costs. */
static void signals_serve(struct null *n, const sigset_t *set)
{
	struct ublk_user user;
	int sig;

	while (sigwait(set, &sig) == 0 && sig != SIGTERM) {
		if (sig == SIGUSR1) {
			ublk_user_find(ublk_dev_id(n->dev), &user);
			printf("open %d\n", user.kind != UBLK_USER_NONE);
		} else {
			samples_print(n);
		}
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	static struct null n;
	struct stream_buf buf;
	struct error err = {""};
	sigset_t set;

	/* Blocked before the worker exists, so it inherits
	 * that: the control thread waits for them. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	options_parse(&n.opt, argc, argv);
	if (ublk_probe(&err) < 0)
		return failed("probe", &err);
	if (memory_make(&n, &buf, &err) < 0)
		return failed("memory", &err);
	if (n.opt.cycles)
		return cycles_run(&n, &err) < 0 ? failed("cycle", &err) : 0;
	if (device_open(&n, &err) < 0)
		return failed("open", &err);
	if (device_start(&n, &err) < 0)
		return failed("start", &err);
	signals_serve(&n, &set);
	if (device_stop(&n, &err) < 0)
		return failed("stop", &err);
	return 0;
}
