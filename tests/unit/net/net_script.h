/*
 * net_script.h - a net without TCP, on a link of which the test is the other end
 *
 * Frames are built byte by byte with a checksum of the test's own, put through the real parser and
 * into net_input(); what net sends is taken as bytes. TCP is a fake that remembers what reached it.
 * The clock stands until the test moves it.
 */
#ifndef TESTS_NET_NET_SCRIPT_H
#define TESTS_NET_NET_SCRIPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "classifier/classifier.h"
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/net.h"
#include "dataplane/net/net_impl.h"
#include "mempool_reserve/reserve.h"

#define MS  1000u
#define SEC 1000000ull

/* What reached the fake TCP. */
struct fake_tcp {
	unsigned packets, errors, path_changes;
	struct ip_in in;	/* of the last packet, or what the last error quoted */
	uint8_t l4[4096];	/* the last packet's first bytes from the L4 header on */
	uint16_t sport, dport;
	uint32_t seq, mtu;
	int err;
	bool is_hard;
	struct rte_mbuf *pull[4]; /* handed out by tcp_pull(), oldest first */
	unsigned pull_count;
	uint64_t deadline_us;
	bool is_asking;	 /* tcp_pull() asks for the gateway, as a first segment would */
	bool is_failing; /* tcp_table_create() fails */
};

struct script {
	struct net *net;
	struct reserve *rx, *hdr;
	struct fake_tcp tcp;
	uint64_t now_us;
};
extern struct script sc;

/* 10.0.0.2/24 and fd00::2/64 are ours, .1 and ::1 the gateways, .9 and ::9 the peer. */
extern const struct net_ip our4, our6, gw4, gw6, peer4, peer6, far4, far6, none6;
extern const uint8_t our_mac[6], peer_mac[6], other_mac[6], broadcast_mac[6];

struct frame {
	uint8_t bytes[10240];
	uint32_t len;
};

/* How an IP header differs from the plain one. */
struct ip_how {
	uint8_t ttl, tos;	/* 0 = 64, 0 */
	uint16_t id, frag;	/* IPv4, host order: the field with its flags */
	uint8_t ext_first;	/* IPv6: type of the first extension header… */
	const uint8_t *ext;	/* … and all of them */
	uint32_t ext_len;
	const uint8_t *dst_mac; /* NULL = ours */
};

/* cmocka group and test set-up: EAL once, a net each test. */
int script_eal_start(void **state);
int script_eal_stop(void **state);
int script_setup(void **state);
int script_teardown(void **state); /* fails when an mbuf is missing */
void script_pools_check(void);	   /* the same, while there is no net */
void script_offload(const struct net_offload *offload); /* a net like before, with these */

uint16_t ref_csum(const struct net_ip *src, const struct net_ip *dst, uint8_t proto,
	const uint8_t *l4, uint32_t len); /* 0 = right, once it is filled in; src may be NULL */

/* A TCP segment with @payload bytes of a pattern. Out: its length. */
uint32_t l4_tcp(uint8_t *l4, const struct net_ip *src, const struct net_ip *dst, uint32_t payload);
uint8_t pattern(uint32_t at);
/* Fills the checksum at @csum_off in. */
void l4_csum_set(uint8_t *l4, uint32_t len, uint32_t csum_off, const struct net_ip *src,
	const struct net_ip *dst, uint8_t proto);

void frame_ether(struct frame *f, const uint8_t dst[6], const uint8_t src[6], uint16_t type);
void frame_put(struct frame *f, const void *bytes, uint32_t len);
/* From the peer's MAC to ours (unless @how says else). @how may be NULL. */
void frame_ip(struct frame *f, const struct net_ip *src, const struct net_ip *dst, uint8_t proto,
	const uint8_t *l4, uint32_t len, const struct ip_how *how);

/* Through the parser into net. Out: false when the parser calls it bad (net never sees it). */
bool rx(const struct frame *f);
/* The same frame cut into mbufs of @seg_bytes, the first of @first bytes; with RX flags. */
bool rx_chain(const struct frame *f, uint32_t first, uint32_t seg_bytes, uint64_t ol_flags);
/* The next frame net sends, whole. Out: false when there is none. */
bool tx(struct frame *f);
void tx_none(void);
void at_us(uint64_t now_us); /* moves the clock and runs timers */

struct rte_mbuf *mbuf_of(const uint8_t *bytes, uint32_t len); /* header pool, data at @bytes */

/* ARP from @sha: the peer answers or asks. */
void frame_arp(struct frame *f, uint16_t op, const uint8_t sha[6], const struct net_ip *spa,
	const struct net_ip *tpa);
void assert_arp(const struct frame *f, uint16_t op, const uint8_t dst[6], const struct net_ip *spa,
	const struct net_ip *tpa);

#define script_test(f) cmocka_unit_test_setup_teardown(f, script_setup, script_teardown)

#endif
