/*
 * stt_stream.c - bytes of the driver in and out of the product's streams
 *
 * What is sent is copied into memory of the library and lent to the stack from there, as the
 * product lends its tag buffers: a block is filled again only when its last byte was acknowledged
 * and no mbuf refers to it (stream_buf_busy), which puts that rule under test as well.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/abi/stt_impl.h"

static struct stt_conn *conn_get(struct stt *t, int id)
{
	if (id < 0 || id >= STT_CONN_MAX || !t->conns[id].is_used)
		return NULL;
	return &t->conns[id];
}

void stt_events(struct stt *t)
{
	struct stream_event events[16];
	unsigned n;

	do {
		n = stream_events(t->net, events, 16);
		for (unsigned i = 0; i < n; i++) {
			struct stt_conn *c = events[i].ctx;

			c->is_eof |= !!(events[i].bits & STREAM_EOF);
			if (events[i].bits & STREAM_DEAD)
				c->error = stream_error(events[i].stream);
		}
	} while (n == 16);
}

static int memory_get(struct stt_conn *c)
{
	if (c->memory)
		return 0;
	c->memory = malloc((size_t)STT_BLOCK_BYTES * STT_BLOCK_COUNT);
	if (!c->memory)
		return -ENOMEM;
	for (uint32_t i = 0; i < STT_BLOCK_COUNT; i++) {
		c->blocks[i].base = c->memory + (size_t)i * STT_BLOCK_BYTES;
		c->blocks[i].iova = (uintptr_t)c->blocks[i].base;
		c->blocks[i].bytes = STT_BLOCK_BYTES;
	}
	return 0;
}

/* Bytes that may be written at the current position without touching what is lent out. */
static uint32_t room_here(const struct stt_conn *c, uint32_t block, uint32_t at)
{
	if (at == 0 && (c->block_end[block] > stream_acked(c->stream) ||
			       stream_buf_busy(&c->blocks[block])))
		return 0;
	return STT_BLOCK_BYTES - at;
}

/* Queues one piece. Out: its bytes, or -errno. */
static long send_piece(struct stt_conn *c, const uint8_t *bytes, size_t len)
{
	uint32_t block = (uint32_t)(c->sent / STT_BLOCK_BYTES % STT_BLOCK_COUNT);
	uint32_t at = (uint32_t)(c->sent % STT_BLOCK_BYTES), room = stream_room_bytes(c->stream);
	int rc = stream_error(c->stream);

	if (rc)
		return rc;
	if (len > room)
		len = room;
	room = room_here(c, block, at);
	if (len > room)
		len = room;
	if (len == 0)
		return -EAGAIN;
	memcpy(c->blocks[block].base + at, bytes, len);
	rc = stream_send_buf(
		c->stream, &c->blocks[block], c->blocks[block].base + at, (uint32_t)len);
	if (rc)
		return rc;
	c->sent += len;
	c->block_end[block] = c->sent;
	return (long)len;
}

static long error_of(const struct stt_conn *c)
{
	int rc = c->stream ? stream_error(c->stream) : c->error;

	return rc == -ENOTCONN || (rc == 0 && c->is_closed) ? -EPIPE : rc;
}

long stt_send(struct stt *t, int id, const void *bytes, size_t len)
{
	struct stt_conn *c = conn_get(t, id);
	size_t done = 0;
	long rc = 0;

	if (!c)
		return -EBADF;
	rc = error_of(c);
	if (rc || (rc = memory_get(c)))
		return rc;
	if (len == 0)
		return 0;
	while (done < len) {
		rc = send_piece(c, (const uint8_t *)bytes + done, len - done);
		if (rc < 0)
			break;
		done += (size_t)rc;
	}
	return done > 0 ? (long)done : rc;
}

long stt_recv(struct stt *t, int id, void *bytes, size_t len)
{
	struct stt_conn *c = conn_get(t, id);
	size_t done = 0;
	long rc;

	if (!c)
		return -EBADF;
	while (c->stream && done < len) {
		struct stream_span span;
		size_t n;

		if (stream_peek(c->stream, &span, 1) == 0)
			break;
		n = span.len < len - done ? span.len : len - done;
		memcpy((uint8_t *)bytes + done, span.bytes, n);
		stream_consume(c->stream, n);
		done += n;
	}
	if (done > 0 || len == 0)
		return (long)done;
	rc = c->stream ? stream_error(c->stream) : c->error;
	if (c->is_eof && (rc == 0 || rc == -ENOTCONN))
		return 0;
	if (rc == 0)
		return c->is_closed ? -EPIPE : -EAGAIN;
	return rc;
}

int stt_shutdown(struct stt *t, int id)
{
	struct stt_conn *c = conn_get(t, id);
	int rc;

	if (!c || !c->stream)
		return -EBADF;
	rc = stream_shutdown(c->stream);
	stt_events(t);
	return rc == -ENOTCONN ? 0 : rc;
}

static void release(struct stt *t, struct stt_conn *c)
{
	stt_events(t);
	stream_info(c->stream, &c->last);
	c->error = stream_error(c->stream);
	stream_release(c->stream);
	c->stream = NULL;
	c->is_closed = true;
	c->closed_seq = ++t->closed_count;
}

int stt_close(struct stt *t, int id)
{
	struct stt_conn *c = conn_get(t, id);

	if (!c || !c->stream)
		return -EBADF;
	stream_shutdown(c->stream);
	release(t, c);
	return 0;
}

int stt_abort(struct stt *t, int id)
{
	struct stt_conn *c = conn_get(t, id);

	if (!c || !c->stream)
		return -EBADF;
	stream_abort(c->stream);
	release(t, c);
	c->error = c->error ? c->error : -ECONNABORTED;
	return 0;
}

int stt_set(struct stt *t, int id, const char *name, int64_t value)
{
	static const struct {
		const char *name;
		enum stream_option option;
	} names[] = {
		{"nodelay", STREAM_OPTION_NODELAY},
		{"keepalive_us", STREAM_OPTION_KEEPALIVE_US},
		{"keepalive_busy_us", STREAM_OPTION_KEEPALIVE_BUSY_US},
		{"keepalive_step_us", STREAM_OPTION_KEEPALIVE_STEP_US},
		{"user_timeout_us", STREAM_OPTION_USER_TIMEOUT_US},
		{"mss", STREAM_OPTION_MSS},
	};
	struct stt_conn *c = conn_get(t, id);

	if (!c || !c->stream)
		return -EBADF;
	if (value < 0)
		return -EINVAL;
	if (strcmp(name, "expect") == 0) {
		stream_expect(c->stream, value != 0);
		return stream_error(c->stream);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, name) == 0)
			return stream_option(c->stream, names[i].option, (uint64_t)value);
	return -EINVAL;
}
