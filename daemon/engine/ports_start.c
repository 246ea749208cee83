/*
 * ports_start.c - a port from the configuration to its running workers, and back
 *
 * Start-up in the only order that works: open a port (which settles its ring sizes), compute the
 * pools from them, set the queues up on the pools, start the port, arm the reserve, start a worker
 * on each queue. From then on the memory is fixed. Tear-down is the same list backwards.
 *
 * Control thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "config/log.h"
#include "daemon/engine/ports_impl.h"
#include "dataplane/handover.h"

/* ---- addresses of a port ---- */

void ports_gateway_set(
	struct net_addr *a, const struct config_port *cfg, const struct host_iface *iface)
{
	const char *text = a->ip.family == AF_INET ? cfg->gateway : cfg->gateway6;
	const struct host_addr *known =
		a->ip.family == AF_INET ? &iface->gateway : &iface->gateway6;

	if (text[0] && inet_pton(a->ip.family, text, a->gateway.addr) == 1)
		a->gateway.family = a->ip.family;
	else if (known->family == a->ip.family) {
		a->gateway.family = known->family;
		memcpy(a->gateway.addr, known->addr, sizeof(known->addr));
	}
}

/* From the file if it names any, else what the kernel interface carries. */
static int addrs_collect(struct engine_port *p, struct error *err)
{
	const struct config_port *cfg = p->cfg;
	unsigned i;

	for (i = 0; i < cfg->address_count && p->addr_count < NET_ADDR_MAX; i++) {
		struct net_addr *a = &p->addrs[p->addr_count];

		if (config_cidr_parse(cfg->address[i], &a->ip.family, a->ip.addr, &a->prefix_bits))
			return error_set(err, -EINVAL, "port %s: address %s is not CIDR", cfg->name,
				cfg->address[i]);
		p->addr_count++;
	}
	for (i = 0; !cfg->address_count && i < p->iface.addr_count && p->addr_count < NET_ADDR_MAX;
		i++) {
		struct net_addr *a = &p->addrs[p->addr_count++];

		a->ip.family = p->iface.addrs[i].family;
		a->prefix_bits = p->iface.addrs[i].prefix_bits;
		memcpy(a->ip.addr, p->iface.addrs[i].addr, sizeof(a->ip.addr));
	}
	if (!p->addr_count)
		return error_set(err, -EINVAL,
			"port %s has no address: write `address: 192.0.2.2/24` under it in the "
			"configuration",
			cfg->name);
	for (i = 0; i < p->addr_count; i++)
		ports_gateway_set(&p->addrs[i], cfg, &p->iface);
	return 0;
}

/* ---- start-up ---- */

/* DPDK's af_xdp driver gives EINVAL whatever the kernel's reason; so the usual ones are named. */
static int port_queues_setup(struct engine_port *p, struct error *err)
{
	const struct config_port *cfg = p->cfg;
	struct error why = {""};
	unsigned q;
	int rc = 0;

	for (q = 0; !rc && q < p->queue_count; q++)
		rc = port_queue_setup(p->port, (uint16_t)q, p->queues[q].is.rx, &why);
	if (rc && cfg->kind == DEVICE_AF_XDP)
		return error_set(err, rc,
			"port %s: the kernel refuses XDP on %s: set an MTU of 3500 or less (on "
			"both ends of a veth), remove other XDP programs, or use af_packet:%s (%s)",
			cfg->name, cfg->device, cfg->device, why.text);
	if (rc)
		return error_set(err, rc, "port %s: %s", cfg->name, why.text);
	return 0;
}

static int port_bring_up(struct ports *ps, unsigned idx, struct error *err)
{
	struct engine_port *p = &ps->list[idx];
	unsigned q;
	int rc;

	if (p->cfg->kind != DEVICE_PCI)
		host_iface_read(p->cfg->device, &p->iface, NULL);
	rc = addrs_collect(p, err);
	if (rc)
		return rc;
	p->queue_count = p->cfg->queues ? p->cfg->queues : 1;
	rc = port_open(p->cfg, idx, (uint16_t)p->queue_count, &p->port, err);
	if (!rc)
		p->stack_mtu = port_facts(p->port)->mtu;
	if (!rc)
		rc = ports_exception_open(p, idx, err);
	if (!rc)
		rc = ports_pools_create(ps, idx, err);
	if (!rc)
		rc = port_queues_setup(p, err);
	if (!rc)
		rc = port_start(p->port, err);
	for (q = 0; !rc && q < p->queue_count; q++) {
		ports_floor_update(ps, idx, q, "at start");
		reserve_arm(p->queues[q].is.rx);
		reserve_arm(p->queues[q].is.hdr);
	}
	return rc;
}

/* ---- local TCP ports ---- */

/*
 * Takes a TCP port from the kernel by binding a socket to it, so that both stacks never share one.
 * Never listened on. Out: the socket, with *port set; -1 where the kernel has none to give.
 */
static int local_port_take(uint16_t *port)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
	socklen_t len = sizeof(sa);
	int off = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
		getsockname(fd, (struct sockaddr *)&sa, &len)) {
		close(fd);
		return -1;
	}
	*port = ntohs(sa.sin6_port);
	return fd;
}

/* Worker @n of the daemon: the core the file says, else from the last one down of those we may use;
 * the first is left to the control thread where there is more than one. -1: not pinned. */
static int worker_cpu(const struct config_port *cfg, unsigned queue, unsigned n)
{
	uint16_t cpus[HOST_CPU_MAX];
	unsigned count = host_cpus(cpus, HOST_CPU_MAX);

	if (queue < cfg->cpu_count)
		return cfg->cpu[queue];
	return count > 1 ? cpus[count - 1 - n % count] : -1;
}

/*
 * A worker's TCP ports, for as long as it lives: the kernel's stack must not use one on which ours
 * may still wait in TIME-WAIT, and given back with each volume it would hand it out again at once.
 * Where several workers share a port they also tell whose a packet is.
 */
static void local_ports_take(struct engine_port *p, unsigned queue, struct worker_config *wc)
{
	struct engine_queue *q = &p->queues[queue];
	uint16_t port;

	while (q->port_fd_count < LOCAL_PORT_MAX) {
		int fd = local_port_take(&port);

		if (fd < 0)
			break; /* the kernel has no more to give; the workers have what they have */
		q->port_fds[q->port_fd_count++] = fd;
		if (p->handover)
			handover_port_add(p->handover, port, queue);
		wc->local_ports[wc->local_port_count++] = port;
	}
}

static int worker_make(struct ports *ps, unsigned port, unsigned q, unsigned idx, struct error *err)
{
	struct engine_port *p = &ps->list[port];
	struct worker_config wc = {
		.idx = idx,
		.cpu = worker_cpu(p->cfg, q, idx),
		.port = p->port,
		.queue = (uint16_t)q,
		.handover = p->handover,
		.siblings = p->workers,
		.conn_max = budget_queue(ps->budget, port, q)->conn_max,
		.rx_pool = p->queues[q].is.rx,
		.hdr_pool = p->queues[q].is.hdr,
		.ext_pool = p->queues[q].is.ext,
		.exception = p->exception ? exception_queue(p->exception, q) : NULL,
		.addr_count = p->addr_count,
		.rules = &ps->rules,
	};

	memcpy(wc.addrs, p->addrs, sizeof(wc.addrs));
	local_ports_take(p, q, &wc);
	p->queues[q].is.worker = p->workers[q] = worker_create(&wc, err);
	return p->workers[q] ? 0 : -ENOMEM;
}

/* Does the kernel have one of the port's addresses on the interface we share with it? */
static bool kernel_has_address(const struct engine_port *p)
{
	for (unsigned i = 0; i < p->addr_count; i++)
		for (unsigned k = 0; k < p->iface.addr_count; k++)
			if (p->addrs[i].ip.family == p->iface.addrs[k].family &&
				memcmp(p->addrs[i].ip.addr, p->iface.addrs[k].addr,
					sizeof(p->addrs[i].ip.addr)) == 0)
				return true;
	return false;
}

/*
 * Under af_packet the kernel hears our packets too, and resets our connections if it has our
 * address. It may be given the address later, so the guard is always requested, and required only
 * where it has the address now.
 */
static int guard_make(struct engine_port *p, struct error *err)
{
	uint16_t ports[WORKER_MAX * LOCAL_PORT_MAX];
	struct error why = {""};
	unsigned count = 0;

	if (p->cfg->kind != DEVICE_AF_PACKET)
		return 0;
	for (unsigned q = 0; q < p->queue_count; q++) {
		const struct worker_config *wc = worker_config(p->queues[q].is.worker);

		memcpy(ports + count, wc->local_ports, wc->local_port_count * sizeof(ports[0]));
		count += wc->local_port_count;
	}
	p->guard = host_guard_create(p->cfg->device, ports, count, &why);
	if (p->guard)
		return 0;
	if (!kernel_has_address(p)) {
		log_info("port %s: %s; the kernel must not be given its addresses", p->cfg->name,
			why.text);
		return 0;
	}
	return error_set(err, -ENOTSUP,
		"port %s: the kernel has its address and would reset its connections; %s; modprobe "
		"nf_tables, or write an `address:` under the port that the kernel does not have",
		p->cfg->name, why.text);
}

/* All are made before the first starts, for they look at one another. */
static int workers_start(struct ports *ps, unsigned idx, unsigned first, struct error *err)
{
	struct engine_port *p = &ps->list[idx];
	unsigned q;
	int rc = 0;

	if (p->queue_count > 1) {
		p->handover = handover_create(p->queue_count);
		if (!p->handover)
			return error_set(err, -ENOMEM, "out of memory");
	}
	for (q = 0; !rc && q < p->queue_count; q++)
		rc = worker_make(ps, idx, q, first + q, err);
	if (!rc)
		rc = guard_make(p, err);
	for (q = 0; !rc && q < p->queue_count; q++)
		rc = worker_start(p->queues[q].is.worker, err);
	return rc;
}

int ports_bring_up(struct ports *ps, unsigned idx, unsigned first, struct error *err)
{
	int rc = port_bring_up(ps, idx, err);

	return rc ? rc : workers_start(ps, idx, first, err);
}

/* Workers first: they use the ports. Ports before pools: their rings hold mbufs of them. */
void ports_take_down(struct engine_port *p)
{
	unsigned q;

	for (q = 0; q < p->queue_count; q++)
		worker_join(p->queues[q].is.worker);
	exception_stop(p->exception);
	port_stop(p->port);
	for (q = 0; q < p->queue_count; q++) {
		worker_destroy(p->queues[q].is.worker);
		while (p->queues[q].port_fd_count > 0)
			close(p->queues[q].port_fds[--p->queues[q].port_fd_count]);
	}
	host_guard_destroy(p->guard);
	handover_destroy(p->handover);
	port_close(p->port);
	exception_destroy(p->exception);
	ports_pools_destroy(p);
}
