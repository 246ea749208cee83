/*
 * pmd_starve.c - does this driver go on receiving when only the reserve is left?
 *
 *	pmd_starve EAL-ARGUMENT… -- --rx=DEVICE [--feed=DEVICE] [--ring=N] [--fill=N] [--ms=N]
 *
 * Drivers meet an empty pool each in their own way: some keep the packet in the ring until there is
 * a replacement, some deliver it and go deaf, some drop it. What they share is that they ask our
 * ops, so the reserve must carry every one of them, with no line of theirs changed. The driver is
 * set up as dataplane/port.c does it, packets come from outside (a kernel interface that a script
 * floods) or from a second device of this process (--feed), and are freed at once. Four phases of
 * --ms:
 *
 *	plenty    normal memory is there
 *	reserve   the normal list is empty
 *	bare      it is empty and there is no reserve: what a driver does without Sluice
 *	again     everything is back
 *
 * One JSON line tells the packets of each phase, of "bare" those of its second half (a ring may
 * first be used up), and whether the ledger holds at the end.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include "mempool_reserve/reserve.h"

#define NORMAL_COUNT 2048
#define FEED_COUNT   2048
#define FRAME_BYTES  200
#define LINK_MS_MAX  5000

struct world {
	struct reserve *pool;
	struct rte_mempool *feed_pool;
	uint16_t rx_port, feed_port;
	bool has_feed;
	uint16_t ring;
	uint32_t floor, ms;
};

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void fail(const char *what)
{
	fprintf(stderr, "pmd_starve: %s\n", what);
	exit(1);
}

static uint16_t port_open(const char *name, uint16_t ring, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};
	uint16_t id, tx_ring = 512;

	if (rte_eth_dev_get_port_by_name(name, &id))
		fail("there is no such device");
	if (rte_eth_dev_configure(id, 1, 1, &conf) ||
		rte_eth_dev_adjust_nb_rx_tx_desc(id, &ring, &tx_ring) ||
		rte_eth_rx_queue_setup(id, 0, ring, SOCKET_ID_ANY, NULL, pool) ||
		rte_eth_tx_queue_setup(id, 0, tx_ring, SOCKET_ID_ANY, NULL) ||
		rte_eth_dev_start(id))
		fail("the device does not start");
	rte_eth_promiscuous_enable(id);
	return id;
}

static bool link_is_up(uint16_t port)
{
	struct rte_eth_link link = {0};

	return rte_eth_link_get_nowait(port, &link) == 0 && link.link_status;
}

static void feed(const struct world *w)
{
	struct rte_mbuf *m[BURST_MAX];
	unsigned i, sent;

	if (rte_pktmbuf_alloc_bulk(w->feed_pool, m, BURST_MAX))
		return;
	for (i = 0; i < BURST_MAX; i++) {
		memset(rte_pktmbuf_append(m[i], FRAME_BYTES), 0, FRAME_BYTES);
		memset(rte_pktmbuf_mtod(m[i], void *), 0xff, 6);
	}
	sent = rte_eth_tx_burst(w->feed_port, 0, m, BURST_MAX);
	for (i = sent; i < BURST_MAX; i++)
		rte_pktmbuf_free(m[i]);
}

/* One turn as a worker has it: entitled while the driver
 * refills, the packets given back at once. */
static unsigned turn(const struct world *w, uint64_t now_us)
{
	struct rte_mbuf *m[BURST_MAX];
	unsigned i, n;

	if (w->has_feed)
		feed(w);
	reserve_entitle(w->pool);
	n = rte_eth_rx_burst(w->rx_port, 0, m, BURST_MAX);
	reserve_disentitle(w->pool);
	for (i = 0; i < n; i++) {
		reserve_force(m[i], OWNER_UNCLASSIFIED, now_us);
		rte_pktmbuf_free(m[i]);
	}
	reserve_level_update(w->pool);
	reserve_check(w->pool);
	return n;
}

/* Out: packets of the whole phase, and of its second half. */
static uint64_t phase(const struct world *w, uint64_t *second_half)
{
	uint64_t start = clock_us(), now = start, all = 0, late = 0;
	const struct timespec nap = {.tv_nsec = 20000};
	unsigned n;

	while (now - start < w->ms * 1000ull) {
		n = turn(w, now);
		all += n;
		if (now - start >= w->ms * 500ull)
			late += n;
		if (n == 0)
			nanosleep(&nap, NULL);
		now = clock_us();
	}
	if (second_half)
		*second_half = late;
	return all;
}

static void world_make(struct world *w, const char *rx, const char *feeder, uint32_t fill)
{
	struct reserve_config cfg = {.name = "rx",
		.data_bytes = RTE_PKTMBUF_HEADROOM + MBUF_DATA_BYTES,
		.socket = SOCKET_ID_ANY};
	uint64_t end_us = clock_us() + LINK_MS_MAX * 1000ull;
	const struct timespec nap = {.tv_nsec = 10000000};

	w->floor = (fill ? fill : w->ring) + 2 * BURST_MAX;
	cfg.floor_count = w->floor;
	cfg.total_count = w->floor + NORMAL_COUNT;
	w->pool = reserve_create(&cfg);
	w->feed_pool =
		rte_pktmbuf_pool_create("feed", FEED_COUNT, 0, 0, cfg.data_bytes, SOCKET_ID_ANY);
	if (!w->pool || !w->feed_pool)
		fail("no memory for the pools");
	w->rx_port = port_open(rx, w->ring, reserve_pool(w->pool));
	w->has_feed = feeder != NULL;
	if (feeder)
		w->feed_port = port_open(feeder, w->ring, w->feed_pool);
	while (!link_is_up(w->rx_port) || (feeder && !link_is_up(w->feed_port))) {
		if (clock_us() > end_us)
			fail("no link");
		nanosleep(&nap, NULL);
	}
	reserve_arm(w->pool);
}

static void run(struct world *w)
{
	uint64_t plenty, reserved, bare, again;
	struct reserve_info with, end;

	plenty = phase(w, NULL);
	if (reserve_fault_starve(w->pool, true))
		fail("this build has no fault injection");
	phase(w, &reserved);
	reserve_info(w->pool, &with);
	reserve_floor_set(w->pool, 0);
	phase(w, &bare);
	reserve_fault_starve(w->pool, false);
	reserve_floor_set(w->pool, w->floor);
	phase(w, &again);
	reserve_info(w->pool, &end);
	printf("{\"plenty\": %llu, \"reserve\": %llu, \"bare\": %llu, \"again\": %llu, \"dips\": "
	       "%llu, "
	       "\"refused_run_max\": %u, \"alarms\": %llu, \"ring_debt\": %u, \"emergency_peak\": "
	       "%u, \"floor\": %u}\n",
		(unsigned long long)plenty / 2, (unsigned long long)reserved,
		(unsigned long long)bare, (unsigned long long)again, (unsigned long long)with.dips,
		end.refused_run_max, (unsigned long long)end.alarms, end.ring_debt,
		end.emergency_peak, w->floor);
}

int main(int argc, char **argv)
{
	static const struct option names[] = {{"rx", required_argument, NULL, 'r'},
		{"feed", required_argument, NULL, 'f'}, {"ring", required_argument, NULL, 'n'},
		{"fill", required_argument, NULL, 'l'}, {"ms", required_argument, NULL, 'm'},
		{NULL, 0, NULL, 0}};
	struct world w = {.ring = RX_RING_DEFAULT, .ms = 1000};
	const char *rx = NULL, *feeder = NULL;
	uint32_t fill = 0;
	int used = rte_eal_init(argc, argv), c;

	if (used < 0)
		fail("the EAL does not start");
	optind = 0;
	while ((c = getopt_long(argc - used, argv + used, "", names, NULL)) != -1) {
		if (c == 'r')
			rx = optarg;
		else if (c == 'f')
			feeder = optarg;
		else if (c == 'n')
			w.ring = (uint16_t)atoi(optarg);
		else if (c == 'l')
			fill = (uint32_t)atoi(optarg);
		else if (c == 'm')
			w.ms = (uint32_t)atoi(optarg);
		else
			fail("usage: pmd_starve EAL-ARGUMENT… -- --rx=DEVICE [--feed=DEVICE] "
			     "[--ring=N] [--fill=N] [--ms=N]");
	}
	if (!rx)
		fail("--rx=DEVICE is wanted");
	world_make(&w, rx, feeder, fill);
	run(&w);
	return 0;
}
