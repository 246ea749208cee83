/*
 * icmp.h - ICMPv4 (RFC 792, 1122 3.2.2) and ICMPv6 (RFC 4443): echo, and errors about our segments
 */
#ifndef DATAPLANE_NET_IP_ICMP_H
#define DATAPLANE_NET_IP_ICMP_H

#include <stdint.h>

struct net;
struct rte_mbuf;
struct ip_in;

#define ICMP_ECHO_PER_SECOND_MAX 100

/* A whole message; checksums are verified here. Both eat @m. */
void icmp4_input(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us);
void icmp6_input(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us);

#endif
