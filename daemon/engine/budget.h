/*
 * budget.h - how many mbufs each queue's pool has, how many of them are its reserve, and who has
 * them
 *
 * Arithmetic only: nothing here knows a pool, a worker or a device. Who uses mbufs of a queue says
 * so by a share; ports.c puts the floor that follows from all of them into force.
 */
#ifndef DAEMON_ENGINE_BUDGET_H
#define DAEMON_ENGINE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "config/config.h"
#include "config/error.h"
#include "dataplane/port.h"
#include "mempool_reserve/reserve.h"

/*
 * Quota of a connection, in bytes of reads in flight at the least payload per mbuf: it begins with
 * the largest request, but not less than LEAST; the pool has room for PLAN planned, and credits
 * grow to MOST.
 */
#define PAYLOAD_MIN	  (MBUF_DATA_BYTES / 4) /* compaction guarantees a quarter (tcp.md 2) */
#define QUOTA_SLACK	  64
#define QUOTA_BYTES_LEAST (256u << 10)
#define QUOTA_BYTES_PLAN  (1u << 20)
#define QUOTA_BYTES_MOST  (4u << 20)
#define SPARE_DEVICES	  2	/* run-time attaches the pool has room for beyond the configured */
#define HDR_POOL_COUNT	  8191	/* headers of a queue */
#define EXT_POOL_COUNT	  16383 /* … and mbufs that payload is attached to */
#define CONN_SPARE	  16	/* slots of connections on their way out, beside those that fit */

struct budget;

/* All of it on the control thread. @cfg is borrowed until budget_destroy(). NULL: no memory. */
struct budget *budget_create(const struct config *cfg);
void budget_destroy(struct budget *b); /* NULL is fine */

/* A port as it was opened; each of its queues has a pool of @total mbufs. */
struct budget_port {
	const char *name;		/* borrowed */
	const struct port_facts *facts; /* borrowed */
	bool has_exception;
	unsigned queue_count;
	uint32_t total; /* of budget_pools_shape() */
};
void budget_port_set(struct budget *b, unsigned port, const struct budget_port *p);
/* The longest packet the port's stack takes, which is a term of the sum. */
void budget_mtu_set(struct budget *b, unsigned port, uint16_t mtu);

/* Mbufs of one queue that a channel's connections may hold, @quota each. The holder's, who may
 * change @quota and @connections while it is in the budget. */
struct budget_share {
	unsigned port, queue, connections;
	uint32_t quota;
	LIST_ENTRY(budget_share) entry;
};
void budget_share_add(struct budget *b, struct budget_share *s);
void budget_share_del(struct budget_share *s);

/* A queue by the last budget_update(). */
struct budget_queue {
	struct reserve_sum_input terms;
	struct reserve_sum sum;
	uint32_t floor, total;
	uint32_t conn_max; /* TCP connections its worker has tables for */
};
/* Adds up again what is in the queue now. Out: the budget's, as by budget_queue(). */
const struct budget_queue *budget_update(struct budget *b, unsigned port, unsigned queue);
const struct budget_queue *budget_queue(const struct budget *b, unsigned port, unsigned queue);

/* Would @quota more fit? 0, or -ENOSPC with the numbers in @err. */
int budget_fits(
	const struct budget *b, unsigned port, unsigned queue, uint32_t quota, struct error *err);
/* Would every queue of @port hold the sum at that MTU? False: not, with the numbers in @err. */
bool budget_mtu_fits(const struct budget *b, unsigned port, uint16_t mtu, struct error *err);
/* How much each connection of @s may have, @most at the most, without taking what others may need.
 */
uint32_t budget_room(const struct budget *b, const struct budget_share *s, uint32_t most);

/* ---- what is planned from the configuration alone ---- */
uint32_t budget_quota_least(const struct config_volume *v);
uint32_t budget_quota_most(const struct config_volume *v);
/* What the pools of a queue are made of, names apart. @f may be planned: the volumes are the
 * file's. */
void budget_pools_shape(const struct config *cfg, const struct port_facts *f, bool has_exception,
	struct reserve_config *rx, struct reserve_config *hdr);
/* Connections a pool of so many mbufs can have at the least quota, and some that are on their way
 * out. */
uint32_t budget_conn_max(const struct config *cfg, uint32_t pool_total);

#endif
