/*
 * eal_log.h - the last thing DPDK logged while it and its drivers started
 */
#ifndef DAEMON_EAL_LOG_H
#define DAEMON_EAL_LOG_H

#include "config/error.h"

/* From now on DPDK's log is kept, and not written anywhere. Before rte_eal_init(). */
void eal_log_keep(void);

/* Adds DPDK's last message to @err, if there is one and room for it. */
void eal_log_append(struct error *err);

/* DPDK logs on stderr again, from critical on: nothing that workers meet is formatted. */
void eal_log_release(void);

#endif
