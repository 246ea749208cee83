/*
 * test_nd.c - neighbour discovery from the other end of the wire, RFC 4861 7.1's tests one by one
 */
#include <errno.h>
#include <netinet/in.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "tests/unit/net/net_script.h"

#define SOLICIT 135
#define ADVERT	136

/* ff02::1:ff00:2 and its MAC. */
static const struct net_ip our_group = {AF_INET6, {0xff, 2, [11] = 1, [12] = 0xff, [15] = 2}};
static const uint8_t our_group_mac[6] = {0x33, 0x33, 0xff, 0, 0, 2};
static const struct net_ip all_nodes = {AF_INET6, {0xff, 2, [15] = 1}};

struct nd {
	uint8_t type, code, flags, hop_limit;
	struct net_ip src, dst, target;
	uint8_t option, option_units; /* option 0 = none */
	const uint8_t *mac;
};

static struct nd solicit(void)
{
	return (struct nd){.type = SOLICIT, .hop_limit = 255, .src = peer6, .dst = our_group,
		.target = our6, .option = 1, .option_units = 1, .mac = peer_mac};
}

static struct nd advert(void)
{
	return (struct nd){.type = ADVERT, .flags = 0x60, .hop_limit = 255, .src = peer6,
		.dst = our6, .target = peer6, .option = 2, .option_units = 1, .mac = peer_mac};
}

/* As frame_ip() has it, with the extension header @ext of type @ext_first before the message. */
static bool rx_nd_behind(
	const struct nd *nd, uint8_t ext_first, const uint8_t *ext, uint32_t ext_len)
{
	uint8_t l4[32] = {nd->type, nd->code, [4] = nd->flags};
	uint32_t len = nd->option ? 32 : 24;
	struct ip_how how = {
		.ttl = nd->hop_limit, .ext_first = ext_first, .ext = ext, .ext_len = ext_len};
	struct frame f;

	if (nd->dst.addr[0] == 0xff)
		how.dst_mac = our_group_mac;
	memcpy(l4 + 8, nd->target.addr, 16);
	if (nd->option) {
		l4[24] = nd->option;
		l4[25] = nd->option_units;
		memcpy(l4 + 26, nd->mac, 6);
	}
	l4_csum_set(l4, len, 2, &nd->src, &nd->dst, IPPROTO_ICMPV6);
	frame_ip(&f, &nd->src, &nd->dst, IPPROTO_ICMPV6, l4, len, &how);
	return rx(&f);
}

static bool rx_nd(const struct nd *nd)
{
	return rx_nd_behind(nd, 0, NULL, 0);
}

/* A message of ours, checked but for what differs. */
static void assert_nd(const struct frame *f, uint8_t type, uint8_t flags, const uint8_t mac[6],
	const struct net_ip *dst, const struct net_ip *target)
{
	const uint8_t *nd = f->bytes + 54;

	assert_int_equal(f->len, 86);
	assert_memory_equal(f->bytes, mac, 6);
	assert_int_equal(f->bytes[21], 255);
	assert_memory_equal(f->bytes + 22, our6.addr, 16);
	assert_memory_equal(f->bytes + 38, dst->addr, 16);
	assert_int_equal(nd[0], type);
	assert_int_equal(nd[1], 0);
	assert_int_equal(nd[4], flags);
	assert_memory_equal(nd + 8, target->addr, 16);
	assert_int_equal(nd[24], type == SOLICIT ? 1 : 2);
	assert_int_equal(nd[25], 1);
	assert_memory_equal(nd + 26, our_mac, 6);
	assert_int_equal(ref_csum(&our6, dst, IPPROTO_ICMPV6, nd, 32), 0);
}

static uint8_t peer_state(void)
{
	return sc.net->neigh.slots[neigh_lookup(sc.net, &peer6)].state;
}

/* One packet to the peer waits, and the question about it was taken. */
static void ask_for_peer(struct frame *f)
{
	const uint8_t byte = 0x60;
	struct rte_mbuf *out;
	uint16_t idx = neigh_want(sc.net, &peer6);

	assert_int_equal(
		neigh_send(sc.net, idx, mbuf_of(&byte, 1), sc.now_us, &out), -EINPROGRESS);
	assert_true(tx(f));
}

static void nd_asks_the_solicited_node_group(void **state)
{
	const struct net_ip group = {AF_INET6, {0xff, 2, [11] = 1, [12] = 0xff, [15] = 9}};
	const uint8_t mac[6] = {0x33, 0x33, 0xff, 0, 0, 9};
	struct frame f;

	ask_for_peer(&f);
	assert_nd(&f, SOLICIT, 0, mac, &group, &peer6);
	tx_none();
}

static void nd_answer_releases_what_waits(void **state)
{
	struct nd nd = advert();
	struct frame f;

	ask_for_peer(&f);
	assert_true(rx_nd(&nd));
	assert_int_equal(peer_state(), NEIGH_REACHABLE);
	assert_true(tx(&f));
	assert_memory_equal(f.bytes, peer_mac, 6);
	assert_memory_equal(f.bytes + 12, "\x86\xdd", 2);
}

static void nd_answers_who_asks_for_us(void **state)
{
	struct nd nd = solicit();
	struct frame f;

	assert_true(rx_nd(&nd));
	assert_true(tx(&f));
	assert_nd(&f, ADVERT, 0x60, peer_mac, &peer6, &our6);
	nd.dst = our6; /* a unicast probe */
	nd.option = 0;
	assert_true(rx_nd(&nd));
	assert_true(tx(&f));
	assert_nd(&f, ADVERT, 0x60, peer_mac, &peer6, &our6);
}

/* Who looks for duplicates has no address: told by all-nodes, unsolicited. */
static void nd_answers_duplicate_detection_by_all_nodes(void **state)
{
	const uint8_t mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct nd nd = solicit();
	struct frame f;

	nd.src = none6;
	nd.option = 0;
	assert_true(rx_nd(&nd));
	assert_true(tx(&f));
	assert_nd(&f, ADVERT, 0x20, mac, &all_nodes, &our6);
}

static void nd_is_silent_about_others(void **state)
{
	struct nd nd = solicit();

	nd.target = gw6;
	assert_true(rx_nd(&nd));
	tx_none();
}

static void nd_unsolicited_advert_leaves_stale(void **state)
{
	struct nd nd = advert();
	struct frame f;

	ask_for_peer(&f);
	nd.flags = 0x20;
	assert_true(rx_nd(&nd));
	assert_int_equal(peer_state(), NEIGH_STALE);
	assert_true(tx(&f));
}

/* RFC 4861 7.2.5: without override a different address only casts doubt. */
static void nd_advert_without_override_does_not_replace(void **state)
{
	struct nd nd = advert();
	struct frame f;

	ask_for_peer(&f);
	assert_true(rx_nd(&nd));
	assert_true(tx(&f));
	at_us(sc.now_us + 2 * SEC);
	nd.flags = 0;
	nd.mac = other_mac;
	assert_true(rx_nd(&nd));
	assert_int_equal(peer_state(), NEIGH_PROBE);
	assert_true(tx(&f));
	assert_nd(&f, SOLICIT, 0, peer_mac, &peer6, &peer6);
	nd.flags = 0x40;
	nd.mac = peer_mac;
	nd.option = 0; /* a unicast answer may leave the option out */
	assert_true(rx_nd(&nd));
	assert_int_equal(peer_state(), NEIGH_REACHABLE);
}

static void nd_advert_without_address_teaches_nothing_new(void **state)
{
	struct nd nd = advert();
	struct frame f;

	ask_for_peer(&f);
	nd.option = 0;
	assert_true(rx_nd(&nd));
	assert_int_equal(peer_state(), NEIGH_INCOMPLETE);
}

/* Each of RFC 4861 7.1.1's and 7.1.2's tests, broken one at a time. */
static void nd_malformed_messages_are_dropped(void **state)
{
	struct nd bad[9];
	struct frame f;

	for (int i = 0; i < 5; i++)
		bad[i] = solicit();
	for (int i = 5; i < 9; i++)
		bad[i] = advert();
	bad[0].hop_limit = 254;
	bad[1].code = 1;
	bad[2].target = all_nodes;
	bad[3].option_units = 0;
	bad[4].src = none6; /* with a source option */
	bad[5].hop_limit = 64;
	bad[6].dst = all_nodes; /* solicited, to a group */
	bad[7].option_units = 2;
	bad[8].code = 3;
	ask_for_peer(&f);
	for (uint64_t i = 0; i < 9; i++) {
		assert_true(rx_nd(&bad[i]));
		assert_int_equal(sc.net->stats.rx_bad_hdr, i + 1);
		assert_int_equal(peer_state(), NEIGH_INCOMPLETE);
		tx_none();
	}
}

/* RFC 6980 5: not even the fragment that is all there is. */
static void nd_behind_a_fragment_header_is_ignored(void **state)
{
	const uint8_t atomic[8] = {IPPROTO_ICMPV6, 0, 0, 0, 1, 2, 3, 4};
	struct nd nd = advert();
	struct frame f;

	ask_for_peer(&f);
	assert_true(rx_nd_behind(&nd, IPPROTO_FRAGMENT, atomic, sizeof(atomic)));
	assert_int_equal(peer_state(), NEIGH_INCOMPLETE);
	nd = solicit();
	assert_true(rx_nd_behind(&nd, IPPROTO_FRAGMENT, atomic, sizeof(atomic)));
	tx_none();
}

static void nd_bad_checksum_is_dropped(void **state)
{
	uint8_t l4[24] = {ADVERT, [4] = 0x60};
	const struct ip_how how = {.ttl = 255};
	struct frame f;

	memcpy(l4 + 8, peer6.addr, 16);
	l4_csum_set(l4, 24, 2, &peer6, &our6, IPPROTO_ICMPV6);
	l4[2] ^= 1;
	frame_ip(&f, &peer6, &our6, IPPROTO_ICMPV6, l4, 24, &how);
	assert_true(rx(&f));
	assert_int_equal(sc.net->stats.rx_bad_csum, 1);
	assert_int_equal(sc.net->stats.nd_rx, 0);
}

static void nd_claim_to_our_address_is_ignored(void **state)
{
	struct nd nd = advert();

	nd.target = our6;
	assert_true(rx_nd(&nd));
	tx_none();
	assert_int_equal(neigh_lookup(sc.net, &our6), NEIGH_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(nd_asks_the_solicited_node_group),
		script_test(nd_answer_releases_what_waits),
		script_test(nd_answers_who_asks_for_us),
		script_test(nd_answers_duplicate_detection_by_all_nodes),
		script_test(nd_is_silent_about_others),
		script_test(nd_unsolicited_advert_leaves_stale),
		script_test(nd_advert_without_override_does_not_replace),
		script_test(nd_advert_without_address_teaches_nothing_new),
		script_test(nd_malformed_messages_are_dropped),
		script_test(nd_behind_a_fragment_header_is_ignored),
		script_test(nd_bad_checksum_is_dropped),
		script_test(nd_claim_to_our_address_is_ignored),
	};

	return cmocka_run_group_tests(tests, script_eal_start, script_eal_stop);
}
