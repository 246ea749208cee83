/*
 * fuzz_tcp_wire.c - any bytes as a TCP header
 *
 * What the parser accepts must be possible, and must survive being built and parsed again.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "dataplane/net/tcp/tcp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What sack_count does not name has no meaning, and the parser leaves it as it was. */
static void unnamed_clear(struct tcp_seg *seg)
{
	for (uint8_t i = seg->sack_count; i < TCP_SACK_MAX; i++)
		seg->sack[i] = (struct tcp_sack){0, 0};
}

/* All options at once may be more than fits: the builder's caller asks for the room first. */
static void rebuild(struct tcp_seg *seg)
{
	uint8_t bytes[TCP_HDR_BYTES_MAX];
	struct tcp_seg again;
	uint8_t room = tcp_wire_sack_room(seg), len;

	if (seg->sack_count > room)
		seg->sack_count = room;
	unnamed_clear(seg);
	len = tcp_wire_build(bytes, seg);
	assert(tcp_wire_parse(bytes, len, len + seg->payload_bytes, &again) == 0);
	unnamed_clear(&again);
	assert(memcmp(&again, seg, sizeof(again)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_seg seg;

	if (size > 65535 || tcp_wire_parse(data, (uint32_t)size, (uint32_t)size, &seg))
		return 0;
	assert(seg.hdr_len >= TCP_HDR_BYTES && seg.hdr_len <= TCP_HDR_BYTES_MAX);
	assert(seg.hdr_len % 4 == 0);
	assert(seg.hdr_len + seg.payload_bytes == size);
	assert(seg.wscale <= TCP_WSCALE_MAX && seg.sack_count <= TCP_SACK_MAX);
	rebuild(&seg);
	return 0;
}
