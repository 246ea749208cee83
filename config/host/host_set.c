/*
 * host_set.c - what we change on the kernel's end of an exception port, by netlink
 *
 * The interface is ours and new, and what goes on it stands in our own configuration: addresses,
 * MTU, the link's state. So a machine whose only NIC was taken by DPDK is reached as before.
 * Nothing of another interface is touched, and the default route is one that any other goes before.
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <string.h>
#include "config/host/host.h"
#include "config/host/host_nl.h"

#define DEFAULT_METRIC 20000 /* DHCP and router advertisements use hundreds and thousands */

/* What is to be done with a connected socket; -libnl's error. */
typedef int change_fn(struct nl_sock *sock, int index, const void *arg);

static int change(
	const char *name, const char *what, change_fn *fn, const void *arg, struct error *err)
{
	struct nl_sock *sock = nl_socket_alloc();
	int index = (int)if_nametoindex(name), rc;

	if (!sock)
		return error_set(err, -ENOMEM, "%s: no memory for a netlink socket", name);
	rc = index ? nl_connect(sock, NETLINK_ROUTE) : -NLE_NODEV;
	if (rc >= 0)
		rc = fn(sock, index, arg);
	nl_socket_free(sock);
	if (rc >= 0 || rc == -NLE_EXIST) /* it is as requested */
		return 0;
	return error_set(err, host_nl_errno(rc), "%s: %s: %s", name, what, nl_geterror(rc));
}

static int link_change(struct nl_sock *sock, int index, struct rtnl_link *wanted)
{
	struct rtnl_link *link = rtnl_link_alloc();
	int rc = -NLE_NOMEM;

	if (link && wanted) {
		rtnl_link_set_ifindex(link, index);
		rc = rtnl_link_change(sock, link, wanted, 0);
	}
	rtnl_link_put(link);
	rtnl_link_put(wanted);
	return rc;
}

static int mtu_change(struct nl_sock *sock, int index, const void *arg)
{
	struct rtnl_link *wanted = rtnl_link_alloc();

	if (wanted)
		rtnl_link_set_mtu(wanted, *(const uint16_t *)arg);
	return link_change(sock, index, wanted);
}

int host_iface_mtu_set(const char *name, uint16_t mtu, struct error *err)
{
	return change(name, "its MTU", mtu_change, &mtu, err);
}

static int up_change(struct nl_sock *sock, int index, const void *arg)
{
	struct rtnl_link *wanted = rtnl_link_alloc();

	if (wanted)
		rtnl_link_set_flags(wanted, IFF_UP);
	return link_change(sock, index, wanted);
}

int host_iface_up(const char *name, struct error *err)
{
	return change(name, "setting it up", up_change, NULL, err);
}

static int carrier_change(struct nl_sock *sock, int index, const void *arg)
{
	struct rtnl_link *wanted = rtnl_link_alloc();

	if (wanted)
		rtnl_link_set_carrier(wanted, *(const bool *)arg);
	return link_change(sock, index, wanted);
}

int host_iface_carrier_set(const char *name, bool is_on, struct error *err)
{
	return change(name, "its carrier", carrier_change, &is_on, err);
}

static struct nl_addr *addr_build(const struct host_addr *a, unsigned bits)
{
	struct nl_addr *addr = nl_addr_build(a->family, a->addr, a->family == AF_INET ? 4 : 16);

	if (addr)
		nl_addr_set_prefixlen(addr, (int)bits);
	return addr;
}

/* No duplicate address detection: the dataplane speaks for the address already. */
static int addr_change(struct nl_sock *sock, int index, const void *arg)
{
	const struct host_addr *a = arg;
	struct nl_addr *local = addr_build(a, a->prefix_bits);
	struct rtnl_addr *addr = rtnl_addr_alloc();
	int rc = -NLE_NOMEM;

	if (local && addr) {
		rtnl_addr_set_ifindex(addr, index);
		rtnl_addr_set_local(addr, local);
		if (a->family == AF_INET6)
			rtnl_addr_set_flags(addr, IFA_F_NODAD);
		rc = rtnl_addr_add(sock, addr, 0);
	}
	rtnl_addr_put(addr);
	nl_addr_put(local);
	return rc;
}

int host_iface_addr_add(const char *name, const struct host_addr *addr, struct error *err)
{
	return change(name, "an address", addr_change, addr, err);
}

static int default_change(struct nl_sock *sock, int index, const void *arg)
{
	const struct host_addr *a = arg;
	const struct host_addr any = {.family = a->family};
	struct nl_addr *dst = addr_build(&any, 0),
		       *via = addr_build(a, a->family == AF_INET ? 32 : 128);
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct rtnl_route *route = rtnl_route_alloc();
	int rc = -NLE_NOMEM;

	if (dst && via && hop && route) {
		rtnl_route_nh_set_ifindex(hop, index);
		rtnl_route_nh_set_gateway(hop, via);
		rtnl_route_add_nexthop(route, hop);
		hop = NULL; /* the route's now */
		rtnl_route_set_family(route, a->family);
		rtnl_route_set_dst(route, dst);
		rtnl_route_set_priority(route, DEFAULT_METRIC);
		rtnl_route_set_protocol(route, RTPROT_STATIC);
		rc = rtnl_route_add(sock, route, NLM_F_EXCL);
	}
	if (hop)
		rtnl_route_nh_free(hop);
	rtnl_route_put(route);
	nl_addr_put(via);
	nl_addr_put(dst);
	return rc;
}

int host_iface_default_add(const char *name, const struct host_addr *gateway, struct error *err)
{
	return change(name, "a default route", default_change, gateway, err);
}
