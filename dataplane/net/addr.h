/*
 * addr.h - IP addresses: which are ours, which can be a host, which of ours to use
 */
#ifndef DATAPLANE_NET_ADDR_H
#define DATAPLANE_NET_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/stream.h"

struct net;
struct net_addr;

static inline bool ip_equal(const struct net_ip *a, const struct net_ip *b)
{
	if (a->family != b->family)
		return false;
	/* Two constant lengths, so that each is a comparison or two and no call. */
	return a->family == AF_INET ? memcmp(a->addr, b->addr, 4) == 0
				    : memcmp(a->addr, b->addr, 16) == 0;
}
bool ip_is_ours(const struct net *net, const struct net_ip *ip);
bool ip_is_multicast(const struct net_ip *ip);
/* False for what no other host sends from: unspecified, multicast, loopback, broadcast, our own. */
bool ip_is_possible_source(const struct net *net, const struct net_ip *ip);
/* From four bytes in network order. */
static inline struct net_ip ip4_addr(const void *bytes)
{
	struct net_ip ip = {.family = AF_INET};

	memcpy(ip.addr, bytes, 4);
	return ip;
}

struct net_ip ip6_addr(const void *bytes);
/* The address of ours to ask the link about @ip from; NULL when there is none of its family. */
const struct net_addr *ip_local_for(const struct net *net, const struct net_ip *ip);
/* First @bits of both agree. Families must be equal. */
bool ip_prefix_match(const struct net_ip *a, const struct net_ip *b, uint8_t bits);
bool ip_is_link_local(const struct net_ip *ip);
/* False for what is never a host on a wire: loopback, this network, groups, class E. */
bool ip_is_routable(const struct net_ip *ip);

#endif
