/*
 * test_tcp_wired.c - congestion control as a connection has it, not as a unit test calls it
 *
 * CUBIC, HyStart++, NewReno, DCTCP, window validation and pacing have unit tests of their own
 * arithmetic (test_tcp_cc_*.c). Here a conversation sees that the running stack calls them: each of
 * these tests fails when its subject is taken out of the path of an ACK. Where two algorithms meet
 * the same script, the difference is the claim.
 */
#include "tests/unit/net/conv.h"
#include "tests/unit/between.h"

#define LOTS 400000u /* more than any window here */

static uint32_t acked; /* script number of the last acknowledgement */

static void begin(const char *cc, uint32_t rtt_ms)
{
	open_with(.rtt_ms = rtt_ms, .cc = cc, .wscale = true, .wscale_value = 4);
	acked = 101;
}

/* A round trip later everything in flight is acknowledged, a segment at a time. Out: sent
 * meanwhile. */
static unsigned round_trip(uint64_t rtt_ms)
{
	uint32_t segs = info().unacked_bytes / 1000;
	unsigned sent = 0;

	after_ms(rtt_ms);
	for (uint32_t i = 0; i < segs; i++) {
		acked += 1000;
		rx(.flags = ACK, .seq = 901, .ack = acked);
		sent += tx_drain();
	}
	return sent;
}

/* The second of ten is the first to arrive; then all arrives. */
static void lose_the_first(uint64_t rtt_ms)
{
	uint32_t flight = info().unacked_bytes;

	after_ms(rtt_ms);
	rx(.flags = ACK, .seq = 901, .ack = acked, .sacks = 1,
		.sack = {{acked + 1000, acked + flight}});
	tx_drain();
	after_ms(rtt_ms);
	acked += info().unacked_bytes;
	rx(.flags = ACK, .seq = 901, .ack = acked);
}

static void tcp_cubic_keeps_seven_tenths_of_the_window(void **state)
{
	begin("cubic", 100);
	send_bytes(10000);
	assert_int_equal(tx_drain(), 10);
	lose_the_first(100);
	assert_int_equal(info().ssthresh_bytes, 7000);
	assert_int_equal(info().cwnd_bytes, 7000);
}

static void tcp_newreno_keeps_half_of_the_window(void **state)
{
	begin("newreno", 100);
	send_bytes(10000);
	assert_int_equal(tx_drain(), 10);
	lose_the_first(100);
	assert_int_equal(info().ssthresh_bytes, 5000);
	assert_int_equal(info().cwnd_bytes, 5000);
}

/* Segments in the window six seconds after a loss at ten, with a round trip of 800 ms. */
static uint32_t six_seconds_after_a_loss(const char *cc)
{
	uint32_t cwnd;

	begin(cc, 800);
	send_bytes(LOTS);
	assert_int_equal(tx_drain(), 10);
	lose_the_first(800);
	tx_drain();
	for (int i = 0; i < 7; i++)
		round_trip(800);
	cwnd = info().cwnd_bytes / 1000;
	conv_end(NULL);
	return cwnd;
}

/* RFC 9438 4.2: K is 1.96 s here, and four seconds past
 * it W is 35; a segment a round trip is 12. */
static void tcp_cubic_grows_by_time_and_newreno_by_round_trips(void **state)
{
	assert_between(six_seconds_after_a_loss("newreno"), 9, 13);
	assert_between(six_seconds_after_a_loss("cubic"), 15, 40);
}

/* Window after two rounds of slow start, the second of which took half as long again. */
static uint32_t two_rounds(const char *cc, uint64_t second_ms)
{
	uint32_t cwnd;

	begin(cc, 40);
	send_bytes(LOTS);
	assert_int_equal(tx_drain(), 10);
	round_trip(40);
	round_trip(second_ms);
	cwnd = info().cwnd_bytes;
	conv_end(NULL);
	return cwnd;
}

/* RFC 9406 4.3: a round trip that grew by more than an eighth cuts the growth to a quarter. */
static void tcp_slow_start_slows_down_when_the_delay_grows(void **state)
{
	assert_int_equal(two_rounds("cubic", 40), 40000);
	assert_between(two_rounds("cubic", 60), 24000, 34000);
	assert_int_equal(two_rounds("newreno", 60), 40000);
}

/* What a window under one mark keeps, in percent, after as many rounds without any. */
static uint32_t kept_after_a_mark(const char *cc, int quiet_rounds)
{
	uint32_t before;

	open_with(.rtt_ms = 20, .cc = cc, .ecn = true, .wscale = true, .wscale_value = 4);
	acked = 101;
	for (int i = 0; i < quiet_rounds; i++) {
		send_bytes(8000);
		tx_drain();
		round_trip(20);
	}
	send_bytes(8000);
	tx_drain();
	before = info().cwnd_bytes;
	after_ms(20);
	acked += 1000;
	rx(.flags = ACK | ECE, .seq = 901, .ack = acked);
	tx_drain();
	before = info().cwnd_bytes * 100 / before;
	conv_end(NULL);
	return before;
}

/* RFC 8257 3.3: alpha shrinks by a sixteenth each round without a mark. */
static void tcp_dctcp_gives_way_as_far_as_was_marked(void **state)
{
	assert_between(kept_after_a_mark("dctcp", 1), 45, 60);
	assert_between(kept_after_a_mark("dctcp", 20), 80, 95);
	assert_between(kept_after_a_mark("newreno", 20), 30, 60);
}

/* Forty segments of window, nothing in flight. */
static void grown(const char *cc)
{
	begin(cc, 40);
	send_bytes(70000);
	assert_int_equal(tx_drain(), 10);
	assert_int_equal(round_trip(40), 20);
	assert_int_equal(round_trip(40), 40);
	round_trip(40);
	assert_int_equal(info().unacked_bytes, 0);
	assert_true(info().cwnd_bytes >= 40000);
}

/* RFC 7661 4.3, against RFC 5681 4.1, which would begin with ten segments again. */
static void tcp_window_is_kept_over_a_pause(void **state)
{
	uint32_t cwnd;

	grown("cubic");
	cwnd = info().cwnd_bytes;
	after_ms(5000);
	send_bytes(1000);
	assert_int_equal(tx_drain(), 1);
	assert_int_equal(info().cwnd_bytes, cwnd);
	round_trip(40);
	assert_int_equal(info().cwnd_bytes, cwnd);
}

/* RFC 7661 4.4.1: a loss then is answered from what was used, not from what was allowed. */
static void tcp_window_that_was_not_used_is_forgotten_at_a_loss(void **state)
{
	grown("cubic");
	after_ms(5000);
	for (int i = 0; i < 4; i++) {
		send_bytes(8000);
		tx_drain();
		round_trip(40);
		after_ms(300);
	}
	send_bytes(8000);
	assert_int_equal(tx_drain(), 8);
	lose_the_first(40);
	/* Used eight, one sent again: (8 - 1) / 2, where CUBIC alone would keep 5.6. */
	assert_between(info().cwnd_bytes, 2000, 4000);
}

static void tcp_burst_after_a_pause_is_spread(void **state)
{
	unsigned first, sent;

	grown("cubic");
	after_ms(1000);
	send_bytes(40000);
	first = sent = tx_drain();
	assert_between(first, 10, 14);
	for (int i = 0; i < 10; i++) {
		unsigned now;

		after_ms(4);
		now = tx_drain();
		assert_true(now <= 8);
		sent += now;
	}
	assert_int_equal(sent, 40);
}

/* What is in flight does not fill the initial window, and leaves less than a segment of it: the
 * pace goes on. */
static void tcp_pace_does_not_wait_for_an_ack(void **state)
{
	unsigned sent = 0;

	grown("cubic");
	after_ms(1000);
	send_bytes(9500);
	assert_int_equal(tx_drain(), 10);
	send_bytes(40000);
	for (int i = 0; i < 4; i++) {
		after_ms(4);
		sent += tx_drain();
	}
	assert_between(sent, 18, 22); /* of 30, at 0.8 ms each */
}

/* docs/adr/0009: ten segments are what a path must take in one piece (RFC 6928). */
static void tcp_initial_window_leaves_at_once_on_a_long_path(void **state)
{
	begin("cubic", 200);
	send_bytes(LOTS);
	assert_int_equal(tx_drain(), 10);
}

/* Nor is anything paced where a round trip is hardly more than a turn of the worker. */
static void tcp_short_path_is_not_paced(void **state)
{
	begin("cubic", 1);
	send_bytes(70000);
	assert_int_equal(tx_drain(), 10);
	assert_int_equal(round_trip(1), 20);
	assert_int_equal(round_trip(1), 40);
	round_trip(1);
	after_ms(1000);
	send_bytes(40000);
	assert_int_equal(tx_drain(), 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9438 4.6, RFC 5681 3.2: how much a loss leaves */
		conv_test(tcp_cubic_keeps_seven_tenths_of_the_window),
		conv_test(tcp_newreno_keeps_half_of_the_window),
		/* RFC 9438 4.2, RFC 9406 4.3, RFC 8257 3.3: two algorithms meet one script */
		cmocka_unit_test(tcp_cubic_grows_by_time_and_newreno_by_round_trips),
		cmocka_unit_test(tcp_slow_start_slows_down_when_the_delay_grows),
		cmocka_unit_test(tcp_dctcp_gives_way_as_far_as_was_marked),
		/* RFC 7661 4.3 to 4.5: windows and pauses */
		conv_test(tcp_window_is_kept_over_a_pause),
		conv_test(tcp_window_that_was_not_used_is_forgotten_at_a_loss),
		conv_test(tcp_burst_after_a_pause_is_spread),
		conv_test(tcp_pace_does_not_wait_for_an_ack),
		conv_test(tcp_initial_window_leaves_at_once_on_a_long_path),
		conv_test(tcp_short_path_is_not_paced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
