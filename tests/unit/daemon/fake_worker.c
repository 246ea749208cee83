/*
 * fake_worker.c - workers that a test turns by hand, with the volumes on them
 *
 * Single-threaded: a turn happens when the test says so. The volume keeps the contract of the
 * real one that the control thread relies on: VOLUME_GONE is stored last, a front end is not
 * taken away while requests are in flight, a volume is destroyed idle or gone. Breaking it is
 * an assertion, as in the product.
 */
#include "tests/unit/daemon/fake_worker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/daemon/fake_ublk.h"
#include "tests/unit/daemon/virtual_time.h"

struct volume_group {
	unsigned unused;
};

struct volume {
	struct volume_config cfg;
	enum volume_state state;
	struct worker *worker;
	struct block_front *front;
	struct block_limits limits;
	struct volume_probe probe;
	char error[64];
	bool is_stopping, is_forced, is_left, is_given_up;
	uint64_t stop_us;
	uint32_t in_flight, credit_mbufs, credit_wanted_mbufs;
	bool is_over_credit;
	uint64_t ops[BLOCK_OP_COUNT];
};

struct worker *fake_workers[WORKER_MAX];
unsigned fake_worker_count, fake_volumes_alive, fake_groups_alive;
int fake_worker_create_rc, fake_worker_start_rc, fake_volume_create_rc;
struct fake_server fake_server;
struct fake_starter fake_starter;

void fake_workers_reset(void)
{
	assert(fake_volumes_alive == 0 && fake_groups_alive == 0);
	memset(fake_workers, 0, sizeof(fake_workers));
	fake_worker_count = 0;
	fake_worker_create_rc = fake_worker_start_rc = fake_volume_create_rc = 0;
	fake_server = (struct fake_server){.limits = {.size_bytes = 64 << 20,
						   .block_min = 512,
						   .block_pref = 4096,
						   .io_bytes_max = 1 << 20,
						   .can_flush = true,
						   .can_multi_conn = true}};
}

/* ---- volumes ---- */

struct volume *volume_create(const struct volume_config *cfg, struct error *err)
{
	struct volume *v;

	if (fake_volume_create_rc) {
		error_set(err, fake_volume_create_rc, "volume %s: out of memory", cfg->name);
		return NULL;
	}
	v = calloc(1, sizeof(*v));
	v->cfg = *cfg;
	v->state = VOLUME_IDLE;
	v->credit_mbufs = cfg->quota_least_mbufs;
	fake_volumes_alive++;
	return v;
}

void volume_destroy(struct volume *v)
{
	if (!v)
		return;
	assert(v->state == VOLUME_IDLE || v->state == VOLUME_GONE);
	fake_volumes_alive--;
	free(v);
}

size_t volume_bytes(const struct volume *v)
{
	return sizeof(*v);
}

struct volume_group *volume_group_create(void)
{
	fake_groups_alive++;
	return calloc(1, sizeof(struct volume_group));
}

void volume_group_destroy(struct volume_group *g)
{
	fake_groups_alive -= g != NULL;
	free(g);
}

void volume_follow(struct volume *v, const struct volume *first)
{
	assert(v->state == VOLUME_IDLE);
	v->limits = first->limits;
}

void volume_info(const struct volume *v, struct volume_info *out)
{
	*out = (struct volume_info){
		.state = v->state,
		.limits = v->limits,
		.conn_count = v->cfg.connections,
		.conn_ready = v->state == VOLUME_READY ? v->cfg.connections : 0,
		.conn_misdirected = v->cfg.channel ? fake_server.conn_misdirected : 0,
		.heard_us = fake_server.heard_us,
		.in_flight = v->in_flight,
		.in_flight_max = v->cfg.queue_depth,
		.credit_granted_mbufs = v->credit_mbufs,
		.credit_wanted_mbufs = v->credit_wanted_mbufs,
		.is_over_credit = v->is_over_credit,
	};
	memcpy(out->name, v->cfg.name, sizeof(out->name));
	memcpy(out->ops, v->ops, sizeof(out->ops));
	snprintf(out->error, sizeof(out->error), "%s", v->error);
	snprintf(out->server, sizeof(out->server), "%s:%u", v->cfg.uris[0].host,
		v->cfg.uris[0].port);
}

enum volume_state volume_state_of(const struct volume *v)
{
	return v->state;
}

const struct volume_probe *volume_probe(const struct volume *v)
{
	return v->cfg.probe_only ? &v->probe : NULL;
}

static void event_put(struct volume *v, enum volume_state state)
{
	struct worker *w = v->worker;
	struct volume_event *ev;

	if (w->is_losing_events || w->event_count == FAKE_RING_MAX)
		return;
	ev = &w->events[w->event_count++];
	*ev = (struct volume_event){.volume = v, .type = VOLUME_EVENT_STATE, .state = state};
	snprintf(ev->text, sizeof(ev->text), "volume %s: state %d", v->cfg.name, (int)state);
}

void fake_volume_state(struct volume *v, enum volume_state state)
{
	v->state = state;
	event_put(v, state);
}

/* Answers what the front end has; a kernel's has nothing. */
static void requests_answer(struct volume *v)
{
	struct block_req *req[8];
	unsigned n;

	if (!v->front || !v->front->ops->take || fake_server.is_deaf)
		return;
	n = v->front->ops->take(v->front, req, RTE_DIM(req), virtual_us);
	for (unsigned i = 0; i < n; i++)
		v->front->ops->complete(v->front, req[i], fake_server.result);
	v->front->ops->kick(v->front);
}

/* One turn. Out: it is still there. */
static bool is_cut(const struct volume *v)
{
	static const uint8_t net[] = {192, 0, 2};

	return fake_server.is_net_cut &&
	       memcmp(v->cfg.servers.list[0].ip.addr, net, sizeof(net)) == 0;
}

static bool volume_turn(struct volume *v)
{
	if (!v->is_stopping)
		requests_answer(v);
	if (v->is_stopping) {
		bool is_over =
			v->in_flight == 0 || v->is_forced || v->is_left || virtual_us >= v->stop_us;

		if (is_over)
			fake_volume_state(v, VOLUME_GONE);
		return !is_over;
	}
	if (v->state != VOLUME_CONNECTING || fake_server.is_silent || is_cut(v) ||
		(fake_server.is_one_channel && v->cfg.channel))
		return true;
	if (fake_server.is_refusing) {
		snprintf(v->error, sizeof(v->error), "the export does not exist");
		fake_volume_state(v, VOLUME_FAILED);
		return true;
	}
	v->limits = fake_server.limits;
	v->probe.has_export = true;
	v->probe.size_bytes = v->limits.size_bytes;
	fake_volume_state(v, v->cfg.probe_only ? VOLUME_GONE : VOLUME_READY);
	return !v->cfg.probe_only;
}

struct volume *fake_volume(const struct worker *w, unsigned idx)
{
	return idx < w->volume_count ? w->volumes[idx] : NULL;
}

void fake_volume_ops(struct volume *v, enum block_op op, uint64_t count)
{
	v->ops[op] = count;
}

void fake_volume_wants(struct volume *v, uint32_t credit_mbufs, bool is_over_credit)
{
	v->credit_wanted_mbufs = credit_mbufs;
	v->is_over_credit = is_over_credit;
}

uint32_t fake_volume_credit(const struct volume *v)
{
	return v->credit_mbufs;
}

const struct volume_config *fake_volume_config(const struct volume *v)
{
	return &v->cfg;
}

bool fake_volume_was_failed(const struct volume *v)
{
	return v->is_given_up;
}

/* ---- commands ---- */

static void volume_add(struct worker *w, struct volume *v)
{
	assert(v->state == VOLUME_IDLE && !v->worker && w->volume_count < VOLUME_MAX);
	w->volumes[w->volume_count++] = v;
	v->worker = w;
	fake_volume_state(v, VOLUME_CONNECTING);
}

static void front_set(struct worker *w, const struct worker_cmd *cmd)
{
	struct block_front *front = cmd->b;
	struct volume *v = cmd->a;

	fake_starter = (struct fake_starter){w, v};
	if (front && front->ops->start)
		front->ops->start(front);
	assert(!v->front || v->in_flight == 0);
	v->front = front;
	v->in_flight = v->front ? fake_server.in_flight : 0;
}

static void volume_end(struct volume *v, const struct worker_cmd *cmd, bool is_left)
{
	if (v->state == VOLUME_IDLE) {
		v->state = VOLUME_GONE;
		return;
	}
	if (v->state == VOLUME_GONE)
		return;
	v->is_stopping = true;
	v->is_left |= is_left;
	v->is_forced |= !is_left && cmd->n == 0;
	v->stop_us = virtual_us + cmd->n;
	if (v->state != VOLUME_DRAINING)
		fake_volume_state(v, VOLUME_DRAINING);
}

static void volume_give_up(struct volume *v)
{
	v->is_given_up = true;
	v->in_flight = 0;
}

static void cmd_run(struct worker *w, const struct worker_cmd *cmd)
{
	w->carried[cmd->type]++;
	w->last[cmd->type] = *cmd;
	switch (cmd->type) {
	case WORKER_VOLUME_ADD:
		volume_add(w, cmd->a);
		break;
	case WORKER_FRONT_SET:
		front_set(w, cmd);
		break;
	case WORKER_VOLUME_STOP:
		volume_end(cmd->a, cmd, false);
		break;
	case WORKER_VOLUME_LEAVE:
		volume_end(cmd->a, cmd, true);
		break;
	case WORKER_VOLUME_FAIL:
		volume_give_up(cmd->a);
		break;
	case WORKER_CREDIT_SET:
		((struct volume *)cmd->a)->credit_mbufs = (uint32_t)cmd->n;
		break;
	case WORKER_FLOOR_SET:
		reserve_floor_set(w->cfg.rx_pool, (uint32_t)cmd->n);
		break;
	default:
		break;
	}
}

static void worker_turn(struct worker *w)
{
	unsigned kept = 0;

	w->stats.turns++;
	reserve_level_update(w->cfg.rx_pool);
	for (unsigned i = 0; i < w->volume_count; i++)
		if (volume_turn(w->volumes[i]))
			w->volumes[kept++] = w->volumes[i];
	w->volume_count = kept;
	for (unsigned i = 0; i < w->waiting; i++) {
		cmd_run(w, &w->ring[i]);
		w->done++;
	}
	w->waiting = 0;
}

void fake_workers_turn(void)
{
	for (unsigned i = 0; i < fake_worker_count; i++)
		if (fake_workers[i] && fake_workers[i]->is_started && !fake_workers[i]->is_mute)
			worker_turn(fake_workers[i]);
}

/* ---- worker.h ---- */

struct worker *worker_create(const struct worker_config *cfg, struct error *err)
{
	struct worker *w;

	if (fake_worker_create_rc) {
		error_set(err, fake_worker_create_rc, "worker %u: no memory for its tables",
			cfg->idx);
		return NULL;
	}
	assert(fake_worker_count < WORKER_MAX);
	w = calloc(1, sizeof(*w));
	w->cfg = *cfg;
	w->room = FAKE_RING_MAX;
	fake_workers[fake_worker_count++] = w;
	return w;
}

int worker_start(struct worker *w, struct error *err)
{
	if (fake_worker_start_rc)
		return error_set(err, fake_worker_start_rc, "worker %u: thread", w->cfg.idx);
	w->is_started = true;
	return 0;
}

void worker_join(struct worker *w)
{
	if (w)
		w->is_started = false;
}

void worker_destroy(struct worker *w)
{
	if (!w)
		return;
	assert(!w->is_started && w->volume_count == 0);
	for (unsigned i = 0; i < fake_worker_count; i++)
		if (fake_workers[i] == w)
			fake_workers[i] = NULL;
	free(w);
}

size_t worker_bytes(uint32_t conn_max)
{
	return 1000 + net_bytes(conn_max);
}

bool worker_post(struct worker *w, const struct worker_cmd *cmd, uint64_t *ticket)
{
	if (w->waiting >= w->room)
		return false;
	w->ring[w->waiting++] = *cmd;
	w->posted++;
	if (ticket)
		*ticket = w->posted;
	return true;
}

bool worker_done(const struct worker *w, uint64_t ticket)
{
	assert(ticket > 0);
	return w->done >= ticket;
}

unsigned worker_events(struct worker *w, struct volume_event *out, unsigned max)
{
	unsigned n = w->event_count < max ? w->event_count : max;

	memcpy(out, w->events, n * sizeof(out[0]));
	w->event_count -= n;
	memmove(w->events, w->events + n, w->event_count * sizeof(w->events[0]));
	return n;
}

void worker_stats(const struct worker *w, struct worker_stats *out)
{
	*out = w->stats;
}

const struct worker_config *worker_config(const struct worker *w)
{
	return &w->cfg;
}

/* ---- the stack behind it: numbers only ---- */

struct net *worker_net(struct worker *w)
{
	return (struct net *)w;
}

const struct slow_path *worker_slow_path(const struct worker *w)
{
	return (const struct slow_path *)w;
}

void worker_class_counts(const struct worker *w, uint64_t counts[4])
{
	memcpy(counts, w->classes, sizeof(w->classes));
}

void net_stats(const struct net *net, struct net_stats *out)
{
	*out = ((const struct worker *)net)->net;
}

size_t net_bytes(uint32_t conn_max)
{
	return 10000u * conn_max;
}

void slow_path_stats(const struct slow_path *o, struct slow_path_stats *out)
{
	*out = ((const struct worker *)o)->other;
}
