/*
 * csum.h - the Internet checksum (RFC 1071) over spans and mbuf chains
 *
 * Sums are kept as the 32-bit folded-late accumulators that csum_add() answers; csum_fold() turns
 * one into the value that goes on the wire (already in wire order: store it as it is). A span of
 * odd length may only be the last one of a plain csum_add() sequence; csum_mbuf() handles odd
 * segments anywhere in a chain. Nothing is owned, nothing fails.
 */
#ifndef NET_CSUM_H
#define NET_CSUM_H

#include <stdint.h>

struct rte_mbuf;
struct net_ip;

/* Adds @len bytes, taken as wire-order 16-bit words, to @sum. */
uint32_t csum_add(uint32_t sum, const void *bytes, uint32_t len);

/* The one's complement of the folded @sum, in wire order. */
uint16_t csum_fold(uint32_t sum);

/* Sum of the pseudo header of RFC 9293 3.1 / RFC 8200 8.1 for @l4_len bytes of @proto. */
uint32_t csum_pseudo(const struct net_ip *src, const struct net_ip *dst, uint8_t proto,
	uint32_t l4_len);

/* Adds @len bytes of the chain @m from offset @off, which must exist (assert). Borrows @m. */
uint32_t csum_mbuf(uint32_t sum, const struct rte_mbuf *m, uint32_t off, uint32_t len);

#endif
