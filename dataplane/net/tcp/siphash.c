/*
 * siphash.c - a keyed hash of a few dozen bytes
 *
 * Hashing is not our trade, but nothing we link has a keyed hash of this size: DPDK's are keyed by
 * 32 bits or built for spreading flows, and a TLS library's HMAC would be a strange guest on the
 * datapath. SipHash is forty lines, has published test vectors (tests/unit/net/test_siphash.c) and
 * is what RFC 6528 and 6056 ask for in spirit: one cannot guess F(tuple) without the secret, even
 * after seeing F of other tuples. Words are read little-endian on every machine.
 */
#include "dataplane/net/tcp/siphash.h"

#include <string.h>
#include <rte_byteorder.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_rounds(struct sip *s, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotl(s->v1, 13) ^ s->v0;
		s->v3 = rotl(s->v3, 16) ^ s->v2;
		s->v0 = rotl(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotl(s->v1, 17) ^ s->v2;
		s->v3 = rotl(s->v3, 21) ^ s->v0;
		s->v2 = rotl(s->v2, 32);
	}
}

static uint64_t read_le64(const uint8_t *bytes, size_t len)
{
	uint64_t word = 0;

	memcpy(&word, bytes, len);
	return rte_le_to_cpu_64(word);
}

uint64_t siphash(const uint8_t key[16], const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint64_t k0 = read_le64(key, 8), k1 = read_le64(key + 8, 8);
	struct sip s = {
		.v0 = k0 ^ 0x736f6d6570736575ull,
		.v1 = k1 ^ 0x646f72616e646f6dull,
		.v2 = k0 ^ 0x6c7967656e657261ull,
		.v3 = k1 ^ 0x7465646279746573ull,
	};
	size_t left = len;

	for (; left >= 8; at += 8, left -= 8) {
		uint64_t word = read_le64(at, 8);

		s.v3 ^= word;
		sip_rounds(&s, 2);
		s.v0 ^= word;
	}
	uint64_t last = read_le64(at, left) | (uint64_t)len << 56;

	s.v3 ^= last;
	sip_rounds(&s, 2);
	s.v0 ^= last;
	s.v2 ^= 0xff;
	sip_rounds(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
