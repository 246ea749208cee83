/*
 * classifier.h - who is this packet for, decided before anything is spent on it
 *
 * Looks at the bytes of a frame and at one table of flows, and answers with a class and the offsets
 * the stack needs, so headers are walked once. It holds no mbuf and keeps no per-packet state.
 * Every byte read is bounds-checked against the first segment; headers that do not lie in the first
 * segment are BAD (no PMD splits them) and counted.
 */
#ifndef CLASSIFIER_CLASSIFIER_H
#define CLASSIFIER_CLASSIFIER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "config/limits.h"

struct rte_mbuf;
struct classifier;

enum pkt_class {
	PKT_PROTECTED, /* a flow of ours, or under a protect rule */
	PKT_ESSENTIAL, /* ARP, ND, ICMP that concerns a protected peer or our own address */
	PKT_EXCEPTION, /* everything else: the kernel's, held or shed under pressure */
	PKT_BAD,       /* cut short or self-contradictory: counted and dropped */
};

enum pkt_l3 { PKT_L3_NONE, PKT_L3_ARP, PKT_L3_IP4, PKT_L3_IP6 };

#define PKT_FRAGMENT	   1u /* not the whole datagram */
#define PKT_FRAGMENT_FIRST 2u /* … but with the transport header */
#define PKT_VLAN	   4u /* tagged with a VLAN; a priority tag (VID 0) is none */
#define PKT_RULE	   8u /* protected by a rule: goes to the exception path */
#define PKT_MULTICAST	   16u /* L2 multicast or broadcast destination */
/* Essential and a question to us: who answers here, answers for the kernel too. */
#define PKT_ASKS_US 32u

/* What the parse found; offsets from the start of the frame. */
struct pkt_info {
	uint8_t cls;	  /* enum pkt_class */
	uint8_t l3;	  /* enum pkt_l3 */
	uint8_t l4_proto; /* IPPROTO_*, after extension headers */
	uint8_t flags;
	uint16_t l3_off, l4_off;
	uint32_t l3_len;      /* L3 header, options and extension headers included */
	uint32_t end_off;     /* end of the IP datagram: frame bytes after it are padding */
	uint16_t sport, dport; /* host order, 0 where there are none */
	uint16_t vlan;	       /* tag of the innermost VLAN, 0 = none */
	uint16_t ethertype;    /* host order, behind the VLAN tags */
	uint32_t flow;	       /* cookie of the flow it belongs to or, as an ICMP error, quotes; or
				  FLOW_NONE */
};
#define FLOW_NONE UINT32_MAX

/* Up to there a parse says where the headers lie and what they are; behind it, what differs from
 * one segment to the next. */
#define PKT_SHAPE_BYTES offsetof(struct pkt_info, end_off)

static inline bool pkt_is_alike(const struct pkt_info *a, const struct pkt_info *b)
{
	static_assert(PKT_SHAPE_BYTES == 12, "short enough to be compared without a call");
	return memcmp(a, b, PKT_SHAPE_BYTES) == 0;
}

/*
 * A classifier belongs to one worker: all calls are the worker's, or the control thread's before
 * it starts; classifier_stats() may be called by any thread.
 *
 * Exact 5-tuple as an arriving packet carries it: remote is the source. Network order
 * throughout. TCP only.
 */
struct flow_key {
	uint8_t family; /* AF_INET, AF_INET6 */
	uint8_t proto;
	uint16_t remote_port_be, local_port_be;
	uint8_t remote[16], local[16]; /* AF_INET: first four bytes, the rest zero */
};

/*
 * A configured rule: protect traffic that lives on the exception path, tagged or not. Zero fields
 * match anything. A later fragment shows no ports: it matches a rule with a port only if the rule
 * names the remote, or any fragment at all would be protected.
 */
struct protect_rule {
	uint8_t family, proto;
	uint8_t remote[16];
	uint8_t remote_prefix_bits;
	uint16_t port; /* host order, either side */
	uint16_t ethertype; /* host order: AoE is 0x88a2 */
};
#define PROTECT_RULE_MAX 16

/* @flow_max entries at most (power of two not needed). Start-up only. NULL: no memory. */
struct classifier *classifier_create(uint32_t flow_max, uint64_t seed);
void classifier_destroy(struct classifier *c);
size_t classifier_bytes(uint32_t flow_max); /* what it takes of memory */

/* The address a packet for us carries; essential ICMP and ARP are judged against these. 0 or
 * -ENOSPC */
int classifier_address_add(struct classifier *c, uint8_t family, const uint8_t *addr);
/* A next hop: its ARP and ND is essential like that of a flow's remote. 0 or -ENOSPC */
int classifier_gateway_add(struct classifier *c, uint8_t family, const uint8_t *addr);
void classifier_address_clear(struct classifier *c); /* addresses and gateways */
/* 0, -ENOSPC, -EINVAL for one that matches everything or
 * has a prefix without (or beyond) a family */
int classifier_rule_add(struct classifier *c, const struct protect_rule *rule);
/* Removes every rule. */
void classifier_rule_clear(struct classifier *c);

/* 0, -EEXIST, -ENOSPC. cookie comes back in pkt_info.flow. */
int flow_insert(struct classifier *c, const struct flow_key *key, uint32_t cookie);
int flow_remove(struct classifier *c, const struct flow_key *key); /* 0 or -ENOENT */
uint32_t flow_lookup(
	const struct classifier *c, const struct flow_key *key); /* cookie or FLOW_NONE */
uint32_t flow_count(const struct classifier *c);

/* Classifies @n <= BURST_MAX frames; @m is borrowed, @out has n entries. Worker. */
void classify_burst(
	struct classifier *c, struct rte_mbuf *const *m, unsigned n, struct pkt_info *out);

/*
 * The parse alone, on plain bytes of which @len are readable and @frame_len exist: fuzzed and
 * tested without an mbuf. Looks nothing up: the class is OTHER or BAD.
 */
void classify_parse(const uint8_t *bytes, uint32_t len, uint32_t frame_len, struct pkt_info *out);

struct classifier_stats {
	uint64_t count[4]; /* by enum pkt_class */
	uint64_t bad_short, bad_length, fragments;
};
void classifier_stats(const struct classifier *c, struct classifier_stats *out);

#endif
