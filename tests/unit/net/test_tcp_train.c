/*
 * test_tcp_train.c - segments made from the headers of the one before are what each would have been
 *
 * Every segment of a conversation is checked by conv.c: both checksums, text, acknowledgement and
 * window. Here is said which segments are made that way, and what they must not carry along or run
 * past: flags, marks, options and windows of their own time.
 */
#include "tests/unit/net/conv.h"
#include "dataplane/net/net.h"
#include "tests/abi/stt_impl.h"

#define ECT0 2

static uint64_t in_trains(void)
{
	struct net_stats stats;

	net_stats(conv.stt->net, &stats);
	return stats.tcp_train_segs;
}

/* Nothing is compared that TSO changes: then a train is one packet, which conv.c cuts. */
static bool is_cut(void)
{
	return conv.is_cutting;
}

static void full_segments(const struct options *opt)
{
	conv_open(opt);
	send_bytes(6500);
	for (uint32_t i = 0; i < 6; i++)
		tx(.flags = ACK, .seq = 101 + i * 1000, .ack = 901, .len = 1000);
	tx(.flags = ACK | PSH, .seq = 6101, .ack = 901, .len = 500);
	tx_none();
	if (!is_cut())
		assert_int_equal(in_trains(), 5);
	conv_end(NULL);
}

static void tcp_train_is_what_its_segments_are(void **state)
{
	(void)state;
	full_segments(&(struct options){0});
	full_segments(&(struct options){.ip6 = true});
}

/* 988 bytes of text each, as 12 are options. */
static void tcp_train_has_the_clock_of_its_pull(void **state)
{
	(void)state;
	open_with(.ts = true, .rtt_ms = 100);
	send_bytes(3 * 988);
	for (uint32_t i = 0; i < 3; i++)
		tx(.flags = i == 2 ? ACK | PSH : ACK, .seq = 101 + i * 988, .len = 988,
			.has_ts = true, .tsecr = TSVAL_PEER + 100);
	if (!is_cut())
		assert_int_equal(in_trains(), 1);
	after_ms(5);
	rx(.flags = ACK, .seq = 901, .ack = 101 + 3 * 988, .has_ts = true,
		.tsval = TSVAL_PEER + 105);
	send_bytes(3 * 988);
	for (uint32_t i = 3; i < 6; i++)
		tx(.flags = i == 5 ? ACK | PSH : ACK, .seq = 101 + i * 988, .len = 988,
			.has_ts = true, .tsecr = TSVAL_PEER + 105);
}

static void tcp_train_ends_at_the_congestion_window(void **state)
{
	(void)state;
	open_with(.wscale = true, .wscale_value = 4);
	send_bytes(30000);
	assert_int_equal(tx_drain(), 10);
	assert_int_equal(info().unacked_bytes, 10000);
	assert_true(info().cwnd_bytes == 10000);
	tx_none();
}

static void tcp_train_ends_at_the_peers_window(void **state)
{
	(void)state;
	open_with(.wnd = 3500);
	send_bytes(8000);
	for (uint32_t i = 0; i < 3; i++)
		tx(.flags = ACK, .seq = 101 + i * 1000, .len = 1000);
	tx_none();
	rx(.flags = ACK, .seq = 901, .ack = 3101, .wnd = 2000);
	tx(.flags = ACK, .seq = 3101, .len = 1000);
	tx(.flags = ACK, .seq = 4101, .len = 1000);
	tx_none();
}

/* Both directions: what was received is acknowledged by all, and told once. */
static void tcp_train_acknowledges_what_came_before(void **state)
{
	(void)state;
	open_with(0);
	send_bytes(3000);
	assert_int_equal(tx_drain(), 3);
	rx(.flags = ACK, .seq = 901, .ack = 3101, .len = 700);
	read_bytes(700);
	send_bytes(3000);
	for (uint32_t i = 3; i < 6; i++)
		tx(.flags = i == 5 ? ACK | PSH : ACK, .seq = 101 + i * 1000, .ack = 1601,
			.len = 1000);
	tx_none();
}

/* RFC 3168 6.1.2: CWR once, and every segment of new data is ECN-capable. */
static void tcp_train_carries_no_second_cwr(void **state)
{
	(void)state;
	open_with(.ecn = true, .rtt_ms = 100, .wscale = true, .wscale_value = 4);
	send_bytes(8000);
	for (uint32_t i = 0; i < 8; i++)
		tx(.flags = i == 7 ? ACK | PSH : ACK, .seq = 101 + i * 1000, .len = 1000,
			.ecn = ECT0);
	after_ms(20);
	rx(.flags = ACK | ECE, .seq = 901, .ack = 8101);
	send_bytes(4000);
	tx(.flags = ACK | CWR, .seq = 8101, .len = 1000, .ecn = ECT0);
	tx(.flags = ACK, .seq = 9101, .len = 1000, .ecn = ECT0);
	tx_drain(); /* as far as the reduced window goes */
}

/* What is lost leaves before anything new, and no new segment has its headers. */
static void tcp_train_waits_for_what_is_lost(void **state)
{
	(void)state;
	open_with(.rtt_ms = 100, .wscale = true, .wscale_value = 4);
	send_bytes(20000);
	assert_int_equal(tx_drain(), 10);
	after_ms(50);
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{4101, 10101}});
	tx(.flags = ACK, .seq = 101, .len = 1000);
	tx(.flags = ACK, .seq = 1101, .len = 1000);
	while (tx_any())
		assert_true(conv.last.seq < 4101 || conv.last.seq >= 10101);
}

/* A FIN is no part of it, nor is the segment that carries it. */
static void tcp_train_leaves_the_end_to_others(void **state)
{
	(void)state;
	open_with(0);
	send_bytes(4000);
	stt_shutdown(conv.stt, conv.id);
	for (uint32_t i = 0; i < 3; i++)
		tx(.flags = ACK, .seq = 101 + i * 1000, .len = 1000);
	tx(.flags = ACK | PSH | FIN, .seq = 3101, .len = 1000);
	tx_none();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.8: segments, windows, acknowledgements; RFC 7323; RFC 3168 6.1.2 */
		conv_test(tcp_train_has_the_clock_of_its_pull),
		cmocka_unit_test(tcp_train_is_what_its_segments_are),
		conv_test(tcp_train_ends_at_the_congestion_window),
		conv_test(tcp_train_ends_at_the_peers_window),
		conv_test(tcp_train_acknowledges_what_came_before),
		conv_test(tcp_train_carries_no_second_cwr),
		conv_test(tcp_train_waits_for_what_is_lost),
		conv_test(tcp_train_leaves_the_end_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
