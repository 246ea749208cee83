/*
 * stt_fault.c - allocation failures in the order the stack allocates, over all pools
 *
 * The product's fault points are per pool and compiled out of release builds; a driver needs one
 * count over every pool and needs it always. So the library puts a dequeue of its own in front of
 * the one each pool's ops have in DPDK's table. Nothing of the product knows.
 *
 * The count is the process's: a driver works on one stack at a time.
 */
#include <assert.h>
#include <errno.h>
#include <rte_mempool.h>
#include "tests/abi/stt_impl.h"

static struct {
	rte_mempool_dequeue_t behind[RTE_MEMPOOL_MAX_OPS_IDX];
	uint32_t skip, count;
	unsigned suspended;
} fault;

static bool hits(void)
{
	if (fault.suspended > 0)
		return false;
	if (fault.skip > 0) {
		fault.skip--;
		return false;
	}
	if (fault.count == 0)
		return false;
	fault.count--;
	return true;
}

static int dequeue(struct rte_mempool *mp, void **objs, unsigned n)
{
	if (hits())
		return -ENOBUFS;
	return fault.behind[mp->ops_index](mp, objs, n);
}

void stt_fault_install(const struct rte_mempool *pool)
{
	struct rte_mempool_ops *ops = rte_mempool_get_ops(pool->ops_index);

	assert(pool->cache_size == 0);
	if (ops->dequeue == dequeue)
		return;
	fault.behind[pool->ops_index] = ops->dequeue;
	ops->dequeue = dequeue;
}

void stt_fault_set(uint32_t skip, uint32_t count)
{
	fault.skip = skip;
	fault.count = count;
}

void stt_fault_suspend(void)
{
	fault.suspended++;
}

void stt_fault_resume(void)
{
	assert(fault.suspended > 0);
	fault.suspended--;
}
