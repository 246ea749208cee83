/*
 * fake_stream.c - a network that does what the test says, byte by byte
 *
 * Bytes the client queues are in the server's pipe at once; bytes the server writes become visible
 * to the client in fake_net_turn(), as many per turn as the test allows. Spans are cut at odd
 * places so that headers straddle them. A released stream must never be touched again: the fake
 * asserts it.
 *
 * While the net is stuck, frames wait in a ring as they do in a NIC without link: a payload is
 * where its owner keeps it and is read when the frame leaves, one a turn, whatever became of its
 * stream.
 */
#include "tests/unit/nbd_client/fake_stream.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPAN_BYTES 997u

struct net *fake_net_create(void)
{
	struct net *net = calloc(1, sizeof(*net));

	assert(net);
	net->cut_to_client = SIZE_MAX;
	net->cut_to_server = SIZE_MAX;
	return net;
}

void fake_net_destroy(struct net *net)
{
	for (unsigned i = 0; i < FAKE_STREAM_MAX; i++) {
		free(net->streams[i].to_server.bytes);
		free(net->streams[i].to_client.bytes);
		free(net->streams[i].plain.bytes);
	}
	free(net);
}

void fake_pipe_put(struct fake_pipe *p, const void *bytes, size_t len)
{
	if (p->len + len > p->room) {
		p->room = (p->len + len) * 2;
		p->bytes = realloc(p->bytes, p->room);
		assert(p->bytes);
	}
	if (len > 0)
		memcpy(p->bytes + p->len, bytes, len);
	p->len += len;
}

static void attached_drop(struct stream *s, uint64_t acked)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < s->attached_count; i++) {
		if (s->attached_end[i] <= acked) {
			s->attached[i]->refs--;
			continue;
		}
		s->attached[kept] = s->attached[i];
		s->attached_end[kept++] = s->attached_end[i];
	}
	s->attached_count = kept;
}

static bool is_ring_used(const struct net *net)
{
	return net->is_stuck || net->ring_count > 0;
}

static void ring_push(
	struct stream *s, const void *hdr, size_t hdr_len, const void *bytes, uint32_t len)
{
	struct net *net = s->net;
	struct fake_frame *f = &net->ring[net->ring_count++];

	assert(net->ring_count <= FAKE_FRAME_MAX && hdr_len <= sizeof(f->hdr));
	*f = (struct fake_frame){.stream = s, .hdr_len = hdr_len, .bytes = bytes, .len = len};
	f->is_reset = hdr_len == 0;
	if (hdr_len > 0)
		memcpy(f->hdr, hdr, hdr_len);
}

static void ring_send(struct net *net)
{
	struct fake_frame f = net->ring[0];

	memmove(net->ring, net->ring + 1, --net->ring_count * sizeof(net->ring[0]));
	f.stream->is_aborted |= f.is_reset;
	fake_pipe_put(&f.stream->to_server, f.hdr, f.hdr_len);
	if (f.len > 0)
		fake_pipe_put(&f.stream->to_server, f.bytes, f.len);
}

static void deliver(struct stream *s)
{
	struct net *net = s->net;
	size_t limit = s == &net->streams[0] ? net->cut_to_client : SIZE_MAX;
	size_t n = s->to_client.len - s->visible;

	if (net->drip_bytes && n > net->drip_bytes)
		n = net->drip_bytes;
	if (n > limit - s->visible)
		n = limit - s->visible;
	s->visible += n;
	if (n > 0)
		s->bits |= STREAM_READABLE;
	if (s->visible == limit ||
		(s == &net->streams[0] && s->to_server.len >= net->cut_to_server)) {
		if (net->cut_is_reset && !s->error) {
			s->error = -ECONNRESET;
			s->bits |= STREAM_DEAD;
		}
		s->is_eof_sent = true;
	}
	if (s->is_eof_sent && !s->is_eof_told &&
		(s->visible == s->to_client.len || s->visible == limit)) {
		s->is_eof_told = true;
		s->bits |= STREAM_EOF;
	}
}

void fake_net_turn(struct net *net)
{
	if (is_ring_used(net)) {
		if (!net->is_stuck)
			ring_send(net);
		return;
	}
	for (unsigned i = 0; i < net->opened; i++) {
		struct stream *s = &net->streams[i];

		if (!s->is_open || s->is_released || s->error || net->is_deaf)
			continue;
		if (!s->is_connected && net->syn_error) {
			s->error = net->syn_error;
			s->bits |= STREAM_DEAD;
			continue;
		}
		if (!s->is_connected) {
			s->is_connected = true;
			s->bits |= STREAM_CONNECTED;
		}
		deliver(s);
		if (!net->holds_acks && s->acked < s->to_server.len) {
			s->acked = s->to_server.len;
			attached_drop(s, s->acked);
			s->bits |= STREAM_ACKED;
		}
	}
}

void fake_stream_write_raw(struct stream *s, const void *bytes, size_t len)
{
	fake_pipe_put(&s->to_client, bytes, len);
}

void fake_stream_write(struct stream *s, const void *bytes, size_t len)
{
	if (s->seal)
		s->seal(s, bytes, len);
	else
		fake_stream_write_raw(s, bytes, len);
}

void fake_stream_close(struct stream *s)
{
	s->is_eof_sent = true;
}

size_t fake_stream_held(const struct stream *s)
{
	return s->visible - s->consumed;
}

/* ---- stream.h ---- */

struct stream *stream_connect(
	struct net *net, const struct stream_target *target, void *ctx, int *err)
{
	struct stream *s;

	if (net->connect_error) {
		*err = net->connect_error;
		return NULL;
	}
	if (net->is_port_taken && target->local_port) {
		*err = -EADDRNOTAVAIL;
		return NULL;
	}
	assert(net->opened < FAKE_STREAM_MAX);
	s = &net->streams[net->opened++];
	s->net = net;
	s->is_open = true;
	s->is_misdirected = net->misdirected_next > 0;
	net->misdirected_next -= s->is_misdirected;
	s->ctx = ctx;
	s->target = *target;
	return s;
}

unsigned stream_events(struct net *net, struct stream_event *events, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < net->opened && n < max; i++) {
		struct stream *s = &net->streams[i];

		if (s->is_released || s->bits == 0)
			continue;
		events[n++] = (struct stream_event){s, s->ctx, s->bits};
		s->bits = 0;
	}
	return n;
}

void stream_info(const struct stream *s, struct stream_info *out)
{
	uint16_t own = (uint16_t)(FAKE_LOCAL_PORT + (s - s->net->streams));

	*out = (struct stream_info){.peer_port = s->target.port,
		.local_port = s->target.local_port ? s->target.local_port : own};
}

uint32_t stream_rtt_us(const struct stream *s)
{
	return 300 + s->is_released;
}

unsigned stream_peek(struct stream *s, struct stream_span *spans, unsigned max)
{
	size_t at = s->consumed, most = s->net->span_bytes ? s->net->span_bytes : SPAN_BYTES;
	unsigned n = 0;

	assert(!s->is_released);
	while (n < max && at < s->visible) {
		size_t len = s->visible - at < most ? s->visible - at : most;

		spans[n++] = (struct stream_span){s->to_client.bytes + at, (uint32_t)len};
		at += len;
	}
	return n;
}

void stream_consume(struct stream *s, size_t bytes)
{
	assert(!s->is_released && bytes <= s->visible - s->consumed);
	s->consumed += bytes;
}

static int send_check(struct stream *s, size_t bytes)
{
	assert(!s->is_released && !s->is_shut);
	if (s->error)
		return s->error;
	if (s->net->refused_sends > 0) {
		s->net->refused_sends--;
		return -EAGAIN;
	}
	return bytes <= stream_room_bytes(s) ? 0 : -EAGAIN;
}

int stream_send_copy(struct stream *s, const void *bytes, size_t len)
{
	int rc = send_check(s, len);

	assert(len > 0 && len <= STREAM_INLINE_BYTES_MAX);
	if (rc == 0 && is_ring_used(s->net))
		ring_push(s, bytes, len, NULL, 0);
	else if (rc == 0)
		fake_pipe_put(&s->to_server, bytes, len);
	return rc;
}

int stream_send_pair(struct stream *s, const void *hdr, size_t hdr_len, struct stream_buf *buf,
	const void *bytes, uint32_t len)
{
	int rc = send_check(s, hdr_len + len);

	if (rc < 0)
		return rc;
	assert((const uint8_t *)bytes >= buf->base);
	assert((const uint8_t *)bytes + len <= buf->base + buf->bytes);
	assert(s->attached_count < STREAM_CHUNK_MAX);
	if (is_ring_used(s->net)) {
		ring_push(s, hdr, hdr_len, bytes, len);
		return 0;
	}
	fake_pipe_put(&s->to_server, hdr, hdr_len);
	fake_pipe_put(&s->to_server, bytes, len);
	if (s->net->is_wire_fast)
		return 0;
	buf->refs++;
	s->attached[s->attached_count] = buf;
	s->attached_end[s->attached_count++] = s->to_server.len;
	return 0;
}

int stream_send_buf(struct stream *s, struct stream_buf *buf, const void *bytes, uint32_t len)
{
	return stream_send_pair(s, NULL, 0, buf, bytes, len);
}

uint64_t stream_queued(const struct stream *s)
{
	return s->to_server.len;
}

void stream_expect(struct stream *s, bool is_expecting)
{
	assert(!s->is_released);
	s->is_expecting = is_expecting;
}

bool stream_is_misdirected(const struct stream *s)
{
	return s->is_misdirected;
}

uint64_t stream_acked(const struct stream *s)
{
	return s->acked;
}

uint32_t stream_room_bytes(const struct stream *s)
{
	uint32_t room = s->net->room_bytes ? s->net->room_bytes : s->target.send_bytes_max;
	uint64_t used = s->to_server.len - s->acked;

	return used < room ? room - (uint32_t)used : 0;
}

uint32_t stream_room_chunks(const struct stream *s)
{
	return STREAM_CHUNK_MAX - s->attached_count;
}

int stream_shutdown(struct stream *s)
{
	assert(!s->is_released);
	s->is_shut = true;
	return 0;
}

void stream_abort(struct stream *s)
{
	assert(!s->is_released);
	if (is_ring_used(s->net))
		ring_push(s, NULL, 0, NULL, 0);
	else
		s->is_aborted = true;
	attached_drop(s, UINT64_MAX);
}

void stream_release(struct stream *s)
{
	assert(!s->is_released);
	s->is_released = true;
	attached_drop(s, UINT64_MAX);
}

int stream_error(const struct stream *s)
{
	return s->error;
}
