/*
 * conv.c - the peer in a conversation test
 *
 * Builds and reads TCP/IP packets on its own, with nothing of the product: a mistake in the
 * product's wire code cannot hide behind the same mistake here.
 */
#include "tests/unit/net/conv.h"

#include <stdio.h>
#include <stdlib.h>

#define PACKET_BYTES 65536
#define IP4_BYTES    20
#define IP6_BYTES    40

struct conv conv;
static uint8_t sent[1 << 20]; /* which offsets of the peer's stream we were given */

static const uint8_t local6[16] = {0xfd, 0, [15] = 1}, peer6[16] = {0xfd, 0, [15] = 2};

static uint8_t pattern(uint64_t off, bool is_ours)
{
	return (uint8_t)(off * 131 + (off >> 8) * 29 + (is_ours ? 7 : 0));
}

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v & 0xffff);
}

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
	return get16(at) << 16 | get16(at + 2);
}

static uint32_t sum(const uint8_t *at, size_t len, uint32_t from)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		from += get16(at + i);
	if (len & 1)
		from += (uint32_t)at[len - 1] << 8;
	while (from >> 16)
		from = (from & 0xffff) + (from >> 16);
	return from;
}

static uint32_t pseudo(bool from_us, size_t len, uint8_t proto)
{
	uint8_t h[40] = {0};

	if (conv.opt.ip6) {
		memcpy(h, from_us ? local6 : peer6, 16);
		memcpy(h + 16, from_us ? peer6 : local6, 16);
		put32(h + 32, (uint32_t)len);
		h[39] = proto;
		return sum(h, 40, 0);
	}
	put32(h, from_us ? 0x0a000001 : 0x0a000002);
	put32(h + 4, from_us ? 0x0a000002 : 0x0a000001);
	h[9] = proto;
	put16(h + 10, (uint32_t)len);
	return sum(h, 12, 0);
}

static size_t ip_bytes(void)
{
	return conv.opt.ip6 ? IP6_BYTES : IP4_BYTES;
}

/* The IP header of a packet from the peer. */
static void ip_build(uint8_t *p, size_t len, uint8_t proto, uint8_t ecn)
{
	memset(p, 0, ip_bytes());
	if (conv.opt.ip6) {
		put32(p, 6u << 28 | (uint32_t)ecn << 20);
		put16(p + 4, (uint32_t)len);
		p[6] = proto;
		p[7] = 64;
		memcpy(p + 8, peer6, 16);
		memcpy(p + 24, local6, 16);
		return;
	}
	p[0] = 0x45;
	p[1] = ecn;
	put16(p + 2, (uint32_t)(len + IP4_BYTES));
	p[8] = 64;
	p[9] = proto;
	put32(p + 12, 0x0a000002);
	put32(p + 16, 0x0a000001);
	put16(p + 10, 0xffff & ~sum(p, IP4_BYTES, 0));
}

static size_t options_build(const struct segment *s, uint8_t *o)
{
	uint8_t *at = o;

	if (s->raw_len)
		memcpy(at, s->raw, s->raw_len);
	at += s->raw_len;
	if (s->mss) {
		*at++ = 2, *at++ = 4;
		put16(at, s->mss);
		at += 2;
	}
	if (s->has_wscale)
		*at++ = 1, *at++ = 3, *at++ = 3, *at++ = s->wscale;
	if (s->sack_ok)
		*at++ = 1, *at++ = 1, *at++ = 4, *at++ = 2;
	if (s->has_ts) {
		*at++ = 1, *at++ = 1, *at++ = 8, *at++ = 10;
		put32(at, s->tsval);
		put32(at + 4, s->tsecr);
		at += 8;
	}
	if (s->sacks) {
		*at++ = 1, *at++ = 1, *at++ = 5, *at++ = (uint8_t)(2 + 8 * s->sacks);
		for (unsigned i = 0; i < s->sacks; i++, at += 8) {
			put32(at, s->sack[i].start - OUR_ISS + conv.iss);
			put32(at + 4, s->sack[i].end - OUR_ISS + conv.iss);
		}
	}
	while ((at - o) % 4)
		*at++ = 0;
	return (size_t)(at - o);
}

size_t conv_build(const struct segment *s, uint8_t *packet)
{
	uint8_t *h = packet + ip_bytes(), *payload;
	size_t hdr = 20 + options_build(s, h + 20), len = hdr + s->len;
	uint64_t off = s->seq + !!(s->flags & SYN) - PEER_ISS - 1;

	memset(h, 0, 20);
	put16(h, s->sport ? s->sport : PEER_PORT);
	put16(h + 2, s->dport ? s->dport : LOCAL_PORT);
	put32(h + 4, s->seq);
	if (s->flags & ACK)
		put32(h + 8, s->ack - OUR_ISS + conv.iss);
	h[12] = (uint8_t)(hdr / 4 << 4);
	h[13] = s->flags;
	put16(h + 14, s->wnd ? s->wnd : s->is_shut ? 0 : conv.opt.wnd);
	put16(h + 18, s->urp);
	payload = h + hdr;
	for (uint32_t i = 0; i < s->len; i++)
		payload[i] = pattern(off + i, false);
	ip_build(packet, len, IPPROTO_TCP, s->ecn);
	put16(h + 16, 0xffff & ~sum(h, len, pseudo(false, len, IPPROTO_TCP)));
	if (s->bad_csum)
		h[16] ^= 0x55;
	return ip_bytes() + len;
}

static void note_sent(const struct segment *s)
{
	uint32_t from = s->seq + !!(s->flags & SYN);
	uint32_t end = from + s->len + !!(s->flags & FIN);

	if (s->bad_csum)
		return;
	for (uint32_t i = 0; i < s->len; i++)
		if (from + i - PEER_ISS < sizeof(sent))
			sent[from + i - PEER_ISS] = 1;
	if ((int32_t)(end - conv.peer_edge) > 0)
		conv.peer_edge = end;
}

void conv_rx(const struct segment *s)
{
	static uint8_t packet[PACKET_BYTES];
	struct segment full = *s;

	if (conv.opt.ts && !s->no_ts && !(s->flags & RST) && !s->has_ts) {
		full.has_ts = true;
		full.tsval = TSVAL_PEER + (uint32_t)now_ms();
		full.tsecr = s->tsecr ? s->tsecr : conv.last.tsval;
	}
	note_sent(&full);
	stt_rx(conv.stt, packet, conv_build(&full, packet));
}

void conv_rx_raw(const void *packet, size_t len)
{
	stt_rx(conv.stt, packet, len);
}

void conv_icmp(uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq)
{
	uint8_t p[128] = {0};
	uint8_t *icmp = p + ip_bytes(), *quote = icmp + 8, *tcp = quote + ip_bytes();
	size_t len = 8 + ip_bytes() + 8;
	uint8_t proto = conv.opt.ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	icmp[0] = type;
	icmp[1] = code;
	put16(icmp + 6, mtu);
	ip_build(quote, 1000, IPPROTO_TCP, 0);
	if (conv.opt.ip6) {
		memcpy(quote + 8, local6, 16);
		memcpy(quote + 24, peer6, 16);
	} else {
		put32(quote + 12, 0x0a000001);
		put32(quote + 16, 0x0a000002);
	}
	put16(tcp, LOCAL_PORT);
	put16(tcp + 2, PEER_PORT);
	put32(tcp + 4, seq - OUR_ISS + conv.iss);
	ip_build(p, len, proto, 0);
	put16(icmp + 2, 0xffff & ~sum(icmp, len, conv.opt.ip6 ? pseudo(false, len, proto) : 0));
	stt_rx(conv.stt, p, ip_bytes() + len);
}

/* ---- reading what we sent ---- */

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
		assert_memory_equal(p + 24, peer6, 16);
		*ecn = p[1] >> 4 & 3;
		*tcp_len = len - IP6_BYTES;
		return p + IP6_BYTES;
	}
	assert_int_equal(p[0], 0x45);
	assert_int_equal(get16(p + 2), len);
	assert_int_equal(sum(p, IP4_BYTES, 0), 0xffff);
	assert_int_equal(p[9], IPPROTO_TCP);
	assert_int_equal(get32(p + 16), 0x0a000002);
	assert_true(get16(p + 6) & 0x4000); /* DF */
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
			if (!sent[b - PEER_ISS])
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

	assert_int_equal(sum(h, tcp_len, pseudo(true, tcp_len, IPPROTO_TCP)), 0xffff);
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

bool conv_tx_any(const char *file, int line)
{
	static uint8_t packet[PACKET_BYTES];
	long n = stt_tx(conv.stt, packet, sizeof(packet));

	if (n == 0)
		return false;
	assert_true(n > 0);
	read_segment(packet, (size_t)n);
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

/* ---- fixtures ---- */

void conv_begin(const struct options *opt)
{
	struct stt_config cfg = {.size = sizeof(cfg),
		.local_ip4 = htonl(0x0a000001),
		.peer_ip4 = htonl(0x0a000002),
		.seed = 1};

	memset(&conv, 0, sizeof(conv));
	memset(sent, 0, sizeof(sent));
	conv.opt = *opt;
	conv.opt.mss = opt->mss ? opt->mss : 1000;
	conv.opt.wnd = opt->wnd ? opt->wnd : 60000;
	memcpy(cfg.local_ip6, local6, 16);
	memcpy(cfg.peer_ip6, peer6, 16);
	cfg.mtu = opt->mtu;
	cfg.quota = opt->quota;
	cfg.pool_count = opt->pool ? opt->pool : 2048;
	cfg.disable = opt->disable | (opt->tso ? 0 : STT_NO_TSO) | (opt->ecn ? 0 : STT_NO_ECN);
	if (opt->cc)
		snprintf(cfg.cc, sizeof(cfg.cc), "%s", opt->cc);
	conv.stt = stt_create(&cfg);
	assert_non_null(conv.stt);
	conv.start_us = stt_now_us(conv.stt);
	conv.peer_edge = PEER_ISS;
}

void connect_now(void)
{
	conv.id = stt_connect(conv.stt, conv.opt.ip6 ? AF_INET6 : AF_INET, LOCAL_PORT, PEER_PORT);
	assert_true(conv.id >= 0);
}

void conv_open(const struct options *opt)
{
	bool ecn;

	conv_begin(opt);
	connect_now();
	assert_true(tx_any());
	assert_int_equal(conv.last.flags & ~(ECE | CWR), SYN);
	ecn = conv.last.flags & ECE;
	if (opt->wscale && conv.last.has_wscale)
		conv.wscale = conv.last.wscale;
	after_ms(opt->rtt_ms);
	rx(.flags = (uint8_t)(SYN | ACK | (ecn ? ECE : 0)), .seq = PEER_ISS, .ack = OUR_ISS + 1,
		.mss = conv.opt.mss, .sack_ok = !opt->no_sack, .has_wscale = opt->wscale,
		.wscale = opt->wscale_value);
	tx(.flags = ACK, .seq = OUR_ISS + 1, .ack = PEER_ISS + 1);
	assert_int_equal(info().state, STT_ESTABLISHED);
}

int conv_end(void **state)
{
	struct stt_info end;

	if (!conv.stt)
		return 0;
	for (int id = 0; id < 64; id++)
		stt_abort(conv.stt, id);
	while (tx_any())
		;
	end = info();
	stt_destroy(conv.stt);
	conv.stt = NULL;
	return end.free_mbufs == end.total_mbufs ? 0 : -1;
}

uint64_t now_ms(void)
{
	return (stt_now_us(conv.stt) - conv.start_us) / 1000;
}

void at_ms(uint64_t ms)
{
	assert_true(ms >= now_ms());
	stt_advance_us(conv.stt, conv.start_us + ms * 1000);
}

void after_ms(uint64_t ms)
{
	at_ms(now_ms() + ms);
}

void send_bytes(uint32_t len)
{
	uint8_t *bytes = malloc(len);

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = pattern(conv.queued + i, true);
	assert_int_equal(stt_send(conv.stt, conv.id, bytes, len), len);
	conv.queued += len;
	free(bytes);
}

void read_bytes(uint32_t len)
{
	uint8_t *bytes = malloc(len);

	assert_int_equal(stt_recv(conv.stt, conv.id, bytes, len), len);
	for (uint32_t i = 0; i < len; i++)
		if (bytes[i] != pattern(conv.read + i, false))
			fail_msg("byte %lu of the peer's stream is wrong",
				(unsigned long)(conv.read + i));
	conv.read += len;
	free(bytes);
}

static long read_one(void)
{
	uint8_t byte;

	return stt_recv(conv.stt, conv.id, &byte, 1);
}

void read_nothing(void)
{
	assert_int_equal(read_one(), -EAGAIN);
}

void read_end(void)
{
	assert_int_equal(read_one(), 0);
}

void read_fails(int err)
{
	assert_int_equal(read_one(), -err);
}

struct stt_info info(void)
{
	struct stt_info i = {.size = sizeof(i)};

	assert_int_equal(stt_info(conv.stt, conv.id, &i), 0);
	return i;
}
