/*
 * exception_thread.c - the thread between a worker and its queue of the tap
 *
 * It reads and writes the bytes of mbufs, and may sleep in the kernel for as long as the kernel
 * needs: no worker waits for it. exception.c has the picture, and why. It asks the kernel for
 * frames when poll says that there are some, and does not try.
 *
 * While frames are rationed (slow_path.c) it measures what one takes of its processor on the way
 * there: the system call, in which the kernel may have to make pages free first, and its share of
 * waking up. What the kernel sends is left out of that.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include "config/counter.h"
#include "config/host/host.h"
#include "config/limits.h"
#include "dataplane/exception/exception_impl.h"
#include "dataplane/exception/tap.h"

#define WAIT_MS_MAX  1000 /* it looks around at least this often */
#define FRAME_NS_MAX 1000000ull
#define FRAME_WEIGHT 8ull

/* Out: frames written or given up. */
static unsigned write_burst(struct exception_queue *q)
{
	void *m[BURST_MAX];
	unsigned n = rte_ring_sc_dequeue_burst(q->down, m, BURST_MAX, NULL);

	for (unsigned i = 0; i < n; i++) {
		if (tap_write(q->tap_fd, m[i])) {
			counter_add(&q->stats.to_kernel_refused, 1);
			continue;
		}
		counter_add(&q->stats.to_kernel, 1);
		counter_add(
			&q->stats.to_kernel_bytes, rte_pktmbuf_pkt_len((struct rte_mbuf *)m[i]));
	}
	if (n && rte_ring_sp_enqueue_bulk(q->done, m, n, NULL) == 0)
		assert(!"the done ring holds all that can be on its way");
	return n;
}

static uint64_t thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* @n frames went to the kernel: what did each take of a processor, the way from the worker to here
 * included? */
static void frame_measure(struct exception_queue *q, unsigned n)
{
	uint64_t now_ns, ns;

	if (!__atomic_load_n(&q->is_rationed, __ATOMIC_RELAXED)) {
		q->measured_ns = 0;
		return;
	}
	if (n == 0)
		return;
	now_ns = thread_ns();
	if (q->measured_ns) {
		ns = RTE_MIN((now_ns - q->measured_ns) / n, FRAME_NS_MAX);
		ns = (q->frame_ns * (FRAME_WEIGHT - 1) + ns) / FRAME_WEIGHT;
		__atomic_store_n(&q->frame_ns, (uint32_t)RTE_MAX(ns, 1u), __ATOMIC_RELAXED);
	}
	q->measured_ns = now_ns;
}

/* A blank that was peeked at stays where it is until a frame has come for it. */
static unsigned read_burst(struct exception_queue *q)
{
	unsigned n, got = 0;

	for (n = 0; n < BURST_MAX; n++) {
		struct rte_mbuf *m;
		int rc;

		if (rte_ring_dequeue_bulk_start(q->blank, (void **)&m, 1, NULL) == 0)
			break;
		rc = tap_read(q->tap_fd, m);
		rte_ring_dequeue_finish(q->blank, rc == 1);
		if (rc == 0)
			break;
		if (rc < 0) {
			counter_add(&q->stats.from_kernel_long, 1);
			if (rc != -EMSGSIZE)
				break;
			continue;
		}
		counter_add(&q->stats.from_kernel, 1);
		counter_add(&q->stats.from_kernel_bytes, m->pkt_len);
		if (rte_ring_sp_enqueue(q->up, m))
			assert(!"the up ring holds every blank there is");
		got++;
	}
	return got;
}

static void worker_wake(struct exception_queue *q)
{
	const uint64_t one = 1;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->is_worker_waiting || !__atomic_load_n(q->is_worker_waiting, __ATOMIC_RELAXED))
		return;
	if (write(q->worker_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake already */
}

/* Out: whether the kernel may have frames for us. */
static bool thread_sleep(struct exception_queue *q)
{
	bool has_blanks = !rte_ring_empty(q->blank);
	struct pollfd fds[2] = {
		{.fd = q->kick_fd, .events = POLLIN}, {.fd = q->tap_fd, .events = POLLIN}};
	bool has_frames = true; /* who does not look does not know */
	uint64_t kicks;

	__atomic_store_n(&q->sleep, has_blanks ? ASLEEP : ASLEEP_BLIND, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (rte_ring_empty(q->down) && has_blanks == !rte_ring_empty(q->blank) &&
		!__atomic_load_n(&q->is_ending, __ATOMIC_RELAXED)) {
		poll(fds, has_blanks ? 2 : 1, WAIT_MS_MAX);
		has_frames = fds[1].revents != 0;
	}
	__atomic_store_n(&q->sleep, AWAKE, __ATOMIC_RELAXED);
	if (fds[0].revents && read(q->kick_fd, &kicks, sizeof(kicks)) < 0)
		return true; /* no harm: the next poll tells */
	return has_frames;
}

void *exception_thread_run(void *arg)
{
	struct exception_queue *q = arg;
	bool has_frames = true;

	host_thread_protect();
	while (!__atomic_load_n(&q->is_ending, __ATOMIC_RELAXED)) {
		unsigned out = write_burst(q), in;

		frame_measure(q, out);
		in = has_frames ? read_burst(q) : 0;
		if (in && q->measured_ns) /* what the kernel sends is not on the ration */
			q->measured_ns = thread_ns();
		if (out || in)
			worker_wake(q);
		/* A full burst: there may be more. */
		has_frames = out == BURST_MAX || in == BURST_MAX || thread_sleep(q);
	}
	return NULL;
}
