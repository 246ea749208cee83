/*
 * conv_read.c - what we sent, read by the peer of a conversation
 *
 * Reads packets on its own, as conv_peer.c builds them. With CONV_TSO in the environment the stack
 * is let send packets beyond the MTU, which are cut here as a NIC would cut them: a script then
 * sees the same segments, and each conversation is one about TSO too.
 */
#include "tests/unit/net/conv_impl.h"

#include <stdlib.h>

static void read_options(const uint8_t *o, size_t len, struct segment *s)
{
	for (size_t i = 0; i < len && o[i] != 0;) {
		size_t n = o[i] == 1 ? 1 : o[i + 1];

		assert_true(n > 0 && i + n <= len);
		switch (o[i]) {
		case 2:
			s->mss = (uint16_t)get16(o + i + 2);
			break;
		case 3:
			s->has_wscale = true;
			s->wscale = o[i + 2];
			break;
		case 4:
			s->sack_ok = true;
			break;
		case 8:
			s->has_ts = true;
			s->tsval = get32(o + i + 2);
			s->tsecr = get32(o + i + 6);
			break;
		case 5:
			s->sacks = (unsigned)(n - 2) / 8;
			for (unsigned k = 0; k < s->sacks; k++)
				s->sack[k] = (struct block){
					get32(o + i + 2 + 8 * k), get32(o + i + 6 + 8 * k)};
			break;
		}
		i += n;
	}
}

/* The IP header, checked. Out: where TCP begins. */
static const uint8_t *read_ip(const uint8_t *p, size_t len, size_t *tcp_len, uint8_t *ecn)
{
	if (conv.opt.ip6) {
		assert_int_equal(p[0] >> 4, 6);
		assert_int_equal(get16(p + 4) + IP6_BYTES, len);
		assert_int_equal(p[6], IPPROTO_TCP);
		assert_memory_equal(p + 24, conv_peer6, 16);
		*ecn = p[1] >> 4 & 3;
		*tcp_len = len - IP6_BYTES;
		return p + IP6_BYTES;
	}
	assert_int_equal(p[0], 0x45);
	assert_int_equal(get16(p + 2), len);
	assert_int_equal(sum(p, IP4_BYTES, 0), 0xffff);
	assert_int_equal(p[9], IPPROTO_TCP);
	assert_int_equal(get32(p + 16), 0x0a000002);
	conv.has_df = get16(p + 6) & 0x4000;
	assert_true(conv.has_df || conv.opt.is_narrow);
	*ecn = p[1] & 3;
	*tcp_len = len - IP4_BYTES;
	return p + IP4_BYTES;
}

static void check_payload(const struct segment *s, const uint8_t *payload)
{
	uint64_t off = s->seq + !!(s->flags & SYN) - OUR_ISS - 1;

	for (uint32_t i = 0; i < s->len; i++)
		if (payload[i] != pattern(off + i, true))
			fail_msg("byte %lu of our stream is wrong", (unsigned long)(off + i));
	assert_true(s->len == 0 || off + s->len <= conv.queued);
}

/* What must hold for every segment of ours. */
static void check_sane(const struct segment *s)
{
	uint32_t edge;

	if (!(s->flags & ACK) || s->flags & RST)
		return;
	if ((int32_t)(s->ack - conv.peer_edge) > 0)
		fail_msg("ACK of %u, but the peer only sent up to %u", s->ack, conv.peer_edge);
	for (unsigned i = 0; i < s->sacks; i++) {
		assert_true((int32_t)(s->sack[i].end - s->sack[i].start) > 0);
		for (uint32_t b = s->sack[i].start; b != s->sack[i].end; b++)
			if (!conv_given[b - PEER_ISS])
				fail_msg("SACK of byte %u, which was never sent", b);
	}
	edge = s->ack + ((uint32_t)s->wnd << (s->flags & SYN ? 0 : conv.wscale));
	if (conv.has_edge && (int32_t)(edge - conv.right_edge) < 0)
		fail_msg("right edge went back from %u to %u", conv.right_edge, edge);
	conv.right_edge = edge;
	conv.has_edge = true;
}

static void read_segment(const uint8_t *p, size_t len)
{
	struct segment s = {0};
	size_t tcp_len, hdr;
	const uint8_t *h = read_ip(p, len, &tcp_len, &s.ecn);

	assert_int_equal(sum(h, tcp_len, conv_pseudo(true, tcp_len, IPPROTO_TCP)), 0xffff);
	hdr = (size_t)(h[12] >> 4) * 4;
	assert_true(hdr >= 20 && hdr <= tcp_len);
	s.sport = (uint16_t)get16(h);
	s.dport = (uint16_t)get16(h + 2);
	s.flags = h[13];
	s.wnd = (uint16_t)get16(h + 14);
	s.len = (uint32_t)(tcp_len - hdr);
	if (s.flags & SYN && !conv.has_iss) {
		conv.iss = get32(h + 4);
		conv.has_iss = true;
	}
	s.seq = get32(h + 4) - conv.iss + OUR_ISS;
	s.ack = get32(h + 8);
	read_options(h + 20, hdr - 20, &s);
	if (s.sport == LOCAL_PORT) {
		check_payload(&s, h + hdr);
		check_sane(&s);
	}
	conv.last = s;
	conv.last_ip_len = (uint32_t)len;
}

/* A packet beyond the MTU, handed out segment by segment. */
static struct {
	struct segment whole;
	uint32_t at, size;
} cut;

void conv_read_reset(void)
{
	memset(&cut, 0, sizeof(cut));
}

/* As a NIC does: FIN and PSH on the last, CWR on the first (what the port is asked for). */
static void next_piece(void)
{
	conv.last = cut.whole;
	conv.last.seq += cut.at;
	conv.last.len = cut.whole.len - cut.at;
	if (cut.at > 0)
		conv.last.flags &= (uint8_t)~CWR;
	if (conv.last.len > cut.size) {
		conv.last.len = cut.size;
		conv.last.flags &= (uint8_t) ~(FIN | PSH);
	}
	cut.at += conv.last.len;
}

bool conv_tx_any(const char *file, int line)
{
	static uint8_t packet[CONV_PACKET_BYTES];
	uint32_t option_bytes;
	long n;

	if (cut.at < cut.whole.len) {
		next_piece();
		return true;
	}
	n = stt_tx(conv.stt, packet, sizeof(packet));
	if (n == 0)
		return false;
	assert_true(n > 0);
	read_segment(packet, (size_t)n);
	if (!conv.is_cutting || conv.last.len == 0)
		return true;
	option_bytes = (uint32_t)(packet[ip_bytes() + 12] >> 4) * 4 - 20;
	cut.whole = conv.last;
	cut.at = 0;
	cut.size = info().mss + (conv.last.has_ts ? 12 : 0) - option_bytes;
	next_piece();
	return true;
}

void conv_tx_none(const char *file, int line)
{
	if (!conv_tx_any(file, line))
		return;
	print_message("unexpected: flags %02x seq %u ack %u len %u wnd %u\n", conv.last.flags,
		conv.last.seq, conv.last.ack, conv.last.len, conv.last.wnd);
	_fail(file, line);
}

static void want(const char *name, uint64_t expect, uint64_t got, const char *file, int line)
{
	if (expect == got)
		return;
	print_message("tx: %s is %lu (0x%lx), not %lu (0x%lx); flags %02x seq %u ack %u len %u\n",
		name, (unsigned long)got, (unsigned long)got, (unsigned long)expect,
		(unsigned long)expect, conv.last.flags, conv.last.seq, conv.last.ack,
		conv.last.len);
	_fail(file, line);
}

#define WANT(field)                                                                                \
	do {                                                                                       \
		if (e->field)                                                                      \
			want(#field, e->field, conv.last.field, file, line);                       \
	} while (0)

void conv_tx(const struct segment *e, const char *file, int line)
{
	if (!conv_tx_any(file, line)) {
		print_message("nothing was sent; flags %02x seq %u ack %u len %u were expected\n",
			e->flags, e->seq, e->ack, e->len);
		_fail(file, line);
	}
	want("flags", e->flags & ~PSH, conv.last.flags & ~PSH, file, line);
	if (!e->any_len)
		want("len", e->len, conv.last.len, file, line);
	WANT(seq);
	WANT(ack);
	WANT(wnd);
	WANT(mss);
	WANT(has_wscale);
	WANT(wscale);
	WANT(sack_ok);
	WANT(has_ts);
	WANT(tsval);
	WANT(tsecr);
	WANT(sacks);
	WANT(ecn);
	if (e->is_shut)
		want("wnd", 0, conv.last.wnd, file, line);
	if (e->no_sack)
		want("sacks", 0, conv.last.sacks, file, line);
	for (unsigned i = 0; i < e->sacks; i++) {
		want("sack start", e->sack[i].start, conv.last.sack[i].start, file, line);
		want("sack end", e->sack[i].end, conv.last.sack[i].end, file, line);
	}
}

unsigned tx_drain(void)
{
	unsigned n = 0;

	while (tx_any())
		n++;
	return n;
}
