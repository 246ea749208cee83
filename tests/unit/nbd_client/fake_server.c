/*
 * fake_server.c - the other end of the conversation, with a flaw on demand
 *
 * Reads what the client queued, in order and only when a message is whole, keeps a disk in memory
 * and a log of every command. Honest but for one lie, which is told once.
 */
#include "tests/unit/nbd_client/fake_server.h"
#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum phase { GREET, FLAGS, OPTIONS, SERVE, OVER };

struct fake_server *fake_server_create(struct net *net, uint64_t size_bytes)
{
	struct fake_server *srv = calloc(1, sizeof(*srv));

	assert(srv);
	srv->net = net;
	srv->size_bytes = size_bytes;
	srv->disk = calloc(1, size_bytes ? size_bytes : 1);
	srv->flags = FAKE_FLAGS_ALL;
	srv->block_min = 512;
	srv->block_pref = 4096;
	srv->block_max = 1u << 20;
	srv->has_no_zeroes = srv->knows_go = srv->knows_structured = true;
	return srv;
}

void fake_server_destroy(struct fake_server *srv)
{
	free(srv->disk);
	free(srv);
}

unsigned fake_server_count(const struct fake_server *srv, uint16_t type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < srv->cmd_count; i++)
		n += srv->cmds[i].type == type;
	return n;
}

static const uint8_t *unread(const struct stream *s, size_t *len)
{
	const struct fake_pipe *p = s->seal ? &s->plain : &s->to_server;

	*len = p->len - s->server_at;
	return p->bytes + s->server_at;
}

/* ---- handshake ---- */

static void greet(struct fake_server *srv, struct stream *s, uint8_t *phase)
{
	struct nbd_wire_greeting g = {htobe64(NBD_MAGIC_INIT), htobe64(NBD_MAGIC_OPTION)};
	uint16_t flags_be = htobe16((srv->is_plain_newstyle ? 0 : NBD_HS_FIXED_NEWSTYLE) |
				    (srv->has_no_zeroes ? NBD_HS_NO_ZEROES : 0));

	if (srv->is_garbage) {
		fake_stream_write(s, "SSH-2.0-OpenSSH_9.2p1 Debian\r\n", 30);
		*phase = OVER;
		return;
	}
	if (srv->is_oldstyle)
		g.style = htobe64(NBD_MAGIC_OLDSTYLE);
	fake_stream_write(s, &g, sizeof(g));
	fake_stream_write(s, &flags_be, sizeof(flags_be));
	*phase = srv->is_oldstyle ? OVER : FLAGS;
}

static void opt_reply(
	struct stream *s, uint32_t option, uint32_t type, const void *data, uint32_t len)
{
	struct nbd_wire_option_reply r = {
		htobe64(NBD_MAGIC_OPT_REPLY), htobe32(option), htobe32(type), htobe32(len)};

	fake_stream_write(s, &r, sizeof(r));
	fake_stream_write(s, data, len);
}

static void opt_go(struct fake_server *srv, struct stream *s, uint32_t option)
{
	struct nbd_wire_info_export e = {
		htobe16(NBD_INFO_EXPORT),
		htobe64(srv->tells_size_by_go_only && option == NBD_OPT_INFO ? 0 : srv->size_bytes),
		htobe16(srv->flags)};
	struct nbd_wire_info_block b = {htobe16(NBD_INFO_BLOCK_SIZE), htobe32(srv->block_min),
		htobe32(srv->block_pref), htobe32(srv->block_max)};

	if (srv->option_error) {
		opt_reply(s, option, srv->option_error, "no", 2);
		return;
	}
	opt_reply(s, option, NBD_REP_INFO, &e, sizeof(e));
	if (srv->block_min)
		opt_reply(s, option, NBD_REP_INFO, &b, sizeof(b));
	opt_reply(s, option, NBD_REP_INFO, "\0\x09unknown", 9);
	opt_reply(s, option, NBD_REP_ACK, NULL, 0);
}

size_t fake_name_bytes(unsigned idx)
{
	return idx % 3 == 2 ? NBD_STRING_BYTES_MAX : 1 + idx * 7;
}

static void opt_list(const struct fake_server *srv, struct stream *s)
{
	uint8_t entry[4 + NBD_STRING_BYTES_MAX];

	memset(entry, 'n', sizeof(entry));
	for (unsigned i = 0; i < srv->listed_count; i++) {
		uint32_t len = (uint32_t)fake_name_bytes(i), len_be = htobe32(len);

		memcpy(entry, &len_be, sizeof(len_be));
		opt_reply(s, NBD_OPT_LIST, NBD_REP_SERVER, entry, 4 + len);
	}
	if (srv->listed_count > 0) {
		opt_reply(s, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
		return;
	}
	opt_reply(s, NBD_OPT_LIST, NBD_REP_SERVER, "\0\0\0\5first", 9);
	opt_reply(s, NBD_OPT_LIST, NBD_REP_SERVER, "\0\0\0\6secondwith a text", 21);
	opt_reply(s, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
}

static void opt_export_name(struct fake_server *srv, struct stream *s)
{
	struct nbd_wire_export e = {htobe64(srv->size_bytes), htobe16(srv->flags)};
	static const uint8_t pad[NBD_EXPORT_PAD_BYTES];

	fake_stream_write(s, &e, sizeof(e));
	if (!srv->has_no_zeroes)
		fake_stream_write(s, pad, sizeof(pad));
}

static bool option(struct fake_server *srv, struct stream *s, unsigned idx)
{
	struct nbd_wire_option o;
	size_t len;
	const uint8_t *at = unread(s, &len);
	uint32_t opt;

	if (len < sizeof(o) || srv->holds_options)
		return false;
	memcpy(&o, at, sizeof(o));
	assert(be64toh(o.magic) == NBD_MAGIC_OPTION);
	if (len < sizeof(o) + be32toh(o.length))
		return false;
	s->server_at += sizeof(o) + be32toh(o.length);
	opt = be32toh(o.option);
	if (opt == NBD_OPT_ABORT) {
		srv->abort_count++;
		srv->phase[idx] = OVER;
		opt_reply(s, opt, NBD_REP_ACK, NULL, 0);
		if (!srv->stays_after_disc)
			fake_stream_close(s);
	} else if (opt == NBD_OPT_EXPORT_NAME) {
		opt_export_name(srv, s);
		srv->phase[idx] = SERVE;
	} else if (srv->every_option_error) {
		opt_reply(s, opt, srv->every_option_error, NULL, 0);
	} else if (opt == NBD_OPT_STARTTLS && srv->tls_begin) {
		opt_reply(s, opt, NBD_REP_ACK, NULL, 0);
		srv->tls_begin(srv, s);
	} else if (opt == NBD_OPT_STRUCTURED_REPLY && srv->knows_structured) {
		srv->is_structured[idx] = true;
		opt_reply(s, opt, NBD_REP_ACK, NULL, 0);
	} else if (opt == NBD_OPT_LIST) {
		opt_list(srv, s);
	} else if ((opt == NBD_OPT_GO || opt == NBD_OPT_INFO) && srv->knows_go) {
		opt_go(srv, s, opt);
		if (opt == NBD_OPT_GO && !srv->option_error)
			srv->phase[idx] = SERVE;
	} else {
		opt_reply(s, opt, NBD_REP_ERR_UNSUP, NULL, 0);
	}
	return true;
}

/* ---- replies ---- */

static void chunk(const struct fake_server *srv, struct stream *s, const struct fake_cmd *c,
	uint16_t flags, uint16_t type, const void *head, uint32_t head_bytes, const void *data,
	uint32_t data_bytes)
{
	struct nbd_wire_chunk h = {htobe32(NBD_MAGIC_CHUNK), htobe16(flags | srv->chunk_flags),
		htobe16(type), htobe64(c->cookie), htobe32(head_bytes + data_bytes)};

	fake_stream_write(s, &h, sizeof(h));
	fake_stream_write(s, head, head_bytes);
	fake_stream_write(s, data, data_bytes);
}

static void simple(struct stream *s, uint64_t cookie, uint32_t error)
{
	struct nbd_wire_simple r = {htobe32(NBD_MAGIC_SIMPLE), htobe32(error), htobe64(cookie)};

	fake_stream_write(s, &r, sizeof(r));
}

static void chunk_data(struct fake_server *srv, struct stream *s, const struct fake_cmd *c,
	uint16_t flags, uint64_t offset, uint32_t bytes)
{
	uint64_t offset_be = htobe64(offset);
	static const uint8_t junk[8192];
	bool is_on_disk = offset + bytes <= srv->size_bytes;

	chunk(srv, s, c, flags, NBD_CHUNK_OFFSET_DATA, &offset_be, sizeof(offset_be),
		is_on_disk ? srv->disk + offset : junk, bytes);
}

static void chunk_hole(const struct fake_server *srv, struct stream *s, const struct fake_cmd *c,
	uint64_t offset, uint32_t bytes)
{
	struct nbd_wire_hole h = {htobe64(offset), htobe32(bytes)};

	chunk(srv, s, c, 0, NBD_CHUNK_OFFSET_HOLE, &h, sizeof(h), NULL, 0);
}

/* The @i-th of @n chunks to leave. */
static uint32_t chunk_place(const struct fake_server *srv, uint32_t i, uint32_t n)
{
	uint32_t even = (n + 1) / 2, place = i;

	if (srv->order == ORDER_EVEN_ODD)
		place = i < even ? 2 * i : 2 * (i - even) + 1;
	else if (srv->order == ORDER_ODD_EVEN_DOWN)
		place = i < n / 2 ? 2 * i + 1 : 2 * (n - 1 - i);
	return srv->order == ORDER_DOWN ? n - 1 - i : place;
}

static void read_in_chunks(struct fake_server *srv, struct stream *s, const struct fake_cmd *c)
{
	uint32_t n = (c->bytes + srv->chunk_bytes - 1) / srv->chunk_bytes;
	uint32_t *places = calloc(n, sizeof(*places));

	assert(places);
	for (uint32_t i = 0; i < n; i++)
		places[i] = chunk_place(srv, i, n);
	for (uint32_t i = n; srv->order == ORDER_RANDOM && i > 1; i--) {
		uint32_t other, was = places[i - 1];

		srv->chunk_seed = srv->chunk_seed * 1664525u + 1013904223u;
		other = (uint32_t)((uint64_t)srv->chunk_seed * i >> 32);
		places[i - 1] = places[other];
		places[other] = was;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = places[i] * srv->chunk_bytes, left = c->bytes - at;

		chunk_data(srv, s, c, i == n - 1 ? NBD_CHUNK_FLAG_DONE : 0, c->offset + at,
			left < srv->chunk_bytes ? left : srv->chunk_bytes);
	}
	free(places);
}

static void read_structured(struct fake_server *srv, struct stream *s, const struct fake_cmd *c)
{
	uint32_t piece = c->bytes / 4;

	if (srv->shape == SHAPE_CHUNKS) {
		read_in_chunks(srv, s, c);
		return;
	}
	if (srv->shape == SHAPE_ONE || piece == 0) {
		chunk_data(srv, s, c, NBD_CHUNK_FLAG_DONE, c->offset, c->bytes);
		return;
	}
	for (unsigned i = 4; i-- > 0;) {
		uint64_t at = c->offset + i * piece;
		bool is_zero = true;

		for (uint32_t b = 0; b < piece; b++)
			is_zero &= srv->disk[at + b] == 0;
		if (srv->shape == SHAPE_HOLES && is_zero)
			chunk_hole(srv, s, c, at, piece);
		else
			chunk_data(srv, s, c, 0, at, piece);
	}
	chunk(srv, s, c, NBD_CHUNK_FLAG_DONE, NBD_CHUNK_NONE, NULL, 0, NULL, 0);
}

static void answer_honestly(struct fake_server *srv, struct stream *s, const struct fake_cmd *c)
{
	bool is_structured = srv->is_structured[s - srv->net->streams];
	struct nbd_wire_error e = {htobe32(c->error), htobe16(3)};

	if (c->error) {
		if (is_structured && c->type == NBD_CMD_READ)
			chunk(srv, s, c, NBD_CHUNK_FLAG_DONE, NBD_CHUNK_ERROR, &e, sizeof(e), "why",
				3);
		else
			simple(s, c->cookie, c->error);
	} else if (c->type == NBD_CMD_READ && is_structured) {
		read_structured(srv, s, c);
	} else {
		simple(s, c->cookie, 0);
		if (c->type == NBD_CMD_READ)
			fake_stream_write(s, srv->disk + c->offset, c->bytes);
	}
}

static void lie_in_chunk(struct fake_server *srv, struct stream *s, const struct fake_cmd *c);

/* The lies that are the same for simple and structured replies. */
static void lie(struct fake_server *srv, struct stream *s, const struct fake_cmd *c)
{
	struct nbd_wire_simple r = {htobe32(NBD_MAGIC_SIMPLE), 0, htobe64(c->cookie)};

	switch (srv->lie) {
	case LIE_MAGIC:
		r.magic = htobe32(NBD_MAGIC_REQUEST);
		break;
	case LIE_COOKIE:
		r.cookie = htobe64(c->cookie + (1u << 16));
		break;
	case LIE_COOKIE_SLOT:
		r.cookie = htobe64(c->cookie | 0xffff);
		break;
	case LIE_TWICE:
		answer_honestly(srv, s, c);
		break;
	default:
		lie_in_chunk(srv, s, c);
		return;
	}
	fake_stream_write(s, &r, sizeof(r));
}

static void lie_in_error(struct fake_server *srv, struct stream *s, const struct fake_cmd *c)
{
	static const uint8_t text[6000];
	struct nbd_wire_error e = {htobe32(NBD_EIO), htobe16(0)};
	uint64_t offset_be = htobe64(c->offset + c->bytes);
	uint16_t done = NBD_CHUNK_FLAG_DONE;

	if (srv->lie == LIE_NO_ERROR) {
		e.error = 0;
		chunk(srv, s, c, done, NBD_CHUNK_ERROR, &e, sizeof(e), NULL, 0);
	} else if (srv->lie == LIE_MESSAGE) {
		e.message_bytes = htobe16(100);
		chunk(srv, s, c, done, NBD_CHUNK_ERROR, &e, sizeof(e), text, 50);
	} else if (srv->lie == LIE_STRING) {
		e.message_bytes = htobe16(sizeof(text));
		chunk(srv, s, c, done, NBD_CHUNK_ERROR, &e, sizeof(e), text, sizeof(text));
	} else {
		chunk(srv, s, c, done, NBD_CHUNK_ERROR_OFFSET, &e, sizeof(e), &offset_be, 8);
	}
}

static void lie_in_chunk(struct fake_server *srv, struct stream *s, const struct fake_cmd *c)
{
	struct nbd_wire_chunk huge = {htobe32(NBD_MAGIC_CHUNK), htobe16(1), htobe16(1),
		htobe64(c->cookie), htobe32(0xfffffff0)};
	uint64_t offset_be = htobe64(c->offset);
	uint16_t done = NBD_CHUNK_FLAG_DONE;

	switch (srv->lie) {
	case LIE_PARTIAL:
		chunk_data(srv, s, c, done, c->offset, c->bytes - 1);
		return;
	case LIE_OVERLAP:
		chunk_data(srv, s, c, 0, c->offset, c->bytes / 2 + 1);
		chunk_data(srv, s, c, done, c->offset + c->bytes / 2, c->bytes / 2);
		return;
	case LIE_OUTSIDE:
		chunk_data(srv, s, c, done, c->offset, c->bytes + 1);
		return;
	case LIE_BEFORE:
		chunk_data(srv, s, c, done, c->offset - 1, c->bytes);
		return;
	case LIE_HUGE:
		fake_stream_write(s, &huge, sizeof(huge));
		return;
	case LIE_TYPE:
		chunk(srv, s, c, done, 5, &offset_be, 8, NULL, 0);
		return;
	case LIE_EMPTY:
		chunk(srv, s, c, done, NBD_CHUNK_OFFSET_DATA, &offset_be, 8, NULL, 0);
		return;
	case LIE_NOT_DONE:
		chunk(srv, s, c, 0, NBD_CHUNK_NONE, NULL, 0, NULL, 0);
		return;
	case LIE_SIMPLE:
		simple(s, c->cookie, 0);
		return;
	case LIE_PAYLOAD:
		chunk(srv, s, c, done, NBD_CHUNK_OFFSET_DATA, &offset_be, 8, srv->disk, 512);
		return;
	case LIE_HOLE:
		chunk(srv, s, c, done, NBD_CHUNK_OFFSET_HOLE, &offset_be, 8, NULL, 0);
		return;
	default:
		lie_in_error(srv, s, c);
		return;
	}
}

static void answer(struct fake_server *srv, struct fake_cmd *c)
{
	c->is_answered = true;
	srv->answered_count++;
	if (c->type == NBD_CMD_READ)
		srv->read_bytes_open -= c->bytes;
	if (srv->lie && srv->lie_type == c->type && srv->lies_told == 0) {
		srv->lies_told++;
		lie(srv, c->stream, c);
		return;
	}
	answer_honestly(srv, c->stream, c);
}

static void answer_what_may(struct fake_server *srv)
{
	if (srv->answer_turns && ++srv->rested_turns < srv->answer_turns)
		return;
	for (unsigned i = 0; i < srv->cmd_count; i++) {
		struct fake_cmd *c = &srv->cmds[i];

		if (c->is_answered || c->stream->is_released || srv->is_silent ||
			((srv->held_types & (1u << c->type)) &&
				(c->flags & srv->held_flags) == srv->held_flags) ||
			srv->held_stream == c->stream)
			continue;
		answer(srv, c);
		srv->rested_turns = 0;
		if (srv->answer_turns)
			return;
	}
}

/* ---- commands ---- */

/* What @c is refused with; 0: it is carried out. */
static uint32_t error_of(const struct fake_server *srv, const struct fake_cmd *c)
{
	if (srv->error && srv->error_type == c->type &&
		(c->flags & srv->error_flags) == srv->error_flags &&
		(srv->errors_max == 0 || srv->errors_told < srv->errors_max))
		return srv->error;
	if (c->type != NBD_CMD_WRITE && c->bytes > srv->too_long_bytes)
		return srv->too_long_error;
	return 0;
}

static void execute(struct fake_server *srv, struct fake_cmd *c, const uint8_t *payload)
{
	assert(c->offset + c->bytes <= srv->size_bytes);
	c->error = error_of(srv, c);
	srv->errors_told += c->error != 0;
	if (c->error)
		return;
	if (c->type == NBD_CMD_WRITE)
		memcpy(srv->disk + c->offset, payload, c->bytes);
	else if (c->type == NBD_CMD_TRIM || c->type == NBD_CMD_WRITE_ZEROES)
		memset(srv->disk + c->offset, 0, c->bytes);
	if (c->type == NBD_CMD_READ) {
		srv->read_bytes_open += c->bytes;
		if (srv->read_bytes_open > srv->read_bytes_open_max)
			srv->read_bytes_open_max = srv->read_bytes_open;
	}
}

static bool command(struct fake_server *srv, struct stream *s, unsigned idx)
{
	struct nbd_wire_request r;
	struct fake_cmd *c;
	size_t len, need = sizeof(r);
	const uint8_t *at = unread(s, &len);

	if (len < sizeof(r))
		return false;
	memcpy(&r, at, sizeof(r));
	assert(be32toh(r.magic) == NBD_MAGIC_REQUEST);
	if (be16toh(r.type) == NBD_CMD_WRITE)
		need += be32toh(r.length);
	if (len < need)
		return false;
	s->server_at += need;
	if (be16toh(r.type) == NBD_CMD_DISC) {
		srv->disc_count++;
		srv->phase[idx] = OVER;
		if (!srv->stays_after_disc)
			fake_stream_close(s);
		return false;
	}
	assert(srv->cmd_count < FAKE_CMD_MAX);
	c = &srv->cmds[srv->cmd_count++];
	*c = (struct fake_cmd){s, be16toh(r.type), be16toh(r.flags), be64toh(r.cookie),
		be64toh(r.offset), be32toh(r.length), false, srv->answered_count, 0};
	execute(srv, c, at + sizeof(r));
	return true;
}

static void stream_turn(struct fake_server *srv, struct stream *s, unsigned idx)
{
	bool goes_on = true;
	size_t len;

	if (s->seal)
		srv->tls_turn(srv, s);
	if (srv->phase[idx] == GREET)
		greet(srv, s, &srv->phase[idx]);
	while (goes_on) {
		unread(s, &len);
		goes_on = false;
		if (srv->phase[idx] == FLAGS && len >= 4) {
			s->server_at += 4;
			srv->phase[idx] = OPTIONS;
			goes_on = true;
		} else if (srv->phase[idx] == OPTIONS) {
			goes_on = option(srv, s, idx);
		} else if (srv->phase[idx] == SERVE) {
			goes_on = command(srv, s, idx);
		}
	}
}

void fake_server_turn(struct fake_server *srv)
{
	for (unsigned i = 0; i < srv->net->opened; i++) {
		struct stream *s = &srv->net->streams[i];

		if (s->is_connected && !s->is_aborted && !s->error)
			stream_turn(srv, s, i);
	}
	answer_what_may(srv);
}
