/*
 * worker_impl.h - inside of a worker, for worker.c and worker_idle.c
 */
#ifndef DATAPLANE_WORKER_IMPL_H
#define DATAPLANE_WORKER_IMPL_H

#include <pthread.h>
#include "classifier/classifier.h"
#include "dataplane/clock.h"
#include "dataplane/pace.h"
#include "dataplane/worker.h"

#define WORKER_CMD_MAX	 256
#define WORKER_EVENT_MAX 256
#define WORKER_FRONT_MAX (VOLUME_MAX + 1)

/* How a worker waits; see worker_idle.c. */
struct worker_idle {
	int epoll_fd, wake_fd;
	uint64_t idle_since_us; /* 0 = the last turn had work */
	bool is_asleep;		/* the RX interrupt is armed */
	bool is_waiting; /* read by the exception port's thread: a write to wake_fd is needed */
};

struct worker {
	struct worker_config cfg;
	struct clock clock;
	struct classifier *classifier;
	struct net *net;
	struct slow_path *slow_path;
	struct nbd_client *nbd;
	struct rte_mbuf *tx[BURST_MAX]; /* pulled from net, not yet taken by the NIC */
	unsigned tx_at, tx_count;
	bool is_tx_full; /* the NIC took less than it was offered in this turn */
	struct worker_idle idle;
	struct pace pace;
	unsigned rx_exceptions, moved_exceptions; /* packets of this turn; moved: either way */
	unsigned rx_storage_mbufs;	  /* of this turn */
	struct worker_stats stats;
	bool is_ending, is_started;
	uint64_t done_count; /* commands carried out */
	uint64_t posted_count;
	struct rte_ring *cmds, *events;
	pthread_t thread;
};

/* worker_misdirected.c */
struct rte_mbuf;
/* Of a classified burst: gives siblings what is theirs; their entries become NULL. */
void misdirected_hand_over(
	struct worker *w, struct rte_mbuf **m, const struct pkt_info *info, unsigned n);
/* Takes in what siblings gave. Out: packets. */
unsigned misdirected_turn(struct worker *w, uint64_t now_us);

/* worker_idle.c */
int idle_init(struct worker *w);
void idle_fini(struct worker *w);
int idle_front_add(struct worker *w, int event_fd);
/* Is work that was all exception traffic no reason to look for more at once? */
bool idle_is_flooded(const struct worker *w, uint64_t now_us);
/* Called after a turn without work, or with such; returns when there may be some. */
void idle_wait(struct worker *w, uint64_t now_us);
void idle_end(struct worker *w); /* called after a turn with work */
void idle_wake(struct worker *w); /* any thread */

#endif
