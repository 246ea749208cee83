/*
 * test_slow_path.c - what passes to the kernel at each level, what waits, what goes, and from whose
 * memory
 *
 * The exception port is the real one, on a tap in a network namespace of the test's own; its thread
 * runs only where a test wants to see frames arrive. The NIC is a function below that takes
 * everything.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <rte_ether.h>
#include "classifier/classifier.h"
#include "config/host/host.h"
#include "dataplane/exception/slow_path.h"
#include "dataplane/port.h"
#include "tests/unit/between.h"
#include "tests/unit/classifier/frame.h"
#include "tests/unit/mempool_reserve/pool.h"

#define MBUFS	  1024u
#define SHARE	  (BURST_MAX / 4) /* of a turn at yellow */
#define RULE_ROOM BURST_MAX	  /* places kept for a rule's frames */
#define ETHERTYPE 0x88b5 /* for experiments; it leaves all other frames of the interface out */

struct world {
	struct reserve *pool;
	struct exception *exception;
	struct exception_queue *queue;
	struct slow_path *slow_path;
	uint64_t now_us;
};

/* A NIC that takes everything. */
static void kernel_frames_send(struct world *w)
{
	struct rte_mbuf **frames;
	unsigned n = slow_path_tx(w->slow_path, &frames, w->now_us);

	rte_pktmbuf_free_bulk(frames, n);
	slow_path_tx_done(w->slow_path, n);
}

static int setup(void **state)
{
	static struct world w;
	struct exception_config cfg = {.iface = "t0",
		.mac = {2, 0, 0, 0, 0, 1},
		.mtu = 1500,
		.queue_count = 1,
		.tx_count = 64,
		.hold_count = HOLD_MAX};
	struct reserve_config pool = {.name = "rx",
		.total_count = MBUFS,
		.floor_count = MBUFS / 4,
		.data_bytes = RTE_PKTMBUF_HEADROOM + MBUF_DATA_BYTES,
		.socket = SOCKET_ID_ANY};
	struct error err = {""};

	w = (struct world){.now_us = 1000};
	if (unshare(CLONE_NEWNET))
		return 0;
	w.exception = exception_create(&cfg, &err);
	*state = &w;
	if (!w.exception)
		return 0; /* the tests skip */
	w.pool = reserve_create(&pool);
	w.queue = exception_queue(w.exception, 0);
	reserve_arm(w.pool);
	w.slow_path = slow_path_create(
		&(struct slow_path_config){.exception = w.queue, .rx_pool = w.pool});
	return w.pool && w.slow_path && host_iface_up("t0", &err) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (!w || !w->exception)
		return 0;
	exception_stop(w->exception);
	slow_path_destroy(w->slow_path);
	exception_destroy(w->exception);
	assert_int_equal(info(w->pool).free, MBUFS);
	reserve_check(w->pool);
	reserve_destroy(w->pool);
	return 0;
}

static struct world *world(void **state)
{
	struct world *w = *state;

	if (!w || !w->exception)
		skip();
	return w;
}

static struct slow_path_stats stats(const struct world *w)
{
	struct slow_path_stats s;

	slow_path_stats(w->slow_path, &s);
	return s;
}

static uint32_t owner_used(const struct reserve *r, uint16_t id, uint32_t *peak)
{
	struct reserve_owner_info o[OWNER_MAX];
	unsigned n = reserve_owners(r, o, OWNER_MAX);

	for (unsigned i = 0; i < n; i++)
		if (o[i].id == id) {
			*peak = o[i].peak;
			assert_true(!o[i].limit || o[i].peak <= o[i].limit);
			return o[i].used;
		}
	return 0;
}

static void level_hold(struct world *w, enum reserve_level level)
{
	assert_int_equal(reserve_fault_level(w->pool, (int)level), 0);
	reserve_level_update(w->pool);
	slow_path_turn(w->slow_path, w->now_us);
}

/* One burst of @n frames of one flow, numbered from @first, that the classifier calls @cls. */
static void burst(struct world *w, enum pkt_class cls, uint8_t flags, uint32_t first, unsigned n)
{
	struct pkt_info info[BURST_MAX];
	struct rte_mbuf *m[BURST_MAX];

	reserve_entitle(w->pool);
	assert_int_equal(rte_pktmbuf_alloc_bulk(reserve_pool(w->pool), m, n), 0);
	reserve_disentitle(w->pool);
	for (unsigned i = 0; i < n; i++) {
		struct frame f = {0};
		uint32_t number = first + i;

		put_eth(&f, ETHERTYPE);
		memcpy(put(&f, NULL, 50), &number, sizeof(number));
		memcpy(rte_pktmbuf_append(m[i], (uint16_t)f.len), f.bytes, f.len);
		classify_parse(f.bytes, f.len, f.len, &info[i]);
		info[i].cls = cls;
		info[i].flags |= flags;
		reserve_force(m[i], OWNER_UNCLASSIFIED, w->now_us);
	}
	slow_path_rx(w->slow_path, m, info, n, w->now_us);
	for (unsigned i = 0; i < n; i++)
		assert_true(cls == PKT_ESSENTIAL ? m[i] != NULL : m[i] == NULL);
	for (unsigned i = 0; cls == PKT_ESSENTIAL && i < n; i++)
		rte_pktmbuf_free(m[i]);
}

static void exceptions(struct world *w, uint32_t first, unsigned n)
{
	burst(w, PKT_EXCEPTION, 0, first, n);
}

static unsigned sent(const struct world *w)
{
	return EXCEPTION_RING_COUNT - exception_room(w->queue);
}

static void slow_path_passes_all_at_green(void **state)
{
	struct world *w = world(state);
	uint32_t peak;

	level_hold(w, RESERVE_GREEN);
	exceptions(w, 0, BURST_MAX);
	assert_int_equal(sent(w), BURST_MAX);
	assert_int_equal(stats(w).held, 0);
	assert_int_equal(owner_used(w->pool, OWNER_EXCEPTION, &peak), BURST_MAX);
}

static void slow_path_holds_at_yellow_what_is_more_than_its_share(void **state)
{
	struct world *w = world(state);
	uint32_t peak;

	level_hold(w, RESERVE_YELLOW);
	exceptions(w, 0, BURST_MAX);
	assert_int_equal(sent(w), SHARE);
	assert_int_equal(stats(w).held, BURST_MAX - SHARE);
	assert_int_equal(
		owner_used(exception_pool(w->queue), OWNER_HOLD, &peak), BURST_MAX - SHARE);
	assert_int_equal(owner_used(w->pool, OWNER_HOLD, &peak), 0); /* not one of the NIC's own */
	assert_true(slow_path_has_work(w->slow_path));
	for (unsigned turn = 2; turn <= BURST_MAX / SHARE + 1; turn++) {
		slow_path_turn(w->slow_path, w->now_us);
		assert_between(sent(w), SHARE, turn * SHARE);
	}
	assert_int_equal(stats(w).released, BURST_MAX - SHARE);
	assert_int_equal(sent(w), BURST_MAX);
}

static void slow_path_sheds_at_red_and_passes_what_a_rule_protects(void **state)
{
	struct world *w = world(state);

	level_hold(w, RESERVE_RED);
	exceptions(w, 0, BURST_MAX);
	assert_int_equal(sent(w), 0);
	assert_int_equal(stats(w).shed_red, BURST_MAX);
	burst(w, PKT_PROTECTED, PKT_RULE, 0, BURST_MAX);
	assert_int_equal(sent(w), BURST_MAX);
	burst(w, PKT_ESSENTIAL, 0, 0, 4);
	assert_int_equal(sent(w), BURST_MAX + 4);
	burst(w, PKT_ESSENTIAL, PKT_ASKS_US, 0, 4); /* answered by the dataplane */
	assert_int_equal(sent(w), BURST_MAX + 4);
	assert_int_equal(stats(w).rule_to_kernel, BURST_MAX);
	assert_int_equal(stats(w).copied_to_kernel, 4);
}

static void slow_path_gives_the_reserves_mbufs_back_at_once(void **state)
{
	struct world *w = world(state);
	uint32_t peak;

	assert_int_equal(reserve_fault_starve(w->pool, true), 0);
	level_hold(w, RESERVE_YELLOW);
	exceptions(w, 0, BURST_MAX);
	burst(w, PKT_PROTECTED, PKT_RULE, 0, 4);
	assert_int_equal(sent(w), SHARE + 4);
	assert_int_equal(info(w->pool).free, MBUFS);
	assert_int_equal(owner_used(w->pool, OWNER_EXCEPTION, &peak), 0);
	assert_int_equal(peak, 0);
	assert_int_equal(reserve_fault_starve(w->pool, false), 0);
}

static void slow_path_is_bounded_when_the_kernel_takes_nothing(void **state)
{
	struct world *w = world(state);
	uint32_t peak;

	level_hold(w, RESERVE_GREEN);
	for (unsigned i = 0; i < 100; i++) {
		exceptions(w, i * BURST_MAX, BURST_MAX);
		slow_path_turn(w->slow_path, w->now_us);
	}
	assert_int_equal(sent(w), EXCEPTION_RING_COUNT - RULE_ROOM);
	assert_between(owner_used(exception_pool(w->queue), OWNER_HOLD, &peak), 1, HOLD_MAX);
	assert_true(stats(w).shed_flow > 0);
	/* The worker may sleep until the kernel has taken something, or the oldest is too old. */
	assert_false(slow_path_has_work(w->slow_path));
	assert_int_equal(slow_path_deadline(w->slow_path), w->now_us + HOLD_US_MAX + 1);
	w->now_us += HOLD_US_MAX + 1;
	slow_path_turn(w->slow_path, w->now_us);
	assert_int_equal(stats(w).aged, HOLD_MAX);
	assert_int_equal(owner_used(exception_pool(w->queue), OWNER_HOLD, &peak), 0);
	/* What a rule protects finds a place even so. */
	burst(w, PKT_PROTECTED, PKT_RULE, 0, RULE_ROOM);
	assert_int_equal(stats(w).rule_to_kernel, RULE_ROOM);
}

/* One datagram of another's. Out: whether it is among those that wait now. */
static bool is_held(struct world *w, bool is_ip6, uint8_t addr, unsigned port)
{
	uint8_t from[16] = {10, [7] = 1};
	uint64_t before = stats(w).held;
	struct frame f = {0};
	struct pkt_info info;
	struct rte_mbuf *m = rte_pktmbuf_alloc(reserve_pool(w->pool));

	from[is_ip6 ? 15 : 3] = addr;
	put_eth(&f, is_ip6 ? 0x86dd : 0x0800);
	if (is_ip6)
		put_ip6_from(&f, from, IPPROTO_UDP);
	else
		put_ip4_from(&f, from, IPPROTO_UDP, 0, 0);
	put_udp(&f, port, 9, 8);
	put_payload(&f, 8);
	frame_end(&f);
	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)f.len), f.bytes, f.len);
	classify_parse(f.bytes, f.len, f.len, &info);
	assert_int_equal(info.cls, PKT_EXCEPTION);
	reserve_force(m, OWNER_UNCLASSIFIED, w->now_us);
	slow_path_rx(w->slow_path, &m, &info, 1, w->now_us);
	return stats(w).held > before;
}

/* Of a flood there is no room for one more; who differs in
 * an end is no part of it, and finds some. */
static void slow_path_tells_flows_apart_by_their_ends(void **state)
{
	struct world *w = world(state);

	level_hold(w, RESERVE_YELLOW);
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		for (unsigned i = 0; i < 2 * HOLD_MAX; i++)
			is_held(w, ip6, 1, 1000);
		assert_false(is_held(w, ip6, 1, 1000));
		assert_true(is_held(w, ip6, 2, 1000));
		assert_true(is_held(w, ip6, 1, 1001));
		assert_false(is_held(w, ip6, 1, 1000));
	}
}

/* A turn after @us in which @n others came. Out: how many of them, or of those that waited, went
 * on. */
static unsigned rationed_turn(struct world *w, uint64_t us, unsigned n)
{
	uint64_t before = stats(w).to_kernel;

	w->now_us += us;
	if (n)
		exceptions(w, 0, n);
	slow_path_turn(w->slow_path, w->now_us);
	return (unsigned)(stats(w).to_kernel - before);
}

/* 10 us of a processor are what a frame takes until its thread has measured it, and 50 ns a us may
 * be spent. */
static void slow_path_rations_what_the_kernel_gets_when_its_memory_is_short(void **state)
{
	struct world *w = world(state);
	uint64_t due_us, start_us;
	unsigned went;

	w->now_us += 1000000; /* the machine has run for a while */
	level_hold(w, RESERVE_GREEN);
	exception_ration(w->exception, true);
	slow_path_turn(w->slow_path, w->now_us);
	went = rationed_turn(w, 1, BURST_MAX); /* what was not spent before: a quarter of a burst */
	assert_int_equal(went, SHARE);
	assert_int_equal(stats(w).held, BURST_MAX - SHARE);
	assert_int_equal(rationed_turn(w, 1, 0), 0);
	assert_false(slow_path_can_release(w->slow_path)); /* the worker may nap … */
	due_us = slow_path_deadline(
		w->slow_path); /* … until so much is earned that it is worth it */
	assert_between(due_us - w->now_us, 4 * 200 - 10, 4 * 200 + 10);
	assert_int_equal(
		rationed_turn(w, due_us - w->now_us, 0), 0); /* which this turn finds out */
	assert_true(slow_path_can_release(w->slow_path));
	assert_int_equal(rationed_turn(w, 1, 0), 4);
	for (start_us = w->now_us, went = 0; w->now_us < start_us + 30000;)
		went += rationed_turn(w, 50, 4);
	assert_between(went, 146, 154); /* one each 200 us */
	assert_true(stats(w).rationed > 0);
	exception_ration(w->exception, false);
	slow_path_turn(w->slow_path, w->now_us);
	assert_int_equal(rationed_turn(w, 1, BURST_MAX), BURST_MAX);
}

/* Not what a rule protects, nor the answers that both stacks wait for. */
static void slow_path_rations_nothing_that_a_rule_protects(void **state)
{
	struct world *w = world(state);

	level_hold(w, RESERVE_GREEN);
	exception_ration(w->exception, true);
	for (unsigned i = 0; i < 3; i++) {
		burst(w, PKT_PROTECTED, PKT_RULE, 0, BURST_MAX);
		slow_path_turn(w->slow_path, w->now_us);
	}
	burst(w, PKT_ESSENTIAL, 0, 0, 4);
	assert_int_equal(sent(w), 3 * BURST_MAX + 4);
	assert_int_equal(stats(w).rationed, 0);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* What all threads but this one have run for. */
static uint64_t rest_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) - clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int listener(void)
{
	struct sockaddr_ll sa = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETHERTYPE),
		.sll_ifindex = (int)if_nametoindex("t0")};
	int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETHERTYPE));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){8 << 20}, sizeof(int)), 0);
	return fd;
}

/*
 * The real thread, in front of the real kernel: 200 times four frames go there and @in come from
 * there. Out: what the 800 took, as it measured. *all_ns: what the thread took.
 */
static uint64_t measured_ns(struct world *w, unsigned in, uint64_t *all_ns)
{
	const struct sockaddr_ll to = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETHERTYPE),
		.sll_ifindex = (int)if_nametoindex("t0"),
		.sll_halen = 6};
	struct exception_stats s = {0};
	struct error err = {""};
	const uint8_t bytes[50] = {0};
	unsigned sent = 0;
	int fd = listener();

	w->now_us += 1000000;
	level_hold(w, RESERVE_GREEN);
	exception_ration(w->exception, true);
	assert_int_equal(exception_start(w->exception, &err), 0);
	usleep(10000); /* it falls asleep */
	*all_ns = rest_ns();
	for (unsigned i = 1; i <= 200; i++) {
		for (unsigned k = 0; k < in; k++)
			sent += sendto(fd, bytes, sizeof(bytes), 0, (const struct sockaddr *)&to,
					sizeof(to)) > 0;
		rationed_turn(w, 50000, 4);
		for (unsigned tries = 0;
			tries < 1000 && (s.to_kernel < 4 * i || s.from_kernel < sent); tries++) {
			usleep(50);
			kernel_frames_send(w);
			slow_path_turn(w->slow_path, w->now_us += 50);
			exception_stats(w->queue, &s);
		}
	}
	*all_ns = rest_ns() - *all_ns;
	close(fd);
	assert_int_equal(s.to_kernel, 800);
	assert_int_equal(sent, in * 200);
	assert_true(s.from_kernel >= sent);
	return exception_frame_ns(w->queue) * 800ull;
}

static void slow_path_ration_follows_what_a_frame_takes(void **state)
{
	struct world *w = world(state);
	uint64_t all_ns, ns;

	exception_ration(w->exception, true);
	assert_int_equal(exception_frame_ns(w->queue), 10000);
	ns = measured_ns(w, 0, &all_ns);
	assert_between(ns, all_ns / 2, all_ns * 2);
	exception_ration(w->exception, false);
	assert_int_equal(exception_frame_ns(w->queue), 0);
}

static void slow_path_ration_is_not_for_what_the_kernel_sends(void **state)
{
	struct world *w = world(state);
	uint64_t all_ns, ns = measured_ns(w, 64, &all_ns);

	assert_between(ns, 1, all_ns / 3);
}

/* The levels are swept up and down while frames come; the kernel must see rising numbers. */
static void slow_path_keeps_the_order_through_every_level(void **state)
{
	static const enum reserve_level sweep[] = {RESERVE_GREEN, RESERVE_YELLOW, RESERVE_YELLOW,
		RESERVE_RED, RESERVE_YELLOW, RESERVE_GREEN, RESERVE_YELLOW, RESERVE_GREEN};
	struct world *w = world(state);
	struct error err = {""};
	uint32_t number, last = 0, seen = 0;
	int fd = listener();
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(exception_start(w->exception, &err), 0);
	for (uint32_t i = 0; i < 8 * RTE_DIM(sweep); i++) {
		level_hold(w, sweep[i / 8]);
		exceptions(w, 1 + i * 16, 16);
		usleep(500); /* the pace of arrival, not a wait */
	}
	for (unsigned turn = 0; turn < 200 && slow_path_has_work(w->slow_path); turn++) {
		slow_path_turn(w->slow_path, w->now_us);
		usleep(500);
	}
	while (poll(&p, 1, 300) == 1 &&
		recv(fd, &number, sizeof(number), 0) >= (ssize_t)sizeof(number)) {
		assert_true(number > last);
		last = number;
		seen++;
	}
	assert_int_equal(stats(w).shed_red, 8 * 16);
	assert_int_equal(seen, stats(w).to_kernel);
	assert_int_equal(seen + stats(w).shed_red + stats(w).shed_flow + stats(w).aged,
		8 * 16 * RTE_DIM(sweep));
	assert_true(stats(w).released > 0);
	close(fd);
}

/* Each wake-up costs more than a frame; a frame alone does not wait for company. */
static void slow_path_wakes_the_kernels_side_for_many_frames_at_once(void **state)
{
	struct world *w = world(state);
	struct exception_stats s;
	struct error err = {""};
	uint32_t frames = 200, us = 20;

	assert_int_equal(exception_start(w->exception, &err), 0);
	level_hold(w, RESERVE_GREEN);
	usleep(10000); /* it falls asleep */
	w->now_us += 1000000;
	for (uint32_t i = 0; i < frames; i++, w->now_us += us) {
		exceptions(w, i, 1);
		slow_path_turn(w->slow_path, w->now_us);
		usleep(us);
	}
	exception_stats(w->queue, &s);
	assert_between(s.kicks, 1, 2 + frames * us / 500 + frames / BURST_MAX);
	slow_path_sleep(w->slow_path);
	for (unsigned tries = 0; tries < 1000 && s.to_kernel < frames; tries++) {
		usleep(1000);
		exception_stats(w->queue, &s);
	}
	assert_int_equal(s.to_kernel, frames);
}

#define slow_path_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		slow_path_test(slow_path_passes_all_at_green),
		slow_path_test(slow_path_holds_at_yellow_what_is_more_than_its_share),
		slow_path_test(slow_path_sheds_at_red_and_passes_what_a_rule_protects),
		slow_path_test(slow_path_gives_the_reserves_mbufs_back_at_once),
		slow_path_test(slow_path_is_bounded_when_the_kernel_takes_nothing),
		slow_path_test(slow_path_tells_flows_apart_by_their_ends),
		slow_path_test(slow_path_rations_what_the_kernel_gets_when_its_memory_is_short),
		slow_path_test(slow_path_rations_nothing_that_a_rule_protects),
		slow_path_test(slow_path_ration_follows_what_a_frame_takes),
		slow_path_test(slow_path_ration_is_not_for_what_the_kernel_sends),
		slow_path_test(slow_path_wakes_the_kernels_side_for_many_frames_at_once),
		slow_path_test(slow_path_keeps_the_order_through_every_level),
	};

	if (!SLUICE_FAULT_INJECTION)
		return 77; /* levels are held by a fault */
	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
