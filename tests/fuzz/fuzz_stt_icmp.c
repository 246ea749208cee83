/*
 * fuzz_stt_icmp.c - ICMP and ICMPv6 errors as a router would send them
 *
 * The quotation is what the stack really sent, cut as routers cut it, so the checks of RFC 5927
 * have something to pass; the fuzzer moves the sequence number away when it wants them to fail.
 */
#include "tests/fuzz/fuzz_stt_icmp.h"

#include <string.h>
#include <sys/socket.h>

#define QUOTE_BYTES_MAX 576

static uint32_t sum_of(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static void put_sum(uint8_t *at, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum;
	at[0] = (uint8_t)(sum >> 8);
	at[1] = (uint8_t)sum;
}

static void put_ip4(
	uint8_t *b, const struct wire_addr *us, const struct wire_addr *them, size_t len)
{
	b[0] = 0x45;
	b[2] = (uint8_t)(len >> 8);
	b[3] = (uint8_t)len;
	b[8] = 64;
	b[9] = 1;
	memcpy(b + 12, them->bytes, 4);
	memcpy(b + 16, us->bytes, 4);
	put_sum(b + 10, sum_of(b, 20, 0));
}

static void put_ip6(
	uint8_t *b, const struct wire_addr *us, const struct wire_addr *them, size_t len)
{
	b[0] = 0x60;
	b[4] = (uint8_t)((len - 40) >> 8);
	b[5] = (uint8_t)(len - 40);
	b[6] = 58;
	b[7] = 255;
	memcpy(b + 8, them->bytes, 16);
	memcpy(b + 24, us->bytes, 16);
}

size_t icmp_build(uint8_t *out, const struct wire_addr *us, const struct wire_addr *them,
	const struct icmp_plan *plan, const uint8_t *sent, size_t sent_len)
{
	size_t hdr = wire_ip_bytes(us->family), quote, len;
	uint8_t *icmp = out + hdr, *seq;
	uint32_t number;

	if (sent_len < hdr + 20)
		return 0;
	quote = sent_len < QUOTE_BYTES_MAX ? sent_len : QUOTE_BYTES_MAX;
	len = hdr + 8 + quote;
	memset(out, 0, hdr + 8);
	icmp[0] = plan->type;
	icmp[1] = plan->code;
	icmp[6] = (uint8_t)(plan->mtu >> 8);
	icmp[7] = (uint8_t)plan->mtu;
	memcpy(icmp + 8, sent, quote);
	seq = icmp + 8 + hdr + 4;
	number =
		((uint32_t)seq[0] << 24 | (uint32_t)seq[1] << 16 | (uint32_t)seq[2] << 8 | seq[3]) +
		plan->seq_add;
	for (unsigned i = 0; i < 4; i++)
		seq[i] = (uint8_t)(number >> (24 - 8 * i));
	if (us->family == AF_INET) {
		put_ip4(out, us, them, len);
		put_sum(icmp + 2, sum_of(icmp, 8 + quote, 0));
	} else {
		put_ip6(out, us, them, len);
		put_sum(icmp + 2,
			sum_of(icmp, 8 + quote, sum_of(out + 8, 32, 58 + (uint32_t)(8 + quote))));
	}
	return len;
}
