/*
 * half_sum.c - recognises checksums that a sender on the same host left to a card
 *
 * A kernel that sends by an interface with checksum offload writes only the sum over the pseudo
 * header into the field. On the same host (a veth's peer, a bridge of virtual machines) no card
 * completes it, and the receiving kernel knows so from its own packet structure. An XDP program and
 * its socket see bytes alone: af_xdp would drop every such packet for its checksum. So a field that
 * holds just that sum is taken for what it is.
 *
 * The price: a packet damaged on a wire passes if its field happens to hold this one value of
 * 65536, as likely as that its wrong sum comes out right. Only af_xdp pays it; other drivers say
 * what they know (docs/adr/0019-a-packet-socket-of-our-own.md).
 *
 * Worker. No state.
 */
#include "dataplane/half_sum.h"

#include <netinet/in.h>
#include "classifier/classifier.h"
#include "dataplane/exception/vnet_hdr.h"

#define TCP_SUM_OFF 16u
#define UDP_SUM_OFF 6u

static bool is_half(const struct rte_mbuf *m, const struct pkt_info *info)
{
	const uint8_t *bytes = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t off = info->l4_off + (info->l4_proto == IPPROTO_TCP ? TCP_SUM_OFF : UDP_SUM_OFF);
	uint16_t field, sum;

	if ((info->l4_proto != IPPROTO_TCP && info->l4_proto != IPPROTO_UDP) ||
		(info->flags & PKT_FRAGMENT) ||
		(info->l3 != PKT_L3_IP4 && info->l3 != PKT_L3_IP6) ||
		off + sizeof(field) > m->data_len)
		return false;
	memcpy(&field, bytes + off, sizeof(field));
	sum = vnet_pseudo_sum(bytes + info->l3_off, info->l3 == PKT_L3_IP4, info->l4_proto,
		info->end_off - info->l4_off);
	return field == sum;
}

void half_sums_note(struct rte_mbuf *const *m, const struct pkt_info *info, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (info[i].cls != PKT_BAD && is_half(m[i], &info[i]))
			m[i]->ol_flags = (m[i]->ol_flags & ~RTE_MBUF_F_RX_L4_CKSUM_MASK) |
					 RTE_MBUF_F_RX_L4_CKSUM_NONE;
	}
}
