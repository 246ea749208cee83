/*
 * ip.h - IPv4 and IPv6 between TCP and the link
 *
 * Downwards: a path (source address, next hop, MTU) is looked up once a connection and used for
 * each packet; ip_output() puts IP and Ethernet headers before what TCP built and finishes the
 * checksums, by offload where the port has it. Upwards: packets are checked and reassembled, and
 * net_input() (net.c) hands them to TCP or ICMP.
 */
#ifndef DATAPLANE_NET_IP_IP_H
#define DATAPLANE_NET_IP_IP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include "dataplane/net/addr.h"
#include "dataplane/net/frame.h"
#include "dataplane/net/link/neigh.h"

struct net;
struct rte_mbuf;
struct pkt_info;
struct reass_frag;

/* Explicit congestion notification, the low bits of TOS / traffic class (RFC 3168 5). */
enum ip_ecn { IP_ECN_NOT_ECT = 0, IP_ECN_ECT1 = 1, IP_ECN_ECT0 = 2, IP_ECN_CE = 3 };

#define IP_TTL_DEFAULT 64

/* A plain value: copy it, keep it in the connection, find it again after tcp_path_changed(). */
struct ip_path {
	struct net_ip local, remote, next_hop;
	uint16_t neigh_idx, neigh_gen; /* found again by ip_output() when the generation differs */
	uint16_t mtu;		       /* of the interface, L3 bytes; path MTU is TCP's knowledge */
	bool may_fragment;	       /* IPv4 without DF, as TCP found the path too narrow */
};

/* L3 header bytes a packet on @path gets. */
static inline uint16_t ip_path_hdr_bytes(const struct ip_path *path)
{
	return path->remote.family == 2 /* AF_INET */ ? IP4_HDR_BYTES : IP6_HDR_BYTES;
}

/*
 * Chooses next hop and source address for @remote: on-link by the longest prefix, else by the
 * gateway of an address of that family; an IPv6 source of matching scope and longest common
 * prefix (RFC 6724 rules 1, 2, 8). Sends nothing.
 * Out: 0; -ENETUNREACH (no address has a route there); -EADDRNOTAVAIL (no address of this family).
 */
int ip_path_find(struct net *net, const struct net_ip *remote, struct ip_path *out);

/*
 * Finishes a packet. @m's data begins at the L4 header, whose checksum field is zero; the first
 * segment holds the whole L4 header and 64 bytes of headroom; later segments may be attached
 * (external) and are not written to. @tos_ecn is the whole TOS / traffic class octet. @tso_segsz 0
 * = one packet as it is; else payload bytes of each packet into which the NIC segments it (only
 * when offload.tx_tso). IPv4 TCP has DF set. Eats @m on every path. Out: 0 with *out = the
 * finished frame; -EINPROGRESS: kept until the neighbour answers, then sent by net_output, or
 * dropped where payload is attached; -EHOSTUNREACH: the neighbour failed; -ENOBUFS: no neighbour
 * slot.
 */
int ip_output(struct net *net, struct ip_path *path, struct rte_mbuf *m, uint8_t proto,
	uint8_t tos_ecn, uint16_t tso_segsz, uint64_t now_us, struct rte_mbuf **out);

/*
 * Finishes @m, a packet of TCP that begins with a copy of the headers of a frame that ip_output()
 * finished for @path, is as long, and has its fields for offload: an identification and checksums
 * of its own. It may leave as it is then, by the same next hop.
 */
void ip_output_like(struct net *net, const struct ip_path *path, struct rte_mbuf *m);

/* The way to path->remote as it is now, for a connection whose own address stays. Out: as above. */
int ip_path_renew(struct net *net, struct ip_path *path);

/* Nothing comes back over @path: it is looked up again, and the next hop asked whether it lives. */
void ip_path_doubt(struct net *net, struct ip_path *path, uint64_t now_us);

/* New data was acknowledged over @path: the next hop is alive, no probe is needed. Cheap. */
void ip_path_confirm(struct net *net, struct ip_path *path, uint64_t now_us);

/*
 * Checks a packet of the family and says what it carries, for net_input() to hand on. Out: the
 * datagram, whole, with *in filled in (in->flow comes from @info; in->proto is TCP or ICMP of the
 * family, nothing else); NULL: eaten (dropped and counted, or a fragment that waits). Eats @m where
 * it answers NULL. Worker thread.
 */
struct rte_mbuf *ip4_input(struct net *net, struct rte_mbuf *m, const struct pkt_info *info,
	uint64_t now_us, struct ip_in *in);
struct rte_mbuf *ip6_input(struct net *net, struct rte_mbuf *m, const struct pkt_info *info,
	uint64_t now_us, struct ip_in *in);

/* Pseudo header and all of the message add up (RFC 9293 3.1, RFC 4443 2.3). Any chain. */
bool ip_l4_csum_good(const struct rte_mbuf *m, const struct ip_in *in, uint8_t proto);
/* By the port's word, where it may be believed, or by ours: of the IPv4 header at @hdr_off, and of
 * TCP. */
bool ip4_hdr_csum_good(
	const struct net *net, const struct rte_mbuf *m, uint32_t hdr_off, uint32_t hdr_len);
bool ip_tcp_csum_good(const struct net *net, const struct rte_mbuf *m, const struct ip_in *in);
/*
 * Cuts off what lies behind @end_off. Out: false when the frame is shorter, or ends in more than
 * one mbuf of padding.
 */
bool ip_trim(struct rte_mbuf *m, uint32_t end_off);
/*
 * A fragment: @in says where its bytes lie, @frag its place (id, offset, proto). Eats @m. Out:
 * NULL, or the whole datagram with @in and @frag describing it.
 */
struct rte_mbuf *ip_reassemble(struct net *net, struct rte_mbuf *m, struct reass_frag *frag,
	struct ip_in *in, uint64_t now_us);
/*
 * Answers the packet @in with message @m, whose data begins at the L4 header (checksum zero), to
 * the link address it came from: no path, so that strangers' pings make no neighbours. Eats @m.
 */
void ip_reply(struct net *net, const struct ip_in *in, const uint8_t mac[6], struct rte_mbuf *m,
	uint8_t proto);

#endif
