/*
 * world.c - everything a volume needs around it, in virtual time
 *
 * One turn is a millisecond: the network moves, the client turns, the server acts. Whatever the
 * test did, after each turn no stream may hold bytes that were delivered before it, and a request
 * is never completed twice.
 */
#include "tests/unit/nbd_client/world.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static unsigned front_take(
	struct block_front *f, struct block_req **out, unsigned max, uint64_t now_us)
{
	struct world *w = (struct world *)f;
	unsigned n = 0;

	while (n < max && w->taken_count < w->req_count) {
		struct world_req *r = &w->reqs[w->taken_count++];

		r->is_taken = true;
		r->req.start_us = now_us;
		out[n++] = &r->req;
	}
	return n;
}

static void front_complete(struct block_front *f, struct block_req *req, int result)
{
	struct world *w = (struct world *)f;
	struct world_req *r = (struct world_req *)req;

	assert(r->is_taken && !r->is_done);
	r->is_done = true;
	r->done_count++;
	r->result = result;
	r->done_us = w->now_us;
}

static void front_kick(struct block_front *f)
{
	((struct world *)f)->kick_count++;
}

static int front_copy_out(
	struct block_front *f, struct block_req *req, uint32_t at, const void *bytes, uint32_t len)
{
	struct world *w = (struct world *)f;

	memcpy(w->buf.base + (size_t)req->tag * WORLD_SLOT_BYTES + at, bytes, len);
	return 0;
}

static int front_copy_in(
	struct block_front *f, struct block_req *req, uint32_t at, void *bytes, uint32_t len)
{
	struct world *w = (struct world *)f;

	memcpy(bytes, w->buf.base + (size_t)req->tag * WORLD_SLOT_BYTES + at, len);
	return 0;
}

static bool front_pending(struct block_front *f)
{
	struct world *w = (struct world *)f;

	return w->taken_count < w->req_count;
}

static const struct block_front_ops front_ops = {
	.take = front_take,
	.complete = front_complete,
	.kick = front_kick,
	.copy_out = front_copy_out,
	.copy_in = front_copy_in,
	.pending = front_pending,
};

static void server_set(struct volume_config *cfg, unsigned idx, const char *host)
{
	struct volume_server *s = &cfg->servers.list[idx];

	strcpy(cfg->uris[idx].host, host);
	cfg->uris[idx].port = NBD_PORT_DEFAULT;
	s->uri = (uint8_t)idx;
	s->ip.family = AF_INET;
	inet_pton(AF_INET, host, s->ip.addr);
}

struct world *world_create(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert(w);
	w->front = (struct block_front){&front_ops, WORLD_REQ_MAX, -1};
	w->net = fake_net_create();
	w->srv = fake_server_create(w->net, 1u << 20);
	w->nc = nbd_client_create(w->net, 42);
	w->buf.bytes = WORLD_REQ_MAX * WORLD_SLOT_BYTES;
	/* Mapped, for malloc would fill all of it where it is told to disturb its memory. */
	w->buf.base = mmap(NULL, w->buf.bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert(w->nc && w->buf.base != MAP_FAILED);
	w->cfg = (struct volume_config){
		.name = "v0",
		.servers.count = 1,
		.connections = 1,
		.queue_depth = 16,
		.io_bytes_max = WORLD_SLOT_BYTES,
		.request_us = 2000000,
		.connect_us = 1000000,
	};
	server_set(&w->cfg, 0, "10.0.0.2");
	server_set(&w->cfg, 1, "10.0.0.3");
	w->now_us = 1000000;
	return w;
}

void world_start(struct world *w)
{
	struct error err;

	w->volume = volume_create(&w->cfg, &err);
	assert(w->volume);
	if (w->first)
		volume_follow(w->volume, w->first->volume);
	volume_front_set(w->volume, w->cfg.probe_only ? NULL : &w->front);
	assert(nbd_client_add(w->nc, w->volume, w->now_us) == 0);
}

struct volume_info world_info(const struct world *w)
{
	struct volume_info info;

	volume_info(w->volume, &info);
	return info;
}

void world_destroy(struct world *w)
{
	if (world_info(w).state != VOLUME_GONE) {
		volume_stop(w->volume, true, w->now_us);
		assert(world_until(w, VOLUME_GONE, NBD_PART_US + 10000));
	}
	assert(world_info(w).state == VOLUME_GONE);
	assert(!stream_buf_busy(&w->buf));
	volume_destroy(w->volume);
	nbd_client_destroy(w->nc);
	fake_server_destroy(w->srv);
	fake_net_destroy(w->net);
	munmap(w->buf.base, w->buf.bytes);
	free(w);
}

static void events_note(struct world *w)
{
	struct volume_event ev;

	while (nbd_client_events(w->nc, &ev, 1)) {
		assert(ev.volume && strchr(ev.text, '\n') == NULL);
		if (ev.type == VOLUME_EVENT_STATE)
			continue;
		w->last_type = ev.type;
		w->exposed_count += strstr(ev.text, "answered and not flushed") != NULL;
		w->slow_count += strstr(ev.text, "is slow") != NULL;
		memcpy(w->last_event, ev.text, sizeof(ev.text));
	}
}

/* What may rest: TLS waits until a record is whole, and a handshake for its turn. */
static size_t held_max(const struct world *w)
{
	return w->cfg.tls ? 2 * (16384 + 261) : 0;
}

void world_turns(struct world *w, unsigned count)
{
	while (count-- > 0) {
		fake_net_turn(w->net);
		nbd_client_turn(w->nc, w->now_us);
		for (unsigned i = 0; i < w->net->opened; i++)
			assert(w->net->streams[i].is_released ||
				fake_stream_held(&w->net->streams[i]) <= held_max(w));
		if (!w->is_control_busy)
			(void)volume_tls_serve(w->volume);
		fake_server_turn(w->srv);
		events_note(w);
		w->now_us += WORLD_TURN_US;
	}
}

static bool all_done(const struct world *w)
{
	for (unsigned i = 0; i < w->req_count; i++)
		if (!w->reqs[i].is_done)
			return false;
	return true;
}

bool world_settle(struct world *w, uint64_t us)
{
	for (uint64_t end = w->now_us + us; w->now_us < end && !all_done(w);)
		world_turns(w, 1);
	return all_done(w);
}

bool world_until(struct world *w, enum volume_state state, uint64_t us)
{
	for (uint64_t end = w->now_us + us; w->now_us < end && world_info(w).state != state;)
		world_turns(w, 1);
	return world_info(w).state == state;
}

uint8_t *world_data(struct world *w, unsigned idx)
{
	return w->buf.base + (size_t)idx * WORLD_SLOT_BYTES;
}

unsigned world_ask(struct world *w, enum block_op op, uint64_t offset, uint32_t bytes,
	uint8_t flags, uint8_t fill)
{
	unsigned idx = w->req_count++;
	struct block_req *req = &w->reqs[idx].req;

	assert(idx < WORLD_REQ_MAX);
	*req = (struct block_req){
		.offset = offset,
		.bytes = bytes,
		.op = (uint8_t)op,
		.flags = flags,
		.tag = (uint16_t)idx,
	};
	if (bytes <= WORLD_SLOT_BYTES)
		memset(world_data(w, idx), fill, bytes);
	if (!w->uses_copy) {
		req->buf = world_data(w, idx);
		req->dma = &w->buf;
	}
	return idx;
}
