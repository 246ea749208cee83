/*
 * dma.h - memory a NIC may read from: staging for block payload
 */
#ifndef DATAPLANE_DMA_H
#define DATAPLANE_DMA_H

#include <stdint.h>
#include "config/error.h"
#include "dataplane/net/stream.h"

/* Page-aligned memory from DPDK's heap, mapped for every port. NULL with @err. Control thread. */
struct stream_buf *dma_buf_create(uint64_t bytes, struct error *err);

/* Gives it back; no mbuf may refer to it (asserted). NULL is fine. */
void dma_buf_destroy(struct stream_buf *buf);

#endif
