/*
 * wire.c - packets built and read by the simulator, independently of the product
 *
 * IPv4 without options and IPv6 without extension headers: what the product sends for TCP. Options
 * are read with every rule there is (SYN-only options, lengths, padding of zeros), since a strict
 * reader is what finds a careless writer.
 */
#include "tests/sim/wire.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

static uint64_t sum_of(const uint8_t *p, size_t len, uint64_t sum)
{
	for (; len > 1; p += 2, len -= 2)
		sum += get16(p);
	return len ? sum + ((uint64_t)p[0] << 8) : sum;
}

static uint16_t folded(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Checksum of the segment with its pseudo header; 0 when a received one is right. */
static uint16_t tcp_sum(const uint8_t *ip, int family, const uint8_t *tcp, size_t len)
{
	uint64_t sum = 6 + len;

	sum = family == AF_INET ? sum_of(ip + 12, 8, sum) : sum_of(ip + 8, 32, sum);
	return folded(sum_of(tcp, len, sum));
}

static const char *parse_ip(const uint8_t *b, size_t len, struct wire_pkt *pkt)
{
	uint32_t hdr;

	if (len < 20)
		return "shorter than an IP header";
	pkt->src.family = pkt->dst.family = b[0] >> 4 == 4 ? AF_INET : AF_INET6;
	hdr = wire_ip_bytes(pkt->src.family);
	if (b[0] >> 4 == 4) {
		if (b[0] != 0x45 || get16(b + 2) != len || folded(sum_of(b, 20, 0)) != 0)
			return "IPv4 header: length or checksum";
		if (b[9] != IPPROTO_TCP || (get16(b + 6) & 0x3fff) != 0 || b[8] == 0)
			return "IPv4 header: protocol, fragment or TTL";
		pkt->has_df = b[6] & 0x40;
		pkt->ecn = b[1] & 3;
		memcpy(pkt->src.bytes, b + 12, 4);
		memcpy(pkt->dst.bytes, b + 16, 4);
	} else {
		if (b[0] >> 4 != 6 || len < hdr || get16(b + 4) != len - hdr ||
			b[6] != IPPROTO_TCP || b[7] == 0)
			return "IPv6 header";
		pkt->ecn = b[1] >> 4 & 3;
		memcpy(pkt->src.bytes, b + 8, 16);
		memcpy(pkt->dst.bytes, b + 24, 16);
	}
	pkt->packet_bytes = (uint32_t)len;
	return NULL;
}

static const char *parse_sack(const uint8_t *o, uint8_t len, struct wire_pkt *pkt)
{
	pkt->sack_count = (uint8_t)((len - 2) / 8);
	if (len % 8 != 2 || pkt->sack_count == 0 || pkt->sack_count > WIRE_SACK_MAX ||
		pkt->flags & W_SYN)
		return "SACK option";
	for (unsigned i = 0; i < pkt->sack_count; i++)
		pkt->sack[i] = (struct wire_sack){ get32(o + 2 + 8 * i), get32(o + 6 + 8 * i) };
	return NULL;
}

static const char *parse_option(const uint8_t *o, uint8_t len, struct wire_pkt *pkt)
{
	bool is_syn = pkt->flags & W_SYN;

	switch (o[0]) {
	case 2:
		pkt->has_mss = true;
		pkt->mss = get16(o + 2);
		return len == 4 && is_syn ? NULL : "MSS option";
	case 3:
		pkt->has_wscale = true;
		pkt->wscale = o[2];
		return len == 3 && is_syn && o[2] <= 14 ? NULL : "window scale option";
	case 4:
		pkt->has_sack_ok = true;
		return len == 2 && is_syn ? NULL : "SACK-permitted option";
	case 5:
		return parse_sack(o, len, pkt);
	case 8:
		pkt->has_ts = true;
		pkt->tsval = get32(o + 2);
		pkt->tsecr = get32(o + 6);
		return len == 10 ? NULL : "timestamps option";
	default:
		return "unknown option";
	}
}

static const char *parse_options(const uint8_t *o, const uint8_t *end, struct wire_pkt *pkt)
{
	while (o < end && *o != 0) {
		const char *wrong;

		if (*o == 1) {
			o++;
			continue;
		}
		if (end - o < 2 || o[1] < 2 || o + o[1] > end)
			return "option length";
		wrong = parse_option(o, o[1], pkt);
		if (wrong)
			return wrong;
		o += o[1];
	}
	for (; o < end; o++)
		if (*o != 0)
			return "padding is not zero";
	return NULL;
}

const char *wire_parse(const uint8_t *bytes, size_t len, struct wire_pkt *pkt)
{
	const char *wrong;
	const uint8_t *t;
	uint32_t hdr, seg;

	memset(pkt, 0, sizeof(*pkt));
	wrong = parse_ip(bytes, len, pkt);
	if (wrong)
		return wrong;
	t = bytes + wire_ip_bytes(pkt->src.family);
	seg = (uint32_t)(len - wire_ip_bytes(pkt->src.family));
	if (seg < 20)
		return "shorter than a TCP header";
	hdr = (t[12] >> 4) * 4u;
	if (hdr < 20 || hdr > seg)
		return "data offset";
	if (tcp_sum(bytes, pkt->src.family, t, seg) != 0)
		return "TCP checksum";
	pkt->sport = get16(t);
	pkt->dport = get16(t + 2);
	pkt->seq = get32(t + 4);
	pkt->ack = get32(t + 8);
	pkt->flags = t[13];
	pkt->wnd = get16(t + 14);
	pkt->urp = get16(t + 18);
	pkt->text = t + hdr;
	pkt->text_bytes = seg - hdr;
	if (t[12] & 15)
		return "reserved bits";
	return parse_options(t + 20, t + hdr, pkt);
}

uint32_t wire_option_bytes(const struct wire_pkt *pkt)
{
	uint32_t n = pkt->has_mss * 4u + pkt->has_wscale * 4u + pkt->has_sack_ok * 4u +
		     pkt->has_ts * 12u;

	return n + (pkt->sack_count ? 4 + 8u * pkt->sack_count : 0);
}

static void put_options(uint8_t *o, const struct wire_pkt *pkt)
{
	if (pkt->has_mss) {
		put32(o, 0x02040000u | pkt->mss);
		o += 4;
	}
	if (pkt->has_wscale) {
		put32(o, 0x01030300u | pkt->wscale);
		o += 4;
	}
	if (pkt->has_sack_ok) {
		put32(o, 0x01010402u);
		o += 4;
	}
	if (pkt->has_ts) {
		put32(o, 0x0101080au);
		put32(o + 4, pkt->tsval);
		put32(o + 8, pkt->tsecr);
		o += 12;
	}
	if (pkt->sack_count) {
		put32(o, 0x01010500u | (2 + 8u * pkt->sack_count));
		for (unsigned i = 0; i < pkt->sack_count; i++) {
			put32(o + 4 + 8 * i, pkt->sack[i].start);
			put32(o + 8 + 8 * i, pkt->sack[i].end);
		}
	}
}

static void put_ip(uint8_t *b, const struct wire_pkt *pkt, uint32_t seg)
{
	uint32_t hdr = wire_ip_bytes(pkt->src.family);

	memset(b, 0, hdr);
	if (pkt->src.family == AF_INET) {
		b[0] = 0x45;
		b[1] = pkt->ecn;
		put16(b + 2, (uint16_t)(hdr + seg));
		b[6] = 0x40;
		b[8] = 64;
		b[9] = IPPROTO_TCP;
		memcpy(b + 12, pkt->src.bytes, 4);
		memcpy(b + 16, pkt->dst.bytes, 4);
		put16(b + 10, folded(sum_of(b, 20, 0)));
	} else {
		b[0] = 0x60;
		b[1] = (uint8_t)(pkt->ecn << 4);
		put16(b + 4, (uint16_t)seg);
		b[6] = IPPROTO_TCP;
		b[7] = 64;
		memcpy(b + 8, pkt->src.bytes, 16);
		memcpy(b + 24, pkt->dst.bytes, 16);
	}
}

size_t wire_build(uint8_t *out, const struct wire_pkt *pkt)
{
	uint32_t hdr = 20 + wire_option_bytes(pkt), seg = hdr + pkt->text_bytes;
	uint8_t *t = out + wire_ip_bytes(pkt->src.family);

	put_ip(out, pkt, seg);
	memset(t, 0, hdr);
	put16(t, pkt->sport);
	put16(t + 2, pkt->dport);
	put32(t + 4, pkt->seq);
	put32(t + 8, pkt->ack);
	t[12] = (uint8_t)(hdr / 4 << 4);
	t[13] = pkt->flags;
	put16(t + 14, pkt->wnd);
	put16(t + 18, pkt->urp);
	put_options(t + 20, pkt);
	if (pkt->text)
		memcpy(t + hdr, pkt->text, pkt->text_bytes);
	put16(t + 16, tcp_sum(out, pkt->src.family, t, seg));
	return wire_ip_bytes(pkt->src.family) + seg;
}

size_t wire_cut(uint8_t *bytes, size_t *len, uint32_t text_max, uint8_t *out)
{
	struct wire_pkt head, tail;
	uint8_t rest[WIRE_PACKET_MAX];
	size_t made;

	if (wire_parse(bytes, *len, &head) || head.text_bytes <= text_max) {
		memcpy(out, bytes, *len);
		made = *len;
		*len = 0;
		return made;
	}
	tail = head;
	head.text_bytes = text_max;
	head.flags &= (uint8_t)~(W_FIN | W_PSH);
	tail.text += text_max;
	tail.text_bytes -= text_max;
	tail.seq += text_max;
	tail.flags &= (uint8_t)~W_CWR;
	made = wire_build(out, &head);
	*len = wire_build(rest, &tail);
	memcpy(bytes, rest, *len);
	return made;
}

void wire_print(FILE *f, const struct wire_pkt *pkt, uint32_t seq0, uint32_t ack0)
{
	static const char names[] = "FSRPAUEC";

	for (unsigned i = 0; i < 8; i++)
		if (pkt->flags & 1u << i)
			fputc(names[i], f);
	fprintf(f, " %u:%u(%u)", pkt->seq - seq0, pkt->seq - seq0 + pkt->text_bytes,
		pkt->text_bytes);
	if (pkt->flags & W_ACK)
		fprintf(f, " ack %u", pkt->ack - ack0);
	fprintf(f, " win %u", pkt->wnd);
	if (pkt->has_mss)
		fprintf(f, " mss %u", pkt->mss);
	if (pkt->has_wscale)
		fprintf(f, " ws %u", pkt->wscale);
	if (pkt->has_sack_ok)
		fprintf(f, " sackOK");
	if (pkt->has_ts)
		fprintf(f, " ts %u/%u", pkt->tsval, pkt->tsecr);
	for (unsigned i = 0; i < pkt->sack_count; i++)
		fprintf(f, " sack %u-%u", pkt->sack[i].start - ack0, pkt->sack[i].end - ack0);
	if (pkt->ecn)
		fprintf(f, " ecn %u", pkt->ecn);
}
