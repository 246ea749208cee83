/*
 * port_driver.c - what single drivers of DPDK do otherwise than the rest, by their names
 *
 * A driver states its capabilities, and a port asks for those that help. Where a driver and its
 * device do not do what they state, connections stall or stop, and nothing else says why. Such an
 * offload is listed here with what was seen, and software does its work: TCP is cut to segments by
 * us, and merged segments are not needed.
 *
 * net_vmxnet3 (DPDK 22.11, QEMU 7.2's vmxnet3 on vfio-pci), 4k random reads at queue depth 8 from
 * nbdkit in one VM:
 *   LRO and TSO   6 IOPS, packets counted as receive errors; a write of 256 KiB does not end
 *   TSO only      1161 IOPS; reads of 128 KiB do not end
 *   LRO only      reads do not end
 *   neither       12724 IOPS, no receive error; 1763 reads/s of 128 KiB, 595 writes/s of 256 KiB
 * The same driver fills two rings for a queue, the second with buffers for what does not fit the
 * first: 510 mbufs at rest with rx_ring 256. Both are in the sum that sizes the reserve.
 *
 * testpmd, which uses neither, sends, receives and sends chains without loss; so do Linux' driver
 * and iperf3.
 */
#include "dataplane/port_driver.h"

#include <string.h>
#include <rte_common.h>
#include <rte_ethdev.h>

static const struct {
	const char *driver;
	uint64_t rx, tx; /* not to be asked for */
	const char *left_out; /* the same in words */
	unsigned rx_rings;
} drivers[] = {
	{"net_vmxnet3", RTE_ETH_RX_OFFLOAD_TCP_LRO, RTE_ETH_TX_OFFLOAD_TCP_TSO,
		"LRO and TSO: the driver offers them, and connections stall with them",
		PORT_RX_RINGS_MAX},
};

void port_driver_trust(const char *driver, uint64_t *rx, uint64_t *tx)
{
	for (unsigned i = 0; i < RTE_DIM(drivers); i++) {
		if (strcmp(driver, drivers[i].driver) != 0)
			continue;
		*rx &= ~drivers[i].rx;
		*tx &= ~drivers[i].tx;
	}
}

const char *port_driver_left_out(const char *driver)
{
	for (unsigned i = 0; i < RTE_DIM(drivers); i++) {
		if (strcmp(driver, drivers[i].driver) == 0)
			return drivers[i].left_out;
	}
	return "";
}

unsigned port_driver_rx_rings(const char *driver)
{
	for (unsigned i = 0; i < RTE_DIM(drivers); i++) {
		if (strcmp(driver, drivers[i].driver) == 0)
			return drivers[i].rx_rings;
	}
	return 1;
}
