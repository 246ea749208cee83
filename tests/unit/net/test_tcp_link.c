/*
 * test_tcp_link.c - two of our stacks over a bad link, seeded, in virtual time
 *
 * Both open at once (RFC 9293 figure 8 is all two clients have), both send, both read, over a link
 * that loses, delays, reorders, duplicates and corrupts, with allocations failing now and then.
 * After each event: what is read is what was sent, the bound on held mbufs stands. At the end:
 * everything arrived, in finite time, and every mbuf is back. A failing seed is printed; give it as
 * an argument to run it alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/abi/sluice_tcp_test.h"

#define SEEDS	     150
#define PACKETS_MAX  4096
#define PACKET_BYTES 65536
#define HOUR_US	     3600000000ull
#define QUOTA	     64

struct packet {
	uint64_t at_us;
	uint8_t *bytes;
	uint32_t len;
	int to;
};

struct side {
	struct stt *stt;
	int conn;
	uint64_t queued, read, total;
	bool is_shut, is_ended;
};

static struct world {
	uint64_t random, now_us;
	uint32_t loss, duplicate, corrupt, jitter_us, delay_us, fail; /* per thousand */
	struct side side[2];
	struct packet packets[PACKETS_MAX];
	uint32_t count;
} w;

static uint32_t roll(uint32_t below)
{
	w.random = w.random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((w.random >> 33) % below);
}

static uint8_t pattern(int from, uint64_t off)
{
	return (uint8_t)(off * 167 + (off >> 9) + (uint64_t)from * 91);
}

static void put(int to, const uint8_t *bytes, uint32_t len)
{
	struct packet *p;

	if (roll(1000) < w.loss || w.count == PACKETS_MAX)
		return;
	p = &w.packets[w.count++];
	p->bytes = malloc(len);
	memcpy(p->bytes, bytes, len);
	p->len = len;
	p->to = to;
	p->at_us = w.now_us + w.delay_us + roll(w.jitter_us + 1);
	if (roll(1000) < w.corrupt)
		p->bytes[roll(len)] ^= (uint8_t)(1 + roll(255));
}

static void collect(int from)
{
	static uint8_t bytes[PACKET_BYTES];
	long n;

	while ((n = stt_tx(w.side[from].stt, bytes, sizeof(bytes))) > 0) {
		put(!from, bytes, (uint32_t)n);
		if (roll(1000) < w.duplicate)
			put(!from, bytes, (uint32_t)n);
	}
	assert_int_equal(n, 0);
}

static void deliver(void)
{
	for (uint32_t i = 0; i < w.count;) {
		struct packet p = w.packets[i];

		if (p.at_us > w.now_us) {
			i++;
			continue;
		}
		w.packets[i] = w.packets[--w.count];
		stt_rx(w.side[p.to].stt, p.bytes, p.len);
		free(p.bytes);
	}
}

static void write_some(int from)
{
	struct side *s = &w.side[from];
	uint8_t bytes[20000];
	uint32_t want = 1 + roll(sizeof(bytes));
	long n;

	if (want > s->total - s->queued)
		want = (uint32_t)(s->total - s->queued);
	for (uint32_t i = 0; i < want; i++)
		bytes[i] = pattern(from, s->queued + i);
	n = want ? stt_send(s->stt, s->conn, bytes, want) : 0;
	assert_true(n >= 0 || n == -EAGAIN);
	if (n > 0)
		s->queued += (uint64_t)n;
	if (s->queued == s->total && !s->is_shut) {
		assert_int_equal(stt_shutdown(s->stt, s->conn), 0);
		s->is_shut = true;
	}
}

static void read_some(int to)
{
	struct side *s = &w.side[to];
	uint8_t bytes[30000];
	long n = stt_recv(s->stt, s->conn, bytes, 1 + roll(sizeof(bytes)));

	if (n == -EAGAIN)
		return;
	assert_true(n >= 0);
	if (n == 0)
		s->is_ended = true;
	for (long i = 0; i < n; i++)
		if (bytes[i] != pattern(!to, s->read + (uint64_t)i))
			fail_msg("byte %lu is wrong", (unsigned long)(s->read + (uint64_t)i));
	s->read += (uint64_t)n;
}

static void check(int i)
{
	struct stt_info info = {0};

	assert_int_equal(stt_info(w.side[i].stt, w.side[i].conn, &info), 0);
	assert_true(info.held_mbufs <= QUOTA + 2);
	assert_true(stt_deadline_us(w.side[i].stt) >= w.now_us);
}

static void turn(bool is_good)
{
	uint64_t next = w.now_us + 200000;

	deliver();
	for (int i = 0; i < 2; i++) {
		struct stt_info info = {0};

		stt_info(w.side[i].stt, w.side[i].conn, &info);
		if (info.state >= STT_ESTABLISHED)
			write_some(i);
		if (roll(4) || is_good)
			read_some(i);
		if (!is_good && roll(1000) < w.fail)
			stt_pool_fail(w.side[i].stt, roll(4), 1 + roll(3));
		collect(i);
		check(i);
	}
	for (uint32_t i = 0; i < w.count; i++)
		if (w.packets[i].at_us < next)
			next = w.packets[i].at_us;
	for (int i = 0; i < 2; i++)
		if (stt_deadline_us(w.side[i].stt) < next)
			next = stt_deadline_us(w.side[i].stt);
	w.now_us = next > w.now_us ? next : w.now_us + 100;
	for (int i = 0; i < 2; i++)
		stt_advance_us(w.side[i].stt, w.now_us);
}

static void world_begin(uint64_t seed)
{
	memset(&w, 0, sizeof(w));
	w.random = seed * 2654435761u + 99;
	w.loss = roll(3) ? roll(80) : 0;
	w.duplicate = roll(40);
	w.corrupt = roll(2) ? roll(20) : 0;
	w.delay_us = roll(50000);
	w.jitter_us = roll(3) ? roll(20000) : 0;
	w.fail = roll(2) ? roll(30) : 0;
	for (int i = 0; i < 2; i++) {
		struct stt_config cfg = {
			.size = sizeof(cfg), .seed = seed + (uint64_t)i, .quota = QUOTA};

		cfg.local_ip4 = htonl(0x0a000001u + (uint32_t)i);
		cfg.peer_ip4 = htonl(0x0a000002u - (uint32_t)i);
		cfg.pool_count = 2048;
		cfg.disable = roll(3) ? roll(32) : STT_NO_TSO;
		strcpy(cfg.cc, roll(2) ? "cubic" : roll(2) ? "newreno" : "dctcp");
		w.side[i].stt = stt_create(&cfg);
		assert_non_null(w.side[i].stt);
		w.side[i].total = roll(2) ? roll(300000) : roll(3000);
		w.side[i].conn = stt_connect(
			w.side[i].stt, AF_INET, (uint16_t)(1000 + i), (uint16_t)(1001 - i));
		assert_true(w.side[i].conn >= 0);
	}
	w.now_us = stt_now_us(w.side[0].stt);
}

static bool is_done(void)
{
	return w.side[0].is_ended && w.side[1].is_ended;
}

static void world_end(void)
{
	for (int i = 0; i < 2; i++) {
		struct stt_info info = {0};

		stt_info(w.side[i].stt, w.side[i].conn, &info);
		assert_int_equal(w.side[i].read, w.side[!i].total);
		assert_int_equal(info.free_mbufs, info.total_mbufs);
		stt_destroy(w.side[i].stt);
	}
	while (w.count > 0)
		free(w.packets[--w.count].bytes);
}

static void give_up(uint64_t seed)
{
	for (int i = 0; i < 2; i++) {
		const struct side *s = &w.side[i];
		struct stt_info f = {0};

		stt_info(s->stt, s->conn, &f);
		print_message("side %d: state %u, wrote %lu of %lu, read %lu, ended %d, unacked %u "
			      "sacked %u lost %u, cwnd %u window %u, backoff %u, due in %ld us\n",
			i, f.state, (unsigned long)s->queued, (unsigned long)s->total,
			(unsigned long)s->read, s->is_ended, f.unacked_bytes, f.sacked_bytes,
			f.lost_bytes, f.cwnd_bytes, f.snd_wnd_bytes, f.backoff,
			(long)(stt_deadline_us(s->stt) - w.now_us));
	}
	fail_msg("seed %lu: nothing arrives any more", (unsigned long)seed);
}

static void run(uint64_t seed)
{
	uint64_t start_us;

	world_begin(seed);
	start_us = w.now_us;
	for (uint32_t i = 0; !is_done(); i++) {
		if (w.now_us - start_us > HOUR_US)
			give_up(seed);
		turn(i > 200000);
	}
	world_end();
}

static uint64_t seed_first = 1, seed_count = SEEDS;

static void tcp_delivers_everything_over_bad_links(void **state)
{
	for (uint64_t seed = seed_first; seed < seed_first + seed_count; seed++) {
		print_message("seed %lu\n", (unsigned long)seed);
		run(seed);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_delivers_everything_over_bad_links),
	};

	if (argc > 1) {
		seed_first = strtoull(argv[1], NULL, 0);
		seed_count = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
