/*
 * port_packet.h - a port on packet sockets of the kernel: af_packet
 *
 * Private to port.c, which is the door for the rest. A port_packet is made, started and closed by
 * the control thread; a queue is used by its worker alone.
 */
#ifndef DATAPLANE_PORT_PACKET_H
#define DATAPLANE_PORT_PACKET_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"

struct rte_mbuf;
struct rte_mempool;
struct port_facts;
struct port_packet;
struct port_stats;

/*
 * In: the interface and MTU of @cfg, @queues from 1 to WORKER_MAX. Out: *@out, the caller's to
 * close, and of *@f MAC, driver, offloads and flow rules. The sockets are there but receive nothing
 * yet. 0, or -errno with @err: -ENODEV no such interface, -EPROTOTYPE it is no Ethernet.
 */
int port_packet_open(const struct config_port *cfg, unsigned queues, struct port_facts *f,
	struct port_packet **out, struct error *err);
/* Queue @q takes its mbufs from @pool, which stays the caller's, and hands out at most @mbufs_max
 * in a burst. */
void port_packet_queue_setup(
	struct port_packet *p, unsigned q, struct rte_mempool *pool, uint32_t mbufs_max);
/* Binds the sockets: packets come from now on. 0, or -errno with @err. */
int port_packet_start(struct port_packet *p, struct error *err);
void port_packet_close(struct port_packet *p); /* NULL is fine */

bool port_packet_link_up(const struct port_packet *p);
void port_packet_stats(const struct port_packet *p, struct port_stats *out);

/* ---- worker ---- */

/* The queue's socket: readable when a frame is there. */
int port_packet_fd(const struct port_packet *p, unsigned q);
/* After each wait: takes the socket's error, a link that went down, or the next wait would end with
 * it at once. */
void port_packet_wait_end(struct port_packet *p, unsigned q);
/* Takes at most BURST_MAX frames, each a chain of the caller's then. Never waits. */
unsigned port_packet_rx(struct port_packet *p, unsigned q, struct rte_mbuf **m);
/*
 * Gives the kernel the first of the @n frames of @m, at most BURST_MAX. Out: how many are eaten;
 * fewer if the socket's buffer is full. What the kernel refuses (no link, a full queue of the
 * interface) is eaten and counted.
 */
unsigned port_packet_tx(struct port_packet *p, unsigned q, struct rte_mbuf **m, unsigned n);

#endif
