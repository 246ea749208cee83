/*
 * host_route.c - default routes: does the machine's way out leave by this NIC
 *
 * The default route names an interface, and that may be a bridge, a bond or a VLAN on top of the
 * NIC, or one on top of another. Taking the NIC cuts all of them off. So from the NIC upwards
 * every interface is found that is on it: its master (bridge, bond), and what names it as its
 * lower link (VLAN, macvlan), until nothing is added. A veth names its peer as link, which is not
 * below it.
 *
 * Asked of the kernel by netlink; nothing is changed. A router's table may have a million routes:
 * only default routes are kept.
 */
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <string.h>
#include "config/host/host.h"
#include "config/host/host_nl.h"

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
		for (struct nl_object *obj = nl_cache_get_first(links); obj;
			obj = nl_cache_get_next(obj)) {
			struct rtnl_link *link = (struct rtnl_link *)obj;

			if (is_in(s, rtnl_link_get_ifindex(link)))
				has_grown |= add(s, rtnl_link_get_master(link));
			else if (is_on_a_lower(link, s))
				has_grown |= add(s, rtnl_link_get_ifindex(link));
		}
	}
}

/* ---- default routes ---- */

struct walk {
	void (*fn)(struct rtnl_route *route, void *arg);
	void *arg;
};

static int on_route(struct nl_msg *msg, void *arg)
{
	const struct walk *w = arg;
	struct nlmsghdr *header = nlmsg_hdr(msg);
	const struct rtmsg *rt = nlmsg_data(header);
	struct rtnl_route *route;

	if (header->nlmsg_type != RTM_NEWROUTE || rt->rtm_dst_len || rt->rtm_type != RTN_UNICAST)
		return NL_OK;
	if (rtnl_route_parse(header, &route) < 0)
		return NL_OK;
	if (rtnl_route_get_table(route) == RT_TABLE_MAIN)
		w->fn(route, w->arg);
	rtnl_route_put(route);
	return NL_OK;
}

int host_default_routes(struct nl_sock *sock, int family,
	void (*fn)(struct rtnl_route *route, void *arg), void *arg)
{
	struct walk w = {fn, arg};
	struct rtmsg ask = {.rtm_family = (unsigned char)family};
	int rc;

	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_route, &w);
	rc = nl_send_simple(sock, RTM_GETROUTE, NLM_F_DUMP, &ask, sizeof(ask));
	if (rc >= 0)
		rc = nl_recvmsgs_default(sock);
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_DEFAULT, NULL, NULL);
	/* Changed while it was read: of a default route there will be news, and other routes are
	 * nothing to us. */
	return rc >= 0 || rc == -NLE_DUMP_INTR ? 0 : host_nl_errno(rc);
}

struct search {
	const struct stack *stack;
	int found; /* index of an interface of the stack, 0: none yet */
};

static void route_look(struct rtnl_route *route, void *arg)
{
	struct search *look = arg;

	for (int i = 0; i < rtnl_route_get_nnexthops(route) && !look->found; i++) {
		int index = rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(route, i));

		look->found = is_in(look->stack, index) ? index : 0;
	}
}

bool host_default_route_by(const char *iface, char *through, unsigned through_bytes)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct nl_cache *links = NULL;
	struct stack s = {0};
	char name[IF_NAMESIZE] = "";
	struct search look = {.stack = &s};

	if (sock && add(&s, (int)if_nametoindex(iface)) && nl_connect(sock, NETLINK_ROUTE) >= 0) {
		if (rtnl_link_alloc_cache(sock, AF_UNSPEC, &links) >= 0)
			stack_grow(links, &s);
		host_default_routes(sock, AF_INET, route_look, &look);
		host_default_routes(sock, AF_INET6, route_look, &look);
	}
	if (look.found && if_indextoname((unsigned)look.found, name))
		snprintf(through, through_bytes, "%s", name);
	if (links)
		nl_cache_free(links);
	if (sock)
		nl_socket_free(sock);
	return look.found != 0;
}
