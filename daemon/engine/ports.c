/*
 * ports.c - the ports and their workers as one object the control thread can operate
 *
 * A port is opened and started once (ports_start.c), with pools of a fixed size (ports_pools.c).
 * While it runs its floors move as devices come and go, it follows what changes on the kernel's end
 * (port_follow.c), and limits what the kernel gets while that is short of memory (port_shortage.c).
 * Nothing here knows a device: devices post commands to a queue's worker themselves.
 *
 * Control thread only.
 */
#include "daemon/engine/ports.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/engine/ports_impl.h"
#include "dataplane/handover.h"

struct ports *ports_create(
	const struct config *cfg, struct budget *budget, struct clock *clock, struct error *err)
{
	struct ports *ps = calloc(1, sizeof(*ps));
	unsigned i, first = 0;

	if (!ps) {
		error_set(err, -ENOMEM, "out of memory");
		return NULL;
	}
	ps->cfg = cfg;
	ps->budget = budget;
	ps->clock = clock;
	ports_rules_of(cfg, &ps->rules);
	ports_shortage_start(ps);
	host_files_allow();
	for (i = 0; i < cfg->port_count; i++) {
		ps->list[i].cfg = &cfg->ports[i];
		ps->count = i + 1;
		if (ports_bring_up(ps, i, first, err)) {
			ports_destroy(ps);
			return NULL;
		}
		first += ps->list[i].queue_count;
	}
	ports_follow_start(ps);
	return ps;
}

void ports_destroy(struct ports *ps)
{
	if (!ps)
		return;
	for (unsigned i = 0; i < ps->count; i++)
		ports_take_down(&ps->list[i]);
	host_follow_destroy(ps->follow);
	free(ps);
}

void ports_poll(struct ports *ps, uint64_t now_us)
{
	for (unsigned i = 0; i < ps->count; i++)
		for (unsigned q = 0; q < ps->list[i].queue_count; q++) {
			struct engine_queue *queue = &ps->list[i].queues[q];

			backlog_poll(&queue->backlog, queue->is.worker);
		}
	ports_alarm_poll(ps);
	ports_follow_poll(ps, now_us);
	ports_shortage_poll(ps, now_us);
}

/* ---- facts ---- */

unsigned ports_count(const struct ports *ps)
{
	return ps->count;
}

const struct config_port *ports_cfg(const struct ports *ps, unsigned port)
{
	return ps->list[port].cfg;
}

unsigned ports_queue_count(const struct ports *ps, unsigned port)
{
	return ps->list[port].queue_count;
}

const struct ports_queue *ports_queue(const struct ports *ps, unsigned port, unsigned queue)
{
	assert(port < ps->count && queue < ps->list[port].queue_count);
	return &ps->list[port].queues[queue].is;
}

unsigned ports_pool_count(const struct ports *ps)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ps->count; i++)
		n += ps->list[i].queue_count;
	return n;
}

bool ports_pool_at(const struct ports *ps, unsigned idx, unsigned *port, unsigned *queue)
{
	for (unsigned i = 0; i < ps->count; i++) {
		if (idx < ps->list[i].queue_count) {
			*port = i;
			*queue = idx;
			return true;
		}
		idx -= ps->list[i].queue_count;
	}
	return false;
}

static bool prefix_has(const struct net_addr *a, const struct net_ip *ip)
{
	unsigned bytes = a->prefix_bits / 8, bits = a->prefix_bits % 8;

	if (a->ip.family != ip->family || memcmp(a->ip.addr, ip->addr, bytes) != 0)
		return false;
	return bits == 0 || ((a->ip.addr[bytes] ^ ip->addr[bytes]) >> (8 - bits)) == 0;
}

unsigned ports_reach(const struct ports *ps, unsigned port, const struct net_ip *ip)
{
	const struct engine_port *p = &ps->list[port];
	unsigned best = 0, k;

	for (k = 0; k < p->addr_count; k++) {
		if (prefix_has(&p->addrs[k], ip))
			return 2;
		if (p->addrs[k].gateway.family == ip->family)
			best = 1;
	}
	return best;
}

void ports_info(const struct ports *ps, unsigned port, struct ports_info *out)
{
	const struct engine_port *p = &ps->list[port];

	*out = (struct ports_info){
		.cfg = p->cfg,
		.worker_count = p->queue_count,
		.iface = p->iface,
		.facts = port_facts(p->port),
		.is_link_up = port_link_up(p->port),
		.addr_count = p->addr_count,
		.exception_iface = p->exception ? p->exception_iface : NULL,
		.exception_why = p->exception_why,
	};
	memcpy(out->addrs, p->addrs, sizeof(out->addrs));
	port_stats(p->port, &out->stats);
}

void ports_bytes(const struct ports *ps, struct ports_bytes *out)
{
	*out = (struct ports_bytes){.tables = sizeof(*ps)};
	for (unsigned i = 0; i < ps->count; i++) {
		const struct engine_port *p = &ps->list[i];

		out->handover += p->handover ? handover_bytes(p->queue_count) : 0;
		out->exceptions += p->exception ? p->queue_count : 0;
		out->sockets += port_facts(p->port)->socket_bytes;
	}
}
