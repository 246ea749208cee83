/*
 * nd.h - neighbour discovery for IPv6 (RFC 4861)
 */
#ifndef DATAPLANE_NET_LINK_ND_H
#define DATAPLANE_NET_LINK_ND_H

#include <stdint.h>
#include "dataplane/net/stream.h"

struct net;
struct rte_mbuf;
struct ip_in;

/* A neighbour solicitation or advertisement whose ICMPv6 checksum is good. Borrows @m. */
void nd_input(struct net *net, const struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us);

/* As arp_ask(): to the solicited-node group, or to @mac. */
int nd_ask(struct net *net, const struct net_ip *ip, const uint8_t *mac);


/* Unsolicited advertisement of @ip (RFC 4861 7.2.6). */
void nd_announce(struct net *net, const struct net_ip *ip);

#endif
