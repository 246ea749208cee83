/*
 * port_exception.c - does a port share its NIC with the kernel, and the kernel's end of it
 *
 * The end is an interface of the kernel's, sluiceN, that comes up with what the NIC had before it
 * was bound to vfio-pci: its MAC, its MTU, the port's addresses and, if a gateway is configured, a
 * default route behind all others. So ssh to the port's address goes on working.
 *
 * On af_packet the kernel sees the interface's packets anyway, and an af_xdp interface that carries
 * addresses would meet itself; there `auto` means off, and status says why. Where `auto` cannot
 * have a tap the daemon still starts: storage comes first, and nothing else was promised.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "config/log.h"
#include "daemon/engine/ports_impl.h"

static void off(struct engine_port *p, const char *why)
{
	snprintf(p->exception_why, sizeof(p->exception_why), "%s", why);
	log_info("port %s: no exception port: %s", p->cfg->name, why);
}

/* False, with the reason noted, if @p is to do without. */
static bool is_wanted(struct engine_port *p)
{
	bool is_auto = p->cfg->exception == EXCEPTION_AUTO;

	if (p->cfg->exception == EXCEPTION_OFF)
		off(p, "other traffic is dropped (exception: off)");
	else if (is_auto && p->cfg->kind == DEVICE_AF_PACKET)
		off(p, "the kernel receives other traffic from the interface itself (af_packet)");
	else if (is_auto && p->cfg->kind == DEVICE_AF_XDP && p->iface.addr_count &&
		 !p->cfg->address_count)
		off(p, "other traffic is dropped: the kernel has the addresses of the af_xdp "
		       "interface; give "
		       "them to the port as `address:` instead");
	else
		return true;
	return false;
}

static void note(const struct error *err)
{
	log_warn("exception port: %s", err->text);
}

/* What fails here costs the kernel's end something, and storage nothing. */
static void iface_set_up(struct engine_port *p)
{
	const char *iface = p->exception_iface;
	struct error err = {""};
	unsigned i;

	if (host_iface_mtu_set(iface, port_facts(p->port)->mtu, &err))
		note(&err);
	for (i = 0; i < p->cfg->address_count && i < p->addr_count; i++) {
		struct host_addr a = {
			.family = p->addrs[i].ip.family, .prefix_bits = p->addrs[i].prefix_bits};

		memcpy(a.addr, p->addrs[i].ip.addr, sizeof(a.addr));
		if (host_iface_addr_add(iface, &a, &err))
			note(&err);
	}
	if (host_iface_up(iface, &err))
		note(&err);
	for (i = 0; i < p->addr_count; i++) {
		struct host_addr gw = {.family = p->addrs[i].gateway.family};

		memcpy(gw.addr, p->addrs[i].gateway.addr, sizeof(gw.addr));
		if (gw.family && host_iface_default_add(iface, &gw, &err))
			note(&err);
	}
}

void ports_exception_shape(const struct port_facts *f, struct exception_config *out)
{
	*out = (struct exception_config){
		.mtu = f->mtu,
		.queue_count = f->queues,
		.tx_count = f->tx_ring,
		.hold_count = HOLD_MAX,
	};
}

int ports_exception_open(struct engine_port *p, unsigned idx, struct error *err)
{
	const struct port_facts *f = port_facts(p->port);
	struct exception_config cfg;
	struct error why = {""};
	char note_text[ERROR_TEXT_BYTES];

	if (!is_wanted(p))
		return 0;
	ports_exception_shape(f, &cfg);
	cfg.iface = p->exception_iface;
	cfg.port_idx = idx;
	if (p->cfg->exception_iface[0])
		snprintf(p->exception_iface, sizeof(p->exception_iface), "%s",
			p->cfg->exception_iface);
	else
		snprintf(p->exception_iface, sizeof(p->exception_iface), "sluice%u", idx);
	memcpy(cfg.mac, f->mac, sizeof(cfg.mac));
	p->exception = exception_create(&cfg, &why);
	if (p->exception) {
		port_multicast_all(p->port); /* the kernel has groups of its own to listen to */
		iface_set_up(p);
		log_info("port %s: the kernel shares it through "
			 "%s",
			p->cfg->name, p->exception_iface);
		return exception_start(p->exception, err);
	}
	if (p->cfg->exception == EXCEPTION_TAP)
		return error_set(err, -EIO, "port %s: exception: %s", p->cfg->name, why.text);
	snprintf(note_text, sizeof(note_text), "other traffic is dropped: %.400s", why.text);
	off(p, note_text);
	return 0;
}
