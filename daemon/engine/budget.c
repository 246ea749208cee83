/*
 * budget.c - how large the pools are, and where the floor of each stands
 *
 * The pool of a queue is made once, at start, and never grows: memory that must be there when
 * memory is gone cannot be asked for later. What moves is the floor inside it. It is the sum of
 * every place an mbuf can rest (mempool_reserve/reserve_sum.c), recomputed when a volume comes or
 * goes; the rest of the pool is for everybody. An attach that would push the floor past the pool is
 * refused with the numbers, because a reserve that is too small is a promise we would break later.
 */
#include <errno.h>
#include <stdio.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include "config/log.h"
#include "daemon/engine/engine_impl.h"

/* Reads in flight, and a reply for each write. */
static uint32_t quota_of(uint32_t read_bytes, uint32_t queue_depth)
{
	return reserve_quota(read_bytes, PAYLOAD_MIN, QUOTA_SLACK + queue_depth);
}

uint32_t engine_quota_least(const struct config_volume *v)
{
	return quota_of(RTE_MAX(v->io_bytes_max, QUOTA_BYTES_LEAST), v->queue_depth);
}

uint32_t engine_quota_most(const struct config_volume *v)
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

static void sum_input(const struct engine *e, unsigned port, unsigned queue, uint16_t mtu,
	struct reserve_sum_input *in)
{
	const struct device *d;
	unsigned i, k, c;

	sum_base(&e->cfg, port_facts(e->ports[port].port), e->ports[port].exception, mtu, in);
	for (i = 0; i < VOLUME_MAX; i++) {
		d = &e->devices[i];
		for (k = 0; d->port == port && k < d->channel_count; k++)
			for (c = 0;
				d->channels[k].queue == queue && c < d->channels[k].connections &&
				in->device_count < VOLUME_MAX * 2;
				c++)
				in->device_quota[in->device_count++] = d->channels[k].quota;
	}
}

static uint32_t floor_of(const struct config *cfg, const struct reserve_sum *sum)
{
	return cfg->reserve.size >= 0 ? (uint32_t)cfg->reserve.size : sum->total;
}

/*
 * What the sum grants a place is also the most its owner may hold. A ring is filled again while the
 * burst that left it is still on its books; both have left it once they are handed on.
 */
static void limits_set(const struct engine_queue *q, const struct reserve_sum_input *in)
{
	reserve_owner_limit(q->rx, OWNER_RING, in->ring_count + in->burst_count);
	reserve_owner_limit(q->rx, OWNER_UNCLASSIFIED, in->burst_count);
	reserve_owner_limit(q->rx, OWNER_ESSENTIAL, in->essential_count);
	reserve_owner_limit(q->rx, OWNER_REASSEMBLY, in->reassembly_count);
	reserve_owner_limit(q->rx, OWNER_EXCEPTION, in->exception_count);
}

void engine_floor_update(struct engine *e, unsigned port, unsigned queue, const char *why)
{
	struct engine_queue *q = &e->ports[port].queues[queue];
	struct reserve_sum_input in;
	uint32_t before = q->floor;
	struct worker_cmd cmd = {.type = WORKER_FLOOR_SET};

	sum_input(e, port, queue, e->ports[port].stack_mtu, &in);
	reserve_sum(&in, &q->sum);
	limits_set(q, &in);
	q->floor = RTE_MIN(floor_of(&e->cfg, &q->sum), q->total);
	if (q->floor == before)
		return;
	cmd.n = q->floor;
	if (q->worker)
		backlog_post(&q->backlog, q->worker, &cmd);
	else
		reserve_floor_set(q->rx, q->floor);
	log_info("port %s, queue %u: the reserve is now %u of the pool's %u mbufs, before %u: %s",
		e->ports[port].cfg->name, queue, q->floor, q->total, before, why);
}

int engine_fits(struct engine *e, unsigned port, unsigned queue, uint32_t quota, struct error *err)
{
	const struct engine_queue *q = &e->ports[port].queues[queue];
	struct reserve_sum_input in;
	struct reserve_sum sum;

	if (e->cfg.reserve.size >= 0)
		return 0; /* the user set it by hand, for comparison */
	sum_input(e, port, queue, e->ports[port].stack_mtu, &in);
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
		sum.total, quota, e->ports[port].cfg->name, q->total, sum.total);
}

static uint32_t normal_plan(const struct config *cfg)
{
	return cfg->reserve.normal ? cfg->reserve.normal : NORMAL_DEFAULT;
}

uint32_t engine_quota_room(const struct engine *e, const struct device *d, const struct channel *ch)
{
	const struct engine_queue *q = &e->ports[d->port].queues[ch->queue];
	uint64_t spare = SPARE_DEVICES * (uint64_t)quota_of(IO_BYTES_DEFAULT, QUEUE_DEPTH_DEFAULT);
	uint64_t most = (uint64_t)(q->total - normal_plan(&e->cfg) / 2) * 100 /
			RTE_MAX(e->cfg.reserve.safety_pct, 100u);
	uint64_t now = q->sum.subtotal + spare;

	if (e->cfg.reserve.size >= 0)
		return d->quota; /* the user set it by hand, for comparison */
	return now < most ? (uint32_t)RTE_MIN(ch->quota + (most - now) / ch->connections, d->quota)
			  : ch->quota;
}

bool engine_mtu_fits(const struct engine *e, unsigned port, uint16_t mtu, struct error *err)
{
	const struct engine_port *p = &e->ports[port];
	struct reserve_sum_input in;
	struct reserve_sum sum;
	unsigned q;

	for (q = 0; e->cfg.reserve.size < 0 && q < p->queue_count; q++) {
		sum_input(e, port, q, mtu, &in);
		reserve_sum(&in, &sum);
		if (sum.total <= p->queues[q].total)
			continue;
		error_set(err, -ENOSPC,
			"the reserve does not fit: %u mbufs needed at an MTU of %u, the pool of %s "
			"has %u; detach a "
			"volume, or set reserve.normal to %u and restart",
			sum.total, mtu, p->cfg->name, p->queues[q].total, sum.total);
		return false;
	}
	return true;
}

static void queue_alarm(struct engine_queue *q, const char *port, unsigned queue)
{
	struct reserve_info info;

	reserve_info(q->rx, &info);
	if (info.alarms != q->alarms_told) {
		q->alarms_told = info.alarms;
		q->is_alarmed = true;
		log_warn("port %s queue %u: %u refills in a row found no packet memory, the ring "
			 "lacks %u mbufs: "
			 "see `sluice reserve`, and set reserve.normal or reserve.safety higher",
			port, queue, info.refused_run_max, info.ring_debt);
	} else if (q->is_alarmed && info.refused_run == 0) {
		q->is_alarmed = false;
		log_info("port %s queue %u: refills find memory again", port, queue);
	}
}

void engine_alarm_poll(struct engine *e)
{
	unsigned i, q;

	for (i = 0; i < e->port_count; i++)
		for (q = 0; q < e->ports[i].queue_count; q++)
			queue_alarm(&e->ports[i].queues[q], e->ports[i].cfg->name, q);
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

void engine_pools_shape(const struct config *cfg, const struct port_facts *f, bool has_exception,
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

uint32_t engine_conn_max(const struct config *cfg, uint32_t pool_total)
{
	uint64_t least = quota_of(QUOTA_BYTES_LEAST, 1);
	uint64_t fit = (uint64_t)pool_total * 100 / RTE_MAX(cfg->reserve.safety_pct, 100u) / least;

	if (cfg->reserve.size >= 0)
		return NET_CONN_MAX; /* the user set it by hand, and nothing is refused */
	return (uint32_t)RTE_MIN(fit + CONN_SPARE, (uint64_t)NET_CONN_MAX);
}

static struct rte_mempool *ext_pool_create(unsigned port, unsigned queue)
{
	char name[32];

	/* No data room: payload is attached. The default cached ring ops serve: nothing rests here
	 * that the reserve accounts for, and one worker uses it. */
	snprintf(name, sizeof(name), "ext-%u-%u", port, queue);
	return rte_pktmbuf_pool_create_by_ops(
		name, EXT_POOL_COUNT, 0, NET_EXT_PRIV_BYTES, 0, SOCKET_ID_ANY, "stack");
}

uint64_t engine_ext_pool_bytes(void)
{
	return (uint64_t)EXT_POOL_COUNT *
	       rte_mempool_calc_obj_size(sizeof(struct rte_mbuf) + NET_EXT_PRIV_BYTES, 0, NULL);
}

int engine_pools_create(
	struct engine *e, struct engine_port *p, unsigned port_idx, struct error *err)
{
	char rx_name[32], hdr_name[32];
	struct reserve_config rx, hdr;
	unsigned i;

	engine_pools_shape(&e->cfg, port_facts(p->port), p->exception, &rx, &hdr);
	rx.name = rx_name;
	hdr.name = hdr_name;
	for (i = 0; i < p->queue_count; i++) {
		struct engine_queue *q = &p->queues[i];

		snprintf(rx_name, sizeof(rx_name), "rx-%u-%u", port_idx, i);
		snprintf(hdr_name, sizeof(hdr_name), "hdr-%u-%u", port_idx, i);
		q->total = rx.total_count;
		q->conn_max = engine_conn_max(&e->cfg, q->total);
		q->rx = reserve_create(&rx);
		q->hdr = reserve_create(&hdr);
		q->ext = ext_pool_create(port_idx, i);
		if (!q->rx || !q->hdr || !q->ext)
			return error_set(err, -ENOMEM,
				"no memory for the pools of port %s (%u mbufs of %u bytes): add "
				"hugepages "
				"(echo 256 > /proc/sys/vm/nr_hugepages) or set memory higher",
				p->cfg->name, q->total, rx.data_bytes);
	}
	return 0;
}

void engine_pools_destroy(struct engine_port *p)
{
	unsigned i;

	for (i = 0; i < p->queue_count; i++) {
		struct engine_queue *q = &p->queues[i];

		reserve_destroy(q->rx);
		reserve_destroy(q->hdr);
		rte_mempool_free(q->ext);
	}
}
