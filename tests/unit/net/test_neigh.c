/*
 * test_neigh.c - the neighbour cache through its states, in virtual time
 */
#include <errno.h>
#include <netinet/in.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "tests/unit/net/net_script.h"

static const uint8_t byte = 0x45;

static struct neigh *entry(const struct net_ip *ip)
{
	return &sc.net->neigh.slots[neigh_lookup(sc.net, ip)];
}

/* Sends one (tiny) packet to @ip. Out: neigh_send()'s answer; what came out is freed. */
static int send_to(const struct net_ip *ip)
{
	struct rte_mbuf *out = NULL;
	int rc = neigh_send(sc.net, neigh_want(sc.net, ip), mbuf_of(&byte, 1), sc.now_us, &out);

	if (rc == 0)
		rte_pktmbuf_free(out);
	return rc;
}

static void peer_claims(uint16_t op, const uint8_t mac[6])
{
	struct frame f;

	frame_arp(&f, op, mac, &peer4, op == 2 ? &our4 : &peer4);
	assert_true(rx(&f));
}

/* Asked and answered. */
static void make_reachable(void)
{
	struct frame f;

	assert_int_equal(send_to(&peer4), -EINPROGRESS);
	assert_true(tx(&f));
	peer_claims(2, peer_mac);
	assert_true(tx(&f));
	tx_none();
	assert_int_equal(entry(&peer4)->state, NEIGH_REACHABLE);
}

static void make_stale(void)
{
	make_reachable();
	at_us(sc.now_us + 45 * SEC);
	assert_int_equal(entry(&peer4)->state, NEIGH_STALE);
}

static void payload_freed(void *addr, void *opaque)
{
	*(bool *)opaque = true;
}

/* A request's bytes may be another's by the time the neighbour answers. */
static void neigh_keeps_no_packet_with_attached_payload(void **state)
{
	static uint8_t payload[64];
	static struct rte_mbuf_ext_shared_info info;
	struct rte_mbuf *m = mbuf_of(&byte, 1), *piece = mbuf_of(&byte, 1), *out;
	bool is_free = false;
	struct frame f;

	info.free_cb = payload_freed;
	info.fcb_opaque = &is_free;
	rte_mbuf_ext_refcnt_set(&info, 1);
	rte_pktmbuf_attach_extbuf(piece, payload, 0, sizeof(payload), &info);
	assert_int_equal(rte_pktmbuf_chain(m, piece), 0);
	assert_int_equal(
		neigh_send(sc.net, neigh_want(sc.net, &peer4), m, sc.now_us, &out), -EINPROGRESS);
	assert_true(is_free);
	assert_true(tx(&f));
	assert_arp(&f, 1, broadcast_mac, &our4, &peer4);
	peer_claims(2, peer_mac);
	tx_none();
	assert_int_equal(entry(&peer4)->state, NEIGH_REACHABLE);
}

static void neigh_asks_three_times_then_fails(void **state)
{
	struct frame f;

	assert_int_equal(send_to(&peer4), -EINPROGRESS);
	for (int i = 0; i < 3; i++) {
		assert_true(tx(&f));
		assert_arp(&f, 1, broadcast_mac, &our4, &peer4);
		at_us(sc.now_us + SEC - 1);
		tx_none();
		at_us(sc.now_us + 1);
	}
	tx_none();
	assert_int_equal(entry(&peer4)->state, NEIGH_FAILED);
	assert_int_equal(sc.net->stats.neigh_failed, 1);
	assert_int_equal(send_to(&peer4), -EHOSTUNREACH);
}

static void neigh_failed_is_asked_again_after_the_holdoff(void **state)
{
	struct frame f;

	send_to(&peer4);
	for (int i = 0; i < 3; i++) {
		tx(&f);
		at_us(sc.now_us + SEC);
	}
	assert_int_equal(send_to(&peer4), -EHOSTUNREACH);
	at_us(sc.now_us + NEIGH_HOLDOFF_US);
	assert_int_equal(send_to(&peer4), -EINPROGRESS);
	assert_true(tx(&f));
	assert_arp(&f, 1, broadcast_mac, &our4, &peer4);
}

static void neigh_failed_peer_comes_back_by_its_own_word(void **state)
{
	struct frame f;

	send_to(&peer4);
	for (int i = 0; i < 3; i++) {
		tx(&f);
		at_us(sc.now_us + SEC);
	}
	peer_claims(1, peer_mac);
	assert_int_equal(entry(&peer4)->state, NEIGH_STALE);
	assert_int_equal(send_to(&peer4), 0);
}

static void neigh_queue_is_bounded_and_drops_the_oldest(void **state)
{
	struct reserve_owner_info owners[OWNER_MAX];
	struct frame f;
	uint8_t tag;

	for (tag = 0; tag < NEIGH_QUEUE_MAX + 3; tag++) {
		struct rte_mbuf *out;

		assert_int_equal(neigh_send(sc.net, neigh_want(sc.net, &peer4), mbuf_of(&tag, 1),
					 sc.now_us, &out),
			-EINPROGRESS);
	}
	reserve_owners(sc.hdr, owners, OWNER_MAX);
	assert_int_equal(owners[OWNER_NEIGHBOUR].used, NEIGH_QUEUE_MAX);
	assert_true(tx(&f));
	tx_none();
	peer_claims(2, peer_mac);
	for (tag = 3; tag < NEIGH_QUEUE_MAX + 3; tag++) {
		assert_true(tx(&f));
		assert_int_equal(f.bytes[14], tag);
	}
	tx_none();
}

static void neigh_stale_is_used_and_asked_by_unicast(void **state)
{
	struct frame f;

	make_stale();
	tx_none();
	assert_int_equal(send_to(&peer4), 0);
	assert_int_equal(entry(&peer4)->state, NEIGH_PROBE);
	at_us(sc.now_us + NEIGH_DELAY_US - 1);
	tx_none();
	at_us(sc.now_us + 1);
	assert_true(tx(&f));
	assert_arp(&f, 1, peer_mac, &our4, &peer4);
	peer_claims(2, peer_mac);
	assert_int_equal(entry(&peer4)->state, NEIGH_REACHABLE);
	tx_none();
}

/* A server that moved to another machine: three unicast questions, then broadcast. */
static void neigh_silent_peer_is_looked_for_again(void **state)
{
	struct frame f;

	make_stale();
	send_to(&peer4);
	at_us(sc.now_us + NEIGH_DELAY_US);
	for (int i = 0; i < 3; i++) {
		assert_true(tx(&f));
		assert_arp(&f, 1, peer_mac, &our4, &peer4);
		at_us(sc.now_us + SEC);
	}
	assert_true(tx(&f));
	assert_arp(&f, 1, broadcast_mac, &our4, &peer4);
	assert_int_equal(send_to(&peer4), -EINPROGRESS);
	peer_claims(2, other_mac);
	assert_true(tx(&f));
	assert_memory_equal(f.bytes, other_mac, 6);
}

static void neigh_tcp_progress_needs_no_question(void **state)
{
	make_reachable();
	for (int i = 0; i < 100; i++) {
		at_us(sc.now_us + 10 * SEC);
		neigh_confirm(sc.net, neigh_lookup(sc.net, &peer4), sc.now_us);
		assert_int_equal(entry(&peer4)->state, NEIGH_REACHABLE);
		tx_none();
	}
}

static void neigh_tcp_progress_ends_a_probe(void **state)
{
	make_stale();
	send_to(&peer4);
	neigh_confirm(sc.net, neigh_lookup(sc.net, &peer4), sc.now_us);
	assert_int_equal(entry(&peer4)->state, NEIGH_REACHABLE);
	at_us(sc.now_us + NEIGH_DELAY_US);
	tx_none();
}

/* Just confirmed: a contradicting claim is not believed, but makes us ask. */
static void neigh_fresh_address_is_not_stolen(void **state)
{
	struct frame f;

	make_reachable();
	peer_claims(1, other_mac);
	assert_memory_equal(entry(&peer4)->mac, peer_mac, 6);
	assert_true(tx(&f));
	assert_arp(&f, 1, peer_mac, &our4, &peer4);
	peer_claims(2, peer_mac);
	assert_int_equal(entry(&peer4)->state, NEIGH_REACHABLE);
}

/* A claim makes us ask the known address by unicast; whoever else answers was not asked. */
static void neigh_only_who_was_asked_answers_a_probe(void **state)
{
	struct frame f;

	make_reachable();
	peer_claims(1, other_mac);
	assert_true(tx(&f));
	assert_arp(&f, 1, peer_mac, &our4, &peer4);
	peer_claims(2, other_mac);
	assert_memory_equal(entry(&peer4)->mac, peer_mac, 6);
	peer_claims(2, peer_mac);
	assert_int_equal(entry(&peer4)->state, NEIGH_REACHABLE);
}

/* Nobody vouches for the old address any more: a fail-over is followed at once. */
static void neigh_gratuitous_claim_moves_a_quiet_peer(void **state)
{
	make_reachable();
	at_us(sc.now_us + 2 * SEC);
	peer_claims(1, other_mac);
	assert_memory_equal(entry(&peer4)->mac, other_mac, 6);
	assert_int_equal(entry(&peer4)->state, NEIGH_STALE);
}

static void neigh_unasked_answer_is_a_mere_claim(void **state)
{
	make_reachable();
	peer_claims(2, other_mac);
	assert_memory_equal(entry(&peer4)->mac, peer_mac, 6);
	assert_int_equal(entry(&peer4)->state, NEIGH_PROBE);
}

static void neigh_strangers_make_no_entries(void **state)
{
	peer_claims(1, peer_mac);
	peer_claims(2, peer_mac);
	assert_int_equal(neigh_lookup(sc.net, &peer4), NEIGH_NONE);
}

static void neigh_multicast_address_is_not_learnt(void **state)
{
	const uint8_t group[6] = {1, 0, 0x5e, 0, 0, 1}, zero[6] = {0};

	send_to(&peer4);
	neigh_learn(sc.net, &peer4, group, NEIGH_CLAIM_ANSWER, sc.now_us);
	neigh_learn(sc.net, &peer4, zero, NEIGH_CLAIM_ANSWER, sc.now_us);
	assert_int_equal(entry(&peer4)->state, NEIGH_INCOMPLETE);
}

static void neigh_full_table_gives_up_the_least_used(void **state)
{
	struct net_ip ip = {AF_INET, {10, 0, 0, 100}};
	struct frame f;

	make_reachable();
	for (uint32_t i = 0; i < NEIGH_MAX; i++) {
		at_us(sc.now_us + 1);
		ip.addr[3] = (uint8_t)(100 + i);
		assert_int_not_equal(neigh_want(sc.net, &ip), NEIGH_NONE);
	}
	assert_int_equal(neigh_lookup(sc.net, &peer4), NEIGH_NONE);
	for (uint32_t i = 0; i < NEIGH_MAX; i++) {
		ip.addr[3] = (uint8_t)(100 + i);
		assert_int_equal(send_to(&ip), -EINPROGRESS);
		assert_true(tx(&f));
	}
	assert_int_equal(neigh_want(sc.net, &peer4), NEIGH_NONE);
}

static void neigh_deadline_is_never_in_the_past(void **state)
{
	struct frame f;

	make_stale();
	send_to(&peer4);
	for (int i = 0; i < 50; i++) {
		while (tx(&f))
			;
		if (net_deadline(sc.net) == UINT64_MAX)
			return;
		assert_true(net_deadline(sc.net) > sc.now_us);
		at_us(net_deadline(sc.net));
	}
	fail_msg("the deadlines of one neighbour do not end");
}

static void neigh_hint_saves_the_first_question(void **state)
{
	net_neigh_hint(sc.net, &peer4, peer_mac);
	assert_int_equal(send_to(&peer4), 0);
	tx_none();
}

/* A /24 full of strangers in the kernel's table costs our own peers nothing. */
static void neigh_hints_displace_nobody(void **state)
{
	struct net_ip ip = {AF_INET, {10, 0, 0, 100}};

	make_reachable();
	for (uint32_t i = 0; i < 2 * NEIGH_MAX; i++) {
		at_us(sc.now_us + 1);
		ip.addr[3] = (uint8_t)(100 + i);
		net_neigh_hint(sc.net, &ip, other_mac);
	}
	assert_int_equal(entry(&peer4)->state, NEIGH_REACHABLE);
	assert_int_equal(neigh_lookup(sc.net, &ip), NEIGH_NONE);
	/* And what we want takes the place of a hint that nobody used. */
	assert_int_not_equal(neigh_want(sc.net, &gw4), NEIGH_NONE);
	assert_int_equal(entry(&peer4)->state, NEIGH_REACHABLE);
}

/* What TCP cannot get through is asked for now, not when 45 s are over. */
static void neigh_in_doubt_is_asked_at_once(void **state)
{
	struct frame f;

	make_reachable();
	neigh_doubt(sc.net, neigh_lookup(sc.net, &peer4), sc.now_us);
	assert_true(tx(&f));
	assert_arp(&f, 1, peer_mac, &our4, &peer4);
	neigh_doubt(sc.net, neigh_lookup(sc.net, &peer4), sc.now_us);
	tx_none(); /* once is enough */
	for (int i = 0; i < 3; i++) {
		at_us(sc.now_us + NEIGH_RETRY_US);
		assert_true(tx(&f));
	}
	assert_arp(&f, 1, broadcast_mac, &our4, &peer4);
	peer_claims(2, other_mac);
	assert_memory_equal(entry(&peer4)->mac, other_mac, 6);
	assert_int_equal(entry(&peer4)->state, NEIGH_REACHABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(neigh_keeps_no_packet_with_attached_payload),
		script_test(neigh_asks_three_times_then_fails),
		script_test(neigh_failed_is_asked_again_after_the_holdoff),
		script_test(neigh_failed_peer_comes_back_by_its_own_word),
		script_test(neigh_queue_is_bounded_and_drops_the_oldest),
		script_test(neigh_stale_is_used_and_asked_by_unicast),
		script_test(neigh_silent_peer_is_looked_for_again),
		script_test(neigh_tcp_progress_needs_no_question),
		script_test(neigh_tcp_progress_ends_a_probe),
		script_test(neigh_fresh_address_is_not_stolen),
		script_test(neigh_only_who_was_asked_answers_a_probe),
		script_test(neigh_gratuitous_claim_moves_a_quiet_peer),
		script_test(neigh_unasked_answer_is_a_mere_claim),
		script_test(neigh_strangers_make_no_entries),
		script_test(neigh_multicast_address_is_not_learnt),
		script_test(neigh_full_table_gives_up_the_least_used),
		script_test(neigh_deadline_is_never_in_the_past),
		script_test(neigh_hints_displace_nobody),
		script_test(neigh_in_doubt_is_asked_at_once),
		script_test(neigh_hint_saves_the_first_question),
	};

	return cmocka_run_group_tests(tests, script_eal_start, script_eal_stop);
}
