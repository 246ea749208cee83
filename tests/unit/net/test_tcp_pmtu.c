/*
 * test_tcp_pmtu.c - the size of the path: RFC 1191, RFC 8201, RFC 5927 7.2, RFC 8899
 */
#include "tests/unit/net/conv.h"

#define UNREACHABLE    3
#define TOO_BIG	       4
#define TOO_BIG_ICMP6  2

static void one_segment_out(void)
{
	open_with(.mss = 1460, .mtu = 1500);
	send_bytes(1460);
	tx(.flags = ACK, .seq = 101, .len = 1460);
}

/* RFC 1191 6.5: sent again at once, in pieces that fit. */
static void tcp_too_big_is_sent_again_smaller(void **state)
{
	one_segment_out();
	conv_icmp(UNREACHABLE, TOO_BIG, 1000, 101);
	tx(.flags = ACK, .seq = 101, .len = 960);
	tx(.flags = ACK, .seq = 1061, .len = 500);
	assert_int_equal(info().mss, 960);
}

/* It is no sign of congestion. */
static void tcp_too_big_does_not_reduce_the_window(void **state)
{
	uint32_t before;

	one_segment_out();
	before = info().ssthresh_bytes;
	conv_icmp(UNREACHABLE, TOO_BIG, 1000, 101);
	tx_drain();
	assert_int_equal(info().ssthresh_bytes, before);
}

/* RFC 5927 7.2: what quotes nothing of ours is a guess. */
static void tcp_too_big_about_another_number_is_ignored(void **state)
{
	one_segment_out();
	conv_icmp(UNREACHABLE, TOO_BIG, 1000, 100);
	conv_icmp(UNREACHABLE, TOO_BIG, 1000, 101 + 1460);
	conv_icmp(UNREACHABLE, TOO_BIG, 1000, 7777777);
	tx_none();
	assert_int_equal(info().mss, 1460);
}

static void tcp_path_mtu_has_a_floor(void **state)
{
	one_segment_out();
	conv_icmp(UNREACHABLE, TOO_BIG, 68, 101);
	assert_int_equal(info().mss, 512);
}

/* It never rises by a message, or a router's lie could be used to lose everything. */
static void tcp_path_mtu_is_not_raised_by_a_message(void **state)
{
	one_segment_out();
	conv_icmp(UNREACHABLE, TOO_BIG, 1000, 101);
	tx_drain();
	conv_icmp(UNREACHABLE, TOO_BIG, 1400, 101);
	assert_int_equal(info().mss, 960);
}

/* RFC 1191 7.1: a router that does not say how much. */
static void tcp_router_without_a_number_means_the_next_plateau(void **state)
{
	one_segment_out();
	conv_icmp(UNREACHABLE, TOO_BIG, 0, 101);
	assert_int_equal(info().mss, 1492 - 40);
}

/* RFC 8201 4: ten minutes later the size is tried again. */
static void tcp_path_mtu_is_tried_again_after_ten_minutes(void **state)
{
	one_segment_out();
	conv_icmp(UNREACHABLE, TOO_BIG, 1000, 101);
	tx_drain();
	rx(.flags = ACK, .seq = 901, .ack = 1561);
	after_ms(599000);
	assert_int_equal(info().mss, 960);
	after_ms(2000);
	assert_int_equal(info().mss, 1460);
}

/* RFC 8899: where the messages are filtered, silence must be enough. */
static void tcp_black_hole_is_left_by_a_smaller_size(void **state)
{
	one_segment_out();
	for (int i = 0; i < 600 && info().mss == 1460; i++) {
		after_ms(100);
		tx_drain();
	}
	assert_int_equal(info().mss, 1024 - 40);
	rx(.flags = ACK, .seq = 901, .ack = 1561);
	assert_int_equal(info().mss, 1024 - 40);
}

static void silence_until_mss(uint16_t mss)
{
	for (int i = 0; i < 1200 && info().mss != mss; i++) {
		after_ms(100);
		tx_drain();
	}
	assert_int_equal(info().mss, mss);
}

/* RFC 8899: not the size's fault, so the old one comes back. */
static void tcp_size_comes_back_when_a_smaller_one_is_no_cure(void **state)
{
	one_segment_out();
	silence_until_mss(1024 - 40);
	silence_until_mss(1460);
}

/* What got through at the smaller size proves the hole; a server's pause does not fill it. */
static void tcp_black_hole_once_proved_outlives_a_silence(void **state)
{
	one_segment_out();
	silence_until_mss(1024 - 40);
	rx(.flags = ACK, .seq = 901, .ack = 1561);
	send_bytes(984);
	tx_drain();
	for (int i = 0; i < 1200; i++) {
		after_ms(100);
		tx_drain();
		assert_int_equal(info().mss, 1024 - 40);
	}
}

static void tcp_too_big_works_for_ip6(void **state)
{
	open_with(.mss = 1440, .mtu = 1500, .ip6 = true);
	send_bytes(1440);
	tx(.flags = ACK, .seq = 101, .len = 1440);
	conv_icmp(TOO_BIG_ICMP6, 0, 1300, 101);
	tx(.flags = ACK, .seq = 101, .len = 1240);
	tx(.flags = ACK, .seq = 1341, .len = 200);
}

/* RFC 8201 4: what claims less than 1280 is discarded. */
static void tcp_ip6_too_big_below_1280_is_discarded(void **state)
{
	open_with(.mss = 1440, .mtu = 1500, .ip6 = true);
	send_bytes(1440);
	tx_drain();
	conv_icmp(TOO_BIG_ICMP6, 0, 1279, 101);
	conv_icmp(TOO_BIG_ICMP6, 0, 0, 101);
	tx_none();
	assert_int_equal(info().mss, 1440);
	conv_icmp(TOO_BIG_ICMP6, 0, 1280, 101);
	assert_int_equal(info().mss, 1220);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 1191, RFC 5927 7: messages */
		conv_test(tcp_too_big_is_sent_again_smaller),
		conv_test(tcp_too_big_does_not_reduce_the_window),
		conv_test(tcp_too_big_about_another_number_is_ignored),
		conv_test(tcp_path_mtu_has_a_floor),
		conv_test(tcp_path_mtu_is_not_raised_by_a_message),
		conv_test(tcp_router_without_a_number_means_the_next_plateau),
		conv_test(tcp_path_mtu_is_tried_again_after_ten_minutes),
		/* RFC 8899: black holes */
		conv_test(tcp_black_hole_is_left_by_a_smaller_size),
		conv_test(tcp_size_comes_back_when_a_smaller_one_is_no_cure),
		conv_test(tcp_black_hole_once_proved_outlives_a_silence),
		/* RFC 8201: IPv6 */
		conv_test(tcp_too_big_works_for_ip6),
		conv_test(tcp_ip6_too_big_below_1280_is_discarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
