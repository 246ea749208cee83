/*
 * dma.h - memory a NIC may read from: staging for block payload
 */
#ifndef DATAPLANE_DMA_H
#define DATAPLANE_DMA_H

#include <stdbool.h>
#include <stdint.h>
#include "config/error.h"
#include "dataplane/net/stream.h"

/* Whether buffers come from DPDK's heap, as they must where a port does DMA. Default: true. Control
 * thread, before the first buffer. */
void dma_from_heap(bool is);

/* @bytes of page-aligned memory, zero, that every port can send from. NULL with @err. Control
 * thread. */
struct stream_buf *dma_buf_create(uint64_t bytes, struct error *err);

/* Gives it back; no mbuf may refer to it (asserted). NULL is fine. */
void dma_buf_destroy(struct stream_buf *buf);

#endif
