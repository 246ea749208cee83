/*
 * path_peer.h - the other end of path-cost: one TCP connection and an NBD server behind it
 */
#ifndef BENCH_PATH_PEER_H
#define BENCH_PATH_PEER_H

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include "config/limits.h"

#define PEER_IP(n) (RTE_IPV4(10, 0, 0, 1) + ((uint32_t)(n) << 8))
#define CLIENT_IP RTE_IPV4(10, 0, 0, 2)
#define PEER_PORT 10809
#define PEER_STREAM_BYTES (8u << 20) /* most bytes of either direction that wait */

enum peer_phase { PEER_GREET, PEER_FLAGS, PEER_OPTIONS, PEER_SERVE };

struct path_peer {
	struct rte_ring *rx, *tx;   /* frames of the client, frames to it */
	struct rte_mempool *pool;   /* the client's RX pool, as a NIC would fill it */
	uint32_t ip;
	uint16_t mss;
	bool has_checksums;	    /* put them in, because the client looks */
	struct rte_ether_addr mac, client_mac;
	uint16_t client_port;
	uint32_t rcv_nxt, snd_nxt, snd_una, wnd, tsecr, ts;
	uint8_t wscale;
	bool is_open, ack_due;
	enum peer_phase phase;
	uint8_t *in, *out; /* the stream's bytes: not yet parsed, not yet sent */
	uint32_t in_bytes, out_at, out_bytes;
	uint64_t segments, requests; /* with payload, sent; NBD commands answered */
};

int path_peer_init(struct path_peer *p);
void path_peer_fini(struct path_peer *p);
/* Takes every frame there is, answers all of it as far as window and pool reach. */
void path_peer_turn(struct path_peer *p);

#endif
