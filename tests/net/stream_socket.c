/*
 * stream_socket.c - streams that are kernel TCP sockets, so NBD meets real servers anywhere
 *
 * The same contract as net's own stream, with the kernel's TCP below it: pieces queue up to a
 * bound, attached ones are referenced until the socket has taken their last byte (then the kernel
 * has its copy, which stands for "acknowledged"), received bytes lie in one buffer until consumed.
 * IPv4 and IPv6, non-blocking, one thread. Test code: it allocates when a stream is opened.
 */
#include "tests/net/stream_socket.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "config/limits.h"

#define RX_BYTES (256u << 10)

struct chunk {
	const uint8_t *bytes;
	uint32_t len;
	struct stream_buf *buf;
	uint8_t copy[STREAM_INLINE_BYTES_MAX];
};

struct stream {
	int fd; /* -1 = free */
	bool is_connected, is_closing, is_released, is_eof;
	int error;
	void *ctx;
	uint32_t bits;
	uint32_t send_bytes_max, queued_bytes;
	uint64_t queued, acked;
	unsigned head, count;
	struct chunk chunks[STREAM_CHUNK_MAX];
	uint32_t rx_head, rx_tail;
	uint8_t rx[RX_BYTES];
};

struct net {
	struct stream *streams[NET_CONN_MAX];
};

struct net *net_socket_create(void)
{
	return calloc(1, sizeof(struct net));
}

static void queue_drop(struct stream *s)
{
	for (; s->count > 0; s->count--) {
		struct chunk *c = &s->chunks[s->head];

		if (c->buf)
			c->buf->refs--;
		s->head = (s->head + 1) % STREAM_CHUNK_MAX;
	}
}

static void stream_free(struct stream *s)
{
	queue_drop(s);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void net_socket_destroy(struct net *net)
{
	for (unsigned i = 0; i < NET_CONN_MAX; i++) {
		if (net->streams[i] && net->streams[i]->fd >= 0)
			stream_free(net->streams[i]);
		free(net->streams[i]);
	}
	free(net);
}

/* A free handle, or NULL. */
static struct stream *stream_take(struct net *net)
{
	for (unsigned i = 0; i < NET_CONN_MAX; i++) {
		if (!net->streams[i]) {
			net->streams[i] = calloc(1, sizeof(struct stream));
			return net->streams[i];
		}
		if (net->streams[i]->fd < 0 && net->streams[i]->is_released) {
			memset(net->streams[i], 0, offsetof(struct stream, rx));
			return net->streams[i];
		}
	}
	return NULL;
}

static int socket_open(const struct stream_target *t, int *fd)
{
	struct sockaddr_storage ss = {.ss_family = t->ip.family};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ss;
	socklen_t len = t->ip.family == AF_INET ? sizeof(*v4) : sizeof(*v6);
	int one = 1;

	if (t->ip.family == AF_INET) {
		v4->sin_port = htons(t->port);
		memcpy(&v4->sin_addr, t->ip.addr, 4);
	} else {
		v6->sin6_port = htons(t->port);
		memcpy(&v6->sin6_addr, t->ip.addr, 16);
	}
	*fd = socket(t->ip.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return -errno;
	setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(*fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS) {
		int err = -errno;

		close(*fd);
		return err;
	}
	return 0;
}

struct stream *stream_connect(
	struct net *net, const struct stream_target *target, void *ctx, int *err)
{
	struct stream *s = stream_take(net);

	if (!s) {
		*err = -ENOSPC;
		return NULL;
	}
	*err = socket_open(target, &s->fd);
	if (*err < 0) {
		s->fd = -1;
		s->is_released = true;
		return NULL;
	}
	s->ctx = ctx;
	s->send_bytes_max = target->send_bytes_max ? target->send_bytes_max : 1u << 20;
	return s;
}

/* ---- the two directions ---- */

static void stream_die(struct stream *s, int err)
{
	s->error = err;
	s->bits |= STREAM_DEAD;
	queue_drop(s);
}

static void rx_turn(struct stream *s)
{
	ssize_t n;

	if (s->rx_head > 0) {
		memmove(s->rx, s->rx + s->rx_head, s->rx_tail - s->rx_head);
		s->rx_tail -= s->rx_head;
		s->rx_head = 0;
	}
	if (s->rx_tail == RX_BYTES || s->is_eof)
		return;
	n = recv(s->fd, s->rx + s->rx_tail, RX_BYTES - s->rx_tail, 0);
	if (n > 0) {
		s->rx_tail += (uint32_t)n;
		s->bits |= STREAM_READABLE;
	} else if (n == 0) {
		s->is_eof = true;
		s->bits |= STREAM_EOF;
	} else if (errno != EAGAIN && errno != EINTR) {
		stream_die(s, -errno);
	}
}

static void tx_turn(struct stream *s)
{
	while (s->count > 0) {
		struct chunk *c = &s->chunks[s->head];
		ssize_t n =
			send(s->fd, c->bytes, c->len, MSG_NOSIGNAL | (s->count > 1 ? MSG_MORE : 0));

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				stream_die(s, -errno);
			return;
		}
		c->bytes += n;
		c->len -= (uint32_t)n;
		s->acked += (uint64_t)n;
		s->queued_bytes -= (uint32_t)n;
		s->bits |= STREAM_ACKED | STREAM_WRITABLE;
		if (c->len > 0)
			return;
		if (c->buf)
			c->buf->refs--;
		s->head = (s->head + 1) % STREAM_CHUNK_MAX;
		s->count--;
	}
	if (s->is_closing)
		shutdown(s->fd, SHUT_WR);
	if (s->is_closing && s->is_released)
		stream_free(s);
}

static void stream_turn(struct stream *s, short revents)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (!s->is_connected) {
		if (!(revents & (POLLOUT | POLLERR | POLLHUP)))
			return;
		getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		if (err) {
			stream_die(s, -err);
			return;
		}
		s->is_connected = true;
		s->bits |= STREAM_CONNECTED;
	}
	if (revents & (POLLIN | POLLERR | POLLHUP))
		rx_turn(s);
	if (s->error == 0)
		tx_turn(s);
}

void net_socket_turn(struct net *net, int timeout_ms)
{
	struct pollfd fds[NET_CONN_MAX];
	struct stream *of[NET_CONN_MAX];
	unsigned n = 0;

	for (unsigned i = 0; i < NET_CONN_MAX; i++) {
		struct stream *s = net->streams[i];

		if (!s || s->fd < 0 || s->error)
			continue;
		fds[n].fd = s->fd;
		fds[n].events = s->rx_tail - s->rx_head < RX_BYTES && !s->is_eof ? POLLIN : 0;
		if (!s->is_connected || s->count > 0)
			fds[n].events |= POLLOUT;
		of[n++] = s;
	}
	if (poll(fds, n, timeout_ms) < 0)
		return;
	for (unsigned i = 0; i < n; i++)
		if (fds[i].revents || of[i]->count > 0)
			stream_turn(of[i], fds[i].revents);
}

/* ---- stream.h ---- */

unsigned stream_events(struct net *net, struct stream_event *events, unsigned max)
{
	unsigned n = 0;

	for (unsigned i = 0; i < NET_CONN_MAX && n < max; i++) {
		struct stream *s = net->streams[i];

		if (!s || s->fd < 0 || s->is_released || s->bits == 0)
			continue;
		events[n++] = (struct stream_event){s, s->ctx, s->bits};
		s->bits = 0;
	}
	return n;
}

unsigned stream_peek(struct stream *s, struct stream_span *spans, unsigned max)
{
	if (s->rx_head == s->rx_tail || max == 0)
		return 0;
	spans[0] = (struct stream_span){s->rx + s->rx_head, s->rx_tail - s->rx_head};
	return 1;
}

void stream_consume(struct stream *s, size_t bytes)
{
	assert(bytes <= s->rx_tail - s->rx_head);
	s->rx_head += (uint32_t)bytes;
}

static int chunk_put(struct stream *s, struct stream_buf *buf, const void *bytes, uint32_t len)
{
	struct chunk *c = &s->chunks[(s->head + s->count) % STREAM_CHUNK_MAX];

	assert(len > 0);
	*c = (struct chunk){.bytes = bytes, .len = len, .buf = buf};
	if (buf) {
		assert((const uint8_t *)bytes >= buf->base);
		assert((const uint8_t *)bytes + len <= buf->base + buf->bytes);
		buf->refs++;
	} else {
		assert(len <= STREAM_INLINE_BYTES_MAX);
		memcpy(c->copy, bytes, len);
		c->bytes = c->copy;
	}
	s->count++;
	s->queued += len;
	s->queued_bytes += len;
	return 0;
}

static int room_check(const struct stream *s, uint64_t bytes, uint32_t chunks)
{
	if (s->error)
		return s->error;
	return bytes <= stream_room_bytes(s) && chunks <= stream_room_chunks(s) ? 0 : -EAGAIN;
}

int stream_send_copy(struct stream *s, const void *bytes, size_t len)
{
	int rc = room_check(s, len, 1);

	return rc < 0 ? rc : chunk_put(s, NULL, bytes, (uint32_t)len);
}

int stream_send_buf(struct stream *s, struct stream_buf *buf, const void *bytes, uint32_t len)
{
	int rc = room_check(s, len, 1);

	return rc < 0 ? rc : chunk_put(s, buf, bytes, len);
}

int stream_send_pair(struct stream *s, const void *hdr, size_t hdr_len, struct stream_buf *buf,
	const void *bytes, uint32_t len)
{
	int rc = room_check(s, hdr_len + len, 2);

	if (rc < 0)
		return rc;
	chunk_put(s, NULL, hdr, (uint32_t)hdr_len);
	return chunk_put(s, buf, bytes, len);
}

uint64_t stream_queued(const struct stream *s)
{
	return s->queued;
}

bool stream_is_misdirected(const struct stream *s)
{
	(void)s;
	return false;
}

uint64_t stream_acked(const struct stream *s)
{
	return s->acked;
}

uint32_t stream_room_bytes(const struct stream *s)
{
	return s->send_bytes_max - s->queued_bytes;
}

uint32_t stream_room_chunks(const struct stream *s)
{
	return STREAM_CHUNK_MAX - s->count;
}

int stream_shutdown(struct stream *s)
{
	s->is_closing = true;
	return s->error;
}

void stream_abort(struct stream *s)
{
	struct linger hard = {1, 0};

	setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	s->is_closing = false;
	queue_drop(s);
}

void stream_release(struct stream *s)
{
	s->is_released = true;
	if (s->is_closing && s->error == 0)
		tx_turn(s);
	else
		stream_free(s);
}

/* The kernel's TCP judges silence by its own clock. */
void stream_expect(struct stream *s, bool is_expecting)
{
	(void)s;
	(void)is_expecting;
}

int stream_error(const struct stream *s)
{
	return s->error;
}

void stream_info(const struct stream *s, struct stream_info *out)
{
	memset(out, 0, sizeof(*out));
	out->bytes_acked = s->acked;
}

uint32_t stream_rtt_us(const struct stream *s)
{
	(void)s;
	return 0;
}
