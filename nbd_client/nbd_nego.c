/*
 * nbd_nego.c - the fixed newstyle handshake, from greeting to transmission
 *
 *   greeting, flags ─▶ [STARTTLS] ─▶ [LIST] ─▶ STRUCTURED_REPLY ─▶ GO ─▶ transmission
 *                      (no is fatal)  (probe)    (no is fine)      └▶ EXPORT_NAME, where GO is
 *                                                                      not known
 *
 * STARTTLS is the first option where TLS is required. Nothing was learnt before it but that the
 * server is fixed newstyle, and a byte that follows its ACK is TLS's: it is never parsed here.
 *
 * A probe asks INFO in the place of GO and ends with ABORT; if INFO says that the export is empty,
 * it asks GO too, for some servers tell the size only then. Whatever is refused, by the server or
 * by us, ends softly: ABORT between two options, never while one is unanswered, DISC in
 * transmission. A server that is not fixed newstyle may be asked for nothing but EXPORT_NAME. One
 * option is pending at a time, and a reply must name it. Block sizes are asked for, so they are
 * obeyed.
 *
 * Faults are of three kinds, because what follows differs: LOST is worth another try, LIE means it
 * is cut off, REFUSED is an answer that a person must change (no such export, TLS, oldstyle). Each
 * leaves one sentence in c->error that ends with the remedy.
 *
 * Runs inside nbd_conn_feed(); always: a string the server sends is bounded by c->in before it is
 * looked at, and is made printable before it is kept.
 */
#include "nbd_client/nbd_conn_priv.h"
#include <assert.h>
#include <endian.h>
#include <string.h>

#define FULL "the server sent a reply before a request"

static void option_put(
	struct nbd_conn *c, uint32_t option, const void *data, uint32_t len, struct nbd_event *ev)
{
	struct nbd_wire_option opt = {
		.magic = htobe64(NBD_MAGIC_OPTION),
		.option = htobe32(option),
		.length = htobe32(len),
	};

	c->option = option;
	c->is_option_open = true;
	c->reply_count = 0;
	if (!nbd_conn_put(c, &opt, sizeof(opt)) || !nbd_conn_put(c, data, len)) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, FULL);
		return;
	}
	if (option == NBD_OPT_EXPORT_NAME)
		nbd_conn_expect(c, NBD_WAIT_EXPORT,
			sizeof(struct nbd_wire_export) +
				(c->is_no_zeroes ? 0 : NBD_EXPORT_PAD_BYTES));
	else
		nbd_conn_expect(c, NBD_WAIT_OPT_REPLY, sizeof(struct nbd_wire_option_reply));
}

static void export_name_put(struct nbd_conn *c, struct nbd_event *ev)
{
	/* Structured replies may have been agreed on before; they stay agreed on. */
	option_put(c, NBD_OPT_EXPORT_NAME, c->export_name, (uint32_t)strlen(c->export_name), ev);
}

/* GO and INFO carry the same: the name, and which facts we want beside the export's size. */
static void go_put(struct nbd_conn *c, uint32_t option, struct nbd_event *ev)
{
	static const uint16_t wanted[] = {NBD_INFO_BLOCK_SIZE, NBD_INFO_NAME, NBD_INFO_DESCRIPTION};
	unsigned wanted_count = c->is_probe ? 3 : 1;
	uint8_t data[4 + NBD_STRING_BYTES_MAX + 2 + sizeof(wanted)];
	uint32_t name_bytes = (uint32_t)strlen(c->export_name), len = 0;
	__be32 name_bytes_be = htobe32(name_bytes);
	__be16 half_be = htobe16((uint16_t)wanted_count);

	memcpy(data, &name_bytes_be, sizeof(name_bytes_be));
	len += sizeof(name_bytes_be);
	memcpy(data + len, c->export_name, name_bytes);
	len += name_bytes;
	memcpy(data + len, &half_be, sizeof(half_be));
	len += sizeof(half_be);
	for (unsigned i = 0; i < wanted_count; i++) {
		half_be = htobe16(wanted[i]);
		memcpy(data + len, &half_be, sizeof(half_be));
		len += sizeof(half_be);
	}
	c->has_info_export = false;
	option_put(c, option, data, len, ev);
}

/* The first option, where TLS is required. */
static void starttls_put(struct nbd_conn *c, struct nbd_event *ev)
{
	if (c->is_fixed)
		option_put(c, NBD_OPT_STARTTLS, "", 0, ev);
	else
		nbd_conn_refuse(c, NBD_FAULT_REFUSED, ev,
			"the server cannot do TLS, which is required: it is not fixed newstyle");
}

/* The server agreed. Until nbd_conn_secured() there is nothing to say, not even a good-bye. */
static void starttls_answer(struct nbd_conn *c, struct nbd_event *ev)
{
	c->option = 0;
	if (c->is_closing) {
		nbd_conn_close_now(c, ev);
		return;
	}
	nbd_conn_expect(c, NBD_WAIT_TLS, 1);
	ev->type = NBD_EVENT_TLS;
}

/* The option after the one that was just answered. */
static void option_next(struct nbd_conn *c, struct nbd_event *ev)
{
	if (c->is_closing)
		nbd_conn_close_now(c, ev);
	else if (c->wants_tls && !c->is_secured)
		starttls_put(c, ev);
	else if (!c->is_fixed)
		export_name_put(c, ev);
	else if (c->option == 0 && c->is_probe)
		option_put(c, NBD_OPT_LIST, "", 0, ev);
	else if (c->option == 0 || c->option == NBD_OPT_LIST)
		option_put(c, NBD_OPT_STRUCTURED_REPLY, "", 0, ev);
	else
		go_put(c, c->is_probe ? NBD_OPT_INFO : NBD_OPT_GO, ev);
}

/* Behind its greeting such a server takes requests at once, so DISC is what it understands. */
static void oldstyle_refuse(struct nbd_conn *c, struct nbd_event *ev)
{
	c->is_oldstyle = true;
	nbd_conn_refuse(c, NBD_FAULT_REFUSED, ev,
		"an oldstyle NBD server, which cannot negotiate: start it in newstyle mode");
}

static void greeting(struct nbd_conn *c, struct nbd_event *ev)
{
	struct nbd_wire_greeting g;

	memcpy(&g, c->in, sizeof(g));
	if (be64toh(g.magic) != NBD_MAGIC_INIT)
		nbd_conn_die(c, NBD_FAULT_REFUSED, ev,
			"not an NBD server: its greeting is a different one; check address and "
			"port");
	else if (be64toh(g.style) == NBD_MAGIC_OLDSTYLE)
		oldstyle_refuse(c, ev);
	else if (be64toh(g.style) != NBD_MAGIC_OPTION)
		nbd_conn_die(c, NBD_FAULT_REFUSED, ev,
			"an NBD server of an unknown style; check address and port");
	else
		nbd_conn_expect(c, NBD_WAIT_FLAGS, sizeof(__be16));
}

static void handshake_flags(struct nbd_conn *c, struct nbd_event *ev)
{
	__be16 flags_be;
	__be32 ours_be;
	uint16_t flags;

	memcpy(&flags_be, c->in, sizeof(flags_be));
	flags = be16toh(flags_be);
	c->is_fixed = c->export.is_fixed = flags & NBD_HS_FIXED_NEWSTYLE;
	c->is_no_zeroes = flags & NBD_HS_NO_ZEROES;
	ours_be = htobe32(flags & (NBD_HS_FIXED_NEWSTYLE | NBD_HS_NO_ZEROES));
	if (nbd_conn_put(c, &ours_be, sizeof(ours_be)))
		option_next(c, ev);
	else
		nbd_conn_die(c, NBD_FAULT_LIE, ev, FULL);
}

/* Negotiation is done: a probe says good-bye, anyone else begins. */
static void finish(struct nbd_conn *c, struct nbd_event *ev)
{
	if (!(c->export.flags & NBD_FLAG_HAS_FLAGS))
		c->export.flags = 0;
	if (c->option != NBD_OPT_INFO)
		nbd_conn_expect(c, NBD_READY, sizeof(struct nbd_wire_simple));
	c->is_option_open = false;
	if (c->is_closing) {
		nbd_conn_close_now(c, ev);
		return;
	}
	if (c->is_probe)
		nbd_conn_close(c);
	ev->type = NBD_EVENT_READY;
}

static void export_answer(struct nbd_conn *c, struct nbd_event *ev)
{
	struct nbd_wire_export e;

	memcpy(&e, c->in, sizeof(e));
	c->export.size_bytes = be64toh(e.size);
	c->export.flags = be16toh(e.flags);
	finish(c, ev);
}

static void info_block_size(struct nbd_conn *c, struct nbd_event *ev)
{
	struct nbd_wire_info_block b;
	struct nbd_export *x = &c->export;

	if (c->need != sizeof(b)) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "block size information of %u bytes", c->need);
		return;
	}
	memcpy(&b, c->in, sizeof(b));
	x->block_min = be32toh(b.min);
	x->block_pref = be32toh(b.pref);
	x->block_max = be32toh(b.max);
	x->has_block_size = true;
	if (x->block_min == 0 || (x->block_min & (x->block_min - 1)) ||
		x->block_min > NBD_BLOCK_BYTES_MAX)
		nbd_conn_refuse(c, NBD_FAULT_REFUSED, ev,
			"the server requires blocks of %u bytes, not a power of two up to %u: "
			"change its block size policy",
			x->block_min, NBD_BLOCK_BYTES_MAX);
	else if (x->block_max < x->block_min)
		nbd_conn_refuse(c, NBD_FAULT_REFUSED, ev,
			"the server's largest block (%u bytes) is smaller than its smallest (%u): "
			"change its block size policy",
			x->block_max, x->block_min);
}

/* NAME or DESCRIPTION, which only a probe asks for. */
static void info_text(struct nbd_conn *c, struct nbd_event *ev, bool is_name)
{
	uint32_t len = c->need - (uint32_t)sizeof(__be16);
	uint8_t *text = c->in + sizeof(__be16);

	if (len > NBD_STRING_BYTES_MAX) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "a name or description of %u bytes", len);
		return;
	}
	if (!c->is_probe)
		return;
	nbd_text_clean(text, len);
	ev->type = is_name ? NBD_EVENT_NAME : NBD_EVENT_DESCRIPTION;
	*(is_name ? &ev->name : &ev->text) = (const char *)text;
	*(is_name ? &ev->name_bytes : &ev->text_bytes) = len;
}

/* One INFO reply, whole in c->in. */
static void info(struct nbd_conn *c, struct nbd_event *ev)
{
	struct nbd_wire_info_export e;
	__be16 type_be;

	if (c->need < sizeof(type_be) || ++c->reply_count > NBD_INFO_MAX) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "malformed or endless export information");
		return;
	}
	memcpy(&type_be, c->in, sizeof(type_be));
	switch (be16toh(type_be)) {
	case NBD_INFO_EXPORT:
		if (c->need != sizeof(e)) {
			nbd_conn_die(
				c, NBD_FAULT_LIE, ev, "export information of %u bytes", c->need);
			return;
		}
		memcpy(&e, c->in, sizeof(e));
		c->export.size_bytes = be64toh(e.size);
		c->export.flags = be16toh(e.flags);
		c->has_info_export = true;
		return;
	case NBD_INFO_BLOCK_SIZE:
		info_block_size(c, ev);
		return;
	case NBD_INFO_NAME:
		info_text(c, ev, true);
		return;
	case NBD_INFO_DESCRIPTION:
		info_text(c, ev, false);
		return;
	default: /* not asked for; the protocol lets us look away */
		return;
	}
}

/* One name of LIST, whole in c->in: length, name, and a text to the end. */
static void list_entry(struct nbd_conn *c, struct nbd_event *ev)
{
	__be32 name_bytes_be;
	uint32_t name_bytes;

	if (c->need < sizeof(name_bytes_be) || ++c->reply_count > NBD_LIST_MAX) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "malformed or endless list of exports");
		return;
	}
	memcpy(&name_bytes_be, c->in, sizeof(name_bytes_be));
	name_bytes = be32toh(name_bytes_be);
	if (name_bytes > NBD_STRING_BYTES_MAX || name_bytes > c->need - 4) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "an export's name of %u bytes", name_bytes);
		return;
	}
	if (c->need - 4 - name_bytes > NBD_STRING_BYTES_MAX) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "an export's description of %u bytes",
			c->need - 4 - name_bytes);
		return;
	}
	nbd_text_clean(c->in + 4, name_bytes);
	nbd_text_clean(c->in + 4 + name_bytes, c->need - 4 - name_bytes);
	ev->name = (const char *)c->in + 4;
	ev->name_bytes = name_bytes;
	ev->text = ev->name + name_bytes;
	ev->text_bytes = c->need - 4 - name_bytes;
	ev->type = NBD_EVENT_EXPORT;
}

/* The server said no to GO or INFO; its own words are in c->in. */
static void go_refused(struct nbd_conn *c, struct nbd_event *ev, const char *words)
{
	switch (c->reply_type) {
	case (uint32_t)NBD_REP_ERR_UNSUP:
		export_name_put(c, ev);
		return;
	case (uint32_t)NBD_REP_ERR_UNKNOWN:
		nbd_conn_refuse(c, NBD_FAULT_REFUSED, ev,
			"the server has no export '%s'%s; 'sluice probe' lists what it has",
			c->shown_name, words);
		return;
	case (uint32_t)NBD_REP_ERR_POLICY:
		nbd_conn_refuse(c, NBD_FAULT_REFUSED, ev,
			"the server's policy forbids export '%s'%s; allow this client there",
			c->shown_name, words);
		return;
	default:
		nbd_conn_refuse(c, NBD_FAULT_REFUSED, ev,
			"the server refused export '%s' with error %u%s; see the server's log",
			c->shown_name, c->reply_type & ~NBD_REP_ERROR_BIT, words);
		return;
	}
}

static void option_error(struct nbd_conn *c, struct nbd_event *ev, uint32_t len)
{
	char words[140] = "";

	if (len > 0) {
		memcpy(words, ": ", 2);
		nbd_conn_text(words + 2, sizeof(words) - 2, c->in, len);
	}
	c->is_option_open = false;
	if (c->is_closing)
		nbd_conn_close_now(c, ev);
	else if (c->reply_type == (uint32_t)NBD_REP_ERR_SHUTDOWN)
		nbd_conn_refuse(c, NBD_FAULT_LOST, ev, "the server is shutting down%s", words);
	else if (c->option == NBD_OPT_STARTTLS)
		nbd_conn_refuse(c, NBD_FAULT_REFUSED, ev,
			"the server does not do TLS, which is required%s; give it a certificate or "
			"a pre-shared key",
			words);
	else if ((c->is_tls_refused = c->reply_type == (uint32_t)NBD_REP_ERR_TLS_REQD))
		nbd_conn_refuse(c, NBD_FAULT_REFUSED, ev,
			"the server requires TLS, which is not supported: "
			"let the server accept plain connections from here%s",
			words);
	else if (c->option == NBD_OPT_GO || c->option == NBD_OPT_INFO)
		go_refused(c, ev, words);
	else
		option_next(c, ev); /* no LIST, no structured replies: go on without */
}

/* A reply to our option is here, body and all: @len bytes in c->in. */
static void option_reply(struct nbd_conn *c, struct nbd_event *ev, uint32_t len)
{
	bool is_go = c->option == NBD_OPT_GO || c->option == NBD_OPT_INFO;

	if (c->reply_type & NBD_REP_ERROR_BIT) {
		option_error(c, ev, len);
		return;
	}
	if (c->reply_type == NBD_REP_INFO && is_go) {
		info(c, ev);
	} else if (c->reply_type == NBD_REP_SERVER && c->option == NBD_OPT_LIST) {
		list_entry(c, ev);
	} else if (c->reply_type != NBD_REP_ACK || len > 0) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "reply %u of %u bytes to option %u",
			c->reply_type, len, c->option);
	} else if (is_go && !c->has_info_export) {
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "the server agreed without sending the size");
	} else if (c->option == NBD_OPT_INFO && c->export.size_bytes == 0 && !c->is_closing) {
		go_put(c, NBD_OPT_GO, ev); /* nbd-server: INFO says 0, and only GO how many */
		return;
	} else if (is_go) {
		finish(c, ev);
		return;
	} else if (c->option == NBD_OPT_STARTTLS) {
		c->is_option_open = false;
		starttls_answer(c, ev);
		return;
	} else {
		c->export.is_structured |= c->option == NBD_OPT_STRUCTURED_REPLY;
		c->has_list |= c->option == NBD_OPT_LIST;
		c->is_option_open = false;
		option_next(c, ev);
		return;
	}
	if (c->state < NBD_CLOSED)
		nbd_conn_expect(c, NBD_WAIT_OPT_REPLY, sizeof(struct nbd_wire_option_reply));
}

static void option_reply_header(struct nbd_conn *c, struct nbd_event *ev)
{
	struct nbd_wire_option_reply r;
	uint32_t len;

	memcpy(&r, c->in, sizeof(r));
	len = be32toh(r.length);
	c->reply_type = be32toh(r.type);
	if (be64toh(r.magic) != NBD_MAGIC_OPT_REPLY)
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "bad magic in the handshake");
	else if (be32toh(r.option) != c->option)
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "a reply to option %u instead of option %u",
			be32toh(r.option), c->option);
	else if (len > sizeof(c->in))
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "an answer of %u bytes in the handshake", len);
	else if (len > 0)
		nbd_conn_expect(c, NBD_WAIT_OPT_BODY, len);
	else
		option_reply(c, ev, 0);
}

void nbd_nego_step(struct nbd_conn *c, struct nbd_event *ev)
{
	assert(c->have == c->need);
	switch (c->state) {
	case NBD_WAIT_MAGIC:
		greeting(c, ev);
		return;
	case NBD_WAIT_FLAGS:
		handshake_flags(c, ev);
		return;
	case NBD_WAIT_OPT_REPLY:
		option_reply_header(c, ev);
		return;
	case NBD_WAIT_OPT_BODY:
		option_reply(c, ev, c->need);
		return;
	case NBD_WAIT_EXPORT:
		export_answer(c, ev);
		return;
	case NBD_WAIT_TLS:
		nbd_conn_die(c, NBD_FAULT_LIE, ev, "plaintext where TLS was agreed on");
		return;
	default:
		assert(!"a handshake step outside the handshake");
	}
}

void nbd_conn_require_tls(struct nbd_conn *c)
{
	assert(c->state == NBD_WAIT_MAGIC && c->have == 0);
	c->wants_tls = true;
}

void nbd_conn_secured(struct nbd_conn *c, struct nbd_event *ev)
{
	assert(c->state == NBD_WAIT_TLS && c->option == 0);
	ev->type = NBD_EVENT_NONE;
	c->is_secured = true;
	option_next(c, ev);
}
