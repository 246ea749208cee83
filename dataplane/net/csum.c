/*
 * csum.c - the Internet checksum, four bytes at a time
 *
 * The one's complement sum does not care in which width it is taken (RFC 1071 2), so 32-bit words
 * go into 64-bit accumulators that cannot overflow below 16 GiB, and the carries are folded once.
 * Four accumulators, because the additions of one would wait for each other. Byte order does not
 * matter either: a sum of swapped words is the swapped sum, so memory is summed as it lies.
 *
 * In a chain a segment may begin at an odd offset of the message; its own sum is then swapped.
 */
#include "dataplane/net/csum.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include <sys/socket.h>
#include "dataplane/net/stream.h"

static uint32_t fold32(uint64_t sum)
{
	sum = (sum >> 32) + (sum & UINT32_MAX);
	sum = (sum >> 32) + (sum & UINT32_MAX);
	return (uint32_t)sum;
}

static uint32_t fold16(uint32_t sum)
{
	sum = (sum >> 16) + (sum & UINT16_MAX);
	sum = (sum >> 16) + (sum & UINT16_MAX);
	return sum;
}

static uint64_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* What is left behind the last whole word: up to three bytes, the missing ones zero. */
static uint64_t load_tail(const uint8_t *p, uint32_t len)
{
	uint8_t word[4] = {0};

	memcpy(word, p, len);
	return load32(word);
}

uint32_t csum_add(uint32_t sum, const void *bytes, uint32_t len)
{
	const uint8_t *p = bytes;
	uint64_t a = sum, b = 0, c = 0, d = 0;

	for (; len >= 16; len -= 16, p += 16) {
		a += load32(p);
		b += load32(p + 4);
		c += load32(p + 8);
		d += load32(p + 12);
	}
	for (; len >= 4; len -= 4, p += 4)
		a += load32(p);
	if (len > 0)
		b += load_tail(p, len);
	return fold32(a + b + c + d);
}

uint16_t csum_fold(uint32_t sum)
{
	return (uint16_t)~fold16(sum);
}

uint32_t csum_pseudo(const struct net_ip *src, const struct net_ip *dst, uint8_t proto,
	uint32_t l4_len)
{
	uint32_t bytes = src->family == AF_INET ? 4 : 16;
	const uint32_t rest[2] = {rte_cpu_to_be_32(l4_len), rte_cpu_to_be_32(proto)};
	uint32_t sum = csum_add(0, src->addr, bytes);

	assert(src->family == dst->family);
	sum = csum_add(sum, dst->addr, bytes);
	return csum_add(sum, rest, sizeof(rest));
}

/* Adds a span that begins at an odd or even offset of the message. */
static uint32_t add_at(uint32_t sum, const void *bytes, uint32_t len, bool is_odd)
{
	uint32_t part;

	if (!is_odd)
		return csum_add(sum, bytes, len);
	part = fold16(csum_add(0, bytes, len));
	part = (part << 8 | part >> 8) & UINT16_MAX;
	return fold32((uint64_t)sum + part);
}

uint32_t csum_mbuf(uint32_t sum, const struct rte_mbuf *m, uint32_t off, uint32_t len)
{
	uint32_t done = 0;

	assert(off + (uint64_t)len <= m->pkt_len);
	for (; m && done < len; m = m->next) {
		uint32_t n;

		if (off >= m->data_len) {
			off -= m->data_len;
			continue;
		}
		n = m->data_len - off;
		if (n > len - done)
			n = len - done;
		sum = add_at(sum, rte_pktmbuf_mtod_offset(m, const uint8_t *, off), n, done & 1);
		done += n;
		off = 0;
	}
	assert(done == len);
	return sum;
}
