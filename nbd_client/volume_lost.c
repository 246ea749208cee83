/*
 * volume_lost.c - connections that are lost, and what follows from that
 *
 * Losing a connection resets its stream, so nothing more of it can be carried out than the server
 * already has, and puts what was unanswered in line for replay. A WRITE that was answered but whose
 * ACK was still on the way is completed: the server has it. The pause before the next attempt
 * doubles from NBD_RETRY_US_MIN to NBD_RETRY_US_MAX with a quarter of jitter, and starts over when
 * a request is answered, not when a handshake succeeds.
 *
 * Before the volume was ever ready every address gets one try, and the last refusal is the answer
 * to the attach. Afterwards the volume never stops trying: policy decides what happens to its
 * requests until then (volume_policy.c), not whether it reconnects.
 *
 * Always: a connection without a stream is IDLE, holds no sub and no credit.
 */
#include "nbd_client/volume_tls.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>

const char *volume_stream_reason(int err)
{
	switch (err) {
	case -ECONNREFUSED:
		return "connection refused; start the server, or correct host and port in the URI";
	case -ECONNRESET:
		return "the server reset the connection";
	case -ETIMEDOUT:
		return "no answer from the server: check its address and the network";
	case -EHOSTUNREACH:
		return "host unreachable: check the server's address, and that it is up";
	case -ENETUNREACH:
		return "network unreachable: check the port's addresses and gateway";
	case -EADDRNOTAVAIL:
		return "no local address or port is free";
	case -ENOSPC:
		return "all TCP connections of this worker are in use: detach a volume, lower "
		       "connections:, or give the port more queues:";
	default:
		return "the connection broke";
	}
}

static uint64_t backoff_us(struct volume_conn *vc)
{
	uint64_t us = 0, random = nbd_client_random(vc->volume->client);

	if (vc->attempts > 0) {
		unsigned shift = vc->attempts - 1 < 16 ? vc->attempts - 1 : 16;

		us = (uint64_t)NBD_RETRY_US_MIN << shift;
		if (us > NBD_RETRY_US_MAX)
			us = NBD_RETRY_US_MAX;
	}
	return us - us / 4 + random % (us / 4 + 10000);
}

/* The replies that only waited for the ACK of their payload are good. */
static void answered_finish(struct volume_conn *vc)
{
	struct volume_sub *sub;

	while ((sub = TAILQ_FIRST(&vc->answered))) {
		TAILQ_REMOVE(&vc->answered, sub, link);
		sub->conn = NULL;
		volume_sub_done(vc->volume, sub, sub->nbd.result);
	}
}

/* Everything in flight goes back in line; every credit is free again. */
static void in_flight_recall(struct volume_conn *vc)
{
	struct volume_sub *sub;

	while ((sub = TAILQ_FIRST(&vc->in_flight))) {
		TAILQ_REMOVE(&vc->in_flight, sub, link);
		nbd_conn_forget(&vc->nbd, &sub->nbd);
		sub->conn = NULL;
		volume_sub_replay(vc->volume, sub);
	}
	vc->in_flight_bytes = 0;
	vc->due_us = UINT64_MAX;
	vc->read_used_mbufs = 0;
	vc->write_used_mbufs = 0;
}

static bool conn_was_serving(const struct volume_conn *vc)
{
	return vc->state == CONN_SERVING || vc->state == CONN_LEAVING ||
	       (vc->state == CONN_PARTING && vc->was_serving);
}

void volume_conn_unserve(struct volume_conn *vc)
{
	struct volume *v = vc->volume;

	vc->was_serving = conn_was_serving(vc);
	if (vc->state == CONN_SERVING || vc->state == CONN_LEAVING) {
		assert(v->conn_ready > 0);
		v->conn_ready--;
		v->losses++;
	}
	answered_finish(vc);
	in_flight_recall(vc);
}

/* Without a stream, and without an event. */
static void conn_rest(struct volume_conn *vc)
{
	volume_conn_unserve(vc);
	vc->state = CONN_IDLE;
	vc->stream = NULL;
	vc->is_readable = false;
	vc->event_bits = 0;
	vc->retry_us = vc->volume->now_us + backoff_us(vc);
	vc->attempts++;
}

/* Resets what is left of the stream. */
static void stream_drop(struct volume_conn *vc)
{
	if (!vc->stream)
		return;
	stream_abort(vc->stream);
	stream_release(vc->stream);
}

void volume_conn_abort(struct volume_conn *vc)
{
	if (vc->state == CONN_IDLE)
		return;
	stream_drop(vc);
	conn_rest(vc);
}

/* Sends what is said in the handshake, as it is or sealed; as stream_send_copy(). */
static int say(struct volume_conn *vc, const uint8_t *bytes, size_t len)
{
	return volume_tls_is_on(vc) ? volume_tls_send(vc, bytes, (uint32_t)len)
				    : stream_send_copy(vc->stream, bytes, len);
}

void volume_conn_flush(struct volume_conn *vc)
{
	size_t max = volume_tls_is_on(vc) ? TLS_SMALL_BYTES : STREAM_INLINE_BYTES_MAX, len;
	const uint8_t *bytes;

	if (volume_tls_is_shaking(vc))
		return; /* the stream is TLS's */
	while ((bytes = nbd_conn_output(&vc->nbd, &len)), len > 0) {
		if (len > max)
			len = max;
		if (say(vc, bytes, len) < 0)
			return; /* full: next turn; dead: the event says so */
		nbd_conn_sent(&vc->nbd, len);
	}
}

/* Before the first success every address gets one try; then it is for a person to decide. */
static void lost_before_ready(struct volume *v, int err, const char *where, const char *why)
{
	v->tried_count++;
	volume_server_next(v);
	if (v->tried_count < v->cfg.servers.count) {
		char next[VOLUME_WHERE_BYTES];

		volume_where(v, next);
		v->conns[0].retry_us = v->now_us;
		volume_event_add(
			v, VOLUME_EVENT_SERVER, err, "%s: %s; trying %s", where, why, next);
		return;
	}
	if (v->state == VOLUME_CONNECTING)
		volume_set_state(v, VOLUME_FAILED);
	volume_event_add(v, VOLUME_EVENT_REFUSED, err, "%s: %s", where, why);
}

static void lost_after_ready(struct volume_conn *vc, int err, const char *where, const char *why)
{
	struct volume *v = vc->volume;
	enum volume_event_type type =
		vc->nbd.fault == NBD_FAULT_REFUSED ? VOLUME_EVENT_REFUSED : VOLUME_EVENT_SERVER;
	uint64_t ms = (vc->retry_us - v->now_us) / 1000;
	char next[VOLUME_WHERE_BYTES];

	if (v->conn_ready > 0) {
		volume_event_add(v, type, err,
			"%s: %s; %u of %u connections remain, reconnecting in %" PRIu64 " ms",
			where, why, v->conn_ready, v->cfg.connections, ms);
		return;
	}
	if (volume_group_may_move(v))
		volume_server_next(v);
	volume_where(v, next);
	if (v->state == VOLUME_READY)
		volume_set_state(v, VOLUME_LOST);
	volume_event_add(v, type, err, "%s: %s; %u requests wait, trying %s in %" PRIu64 " ms",
		where, why, v->in_flight, next, ms);
}

/* Ended in silence, so perhaps by us only. Until one serves again this is what it replaces. */
static void again_note(struct volume_conn *vc, int err)
{
	struct stream_info info;

	if (err != -ETIMEDOUT || !vc->stream || !conn_was_serving(vc))
		return;
	stream_info(vc->stream, &info);
	vc->again = (struct volume_again){.ip = volume_server_now(vc->volume)->ip,
		.port = info.peer_port,
		.local_port = info.local_port};
}

void volume_conn_lose(struct volume_conn *vc, int err, const char *why)
{
	struct volume *v = vc->volume;
	bool was_serving = conn_was_serving(vc);
	char where[VOLUME_WHERE_BYTES];

	volume_where(v, where);
	again_note(vc, err);
	stream_drop(vc);
	if (was_serving && volume_unstable_bytes(v) > 0)
		counter_add(&v->dirty_reconnects, 1);
	conn_rest(vc);
	if (was_serving && v->conn_ready == 0 && !v->is_stopping)
		volume_unstable_expose(v);
	volume_lost(v);
	if (v->has_identity)
		lost_after_ready(vc, err, where, why);
	else
		lost_before_ready(v, err, where, why);
}
