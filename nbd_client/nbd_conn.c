/*
 * nbd_conn.c - gathers bytes into headers, hands payload through, numbers the requests
 *
 * The server's bytes arrive in pieces of any size. A header, at most 20 bytes, is copied into a
 * small buffer until it is whole; READ payload is never copied here but shown to the owner where
 * it lies. One call makes at most one event, so that the owner can act on each before the next
 * byte is looked at, and nothing is called back.
 *
 * A cookie is the slot number and a generation that grows with every request of the connection (48
 * bits: never again the same). So a cookie names one request only, a reply sent twice or invented
 * finds no match, and its server breaks the protocol: it is cut off, not believed.
 *
 * Always: in_flight == number of slots in use == NBD_SLOT_MAX - number of free slots.
 */
#include "nbd_client/nbd_conn_priv.h"
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SLOT_BITS 16

static void shown_name_set(struct nbd_conn *c)
{
	static const char more[] = "…";
	size_t len = strlen(c->export_name), room = sizeof(c->shown_name) - sizeof(more) + 1;

	nbd_conn_text(c->shown_name, room, (const uint8_t *)c->export_name, len);
	if (len >= room)
		strcat(c->shown_name, more);
}

void nbd_conn_init(struct nbd_conn *c, const char *export_name, bool probe)
{
	assert(export_name && strlen(export_name) <= NBD_STRING_BYTES_MAX);
	memset(c, 0, offsetof(struct nbd_conn, in));
	c->export_name = export_name;
	shown_name_set(c);
	c->is_probe = probe;
	for (unsigned i = 0; i < NBD_SLOT_MAX; i++)
		c->free_slots[i] = (uint16_t)(NBD_SLOT_MAX - 1 - i);
	c->need = sizeof(struct nbd_wire_greeting);
}

/* Copies what the header still lacks. Out: bytes taken. */
static size_t gather(struct nbd_conn *c, const uint8_t *bytes, size_t len, struct nbd_event *ev)
{
	size_t part = c->need - c->have;

	assert(c->need > c->have && c->need <= sizeof(c->in));
	if (part > len)
		part = len;
	memcpy(c->in + c->have, bytes, part);
	c->have += (uint32_t)part;
	if (c->have < c->need)
		return part;
	if (c->state < NBD_READY)
		nbd_nego_step(c, ev);
	else
		nbd_reply_step(c, ev);
	return part;
}

size_t nbd_conn_feed(struct nbd_conn *c, const uint8_t *bytes, size_t len, struct nbd_event *ev)
{
	size_t taken = 0, part;

	ev->type = NBD_EVENT_NONE;
	ev->req = NULL;
	ev->bytes = NULL;
	ev->at = ev->len = 0;
	ev->name = ev->text = NULL;
	ev->name_bytes = ev->text_bytes = 0;
	ev->is_done = false;
	ev->result = 0;
	while (taken < len && ev->type == NBD_EVENT_NONE) {
		if (c->state >= NBD_CLOSED)
			return len;
		if (c->state == NBD_WAIT_DATA)
			part = nbd_reply_data(c, bytes + taken, len - taken, ev);
		else if (c->state == NBD_READY)
			part = nbd_reply_at_once(c, bytes + taken, len - taken, ev);
		else
			part = 0;
		taken += part ? part : gather(c, bytes + taken, len - taken, ev);
	}
	return taken;
}

void nbd_conn_eof(struct nbd_conn *c)
{
	struct nbd_event ev;

	if (c->state >= NBD_CLOSED)
		return;
	if (c->is_closing) { /* the end is early, its reason, if any, the same */
		nbd_conn_set_state(c, c->fault == NBD_FAULT_NONE ? NBD_CLOSED : NBD_DEAD);
		return;
	}
	if (c->state == NBD_WAIT_MAGIC && c->have == 0)
		nbd_conn_die(c, NBD_FAULT_LOST, &ev,
			"the server closed the connection without a greeting");
	else if (c->state == NBD_WAIT_EXPORT)
		nbd_conn_die(c, NBD_FAULT_REFUSED, &ev,
			"the server closed the connection when asked for export '%s': "
			"check the export's name",
			c->shown_name);
	else if (c->state == NBD_WAIT_TLS)
		nbd_conn_die(c, NBD_FAULT_LOST, &ev, "%s", NBD_TLS_ENDED);
	else if (c->state < NBD_READY)
		nbd_conn_die(c, NBD_FAULT_LOST, &ev,
			"the server closed the connection in the handshake");
	else
		nbd_conn_die(c, NBD_FAULT_LOST, &ev, "the server closed the connection");
}

const uint8_t *nbd_conn_output(const struct nbd_conn *c, size_t *len)
{
	*len = c->out_len - c->out_head;
	return c->out + c->out_head;
}

void nbd_conn_sent(struct nbd_conn *c, size_t len)
{
	assert(len <= c->out_len - c->out_head);
	c->out_head += (uint32_t)len;
	if (c->out_head == c->out_len)
		c->out_head = c->out_len = 0;
}

static void request_header(const struct nbd_req *req, struct nbd_wire_request *hdr)
{
	hdr->magic = htobe32(NBD_MAGIC_REQUEST);
	hdr->flags = htobe16(req->flags);
	hdr->type = htobe16(req->type);
	hdr->cookie = htobe64(req->cookie);
	hdr->offset = htobe64(req->offset + req->ask.from);
	hdr->length = htobe32(req->ask.to - req->ask.from);
}

int nbd_conn_request(struct nbd_conn *c, struct nbd_req *req, struct nbd_wire_request *hdr)
{
	uint16_t slot;

	if (c->state < NBD_READY || c->state >= NBD_CLOSED)
		return -ENOTCONN;
	if (c->in_flight == NBD_SLOT_MAX)
		return -ENOSPC;
	slot = c->free_slots[NBD_SLOT_MAX - 1 - c->in_flight];
	assert(!c->slots[slot]);
	c->slots[slot] = req;
	c->in_flight++;
	req->cookie = ++c->generation << SLOT_BITS | slot;
	req->result = 0;
	nbd_range_ask(req, c->export.block_min);
	request_header(req, hdr);
	return 0;
}

void nbd_conn_forget(struct nbd_conn *c, struct nbd_req *req)
{
	uint16_t slot = (uint16_t)req->cookie;

	assert(slot < NBD_SLOT_MAX && c->slots[slot] == req);
	assert(c->in_flight > 0);
	if (c->cur == req)
		c->cur = NULL;
	c->slots[slot] = NULL;
	c->in_flight--;
	c->free_slots[NBD_SLOT_MAX - 1 - c->in_flight] = slot;
}

/* The protocol's good-bye, where one is known: DISC in transmission, ABORT between two options. */
static void goodbye_put(struct nbd_conn *c)
{
	struct nbd_wire_option opt = {
		.magic = htobe64(NBD_MAGIC_OPTION),
		.option = htobe32(NBD_OPT_ABORT),
	};
	struct nbd_req disc = {.type = NBD_CMD_DISC};
	struct nbd_wire_request hdr;

	/* If the output is full the FIN alone must do. */
	if (c->state >= NBD_READY || c->is_oldstyle) {
		disc.cookie = ++c->generation << SLOT_BITS;
		request_header(&disc, &hdr);
		(void)nbd_conn_put(c, &hdr, sizeof(hdr));
	} else if (c->option != 0) {
		c->is_abort_said = true;
		(void)nbd_conn_put(c, &opt, sizeof(opt));
	}
}

void nbd_conn_close(struct nbd_conn *c)
{
	if (c->state >= NBD_CLOSED)
		return;
	if (c->is_option_open) {
		c->is_closing = true;
		return;
	}
	goodbye_put(c);
	nbd_conn_set_state(c, NBD_CLOSED);
}

void nbd_conn_close_now(struct nbd_conn *c, struct nbd_event *ev)
{
	c->is_option_open = c->is_closing = false;
	goodbye_put(c);
	if (c->fault == NBD_FAULT_NONE) {
		nbd_conn_set_state(c, NBD_CLOSED);
		return;
	}
	c->is_soft = true;
	nbd_conn_set_state(c, NBD_DEAD);
	ev->type = NBD_EVENT_DEAD;
}

int nbd_errno_to_host(uint32_t wire)
{
	switch (wire) {
	case NBD_EPERM:
		return -EPERM;
	case NBD_EIO:
		return -EIO;
	case NBD_ENOMEM:
		return -ENOMEM;
	case NBD_ENOSPC:
		return -ENOSPC;
	case NBD_EOVERFLOW:
		return -EOVERFLOW;
	case NBD_ENOTSUP:
		return -EOPNOTSUPP;
	case NBD_ESHUTDOWN:
		return -ESHUTDOWN;
	default:
		return -EINVAL;
	}
}

/* ---- for nbd_nego.c and nbd_reply.c ---- */

#define TO(state) (1u << (state))
#define ENDS	  (TO(NBD_CLOSED) | TO(NBD_DEAD))

void nbd_conn_set_state(struct nbd_conn *c, enum nbd_conn_state state)
{
	static const uint16_t arcs[] = {
		[NBD_WAIT_MAGIC] = TO(NBD_WAIT_FLAGS) | ENDS,
		[NBD_WAIT_FLAGS] = TO(NBD_WAIT_OPT_REPLY) | TO(NBD_WAIT_EXPORT) | ENDS,
		[NBD_WAIT_OPT_REPLY] = TO(NBD_WAIT_OPT_REPLY) | TO(NBD_WAIT_OPT_BODY) |
				       TO(NBD_WAIT_EXPORT) | TO(NBD_WAIT_TLS) | TO(NBD_READY) |
				       ENDS,
		[NBD_WAIT_OPT_BODY] =
			TO(NBD_WAIT_OPT_REPLY) | TO(NBD_WAIT_EXPORT) | TO(NBD_READY) | ENDS,
		[NBD_WAIT_EXPORT] = TO(NBD_READY) | ENDS,
		[NBD_WAIT_TLS] = TO(NBD_WAIT_OPT_REPLY) | ENDS,
		[NBD_READY] = TO(NBD_READY) | TO(NBD_WAIT_CHUNK) | TO(NBD_WAIT_DATA) | ENDS,
		[NBD_WAIT_CHUNK] = TO(NBD_READY) | TO(NBD_WAIT_CHUNK_BODY) | ENDS,
		[NBD_WAIT_CHUNK_BODY] = TO(NBD_READY) | TO(NBD_WAIT_DATA) | ENDS,
		[NBD_WAIT_DATA] = TO(NBD_READY) | ENDS,
		[NBD_CLOSED] = TO(NBD_DEAD),
		[NBD_DEAD] = 0,
	};

	assert(arcs[c->state] & TO(state));
	c->state = state;
}

void nbd_conn_expect(struct nbd_conn *c, enum nbd_conn_state state, uint32_t need)
{
	assert(need > 0 && need <= sizeof(c->in));
	nbd_conn_set_state(c, state);
	c->have = 0;
	c->need = need;
}

static void error_vset(struct nbd_conn *c, enum nbd_fault fault, const char *fmt, va_list ap)
{
	char raw[sizeof(c->error)];

	vsnprintf(raw, sizeof(raw), fmt, ap);
	nbd_conn_text(c->error, sizeof(c->error), (const uint8_t *)raw, strlen(raw));
	c->fault = fault;
}

void nbd_conn_die(
	struct nbd_conn *c, enum nbd_fault fault, struct nbd_event *ev, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_vset(c, fault, fmt, ap);
	va_end(ap);
	nbd_conn_set_state(c, NBD_DEAD);
	ev->type = NBD_EVENT_DEAD;
}

void nbd_conn_refuse(
	struct nbd_conn *c, enum nbd_fault fault, struct nbd_event *ev, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_vset(c, fault, fmt, ap);
	va_end(ap);
	c->is_closing = true;
	if (!c->is_option_open)
		nbd_conn_close_now(c, ev);
}

bool nbd_conn_put(struct nbd_conn *c, const void *bytes, size_t len)
{
	if (len > sizeof(c->out) - c->out_len)
		return false;
	memcpy(c->out + c->out_len, bytes, len);
	c->out_len += (uint32_t)len;
	return true;
}
