/*
 * tcp_packet.h - one outgoing segment: planned, built, handed to IP
 */
#ifndef DATAPLANE_NET_TCP_TCP_PACKET_H
#define DATAPLANE_NET_TCP_TCP_PACKET_H

#include <stdbool.h>
#include <stdint.h>
#include "dataplane/net/tcp/tcp_conn.h"

struct tcp_plan {
	uint32_t seq, len; /* len: payload bytes; shortened to what memory allowed */
	uint8_t flags;	   /* FIN is taken off when the payload was shortened */
	bool is_new;	   /* never sent before */
};

/* Builds @plan with all options of the connection and sends it. Needs no room anywhere else. */
enum tcp_out tcp_packet_send(
	struct tcp_conn *conn, struct tcp_plan *plan, struct rte_mbuf **out, uint64_t now_us);

/* The oldest ACK that DCTCP owes (tcp_ecn.c): of a number below RCV.NXT, without SACK blocks. */
enum tcp_out tcp_packet_send_owed(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us);

/* The SYN, or the SYN|ACK of a simultaneous open. */
enum tcp_out tcp_packet_send_syn(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us);

/* Most payload one packet may carry now: a segment, or what the port cuts up (TSO). */
uint32_t tcp_packet_bytes_max(const struct tcp_conn *conn);

/* Most mbufs one packet may be made of. */
uint32_t tcp_packet_seg_max(const struct net *net);

#endif
