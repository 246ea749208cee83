/*
 * worker.h - one pinned thread that owns a queue pair and everything behind it
 */
#ifndef DATAPLANE_WORKER_H
#define DATAPLANE_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <rte_common.h>
#include "classifier/classifier.h"
#include "config/error.h"
#include "dataplane/net/net.h"
#include "dataplane/exception/slow_path.h"
#include "dataplane/port.h"
#include "nbd_client/nbd_client.h"

struct worker;
struct handover;

/* What `protect:` names. */
struct worker_rules {
	struct protect_rule rules[PROTECT_RULE_MAX];
	unsigned count;
};

struct worker_config {
	unsigned idx; /* of the worker in the daemon */
	int cpu;      /* pinned there; -1 = not pinned */
	struct port *port;
	uint16_t queue;
	/* Where the port has several workers, else NULL;
	 * siblings by queue, set before any starts. */
	struct handover *handover;
	struct worker *const *siblings;
	uint16_t local_ports[LOCAL_PORT_MAX]; /* TCP ports that are this worker's; none: any */
	unsigned local_port_count;
	struct reserve *rx_pool, *hdr_pool;
	struct rte_mempool *ext_pool;
	struct net_addr addrs[NET_ADDR_MAX];
	unsigned addr_count;
	const struct worker_rules *rules; /* borrowed while the worker is made; NULL: none */
	struct exception_queue *exception; /* NULL: none */
	uint32_t conn_max; /* TCP connections it has tables for */
};

/* Control thread. NULL with @err. The pools stay the caller's. */
struct worker *worker_create(const struct worker_config *cfg, struct error *err);
int worker_start(struct worker *w, struct error *err);
void worker_join(struct worker *w);    /* asks it to end, and waits */
void worker_destroy(struct worker *w); /* after worker_join; NULL is fine */
/* What it takes of memory, its pools and its stack apart; net_bytes() of it is for connections. */
size_t worker_bytes(uint32_t conn_max);

/* What the control thread can ask of a worker; done in order, each within a turn. */
enum worker_cmd_type {
	WORKER_VOLUME_ADD,  /* a: struct volume */
	WORKER_FRONT_SET,   /* a: volume, b: front, started first if it has a start; NULL: none from
			       now on */
	WORKER_VOLUME_STOP, /* a: volume, n: deadline in us from now, 0 = at once */
	WORKER_VOLUME_FAIL, /* a: volume; fails what there is and what comes: volume_fail() */
	WORKER_VOLUME_LEAVE, /* the same, but what is unanswered then is not failed: volume_leave()
			      */
	WORKER_SERVERS_SET,  /* a: volume, b: struct volume_servers, left alone until done */
	WORKER_FLOOR_SET,    /* n: floor of the RX pool */
	WORKER_CREDIT_SET,   /* a: volume, n: mbufs each of its connections is granted */
	WORKER_ADDRS_SET,    /* a: struct worker_addrs, left alone until done */
	WORKER_RULES_SET,    /* a: struct worker_rules, left alone until done */
	WORKER_MTU_SET,	     /* n: MTU of the stack */
	WORKER_NEIGH_HINT,   /* ip, mac: the kernel has just reached it */
	WORKER_STARVE,	     /* n: 1 on, 0 off */
	WORKER_LEAK,	     /* n: mbufs to lose, a: id of the owner to charge */
	WORKER_REFILL_FAIL,  /* n: so many of the next refills find nothing */
	WORKER_PING,	     /* nothing: a turn is made */
	WORKER_ALLOC,	     /* springs the allocation trap */
	WORKER_END,
};
struct worker_cmd {
	uint64_t type;
	void *a, *b;
	uint64_t n;
	struct net_ip ip;
	uint8_t mac[6];
};

struct worker_addrs {
	struct net_addr addrs[NET_ADDR_MAX];
	unsigned count;
};

/*
 * Puts @cmd into the worker's command ring; control thread. True: posted, and *ticket (NULL: not
 * asked for) is what worker_done() takes, never 0. False: the ring is full and nothing was posted;
 * the caller keeps the command and posts it again later, for which daemon/engine/backlog.h has a
 * place.
 */
bool worker_post(
	struct worker *w, const struct worker_cmd *cmd, uint64_t *ticket) __rte_warn_unused_result;
/* Whether the worker has carried out the command of @ticket, which worker_post() gave. */
bool worker_done(const struct worker *w, uint64_t ticket);

/* What the worker has to say, oldest first. Control thread. */
unsigned worker_events(struct worker *w, struct volume_event *out, unsigned max);

/* Counters; the worker writes, anyone reads. */
struct worker_stats {
	uint64_t turns, busy_turns, sleeps, naps, rests, wakeups, rx_wakeups;
	uint64_t tx_full, max_turn_us;
	uint64_t rx_packets, tx_packets; /* of this worker's queue */
	uint64_t misdirected_out;	/* handed to the worker they were for */
	uint64_t misdirected_in;	/* taken from others */
	uint64_t misdirected_lost;	/* … not handed over, for lack of room */
	uint64_t clock_back;		 /* times the TSC went back */
};
void worker_stats(const struct worker *w, struct worker_stats *out);
struct net *worker_net(struct worker *w);
const struct slow_path *worker_slow_path(const struct worker *w);
const struct worker_config *worker_config(const struct worker *w);
void worker_class_counts(const struct worker *w, uint64_t counts[4]);

#endif
