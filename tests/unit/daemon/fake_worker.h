/*
 * fake_worker.h - workers that a test turns by hand, with the volumes on them
 *
 * A fake worker has a command ring of a settable size, carries commands out on
 * fake_workers_turn() or does not, and delivers its events or loses them. A fake volume goes
 * through the states of the real one (nbd_client.h) against a server that answers, refuses or
 * is silent. What the real ones assert is asserted here too.
 */
#ifndef TESTS_UNIT_DAEMON_FAKE_WORKER_H
#define TESTS_UNIT_DAEMON_FAKE_WORKER_H

#include "dataplane/exception/slow_path.h"
#include "dataplane/net/net.h"
#include "dataplane/worker.h"

#define FAKE_RING_MAX 256u

struct worker {
	struct worker_config cfg;
	bool is_started;
	unsigned room; /* commands its ring takes; FAKE_RING_MAX at first */
	bool is_mute;  /* carries out nothing and turns no volume */
	bool is_losing_events;
	struct worker_cmd ring[FAKE_RING_MAX];
	unsigned waiting;
	uint64_t posted, done;
	unsigned carried[WORKER_END + 1]; /* commands carried out, by type */
	struct worker_cmd last[WORKER_END + 1];
	struct volume_event events[FAKE_RING_MAX];
	unsigned event_count;
	struct volume *volumes[VOLUME_MAX];
	unsigned volume_count;
	struct worker_stats stats;
	struct net_stats net;
	struct slow_path_stats other;
	uint64_t classes[4];
};

/* What every server is like. */
struct fake_server {
	bool is_silent;	  /* connections come to nothing */
	bool is_net_cut;  /* … those to a volume's first address in 192.0.2.0/24 */
	bool is_refusing; /* … end at once, for good */
	bool is_deaf;	  /* takes no request of a front end */
	int result;	  /* of each request taken */
	bool is_one_channel; /* only the first channel of a device comes to serve */
	struct block_limits limits;
	unsigned in_flight;   /* requests each volume that serves has in flight, while the server is
				 silent */
	uint64_t heard_us;	   /* when it last answered something */
	unsigned conn_misdirected; /* of each channel but the first */
};

/* Whose front end a worker starts at the moment. */
struct fake_starter {
	struct worker *worker;
	struct volume *volume;
};
extern struct fake_starter fake_starter;

extern struct worker
	*fake_workers[WORKER_MAX]; /* in the order they were made; a gap where one is gone */
extern unsigned fake_worker_count;
extern int fake_worker_create_rc, fake_worker_start_rc; /* refusals */
extern struct fake_server fake_server;
extern unsigned fake_volumes_alive, fake_groups_alive;
extern int fake_volume_create_rc;

void fake_workers_reset(void); /* nothing may be alive */
void fake_workers_turn(void);  /* one turn of each, at virtual_us */
/* Volumes of worker @w, in the order they were added; NULL: none at @idx. */
struct volume *fake_volume(const struct worker *w, unsigned idx);
void fake_volume_ops(struct volume *v, enum block_op op, uint64_t count);
void fake_volume_wants(struct volume *v, uint32_t credit_mbufs, bool is_over_credit);
uint32_t fake_volume_credit(const struct volume *v); /* as last granted */
const struct volume_config *fake_volume_config(const struct volume *v); /* as it was created */
void fake_volume_state(struct volume *v, enum volume_state state);
bool fake_volume_was_failed(const struct volume *v);

#endif
