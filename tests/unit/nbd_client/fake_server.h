/*
 * fake_server.h - an NBD server on fake streams: honest, or lying exactly where it is told to
 */
#ifndef TESTS_UNIT_NBD_CLIENT_FAKE_SERVER_H
#define TESTS_UNIT_NBD_CLIENT_FAKE_SERVER_H

#include "tests/unit/nbd_client/fake_stream.h"
#include "nbd_client/nbd_proto.h"

#define FAKE_CMD_MAX 4096
#define FAKE_FLAGS_ALL                                                                             \
	(NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM |       \
		NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_FAST_ZERO)

enum fake_lie {
	LIE_NONE,
	LIE_MAGIC,
	LIE_COOKIE,
	LIE_COOKIE_SLOT, /* a slot beyond any there is */
	LIE_TWICE,
	LIE_PARTIAL,  /* a READ answered in part, with DONE */
	LIE_OVERLAP,  /* the same bytes in two chunks */
	LIE_OUTSIDE,  /* payload beyond the request */
	LIE_BEFORE,   /* payload in front of it */
	LIE_HUGE,     /* a chunk of almost 4 GiB */
	LIE_TYPE,     /* unknown chunk type that is no error */
	LIE_EMPTY,    /* data chunk without data */
	LIE_NOT_DONE, /* empty chunk that ends nothing */
	LIE_NO_ERROR, /* error chunk with error 0 */
	LIE_MESSAGE,  /* error message longer than its chunk */
	LIE_STRING,   /* error message longer than 4096 bytes */
	LIE_ERROR_AT, /* error offset outside the request */
	LIE_SIMPLE,   /* simple reply with data where structured was agreed on */
	LIE_PAYLOAD,  /* payload for whatever was asked */
	LIE_HOLE,     /* hole with a wrong length of its body */
	LIE_COUNT,
};

enum fake_shape { SHAPE_ONE, SHAPE_PIECES_BACKWARDS, SHAPE_HOLES, SHAPE_CHUNKS };
/* The order of SHAPE_CHUNKS */
enum fake_order {
	ORDER_UP,
	ORDER_DOWN,
	ORDER_EVEN_ODD,
	ORDER_ODD_EVEN_DOWN,
	ORDER_RANDOM,
	ORDER_COUNT
};

struct fake_cmd {
	struct stream *stream;
	uint16_t type, flags;
	uint64_t cookie, offset;
	uint32_t bytes;
	bool is_answered;
	unsigned answered_before; /* commands answered when this one came */
	uint32_t error;		  /* NBD errno it is answered with */
};

struct fake_server {
	struct net *net;
	/* what it is */
	uint64_t size_bytes;
	uint16_t flags;
	uint32_t block_min, block_pref, block_max; /* min 0: no block sizes told */
	bool is_oldstyle, is_garbage, is_plain_newstyle, has_no_zeroes, knows_go, knows_structured;
	uint32_t option_error; /* answer to GO and INFO */
	uint32_t every_option_error;
	/* what it does */
	enum fake_lie lie;
	uint16_t lie_type; /* the command it lies about */
	enum fake_shape shape;
	uint32_t chunk_bytes; /* of SHAPE_CHUNKS */
	enum fake_order order;
	uint32_t chunk_seed;
	uint16_t chunk_flags;	    /* set in every chunk beside those that mean something */
	uint32_t too_long_bytes;    /* a READ, TRIM or WRITE_ZEROES of more is refused … */
	uint32_t too_long_error;    /* … with this errno */
	uint32_t error; /* NBD errno for commands of error_type */
	uint16_t error_type;
	uint16_t error_flags;	    /* … that have all of these command flags */
	unsigned errors_max;	    /* so many in all; 0 = every one */
	uint32_t held_types;	    /* bit 1 << command: not answered until let go */
	uint16_t held_flags;	    /* … of them those with all of these flags */
	struct stream *held_stream; /* and everything on this one */
	bool is_silent, stays_after_disc;
	unsigned answer_turns; /* answers one command in so many of its turns; 0: all at once */
	unsigned rested_turns; /* … since it answered one */
	bool tells_size_by_go_only;
	unsigned listed_count; /* exports LIST tells of, of fake_name_bytes() each; 0: two */
	bool holds_options; /* reads none until let go */
	/* Has TLS: puts it on the stream, and goes on with it each turn; NULL: it has none. */
	void (*tls_begin)(struct fake_server *srv, struct stream *s);
	void (*tls_turn)(struct fake_server *srv, struct stream *s);
	void *tls_arg;
	/* what it saw */
	uint8_t *disk;
	struct fake_cmd cmds[FAKE_CMD_MAX];
	unsigned cmd_count, answered_count, errors_told, disc_count, abort_count, lies_told;
	uint32_t read_bytes_open, read_bytes_open_max; /* of READs asked for and not answered */
	uint8_t phase[FAKE_STREAM_MAX];
	bool is_structured[FAKE_STREAM_MAX];
};

struct fake_server *fake_server_create(struct net *net, uint64_t size_bytes);
void fake_server_destroy(struct fake_server *srv);
void fake_server_turn(struct fake_server *srv);
/* Of the @idx-th of listed_count names: from 1 to 4096. */
size_t fake_name_bytes(unsigned idx);
unsigned fake_server_count(const struct fake_server *srv, uint16_t type);

#endif
