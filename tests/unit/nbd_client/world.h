/*
 * world.h - a volume, a fake front end, a fake server and a fake network, turned together
 */
#ifndef TESTS_UNIT_NBD_CLIENT_WORLD_H
#define TESTS_UNIT_NBD_CLIENT_WORLD_H

#include "tests/unit/nbd_client/fake_server.h"
#include "nbd_client/nbd_client.h"

#define WORLD_REQ_MAX	 256
#define WORLD_SLOT_BYTES (256u << 10)
#define WORLD_TURN_US	 1000u

struct world_req {
	struct block_req req;
	bool is_taken, is_done;
	unsigned done_count;
	int result;
	uint64_t done_us;
};

struct world {
	struct block_front front; /* first: the ops are handed it */
	struct net *net;
	struct fake_server *srv;
	struct nbd_client *nc;
	struct volume *volume;
	struct volume_config cfg;
	struct stream_buf buf;
	struct world_req reqs[WORLD_REQ_MAX];
	unsigned req_count, taken_count, kick_count;
	uint64_t now_us;
	char last_event[sizeof(((struct volume_event *)0)->text)];
	enum volume_event_type last_type;
	unsigned slow_count; /* lines that call the server slow */
	unsigned exposed_count; /* … that say what was not flushed */
	bool uses_copy; /* requests have no buf */
	bool is_control_busy; /* the control thread answers no TLS mail */
	const struct world *first; /* the channel this one follows; NULL: it goes by itself */
};

/* A server of 1 MiB and a volume not yet added: tests change w->cfg and w->srv in between. */
struct world *world_create(void);
void world_start(struct world *w);
void world_destroy(struct world *w); /* stops what still runs */

void world_turns(struct world *w, unsigned count);
/* Turns until every request was answered, or @us have passed. True: all answered. */
bool world_settle(struct world *w, uint64_t us);
bool world_until(struct world *w, enum volume_state state, uint64_t us);

/* Adds a request; its WRITE payload is filled from @fill. Out: its index. */
unsigned world_ask(struct world *w, enum block_op op, uint64_t offset, uint32_t bytes,
	uint8_t flags, uint8_t fill);
uint8_t *world_data(struct world *w, unsigned idx);
struct volume_info world_info(const struct world *w);

#endif
