/*
 * test_tcp_goodput.c - how much gets through a bad wire, in virtual time
 *
 * Our sender against the simulator's reference peer over the wire of bench/tcp-loss: a round trip
 * of 4 ms, 25 MB/s, a queue of 128 KiB, random loss or reordering. Nothing but the rules of the
 * sender decides here, no scheduler and no driver, so what is lost against the kernel in the bench
 * is either seen here too or is not TCP's. The yardstick is theory: 1.22 / sqrt(p) segments a round
 * trip, which CUBIC promises not to fall short of (RFC 9438 4.3).
 *
 *     test_tcp_goodput LOSS_PPM EARLY_PPM [SEED [REST_US]]     one run, a line of figures
 */
#include <arpa/inet.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/abi/sluice_tcp_test.h"
#include "tests/sim/link.h"
#include "tests/sim/peer.h"

#define RUN_US	     10000000ull
#define DELAY_US     2000
#define BYTES_PER_S  25000000
#define QUEUE_BYTES  131072
#define MSS	     1448.0
#define PIECE_BYTES  65536

enum way { TO_PEER, TO_US };

static struct wire {
	struct stt *stt;
	struct peer peer;
	struct link links[2];
	struct flights flights;
	struct rnd rnd;
	uint64_t now_us;
	int conn;
	uint32_t retrans_segs; /* of the last run */
} w;

static void begin(uint64_t seed, uint32_t loss_ppm, uint32_t early_ppm, uint32_t rest_us)
{
	struct stt_config cfg = {
		.size = sizeof(cfg), .seed = seed, .mtu = 1500, .disable = STT_NO_TSO | STT_NO_ECN};
	struct peer_config peer = {
		.local = {.family = AF_INET, .bytes = {10, 0, 0, 2}},
		.remote = {.family = AF_INET, .bytes = {10, 0, 0, 1}},
		.local_port = 7000,
		.remote_port = 40000,
		.mtu = 1500,
		.mss = 1460,
		.use_sack = true,
		.use_ts = true,
		.use_wscale = true,
		.use_dsack = true,
		.wscale = 7,
		.rcv_bytes = 4 << 20,
		.delack_us = 40000,
		.rto_us_min = 200000,
		.rto_us_max = 8000000,
		.cwnd_max = 1 << 20,
	};

	memset(&w, 0, sizeof(w));
	cfg.local_ip4 = htonl(0x0a000001);
	cfg.peer_ip4 = htonl(0x0a000002);
	w.rnd.state = seed;
	for (int way = 0; way < 2; way++)
		w.links[way].cfg = (struct link_config){
			.delay_us = DELAY_US,
			.loss_ppm = loss_ppm,
			.early_ppm = early_ppm,
			.bytes_per_s = BYTES_PER_S,
			.queue_bytes = QUEUE_BYTES,
		};
	w.links[TO_US].cfg.gather_us = rest_us;
	w.stt = stt_create(&cfg);
	assert_non_null(w.stt);
	w.now_us = stt_now_us(w.stt);
	w.conn = stt_connect(w.stt, AF_INET, 40000, 7000);
	assert_true(w.conn >= 0);
	peer_init(&w.peer, &peer, w.now_us);
}

static void exchange(void)
{
	static uint8_t bytes[WIRE_PACKET_MAX], piece[PIECE_BYTES];
	long n;
	size_t m;

	while (stt_send(w.stt, w.conn, piece, sizeof(piece)) > 0)
		;
	while ((n = stt_tx(w.stt, bytes, sizeof(bytes))) > 0)
		link_send(
			&w.links[TO_PEER], &w.flights, &w.rnd, TO_PEER, bytes, (size_t)n, w.now_us);
	peer_read(&w.peer, peer_readable(&w.peer));
	while ((m = peer_output(&w.peer, bytes, w.now_us)) > 0)
		link_send(&w.links[TO_US], &w.flights, &w.rnd, TO_US, bytes, m, w.now_us);
}

static void advance(void)
{
	uint64_t next = flights_next_us(&w.flights);

	next = stt_deadline_us(w.stt) < next ? stt_deadline_us(w.stt) : next;
	next = peer_deadline_us(&w.peer) < next ? peer_deadline_us(&w.peer) : next;
	w.now_us = next > w.now_us ? next : w.now_us;
	stt_advance_us(w.stt, w.now_us);
	peer_timeout(&w.peer, w.now_us);
	while (flights_next_us(&w.flights) <= w.now_us) {
		struct flight f = flights_take(&w.flights);
		struct wire_pkt pkt;

		if (f.way == TO_US)
			stt_rx(w.stt, f.bytes, f.len);
		else if (wire_parse(f.bytes, f.len, &pkt) == NULL)
			peer_input(&w.peer, &pkt, w.now_us);
		free(f.bytes);
	}
}

/* Bytes a second that reached the peer's application. */
static double run(
	uint64_t seed, uint32_t loss_ppm, uint32_t early_ppm, uint32_t rest_us, bool is_told)
{
	struct stt_info info = {.size = sizeof(info)};
	uint64_t start_us, end_us;
	double rate;

	begin(seed, loss_ppm, early_ppm, rest_us);
	start_us = w.now_us;
	end_us = start_us + RUN_US;
	while (w.now_us < end_us) {
		exchange();
		advance();
	}
	rate = (double)peer_received(&w.peer) * 1e6 / (double)RUN_US;
	stt_info(w.stt, w.conn, &info);
	if (is_told)
		print_message("%.2f MB/s, retransmitted %u, srtt %u us, rto %u us, cwnd %u, "
			      "ssthresh %u\n",
			rate / 1e6, info.retrans_segs, info.srtt_us, info.rto_us, info.cwnd_bytes,
			info.ssthresh_bytes);
	w.retrans_segs = info.retrans_segs;
	stt_destroy(w.stt);
	flights_clear(&w.flights);
	peer_fini(&w.peer);
	return rate;
}

static double mean(uint32_t loss_ppm, uint32_t early_ppm, uint32_t rest_us)
{
	double sum = 0;

	for (uint64_t seed = 1; seed <= 3; seed++)
		sum += run(seed, loss_ppm, early_ppm, rest_us, false);
	print_message("loss %u ppm, early %u ppm, rests of %u us: %.2f MB/s\n", loss_ppm, early_ppm,
		rest_us, sum / 3e6);
	return sum / 3;
}

/* RFC 9438 4.3 and the formula of Mathis, Semke, Mahdavi and Ott for it. */
static double theory(uint32_t loss_ppm)
{
	return 1.22 / sqrt(loss_ppm / 1e6) * MSS * 1e6 / (2 * DELAY_US);
}

static void tcp_sends_what_theory_allows_at_a_thousandth_lost(void **state)
{
	assert_true(mean(1000, 0, 0) > 0.9 * theory(1000));
}

static void tcp_sends_what_theory_allows_at_one_percent_lost(void **state)
{
	assert_true(mean(10000, 0, 0) > 0.9 * theory(10000));
}

/* Three in a hundred overtake 2 ms worth of packets, and now and then make the smallest round trip
 * a tenth of a millisecond: a quarter of that is no window to wait in (RFC 8985 6.2 step 4 widens
 * it). */
static void tcp_learns_how_late_the_wire_may_be(void **state)
{
	assert_true(mean(0, 30000, 0) > 0.9 * BYTES_PER_S);
	assert_true(w.retrans_segs < 1200);
}

/* Whoever rests finds the SACK that makes a segment lost and the ACK that shows it was late in one
 * turn, and sends nothing again between them: the reduction is undone all the same. */
static void tcp_that_rests_loses_nothing_to_a_late_segment(void **state)
{
	assert_true(mean(0, 30000, 250) > 0.9 * BYTES_PER_S);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_sends_what_theory_allows_at_a_thousandth_lost),
		cmocka_unit_test(tcp_sends_what_theory_allows_at_one_percent_lost),
		cmocka_unit_test(tcp_learns_how_late_the_wire_may_be),
		cmocka_unit_test(tcp_that_rests_loses_nothing_to_a_late_segment),
	};

	if (argc > 2) {
		run(argc > 3 ? strtoull(argv[3], NULL, 0) : 1, (uint32_t)atoi(argv[1]),
			(uint32_t)atoi(argv[2]), argc > 4 ? (uint32_t)atoi(argv[4]) : 0, true);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
