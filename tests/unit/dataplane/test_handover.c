/*
 * test_handover.c - packets change workers as bytes: whole, in order, and never half of one
 */
#include <pthread.h>
#include <sched.h>
#include "dataplane/handover.h"
#include "tests/unit/mempool_reserve/pool.h"

#define POOL_COUNT   512u
#define THREAD_COUNT 20000u

struct stage {
	struct reserve *from, *to;
	struct handover *h;
};

static int setup(void **state)
{
	static struct stage st;

	st = (struct stage){pool_of_frames("from", POOL_COUNT), pool_of_frames("to", POOL_COUNT),
		handover_create(2)};
	*state = &st;
	return st.from && st.to && st.h ? 0 : -1;
}

/* Every mbuf must be back, or a packet was lost or taken twice. */
static int teardown(void **state)
{
	struct stage *st = *state;
	bool is_whole = info(st->from).free == POOL_COUNT && info(st->to).free == POOL_COUNT;

	handover_destroy(st->h);
	reserve_destroy(st->from);
	reserve_destroy(st->to);
	return is_whole ? 0 : -1;
}

/* A packet of @len bytes that begin with @mark, in segments of at most @seg. */
static struct rte_mbuf *packet(struct reserve *r, uint32_t len, uint32_t seg, uint8_t mark)
{
	struct rte_mbuf *head = NULL, *m;
	uint32_t at, i, part;

	for (at = 0; at < len; at += part) {
		uint8_t *bytes;

		part = RTE_MIN(len - at, seg);
		assert_int_equal(take(r, &m, 1), 0);
		bytes = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)part);
		assert_non_null(bytes);
		for (i = 0; i < part; i++)
			bytes[i] = (uint8_t)(mark + (at + i) * 7);
		if (head)
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
		else
			head = m;
	}
	return head;
}

static bool is_packet(const struct rte_mbuf *m, uint32_t len, uint8_t mark)
{
	uint8_t byte;
	uint32_t i;

	if (!m || m->pkt_len != len)
		return false;
	for (i = 0; i < len; i++)
		if (*(const uint8_t *)rte_pktmbuf_read(m, i, 1, &byte) != (uint8_t)(mark + i * 7))
			return false;
	return true;
}

static void put(struct stage *st, uint32_t len, uint32_t seg, uint8_t mark)
{
	struct rte_mbuf *m = packet(st->from, len, seg, mark);

	assert_true(handover_put(st->h, 0, 1, m));
	rte_pktmbuf_free(m);
}

static void packet_comes_over_whole(void **state)
{
	struct stage *st = *state;
	struct rte_mbuf *m = packet(st->from, 1514, 2048, 3);

	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_RSS_HASH;
	assert_true(handover_put(st->h, 0, 1, m));
	rte_pktmbuf_free(m);
	m = handover_take(st->h, 0, 1, st->to);
	assert_true(is_packet(m, 1514, 3));
	assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	assert_false(m->ol_flags & RTE_MBUF_F_RX_RSS_HASH);
	assert_ptr_equal(reserve_of(m), st->to);
	rte_pktmbuf_free(m);
	assert_null(handover_take(st->h, 0, 1, st->to));
	assert_null(handover_take(st->h, 1, 0, st->from));
}

/* As LRO makes them: longer than a piece, in segments that end elsewhere than pieces do. */
static void long_packet_comes_over_whole(void **state)
{
	struct stage *st = *state;
	static const uint32_t lens[] = {2048, 2049, 4096, 5000, 65535};
	struct rte_mbuf *m;
	unsigned i;

	for (i = 0; i < RTE_DIM(lens); i++) {
		put(st, lens[i], 1500, (uint8_t)i);
		m = handover_take(st->h, 0, 1, st->to);
		assert_true(is_packet(m, lens[i], (uint8_t)i));
		assert_int_equal(m->nb_segs, (lens[i] + 2047) / 2048);
		rte_pktmbuf_free(m);
	}
}

static void full_ring_refuses_and_keeps_what_it_has(void **state)
{
	struct stage *st = *state;
	struct rte_mbuf *m = packet(st->from, 4000, 2048, 9);
	unsigned i, n = 0;

	put(st, 60, 2048, 1);
	while (handover_put(st->h, 0, 1, m))
		n++;
	assert_int_equal(n, (HANDOVER_SLOT_MAX - 1) / 2);
	rte_pktmbuf_free(m);
	m = handover_take(st->h, 0, 1, st->to);
	assert_true(is_packet(m, 60, 1));
	rte_pktmbuf_free(m);
	for (i = 0; i < n; i++) {
		m = handover_take(st->h, 0, 1, st->to);
		assert_true(is_packet(m, 4000, 9));
		rte_pktmbuf_free(m);
	}
	assert_null(handover_take(st->h, 0, 1, st->to));
}

static void packet_waits_while_there_is_no_mbuf(void **state)
{
	struct stage *st = *state;
	struct rte_mbuf *m;

	if (reserve_fault_fail(st->to, 0, 1))
		skip();
	put(st, 5000, 2048, 4);
	assert_null(handover_take(st->h, 0, 1, st->to));
	m = handover_take(st->h, 0, 1, st->to);
	assert_true(is_packet(m, 5000, 4));
	rte_pktmbuf_free(m);
}

static void port_is_whose_it_was_made(void **state)
{
	struct stage *st = *state;

	handover_port_add(st->h, 40000, 1);
	handover_port_add(st->h, 40001, 0);
	assert_int_equal(handover_port_owner(st->h, 40000), 1);
	assert_int_equal(handover_port_owner(st->h, 40001), 0);
	assert_int_equal(handover_port_owner(st->h, 40002), HANDOVER_NOBODY);
}

static uint32_t len_of(unsigned i)
{
	return 60 + i * 37 % 4000;
}

static void *give_all(void *arg)
{
	struct stage *st = arg;

	for (unsigned i = 0; i < THREAD_COUNT; i++) {
		struct rte_mbuf *m = packet(st->from, len_of(i), 2048, (uint8_t)i);

		while (!handover_put(st->h, 0, 1, m))
			sched_yield();
		rte_pktmbuf_free(m);
	}
	return NULL;
}

static void two_threads_agree(void **state)
{
	struct stage *st = *state;
	pthread_t giver;

	assert_int_equal(pthread_create(&giver, NULL, give_all, st), 0);
	for (unsigned i = 0; i < THREAD_COUNT;) {
		struct rte_mbuf *m = handover_take(st->h, 0, 1, st->to);

		if (!m) {
			sched_yield();
			continue;
		}
		if (!is_packet(m, len_of(i), (uint8_t)i))
			fail_msg("packet %u came over wrong", i);
		rte_pktmbuf_free(m);
		i++;
	}
	pthread_join(giver, NULL);
}

#define stage_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		stage_test(packet_comes_over_whole),
		stage_test(long_packet_comes_over_whole),
		stage_test(full_ring_refuses_and_keeps_what_it_has),
		stage_test(packet_waits_while_there_is_no_mbuf),
		stage_test(port_is_whose_it_was_made),
		stage_test(two_threads_agree),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
