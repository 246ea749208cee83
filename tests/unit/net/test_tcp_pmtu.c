/*
 * test_tcp_pmtu.c - the size of the path: RFC 1191, RFC 8201, RFC 5927 7.2, RFC 8899
 */
#include "tests/unit/between.h"
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

/* RFC 1191 3: a path narrower than that gets packets of the floor's size, and its routers may cut
 * them. */
static void tcp_path_mtu_has_a_floor(void **state)
{
	open_with(.mss = 1460, .mtu = 1500, .is_narrow = true);
	send_bytes(1460);
	tx(.flags = ACK, .seq = 101, .len = 1460);
	assert_true(conv.has_df);
	conv_icmp(UNREACHABLE, TOO_BIG, 296, 101);
	assert_int_equal(info().mss, 512);
	tx(.flags = ACK, .seq = 101, .len = 512);
	assert_false(conv.has_df);
	rx(.flags = ACK, .seq = 901, .ack = 613);
	tx_drain();
	rx(.flags = ACK, .seq = 901, .ack = 1561);
	after_ms(601000);
	send_bytes(1460);
	tx(.flags = ACK, .seq = 1561, .len = 1460);
	assert_true(conv.has_df);
}

/* RFC 5927 7.2, RFC 1191 6.5: each message costs the window once, in full packets, however often it
 * was cut before. */
static void tcp_ten_messages_resend_ten_windows(void **state)
{
	open_with(.mss = 1460, .mtu = 1500);
	send_bytes(14000);
	assert_int_equal(tx_drain(), 10);
	for (uint16_t i = 1; i <= 10; i++) {
		unsigned packets = 0;

		conv_icmp(UNREACHABLE, TOO_BIG, 1500 - i, 101);
		while (tx_any()) {
			packets++;
			assert_int_equal(
				conv.last.len, packets < 10 ? 1460 - i : 14000 - 9 * (1460 - i));
		}
		assert_int_equal(packets, 10);
	}
	assert_int_equal(info().mss, 1450);
}

/* RFC 5927 7.2: without progress between them, not for ever. */
static void tcp_messages_without_progress_are_limited(void **state)
{
	unsigned packets = 0;

	open_with(.mss = 1460, .mtu = 1500);
	send_bytes(14000);
	tx_drain();
	for (uint16_t i = 1; i <= 900; i++) {
		conv_icmp(UNREACHABLE, TOO_BIG, 1500 - i, 101);
		packets += tx_drain();
	}
	assert_between(packets, 10, 16 * 11);
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	tx_drain();
	conv_icmp(UNREACHABLE, TOO_BIG, 1300, 1101);
	assert_int_equal(info().mss, 1260);
}

/* RFC 5927 7.2: a size that got through is believed before a message, until the packet is lost. */
static void tcp_message_about_a_proved_size_waits_for_a_loss(void **state)
{
	open_with(.mss = 1460, .mtu = 1500, .rtt_ms = 10);
	for (uint32_t i = 0; i < 2; i++) {
		send_bytes(1460);
		tx(.flags = ACK, .seq = 101 + 1460 * i, .len = 1460);
		conv_icmp(UNREACHABLE, TOO_BIG, i == 0 ? 1500 : 1000, 101 + 1460 * i);
		tx_none();
		after_ms(10);
		rx(.flags = ACK, .seq = 901, .ack = 101 + 1460 * (i + 1));
		assert_int_equal(info().mss, 1460);
	}
	send_bytes(1460);
	tx(.flags = ACK, .seq = 3021, .len = 1460);
	after_ms(2000); /* lost, whatever for: the message about the one before is forgotten */
	tx_drain();
	assert_int_equal(info().mss, 1460);
	rx(.flags = ACK, .seq = 901, .ack = 4481);
	send_bytes(1460);
	tx(.flags = ACK, .seq = 4481, .len = 1460);
	conv_icmp(UNREACHABLE, TOO_BIG, 1000, 4481);
	tx_none();
	after_ms(2000);
	tx_drain();
	assert_int_equal(info().mss, 960);
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

/* A path that loses what is larger, without a word, to a
 * receiver that acknowledges what arrives. */
static struct {
	uint32_t mtu, next;
	bool has[1 << 18];
} path;

static void path_carry(void)
{
	while (tx_any()) {
		struct block run = {conv.last.seq, conv.last.seq + conv.last.len};

		if (conv.last.len == 0 || conv.last.len + 40 > path.mtu)
			continue;
		memset(path.has + run.start - 101, 1, conv.last.len);
		while (path.has[path.next - 101])
			path.next++;
		while (path.has[run.end - 101])
			run.end++;
		rx(.flags = ACK, .seq = 901, .ack = path.next, .sacks = run.start > path.next,
			.sack = {run});
	}
}

/* Time goes on until @bytes are through. Out: milliseconds it took; fails after @ms_max. */
static uint64_t path_ms(uint32_t bytes, uint64_t ms_max)
{
	uint64_t start_us = stt_now_us(conv.stt);

	path_carry();
	while (info().bytes_acked < bytes) {
		stt_advance_us(conv.stt, stt_deadline_us(conv.stt));
		path_carry();
		assert_int_equal(info().state, STT_ESTABLISHED);
		assert_between((stt_now_us(conv.stt) - start_us) / 1000, 0, ms_max);
	}
	return (stt_now_us(conv.stt) - start_us) / 1000;
}

static void path_open(uint16_t link_mtu, uint32_t mtu)
{
	memset(&path, 0, sizeof(path));
	path.mtu = mtu;
	path.next = 101;
	open_with(.mss = (uint16_t)(link_mtu - 40), .mtu = link_mtu, .rtt_ms = 1);
	stt_set(conv.stt, conv.id, "user_timeout_us", 15000000);
}

/* RFC 8899 4.3: larger than the base is what counts, not full; also what the tail loss probe left
 * of a burst. */
static void tcp_black_hole_is_left_whatever_was_written(void **state)
{
	const struct {
		uint16_t link_mtu, mtu;
		uint32_t writes, bytes;
	} tries[] = {
		{9000, 1500, 1, 4096},
		{9000, 1500, 1, 8192},
		{9000, 1500, 1, 16384},
		{9000, 1500, 32, 4096},
		{9000, 1500, 1, 131072},
		{9000, 1500, 1, 1500},
		{1500, 1400, 1, 1440},
		{1500, 1400, 1, 2800},
		{1500, 1400, 3, 1380},
		{1500, 1100, 1, 1100},
	};

	for (unsigned i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		path_open(tries[i].link_mtu, tries[i].mtu);
		for (uint32_t n = 0; n < tries[i].writes; n++) {
			send_bytes(tries[i].bytes);
			path_carry();
			stt_advance_us(conv.stt, stt_now_us(conv.stt) + 100);
		}
		path_ms(tries[i].writes * tries[i].bytes, 3600);
		assert_int_equal(conv_end(NULL), 0);
	}
}

/* RACK resends the large packet each time a small one got through: no timeout ever counts. */
static void tcp_black_hole_is_left_beside_small_packets_that_pass(void **state)
{
	path_open(9000, 1500);
	send_bytes(4124);
	for (unsigned i = 0; i < 800; i++) {
		path_carry();
		after_ms(5);
		send_bytes(28);
	}
	path_ms(4124 + 800 * 28, 100);
}

/* The path was wide, and shrinks under a segment that is not full. */
static void tcp_black_hole_that_opens_later_is_left(void **state)
{
	path_open(9000, 9000);
	send_bytes(60000);
	path_ms(60000, 1000);
	path.mtu = 1500;
	send_bytes(4124);
	path_carry();
	stt_advance_us(conv.stt, stt_now_us(conv.stt) + 100);
	send_bytes(20000);
	path_ms(84124, 3600);
}

/* RFC 8201 4: the size is tried again, and on a path that was one it is not three seconds again. */
static void tcp_black_hole_is_remembered_when_the_size_is_tried_again(void **state)
{
	path_open(9000, 1500);
	send_bytes(4096);
	path_ms(4096, 3600);
	for (uint32_t i = 0; i < 2; i++) {
		send_bytes(900); /* a round trip is measured, and the timeout short again */
		path_ms(4996 + 4996 * i, 100);
		after_ms(601000);
		assert_int_equal(info().mss, 8960);
		send_bytes(4096);
		path_ms(9092 + 4996 * i, 700);
	}
	path.mtu = 9000;
	after_ms(601000);
	send_bytes(60000);
	path_ms(74088, 100);
	assert_int_equal(info().mss, 8960);
}

/* What the base would carry too is lost for another reason. */
static void tcp_small_packets_that_are_lost_are_no_black_hole(void **state)
{
	path_open(9000, 100);
	send_bytes(900);
	for (unsigned i = 0; i < 100; i++) {
		after_ms(100);
		path_carry();
	}
	assert_int_equal(info().mss, 8960);
	path.mtu = 9000;
	path_ms(900, 15000);
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
		conv_test(tcp_ten_messages_resend_ten_windows),
		conv_test(tcp_messages_without_progress_are_limited),
		conv_test(tcp_message_about_a_proved_size_waits_for_a_loss),
		conv_test(tcp_path_mtu_is_not_raised_by_a_message),
		conv_test(tcp_router_without_a_number_means_the_next_plateau),
		conv_test(tcp_path_mtu_is_tried_again_after_ten_minutes),
		/* RFC 8899: black holes */
		conv_test(tcp_black_hole_is_left_by_a_smaller_size),
		conv_test(tcp_size_comes_back_when_a_smaller_one_is_no_cure),
		conv_test(tcp_black_hole_once_proved_outlives_a_silence),
		conv_test(tcp_black_hole_is_left_whatever_was_written),
		conv_test(tcp_black_hole_is_left_beside_small_packets_that_pass),
		conv_test(tcp_black_hole_that_opens_later_is_left),
		conv_test(tcp_black_hole_is_remembered_when_the_size_is_tried_again),
		conv_test(tcp_small_packets_that_are_lost_are_no_black_hole),
		/* RFC 8201: IPv6 */
		conv_test(tcp_too_big_works_for_ip6),
		conv_test(tcp_ip6_too_big_below_1280_is_discarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
