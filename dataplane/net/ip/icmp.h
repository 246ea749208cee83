/*
 * icmp.h - ICMPv4 (RFC 792, 1122 3.2.2) and ICMPv6 (RFC 4443): echo, and errors about our segments
 */
#ifndef DATAPLANE_NET_IP_ICMP_H
#define DATAPLANE_NET_IP_ICMP_H

#include <stdbool.h>
#include <stdint.h>
#include "dataplane/net/ip/ip.h"

struct net;
struct rte_mbuf;

#define ICMP_ECHO_PER_SECOND_MAX 100

/* An error about a TCP segment that was sent from an address of ours, if it was sent at all. */
struct icmp_error {
	struct ip_in quoted; /* src is ours; flow is that of the message */
	uint16_t sport, dport;
	uint32_t seq;
	int err;       /* -errno */
	bool is_hard;  /* RFC 1122 4.2.3.9 */
	uint32_t mtu;  /* with -EMSGSIZE */
};

/*
 * A whole message; the checksum is verified here, echo requests and neighbour discovery are carried
 * out. Both eat @m. Out: true with *error filled in when it quotes a segment, for TCP to judge (RFC
 * 5927).
 */
bool icmp4_input(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us,
	struct icmp_error *error);
bool icmp6_input(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us,
	struct icmp_error *error);

#endif
