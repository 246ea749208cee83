/*
 * port_follow.c - what changes on the kernel's end of a port, while everything runs
 *
 * The control thread gets the kernel's notifications (config/host/host_follow.c), reads the
 * interface again, and posts the differences to the workers: addresses and gateways, the MTU,
 * neighbours. And the other way round: when the NIC loses its link, the kernel's end loses its
 * carrier.
 *
 * Addresses of the configuration stay, whatever is done to the interface: an `ip addr flush` must
 * not take swap offline. Global addresses that the interface has besides become ours too, and go
 * with it. A larger MTU than the port was opened with is set back, because no buffer would hold
 * such a frame.
 */
#include <stdio.h>
#include <string.h>
#include "config/log.h"
#include "daemon/engine/ports_impl.h"

#define NEIGH_BATCH 16
/* Reading the kernel's interfaces takes at most a twentieth of the control thread's time. */
#define FOLLOW_REST 20u
#define LINK_US	    200000ull /* the NIC's link is looked at this often */

static const char *iface_of(const struct engine_port *p)
{
	if (p->exception)
		return p->exception_iface;
	return p->cfg->kind == DEVICE_PCI ? NULL : p->cfg->device;
}

static void post_all(struct engine_port *p, const struct worker_cmd *cmd)
{
	for (unsigned q = 0; q < p->queue_count; q++)
		backlog_post(&p->queues[q].backlog, p->queues[q].is.worker, cmd);
}

/* True while a worker may still read follow_addrs. */
static bool is_posted(const struct engine_port *p)
{
	for (unsigned q = 0; q < p->queue_count; q++)
		if (!backlog_done(&p->queues[q].backlog, p->queues[q].is.worker))
			return true;
	return false;
}

/* ---- MTU ---- */

static void mtu_set_back(const struct engine_port *p, const struct host_iface *now, uint16_t mtu)
{
	struct error err = {""};

	if (p->exception && host_iface_mtu_set(now->name, mtu, &err))
		log_warn("%s", err.text);
}

/* The longest datagram is a term of the sum: a larger MTU needs room in the pool, a smaller one
 * gives some back. */
static void mtu_follow(struct ports *ps, unsigned port, const struct host_iface *now)
{
	struct engine_port *p = &ps->list[port];
	uint16_t mtu_max = port_facts(p->port)->mtu;
	struct worker_cmd cmd = {.type = WORKER_MTU_SET, .n = now->mtu};
	struct error err = {""};

	if (now->mtu == p->stack_mtu || now->mtu < MTU_MIN)
		return;
	if (now->mtu > mtu_max) {
		log_warn("port %s: an MTU of %u on %s is more than the port's %u; set back",
			p->cfg->name, now->mtu, now->name, mtu_max);
		mtu_set_back(p, now, mtu_max);
		return;
	}
	if (!budget_mtu_fits(ps->budget, port, now->mtu, &err)) {
		log_warn("port %s: MTU stays at %u: %s", p->cfg->name, p->stack_mtu, err.text);
		mtu_set_back(p, now, p->stack_mtu);
		return;
	}
	log_info(
		"port %s: MTU %u -> %u, as on %s", p->cfg->name, p->stack_mtu, now->mtu, now->name);
	p->stack_mtu = now->mtu;
	budget_mtu_set(ps->budget, port, now->mtu);
	for (unsigned q = 0; q < p->queue_count; q++)
		ports_floor_update(ps, port, q, "the MTU changed");
	post_all(p, &cmd);
}

/* ---- addresses ---- */

static bool is_link_local(const struct host_addr *a)
{
	return a->family == AF_INET6 && a->addr[0] == 0xfe && (a->addr[1] & 0xc0) == 0x80;
}

static bool has(const struct worker_addrs *list, const struct host_addr *a)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->addrs[i].ip.family == a->family &&
			memcmp(list->addrs[i].ip.addr, a->addr, sizeof(a->addr)) == 0)
			return true;
	return false;
}

/* The file's first, then the interface's own, as far as there is room. */
static void addrs_of(
	const struct engine_port *p, const struct host_iface *now, struct worker_addrs *out)
{
	bool is_ours = p->exception || p->cfg->address_count == 0;

	*out = (struct worker_addrs){.count = p->cfg->address_count};
	memcpy(out->addrs, p->addrs, out->count * sizeof(out->addrs[0]));
	for (unsigned i = 0; is_ours && i < now->addr_count && out->count < NET_ADDR_MAX; i++) {
		const struct host_addr *a = &now->addrs[i];
		struct net_addr *to = &out->addrs[out->count];

		if (has(out, a) || (p->exception && is_link_local(a)))
			continue;
		to->ip.family = a->family;
		to->prefix_bits = a->prefix_bits;
		memcpy(to->ip.addr, a->addr, sizeof(to->ip.addr));
		out->count++;
	}
	for (unsigned i = 0; i < out->count; i++) {
		memset(&out->addrs[i].gateway, 0, sizeof(out->addrs[i].gateway));
		ports_gateway_set(&out->addrs[i], p->cfg, now);
	}
}

/* Out: false if it must be tried again, since the last change is not carried out yet. */
static bool addrs_follow(struct engine_port *p, const struct host_iface *now)
{
	struct worker_cmd cmd = {.type = WORKER_ADDRS_SET, .a = &p->follow_addrs};
	struct worker_addrs wanted;

	addrs_of(p, now, &wanted);
	if (wanted.count == 0)
		return true; /* the last one is kept: connections run over it */
	if (wanted.count == p->addr_count &&
		memcmp(wanted.addrs, p->addrs, wanted.count * sizeof(wanted.addrs[0])) == 0)
		return true;
	if (is_posted(p))
		return false;
	log_info("port %s: %u address(es) -> %u, as on %s", p->cfg->name, p->addr_count,
		wanted.count, now->name);
	memcpy(p->addrs, wanted.addrs, sizeof(p->addrs));
	p->addr_count = wanted.count;
	p->follow_addrs = wanted;
	post_all(p, &cmd);
	return true;
}

/* ---- neighbours ---- */

static void neigh_follow(struct ports *ps, const struct host_neigh *n)
{
	struct worker_cmd cmd = {.type = WORKER_NEIGH_HINT, .ip = {.family = n->family}};

	memcpy(cmd.ip.addr, n->addr, sizeof(cmd.ip.addr));
	memcpy(cmd.mac, n->mac, sizeof(cmd.mac));
	for (unsigned i = 0; i < ps->count; i++)
		for (unsigned q = 0;
			ps->list[i].iface.index == n->index && q < ps->list[i].queue_count; q++)
			if (!worker_post(ps->list[i].queues[q].is.worker, &cmd, NULL))
				break; /* only a hint: the worker resolves the neighbour itself */
}

/* ---- link ---- */

static void link_follow(struct engine_port *p)
{
	bool is_up = port_link_up(p->port);
	struct error err = {""};

	if (is_up == p->is_link_up)
		return;
	p->is_link_up = is_up;
	log_line(is_up ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "port %s: link is %s", p->cfg->name,
		is_up ? "up" : "down");
	if (p->exception && host_iface_carrier_set(p->exception_iface, is_up, &err))
		log_warn("%s", err.text);
}

/* ---- all of it ---- */

static void port_follow(struct ports *ps, unsigned port)
{
	struct engine_port *p = &ps->list[port];
	struct host_iface now;

	p->is_follow_due = false;
	if (!iface_of(p) || host_iface_read(iface_of(p), &now, NULL))
		return;
	if (now.is_up != p->iface.is_up && p->iface.index)
		log_info("port %s: %s is %s", p->cfg->name, now.name, now.is_up ? "up" : "down");
	mtu_follow(ps, port, &now);
	p->is_follow_due = !addrs_follow(p, &now);
	p->iface = now;
}

/*
 * With many routes and addresses a reading takes long: then the next waits, and changes that arrive
 * until then are combined.
 */
static void all_follow(struct ports *ps, uint64_t now_us)
{
	for (unsigned i = 0; i < ps->count; i++)
		if (ps->list[i].is_follow_due)
			port_follow(ps, i);
	ps->follow_due_us = now_us + FOLLOW_REST * (clock_now_us(ps->clock) - now_us);
}

void ports_follow_poll(struct ports *ps, uint64_t now_us)
{
	struct host_neigh neigh[NEIGH_BATCH];
	bool has_changed = false, is_link_due = now_us >= ps->link_due_us;
	unsigned n =
		ps->follow ? host_follow_read(ps->follow, neigh, NEIGH_BATCH, &has_changed) : 0;

	for (unsigned i = 0; i < n; i++)
		neigh_follow(ps, &neigh[i]);
	for (unsigned i = 0; i < ps->count; i++) {
		ps->list[i].is_follow_due |= has_changed;
		if (is_link_due)
			link_follow(&ps->list[i]);
	}
	if (is_link_due)
		ps->link_due_us = now_us + LINK_US;
	if (now_us >= ps->follow_due_us)
		all_follow(ps, now_us);
}

void ports_follow_start(struct ports *ps)
{
	struct error err = {""};

	ps->follow = host_follow_create(&err);
	if (!ps->follow)
		log_warn("%s", err.text);
	for (unsigned i = 0; i < ps->count; i++) {
		ps->list[i].is_link_up = port_link_up(ps->list[i].port);
		ps->list[i].is_follow_due = true;
	}
}
