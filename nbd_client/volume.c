/*
 * volume.c - a block device's worth of NBD: made whole by the control thread, run by one worker
 *
 * Everything a volume will ever hold is allocated by volume_create(): ios for the queue depth,
 * twice as many subs (one share for reads, one for writes), the connections with their buffers.
 * From nbd_client_add() to VOLUME_GONE it belongs to one worker, which calls volume_turn():
 * connections first, so that replies free what requests need, then new requests, then the front
 * end's kick.
 *
 * The control thread looks at a running volume through volume_info() only: numbers one writer
 * stores whole, a turn old at worst. VOLUME_GONE is stored last; after it the worker never touches
 * the volume again.
 */
#include "nbd_client/volume_tls.h"
#include "nbd_client/nbd_conn_priv.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DEAD_PEER_US_DEFAULT 15000000ull
#define CONNECT_US_DEFAULT 10000000ull
#define QUOTA_MBUFS_MAX	   (1u << 24) /* stands for "no quota was set" */

static int config_check(const struct volume_config *cfg, struct error *err)
{
	if (cfg->servers.count == 0 || cfg->servers.count > VOLUME_SERVER_MAX)
		return error_set(err, -EINVAL, "volume %s: %u server addresses; give 1 to %u",
			cfg->name, cfg->servers.count, VOLUME_SERVER_MAX);
	if (cfg->connections == 0 || cfg->connections > VOLUME_CONN_MAX)
		return error_set(err, -EINVAL, "volume %s: %u connections; give 1 to %u", cfg->name,
			cfg->connections, VOLUME_CONN_MAX);
	if (cfg->queue_depth == 0 || cfg->queue_depth > QUEUE_DEPTH_MAX)
		return error_set(err, -EINVAL, "volume %s: queue depth %u; give 1 to %u", cfg->name,
			cfg->queue_depth, QUEUE_DEPTH_MAX);
	if (cfg->io_bytes_max < NBD_BLOCK_BYTES_MIN || cfg->io_bytes_max > IO_BYTES_MAX)
		return error_set(err, -EINVAL, "volume %s: largest request %u bytes; give %u to %u",
			cfg->name, cfg->io_bytes_max, NBD_BLOCK_BYTES_MIN, IO_BYTES_MAX);
	if (cfg->staging && cfg->staging_bytes < NBD_BLOCK_BYTES_MAX)
		return error_set(err, -EINVAL,
			"volume %s: staging pieces of %u bytes; give %u or more", cfg->name,
			cfg->staging_bytes, NBD_BLOCK_BYTES_MAX);
	return 0;
}

static void config_defaults_fill(struct volume_config *cfg)
{
	if (cfg->dead_peer_us == 0)
		cfg->dead_peer_us = DEAD_PEER_US_DEFAULT;
	if (cfg->connect_us == 0)
		cfg->connect_us = CONNECT_US_DEFAULT;
	if (cfg->quota_mbufs == 0)
		cfg->quota_mbufs = QUOTA_MBUFS_MAX;
	if (cfg->quota_least_mbufs == 0 || cfg->quota_least_mbufs > cfg->quota_mbufs)
		cfg->quota_least_mbufs = cfg->quota_mbufs;
	if (cfg->mbuf_payload_min == 0)
		cfg->mbuf_payload_min = MBUF_DATA_BYTES / 4;
}

/* Links what volume_create() allocated. */
static void volume_init(struct volume *v)
{
	TAILQ_INIT(&v->free_ios);
	TAILQ_INIT(&v->ios_open);
	TAILQ_INIT(&v->writes_open);
	TAILQ_INIT(&v->fuas_open);
	TAILQ_INIT(&v->flush.riders);
	TAILQ_INIT(&v->free_subs);
	for (unsigned i = 0; i < CLASS_COUNT; i++)
		TAILQ_INIT(&v->waiting[i]);
	for (unsigned i = 0; i <= KIND_COUNT; i++)
		TAILQ_INIT(&v->replay[i]);
	for (unsigned i = 0; i < v->cfg.queue_depth; i++)
		TAILQ_INSERT_TAIL(&v->free_ios, &v->ios[i], link);
	for (unsigned i = 0; i < KIND_COUNT * v->sub_max; i++)
		TAILQ_INSERT_TAIL(&v->free_subs, &v->subs[i], link);
	for (unsigned i = 0; i < v->cfg.connections; i++) {
		v->conns[i].volume = v;
		v->conns[i].idx = i;
		v->conns[i].due_us = UINT64_MAX;
		TAILQ_INIT(&v->conns[i].in_flight);
		TAILQ_INIT(&v->conns[i].answered);
	}
	for (uint32_t i = 0; i < v->staging_count; i++)
		v->staging_free[i] = (int32_t)i;
	v->staging_free_count = v->staging_count;
}

size_t volume_bytes(const struct volume *v)
{
	return sizeof(*v) + v->cfg.queue_depth * sizeof(*v->ios) +
	       KIND_COUNT * v->sub_max * sizeof(*v->subs) + v->cfg.connections * sizeof(*v->conns) +
	       (v->staging_count + 1) * sizeof(*v->staging_free) +
	       (v->cfg.tls ? v->cfg.connections * volume_tls_bytes() : 0) +
	       (v->probe ? sizeof(*v->probe) : 0) + (v->own_sync ? volume_sync_bytes() : 0);
}

struct volume *volume_create(const struct volume_config *cfg, struct error *err)
{
	struct volume *v;

	assert(!cfg->group || (cfg->channel < DEVICE_CHANNEL_MAX && !cfg->probe_only));
	if (config_check(cfg, err) < 0)
		return NULL;
	v = calloc(1, sizeof(*v));
	if (!v)
		goto err_memory;
	v->cfg = *cfg;
	config_defaults_fill(&v->cfg);
	v->sub_max = cfg->queue_depth;
	v->staging_count = cfg->staging ? cfg->staging->bytes / cfg->staging_bytes : 0;
	v->ios = calloc(cfg->queue_depth, sizeof(*v->ios));
	v->subs = calloc((size_t)KIND_COUNT * v->sub_max, sizeof(*v->subs));
	v->conns = calloc(cfg->connections, sizeof(*v->conns));
	v->staging_free = calloc(v->staging_count + 1, sizeof(*v->staging_free));
	v->probe = cfg->probe_only ? calloc(1, sizeof(*v->probe)) : NULL;
	v->own_sync = cfg->group ? NULL : volume_sync_create();
	v->sync = cfg->group ? volume_group_sync(cfg->group) : v->own_sync;
	if (!v->ios || !v->subs || !v->conns || !v->staging_free || !v->sync ||
		(cfg->probe_only && !v->probe))
		goto err_parts;
	volume_init(v);
	volume_credit_init(v);
	for (unsigned i = 0; cfg->tls && i < cfg->connections; i++)
		if (volume_tls_create(&v->conns[i]) < 0)
			goto err_parts;
	return v;

err_parts:
	volume_destroy(v);
err_memory:
	error_set(err, -ENOMEM, "volume %s: out of memory", cfg->name);
	return NULL;
}

void volume_destroy(struct volume *v)
{
	if (!v)
		return;
	assert(v->state == VOLUME_IDLE || v->state == VOLUME_GONE);
	volume_sync_destroy(v->own_sync);
	free(v->probe);
	free(v->staging_free);
	for (unsigned i = 0; v->conns && i < v->cfg.connections; i++)
		volume_tls_destroy(&v->conns[i]);
	free(v->conns);
	free(v->subs);
	free(v->ios);
	free(v);
}

void volume_front_set(struct volume *v, struct block_front *front)
{
	assert(!v->front || v->in_flight == 0);
	v->front = front;
}

void volume_stop(struct volume *v, bool force, uint64_t deadline_us)
{
	if (v->state == VOLUME_IDLE) {
		__atomic_store_n(&v->state, VOLUME_GONE, __ATOMIC_RELEASE);
		return;
	}
	if (v->state == VOLUME_GONE)
		return;
	v->is_stopping = true;
	v->is_forced |= force;
	v->stop_us = deadline_us;
	if (v->state != VOLUME_DRAINING)
		volume_set_state(v, VOLUME_DRAINING);
}

void volume_fail(struct volume *v)
{
	v->is_given_up = true;
}

void volume_leave(struct volume *v, uint64_t deadline_us)
{
	v->is_left = true;
	volume_stop(v, false, deadline_us);
}

/* ---- state and events ---- */

#define TO(state) (1u << (state))
#define ENDS	  (TO(VOLUME_DRAINING) | TO(VOLUME_GONE))

void volume_set_state(struct volume *v, enum volume_state state)
{
	static const uint8_t arcs[] = {
		[VOLUME_IDLE] = TO(VOLUME_CONNECTING),
		[VOLUME_CONNECTING] = TO(VOLUME_READY) | TO(VOLUME_FAILED) | ENDS,
		[VOLUME_READY] = TO(VOLUME_LOST) | TO(VOLUME_FAILED) | ENDS,
		[VOLUME_LOST] = TO(VOLUME_READY) | TO(VOLUME_FAILED) | ENDS,
		[VOLUME_FAILED] = TO(VOLUME_READY) | ENDS,
		[VOLUME_DRAINING] = TO(VOLUME_GONE),
		[VOLUME_GONE] = 0,
	};
	/* Empty: what follows has its own line, of an attach that fails and of the end
	 * (engine/device.c). */
	static const char *const texts[] = {
		[VOLUME_CONNECTING] = "connecting",
		[VOLUME_READY] = "ready",
		[VOLUME_LOST] = "no server: requests are held",
		[VOLUME_FAILED] = "no server: requests fail",
		[VOLUME_DRAINING] = "draining",
		[VOLUME_GONE] = "",
	};
	const char *text =
		v->state == VOLUME_CONNECTING && state == VOLUME_FAILED ? "" : texts[state];
	struct volume_event *ev = nbd_client_event_slot(v->client);

	assert(arcs[v->state] & TO(state));
	if (ev)
		*ev = (struct volume_event){
			.volume = v, .type = VOLUME_EVENT_STATE, .state = state};
	else
		counter_add(&v->events_lost, 1);
	if (ev && text[0])
		snprintf(ev->text, sizeof(ev->text), "volume %s: %s", v->cfg.name, text);
	__atomic_store_n(&v->state, state, __ATOMIC_RELEASE);
}

void volume_event_add(struct volume *v, enum volume_event_type type, int err, const char *fmt, ...)
{
	struct volume_event *ev = nbd_client_event_slot(v->client);
	char text[sizeof(v->error)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	nbd_text_clean((uint8_t *)text, strlen(text)); /* it may end within a character */
	if (err)
		memcpy(v->error, text, sizeof(text));
	if (!ev) {
		counter_add(&v->events_lost, 1);
		return;
	}
	ev->volume = v;
	ev->type = type;
	ev->state = v->state;
	ev->err = err;
	snprintf(ev->text, sizeof(ev->text), "volume %s: %.*s", v->cfg.name,
		(int)(sizeof(ev->text) - NAME_BYTES_MAX - 16), text);
	nbd_text_clean((uint8_t *)ev->text, strlen(ev->text));
}

/* ---- a turn ---- */

bool volume_is_taking(const struct volume *v)
{
	return v->front && v->has_identity && !v->is_stopping &&
	       (v->state == VOLUME_READY || v->state == VOLUME_FAILED);
}

/* Drained, or out of time: says good-bye. What another
 * daemon issues again must not go on here too. */
static void volume_end(struct volume *v)
{
	for (unsigned i = 0; i < v->cfg.connections; i++) {
		if (v->is_left && v->conns[i].nbd.in_flight > 0)
			volume_conn_abort(&v->conns[i]);
		else
			volume_conn_part(&v->conns[i], 0);
	}
	if (!v->is_left)
		volume_fail_held(v, -EIO);
	else
		volume_flush_drop(v);
}

/* Is it time to end, and has every connection ended? */
static bool volume_is_over(struct volume *v)
{
	if (!v->is_ending && v->is_stopping &&
		(v->in_flight == 0 || v->is_forced || v->now_us >= v->stop_us ||
			(v->is_left && v->conn_ready == 0))) {
		v->is_ending = true;
		volume_end(v);
		for (unsigned i = 0; i < v->cfg.connections; i++)
			volume_conn_turn(&v->conns[i]);
	}
	for (unsigned i = 0; i < v->cfg.connections; i++)
		if (v->conns[i].state != CONN_IDLE)
			return false;
	return v->is_ending;
}

static void front_kick(const struct volume *v)
{
	if (v->front)
		v->front->ops->kick(v->front);
}

/*
 * Of many volumes most ask for nothing, and a turn visits each. Is there nothing to do in it but to
 * ask the front end? Nothing is held, every connection serves and has heard nothing, no clock runs.
 * A channel of a group looks at its siblings each turn, so it is never at rest.
 */
static bool is_at_rest(const struct volume *v)
{
	if (v->state != VOLUME_READY || v->in_flight > 0 || v->credit.reads > 0 || v->lost_us ||
		v->is_given_up || v->cfg.group)
		return false;
	for (unsigned i = 0; i < v->cfg.connections; i++) {
		const struct volume_conn *vc = &v->conns[i];

		if (vc->state != CONN_SERVING || vc->event_bits || vc->is_readable)
			return false;
	}
	return true;
}

bool volume_turn(struct volume *v, uint64_t now_us)
{
	bool is_over;

	v->now_us = now_us;
	v->flush_poll_us = 0;
	if (is_at_rest(v)) {
		volume_take(v);
		if (v->in_flight == 0) { /* what needed no server is answered already */
			front_kick(v);
			return true;
		}
	}
	volume_group_follow_leader(v);
	volume_flush_turn(v);
	for (unsigned i = 0; i < v->cfg.connections; i++)
		volume_conn_turn(&v->conns[i]);
	volume_credit_turn(v);
	volume_policy_turn(v);
	volume_slow_turn(v);
	volume_take(v);
	volume_dispatch(v);
	is_over = volume_is_over(v);
	volume_group_publish(v);
	volume_flush_publish(v);
	front_kick(v);
	if (is_over)
		volume_set_state(v, VOLUME_GONE); /* the last touch */
	return !is_over;
}

uint64_t volume_deadline(const struct volume *v)
{
	uint64_t first = volume_give_up_us(v), slow_us = volume_slow_us(v);

	for (unsigned i = 0; i < v->cfg.connections; i++) {
		uint64_t t = volume_conn_deadline(&v->conns[i]);

		first = t < first ? t : first;
	}
	first = slow_us < first ? slow_us : first;
	if (v->is_stopping && !v->is_ending && v->stop_us < first)
		first = v->stop_us;
	if (v->flush_poll_us && v->flush_poll_us < first)
		first = v->flush_poll_us;
	return first;
}

/* ---- facts ---- */

static uint64_t stat_read(const uint64_t *stat)
{
	return __atomic_load_n(stat, __ATOMIC_RELAXED);
}

enum volume_state volume_state_of(const struct volume *v)
{
	return __atomic_load_n(&v->state, __ATOMIC_ACQUIRE);
}

void volume_info(const struct volume *v, struct volume_info *out)
{
	const struct nbd_uri *uri = volume_uri_now(v);

	memset(out, 0, sizeof(*out));
	memcpy(out->name, v->cfg.name, sizeof(out->name));
	out->state = volume_state_of(v);
	out->limits = v->limits;
	snprintf(out->server, sizeof(out->server),
		strchr(uri->host, ':') ? "[%s]:%u" : "%s:%u", uri->host, uri->port);
	memcpy(out->error, v->error, sizeof(out->error) - 1);
	out->conn_count = v->cfg.connections;
	out->conn_ready = __atomic_load_n(&v->conn_ready, __ATOMIC_RELAXED);
	out->in_flight = __atomic_load_n(&v->in_flight, __ATOMIC_RELAXED);
	out->oldest_us = stat_read(&v->oldest_us);
	out->heard_us = volume_sync_heard_us(v);
	out->in_flight_max = v->cfg.queue_depth;
	out->credit_granted_mbufs = __atomic_load_n(&v->credit.granted_mbufs, __ATOMIC_RELAXED);
	out->credit_wanted_mbufs = __atomic_load_n(&v->credit.wanted_mbufs, __ATOMIC_RELAXED);
	out->read_bytes_per_s = stat_read(&v->credit.bytes_per_s);
	out->read_delay_us = stat_read(&v->credit.shown_delay_us);
	out->read_credit_mbufs =
		(out->credit_granted_mbufs - volume_write_quota(v)) * v->cfg.connections;
	for (unsigned i = 0; i < v->cfg.connections; i++) {
		uint32_t used = __atomic_load_n(&v->conns[i].read_used_mbufs, __ATOMIC_RELAXED);

		out->read_credit_used_mbufs += used;
		out->is_over_credit |= used + volume_write_quota(v) > out->credit_granted_mbufs;
		out->conn_misdirected +=
			__atomic_load_n(&v->conns[i].is_misdirected, __ATOMIC_RELAXED);
	}
	for (unsigned i = 0; i < BLOCK_OP_COUNT; i++) {
		out->ops[i] = stat_read(&v->ops[i]);
		out->bytes[i] = stat_read(&v->bytes[i]);
		out->errors[i] = stat_read(&v->errors[i]);
	}
	out->reconnects = stat_read(&v->reconnects);
	out->replayed = stat_read(&v->replayed);
	out->timeouts = stat_read(&v->timeouts);
	out->protocol_errors = stat_read(&v->protocol_errors);
	out->is_through_asked = v->cfg.unstable == UNSTABLE_THROUGH && v->has_identity;
	out->is_through = v->cfg.unstable == UNSTABLE_THROUGH && v->limits.can_fua;
	out->unstable_bytes = volume_unstable_bytes(v);
	out->unstable_lost = stat_read(&v->unstable_lost);
	out->dirty_reconnects = stat_read(&v->dirty_reconnects);
	out->events_lost = stat_read(&v->events_lost);
	out->structured = v->identity.is_structured;
	out->has_block_size = v->identity.has_block_size;
	out->is_fixed = v->identity.is_fixed;
	out->block_min = v->identity.block_min;
	out->block_pref = v->identity.block_pref;
	out->block_max = v->identity.block_max;
	out->nbd_flags = v->identity.flags;
}
