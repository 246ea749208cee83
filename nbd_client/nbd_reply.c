/*
 * nbd_reply.c - replies in transmission, simple and structured, believed in nothing
 *
 * Either kind begins with 16 bytes that hold magic and cookie. A cookie must name a request in
 * flight, a READ must get exactly the bytes it asked for, other requests get none. Chunks of a
 * structured READ may come in any order, number and size: nbd_range.c keeps what arrived, so a
 * byte told twice or never told is seen, and what it had no place for is asked for again. Unknown
 * flags of a chunk are ignored, as the protocol requires.
 *
 * Errors: the first error of a reply is its result, later chunks are still checked. Error chunks
 * of unknown type are errors, as the protocol requires; any other unknown chunk ends the
 * connection. A simple reply to a READ where structured replies were agreed on is tolerated only
 * when it is an error, since then it cannot be mistaken for data.
 */
#include "nbd_client/nbd_conn_priv.h"
#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <string.h>

#define CHUNK_REST	(sizeof(struct nbd_wire_chunk) - sizeof(struct nbd_wire_simple))
#define ERROR_BYTES_MAX (sizeof(struct nbd_wire_error) + NBD_STRING_BYTES_MAX + sizeof(__be64))

static struct nbd_req *req_lookup(const struct nbd_conn *c, uint64_t cookie)
{
	uint16_t slot = (uint16_t)cookie;
	struct nbd_req *req = slot < NBD_SLOT_MAX ? c->slots[slot] : NULL;

	return req && req->cookie == cookie ? req : NULL;
}

/*
 * The answer to what was asked for has ended without an error. False: it lacks bytes of a READ
 * that were not merely forgotten for lack of room.
 */
static bool answer_account(struct nbd_req *req)
{
	const struct nbd_range *ask = &req->ask;

	if (req->type != NBD_CMD_READ && ask->from < ask->to)
		(void)nbd_range_add(req, ask->from, ask->to);
	if (nbd_range_is_whole(req))
		return true; /* is_partial is false since it was asked for */
	if (!nbd_range_is_answered(req) &&
		(!req->is_forgotten || req->told_bytes < ask->to - ask->from ||
			nbd_range_prefix(req) <= req->prefix_bytes))
		return false;
	req->is_partial = true;
	return true;
}

/* A reply, or one chunk of it, is over. */
static void reply_end(struct nbd_conn *c, struct nbd_event *ev)
{
	struct nbd_req *req = c->cur;

	assert(req);
	if (!c->is_last_chunk) {
		nbd_conn_expect(c, NBD_READY, sizeof(struct nbd_wire_simple));
		return;
	}
	if (req->result == 0 && !answer_account(req)) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "a READ was answered in part only");
		return;
	}
	nbd_conn_forget(c, req);
	nbd_conn_expect(c, NBD_READY, sizeof(struct nbd_wire_simple));
	ev->type = NBD_EVENT_REPLY;
	ev->req = req;
	ev->is_done = true;
	ev->result = req->result;
}

/* Fields of an event that carries payload and may or may not end the reply. */
static void event_data(
	struct nbd_conn *c, struct nbd_event *ev, const uint8_t *bytes, uint32_t at, uint32_t len)
{
	ev->type = NBD_EVENT_REPLY;
	ev->req = c->cur;
	ev->bytes = bytes;
	ev->at = at;
	ev->len = len;
}

static void simple_reply(struct nbd_conn *c, struct nbd_event *ev)
{
	struct nbd_wire_simple s;
	struct nbd_req *req;
	uint32_t error;

	memcpy(&s, c->in, sizeof(s));
	error = be32toh(s.error);
	req = req_lookup(c, be64toh(s.cookie));
	if (!req) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "a reply to a request that is not in flight");
		return;
	}
	c->cur = req;
	c->is_chunk = false;
	c->is_last_chunk = true;
	if (req->is_told) {
		nbd_conn_die(
			c, NBD_FAULT_LIE, ev, "a simple reply after chunks of a structured one");
	} else if (error || req->type != NBD_CMD_READ) {
		req->result = error ? nbd_errno_to_host(error) : 0;
		reply_end(c, ev);
	} else if (c->export.is_structured) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev,
			"a simple reply to a READ, although structured "
			"replies were negotiated");
	} else {
		(void)nbd_range_add(req, req->ask.from, req->ask.to);
		c->data_at = req->ask.from;
		c->data_left = req->ask.to - req->ask.from;
		nbd_conn_expect(c, NBD_WAIT_DATA, 1);
	}
}

/* The length a chunk of this type may have. */
static bool chunk_length_fits(uint16_t type, uint32_t len)
{
	if (type & NBD_CHUNK_ERROR_BIT)
		return len >= sizeof(struct nbd_wire_error) +
				       (type == NBD_CHUNK_ERROR_OFFSET ? sizeof(__be64) : 0) &&
		       len <= ERROR_BYTES_MAX;
	if (type == NBD_CHUNK_OFFSET_DATA)
		return len > sizeof(__be64);
	if (type == NBD_CHUNK_OFFSET_HOLE)
		return len == sizeof(struct nbd_wire_hole);
	return type == NBD_CHUNK_NONE && len == 0;
}

static void chunk_header(struct nbd_conn *c, struct nbd_event *ev)
{
	struct nbd_wire_chunk h;
	uint16_t flags, type;
	uint32_t len;

	memcpy(&h, c->in, sizeof(h));
	flags = be16toh(h.flags);
	type = be16toh(h.type);
	len = be32toh(h.length);
	c->cur = req_lookup(c, be64toh(h.cookie));
	c->chunk_type = type;
	c->is_chunk = true;
	c->is_last_chunk = flags & NBD_CHUNK_FLAG_DONE;
	if (!c->cur) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "a chunk for a request that is not in flight");
		return;
	}
	c->cur->is_told = true;
	if (!chunk_length_fits(type, len)) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "a chunk of type 0x%x with %u bytes", type, len);
	} else if (type == NBD_CHUNK_NONE) {
		if (!c->is_last_chunk) {
			nbd_conn_die(c, NBD_FAULT_LIE, ev, "an empty chunk that ends nothing");
			return;
		}
		reply_end(c, ev);
	} else if (type == NBD_CHUNK_OFFSET_DATA) {
		c->data_left = len - (uint32_t)sizeof(__be64);
		nbd_conn_expect(c, NBD_WAIT_CHUNK_BODY, sizeof(__be64));
	} else {
		nbd_conn_expect(c, NBD_WAIT_CHUNK_BODY, len);
	}
}

/* Checks that a data or hole chunk lies inside the request and repeats no byte. */
static bool payload_fits(struct nbd_conn *c, uint64_t offset, uint32_t len, struct nbd_event *ev)
{
	struct nbd_req *req = c->cur;
	uint64_t at = offset - req->offset;
	enum nbd_range_fate fate;

	if (req->type != NBD_CMD_READ) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "payload for a request that is not a READ");
		return false;
	}
	if (offset < req->offset || at < req->ask.from || at >= req->ask.to || len == 0 ||
		len > req->ask.to - at) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "payload outside the READ it answers");
		return false;
	}
	fate = nbd_range_add(req, (uint32_t)at, (uint32_t)at + len);
	if (fate == NBD_RANGE_TWICE || len > req->ask.to - req->ask.from - req->told_bytes) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "a READ answered twice");
		return false;
	}
	req->told_bytes += len;
	req->is_forgotten |= fate == NBD_RANGE_FORGOTTEN;
	return true;
}

static void chunk_data(struct nbd_conn *c, struct nbd_event *ev)
{
	__be64 offset_be;

	memcpy(&offset_be, c->in, sizeof(offset_be));
	if (!payload_fits(c, be64toh(offset_be), c->data_left, ev))
		return;
	c->data_at = (uint32_t)(be64toh(offset_be) - c->cur->offset);
	nbd_conn_expect(c, NBD_WAIT_DATA, 1);
}

static void chunk_hole(struct nbd_conn *c, struct nbd_event *ev)
{
	struct nbd_wire_hole h;

	memcpy(&h, c->in, sizeof(h));
	if (!payload_fits(c, be64toh(h.offset), be32toh(h.bytes), ev))
		return;
	event_data(c, ev, NULL, (uint32_t)(be64toh(h.offset) - c->cur->offset), be32toh(h.bytes));
	reply_end(c, ev);
}

static void chunk_error(struct nbd_conn *c, struct nbd_event *ev)
{
	struct nbd_wire_error e;
	struct nbd_req *req = c->cur;
	uint32_t rest = c->need - (uint32_t)sizeof(e);
	uint32_t offset_bytes = c->chunk_type == NBD_CHUNK_ERROR_OFFSET ? sizeof(__be64) : 0;
	__be64 offset_be;

	memcpy(&e, c->in, sizeof(e));
	if (be16toh(e.message_bytes) > rest - offset_bytes ||
		((c->chunk_type == NBD_CHUNK_ERROR || offset_bytes) &&
			be16toh(e.message_bytes) != rest - offset_bytes)) {
		nbd_conn_die(
			c, NBD_FAULT_LIE, ev, "an error message longer or shorter than its chunk");
		return;
	}
	if (offset_bytes) {
		memcpy(&offset_be, c->in + c->need - offset_bytes, sizeof(offset_be));
		if (be64toh(offset_be) - req->offset - req->ask.from >=
			req->ask.to - req->ask.from) {
			nbd_conn_die(
				c, NBD_FAULT_LIE, ev, "an error outside the request it answers");
			return;
		}
	}
	if (e.error == 0) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "an error chunk without an error");
		return;
	}
	if (req->result == 0)
		req->result = nbd_errno_to_host(be32toh(e.error));
	reply_end(c, ev);
}

static void reply_first(struct nbd_conn *c, struct nbd_event *ev)
{
	__be32 magic_be;
	uint32_t magic;

	memcpy(&magic_be, c->in, sizeof(magic_be));
	magic = be32toh(magic_be);
	if (magic == NBD_MAGIC_SIMPLE) {
		simple_reply(c, ev);
	} else if (magic == NBD_MAGIC_CHUNK && c->export.is_structured) {
		nbd_conn_set_state(c, NBD_WAIT_CHUNK);
		c->need += CHUNK_REST; /* the first 16 bytes stay where they are */
	} else {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "bad magic 0x%08x in a reply", magic);
	}
}

size_t nbd_reply_data(struct nbd_conn *c, const uint8_t *bytes, size_t len, struct nbd_event *ev)
{
	uint32_t part = len < c->data_left ? (uint32_t)len : c->data_left;

	assert(part > 0 && c->cur);
	event_data(c, ev, bytes, c->data_at, part);
	c->data_at += part;
	c->data_left -= part;
	if (c->data_left == 0)
		reply_end(c, ev);
	return part;
}

void nbd_reply_step(struct nbd_conn *c, struct nbd_event *ev)
{
	assert(c->have == c->need);
	if (c->state == NBD_READY)
		reply_first(c, ev);
	else if (c->state == NBD_WAIT_CHUNK)
		chunk_header(c, ev);
	else if (c->chunk_type & NBD_CHUNK_ERROR_BIT)
		chunk_error(c, ev);
	else if (c->chunk_type == NBD_CHUNK_OFFSET_HOLE)
		chunk_hole(c, ev);
	else
		chunk_data(c, ev);
}

size_t nbd_reply_at_once(
	struct nbd_conn *c, const uint8_t *bytes, size_t len, struct nbd_event *ev)
{
	struct nbd_wire_chunk h;

	assert(c->state == NBD_READY);
	if (len < sizeof(h) + sizeof(__be64) || c->have > 0 || !c->export.is_structured)
		return 0;
	memcpy(&h, bytes, sizeof(h));
	if (be32toh(h.magic) != NBD_MAGIC_CHUNK || be16toh(h.type) != NBD_CHUNK_OFFSET_DATA)
		return 0;
	nbd_conn_set_state(c, NBD_WAIT_CHUNK);
	memcpy(c->in, &h, sizeof(h));
	chunk_header(c, ev);
	if (c->state != NBD_WAIT_CHUNK_BODY)
		return sizeof(h);
	memcpy(c->in, bytes + sizeof(h), sizeof(__be64));
	chunk_data(c, ev);
	return sizeof(h) + sizeof(__be64);
}
