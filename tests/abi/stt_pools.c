/*
 * stt_pools.c - the three pools of a stack, kept for the next one
 *
 * To populate them costs more than most conversations, and a fuzzer or a simulator makes a stack
 * for each. So those of the last stack are kept, and given to the next that wants as many buffers,
 * provided that every one came back. Of a pool only the order of its free list remembers anything.
 */
#include <errno.h>
#include <stdio.h>
#include <rte_mbuf.h>
#include "mempool_reserve/reserve.h"
#include "tests/abi/stt_impl.h"

#define POOL_DEFAULT 4096u
#define HDR_COUNT    4096u
#define EXT_COUNT    4096u

static struct {
	struct reserve *rx_pool, *hdr_pool;
	struct rte_mempool *ext_pool;
	int owner, owner_ooo;
} spare;

static uint32_t rx_count(const struct stt *t)
{
	return t->cfg.pool_count ? t->cfg.pool_count : POOL_DEFAULT;
}

static struct reserve *reserve_make(
	const char *what, unsigned serial, uint32_t count, uint32_t bytes)
{
	char name[32];
	struct reserve_config cfg = {
		.name = name,
		.total_count = count,
		.data_bytes = bytes + RTE_PKTMBUF_HEADROOM,
		.socket = SOCKET_ID_ANY,
	};

	snprintf(name, sizeof(name), "stt-%s-%u", what, serial);
	return reserve_create(&cfg);
}

static int pools_make(struct stt *t)
{
	static unsigned serial;
	char name[32];

	serial++;
	snprintf(name, sizeof(name), "stt-ext-%u", serial);
	stt_fault_suspend();
	t->rx_pool = reserve_make("rx", serial, rx_count(t), MBUF_DATA_BYTES);
	t->hdr_pool = reserve_make("hdr", serial, HDR_COUNT, HDR_DATA_BYTES);
	t->ext_pool = rte_pktmbuf_pool_create_by_ops(
		name, EXT_COUNT, 0, NET_EXT_PRIV_BYTES, 0, SOCKET_ID_ANY, "stack");
	stt_fault_resume();
	if (!t->rx_pool || !t->hdr_pool || !t->ext_pool)
		return -ENOMEM;
	reserve_arm(t->rx_pool);
	reserve_arm(t->hdr_pool);
	stt_fault_install(reserve_pool(t->rx_pool));
	stt_fault_install(reserve_pool(t->hdr_pool));
	stt_fault_install(t->ext_pool);
	t->owner = reserve_owner_add(t->rx_pool, "stream", OWNER_NONE, 0);
	t->owner_ooo = reserve_owner_add(t->rx_pool, "stream-ooo", OWNER_NONE, 0);
	return t->owner < 0 || t->owner_ooo < 0 ? -ENOSPC : 0;
}

static void spare_destroy(void)
{
	reserve_destroy(spare.rx_pool);
	reserve_destroy(spare.hdr_pool);
	rte_mempool_free(spare.ext_pool);
	spare.rx_pool = spare.hdr_pool = NULL;
	spare.ext_pool = NULL;
}

static bool is_whole(const struct reserve *r)
{
	struct reserve_info info;

	if (!r)
		return false;
	reserve_info(r, &info);
	return info.free == info.total;
}

static bool has_spare(uint32_t count)
{
	struct reserve_info info;

	if (!is_whole(spare.rx_pool) || !is_whole(spare.hdr_pool) ||
		!rte_mempool_full(spare.ext_pool))
		return false;
	reserve_info(spare.rx_pool, &info);
	return info.total == count;
}

int stt_pools_take(struct stt *t)
{
	if (!has_spare(rx_count(t))) {
		spare_destroy();
		return pools_make(t);
	}
	t->rx_pool = spare.rx_pool;
	t->hdr_pool = spare.hdr_pool;
	t->ext_pool = spare.ext_pool;
	t->owner = spare.owner;
	t->owner_ooo = spare.owner_ooo;
	spare.rx_pool = spare.hdr_pool = NULL;
	spare.ext_pool = NULL;
	return 0;
}

void stt_pools_give(struct stt *t)
{
	spare_destroy();
	spare.rx_pool = t->rx_pool;
	spare.hdr_pool = t->hdr_pool;
	spare.ext_pool = t->ext_pool;
	spare.owner = t->owner;
	spare.owner_ooo = t->owner_ooo;
}
