/*
 * test_tcp_ecn.c - explicit congestion notification: RFC 3168, and DCTCP's echo, RFC 8257
 */
#include "tests/unit/net/conv.h"

#define NOT_ECT 0
#define ECT0	2
#define CE	3

/* 6.1.1. */
static void tcp_ecn_is_on_when_the_peer_agrees(void **state)
{
	open_with(.ecn = true);
	send_bytes(10);
	tx(.flags = ACK, .len = 10, .ecn = ECT0);
}

static void tcp_ecn_is_off_when_the_peer_says_nothing(void **state)
{
	begin_with(.ecn = true);
	connect_now();
	tx(.flags = SYN | ECE | CWR);
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1000);
	tx(.flags = ACK);
	send_bytes(10);
	tx(.flags = ACK, .len = 10);
	assert_int_equal(conv.last.ecn, NOT_ECT);
}

/* 6.1.1: both bits are a reflection by a broken peer, not an answer. */
static void tcp_ecn_is_off_when_the_peer_reflects_our_bits(void **state)
{
	begin_with(.ecn = true);
	connect_now();
	tx(.flags = SYN | ECE | CWR);
	rx(.flags = SYN | ACK | ECE | CWR, .seq = 900, .ack = 101, .mss = 1000);
	tx(.flags = ACK);
	send_bytes(10);
	tx(.flags = ACK, .len = 10);
	assert_int_equal(conv.last.ecn, NOT_ECT);
}

/* 6.1.3: until the peer says CWR. */
static void tcp_mark_is_echoed_until_the_peer_reduced(void **state)
{
	open_with(.ecn = true);
	rx(.flags = ACK, .seq = 901, .len = 1000, .ack = 101, .ecn = CE);
	tx(.flags = ACK | ECE, .ack = 1901);
	rx(.flags = ACK, .seq = 1901, .len = 1000, .ack = 101, .ecn = ECT0);
	tx_drain();
	rx(.flags = ACK, .seq = 2901, .len = 1000, .ack = 101, .ecn = ECT0);
	tx(.flags = ACK | ECE, .ack = 3901);
	rx(.flags = ACK | CWR, .seq = 3901, .len = 1000, .ack = 101, .ecn = ECT0);
	tx_drain();
	rx(.flags = ACK, .seq = 4901, .len = 1000, .ack = 101, .ecn = ECT0);
	tx(.flags = ACK, .ack = 5901);
}

/* 6.1.2: one reduction for a window of data, and CWR on the next new data. */
static void tcp_echo_reduces_once_a_window(void **state)
{
	const uint32_t half = 4500; /* of what is in flight behind the first ACK (RFC 5681 3.1) */

	open_with(.ecn = true, .cc = "newreno", .rtt_ms = 50);
	send_bytes(40000);
	assert_int_equal(tx_drain(), 10);
	after_ms(10);
	rx(.flags = ACK | ECE, .seq = 901, .ack = 1101);
	assert_int_equal(info().cwnd_bytes, half);
	rx(.flags = ACK | ECE, .seq = 901, .ack = 2101);
	assert_int_equal(info().cwnd_bytes, half);
	rx(.flags = ACK | ECE, .seq = 901, .ack = 8101);
	assert_true(tx_any());
	assert_true(conv.last.flags & CWR);
}

/* 6.1.5: what is sent again may have been marked before. */
static void tcp_retransmission_is_not_ecn_capable(void **state)
{
	open_with(.ecn = true);
	send_bytes(1000);
	tx(.flags = ACK, .len = 1000, .ecn = ECT0);
	after_ms(3000);
	assert_true(tx_any());
	assert_int_equal(conv.last.seq, 101);
	assert_int_equal(conv.last.ecn, NOT_ECT);
}

/* 6.1.4. */
static void tcp_bare_ack_is_not_ecn_capable(void **state)
{
	open_with(.ecn = true);
	rx(.flags = ACK, .seq = 901, .len = 1000, .ack = 101, .ecn = ECT0);
	rx(.flags = ACK, .seq = 1901, .len = 1000, .ack = 101, .ecn = ECT0);
	tx(.flags = ACK, .ack = 2901);
	assert_int_equal(conv.last.ecn, NOT_ECT);
}

/* 6.1.1.1: there are paths that drop what they do not know. */
static void tcp_second_syn_does_not_ask_for_ecn(void **state)
{
	begin_with(.ecn = true);
	connect_now();
	tx(.flags = SYN | ECE | CWR);
	at_ms(1001);
	tx(.flags = SYN);
}

/* RFC 3168 6.1.2: CWR tells of a loss as well, or the receiver's echo would reduce us once more. */
static void tcp_loss_is_told_by_cwr_too(void **state)
{
	open_with(.ecn = true, .rtt_ms = 10);
	send_bytes(8000);
	assert_int_equal(tx_drain(), 8);
	after_ms(10);
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 4101}});
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx_none();
	send_bytes(2000);
	rx(.flags = ACK, .seq = 901, .ack = 8101);
	tx(.flags = ACK | CWR, .seq = 8101, .len = 1000);
	tx(.flags = ACK, .seq = 9101, .len = 1000);
	after_ms(1000);
	assert_true(tx_drain() > 0);
	rx(.flags = ACK, .seq = 901, .ack = 10101);
	send_bytes(1000);
	tx(.flags = ACK | CWR, .seq = 10101, .len = 1000); /* for the timeout */
}

/* RFC 8257 3.2: the echo follows the marks, and a change of them is told at once. */
static void tcp_dctcp_echo_follows_each_mark(void **state)
{
	open_with(.ecn = true, .cc = "dctcp");
	rx(.flags = ACK, .seq = 901, .len = 1000, .ack = 101, .ecn = CE);
	tx(.flags = ACK | ECE, .ack = 1901);
	rx(.flags = ACK, .seq = 1901, .len = 1000, .ack = 101, .ecn = ECT0);
	tx(.flags = ACK, .ack = 2901);
}

/* Past the ACKs at once of the beginning. Out: the next number of the peer's text. */
static uint32_t quick_acks_spent(void)
{
	uint32_t at = 901;

	for (unsigned i = 0; i < 20; i++, at += 1000) {
		rx(.flags = ACK, .seq = at, .len = 1000, .ack = 101, .ecn = ECT0);
		after_ms(50);
		tx_drain();
	}
	read_bytes(20000);
	tx_drain();
	return at;
}

/* RFC 8257 3.2: bytes from before and from behind the change do not share an ACK, whichever way the
 * mark changes. */
static void tcp_dctcp_acknowledges_each_side_of_a_change(void **state)
{
	uint32_t at;

	open_with(.ecn = true, .cc = "dctcp");
	at = quick_acks_spent();
	rx(.flags = ACK, .seq = at, .len = 1000, .ack = 101, .ecn = ECT0);
	tx_none();
	rx(.flags = ACK, .seq = at + 1000, .len = 1000, .ack = 101, .ecn = CE);
	tx(.flags = ACK, .ack = at + 1000);
	tx(.flags = ACK | ECE, .ack = at + 2000);
	rx(.flags = ACK, .seq = at + 2000, .len = 1000, .ack = 101, .ecn = CE);
	tx_none();
	rx(.flags = ACK, .seq = at + 3000, .len = 1000, .ack = 101, .ecn = ECT0);
	tx(.flags = ACK | ECE, .ack = at + 3000);
	tx(.flags = ACK, .ack = at + 4000);
	tx_none();
}

/* In one burst: an ACK for each side of each change, as far as there is room for them, and none
 * twice. */
static void tcp_dctcp_burst_of_changes_is_acknowledged_piece_by_piece(void **state)
{
	uint32_t at;

	open_with(.ecn = true, .cc = "dctcp", .ts = true, .wscale = true, .wscale_value = 7);
	at = quick_acks_spent();
	for (unsigned i = 0; i < 6; i++)
		rx(.flags = ACK, .seq = at + 500 * i, .len = 500, .ack = 101,
			.ecn = i & 1 ? CE : ECT0);
	for (unsigned i = 0; i < 6; i++)
		tx(.flags = (uint8_t)(ACK | (i & 1 ? ECE : 0)), .ack = at + 500 * (i + 1));
	tx_none();
	for (unsigned i = 6; i < 30; i++)
		rx(.flags = ACK, .seq = at + 500 * i, .len = 500, .ack = 101,
			.ecn = i & 1 ? CE : ECT0);
	assert_int_equal(tx_drain(), 9);
	assert_int_equal(conv.last.ack, at + 15000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 3168 6.1.1: negotiation */
		conv_test(tcp_ecn_is_on_when_the_peer_agrees),
		conv_test(tcp_ecn_is_off_when_the_peer_says_nothing),
		conv_test(tcp_ecn_is_off_when_the_peer_reflects_our_bits),
		conv_test(tcp_second_syn_does_not_ask_for_ecn),
		/* RFC 3168 6.1.2 and 6.1.3: echo and reduction */
		conv_test(tcp_mark_is_echoed_until_the_peer_reduced),
		conv_test(tcp_echo_reduces_once_a_window),
		conv_test(tcp_loss_is_told_by_cwr_too),
		/* RFC 3168 6.1.4 and 6.1.5: what is not ECN-capable */
		conv_test(tcp_retransmission_is_not_ecn_capable),
		conv_test(tcp_bare_ack_is_not_ecn_capable),
		/* RFC 8257 3.2: DCTCP */
		conv_test(tcp_dctcp_echo_follows_each_mark),
		conv_test(tcp_dctcp_acknowledges_each_side_of_a_change),
		conv_test(tcp_dctcp_burst_of_changes_is_acknowledged_piece_by_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
