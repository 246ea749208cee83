/*
 * tcp_table.h - TCP as the rest of net drives it: all connections of one worker
 *
 * Implemented by the tcp_*.c files. net.c calls these in the order of a turn: tcp_packet for each
 * arriving segment, tcp_timers, tcp_pull.
 */
#ifndef DATAPLANE_NET_TCP_TCP_TABLE_H
#define DATAPLANE_NET_TCP_TCP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dataplane/net/stream.h"

struct net;
struct rte_mbuf;
struct tcp_table;
struct ip_in;
struct pkt_info;

/* Start-up only; net->cfg is filled in, net->tcp is not. NULL with rte_errno. */
struct tcp_table *tcp_table_create(struct net *net);
void tcp_table_destroy(struct tcp_table *table); /* every mbuf back to its pool; NULL is fine */

/*
 * One TCP segment whose IP header and TCP checksum are good. The data of @m begins at the frame;
 * the L4 header lies at in->l4_off, the first segment holds at least 20 bytes of it (the header
 * with all its options unless the datagram was reassembled from silly fragments: check), and
 * pkt_len == l4_off + l4_len. Eats @m.
 */
void tcp_packet(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us);

/*
 * A burst, packet by packet: tcp_run_next() takes @m when it is the next text of the connection
 * the packet before it was predicted for (tcp_run.c), and then eats it; else the protocols process
 * it, and tcp_run_begin() gets the place of its frame afterwards. tcp_run_end() ends the burst.
 */
bool tcp_run_next(struct net *net, struct rte_mbuf *m, const struct pkt_info *info);
void tcp_run_begin(struct net *net, const uint8_t *frame, const struct pkt_info *info);
void tcp_run_end(struct net *net);

/*
 * An ICMP error quoted one of our segments. quoted->src is ours, quoted->dst the peer; ports are
 * host order and seq is the quoted sequence number: RFC 5927 checks are TCP's. @err is -EMSGSIZE
 * with @mtu = the next hop's MTU (0 = the router did not say), else what a connect would answer
 * (-ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, …). @is_hard per RFC 1122 4.2.3.9.
 */
void tcp_icmp_error(struct net *net, const struct ip_in *quoted, uint16_t sport, uint16_t dport,
	uint32_t seq, int err, uint32_t mtu, bool is_hard);

/* Finished frames, at most @max. Out: their number; fewer than @max = nothing more now. */
unsigned tcp_pull(struct net *net, struct rte_mbuf **out, unsigned max, uint64_t now_us);
void tcp_timers(struct net *net, uint64_t now_us);
uint64_t tcp_deadline(const struct net *net); /* UINT64_MAX = never; due output answers "now" (0) */

/* Addresses or the MTU changed: look paths up again. */
void tcp_path_changed(struct net *net);

unsigned tcp_conn_infos(const struct net *net, struct stream_info *out, unsigned max);

#endif
