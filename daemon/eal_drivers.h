/*
 * eal_drivers.h - DPDK's drivers, loaded by need
 */
#ifndef DAEMON_EAL_DRIVERS_H
#define DAEMON_EAL_DRIVERS_H

#include <stdbool.h>
#include <stdint.h>

struct config;

/*
 * Loads from @dir the drivers that the ports of @cfg need and hides @dir, so that rte_eal_init()
 * loads no other. @dir is RTE_EAL_PMD_PATH, where DPDK looks; NULL where it was linked statically.
 *
 * Out: true: eal_drivers_show() takes the cover off again. False: nothing was hidden, and DPDK
 * loads every driver there is: a device that no driver claims, a file that cannot be read, or no
 * mount namespace of our own (host_mounts_leave()).
 * Control thread, before rte_eal_init(). What was loaded stays until the process ends.
 */
bool eal_drivers_hide(const struct config *cfg, const char *dir);
void eal_drivers_show(const char *dir);

/*
 * Does the shared object @path contain a driver for the PCI device @vendor:@device? Read from the
 * PMD_INFO_STRING that DPDK's build leaves in each driver for dpdk-pmdinfo.py.
 */
bool eal_driver_serves(const char *path, uint16_t vendor, uint16_t device);

#endif
