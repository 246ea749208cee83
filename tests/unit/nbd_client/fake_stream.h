/*
 * fake_stream.h - stream.h in memory: two byte pipes per stream, both in the test's hands
 */
#ifndef TESTS_UNIT_NBD_CLIENT_FAKE_STREAM_H
#define TESTS_UNIT_NBD_CLIENT_FAKE_STREAM_H

#include "config/limits.h"
#include "dataplane/net/stream.h"

#define FAKE_STREAM_MAX 64
#define FAKE_LOCAL_PORT 40000 /* of the first stream, and so on */

struct fake_pipe {
	uint8_t *bytes;
	size_t len, room;
};

struct stream {
	struct net *net;
	bool is_misdirected; /* opened while net.misdirected_next > 0 */
	bool is_open, is_connected, is_shut, is_aborted, is_released, is_expecting;
	void *ctx;
	uint32_t bits;
	int error;
	struct stream_target target;
	struct fake_pipe to_server, to_client;
	size_t server_at;	       /* to_server, or plain, read by the server so far */
	/* The server's TLS: what it writes goes there, what it reads is in plain; NULL: none. */
	void (*seal)(struct stream *s, const void *bytes, size_t len);
	void *seal_arg;
	struct fake_pipe plain;
	size_t opened_at; /* to_server opened into plain so far */
	size_t visible, consumed;      /* of to_client */
	bool is_eof_sent, is_eof_told; /* the server closed; the client was told */
	uint64_t acked;
	struct stream_buf *attached[STREAM_CHUNK_MAX]; /* not yet acknowledged */
	uint64_t attached_end[STREAM_CHUNK_MAX];
	unsigned attached_count;
};

/* A frame in the NIC's ring: its payload is read when it is sent. */
struct fake_frame {
	struct stream *stream;
	uint8_t hdr[STREAM_INLINE_BYTES_MAX];
	size_t hdr_len;
	const uint8_t *bytes;
	uint32_t len;
	bool is_reset;
};

#define FAKE_FRAME_MAX 64

/* What the test scripts. */
struct net {
	struct stream streams[FAKE_STREAM_MAX];
	unsigned opened;	/* streams ever connected; streams[opened - 1] is the newest */
	int connect_error;	/* stream_connect() fails with it */
	int syn_error;		/* the handshake of TCP fails with it */
	unsigned misdirected_next; /* replies to the next connections arrive elsewhere */
	bool is_port_taken;	/* whichever is asked for */
	bool is_deaf;		/* SYNs are never answered */
	uint32_t span_bytes;	/* pieces received bytes lie in; 0 = some */
	size_t drip_bytes;	/* delivered to the client per turn and stream; 0 = all */
	bool holds_acks;	/* what is sent is not acknowledged */
	bool is_wire_fast;	/* no mbuf refers to what was sent, acknowledged or not */
	uint32_t refused_sends; /* the next sends answer -EAGAIN */
	size_t cut_to_client;	/* the first stream ends after so many bytes; SIZE_MAX = never */
	size_t cut_to_server;
	bool cut_is_reset;
	uint32_t room_bytes; /* send room; 0 = what the target asked for */
	bool is_stuck;	     /* no link: what is sent stays in the ring, nothing arrives */
	struct fake_frame ring[FAKE_FRAME_MAX];
	unsigned ring_count;
};

struct net *fake_net_create(void);
void fake_net_destroy(struct net *net);
/* Moves time on by a turn: SYNs answered, bytes delivered, ACKs given, cuts made. */
void fake_net_turn(struct net *net);
/* The server's side. */
void fake_stream_write(struct stream *s, const void *bytes, size_t len);
void fake_stream_close(struct stream *s);
/* The same past its TLS. */
void fake_stream_write_raw(struct stream *s, const void *bytes, size_t len);
void fake_pipe_put(struct fake_pipe *p, const void *bytes, size_t len);
/* Bytes a stream is holding for the client: delivered and not consumed. */
size_t fake_stream_held(const struct stream *s);

#endif
