/*
 * test_icmp.c - pings, and errors that quote our segments
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/ip/icmp.h"
#include "tests/unit/net/net_script.h"

static const struct net_ip router4 = {AF_INET, {203, 0, 113, 1}};
static const struct net_ip router6 = {AF_INET6, {0x20, 0x01, 0x0d, 0xb8, 1, [15] = 1}};

static bool rx_icmp(const struct net_ip *src, const struct net_ip *dst, uint8_t *l4, uint32_t len)
{
	uint8_t proto = src->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	struct frame f;

	l4_csum_set(l4, len, 2, src, dst, proto);
	frame_ip(&f, src, dst, proto, l4, len, NULL);
	return rx(&f);
}

/* An error with @word in bytes 4 to 7 that quotes the first @quoted bytes of what we sent. */
static bool rx_error4(uint8_t type, uint8_t code, uint32_t word, uint32_t quoted)
{
	uint8_t l4[8 + 28] = {type, code, 0, 0, (uint8_t)(word >> 24), (uint8_t)(word >> 16),
		(uint8_t)(word >> 8), (uint8_t)word, 0x45, [17] = IPPROTO_TCP};

	l4[16] = 63;
	memcpy(l4 + 20, our4.addr, 4);
	memcpy(l4 + 24, far4.addr, 4);
	memcpy(l4 + 28, "\x9c\x40\x2a\x39\x01\x02\x03\x04", 8);
	return rx_icmp(&router4, &our4, l4, 8 + quoted);
}

static bool rx_error6(uint8_t type, uint8_t code, uint32_t word, uint32_t quoted)
{
	uint8_t l4[8 + 48] = {type, code, 0, 0, (uint8_t)(word >> 24), (uint8_t)(word >> 16),
		(uint8_t)(word >> 8), (uint8_t)word, 0x60, [14] = IPPROTO_TCP};

	memcpy(l4 + 16, our6.addr, 16);
	memcpy(l4 + 32, far6.addr, 16);
	memcpy(l4 + 48, "\x9c\x40\x2a\x39\x01\x02\x03\x04", 8);
	return rx_icmp(&router6, &our6, l4, 8 + quoted);
}

static void assert_error(int err, uint32_t mtu, bool is_hard)
{
	assert_int_equal(sc.tcp.errors, 1);
	assert_int_equal(sc.tcp.err, err);
	assert_int_equal(sc.tcp.mtu, mtu);
	assert_int_equal(sc.tcp.is_hard, is_hard);
	assert_int_equal(sc.tcp.sport, 40000);
	assert_int_equal(sc.tcp.dport, 10809);
	assert_int_equal(sc.tcp.seq, 0x01020304);
	sc.tcp.errors = 0;
}

static void icmp_answers_a_ping(void **state)
{
	uint8_t l4[64] = {8, 0, 0, 0, 0x12, 0x34, 0, 1};
	struct frame f;

	for (uint32_t i = 8; i < sizeof(l4); i++)
		l4[i] = pattern(i);
	assert_true(rx_icmp(&far4, &our4, l4, sizeof(l4)));
	assert_true(tx(&f));
	assert_int_equal(f.len, 14 + 20 + 64);
	assert_memory_equal(f.bytes, peer_mac, 6); /* whence it came, without a question */
	assert_memory_equal(f.bytes + 6, our_mac, 6);
	assert_memory_equal(f.bytes + 26, our4.addr, 4);
	assert_memory_equal(f.bytes + 30, far4.addr, 4);
	assert_int_equal(ref_csum(NULL, NULL, 0, f.bytes + 14, 20), 0);
	assert_int_equal(f.bytes[34], 0);
	assert_int_equal(ref_csum(NULL, NULL, 0, f.bytes + 34, 64), 0);
	assert_memory_equal(f.bytes + 38, l4 + 4, 60);
	tx_none();
}

static void icmp6_answers_a_ping(void **state)
{
	uint8_t l4[17] = {128, 0, 0, 0, 0x12, 0x34, 0, 1, 'p', 'i', 'n', 'g'};
	struct frame f;

	assert_true(rx_icmp(&far6, &our6, l4, sizeof(l4)));
	assert_true(tx(&f));
	assert_int_equal(f.len, 14 + 40 + 17);
	assert_memory_equal(f.bytes, peer_mac, 6);
	assert_memory_equal(f.bytes + 22, our6.addr, 16);
	assert_memory_equal(f.bytes + 38, far6.addr, 16);
	assert_int_equal(f.bytes[54], 129);
	assert_int_equal(ref_csum(&our6, &far6, IPPROTO_ICMPV6, f.bytes + 54, 17), 0);
}

static void icmp_answers_a_chained_ping(void **state)
{
	uint8_t l4[900] = {8};
	struct frame f;

	l4_csum_set(l4, sizeof(l4), 2, &far4, &our4, IPPROTO_ICMP);
	frame_ip(&f, &far4, &our4, IPPROTO_ICMP, l4, sizeof(l4), NULL);
	assert_true(rx_chain(&f, 101, 333, 0));
	assert_true(tx(&f));
	assert_int_equal(f.len, 34 + 900);
	assert_int_equal(ref_csum(NULL, NULL, 0, f.bytes + 34, 900), 0);
}

static void icmp_pings_are_limited_by_the_second(void **state)
{
	uint8_t l4[8] = {8};
	struct frame f;
	unsigned answered = 0;

	for (int i = 0; i < ICMP_ECHO_PER_SECOND_MAX + 20; i++) {
		assert_true(rx_icmp(&far4, &our4, l4, 8));
		answered += tx(&f);
	}
	assert_int_equal(answered, ICMP_ECHO_PER_SECOND_MAX);
	at_us(sc.now_us + SEC);
	assert_true(rx_icmp(&far4, &our4, l4, 8));
	assert_true(tx(&f));
}

static void icmp_ping_larger_than_the_link_is_left_out(void **state)
{
	static uint8_t l4[1481] = {8};
	struct frame f;

	assert_true(rx_icmp(&far4, &our4, l4, 1480));
	assert_true(tx(&f));
	assert_true(rx_icmp(&far4, &our4, l4, 1481));
	tx_none();
}

/* An answer to nobody, to ourselves or to a whole subnet goes where no asker is. */
static void icmp_ping_from_no_host_is_not_answered(void **state)
{
	const struct net_ip bad6[] = {none6, {AF_INET6, {[15] = 1}}, our6};
	const struct net_ip all4 = {AF_INET, {10, 0, 0, 255}};
	uint8_t l4[16] = {8};

	assert_true(rx_icmp(&all4, &our4, l4, sizeof(l4)));
	tx_none();
	for (unsigned i = 0; i < 3; i++) {
		memset(l4, 0, sizeof(l4));
		l4[0] = 128;
		assert_true(rx_icmp(&bad6[i], &our6, l4, sizeof(l4)));
		tx_none();
	}
}

/* RFC 7739's concern: a counter that strangers may read tells them how much we send. */
static void icmp_answers_do_not_count_our_packets(void **state)
{
	unsigned steps = 0;
	uint16_t last = 0;

	for (unsigned i = 0; i < 32; i++) {
		uint8_t l4[16] = {8};
		struct frame f;
		uint16_t id;

		assert_true(rx_icmp(&far4, &our4, l4, sizeof(l4)));
		assert_true(tx(&f));
		id = (uint16_t)(f.bytes[18] << 8 | f.bytes[19]);
		steps += (uint16_t)(id - last) <= 1;
		last = id;
	}
	assert_true(steps < 4);
}

static void icmp_bad_checksum_is_dropped(void **state)
{
	uint8_t l4[16] = {8};
	struct frame f;

	l4_csum_set(l4, 16, 2, &far4, &our4, IPPROTO_ICMP);
	l4[15] ^= 1;
	frame_ip(&f, &far4, &our4, IPPROTO_ICMP, l4, 16, NULL);
	assert_true(rx(&f));
	tx_none();
	assert_int_equal(sc.net->stats.rx_bad_csum, 1);
}

/* RFC 1122 4.2.3.9 and RFC 1191. */
static void icmp_errors_reach_tcp(void **state)
{
	assert_true(rx_error4(3, 0, 0, 28));
	assert_error(-ENETUNREACH, 0, false);
	assert_true(ip_equal(&sc.tcp.in.src, &our4));
	assert_true(ip_equal(&sc.tcp.in.dst, &far4));
	assert_true(rx_error4(3, 1, 0, 28));
	assert_error(-EHOSTUNREACH, 0, false);
	assert_true(rx_error4(3, 2, 0, 28));
	assert_error(-ENOPROTOOPT, 0, true);
	assert_true(rx_error4(3, 3, 0, 28));
	assert_error(-ECONNREFUSED, 0, true);
	assert_true(rx_error4(3, 4, 1400, 28));
	assert_error(-EMSGSIZE, 1400, false);
	assert_true(rx_error4(3, 13, 0, 28));
	assert_error(-EHOSTUNREACH, 0, false);
	assert_true(rx_error4(11, 0, 0, 28));
	assert_error(-EHOSTUNREACH, 0, false);
	assert_true(rx_error4(12, 0, 0, 28));
	assert_error(-EPROTO, 0, false);
}

/* RFC 4443 3. */
static void icmp6_errors_reach_tcp(void **state)
{
	assert_true(rx_error6(1, 0, 0, 48));
	assert_error(-ENETUNREACH, 0, false);
	assert_true(ip_equal(&sc.tcp.in.src, &our6));
	assert_true(ip_equal(&sc.tcp.in.dst, &far6));
	assert_true(rx_error6(1, 3, 0, 48));
	assert_error(-EHOSTUNREACH, 0, false);
	assert_true(rx_error6(1, 4, 0, 48));
	assert_error(-ECONNREFUSED, 0, true);
	assert_true(rx_error6(2, 0, 1280, 48));
	assert_error(-EMSGSIZE, 1280, false);
	assert_true(rx_error6(3, 0, 0, 48));
	assert_error(-EHOSTUNREACH, 0, false);
	assert_true(rx_error6(4, 1, 0, 48));
	assert_error(-EPROTO, 0, true);
	assert_true(rx_error6(4, 0, 0, 48));
	assert_error(-EPROTO, 0, false);
}

static void icmp_error_cut_short_says_nothing(void **state)
{
	for (uint32_t quoted = 0; quoted < 28; quoted++)
		rx_error4(3, 3, 0, quoted);
	for (uint32_t quoted = 0; quoted < 48; quoted++)
		rx_error6(1, 4, 0, quoted);
	assert_int_equal(sc.tcp.errors, 0);
	assert_int_equal(sc.net->stats.rx_bad_hdr, 28 + 48);
}

static void icmp_error_about_others_says_nothing(void **state)
{
	const uint32_t at[] = {8, 14, 15, 17, 20}; /* version, fragment offset, protocol, source */
	uint8_t good[36] = {3, 3, [8] = 0x45, [17] = IPPROTO_TCP};

	memcpy(good + 20, our4.addr, 4);
	memcpy(good + 24, far4.addr, 4);
	for (int i = 0; i < 5; i++) {
		uint8_t l4[36];

		memcpy(l4, good, sizeof(l4));
		l4[at[i]] ^= 0x11;
		assert_true(rx_icmp(&router4, &our4, l4, sizeof(l4)));
		assert_int_equal(sc.tcp.errors, 0);
	}
	assert_true(rx_icmp(&router4, &our4, good, sizeof(good)));
	assert_int_equal(sc.tcp.errors, 1);
}

/* An error in two mbufs, the quotation across them. */
static void icmp_error_may_lie_in_a_chain(void **state)
{
	uint8_t l4[36] = {3, 3, [8] = 0x45, [17] = IPPROTO_TCP};
	struct frame f;

	memcpy(l4 + 20, our4.addr, 4);
	memcpy(l4 + 24, far4.addr, 4);
	memcpy(l4 + 28, "\x9c\x40\x2a\x39\x01\x02\x03\x04", 8);
	l4_csum_set(l4, 36, 2, &router4, &our4, IPPROTO_ICMP);
	frame_ip(&f, &router4, &our4, IPPROTO_ICMP, l4, 36, NULL);
	assert_true(rx_chain(&f, 45, 7, 0));
	assert_error(-ECONNREFUSED, 0, true);
}

static void icmp_other_types_are_ignored(void **state)
{
	const uint8_t types4[] = {0, 4, 5, 9, 13, 17}, types6[] = {129, 130, 133, 134, 137, 200};

	for (int i = 0; i < 6; i++) {
		assert_true(rx_error4(types4[i], 0, 0, 28));
		assert_true(rx_error6(types6[i], 0, 0, 48));
	}
	assert_int_equal(sc.tcp.errors, 0);
	tx_none();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(icmp_answers_a_ping),
		script_test(icmp6_answers_a_ping),
		script_test(icmp_answers_a_chained_ping),
		script_test(icmp_pings_are_limited_by_the_second),
		script_test(icmp_ping_larger_than_the_link_is_left_out),
		script_test(icmp_ping_from_no_host_is_not_answered),
		script_test(icmp_answers_do_not_count_our_packets),
		script_test(icmp_bad_checksum_is_dropped),
		script_test(icmp_errors_reach_tcp),
		script_test(icmp6_errors_reach_tcp),
		script_test(icmp_error_cut_short_says_nothing),
		script_test(icmp_error_about_others_says_nothing),
		script_test(icmp_error_may_lie_in_a_chain),
		script_test(icmp_other_types_are_ignored),
	};

	return cmocka_run_group_tests(tests, script_eal_start, script_eal_stop);
}
