/*
 * tcp_run.c - the segments behind a predicted one, in the same burst
 *
 * A sender that has much to say sends segments that differ in their numbers only, and a burst
 * brings dozens of them. When one was predicted (tcp_in.c), everything that was asked about it has
 * the same answer for the next as long as the headers are the same byte for byte, but for the IP
 * length, identification and checksum, and TCP's sequence number, checksum and PSH. So the next one
 * is compared with the one before, its checksums are looked at, and its text is appended; neither
 * IP nor TCP take it apart again. When the run ends, the ledger charges them all at once, and TCP
 * settles once when they are to be acknowledged. What receive offload does by merging packets is
 * done here without merging any: each keeps its mbuf, and counts as a segment.
 *
 * Nothing may come between: any other packet ends the run, and so does the end of the burst, for
 * the bytes compared with lie in an mbuf that the connection may give back as soon as its text is
 * read, and those not charged to it yet it must not give back at all. Its room is asked for before.
 */
#include "dataplane/net/tcp/tcp_table.h"

#include <assert.h>
#include <string.h>
#include <rte_mbuf.h>
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_conn.h"

/* IPv4: version, header length, TOS; IPv6: version, traffic class, some of the flow label. */
#define IP_SAME_BYTES 2
#define TS_BYTES      12
#define ACK_OFF	      8
#define OFFSET_OFF    12 /* data offset, flags, window */

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static bool is_plain(const struct pkt_info *info)
{
	return info->flow != FLOW_NONE && info->flags == 0 &&
	       ((info->l3 == PKT_L3_IP4 && info->l3_len == IP4_HDR_BYTES) ||
		       (info->l3 == PKT_L3_IP6 && info->l3_len == IP6_HDR_BYTES));
}

void tcp_run_begin(struct net *net, const uint8_t *frame, const struct pkt_info *info)
{
	struct tcp_run *run = &net->tcp->run;
	uint32_t hdr_len;

	if (!run->conn)
		return;
	hdr_len = (uint32_t)(frame[info->l4_off + OFFSET_OFF] >> 4) * 4;
	if (!is_plain(info) || (hdr_len != TCP_HDR_BYTES && hdr_len != TCP_HDR_BYTES + TS_BYTES)) {
		run->conn = NULL;
		return;
	}
	run->frame = frame;
	run->info = *info;
	run->text_off = (uint16_t)(info->l4_off + hdr_len);
	run->room =
		(uint16_t)RTE_MIN(reserve_room(net->cfg.rx_pool, run->conn->rcv.owner), BURST_MAX);
}

void tcp_run_end(struct net *net)
{
	struct tcp_run *run = &net->tcp->run;

	if (run->count > 0) {
		reserve_force_segs(net->cfg.rx_pool, run->appended, run->count, OWNER_UNCLASSIFIED,
			run->conn->rcv.owner, net->now_us);
		net->stats.rx_packets += run->count;
		net->stats.tcp_rx_segs += run->count;
		net->stats.tcp_run_segs += run->count;
		tcp_input_ended(run->conn, run->count, run->bytes, net->now_us);
		run->count = 0;
		run->bytes = 0;
	}
	run->conn = NULL;
}

/* The flow gives addresses and ports; what is left of IP is what its ECN bits say. */
static bool is_same_ip(const struct tcp_run *run, const uint8_t *frame, const struct pkt_info *info)
{
	const uint8_t *ip = frame + info->l3_off, *was = run->frame + info->l3_off;

	return info->flow == run->info.flow && pkt_is_alike(info, &run->info) &&
	       memcmp(ip, was, IP_SAME_BYTES) == 0;
}

/* All but the sequence number, the checksum and PSH. Data offset, flags and window are one word,
 * and so is the ACK. */
static bool is_same_tcp(
	const struct tcp_run *run, const uint8_t *frame, const struct pkt_info *info)
{
	const uint8_t *tcp = frame + info->l4_off, *was = run->frame + info->l4_off;
	const uint32_t psh_be = rte_cpu_to_be_32((uint32_t)TCP_PSH << 16);

	return load32(tcp + ACK_OFF) == load32(was + ACK_OFF) &&
	       ((load32(tcp + OFFSET_OFF) ^ load32(was + OFFSET_OFF)) & ~psh_be) == 0 &&
	       (run->text_off == info->l4_off + TCP_HDR_BYTES ||
		       memcmp(tcp + TCP_HDR_BYTES, was + TCP_HDR_BYTES, TS_BYTES) == 0);
}

/* Mostly the NIC found both good, which one comparison shows. */
static bool sums_are_good(struct net *net, const struct rte_mbuf *m, const struct pkt_info *info)
{
	const uint64_t both = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	struct ip_in *in = &net->tcp->run.in;

	if (net->cfg.offload.rx_csum &&
		(m->ol_flags & (RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK)) == both)
		return true;
	if (info->l3 == PKT_L3_IP4 && !ip4_hdr_csum_good(net, m, info->l3_off, info->l3_len))
		return false;
	in->l4_len = info->end_off - info->l4_off;
	return ip_tcp_csum_good(net, m, in);
}

static bool take(struct net *net, struct rte_mbuf *m, const struct pkt_info *info)
{
	struct tcp_run *run = &net->tcp->run;
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t bytes = m->pkt_len;

	if (run->count == run->room || m->next || bytes != info->end_off ||
		bytes <= run->text_off || !is_same_ip(run, frame, info) ||
		!is_same_tcp(run, frame, info) || !sums_are_good(net, m, info))
		return false;
	rte_pktmbuf_adj(m, run->text_off);
	if (!tcp_input_next(run->conn, m, rte_be_to_cpu_32(load32(frame + info->l4_off + 4)))) {
		rte_pktmbuf_prepend(m, run->text_off);
		return false;
	}
	run->appended[run->count++] = m;
	run->bytes += bytes - run->text_off;
	net->stats.rx_bytes += bytes;
	return true;
}

bool tcp_run_next(struct net *net, struct rte_mbuf *m, const struct pkt_info *info)
{
	struct tcp_run *run = &net->tcp->run;

	if (!run->conn)
		return false;
	if (take(net, m, info))
		return true;
	tcp_run_end(net);
	return false;
}
