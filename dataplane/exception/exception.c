/*
 * exception.c - the way to the kernel's own network stack, for all traffic that is not the
 * storage's
 *
 * Giving a frame to the kernel makes the kernel allocate memory for it. When memory is short that
 * call sleeps until pages are written out, and they may be written out through this very daemon: a
 * worker that makes the call waits for itself. So no worker makes it. Between a worker and its
 * queue of the tap is a thread that no worker waits for, and between the two are four rings, as
 * between a driver and a NIC:
 *
 *	          ── down ──▶        ── write ──▶
 *	  worker  ◀─ done ───        tap's queue      (the kernel's interface, sluiceN)
 *	          ── blank ─▶ thread
 *	          ◀─ up ─────        ◀── read ───
 *
 * The thread (exception_thread.c) reads and writes the bytes of mbufs and never takes or frees one:
 * pools stay with the worker, without locks. If the thread is stuck in the kernel, "down" fills up
 * to its bound and the worker sheds what does not fit; that is all that happens.
 *
 * Waking the thread costs more than a frame does, so under load frames are gathered: the worker
 * wakes it when a burst has come together or KICK_US_MAX have passed since it did so last, and
 * before it sleeps itself, but for a nap under a flood, after which it asks again. A frame that
 * comes alone goes at once.
 *
 * Each side sleeps on a descriptor and the other wakes it only then: say that you sleep, look once
 * more, sleep; give, then look whether the other sleeps. The fences pair up.
 *
 * Always: mbufs in down and done and with the thread <= EXCEPTION_RING_COUNT, and those in blank
 * and up and with the thread <= EXCEPTION_BLANK_COUNT.
 */
#include "config/counter.h"
#include "dataplane/exception/exception_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include "config/limits.h"
#include "config/log.h"
#include "dataplane/exception/tap.h"
#include "mempool_reserve/reserve.h"

#define VLAN_BYTES     8   /* two tags on top of the MTU */
#define KICK_US_MAX    500 /* a frame waits at most this long for others to go with */
#define FRAME_NS_GUESS 10000 /* of a processor, until it was measured */

struct exception {
	struct exception_config cfg;
	uint16_t room_bytes; /* of a blank, headroom apart */
	struct exception_queue queues[WORKER_MAX];
};

/* ---- the worker ---- */

unsigned exception_room(const struct exception_queue *q)
{
	return EXCEPTION_RING_COUNT - q->down_count;
}

void exception_send(struct exception_queue *q, struct rte_mbuf *m)
{
	assert(exception_room(q) > 0);
	if (rte_ring_sp_enqueue(q->down, m))
		assert(!"the down ring holds all that can be on its way");
	q->down_count++;
	q->has_given = true;
}

unsigned exception_receive(struct exception_queue *q, struct rte_mbuf **m, unsigned max)
{
	unsigned n = rte_ring_sc_dequeue_burst(q->up, (void **)m, max, NULL);

	assert(n <= q->blank_count);
	q->blank_count -= n;
	return n;
}

static void done_free(struct exception_queue *q)
{
	void *m[BURST_MAX];
	unsigned n;

	/* Bounded: there are never more than EXCEPTION_RING_COUNT. */
	while ((n = rte_ring_sc_dequeue_burst(q->done, m, BURST_MAX, NULL)) > 0) {
		assert(n <= q->down_count);
		q->down_count -= n;
		for (unsigned i = 0; i < n; i++)
			rte_pktmbuf_free(m[i]);
	}
}

static void blanks_lay(struct exception_queue *q)
{
	while (q->blank_count < EXCEPTION_BLANK_COUNT) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(reserve_pool(q->pool));

		if (!m) {
			counter_add(&q->stats.blank_failed, 1);
			return;
		}
		if (rte_ring_sp_enqueue(q->blank, m))
			assert(!"the blank ring holds every blank there is");
		q->blank_count++;
		q->has_given_blanks = true;
	}
}

void exception_kick(struct exception_queue *q)
{
	const uint64_t one = 1;
	bool has_given = q->has_given, has_given_blanks = q->has_given_blanks;
	enum exception_sleep sleep;

	if (!has_given && !has_given_blanks)
		return;
	q->has_given = q->has_given_blanks = false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	sleep = __atomic_load_n(&q->sleep, __ATOMIC_RELAXED);
	if (sleep == AWAKE || (sleep == ASLEEP && !has_given))
		return;
	counter_add(&q->stats.kicks, 1);
	if (write(q->kick_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake already */
}

void exception_turn(struct exception_queue *q, uint64_t now_us)
{
	done_free(q);
	blanks_lay(q);
	if (now_us - q->kicked_us < KICK_US_MAX && rte_ring_count(q->down) < BURST_MAX)
		return;
	if (q->has_given || q->has_given_blanks)
		q->kicked_us = now_us;
	exception_kick(q);
}

uint32_t exception_frame_ns(const struct exception_queue *q)
{
	if (!__atomic_load_n(&q->is_rationed, __ATOMIC_RELAXED))
		return 0;
	return __atomic_load_n(&q->frame_ns, __ATOMIC_RELAXED);
}

bool exception_has_news(const struct exception_queue *q)
{
	return !rte_ring_empty(q->up) || !rte_ring_empty(q->done);
}

/* Word by word: two threads count at the same time. */
void exception_stats(const struct exception_queue *q, struct exception_stats *out)
{
	const uint64_t *from = (const uint64_t *)&q->stats;
	uint64_t *to = (uint64_t *)out;

	static_assert(sizeof(*out) % sizeof(*to) == 0, "counters and nothing else");
	for (size_t i = 0; i < sizeof(*out) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* ---- life, on the control thread ---- */

static struct rte_ring *ring_make(
	const struct exception_config *cfg, unsigned idx, const char *what, unsigned count)
{
	char name[32];

	snprintf(name, sizeof(name), "exc-%u-%u-%s", cfg->port_idx, idx, what);
	return rte_ring_create(
		name, count, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
}

static uint16_t room_of(uint16_t mtu)
{
	return (uint16_t)RTE_MAX((unsigned)MBUF_DATA_BYTES, mtu + RTE_ETHER_HDR_LEN + VLAN_BYTES);
}

void exception_pool_shape(const struct exception_config *cfg, struct reserve_config *pool)
{
	*pool = (struct reserve_config){
		.total_count = EXCEPTION_BLANK_COUNT + EXCEPTION_RING_COUNT + BURST_MAX +
			       cfg->tx_count + cfg->hold_count,
		.data_bytes = RTE_PKTMBUF_HEADROOM + (uint32_t)room_of(cfg->mtu),
		.socket = SOCKET_ID_ANY,
	};
}

static int queue_init(struct exception *e, unsigned idx)
{
	const struct exception_config *cfg = &e->cfg;
	struct exception_queue *q = &e->queues[idx];
	char name[32];
	struct reserve_config pool;

	exception_pool_shape(cfg, &pool);
	pool.name = name;
	snprintf(name, sizeof(name), "exc-%u-%u", cfg->port_idx, idx);
	q->pool = reserve_create(&pool);
	if (!q->pool)
		return -rte_errno;
	reserve_arm(q->pool);
	reserve_owner_limit(q->pool, OWNER_HOLD, cfg->hold_count);
	q->frame_ns = FRAME_NS_GUESS;
	q->down = ring_make(cfg, idx, "down", EXCEPTION_RING_COUNT);
	q->done = ring_make(cfg, idx, "done", EXCEPTION_RING_COUNT);
	q->blank = ring_make(cfg, idx, "blank", EXCEPTION_BLANK_COUNT);
	q->up = ring_make(cfg, idx, "up", EXCEPTION_BLANK_COUNT);
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return q->down && q->done && q->blank && q->up && q->kick_fd >= 0 ? 0 : -ENOMEM;
}

struct exception *exception_create(const struct exception_config *cfg, struct error *err)
{
	struct tap_config tap = {.iface = cfg->iface, .queue_count = cfg->queue_count};
	struct exception *e = calloc(1, sizeof(*e));
	int fds[WORKER_MAX];
	unsigned i;

	if (!e) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	e->cfg = *cfg;
	e->room_bytes = room_of(cfg->mtu);
	for (i = 0; i < cfg->queue_count; i++)
		e->queues[i].tap_fd = e->queues[i].kick_fd = -1;
	memcpy(tap.mac, cfg->mac, sizeof(tap.mac));
	if (tap_open(&tap, fds, err))
		goto err;
	for (i = 0; i < cfg->queue_count; i++)
		e->queues[i].tap_fd = fds[i];
	for (i = 0; i < cfg->queue_count; i++)
		if (queue_init(e, i)) {
			error_set(err, -ENOMEM,
				"no memory for the packets of %s: add hugepages or set memory "
				"higher",
				cfg->iface);
			goto err;
		}
	return e;

err:
	exception_destroy(e);
	return NULL;
}

static void ring_drain(struct rte_ring *ring)
{
	void *m;

	while (ring && rte_ring_sc_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

void exception_destroy(struct exception *e)
{
	if (!e)
		return;
	for (unsigned i = 0; i < e->cfg.queue_count; i++) {
		struct exception_queue *q = &e->queues[i];

		assert(!q->is_started);
		ring_drain(q->down);
		ring_drain(q->done);
		ring_drain(q->blank);
		ring_drain(q->up);
		reserve_destroy(q->pool);
		if (q->kick_fd >= 0)
			close(q->kick_fd);
		if (q->tap_fd >= 0)
			close(q->tap_fd);
	}
	free(e);
}

int exception_start(struct exception *e, struct error *err)
{
	for (unsigned i = 0; i < e->cfg.queue_count; i++) {
		struct exception_queue *q = &e->queues[i];
		int rc = pthread_create(&q->thread, NULL, exception_thread_run, q);

		if (rc)
			return error_set(err, -rc, "%s: thread: %s", e->cfg.iface, strerror(rc));
		q->is_started = true;
		pthread_setname_np(q->thread, "sluice-except");
	}
	return 0;
}

void exception_stop(struct exception *e)
{
	const uint64_t one = 1;

	for (unsigned i = 0; e && i < e->cfg.queue_count; i++) {
		struct exception_queue *q = &e->queues[i];

		if (!q->is_started)
			continue;
		__atomic_store_n(&q->is_ending, true, __ATOMIC_SEQ_CST);
		if (write(q->kick_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
			log_error("%s: no eventfd to wake its thread: %s", e->cfg.iface,
				strerror(errno));
		pthread_join(q->thread, NULL);
		q->is_started = false;
	}
}

void exception_ration(struct exception *e, bool on)
{
	for (unsigned i = 0; i < e->cfg.queue_count; i++)
		__atomic_store_n(&e->queues[i].is_rationed, on, __ATOMIC_RELAXED);
}

struct exception_queue *exception_queue(struct exception *e, unsigned idx)
{
	assert(idx < e->cfg.queue_count);
	return &e->queues[idx];
}

void exception_queue_bind(struct exception_queue *q, const bool *is_waiting, int wake_fd)
{
	q->worker_fd = wake_fd;
	q->is_worker_waiting = is_waiting;
}

struct reserve *exception_pool(const struct exception_queue *q)
{
	return q->pool;
}
