/*
 * test_nbd_conn.c - the protocol machine alone: arrays in, events out
 */
#include "tests/unit/nbd_client/check.h"
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include "nbd_client/nbd_conn.h"

struct script {
	uint8_t bytes[20000];
	size_t len;
};

static void put(struct script *s, const void *bytes, size_t len)
{
	assert_true(s->len + len <= sizeof(s->bytes));
	memcpy(s->bytes + s->len, bytes, len);
	s->len += len;
}

static void put_be(struct script *s, uint64_t value, unsigned width)
{
	for (unsigned i = width; i-- > 0;)
		put(s, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
}

static void put_greeting(struct script *s)
{
	put(s, "NBDMAGICIHAVEOPT\0\3", 18);
}

static void put_opt_reply(
	struct script *s, uint32_t option, uint32_t type, const void *data, uint32_t len)
{
	put_be(s, NBD_MAGIC_OPT_REPLY, 8);
	put_be(s, option, 4);
	put_be(s, type, 4);
	put_be(s, len, 4);
	put(s, data, len);
}

/* Greeting, structured replies or not, GO: an export of 1 MiB. */
static void put_handshake(struct script *s, bool is_structured)
{
	put_greeting(s);
	put_opt_reply(s, NBD_OPT_STRUCTURED_REPLY,
		is_structured ? NBD_REP_ACK : (uint32_t)NBD_REP_ERR_UNSUP, "", 0);
	put_opt_reply(s, NBD_OPT_GO, NBD_REP_INFO, "\0\0\0\0\0\0\0\x10\0\0\0\1", 12);
	put_opt_reply(s, NBD_OPT_GO, NBD_REP_ACK, "", 0);
}

/* Feeds it all, @step bytes at a time. Out: the last event that was one. */
static struct nbd_event feed(struct nbd_conn *c, const struct script *s, size_t step)
{
	struct nbd_event ev = {0}, last = {0};

	for (size_t at = 0; at < s->len;) {
		size_t part = s->len - at < step ? s->len - at : step;

		at += nbd_conn_feed(c, s->bytes + at, part, &ev);
		if (ev.type != NBD_EVENT_NONE)
			last = ev;
	}
	return last;
}

static struct nbd_conn *conn_new(bool is_structured)
{
	struct nbd_conn *c = malloc(sizeof(*c));
	struct script s = {.len = 0};

	nbd_conn_init(c, "disk", false);
	put_handshake(&s, is_structured);
	assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_READY);
	return c;
}

static void conn_handshake_asks_in_order_and_by_name(void **state)
{
	static const uint8_t want[] = "\0\0\0\3"
				      "IHAVEOPT\0\0\0\10\0\0\0\0"
				      "IHAVEOPT\0\0\0\7\0\0\0\14"
				      "\0\0\0\4disk\0\1\0\3";
	struct nbd_conn *c = conn_new(true);
	size_t len;
	const uint8_t *out = nbd_conn_output(c, &len);

	assert_int_equal(len, sizeof(want) - 1);
	assert_memory_equal(out, want, len);
	nbd_conn_sent(c, len);
	assert_int_equal(c->export.size_bytes, 1 << 20);
	assert_true(c->export.is_structured);
	nbd_conn_close(c);
	nbd_conn_output(c, &len);
	assert_int_equal(len, sizeof(struct nbd_wire_request));
	free(c);
}

static void conn_handshake_may_come_in_pieces_of_any_size(void **state)
{
	struct script s = {.len = 0};

	put_handshake(&s, true);
	for (size_t step = 1; step <= s.len; step++) {
		struct nbd_conn *c = malloc(sizeof(*c));

		nbd_conn_init(c, "disk", false);
		assert_int_equal(feed(c, &s, step).type, NBD_EVENT_READY);
		assert_int_equal(c->state, NBD_READY);
		free(c);
	}
}

struct refusal {
	const char *bytes;
	size_t len;
	enum nbd_fault fault;
	const char *text;
};

static void conn_handshake_refusals_name_the_remedy(void **state)
{
	static const struct refusal cases[] = {
		{"HTTP/1.1 400 Bad Request", 24, NBD_FAULT_REFUSED, "not an NBD server"},
		{"NBDMAGIC\0\0\x42\x02\x81\x86\x12\x53", 16, NBD_FAULT_REFUSED, "oldstyle"},
		{"NBDMAGICSOMETHIN", 16, NBD_FAULT_REFUSED, "unknown style"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nbd_conn *c = malloc(sizeof(*c));
		struct script s = {.len = 0};

		nbd_conn_init(c, "", false);
		put(&s, cases[i].bytes, cases[i].len);
		assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_DEAD);
		assert_int_equal(c->fault, cases[i].fault);
		assert_has(c->error, cases[i].text);
		free(c);
	}
}

/* Is the last thing in the output an option without data,
 * or a request without payload, of @kind? */
static bool is_last_said(const struct nbd_conn *c, uint64_t magic, uint32_t kind)
{
	struct nbd_wire_option o;
	struct nbd_wire_request r;
	size_t len;
	const uint8_t *out = nbd_conn_output(c, &len);

	memcpy(&o, out + len - sizeof(o), sizeof(o));
	memcpy(&r, out + len - sizeof(r), sizeof(r));
	return magic == NBD_MAGIC_OPTION
		       ? be64toh(o.magic) == magic && be32toh(o.option) == kind && o.length == 0
		       : be32toh(r.magic) == magic && be16toh(r.type) == kind;
}

struct option_case {
	uint32_t option, type;
	const char *data;
	uint32_t len;
	enum nbd_fault fault;
	const char *text;
};

/* Each is the answer to the first option, STRUCTURED_REPLY, or to the second, GO. */
static void conn_handshake_lies_and_errors_are_told_apart(void **state)
{
	static const struct option_case cases[] = {
		{8, (uint32_t)NBD_REP_ERR_TLS_REQD, "", 0, NBD_FAULT_REFUSED, "TLS"},
		{8, NBD_REP_ACK, "x", 1, NBD_FAULT_LIE, "reply 1 of 1 bytes"},
		{8, NBD_REP_SERVER, "", 0, NBD_FAULT_LIE, "reply 2"},
		{8, 99, "", 0, NBD_FAULT_LIE, "reply 99"},
		{3, NBD_REP_ACK, "", 0, NBD_FAULT_LIE, "instead of option 8"},
		{7, NBD_REP_ACK, "", 0, NBD_FAULT_LIE, "without sending the size"},
		{7, NBD_REP_INFO, "\0", 1, NBD_FAULT_LIE, "malformed"},
		{7, NBD_REP_INFO, "\0\0too short", 11, NBD_FAULT_LIE, "11 bytes"},
		{7, NBD_REP_INFO, "\0\3\0\0\2\0", 6, NBD_FAULT_LIE, "6 bytes"},
		{7, NBD_REP_INFO, "\0\3\0\0\3\0\0\0\20\0\1\0\0\0", 14, NBD_FAULT_REFUSED,
			"power of two"},
		{7, NBD_REP_INFO, "\0\3\0\2\0\0\0\2\0\0\1\0\0\0", 14, NBD_FAULT_REFUSED, "131072"},
		{7, NBD_REP_INFO, "\0\3\0\0\0\0\0\0\20\0\1\0\0\0", 14, NBD_FAULT_REFUSED,
			"0 bytes"},
		{7, NBD_REP_INFO, "\0\3\0\0\20\0\0\0\20\0\0\0\2\0", 14, NBD_FAULT_REFUSED,
			"smaller than"},
		{7, (uint32_t)NBD_REP_ERR_UNKNOWN, "who?", 4, NBD_FAULT_REFUSED,
			"no export 'disk': who?"},
		{7, (uint32_t)NBD_REP_ERR_POLICY, "", 0, NBD_FAULT_REFUSED, "policy"},
		{7, (uint32_t)NBD_REP_ERR_SHUTDOWN, "", 0, NBD_FAULT_LOST, "shutting down"},
		{7, (uint32_t)NBD_REP_ERR_INVALID, "\1\2", 2, NBD_FAULT_REFUSED, "error 3: ??"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nbd_conn *c = malloc(sizeof(*c));
		struct script s = {.len = 0};

		nbd_conn_init(c, "disk", false);
		put_greeting(&s);
		if (cases[i].option == 7)
			put_opt_reply(&s, 8, NBD_REP_ACK, "", 0);
		put_opt_reply(&s, cases[i].option, cases[i].type, cases[i].data, cases[i].len);
		if (cases[i].fault == NBD_FAULT_REFUSED && cases[i].type == NBD_REP_INFO) {
			/* Our own refusal, and GO is not answered yet: nothing is said before. */
			assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_NONE);
			assert_false(is_last_said(c, NBD_MAGIC_OPTION, NBD_OPT_ABORT));
			s.len = 0;
			put_opt_reply(&s, 7, NBD_REP_INFO, "\0\0\0\0\0\0\0\x10\0\0\0\1", 12);
			put_opt_reply(&s, 7, NBD_REP_ACK, "", 0);
		}
		assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_DEAD);
		assert_int_equal(c->fault, cases[i].fault);
		assert_has(c->error, cases[i].text);
		assert_int_equal(c->is_soft, c->fault != NBD_FAULT_LIE);
		assert_true(!c->is_soft || is_last_said(c, NBD_MAGIC_OPTION, NBD_OPT_ABORT) ||
			    is_last_said(c, NBD_MAGIC_REQUEST, NBD_CMD_DISC));
		free(c);
	}
}

static void conn_oversized_strings_end_the_handshake(void **state)
{
	struct nbd_conn *c = malloc(sizeof(*c));
	struct script s = {.len = 0};
	uint8_t entry[8000] = {0, 0, 0x1f, 0};

	nbd_conn_init(c, "disk", false);
	put_greeting(&s);
	put_be(&s, NBD_MAGIC_OPT_REPLY, 8);
	put_be(&s, 8, 4);
	put_be(&s, NBD_REP_ERR_UNSUP, 4);
	put_be(&s, 0x7fffffff, 4);
	assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_DEAD);
	assert_has(c->error, "2147483647 bytes");

	s.len = 0;
	nbd_conn_init(c, "disk", true);
	put_greeting(&s);
	put_opt_reply(&s, NBD_OPT_LIST, NBD_REP_SERVER, entry, sizeof(entry));
	assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_DEAD);
	assert_has(c->error, "name of 7936 bytes");

	s.len = 0;
	memset(entry, 0, 4);
	nbd_conn_init(c, "disk", true);
	put_greeting(&s);
	put_opt_reply(&s, NBD_OPT_LIST, NBD_REP_SERVER, entry, sizeof(entry));
	assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_DEAD);
	assert_has(c->error, "description of 7996 bytes");

	for (uint8_t type = NBD_INFO_NAME; type <= NBD_INFO_DESCRIPTION; type++) {
		s.len = 0;
		entry[1] = type;
		nbd_conn_init(c, "disk", false);
		put_greeting(&s);
		put_opt_reply(&s, 8, NBD_REP_ACK, "", 0);
		put_opt_reply(&s, NBD_OPT_GO, NBD_REP_INFO, entry, 2 + NBD_STRING_BYTES_MAX + 1);
		assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_DEAD);
		assert_has(c->error, "description of 4097 bytes");
	}
	free(c);
}

static void conn_endless_information_ends_the_handshake(void **state)
{
	struct nbd_conn *c = malloc(sizeof(*c));
	struct script s = {.len = 0};

	nbd_conn_init(c, "disk", false);
	put_greeting(&s);
	put_opt_reply(&s, 8, NBD_REP_ACK, "", 0);
	for (unsigned i = 0; i <= NBD_INFO_MAX; i++)
		put_opt_reply(&s, 7, NBD_REP_INFO, "\0\x63", 2);
	assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_DEAD);
	assert_has(c->error, "endless");
	free(c);
}

static void conn_answers_before_questions_end_it(void **state)
{
	struct nbd_conn *c = malloc(sizeof(*c));
	char name[NBD_STRING_BYTES_MAX + 1];
	struct script s = {.len = 0};

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	nbd_conn_init(c, name, false);
	put_greeting(&s);
	put_opt_reply(&s, 8, NBD_REP_ACK, "", 0);
	put_opt_reply(&s, 7, (uint32_t)NBD_REP_ERR_UNSUP, "", 0);
	assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_DEAD);
	assert_int_equal(c->fault, NBD_FAULT_LIE);
	assert_has(c->error, "before a request");
	free(c);
}

static void conn_cookies_never_come_twice(void **state)
{
	struct nbd_conn *c = conn_new(false);
	struct nbd_req *reqs = calloc(NBD_SLOT_MAX + 1, sizeof(*reqs));
	struct nbd_wire_request hdr;
	uint64_t last = 0;

	for (unsigned i = 0; i < NBD_SLOT_MAX; i++) {
		reqs[i].type = NBD_CMD_FLUSH;
		assert_int_equal(nbd_conn_request(c, &reqs[i], &hdr), 0);
		assert_int_equal(be64toh(hdr.cookie), reqs[i].cookie);
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(reqs[j].cookie & 0xffff, reqs[i].cookie & 0xffff);
	}
	assert_int_equal(nbd_conn_request(c, &reqs[NBD_SLOT_MAX], &hdr), -ENOSPC);
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t was = reqs[7].cookie;

		nbd_conn_forget(c, &reqs[7]);
		assert_int_equal(nbd_conn_request(c, &reqs[7], &hdr), 0);
		assert_int_equal(reqs[7].cookie & 0xffff, was & 0xffff);
		assert_true(reqs[7].cookie > last);
		last = reqs[7].cookie;
	}
	assert_int_equal(c->in_flight, NBD_SLOT_MAX);
	free(reqs);
	free(c);
}

static void conn_errno_is_mapped_one_to_one(void **state)
{
	static const int cases[][2] = {{NBD_EPERM, -EPERM}, {NBD_EIO, -EIO}, {NBD_ENOMEM, -ENOMEM},
		{NBD_EINVAL, -EINVAL}, {NBD_ENOSPC, -ENOSPC}, {NBD_EOVERFLOW, -EOVERFLOW},
		{NBD_ENOTSUP, -EOPNOTSUPP}, {NBD_ESHUTDOWN, -ESHUTDOWN}, {2, -EINVAL},
		{-1, -EINVAL}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(nbd_errno_to_host((uint32_t)cases[i][0]), cases[i][1]);
}

/* Pieces of one READ, in an order that leaves many holes open at once. */
static void conn_pieces_in_any_order_make_one_read(void **state)
{
	struct nbd_conn *c = conn_new(true);
	struct nbd_req req = {.type = NBD_CMD_READ, .offset = 4096, .bytes = 2 * NBD_RANGE_MAX};
	struct nbd_wire_request hdr;
	struct nbd_event ev = {0};
	unsigned told = 0;

	assert_int_equal(nbd_conn_request(c, &req, &hdr), 0);
	for (unsigned i = 0; i < 2 * NBD_RANGE_MAX; i++) {
		struct script s = {.len = 0};
		unsigned at = i < NBD_RANGE_MAX ? 2 * i : 2 * (i - NBD_RANGE_MAX) + 1;

		put_be(&s, NBD_MAGIC_CHUNK, 4);
		put_be(&s, i == 2 * NBD_RANGE_MAX - 1, 2);
		put_be(&s, NBD_CHUNK_OFFSET_DATA, 2);
		put_be(&s, req.cookie, 8);
		put_be(&s, 9, 4);
		put_be(&s, req.offset + at, 8);
		put_be(&s, at, 1);
		ev = feed(c, &s, SIZE_MAX);
		assert_int_equal(ev.type, NBD_EVENT_REPLY);
		assert_int_equal(ev.at, at);
		told += ev.len;
	}
	assert_true(ev.is_done);
	assert_int_equal(ev.result, 0);
	assert_int_equal(told, req.bytes);
	free(c);
}

static void put_chunk(
	struct script *s, uint64_t cookie, uint16_t flags, uint16_t type, uint32_t len)
{
	put_be(s, NBD_MAGIC_CHUNK, 4);
	put_be(s, flags, 2);
	put_be(s, type, 2);
	put_be(s, cookie, 8);
	put_be(s, len, 4);
}

/* Lends one request of @type and feeds what @s answers to it: the machine must end at once. */
static void ends_at_once(uint16_t type, void (*answer)(struct script *, const struct nbd_req *))
{
	struct nbd_conn *c = conn_new(true);
	struct nbd_req req = {.type = type, .offset = 4096, .bytes = 16};
	struct nbd_wire_request hdr;
	struct script s = {.len = 0};

	assert_int_equal(nbd_conn_request(c, &req, &hdr), 0);
	answer(&s, &req);
	assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_DEAD);
	assert_int_equal(c->fault, NBD_FAULT_LIE);
	free(c);
}

/* A READ of 16 bytes, answered by one chunk with its data. */
static void put_answer(struct script *s, const struct nbd_req *req)
{
	put_chunk(s, req->cookie, NBD_CHUNK_FLAG_DONE, NBD_CHUNK_OFFSET_DATA, 8 + req->bytes);
	put_be(s, req->offset, 8);
	put(s, "0123456789abcdef", req->bytes);
}

static void conn_answer_may_come_in_pieces_of_any_size(void **state)
{
	for (size_t step = 1; step <= 44; step++) {
		struct nbd_conn *c = conn_new(true);
		struct nbd_req req = {.type = NBD_CMD_READ, .offset = 4096, .bytes = 16};
		struct nbd_wire_request hdr;
		struct script s = {.len = 0};
		struct nbd_event ev;

		assert_int_equal(nbd_conn_request(c, &req, &hdr), 0);
		put_answer(&s, &req);
		assert_int_equal(s.len, 44);
		ev = feed(c, &s, step);
		assert_true(ev.is_done && ev.result == 0);
		assert_int_equal(ev.at + ev.len, 16);
		assert_memory_equal(ev.bytes, "0123456789abcdef" + ev.at, ev.len);
		free(c);
	}
}

/* Half a header, and behind it a whole answer: the header is what counts. */
static void conn_answer_behind_half_a_header_is_none(void **state)
{
	struct nbd_conn *c = conn_new(true);
	struct nbd_req req = {.type = NBD_CMD_READ, .offset = 4096, .bytes = 16};
	struct nbd_wire_request hdr;
	struct script s = {.len = 0};

	assert_int_equal(nbd_conn_request(c, &req, &hdr), 0);
	put_be(&s, NBD_MAGIC_CHUNK, 4);
	assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_NONE);
	s.len = 0;
	put_answer(&s, &req);
	assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_DEAD);
	assert_int_equal(c->fault, NBD_FAULT_LIE);
	free(c);
}

static void conn_chunk_that_was_not_agreed_on_is_a_lie(void **state)
{
	struct nbd_conn *c = conn_new(false);
	struct nbd_req req = {.type = NBD_CMD_READ, .offset = 4096, .bytes = 16};
	struct nbd_wire_request hdr;
	struct script s = {.len = 0};

	assert_int_equal(nbd_conn_request(c, &req, &hdr), 0);
	put_answer(&s, &req);
	assert_int_equal(feed(c, &s, SIZE_MAX).type, NBD_EVENT_DEAD);
	assert_int_equal(c->fault, NBD_FAULT_LIE);
	assert_has(c->error, "bad magic");
	free(c);
}

static void answer_of_another_generation(struct script *s, const struct nbd_req *req)
{
	put_be(s, NBD_MAGIC_SIMPLE, 4);
	put_be(s, 0, 4);
	put_be(s, req->cookie + (1u << 16), 8);
}

static void answer_chunk_of_another_generation(struct script *s, const struct nbd_req *req)
{
	put_chunk(s, req->cookie + (1u << 16), NBD_CHUNK_FLAG_DONE, NBD_CHUNK_NONE, 0);
}

/* Bytes 0 to 7, then 4 to 11; nothing ends yet, so only the overlap itself can be seen. */
static void answer_with_overlap(struct script *s, const struct nbd_req *req)
{
	for (unsigned at = 0; at < 8; at += 4) {
		put_chunk(s, req->cookie, 0, NBD_CHUNK_OFFSET_DATA, 16);
		put_be(s, req->offset + at, 8);
		put_be(s, 0, 8);
	}
}

static void answer_hole_of_no_bytes(struct script *s, const struct nbd_req *req)
{
	put_chunk(s, req->cookie, 0, NBD_CHUNK_OFFSET_HOLE, 12);
	put_be(s, req->offset, 8);
	put_be(s, 0, 4);
}

/* All of the READ, and then a hole of nothing behind its last byte: no byte is told twice. */
static void answer_all_and_hole_of_no_bytes(struct script *s, const struct nbd_req *req)
{
	put_chunk(s, req->cookie, 0, NBD_CHUNK_OFFSET_HOLE, 12);
	put_be(s, req->offset, 8);
	put_be(s, req->bytes, 4);
	put_chunk(s, req->cookie, NBD_CHUNK_FLAG_DONE, NBD_CHUNK_OFFSET_HOLE, 12);
	put_be(s, req->offset + req->bytes, 8);
	put_be(s, 0, 4);
}

static void answer_data_of_no_bytes(struct script *s, const struct nbd_req *req)
{
	put_chunk(s, req->cookie, 0, NBD_CHUNK_OFFSET_DATA, 8);
	put_be(s, req->offset, 8);
}

/* The specification forbids both; a server that may send them may send them for ever. */
static void conn_payload_of_no_bytes_is_a_lie(void **state)
{
	ends_at_once(NBD_CMD_READ, answer_hole_of_no_bytes);
	ends_at_once(NBD_CMD_READ, answer_all_and_hole_of_no_bytes);
	ends_at_once(NBD_CMD_READ, answer_data_of_no_bytes);
}

static void conn_lies_that_the_end_would_hide_are_seen_at_once(void **state)
{
	ends_at_once(NBD_CMD_WRITE, answer_of_another_generation);
	ends_at_once(NBD_CMD_WRITE, answer_chunk_of_another_generation);
	ends_at_once(NBD_CMD_READ, answer_with_overlap);
}

/* "Clients MUST ignore unrecognized flags": every bit that has no meaning, alone and together. */
static void conn_unknown_chunk_flags_are_ignored(void **state)
{
	for (unsigned bit = 1; bit <= 16; bit++) {
		struct nbd_conn *c = conn_new(true);
		struct nbd_req req = {.type = NBD_CMD_READ, .offset = 4096, .bytes = 16};
		uint16_t flags = bit < 16 ? (uint16_t)(1u << bit) : 0xfffe;
		struct nbd_wire_request hdr;
		struct script s = {.len = 0};
		struct nbd_event ev;

		assert_int_equal(nbd_conn_request(c, &req, &hdr), 0);
		put_chunk(&s, req.cookie, flags, NBD_CHUNK_OFFSET_HOLE, 12);
		put_be(&s, req.offset, 8);
		put_be(&s, req.bytes, 4);
		assert_int_equal(feed(c, &s, 1).len, req.bytes);
		s.len = 0;
		put_chunk(&s, req.cookie, flags | NBD_CHUNK_FLAG_DONE, NBD_CHUNK_NONE, 0);
		ev = feed(c, &s, 1);
		assert_true(ev.is_done && ev.result == 0);
		free(c);
	}
}

/* The fuzzer's find: an event in used memory kept the place of another payload. */
static void conn_reply_without_payload_names_no_place(void **state)
{
	struct nbd_conn *c = conn_new(true);
	struct nbd_req req = {.type = NBD_CMD_READ, .bytes = 512};
	struct nbd_wire_request hdr;
	struct script s = {.len = 0};
	struct nbd_event ev;

	memset(&ev, 0xee, sizeof(ev));
	assert_int_equal(nbd_conn_request(c, &req, &hdr), 0);
	put_be(&s, NBD_MAGIC_SIMPLE, 4);
	put_be(&s, NBD_EIO, 4);
	put_be(&s, req.cookie, 8);
	assert_int_equal(nbd_conn_feed(c, s.bytes, s.len, &ev), s.len);
	assert_true(ev.is_done);
	assert_int_equal(ev.result, -EIO);
	assert_int_equal(ev.at, 0);
	assert_int_equal(ev.len, 0);
	assert_null(ev.bytes);
	free(c);
}

static void conn_eof_says_what_it_means_where_it_came(void **state)
{
	struct nbd_conn *c = malloc(sizeof(*c));
	struct script s = {.len = 0};

	nbd_conn_init(c, "disk", false);
	nbd_conn_eof(c);
	assert_has(c->error, "without a greeting");
	nbd_conn_init(c, "disk", false);
	put(&s, "NBDMAGICIHAVEOPT\0\0", 18); /* newstyle, not fixed: EXPORT_NAME at once */
	feed(c, &s, SIZE_MAX);
	nbd_conn_eof(c);
	assert_int_equal(c->fault, NBD_FAULT_REFUSED);
	assert_has(c->error, "check the export's name");
	nbd_conn_init(c, "disk", false);
	s.len = 0;
	put_handshake(&s, false);
	feed(c, &s, SIZE_MAX);
	nbd_conn_eof(c);
	assert_int_equal(c->fault, NBD_FAULT_LOST);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conn_handshake_asks_in_order_and_by_name),
		cmocka_unit_test(conn_handshake_may_come_in_pieces_of_any_size),
		cmocka_unit_test(conn_handshake_refusals_name_the_remedy),
		cmocka_unit_test(conn_handshake_lies_and_errors_are_told_apart),
		cmocka_unit_test(conn_oversized_strings_end_the_handshake),
		cmocka_unit_test(conn_endless_information_ends_the_handshake),
		cmocka_unit_test(conn_answers_before_questions_end_it),
		cmocka_unit_test(conn_cookies_never_come_twice),
		cmocka_unit_test(conn_errno_is_mapped_one_to_one),
		cmocka_unit_test(conn_pieces_in_any_order_make_one_read),
		cmocka_unit_test(conn_answer_may_come_in_pieces_of_any_size),
		cmocka_unit_test(conn_answer_behind_half_a_header_is_none),
		cmocka_unit_test(conn_chunk_that_was_not_agreed_on_is_a_lie),
		cmocka_unit_test(conn_payload_of_no_bytes_is_a_lie),
		cmocka_unit_test(conn_lies_that_the_end_would_hide_are_seen_at_once),
		cmocka_unit_test(conn_unknown_chunk_flags_are_ignored),
		cmocka_unit_test(conn_reply_without_payload_names_no_place),
		cmocka_unit_test(conn_eof_says_what_it_means_where_it_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
