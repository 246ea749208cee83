/*
 * counters.h - every counter's name, help and type: the families of the registry
 *
 * The order of a family's items is that of the struct it reads.
 */
#ifndef DAEMON_ADMIN_COUNTERS_H
#define DAEMON_ADMIN_COUNTERS_H

#include "daemon/admin/registry.h"

extern const struct registry_family counters_loop;  /* struct worker_stats; "worker" */
extern const struct registry_family counters_net;   /* struct net_stats; "worker" */
extern const struct registry_family counters_exception; /* struct slow_path_stats; "worker" */
extern const struct registry_family counters_class; /* worker_class_counts(); "worker" */
extern const struct registry_family counters_port;  /* struct port_stats; "port" */
extern const struct registry_family counters_ops;   /* struct volume_info's; "volume", as below */
extern const struct registry_family counters_bytes;
extern const struct registry_family counters_errors;
extern const struct registry_family counters_volume; /* the rest of struct volume_info */
extern const struct registry_family counters_pool;   /* struct reserve_info; "pool" */

#endif
