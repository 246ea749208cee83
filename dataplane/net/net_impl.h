/*
 * net_impl.h - inside struct net, for the files of this room only
 */
#ifndef NET_NET_IMPL_H
#define NET_NET_IMPL_H

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <stdint.h>
#include <string.h>
#include "classifier/classifier.h"
#include "dataplane/net/link/neigh.h"
#include "dataplane/net/net.h"
#include "mempool_reserve/reserve.h"

struct tcp_table;
struct reass;

/* Answers we owe (ARP, ND, ICMP), our own questions, and what a neighbour released. Full: the new one is dropped. */
#define NET_CONTROL_MAX 128
#define NET_ANSWER_MAX	96 /* answers find it full here, so that no flood of questions keeps ours from leaving */

struct net_control {
	struct rte_mbuf *slots[NET_CONTROL_MAX];
	uint32_t head, count;
};

struct net {
	struct net_config cfg;
	struct net_stats stats;
	struct neigh_table neigh;
	struct net_control control; /* finished frames, sent before anything of TCP */
	struct tcp_table *tcp;
	struct reass *reass;
	uint64_t now_us;    /* the time the present call was given */
	uint64_t random;    /* state of net_random() */
	uint16_t ip4_id;
	uint32_t echo_left; /* echo replies allowed until echo_until_us */
	uint64_t echo_until_us;
	uint64_t defended_us; /* when we last answered a claim to our address; 0 = never */
};

/* An empty header mbuf charged to OWNER_TX, or NULL (counted in hdr_alloc_failed). */
struct rte_mbuf *net_hdr_alloc(struct net *net);

/* A header mbuf of @len zero bytes that begins with an Ethernet header to @dst; NULL as above. */
uint8_t *net_frame_build(struct net *net, const uint8_t dst[6], uint16_t ethertype, uint16_t len,
	struct rte_mbuf **m);

/* Puts an Ethernet header from our MAC before the packet; there must be headroom. */
void net_ether_prepend(const struct net *net, struct rte_mbuf *m, const uint8_t dst[6],
	uint16_t ethertype);

/* Queues a finished frame for net_output. Eats @m: when the queue is full it is freed. */
void net_control_push(struct net *net, struct rte_mbuf *m);
/* The same for what somebody asked us: there is less room for it. */
void net_answer_push(struct net *net, struct rte_mbuf *m);

/*
 * Numbers for jitter and choice, seeded from the secret (splitmix64). Not for what an attacker must
 * not guess: ISNs and ports hash the secret itself.
 */
uint64_t net_random(struct net *net);

#endif
