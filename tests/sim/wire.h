/*
 * wire.h - an IP packet with a TCP segment, as bytes and as a struct in host order
 *
 * Written apart from the product's parser on purpose: two readings of the RFCs must agree. Strict:
 * what a correct sender never sends is an error with a reason, not something to be tolerated.
 */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum wire_flag {
	W_FIN = 1,
	W_SYN = 2,
	W_RST = 4,
	W_PSH = 8,
	W_ACK = 16,
	W_URG = 32,
	W_ECE = 64,
	W_CWR = 128
};
enum wire_ecn { W_NOT_ECT, W_ECT1, W_ECT0, W_CE };

#define WIRE_PACKET_MAX 65575 /* IPv6 header and the largest payload */
#define WIRE_SACK_MAX	4

struct wire_addr {
	int family; /* AF_INET: the first four bytes; AF_INET6 */
	uint8_t bytes[16];
};

struct wire_sack {
	uint32_t start, end;
};

struct wire_pkt {
	struct wire_addr src, dst;
	uint8_t ecn; /* enum wire_ecn */
	bool has_df;
	uint16_t sport, dport, wnd, urp, mss;
	uint32_t seq, ack, tsval, tsecr;
	uint8_t flags, wscale, sack_count;
	bool has_mss, has_wscale, has_sack_ok, has_ts;
	struct wire_sack sack[WIRE_SACK_MAX];
	const uint8_t *text; /* build: NULL leaves the room for the caller to fill first */
	uint32_t text_bytes, packet_bytes;
};

static inline uint32_t wire_ip_bytes(int family)
{
	return family == 2 ? 20 : 40; /* AF_INET is 2 wherever Linux runs */
}

/* Out: NULL, or what is wrong with the packet. pkt->text points into @bytes. */
const char *wire_parse(const uint8_t *bytes, size_t len, struct wire_pkt *pkt);

/* Out: bytes written; checksums are right. @out has room for WIRE_PACKET_MAX. */
size_t wire_build(uint8_t *out, const struct wire_pkt *pkt);

uint32_t wire_option_bytes(const struct wire_pkt *pkt);

/*
 * What a NIC does to a packet larger than the wire: cuts off the first @text_max bytes of text as a
 * packet of its own and leaves the rest in @bytes/@len. Out: bytes of the piece written to @out.
 */
size_t wire_cut(uint8_t *bytes, size_t *len, uint32_t text_max, uint8_t *out);

/* One line, numbers relative to @seq0 and @ack0, without the newline. */
void wire_print(FILE *f, const struct wire_pkt *pkt, uint32_t seq0, uint32_t ack0);

#endif
