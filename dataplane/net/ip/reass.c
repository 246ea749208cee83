/*
 * reass.c - fragments of protected peers, put together within bounds
 *
 * Our own segments never need this (DF, and the peer honours our MSS), but a path with a broken
 * PMTU may fragment what the peer sends, and then storage must still flow. Reassembly is the
 * classic place to lose memory to a stranger, so only peers of live connections come here (the
 * classifier sees to that) and everything has an end: slots, fragments a slot, bytes, time.
 *
 * A fragment that overlaps another one kills its datagram, and the slot stays as a tombstone so
 * that the rest of it finds no home (RFC 5722 3, RFC 8200 4.5; applied to IPv4 as well, where
 * overlaps have no honest use either). An exact copy of one we have is the network's doing and
 * merely freed. When all slots are taken the oldest datagram of the sender who has most gives way:
 * one whose address is forged loses its own, not the others'. Time is 30 s, and one second while
 * the pool is below its floor or most slots are in use: those are mbufs that storage could have.
 *
 * Holds: mbufs in pieces[], charged to OWNER_REASSEMBLY. Pieces are sorted by offset, disjoint, and
 * all but that at offset 0 are stripped of their headers. Always: a tombstone holds no piece.
 */
#include "dataplane/net/ip/reass.h"

#include <assert.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/net_impl.h"

#define REASS_US	 30000000u
#define REASS_US_PRESSED 1000000u
#define REASS_PRESSED_COUNT (REASS_MAX * 3 / 4)
#define DATAGRAM_BYTES_MAX 65535u

struct piece {
	struct rte_mbuf *m;
	uint16_t off, len;
};

struct datagram {
	bool is_used, is_dead;
	uint8_t proto;	       /* of the fragment at offset 0 */
	uint8_t key_proto;     /* IPv4: part of the key */
	uint8_t ecn_seen;      /* a bit for each codepoint */
	uint16_t payload_off;  /* in the mbuf of the fragment at offset 0 */
	uint16_t piece_count;
	uint32_t id;
	uint32_t bytes;	       /* held */
	uint32_t total_bytes;  /* 0 = the last fragment is not here yet */
	uint64_t since_us;
	struct net_ip src, dst;
	struct piece pieces[REASS_FRAG_MAX];
};

struct reass {
	struct datagram slots[REASS_MAX];
	uint32_t used_count;
	uint64_t deadline_us;
};

size_t reass_bytes(void)
{
	return sizeof(struct reass);
}

struct reass *reass_create(void)
{
	struct reass *r = calloc(1, sizeof(*r));

	if (r)
		r->deadline_us = UINT64_MAX;
	return r;
}

static void pieces_free(struct datagram *d)
{
	for (unsigned i = 0; i < d->piece_count; i++)
		rte_pktmbuf_free(d->pieces[i].m);
	d->piece_count = 0;
	d->bytes = 0;
}

static void slot_free(struct reass *r, struct datagram *d)
{
	assert(d->is_used && r->used_count > 0);
	pieces_free(d);
	d->is_used = false;
	r->used_count--;
}

void reass_destroy(struct reass *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < REASS_MAX; i++) {
		if (r->slots[i].is_used)
			slot_free(r, &r->slots[i]);
	}
	free(r);
}

static bool matches(const struct datagram *d, const struct reass_frag *f)
{
	return d->is_used && d->id == f->id && ip_equal(&d->src, &f->src) &&
	       ip_equal(&d->dst, &f->dst) &&
	       (f->src.family != AF_INET || d->key_proto == f->proto);
}

/* What the sender of @d has here: its slots, and the mbufs in them. */
static unsigned share_of(const struct reass *r, const struct datagram *d)
{
	unsigned share = 0;

	for (unsigned i = 0; i < REASS_MAX; i++) {
		if (r->slots[i].is_used && ip_equal(&r->slots[i].src, &d->src))
			share += 1u + r->slots[i].piece_count;
	}
	return share;
}

/* Who gives way: the oldest of the sender that has most, so that a flood displaces itself. */
static struct datagram *victim_choose(struct reass *r, const struct datagram *but)
{
	struct datagram *best = NULL;
	unsigned best_share = 0;

	for (unsigned i = 0; i < REASS_MAX; i++) {
		struct datagram *d = &r->slots[i];
		unsigned share;

		if (!d->is_used || d == but)
			continue;
		share = share_of(r, d);
		if (!best || share > best_share ||
			(share == best_share && d->since_us < best->since_us)) {
			best = d;
			best_share = share;
		}
	}
	return best;
}

static struct datagram *slot_take(struct net *net, const struct reass_frag *f, uint64_t now_us)
{
	struct reass *r = net->reass;
	struct datagram *d = NULL;

	if (r->used_count == REASS_MAX) {
		d = victim_choose(r, NULL);
		net->stats.reass_drop += !d->is_dead;
		slot_free(r, d);
	}
	for (unsigned i = 0; i < REASS_MAX && !d; i++) {
		if (!r->slots[i].is_used)
			d = &r->slots[i];
	}
	assert(d);
	memset(d, 0, offsetof(struct datagram, pieces));
	d->is_used = true;
	d->id = f->id;
	d->key_proto = f->proto;
	d->src = f->src;
	d->dst = f->dst;
	d->since_us = now_us;
	r->used_count++;
	return d;
}

static struct datagram *slot_find(struct net *net, const struct reass_frag *f, uint64_t now_us)
{
	for (unsigned i = 0; i < REASS_MAX; i++) {
		if (matches(&net->reass->slots[i], f))
			return &net->reass->slots[i];
	}
	return slot_take(net, f, now_us);
}

/* The datagram is lost; what still comes of it is dropped at the door until the slot times out. */
static void entomb(struct net *net, struct datagram *d)
{
	assert(!d->is_dead);
	pieces_free(d);
	d->is_dead = true;
	net->stats.reass_drop++;
}

/* Charges the fragment; where its owner has no room, another datagram makes some, once. */
static bool charge(struct net *net, const struct datagram *d, struct rte_mbuf *m, uint64_t now_us)
{
	struct datagram *victim;

	if (reserve_move(m, OWNER_REASSEMBLY, now_us))
		return true;
	victim = victim_choose(net->reass, d);
	if (!victim)
		return false;
	net->stats.reass_drop += !victim->is_dead;
	slot_free(net->reass, victim);
	return reserve_move(m, OWNER_REASSEMBLY, now_us);
}

/* Lengths that contradict each other: beyond the largest datagram, or beyond the last fragment. */
static bool fits(const struct datagram *d, const struct reass_frag *f)
{
	uint32_t end = f->frag_off + f->payload_len;

	if (f->payload_len == 0 || end > DATAGRAM_BYTES_MAX)
		return false;
	if (f->has_more)
		return f->payload_len % 8 == 0 && (!d->total_bytes || end <= d->total_bytes);
	if (d->total_bytes)
		return end == d->total_bytes;
	return d->piece_count == 0 ||
	       d->pieces[d->piece_count - 1].off + d->pieces[d->piece_count - 1].len <= end;
}

enum place { PLACE_FREE, PLACE_COPY, PLACE_OVERLAP };

/* Where among the sorted pieces @f belongs. */
static enum place place_find(const struct datagram *d, const struct reass_frag *f, unsigned *at)
{
	unsigned i = 0;

	while (i < d->piece_count && d->pieces[i].off < f->frag_off)
		i++;
	if (i < d->piece_count && d->pieces[i].off == f->frag_off &&
		d->pieces[i].len == f->payload_len)
		return PLACE_COPY;
	if (i > 0 && d->pieces[i - 1].off + d->pieces[i - 1].len > f->frag_off)
		return PLACE_OVERLAP;
	if (i < d->piece_count && f->frag_off + f->payload_len > d->pieces[i].off)
		return PLACE_OVERLAP;
	*at = i;
	return PLACE_FREE;
}

static void piece_insert(struct datagram *d, unsigned at, struct rte_mbuf *m,
	const struct reass_frag *f)
{
	assert(d->piece_count < REASS_FRAG_MAX && at <= d->piece_count);
	memmove(d->pieces + at + 1, d->pieces + at, (d->piece_count - at) * sizeof(d->pieces[0]));
	d->pieces[at] = (struct piece){m, f->frag_off, (uint16_t)f->payload_len};
	d->piece_count++;
	d->bytes += f->payload_len;
	d->ecn_seen |= (uint8_t)(1u << f->ecn);
	if (!f->has_more)
		d->total_bytes = f->frag_off + f->payload_len;
	if (f->frag_off > 0) {
		rte_pktmbuf_adj(m, f->payload_off);
		return;
	}
	d->payload_off = f->payload_off;
	d->proto = f->proto;
}

/* RFC 3168 5.3: one mark marks all; a mark beside a fragment that cannot be marked is a lie. */
static bool ecn_merge(uint8_t seen, uint8_t *ecn)
{
	if (seen & 1u << IP_ECN_CE) {
		*ecn = IP_ECN_CE;
		return !(seen & 1u << IP_ECN_NOT_ECT);
	}
	if (seen & 1u << IP_ECN_NOT_ECT)
		*ecn = IP_ECN_NOT_ECT;
	else
		*ecn = seen & 1u << IP_ECN_ECT0 ? IP_ECN_ECT0 : IP_ECN_ECT1;
	return true;
}

static struct rte_mbuf *complete(struct net *net, struct datagram *d, struct reass_frag *f,
	uint64_t now_us)
{
	struct rte_mbuf *whole = d->pieces[0].m;

	assert(d->pieces[0].off == 0 && d->bytes == d->total_bytes);
	if (!ecn_merge(d->ecn_seen, &f->ecn)) {
		entomb(net, d);
		return NULL;
	}
	for (unsigned i = 1; i < d->piece_count; i++) {
		int rc __rte_unused = rte_pktmbuf_chain(whole, d->pieces[i].m);

		assert(rc == 0); /* REASS_FRAG_MAX chains of one frame each */
	}
	f->frag_off = 0;
	f->has_more = false;
	f->proto = d->proto;
	f->payload_off = d->payload_off;
	f->payload_len = d->total_bytes;
	d->piece_count = 0;
	slot_free(
		net->reass, d); /* its mbufs stay on our books until TCP takes them, in this turn */
	net->stats.reass_ok++;
	return whole;
}

static bool is_pressed(const struct net *net)
{
	return net->reass->used_count >= REASS_PRESSED_COUNT ||
	       reserve_level(net->cfg.rx_pool) != RESERVE_GREEN;
}

static uint64_t timeout_us(const struct net *net)
{
	return is_pressed(net) ? REASS_US_PRESSED : REASS_US;
}

static void deadline_lower(struct net *net, const struct datagram *d)
{
	uint64_t due_us = d->since_us + timeout_us(net);

	if (due_us < net->reass->deadline_us)
		net->reass->deadline_us = due_us;
}

struct rte_mbuf *reass_input(struct net *net, struct rte_mbuf *m, struct reass_frag *frag,
	uint64_t now_us)
{
	struct datagram *d = slot_find(net, frag, now_us);
	enum place place;
	unsigned at = 0;

	assert(frag->payload_off <= rte_pktmbuf_data_len(m));
	deadline_lower(net, d);
	if (d->is_dead) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	place = place_find(d, frag, &at);
	if (place == PLACE_COPY) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	if (place == PLACE_OVERLAP || !fits(d, frag) || d->piece_count == REASS_FRAG_MAX ||
		!charge(net, d, m, now_us)) {
		rte_pktmbuf_free(m);
		entomb(net, d);
		return NULL;
	}
	piece_insert(d, at, m, frag);
	if (d->total_bytes == 0 || d->bytes < d->total_bytes)
		return NULL;
	return complete(net, d, frag, now_us);
}

void reass_timers(struct net *net, uint64_t now_us)
{
	struct reass *r = net->reass;
	uint64_t next_us = UINT64_MAX;
	uint64_t limit_us;

	if (r->used_count == 0) {
		r->deadline_us = UINT64_MAX;
		return;
	}
	limit_us = timeout_us(net); /* each turn: pressure may have begun since the last one */
	for (unsigned i = 0; i < REASS_MAX; i++) {
		struct datagram *d = &r->slots[i];

		if (!d->is_used)
			continue;
		if (now_us - d->since_us >= limit_us) {
			net->stats.reass_drop += !d->is_dead;
			slot_free(r, d);
		} else if (d->since_us + limit_us < next_us) {
			next_us = d->since_us + limit_us;
		}
	}
	r->deadline_us = next_us;
}

uint64_t reass_deadline(const struct reass *reass)
{
	return reass->deadline_us;
}
