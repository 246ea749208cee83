/*
 * addr.c - IP addresses: which are ours, which can be a host, which of ours to use
 *
 * Below ARP, ND, IP and TCP alike, so it knows the addresses of struct net and nothing that sends.
 * The rules are those of RFC 1122 3.2.1.3 (IPv4), RFC 4291 2 (IPv6) and RFC 6724 5 (choice of a
 * source). No state, no allocation; worker thread.
 */
#include "dataplane/net/addr.h"

#include <assert.h>
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

bool ip_is_link_local(const struct net_ip *ip)
{
	if (ip->family == AF_INET)
		return ip->addr[0] == 169 && ip->addr[1] == 254;
	return ip->addr[0] == 0xfe && (ip->addr[1] & 0xc0) == 0x80;
}

/* Loopback, this-network and the rest of what is never a host on a wire. */
bool ip_is_routable(const struct net_ip *ip)
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
	if (!ip_is_routable(ip) || ip_is_ours(net, ip))
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
	bool is_local = ip_is_link_local(remote);

	if (!best)
		return true;
	if (ip_is_link_local(&a->ip) != ip_is_link_local(&best->ip))
		return ip_is_link_local(&a->ip) == is_local;
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
