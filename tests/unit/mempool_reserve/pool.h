/*
 * pool.h - what the tests of this room share: EAL without hugepages, and a pool to play with
 */
#ifndef TESTS_UNIT_MEMPOOL_RESERVE_POOL_H
#define TESTS_UNIT_MEMPOOL_RESERVE_POOL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <rte_common.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include "mempool_reserve/reserve.h"

#define TOTAL 256u
#define FLOOR 64u

static inline int eal_start(void **state)
{
	static char arg[][24] = {"test", "--no-huge", "-m", "64", "--no-pci", "--no-shconf",
		"--iova-mode=va", "--no-telemetry", "--log-level=error", "-l", "0"};
	char *argv[RTE_DIM(arg) + 1] = {0};

	for (size_t i = 0; i < RTE_DIM(arg); i++)
		argv[i] = arg[i];
	return rte_eal_init((int)RTE_DIM(arg), argv) < 0 ? -1 : 0;
}

static inline int eal_stop(void **state)
{
	return rte_eal_cleanup();
}

static inline struct reserve *pool_of(
	const char *name, uint32_t total, uint32_t floor, uint16_t data_bytes)
{
	struct reserve_config cfg = {.name = name,
		.total_count = total,
		.floor_count = floor,
		.data_bytes = (uint16_t)(data_bytes + RTE_PKTMBUF_HEADROOM),
		.socket = SOCKET_ID_ANY};

	return reserve_create(&cfg);
}

static inline struct reserve *pool_make(uint32_t total, uint32_t floor)
{
	return pool_of("test", total, floor, 128);
}

/* An armed one whose mbufs hold what a NIC brings. */
static inline struct reserve *pool_of_frames(const char *name, uint32_t total)
{
	struct reserve *r = pool_of(name, total, FLOOR, MBUF_DATA_BYTES);

	if (r)
		reserve_arm(r);
	return r;
}

/* cmocka set-up: an armed pool of TOTAL over FLOOR in *state. */
static inline int pool_setup(void **state)
{
	struct reserve *r = pool_make(TOTAL, FLOOR);

	if (!r)
		return -1;
	reserve_arm(r);
	*state = r;
	return 0;
}

static inline int pool_teardown(void **state)
{
	reserve_destroy(*state);
	return 0;
}

static inline int take(struct reserve *r, struct rte_mbuf **m, unsigned n)
{
	return rte_pktmbuf_alloc_bulk(reserve_pool(r), m, n);
}

static inline int take_entitled(struct reserve *r, struct rte_mbuf **m, unsigned n)
{
	int rc;

	reserve_entitle(r);
	rc = take(r, m, n);
	reserve_disentitle(r);
	return rc;
}

static inline struct reserve_info info(const struct reserve *r)
{
	struct reserve_info out;

	reserve_info(r, &out);
	return out;
}

static inline struct reserve_owner_info owner(const struct reserve *r, uint16_t id)
{
	struct reserve_owner_info out[OWNER_MAX];
	unsigned n = reserve_owners(r, out, OWNER_MAX);

	for (unsigned i = 0; i < n; i++)
		if (out[i].id == id)
			return out[i];
	fail_msg("owner %u is not listed", id);
	return (struct reserve_owner_info){0};
}

#define pool_test(f) cmocka_unit_test_setup_teardown(f, pool_setup, pool_teardown)

#endif
