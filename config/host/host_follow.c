/*
 * host_follow.c - news of the kernel's interfaces, by netlink, as they happen
 *
 * One subscription for links, addresses, default routes and neighbours. What changed is not read
 * out of the messages but asked for anew with host_iface_read(): messages can be lost when there
 * are many (the socket then says so), and a snapshot cannot be half. Neighbours alone are taken as
 * they come, since each is a hint that may be missed.
 *
 * Control thread. A read is bounded, and never waits.
 */
#include <errno.h>
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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
	if ((nd->ndm_family != AF_INET && nd->ndm_family != AF_INET6) || !attr[NDA_DST] ||
		!attr[NDA_LLADDR])
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

/*
 * Routes other than default ones end in the kernel: a router changes thousands of them a second,
 * which are nothing to us, and each would wake us, or fill the socket until news that matter are
 * lost. A message is one change: its header, whose type is at 4, and then the rtmsg, whose prefix
 * length is at 17. Loads are big-endian, the type is not.
 */
static int routes_filter(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 2),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
			NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_dst_len)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
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
	if (rc >= 0 && routes_filter(nl_socket_get_fd(f->sock)))
		rc = -NLE_FAILURE;
	if (rc >= 0)
		rc = nl_socket_add_memberships(f->sock, RTNLGRP_LINK, RTNLGRP_NEIGH,
			RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
			RTNLGRP_IPV6_ROUTE, 0);
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

unsigned host_follow_read(
	struct host_follow *f, struct host_neigh *out, unsigned max, bool *has_changed)
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
