/*
 * slow_path.c - the traffic that shares the NIC with the storage: to the kernel and back, or shed
 *
 * The NIC stays the machine's: what is not the storage's goes to the kernel's stack through the
 * exception port, and what the kernel sends goes out of the NIC when storage has sent its own. How
 * much of it depends on how deep the port is in its reserve:
 *
 *	green	a burst a turn in either direction
 *	yellow	a quarter of that: storage has better use for the time
 *	red	nothing but what a rule protects; the rest is dropped here, by class
 *
 * And while the kernel is short of memory (shortage.c), no more than takes a twentieth of a
 * processor: each frame takes memory there, and time from who makes some free.
 *
 * What a turn does not let through waits in the hold queue (hold.c), and goes on in order; later
 * packets wait behind it.
 *
 * A buffer that was taken from the reserve is given back in the turn it came in: if its packet is
 * to reach the kernel, it goes as a copy in the exception port's own memory. A normal one may rest
 * on its way to the kernel, charged to `exception`, which has a limit and is a term of the sum.
 *
 * ARP and ND: the dataplane answers for the addresses that it shares with the kernel, since under
 * pressure the kernel may not. So the kernel does not see those questions, and only one of the two
 * answers. Answers and announcements go to both: each has asked questions of its own.
 *
 * One worker. Everything here is bounded by the rings of exception.c and by the limits of owners.
 */
#include "dataplane/exception/slow_path.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include "classifier/classifier.h"
#include "config/counter.h"
#include "dataplane/exception/hold.h"
#include "dataplane/exception/tap.h"

#define BURST_YELLOW	 (BURST_MAX / 4)
#define RULE_ROOM	 BURST_MAX /* places on the way to the kernel for a rule's frames */
#define RATION_NS_PER_US 50u	   /* of a processor: a twentieth */
#define RATION_LUMP	 4u	   /* frames: the exception port's thread is not woken for fewer */

struct slow_path {
	struct slow_path_config cfg;
	struct rte_mbuf *tx[BURST_MAX]; /* from the kernel, not yet taken by the NIC */
	unsigned tx_at, tx_count;
	struct rte_mbuf *shed[BURST_MAX]; /* of a burst from the NIC: freed together, behind it */
	unsigned shed_count;
	struct hold *hold;
	unsigned share, left; /* packets that may go to the kernel in a turn, and of those the ones
				 that still may */
	/* What of a processor may be spent on them, as of when; and when it will be enough for a
	 * lump (0: it is). */
	uint64_t ration_ns, ration_us, ration_due_us;
	struct slow_path_stats stats;
};

/* Eats @m, of the burst at hand. */
static void drop(struct slow_path *o, struct rte_mbuf *m)
{
	assert(o->shed_count < BURST_MAX);
	o->shed[o->shed_count++] = m;
}

/* Eats @m, of the burst at hand. */
static void shed(struct slow_path *o, struct rte_mbuf *m, uint64_t *why)
{
	counter_add(why, 1);
	drop(o, m);
}

/* ---- NIC to kernel ---- */

static void headers_copy(struct rte_mbuf *to, const struct rte_mbuf *from)
{
	to->ol_flags = from->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG |
						RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6);
	to->tx_offload = from->tx_offload;
}

/* A copy of @m, which is borrowed, in the exception port's own memory; NULL when that has none. */
static struct rte_mbuf *copy(const struct slow_path *o, const struct rte_mbuf *m)
{
	struct rte_mempool *pool = reserve_pool(exception_pool(o->cfg.exception));
	struct rte_mbuf *head = NULL, *tail = NULL;
	uint32_t off = 0;

	while (off < m->pkt_len) {
		struct rte_mbuf *seg = rte_pktmbuf_alloc(pool);
		uint32_t n;
		const void *bytes;

		if (!seg) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		n = RTE_MIN(m->pkt_len - off, (uint32_t)rte_pktmbuf_tailroom(seg));
		bytes = rte_pktmbuf_read(m, off, n, rte_pktmbuf_mtod(seg, void *));
		if (bytes != rte_pktmbuf_mtod(seg, void *))
			memcpy(rte_pktmbuf_mtod(seg, void *), bytes, n);
		seg->data_len = seg->pkt_len = (uint16_t)n;
		off += n;
		if (!head) {
			head = tail = seg;
			continue;
		}
		tail = tail->next = seg;
		head->nb_segs++;
		head->pkt_len += n;
	}
	if (head)
		headers_copy(head, m);
	return head;
}

/*
 * Makes @m what may rest on the way to the kernel: itself if it is normal memory and the limit
 * allows, else a copy. Eats @m; NULL if it is gone.
 */
static struct rte_mbuf *rest(struct slow_path *o, struct rte_mbuf *m, uint64_t now_us)
{
	struct rte_mbuf *c;

	if (!reserve_emergency(m) && reserve_move(m, OWNER_EXCEPTION, now_us))
		return m;
	c = copy(o, m);
	if (!c) {
		shed(o, m, &o->stats.shed_memory);
		return NULL;
	}
	drop(o, m);
	reserve_force(c, OWNER_EXCEPTION, now_us);
	return c;
}

/* Eats @m unless true. */
static bool prepare(struct slow_path *o, struct rte_mbuf *m, const struct pkt_info *info)
{
	const struct tap_frame frame = {
		.l4_proto = info->l4_proto,
		.is_ip4 = info->l3 == PKT_L3_IP4,
		.l3_off = info->l3_off,
		.l4_off = info->l4_off,
		.end_off = info->end_off,
	};

	if (m->nb_segs > EXCEPTION_SEG_MAX || !tap_frame_prepare(m, &frame)) {
		shed(o, m, &o->stats.shed_unfit);
		return false;
	}
	return true;
}

/* What a rule protects: at every level, before all others. Eats @m. */
static void rule_pass(
	struct slow_path *o, struct rte_mbuf *m, const struct pkt_info *info, uint64_t now_us)
{
	if (!prepare(o, m, info))
		return;
	if (exception_room(o->cfg.exception) == 0) {
		shed(o, m, &o->stats.shed_memory);
		return;
	}
	m = rest(o, m, now_us);
	if (!m)
		return;
	counter_add(&o->stats.rule_to_kernel, 1);
	exception_send(o->cfg.exception, m);
}

/*
 * Who sends what to whom: packets with the same value are of the same flow. Asked for each packet
 * of a flood, so it is a multiplication for eight bytes and no more; a sender that wants to
 * collide with another flow can do so with any hash without a secret.
 */
static uint32_t flow_hash(const struct rte_mbuf *m, const struct pkt_info *info)
{
	static const struct {
		uint8_t off, words, step;
	} parts[] = {
		[PKT_L3_NONE] = {0, 2, 6}, /* of the Ethernet header */
		[PKT_L3_ARP] = {0, 2, 6},
		[PKT_L3_IP4] = {12, 1, 8},
		[PKT_L3_IP6] = {8, 4, 8},
	};
	uint64_t sum = (uint64_t)info->l4_proto << 32 | (uint32_t)info->sport << 16 | info->dport,
		 word;
	const uint8_t *from = rte_pktmbuf_mtod_offset(m, const uint8_t *, parts[info->l3].off);

	if (info->l3 == PKT_L3_IP4 || info->l3 == PKT_L3_IP6)
		from += info->l3_off;
	for (unsigned i = 0; i < parts[info->l3].words; i++) {
		memcpy(&word, from + (size_t)i * parts[info->l3].step, sizeof(word));
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 32;
	}
	return (uint32_t)sum;
}

/* Eats @m. */
static void hold(struct slow_path *o, struct rte_mbuf *m, const struct pkt_info *info,
	uint32_t flow, uint64_t now_us)
{
	uint32_t seg_bytes =
		rte_pktmbuf_data_room_size(reserve_pool(exception_pool(o->cfg.exception))) -
		RTE_PKTMBUF_HEADROOM;
	struct rte_mbuf *c;

	/* Most of a flood ends here, before it costs a checksum and a copy. */
	if (!hold_make_room(o->hold, (m->pkt_len + seg_bytes - 1) / seg_bytes, flow)) {
		drop(o, m);
		return;
	}
	if (!prepare(o, m, info))
		return;
	c = copy(o, m);
	if (!c) {
		shed(o, m, &o->stats.shed_memory);
		return;
	}
	drop(o, m);
	if (hold_push(o->hold, c, flow,
		    now_us)) /* charged when there is room, or the peak would be a lie */
		reserve_force(c, OWNER_HOLD, now_us);
}

/* How many unprotected frames may join those queued for the kernel. */
static unsigned room(const struct slow_path *o)
{
	unsigned all = exception_room(o->cfg.exception);

	return all > RULE_ROOM ? all - RULE_ROOM : 0;
}

/* Unprotected traffic, not at red. Eats @m. */
static void pass(
	struct slow_path *o, struct rte_mbuf *m, const struct pkt_info *info, uint64_t now_us)
{
	uint32_t flow = flow_hash(m, info);

	hold_see(o->hold, flow, now_us);
	if (o->left == 0 || !hold_is_empty(o->hold) || room(o) == 0) {
		if (o->ration_due_us)
			counter_add(&o->stats.rationed, 1);
		hold(o, m, info, flow, now_us);
		return;
	}
	if (!prepare(o, m, info))
		return;
	m = rest(o, m, now_us);
	if (!m)
		return;
	o->left--;
	counter_add(&o->stats.to_kernel, 1);
	exception_send(o->cfg.exception, m);
}

/* The oldest first, as far as this turn's share goes. */
static void release(struct slow_path *o, uint64_t now_us)
{
	struct rte_mbuf *m;

	while (o->left > 0 && room(o) > 0 && (m = hold_pop(o->hold))) {
		reserve_force(m, OWNER_EXCEPTION, now_us);
		o->left--;
		counter_add(&o->stats.to_kernel, 1);
		exception_send(o->cfg.exception, m);
	}
}

/* ARP and ND that the kernel may be waiting for. Borrows @m. */
static void kernel_tell(
	struct slow_path *o, const struct rte_mbuf *m, const struct pkt_info *info, uint64_t now_us)
{
	struct rte_mbuf *c;

	if ((info->flags & PKT_ASKS_US) || info->flow != FLOW_NONE)
		return;
	if (!o->cfg.exception || exception_room(o->cfg.exception) == 0)
		return;
	c = copy(o, m);
	if (!c)
		return;
	reserve_force(c, OWNER_EXCEPTION, now_us);
	counter_add(&o->stats.copied_to_kernel, 1);
	exception_send(o->cfg.exception, c);
}

void slow_path_rx(struct slow_path *o, struct rte_mbuf **m, const struct pkt_info *info, unsigned n,
	uint64_t now_us)
{
	bool is_red = reserve_level(o->cfg.rx_pool) == RESERVE_RED, is_off = !o->cfg.exception;

	o->shed_count = 0;
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *eaten = m[i];

		if (!eaten)
			continue; /* it was a sibling's */
		switch ((enum pkt_class)info[i].cls) {
		case PKT_ESSENTIAL:
			kernel_tell(o, m[i], &info[i], now_us);
			continue;
		case PKT_PROTECTED:
			if (!(info[i].flags & PKT_RULE))
				continue;
			m[i] = NULL;
			if (is_off)
				shed(o, eaten, &o->stats.shed_off);
			else
				rule_pass(o, eaten, &info[i], now_us);
			break;
		case PKT_EXCEPTION:
			m[i] = NULL;
			if (is_off)
				shed(o, eaten, &o->stats.shed_off);
			else if (is_red)
				shed(o, eaten, &o->stats.shed_red);
			else
				pass(o, eaten, &info[i], now_us);
			break;
		case PKT_BAD:
			m[i] = NULL;
			shed(o, eaten, &o->stats.bad);
			break;
		}
	}
	rte_pktmbuf_free_bulk(o->shed, o->shed_count);
}

/* ---- kernel to NIC ---- */

unsigned slow_path_tx(struct slow_path *o, struct rte_mbuf ***frames, uint64_t now_us)
{
	bool is_green = reserve_level(o->cfg.rx_pool) == RESERVE_GREEN;

	if (!o->cfg.exception)
		return 0;
	if (o->tx_at == o->tx_count) {
		o->tx_at = 0;
		o->tx_count = exception_receive(
			o->cfg.exception, o->tx, is_green ? BURST_MAX : BURST_YELLOW);
		for (unsigned i = 0; i < o->tx_count; i++)
			reserve_force(o->tx[i], OWNER_TX, now_us);
	}
	*frames = o->tx + o->tx_at;
	return o->tx_count - o->tx_at;
}

void slow_path_tx_done(struct slow_path *o, unsigned n)
{
	assert(n <= o->tx_count - o->tx_at);
	o->tx_at += n;
	for (unsigned i = 0; i < n; i++)
		counter_add(&o->stats.from_kernel, 1);
}

static unsigned share(enum reserve_level level)
{
	if (level == RESERVE_RED)
		return 0;
	return level == RESERVE_GREEN ? BURST_MAX : BURST_YELLOW;
}

/* Pays for what the turn let through. Out: how many of @most the next may, where the kernel's
 * memory is short. */
static unsigned ration(struct slow_path *o, unsigned most, uint64_t now_us)
{
	uint64_t frame_ns = exception_frame_ns(o->cfg.exception),
		 spent_ns = frame_ns * (o->share - o->left);

	o->ration_due_us = 0;
	if (!frame_ns)
		return most;
	o->ration_ns += (now_us - o->ration_us) * RATION_NS_PER_US;
	o->ration_us = now_us;
	o->ration_ns -= RTE_MIN(o->ration_ns, spent_ns);
	o->ration_ns = RTE_MIN(o->ration_ns, frame_ns * BURST_YELLOW);
	if (o->ration_ns >= frame_ns * RATION_LUMP)
		return RTE_MIN(most, (unsigned)(o->ration_ns / frame_ns));
	o->ration_due_us = now_us + (frame_ns * RATION_LUMP - o->ration_ns) / RATION_NS_PER_US + 1;
	return 0;
}

void slow_path_turn(struct slow_path *o, uint64_t now_us)
{
	if (!o->cfg.exception)
		return;
	hold_age(o->hold, now_us);
	release(o, now_us);
	exception_turn(o->cfg.exception, now_us);
	o->share = o->left = ration(o, share(reserve_level(o->cfg.rx_pool)), now_us);
}

void slow_path_sleep(struct slow_path *o)
{
	if (o->cfg.exception)
		exception_kick(o->cfg.exception);
}

bool slow_path_has_work(const struct slow_path *o)
{
	const struct exception_queue *q = o->cfg.exception;

	if (o->tx_at < o->tx_count)
		return true;
	return slow_path_can_release(o) || (q && exception_has_news(q));
}

bool slow_path_can_release(const struct slow_path *o)
{
	/* What is held while the kernel has its fill waits for news from there, or for its age. */
	return o->cfg.exception && o->share > 0 && !hold_is_empty(o->hold) && room(o) > 0;
}

uint64_t slow_path_deadline(const struct slow_path *o)
{
	uint64_t due_us = hold_deadline(o->hold);

	return due_us < UINT64_MAX && o->ration_due_us ? RTE_MIN(due_us, o->ration_due_us) : due_us;
}

void slow_path_stats(const struct slow_path *o, struct slow_path_stats *out)
{
	struct hold_stats h;

	*out = o->stats;
	hold_stats(o->hold, &h);
	out->held = h.held;
	out->released = h.released;
	out->aged = h.aged;
	out->shed_flow = h.shed_flow;
}

/* ---- life ---- */

size_t slow_path_bytes(void)
{
	return sizeof(struct slow_path) + hold_bytes();
}

struct slow_path *slow_path_create(const struct slow_path_config *cfg)
{
	struct slow_path *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->cfg = *cfg;
	o->hold = hold_create(HOLD_MAX);
	if (!o->hold) {
		free(o);
		return NULL;
	}
	return o;
}

void slow_path_destroy(struct slow_path *o)
{
	if (!o)
		return;
	while (o->tx_at < o->tx_count)
		rte_pktmbuf_free(o->tx[o->tx_at++]);
	hold_destroy(o->hold);
	free(o);
}
