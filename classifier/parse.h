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

#endif
