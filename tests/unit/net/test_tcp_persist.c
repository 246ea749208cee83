/*
 * test_tcp_persist.c - windows that shut, shrink or stay silly, and peers that fall silent: RFC
 * 9293 3.8.6, 3.8.4, 3.8.3
 */
#include "tests/unit/net/conv.h"
#include "tests/unit/between.h"

static void tcp_window_is_unsigned(void **state)
{
	open_with(.wnd = 65535, .mss = 1400);
	assert_int_equal(info().snd_wnd_bytes, 65535);
	for (uint32_t acked = 0; acked < 200000; acked = (uint32_t)info().bytes_acked) {
		if (conv.queued < 400000)
			send_bytes(50000);
		while (tx_any())
			rx(.flags = ACK, .seq = 901, .ack = conv.last.seq + conv.last.len,
				.wnd = 65535);
	}
	send_bytes(100000);
	tx_drain();
	assert_between(info().unacked_bytes, 40000, 65535);
}

static void tcp_first_probe_comes_after_one_timeout(void **state)
{
	uint32_t rto_ms;

	open_with(.rtt_ms = 100);
	rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
	send_bytes(1000);
	tx_none();
	rto_ms = info().rto_us / 1000;
	after_ms(rto_ms - 1);
	tx_none();
	after_ms(1);
	tx(.flags = ACK, .seq = 101, .len = 1);
}

static void tcp_probe_interval_doubles_up_to_a_minute(void **state)
{
	uint64_t last = 0, gap = 0, before = 0;

	open_with(.rtt_ms = 100);
	rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
	send_bytes(1000);
	for (int i = 0; i < 14; i++) {
		while (!tx_any())
			stt_advance_us(conv.stt, stt_deadline_us(conv.stt));
		assert_int_equal(conv.last.len, 1);
		assert_int_equal(conv.last.seq, 101);
		gap = now_ms() - last;
		if (i > 1)
			assert_between(gap, before, 2 * before + 1);
		before = gap;
		last = now_ms();
		rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
	}
	assert_int_equal(gap, 60000);
}

static void tcp_probe_is_not_ecn_capable(void **state)
{
	open_with(.rtt_ms = 100, .ecn = true);
	rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
	send_bytes(1000);
	after_ms(2000);
	tx(.flags = ACK, .seq = 101, .len = 1);
	assert_int_equal(conv.last.ecn, 0);
}

static void tcp_nothing_new_goes_into_a_shrunk_window(void **state)
{
	open_with(.rtt_ms = 100, .wnd = 5000);
	send_bytes(8000);
	assert_int_equal(tx_drain(), 5);
	rx(.flags = ACK, .seq = 901, .ack = 1101, .wnd = 2000);
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 3101, .wnd = 1000);
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 5101, .wnd = 3000);
	tx(.flags = ACK, .seq = 5101, .len = 1000);
}

static void tcp_inside_a_shrunk_window_data_is_sent_again(void **state)
{
	open_with(.rtt_ms = 100, .wnd = 5000, .no_sack = true);
	send_bytes(5000);
	assert_int_equal(tx_drain(), 5);
	rx(.flags = ACK, .seq = 901, .ack = 1101, .wnd = 1000);
	after_ms(2000);
	assert_true(tx_any());
	do {
		assert_int_equal(conv.last.seq, 1101);
		assert_int_equal(conv.last.len, 1000);
	} while (tx_any());
}

static void tcp_data_beyond_a_shrunk_edge_does_not_end_the_connection(void **state)
{
	open_with(.rtt_ms = 100, .wnd = 3000);
	stt_set(conv.stt, conv.id, "user_timeout_us", 60000000);
	send_bytes(3000);
	tx_drain();
	rx(.flags = ACK, .seq = 901, .ack = 1101, .is_shut = true);
	for (int i = 0; i < 600; i++) {
		after_ms(1000);
		while (tx_any())
			rx(.flags = ACK, .seq = 901, .ack = 1101, .is_shut = true);
	}
	assert_int_equal(info().state, STT_ESTABLISHED);
}

/* Shut and opened again by ACKs of one number, within a
 * recovery: what is missing leaves at once. */
static void shut_and_open(uint32_t ack)
{
	rx(.flags = ACK, .seq = 901, .ack = ack, .is_shut = true);
	for (int i = 0; i < 30; i++) {
		after_ms(100);
		while (tx_any())
			rx(.flags = ACK, .seq = 901, .ack = ack, .is_shut = true);
	}
	rx(.flags = ACK, .seq = 901, .ack = ack, .wnd = 5000);
	assert_true(tx_any());
	assert_int_equal(conv.last.seq, ack);
	assert_int_equal(conv.last.len, 1000);
}

static void tcp_window_reopened_in_rto_recovery_is_used_at_once(void **state)
{
	open_with(.rtt_ms = 100, .wnd = 5000);
	send_bytes(5000);
	assert_int_equal(tx_drain(), 5);
	for (int i = 0; i < 20; i++) { /* two seconds of silence: the timeout has backed off */
		after_ms(100);
		tx_drain();
	}
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	assert_true(tx_drain() >= 1); /* what follows is on its way again */
	shut_and_open(1101);
}

static void tcp_window_reopened_in_fast_recovery_is_used_at_once(void **state)
{
	open_with(.rtt_ms = 100, .wnd = 6000);
	send_bytes(6000);
	assert_int_equal(tx_drain(), 6);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 4101}});
	tx(.flags = ACK, .seq = 101, .len = 1000);
	rx(.flags = ACK, .seq = 901, .ack = 4101, .wnd = 2000);
	shut_and_open(4101);
}

static void tcp_silly_window_is_overridden_in_the_end(void **state)
{
	open_with(.rtt_ms = 100, .wnd = 3000);
	send_bytes(3000);
	tx_drain();
	rx(.flags = ACK, .seq = 901, .ack = 3101, .wnd = 200);
	send_bytes(3000);
	tx_none();
	after_ms(2000);
	tx(.flags = ACK, .seq = 3101, .len = 200);
}

static void tcp_reader_of_a_few_bytes_does_not_move_the_window(void **state)
{
	uint32_t at = 901;

	open_with(.quota = 16);
	while (info().rcv_wnd_bytes > 0) {
		uint32_t n = info().rcv_wnd_bytes < 1000 ? info().rcv_wnd_bytes : 1000;

		rx(.flags = ACK, .seq = at, .ack = 101, .len = n);
		at += n;
		tx_drain();
	}
	for (int i = 0; i < 10; i++) {
		read_bytes(10);
		tx_none();
	}
	read_bytes(at - 901 - 100);
	tx(.flags = ACK, .ack = at);
	assert_true(conv.last.wnd >= 1000);
}

static void tcp_keepalive_waits_for_silence(void **state)
{
	open_with();
	stt_set(conv.stt, conv.id, "keepalive_us", 10000000);
	for (uint32_t i = 0; i < 30; i++) {
		after_ms(5000);
		rx(.flags = ACK, .seq = 901 + 10 * i, .ack = 101, .len = 10);
		while (tx_any())
			assert_int_equal(conv.last.seq, 101);
	}
	after_ms(9900);
	tx_drain(); /* the last delayed ACK */
	after_ms(100);
	tx(.flags = ACK, .seq = 100, .len = 0);
}

static void tcp_keepalive_survives_lost_answers(void **state)
{
	open_with();
	stt_set(conv.stt, conv.id, "keepalive_us", 10000000);
	for (int round = 0; round < 5; round++) {
		unsigned probes = 0;

		while (probes < 4) {
			stt_advance_us(conv.stt, stt_deadline_us(conv.stt));
			probes += tx_drain();
		}
		rx(.flags = ACK, .seq = 901, .ack = 101);
		assert_int_equal(info().state, STT_ESTABLISHED);
	}
}

/* Time goes from deadline to deadline for @us. Out: keep-alive probes (no text, SND.NXT - 1 = @seq)
 * on the way. */
static unsigned probes_within(uint64_t us, uint32_t seq)
{
	uint64_t end_us = stt_now_us(conv.stt) + us, next_us;
	unsigned probes = 0;

	while (info().state != STT_CLOSED && (next_us = stt_deadline_us(conv.stt)) <= end_us) {
		stt_advance_us(conv.stt, next_us);
		while (tx_any())
			probes += conv.last.len == 0 && conv.last.seq == seq &&
				  !(conv.last.flags & RST);
	}
	if (stt_now_us(conv.stt) < end_us)
		stt_advance_us(conv.stt, end_us);
	return probes;
}

/* MUST-26: the retransmission asks, and the user timeout is what ends it. */
static void tcp_keepalive_is_silent_beside_a_retransmission(void **state)
{
	open_with(.rtt_ms = 10);
	stt_set(conv.stt, conv.id, "keepalive_us", 10000000);
	stt_set(conv.stt, conv.id, "user_timeout_us", 200000000);
	send_bytes(500);
	assert_int_equal(probes_within(150000000, 600), 0);
	assert_int_equal(info().state, STT_ESTABLISHED);
	rx(.flags = ACK, .seq = 901, .ack = 601);
	assert_int_equal(probes_within(9900000, 600), 0);
	assert_int_equal(probes_within(200000, 600), 1);
}

/* MUST-26, and a shut window has probes of its own. */
static void tcp_keepalive_is_silent_beside_a_window_probe(void **state)
{
	open_with(.rtt_ms = 10);
	stt_set(conv.stt, conv.id, "keepalive_us", 10000000);
	rx(.flags = ACK, .seq = 901, .ack = 101, .is_shut = true);
	send_bytes(500);
	assert_int_equal(probes_within(150000000, 100), 0);
	assert_int_equal(info().state, STT_ESTABLISHED);
}

/* Idle for long, then an answer is awaited: its own period
 * counts from there, and so does the end. */
static void tcp_keepalive_is_quicker_while_an_answer_is_awaited(void **state)
{
	open_with(.rtt_ms = 10);
	stt_set(conv.stt, conv.id, "keepalive_us", 60000000);
	stt_set(conv.stt, conv.id, "keepalive_busy_us", 5000000);
	stt_set(conv.stt, conv.id, "keepalive_step_us", 2000000);
	assert_int_equal(probes_within(30000000, 100), 0);
	send_bytes(28);
	tx(.flags = ACK, .seq = 101, .len = 28);
	stt_set(conv.stt, conv.id, "expect", 1);
	rx(.flags = ACK, .seq = 901, .ack = 129);
	assert_int_equal(probes_within(4900000, 128), 0);
	assert_int_equal(probes_within(200000, 128), 1);
	rx(.flags = ACK, .seq = 901, .ack = 129);
	assert_int_equal(probes_within(14800000, 128), 5);
	assert_int_equal(info().state, STT_ESTABLISHED);
	probes_within(200000, 128);
	read_fails(ETIMEDOUT);
}

/* What was awaited has come: the long period again. */
static void tcp_keepalive_is_slow_again_after_the_answer(void **state)
{
	open_with(.rtt_ms = 10);
	stt_set(conv.stt, conv.id, "keepalive_us", 60000000);
	stt_set(conv.stt, conv.id, "keepalive_busy_us", 5000000);
	stt_set(conv.stt, conv.id, "expect", 1);
	after_ms(1000);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 16);
	stt_set(conv.stt, conv.id, "expect", 0);
	assert_int_equal(probes_within(59900000, 100), 0);
	assert_int_equal(probes_within(200000, 100), 1);
}

static void tcp_close_to_a_dead_peer_ends(void **state)
{
	open_with();
	send_bytes(100);
	assert_int_equal(stt_close(conv.stt, conv.id), 0);
	after_ms(400000);
	tx_drain();
	assert_int_equal(info().state, STT_CLOSED);
}

static void tcp_r2_is_at_least_a_hundred_seconds(void **state)
{
	open_with();
	send_bytes(100);
	after_ms(100000);
	tx_drain();
	assert_int_equal(info().state, STT_ESTABLISHED);
	rx(.flags = ACK, .seq = 901, .ack = 201);
	assert_int_equal(info().bytes_acked, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.8.6: the window, and what shrinks it */
		conv_test(tcp_window_is_unsigned),
		conv_test(tcp_nothing_new_goes_into_a_shrunk_window),
		conv_test(tcp_inside_a_shrunk_window_data_is_sent_again),
		conv_test(tcp_data_beyond_a_shrunk_edge_does_not_end_the_connection),
		conv_test(tcp_window_reopened_in_rto_recovery_is_used_at_once),
		conv_test(tcp_window_reopened_in_fast_recovery_is_used_at_once),
		/* RFC 9293 3.8.6.1: zero-window probing */
		conv_test(tcp_first_probe_comes_after_one_timeout),
		conv_test(tcp_probe_interval_doubles_up_to_a_minute),
		/* RFC 3168 6.1.6: probes and ECN */
		conv_test(tcp_probe_is_not_ecn_capable),
		/* RFC 9293 3.8.6.2: silly windows, on both sides */
		conv_test(tcp_silly_window_is_overridden_in_the_end),
		conv_test(tcp_reader_of_a_few_bytes_does_not_move_the_window),
		/* RFC 9293 3.8.4: keep-alives */
		conv_test(tcp_keepalive_waits_for_silence),
		conv_test(tcp_keepalive_survives_lost_answers),
		conv_test(tcp_keepalive_is_silent_beside_a_retransmission),
		conv_test(tcp_keepalive_is_silent_beside_a_window_probe),
		conv_test(tcp_keepalive_is_quicker_while_an_answer_is_awaited),
		conv_test(tcp_keepalive_is_slow_again_after_the_answer),
		/* RFC 9293 3.8.3: R1 and R2 */
		conv_test(tcp_close_to_a_dead_peer_ends),
		conv_test(tcp_r2_is_at_least_a_hundred_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
