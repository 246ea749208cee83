/*
 * parse.h - the parse as the other files of this room use it
 */
#ifndef CLASSIFIER_PARSE_H
#define CLASSIFIER_PARSE_H

#include <endian.h>
#include <string.h>
#include "classifier/classifier.h"

enum parse_result {
	PARSE_OK,
	PARSE_SHORT,  /* ends within a header, or the first segment does */
	PARSE_LENGTH, /* a length or an order that cannot be */
};

/* As classify_parse(), with the reason. @out is filled as far as the parse came. */
enum parse_result parse_frame(
	const uint8_t *bytes, uint32_t len, uint32_t frame_len, struct pkt_info *out);

/*
 * The flow an ICMP or ICMPv6 error is about, as its packets arrive: we sent what it quotes, so the
 * quoted destination is the remote. Out: false if it quotes no TCP header's first eight bytes.
 */
bool parse_quote(
	const uint8_t *bytes, uint32_t len, const struct pkt_info *info, struct flow_key *key);

static inline uint16_t load_be16(const uint8_t *p)
{
	uint16_t v_be;

	memcpy(&v_be, p, sizeof(v_be));
	return be16toh(v_be);
}

/* ---- what nearly all traffic looks like ---- */

#define PLAIN_IP_OFF	14u /* Ethernet without a tag */
#define PLAIN_ENDS_OFF	26u /* addresses and ports, in one piece */
#define PLAIN_ENDS_BYTES 12u
#define PLAIN_L4_OFF	34u
#define PLAIN_BYTES_MIN 54u /* UDP has as many too, with the frame's padding */

static inline uint32_t load_be32(const uint8_t *p)
{
	uint32_t v_be;

	memcpy(&v_be, p, sizeof(v_be));
	return be32toh(v_be);
}

/*
 * Is it Ethernet without a tag, IPv4 without options and not a fragment, TCP or UDP, well-formed?
 * Out: where the datagram ends, in bytes from the start of the frame; 0: walk the headers.
 */
static inline uint32_t parse_plain_end(const uint8_t *p, uint32_t readable, uint32_t frame_len)
{
	uint32_t frag_and_proto, header, end;

	if (readable < PLAIN_BYTES_MIN || (load_be32(p + 12) & 0xffffff00) != 0x08004500)
		return 0;
	frag_and_proto = load_be32(p + 20) & 0x3fff00ff;
	end = PLAIN_IP_OFF + load_be16(p + 16);
	if (frag_and_proto == 6) { /* IPPROTO_TCP */
		header = (p[PLAIN_L4_OFF + 12] >> 4) * 4u;
		if (header < 20 || PLAIN_L4_OFF + header > readable)
			return 0;
	} else if (frag_and_proto == 17) { /* IPPROTO_UDP */
		header = load_be16(p + PLAIN_L4_OFF + 4);
		if (header < 8)
			return 0;
	} else {
		return 0;
	}
	return end < PLAIN_L4_OFF + header || end > frame_len ? 0 : end;
}

#endif
