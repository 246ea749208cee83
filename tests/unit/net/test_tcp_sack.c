/*
 * test_tcp_sack.c - SACK as sender: RFC 2018, 6675, 9937, D-SACK, reneging, lies
 */
#include "tests/unit/net/conv.h"
#include "tests/unit/between.h"

/* Ten segments in flight, a round trip of 100 ms. */
static void ten_in_flight(void)
{
	open_with(.rtt_ms = 100, .cc = "newreno");
	send_bytes(30000);
	assert_int_equal(tx_drain(), 10);
	after_ms(100);
}

static void tcp_sack_of_three_segments_retransmits_the_hole(void **state)
{
	ten_in_flight();
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 2101}});
	tx(.flags = ACK, .seq = 10101, .len = 1000);
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 4101}});
	tx(.flags = ACK, .seq = 101, .len = 1000);
	assert_int_equal(info().sacked_bytes, 3000);
	assert_int_equal(info().retrans_segs, 1);
}

static void tcp_sacked_data_is_not_sent_again(void **state)
{
	ten_in_flight();
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 3,
		.sack = {{8101, 10101}, {4101, 6101}, {2101, 3101}});
	tx(.flags = ACK, .seq = 101, .len = 1000);
	for (int i = 0; i < 30; i++) {
		after_ms(100);
		if (!tx_any())
			continue;
		assert_false(conv.last.seq >= 2101 && conv.last.seq < 3101);
		assert_false(conv.last.seq >= 4101 && conv.last.seq < 6101);
		assert_false(conv.last.seq >= 8101 && conv.last.seq < 10101);
	}
}

static void tcp_recovery_ends_with_cwnd_at_ssthresh(void **state)
{
	ten_in_flight();
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 10101}});
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx_drain();
	assert_int_equal(info().ssthresh_bytes, 5000);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 101 + info().unacked_bytes);
	assert_int_equal(info().cwnd_bytes, 5000);
}

static void tcp_prr_sends_about_half_of_what_is_delivered(void **state)
{
	unsigned sent = 0;

	ten_in_flight();
	for (uint32_t i = 1; i < 10; i++) {
		rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1,
			.sack = {{1101, 1101 + i * 1000}});
		sent += tx_drain();
	}
	/* Two by limited transmit before the loss was found, then one for two (RFC 9937). */
	assert_between(sent, 5, 7);
	assert_between(info().unacked_bytes - info().sacked_bytes, 2000, 6000);
}

static void tcp_second_loss_in_the_window_is_repaired_in_the_same_recovery(void **state)
{
	uint32_t ssthresh;

	ten_in_flight();
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 2, .sack = {{6101, 10101}, {1101, 5101}});
	tx(.flags = ACK, .seq = 101, .len = 1000);
	ssthresh = info().ssthresh_bytes;
	tx(.flags = ACK, .seq = 5101, .len = 1000);
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 5101, .sacks = 1, .sack = {{6101, 10101}});
	rx(.flags = ACK, .seq = 901, .ack = 10101);
	assert_int_equal(info().ssthresh_bytes, ssthresh);
	assert_int_equal(info().retrans_segs, 2);
}

static void tcp_blocks_of_unsent_data_are_ignored(void **state)
{
	ten_in_flight();
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{20101, 30101}});
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{5101, 4101}});
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 90101}});
	assert_int_equal(info().sacked_bytes, 0);
	tx_none();
}

static void tcp_part_of_a_segment_may_be_sacked(void **state)
{
	ten_in_flight();
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1351, 1851}});
	assert_int_equal(info().sacked_bytes, 500);
	rx(.flags = ACK, .seq = 901, .ack = 601, .sacks = 1, .sack = {{1351, 1851}});
	assert_int_equal(info().unacked_bytes + info().bytes_acked, info().unacked_bytes + 500);
	tx_drain();
	rx(.flags = ACK, .seq = 901, .ack = 1901);
	assert_int_equal(info().sacked_bytes, 0);
}

static void tcp_reneging_peer_gets_the_data_again(void **state)
{
	ten_in_flight();
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 10101}});
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx_drain();
	after_ms(100);
	/* The hole is filled, yet the peer stops where the SACKed data began. */
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	assert_int_equal(info().sacked_bytes, 0);
	tx(.flags = ACK, .seq = 1101, .any_len = true);
	for (int i = 0; i < 100 && info().bytes_acked < 30000; i++) {
		uint32_t top = 1101;

		do {
			if (conv.last.seq <= top && conv.last.seq + conv.last.len > top)
				top = conv.last.seq + conv.last.len;
		} while (tx_any());
		after_ms(100);
		rx(.flags = ACK, .seq = 901,
			.ack = top > 101 + info().bytes_acked
				       ? top
				       : (uint32_t)(101 + info().bytes_acked));
		if (!tx_any())
			after_ms(1000);
	}
	assert_true(info().retrans_segs >= 2);
}

static void tcp_dsack_undoes_a_needless_reduction(void **state)
{
	uint32_t cwnd;

	ten_in_flight();
	cwnd = info().cwnd_bytes;
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 4101}});
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx_drain();
	assert_int_equal(info().ssthresh_bytes, 5000);
	/* It was only late; the retransmission is reported as a duplicate. */
	rx(.flags = ACK, .seq = 901, .ack = 4101);
	rx(.flags = ACK, .seq = 901, .ack = 4101, .sacks = 1, .sack = {{101, 1101}});
	assert_true(info().cwnd_bytes >= cwnd);
	assert_true(info().ssthresh_bytes > 100000);
}

/* What a worker that rested finds in one turn: nothing leaves between the two. */
static void tcp_loss_acquitted_before_anything_is_resent_is_undone(void **state)
{
	uint32_t cwnd;

	ten_in_flight();
	cwnd = info().cwnd_bytes;
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 4101}});
	assert_int_equal(info().ssthresh_bytes, 5000);
	rx(.flags = ACK, .seq = 901, .ack = 4101);
	assert_int_equal(info().ssthresh_bytes, 5000); /* what was under way may be lost yet */
	rx(.flags = ACK, .seq = 901, .ack = 10101);
	assert_int_equal(info().retrans_segs, 0);
	assert_true(info().cwnd_bytes >= cwnd);
	assert_true(info().ssthresh_bytes > 100000);
}

static void tcp_tso_record_is_split_by_sack(void **state)
{
	open_with(.tso = true, .rtt_ms = 100, .cc = "newreno");
	send_bytes(10000);
	tx(.flags = ACK, .seq = 101, .len = 10000);
	assert_int_equal(conv.last_ip_len, 10040);
	tx_none();
	after_ms(100);
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 2, .sack = {{6101, 10101}, {1101, 5101}});
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx(.flags = ACK, .seq = 5101, .len = 1000);
	rx(.flags = ACK, .seq = 901, .ack = 10101);
	assert_int_equal(info().unacked_bytes, 0);
}

static void tcp_tso_stays_within_an_ip_packet(void **state)
{
	open_with(.tso = true, .wscale = true, .wscale_value = 10);
	send_bytes(2000000);
	for (uint32_t acked = 101; acked < 2000101; acked = conv.last.seq + conv.last.len) {
		rx(.flags = ACK, .seq = 901, .ack = acked);
		assert_true(tx_any());
		do {
			assert_true(conv.last_ip_len <= 65535);
			assert_true(conv.last.len % 1000 == 0);
		} while (tx_any());
		after_ms(1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 6675, RFC 9937: repair by SACK */
		conv_test(tcp_sack_of_three_segments_retransmits_the_hole),
		conv_test(tcp_sacked_data_is_not_sent_again),
		conv_test(tcp_recovery_ends_with_cwnd_at_ssthresh),
		conv_test(tcp_prr_sends_about_half_of_what_is_delivered),
		conv_test(tcp_second_loss_in_the_window_is_repaired_in_the_same_recovery),
		/* RFC 2018 5 and 8: blocks as they come */
		conv_test(tcp_blocks_of_unsent_data_are_ignored),
		conv_test(tcp_part_of_a_segment_may_be_sacked),
		conv_test(tcp_reneging_peer_gets_the_data_again),
		/* RFC 3708: undo */
		conv_test(tcp_dsack_undoes_a_needless_reduction),
		conv_test(tcp_loss_acquitted_before_anything_is_resent_is_undone),
		/* RFC 2018 5: blocks and TSO */
		conv_test(tcp_tso_record_is_split_by_sack),
		conv_test(tcp_tso_stays_within_an_ip_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
