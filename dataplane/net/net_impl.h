/*
 * net_impl.h - inside struct net, for the files of this room only
 */
#ifndef NET_NET_IMPL_H
#define NET_NET_IMPL_H

#include <stdint.h>
#include "classifier/classifier.h"
#include "dataplane/net/frame.h"
#include "dataplane/net/link/neigh.h"
#include "dataplane/net/net.h"
#include "mempool_reserve/reserve.h"

struct tcp_table;
struct reass;

/* Answers we owe (ARP, ND, ICMP), our own questions, and what a neighbour released. Full: the new
 * one is dropped. */
#define NET_CONTROL_MAX 128
/* Answers find it full here, so that no flood of questions keeps ours from leaving. */
#define NET_ANSWER_MAX 96

struct net_control {
	struct rte_mbuf *slots[NET_CONTROL_MAX];
	uint32_t head, count;
};

struct net {
	struct net_config cfg;
	struct net_stats stats;
	struct neigh_table neigh;
	struct net_control control; /* finished frames, sent before anything of TCP */
	struct net_stock hdr_stock, ext_stock;
	bool is_stock_open;
	struct tcp_table *tcp;
	struct reass *reass;
	uint64_t now_us;    /* the time the present call was given */
	uint64_t random;    /* state of net_random() */
	uint16_t ip4_id;
	uint32_t echo_left; /* echo replies allowed until echo_until_us */
	uint64_t echo_until_us;
	uint64_t defended_us; /* when we last answered a claim to our address; 0 = never */
};

/* Between these two, header and payload mbufs come from their pools several at a time. */
static inline void net_stock_open(struct net *net)
{
	net->is_stock_open = true;
}

static inline void net_stock_close(struct net *net)
{
	net->is_stock_open = false;
	if (net->hdr_stock.used || net->ext_stock.used)
		net_stock_settle(net);
	else
		net->hdr_stock.step = net->ext_stock.step = 1;
}

#endif
