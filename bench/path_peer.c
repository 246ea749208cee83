/*
 * path_peer.c - just enough of a server to keep the client's datapath busy
 *
 * The wire between both is two rings in one process: it loses nothing, reorders nothing and takes
 * no time, so the peer needs no timers, no congestion control and no retransmission. It answers
 * ARP, takes one connection, speaks the handshake of NBD and serves READ (with a structured chunk)
 * and WRITE from nowhere. Each reply is cut into segments of its own, as a server that writes reply
 * by reply sends it; an ACK rides on them, or goes alone, once a turn.
 *
 * Its work is not what is measured, so it is written to be short.
 */
#include "bench/path_peer.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <rte_arp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include "nbd_client/nbd_proto.h"

#define EXPORT_BYTES (256ull << 20)
#define TS_BYTES     12
#define HEAD_BYTES                                                                                 \
	(sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr))

int path_peer_init(struct path_peer *p)
{
	p->in = calloc(2, PEER_STREAM_BYTES);
	p->out = p->in ? p->in + PEER_STREAM_BYTES : NULL;
	p->snd_nxt = p->snd_una = 1000;
	return p->in ? 0 : -1;
}

void path_peer_fini(struct path_peer *p)
{
	free(p->in);
}

/* ---- frames out ---- */

static struct rte_mbuf *frame_new(struct path_peer *p, uint16_t ethertype, uint16_t bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->pool);
	struct rte_ether_hdr *eth;

	if (!m)
		return NULL;
	eth = (struct rte_ether_hdr *)(void *)rte_pktmbuf_append(m, bytes);
	memset(eth, 0, bytes < 128 ? bytes : 128);
	eth->dst_addr = p->client_mac;
	eth->src_addr = p->mac;
	eth->ether_type = rte_cpu_to_be_16(ethertype);
	return m;
}

static void frame_send(struct path_peer *p, struct rte_mbuf *m)
{
	if (rte_ring_enqueue(p->tx, m))
		rte_pktmbuf_free(m);
}

static uint16_t options_put(const struct path_peer *p, uint8_t *o, bool is_syn)
{
	static const uint8_t syn[] = {2, 4, 0, 0, 1, 3, 3, 7, 1, 1, 4, 2};
	uint32_t ts_be[2] = {rte_cpu_to_be_32(p->ts), rte_cpu_to_be_32(p->tsecr)};
	uint16_t at = 0, mss_be = rte_cpu_to_be_16(p->mss + TS_BYTES);

	if (is_syn) {
		memcpy(o, syn, sizeof(syn));
		memcpy(o + 2, &mss_be, sizeof(mss_be));
		at = sizeof(syn);
	}
	memcpy(o + at, "\1\1\10\12", 4);
	memcpy(o + at + 4, ts_be, sizeof(ts_be));
	return (uint16_t)(at + TS_BYTES);
}

static bool segment_send(struct path_peer *p, uint8_t flags, const uint8_t *bytes, uint16_t len)
{
	bool is_syn = flags & RTE_TCP_SYN_FLAG;
	uint16_t options = is_syn ? 12 + TS_BYTES : TS_BYTES;
	struct rte_mbuf *m =
		frame_new(p, RTE_ETHER_TYPE_IPV4, (uint16_t)(HEAD_BYTES + options + len));
	struct rte_ipv4_hdr *ip;
	struct rte_tcp_hdr *tcp;

	if (!m)
		return false;
	ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
	tcp = (struct rte_tcp_hdr *)(ip + 1);
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->total_length = rte_cpu_to_be_16((uint16_t)(m->data_len - sizeof(struct rte_ether_hdr)));
	ip->fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG);
	ip->time_to_live = 64;
	ip->next_proto_id = IPPROTO_TCP;
	ip->src_addr = rte_cpu_to_be_32(p->ip);
	ip->dst_addr = rte_cpu_to_be_32(CLIENT_IP);
	tcp->src_port = rte_cpu_to_be_16(PEER_PORT);
	tcp->dst_port = rte_cpu_to_be_16(p->client_port);
	tcp->sent_seq = rte_cpu_to_be_32(p->snd_nxt);
	tcp->recv_ack = rte_cpu_to_be_32(p->rcv_nxt);
	tcp->data_off = (uint8_t)((sizeof(*tcp) + options) / 4 << 4);
	tcp->tcp_flags = flags;
	tcp->rx_win = UINT16_MAX;
	options_put(p, (uint8_t *)(tcp + 1), is_syn);
	memcpy((uint8_t *)(tcp + 1) + options, bytes, len);
	if (p->has_checksums) {
		ip->hdr_checksum = rte_ipv4_cksum(ip);
		tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
	} else {
		m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	}
	p->snd_nxt += len + is_syn;
	p->ack_due = false;
	frame_send(p, m);
	return true;
}

static void arp_answer(struct path_peer *p, const struct rte_arp_hdr *ask)
{
	struct rte_mbuf *m =
		frame_new(p, RTE_ETHER_TYPE_ARP, sizeof(struct rte_ether_hdr) + sizeof(*ask));
	struct rte_arp_hdr *arp;

	if (!m)
		return;
	arp = rte_pktmbuf_mtod_offset(m, struct rte_arp_hdr *, sizeof(struct rte_ether_hdr));
	*arp = *ask;
	arp->arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
	arp->arp_data.arp_tha = ask->arp_data.arp_sha;
	arp->arp_data.arp_tip = ask->arp_data.arp_sip;
	arp->arp_data.arp_sha = p->mac;
	arp->arp_data.arp_sip = rte_cpu_to_be_32(p->ip);
	frame_send(p, m);
}

/* Sends what the window allows, one reply's bytes never in one segment with the next one's. */
static void stream_flush(struct path_peer *p, uint32_t reply_bytes)
{
	uint32_t left = reply_bytes;

	while (left > 0 && p->out_at < p->out_bytes) {
		uint32_t part = RTE_MIN(left, p->mss);
		uint8_t flags = RTE_TCP_ACK_FLAG | (part == left ? RTE_TCP_PSH_FLAG : 0);

		if (p->snd_nxt + part - p->snd_una > p->wnd ||
			!segment_send(p, flags, p->out + p->out_at, (uint16_t)part))
			return;
		p->segments++;
		p->out_at += part;
		left -= part;
	}
	if (p->out_at == p->out_bytes)
		p->out_at = p->out_bytes = 0;
}

static void write_out(struct path_peer *p, const void *bytes, uint32_t len)
{
	if (p->out_bytes + len > PEER_STREAM_BYTES)
		return; /* the client would have to ask for more than it may */
	if (bytes)
		memcpy(p->out + p->out_bytes, bytes, len);
	p->out_bytes += len;
}

/* ---- NBD ---- */

static void option_reply(
	struct path_peer *p, uint32_t option, uint32_t type, const void *data, uint32_t len)
{
	struct nbd_wire_option_reply r = {
		htobe64(NBD_MAGIC_OPT_REPLY), htobe32(option), htobe32(type), htobe32(len)};

	write_out(p, &r, sizeof(r));
	write_out(p, data, len);
}

static uint32_t option(struct path_peer *p, const uint8_t *in, uint32_t len)
{
	struct nbd_wire_info_export e = {htobe16(NBD_INFO_EXPORT), htobe64(EXPORT_BYTES),
		htobe16(NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH)};
	struct nbd_wire_option o;
	uint32_t which;

	if (len < sizeof(o))
		return 0;
	memcpy(&o, in, sizeof(o));
	which = be32toh(o.option);
	if (len < sizeof(o) + be32toh(o.length))
		return 0;
	if (which == NBD_OPT_GO) {
		option_reply(p, which, NBD_REP_INFO, &e, sizeof(e));
		p->phase = PEER_SERVE;
	}
	option_reply(p, which,
		which == NBD_OPT_GO || which == NBD_OPT_STRUCTURED_REPLY
			? NBD_REP_ACK
			: (uint32_t)NBD_REP_ERR_UNSUP,
		NULL, 0);
	return (uint32_t)sizeof(o) + be32toh(o.length);
}

static uint32_t command(struct path_peer *p, const uint8_t *in, uint32_t len)
{
	struct nbd_wire_request r;
	struct nbd_wire_simple done = {.magic = htobe32(NBD_MAGIC_SIMPLE)};
	struct nbd_wire_chunk chunk = {.magic = htobe32(NBD_MAGIC_CHUNK),
		.flags = htobe16(NBD_CHUNK_FLAG_DONE),
		.type = htobe16(NBD_CHUNK_OFFSET_DATA)};
	uint32_t need = sizeof(r);

	if (len < need)
		return 0;
	memcpy(&r, in, sizeof(r));
	if (be16toh(r.type) == NBD_CMD_WRITE)
		need += be32toh(r.length);
	if (len < need)
		return 0;
	p->requests++;
	if (be16toh(r.type) == NBD_CMD_READ) {
		chunk.cookie = r.cookie;
		chunk.length = htobe32(be32toh(r.length) + (uint32_t)sizeof(r.offset));
		write_out(p, &chunk, sizeof(chunk));
		write_out(p, &r.offset, sizeof(r.offset));
		write_out(p, NULL, be32toh(r.length));
		stream_flush(p, (uint32_t)(sizeof(chunk) + sizeof(r.offset)) + be32toh(r.length));
	} else if (be16toh(r.type) != NBD_CMD_DISC) {
		done.cookie = r.cookie;
		write_out(p, &done, sizeof(done));
		stream_flush(p, sizeof(done));
	}
	return need;
}

static void stream_parse(struct path_peer *p)
{
	uint32_t at = 0, used = 1;

	while (used > 0) {
		const uint8_t *in = p->in + at;
		uint32_t len = p->in_bytes - at;

		used = 0;
		if (p->phase == PEER_FLAGS && len >= sizeof(__be32)) {
			used = sizeof(__be32);
			p->phase = PEER_OPTIONS;
		} else if (p->phase == PEER_OPTIONS) {
			used = option(p, in, len);
		} else if (p->phase == PEER_SERVE) {
			used = command(p, in, len);
		}
		at += used;
	}
	memmove(p->in, p->in + at, p->in_bytes - at);
	p->in_bytes -= at;
}

static void greet(struct path_peer *p)
{
	struct nbd_wire_greeting g = {htobe64(NBD_MAGIC_INIT), htobe64(NBD_MAGIC_OPTION)};
	uint16_t flags_be = htobe16(NBD_HS_FIXED_NEWSTYLE | NBD_HS_NO_ZEROES);

	write_out(p, &g, sizeof(g));
	write_out(p, &flags_be, sizeof(flags_be));
	p->phase = PEER_FLAGS;
}

/* ---- frames in ---- */

static void timestamp_read(struct path_peer *p, const uint8_t *o, uint32_t len)
{
	for (uint32_t at = 0; at + 1 < len && o[at] != 0; at += o[at] == 1 ? 1 : o[at + 1]) {
		if (o[at] == 3)
			p->wscale = o[at + 2];
		if (o[at] != 8)
			continue;
		memcpy(&p->tsecr, o + at + 2, sizeof(p->tsecr));
		p->tsecr = rte_be_to_cpu_32(p->tsecr);
		p->ts++;
	}
}

static void tcp_take(struct path_peer *p, const struct rte_mbuf *m)
{
	const struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(
		m, const struct rte_tcp_hdr *, HEAD_BYTES - sizeof(struct rte_tcp_hdr));
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)tcp - 1;
	uint32_t hdr = tcp->data_off / 16 * 4;
	uint32_t off = (uint32_t)(HEAD_BYTES - sizeof(*tcp)) + hdr;
	uint32_t len = rte_be_to_cpu_16(ip->total_length) - (uint32_t)sizeof(*ip) - hdr;

	timestamp_read(p, (const uint8_t *)(tcp + 1), hdr - (uint32_t)sizeof(*tcp));
	if (tcp->tcp_flags & RTE_TCP_SYN_FLAG) {
		p->client_port = rte_be_to_cpu_16(tcp->src_port);
		p->rcv_nxt = rte_be_to_cpu_32(tcp->sent_seq) + 1;
		segment_send(p, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
		return;
	}
	p->snd_una = rte_be_to_cpu_32(tcp->recv_ack);
	p->wnd = (uint32_t)rte_be_to_cpu_16(tcp->rx_win) << p->wscale;
	if (len > 0 && rte_be_to_cpu_32(tcp->sent_seq) == p->rcv_nxt &&
		p->in_bytes + len <= PEER_STREAM_BYTES) {
		const void *bytes = rte_pktmbuf_read(m, off, len, p->in + p->in_bytes);

		if (bytes != p->in + p->in_bytes)
			memcpy(p->in + p->in_bytes, bytes, len);
		p->in_bytes += len;
		p->rcv_nxt += len;
		p->ack_due = true;
	}
	if (!p->is_open)
		greet(p);
	p->is_open = true;
}

static void frame_take(struct path_peer *p, struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);

	p->client_mac = eth->src_addr;
	if (eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP))
		arp_answer(p, (const struct rte_arp_hdr *)(eth + 1));
	else if (eth->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4))
		tcp_take(p, m);
	rte_pktmbuf_free(m);
}

void path_peer_turn(struct path_peer *p)
{
	void *m;

	for (unsigned n = 0; n < 4096 && rte_ring_dequeue(p->rx, &m) == 0; n++)
		frame_take(p, m);
	stream_flush(p, p->out_bytes - p->out_at); /* what the window held back, or the handshake */
	stream_parse(p);
	stream_flush(p, p->out_bytes - p->out_at);
	if (p->ack_due)
		segment_send(p, RTE_TCP_ACK_FLAG, NULL, 0);
}
