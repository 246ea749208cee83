/*
 * reserve_bytes.c - how much memory a pool takes, before it is made and after
 *
 * DPDK's memory must be there when the first pool is made, so its size is computed from the
 * configuration before there is one; and what was computed must be what is taken, or `sluice
 * reserve explain` would be wrong. So the room of the mbufs comes from the function that the
 * pool's own ops ask, and an mbuf's size from DPDK, which adds a header and aligns.
 */
#include "mempool_reserve/reserve_impl.h"

size_t mbufs_bytes(size_t count, size_t each, size_t page)
{
	if (page == 0 || each > page)
		return count * each;
	/* Each page may lose what does not fill an mbuf; the first and the last are partial. */
	return (count / (page / each) + 2) * page;
}

/* The reserve itself, its stack, and the map of the leak report. */
static uint64_t ledger_bytes(uint64_t count)
{
	return sizeof(struct reserve) + count * sizeof(void *) +
	       (count + 63) / 64 * sizeof(uint64_t);
}

uint64_t reserve_bytes_plan(const struct reserve_config *cfg, uint64_t page_bytes)
{
	uint32_t each = rte_mempool_calc_obj_size(
		(uint32_t)sizeof(struct rte_mbuf) + cfg->data_bytes, 0, NULL);

	return mbufs_bytes(cfg->total_count, each, cfg->is_sent ? page_bytes : 0) +
	       ledger_bytes(cfg->total_count);
}

uint64_t reserve_foreign_bytes(const struct rte_mempool *mp)
{
	struct rte_mempool_memhdr *chunk;
	uint64_t bytes = 0;

	STAILQ_FOREACH(chunk, &mp->mem_list, next)
		bytes += chunk->len;
	return bytes;
}

uint64_t reserve_bytes(const struct reserve *r)
{
	return reserve_foreign_bytes(r->pool) + ledger_bytes(r->total);
}
