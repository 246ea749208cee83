/*
 * tcp_wire.c - TCP headers, from bytes and to bytes (RFC 9293 3.1)
 *
 * The parser is the first of our code to see what a peer wrote, so it trusts two things only: how
 * many bytes it may read, and how long the segment is. An option whose own length cannot be true is
 * the one thing that makes the whole header worthless, since nothing behind it can be found; a
 * known option of the wrong length is merely skipped, and an unknown one always.
 *
 * The builder puts timestamps first behind two NOPs, where the 32-bit words lie on even ground and
 * where receivers with a fast path look for them. SACK blocks take what room is left.
 *
 * No state, no memory, any thread. Always: hdr_len is a multiple of 4 between 20 and 60.
 */
#include "dataplane/net/tcp/tcp_wire.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

enum option_kind {
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_WSCALE = 3,
	OPT_SACK_OK = 4,
	OPT_SACK = 5,
	OPT_TS = 8,
};

#define OPT_MSS_BYTES	  4
#define OPT_WSCALE_BYTES  3
#define OPT_SACK_OK_BYTES 2
#define OPT_TS_BYTES	  10
#define PLAIN_TS_BYTES	  12 /* with two NOPs in front */
#define SACK_BLOCK_BYTES  8

static uint16_t get16(const uint8_t *p)
{
	uint16_t v_be;

	memcpy(&v_be, p, sizeof(v_be));
	return be16toh(v_be);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v_be;

	memcpy(&v_be, p, sizeof(v_be));
	return be32toh(v_be);
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

static void read_sack(const uint8_t *opt, uint8_t len, struct tcp_seg *seg)
{
	uint8_t count = (uint8_t)((len - 2) / SACK_BLOCK_BYTES);

	if (len != 2 + count * SACK_BLOCK_BYTES || count > TCP_SACK_MAX)
		return;
	for (uint8_t i = 0; i < count; i++) {
		seg->sack[i].start = get32(opt + 2 + i * SACK_BLOCK_BYTES);
		seg->sack[i].end = get32(opt + 6 + i * SACK_BLOCK_BYTES);
	}
	seg->sack_count = count;
}

/* Options that only a SYN may carry; elsewhere they say nothing. */
static void read_syn_option(const uint8_t *opt, uint8_t len, struct tcp_seg *seg)
{
	if (opt[0] == OPT_MSS && len == OPT_MSS_BYTES) {
		seg->has_mss = true;
		seg->mss = get16(opt + 2);
	} else if (opt[0] == OPT_WSCALE && len == OPT_WSCALE_BYTES) {
		seg->has_wscale = true;
		seg->wscale = opt[2] > TCP_WSCALE_MAX ? TCP_WSCALE_MAX : opt[2];
	} else if (opt[0] == OPT_SACK_OK && len == OPT_SACK_OK_BYTES) {
		seg->has_sack_ok = true;
	}
}

static void read_option(const uint8_t *opt, uint8_t len, struct tcp_seg *seg)
{
	switch (opt[0]) {
	case OPT_TS:
		if (len != OPT_TS_BYTES)
			return;
		seg->has_ts = true;
		seg->tsval = get32(opt + 2);
		seg->tsecr = get32(opt + 6);
		return;
	case OPT_SACK:
		read_sack(opt, len, seg);
		return;
	default:
		if (seg->flags & TCP_SYN)
			read_syn_option(opt, len, seg);
	}
}

/*
 * RFC 9293 3.1, MUST-7: after an illegal length the start of the next option is unknown; what was
 * read counts.
 */
static void read_options(const uint8_t *opt, uint32_t len, struct tcp_seg *seg)
{
	uint32_t at = 0;

	while (at < len && opt[at] != OPT_END) {
		uint8_t opt_len;

		if (opt[at] == OPT_NOP) {
			at++;
			continue;
		}
		if (len - at < 2)
			return;
		opt_len = opt[at + 1];
		if (opt_len < 2 || opt_len > len - at)
			return;
		read_option(opt + at, opt_len, seg);
		at += opt_len;
	}
}

/* RFC 7323 appendix A: two NOPs and the timestamps, as every segment of an open connection has
 * them. */
static bool is_plain_ts(const uint8_t *opt)
{
	return get32(opt) == (OPT_NOP << 24 | OPT_NOP << 16 | OPT_TS << 8 | OPT_TS_BYTES);
}

/* Into @out at once: with this layout nothing can be wrong any more. */
static void read_plain(const uint8_t *bytes, uint32_t seg_len, struct tcp_seg *out)
{
	memset(out, 0, offsetof(struct tcp_seg, sack));
	out->sport = get16(bytes);
	out->dport = get16(bytes + 2);
	out->seq = get32(bytes + 4);
	out->ack = get32(bytes + 8);
	out->flags = bytes[13];
	out->hdr_len = TCP_HDR_BYTES + PLAIN_TS_BYTES;
	out->wnd = get16(bytes + 14);
	out->urp = get16(bytes + 18);
	out->has_ts = true;
	out->tsval = get32(bytes + TCP_HDR_BYTES + 4);
	out->tsecr = get32(bytes + TCP_HDR_BYTES + 8);
	out->payload_bytes = seg_len - out->hdr_len;
}

int tcp_wire_parse(const uint8_t *bytes, uint32_t len, uint32_t seg_len, struct tcp_seg *out)
{
	struct tcp_seg seg;
	uint32_t hdr_len;

	assert(len <= seg_len);
	if (len < TCP_HDR_BYTES)
		return -EMSGSIZE;
	hdr_len = (uint32_t)(bytes[12] >> 4) * 4;
	if (hdr_len < TCP_HDR_BYTES)
		return -EBADMSG;
	if (hdr_len > len)
		return -EMSGSIZE;
	if (hdr_len == TCP_HDR_BYTES + PLAIN_TS_BYTES && is_plain_ts(bytes + TCP_HDR_BYTES)) {
		read_plain(bytes, seg_len, out);
		return 0;
	}
	memset(&seg, 0, sizeof(seg));
	seg.sport = get16(bytes);
	seg.dport = get16(bytes + 2);
	seg.seq = get32(bytes + 4);
	seg.ack = get32(bytes + 8);
	seg.flags = bytes[13];
	seg.hdr_len = (uint8_t)hdr_len;
	seg.wnd = get16(bytes + 14);
	seg.urp = get16(bytes + 18);
	seg.payload_bytes = seg_len - hdr_len;
	read_options(bytes + TCP_HDR_BYTES, hdr_len - TCP_HDR_BYTES, &seg);
	*out = seg;
	return 0;
}

/* Bytes of all options but SACK blocks, unpadded NOPs of our layout included. */
static uint8_t plain_option_bytes(const struct tcp_seg *seg)
{
	uint8_t bytes = 0;

	if (seg->has_mss)
		bytes += OPT_MSS_BYTES;
	if (seg->has_ts)
		bytes += TCP_OPT_TS_BYTES; /* SACK-permitted takes the place of the two NOPs */
	if (seg->has_sack_ok && !seg->has_ts)
		bytes += 2 + OPT_SACK_OK_BYTES;
	if (seg->has_wscale)
		bytes += 1 + OPT_WSCALE_BYTES;
	return bytes;
}

uint8_t tcp_wire_hdr_len(const struct tcp_seg *seg)
{
	uint32_t bytes = TCP_HDR_BYTES + plain_option_bytes(seg);

	if (seg->sack_count > 0)
		bytes += 4u + seg->sack_count * SACK_BLOCK_BYTES;
	assert(bytes <= TCP_HDR_BYTES_MAX);
	assert(bytes % 4 == 0);
	return (uint8_t)bytes;
}

uint8_t tcp_wire_sack_room(const struct tcp_seg *seg)
{
	int left = TCP_HDR_BYTES_MAX - TCP_HDR_BYTES - plain_option_bytes(seg) - 4;

	if (left < SACK_BLOCK_BYTES)
		return 0;
	left /= SACK_BLOCK_BYTES;
	return (uint8_t)(left > TCP_SACK_MAX ? TCP_SACK_MAX : left);
}

static uint8_t *put_timestamps(uint8_t *p, const struct tcp_seg *seg)
{
	*p++ = seg->has_sack_ok ? OPT_SACK_OK : OPT_NOP;
	*p++ = seg->has_sack_ok ? OPT_SACK_OK_BYTES : OPT_NOP;
	*p++ = OPT_TS;
	*p++ = OPT_TS_BYTES;
	put32(p, seg->tsval);
	put32(p + 4, seg->tsecr);
	return p + 8;
}

static uint8_t *put_sack(uint8_t *p, const struct tcp_seg *seg)
{
	*p++ = OPT_NOP;
	*p++ = OPT_NOP;
	*p++ = OPT_SACK;
	*p++ = (uint8_t)(2 + seg->sack_count * SACK_BLOCK_BYTES);
	for (uint8_t i = 0; i < seg->sack_count; i++) {
		put32(p, seg->sack[i].start);
		put32(p + 4, seg->sack[i].end);
		p += SACK_BLOCK_BYTES;
	}
	return p;
}

static uint8_t *put_options(uint8_t *p, const struct tcp_seg *seg)
{
	if (seg->has_mss) {
		*p++ = OPT_MSS;
		*p++ = OPT_MSS_BYTES;
		put16(p, seg->mss);
		p += 2;
	}
	if (seg->has_ts) {
		p = put_timestamps(p, seg);
	} else if (seg->has_sack_ok) {
		*p++ = OPT_NOP;
		*p++ = OPT_NOP;
		*p++ = OPT_SACK_OK;
		*p++ = OPT_SACK_OK_BYTES;
	}
	if (seg->has_wscale) {
		*p++ = OPT_NOP;
		*p++ = OPT_WSCALE;
		*p++ = OPT_WSCALE_BYTES;
		*p++ = seg->wscale;
	}
	if (seg->sack_count > 0)
		p = put_sack(p, seg);
	return p;
}

/* Timestamps alone, or no option at all, as nearly every segment has. */
static bool is_plain(const struct tcp_seg *seg)
{
	return !(seg->has_mss | seg->has_sack_ok | seg->has_wscale | seg->sack_count);
}

/* Word by word. Out: bytes written. */
static uint8_t build_plain(uint8_t *bytes, struct tcp_seg *seg)
{
	uint32_t words_be[(TCP_HDR_BYTES + PLAIN_TS_BYTES) / 4];

	seg->hdr_len = TCP_HDR_BYTES + (seg->has_ts ? PLAIN_TS_BYTES : 0);
	words_be[0] = htobe32((uint32_t)seg->sport << 16 | seg->dport);
	words_be[1] = htobe32(seg->seq);
	words_be[2] = htobe32(seg->ack);
	words_be[3] = htobe32((uint32_t)seg->hdr_len << 26 | (uint32_t)seg->flags << 16 | seg->wnd);
	words_be[4] = htobe32(seg->urp);
	if (seg->has_ts) {
		words_be[5] = htobe32(OPT_NOP << 24 | OPT_NOP << 16 | OPT_TS << 8 | OPT_TS_BYTES);
		words_be[6] = htobe32(seg->tsval);
		words_be[7] = htobe32(seg->tsecr);
		memcpy(bytes, words_be, TCP_HDR_BYTES + PLAIN_TS_BYTES);
	} else {
		memcpy(bytes, words_be, TCP_HDR_BYTES);
	}
	return seg->hdr_len;
}

uint8_t tcp_wire_build(uint8_t *bytes, struct tcp_seg *seg)
{
	const uint8_t *end;

	if (is_plain(seg))
		return build_plain(bytes, seg);
	assert(seg->sack_count <= TCP_SACK_MAX);
	seg->hdr_len = tcp_wire_hdr_len(seg);
	put16(bytes, seg->sport);
	put16(bytes + 2, seg->dport);
	put32(bytes + 4, seg->seq);
	put32(bytes + 8, seg->ack);
	bytes[12] = (uint8_t)(seg->hdr_len / 4 << 4);
	bytes[13] = seg->flags;
	put16(bytes + 14, seg->wnd);
	put16(bytes + 16, 0);
	put16(bytes + 18, seg->urp);
	end = put_options(bytes + TCP_HDR_BYTES, seg);
	assert(end == bytes + seg->hdr_len);
	return (uint8_t)(end - bytes);
}
