/*
 * test_tcp_ts.c - timestamps: RFC 7323 3 (the option), 4 (round trips), 5 (PAWS)
 */
#include "tests/unit/net/conv.h"
#include "tests/unit/between.h"

/* 3.2: once agreed, in every segment but a reset. */
static void tcp_timestamps_are_on_every_segment(void **state)
{
	open_with(.ts = true);
	send_bytes(10);
	tx(.flags = ACK, .len = 10, .has_ts = true);
	rx(.flags = ACK, .seq = 901, .len = 10, .ack = 111);
	after_ms(100);
	tx(.flags = ACK, .has_ts = true);
	assert_int_equal(stt_shutdown(conv.stt, conv.id), 0);
	tx(.flags = FIN | ACK, .has_ts = true);
}

static void tcp_timestamps_are_left_out_when_the_peer_has_none(void **state)
{
	open_with();
	assert_false(conv.last.has_ts);
	send_bytes(10);
	tx(.flags = ACK, .len = 10);
	assert_false(conv.last.has_ts);
}

/* 3.2: a segment without its timestamp is dropped. */
static void tcp_segment_without_its_timestamp_is_dropped(void **state)
{
	open_with(.ts = true);
	rx(.flags = ACK, .seq = 901, .len = 10, .ack = 101, .no_ts = true);
	tx_none();
	read_nothing();
	rx(.flags = ACK, .seq = 901, .len = 10, .ack = 101);
	read_bytes(10);
}

/* 3.2: and in the reset of a connection that agreed on them, as RFC 7323 recommends. */
static void tcp_reset_of_ours_carries_a_timestamp(void **state)
{
	for (unsigned has_ts = 0; has_ts < 2; has_ts++) {
		open_with(.ts = has_ts);
		after_ms(7);
		rx(.flags = ACK, .seq = 901, .len = 10, .ack = 101);
		tx(.flags = ACK, .ack = 911);
		stt_abort(conv.stt, conv.id);
		assert_true(tx_any());
		assert_int_equal(conv.last.flags, RST | ACK);
		assert_int_equal(conv.last.has_ts, has_ts);
		assert_int_equal(conv.last.tsecr, has_ts ? TSVAL_PEER + 7 : 0);
		assert_int_equal(conv_end(NULL), 0);
	}
}

/* 5.2: a reset needs none. */
static void tcp_reset_without_timestamp_is_taken(void **state)
{
	open_with(.ts = true);
	rx(.flags = RST, .seq = 901);
	assert_int_equal(info().state, STT_CLOSED);
}

/* 5.3 R1: an old timestamp is acknowledged and dropped. */
static void tcp_old_timestamp_is_acknowledged_and_dropped(void **state)
{
	open_with(.ts = true);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .len = 10, .ack = 101);
	tx_drain();
	read_bytes(10);
	rx(.flags = ACK, .seq = 911, .len = 10, .ack = 101, .has_ts = true,
		.tsval = TSVAL_PEER + 50);
	tx(.flags = ACK, .ack = 911);
	read_nothing();
}

/* 4.3 and RFC 5961 4 and 5: what is refused, whoever guessed it, does not move TS.Recent. */
static void tcp_refused_segment_leaves_no_timestamp(void **state)
{
	const struct segment refused[] = {
		{.flags = ACK, .seq = 901, .len = 5, .ack = 102}, /* not sent yet */
		{.flags = ACK,
			.seq = 901,
			.len = 5,
			.ack = 101 - 70000u}, /* older than any window */
		{.flags = SYN | ACK, .seq = 901, .ack = 101},
		{.flags = PSH, .seq = 901, .len = 5},
	};

	for (unsigned i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct segment s = refused[i];

		open_with(.ts = true);
		s.has_ts = true;
		s.tsval = TSVAL_PEER + (1u << 30);
		conv_rx(&s);
		tx_drain();
		read_nothing();
		after_ms(10);
		rx(.flags = ACK, .seq = 901, .len = 10, .ack = 101);
		read_bytes(10);
		tx(.flags = ACK, .ack = 911, .tsecr = TSVAL_PEER + 10);
		assert_int_equal(conv_end(NULL), 0);
	}
}

/* 5.5: after 24 days of silence the peer's clock may have wrapped. */
static void tcp_old_timestamp_is_taken_after_24_days(void **state)
{
	open_with(.ts = true);
	after_ms(25ull * 24 * 3600 * 1000);
	rx(.flags = ACK, .seq = 901, .len = 10, .ack = 101, .has_ts = true,
		.tsval = TSVAL_PEER - 7);
	read_bytes(10);
}

/* 5.5: the outdated one is replaced: echoed no longer, and PAWS goes by the new one. */
static void tcp_timestamp_of_24_days_ago_is_forgotten(void **state)
{
	open_with(.ts = true);
	after_ms(25ull * 24 * 3600 * 1000);
	rx(.flags = ACK, .seq = 901, .len = 10, .ack = 101, .has_ts = true,
		.tsval = TSVAL_PEER - 7);
	tx(.flags = ACK, .ack = 911, .tsecr = TSVAL_PEER - 7);
	rx(.flags = ACK, .seq = 911, .len = 10, .ack = 101, .has_ts = true,
		.tsval = TSVAL_PEER - 8);
	tx(.flags = ACK, .ack = 911);
	read_bytes(10);
}

/* 4.3: what is echoed is the segment's that reached Last.ACK.sent, not the newest. */
static void tcp_echo_is_of_the_segment_the_ack_waited_for(void **state)
{
	open_with(.ts = true);
	rx(.flags = ACK, .seq = 901, .len = 10, .ack = 101, .has_ts = true,
		.tsval = TSVAL_PEER + 1);
	rx(.flags = ACK, .seq = 911, .len = 1000, .ack = 101, .has_ts = true,
		.tsval = TSVAL_PEER + 2);
	tx(.flags = ACK, .ack = 1911, .tsecr = TSVAL_PEER + 1);
}

/* 4.3: beyond a hole nothing new is echoed. */
static void tcp_echo_does_not_move_beyond_a_hole(void **state)
{
	open_with(.ts = true);
	rx(.flags = ACK, .seq = 901, .len = 1000, .ack = 101, .has_ts = true,
		.tsval = TSVAL_PEER + 1);
	tx_drain();
	rx(.flags = ACK, .seq = 2901, .len = 1000, .ack = 101, .has_ts = true,
		.tsval = TSVAL_PEER + 9);
	tx(.flags = ACK, .ack = 1901, .tsecr = TSVAL_PEER + 1);
	rx(.flags = ACK, .seq = 1901, .len = 1000, .ack = 101, .has_ts = true,
		.tsval = TSVAL_PEER + 20);
	tx(.flags = ACK, .ack = 3901, .tsecr = TSVAL_PEER + 20);
}

/* 5.4: our clock does not start where anybody can guess. */
static void tcp_timestamp_offset_differs_between_connections(void **state)
{
	uint32_t first;

	begin_with(.ts = true);
	connect_now();
	tx(.flags = SYN);
	first = conv.last.tsval;
	conv.id = stt_connect(conv.stt, AF_INET, LOCAL_PORT + 1, PEER_PORT);
	assert_true(conv.id >= 0);
	assert_true(tx_any());
	assert_int_not_equal(conv.last.tsval, first);
}

/* 4.1: a retransmission's echo measures the round trip that Karn's rule had to leave out. */
static void tcp_echo_measures_what_was_sent_twice(void **state)
{
	open_with(.ts = true, .rtt_ms = 100);
	send_bytes(10);
	tx(.flags = ACK, .len = 10);
	at_ms(1000);
	while (tx_any())
		;
	after_ms(300);
	rx(.flags = ACK, .seq = 901, .ack = 111);
	assert_int_equal(info().backoff, 0);
	assert_between(info().srtt_us, 100000, 400000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 7323 3.2: the option */
		conv_test(tcp_timestamps_are_on_every_segment),
		conv_test(tcp_timestamps_are_left_out_when_the_peer_has_none),
		conv_test(tcp_segment_without_its_timestamp_is_dropped),
		conv_test(tcp_reset_of_ours_carries_a_timestamp),
		conv_test(tcp_reset_without_timestamp_is_taken),
		/* RFC 7323 5: PAWS */
		conv_test(tcp_old_timestamp_is_acknowledged_and_dropped),
		conv_test(tcp_refused_segment_leaves_no_timestamp),
		conv_test(tcp_old_timestamp_is_taken_after_24_days),
		conv_test(tcp_timestamp_of_24_days_ago_is_forgotten),
		conv_test(tcp_timestamp_offset_differs_between_connections),
		/* RFC 7323 4: what is echoed, and measured */
		conv_test(tcp_echo_is_of_the_segment_the_ack_waited_for),
		conv_test(tcp_echo_does_not_move_beyond_a_hole),
		conv_test(tcp_echo_measures_what_was_sent_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
