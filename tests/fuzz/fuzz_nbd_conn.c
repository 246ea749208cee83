/*
 * fuzz_nbd_conn.c - any bytes from an NBD server, in any pieces
 *
 * The first byte chooses: a probe or not, with TLS required or not, the whole handshake or one done
 * beforehand with or without structured replies, and how long the pieces are. Once in transmission,
 * requests of each kind are in flight with cookies that never differ from run to run, so that the
 * fuzzer can learn them. Checked: payload lies inside its READ and the input, no byte of a READ is
 * told twice in one answer (but where the machine had no place for all of it), a READ that succeeds
 * was told whole, a request ends once, the dead say nothing. A READ answered in part is asked for
 * the rest.
 */
#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include "nbd_client/nbd_conn.h"

#define REQ_COUNT 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct nbd_conn conn;
	struct nbd_req reqs[REQ_COUNT];
	uint8_t told[REQ_COUNT][4096];
	uint32_t told_bytes[REQ_COUNT];
	bool is_lent[REQ_COUNT], is_asked_again[REQ_COUNT];
	const uint8_t *from, *to;
};

static void lend(struct fuzz *f)
{
	static const uint16_t types[REQ_COUNT] = {NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_READ,
		NBD_CMD_FLUSH, NBD_CMD_TRIM, NBD_CMD_WRITE_ZEROES};
	struct nbd_wire_request hdr;

	for (unsigned i = 0; i < REQ_COUNT; i++) {
		f->reqs[i] = (struct nbd_req){
			.type = types[i],
			.offset = i * 4096,
			.bytes = types[i] == NBD_CMD_FLUSH ? 0 : 64u << i,
		};
		assert(nbd_conn_request(&f->conn, &f->reqs[i], &hdr) == 0);
		f->is_lent[i] = true;
	}
}

static void reply_check(struct fuzz *f, const struct nbd_event *ev)
{
	unsigned i = (unsigned)(ev->req - f->reqs);
	struct nbd_wire_request hdr;

	assert(i < REQ_COUNT && f->is_lent[i]);
	assert(ev->at + (uint64_t)ev->len <= ev->req->bytes);
	if (ev->len > 0) {
		assert(ev->req->type == NBD_CMD_READ);
		assert(!ev->bytes || (ev->bytes >= f->from && ev->bytes + ev->len <= f->to));
	}
	for (uint32_t b = ev->at; b < ev->at + ev->len; b++) {
		assert(!f->told[i][b] || f->is_asked_again[i] || ev->req->is_forgotten);
		f->told_bytes[i] += !f->told[i][b];
		f->told[i][b] = 1;
	}
	if (!ev->is_done)
		return;
	assert(ev->result <= 0);
	if (ev->req->is_partial) {
		assert(ev->result == 0 && nbd_conn_request(&f->conn, ev->req, &hdr) == 0);
		f->is_asked_again[i] = true;
		return;
	}
	f->is_lent[i] = false;
	if (ev->result == 0 && ev->req->type == NBD_CMD_READ)
		assert(f->told_bytes[i] == ev->req->bytes);
}

static void feed(struct fuzz *f, const uint8_t *data, size_t size)
{
	struct nbd_event ev;

	f->from = data;
	f->to = data + size;
	for (size_t at = 0; at < size;) {
		bool was_over = f->conn.state >= NBD_CLOSED;
		size_t taken = nbd_conn_feed(&f->conn, data + at, size - at, &ev);

		assert(taken <= size - at && (taken > 0 || ev.type != NBD_EVENT_NONE));
		assert(!was_over || ev.type == NBD_EVENT_NONE);
		at += taken;
		if (ev.type == NBD_EVENT_REPLY)
			reply_check(f, &ev);
		else if (ev.type == NBD_EVENT_READY && f->conn.state == NBD_READY)
			lend(f);
		else if (ev.type == NBD_EVENT_DEAD)
			assert(f->conn.state == NBD_DEAD && f->conn.error[0]);
		else if (ev.type == NBD_EVENT_TLS)
			nbd_conn_secured(&f->conn, &ev);
		assert(!f->conn.wants_tls || f->conn.is_secured || f->conn.option == 0 ||
			f->conn.option == NBD_OPT_STARTTLS);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t greeting[] = "NBDMAGICIHAVEOPT\0\3"
					  "\0\3\xe8\x89\4\x55\x65\xa9\0\0\0\10";
	static const uint8_t structured[] = "\0\0\0\1\0\0\0\0", simple[] = "\x80\0\0\1\0\0\0\0";
	static const uint8_t go[] = "\0\3\xe8\x89\4\x55\x65\xa9\0\0\0\7\0\0\0\3\0\0\0\14"
				    "\0\0\0\0\0\0\0\x10\0\0\0\1"
				    "\0\3\xe8\x89\4\x55\x65\xa9\0\0\0\7\0\0\0\1\0\0\0\0";
	struct fuzz *f;
	size_t step;

	if (size == 0)
		return 0;
	f = calloc(1, sizeof(*f));
	assert(f);
	nbd_conn_init(&f->conn, "disk", data[0] & 1);
	if ((data[0] & 3) == 3)
		nbd_conn_require_tls(&f->conn);
	step = data[0] & 8 ? 1 + (size_t)(data[0] >> 4) : size;
	if ((data[0] & 3) == 2) {
		feed(f, greeting, sizeof(greeting) - 1);
		feed(f, data[0] & 4 ? structured : simple, sizeof(simple) - 1);
		feed(f, go, sizeof(go) - 1);
		assert(f->conn.state == NBD_READY);
	}
	for (size_t at = 1; at < size; at += step)
		feed(f, data + at, size - at < step ? size - at : step);
	nbd_conn_eof(&f->conn);
	for (unsigned i = 0; i < REQ_COUNT; i++)
		if (f->is_lent[i])
			nbd_conn_forget(&f->conn, &f->reqs[i]);
	assert(f->conn.in_flight == 0);
	free(f);
	return 0;
}
