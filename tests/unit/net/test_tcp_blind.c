/*
 * test_tcp_blind.c - somebody off the path who guesses: RFC 5961, RFC 5927, RFC 9293 3.9.2.2
 *
 * He knows the addresses and ports and has to guess the numbers. What he sends must neither end the
 * connection nor put a byte into it, must cost us few answers, and must not touch the connection
 * beside it.
 */
#include "tests/unit/net/conv.h"
#include "tests/unit/between.h"

static void tcp_blind_rst_sweep_ends_nothing(void **state)
{
	unsigned answers = 0;

	open_with();
	for (uint32_t i = 1; i <= 2000; i++) {
		rx(.flags = RST, .seq = 901 + i * 2147483);
		answers += tx_drain();
	}
	assert_int_equal(info().state, STT_ESTABLISHED);
	assert_between(answers, 0, 10);
}

static void tcp_blind_syn_sweep_ends_nothing(void **state)
{
	unsigned answers = 0;

	open_with();
	for (uint32_t i = 0; i < 200; i++) {
		rx(.flags = SYN, .seq = 901 + i * 100, .mss = 1000);
		answers += tx_drain();
	}
	assert_int_equal(info().state, STT_ESTABLISHED);
	assert_between(answers, 1, 10);
	rx(.flags = ACK, .seq = 901, .ack = 101, .len = 10);
	read_bytes(10);
}

static void tcp_blind_data_with_a_guessed_ack_is_not_taken(void **state)
{
	open_with();
	for (uint32_t i = 1; i < 64; i++)
		rx(.flags = ACK, .seq = 901, .ack = 101 + (i << 26), .len = 100);
	read_nothing();
	assert_int_equal(info().bytes_received, 0);
	assert_between(tx_drain(), 1, 10);
}

/* RFC 5961 5.2: SND.UNA - MAX.SND.WND is the oldest ACK that is taken. */
static void tcp_ack_older_than_the_largest_window_is_challenged(void **state)
{
	open_with(.wnd = 2000);
	for (int i = 0; i < 5; i++) {
		send_bytes(1000);
		tx_drain();
		rx(.flags = ACK, .seq = 901, .ack = 1101 + 1000 * (uint32_t)i);
	}
	rx(.flags = ACK, .seq = 901, .ack = 3101, .len = 10);
	read_bytes(10);
	tx_drain();
	rx(.flags = ACK, .seq = 911, .ack = 3100, .len = 10);
	tx(.flags = ACK, .ack = 911);
	read_nothing();
}

static void tcp_ack_from_before_our_first_byte_is_challenged(void **state)
{
	open_with();
	rx(.flags = ACK, .seq = 901, .ack = 100, .len = 10);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	read_nothing();
}

static void tcp_challenges_come_back_after_five_seconds(void **state)
{
	open_with();
	for (int i = 0; i < 50; i++)
		rx(.flags = RST, .seq = 950);
	tx_drain();
	rx(.flags = RST, .seq = 950);
	tx_none();
	after_ms(5000);
	rx(.flags = RST, .seq = 950);
	tx(.flags = ACK, .seq = 101, .ack = 901);
}

static void tcp_attack_on_one_connection_leaves_its_neighbour_alone(void **state)
{
	int attacked, neighbour;

	open_with();
	attacked = conv.id;
	neighbour = stt_connect(conv.stt, AF_INET, LOCAL_PORT + 1, PEER_PORT);
	assert_true(neighbour >= 0);
	assert_true(tx_any());
	for (uint32_t i = 0; i < 300; i++) {
		rx(.flags = RST, .seq = 902 + i * 50);
		rx(.flags = SYN, .seq = 901 + i);
		rx(.flags = ACK, .seq = 901, .ack = 90000 + i, .len = 5);
		conv_icmp(3, 3, 0, 50000 + i);
	}
	tx_drain();
	conv.id = neighbour;
	assert_int_equal(info().state, STT_SYN_SENT);
	at_ms(1000);
	tx(.flags = SYN, .sport = LOCAL_PORT + 1);
	conv.id = attacked;
	assert_int_equal(info().state, STT_ESTABLISHED);
	send_bytes(10);
	tx(.flags = ACK, .seq = 101, .len = 10);
}

static void tcp_source_quench_is_ignored(void **state)
{
	uint32_t cwnd;

	open_with();
	send_bytes(1000);
	tx_drain();
	cwnd = info().cwnd_bytes;
	conv_icmp(4, 0, 0, 101);
	assert_int_equal(info().cwnd_bytes, cwnd);
	assert_int_equal(info().state, STT_ESTABLISHED);
	tx_none();
}

static void tcp_soft_errors_do_not_end_a_connection(void **state)
{
	static const uint8_t soft[][2] = {{3, 0}, {3, 1}, {3, 5}, {11, 0}, {11, 1}, {12, 0}};

	open_with();
	send_bytes(1000);
	tx_drain();
	for (unsigned i = 0; i < 6; i++)
		conv_icmp(soft[i][0], soft[i][1], 0, 101);
	assert_int_equal(info().state, STT_ESTABLISHED);
	rx(.flags = ACK, .seq = 901, .ack = 1101);
	assert_int_equal(info().bytes_acked, 1000);
}

static void tcp_soft_error_names_the_timeout(void **state)
{
	open_with();
	assert_int_equal(stt_set(conv.stt, conv.id, "user_timeout_us", 10000000), 0);
	send_bytes(1000);
	tx_drain();
	conv_icmp(3, 0, 0, 101);
	at_ms(20000);
	tx_drain();
	read_fails(ENETUNREACH);
}

static void tcp_icmp6_port_unreachable_refuses_an_open(void **state)
{
	begin_with(.ip6 = true);
	connect_now();
	tx(.flags = SYN);
	conv_icmp(1, 4, 0, 100);
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ECONNREFUSED);
}

static void tcp_icmp6_of_another_number_is_ignored(void **state)
{
	begin_with(.ip6 = true);
	connect_now();
	tx(.flags = SYN);
	conv_icmp(1, 4, 0, 101);
	conv_icmp(1, 3, 0, 100);
	assert_int_equal(info().state, STT_SYN_SENT);
}

static void tcp_rst_at_rcv_nxt_works_for_ip6(void **state)
{
	open_with(.ip6 = true);
	rx(.flags = RST, .seq = 902);
	tx(.flags = ACK, .seq = 101, .ack = 901);
	rx(.flags = RST, .seq = 901);
	assert_int_equal(info().state, STT_CLOSED);
	read_fails(ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* RFC 5961 3, 4 and 7: RST, SYN, the limit of challenges */
		conv_test(tcp_blind_rst_sweep_ends_nothing),
		conv_test(tcp_blind_syn_sweep_ends_nothing),
		conv_test(tcp_challenges_come_back_after_five_seconds),
		conv_test(tcp_rst_at_rcv_nxt_works_for_ip6),
		/* RFC 5961 5: data */
		conv_test(tcp_blind_data_with_a_guessed_ack_is_not_taken),
		conv_test(tcp_ack_older_than_the_largest_window_is_challenged),
		conv_test(tcp_ack_from_before_our_first_byte_is_challenged),
		conv_test(tcp_attack_on_one_connection_leaves_its_neighbour_alone),
		/* RFC 9293 3.9.2.2 and RFC 5927: ICMP */
		conv_test(tcp_source_quench_is_ignored),
		conv_test(tcp_soft_errors_do_not_end_a_connection),
		conv_test(tcp_soft_error_names_the_timeout),
		conv_test(tcp_icmp6_port_unreachable_refuses_an_open),
		conv_test(tcp_icmp6_of_another_number_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
