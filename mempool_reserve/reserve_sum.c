/*
 * reserve_sum.c - how large the reserve must be, term by term
 *
 * The reserve is not guessed: it is the number of mbufs that can rest somewhere when no normal one
 * is left, and each place has a name and a bound. A new resting place adds its term here in the
 * commit that creates it. `sluice reserve explain` prints these terms.
 *
 *   ring       each RX descriptor holds one; a driver may want a whole ring back in one piece
 *   burst      taken from the ring, not yet classified: the worker runs to completion, so one burst
 *   essential  ARP, ND and ICMP being handled
 *   devices    what the replies each connection may have asked for can occupy
 *   reassembly  fragments of protected peers: as many as the MTU makes of each datagram
 *   neighbour   packets that wait for an address
 *   exception  exception traffic on its way to the kernel, taken while memory was normal
 *
 * Pure arithmetic, 64 bits wide, clamped at the end: a sum no pool can have is refused later, with
 * its numbers.
 */
#include <assert.h>
#include "mempool_reserve/reserve.h"

static uint32_t clamp32(uint64_t n)
{
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static void term_add(struct reserve_sum *sum, const char *name, uint64_t count)
{
	assert(sum->term_count < sizeof(sum->terms) / sizeof(sum->terms[0]));
	sum->terms[sum->term_count++] =
		(struct reserve_sum_term){.name = name, .count = clamp32(count)};
	sum->subtotal = clamp32((uint64_t)sum->subtotal + count);
}

void reserve_sum(const struct reserve_sum_input *in, struct reserve_sum *out)
{
	uint32_t safety_pct = in->safety_pct > 100 ? in->safety_pct : 100;
	uint64_t devices = 0;

	assert(in->device_count <= sizeof(in->device_quota) / sizeof(in->device_quota[0]));
	for (uint32_t i = 0; i < in->device_count; i++)
		devices += in->device_quota[i];
	*out = (struct reserve_sum){0};
	term_add(out, "ring", in->ring_count);
	term_add(out, "burst", in->burst_count);
	term_add(out, "essential", in->essential_count);
	term_add(out, "devices", devices);
	term_add(out, "reassembly", in->reassembly_count);
	term_add(out, "neighbour", in->neighbour_count);
	term_add(out, "exception", in->exception_count);
	out->total = clamp32(((uint64_t)out->subtotal * safety_pct + 99) / 100);
}

uint32_t reserve_quota(uint64_t bytes, uint32_t payload_min, uint32_t slack_count)
{
	uint64_t segs;

	assert(payload_min > 0);
	segs = bytes / payload_min + (bytes % payload_min != 0);
	return clamp32(segs > UINT32_MAX ? segs : segs + slack_count);
}
