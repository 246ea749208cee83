/*
 * nbd_conn_priv.h - what nbd_conn.c, nbd_nego.c and nbd_reply.c share
 */
#ifndef NBD_CLIENT_NBD_CONN_PRIV_H
#define NBD_CLIENT_NBD_CONN_PRIV_H

#include <assert.h>
#include "nbd_client/nbd_conn.h"

/* For a stream that ends while TLS's handshake has it: servers close without an alert. */
#define NBD_TLS_ENDED                                                                              \
	"the server ended the TLS handshake: check the key, or the certificates, on both sides, "  \
	"and the server's log"

/* The only place a state changes; asserts that the arc is legal. */
void nbd_conn_set_state(struct nbd_conn *c, enum nbd_conn_state state);

/* Next, @need bytes gathered in c->in, for @state. */
void nbd_conn_expect(struct nbd_conn *c, enum nbd_conn_state state, uint32_t need);

/* Ends the machine with a reason; unprintable bytes of it become '?'. */
__attribute__((format(printf, 4, 5))) void nbd_conn_die(
	struct nbd_conn *c, enum nbd_fault fault, struct nbd_event *ev, const char *fmt, ...);

/* What is_closing waited for is here: says good-bye. *ev is set if there is a reason to tell. */
void nbd_conn_close_now(struct nbd_conn *c, struct nbd_event *ev);

/* Adds to the output. False if it is full: the server answered before it was asked. */
bool nbd_conn_put(struct nbd_conn *c, const void *bytes, size_t len);

/* ---- nbd_text.c ---- */
/* Makes bytes that are no character, and characters that control, '?'; the length stays. */
void nbd_text_clean(uint8_t *bytes, size_t len);
/* The most of @len bytes, @max at most, that ends with a whole character. */
size_t nbd_text_cut(const uint8_t *bytes, size_t len, size_t max);
/* Copies a string, cut to @room with its zero, and cleans the copy. */
void nbd_conn_text(char *out, size_t room, const uint8_t *bytes, size_t len);

/* ---- nbd_range.c ---- */
enum nbd_range_fate {
	NBD_RANGE_KEPT,
	NBD_RANGE_FORGOTTEN, /* no room: a part of what was answered, not always this, is to be
				asked again */
	NBD_RANGE_TWICE,     /* it overlaps what was answered before */
};
/* Chooses @req->ask for its next trip; @block_bytes, a
 * power of two, is what asks are aligned to. */
void nbd_range_ask(struct nbd_req *req, uint32_t block_bytes);
/* Adds [from, to) of the request, to <= req->bytes, to what was answered. */
enum nbd_range_fate nbd_range_merge(struct nbd_req *req, uint32_t from, uint32_t to);
/* The same; at once where nothing was answered before, as by most servers. */
static inline enum nbd_range_fate nbd_range_add(struct nbd_req *req, uint32_t from, uint32_t to)
{
	if (req->range_count > 0)
		return nbd_range_merge(req, from, to);
	assert(from < to && to <= req->bytes);
	req->ranges[0] = (struct nbd_range){from, to};
	req->range_count = 1;
	return NBD_RANGE_KEPT;
}
/* Every byte of the request was answered. Then its one range is all of it. */
static inline bool nbd_range_is_whole(const struct nbd_req *req)
{
	return req->range_count == 1 ? req->ranges[0].from == 0 && req->ranges[0].to == req->bytes
				     : req->range_count == 0 && req->bytes == 0;
}
/* Is nothing of req->ask missing? */
bool nbd_range_is_answered(const struct nbd_req *req);
/* Bytes of the request that are here without a gap from its first byte on. */
uint32_t nbd_range_prefix(const struct nbd_req *req);

/* One gathered piece: nbd_nego.c for the handshake, nbd_reply.c for transmission. */
void nbd_nego_step(struct nbd_conn *c, struct nbd_event *ev);
void nbd_reply_step(struct nbd_conn *c, struct nbd_event *ev);

/*
 * How many bytes that come now are payload of @c->cur, a READ, for certain and do not end it. Most
 * of what arrives is this; nbd_reply_skip() takes such bytes without a turn of the machine.
 */
static inline uint32_t nbd_reply_middle(const struct nbd_conn *c)
{
	return c->state == NBD_WAIT_DATA ? c->data_left - 1 : 0;
}
static inline void nbd_reply_skip(struct nbd_conn *c, uint32_t len)
{
	assert(c->state == NBD_WAIT_DATA && len < c->data_left);
	c->data_at += len;
	c->data_left -= len;
}

/*
 * Between two replies: if a data chunk's header and offset lie in one piece, as they mostly do,
 * both steps at once. Out: bytes taken; 0: @bytes are something else, and to be gathered.
 */
size_t nbd_reply_at_once(
	struct nbd_conn *c, const uint8_t *bytes, size_t len, struct nbd_event *ev);

/* Payload of a READ. Out: bytes taken. */
size_t nbd_reply_data(struct nbd_conn *c, const uint8_t *bytes, size_t len, struct nbd_event *ev);

#endif
