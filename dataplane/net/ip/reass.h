/*
 * reass.h - datagrams in pieces, put together for protected peers only (RFC 791, RFC 8200 4.5)
 *
 * Everything is bounded: REASS_MAX datagrams of REASS_FRAG_MAX fragments, charged to
 * OWNER_REASSEMBLY. An overlap drops the datagram (RFC 5722, applied to IPv4 too).
 */
#ifndef DATAPLANE_NET_IP_REASS_H
#define DATAPLANE_NET_IP_REASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dataplane/net/stream.h"

struct net;
struct reass;
struct rte_mbuf;

struct reass_frag {
	struct net_ip src, dst;
	uint32_t id;
	uint8_t proto;	       /* of the fragmentable part */
	uint8_t ecn;
	uint16_t frag_off;     /* bytes */
	bool has_more;
	uint16_t payload_off;  /* from the start of the mbuf's data to the fragment's bytes */
	uint32_t payload_len;
};

size_t reass_bytes(void); /* what it takes of memory, mbufs apart */
struct reass *reass_create(void); /* start-up only; NULL: no memory */
void reass_destroy(struct reass *reass); /* gives every mbuf back; NULL is fine */

/*
 * Eats @m. Out: NULL while incomplete (or dropped, counted); else the whole datagram, the caller's:
 * a chain whose first segment still has its L2 and L3 headers, with *frag describing the whole
 * (frag_off 0, payload_len the sum, ecn per RFC 3168 5.3, proto of the first fragment).
 */
struct rte_mbuf *reass_input(struct net *net, struct rte_mbuf *m, struct reass_frag *frag,
	uint64_t now_us);

void reass_timers(struct net *net, uint64_t now_us);
uint64_t reass_deadline(const struct reass *reass);

#endif
