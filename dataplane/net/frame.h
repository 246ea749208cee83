/*
 * frame.h - what every layer of the stack makes frames from: headers, queue, chance
 */
#ifndef DATAPLANE_NET_FRAME_H
#define DATAPLANE_NET_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include "dataplane/net/stream.h"

struct net;
struct rte_mbuf;

#define IP4_HDR_BYTES 20
#define IP6_HDR_BYTES 40

/* What goes up with a packet, and what an ICMP error quotes. */
struct ip_in {
	struct net_ip src, dst;
	uint8_t ecn;	 /* enum ip_ecn */
	uint8_t ttl;	 /* or hop limit */
	uint8_t proto;	 /* of the L4 header */
	bool was_fragment; /* IPv6: it had a fragment header, if only an atomic one */
	uint16_t l4_off; /* from the start of the mbuf's data */
	uint32_t l4_len; /* L4 header and payload; padding behind it was trimmed */
	uint32_t flow;	 /* the classifier's cookie, FLOW_NONE if none */
};

/* An empty header mbuf charged to OWNER_TX, or NULL (counted in hdr_alloc_failed). */
struct rte_mbuf *net_hdr_alloc(struct net *net);
/* An mbuf without data room, from ext_pool, or NULL. */
struct rte_mbuf *net_ext_alloc(struct net *net);

/* Mbufs taken from a pool ahead of need, while net->is_stock_open (net_stock_open()). */
#define NET_STOCK_MAX 32u
struct net_stock {
	struct rte_mbuf *mbufs[NET_STOCK_MAX];
	uint32_t count;
	uint32_t step; /* how many come with the next refill */
	uint32_t used; /* came with refills since it was opened */
};
/* Gives back what is left of both stocks, and notes how many the next call will need. */
void net_stock_settle(struct net *net);

/* A header mbuf of @len zero bytes that begins with an Ethernet header to @dst; NULL as above. */
uint8_t *net_frame_build(struct net *net, const uint8_t dst[6], uint16_t ethertype, uint16_t len,
	struct rte_mbuf **m);

/* Puts an Ethernet header from our MAC before the packet; there must be headroom. */
void net_ether_prepend(const struct net *net, struct rte_mbuf *m, const uint8_t dst[6],
	uint16_t ethertype);

/* Queues a finished frame for net_output. Eats @m: when the queue is full it is freed. */
void net_control_push(struct net *net, struct rte_mbuf *m);
/* The same for replies to requests: there is less room for it. */
void net_answer_push(struct net *net, struct rte_mbuf *m);

/*
 * Numbers for jitter and choice, seeded from the secret (splitmix64). Not for what an attacker must
 * not guess: ISNs and ports hash the secret itself.
 */
uint64_t net_random(struct net *net);
/* The step of net_random(): a bijection of 64 bits in which each bit of the result depends on each
 * of @z. */
uint64_t net_mix64(uint64_t z);

/* Counts in *@counter and frees. Eats @m. */
void net_drop(struct rte_mbuf *m, uint64_t *counter);

#endif
