/*
 * stt_impl.h - inside the test library
 */
#ifndef TESTS_ABI_STT_IMPL_H
#define TESTS_ABI_STT_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include "config/limits.h"
#include "dataplane/net/net.h"
#include "tests/abi/sluice_tcp_test.h"

struct rte_mbuf;
struct classifier;
struct reserve;

#define STT_CONN_MAX	64
#define STT_BLOCK_BYTES 65536u /* send memory is lent to the stack in blocks of this */
#define STT_BLOCK_COUNT 64u
#define STT_FIFO_MAX	1024u /* frames the stack sent while time moved on, not fetched yet */
#define STT_PACKET_MAX	65535u

struct stt_conn {
	bool is_used, is_eof, is_closed; /* closed: the handle was released */
	bool is_over;			 /* … and its ports belong to another connection now */
	struct stream *stream;		 /* NULL once released */
	struct stream_info last;	 /* facts at release, for stt_info */
	int error;			 /* kept beyond the stream's life */
	uint64_t closed_seq;		 /* order of release: the oldest slot is used again */
	uint8_t *memory;		 /* the blocks, allocated at the first send */
	struct stream_buf blocks[STT_BLOCK_COUNT];
	uint64_t block_end[STT_BLOCK_COUNT]; /* stream offset behind the last byte put into it */
	uint64_t sent;			     /* bytes given to the stream */
};

struct stt {
	struct stt_config cfg;
	struct net *net;
	struct classifier *classifier;
	struct reserve *rx_pool, *hdr_pool;
	struct rte_mempool *ext_pool;
	int owner, owner_ooo;
	uint64_t now_us;
	struct stt_conn conns[STT_CONN_MAX];
	struct rte_mbuf *fifo[STT_FIFO_MAX];
	uint32_t fifo_head, fifo_count;
	uint64_t closed_count;
	bool is_burst; /* stt_burst.h */
	struct rte_mbuf *burst[BURST_MAX];
	unsigned burst_count;
};

extern const uint8_t stt_local_mac[6], stt_peer_mac[6];

/* ---- stt_pools.c ---- */
int stt_pools_take(struct stt *t);
void stt_pools_give(struct stt *t);

/* ---- stt_fault.c ---- */
/* Puts the fault point in front of the ops of @pool. */
void stt_fault_install(const struct rte_mempool *pool);
void stt_fault_set(uint32_t skip, uint32_t count);
/* The library's own allocations between these two neither count nor fail. */
void stt_fault_suspend(void);
void stt_fault_resume(void);

/* ---- stt_link.c ---- */
/* A frame to the stack. @m borrowed from nobody: eaten. */
void stt_link_in(struct stt *t, struct rte_mbuf *m);
/* Takes output of the stack into the fifo, answering what concerns the link only. */
void stt_link_pull(struct stt *t);
/* Drains stream events into the conns. */
void stt_events(struct stt *t);

#endif
