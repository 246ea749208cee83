/*
 * fuzz_tcp_stt.c - packets, calls, time and allocation failures in any order, against the whole TCP
 *
 * The input is a short header (family, MTU, options, quota) and then a row of steps. A step that is
 * a packet is built right, with numbers chosen relative to what the connection expects, or nothing
 * but noise would come of a mutation; the peer it makes up lies about everything else. The stack
 * runs behind the test ABI, as for every other driver.
 *
 * The oracle is the simulator's watcher (tests/sim/watch.h), which is sound for a lying peer: no
 * ACK and no SACK for what never came, no retreating edge, no text the application did not queue,
 * none beyond the window. After every step: the ledger adds up, no connection holds more than its
 * quota and one packet, no deadline lies in the past. At the end all memory is back.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip6.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config/limits.h"
#include "tests/abi/sluice_tcp_test.h"
#include "tests/fuzz/fuzz_stt_icmp.h"
#include "tests/sim/text.h"
#include "tests/sim/watch.h"
#include "tests/sim/wire.h"

#define CONNS_MAX     4
#define CONNS_TEXT    "4"
#define STEPS_MAX     400
#define SPINS_MAX     1000
#define VIRTUAL_S_MAX 1000000u /* below the days after which PAWS lets a timestamp go back */
#define PACKET_MBUFS  48       /* what one packet of 64 KiB fills */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One connection and the peer's idea of it. Positions: 0 is the SYN, 1 the first byte. */
struct side {
	struct watch watch;
	int conn;
	bool is_open, is_shut;
	uint32_t isn, tsval;
	uint64_t next; /* of the peer's text */
};

struct fuzz {
	const uint8_t *at, *end;
	struct stt *stt;
	struct stt_config cfg;
	struct wire_addr us, them;
	struct side sides[CONNS_MAX];
	unsigned side_count;
	uint8_t last[WIRE_PACKET_MAX]; /* what the stack sent last, for ICMP to quote */
	size_t last_len;
};

static uint8_t u8(struct fuzz *f)
{
	return f->at < f->end ? *f->at++ : 0;
}

static uint16_t u16(struct fuzz *f)
{
	uint8_t high = u8(f);

	return (uint16_t)(high << 8 | u8(f));
}

static uint32_t u32(struct fuzz *f)
{
	uint32_t high = u16(f);

	return high << 16 | u16(f);
}

static void judge(const struct fuzz *f)
{
	for (unsigned i = 0; i < f->side_count; i++) {
		if (!f->sides[i].watch.why[0])
			continue;
		fprintf(stderr, "port %u: %s\n", f->sides[i].watch.local_port,
			f->sides[i].watch.why);
		abort();
	}
}

/* An echo that was asked for is answered, and is no business of the watcher. */
static bool is_tcp(const uint8_t *packet)
{
	return packet[packet[0] >> 4 == 4 ? 9 : 6] == IPPROTO_TCP;
}

static void drain(struct fuzz *f)
{
	long n;

	while ((n = stt_tx(f->stt, f->last, sizeof(f->last))) > 0) {
		if (!is_tcp(f->last))
			continue;
		f->last_len = (size_t)n;
		for (unsigned i = 0; i < f->side_count; i++)
			watch_out(&f->sides[i].watch, f->last, (size_t)n);
		judge(f);
	}
	assert(n == 0);
}

static void give(struct fuzz *f, const uint8_t *packet, size_t len)
{
	bool is_taken = stt_rx(f->stt, packet, len) == 0;

	for (unsigned i = 0; is_taken && i < f->side_count; i++)
		watch_in(&f->sides[i].watch, packet, len);
}

/* ---- steps ---- */

static void step_connect(struct fuzz *f)
{
	struct side *s = &f->sides[f->side_count];
	uint16_t port = (uint16_t)(40000 + f->side_count);

	if (f->side_count == CONNS_MAX)
		return;
	s->conn = stt_connect(f->stt, f->us.family, port, 7000);
	if (s->conn < 0)
		return;
	s->is_open = true;
	s->isn = u8(f) & 1 ? (uint32_t)-200 : u32(f);
	s->tsval = s->isn * 3;
	s->watch = (struct watch){
		.key_tx = 1 + f->side_count,
		.key_rx = 100 + f->side_count,
		.local_port = port,
		.peer_port = 7000,
		.mtu = f->cfg.mtu,
		.is_tso_allowed = !(f->cfg.disable & STT_NO_TSO),
		.is_reset_allowed = true,
		.may_miss_syn = true,
	};
	watch_init(&s->watch);
	f->side_count++;
}

static void put_syn_options(struct fuzz *f, struct wire_pkt *pkt)
{
	uint8_t how = u8(f);

	pkt->has_mss = !(how & 1);
	pkt->mss = how & 2 ? u16(f) : 1460;
	pkt->has_sack_ok = !(how & 4);
	pkt->has_ts = !(how & 8);
	pkt->has_wscale = !(how & 16);
	pkt->wscale = how & 32 ? u8(f) % 15 : 7;
}

/* SACK blocks near what the stack sent: right, half right, and lies. */
static void put_sacks(struct fuzz *f, const struct side *s, struct wire_pkt *pkt)
{
	pkt->sack_count = 1 + u8(f) % WIRE_SACK_MAX;
	if (pkt->has_ts && pkt->sack_count == WIRE_SACK_MAX)
		pkt->sack_count--;
	for (unsigned i = 0; i < pkt->sack_count; i++) {
		uint32_t from = s->watch.iss + (uint32_t)s->watch.peer_ack;

		pkt->sack[i].start = from + (uint32_t)(int16_t)u16(f);
		pkt->sack[i].end = pkt->sack[i].start + u16(f);
	}
}

static uint64_t seq_pos(struct fuzz *f, const struct side *s, unsigned mode)
{
	switch (mode) {
	case 0:
		return s->next;
	case 1:
		return s->next + (uint64_t)(int64_t)(int16_t)u16(f);
	case 2:
		return s->watch.edge + (uint64_t)(int64_t)(int8_t)u8(f);
	default:
		return s->watch.ack +
		       (uint64_t)(int64_t)(int32_t)u32(f); /* as TCP compares numbers */
	}
}

static uint32_t ack_number(struct fuzz *f, const struct side *s, unsigned mode)
{
	uint64_t una = s->watch.peer_ack;

	switch (mode) {
	case 0:
		return s->watch.iss + (uint32_t)s->watch.sent_max;
	case 1:
		return s->watch.iss + (uint32_t)s->watch.sent_max - u16(f);
	case 2:
		return s->watch.iss + (uint32_t)una;
	default:
		return u32(f);
	}
}

/*
 * The first SYN that is taken may have any number, and positions count from it. A number chosen
 * twice by chance is not the fuzzer's to find: the watcher would take it as said. Nor is the byte
 * in which IPv6, which no checksum covers, would become a fragment: those may wait, and
 * fuzz_net_input has them.
 */
static uint64_t send_segment(
	struct fuzz *f, struct side *s, struct wire_pkt *pkt, uint64_t pos, bool is_damaged)
{
	static uint8_t packet[WIRE_PACKET_MAX], text[65536];
	bool is_first = pkt->flags & W_SYN && !s->watch.has_irs;
	size_t len;

	pkt->seq = s->isn + (uint32_t)pos;
	if (pkt->text_bytes > 0) {
		text_fill(s->watch.key_rx, is_first ? 0 : pos + !!(pkt->flags & W_SYN) - 1, text,
			pkt->text_bytes);
		pkt->text = text;
	}
	len = wire_build(packet, pkt);
	if (is_damaged) {
		size_t at = u16(f) % len;
		uint8_t flip = (uint8_t)(1 + u8(f) % 255);

		if (f->us.family != AF_INET6 || at != offsetof(struct ip6_hdr, ip6_nxt))
			packet[at] ^= flip;
	}
	give(f, packet, len);
	if (!is_first || !s->watch.has_irs)
		return pos;
	s->isn = s->watch.irs;
	return 0;
}

static void step_segment(struct fuzz *f, struct side *s)
{
	uint8_t flags = u8(f), how = u8(f), more = u8(f);
	uint64_t pos = seq_pos(f, s, how & 3);
	struct wire_pkt pkt = {
		.src = f->them,
		.dst = f->us,
		.sport = 7000,
		.dport = s->watch.local_port,
		.flags = flags,
		.ack = ack_number(f, s, how >> 2 & 3),
		.has_ts = s->watch.syn.has_ts && s->watch.peer_syn.has_ts && !(more & 1),
		.ecn = more >> 1 & 3,
		.wnd = more & 8 ? u16(f) : 0x4000,
		.urp = more & 16 ? u16(f) : 0,
		.text_bytes = more & 32 ? u16(f) % (more & 64 ? 60000 : 1461) : u8(f),
	};

	if (flags & W_SYN)
		put_syn_options(f, &pkt);
	else if (how & 32)
		put_sacks(f, s, &pkt);
	if (how & 16)
		s->tsval += (uint32_t)(int32_t)(int16_t)u16(f);
	pkt.tsval = s->tsval;
	pkt.tsecr = how & 64 ? u32(f) : s->watch.tsval;
	pos = send_segment(f, s, &pkt, pos, how & 128);
	if ((how & 3) == 0)
		s->next = pos + pkt.text_bytes + !!(flags & W_SYN) + !!(flags & W_FIN);
}

/* What a decent peer would say, so that most inputs get as far as data. */
static void step_decent(struct fuzz *f, struct side *s)
{
	struct wire_pkt pkt = {
		.src = f->them,
		.dst = f->us,
		.sport = 7000,
		.dport = s->watch.local_port,
		.flags = s->next == 0 ? W_SYN | W_ACK : W_ACK,
		.ack = s->watch.iss + (uint32_t)s->watch.sent_max,
		.wnd = 0xffff,
		.has_ts = s->next == 0 ? s->watch.syn.has_ts
				       : s->watch.syn.has_ts && s->watch.peer_syn.has_ts,
		.tsval = ++s->tsval,
		.tsecr = s->watch.tsval,
	};
	uint64_t pos = s->next;

	if (s->next == 0) {
		put_syn_options(f, &pkt);
		pkt.has_ts = s->watch.syn.has_ts && pkt.has_ts;
		s->next = 1;
	} else {
		pkt.text_bytes = u16(f) % 1461;
		s->next += pkt.text_bytes;
	}
	send_segment(f, s, &pkt, pos, false);
}

static void step_send(struct fuzz *f, struct side *s)
{
	static uint8_t text[65536];
	size_t len = u16(f);
	long n;

	text_fill(s->watch.key_tx, s->watch.queued, text, len);
	n = stt_send(f->stt, s->conn, text, len);
	assert(n <= (long)len);
	if (n > 0)
		watch_queued(&s->watch, (uint64_t)n);
}

static void step_recv(struct fuzz *f, struct side *s)
{
	static uint8_t text[65536];
	size_t len = u16(f);
	long n = stt_recv(f->stt, s->conn, text, len);

	assert(n <= (long)len);
	if (n > 0)
		watch_received(&s->watch, text, (uint64_t)n);
}

static void step_end(struct fuzz *f, struct side *s, uint8_t how)
{
	switch (how % 3) {
	case 0:
		if (stt_shutdown(f->stt, s->conn) == 0)
			watch_shutdown(&s->watch);
		break;
	case 1:
		if (stt_close(f->stt, s->conn) == 0)
			watch_shutdown(&s->watch);
		break;
	default:
		stt_abort(f->stt, s->conn);
	}
}

static void step_option(struct fuzz *f, struct side *s)
{
	static const char *const names[] = {"nodelay", "keepalive_us", "user_timeout_us", "mss",
		"keepalive_busy_us", "keepalive_step_us", "expect"};
	const char *name = names[u8(f) % (sizeof(names) / sizeof(names[0]))];

	stt_set(f->stt, s->conn, name, (int64_t)u32(f));
}

/* Microseconds to days; a stack whose deadlines do not move on would never get there. */
static void step_time(struct fuzz *f)
{
	uint64_t now_us = stt_now_us(f->stt), to_us = now_us + ((uint64_t)u8(f) << u8(f) % 32);

	if (to_us > VIRTUAL_S_MAX * 1000000ull)
		return;
	for (unsigned spins = 0; now_us < to_us; spins++) {
		uint64_t due_us = stt_deadline_us(f->stt);

		assert(spins < SPINS_MAX || due_us > now_us);
		spins = due_us > now_us ? 0 : spins;
		now_us = due_us < to_us ? due_us : to_us;
		stt_advance_us(f->stt, now_us);
		assert(stt_now_us(f->stt) == now_us);
		drain(f);
	}
}

static void step_icmp(struct fuzz *f)
{
	uint8_t packet[ICMP_BYTES_MAX];
	struct icmp_plan plan = {
		.type = u8(f), .code = u8(f) % 16, .mtu = u16(f), .seq_add = u8(f) ? u32(f) : 0};
	size_t len = icmp_build(packet, &f->us, &f->them, &plan, f->last, f->last_len);

	if (len > 0)
		stt_rx(f->stt, packet, len);
}

/* Out: true if the stack was asked for its packets after it. */
static bool step(struct fuzz *f)
{
	uint8_t kind = u8(f);
	struct side *s = &f->sides[f->side_count ? kind / 16 % f->side_count : 0];

	if (f->side_count == 0 || kind % 16 == 0)
		step_connect(f);
	else if (kind % 16 <= 4)
		step_segment(f, s);
	else if (kind % 16 <= 6)
		step_decent(f, s);
	else if (kind % 16 == 7)
		step_send(f, s);
	else if (kind % 16 == 8)
		step_recv(f, s);
	else if (kind % 16 == 9)
		step_end(f, s, u8(f));
	else if (kind % 16 == 10)
		stt_pool_fail(f->stt, u8(f), u8(f));
	else if (kind % 16 == 11)
		step_icmp(f);
	else if (kind % 16 == 12)
		step_option(f, s);
	else
		step_time(f);
	if (kind >= 240) /* a burst: the stack is asked later */
		return false;
	drain(f);
	return true;
}

/*
 * Memory after a step: nobody holds too much, and once all packets are fetched each mbuf is free or
 * some connection's. Before that, an answer to an echo may wait in it.
 */
static void check_memory(const struct fuzz *f, bool is_drained)
{
	struct stt_info info = {.size = sizeof(info)};
	uint32_t held = 0, quota = f->cfg.quota ? f->cfg.quota : TCP_QUOTA_DEFAULT;

	for (unsigned i = 0; i < f->side_count; i++) {
		assert(stt_info(f->stt, f->sides[i].conn, &info) == 0);
		assert(info.held_mbufs <= quota + PACKET_MBUFS);
		held += info.held_mbufs;
	}
	assert(info.free_mbufs + held <= info.total_mbufs);
	assert(!is_drained || f->side_count == 0 || info.free_mbufs + held == info.total_mbufs);
}

static void start(struct fuzz *f)
{
	static const char *const cc[] = {"cubic", "newreno", "dctcp", ""};
	static const uint16_t mtus[] = {1500, 1280, 576, 9000};
	uint8_t how = u8(f), options = u8(f);

	f->cfg = (struct stt_config){
		.size = sizeof(f->cfg),
		.mtu = mtus[how >> 1 & 3],
		.seed = 1,
		.pool_count = 1024,
		.quota = how & 8 ? 16 + u8(f) : 0,
		.disable = options & 31,
		.local_ip4 = htonl(0x0a000001),
		.peer_ip4 = htonl(0x0a000002),
	};
	if (f->cfg.mtu < 1280)
		how &= 0xfe;
	strcpy(f->cfg.cc, cc[how >> 4 & 3]);
	inet_pton(AF_INET6, "fd00::1", f->cfg.local_ip6);
	inet_pton(AF_INET6, "fd00::2", f->cfg.peer_ip6);
	f->us.family = f->them.family = how & 1 ? AF_INET6 : AF_INET;
	memcpy(f->us.bytes, how & 1 ? f->cfg.local_ip6 : (uint8_t *)&f->cfg.local_ip4,
		how & 1 ? 16 : 4);
	memcpy(f->them.bytes, how & 1 ? f->cfg.peer_ip6 : (uint8_t *)&f->cfg.peer_ip4,
		how & 1 ? 16 : 4);
	setenv("STT_CONN_MAX", CONNS_TEXT, 1);
	f->stt = stt_create(&f->cfg);
	assert(f->stt);
	step_connect(f);
	drain(f);
	if (how & 64)
		step_decent(f, &f->sides[0]);
	drain(f);
}

static void finish(struct fuzz *f)
{
	struct stt_info info = {.size = sizeof(info)};

	stt_pool_fail(f->stt, 0, 0);
	for (unsigned i = 0; i < f->side_count; i++)
		stt_abort(f->stt, f->sides[i].conn);
	drain(f);
	/* A connection closed before outlives its handle for as long as the peer may take. */
	stt_advance_us(f->stt, stt_now_us(f->stt) + 10000ull * 1000000);
	drain(f);
	for (unsigned i = 0; i < f->side_count; i++) {
		assert(stt_info(f->stt, f->sides[i].conn, &info) == 0);
		assert(info.state == STT_CLOSED && info.free_mbufs == info.total_mbufs);
		watch_fini(&f->sides[i].watch);
	}
	stt_destroy(f->stt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f;

	memset(&f, 0, offsetof(struct fuzz, last));
	f.last_len = 0;
	f.at = data;
	f.end = data + size;
	start(&f);
	for (unsigned i = 0; i < STEPS_MAX && f.at < f.end; i++) {
		bool is_drained = step(&f);

		judge(&f);
		check_memory(&f, is_drained);
	}
	finish(&f);
	return 0;
}
