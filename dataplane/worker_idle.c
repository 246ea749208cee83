/*
 * worker_idle.c - how a worker waits without burning its core or missing a packet
 *
 * Polling is the fastest way to notice a packet and the dearest way to wait for one. So: spin for a
 * short while after the last work, since a busy volume has its next packet within microseconds;
 * then sleep in epoll on everything that can bring work: the NIC's RX interrupt, the front ends'
 * eventfds, the control thread's wake-up, and the next timer as the timeout. After arming the
 * interrupt the queue is polled once more, or a packet that came in between would wait for the
 * next.
 *
 * An interrupt is trusted once it has woken us. Not every driver that promises one delivers: with
 * DPDK 22.11 an 82574 (e1000e) raised none, and each reply was found a tenth of a second late.
 * Until then, and where a driver has none, the sleeps are short: they grow from SLEEP_US_MIN to
 * SLEEP_US_MAX while nothing comes; and to SLEEP_US_LAZY where nothing has for long and no request
 * waits, when all a packet can be is another's.
 *
 * While requests are in flight it does not spin either, but rests for a part of the time they take
 * (pace.c): with many it finds several answers at once, and with few the processor is left to who
 * asked.
 *
 * A ring of the NIC that is full and stays so (no link) is looked at again at growing intervals,
 * not without end.
 *
 * When exception packets pour in, neither spinning nor the interrupt lets the worker sleep: then it
 * naps, for as long as pace.c finds harmless, and takes what has come in one burst. Only work of
 * the storage makes it spin then.
 *
 * af_packet and af_xdp have no RX interrupt, but a socket (port_packet.c, port_socket.c). It is in
 * the epoll set only while the worker sleeps, since in there each packet costs the kernel a
 * wake-up, which polling has no use for.
 */
#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "dataplane/port.h"
#include "dataplane/worker_impl.h"

#define SPIN_US_MAX  50ull    /* keep polling this long after work */
#define SLEEP_US_MIN 20ull    /* without an interrupt: first nap */
#define SLEEP_US_MAX 200ull   /* … and the longest, which bounds the latency of a first packet */
#define LAZY_AFTER_US 100000ull /* nothing for so long, and no request waits: */
#define SLEEP_US_LAZY 5000ull	/* … what comes first is another's */
#define WAIT_US_MAX  100000ull /* with an interrupt: look around at least this often */
#define EPOLL_BATCH  8

static int watch(struct worker *w, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	if (fd < 0)
		return 0;
	return epoll_ctl(w->idle.epoll_fd, EPOLL_CTL_ADD, fd, &ev) && errno != EEXIST ? -errno : 0;
}

int idle_init(struct worker *w)
{
	w->idle.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->idle.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->idle.epoll_fd < 0 || w->idle.wake_fd < 0)
		return -errno;
	/* Edge-triggered throughout: no counter needs to be read to clear it. */
	if (watch(w, w->idle.wake_fd, EPOLLIN | EPOLLET))
		return -errno;
	return port_rx_is_socket(w->cfg.port) ? 0 :
		watch(w, port_rx_fd(w->cfg.port, w->cfg.queue), EPOLLIN | EPOLLET);
}

void idle_fini(struct worker *w)
{
	if (w->idle.epoll_fd >= 0)
		close(w->idle.epoll_fd);
	if (w->idle.wake_fd >= 0)
		close(w->idle.wake_fd);
}

int idle_front_add(struct worker *w, int event_fd)
{
	return watch(w, event_fd, EPOLLIN | EPOLLET);
}

void idle_wake(struct worker *w)
{
	uint64_t one = 1;

	/* A full eventfd counter is a wake-up already; nothing to do about the result. */
	if (write(w->idle.wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* How long until a timer of ours is due, at most @max_us. */
static uint64_t quiet_us(const struct worker *w, uint64_t now_us, uint64_t max_us)
{
	uint64_t due_us = RTE_MIN(net_deadline(w->net), nbd_client_deadline(w->nbd));

	due_us = RTE_MIN(due_us, slow_path_deadline(w->slow_path));
	if (due_us <= now_us)
		return 0;
	return RTE_MIN(due_us - now_us, max_us);
}

static void sleep_us(struct worker *w, uint64_t us)
{
	int rx_fd = port_rx_fd(w->cfg.port, w->cfg.queue), n = 0;
	struct epoll_event ev[EPOLL_BATCH];
	const struct timespec ts = {
		.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

	w->stats.sleeps++;
	slow_path_sleep(w->slow_path);
	/* Say so, then look once more: the exception port's thread gives first and looks then. */
	__atomic_store_n(&w->idle.is_waiting, true, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!slow_path_has_work(w->slow_path))
		n = epoll_pwait2(w->idle.epoll_fd, ev, EPOLL_BATCH, &ts, NULL);
	__atomic_store_n(&w->idle.is_waiting, false, __ATOMIC_RELAXED);
	w->stats.wakeups += n > 0;
	for (int i = 0; i < n; i++)
		w->stats.rx_wakeups += ev[i].data.fd == rx_fd;
}

static bool rx_arm(struct worker *w)
{
	if (port_rx_is_socket(w->cfg.port))
		return watch(w, port_rx_fd(w->cfg.port, w->cfg.queue), EPOLLIN) == 0;
	return port_rx_arm(w->cfg.port, w->cfg.queue);
}

static void rx_disarm(struct worker *w)
{
	if (port_rx_is_socket(w->cfg.port))
		epoll_ctl(w->idle.epoll_fd, EPOLL_CTL_DEL, port_rx_fd(w->cfg.port, w->cfg.queue),
			NULL);
	port_rx_disarm(w->cfg.port, w->cfg.queue);
	w->idle.is_asleep = false;
}

/* Sleeps with the interrupt armed, unless work came in between. */
static void interrupt_wait(struct worker *w, uint64_t us)
{
	if (!w->idle.is_asleep) {
		/* First arm, then one more turn, and only then sleep. */
		w->idle.is_asleep = rx_arm(w);
		return;
	}
	sleep_us(w, us);
	rx_disarm(w);
}

/*
 * The NIC is left alone; requests, timers and the control thread are not. Nor is the exception
 * port's thread woken for what the last turn brought: the next turn is near, and asks whether it is
 * time.
 */
static void nap(struct worker *w, uint64_t us)
{
	const struct timespec ts = {.tv_nsec = (long)us * 1000};
	struct epoll_event ev[EPOLL_BATCH];

	if (w->idle.is_asleep)
		rx_disarm(w);
	w->stats.naps++;
	w->stats.wakeups += epoll_pwait2(w->idle.epoll_fd, ev, EPOLL_BATCH, &ts, NULL) > 0;
}

/* Where that is harmless. Nothing ends it early: it is no longer than a request may wait. */
static void rest(struct worker *w, uint64_t now_us)
{
	struct nbd_client_load load;
	struct timespec ts = {0};
	uint64_t us;

	nbd_client_load(w->nbd, &load);
	us = pace_rest_us(&w->pace, &load, port_facts(w->cfg.port)->rx_ring);
	if (us)
		us = quiet_us(w, now_us, us);
	if (!us)
		return;
	ts.tv_nsec = (long)us * 1000;
	w->stats.rests++;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

bool idle_is_flooded(const struct worker *w, uint64_t now_us)
{
	/* A full burst: there is more already. */
	return w->rx_exceptions < BURST_MAX &&
	       pace_nap_us(&w->pace, port_facts(w->cfg.port)->rx_ring, now_us) > 0;
}

void idle_end(struct worker *w)
{
	w->idle.idle_since_us = 0;
	if (w->idle.is_asleep)
		rx_disarm(w);
}

/* How long to sleep where nothing signals a packet. */
static uint64_t blind_us(const struct worker *w, uint64_t idle_us)
{
	struct nbd_client_load load;

	if (idle_us >= LAZY_AFTER_US) {
		nbd_client_load(w->nbd, &load);
		if (load.in_flight == 0)
			return SLEEP_US_LAZY;
	}
	return RTE_MAX(RTE_MIN(idle_us / 4, SLEEP_US_MAX), SLEEP_US_MIN);
}

/*
 * Packets wait for room in the NIC's ring. It is made within microseconds, or not before the link
 * is back: no interrupt tells. So look again, at growing intervals; due timers and pending requests
 * would only add more packets.
 */
static void blocked_wait(struct worker *w, uint64_t idle_us)
{
	if (idle_us >= LAZY_AFTER_US)
		nap(w, SLEEP_US_LAZY);
	else if (idle_us >= SPIN_US_MAX)
		nap(w, RTE_MAX(RTE_MIN(idle_us / 4, SLEEP_US_MAX), SLEEP_US_MIN));
}

void idle_wait(struct worker *w, uint64_t now_us)
{
	bool has_fd = port_rx_fd(w->cfg.port, w->cfg.queue) >= 0, is_told;
	uint64_t idle_us, us, nap_us;

	if (w->idle.idle_since_us == 0)
		w->idle.idle_since_us = now_us;
	idle_us = now_us - w->idle.idle_since_us;
	if (w->is_tx_full) {
		blocked_wait(w, idle_us);
		return;
	}
	if (idle_us < SPIN_US_MAX) {
		rest(w, now_us);
		return;
	}
	nap_us = pace_nap_us(&w->pace, port_facts(w->cfg.port)->rx_ring, now_us);
	if (nap_us ? slow_path_can_release(w->slow_path) : slow_path_has_work(w->slow_path))
		return;
	/* Asked only now: the answer "no" arms the front ends' eventfds. */
	if (nbd_client_pending(w->nbd))
		return;
	if (nap_us) {
		nap_us = quiet_us(w, now_us, nap_us);
		if (nap_us)
			nap(w, nap_us);
		return;
	}
	is_told = has_fd && (w->stats.rx_wakeups > 0 || port_rx_is_socket(w->cfg.port));
	us = quiet_us(w, now_us, is_told ? WAIT_US_MAX : blind_us(w, idle_us));
	/* Arming costs registers of the NIC: not for one more sleep among many. */
	if (us && has_fd && (is_told || us < SLEEP_US_LAZY))
		interrupt_wait(w, us);
	else if (us)
		sleep_us(w, us);
}
