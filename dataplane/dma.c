/*
 * dma.c - memory a NIC may read from: staging for block payload
 *
 * The payload of a WRITE is sent from where ublk put it. So that memory must be known to the IOMMU
 * before the first packet: it comes from DPDK's heap, which maps every page it owns for every port.
 * Allocated at attach by the control thread, freed at detach; workers only use it.
 */
#include "dataplane/dma.h"

#include <assert.h>
#include <errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#define DMA_ALIGN 4096

struct stream_buf *dma_buf_create(uint64_t bytes, struct error *err)
{
	struct stream_buf *buf = NULL;
	void *base = NULL;
	const struct rte_memseg *seg;

	if (bytes <= UINT32_MAX) {
		buf = rte_zmalloc("stream_buf", sizeof(*buf), RTE_CACHE_LINE_SIZE);
		base = rte_zmalloc("staging", bytes, DMA_ALIGN);
	}
	if (!buf || !base) {
		rte_free(buf);
		rte_free(base);
		error_set(err, -ENOMEM,
			"no %llu MiB left for block staging: add hugepages "
			"(echo N > /proc/sys/vm/nr_hugepages) and restart, or lower queue_depth or "
			"io_size_max",
			(unsigned long long)((bytes + (1u << 20) - 1) >> 20));
		return NULL;
	}
	buf->base = base;
	buf->iova = rte_malloc_virt2iova(base);
	buf->bytes = (uint32_t)bytes;
	seg = rte_mem_virt2memseg(base, NULL);
	buf->page_bytes = seg ? seg->hugepage_sz : 0;
	return buf;
}

void dma_buf_destroy(struct stream_buf *buf)
{
	if (!buf)
		return;
	assert(!stream_buf_busy(buf));
	rte_free(buf->base);
	rte_free(buf);
}
