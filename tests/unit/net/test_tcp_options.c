/*
 * test_tcp_options.c - TCP options as a stranger may send them: RFC 9293 3.1, 3.2, 3.7.1
 */
#include "tests/unit/net/conv.h"

static void syn_sent(const struct options *opt)
{
	conv_begin(opt);
	connect_now();
	assert_true(tx_any());
}

static void tcp_unknown_options_are_stepped_over(void **state)
{
	syn_sent(&(struct options){.mtu = 1500});
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 900, .raw = "\xfd\x06" "abcd\x22\x02",
		.raw_len = 8);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	assert_int_equal(info().mss, 900);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 10, .raw = "\x1e\x04xy", .raw_len = 4);
	read_bytes(10);
}

static void tcp_options_need_no_alignment(void **state)
{
	syn_sent(&(struct options){.mtu = 1500});
	/* SACK-permitted, one NOP, MSS 900, window scale 2 and then nothing, at odd places. */
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .wnd = 100,
		.raw = "\x04\x02\x01\x02\x04\x03\x84\x03\x03\x02", .raw_len = 10);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	assert_int_equal(info().mss, 900);
	rx(.flags = ACK, .seq = 901, .ack = 101, .wnd = 100);
	assert_int_equal(info().snd_wnd_bytes, 400);
}

static void tcp_illegal_option_length_loses_only_the_options(void **state)
{
	syn_sent(&(struct options){.mtu = 1500});
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .raw = "\x02\x04\x03\x84\xfd\x00\x03\x03",
		.raw_len = 8);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	assert_int_equal(info().mss, 900);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 10, .raw = "\xfd\x09xx", .raw_len = 4);
	read_bytes(10);
}

static void tcp_mss_outside_a_syn_means_nothing(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901, .ack = 101, .mss = 500);
	assert_int_equal(info().mss, 1000);
}

static void tcp_window_scale_outside_a_syn_means_nothing(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901, .ack = 101, .wnd = 1000, .has_wscale = true, .wscale = 5);
	assert_int_equal(info().snd_wnd_bytes, 1000);
}

static void tcp_sack_without_permission_is_ignored(void **state)
{
	open_with(.no_sack = true);
	send_bytes(3000);
	tx_drain();
	rx(.flags = ACK, .seq = 901, .ack = 101, .sacks = 1, .sack = {{1101, 3101}});
	assert_int_equal(info().sacked_bytes, 0);
	rx(.flags = ACK, .seq = 2901, .ack = 101, .len = 10);
	tx(.flags = ACK, .ack = 901, .no_sack = true);
}

static void tcp_silly_mss_is_raised_to_64(void **state)
{
	syn_sent(&(struct options){.mtu = 1500});
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 1);
	tx(.flags = ACK);
	assert_int_equal(info().mss, 64);
	send_bytes(100);
	tx(.flags = ACK, .seq = 101, .len = 64);
	tx(.flags = ACK, .seq = 165, .len = 36);
}

static void tcp_mss_is_bounded_by_our_own_link(void **state)
{
	syn_sent(&(struct options){.mtu = 1500});
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 9000);
	tx(.flags = ACK);
	assert_int_equal(info().mss, 1460);
	conv_end(NULL);
	syn_sent(&(struct options){.mtu = 1500, .ip6 = true});
	rx(.flags = SYN | ACK, .seq = 900, .ack = 101, .mss = 9000);
	tx(.flags = ACK);
	assert_int_equal(info().mss, 1440);
}

static void tcp_timestamps_come_off_the_segment_size(void **state)
{
	open_with(.ts = true);
	send_bytes(2000);
	tx(.flags = ACK, .seq = 101, .len = 988);
	tx(.flags = ACK, .seq = 1089, .len = 988);
}

static void tcp_sack_blocks_come_off_the_segment_size(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 1901, .ack = 101, .len = 10);
	send_bytes(2000);
	tx(.flags = ACK, .seq = 101, .len = 988, .sacks = 1, .sack = {{1901, 1911}});
}

static void tcp_mss_is_sent_on_the_syn_only(void **state)
{
	open_with();
	assert_int_equal(conv.last.mss, 0);
	assert_false(conv.last.has_wscale || conv.last.sack_ok);
	send_bytes(10);
	tx(.flags = ACK, .len = 10);
	assert_int_equal(conv.last.mss, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 9293 3.1 and 3.2: options in general */
		conv_test(tcp_unknown_options_are_stepped_over),
		conv_test(tcp_options_need_no_alignment),
		conv_test(tcp_illegal_option_length_loses_only_the_options),
		conv_test(tcp_mss_outside_a_syn_means_nothing),
		conv_test(tcp_window_scale_outside_a_syn_means_nothing),
		conv_test(tcp_sack_without_permission_is_ignored),
		/* RFC 9293 3.7.1: the maximum segment size */
		conv_test(tcp_silly_mss_is_raised_to_64),
		conv_test(tcp_mss_is_bounded_by_our_own_link),
		conv_test(tcp_timestamps_come_off_the_segment_size),
		conv_test(tcp_sack_blocks_come_off_the_segment_size),
		conv_test(tcp_mss_is_sent_on_the_syn_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
