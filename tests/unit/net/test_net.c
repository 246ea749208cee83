/*
 * test_net.c - the door: who is let in, the order of what goes out, when to come back
 */
#include <errno.h>
#include <netinet/in.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/net_impl.h"
#include "tests/unit/between.h"
#include "tests/unit/net/net_script.h"

static struct rte_mbuf *rx_mbuf(const struct frame *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(reserve_pool(sc.rx));

	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)f->len), f->bytes, f->len);
	return m;
}

static void net_refuses_a_bad_config(void **state)
{
	const struct net_config good = {.mtu = 1500, .rx_pool = sc.rx, .hdr_pool = sc.hdr};
	struct net_config bad[4] = {good, good, good, good};
	struct net *net;

	bad[0].mtu = MTU_MIN - 1;
	bad[1].mtu = MTU_MAX + 1;
	bad[2].hdr_pool = NULL;
	bad[3].addr_count = NET_ADDR_MAX + 1;
	for (int i = 0; i < 4; i++) {
		assert_null(net_create(&bad[i]));
		assert_int_equal(rte_errno, EINVAL);
	}
	sc.tcp.is_failing = true;
	assert_null(net_create(&good));
	assert_int_equal(rte_errno, ENOSPC);
	sc.tcp.is_failing = false;
	net = net_create(&good);
	assert_non_null(net);
	net_destroy(net);
	net_destroy(NULL);
}

static void net_leaves_other_packets_to_the_caller(void **state)
{
	struct pkt_info info[3];
	struct rte_mbuf *m[3];
	struct frame f;

	frame_arp(&f, 1, peer_mac, &peer4, &our4);
	for (int i = 0; i < 3; i++) {
		m[i] = rx_mbuf(&f);
		classify_parse(f.bytes, f.len, f.len, &info[i]);
	}
	info[0].cls = PKT_EXCEPTION;
	info[1].cls = PKT_BAD;
	info[2].cls = PKT_ESSENTIAL;
	net_input(sc.net, m, info, 3, sc.now_us);
	assert_non_null(m[0]);
	assert_non_null(m[1]);
	assert_null(m[2]);
	net_input(sc.net, m, info, 3, sc.now_us);
	assert_int_equal(sc.net->stats.rx_packets, 1);
	rte_pktmbuf_free(m[0]);
	rte_pktmbuf_free(m[1]);
	assert_true(tx(&f));
	tx_none();
}

static void net_drops_what_is_tagged_or_ruled(void **state)
{
	const uint8_t flags[2] = {PKT_VLAN, PKT_RULE};
	struct frame f;

	frame_arp(&f, 1, peer_mac, &peer4, &our4);
	for (int i = 0; i < 2; i++) {
		struct rte_mbuf *m = rx_mbuf(&f);
		struct pkt_info info;

		classify_parse(f.bytes, f.len, f.len, &info);
		info.cls = PKT_PROTECTED;
		info.flags |= flags[i];
		net_input(sc.net, &m, &info, 1, sc.now_us);
		assert_null(m);
	}
	assert_int_equal(sc.net->stats.rx_not_ours, 2);
	tx_none();
}

/* A priority tag is no VLAN: everything lies four bytes further on. */
static void net_takes_a_priority_tagged_ping(void **state)
{
	uint8_t l4[12] = {8};
	struct frame plain, tagged = {.len = 0};

	l4_csum_set(l4, sizeof(l4), 2, &far4, &our4, IPPROTO_ICMP);
	frame_ip(&plain, &far4, &our4, IPPROTO_ICMP, l4, sizeof(l4), NULL);
	frame_put(&tagged, plain.bytes, 12);
	frame_put(&tagged, "\x81\x00\xe0\x00", 4);
	frame_put(&tagged, plain.bytes + 12, plain.len - 12);
	assert_true(rx(&tagged));
	assert_true(tx(&plain));
	assert_int_equal(plain.len, 14 + 20 + 12);
	assert_memory_equal(plain.bytes + 12, "\x08\x00\x45", 3);
	assert_int_equal(ref_csum(NULL, NULL, 0, plain.bytes + 34, 12), 0);
}

static void net_sends_control_before_tcp(void **state)
{
	struct rte_mbuf *out[4];
	struct frame f;

	for (int i = 0; i < 3; i++) {
		sc.tcp.pull[i] = mbuf_of((const uint8_t *)"tcp", 3);
		sc.tcp.pull_count++;
	}
	frame_arp(&f, 1, peer_mac, &peer4, &our4);
	assert_true(rx(&f));
	assert_int_equal(net_deadline(sc.net), sc.now_us);
	assert_int_equal(net_output(sc.net, out, 2, sc.now_us), 2);
	assert_int_equal(out[0]->pkt_len, 42);
	assert_int_equal(out[1]->pkt_len, 3);
	rte_pktmbuf_free_bulk(out, 2);
	assert_int_equal(net_output(sc.net, out, 4, sc.now_us), 2);
	rte_pktmbuf_free_bulk(out, 2);
	assert_int_equal(net_output(sc.net, out, 4, sc.now_us), 0);
	assert_int_equal(sc.net->stats.tx_packets, 4);
	assert_int_equal(sc.net->stats.tx_bytes, 42 + 9);
}

/* A first segment asks for its neighbour while TCP is pulled; the question leaves in that turn. */
static void net_sends_what_tcp_made_it_ask(void **state)
{
	struct rte_mbuf *out[4];

	sc.tcp.is_asking = true;
	assert_int_equal(net_output(sc.net, out, 4, sc.now_us), 1);
	assert_int_equal(out[0]->pkt_len, 42);
	rte_pktmbuf_free(out[0]);
}

static void net_stats_are_a_copy(void **state)
{
	struct net_stats stats;
	struct frame f;

	frame_arp(&f, 1, peer_mac, &peer4, &our4);
	assert_true(rx(&f));
	assert_true(tx(&f));
	net_stats(sc.net, &stats);
	assert_int_equal(stats.rx_packets, 1);
	assert_int_equal(stats.rx_bytes, 42);
	assert_int_equal(stats.arp_rx, 1);
	assert_int_equal(stats.arp_tx, 1);
	assert_int_equal(stats.tx_packets, 1);
	assert_int_equal(net_conns(sc.net, NULL, 0), 0);
}

static void net_control_queue_is_bounded(void **state)
{
	struct frame f;
	unsigned n = 0;

	for (unsigned i = 0; i < NET_CONTROL_MAX + 20; i++) {
		frame_arp(&f, 1, peer_mac, &peer4, &our4);
		assert_true(rx(&f));
	}
	while (tx(&f))
		n++;
	assert_int_equal(n, NET_ANSWER_MAX);
}

static void net_survives_an_empty_header_pool(void **state)
{
	struct rte_mbuf *all[256];
	struct frame f;
	unsigned n = 0;

	while (n < 256 && (all[n] = rte_pktmbuf_alloc(reserve_pool(sc.hdr))))
		n++;
	frame_arp(&f, 1, peer_mac, &peer4, &our4);
	assert_true(rx(&f));
	tx_none();
	assert_int_equal(sc.net->stats.hdr_alloc_failed, 1);
	rte_pktmbuf_free_bulk(all, n);
	assert_true(rx(&f));
	assert_true(tx(&f));
}

/* The first question found no mbuf: it is asked a second later, not forgotten. */
static unsigned headers_free(void)
{
	return rte_mempool_avail_count(reserve_pool(sc.hdr));
}

/* Takes @want header mbufs in one pull, and gives them back. Out: how many there were. */
static unsigned headers_pulled(unsigned want)
{
	struct rte_mbuf *m[64];
	unsigned n = 0;

	net_stock_open(sc.net);
	while (n < want && (m[n] = net_hdr_alloc(sc.net)))
		n++;
	net_stock_close(sc.net);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(reserve_owner(m[i]), OWNER_TX);
		assert_int_equal(m[i]->data_len, 0);
		rte_pktmbuf_free(m[i]);
	}
	return n;
}

/* As many come in one go as the pull before needed, and each call for one is answered while the
 * pool has one. */
static void net_stock_of_headers_is_empty_between_pulls(void **state)
{
	unsigned all = headers_free(), n = 0;
	struct rte_mbuf *taken[1024];

	assert_between(all, 64, 1024);
	for (unsigned want = 0; want < 64; want++) {
		assert_int_equal(headers_pulled(want), want);
		assert_int_equal(headers_free(), all);
	}
	while (headers_free() > 5)
		taken[n++] = net_hdr_alloc(sc.net);
	assert_int_equal(headers_pulled(20), 5);
	assert_int_equal(sc.net->stats.hdr_alloc_failed, 1);
	assert_int_equal(headers_free(), 5);
	rte_pktmbuf_free_bulk(taken, n);
	assert_int_equal(headers_free(), all);
}

static void net_asks_again_what_no_mbuf_was_left_for(void **state)
{
	struct rte_mbuf *all[256], *m = mbuf_of((const uint8_t *)"x", 1), *out;
	struct frame f;
	unsigned n = 0;

	while (n < 256 && (all[n] = rte_pktmbuf_alloc(reserve_pool(sc.hdr))))
		n++;
	assert_int_equal(
		neigh_send(sc.net, neigh_want(sc.net, &peer4), m, sc.now_us, &out), -EINPROGRESS);
	tx_none();
	rte_pktmbuf_free_bulk(all, n);
	at_us(sc.now_us + SEC);
	assert_true(tx(&f));
	assert_arp(&f, 1, broadcast_mac, &our4, &peer4);
}

static void net_tells_tcp_when_paths_change(void **state)
{
	struct net_addr many[NET_ADDR_MAX + 1] = {{.ip = our4, .prefix_bits = 24}};

	assert_int_equal(net_mtu_set(sc.net, 9000), 0);
	assert_int_equal(sc.tcp.path_changes, 1);
	assert_int_equal(net_mtu_set(sc.net, MTU_MIN - 1), -EINVAL);
	assert_int_equal(net_mtu_set(sc.net, MTU_MAX + 1), -EINVAL);
	assert_int_equal(sc.tcp.path_changes, 1);
	assert_int_equal(net_addrs_set(sc.net, many, 1), 0);
	assert_int_equal(sc.tcp.path_changes, 2);
	assert_int_equal(net_addrs_set(sc.net, many, NET_ADDR_MAX + 1), -ENOSPC);
	assert_int_equal(sc.tcp.path_changes, 2);
	tx_none();
}

static void net_deadline_is_the_earliest_of_all(void **state)
{
	assert_int_equal(net_deadline(sc.net), UINT64_MAX);
	sc.tcp.deadline_us = 5 * SEC;
	assert_int_equal(net_deadline(sc.net), 5 * SEC);
	sc.net->neigh.deadline_us = 4 * SEC;
	assert_int_equal(net_deadline(sc.net), 4 * SEC);
}

static void net_publishes_addresses_to_the_classifier(void **state)
{
	struct classifier *c = classifier_create(16, 1);
	struct net_config cfg = {.mtu = 1500, .rx_pool = sc.rx, .hdr_pool = sc.hdr};
	struct pkt_info info;
	struct rte_mbuf *m;
	struct frame f;
	struct net *net;

	cfg.classifier = c;
	cfg.addrs[0] = (struct net_addr){.ip = our4, .prefix_bits = 24, .gateway = gw4};
	cfg.addr_count = 1;
	net = net_create(&cfg);
	assert_non_null(net);
	frame_arp(&f, 1, peer_mac, &gw4, &gw4); /* the gateway moved */
	m = rx_mbuf(&f);
	classify_burst(c, &m, 1, &info);
	assert_int_equal(info.cls, PKT_ESSENTIAL);
	rte_pktmbuf_free(m);
	frame_arp(&f, 1, peer_mac, &peer4, &our4);
	m = rx_mbuf(&f);
	classify_burst(c, &m, 1, &info);
	assert_int_equal(info.cls, PKT_ESSENTIAL);
	assert_int_equal(net_addrs_set(net, NULL, 0), 0);
	classify_burst(c, &m, 1, &info);
	assert_int_equal(info.cls, PKT_EXCEPTION);
	rte_pktmbuf_free(m);
	net_destroy(net);
	classifier_destroy(c);
}

/* The secret alone decides: the same numbers again in a test, others in another daemon. */
static void net_random_follows_the_secret(void **state)
{
	struct net_config cfg = {.mtu = 1500, .rx_pool = sc.rx, .hdr_pool = sc.hdr};
	struct net *a = net_create(&cfg), *b = net_create(&cfg), *c;

	cfg.secret[31] = 1;
	c = net_create(&cfg);
	assert_true(a && b && c);
	assert_true(net_random(a) == net_random(b));
	assert_true(net_random(a) != net_random(c));
	net_destroy(a);
	net_destroy(b);
	net_destroy(c);
}

/* Out: frames sent of the ethertype @type and ARP opcode @op (0: any). */
static unsigned count_sent(struct rte_mbuf **out, unsigned n, uint16_t type, uint8_t op)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *f = rte_pktmbuf_mtod(out[i], const uint8_t *);

		count += (f[12] << 8 | f[13]) == type && (!op || f[21] == op);
		rte_pktmbuf_free(out[i]);
	}
	return count;
}

static void flood_with_questions(unsigned count)
{
	struct frame f;

	frame_arp(&f, 1, other_mac, &peer4, &our4);
	for (unsigned i = 0; i < count; i++)
		assert_true(rx(&f));
}

/* The NIC's ring is full of answers: storage and our own questions still have their turn. */
static void net_answers_do_not_crowd_out_questions(void **state)
{
	struct rte_mbuf *out[2 * NET_CONTROL_MAX];
	const struct net_ip ip = {AF_INET, {10, 0, 0, 77}};
	struct rte_mbuf *waits;
	unsigned n;

	flood_with_questions(2 * NET_CONTROL_MAX);
	assert_int_equal(neigh_send(sc.net, neigh_want(sc.net, &ip),
				 mbuf_of((const uint8_t *)"E", 1), sc.now_us, &waits),
		-EINPROGRESS);
	n = net_output(sc.net, out, 2 * NET_CONTROL_MAX, sc.now_us);
	assert_int_equal(count_sent(out, n, 0x0806, 1), 1);
}

static void net_answers_do_not_crowd_out_tcp(void **state)
{
	static const uint8_t segment[14] = {[12] = 0x12, [13] = 0x34};
	struct rte_mbuf *out[BURST_MAX];
	unsigned n;

	flood_with_questions(NET_CONTROL_MAX);
	sc.tcp.pull[0] = mbuf_of(segment, sizeof(segment));
	sc.tcp.pull_count = 1;
	n = net_output(sc.net, out, BURST_MAX, sc.now_us);
	assert_int_equal(n, BURST_MAX);
	assert_int_equal(count_sent(out, n, 0x1234, 0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(net_refuses_a_bad_config),
		script_test(net_leaves_other_packets_to_the_caller),
		script_test(net_drops_what_is_tagged_or_ruled),
		script_test(net_takes_a_priority_tagged_ping),
		script_test(net_sends_control_before_tcp),
		script_test(net_sends_what_tcp_made_it_ask),
		script_test(net_stats_are_a_copy),
		script_test(net_control_queue_is_bounded),
		script_test(net_answers_do_not_crowd_out_questions),
		script_test(net_answers_do_not_crowd_out_tcp),
		script_test(net_survives_an_empty_header_pool),
		script_test(net_stock_of_headers_is_empty_between_pulls),
		script_test(net_asks_again_what_no_mbuf_was_left_for),
		script_test(net_tells_tcp_when_paths_change),
		script_test(net_deadline_is_the_earliest_of_all),
		script_test(net_publishes_addresses_to_the_classifier),
		script_test(net_random_follows_the_secret),
	};

	return cmocka_run_group_tests(tests, script_eal_start, script_eal_stop);
}
