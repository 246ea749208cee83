/*
 * ports_pools.c - the pools of a port's queues, and where the floor of each stands
 *
 * How large they are, budget.c computes. A pool belongs to its queue's worker once that runs, so a
 * floor that moves is a command to it. An RX ring that finds no memory to refill itself is logged,
 * once for each run of failures.
 *
 * Control thread.
 */
#include <errno.h>
#include <stdio.h>
#include <rte_mbuf.h>
#include "config/log.h"
#include "daemon/engine/ports_impl.h"
#include "dataplane/exception/exception.h"

/*
 * What the sum grants a place is also the most its owner may hold. A ring is filled again while the
 * burst that left it is still on its books; both have left it once they are handed on.
 */
static void limits_set(struct reserve *rx, const struct reserve_sum_input *in)
{
	reserve_owner_limit(rx, OWNER_RING, in->ring_count + in->burst_count);
	reserve_owner_limit(rx, OWNER_UNCLASSIFIED, in->burst_count);
	reserve_owner_limit(rx, OWNER_ESSENTIAL, in->essential_count);
	reserve_owner_limit(rx, OWNER_REASSEMBLY, in->reassembly_count);
	reserve_owner_limit(rx, OWNER_EXCEPTION, in->exception_count);
}

void ports_floor_update(struct ports *ps, unsigned port, unsigned queue, const char *why)
{
	const struct budget_queue *now = budget_update(ps->budget, port, queue);
	struct engine_queue *q = &ps->list[port].queues[queue];
	struct worker_cmd cmd = {.type = WORKER_FLOOR_SET, .n = now->floor};
	uint32_t before = q->floor;

	limits_set(q->is.rx, &now->terms);
	q->floor = now->floor;
	if (q->floor == before)
		return;
	if (q->is.worker)
		backlog_post(&q->backlog, q->is.worker, &cmd);
	else
		reserve_floor_set(q->is.rx, q->floor);
	log_info("port %s, queue %u: the reserve is now %u of the pool's %u mbufs, before %u: %s",
		ps->list[port].cfg->name, queue, q->floor, now->total, before, why);
}

void ports_post_all(struct ports *ps, const struct worker_cmd *cmd)
{
	for (unsigned i = 0; i < ps->count; i++)
		for (unsigned q = 0; q < ps->list[i].queue_count; q++) {
			struct engine_queue *queue = &ps->list[i].queues[q];

			backlog_post(&queue->backlog, queue->is.worker, cmd);
		}
}

static void queue_alarm(struct engine_queue *q, const char *port, unsigned queue)
{
	struct reserve_info info;

	reserve_info(q->is.rx, &info);
	if (info.alarms != q->alarms_told) {
		q->alarms_told = info.alarms;
		q->is_alarmed = true;
		log_warn("port %s queue %u: %u refills in a row found no packet memory, the ring "
			 "lacks %u mbufs: "
			 "see `sluice reserve`, and set reserve.normal or reserve.safety higher",
			port, queue, info.refused_run_max, info.ring_debt);
	} else if (q->is_alarmed && info.refused_run == 0) {
		q->is_alarmed = false;
		log_info("port %s queue %u: refills succeed again", port, queue);
	}
}

void ports_alarm_poll(struct ports *ps)
{
	unsigned i, q;

	for (i = 0; i < ps->count; i++)
		for (q = 0; q < ps->list[i].queue_count; q++)
			queue_alarm(&ps->list[i].queues[q], ps->list[i].cfg->name, q);
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

uint64_t ports_ext_pool_bytes(void)
{
	return (uint64_t)EXT_POOL_COUNT *
	       rte_mempool_calc_obj_size(sizeof(struct rte_mbuf) + NET_EXT_PRIV_BYTES, 0, NULL);
}

static int queue_pools_create(struct engine_queue *q, unsigned port, unsigned queue,
	struct reserve_config *rx, struct reserve_config *hdr)
{
	char rx_name[32], hdr_name[32];

	snprintf(rx_name, sizeof(rx_name), "rx-%u-%u", port, queue);
	snprintf(hdr_name, sizeof(hdr_name), "hdr-%u-%u", port, queue);
	rx->name = rx_name;
	hdr->name = hdr_name;
	q->is.rx = reserve_create(rx);
	q->is.hdr = reserve_create(hdr);
	q->is.ext = ext_pool_create(port, queue);
	return q->is.rx && q->is.hdr && q->is.ext ? 0 : -ENOMEM;
}

int ports_pools_create(struct ports *ps, unsigned port, struct error *err)
{
	struct engine_port *p = &ps->list[port];
	struct budget_port plan = {.name = p->cfg->name,
		.facts = port_facts(p->port),
		.has_exception = p->exception,
		.queue_count = p->queue_count};
	struct reserve_config rx, hdr;
	unsigned q;

	budget_pools_shape(ps->cfg, plan.facts, p->exception, &rx, &hdr);
	plan.total = rx.total_count;
	budget_port_set(ps->budget, port, &plan);
	for (q = 0; q < p->queue_count; q++) {
		if (queue_pools_create(&p->queues[q], port, q, &rx, &hdr))
			return error_set(err, -ENOMEM,
				"no memory for the pools of port %s (%u mbufs of %u bytes): add "
				"hugepages "
				"(echo 256 > /proc/sys/vm/nr_hugepages) or set memory higher",
				p->cfg->name, rx.total_count, rx.data_bytes);
		if (p->exception)
			p->queues[q].is.exception =
				exception_pool(exception_queue(p->exception, q));
	}
	return 0;
}

void ports_pools_destroy(struct engine_port *p)
{
	unsigned i;

	for (i = 0; i < p->queue_count; i++) {
		struct ports_queue *q = &p->queues[i].is;

		reserve_destroy(q->rx);
		reserve_destroy(q->hdr);
		rte_mempool_free(q->ext);
	}
}
