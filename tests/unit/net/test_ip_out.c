/*
 * test_ip_out.c - finished packets: headers, checksums, flags, and who waits
 */
#include <errno.h>
#include <netinet/in.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "tests/unit/net/net_script.h"

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* A path to a peer whose address is known. */
static struct ip_path known_path(const struct net_ip *remote)
{
	struct ip_path path;

	net_neigh_hint(sc.net, remote, peer_mac);
	assert_int_equal(ip_path_find(sc.net, remote, &path), 0);
	return path;
}

/* A segment with @payload bytes, of which those beyond the header are attached in @pieces. */
static struct rte_mbuf *segment(uint32_t payload, uint32_t piece)
{
	uint8_t l4[20 + 200];
	struct rte_mbuf *m;

	assert_true(payload <= 200);
	l4_tcp(l4, &our4, &peer4, payload);
	memset(l4 + 16, 0, 2);
	m = mbuf_of(l4, 20);
	for (uint32_t at = 0; at < payload; at += piece) {
		uint32_t n = payload - at < piece ? payload - at : piece;

		assert_int_equal(rte_pktmbuf_chain(m, mbuf_of(l4 + 20 + at, n)), 0);
	}
	return m;
}

static struct rte_mbuf *send_on(struct ip_path *path, struct rte_mbuf *m, uint16_t tso_segsz)
{
	struct rte_mbuf *out = NULL;

	assert_int_equal(
		ip_output(sc.net, path, m, IPPROTO_TCP, 0x02, tso_segsz, sc.now_us, &out), 0);
	return out;
}

static void flatten(struct rte_mbuf *m, struct frame *f)
{
	const void *p = rte_pktmbuf_read(m, 0, m->pkt_len, f->bytes);

	assert_non_null(p);
	if (p != f->bytes)
		memcpy(f->bytes, p, m->pkt_len);
	f->len = m->pkt_len;
}

static void output_builds_an_ipv4_packet(void **state)
{
	struct ip_path path = known_path(&peer4);
	struct rte_mbuf *m = send_on(&path, segment(33, 200), 0);
	struct frame f;

	flatten(m, &f);
	assert_int_equal(f.len, 14 + 20 + 20 + 33);
	assert_memory_equal(f.bytes, peer_mac, 6);
	assert_memory_equal(f.bytes + 6, our_mac, 6);
	assert_int_equal(get16(f.bytes + 12), 0x0800);
	assert_int_equal(f.bytes[14], 0x45);
	assert_int_equal(f.bytes[15], 0x02);
	assert_int_equal(get16(f.bytes + 16), 73);
	assert_int_equal(get16(f.bytes + 20), 0x4000);
	assert_int_equal(f.bytes[22], 64);
	assert_int_equal(f.bytes[23], IPPROTO_TCP);
	assert_memory_equal(f.bytes + 26, our4.addr, 4);
	assert_memory_equal(f.bytes + 30, peer4.addr, 4);
	assert_int_equal(ref_csum(NULL, NULL, 0, f.bytes + 14, 20), 0);
	assert_int_equal(ref_csum(&our4, &peer4, IPPROTO_TCP, f.bytes + 34, 53), 0);
	assert_int_equal(m->l2_len, 14);
	assert_int_equal(m->l3_len, 20);
	assert_int_equal(m->l4_len, 20);
	assert_int_equal(m->ol_flags & (RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM), 0);
	rte_pktmbuf_free(m);
}

static void output_builds_an_ipv6_packet(void **state)
{
	struct ip_path path = known_path(&peer6);
	struct rte_mbuf *m = send_on(&path, segment(7, 200), 0);
	struct frame f;

	flatten(m, &f);
	assert_int_equal(f.len, 14 + 40 + 27);
	assert_int_equal(get16(f.bytes + 12), 0x86dd);
	assert_int_equal(f.bytes[14], 0x60);
	assert_int_equal(f.bytes[15], 0x20); /* the ECN bits of the traffic class */
	assert_int_equal(get16(f.bytes + 18), 27);
	assert_int_equal(f.bytes[20], IPPROTO_TCP);
	assert_int_equal(f.bytes[21], 64);
	assert_memory_equal(f.bytes + 22, our6.addr, 16);
	assert_memory_equal(f.bytes + 38, peer6.addr, 16);
	assert_int_equal(ref_csum(&our6, &peer6, IPPROTO_TCP, f.bytes + 54, 27), 0);
	assert_int_equal(m->l3_len, 40);
	rte_pktmbuf_free(m);
}

static void output_sums_attached_pieces_of_any_length(void **state)
{
	struct ip_path path = known_path(&peer4);

	for (uint32_t piece = 1; piece <= 200; piece += 13) {
		struct rte_mbuf *m = send_on(&path, segment(200, piece), 0);
		struct frame f;

		flatten(m, &f);
		assert_int_equal(ref_csum(&our4, &peer4, IPPROTO_TCP, f.bytes + 34, 220), 0);
		rte_pktmbuf_free(m);
	}
}

/* The port finishes: the field holds the pseudo header's sum, length included. */
static void output_leaves_checksums_to_the_port(void **state)
{
	struct net_offload offload = {.tx_ip_csum = true, .tx_tcp_csum = true};
	struct ip_path path;
	struct rte_mbuf *m;
	struct frame f;

	script_offload(&offload);
	path = known_path(&peer4);
	m = send_on(&path, segment(33, 200), 0);
	flatten(m, &f);
	assert_int_equal(m->ol_flags, RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM |
					      RTE_MBUF_F_TX_IPV4);
	assert_int_equal(get16(f.bytes + 24), 0);
	assert_int_equal(get16(f.bytes + 50),
		(uint16_t)~ref_csum(&our4, &peer4, IPPROTO_TCP, NULL, 0) + 53);
	rte_pktmbuf_free(m);
}

/* TSO: no length in the pseudo header; a port without IPv4 checksum finds that one done. */
static void output_prepares_tso(void **state)
{
	struct net_offload offload = {.tx_tcp_csum = true, .tx_tso = true};
	struct ip_path path;
	struct rte_mbuf *m;
	struct frame f;

	script_offload(&offload);
	path = known_path(&peer4);
	m = send_on(&path, segment(200, 100), 100);
	flatten(m, &f);
	assert_true(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
	assert_int_equal(m->tso_segsz, 100);
	assert_int_equal(get16(f.bytes + 50),
		(uint16_t)~ref_csum(&our4, &peer4, IPPROTO_TCP, NULL, 0));
	assert_int_equal(ref_csum(NULL, NULL, 0, f.bytes + 14, 20), 0);
	rte_pktmbuf_free(m);
	path = known_path(&peer6);
	m = send_on(&path, segment(200, 100), 100);
	assert_true(m->ol_flags & RTE_MBUF_F_TX_IPV6);
	assert_int_equal(m->tso_segsz, 100);
	rte_pktmbuf_free(m);
}

static void output_counts_the_ipv4_id(void **state)
{
	struct ip_path path = known_path(&peer4);
	struct frame a, b;
	struct rte_mbuf *m = send_on(&path, segment(0, 1), 0);

	flatten(m, &a);
	rte_pktmbuf_free(m);
	m = send_on(&path, segment(0, 1), 0);
	flatten(m, &b);
	rte_pktmbuf_free(m);
	assert_int_equal((uint16_t)(get16(b.bytes + 18) - get16(a.bytes + 18)), 1);
}

static void output_waits_for_the_neighbour(void **state)
{
	struct ip_path path;
	struct rte_mbuf *out;
	struct frame f;

	assert_int_equal(ip_path_find(sc.net, &peer4, &path), 0);
	assert_int_equal(ip_output(sc.net, &path, segment(5, 200), IPPROTO_TCP, 0, 0, sc.now_us,
				 &out),
		-EINPROGRESS);
	assert_true(tx(&f));
	assert_arp(&f, 1, broadcast_mac, &our4, &peer4);
	tx_none();
	frame_arp(&f, 2, peer_mac, &peer4, &our4);
	assert_true(rx(&f));
	assert_true(tx(&f));
	assert_int_equal(f.len, 14 + 20 + 25);
	assert_memory_equal(f.bytes, peer_mac, 6);
	assert_int_equal(ref_csum(&our4, &peer4, IPPROTO_TCP, f.bytes + 34, 25), 0);
	tx_none();
}

/* The slot went to somebody else: the path finds its neighbour again. */
static void output_survives_a_lost_neighbour_slot(void **state)
{
	struct ip_path path = known_path(&peer4);
	struct rte_mbuf *out;
	struct frame f;

	at_us(sc.now_us + 1);
	for (uint32_t i = 0; i < NEIGH_MAX; i++) {
		const struct net_ip ip = {AF_INET, {10, 0, 0, (uint8_t)(100 + i)}};

		assert_int_not_equal(neigh_want(sc.net, &ip), NEIGH_NONE);
	}
	assert_int_equal(neigh_lookup(sc.net, &peer4), NEIGH_NONE);
	assert_int_equal(
		ip_output(sc.net, &path, segment(0, 1), IPPROTO_TCP, 0, 0, sc.now_us, &out),
		-EINPROGRESS);
	assert_true(tx(&f));
	assert_arp(&f, 1, broadcast_mac, &our4, &peer4);
}

static void output_fails_where_the_neighbour_failed(void **state)
{
	struct ip_path path;
	struct rte_mbuf *out;
	struct frame f;

	assert_int_equal(ip_path_find(sc.net, &peer4, &path), 0);
	ip_output(sc.net, &path, segment(0, 1), IPPROTO_TCP, 0, 0, sc.now_us, &out);
	for (int i = 0; i < 3; i++) {
		assert_true(tx(&f));
		at_us(sc.now_us + SEC);
	}
	tx_none();
	assert_int_equal(
		ip_output(sc.net, &path, segment(0, 1), IPPROTO_TCP, 0, 0, sc.now_us, &out),
		-EHOSTUNREACH);
}

/* Each slot has packets waiting: there is none to give up. */
static void output_without_a_neighbour_slot_is_refused(void **state)
{
	struct ip_path path;
	struct rte_mbuf *out;
	struct frame f;

	for (uint32_t i = 0; i < NEIGH_MAX; i++) {
		const struct net_ip ip = {AF_INET, {10, 0, 0, (uint8_t)(100 + i)}};
		struct rte_mbuf *m = segment(0, 1);

		assert_int_equal(neigh_send(sc.net, neigh_want(sc.net, &ip), m, sc.now_us, &out),
			-EINPROGRESS);
		assert_true(tx(&f));
	}
	assert_int_equal(ip_path_find(sc.net, &peer4, &path), 0);
	assert_int_equal(path.neigh_idx, NEIGH_NONE);
	ip_path_confirm(sc.net, &path, sc.now_us);
	assert_int_equal(
		ip_output(sc.net, &path, segment(0, 1), IPPROTO_TCP, 0, 0, sc.now_us, &out),
		-ENOBUFS);
}

static void path_confirmed_by_tcp_is_reachable(void **state)
{
	struct ip_path path = known_path(&peer4);

	ip_path_confirm(sc.net, &path, sc.now_us);
	assert_int_equal(sc.net->neigh.slots[path.neigh_idx].state, NEIGH_REACHABLE);
	net_neigh_hint(sc.net, &peer6, other_mac);
	path.neigh_idx = neigh_lookup(sc.net, &peer6); /* somebody else's slot by now */
	path.neigh_gen = 77;
	ip_path_confirm(sc.net, &path, sc.now_us);
	assert_int_equal(sc.net->neigh.slots[path.neigh_idx].state, NEIGH_STALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(output_builds_an_ipv4_packet),
		script_test(output_builds_an_ipv6_packet),
		script_test(output_sums_attached_pieces_of_any_length),
		script_test(output_leaves_checksums_to_the_port),
		script_test(output_prepares_tso),
		script_test(output_counts_the_ipv4_id),
		script_test(output_waits_for_the_neighbour),
		script_test(output_survives_a_lost_neighbour_slot),
		script_test(output_fails_where_the_neighbour_failed),
		script_test(output_without_a_neighbour_slot_is_refused),
		script_test(path_confirmed_by_tcp_is_reachable),
	};

	return cmocka_run_group_tests(tests, script_eal_start, script_eal_stop);
}
