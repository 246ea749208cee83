/*
 * neigh.c - the neighbour cache, one state machine for ARP and ND
 *
 *   IDLE --send--> INCOMPLETE --answer--> REACHABLE --30 s--> STALE --send--> PROBE
 *                      |  ^                   ^   \--- TCP's doubt ---------->|  |
 *          3 questions |  | 1 s, send         +---- answer, TCP progress -----+  |
 *                      v  |                                                      |
 *                     FAILED          INCOMPLETE <---- 5 s, 3 by unicast --------+
 *
 * The kernel may be out of memory when we need an address, so the cache is our own and asks by
 * itself. A peer that TCP makes progress with is reachable and costs no question at all; a peer
 * that stops answering is asked by unicast first, then by broadcast, because a server that failed
 * over to another machine keeps its IP address and changes the other one.
 *
 * Only neigh_want() makes entries, for paths of our own: strangers cannot fill the table. When it
 * is full, the entry unused for longest goes, unless packets wait in it. What the kernel knows may
 * take a free slot and is the first to lose it, for strangers can fill the kernel's table.
 *
 * A waiting packet is held here, charged to OWNER_NEIGHBOUR, at most NEIGH_QUEUE_MAX in an entry.
 * One whose payload is attached does not wait but is dropped, as if lost on the wire: its bytes are
 * in the buffer of a request, which may be answered over another server meanwhile and then holds
 * another's (volume_done.c relies on the order of the TX ring, and what waits here is not in it).
 * Always: queue_count > 0 only in INCOMPLETE.
 */
#include "dataplane/net/link/neigh.h"

#include <assert.h>
#include <errno.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/link/arp.h"
#include "dataplane/net/link/nd.h"
#include "dataplane/net/addr.h"
#include "dataplane/net/net_impl.h"

static void set_deadline(struct net *net, struct neigh *n, uint64_t deadline_us)
{
	n->deadline_us = deadline_us;
	if (deadline_us < net->neigh.deadline_us)
		net->neigh.deadline_us = deadline_us;
}

/* The arcs of the picture above; a claim may lead from anywhere to STALE or REACHABLE. */
static bool __rte_unused is_arc(enum neigh_state from, enum neigh_state to)
{
	switch (to) {
	case NEIGH_FREE:
	case NEIGH_STALE:
	case NEIGH_REACHABLE:
		return true;
	case NEIGH_IDLE:
		return from == NEIGH_FREE;
	case NEIGH_INCOMPLETE:
		return from == NEIGH_IDLE || from == NEIGH_FAILED || from == NEIGH_PROBE;
	case NEIGH_PROBE:
		return from == NEIGH_STALE || from == NEIGH_REACHABLE;
	case NEIGH_FAILED:
		return from == NEIGH_INCOMPLETE;
	}
	return false;
}

static void set_state(struct neigh *n, enum neigh_state state)
{
	assert(is_arc(n->state, state));
	assert(n->queue_count == 0 || n->state == NEIGH_INCOMPLETE);
	n->state = (uint8_t)state;
	n->tries = 0;
}

void neigh_init(struct net *net)
{
	memset(&net->neigh, 0, sizeof(net->neigh));
	net->neigh.deadline_us = UINT64_MAX;
	net->neigh.reachable_us = NEIGH_REACHABLE_US / 2 + net_random(net) % NEIGH_REACHABLE_US;
}

static void queue_drop_oldest(struct neigh *n)
{
	assert(n->queue_count > 0);
	rte_pktmbuf_free(n->queue[0]);
	n->queue_count--;
	memmove(n->queue, n->queue + 1, n->queue_count * sizeof(n->queue[0]));
}

static void queue_drop_all(struct neigh *n)
{
	while (n->queue_count > 0)
		queue_drop_oldest(n);
}

void neigh_fini(struct net *net)
{
	for (unsigned i = 0; i < NEIGH_MAX; i++)
		queue_drop_all(&net->neigh.slots[i]);
	neigh_init(net);
}

uint16_t neigh_lookup(const struct net *net, const struct net_ip *ip)
{
	for (uint16_t i = 0; i < NEIGH_MAX; i++) {
		const struct neigh *n = &net->neigh.slots[i];

		if (n->state != NEIGH_FREE && ip_equal(&n->ip, ip))
			return i;
	}
	return NEIGH_NONE;
}

/* A free slot, or that of the entry unused for longest in which nothing waits. */
static uint16_t slot_choose(const struct net *net)
{
	uint16_t best = NEIGH_NONE;

	for (uint16_t i = 0; i < NEIGH_MAX; i++) {
		const struct neigh *n = &net->neigh.slots[i];

		if (n->state == NEIGH_FREE)
			return i;
		if (n->queue_count > 0)
			continue;
		if (best == NEIGH_NONE || n->used_us < net->neigh.slots[best].used_us)
			best = i;
	}
	return best;
}

static void slot_begin(struct neigh *n, const struct net_ip *ip, uint64_t used_us)
{
	uint16_t gen = (uint16_t)(n->gen + 1);

	assert(n->queue_count == 0);
	memset(n, 0, sizeof(*n));
	n->gen = gen;
	n->ip = *ip;
	n->deadline_us = UINT64_MAX;
	n->used_us = used_us;
	set_state(n, NEIGH_IDLE);
}

uint16_t neigh_want(struct net *net, const struct net_ip *ip)
{
	uint16_t idx = neigh_lookup(net, ip);

	assert(ip->family == AF_INET || ip->family == AF_INET6);
	if (idx != NEIGH_NONE)
		return idx;
	idx = slot_choose(net);
	if (idx != NEIGH_NONE)
		slot_begin(&net->neigh.slots[idx], ip, net->now_us);
	return idx;
}

void neigh_hint(struct net *net, const struct net_ip *ip, const uint8_t mac[6])
{
	uint16_t idx = neigh_lookup(net, ip);

	if (idx == NEIGH_NONE) {
		idx = slot_choose(net);
		if (idx == NEIGH_NONE || net->neigh.slots[idx].state != NEIGH_FREE)
			return;
		slot_begin(&net->neigh.slots[idx], ip, 0);
	}
	neigh_learn(net, ip, mac, NEIGH_CLAIM_UNSOLICITED, net->now_us);
}

/* A question that could not be queued is asked again at the next deadline: no error to report. */
static void ask(struct net *net, struct neigh *n, const uint8_t *mac, uint64_t now_us)
{
	if (n->ip.family == AF_INET)
		arp_ask(net, &n->ip, mac);
	else
		nd_ask(net, &n->ip, mac);
	n->tries++;
	set_deadline(net, n, now_us + NEIGH_RETRY_US);
}

static void frame_finish(const struct net *net, const struct neigh *n, struct rte_mbuf *m)
{
	net_ether_prepend(net, m, n->mac,
		n->ip.family == AF_INET ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
}

static bool has_attached(const struct rte_mbuf *m)
{
	for (; m; m = m->next)
		if (RTE_MBUF_HAS_EXTBUF(m))
			return true;
	return false;
}

static void queue_push(struct neigh *n, struct rte_mbuf *m, uint64_t now_us)
{
	assert(n->state == NEIGH_INCOMPLETE);
	if (has_attached(m)) {
		rte_pktmbuf_free(m);
		return;
	}
	if (n->queue_count == NEIGH_QUEUE_MAX)
		queue_drop_oldest(n);
	reserve_force(m, OWNER_NEIGHBOUR, now_us);
	n->queue[n->queue_count++] = m;
}

static void queue_release(struct net *net, struct neigh *n, uint64_t now_us)
{
	for (unsigned i = 0; i < n->queue_count; i++) {
		reserve_force(n->queue[i], OWNER_TX, now_us);
		frame_finish(net, n, n->queue[i]);
		net_control_push(net, n->queue[i]);
	}
	n->queue_count = 0;
}

int neigh_send(struct net *net, uint16_t idx, struct rte_mbuf *m, uint64_t now_us,
	struct rte_mbuf **out)
{
	struct neigh *n = &net->neigh.slots[idx];

	assert(idx < NEIGH_MAX);
	assert(n->state != NEIGH_FREE);
	n->used_us = now_us;
	if (n->state == NEIGH_FAILED && now_us < n->deadline_us) {
		rte_pktmbuf_free(m);
		return -EHOSTUNREACH;
	}
	if (n->state == NEIGH_IDLE || n->state == NEIGH_FAILED) {
		set_state(n, NEIGH_INCOMPLETE);
		ask(net, n, NULL, now_us);
	}
	if (n->state == NEIGH_INCOMPLETE) {
		queue_push(n, m, now_us);
		return -EINPROGRESS;
	}
	if (n->state == NEIGH_STALE) {
		set_state(n, NEIGH_PROBE);
		set_deadline(net, n, now_us + NEIGH_DELAY_US);
	}
	frame_finish(net, n, m);
	*out = m;
	return 0;
}

static void become_reachable(struct net *net, struct neigh *n, uint64_t now_us)
{
	queue_release(net, n, now_us);
	set_state(n, NEIGH_REACHABLE);
	n->confirmed_us = now_us;
	set_deadline(net, n, now_us + net->neigh.reachable_us);
}

static void become_stale(struct net *net, struct neigh *n, uint64_t now_us)
{
	queue_release(net, n, now_us);
	set_state(n, NEIGH_STALE);
	n->deadline_us = UINT64_MAX;
}

static bool has_mac(const struct neigh *n)
{
	return n->state == NEIGH_REACHABLE || n->state == NEIGH_STALE || n->state == NEIGH_PROBE;
}

/*
 * We asked and still wait; only then is an answer an answer. A probe goes by unicast, so only the
 * known address was asked: else a claim that makes us doubt and a reply that ends the doubt would
 * be enough to steal a fresh address.
 */
static bool was_asked(const struct neigh *n, const uint8_t *mac)
{
	if (n->tries == 0)
		return false;
	if (n->state == NEIGH_PROBE)
		return !mac || memcmp(n->mac, mac, sizeof(n->mac)) == 0;
	return n->state == NEIGH_INCOMPLETE;
}

static bool is_locked(const struct neigh *n, uint64_t now_us)
{
	return n->confirmed_us > 0 && now_us - n->confirmed_us < NEIGH_LOCK_US;
}

/* RFC 4861 7.2.5, case of a known address: @mac differs from it. */
static void learn_change(struct net *net, struct neigh *n, const uint8_t mac[6],
	enum neigh_claim claim, uint64_t now_us)
{
	if (claim == NEIGH_CLAIM_OVERRIDE && !is_locked(n, now_us)) {
		memcpy(n->mac, mac, sizeof(n->mac));
		become_stale(net, n, now_us);
		return;
	}
	if (n->state == NEIGH_REACHABLE) {
		set_state(n, NEIGH_PROBE);
		ask(net, n, n->mac, now_us);
	}
}

/* A multicast or all-zero address belongs to no host. */
static bool is_unicast(const uint8_t mac[6])
{
	static const uint8_t zero[6];

	return !(mac[0] & 1) && memcmp(mac, zero, sizeof(zero)) != 0;
}

/* An answer to no question is a claim like any other. */
static enum neigh_claim unsolicited(enum neigh_claim claim)
{
	return claim == NEIGH_CLAIM_ANSWER ? NEIGH_CLAIM_OVERRIDE : NEIGH_CLAIM_UNSOLICITED;
}

void neigh_learn(struct net *net, const struct net_ip *ip, const uint8_t mac[6],
	enum neigh_claim claim, uint64_t now_us)
{
	uint16_t idx = neigh_lookup(net, ip);
	bool is_answer = claim == NEIGH_CLAIM_ANSWER || claim == NEIGH_CLAIM_ANSWER_WEAK;
	struct neigh *n;

	if (idx == NEIGH_NONE || (mac && !is_unicast(mac)))
		return;
	n = &net->neigh.slots[idx];
	if (is_answer && !was_asked(n, mac)) {
		claim = unsolicited(claim);
		is_answer = false;
	}
	if (!has_mac(n)) {
		if (!mac)
			return;
		memcpy(n->mac, mac, sizeof(n->mac));
		if (is_answer)
			become_reachable(net, n, now_us);
		else
			become_stale(net, n, now_us);
		return;
	}
	if (mac && memcmp(n->mac, mac, sizeof(n->mac)) != 0)
		learn_change(net, n, mac, claim, now_us);
	else if (is_answer)
		become_reachable(net, n, now_us);
}

void neigh_confirm(struct net *net, uint16_t idx, uint64_t now_us)
{
	struct neigh *n = &net->neigh.slots[idx];

	assert(idx < NEIGH_MAX);
	if (n->state == NEIGH_REACHABLE)
		n->confirmed_us = now_us;
	else if (n->state == NEIGH_STALE || n->state == NEIGH_PROBE)
		become_reachable(net, n, now_us);
}

void neigh_doubt(struct net *net, uint16_t idx, uint64_t now_us)
{
	struct neigh *n = &net->neigh.slots[idx];

	assert(idx < NEIGH_MAX);
	if (!has_mac(n) || (n->state == NEIGH_PROBE && n->tries > 0))
		return;
	if (n->state != NEIGH_PROBE)
		set_state(n, NEIGH_PROBE);
	ask(net, n, n->mac, now_us);
}

static void incomplete_due(struct net *net, struct neigh *n, uint64_t now_us)
{
	if (n->tries < NEIGH_TRIES_MAX) {
		ask(net, n, NULL, now_us);
		return;
	}
	queue_drop_all(n);
	set_state(n, NEIGH_FAILED);
	n->deadline_us = now_us + NEIGH_HOLDOFF_US; /* checked at the next send, sets no timer */
	net->stats.neigh_failed++;
}

static void probe_due(struct net *net, struct neigh *n, uint64_t now_us)
{
	if (n->tries < NEIGH_TRIES_MAX) {
		ask(net, n, n->mac, now_us);
		return;
	}
	set_state(n, NEIGH_INCOMPLETE);
	ask(net, n, NULL, now_us);
}

static void entry_due(struct net *net, struct neigh *n, uint64_t now_us)
{
	switch (n->state) {
	case NEIGH_INCOMPLETE:
		incomplete_due(net, n, now_us);
		return;
	case NEIGH_PROBE:
		probe_due(net, n, now_us);
		return;
	case NEIGH_REACHABLE:
		if (now_us - n->confirmed_us < net->neigh.reachable_us)
			set_deadline(net, n, n->confirmed_us + net->neigh.reachable_us);
		else
			become_stale(net, n, now_us);
		return;
	default:
		assert(n->deadline_us == UINT64_MAX); /* the others have none */
	}
}

void neigh_timers(struct net *net, uint64_t now_us)
{
	uint64_t next_us = UINT64_MAX;

	if (now_us < net->neigh.deadline_us)
		return;
	for (unsigned i = 0; i < NEIGH_MAX; i++) {
		struct neigh *n = &net->neigh.slots[i];

		if (n->state == NEIGH_FREE || n->state == NEIGH_FAILED)
			continue;
		if (n->deadline_us <= now_us)
			entry_due(net, n, now_us);
		if (n->state != NEIGH_FAILED && n->deadline_us < next_us)
			next_us = n->deadline_us;
	}
	net->neigh.deadline_us = next_us;
	assert(next_us > now_us);
}

uint64_t neigh_deadline(const struct net *net)
{
	return net->neigh.deadline_us;
}
