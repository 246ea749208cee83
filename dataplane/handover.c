/*
 * handover.c - packets that arrived at one worker and are another's
 *
 * A NIC with several queues spreads packets by a hash, or by where it last saw the flow, and that
 * may not be the queue of the worker whose connection it is: at the first reply to a SYN, after a
 * flow was idle for long, and where replies carry no ports, as ARP does. An mbuf belongs to the
 * pool of the queue it arrived at and must not leave its worker (docs/adr/0002). So what goes over
 * is bytes: copied into a ring of pieces, and out of it into mbufs of the worker they are for.
 *
 * A ring for each pair of workers, written by one and read by the other, of HANDOVER_SLOT_MAX
 * pieces; a packet takes as many as it needs, all or none. When it is full the packet is lost as it
 * could be on the wire, and counted. Which TCP port is whose is settled before the workers start.
 *
 * No mbuf rests here, so the reserve has no term for it; memory is allocated at start.
 */
#include "dataplane/handover.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <rte_mbuf.h>
#include "mempool_reserve/reserve.h"

#define PORT_COUNT 65536u
/* What the receiving stack looks at besides the bytes. */
#define FLAGS_KEPT                                                                                 \
	(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_LRO |           \
		RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_QINQ)

struct slot {
	uint32_t pkt_slots; /* pieces of the packet that begins here */
	uint16_t len, vlan_tci, vlan_tci_outer, tso_segsz;
	uint64_t ol_flags;
	uint8_t bytes[MBUF_DATA_BYTES];
};

/* Free running counts; head is the writer's, tail the reader's. */
struct ring {
	_Alignas(64) _Atomic uint32_t head;
	_Alignas(64) _Atomic uint32_t tail;
	struct slot slots[HANDOVER_SLOT_MAX];
};

struct handover {
	unsigned workers;
	uint8_t owner[PORT_COUNT];
	struct ring *rings[WORKER_MAX][WORKER_MAX]; /* [from][to] */
};

static_assert((HANDOVER_SLOT_MAX & (HANDOVER_SLOT_MAX - 1)) == 0, "ring index is masked");

struct handover *handover_create(unsigned workers)
{
	struct handover *h = calloc(1, sizeof(*h));
	unsigned from, to;

	assert(workers <= WORKER_MAX);
	if (!h)
		return NULL;
	h->workers = workers;
	memset(h->owner, HANDOVER_NOBODY, sizeof(h->owner));
	for (from = 0; from < workers; from++)
		for (to = 0; to < workers; to++) {
			if (from == to)
				continue;
			h->rings[from][to] = aligned_alloc(64, sizeof(struct ring));
			if (!h->rings[from][to]) {
				handover_destroy(h);
				return NULL;
			}
			/* Written to now, so that it is there when memory is gone. */
			memset(h->rings[from][to], 0, sizeof(struct ring));
		}
	return h;
}

size_t handover_bytes(unsigned workers)
{
	return sizeof(struct handover) + (size_t)workers * (workers - 1) * sizeof(struct ring);
}

void handover_destroy(struct handover *h)
{
	unsigned from, to;

	if (!h)
		return;
	for (from = 0; from < h->workers; from++)
		for (to = 0; to < h->workers; to++)
			free(h->rings[from][to]);
	free(h);
}

void handover_port_add(struct handover *h, uint16_t port, unsigned worker)
{
	assert(worker < h->workers);
	h->owner[port] = (uint8_t)worker;
}

unsigned handover_port_owner(const struct handover *h, uint16_t port)
{
	return h->owner[port];
}

unsigned handover_worker_count(const struct handover *h)
{
	return h->workers;
}

bool handover_put(struct handover *h, unsigned from, unsigned to, const struct rte_mbuf *m)
{
	struct ring *r = h->rings[from][to];
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint32_t used = head - atomic_load_explicit(&r->tail, memory_order_acquire);
	uint32_t len = rte_pktmbuf_pkt_len(m), at = 0, i;
	uint32_t count = (len + MBUF_DATA_BYTES - 1) / MBUF_DATA_BYTES;

	assert(used <= HANDOVER_SLOT_MAX);
	if (count == 0 || count > HANDOVER_SLOT_MAX - used)
		return false;
	for (i = 0; i < count; i++) {
		struct slot *s = &r->slots[(head + i) % HANDOVER_SLOT_MAX];
		const void *bytes;

		s->pkt_slots = count;
		s->len = (uint16_t)RTE_MIN(len - at, (uint32_t)MBUF_DATA_BYTES);
		s->ol_flags = m->ol_flags & FLAGS_KEPT;
		s->vlan_tci = m->vlan_tci;
		s->vlan_tci_outer = m->vlan_tci_outer;
		s->tso_segsz = m->tso_segsz;
		bytes = rte_pktmbuf_read(m, at, s->len, s->bytes);
		assert(bytes);
		if (bytes != s->bytes)
			memcpy(s->bytes, bytes, s->len);
		at += s->len;
	}
	atomic_store_explicit(&r->head, head + count, memory_order_release);
	return true;
}

static void piece_fill(struct rte_mbuf *m, const struct slot *s)
{
	void *to = rte_pktmbuf_append(m, s->len);

	assert(to);
	memcpy(to, s->bytes, s->len);
}

struct rte_mbuf *handover_take(struct handover *h, unsigned from, unsigned to, struct reserve *pool)
{
	struct ring *r = h->rings[from][to];
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	struct rte_mbuf *pieces[HANDOVER_SLOT_MAX];
	const struct slot *s = &r->slots[tail % HANDOVER_SLOT_MAX];
	uint32_t i, count;
	int rc;

	if (atomic_load_explicit(&r->head, memory_order_acquire) == tail)
		return NULL;
	count = s->pkt_slots;
	assert(count > 0 && count <= HANDOVER_SLOT_MAX);
	reserve_entitle(pool); /* it arrived, as a packet in the NIC's ring has */
	rc = rte_pktmbuf_alloc_bulk(reserve_pool(pool), pieces, count);
	reserve_disentitle(pool);
	if (rc)
		return NULL;
	for (i = 0; i < count; i++) {
		piece_fill(pieces[i], &r->slots[(tail + i) % HANDOVER_SLOT_MAX]);
		if (i > 0)
			pieces[i - 1]->next = pieces[i];
	}
	pieces[0]->nb_segs = (uint16_t)count;
	pieces[0]->pkt_len = 0;
	for (i = 0; i < count; i++)
		pieces[0]->pkt_len += pieces[i]->data_len;
	pieces[0]->ol_flags |= s->ol_flags;
	pieces[0]->vlan_tci = s->vlan_tci;
	pieces[0]->vlan_tci_outer = s->vlan_tci_outer;
	pieces[0]->tso_segsz = s->tso_segsz;
	atomic_store_explicit(&r->tail, tail + count, memory_order_release);
	return pieces[0];
}
