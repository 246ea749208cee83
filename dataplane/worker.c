/*
 * worker.c - one pinned thread that owns a queue pair and everything behind it
 *
 * The whole datapath is worker_turn(), on one screen:
 *
 *	port_rx -> classify_burst -> net_input -> nbd_client_turn -> net_output -> port_tx
 *			 `-> slow_path_rx (slow_path.c): the kernel's traffic, after storage
 *
 * Run to completion: a packet is classified in the turn it arrives in, so at most BURST_MAX of them
 * are ever unclassified, which is a term of the reserve. Everything a worker touches is its own;
 * the control thread talks to it through two small rings and reads its counters.
 *
 * After worker_start() nothing here allocates, blocks or logs. In test builds the allocation trap
 * (alloc_trap.c) holds us to it.
 */
#include "dataplane/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include "config/host/host.h"
#include "dataplane/alloc_trap.h"
#include "dataplane/half_sum.h"
#include "dataplane/worker_impl.h"
#include "mempool_reserve/reserve.h"

/* A flow, and its remote, for each connection; no more
 * come: twice as many keep the table sparse. */
#define FLOWS_OF(conn_max) (2 * (conn_max))

/* ---- commands from the control thread ---- */

static void cmd_front_set(struct worker *w, const struct worker_cmd *cmd)
{
	struct block_front *front = cmd->b;

	if (front && front->ops->start)
		front->ops->start(front);
	volume_front_set(cmd->a, front);
	if (front && front->event_fd >= 0)
		idle_front_add(w, front->event_fd);
}

static void rules_set(struct worker *w, const struct worker_rules *to)
{
	unsigned i;

	classifier_rule_clear(w->classifier);
	for (i = 0; i < to->count; i++)
		classifier_rule_add(w->classifier, &to->rules[i]);
}

static void cmd_run(struct worker *w, const struct worker_cmd *cmd, uint64_t now_us)
{
	switch ((enum worker_cmd_type)cmd->type) {
	case WORKER_VOLUME_ADD:
		nbd_client_add(w->nbd, cmd->a, now_us);
		break;
	case WORKER_FRONT_SET:
		cmd_front_set(w, cmd);
		break;
	case WORKER_VOLUME_STOP:
		volume_stop(cmd->a, cmd->n == 0, now_us + cmd->n);
		break;
	case WORKER_VOLUME_FAIL:
		volume_fail(cmd->a);
		break;
	case WORKER_VOLUME_LEAVE:
		volume_leave(cmd->a, now_us + cmd->n);
		break;
	case WORKER_FLOOR_SET:
		reserve_floor_set(w->cfg.rx_pool, (uint32_t)cmd->n);
		break;
	case WORKER_SERVERS_SET:
		volume_servers_set(cmd->a, cmd->b);
		break;
	case WORKER_CREDIT_SET:
		volume_credit_set(cmd->a, (uint32_t)cmd->n);
		break;
	case WORKER_ADDRS_SET:
		net_addrs_set(w->net, ((const struct worker_addrs *)cmd->a)->addrs,
			((const struct worker_addrs *)cmd->a)->count);
		break;
	case WORKER_RULES_SET:
		rules_set(w, cmd->a);
		break;
	case WORKER_MTU_SET:
		net_mtu_set(w->net, (uint16_t)cmd->n);
		break;
	case WORKER_NEIGH_HINT:
		net_neigh_hint(w->net, &cmd->ip, cmd->mac);
		break;
	case WORKER_STARVE:
		reserve_fault_starve(w->cfg.rx_pool, cmd->n != 0);
		break;
	case WORKER_LEAK:
		reserve_fault_leak(
			w->cfg.rx_pool, (uint16_t)(uintptr_t)cmd->a, (uint32_t)cmd->n, now_us);
		break;
	case WORKER_REFILL_FAIL:
		reserve_fault_fail(w->cfg.rx_pool, 0, (uint32_t)cmd->n);
		break;
	case WORKER_ALLOC:
		alloc_trap_spring();
		break;
	case WORKER_PING:
		break;
	case WORKER_END:
		w->is_ending = true;
		break;
	}
}

/* At most one queue's worth: what is posted during it waits for the next turn. */
static unsigned cmds_run(struct worker *w, uint64_t now_us)
{
	struct worker_cmd cmd;
	unsigned n;

	for (n = 0; n < WORKER_CMD_MAX; n++) {
		if (rte_ring_sc_dequeue_elem(w->cmds, &cmd, sizeof(cmd)))
			break;
		cmd_run(w, &cmd, now_us);
		__atomic_store_n(&w->done_count, w->done_count + 1, __ATOMIC_RELEASE);
	}
	return n;
}

static void events_forward(struct worker *w)
{
	struct volume_event ev;

	while (rte_ring_free_count(w->events) && nbd_client_events(w->nbd, &ev, 1))
		rte_ring_sp_enqueue_elem(w->events, &ev, sizeof(ev));
}

/* ---- one turn ---- */

static unsigned rx_turn(struct worker *w, uint64_t now_us)
{
	struct rte_mbuf *m[BURST_MAX];
	struct pkt_info info[BURST_MAX];
	unsigned n = port_rx(w->cfg.port, w->cfg.queue, m), i;

	w->rx_exceptions = w->rx_storage_mbufs = 0;
	if (n == 0)
		return 0;
	assert(n <= BURST_MAX);
	reserve_force_burst(w->cfg.rx_pool, m, n, OWNER_RING, OWNER_UNCLASSIFIED, now_us);
	classify_burst(w->classifier, m, n, info);
	if (port_facts(w->cfg.port)->has_half_sums)
		half_sums_note(m, info, n);
	w->stats.rx_packets += n;
	for (i = 0; i < n; i++) {
		if (info[i].cls == PKT_PROTECTED && !(info[i].flags & PKT_RULE))
			w->rx_storage_mbufs += m[i]->nb_segs;
		else
			w->rx_exceptions++;
	}
	misdirected_hand_over(w, m, info, n);
	slow_path_rx(w->slow_path, m, info, n, now_us);
	net_input(w->net, m, info, n, now_us);
	return n;
}

/* Sends until net has nothing more or the NIC's ring is full. Bounded by the ring. */
static unsigned tx_turn(struct worker *w, uint64_t now_us)
{
	unsigned sent = 0, n;

	for (;;) {
		if (w->tx_at == w->tx_count) {
			w->tx_at = 0;
			w->tx_count = net_output(w->net, w->tx, BURST_MAX, now_us);
			if (w->tx_count == 0)
				break;
		}
		n = port_tx(w->cfg.port, w->cfg.queue, w->tx + w->tx_at, w->tx_count - w->tx_at);
		w->tx_at += n;
		sent += n;
		w->stats.tx_packets += n;
		if (w->tx_at < w->tx_count) {
			w->stats.tx_full++;
			w->is_tx_full = true;
			break;
		}
		if (sent >= TX_RING_DEFAULT)
			break;
	}
	return sent;
}

/* The kernel's frames. Out: how many the NIC took. */
static unsigned others_send(struct worker *w, uint64_t now_us)
{
	struct rte_mbuf **frames;
	unsigned n = slow_path_tx(w->slow_path, &frames, now_us), sent;

	if (n == 0)
		return 0;
	sent = port_tx(w->cfg.port, w->cfg.queue, frames, n);
	slow_path_tx_done(w->slow_path, sent);
	w->is_tx_full = sent < n;
	return sent;
}

/* Stranded completions hide mbufs: ask for them when the pool is low, or now and then. */
static void pressure_turn(struct worker *w)
{
	if (reserve_level_update(w->cfg.rx_pool) != RESERVE_GREEN || (w->stats.turns & 1023) == 0)
		port_tx_reclaim(w->cfg.port, w->cfg.queue);
}

static unsigned worker_turn(struct worker *w, uint64_t now_us)
{
	unsigned work = rx_turn(w, now_us), sent;

	work += misdirected_turn(w, now_us);
	net_timers(w->net, now_us);
	nbd_client_turn(w->nbd, now_us);
	w->is_tx_full = false;
	work += tx_turn(w, now_us);
	w->moved_exceptions = w->rx_exceptions;
	if (w->tx_at == w->tx_count) { /* storage first: the ring has room for exceptions */
		sent = others_send(w, now_us);
		w->moved_exceptions += sent;
		work += sent;
	}
	slow_path_turn(w->slow_path, now_us);
	work += cmds_run(w, now_us);
	events_forward(w);
	pressure_turn(w);
#if SLUICE_FAULT_INJECTION
	reserve_check(w->cfg.rx_pool);
#endif
	w->stats.turns++;
	return work;
}

/* @since_us: when the last turn began, if no wait came behind it. */
static void turn_time(struct worker *w, uint64_t since_us, uint64_t now_us)
{
	if (since_us && now_us - since_us > w->stats.max_turn_us)
		w->stats.max_turn_us = now_us - since_us;
}

static void *worker_run(void *arg)
{
	struct worker *w = arg;
	uint64_t now_us, work, since_us = 0;

	rte_thread_register();
	host_thread_protect();
	host_thread_punctual();
	host_thread_hurry(); /* refused: host_process_protect() has said so */
	alloc_trap_arm(true);
	while (!w->is_ending) {
		now_us = clock_now_us(&w->clock);
		w->stats.clock_back = w->clock.back_count;
		turn_time(w, since_us, now_us);
		since_us = now_us;
		work = worker_turn(w, now_us);
		if (work) {
			w->stats.busy_turns++;
			pace_turn(&w->pace, w->rx_exceptions, w->rx_storage_mbufs, now_us);
		}
		if (work == 0 || (work == w->moved_exceptions && idle_is_flooded(w, now_us))) {
			idle_wait(w, now_us);
			since_us = 0;
		} else {
			idle_end(w);
		}
	}
	alloc_trap_arm(false);
	rte_thread_unregister();
	return NULL;
}

/* ---- life, on the control thread ---- */

static struct net *net_make(struct worker *w)
{
	const struct port_facts *f = port_facts(w->cfg.port);
	struct net_config nc = {
		.mtu = f->mtu,
		.addr_count = w->cfg.addr_count,
		.offload = f->offload,
		.rx_pool = w->cfg.rx_pool,
		.hdr_pool = w->cfg.hdr_pool,
		.ext_pool = w->cfg.ext_pool,
		.classifier = w->classifier,
		.conn_max = w->cfg.conn_max,
	};
	unsigned i;

	memcpy(nc.mac, f->mac, sizeof(nc.mac));
	memcpy(nc.addrs, w->cfg.addrs, sizeof(nc.addrs));
	memcpy(nc.local_ports, w->cfg.local_ports, sizeof(nc.local_ports));
	nc.local_port_count = w->cfg.local_port_count;
	if (getrandom(nc.secret, sizeof(nc.secret), 0) != sizeof(nc.secret))
		return NULL;
	for (i = 0; i < w->cfg.addr_count; i++)
		classifier_address_add(w->classifier, nc.addrs[i].ip.family, nc.addrs[i].ip.addr);
	return net_create(&nc);
}

static struct slow_path *slow_path_make(const struct worker *w)
{
	const struct slow_path_config oc = {
		.exception = w->cfg.exception,
		.rx_pool = w->cfg.rx_pool,
	};

	return slow_path_create(&oc);
}

static int rings_make(struct worker *w)
{
	char name[32];

	snprintf(name, sizeof(name), "worker%u-cmds", w->cfg.idx);
	w->cmds = rte_ring_create_elem(name, sizeof(struct worker_cmd), WORKER_CMD_MAX,
		SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	snprintf(name, sizeof(name), "worker%u-events", w->cfg.idx);
	w->events = rte_ring_create_elem(name, RTE_ALIGN_CEIL(sizeof(struct volume_event), 4),
		WORKER_EVENT_MAX, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	return w->cmds && w->events ? 0 : -ENOMEM;
}

size_t worker_bytes(uint32_t conn_max)
{
	return sizeof(struct worker) + classifier_bytes(FLOWS_OF(conn_max)) + net_bytes(conn_max) +
	       nbd_client_bytes() + slow_path_bytes();
}

struct worker *worker_create(const struct worker_config *cfg, struct error *err)
{
	struct worker *w = calloc(1, sizeof(*w));
	uint64_t seed;

	if (!w || getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		goto err;
	w->cfg = *cfg;
	w->idle.epoll_fd = w->idle.wake_fd = -1;
	clock_init(&w->clock);
	if (rings_make(w))
		goto err;
	w->classifier = classifier_create(FLOWS_OF(cfg->conn_max), seed);
	if (!w->classifier)
		goto err;
	if (w->cfg.rules)
		rules_set(w, w->cfg.rules);
	w->net = net_make(w);
	if (!w->net)
		goto err;
	w->nbd = nbd_client_create(w->net, seed);
	w->slow_path = slow_path_make(w);
	if (!w->nbd || !w->slow_path || idle_init(w))
		goto err;
	if (cfg->exception)
		exception_queue_bind(cfg->exception, &w->idle.is_waiting, w->idle.wake_fd);
	return w;

err:
	error_set(err, -ENOMEM, "worker %u: no memory for its tables: %s", cfg->idx,
		rte_strerror(rte_errno));
	worker_destroy(w);
	return NULL;
}

int worker_start(struct worker *w, struct error *err)
{
	cpu_set_t set;
	int rc = pthread_create(&w->thread, NULL, worker_run, w);

	if (rc)
		return error_set(err, -rc, "worker %u: thread: %s", w->cfg.idx, strerror(rc));
	w->is_started = true;
	if (w->cfg.cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET(w->cfg.cpu, &set);
		rc = pthread_setaffinity_np(w->thread, sizeof(set), &set);
		if (rc)
			return error_set(err, -rc,
				"worker %u: cannot run on CPU %d: %s; `lscpu` lists the CPUs there "
				"are, name one in "
				"the port's cpus:",
				w->cfg.idx, w->cfg.cpu, strerror(rc));
	}
	pthread_setname_np(w->thread, "sluice-worker");
	return 0;
}

void worker_join(struct worker *w)
{
	const struct worker_cmd end = {.type = WORKER_END};

	if (!w || !w->is_started)
		return;
	while (!worker_post(w, &end, NULL)) /* its ring is emptied each turn */
		sched_yield();
	pthread_join(w->thread, NULL);
	w->is_started = false;
}

void worker_destroy(struct worker *w)
{
	if (!w)
		return;
	assert(!w->is_started);
	nbd_client_destroy(w->nbd);
	while (w->tx_at < w->tx_count)
		rte_pktmbuf_free(w->tx[w->tx_at++]);
	net_destroy(w->net);
	slow_path_destroy(w->slow_path);
	classifier_destroy(w->classifier);
	rte_ring_free(w->cmds);
	rte_ring_free(w->events);
	idle_fini(w);
	free(w);
}

bool worker_post(struct worker *w, const struct worker_cmd *cmd, uint64_t *ticket)
{
	if (rte_ring_sp_enqueue_elem(w->cmds, (void *)(uintptr_t)cmd, sizeof(*cmd)))
		return false;
	w->posted_count++;
	if (ticket)
		*ticket = w->posted_count;
	idle_wake(w);
	return true;
}

bool worker_done(const struct worker *w, uint64_t ticket)
{
	assert(ticket > 0);
	return __atomic_load_n(&w->done_count, __ATOMIC_ACQUIRE) >= ticket;
}

unsigned worker_events(struct worker *w, struct volume_event *out, unsigned max)
{
	unsigned n;

	for (n = 0; n < max; n++)
		if (rte_ring_sc_dequeue_elem(w->events, &out[n], sizeof(out[n])))
			break;
	return n;
}

void worker_stats(const struct worker *w, struct worker_stats *out)
{
	*out = w->stats;
}

struct net *worker_net(struct worker *w)
{
	return w->net;
}

const struct slow_path *worker_slow_path(const struct worker *w)
{
	return w->slow_path;
}

const struct worker_config *worker_config(const struct worker *w)
{
	return &w->cfg;
}

void worker_class_counts(const struct worker *w, uint64_t counts[4])
{
	struct classifier_stats s;

	classifier_stats(w->classifier, &s);
	memcpy(counts, s.count, sizeof(s.count));
}
