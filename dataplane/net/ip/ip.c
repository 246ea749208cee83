/*
 * ip.c - the path to an address: source, next hop, MTU
 *
 * A path is found once a connection and is a plain value, so it may go out of date: the slot in the
 * neighbour cache is checked by its generation with each packet, addresses and gateways by
 * tcp_path_changed(). There is no routing table: a remote is on the link of one of our addresses,
 * or behind a gateway of its family, and that is all a storage client's port needs.
 */
#include "dataplane/net/ip/ip.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/net_impl.h"

/* The address whose subnet holds @remote with the longest prefix. */
static const struct net_addr *on_link(const struct net *net, const struct net_ip *remote)
{
	const struct net_addr *best = NULL;

	for (unsigned i = 0; i < net->cfg.addr_count; i++) {
		const struct net_addr *a = &net->cfg.addrs[i];

		if (a->ip.family != remote->family ||
			!ip_prefix_match(&a->ip, remote, a->prefix_bits))
			continue;
		if (!best || a->prefix_bits > best->prefix_bits)
			best = a;
	}
	return best;
}

static const struct net_addr *with_gateway(const struct net *net, uint8_t family)
{
	for (unsigned i = 0; i < net->cfg.addr_count; i++) {
		const struct net_addr *a = &net->cfg.addrs[i];

		if (a->ip.family == family && a->gateway.family == family)
			return a;
	}
	return NULL;
}

/* Source and next hop for @remote; NULL: there is no way. */
static const struct net_addr *route(const struct net *net, const struct net_ip *remote,
	struct net_ip *next_hop)
{
	const struct net_addr *a = on_link(net, remote);

	*next_hop = *remote;
	if (a && remote->family == AF_INET)
		return a;
	if (a || (remote->family == AF_INET6 && ip_is_link_local(remote)))
		return ip_local_for(net, remote);
	a = with_gateway(net, remote->family);
	if (!a)
		return NULL;
	*next_hop = a->gateway;
	return remote->family == AF_INET ? a : ip_local_for(net, remote);
}

int ip_path_find(struct net *net, const struct net_ip *remote, struct ip_path *out)
{
	struct ip_path path = {.remote = *remote, .mtu = net->cfg.mtu};
	const struct net_addr *local;

	if (!ip_is_routable(remote) || ip_is_ours(net, remote))
		return -ENETUNREACH;
	if (!ip_local_for(net, remote))
		return -EADDRNOTAVAIL;
	local = route(net, remote, &path.next_hop);
	if (!local)
		return -ENETUNREACH;
	path.local = local->ip;
	path.neigh_idx = neigh_want(net, &path.next_hop);
	if (path.neigh_idx != NEIGH_NONE)
		path.neigh_gen = net->neigh.slots[path.neigh_idx].gen;
	*out = path;
	return 0;
}

int ip_path_renew(struct net *net, struct ip_path *path)
{
	const struct net_ip local = path->local;
	bool may_fragment = path->may_fragment;
	int rc = ip_path_find(net, &path->remote, path);

	path->local = local;
	path->may_fragment = may_fragment;
	return rc;
}

static bool has_neigh(const struct net *net, const struct ip_path *path)
{
	return path->neigh_idx != NEIGH_NONE &&
	       net->neigh.slots[path->neigh_idx].gen == path->neigh_gen;
}

void ip_path_doubt(struct net *net, struct ip_path *path, uint64_t now_us)
{
	if (ip_path_renew(net, path) == 0 && has_neigh(net, path))
		neigh_doubt(net, path->neigh_idx, now_us);
}

void ip_path_confirm(struct net *net, struct ip_path *path, uint64_t now_us)
{
	if (has_neigh(net, path))
		neigh_confirm(net, path->neigh_idx, now_us);
}
