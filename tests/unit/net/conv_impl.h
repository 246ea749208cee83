/*
 * conv_impl.h - between the parts of the conversations' peer: conv.c, conv_peer.c, conv_read.c
 */
#ifndef TESTS_UNIT_NET_CONV_IMPL_H
#define TESTS_UNIT_NET_CONV_IMPL_H

#include "tests/unit/net/conv.h"

#define CONV_PACKET_BYTES 65536
#define CONV_STREAM_BYTES (1u << 20)
#define IP4_BYTES	  20
#define IP6_BYTES	  40

extern uint8_t conv_given[CONV_STREAM_BYTES]; /* which offsets of the peer's stream we were given */
extern const uint8_t conv_local6[16], conv_peer6[16];

/* What each stream carries at an offset. */
static inline uint8_t pattern(uint64_t off, bool is_ours)
{
	return (uint8_t)(off * 131 + (off >> 8) * 29 + (is_ours ? 7 : 0));
}

static inline void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static inline void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v & 0xffff);
}

static inline uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static inline uint32_t get32(const uint8_t *at)
{
	return get16(at) << 16 | get16(at + 2);
}

static inline uint32_t sum(const uint8_t *at, size_t len, uint32_t from)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		from += get16(at + i);
	if (len & 1)
		from += (uint32_t)at[len - 1] << 8;
	while (from >> 16)
		from = (from & 0xffff) + (from >> 16);
	return from;
}

static inline size_t ip_bytes(void)
{
	return conv.opt.ip6 ? IP6_BYTES : IP4_BYTES;
}

/* Of the pseudo header. */
uint32_t conv_pseudo(bool from_us, size_t len, uint8_t proto);
/* Forgets what of a large packet was not looked at yet. */
void conv_read_reset(void);

#endif
