/*
 * host_follow.c - news of the kernel's interfaces, by netlink, as they happen
 *
 * One subscription for links, addresses, routes and neighbours. What changed is not read out of the messages
 * but asked for anew with host_iface_read(): messages can be lost when there are many (the socket then says
 * so), and a snapshot cannot be half. Neighbours alone are taken as they come, since each is a hint that
 * may be missed.
 *
 * Control thread. A read is bounded, and never waits.
 */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>
#include "config/host/host.h"

#define READ_MAX 64 /* datagrams of one call; the descriptor stays readable if there are more */

struct host_follow {
	struct nl_sock *sock;
	/* of the read that is going on */
	struct host_neigh *out;
	unsigned count, max;
	bool has_changed;
};

static void neigh_take(struct host_follow *f, struct nlmsghdr *msg)
{
	struct ndmsg *nd = nlmsg_data(msg);
	struct nlattr *attr[NDA_MAX + 1];
	struct host_neigh *n;
	int bytes;

	if (f->count == f->max || nlmsg_parse(msg, sizeof(*nd), attr, NDA_MAX, NULL) < 0)
		return;
	bytes = nd->ndm_family == AF_INET ? 4 : 16;
	if ((nd->ndm_family != AF_INET && nd->ndm_family != AF_INET6) || !attr[NDA_DST] || !attr[NDA_LLADDR])
		return;
	if (!(nd->ndm_state & (NUD_REACHABLE | NUD_PERMANENT)) || nla_len(attr[NDA_DST]) != bytes ||
		nla_len(attr[NDA_LLADDR]) != (int)sizeof(n->mac))
		return;
	n = &f->out[f->count++];
	*n = (struct host_neigh){.index = nd->ndm_ifindex, .family = nd->ndm_family};
	memcpy(n->addr, nla_data(attr[NDA_DST]), (size_t)bytes);
	memcpy(n->mac, nla_data(attr[NDA_LLADDR]), sizeof(n->mac));
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct host_follow *f = arg;
	struct nlmsghdr *header = nlmsg_hdr(msg);

	if (header->nlmsg_type == RTM_NEWNEIGH)
		neigh_take(f, header);
	else if (header->nlmsg_type != RTM_DELNEIGH)
		f->has_changed = true;
	return NL_OK;
}

struct host_follow *host_follow_create(struct error *err)
{
	struct host_follow *f = calloc(1, sizeof(*f));
	int rc = -NLE_NOMEM;

	if (f)
		f->sock = nl_socket_alloc();
	if (!f || !f->sock)
		goto err;
	nl_socket_disable_seq_check(f->sock);
	rc = nl_socket_modify_cb(f->sock, NL_CB_VALID, NL_CB_CUSTOM, on_message, f);
	if (rc >= 0)
		rc = nl_connect(f->sock, NETLINK_ROUTE);
	if (rc >= 0)
		rc = nl_socket_add_memberships(f->sock, RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR,
			RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0);
	if (rc >= 0)
		rc = nl_socket_set_nonblocking(f->sock);
	if (rc >= 0)
		return f;

err:
	error_set(err, -EIO, "the kernel's interfaces cannot be followed: %s", nl_geterror(rc));
	host_follow_destroy(f);
	return NULL;
}

void host_follow_destroy(struct host_follow *f)
{
	if (!f)
		return;
	nl_socket_free(f->sock);
	free(f);
}

int host_follow_fd(const struct host_follow *f)
{
	return nl_socket_get_fd(f->sock);
}

unsigned host_follow_read(struct host_follow *f, struct host_neigh *out, unsigned max, bool *has_changed)
{
	unsigned i;
	int rc = 0;

	f->out = out;
	f->max = max;
	f->count = 0;
	f->has_changed = false;
	for (i = 0; i < READ_MAX && rc >= 0; i++)
		rc = nl_recvmsgs_default(f->sock);
	if (rc < 0 && rc != -NLE_AGAIN)
		f->has_changed = true; /* news were lost */
	*has_changed = f->has_changed;
	return f->count;
}
