/*
 * parse.c - walks the headers of a frame once
 *
 * Pure: bytes in, offsets out. Two bounds hold at any time. `readable` is what the first segment
 * holds; a header that reaches past it is cut short. `end` is where the IP datagram says it ends; a
 * header that reaches past that contradicts the length above it. Bytes after `end` are padding and
 * are never looked at.
 *
 * What is not Ethernet, ARP, IP, TCP, UDP or ICMP is not an error: it has no ports and is other
 * traffic. Tunnels are not entered. IPv6 chains are walked for at most EXT_MAX headers, and not
 * past a routing header that still has somewhere to go, since the address in front is not the last
 * one.
 *
 * RFC 791, 8200, 826, 9293, 768, 792, 4443; 6946 (atomic fragments), 7112 and 1858 (the first
 * fragment holds the whole chain of headers), IEEE 802.1Q.
 */
#include <assert.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include "classifier/parse.h"

#define ETH_BYTES     14u
#define VLAN_BYTES    4u
#define VLAN_TAG_MAX  2
#define ARP_BYTES     28u
#define IP4_BYTES     20u
#define IP6_BYTES     40u
#define TCP_BYTES     20u
#define UDP_BYTES     8u
#define ICMP4_BYTES   8u
#define ICMP6_BYTES   4u
#define QUOTE_OFF     8u /* an error's quotation follows its type, code, checksum and a word */
#define QUOTE_BYTES   8u /* of the quoted transport header: ports and sequence number */
#define EXT_MAX	      8u
#define EXT_BYTES_MAX 2048u /* what its one length byte can say */

#define TYPE_IP4      0x0800
#define TYPE_ARP      0x0806
#define TYPE_VLAN     0x8100
#define TYPE_IP6      0x86dd
#define TYPE_QINQ     0x88a8
#define TYPE_QINQ_OLD 0x9100

static_assert(
	ETH_BYTES + VLAN_TAG_MAX * VLAN_BYTES + IP6_BYTES + EXT_MAX * EXT_BYTES_MAX <= UINT16_MAX,
	"l4_off holds the longest chain");

struct span {
	const uint8_t *bytes;
	uint32_t readable, frame_len;
};

/* Where the walk over extension headers stands. */
struct chain {
	uint32_t off, end;
	uint8_t next;
	bool has_fragment_header, is_fragment, is_later;
};

/* A header of @n bytes at @off of a datagram that ends at @end. */
static enum parse_result need(const struct span *s, uint32_t off, uint32_t n, uint32_t end)
{
	if (off + n > end)
		return PARSE_LENGTH;
	return off + n > s->readable ? PARSE_SHORT : PARSE_OK;
}

static bool is_tag(uint16_t ethertype)
{
	return ethertype == TYPE_VLAN || ethertype == TYPE_QINQ || ethertype == TYPE_QINQ_OLD;
}

static enum parse_result parse_ethernet(const struct span *s, struct pkt_info *out)
{
	uint32_t off = ETH_BYTES;

	if (s->readable < ETH_BYTES)
		return PARSE_SHORT;
	if (s->bytes[0] & 1)
		out->flags |= PKT_MULTICAST;
	out->ethertype = load_be16(s->bytes + 12);
	for (unsigned tags = 0; tags < VLAN_TAG_MAX && is_tag(out->ethertype); tags++) {
		uint16_t vid;

		if (off + VLAN_BYTES > s->readable)
			return PARSE_SHORT;
		vid = load_be16(s->bytes + off) & 0xfff;
		if (vid) {
			out->flags |= PKT_VLAN;
			out->vlan = vid;
		}
		out->ethertype = load_be16(s->bytes + off + 2);
		off += VLAN_BYTES;
	}
	out->l3_off = (uint16_t)off;
	out->l4_off = (uint16_t)off;
	out->end_off = s->frame_len;
	return PARSE_OK;
}

/* Ethernet and IPv4 addresses, as we use them; any other ARP is other traffic. */
static enum parse_result parse_arp(const struct span *s, struct pkt_info *out)
{
	const uint8_t *p = s->bytes + out->l3_off;

	out->l3 = PKT_L3_ARP;
	if (out->l3_off + 8u > s->readable)
		return PARSE_SHORT;
	if (load_be16(p) != 1 || load_be16(p + 2) != TYPE_IP4) {
		out->l3 = PKT_L3_NONE;
		return PARSE_OK;
	}
	if (p[4] != 6 || p[5] != 4)
		return PARSE_LENGTH;
	if (out->l3_off + ARP_BYTES > s->readable)
		return PARSE_SHORT;
	out->l3_len = ARP_BYTES;
	out->l4_off = out->end_off = out->l3_off + ARP_BYTES;
	return PARSE_OK;
}

/*
 * For both families: a fragment has bytes, in eights unless it is the last, and none ends beyond
 * the largest datagram, whose length counts @header too in IPv4. All in bytes.
 */
static bool fragment_is_possible(uint32_t header, uint32_t offset, uint32_t payload, bool more)
{
	if (!payload || (more && payload % 8))
		return false;
	return header + offset + payload <= UINT16_MAX;
}

static void note_fragment(struct pkt_info *out, bool is_later)
{
	out->flags |= is_later ? PKT_FRAGMENT : PKT_FRAGMENT | PKT_FRAGMENT_FIRST;
}

static enum parse_result parse_ip4(const struct span *s, struct pkt_info *out)
{
	const uint8_t *p = s->bytes + out->l3_off;
	uint32_t total, offset;
	uint16_t frag;

	out->l3 = PKT_L3_IP4;
	if (out->l3_off + IP4_BYTES > s->readable)
		return PARSE_SHORT;
	out->l3_len = (p[0] & 15u) * 4;
	total = load_be16(p + 2);
	if (p[0] >> 4 != 4 || out->l3_len < IP4_BYTES || total < out->l3_len)
		return PARSE_LENGTH;
	if (out->l3_off + total > s->frame_len || out->l3_off + out->l3_len > s->readable)
		return PARSE_SHORT;
	out->end_off = out->l3_off + total;
	out->l4_off = (uint16_t)(out->l3_off + out->l3_len);
	out->l4_proto = p[9];
	frag = load_be16(p + 6);
	offset = (frag & 0x1fffu) * 8;
	if (!(frag & 0x3fff))
		return PARSE_OK;
	if (!fragment_is_possible(out->l3_len, offset, total - out->l3_len, frag & 0x2000))
		return PARSE_LENGTH;
	note_fragment(out, offset > 0);
	return PARSE_OK;
}

/* A fragment header ends the walk unless it is the first fragment, or the only one (RFC 6946). */
static enum parse_result walk_fragment(const uint8_t *p, struct chain *ch)
{
	uint16_t field = load_be16(p + 2);
	uint32_t offset = field & 0xfff8u;
	bool more = field & 1;

	if (ch->has_fragment_header)
		return PARSE_LENGTH;
	ch->has_fragment_header = true;
	ch->next = p[0];
	ch->off += 8;
	if (!offset && !more)
		return PARSE_OK;
	if (!fragment_is_possible(0, offset, ch->end - ch->off, more))
		return PARSE_LENGTH;
	ch->is_fragment = true;
	ch->is_later = offset > 0;
	return PARSE_OK;
}

static enum parse_result walk_extensions(const struct span *s, struct chain *ch)
{
	for (unsigned n = 0; n < EXT_MAX && !ch->is_later; n++) {
		const uint8_t *p = s->bytes + ch->off;
		enum parse_result res;

		if (ch->next != IPPROTO_HOPOPTS && ch->next != IPPROTO_ROUTING &&
			ch->next != IPPROTO_DSTOPTS && ch->next != IPPROTO_FRAGMENT)
			return PARSE_OK;
		if (ch->next == IPPROTO_HOPOPTS && n > 0)
			return PARSE_LENGTH; /* RFC 8200 section 4.1: first or not at all */
		res = need(s, ch->off, 8, ch->end);
		if (res)
			return res;
		if (ch->next == IPPROTO_FRAGMENT) {
			res = walk_fragment(p, ch);
			if (res)
				return res;
			continue;
		}
		if (ch->next == IPPROTO_ROUTING && p[3])
			return PARSE_OK; /* segments left: this is not the last address */
		res = need(s, ch->off, (p[1] + 1u) * 8, ch->end);
		if (res)
			return res;
		ch->next = p[0];
		ch->off += (p[1] + 1u) * 8;
	}
	return PARSE_OK;
}

static enum parse_result parse_ip6(const struct span *s, struct pkt_info *out)
{
	const uint8_t *p = s->bytes + out->l3_off;
	struct chain ch = {.off = out->l3_off + IP6_BYTES};
	enum parse_result res;

	out->l3 = PKT_L3_IP6;
	if (ch.off > s->readable)
		return PARSE_SHORT;
	if (p[0] >> 4 != 6)
		return PARSE_LENGTH;
	ch.end = ch.off + load_be16(p + 4);
	if (ch.end > s->frame_len)
		return PARSE_SHORT;
	ch.next = p[6];
	out->end_off = ch.end;
	res = walk_extensions(s, &ch);
	if (res)
		return res;
	out->l4_off = (uint16_t)ch.off;
	out->l3_len = ch.off - out->l3_off;
	out->l4_proto = ch.next;
	if (ch.is_fragment)
		note_fragment(out, ch.is_later);
	return PARSE_OK;
}

static enum parse_result parse_tcp(const struct span *s, struct pkt_info *out)
{
	const uint8_t *p = s->bytes + out->l4_off;
	enum parse_result res = need(s, out->l4_off, TCP_BYTES, out->end_off);
	uint32_t header;

	if (res)
		return res;
	header = (p[12] >> 4) * 4u;
	if (header < TCP_BYTES)
		return PARSE_LENGTH;
	out->sport = load_be16(p);
	out->dport = load_be16(p + 2);
	return need(s, out->l4_off, header, out->end_off);
}

static enum parse_result parse_udp(const struct span *s, struct pkt_info *out)
{
	const uint8_t *p = s->bytes + out->l4_off;
	enum parse_result res = need(s, out->l4_off, UDP_BYTES, out->end_off);
	uint32_t bytes;

	if (res)
		return res;
	bytes = load_be16(p + 4);
	if (bytes < UDP_BYTES)
		return PARSE_LENGTH;
	if (!(out->flags & PKT_FRAGMENT) && out->l4_off + bytes > out->end_off)
		return PARSE_LENGTH;
	out->sport = load_be16(p);
	out->dport = load_be16(p + 2);
	return PARSE_OK;
}

static enum parse_result parse_transport(const struct span *s, struct pkt_info *out)
{
	bool is_ip4 = out->l3 == PKT_L3_IP4;

	if ((out->flags & PKT_FRAGMENT) && !(out->flags & PKT_FRAGMENT_FIRST))
		return PARSE_OK;
	if (out->l4_proto == IPPROTO_TCP)
		return parse_tcp(s, out);
	if (out->l4_proto == IPPROTO_UDP)
		return parse_udp(s, out);
	if (out->l4_proto == IPPROTO_ICMP && is_ip4)
		return need(s, out->l4_off, ICMP4_BYTES, out->end_off);
	if (out->l4_proto == IPPROTO_ICMPV6 && !is_ip4)
		return need(s, out->l4_off, ICMP6_BYTES, out->end_off);
	return PARSE_OK;
}

static bool parse_plain(const struct span *s, struct pkt_info *out)
{
	const uint8_t *p = s->bytes;
	uint32_t end = parse_plain_end(p, s->readable, s->frame_len);

	if (!end)
		return false;
	*out = (struct pkt_info){.cls = PKT_EXCEPTION,
		.l3 = PKT_L3_IP4,
		.l4_proto = p[PLAIN_IP_OFF + 9],
		.flags = p[0] & 1 ? PKT_MULTICAST : 0,
		.l3_off = PLAIN_IP_OFF,
		.l4_off = PLAIN_L4_OFF,
		.l3_len = IP4_BYTES,
		.end_off = end,
		.sport = load_be16(p + PLAIN_L4_OFF),
		.dport = load_be16(p + PLAIN_L4_OFF + 2),
		.ethertype = TYPE_IP4,
		.flow = FLOW_NONE};
	return true;
}

enum parse_result parse_frame(
	const uint8_t *bytes, uint32_t len, uint32_t frame_len, struct pkt_info *out)
{
	struct span s = {bytes, len < frame_len ? len : frame_len, frame_len};
	enum parse_result res;

	if (parse_plain(&s, out))
		return PARSE_OK;
	*out = (struct pkt_info){.cls = PKT_EXCEPTION, .flow = FLOW_NONE};
	res = parse_ethernet(&s, out);
	if (res)
		return res;
	switch (out->ethertype) {
	case TYPE_ARP:
		return parse_arp(&s, out);
	case TYPE_IP4:
		res = parse_ip4(&s, out);
		break;
	case TYPE_IP6:
		res = parse_ip6(&s, out);
		break;
	default:
		return PARSE_OK;
	}
	return res ? res : parse_transport(&s, out);
}

void classify_parse(const uint8_t *bytes, uint32_t len, uint32_t frame_len, struct pkt_info *out)
{
	if (parse_frame(bytes, len, frame_len, out))
		out->cls = PKT_BAD;
}

/* Fills @key from the ports at @p, which we sent. */
static void quote_ports(struct flow_key *key, const uint8_t *p)
{
	memcpy(&key->local_port_be, p, 2);
	memcpy(&key->remote_port_be, p + 2, 2);
}

static bool quote_ip4(const struct span *s, uint32_t off, struct flow_key *key)
{
	const uint8_t *p = s->bytes + off;
	uint32_t header;

	if (need(s, off, IP4_BYTES, s->readable) || p[0] >> 4 != 4)
		return false;
	header = (p[0] & 15u) * 4;
	if (header < IP4_BYTES || p[9] != IPPROTO_TCP || (load_be16(p + 6) & 0x1fff))
		return false;
	if (need(s, off, header + QUOTE_BYTES, s->readable))
		return false;
	*key = (struct flow_key){.family = AF_INET, .proto = IPPROTO_TCP};
	memcpy(key->local, p + 12, 4);
	memcpy(key->remote, p + 16, 4);
	quote_ports(key, p + header);
	return true;
}

static bool quote_ip6(const struct span *s, uint32_t off, struct flow_key *key)
{
	const uint8_t *p = s->bytes + off;
	struct chain ch = {.off = off + IP6_BYTES, .end = s->readable};

	if (need(s, off, IP6_BYTES, s->readable) || p[0] >> 4 != 6)
		return false;
	ch.next = p[6];
	if (walk_extensions(s, &ch) || ch.is_later || ch.next != IPPROTO_TCP)
		return false;
	if (need(s, ch.off, QUOTE_BYTES, s->readable))
		return false;
	*key = (struct flow_key){.family = AF_INET6, .proto = IPPROTO_TCP};
	memcpy(key->local, p + 8, 16);
	memcpy(key->remote, p + 24, 16);
	quote_ports(key, s->bytes + ch.off);
	return true;
}

bool parse_quote(
	const uint8_t *bytes, uint32_t len, const struct pkt_info *info, struct flow_key *key)
{
	uint32_t end = len < info->end_off ? len : info->end_off;
	struct span s = {bytes, end, end};
	uint32_t off = info->l4_off + QUOTE_OFF;

	return info->l3 == PKT_L3_IP4 ? quote_ip4(&s, off, key) : quote_ip6(&s, off, key);
}
