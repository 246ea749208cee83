/*
 * test_tcp_wire.c - headers good, cut short, too long and illegal
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "dataplane/net/tcp/tcp_wire.h"

/* A segment with @n option bytes and @payload bytes behind the header. */
static uint32_t segment(
	uint8_t *out, uint8_t flags, const uint8_t *opt, uint8_t n, uint32_t payload)
{
	uint8_t hdr_len = (uint8_t)(20 + (n + 3) / 4 * 4);

	memset(out, 0, hdr_len + payload);
	out[0] = 0x12, out[1] = 0x34;
	out[2] = 0x27, out[3] = 0xad; /* 10157 */
	out[4] = 0x01, out[7] = 0x04;
	out[8] = 0xff, out[11] = 0xfe;
	out[12] = (uint8_t)(hdr_len / 4 << 4);
	out[13] = flags;
	out[14] = 0xab, out[15] = 0xcd;
	out[19] = 9;
	for (uint8_t i = 0; i < n; i++)
		out[20 + i] = opt[i];
	return hdr_len + payload;
}

static int parse_options(uint8_t flags, const uint8_t *opt, uint8_t n, struct tcp_seg *seg)
{
	uint8_t bytes[80];
	uint32_t len = segment(bytes, flags, opt, n, 0);

	return tcp_wire_parse(bytes, len, len, seg);
}

static void wire_parse_reads_the_fixed_header(void **state)
{
	uint8_t bytes[64];
	uint32_t len = segment(bytes, TCP_ACK | TCP_PSH | TCP_ECE, NULL, 0, 13);
	struct tcp_seg seg;

	assert_int_equal(tcp_wire_parse(bytes, len, len, &seg), 0);
	assert_int_equal(seg.sport, 0x1234);
	assert_int_equal(seg.dport, 10157);
	assert_int_equal(seg.seq, 0x01000004);
	assert_int_equal(seg.ack, 0xff0000fe);
	assert_int_equal(seg.flags, TCP_ACK | TCP_PSH | TCP_ECE);
	assert_int_equal(seg.wnd, 0xabcd);
	assert_int_equal(seg.urp, 9);
	assert_int_equal(seg.hdr_len, 20);
	assert_int_equal(seg.payload_bytes, 13);
	assert_false(seg.has_mss || seg.has_ts || seg.has_wscale || seg.has_sack_ok);
}

static void wire_parse_counts_payload_it_cannot_read(void **state)
{
	uint8_t bytes[64];
	struct tcp_seg seg;

	segment(bytes, TCP_ACK, NULL, 0, 0);
	assert_int_equal(tcp_wire_parse(bytes, 20, 9000, &seg), 0);
	assert_int_equal(seg.payload_bytes, 8980);
}

static void wire_parse_refuses_every_short_header(void **state)
{
	const uint8_t ts[] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
	uint8_t bytes[64];
	struct tcp_seg seg = {.seq = 77};
	uint32_t len = segment(bytes, TCP_ACK, ts, sizeof(ts), 0);

	for (uint32_t cut = 0; cut < len; cut++)
		assert_int_equal(tcp_wire_parse(bytes, cut, cut, &seg), -EMSGSIZE);
	assert_int_equal(seg.seq, 77);
	assert_int_equal(tcp_wire_parse(bytes, len, len, &seg), 0);
}

static void wire_parse_refuses_small_data_offset(void **state)
{
	uint8_t bytes[64];
	struct tcp_seg seg;

	segment(bytes, TCP_ACK, NULL, 0, 0);
	for (uint8_t words = 0; words < 5; words++) {
		bytes[12] = (uint8_t)(words << 4);
		assert_int_equal(tcp_wire_parse(bytes, 20, 20, &seg), -EBADMSG);
	}
}

static void wire_parse_reads_syn_options(void **state)
{
	const uint8_t opt[] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0, 1, 3, 3, 7};
	struct tcp_seg seg;

	assert_int_equal(parse_options(TCP_SYN, opt, sizeof(opt), &seg), 0);
	assert_true(seg.has_mss && seg.has_sack_ok && seg.has_ts && seg.has_wscale);
	assert_int_equal(seg.mss, 1460);
	assert_int_equal(seg.wscale, 7);
	assert_int_equal(seg.tsval, 256);
	assert_int_equal(seg.tsecr, 512);
}

static void wire_parse_ignores_syn_options_elsewhere(void **state)
{
	const uint8_t opt[] = {2, 4, 0x05, 0xb4, 4, 2, 3, 3, 7};
	struct tcp_seg seg;

	assert_int_equal(parse_options(TCP_ACK, opt, sizeof(opt), &seg), 0);
	assert_false(seg.has_mss || seg.has_sack_ok || seg.has_wscale);
}

/* RFC 7323 2.3: a shift above 14 is used as 14. */
static void wire_parse_caps_window_scale(void **state)
{
	const uint8_t opt[] = {3, 3, 15};
	struct tcp_seg seg;

	assert_int_equal(parse_options(TCP_SYN, opt, sizeof(opt), &seg), 0);
	assert_int_equal(seg.wscale, 14);
}

static void wire_parse_reads_sack_blocks(void **state)
{
	const uint8_t opt[] = {
		1, 1, 5, 18, 0, 0, 0, 10, 0, 0, 0, 20, 255, 255, 255, 255, 0, 0, 0, 5};
	struct tcp_seg seg;

	assert_int_equal(parse_options(TCP_ACK, opt, sizeof(opt), &seg), 0);
	assert_int_equal(seg.sack_count, 2);
	assert_int_equal(seg.sack[0].start, 10);
	assert_int_equal(seg.sack[0].end, 20);
	assert_int_equal(seg.sack[1].start, 0xffffffff);
	assert_int_equal(seg.sack[1].end, 5);
	assert_int_equal(seg.sack[2].start | seg.sack[2].end, 0);
}

static void wire_parse_skips_unknown_options(void **state)
{
	const uint8_t opt[] = {254, 4, 9, 9, 30, 3, 1, 1, 8, 10, 0, 0, 0, 3, 0, 0, 0, 4};
	struct tcp_seg seg;

	assert_int_equal(parse_options(TCP_ACK, opt, sizeof(opt), &seg), 0);
	assert_true(seg.has_ts);
	assert_int_equal(seg.tsval, 3);
}

static void wire_parse_ignores_known_options_of_wrong_length(void **state)
{
	const uint8_t mss[] = {2, 3, 5, 3, 2, 8, 9, 0, 0, 0, 0, 0, 0, 0};
	const uint8_t sack[] = {5, 9, 0, 0, 0, 1, 0, 0, 0, 4, 3};
	const uint8_t block_and_half[] = {5, 14, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1};
	const uint8_t two_bytes[] = {253, 2};
	struct tcp_seg seg;

	assert_int_equal(parse_options(TCP_SYN, mss, sizeof(mss), &seg), 0);
	assert_false(seg.has_mss || seg.has_wscale || seg.has_ts);
	assert_int_equal(parse_options(TCP_ACK, sack, 9, &seg), 0);
	assert_int_equal(seg.sack_count, 0);
	assert_int_equal(parse_options(TCP_ACK, block_and_half, 14, &seg), 0);
	assert_int_equal(seg.sack_count, 0);
	assert_int_equal(parse_options(TCP_SYN, two_bytes, 2, &seg), 0);
	assert_false(seg.has_sack_ok);
}

static void wire_parse_stops_at_end_of_options(void **state)
{
	const uint8_t opt[] = {0, 8, 1, 0};
	struct tcp_seg seg;

	assert_int_equal(parse_options(TCP_ACK, opt, sizeof(opt), &seg), 0);
	assert_false(seg.has_ts);
}

/* RFC 9293 3.1, MUST-7: zero and other lengths that cannot be true. */
static void wire_parse_stops_at_an_illegal_option_length(void **state)
{
	static const uint8_t tails[][4] = {
		{254, 0, 3, 3}, {254, 1, 4, 2}, {254, 5, 4, 2}, {1, 1, 1, 254}, {1, 1, 254, 3}};
	struct tcp_seg seg;

	for (unsigned i = 0; i < 5; i++) {
		uint8_t opt[8] = {2, 4, 1, 244};

		memcpy(opt + 4, tails[i], 4);
		assert_int_equal(parse_options(TCP_SYN, opt, 8, &seg), 0);
		assert_true(seg.has_mss && seg.mss == 500);
		assert_false(seg.has_wscale || seg.has_sack_ok);
	}
}

static void assert_round_trip(struct tcp_seg *in)
{
	uint8_t bytes[TCP_HDR_BYTES_MAX];
	struct tcp_seg out;
	uint8_t len = tcp_wire_build(bytes, in);

	assert_int_equal(len, tcp_wire_hdr_len(in));
	assert_int_equal(bytes[16] | bytes[17], 0);
	assert_int_equal(tcp_wire_parse(bytes, len, len, &out), 0);
	assert_memory_equal(&out, in, sizeof(out));
}

static void wire_build_is_what_parse_reads(void **state)
{
	for (unsigned mask = 0; mask < 16; mask++) {
		struct tcp_seg seg = {.sport = 1, .dport = 65535, .seq = 0xdeadbeef, .ack = 1};

		seg.flags = TCP_SYN | TCP_ACK;
		seg.wnd = 0xfffe;
		seg.has_mss = mask & 1;
		seg.mss = seg.has_mss ? 8960 : 0;
		seg.has_wscale = mask & 2;
		seg.wscale = seg.has_wscale ? 9 : 0;
		seg.has_sack_ok = mask & 4;
		seg.has_ts = mask & 8;
		seg.tsval = seg.has_ts ? 0x80000001 : 0;
		seg.tsecr = seg.has_ts ? 0x7fffffff : 0;
		assert_round_trip(&seg);
	}
}

static void wire_build_fills_the_room_with_sack(void **state)
{
	struct tcp_seg plain = {.flags = TCP_ACK}, ts = {.flags = TCP_ACK, .has_ts = true};

	assert_int_equal(tcp_wire_sack_room(&plain), 4);
	assert_int_equal(tcp_wire_sack_room(&ts), 3);
	plain.sack_count = 4;
	ts.sack_count = 3;
	for (uint32_t i = 0; i < 4; i++)
		plain.sack[i] = (struct tcp_sack){i * 10, i * 10 + 5};
	memcpy(ts.sack, plain.sack, 3 * sizeof(ts.sack[0]));
	assert_round_trip(&plain);
	assert_round_trip(&ts);
	assert_int_equal(plain.hdr_len, 56);
	assert_int_equal(ts.hdr_len, 60);
}

static void wire_syn_with_all_options_is_forty_bytes(void **state)
{
	struct tcp_seg syn = {.flags = TCP_SYN, .has_mss = true, .has_wscale = true};

	syn.has_sack_ok = true;
	syn.has_ts = true;
	assert_int_equal(tcp_wire_hdr_len(&syn), 40);
	syn.has_ts = false;
	assert_int_equal(tcp_wire_hdr_len(&syn), 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire_parse_reads_the_fixed_header),
		cmocka_unit_test(wire_parse_counts_payload_it_cannot_read),
		cmocka_unit_test(wire_parse_refuses_every_short_header),
		cmocka_unit_test(wire_parse_refuses_small_data_offset),
		cmocka_unit_test(wire_parse_reads_syn_options),
		cmocka_unit_test(wire_parse_ignores_syn_options_elsewhere),
		cmocka_unit_test(wire_parse_caps_window_scale),
		cmocka_unit_test(wire_parse_reads_sack_blocks),
		cmocka_unit_test(wire_parse_skips_unknown_options),
		cmocka_unit_test(wire_parse_ignores_known_options_of_wrong_length),
		cmocka_unit_test(wire_parse_stops_at_end_of_options),
		cmocka_unit_test(wire_parse_stops_at_an_illegal_option_length),
		cmocka_unit_test(wire_build_is_what_parse_reads),
		cmocka_unit_test(wire_build_fills_the_room_with_sack),
		cmocka_unit_test(wire_syn_with_all_options_is_forty_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
