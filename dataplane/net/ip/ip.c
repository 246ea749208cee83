/*
 * ip.c - addresses, and the way to one of them
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

static uint32_t addr_bytes(const struct net_ip *ip)
{
	return ip->family == AF_INET ? 4 : 16;
}

struct net_ip ip6_addr(const void *bytes)
{
	struct net_ip ip = {.family = AF_INET6};

	memcpy(ip.addr, bytes, 16);
	return ip;
}

bool ip_is_ours(const struct net *net, const struct net_ip *ip)
{
	for (unsigned i = 0; i < net->cfg.addr_count; i++) {
		if (ip_equal(&net->cfg.addrs[i].ip, ip))
			return true;
	}
	return false;
}

bool ip_is_multicast(const struct net_ip *ip)
{
	return ip->family == AF_INET ? (ip->addr[0] & 0xf0) == 0xe0 : ip->addr[0] == 0xff;
}

/* Leading bits both have in common. */
static unsigned common_bits(const struct net_ip *a, const struct net_ip *b)
{
	uint32_t bytes = addr_bytes(a);

	assert(a->family == b->family);
	for (uint32_t i = 0; i < bytes; i++) {
		uint8_t diff = a->addr[i] ^ b->addr[i];

		if (diff)
			return i * 8 + (unsigned)__builtin_clz(diff) - 24;
	}
	return bytes * 8;
}

bool ip_prefix_match(const struct net_ip *a, const struct net_ip *b, uint8_t bits)
{
	return common_bits(a, b) >= bits;
}

static bool is_link_local(const struct net_ip *ip)
{
	if (ip->family == AF_INET)
		return ip->addr[0] == 169 && ip->addr[1] == 254;
	return ip->addr[0] == 0xfe && (ip->addr[1] & 0xc0) == 0x80;
}

/* Loopback, this-network and the rest of what is never a host on a wire. */
static bool is_routable(const struct net_ip *ip)
{
	static const struct net_ip none6 = {.family = AF_INET6};
	static const struct net_ip loop6 = {.family = AF_INET6, .addr = {[15] = 1}};

	if (ip_is_multicast(ip))
		return false;
	if (ip->family == AF_INET)
		return ip->addr[0] != 0 && ip->addr[0] != 127 && ip->addr[0] < 240;
	return !ip_equal(ip, &none6) && !ip_equal(ip, &loop6);
}

/* All of a subnet of ours (RFC 1122 3.2.1.3 f); of /31 and /32 there is no such address. */
static bool is_subnet_broadcast(const struct net_addr *a, const struct net_ip *ip)
{
	struct net_ip last = a->ip;

	if (ip->family != AF_INET || a->ip.family != AF_INET || a->prefix_bits > 30)
		return false;
	for (unsigned bit = a->prefix_bits; bit < 32; bit++)
		last.addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return ip_equal(&last, ip);
}

bool ip_is_possible_source(const struct net *net, const struct net_ip *ip)
{
	if (!is_routable(ip) || ip_is_ours(net, ip))
		return false;
	for (unsigned i = 0; i < net->cfg.addr_count; i++) {
		if (is_subnet_broadcast(&net->cfg.addrs[i], ip))
			return false;
	}
	return true;
}

/* RFC 6724 5, rules 2 and 8: of the same scope if any, then the longest common prefix. */
static bool is_better_source(const struct net_addr *a, const struct net_addr *best,
	const struct net_ip *remote)
{
	bool is_local = is_link_local(remote);

	if (!best)
		return true;
	if (is_link_local(&a->ip) != is_link_local(&best->ip))
		return is_link_local(&a->ip) == is_local;
	return common_bits(&a->ip, remote) > common_bits(&best->ip, remote);
}

const struct net_addr *ip_local_for(const struct net *net, const struct net_ip *ip)
{
	const struct net_addr *best = NULL;

	for (unsigned i = 0; i < net->cfg.addr_count; i++) {
		const struct net_addr *a = &net->cfg.addrs[i];

		if (a->ip.family == ip->family && is_better_source(a, best, ip))
			best = a;
	}
	return best;
}

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
	if (a || (remote->family == AF_INET6 && is_link_local(remote)))
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

	if (!is_routable(remote) || ip_is_ours(net, remote))
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
	int rc = ip_path_find(net, &path->remote, path);

	path->local = local;
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
