/*
 * host.c - an interface as the kernel sees it, by netlink
 *
 * One snapshot: link, addresses, default routes. It is taken at start-up, and by the control
 * thread when the kernel reports a change; the datapath never asks. The only files that know libnl
 * are config/host*.c.
 *
 * Addresses come global scope first, because the first of a family is the one connections are
 * made from. A default route counts only in the main table and by the interface of a next hop,
 * so the far end of a tunnel or a VRF does not look like the machine's way out.
 */
#include <assert.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <string.h>
#include "config/host/host.h"
#include "config/host/host_nl.h"

int host_nl_errno(int nl_error)
{
	switch (-nl_error) {
	case NLE_EXIST:
		return -EEXIST;
	case NLE_NODEV:
	case NLE_OBJ_NOTFOUND:
		return -ENODEV;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_RANGE:
	case NLE_INVAL:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static void addr_copy(const struct nl_addr *from, struct host_addr *to)
{
	unsigned bytes = nl_addr_get_len(from);

	assert(bytes <= sizeof(to->addr));
	memset(to, 0, sizeof(*to));
	to->family = (uint8_t)nl_addr_get_family(from);
	to->prefix_bits = (uint8_t)nl_addr_get_prefixlen(from);
	memcpy(to->addr, nl_addr_get_binary_addr(from), bytes);
}

static int link_read(struct nl_sock *sock, const char *name, struct host_iface *out)
{
	struct rtnl_link *link = NULL;
	struct nl_addr *mac;
	int rc = rtnl_link_get_kernel(sock, 0, name, &link);

	if (rc < 0)
		return host_nl_errno(rc);
	snprintf(out->name, sizeof(out->name), "%s", name);
	out->index = rtnl_link_get_ifindex(link);
	out->mtu = (uint16_t)(rtnl_link_get_mtu(link) > UINT16_MAX ? UINT16_MAX
								   : rtnl_link_get_mtu(link));
	out->is_up = rtnl_link_get_flags(link) & IFF_UP;
	out->is_ethernet = rtnl_link_get_arptype(link) == ARPHRD_ETHER;
	mac = rtnl_link_get_addr(link);
	if (mac && nl_addr_get_len(mac) == sizeof(out->mac))
		memcpy(out->mac, nl_addr_get_binary_addr(mac), sizeof(out->mac));
	rtnl_link_put(link);
	return 0;
}

/* Appends the addresses of @out->index whose scope is global, or all the others. */
static void addrs_append(struct nl_cache *cache, bool is_global, struct host_iface *out)
{
	struct nl_object *obj = nl_cache_get_first(cache);

	for (; obj && out->addr_count < NET_ADDR_MAX; obj = nl_cache_get_next(obj)) {
		struct rtnl_addr *addr = (struct rtnl_addr *)obj;
		struct nl_addr *local = rtnl_addr_get_local(addr);
		int family = rtnl_addr_get_family(addr);

		if (rtnl_addr_get_ifindex(addr) != out->index || !local)
			continue;
		if (family != AF_INET && family != AF_INET6)
			continue;
		if ((rtnl_addr_get_scope(addr) == RT_SCOPE_UNIVERSE) != is_global)
			continue;
		addr_copy(local, &out->addrs[out->addr_count]);
		out->addrs[out->addr_count++].prefix_bits = (uint8_t)rtnl_addr_get_prefixlen(addr);
	}
}

static int addrs_read(struct nl_sock *sock, struct host_iface *out)
{
	struct nl_cache *cache;
	int rc = rtnl_addr_alloc_cache(sock, &cache);

	if (rc < 0)
		return host_nl_errno(rc);
	addrs_append(cache, true, out);
	addrs_append(cache, false, out);
	nl_cache_free(cache);
	return 0;
}

struct route_search {
	struct host_iface *out;
	struct host_addr *gateway; /* of the family asked for, in *out */
	uint32_t metric_min;
};

/* Of several default routes the kernel uses the one with the smallest metric, and so do we. */
static void route_take(struct rtnl_route *route, void *arg)
{
	struct route_search *s = arg;
	uint32_t metric = rtnl_route_get_priority(route);

	for (int i = 0; i < rtnl_route_get_nnexthops(route); i++) {
		struct rtnl_nexthop *hop = rtnl_route_nexthop_n(route, i);
		struct nl_addr *via = rtnl_route_nh_get_gateway(hop);

		if (rtnl_route_nh_get_ifindex(hop) != s->out->index)
			continue;
		if (s->gateway->family && metric >= s->metric_min)
			return;
		s->out->has_default_route = true;
		if (via) {
			addr_copy(via, s->gateway);
			s->metric_min = metric;
		}
		return;
	}
}

static int routes_read(
	struct nl_sock *sock, int family, struct host_addr *gateway, struct host_iface *out)
{
	struct route_search s = {.out = out, .gateway = gateway, .metric_min = UINT32_MAX};

	return host_default_routes(sock, family, route_take, &s);
}

static int iface_fill(struct nl_sock *sock, const char *name, struct host_iface *out)
{
	int rc = link_read(sock, name, out);

	if (rc == 0)
		rc = addrs_read(sock, out);
	if (rc == 0)
		rc = routes_read(sock, AF_INET, &out->gateway, out);
	if (rc == 0)
		rc = routes_read(sock, AF_INET6, &out->gateway6, out);
	return rc;
}

int host_iface_read(const char *name, struct host_iface *out, struct error *err)
{
	struct host_iface found = {0};
	struct nl_sock *sock = nl_socket_alloc();
	int rc;

	if (!sock)
		return error_set(err, -ENOMEM, "%s: no memory for a netlink socket", name);
	rc = nl_connect(sock, NETLINK_ROUTE);
	rc = rc < 0 ? host_nl_errno(rc) : iface_fill(sock, name, &found);
	nl_socket_free(sock);
	if (rc == -ENODEV)
		return error_set(err, rc,
			"there is no interface named %.32s; `ip link` lists those there are", name);
	if (rc)
		return error_set(
			err, rc, "%.32s: the kernel does not answer: %s", name, strerror(-rc));
	*out = found;
	return 0;
}
