/*
 * port.h - the only door to ethdev: a NIC's queues, offloads and facts
 */
#ifndef DATAPLANE_PORT_H
#define DATAPLANE_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"
#include "config/host/host.h"
#include "dataplane/net/net.h"

struct rte_mbuf;
struct reserve;
struct port;

struct port_facts {
	uint16_t id;
	char driver[32];
	uint8_t mac[6];
	uint16_t mtu;
	uint16_t rx_ring, tx_ring; /* after the driver's own limits */
	uint16_t queues;
	uint32_t ring_mbufs; /* of the RX pool that a queue's rings can hold: a term of the reserve
			      */
	uint32_t socket_bytes; /* af_packet: its rings and tables, all queues' */
	uint32_t burst_mbufs; /* one rx_burst may bring as many: another term */
	struct net_offload offload;
	bool has_lro, has_rx_interrupt;
	bool has_half_sums; /* a checksum may be only begun, and the driver cannot tell which */
	bool has_rss; /* the NIC spreads flows over the queues by their hash, as we told it to */
	char flow_rules[128]; /* how protected flows are recognised, and the NIC's answer to a rule
				 for one */
	bool is_full_guarantee; /* the kernel allocates nothing for its packets */
};

/*
 * Finds the EAL device of @cfg and configures it for @queues queue pairs; nothing runs yet, but the
 * ring sizes are settled, so that the reserve can be sized. 0 or -errno with @err.
 */
int port_open(const struct config_port *cfg, unsigned idx, uint16_t queues, struct port **out,
	struct error *err);
/* Sets up queue @q with the RX pool @rx; then port_start() runs all of them. */
int port_queue_setup(struct port *p, uint16_t q, struct reserve *rx, struct error *err);
int port_start(struct port *p, struct error *err);
void port_stop(struct port *p);
void port_close(struct port *p); /* NULL is fine */

const struct port_facts *port_facts(const struct port *p);
/* What of them memory depends on, as far as it is known before the device exists: at the most. */
void port_facts_plan(const struct config_port *cfg, struct port_facts *out);
bool port_link_up(const struct port *p); /* control thread */
void port_multicast_all(struct port *p); /* as far as the driver can */

struct port_stats {
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_missed, rx_errors, tx_errors,
		rx_nombuf;
};
void port_stats(const struct port *p, struct port_stats *out); /* control thread */

/* ---- worker that owns queue @q ---- */
/* Takes at most BURST_MAX packets; refills may dip into the reserve only in here. */
unsigned port_rx(struct port *p, uint16_t q, struct rte_mbuf **m);
/* Sends the first packets of @m; out: how many were taken. */
unsigned port_tx(struct port *p, uint16_t q, struct rte_mbuf **m, unsigned n);
/* Gives back mbufs the NIC is done with, which a quiet TX ring would keep. */
void port_tx_reclaim(struct port *p, uint16_t q);
/* File descriptor that becomes readable on a packet once armed; -1 = the driver has none. */
int port_rx_fd(struct port *p, uint16_t q);
/*
 * True: that descriptor is a socket of the driver's own. It is always armed and shows what lies in
 * the ring, so the caller puts it into its epoll set to sleep, and after takes it out and disarms
 * it; port_rx_arm() is not for it.
 */
bool port_rx_is_socket(const struct port *p);
/* Arms the interrupt. Out: true if armed; the caller polls once more before it sleeps. */
bool port_rx_arm(struct port *p, uint16_t q);
void port_rx_disarm(struct port *p, uint16_t q);

#endif
