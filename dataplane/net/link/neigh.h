/*
 * neigh.h - who lives behind an address on the link: the cache ARP and ND share
 *
 * An entry is made when a path to a next hop is asked for, never because of a packet from another
 * host, so no other host can fill the table. States are those of RFC 4861 7.3.2 with DELAY folded
 * into PROBE's first wait; IPv4 runs through the same machine, with unicast ARP as the probe (RFC
 * 1122 2.3.2.1). Packets wait in the entry, at most NEIGH_QUEUE_MAX, the oldest dropped.
 */
#ifndef DATAPLANE_NET_LINK_NEIGH_H
#define DATAPLANE_NET_LINK_NEIGH_H

#include <stdbool.h>
#include <stdint.h>
#include "config/limits.h"
#include "dataplane/net/stream.h"

struct net;
struct rte_mbuf;

#define NEIGH_NONE 0xffff

#define NEIGH_TRIES_MAX	   3
#define NEIGH_RETRY_US	   1000000u  /* between questions (RFC 4861 10: RetransTimer) */
#define NEIGH_DELAY_US	   5000000u  /* a used stale entry waits this long for TCP to confirm it */
#define NEIGH_REACHABLE_US 30000000u /* times 0.5 to 1.5, chosen at start (RFC 4861 6.3.2) */
#define NEIGH_HOLDOFF_US   1000000u  /* a failed one is not asked again before */
#define NEIGH_LOCK_US	   1000000u

enum neigh_state {
	NEIGH_FREE,	  /* the slot is empty */
	NEIGH_IDLE,	  /* requested, but nothing was sent to it yet */
	NEIGH_INCOMPLETE, /* asked, no answer yet; packets wait */
	NEIGH_REACHABLE,
	NEIGH_STALE,  /* the address is used, and doubted at the next use */
	NEIGH_PROBE,  /* the address is used while we ask it by unicast */
	NEIGH_FAILED, /* three questions, no answer: sends fail until the hold-off ends */
};

struct neigh {
	struct net_ip ip;
	uint8_t mac[6];
	uint8_t state; /* enum neigh_state; only neigh.c changes it */
	uint8_t tries; /* questions asked in this state */
	uint16_t gen;  /* grows when the slot gets another address */
	uint8_t queue_count;
	struct rte_mbuf *queue[NEIGH_QUEUE_MAX]; /* oldest first; from the L3 header on */
	uint64_t deadline_us;			 /* next step of the state; UINT64_MAX = none */
	uint64_t confirmed_us;			 /* 0 = never */
	uint64_t used_us;
};

struct neigh_table {
	struct neigh slots[NEIGH_MAX];
	uint64_t deadline_us; /* earliest of all; may be early, never late */
	uint64_t reachable_us; /* this host's random share of NEIGH_REACHABLE_US */
};

void neigh_init(struct net *net);
void neigh_fini(struct net *net); /* frees what waits */

/* Finds or makes the entry of @ip. Out: slot index, or NEIGH_NONE when each slot is in use. */
uint16_t neigh_want(struct net *net, const struct net_ip *ip);
/*
 * The kernel has @ip at @mac. Takes a free slot at most, which is the first to be reused: any host
 * of the link can make the kernel know it.
 */
void neigh_hint(struct net *net, const struct net_ip *ip, const uint8_t mac[6]);
/* Finds only. Out: slot index, or NEIGH_NONE. */
uint16_t neigh_lookup(const struct net *net, const struct net_ip *ip);

/*
 * Sends @m (whose data begins at the L3 header) to entry @idx. Eats @m.
 * Out: 0 with *out = the finished frame; -EINPROGRESS when it waits, or was dropped because its
 * payload is attached (TCP sends it again); -EHOSTUNREACH when failed.
 */
int neigh_send(struct net *net, uint16_t idx, struct rte_mbuf *m, uint64_t now_us,
	struct rte_mbuf **out);

/* How an answer or a claim arrived. */
enum neigh_claim {
	NEIGH_CLAIM_ANSWER,	 /* solicited, and may replace a known address */
	NEIGH_CLAIM_ANSWER_WEAK, /* solicited, but on behalf of another host (ND without override)
				  */
	NEIGH_CLAIM_OVERRIDE,	 /* unsolicited, may replace a known address */
	NEIGH_CLAIM_UNSOLICITED	 /* unsolicited, only fills in what we do not know */
};
/*
 * A host claims that @ip is at @mac; NULL: it names none, and the known one is kept. Ignored when
 * @ip was never requested. A claim that contradicts an address which answered within NEIGH_LOCK_US
 * is not believed: the known address is asked instead.
 */
void neigh_learn(struct net *net, const struct net_ip *ip, const uint8_t mac[6],
	enum neigh_claim claim, uint64_t now_us);

/* The layer above saw progress through entry @idx: as good as an answer (RFC 4861 7.3.1). */
void neigh_confirm(struct net *net, uint16_t idx, uint64_t now_us);

/* The layer above sees none: the known address is asked at once, by unicast (RFC 1122 3.3.1.4). */
void neigh_doubt(struct net *net, uint16_t idx, uint64_t now_us);

void neigh_timers(struct net *net, uint64_t now_us);
uint64_t neigh_deadline(const struct net *net);

#endif
