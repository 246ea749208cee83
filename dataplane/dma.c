/*
 * dma.c - memory a NIC may read from: staging for block payload
 *
 * The payload of a WRITE is sent from where ublk put it. So that memory must be known to the IOMMU
 * before the first packet: it comes from DPDK's heap, which maps every page it owns for every port.
 * A heap of hugepages grows by those that are free and shrinks again. One of ordinary memory has
 * the size it was given at start, so where no port does DMA (af_packet and af_xdp copy what they
 * send) the memory is the kernel's, taken at attach and given back at detach; mlockall(MCL_FUTURE)
 * makes it resident before mmap() returns.
 *
 * Allocated at attach by the control thread, freed at detach; workers only use it.
 */
#include "dataplane/dma.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#define DMA_ALIGN 4096

static bool is_from_heap = true;

void dma_from_heap(bool is)
{
	is_from_heap = is;
}

static void *outside_alloc(uint64_t bytes)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return base == MAP_FAILED ? NULL : base;
}

/* Where @buf lies for a NIC; memory outside the heap has no DMA, and so no page edges either. */
static void place(struct stream_buf *buf)
{
	const struct rte_memseg *seg = rte_mem_virt2memseg(buf->base, NULL);

	buf->iova = seg ? rte_malloc_virt2iova(buf->base) : (rte_iova_t)(uintptr_t)buf->base;
	buf->page_bytes = seg ? seg->hugepage_sz : 0;
}

static void base_free(void *base, uint64_t bytes)
{
	if (base && !rte_mem_virt2memseg(base, NULL))
		munmap(base, bytes);
	else
		rte_free(base);
}

struct stream_buf *dma_buf_create(uint64_t bytes, struct error *err)
{
	struct stream_buf *buf = NULL;
	void *base = NULL;

	if (bytes <= UINT32_MAX) {
		buf = rte_zmalloc("stream_buf", sizeof(*buf), RTE_CACHE_LINE_SIZE);
		base = is_from_heap ? rte_zmalloc("staging", bytes, DMA_ALIGN)
				    : outside_alloc(bytes);
	}
	if (!buf || !base) {
		rte_free(buf);
		base_free(base, bytes);
		error_set(err, -ENOMEM,
			"no %llu MiB left for block staging: add hugepages "
			"(echo N > /proc/sys/vm/nr_hugepages), raise `memory:` where the file has "
			"it, or lower queue_depth or io_size_max",
			(unsigned long long)((bytes + (1u << 20) - 1) >> 20));
		return NULL;
	}
	buf->base = base;
	buf->bytes = (uint32_t)bytes;
	place(buf);
	return buf;
}

void dma_buf_destroy(struct stream_buf *buf)
{
	if (!buf)
		return;
	assert(!stream_buf_busy(buf));
	base_free(buf->base, buf->bytes);
	rte_free(buf);
}
