/*
 * tcp_seq.h - every comparison of TCP sequence numbers and timestamps (RFC 9293 3.4)
 *
 * Numbers live on a circle of 2^32; a is before b when the signed difference is negative. No other
 * file compares them with < or >.
 */
#ifndef DATAPLANE_NET_TCP_TCP_SEQ_H
#define DATAPLANE_NET_TCP_TCP_SEQ_H

#include <stdbool.h>
#include <stdint.h>

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool seq_ge(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

/* Signed distance from @from to @to; positive when @to is ahead. */
static inline int32_t seq_diff(uint32_t to, uint32_t from)
{
	return (int32_t)(to - from);
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? b : a;
}

static inline uint32_t seq_min(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? a : b;
}

/* start <= seq < start + len. An empty range holds nothing. */
static inline bool seq_within(uint32_t seq, uint32_t start, uint32_t len)
{
	return seq - start < len;
}

/* start < seq <= end: the test of an acceptable ACK (RFC 9293 3.10.7.4). */
static inline bool seq_acks(uint32_t seq, uint32_t start, uint32_t end)
{
	return seq_lt(start, seq) && seq_le(seq, end);
}

/*
 * RFC 9293 3.10.7.4, table 6: does a segment of @len (SYN and FIN counted) at @seq touch the
 * receive window of @wnd bytes at @nxt? One that covers the window on both sides does: the table
 * would have it answered and dropped each time, although its middle is what we wait for.
 */
static inline bool seq_acceptable(uint32_t seq, uint32_t len, uint32_t nxt, uint32_t wnd)
{
	if (len == 0)
		return wnd == 0 ? seq == nxt : seq_within(seq, nxt, wnd);
	if (wnd == 0)
		return false;
	return seq_lt(seq, nxt + wnd) && seq_gt(seq + len, nxt);
}

/* Timestamps (RFC 7323 5.2) live on the same circle. */
static inline bool ts_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool ts_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

#endif
