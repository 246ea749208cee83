/*
 * engine_make.c - what a volume needs before a worker can have it
 *
 * Its servers' addresses (the control thread asks the name server, so that a worker never waits for
 * one), the port that reaches them, local TCP ports taken from the kernel, its share of the reserve
 * with named owners in the ledger, and the struct volume itself. And the same list backwards.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "config/log.h"
#include "dataplane/dma.h"
#include "dataplane/engine_impl.h"

/* ---- finding the way ---- */

static bool prefix_has(const struct net_addr *a, const struct net_ip *ip)
{
	unsigned bytes = a->prefix_bits / 8, bits = a->prefix_bits % 8;

	if (a->ip.family != ip->family || memcmp(a->ip.addr, ip->addr, bytes) != 0)
		return false;
	return bits == 0 || ((a->ip.addr[bytes] ^ ip->addr[bytes]) >> (8 - bits)) == 0;
}

/* The port whose subnet holds @ip, else the first with a gateway for its family, else -1. */
static int port_choose(const struct engine *e, const struct net_ip *ip)
{
	int gateway = -1;
	unsigned i, k;

	for (i = 0; i < e->port_count; i++)
		for (k = 0; k < e->ports[i].addr_count; k++) {
			const struct net_addr *a = &e->ports[i].addrs[k];

			if (prefix_has(a, ip))
				return (int)i;
			if (gateway < 0 && a->gateway.family == ip->family)
				gateway = (int)i;
		}
	return gateway;
}

static int resolve(const struct nbd_uri *uri, struct net_ip *ip, struct error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	int rc = getaddrinfo(uri->host, NULL, &hints, &list);

	if (rc)
		return error_set(err, -EHOSTUNREACH, "%s: %s; check the name or write the address", uri->host,
			gai_strerror(rc));
	memset(ip, 0, sizeof(*ip));
	ip->family = (uint8_t)list->ai_family;
	if (list->ai_family == AF_INET)
		memcpy(ip->addr, &((struct sockaddr_in *)(void *)list->ai_addr)->sin_addr, 4);
	else
		memcpy(ip->addr, &((struct sockaddr_in6 *)(void *)list->ai_addr)->sin6_addr, 16);
	freeaddrinfo(list);
	return 0;
}

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

/* ---- making the volume ---- */

static void owners_add(struct engine *e, struct engine_volume *v, struct volume_config *vc)
{
	struct reserve *rx = e->ports[v->port].queues[v->queue].rx;
	char name[NAME_BYTES_MAX];
	unsigned c;

	v->owner = reserve_owner_add(rx, v->cfg.name, OWNER_NONE, v->quota * v->cfg.connections);
	for (c = 0; c < v->cfg.connections; c++) {
		snprintf(name, sizeof(name), "%.40s/%u in-order", v->cfg.name, c);
		v->owner_in[c] = reserve_owner_add(rx, name, (uint16_t)v->owner, v->quota);
		snprintf(name, sizeof(name), "%.40s/%u out-of-order", v->cfg.name, c);
		v->owner_ooo[c] = reserve_owner_add(rx, name, (uint16_t)v->owner, v->quota / 4 * 3);
		vc->owner[c] = (uint16_t)v->owner_in[c];
		vc->owner_ooo[c] = (uint16_t)v->owner_ooo[c];
	}
}

static void owners_del(struct engine *e, struct engine_volume *v)
{
	struct reserve *rx = e->ports[v->port].queues[v->queue].rx;
	unsigned c;

	for (c = 0; c < v->cfg.connections; c++) {
		if (v->owner_in[c] > 0 && reserve_owner_del(rx, (uint16_t)v->owner_in[c]))
			log_error("volume %s: mbufs still charged in order: a leak, see `sluice reserve leaks`",
				v->cfg.name);
		if (v->owner_ooo[c] > 0 && reserve_owner_del(rx, (uint16_t)v->owner_ooo[c]))
			log_error("volume %s: mbufs still charged out of order: a leak, see `sluice reserve leaks`",
				v->cfg.name);
	}
	if (v->owner > 0)
		reserve_owner_del(rx, (uint16_t)v->owner);
}

static int servers_resolve(struct engine_volume *v, struct volume_config *vc, struct error *err)
{
	unsigned i;
	int rc = 0;

	for (i = 0; !rc && i < v->cfg.uri_count; i++) {
		rc = nbd_uri_parse(v->cfg.uris[i], &vc->servers[i].uri, err);
		if (!rc)
			rc = resolve(&vc->servers[i].uri, &vc->servers[i].ip, err);
	}
	vc->server_count = v->cfg.uri_count;
	return rc;
}

int engine_volume_make(struct engine *e, struct engine_volume *v, struct error *err)
{
	struct volume_config *vc = calloc(1, sizeof(*vc));
	int port, rc = -ENOMEM;
	unsigned c;

	if (!vc)
		return error_set(err, -ENOMEM, "out of memory");
	snprintf(vc->name, sizeof(vc->name), "%s", v->cfg.name);
	vc->connections = v->cfg.connections;
	vc->queue_depth = v->cfg.queue_depth;
	vc->io_bytes_max = v->cfg.io_bytes_max;
	vc->on_dead = v->cfg.on_dead;
	vc->dead_us = v->cfg.dead_ms * 1000ull;
	vc->request_us = v->cfg.request_ms * 1000ull;
	vc->connect_us = v->cfg.connect_ms * 1000ull;
	vc->read_only = v->cfg.read_only;
	vc->probe_only = v->front_kind == FRONT_NONE;
	snprintf(vc->cc, sizeof(vc->cc), "%s", v->cfg.cc);
	vc->quota_mbufs = v->quota;
	vc->mbuf_payload_min = PAYLOAD_MIN;
	rc = servers_resolve(v, vc, err);
	if (rc)
		goto out;
	port = port_choose(e, &vc->servers[0].ip);
	if (port < 0) {
		rc = error_set(err, -ENETUNREACH,
			"no port reaches %s: give a port an address in its network, or a gateway",
			vc->servers[0].uri.host);
		goto out;
	}
	v->port = (unsigned)port;
	rc = engine_fits(e, v->port, v->queue, v->quota * v->cfg.connections, err);
	if (rc)
		goto out;
	for (c = 0; c < v->cfg.connections; c++)
		v->port_fd[c] = local_port_take(&vc->local_port[c]);
	rc = engine_ublk_staging(v, vc, err);
	if (rc)
		goto out;
	owners_add(e, v, vc);
	v->volume = volume_create(vc, err);
	rc = v->volume ? 0 : -ENOMEM;
out:
	free(vc);
	return rc;
}

bool engine_linger_has_room(const struct engine *e)
{
	unsigned i;

	for (i = 0; i < LINGER_MAX; i++)
		if (!e->lingering[i])
			return true;
	return false;
}

void engine_linger_poll(struct engine *e, bool all)
{
	unsigned i;

	for (i = 0; i < LINGER_MAX; i++) {
		if (!e->lingering[i] || (!all && stream_buf_busy(e->lingering[i])))
			continue;
		dma_buf_destroy(e->lingering[i]);
		e->lingering[i] = NULL;
	}
}

/* Some drivers look at finished transmissions only when they send again: a buffer may be referred to
 * long after its last byte was acknowledged. It is put aside, so that the detach need not wait. */
static void buf_put_aside(struct engine *e, struct stream_buf *buf)
{
	unsigned i;

	for (i = 0; buf && i < LINGER_MAX; i++)
		if (!e->lingering[i]) {
			e->lingering[i] = buf;
			break;
		}
	engine_linger_poll(e, false);
}

void engine_volume_free(struct engine *e, struct engine_volume *v)
{
	unsigned port = v->port, queue = v->queue, c;

	volume_destroy(v->volume);
	owners_del(e, v);
	buf_put_aside(e, v->buf);
	for (c = 0; c < VOLUME_CONN_MAX; c++)
		if (v->port_fd[c] >= 0)
			close(v->port_fd[c]);
	memset(v, 0, sizeof(*v));
	engine_floor_update(e, port, queue, "volume gone");
}
