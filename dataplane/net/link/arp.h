/*
 * arp.h - ARP for IPv4 (RFC 826, RFC 5227 for who may claim an address)
 */
#ifndef DATAPLANE_NET_LINK_ARP_H
#define DATAPLANE_NET_LINK_ARP_H

#include <stdint.h>
#include "dataplane/net/stream.h"

struct net;
struct rte_mbuf;
struct pkt_info;

/* Answers requests for our addresses, learns for entries we want. Eats @m. */
void arp_input(struct net *net, struct rte_mbuf *m, const struct pkt_info *info, uint64_t now_us);

/* Queues a question about @ip: broadcast, or to @mac when it is only a probe (NULL = broadcast).
 * 0, -ENOBUFS, or -EADDRNOTAVAIL (we have no IPv4 address to ask from). */
int arp_ask(struct net *net, const struct net_ip *ip, const uint8_t *mac);

/*
 * Announces on the link that @ip is at our MAC (RFC 5227 3): after start and after an address
 * change.
 */
void arp_announce(struct net *net, const struct net_ip *ip);

#endif
