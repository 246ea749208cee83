/*
 * half_sum.h - recognises checksums that a sender on the same host left to a card
 */
#ifndef DATAPLANE_HALF_SUM_H
#define DATAPLANE_HALF_SUM_H

struct pkt_info;
struct rte_mbuf;

/*
 * Of a classified burst of @n packets, which stay the caller's: marks each whose TCP or UDP
 * checksum is only begun with RTE_MBUF_F_RX_L4_CKSUM_NONE. For a port whose driver cannot say so:
 * port_facts.has_half_sums. Worker; cannot fail.
 */
void half_sums_note(struct rte_mbuf *const *m, const struct pkt_info *info, unsigned n);

#endif
