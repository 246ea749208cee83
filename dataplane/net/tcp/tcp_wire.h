/*
 * tcp_wire.h - a TCP header as bytes, and as a struct in host order
 *
 * Pure functions: no connection, no mbuf, no clock. Fuzzed by tests/fuzz/fuzz_tcp_wire.c.
 */
#ifndef DATAPLANE_NET_TCP_TCP_WIRE_H
#define DATAPLANE_NET_TCP_TCP_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
#define TCP_ECE 0x40u
#define TCP_CWR 0x80u

#define TCP_HDR_BYTES	    20
#define TCP_HDR_BYTES_MAX   60
#define TCP_SACK_MAX	    4
#define TCP_WSCALE_MAX	    14	/* RFC 7323 2.3: a larger shift is taken as 14 */
#define TCP_MSS_DEFAULT_IP4 536 /* RFC 9293 3.7.1: when the peer names none */
#define TCP_MSS_DEFAULT_IP6 1220
#define TCP_OPT_TS_BYTES    12 /* timestamps with their padding, as built */

struct tcp_sack {
	uint32_t start, end; /* first byte held, first byte after */
};

/* Host order throughout. When built, what has_* and sack_count do not name is left out. */
struct tcp_seg {
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags;
	uint8_t hdr_len; /* bytes, options included; set by both directions */
	uint16_t wnd;	 /* as on the wire, unscaled */
	uint16_t urp;
	bool has_mss, has_wscale, has_sack_ok, has_ts;
	uint16_t mss;
	uint8_t wscale; /* parse: at most TCP_WSCALE_MAX */
	uint8_t sack_count;
	uint32_t tsval, tsecr;
	struct tcp_sack sack[TCP_SACK_MAX];
	uint32_t payload_bytes; /* parse: what follows the header; build ignores it */
};

/*
 * Reads the header at @bytes. @len bytes are readable; the whole segment has @seg_len >= @len.
 * Unknown options are skipped, known ones of a wrong length are ignored; MSS, window scale and
 * SACK-permitted are taken from SYN segments only (RFC 9293 3.1, RFC 7323 2.2, RFC 2018 2).
 * An option whose length is below 2 or passes the header's end ends the options.
 * Out: 0; -EMSGSIZE: shorter than it says (or than 20 bytes); -EBADMSG: data offset below 5. @out
 * is written on success only.
 */
int tcp_wire_parse(const uint8_t *bytes, uint32_t len, uint32_t seg_len, struct tcp_seg *out);

/* Header bytes tcp_wire_build() will write for @seg: a multiple of 4, at most 60 (asserted). */
uint8_t tcp_wire_hdr_len(const struct tcp_seg *seg);

/* SACK blocks that fit beside the other options of @seg. */
uint8_t tcp_wire_sack_room(const struct tcp_seg *seg);

/*
 * Writes header and options at @bytes (room for tcp_wire_hdr_len() bytes), checksum zero, and
 * sets seg->hdr_len. Out: the bytes written.
 */
uint8_t tcp_wire_build(uint8_t *bytes, struct tcp_seg *seg);

#endif
