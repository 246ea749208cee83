/*
 * ip6.c - IPv6 packets for us (RFC 8200)
 *
 * Extension headers are walked again, though the classifier did: it stepped over options, and here
 * the two top bits of an unknown one decide whether the packet may be used (4.2). A routing header
 * that has somewhere left to go is not for us, and no real fragment may hold another one. At most
 * EXT_MAX headers, all in the first mbuf, where the classifier found them.
 *
 * After reassembly the walk goes on behind the fragment header, for destination options may stand
 * there. As with IPv4, only TCP's fragments are put together.
 *
 * Packets are eaten. No state. One worker.
 */
#include <assert.h>
#include <netinet/in.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "classifier/classifier.h"
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/net_impl.h"
#include "dataplane/net/ip/reass.h"

#define EXT_MAX	       8
#define EXT_UNIT_BYTES 8
#define OPT_PAD1       0

struct walk {
	const uint8_t *bytes; /* of the first mbuf */
	uint32_t off, end;    /* where it stands; where the readable part of the datagram ends */
	uint8_t next;
	bool is_fragment, has_frag_hdr;
	struct reass_frag frag;
};

/* RFC 8200 4.2: options that may be skipped have 00 on top; any other unknown one ends it here. */
static bool options_good(const uint8_t *opt, uint32_t len)
{
	uint32_t at = 0;

	while (at < len) {
		if (opt[at] == OPT_PAD1) {
			at++;
			continue;
		}
		if (len - at < 2 || opt[at] >> 6 != 0 || opt[at + 1] + 2u > len - at)
			return false;
		at += opt[at + 1] + 2u;
	}
	return true;
}

/* An atomic fragment (RFC 6946) is no fragment, whatever its header says. */
static bool walk_fragment(struct walk *w, const uint8_t *hdr)
{
	uint16_t field = (uint16_t)(hdr[2] << 8 | hdr[3]);
	rte_be32_t id;

	if (w->is_fragment)
		return false;
	w->has_frag_hdr = true;
	w->next = hdr[0];
	w->off += EXT_UNIT_BYTES;
	w->frag.proto = hdr[0];
	w->frag.frag_off = field & 0xfff8;
	w->frag.has_more = field & 1;
	memcpy(&id, hdr + 4, sizeof(id));
	w->frag.id = rte_be_to_cpu_32(id);
	w->is_fragment = w->frag.frag_off > 0 || w->frag.has_more;
	return true;
}

static bool is_extension(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING ||
	       next == IPPROTO_FRAGMENT;
}

/* One header. Out: false when it is malformed or forbids the packet's use. */
static bool walk_one(struct walk *w)
{
	const uint8_t *hdr = w->bytes + w->off;
	uint32_t len;

	if (w->end - w->off < EXT_UNIT_BYTES)
		return false;
	if (w->next == IPPROTO_FRAGMENT)
		return walk_fragment(w, hdr);
	len = (hdr[1] + 1u) * EXT_UNIT_BYTES;
	if (len > w->end - w->off)
		return false;
	if (w->next == IPPROTO_ROUTING && hdr[3] != 0)
		return false;
	if (w->next != IPPROTO_ROUTING && !options_good(hdr + 2, len - 2))
		return false;
	w->next = hdr[0];
	w->off += len;
	return true;
}

/* Up to the transport header, or to the bytes of a fragment. */
static bool walk_headers(struct walk *w)
{
	for (unsigned i = 0; i < EXT_MAX; i++) {
		if (!is_extension(w->next))
			return true;
		if (!walk_one(w))
			return false;
		if (w->is_fragment)
			return true;
	}
	return !is_extension(w->next);
}

static void walk_begin(struct walk *w, const struct rte_mbuf *m, uint32_t off, uint32_t end)
{
	uint32_t readable = rte_pktmbuf_data_len(m);

	w->bytes = rte_pktmbuf_mtod(m, const uint8_t *);
	w->off = off;
	w->end = end < readable ? end : readable;
	assert(w->off <= w->end);
}

/* Puts the datagram together and walks on. Eats @m; NULL: nothing to deliver now. */
static struct rte_mbuf *fragment(struct net *net, struct rte_mbuf *m, struct walk *w,
	struct ip_in *in, uint64_t now_us)
{
	if (w->frag.proto != IPPROTO_TCP && !is_extension(w->frag.proto)) {
		net_drop(m, &net->stats.reass_drop);
		return NULL;
	}
	m = ip_reassemble(net, m, &w->frag, in, now_us);
	if (!m)
		return NULL;
	w->next = w->frag.proto;
	w->is_fragment = false;
	walk_begin(w, m, in->l4_off, in->l4_off + in->l4_len);
	if (!walk_headers(w) || w->is_fragment || w->next != IPPROTO_TCP) {
		net_drop(m, &net->stats.rx_bad_hdr);
		return NULL;
	}
	in->l4_len -= w->off - in->l4_off;
	in->l4_off = (uint16_t)w->off;
	return m;
}

static bool is_for_us(const struct net *net, const struct ip_in *in, const struct pkt_info *info)
{
	if (ip_is_multicast(&in->dst))
		return true; /* neighbour discovery; icmp6_input() takes nothing else */
	return ip_is_ours(net, &in->dst) && !(info->flags & PKT_MULTICAST);
}

/* TCP from one host to us, or ICMP; anything else is dropped. */
static struct rte_mbuf *sorted_out(struct net *net, struct rte_mbuf *m, const struct ip_in *in)
{
	if (in->proto == IPPROTO_ICMPV6)
		return m;
	if (in->proto == IPPROTO_TCP && !ip_is_possible_source(net, &in->src))
		net_drop(m, &net->stats.rx_bad_hdr);
	else if (in->proto == IPPROTO_TCP && !ip_is_multicast(&in->dst))
		return m;
	else
		net_drop(m, &net->stats.rx_not_ours);
	return NULL;
}

struct rte_mbuf *ip6_input(struct net *net, struct rte_mbuf *m, const struct pkt_info *info,
	uint64_t now_us, struct ip_in *in)
{
	const struct rte_ipv6_hdr *ip;
	struct walk w = {0};

	assert(info->l3_off + IP6_HDR_BYTES <= rte_pktmbuf_data_len(m));
	ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv6_hdr *, info->l3_off);
	*in = (struct ip_in){.flow = info->flow};
	in->src = ip6_addr(&ip->src_addr);
	in->dst = ip6_addr(&ip->dst_addr);
	in->ecn = rte_be_to_cpu_32(ip->vtc_flow) >> 20 & 3;
	in->ttl = ip->hop_limits;
	w.next = ip->proto;
	if (!is_for_us(net, in, info)) {
		net_drop(m, &net->stats.rx_not_ours);
		return NULL;
	}
	walk_begin(&w, m, info->l3_off + IP6_HDR_BYTES, info->end_off);
	if (ip_is_multicast(&in->src) || !ip_trim(m, info->end_off) || !walk_headers(&w)) {
		net_drop(m, &net->stats.rx_bad_hdr);
		return NULL;
	}
	in->l4_off = (uint16_t)w.off;
	in->l4_len = info->end_off - w.off;
	in->was_fragment = w.has_frag_hdr;
	if (w.is_fragment) {
		m = fragment(net, m, &w, in, now_us);
		if (!m)
			return NULL;
	}
	in->proto = w.next;
	return sorted_out(net, m, in);
}
