/*
 * nbd_conn.h - the NBD protocol of one connection, as a pure machine
 *
 * Bytes from the server go in by nbd_conn_feed(), events come out; bytes for the server are taken
 * from nbd_conn_output() (negotiation) or built by nbd_conn_request() (transmission). No I/O, no
 * clock, no allocation: arrays test it. The owner of the machine owns the requests too; the
 * machine borrows one from nbd_conn_request() until the event that says is_done, or
 * nbd_conn_forget().
 */
#ifndef NBD_CLIENT_NBD_CONN_H
#define NBD_CLIENT_NBD_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/limits.h"
#include "nbd_client/nbd_proto.h"

/* What we wait for. */
enum nbd_conn_state {
	NBD_WAIT_MAGIC,	     /* greeting */
	NBD_WAIT_FLAGS,	     /* handshake flags */
	NBD_WAIT_OPT_REPLY,  /* header of the answer to our option */
	NBD_WAIT_OPT_BODY,   /* and what it carries */
	NBD_WAIT_EXPORT,     /* size and flags, the only answer EXPORT_NAME has */
	NBD_WAIT_TLS,	     /* TLS's own handshake, which is the owner's: nbd_conn_secured() */
	NBD_READY,	     /* a reply's first 16 bytes */
	NBD_WAIT_CHUNK,	     /* last 4 bytes of a structured reply's header */
	NBD_WAIT_CHUNK_BODY, /* offset, hole or error of a chunk */
	NBD_WAIT_DATA,	     /* payload, passed on where it lies */
	NBD_CLOSED,	     /* we ended it: DISC or ABORT is in the output */
	NBD_DEAD,	     /* nothing it says counts any more */
};

/* What the server said of the export. Block sizes are 0 unless has_block_size. */
struct nbd_export {
	uint64_t size_bytes;
	uint16_t flags; /* NBD_FLAG_*; 0 if the server did not set HAS_FLAGS */
	bool has_block_size, is_structured, is_fixed;
	uint32_t block_min, block_pref, block_max;
};

struct nbd_range {
	uint32_t from, to; /* bytes of the request, [from, to) */
};

/*
 * One request on the wire. The owner fills type, flags, offset, bytes and piece_bytes, and clears
 * is_partial. What is asked for at one time is @ask, a part of [0, bytes); the machine sets it.
 */
struct nbd_req {
	uint64_t offset, cookie;
	uint32_t bytes;
	uint32_t piece_bytes; /* most to ask for at one time, whole blocks; 0 = everything */
	uint16_t type, flags; /* enum nbd_cmd, NBD_CMD_FLAG_* */
	int result;	      /* first error the server gave, -errno */
	bool is_partial; /* ranges hold what was answered; to be lent again for the rest. Not in
			    flight */
	bool is_told;	      /* a chunk of the answer to @ask was read */
	bool is_forgotten;    /* ranges had no room for a part of that answer */
	bool is_again;	      /* ranges were not empty when it was asked for */
	struct nbd_range ask;
	uint32_t prefix_bytes; /* answered without a gap when it was asked for */
	uint32_t told_bytes;   /* content of the answer to @ask, forgotten parts included */
	uint16_t range_count; /* what was answered, sorted and disjoint */
	struct nbd_range ranges[NBD_RANGE_MAX];
};

enum nbd_event_type {
	NBD_EVENT_NONE, /* every byte was taken, nothing to tell */
	/* Of a probe; name and text are valid until the next
	 * feed, UTF-8 without controls, no NUL. */
	NBD_EVENT_EXPORT,      /* LIST told of an export: name and text */
	NBD_EVENT_NAME,	       /* the export's canonical name */
	NBD_EVENT_DESCRIPTION, /* the export's description: text */
	NBD_EVENT_TLS,	       /* STARTTLS was agreed on: the next byte is TLS's, and nothing is
				  fed before nbd_conn_secured() */
	NBD_EVENT_READY,       /* negotiation done; nbd_conn.export is valid (probe: and the machine
				  closed) */
	NBD_EVENT_REPLY,       /* a piece of a reply, or its end, or both */
	NBD_EVENT_DEAD,	       /* nbd_conn.error says why */
};

struct nbd_event {
	enum nbd_event_type type;
	/* REPLY: @len bytes of READ payload at @at bytes into the request; bytes NULL = zeroes. */
	struct nbd_req *req;
	const uint8_t *bytes;
	uint32_t at, len;
	bool is_done; /* req is the owner's again; if req->is_partial, to be asked for the rest */
	int result;   /* 0 or -errno, with is_done */
	const char *name, *text;
	uint32_t name_bytes, text_bytes;
};

enum nbd_fault {
	NBD_FAULT_NONE,
	NBD_FAULT_LOST,	   /* connection gone: try again */
	NBD_FAULT_LIE,	   /* the server broke the protocol */
	NBD_FAULT_REFUSED, /* it answered, and the answer is no: a person must change something */
};

#define NBD_SHOWN_BYTES	  84
#define NBD_IN_BYTES_MAX  (2 * NBD_STRING_BYTES_MAX + 64)
#define NBD_OUT_BYTES_MAX (2 * NBD_STRING_BYTES_MAX)

struct nbd_conn {
	enum nbd_conn_state state;
	enum nbd_fault fault;
	char error[256]; /* what is wrong and what to do about it; no newline, printable */
	bool is_probe;
	const char *export_name; /* the owner's, lives as long as the machine */
	char shown_name[NBD_SHOWN_BYTES]; /* the same, for sentences: printable, and cut if it is
					     long */

	/* negotiation */
	bool is_fixed, is_no_zeroes, is_oldstyle, has_info_export;
	bool is_option_open; /* an option waits for its last reply: nothing may be said before it */
	bool is_closing;     /* … and then ABORT or DISC is */
	bool is_abort_said;  /* ABORT is in the output, or was */
	bool is_tls_refused; /* the refusal was for lack of TLS */
	bool wants_tls;	     /* nothing is asked for before STARTTLS */
	bool is_secured;     /* … and what is said now is said in TLS */
	bool is_soft;	 /* dead, and ABORT or DISC is in the output: flush before FIN, no reset */
	bool has_list;	 /* LIST was answered to its end */
	uint32_t option; /* the one we wait for, 0 = none yet */
	uint32_t reply_type, reply_count;
	struct nbd_export export;

	/* transmission: the reply being read */
	struct nbd_req *cur;
	bool is_chunk, is_last_chunk;
	uint16_t chunk_type;
	uint32_t data_at, data_left;
	uint32_t in_flight;
	uint64_t generation;
	struct nbd_req *slots[NBD_SLOT_MAX];
	uint16_t free_slots[NBD_SLOT_MAX];

	/* bytes gathered until a header is whole; bytes still to be sent */
	uint32_t have, need;
	uint32_t out_head, out_len;
	uint8_t in[NBD_IN_BYTES_MAX];
	uint8_t out[NBD_OUT_BYTES_MAX];
};

/* Starts afresh. @probe: LIST and INFO only, then ABORT. @export_name is borrowed. */
void nbd_conn_init(struct nbd_conn *c, const char *export_name, bool probe);

/*
 * Behind nbd_conn_init(): insists on TLS. The first option is STARTTLS, and a server that does not
 * agree to it is refused; nothing of what follows is ever said or believed in plaintext.
 */
void nbd_conn_require_tls(struct nbd_conn *c);

/*
 * After NBD_EVENT_TLS, when TLS's handshake is done: the options start over, in TLS. What goes in
 * and out from here on is plaintext of TLS records. *ev: NONE, or DEAD.
 */
void nbd_conn_secured(struct nbd_conn *c, struct nbd_event *ev);

/*
 * Takes bytes up to the next event. Out: how many were taken; *ev, NBD_EVENT_NONE only if all
 * were. A machine that is dead or closed takes everything and says nothing.
 */
size_t nbd_conn_feed(struct nbd_conn *c, const uint8_t *bytes, size_t len, struct nbd_event *ev);

/* The server sent its FIN or the stream died: sets fault and error to what that means now. */
void nbd_conn_eof(struct nbd_conn *c);

/* Bytes to send, *len of them (0 = none), and the word that the first @len of them were sent. */
const uint8_t *nbd_conn_output(const struct nbd_conn *c, size_t *len);
void nbd_conn_sent(struct nbd_conn *c, size_t len);

/*
 * Lends @req to the machine and builds its header, which asks for all of it or, if it is_partial,
 * for what was not answered yet. Out: 0, -ENOSPC (every slot is in flight), or -ENOTCONN (not in
 * transmission).
 */
int nbd_conn_request(struct nbd_conn *c, struct nbd_req *req, struct nbd_wire_request *hdr);

/* Takes @req back unanswered: it was not sent, or the connection is gone. */
void nbd_conn_forget(struct nbd_conn *c, struct nbd_req *req);

/*
 * Soft disconnect: DISC or ABORT is added to the output and the machine is closed; while an option
 * is unanswered, as soon as it is answered. Before the client's flags were sent there is nothing to
 * say.
 */
void nbd_conn_close(struct nbd_conn *c);

/* As nbd_conn_close(), and then the machine is dead for
 * this reason, the server's refusal or ours. */
__attribute__((format(printf, 4, 5))) void nbd_conn_refuse(
	struct nbd_conn *c, enum nbd_fault fault, struct nbd_event *ev, const char *fmt, ...);

/* NBD errno to -errno; a number the protocol does not name is EINVAL. */
int nbd_errno_to_host(uint32_t wire);

#endif
