/*
 * vnet_hdr.h - the offload header of virtio, out of an mbuf's TX flags
 *
 * A tap and a packet socket take it in front of a frame: which checksum is still to be completed,
 * and where to cut a frame that is longer than the MTU. virtio 1.2, 5.1.6; Linux
 * include/linux/virtio_net.h.
 */
#ifndef DATAPLANE_EXCEPTION_VNET_HDR_H
#define DATAPLANE_EXCEPTION_VNET_HDR_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

/*
 * What an unfinished checksum field holds: the sum over the pseudo header, not inverted (RFC
 * 9293 3.1, RFC 8200 8.1). In: the IP header, and the bytes of the transport header and payload.
 * Out: in wire order.
 */
static inline uint16_t vnet_pseudo_sum(
	const uint8_t *l3, bool is_ip4, uint8_t proto, uint32_t l4_bytes)
{
	uint32_t sum = proto + l4_bytes;
	unsigned at = is_ip4 ? 12 : 8, end = is_ip4 ? 20 : 40;

	for (; at < end; at += 2)
		sum += (uint32_t)(l3[at] << 8 | l3[at + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return rte_cpu_to_be_16((uint16_t)sum);
}

/* In: @m with l2_len, l3_len, l4_len and tso_segsz as its TX flags need. Out: *@h. Any thread;
 * cannot fail. */
static inline void vnet_hdr_fill(struct virtio_net_hdr *h, const struct rte_mbuf *m)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;

	memset(h, 0, sizeof(*h));
	if (!l4)
		return;
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = (uint16_t)(m->l2_len + m->l3_len);
	h->csum_offset = l4 == RTE_MBUF_F_TX_TCP_CKSUM ? offsetof(struct rte_tcp_hdr, cksum)
						       : offsetof(struct rte_udp_hdr, dgram_cksum);
	if (!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
		return;
	h->gso_type = m->ol_flags & RTE_MBUF_F_TX_IPV4 ? VIRTIO_NET_HDR_GSO_TCPV4
						       : VIRTIO_NET_HDR_GSO_TCPV6;
	h->gso_size = m->tso_segsz;
	h->hdr_len = (uint16_t)(h->csum_start + m->l4_len);
}

#endif
