/*
 * conv_peer.c - what the peer of a conversation sends
 *
 * Builds TCP/IP packets on its own, with nothing of the product: a mistake in the product's wire
 * code cannot hide behind the same mistake here.
 */
#include "tests/unit/net/conv_impl.h"

uint8_t conv_given[CONV_STREAM_BYTES];
const uint8_t conv_local6[16] = {0xfd, 0, [15] = 1}, conv_peer6[16] = {0xfd, 0, [15] = 2};

uint32_t conv_pseudo(bool from_us, size_t len, uint8_t proto)
{
	uint8_t h[40] = {0};

	if (conv.opt.ip6) {
		memcpy(h, from_us ? conv_local6 : conv_peer6, 16);
		memcpy(h + 16, from_us ? conv_peer6 : conv_local6, 16);
		put32(h + 32, (uint32_t)len);
		h[39] = proto;
		return sum(h, 40, 0);
	}
	put32(h, from_us ? 0x0a000001 : 0x0a000002);
	put32(h + 4, from_us ? 0x0a000002 : 0x0a000001);
	h[9] = proto;
	put16(h + 10, (uint32_t)len);
	return sum(h, 12, 0);
}

/* The IP header of a packet from the peer. */
static void ip_build(uint8_t *p, size_t len, uint8_t proto, uint8_t ecn)
{
	memset(p, 0, ip_bytes());
	if (conv.opt.ip6) {
		put32(p, 6u << 28 | (uint32_t)ecn << 20);
		put16(p + 4, (uint32_t)len);
		p[6] = proto;
		p[7] = 64;
		memcpy(p + 8, conv_peer6, 16);
		memcpy(p + 24, conv_local6, 16);
		return;
	}
	p[0] = 0x45;
	p[1] = ecn;
	put16(p + 2, (uint32_t)(len + IP4_BYTES));
	p[8] = 64;
	p[9] = proto;
	put32(p + 12, 0x0a000002);
	put32(p + 16, 0x0a000001);
	put16(p + 10, 0xffff & ~sum(p, IP4_BYTES, 0));
}

static size_t options_build(const struct segment *s, uint8_t *o)
{
	uint8_t *at = o;

	if (s->raw_len)
		memcpy(at, s->raw, s->raw_len);
	at += s->raw_len;
	if (s->mss) {
		*at++ = 2, *at++ = 4;
		put16(at, s->mss);
		at += 2;
	}
	if (s->has_wscale)
		*at++ = 1, *at++ = 3, *at++ = 3, *at++ = s->wscale;
	if (s->sack_ok)
		*at++ = 1, *at++ = 1, *at++ = 4, *at++ = 2;
	if (s->has_ts) {
		*at++ = 1, *at++ = 1, *at++ = 8, *at++ = 10;
		put32(at, s->tsval);
		put32(at + 4, s->tsecr);
		at += 8;
	}
	if (s->sacks) {
		*at++ = 1, *at++ = 1, *at++ = 5, *at++ = (uint8_t)(2 + 8 * s->sacks);
		for (unsigned i = 0; i < s->sacks; i++, at += 8) {
			put32(at, s->sack[i].start - OUR_ISS + conv.iss);
			put32(at + 4, s->sack[i].end - OUR_ISS + conv.iss);
		}
	}
	while ((at - o) % 4)
		*at++ = 0;
	return (size_t)(at - o);
}

size_t conv_build(const struct segment *s, uint8_t *packet)
{
	uint8_t *h = packet + ip_bytes(), *payload;
	size_t hdr = 20 + options_build(s, h + 20), len = hdr + s->len;
	uint64_t off = s->seq + !!(s->flags & SYN) - PEER_ISS - 1;

	memset(h, 0, 20);
	put16(h, s->sport ? s->sport : PEER_PORT);
	put16(h + 2, s->dport ? s->dport : LOCAL_PORT);
	put32(h + 4, s->seq);
	if (s->flags & ACK)
		put32(h + 8, s->ack - OUR_ISS + conv.iss);
	h[12] = (uint8_t)(hdr / 4 << 4);
	h[13] = s->flags;
	put16(h + 14, s->wnd ? s->wnd : s->is_shut ? 0 : conv.opt.wnd);
	put16(h + 18, s->urp);
	payload = h + hdr;
	for (uint32_t i = 0; i < s->len; i++)
		payload[i] = pattern(off + i, false);
	ip_build(packet, len, IPPROTO_TCP, s->ecn);
	put16(h + 16, 0xffff & ~sum(h, len, conv_pseudo(false, len, IPPROTO_TCP)));
	if (s->bad_csum)
		h[16] ^= 0x55;
	return ip_bytes() + len;
}

static void note_sent(const struct segment *s)
{
	uint32_t from = s->seq + !!(s->flags & SYN);
	uint32_t end = from + s->len + !!(s->flags & FIN);

	if (s->bad_csum)
		return;
	for (uint32_t i = 0; i < s->len; i++)
		if (from + i - PEER_ISS < sizeof(conv_given))
			conv_given[from + i - PEER_ISS] = 1;
	if ((int32_t)(end - conv.peer_edge) > 0)
		conv.peer_edge = end;
}

void conv_rx(const struct segment *s)
{
	static uint8_t packet[CONV_PACKET_BYTES];
	struct segment full = *s;

	if (conv.opt.ts && !s->no_ts && !(s->flags & RST) && !s->has_ts) {
		full.has_ts = true;
		full.tsval = TSVAL_PEER + (uint32_t)now_ms();
		full.tsecr = s->tsecr ? s->tsecr : conv.last.tsval;
	}
	note_sent(&full);
	stt_rx(conv.stt, packet, conv_build(&full, packet));
}

void conv_rx_raw(const void *packet, size_t len)
{
	stt_rx(conv.stt, packet, len);
}

void conv_icmp(uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq)
{
	uint8_t p[128] = {0};
	uint8_t *icmp = p + ip_bytes(), *quote = icmp + 8, *tcp = quote + ip_bytes();
	size_t len = 8 + ip_bytes() + 8;
	uint8_t proto = conv.opt.ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	icmp[0] = type;
	icmp[1] = code;
	put16(icmp + 6, mtu);
	ip_build(quote, 1000, IPPROTO_TCP, 0);
	if (conv.opt.ip6) {
		memcpy(quote + 8, conv_local6, 16);
		memcpy(quote + 24, conv_peer6, 16);
	} else {
		put32(quote + 12, 0x0a000001);
		put32(quote + 16, 0x0a000002);
	}
	put16(tcp, LOCAL_PORT);
	put16(tcp + 2, PEER_PORT);
	put32(tcp + 4, seq - OUR_ISS + conv.iss);
	ip_build(p, len, proto, 0);
	put16(icmp + 2,
		0xffff & ~sum(icmp, len, conv.opt.ip6 ? conv_pseudo(false, len, proto) : 0));
	stt_rx(conv.stt, p, ip_bytes() + len);
}
