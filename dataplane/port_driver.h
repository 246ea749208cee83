/*
 * port_driver.h - what single drivers of DPDK do otherwise than the rest, by their names
 */
#ifndef DATAPLANE_PORT_DRIVER_H
#define DATAPLANE_PORT_DRIVER_H

#include <stdint.h>

/*
 * Takes out of @rx and @tx (RTE_ETH_RX_OFFLOAD_*, RTE_ETH_TX_OFFLOAD_*: a driver's capabilities)
 * what DPDK's driver of that name does wrong. Any thread; cannot fail; a driver that is not known
 * keeps all of them.
 */
void port_driver_trust(const char *driver, uint64_t *rx, uint64_t *tx);

/*
 * What port_driver_trust() takes out, and why, in words for a person; "" where nothing is taken
 * out. A constant. Any thread.
 */
const char *port_driver_left_out(const char *driver);

#define PORT_RX_RINGS_MAX 2

/*
 * Rings that the driver fills for one RX queue, each of the queue's size and from the queue's pool:
 * 1 or 2. Any thread; cannot fail.
 */
unsigned port_driver_rx_rings(const char *driver);

#endif
