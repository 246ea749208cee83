/*
 * budget.c - how large the pools are, and where the floor of each stands
 *
 * The pool of a queue is made once, at start, and never grows: memory that must be there when
 * memory is gone cannot be asked for later. What moves is the floor inside it. It is the sum of
 * every place an mbuf can rest (mempool_reserve/reserve_sum.c), recomputed when a volume comes or
 * goes; the rest of the pool is for everybody. An attach that would push the floor past the pool is
 * refused with the numbers, because a reserve that is too small is a promise we would break later.
 *
 * Pure: numbers go in, and numbers come out. Control thread only.
 */
#include "daemon/engine/budget.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#define ESSENTIAL_COUNT 64
#define NORMAL_DEFAULT	4096 /* normal mbufs beside the reserve */

LIST_HEAD(budget_shares, budget_share);

struct port_budget {
	struct budget_port cfg;
	uint16_t mtu;
	struct budget_shares shares[WORKER_MAX];
	struct budget_queue queues[WORKER_MAX];
};

struct budget {
	const struct config *cfg;
	struct port_budget ports[PORT_MAX];
};

/* Reads in flight, and a reply for each write. */
static uint32_t quota_of(uint32_t read_bytes, uint32_t queue_depth)
{
	return reserve_quota(read_bytes, PAYLOAD_MIN, QUOTA_SLACK + queue_depth);
}

uint32_t budget_quota_least(const struct config_volume *v)
{
	return quota_of(RTE_MAX(v->io_bytes_max, QUOTA_BYTES_LEAST), v->queue_depth);
}

uint32_t budget_quota_most(const struct config_volume *v)
{
	return quota_of(RTE_MAX(v->io_bytes_max, QUOTA_BYTES_MOST), v->queue_depth);
}

static uint32_t quota_plan(uint32_t io_bytes, uint32_t queue_depth)
{
	return quota_of(RTE_MAX(io_bytes, QUOTA_BYTES_PLAN), queue_depth);
}

/*
 * A datagram put together is a segment of a peer of ours, so no longer than the MTU; a path cuts it
 * into pieces of MTU_MIN at the least, and each arrives in an mbuf.
 */
static uint32_t reass_mbufs(uint16_t mtu)
{
	const uint32_t hdr_bytes = sizeof(struct rte_ipv4_hdr), bytes = mtu - hdr_bytes;
	const uint32_t piece_bytes = (MTU_MIN - hdr_bytes) / 8 * 8;

	return REASS_MAX * ((bytes + piece_bytes - 1) / piece_bytes);
}

/* The ring to the kernel counts packets; where none is longer than an mbuf, that is the number of
 * both. */
static uint32_t exception_mbufs(const struct port_facts *f)
{
	if (f->has_lro)
		return EXCEPTION_MBUF_MAX;
	return RTE_MIN((uint32_t)EXCEPTION_RING_COUNT * (f->burst_mbufs / BURST_MAX),
		(uint32_t)EXCEPTION_MBUF_MAX);
}

/* The sum of a queue of a port without its volumes. */
static void sum_base(const struct config *cfg, const struct port_facts *f, bool has_exception,
	uint16_t mtu, struct reserve_sum_input *in)
{
	*in = (struct reserve_sum_input){
		.ring_count = f->ring_mbufs,
		.burst_count = f->burst_mbufs,
		.essential_count = ESSENTIAL_COUNT,
		.reassembly_count = reass_mbufs(mtu),
		.neighbour_count =
			0, /* packets that wait for a neighbour are ours, from the header pool */
		.exception_count = has_exception ? exception_mbufs(f) : 0,
		.safety_pct = cfg->reserve.safety_pct,
	};
}

static void sum_input(const struct budget *b, unsigned port, unsigned queue, uint16_t mtu,
	struct reserve_sum_input *in)
{
	const struct port_budget *p = &b->ports[port];
	const struct budget_share *s;

	sum_base(b->cfg, p->cfg.facts, p->cfg.has_exception, mtu, in);
	LIST_FOREACH(s, &p->shares[queue], entry)
	for (unsigned c = 0; c < s->connections && in->device_count < VOLUME_MAX * 2; c++)
		in->device_quota[in->device_count++] = s->quota;
}

static uint32_t floor_of(const struct config *cfg, const struct reserve_sum *sum)
{
	return cfg->reserve.size >= 0 ? (uint32_t)cfg->reserve.size : sum->total;
}

const struct budget_queue *budget_update(struct budget *b, unsigned port, unsigned queue)
{
	struct budget_queue *q = &b->ports[port].queues[queue];

	sum_input(b, port, queue, b->ports[port].mtu, &q->terms);
	reserve_sum(&q->terms, &q->sum);
	q->floor = RTE_MIN(floor_of(b->cfg, &q->sum), q->total);
	return q;
}

const struct budget_queue *budget_queue(const struct budget *b, unsigned port, unsigned queue)
{
	return &b->ports[port].queues[queue];
}

int budget_fits(
	const struct budget *b, unsigned port, unsigned queue, uint32_t quota, struct error *err)
{
	const struct port_budget *p = &b->ports[port];
	const struct budget_queue *q = &p->queues[queue];
	struct reserve_sum_input in;
	struct reserve_sum sum;

	if (b->cfg->reserve.size >= 0)
		return 0; /* the user set it by hand, for comparison */
	sum_input(b, port, queue, p->mtu, &in);
	if (in.device_count < VOLUME_MAX * 2)
		in.device_quota[in.device_count++] = quota;
	reserve_sum(&in, &sum);
	if (sum.total <= q->total)
		return 0;
	return error_set(err, -ENOSPC,
		"the reserve does not fit: %u mbufs needed with this volume (%u of them its own), "
		"the pool "
		"of %s has %u; lower the volume's io_size_max, detach another, or set "
		"reserve.normal to %u and restart",
		sum.total, quota, p->cfg.name, q->total, sum.total);
}

static uint32_t normal_plan(const struct config *cfg)
{
	return cfg->reserve.normal ? cfg->reserve.normal : NORMAL_DEFAULT;
}

uint32_t budget_room(const struct budget *b, const struct budget_share *s, uint32_t most)
{
	const struct budget_queue *q = &b->ports[s->port].queues[s->queue];
	uint64_t spare = SPARE_DEVICES * (uint64_t)quota_of(IO_BYTES_DEFAULT, QUEUE_DEPTH_DEFAULT);
	uint64_t all = (uint64_t)(q->total - normal_plan(b->cfg) / 2) * 100 /
		       RTE_MAX(b->cfg->reserve.safety_pct, 100u);
	uint64_t now = q->sum.subtotal + spare;

	if (b->cfg->reserve.size >= 0)
		return most; /* the user set it by hand, for comparison */
	return now < all ? (uint32_t)RTE_MIN(s->quota + (all - now) / s->connections, most)
			 : s->quota;
}

bool budget_mtu_fits(const struct budget *b, unsigned port, uint16_t mtu, struct error *err)
{
	const struct port_budget *p = &b->ports[port];
	struct reserve_sum_input in;
	struct reserve_sum sum;
	unsigned q;

	for (q = 0; b->cfg->reserve.size < 0 && q < p->cfg.queue_count; q++) {
		sum_input(b, port, q, mtu, &in);
		reserve_sum(&in, &sum);
		if (sum.total <= p->queues[q].total)
			continue;
		error_set(err, -ENOSPC,
			"the reserve does not fit: %u mbufs needed at an MTU of %u, the pool of %s "
			"has %u; detach a "
			"volume, or set reserve.normal to %u and restart",
			sum.total, mtu, p->cfg.name, p->queues[q].total, sum.total);
		return false;
	}
	return true;
}

/* A volume's channels are cut evenly: connections of one on a queue, at the most. */
static unsigned connections_plan(const struct config_volume *v, unsigned queues)
{
	return (RTE_MAX((unsigned)v->connections, queues) + queues - 1) / queues;
}

/* Total of one queue's pool: the configured volumes, room for a few more, and the normal part. */
static uint32_t total_plan(const struct config *cfg, const struct port_facts *f, bool has_exception)
{
	const uint32_t quota_max =
		RTE_DIM(((struct reserve_sum_input *)NULL)->device_quota) - SPARE_DEVICES;
	struct reserve_sum_input in;
	struct reserve_sum sum;
	unsigned i, c;

	sum_base(cfg, f, has_exception, f->mtu, &in);
	for (i = 0; i < cfg->volume_count; i++)
		for (c = 0; c < connections_plan(&cfg->volumes[i], f->queues) &&
			    in.device_count < quota_max;
			c++)
			in.device_quota[in.device_count++] = quota_plan(
				cfg->volumes[i].io_bytes_max, cfg->volumes[i].queue_depth);
	for (i = 0; i < SPARE_DEVICES; i++)
		in.device_quota[in.device_count++] =
			quota_plan(IO_BYTES_DEFAULT, QUEUE_DEPTH_DEFAULT);
	reserve_sum(&in, &sum);
	return RTE_MAX(floor_of(cfg, &sum), sum.total) + normal_plan(cfg);
}

void budget_pools_shape(const struct config *cfg, const struct port_facts *f, bool has_exception,
	struct reserve_config *rx, struct reserve_config *hdr)
{
	bool is_linear = f->offload.tx_seg_max == 1;

	*rx = (struct reserve_config){
		.total_count = total_plan(cfg, f, has_exception),
		.data_bytes = RTE_PKTMBUF_HEADROOM + MBUF_DATA_BYTES,
		.socket = SOCKET_ID_ANY,
	};
	*hdr = (struct reserve_config){
		.is_sent = !is_linear,
		.total_count = HDR_POOL_COUNT,
		.data_bytes = RTE_PKTMBUF_HEADROOM + (is_linear ? MBUF_DATA_BYTES : HDR_DATA_BYTES),
		.socket = SOCKET_ID_ANY,
	};
}

uint32_t budget_conn_max(const struct config *cfg, uint32_t pool_total)
{
	uint64_t least = quota_of(QUOTA_BYTES_LEAST, 1);
	uint64_t fit = (uint64_t)pool_total * 100 / RTE_MAX(cfg->reserve.safety_pct, 100u) / least;

	if (cfg->reserve.size >= 0)
		return NET_CONN_MAX; /* the user set it by hand, and nothing is refused */
	return (uint32_t)RTE_MIN(fit + CONN_SPARE, (uint64_t)NET_CONN_MAX);
}

/* ---- who is in it ---- */

struct budget *budget_create(const struct config *cfg)
{
	struct budget *b = calloc(1, sizeof(*b));

	if (b)
		b->cfg = cfg;
	return b;
}

void budget_destroy(struct budget *b)
{
	free(b);
}

void budget_port_set(struct budget *b, unsigned port, const struct budget_port *p)
{
	struct port_budget *to = &b->ports[port];

	to->cfg = *p;
	to->mtu = p->facts->mtu;
	for (unsigned q = 0; q < p->queue_count; q++)
		to->queues[q] = (struct budget_queue){
			.total = p->total, .conn_max = budget_conn_max(b->cfg, p->total)};
}

void budget_mtu_set(struct budget *b, unsigned port, uint16_t mtu)
{
	b->ports[port].mtu = mtu;
}

void budget_share_add(struct budget *b, struct budget_share *s)
{
	LIST_INSERT_HEAD(&b->ports[s->port].shares[s->queue], s, entry);
}

void budget_share_del(struct budget_share *s)
{
	LIST_REMOVE(s, entry);
}
