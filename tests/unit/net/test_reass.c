/*
 * test_reass.c - pieces in every order, and every way to abuse them
 *
 * The datagram is one TCP segment with a pattern in it; if a byte came out in the wrong place its
 * checksum would say so, and the fake TCP counts only what the checksum let through.
 */
#include <netinet/in.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/ip/reass.h"
#include "tests/unit/net/net_script.h"

#define WHOLE 2020u /* L4 bytes of the datagram */

static uint8_t l4_4[WHOLE], l4_6[WHOLE];

static void make_datagrams(void)
{
	l4_tcp(l4_4, &peer4, &our4, WHOLE - 20);
	l4_tcp(l4_6, &peer6, &our6, WHOLE - 20);
}

/* Bytes @off to @end of the datagram @id; ECN in @tos. */
static void rx4_ecn(uint16_t id, uint32_t off, uint32_t end, uint8_t tos)
{
	const struct ip_how how = {
		.id = id, .tos = tos, .frag = (uint16_t)(off / 8 | (end < WHOLE ? 0x2000 : 0))};
	struct frame f;

	frame_ip(&f, &peer4, &our4, IPPROTO_TCP, l4_4 + off, end - off, &how);
	assert_true(rx(&f));
}

static void rx4(uint16_t id, uint32_t off, uint32_t end)
{
	rx4_ecn(id, off, end, 0);
}

static void rx6(uint8_t id, uint32_t off, uint32_t end)
{
	const uint8_t ext[8] = {
		6, 0, (uint8_t)(off >> 8), (uint8_t)(off | (end < WHOLE)), 0, 0, 0, id};
	const struct ip_how how = {.ext_first = 44, .ext = ext, .ext_len = sizeof(ext)};
	struct frame f;

	frame_ip(&f, &peer6, &our6, IPPROTO_TCP, l4_6 + off, end - off, &how);
	assert_true(rx(&f));
}

static uint32_t held(void)
{
	struct reserve_owner_info owners[OWNER_MAX];

	reserve_owners(sc.rx, owners, OWNER_MAX);
	return owners[OWNER_REASSEMBLY].used;
}

static void reass_works_in_every_order(void **state)
{
	const uint32_t cut[5] = {0, 504, 1000, 1504, WHOLE};
	uint16_t id = 0;

	make_datagrams();
	for (int a = 0; a < 4; a++)
		for (int b = 0; b < 4; b++)
			for (int c = 0; c < 4; c++) {
				int d = 6 - a - b - c;

				if (a == b || b == c || a == c)
					continue;
				id++;
				rx4(id, cut[a], cut[a + 1]);
				rx4(id, cut[b], cut[b + 1]);
				rx4(id, cut[c], cut[c + 1]);
				assert_int_equal(held(), 3);
				assert_int_equal(sc.tcp.packets, id - 1u);
				rx4(id, cut[d], cut[d + 1]);
				assert_int_equal(sc.tcp.packets, id);
				assert_int_equal(held(), 0);
			}
	assert_int_equal(sc.tcp.in.l4_off, 34);
	assert_int_equal(sc.tcp.in.l4_len, WHOLE);
	assert_int_equal(sc.net->stats.reass_ok, 24);
}

static void reass_works_for_ipv6(void **state)
{
	make_datagrams();
	rx6(1, 1000, WHOLE);
	rx6(1, 0, 1000);
	assert_int_equal(sc.tcp.packets, 1);
	assert_int_equal(sc.tcp.in.l4_off, 14 + 40 + 8);
	assert_int_equal(sc.tcp.in.l4_len, WHOLE);
	rx6(2, 0, 1000);
	rx6(3, 1000, WHOLE);
	assert_int_equal(sc.tcp.packets, 1);
}

/* Destination options behind the fragment header belong to the first fragment's payload. */
static void reass_walks_on_behind_the_fragment_header(void **state)
{
	const uint8_t options[8] = {6, 0, 1, 4, 0, 0, 0, 0};
	uint8_t whole[8 + 120], ext[8] = {60, 0, 0, 1, 0, 0, 0, 9};
	const struct ip_how how = {.ext_first = 44, .ext = ext, .ext_len = sizeof(ext)};
	struct frame f;

	memcpy(whole, options, 8);
	l4_tcp(whole + 8, &peer6, &our6, 100);
	frame_ip(&f, &peer6, &our6, IPPROTO_TCP, whole, 64, &how);
	assert_true(rx(&f));
	ext[3] = 64;
	frame_ip(&f, &peer6, &our6, IPPROTO_TCP, whole + 64, 64, &how);
	assert_true(rx(&f));
	assert_int_equal(sc.tcp.packets, 1);
	assert_int_equal(sc.tcp.in.l4_len, 120);
	assert_int_equal(sc.tcp.in.l4_off, 14 + 40 + 8 + 8);
}

static void reass_keeps_datagrams_apart(void **state)
{
	make_datagrams();
	rx4(1, 0, 1000);
	rx4(2, 1000, WHOLE);
	assert_int_equal(sc.tcp.packets, 0);
	rx4(1, 1000, WHOLE);
	rx4(2, 0, 1000);
	assert_int_equal(sc.tcp.packets, 2);
}

static void reass_frees_exact_copies(void **state)
{
	make_datagrams();
	for (int i = 0; i < 10; i++)
		rx4(1, 0, 1000);
	assert_int_equal(held(), 1);
	rx4(1, 1000, WHOLE);
	assert_int_equal(sc.tcp.packets, 1);
}

/* Every kind of overlap ends the datagram, and its rest finds no home. */
static void reass_overlap_ends_the_datagram(void **state)
{
	const uint32_t bad[][2] = {{0, 504}, {0, 1504}, {496, 1000}, {504, 1504}, {1000, 1504}};

	make_datagrams();
	for (uint16_t i = 0; i < 5; i++) {
		rx4(i, 0, 1000);
		rx4(i, 1496, WHOLE);
		assert_int_equal(held(), 2);
		rx4(i, bad[i][0], bad[i][1]);
		assert_int_equal(held(), 0);
		rx4(i, 0, 1000);
		rx4(i, 1000, 1496);
		rx4(i, 1496, WHOLE);
		assert_int_equal(held(), 0);
	}
	assert_int_equal(sc.tcp.packets, 0);
	assert_int_equal(sc.net->stats.reass_drop, 5);
}

static void reass_contradicting_ends_drop_the_datagram(void **state)
{
	const struct ip_how last = {.id = 1, .frag = 500 / 8};
	const struct ip_how beyond = {.id = 2, .frag = 0x2000 | 3000 / 8};
	struct frame f;

	make_datagrams();
	rx4(1, 1000, WHOLE); /* one end… */
	frame_ip(&f, &peer4, &our4, IPPROTO_TCP, l4_4, 100, &last); /* … and another, before it */
	assert_true(rx(&f));
	assert_int_equal(held(), 0);
	rx4(2, 1000, WHOLE);
	frame_ip(&f, &peer4, &our4, IPPROTO_TCP, l4_4, 80, &beyond);
	assert_true(rx(&f));
	assert_int_equal(held(), 0);
	assert_int_equal(sc.net->stats.reass_drop, 2);
}

static void reass_fragments_of_one_datagram_are_bounded(void **state)
{
	make_datagrams();
	for (uint32_t i = 0; i < REASS_FRAG_MAX; i++)
		rx4(1, i * 8 + 8, i * 8 + 16);
	assert_int_equal(held(), REASS_FRAG_MAX);
	rx4(1, REASS_FRAG_MAX * 8 + 8, REASS_FRAG_MAX * 8 + 16);
	assert_int_equal(held(), 0);
	assert_int_equal(sc.net->stats.reass_drop, 1);
}

static void reass_full_table_gives_up_the_oldest(void **state)
{
	make_datagrams();
	for (uint16_t i = 0; i < REASS_MAX; i++) {
		at_us(sc.now_us + 1);
		rx4(i, 0, 1000);
	}
	assert_int_equal(held(), REASS_MAX);
	rx4(REASS_MAX, 0, 1000);
	assert_int_equal(held(), REASS_MAX);
	assert_int_equal(sc.net->stats.reass_drop, 1);
	rx4(1, 1000, WHOLE);
	rx4(REASS_MAX, 1000, WHOLE);
	assert_int_equal(sc.tcp.packets, 2);
	rx4(0, 1000, WHOLE);
	assert_int_equal(sc.tcp.packets, 2);
}

static void reass_limit_of_the_owner_is_kept(void **state)
{
	make_datagrams();
	reserve_owner_limit(sc.rx, OWNER_REASSEMBLY, 3);
	rx4(1, 0, 504);
	rx4(1, 504, 1000);
	at_us(sc.now_us + 1);
	rx4(2, 0, 504);
	rx4(2, 504, 1000); /* the older one makes room */
	assert_int_equal(held(), 2);
	assert_int_equal(sc.net->stats.reass_drop, 1);
	rx4(2, 1000, 1504);
	rx4(2, 1504, WHOLE); /* alone, and still too large */
	assert_int_equal(held(), 0);
	assert_int_equal(sc.tcp.packets, 0);
}

static void reass_gives_up_after_thirty_seconds(void **state)
{
	make_datagrams();
	rx4(1, 0, 1000);
	assert_int_equal(net_deadline(sc.net), sc.now_us + 30 * SEC);
	at_us(sc.now_us + 30 * SEC - 1);
	assert_int_equal(held(), 1);
	at_us(sc.now_us + 1);
	assert_int_equal(held(), 0);
	assert_int_equal(net_deadline(sc.net), UINT64_MAX);
	rx4(1, 1000, WHOLE);
	assert_int_equal(sc.tcp.packets, 0);
}

/* Below the floor a second is all there is. */
static void reass_gives_up_soon_under_pressure(void **state)
{
	struct rte_mbuf *taken[100];

	make_datagrams();
	assert_int_equal(rte_pktmbuf_alloc_bulk(reserve_pool(sc.rx), taken, 100), 0);
	rx4(1, 0, 1000);
	at_us(sc.now_us + 2 * SEC);
	assert_int_equal(held(), 1);
	assert_int_equal(reserve_floor_set(sc.rx, 1024), 0);
	assert_int_not_equal(reserve_level_update(sc.rx), RESERVE_GREEN);
	at_us(sc.now_us + 1);
	assert_int_equal(held(), 0);
	rte_pktmbuf_free_bulk(taken, 100);
}

/* RFC 3168 5.3. */
static void reass_marks_survive(void **state)
{
	make_datagrams();
	rx4_ecn(1, 0, 1000, 2);
	rx4_ecn(1, 1000, WHOLE, 3);
	assert_int_equal(sc.tcp.in.ecn, IP_ECN_CE);
	rx4_ecn(2, 0, 1000, 2);
	rx4_ecn(2, 1000, WHOLE, 2);
	assert_int_equal(sc.tcp.in.ecn, IP_ECN_ECT0);
	rx4_ecn(3, 0, 1000, 2);
	rx4_ecn(3, 1000, WHOLE, 0);
	assert_int_equal(sc.tcp.in.ecn, IP_ECN_NOT_ECT);
	assert_int_equal(sc.tcp.packets, 3);
	rx4_ecn(4, 0, 1000, 0);
	rx4_ecn(4, 1000, WHOLE, 3);
	assert_int_equal(sc.tcp.packets, 3);
}

/* Whose address one stranger forges must not cost another peer its datagrams. */
static void reass_flood_of_one_sender_spares_the_others(void **state)
{
	const struct ip_how more = {.frag = 0x2000};
	struct frame f;

	make_datagrams();
	rx6(1, 0, 1000);
	for (uint16_t i = 0; i < 3 * REASS_MAX; i++) {
		at_us(sc.now_us + 1);
		rx4(i, 0, 1000);
	}
	frame_ip(&f, &far4, &our4, IPPROTO_TCP, l4_4, 1000, &more);
	assert_true(rx(&f));
	assert_int_equal(held(), REASS_MAX);
	rx6(1, 1000, WHOLE);
	assert_int_equal(sc.tcp.packets, 1);
	rx4(3 * REASS_MAX - 1, 1000, WHOLE); /* its newest is as good as ever */
	assert_int_equal(sc.tcp.packets, 2);
}

static void reass_of_other_protocols_is_refused(void **state)
{
	const struct ip_how how = {.id = 1, .frag = 0x2000};
	uint8_t icmp[64] = {8};
	struct frame f;

	frame_ip(&f, &peer4, &our4, IPPROTO_ICMP, icmp, sizeof(icmp), &how);
	assert_true(rx(&f));
	assert_int_equal(held(), 0);
	tx_none();
}

/* Eight bytes of destination options, then a ping with the right sum. */
static void l4_options_then_ping(uint8_t l4[64])
{
	const uint8_t options[8] = {IPPROTO_ICMPV6, 0, 1, 4, 0, 0, 0, 0};

	memset(l4, 0, 64);
	memcpy(l4, options, sizeof(options));
	l4[8] = 128;
	l4_csum_set(l4 + 8, 56, 2, &peer6, &our6, IPPROTO_ICMPV6);
}

static void reass_of_other_ipv6_protocols_is_refused(void **state)
{
	const uint8_t first[8] = {IPPROTO_ICMPV6, 0, 0, 1, 0, 0, 0, 1};
	const uint8_t hidden[8] = {IPPROTO_DSTOPTS, 0, 0, 1, 0, 0, 0, 2};
	struct ip_how how = {.ext_first = IPPROTO_FRAGMENT, .ext = first, .ext_len = 8};
	uint8_t l4[64] = {128};
	struct frame f;

	frame_ip(&f, &peer6, &our6, IPPROTO_ICMPV6, l4, sizeof(l4), &how);
	assert_true(rx(&f));
	assert_int_equal(held(), 0);
	/* Behind destination options it shows only when the datagram is whole. */
	l4_options_then_ping(l4);
	how.ext = hidden;
	frame_ip(&f, &peer6, &our6, IPPROTO_DSTOPTS, l4, 32, &how);
	assert_true(rx(&f));
	assert_int_equal(held(), 1);
	how.ext = (const uint8_t[8]){IPPROTO_DSTOPTS, 0, 0, 32, 0, 0, 0, 2};
	frame_ip(&f, &peer6, &our6, IPPROTO_DSTOPTS, l4 + 32, 32, &how);
	assert_true(rx(&f));
	assert_int_equal(held(), 0);
	tx_none();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(reass_works_in_every_order),
		script_test(reass_works_for_ipv6),
		script_test(reass_walks_on_behind_the_fragment_header),
		script_test(reass_keeps_datagrams_apart),
		script_test(reass_frees_exact_copies),
		script_test(reass_overlap_ends_the_datagram),
		script_test(reass_contradicting_ends_drop_the_datagram),
		script_test(reass_fragments_of_one_datagram_are_bounded),
		script_test(reass_full_table_gives_up_the_oldest),
		script_test(reass_limit_of_the_owner_is_kept),
		script_test(reass_gives_up_after_thirty_seconds),
		script_test(reass_gives_up_soon_under_pressure),
		script_test(reass_marks_survive),
		script_test(reass_flood_of_one_sender_spares_the_others),
		script_test(reass_of_other_protocols_is_refused),
		script_test(reass_of_other_ipv6_protocols_is_refused),
	};

	return cmocka_run_group_tests(tests, script_eal_start, script_eal_stop);
}
