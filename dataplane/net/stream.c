/*
 * stream.c - TCP as the layers above see it
 *
 * A stream is the front of a connection (tcp_conn.h). The calls here only move bytes in and out of
 * its queues and note what is owed; nothing is sent before the next pull. The handle stays valid
 * until stream_release(), whatever the protocol does meanwhile, and after a failure still gives out
 * what had arrived in order.
 */
#include "dataplane/net/stream.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_conn.h"

struct stream *stream_connect(
	struct net *net, const struct stream_target *target, void *ctx, int *err)
{
	struct tcp_conn *conn;
	struct ip_path path;
	uint16_t port = target->local_port;
	int rc = tcp_cc_find(target->cc) ? ip_path_find(net, &target->ip, &path) : -EINVAL;

	if (rc) {
		*err = rc;
		return NULL;
	}
	if (port == 0)
		port = tcp_id_port(net->tcp, &path, target->port);
	if (port == 0 ||
		tcp_table_lookup(net->tcp, &path.local, port, &path.remote, target->port)) {
		*err = -EADDRNOTAVAIL;
		return NULL;
	}
	conn = tcp_table_take(net->tcp);
	if (!conn) {
		*err = -ENOSPC;
		return NULL;
	}
	conn->path = path;
	conn->stream.ctx = ctx;
	tcp_conn_open(conn, target, port, net->now_us);
	return &conn->stream;
}

unsigned stream_events(struct net *net, struct stream_event *events, unsigned max)
{
	struct stream_list *list = &net->tcp->events;
	unsigned n = 0;

	for (; n < max && !TAILQ_EMPTY(list); n++) {
		struct stream *s = TAILQ_FIRST(list);

		TAILQ_REMOVE(list, s, event_link);
		events[n] =
			(struct stream_event){.stream = s, .ctx = s->ctx, .bits = s->event_bits};
		s->event_bits = 0;
	}
	return n;
}

unsigned stream_peek(struct stream *s, struct stream_span *spans, unsigned max)
{
	return tcp_rcv_peek(&tcp_conn_of(s)->rcv, spans, max);
}

void stream_consume(struct stream *s, size_t bytes)
{
	struct tcp_conn *conn = tcp_conn_of(s);

	tcp_rcv_consume(&conn->rcv, bytes);
	if (!tcp_is_synchronized(conn) || conn->rcv.has_fin || !tcp_rcv_window_pays(&conn->rcv))
		return;
	conn->ack_now = true;
	tcp_conn_touch(conn);
}

/* May the owner queue? 0, the stream's error, or -EPIPE after stream_shutdown(). */
static int send_check(struct tcp_conn *conn, uint32_t chunks, uint64_t bytes)
{
	if (conn->stream.error)
		return conn->stream.error;
	if (conn->fin_queued)
		return -EPIPE;
	if (tcp_sndq_has_room(&conn->sndq, chunks, bytes))
		return 0;
	conn->stream.wants_writable = true;
	return -EAGAIN;
}

int stream_send_pair(struct stream *s, const void *hdr, size_t hdr_len, struct stream_buf *buf,
	const void *bytes, uint32_t len)
{
	struct tcp_conn *conn = tcp_conn_of(s);
	int rc = send_check(conn, 2, hdr_len + len);

	assert(hdr_len <= STREAM_INLINE_BYTES_MAX);
	if (rc)
		return rc;
	if (hdr_len > 0)
		tcp_sndq_push_copy(&conn->sndq, hdr, (uint32_t)hdr_len);
	if (len > 0)
		tcp_sndq_push_buf(&conn->sndq, buf, bytes, len);
	tcp_conn_touch(conn);
	return 0;
}

int stream_send_copy(struct stream *s, const void *bytes, size_t len)
{
	struct tcp_conn *conn = tcp_conn_of(s);
	int rc = send_check(conn, 1, len);

	assert(len <= STREAM_INLINE_BYTES_MAX);
	if (rc || len == 0)
		return rc;
	tcp_sndq_push_copy(&conn->sndq, bytes, (uint32_t)len);
	tcp_conn_touch(conn);
	return 0;
}

int stream_send_buf(struct stream *s, struct stream_buf *buf, const void *bytes, uint32_t len)
{
	struct tcp_conn *conn = tcp_conn_of(s);
	int rc = send_check(conn, 1, len);

	if (rc || len == 0)
		return rc;
	tcp_sndq_push_buf(&conn->sndq, buf, bytes, len);
	tcp_conn_touch(conn);
	return 0;
}

uint64_t stream_queued(const struct stream *s)
{
	return tcp_conn_of_const(s)->sndq.end;
}

uint64_t stream_acked(const struct stream *s)
{
	return tcp_conn_of_const(s)->sndq.start;
}

uint32_t stream_room_bytes(const struct stream *s)
{
	const struct tcp_sndq *q = &tcp_conn_of_const(s)->sndq;

	return q->bytes_max - (uint32_t)(q->end - q->start);
}

uint32_t stream_room_chunks(const struct stream *s)
{
	const struct tcp_sndq *q = &tcp_conn_of_const(s)->sndq;

	return q->count_max - q->count;
}

int stream_shutdown(struct stream *s)
{
	struct tcp_conn *conn = tcp_conn_of(s);

	if (s->error)
		return s->error;
	if (conn->fin_queued)
		return 0;
	switch (conn->state) {
	case TCP_STATE_SYN_SENT:
		tcp_conn_finish(conn); /* RFC 9293 3.10.4: nothing to close yet */
		tcp_conn_settle(conn);
		return 0;
	case TCP_STATE_ESTABLISHED:
		tcp_state_set(conn, TCP_STATE_FIN_WAIT_1);
		break;
	case TCP_STATE_CLOSE_WAIT:
		tcp_state_set(conn, TCP_STATE_LAST_ACK);
		break;
	default:
		break; /* SYN-RECEIVED: when it is established */
	}
	conn->fin_queued = true;
	tcp_conn_touch(conn);
	return 0;
}

void stream_abort(struct stream *s)
{
	struct tcp_conn *conn = tcp_conn_of(s);

	if (conn->state != TCP_STATE_CLOSED) {
		tcp_conn_reset(conn, -ECONNABORTED);
		s->event_bits &= ~(uint32_t)STREAM_DEAD;
		if (s->event_bits == 0)
			TAILQ_REMOVE(&conn->net->tcp->events, s, event_link);
	}
	tcp_rcv_drop(&conn->rcv);
	tcp_conn_settle(conn);
}

void stream_release(struct stream *s)
{
	struct tcp_conn *conn = tcp_conn_of(s);
	bool is_closing = conn->fin_queued && conn->rcv.bytes == 0;

	assert(!s->is_released);
	if (conn->state != TCP_STATE_CLOSED && !is_closing)
		stream_abort(s);
	s->is_released = true;
	if (s->event_bits)
		TAILQ_REMOVE(&conn->net->tcp->events, s, event_link);
	s->event_bits = 0;
	if (conn->state == TCP_STATE_FIN_WAIT_2)
		tcp_timer_set(conn, TIMER_WAIT, conn->net->now_us + TCP_FIN_WAIT_2_US);
	tcp_conn_settle(conn);
}

int stream_error(const struct stream *s)
{
	return s->error;
}

bool stream_is_misdirected(const struct stream *s)
{
	return tcp_conn_of_const(s)->is_misdirected;
}

void stream_expect(struct stream *s, bool is_expecting)
{
	struct tcp_conn *conn = tcp_conn_of(s);

	conn->is_expecting = is_expecting;
	if (!is_expecting || s->error || conn->keepalive_busy_us == 0 ||
		conn->timers.at_us[TIMER_KEEPALIVE] <= conn->net->now_us + conn->keepalive_busy_us)
		return; /* it looks in time; if it was too early, it looks again */
	tcp_timer_keepalive_start(conn, conn->net->now_us);
	tcp_conn_touch(conn);
}

static int keepalive_set(struct tcp_conn *conn, uint32_t *us, uint64_t value)
{
	if (value > UINT32_MAX)
		return -EINVAL;
	*us = (uint32_t)value;
	tcp_timer_keepalive_start(conn, conn->net->now_us);
	return 0;
}

int stream_option(struct stream *s, enum stream_option option, uint64_t value)
{
	struct tcp_conn *conn = tcp_conn_of(s);
	int rc = 0;

	if (s->error)
		return s->error;
	switch (option) {
	case STREAM_OPTION_NODELAY:
		conn->is_nodelay = value != 0;
		break;
	case STREAM_OPTION_KEEPALIVE_US:
		rc = keepalive_set(conn, &conn->keepalive_us, value);
		break;
	case STREAM_OPTION_KEEPALIVE_BUSY_US:
		rc = keepalive_set(conn, &conn->keepalive_busy_us, value);
		break;
	case STREAM_OPTION_KEEPALIVE_STEP_US:
		rc = keepalive_set(conn, &conn->keepalive_step_us, value);
		break;
	case STREAM_OPTION_USER_TIMEOUT_US:
		if (value > UINT32_MAX)
			return -EINVAL;
		conn->user_timeout_us = value ? (uint32_t)value : TCP_USER_TIMEOUT_US;
		tcp_timer_user_update(conn);
		/*
		 * A timeout given by the caller also applies to the open (RFC 9293 3.8.3 allows
		 * giving up sooner).
		 */
		if (value && !tcp_is_synchronized(conn))
			tcp_timer_set(conn, TIMER_USER, conn->progress_us + value);
		break;
	case STREAM_OPTION_MSS:
		if (conn->state != TCP_STATE_SYN_SENT || conn->snd_nxt != conn->iss || value < 64 ||
			value > MTU_MAX)
			return -EINVAL;
		conn->mss_limit = (uint16_t)value;
		conn->rcv.mss = tcp_conn_mss_offer(conn);
		break;
	default:
		return -EINVAL;
	}
	tcp_conn_touch(conn);
	tcp_conn_settle(conn);
	return rc;
}

uint32_t stream_rtt_us(const struct stream *s)
{
	return tcp_rtt_srtt_us(&tcp_conn_of_const(s)->rtt);
}

void stream_info(const struct stream *s, struct stream_info *out)
{
	tcp_conn_info(tcp_conn_of_const(s), out);
}
