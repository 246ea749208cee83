/*
 * reserve-cost.c - what an mbuf costs from our pool, and from DPDK's own, in one run
 *
 * A ring of mbufs is kept in flight, as a driver keeps it. Each turn a burst is allocated and the
 * oldest burst is freed. The contenders take turns of a few milliseconds for many rounds, so that a
 * noisy machine is noisy for all; the figure is the best round, since noise only adds.
 *
 * The default pool is measured without its cache, which is what a reserve has to be compared with,
 * and with it, which is what most programs use. The last line adds what no plain pool does: every
 * mbuf handed to two owners before it is freed.
 *
 *   reserve-cost [EAL options]        default: --no-huge -m 128, on one core
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include "mempool_reserve/reserve.h"

#define POOL_COUNT   2048u
#define FLIGHT_COUNT 256u /* power of two, multiple of every burst */
#define TURNS	     8192u
#define ROUNDS	     60u

struct contender {
	const char *name;
	struct rte_mempool *pool;
	bool is_moved;
	double cycles[2]; /* the best a mbuf, for each burst size */
};

static const unsigned burst_sizes[2] = {BURST_MAX, 1};

static void fail(const char *what)
{
	fprintf(stderr, "reserve-cost: %s: %s\n", what, rte_strerror(rte_errno));
	exit(1);
}

static struct rte_mempool *plain_pool(const char *name, const char *ops, unsigned cache)
{
	struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops(
		name, POOL_COUNT, cache, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, ops);

	if (!mp)
		fail(name);
	return mp;
}

static struct rte_mempool *our_pool(void)
{
	struct reserve_config cfg = {.name = "ours",
		.total_count = POOL_COUNT,
		.floor_count = POOL_COUNT / 4,
		.data_bytes = RTE_MBUF_DEFAULT_BUF_SIZE,
		.socket = SOCKET_ID_ANY};
	struct reserve *r = reserve_create(&cfg);

	if (!r)
		fail("reserve_create");
	reserve_arm(r);
	return reserve_pool(r);
}

static void hand_over(struct rte_mbuf **m, unsigned n, uint64_t now_us)
{
	for (unsigned i = 0; i < n; i++)
		reserve_force(m[i], OWNER_UNCLASSIFIED, now_us);
	for (unsigned i = 0; i < n; i++)
		if (!reserve_move(m[i], OWNER_EXCEPTION, now_us))
			fail("reserve_move");
}

/* Out: cycles for each mbuf that came and went. */
static double run(const struct contender *c, unsigned burst)
{
	static struct rte_mbuf *flight[FLIGHT_COUNT];
	uint64_t begin, end;

	if (rte_pktmbuf_alloc_bulk(c->pool, flight, FLIGHT_COUNT))
		fail("first fill");
	begin = rte_rdtsc_precise();
	for (unsigned turn = 0; turn < TURNS; turn++) {
		struct rte_mbuf *fresh[BURST_MAX], **oldest = &flight[turn * burst % FLIGHT_COUNT];

		if (rte_pktmbuf_alloc_bulk(c->pool, fresh, burst))
			fail("allocation");
		if (c->is_moved)
			hand_over(oldest, burst, turn);
		rte_pktmbuf_free_bulk(oldest, burst);
		for (unsigned i = 0; i < burst; i++)
			oldest[i] = fresh[i];
	}
	end = rte_rdtsc_precise();
	rte_pktmbuf_free_bulk(flight, FLIGHT_COUNT);
	return (double)(end - begin) / ((double)TURNS * burst);
}

static void measure(struct contender *c, unsigned count)
{
	for (unsigned round = 0; round < ROUNDS; round++)
		for (unsigned size = 0; size < RTE_DIM(burst_sizes); size++)
			for (unsigned i = 0; i < count; i++) {
				double cycles = run(&c[i], burst_sizes[size]);

				if (!round || cycles < c[i].cycles[size])
					c[i].cycles[size] = cycles;
			}
}

static void report(const struct contender *c, unsigned count)
{
	printf("%-26s %16s %10s %16s %10s\n", "cycles a mbuf, allocation", "bursts of 32",
		"ours is", "one by one", "ours is");
	for (unsigned i = 0; i < count; i++) {
		printf("%-26s", c[i].name);
		for (unsigned size = 0; size < RTE_DIM(burst_sizes); size++) {
			printf(" %16.1f", c[i].cycles[size]);
			if (c[i].pool == c[0].pool)
				printf(" %10s", "");
			else
				printf(" %9.2fx", c[0].cycles[size] / c[i].cycles[size]);
		}
		printf("\n");
	}
}

int main(int argc, char **argv)
{
	static char arg[][24] = {"reserve-cost", "--no-huge", "-m", "128", "--no-pci",
		"--no-shconf", "--no-telemetry", "--log-level=error", "-l", "0"};
	char *defaults[RTE_DIM(arg) + 1] = {0};

	for (unsigned i = 0; i < RTE_DIM(arg); i++)
		defaults[i] = arg[i];
	if (argc > 1 ? rte_eal_init(argc, argv) < 0 : rte_eal_init((int)RTE_DIM(arg), defaults) < 0)
		fail("EAL");
	struct contender c[] = {
		{.name = "sluice_reserve", .pool = our_pool()},
		{.name = "ring_mp_mc, no cache", .pool = plain_pool("ring", "ring_mp_mc", 0)},
		{.name = "ring_mp_mc, cache of 256",
			.pool = plain_pool("cached", "ring_mp_mc", 256)},
		{.name = "stack, no cache", .pool = plain_pool("stack", "stack", 0)},
		{.name = "sluice_reserve, two moves", .is_moved = true},
	};
	c[4].pool = c[0].pool;
	measure(c, RTE_DIM(c));
	report(c, RTE_DIM(c));
	rte_eal_cleanup();
	return 0;
}
