/*
 * test_misdirected.c - what one worker of a port hands to the others, and what it keeps
 *
 * Frames go through the real parser. Handing over, pools and packets are the real ones; the stack
 * behind a worker is not asked, as nothing of a turn is looked at here.
 */
#include <netinet/in.h>
#include <string.h>
#include "dataplane/handover.h"
#include "dataplane/worker_impl.h"
#include "tests/unit/mempool_reserve/pool.h"

#define POOL_COUNT 512u
#define ARP_BYTES  42u

struct stage {
	struct reserve *from, *to;
	struct classifier *classifier;
	struct worker w;
	struct worker *siblings[WORKER_MAX];
};

void idle_wake(struct worker *w)
{
}

void net_input(struct net *net, struct rte_mbuf **m, const struct pkt_info *info, unsigned n,
	uint64_t now_us)
{
}

void net_misdirected_note(struct net *net, uint32_t flow)
{
}

static int setup(void **state)
{
	static struct stage st;

	memset(&st, 0, sizeof(st));
	st.from = pool_of_frames("from", POOL_COUNT);
	st.to = pool_of_frames("to", POOL_COUNT);
	st.classifier = classifier_create(16, 1);
	st.w.cfg.handover = handover_create(2);
	st.w.cfg.siblings = st.siblings;
	*state = &st;
	return st.from && st.to && st.classifier && st.w.cfg.handover ? 0 : -1;
}

static int teardown(void **state)
{
	struct stage *st = *state;

	handover_destroy(st->w.cfg.handover);
	classifier_destroy(st->classifier);
	reserve_destroy(st->from);
	reserve_destroy(st->to);
	return 0;
}

/* ARP from the host 10.0.0.@spa about 10.0.0.@tpa. Out: the sibling got a copy of it. */
static bool sibling_gets_arp(struct stage *st, uint8_t opcode, uint8_t spa, uint8_t tpa)
{
	const uint8_t arp[ARP_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6,
		0, 1, 8, 0, 6, 4, 0, opcode, 2, 0, 0, 0, 0, 9, 10, 0, 0, spa, 0, 0, 0, 0, 0, 0, 10,
		0, 0, tpa};
	struct rte_mbuf *m, *copy;
	struct pkt_info info;

	assert_int_equal(take(st->from, &m, 1), 0);
	memcpy(rte_pktmbuf_append(m, sizeof(arp)), arp, sizeof(arp));
	classify_burst(st->classifier, &m, 1, &info);
	misdirected_hand_over(&st->w, &m, &info, 1);
	assert_non_null(m); /* it is this worker's as well */
	rte_pktmbuf_free(m);
	copy = handover_take(st->w.cfg.handover, 0, 1, st->to);
	rte_pktmbuf_free(copy);
	return copy;
}

static void answer_is_for_every_worker(void **state)
{
	assert_true(sibling_gets_arp(*state, 2, 9, 2));
}

/* Answered where it arrives; twice would be once too often. */
static void question_stays_where_it_arrived(void **state)
{
	assert_false(sibling_gets_arp(*state, 1, 9, 2));
}

/* A server or router that failed over says so once, to whichever queue: each worker has a cache of
 * its own. */
static void announcement_is_for_every_worker(void **state)
{
	assert_true(sibling_gets_arp(*state, 1, 9, 9));
}

#define misdirected_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		misdirected_test(answer_is_for_every_worker),
		misdirected_test(question_stays_where_it_arrived),
		misdirected_test(announcement_is_for_every_worker),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
