/*
 * tcp_chain.h - trimming and packing chains of mbufs that hold received text
 *
 * A chain is mbufs linked by next; pkt_len and nb_segs of its head are not kept up.
 */
#ifndef DATAPLANE_NET_TCP_TCP_CHAIN_H
#define DATAPLANE_NET_TCP_TCP_CHAIN_H

#include <stdint.h>

struct rte_mbuf;

struct tcp_chain {
	struct rte_mbuf *head, *tail;
	uint32_t mbufs;
};

/* The payload of packet @m after its first @skip bytes,
 * @len bytes; empty mbufs are freed. Eats @m. */
struct tcp_chain tcp_chain_from(struct rte_mbuf *m, uint32_t skip, uint32_t len);

/*
 * Packs @c before it is queued behind @before (NULL: behind nothing): a small mbuf (less than
 * TCP_MBUF_PAYLOAD_MIN bytes) is copied into the tail room of the one before it and freed; one that
 * stays and has little tail room is moved to the start of its buffer, so that the next small one
 * finds some. Out: mbufs saved.
 */
uint32_t tcp_chain_pack(struct rte_mbuf *before, struct tcp_chain *c);

/* Links @c behind @to. */
void tcp_chain_join(struct tcp_chain *to, struct tcp_chain c);

/* Drops the first @bytes, which exist. */
void tcp_chain_trim(struct tcp_chain *c, uint32_t bytes);

/* Drops what lies behind the first @len bytes. */
void tcp_chain_clip(struct tcp_chain *c, uint32_t len);

/* Frees all but the first @keep mbufs. Out: bytes freed. */
uint32_t tcp_chain_truncate(struct tcp_chain *c, uint32_t keep);
void tcp_chain_free(struct tcp_chain *c);

#endif
