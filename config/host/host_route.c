/*
 * host_route.c - does the machine's way out leave by this NIC
 *
 * The default route names an interface, and that may be a bridge, a bond or a VLAN on top of the NIC, or one on top of
 * another. Whoever takes the NIC cuts all of them off. So from the NIC upwards every interface is found that is on
 * it: its master (bridge, bond), and what names it as its lower link (VLAN, macvlan), until nothing is
 * added. A veth names its peer as link, which is not below it.
 *
 * Asked of the kernel by netlink, when the configuration is checked. Nothing is changed.
 */
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <string.h>
#include "config/host/host.h"

#define STACK_MAX 64 /* interfaces on one NIC */

struct stack {
	int index[STACK_MAX];
	unsigned count;
};

static bool is_in(const struct stack *s, int index)
{
	for (unsigned i = 0; i < s->count; i++)
		if (s->index[i] == index)
			return true;
	return false;
}

/* Out: true if @index was not there, and is now. */
static bool add(struct stack *s, int index)
{
	if (index <= 0 || is_in(s, index) || s->count == STACK_MAX)
		return false;
	s->index[s->count++] = index;
	return true;
}

static bool is_on_a_lower(struct rtnl_link *link, const struct stack *s)
{
	const char *type = rtnl_link_get_type(link);
	int netns;

	if (type && strcmp(type, "veth") == 0)
		return false;
	/* An index of another network namespace says nothing of ours. */
	return rtnl_link_get_link_netnsid(link, &netns) < 0 && is_in(s, rtnl_link_get_link(link));
}

/* Each round adds an interface or is the last. */
static void stack_grow(struct nl_cache *links, struct stack *s)
{
	bool has_grown = true;

	while (has_grown) {
		has_grown = false;
		for (struct nl_object *obj = nl_cache_get_first(links); obj; obj = nl_cache_get_next(obj)) {
			struct rtnl_link *link = (struct rtnl_link *)obj;

			if (is_in(s, rtnl_link_get_ifindex(link)))
				has_grown |= add(s, rtnl_link_get_master(link));
			else if (is_on_a_lower(link, s))
				has_grown |= add(s, rtnl_link_get_ifindex(link));
		}
	}
}

/* The interface of @s by which a default route leaves; 0: none does. */
static int default_by(struct nl_sock *sock, int family, const struct stack *s)
{
	struct nl_cache *routes;
	int found = 0;

	if (rtnl_route_alloc_cache(sock, family, 0, &routes) < 0)
		return 0;
	for (struct nl_object *obj = nl_cache_get_first(routes); obj && !found; obj = nl_cache_get_next(obj)) {
		struct rtnl_route *route = (struct rtnl_route *)obj;
		struct nl_addr *dst = rtnl_route_get_dst(route);

		if (rtnl_route_get_table(route) != RT_TABLE_MAIN || rtnl_route_get_type(route) != RTN_UNICAST || !dst ||
			nl_addr_get_prefixlen(dst) != 0)
			continue;
		for (int i = 0; i < rtnl_route_get_nnexthops(route) && !found; i++) {
			int index = rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(route, i));

			found = is_in(s, index) ? index : 0;
		}
	}
	nl_cache_free(routes);
	return found;
}

bool host_default_route_by(const char *iface, char *through, unsigned through_bytes)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct nl_cache *links = NULL;
	struct stack s = {0};
	char name[IF_NAMESIZE] = "";
	int found = 0;

	if (sock && add(&s, (int)if_nametoindex(iface)) && nl_connect(sock, NETLINK_ROUTE) >= 0) {
		if (rtnl_link_alloc_cache(sock, AF_UNSPEC, &links) >= 0)
			stack_grow(links, &s);
		found = default_by(sock, AF_INET, &s);
		if (!found)
			found = default_by(sock, AF_INET6, &s);
	}
	if (found && if_indextoname((unsigned)found, name))
		snprintf(through, through_bytes, "%s", name);
	if (links)
		nl_cache_free(links);
	if (sock)
		nl_socket_free(sock);
	return found != 0;
}
