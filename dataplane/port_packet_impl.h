/*
 * port_packet_impl.h - inside of a port on packet sockets, for port_packet.c and port_packet_rx.c
 */
#ifndef DATAPLANE_PORT_PACKET_IMPL_H
#define DATAPLANE_PORT_PACKET_IMPL_H

#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdint.h>
#include <sys/socket.h>
#include "config/limits.h"

struct rte_mempool;

#define PACKET_SLOT_BYTES 2048u
#define PACKET_SLOT_COUNT 512u /* of a queue's ring; a power of two */

/* One per worker, which uses it alone once it runs; the control thread reads the counters. */
struct packet_queue {
	int fd;
	uint8_t *ring; /* of frames received; mapped, the kernel's memory */
	unsigned ring_at; /* the next to look at */
	struct rte_mempool *pool;
	uint32_t mbufs_max; /* of one burst */
	struct mmsghdr tx_msg[BURST_MAX];
	struct iovec tx_iov[BURST_MAX][1 + TX_CHAIN_MAX];
	struct virtio_net_hdr tx_hdr[BURST_MAX];
	uint64_t rx_packets, rx_bytes, rx_errors, rx_nombuf, tx_packets, tx_bytes, tx_errors;
};

struct port_packet {
	char iface[IF_NAMESIZE];
	int index;
	unsigned queue_count;
	struct packet_queue *queues[WORKER_MAX];
	uint64_t missed; /* the kernel's count begins anew each time it is read */
};

/*
 * port_packet_rx.c. Maps the ring of @q, whose socket is there and not bound. 0 or -errno. Undone
 * by the second, which a zeroed ring is fine for.
 */
int packet_ring_map(struct packet_queue *q);
void packet_ring_unmap(struct packet_queue *q);

#endif
