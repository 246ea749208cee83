/*
 * fuzz_stt_icmp.h - an ICMP error about a packet that was sent, for the sequence fuzzer
 */
#ifndef FUZZ_STT_ICMP_H
#define FUZZ_STT_ICMP_H

#include <stddef.h>
#include <stdint.h>
#include "tests/sim/wire.h"

#define ICMP_BYTES_MAX 1280

struct icmp_plan {
	uint8_t type, code;
	uint16_t mtu;
	uint32_t seq_add; /* to the quoted sequence number: an error about what was never sent */
};

/* Quotes @sent. Out: bytes written to @out, 0 when nothing was sent yet. */
size_t icmp_build(uint8_t *out, const struct wire_addr *us, const struct wire_addr *them,
	const struct icmp_plan *plan, const uint8_t *sent, size_t sent_len);

#endif
