/*
 * volume_conn.c - one connection's life: open, negotiate, serve
 *
 *   IDLE -> OPENING -> NEGOTIATING -> SERVING -> LEAVING (the server said ESHUTDOWN)
 *    ^          |           |            |          |
 *    +----------+-----------+------------+----------+   volume_lost.c: back-off, next address
 *
 * Connection 0 leads: it finds the server that answers. The others follow to the same address once
 * the export says CAN_MULTI_CONN, never to another one: the promise holds for one server. Only when
 * no connection serves does the volume turn to its next address.
 *
 * Replies are parsed in the stream's spans and consumed in the same turn, NBD_TURN_BYTES_MAX at
 * most, so nothing that arrived waits for anything of ours. Deadlines are looked at in every turn,
 * also while the server is sending: a flood of chunks that ends no request is silence.
 *
 * The bytes between stream and machine pass through conn_read() and volume_conn_flush() for the
 * handshake and through volume_io.c for requests: there volume_tls.c stands between.
 */
#include "nbd_client/volume_tls.h"
#include "nbd_client/nbd_conn_priv.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- open ---- */

static bool conn_may_open(const struct volume_conn *vc)
{
	const struct volume *v = vc->volume;

	if (v->is_given_up || v->is_ending || (v->is_stopping && v->in_flight == 0))
		return false;
	if (vc->idx == 0)
		return (v->has_identity || v->state == VOLUME_CONNECTING) &&
		       volume_group_may_open(v);
	return v->has_identity && v->limits.can_multi_conn && v->conn_ready > 0;
}

/* The pause is over, and the last TLS handshake is. */
static bool conn_is_rested(const struct volume_conn *vc)
{
	return vc->retry_us <= vc->volume->now_us && volume_tls_may_open(vc);
}

static uint32_t us_clamp(uint64_t us)
{
	return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* While replies are awaited, silence of dead_peer_us in all ends the connection. */
static void keepalive_fill(const struct volume *v, struct stream_target *target)
{
	uint64_t busy_us = v->cfg.dead_peer_us / 3;

	busy_us = busy_us < NBD_KEEPALIVE_BUSY_US ? busy_us : NBD_KEEPALIVE_BUSY_US;
	target->keepalive_busy_us = (uint32_t)busy_us;
	target->keepalive_step_us =
		us_clamp((v->cfg.dead_peer_us - busy_us) / STREAM_KEEPALIVE_PROBES);
}

/*
 * A connection that died in silence may live on at the server, and a server for one client would
 * let no other in. So the next one has its local port: the SYN draws a challenge ACK from the
 * half-open one, our RST ends that, and the SYN sent again is let in (RFC 9293 3.5.1, RFC 5961 4).
 */
static void stream_open(struct volume_conn *vc, struct stream_target *target, int *err)
{
	struct net *net = nbd_client_net(vc->volume->client);

	if (vc->again.port == target->port &&
		memcmp(&vc->again.ip, &target->ip, sizeof(target->ip)) == 0)
		target->local_port = vc->again.local_port;
	vc->stream = stream_connect(net, target, vc, err);
	if (vc->stream || *err != -EADDRNOTAVAIL || !target->local_port)
		return;
	target->local_port = 0; /* our own end of it is still there */
	vc->stream = stream_connect(net, target, vc, err);
}

static void conn_open(struct volume_conn *vc)
{
	struct volume *v = vc->volume;
	const struct nbd_uri *uri = volume_uri_now(v);
	uint64_t send_bytes = 2ull * v->cfg.io_bytes_max + 65536;
	struct stream_target target = {
		.ip = volume_server_now(v)->ip,
		.port = uri->port,
		.quota_mbufs = v->cfg.quota_mbufs,
		.owner = v->cfg.owner[vc->idx],
		.owner_ooo = v->cfg.owner_ooo[vc->idx],
		.connect_us_max = us_clamp(v->cfg.connect_us),
		.user_timeout_us = us_clamp(v->cfg.dead_peer_us),
		.keepalive_us = NBD_KEEPALIVE_US,
		.cc = v->cfg.cc,
	};
	int err = 0;

	if (!volume_group_claim(v))
		return; /* siblings are still elsewhere: next turn */
	keepalive_fill(v, &target);
	target.send_bytes_max =
		send_bytes > NBD_SEND_BYTES_MIN ? (uint32_t)send_bytes : NBD_SEND_BYTES_MIN;
	nbd_conn_init(&vc->nbd, uri->export_name, v->cfg.probe_only);
	if (vc->tls) {
		volume_tls_open(vc);
		target.quota_mbufs += volume_tls_rest(v->cfg.mbuf_payload_min);
	}
	stream_open(vc, &target, &err);
	if (!vc->stream) {
		volume_conn_lose(vc, err, volume_stream_reason(err));
		return;
	}
	vc->state = CONN_OPENING;
	vc->deadline_us = v->now_us + v->cfg.connect_us;
}

/* ---- serve ---- */

/* Negotiation is done: is this the export we want? */
static void conn_ready(struct volume_conn *vc, struct nbd_event *ev)
{
	struct volume *v = vc->volume;
	const struct nbd_export *x = &vc->nbd.export;
	struct error err;

	if (v->cfg.probe_only) {
		volume_probe_ready(v, x);
		return;
	}
	if (volume_export_check(v, x, &err) < 0) {
		nbd_conn_refuse(&vc->nbd, NBD_FAULT_REFUSED, ev, "%s", err.text);
		return;
	}
	vc->state = CONN_SERVING;
	vc->again.local_port = 0;
	v->conn_ready++;
	volume_event_add(v, VOLUME_EVENT_SERVER, 0, "%s:%u: connection %u of %u is up",
		volume_uri_now(v)->host, volume_uri_now(v)->port, vc->idx + 1, v->cfg.connections);
	if (v->has_identity)
		counter_add(&v->reconnects, vc->attempts > 0);
	else
		volume_export_adopt(v, x);
	if (v->conn_ready == (v->limits.can_multi_conn ? v->cfg.connections : 1u))
		v->error[0] = '\0'; /* the outage it reports is over */
	if (v->in_flight == 0)
		volume_progress(v);
	if (v->state == VOLUME_READY || v->state == VOLUME_DRAINING)
		return;
	volume_set_state(v, VOLUME_READY);
	if (v->front)
		v->front->is_barred = false;
}

/* The last byte of a reply was read. */
static void conn_answer(struct volume_conn *vc, struct volume_sub *sub, int result)
{
	struct volume *v = vc->volume;

	assert(sub->conn == vc && sub->io);
	volume_due_move(vc, sub);
	TAILQ_REMOVE(&vc->in_flight, sub, link);
	vc->in_flight_bytes -= sub->nbd.bytes;
	vc->read_used_mbufs -= sub->cost_mbufs;
	vc->write_used_mbufs -= sub->kind == KIND_WRITE;
	if (sub->kind == KIND_READ && result == 0 && !sub->nbd.is_partial)
		volume_credit_answer(v, sub);
	if (result == -ESHUTDOWN) {
		vc->state = CONN_LEAVING;
		sub->conn = NULL;
		volume_sub_replay(v, sub);
		return;
	}
	vc->attempts = 0;
	if (vc->tls)
		tls_records_earn(vc->tls->records);
	volume_heard(v);
	if (TAILQ_EMPTY(&vc->in_flight))
		stream_expect(vc->stream, false);
	if (volume_sub_again(v, sub, &result)) {
		sub->conn = NULL;
		volume_sub_resend(v, sub);
		return;
	}
	if (sub->nbd.type == NBD_CMD_WRITE && stream_acked(vc->stream) < sub->send_end) {
		TAILQ_INSERT_TAIL(&vc->answered, sub, link);
		return;
	}
	sub->conn = NULL;
	if (sub->nbd.type == NBD_CMD_FLUSH)
		volume_flush_answered(v, sub, result);
	else
		volume_sub_done(v, sub, result);
}

static void conn_event(struct volume_conn *vc, struct nbd_event *ev)
{
	struct volume_sub *sub = (struct volume_sub *)ev->req;

	switch (ev->type) {
	case NBD_EVENT_EXPORT:
	case NBD_EVENT_NAME:
	case NBD_EVENT_DESCRIPTION:
		if (vc->volume->probe)
			volume_probe_text(vc->volume, ev);
		return;
	case NBD_EVENT_READY:
		conn_ready(vc, ev);
		return;
	case NBD_EVENT_REPLY:
		if (ev->len > 0) {
			volume_heard(vc->volume);
			volume_due_move(vc, sub);
			volume_payload(sub, ev->at, ev->bytes, ev->len);
		}
		if (ev->is_done)
			conn_answer(vc, sub, ev->result);
		return;
	case NBD_EVENT_TLS:
		volume_tls_begin(vc);
		return;
	case NBD_EVENT_NONE:
	case NBD_EVENT_DEAD:
		return;
	}
}

/* Behind its end nothing is read, but what a server says to our good-bye is taken and forgotten. */
bool volume_conn_is_heard(const struct volume_conn *vc)
{
	return (vc->nbd.state != NBD_DEAD || vc->state == CONN_PARTING) &&
	       !volume_tls_is_shaking(vc);
}

size_t volume_conn_feed(struct volume_conn *vc, const uint8_t *bytes, size_t len)
{
	struct nbd_event ev;
	size_t at = 0;

	while (at < len && volume_conn_is_heard(vc)) {
		at += nbd_conn_feed(&vc->nbd, bytes + at, len - at, &ev);
		conn_event(vc, &ev);
	}
	return at;
}

/*
 * The first spans, as far as they are the middle of a READ's payload. Out: their number, and
 * their bytes added to @total.
 */
static unsigned middle_read(
	struct volume_conn *vc, const struct stream_span *spans, unsigned n, size_t *total)
{
	struct volume_sub *sub = (struct volume_sub *)vc->nbd.cur;
	uint32_t left = nbd_reply_middle(&vc->nbd), len = 0;
	unsigned i;

	for (i = 0; i < n && spans[i].len <= left - len; i++) {
		volume_payload(sub, vc->nbd.data_at + len, spans[i].bytes, spans[i].len);
		len += spans[i].len;
	}
	if (i == 0)
		return 0;
	volume_heard(vc->volume);
	volume_due_move(vc, sub);
	nbd_reply_skip(&vc->nbd, len);
	*total += len;
	return i;
}

/* Parses what arrived where it lies, and gives it back before anything waits. */
static void plain_read(struct volume_conn *vc)
{
	struct stream_span spans[NBD_SPAN_MAX];
	size_t budget = NBD_TURN_BYTES_MAX;

	while (volume_conn_is_heard(vc) && budget > 0) {
		unsigned n = stream_peek(vc->stream, spans, NBD_SPAN_MAX);
		size_t total = 0;

		vc->is_readable = n > 0;
		if (n == 0)
			return;
		for (unsigned i = 0; i < n && total < budget; i++) {
			i += middle_read(vc, spans + i, n - i, &total);
			if (i < n)
				total += volume_conn_feed(vc, spans[i].bytes, spans[i].len);
		}
		stream_consume(vc->stream, total);
		budget -= total < budget ? total : budget;
	}
}

static void conn_read(struct volume_conn *vc)
{
	if (volume_tls_is_on(vc))
		volume_tls_read(vc);
	else if (!volume_tls_is_shaking(vc))
		plain_read(vc);
	if (volume_tls_is_shaking(vc))
		volume_tls_shake(vc);
}

/* The machine ended: it says why. */
static void conn_died(struct volume_conn *vc)
{
	int err = vc->nbd.fault == NBD_FAULT_LOST ? -ECONNRESET : -EPROTO;

	if (vc->nbd.fault == NBD_FAULT_LIE)
		counter_add(&vc->volume->protocol_errors, 1);
	if (volume_probe_is_enough(vc->volume, &vc->nbd))
		err = 0;
	if (vc->nbd.is_soft || err == 0)
		volume_conn_part(vc, err);
	else
		volume_conn_lose(vc, err, vc->nbd.error);
}

/* Replies that came before the ACK of what they answer. */
static void answered_check(struct volume_conn *vc)
{
	struct volume_sub *sub;
	uint64_t acked;

	if (TAILQ_EMPTY(&vc->answered))
		return;
	acked = stream_acked(vc->stream);
	while ((sub = TAILQ_FIRST(&vc->answered)) && sub->send_end <= acked) {
		TAILQ_REMOVE(&vc->answered, sub, link);
		sub->conn = NULL;
		volume_sub_done(vc->volume, sub, sub->nbd.result);
	}
}

/* Is it the connection, and no request of it, that has a deadline? */
static bool conn_waits_itself(const struct volume_conn *vc)
{
	return vc->state == CONN_OPENING || vc->state == CONN_NEGOTIATING ||
	       vc->state == CONN_PARTING;
}

/* When the server has taken too long, whatever it is sending. */
static uint64_t conn_due_us(const struct volume_conn *vc)
{
	if (conn_waits_itself(vc))
		return vc->deadline_us;
	return vc->due_us;
}

uint64_t volume_conn_deadline(const struct volume_conn *vc)
{
	uint64_t tls_us = volume_tls_deadline(vc), due_us;

	if (vc->state == CONN_IDLE) {
		due_us = vc->retry_us > tls_us || tls_us == UINT64_MAX ? vc->retry_us : tls_us;
		return conn_may_open(vc) ? due_us : UINT64_MAX;
	}
	if (vc->is_readable)
		return 0; /* the budget of the last turn ended first */
	due_us = conn_due_us(vc);
	return due_us < tls_us ? due_us : tls_us;
}

/*
 * Replies that arrive at another worker's queue are handed over, at the cost of a copy. Which
 * queue it is, the NIC decides from addresses and ports, by a hash that is not known here; so
 * another local port may bring them here, and as no request was sent yet the attempt costs a round
 * trip. True: the connection was given up for another.
 */
static bool conn_try_elsewhere(struct volume_conn *vc)
{
	uint32_t attempts = vc->attempts;

	if (!stream_is_misdirected(vc->stream) ||
		vc->misdirected_tries == NBD_MISDIRECTED_TRIES_MAX) {
		__atomic_store_n(
			&vc->is_misdirected, stream_is_misdirected(vc->stream), __ATOMIC_RELAXED);
		vc->misdirected_tries = 0;
		return false;
	}
	vc->misdirected_tries++;
	vc->again.local_port = 0;
	volume_conn_abort(vc);
	vc->attempts = attempts;
	vc->retry_us = vc->volume->now_us;
	return true;
}

static void conn_timeout(struct volume_conn *vc)
{
	struct volume *v = vc->volume;

	if (vc->state == CONN_OPENING) {
		volume_conn_lose(vc, -ETIMEDOUT, volume_stream_reason(-ETIMEDOUT));
		return;
	}
	counter_add(&v->timeouts, 1);
	if (vc->state == CONN_NEGOTIATING)
		volume_conn_lose(vc, -ETIMEDOUT,
			vc->tls ? "connected, but no handshake in time: let an NBD server listen "
				  "on this port"
				: "connected, but no handshake in time: let an NBD server without "
				  "TLS listen on this port");
	else
		volume_conn_lose(vc, -ETIMEDOUT, "a request was not answered in time");
}

/* What the stream told since the last turn. False: the connection is gone. */
static bool conn_hear(struct volume_conn *vc)
{
	if (vc->event_bits & STREAM_DEAD) {
		int err = stream_error(vc->stream);
		bool is_tls = volume_tls_is_shaking(vc) && err == -ECONNRESET;

		volume_conn_lose(vc, err, is_tls ? NBD_TLS_ENDED : volume_stream_reason(err));
		return false;
	}
	if ((vc->event_bits & STREAM_CONNECTED) && vc->state == CONN_OPENING) {
		if (conn_try_elsewhere(vc))
			return false;
		vc->state = CONN_NEGOTIATING;
		vc->deadline_us = vc->volume->now_us + vc->volume->cfg.connect_us;
	}
	vc->event_bits &= STREAM_EOF;
	if (vc->state != CONN_OPENING)
		conn_read(vc);
	if (vc->volume->probe)
		vc->volume->probe->has_list |= vc->nbd.has_list;
	if (vc->event_bits & STREAM_EOF && !vc->is_readable)
		nbd_conn_eof(&vc->nbd);
	if (vc->nbd.state == NBD_DEAD)
		conn_died(vc);
	return vc->state != CONN_IDLE;
}

void volume_conn_turn(struct volume_conn *vc)
{
	struct volume *v = vc->volume;

	if (vc->state == CONN_IDLE) {
		if (conn_may_open(vc) && conn_is_rested(vc))
			conn_open(vc);
		return;
	}
	if (vc->state != CONN_PARTING && !conn_hear(vc))
		return;
	if (vc->state == CONN_NEGOTIATING)
		volume_conn_flush(vc);
	answered_check(vc);
	if (vc->state == CONN_LEAVING && vc->nbd.in_flight == 0)
		volume_conn_part(vc, -ESHUTDOWN);
	if (vc->state == CONN_PARTING) {
		conn_read(vc);
		volume_conn_part_turn(vc);
		return;
	}
	if (conn_due_us(vc) <= v->now_us && (conn_waits_itself(vc) || volume_is_due(vc)))
		conn_timeout(vc);
}
