/*
 * ports.h - the ports, each with its queues: their pools, their workers and the kernel's end
 */
#ifndef DAEMON_ENGINE_PORTS_H
#define DAEMON_ENGINE_PORTS_H

#include <stdbool.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"
#include "daemon/engine/budget.h"
#include "dataplane/clock.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"
#include "mempool_reserve/reserve.h"

struct ports;

/*
 * Opens the ports of @cfg in their order, makes their pools, starts their workers. @cfg, @budget
 * and @clock are borrowed until ports_destroy(). NULL with @err. Control thread, as all here.
 */
struct ports *ports_create(
	const struct config *cfg, struct budget *budget, struct clock *clock, struct error *err);
void ports_destroy(struct ports *ps); /* no device may be left; NULL is fine */

/* What was posted and waits, the kernel's news, alarms and shortage of memory. Never blocks long.
 */
void ports_poll(struct ports *ps, uint64_t now_us);

unsigned ports_count(const struct ports *ps);
const struct config_port *ports_cfg(const struct ports *ps, unsigned port);
unsigned ports_queue_count(const struct ports *ps, unsigned port);
/* Of all ports; a pool's index counts the queues of the ports in their order. */
unsigned ports_pool_count(const struct ports *ps);
/* False: there is no such pool. */
bool ports_pool_at(const struct ports *ps, unsigned idx, unsigned *port, unsigned *queue);

/* One queue of a port, and what is behind it; the ports', until ports_destroy(). */
struct ports_queue {
	struct reserve *rx, *hdr;
	struct reserve *exception; /* held packets, and the kernel's own; NULL: no exception port */
	struct rte_mempool *ext;
	struct worker *worker;
};
const struct ports_queue *ports_queue(const struct ports *ps, unsigned port, unsigned queue);

/* After a change of what is in the budget: moves the queue's floor and its owners' limits. @why is
 * for the log. */
void ports_floor_update(struct ports *ps, unsigned port, unsigned queue, const char *why);

/* Posts to the worker of every queue of every port; what a full ring refuses follows later. */
void ports_post_all(struct ports *ps, const struct worker_cmd *cmd);
/*
 * Gives every worker the rules of cfg->protect. 0; -EAGAIN: earlier commands are still being
 * carried out, try again.
 */
int ports_protect_set(struct ports *ps, const struct config *cfg);

/* How @port reaches @ip: 2, in a network of its own; 1, by its gateway; 0, not. */
unsigned ports_reach(const struct ports *ps, unsigned port, const struct net_ip *ip);

struct ports_info {
	const struct config_port *cfg;
	unsigned worker_count;
	struct host_iface iface; /* the kernel's own or its end of the exception port; may be empty
				  */
	const struct port_facts *facts;
	struct port_stats stats;
	bool is_link_up;
	struct net_addr addrs[NET_ADDR_MAX];
	unsigned addr_count;
	const char *exception_iface; /* the kernel's end of the exception port; NULL: none */
	const char *exception_why;   /* … because */
};
void ports_info(const struct ports *ps, unsigned port, struct ports_info *out);

/* Memory that is no pool's and no worker's. */
struct ports_bytes {
	uint64_t tables, handover, sockets;
	unsigned exceptions; /* threads of exception ports */
};
void ports_bytes(const struct ports *ps, struct ports_bytes *out);

/* Times the kernel was short of memory. Out: is it (true), and whether it says so at all in
 * *is_known. */
bool ports_is_short(const struct ports *ps, bool *is_known, uint64_t *times);

/* What an exception port is made of, names and MAC apart. @f may be planned. */
void ports_exception_shape(const struct port_facts *f, struct exception_config *out);
uint64_t ports_ext_pool_bytes(void); /* of one queue, as planned */

#endif
