/*
 * volume_priv.h - inside a volume: what volume_*.c and nbd_client.c share
 *
 * Terms. An *io* is one block request of the front end, held from take() to complete(). A *sub* is
 * the part of it that fits one NBD request; only subs travel. Each file holds one subject:
 *   volume.c         create, destroy, state, facts
 *   volume_conn.c    one connection's life: open, negotiate, serve
 *   volume_lost.c    and its end: lost, with what follows from it
 *   volume_soft.c    or left in good order
 *   volume_io.c      requests in: take, check, cut into subs, send within the credits
 *   volume_credit.c  how many credits its READs could use
 *   volume_done.c    replies out: payload, results, FLUSH and FUA, completion
 *   volume_flush.c   one FLUSH in flight per device, FUAs beside it, what is unstable
 *   volume_again.c   answers that settle a request only in part, or ask for a shorter one
 *   volume_group.c   what channels of one device on several workers agree on
 *   volume_servers.c where it may connect to
 *   volume_probe.c   what a probe finds
 *   volume_policy.c  what an export must be, who it is, what giving up means
 *   volume_silence.c deadlines of requests, when to give up, slow servers
 *   volume_tls.c     the handshake of TLS carried, records opened
 *   volume_tls_tx.c  records sealed, and where they rest
 */
#ifndef NBD_CLIENT_VOLUME_PRIV_H
#define NBD_CLIENT_VOLUME_PRIV_H

#include <sys/queue.h>
#include "config/counter.h"
#include "nbd_client/nbd_client.h"
#include "nbd_client/nbd_conn.h"

/* Credits and slots are kept apart for these two, so that writes cannot starve reads. */
enum volume_kind { KIND_READ, KIND_WRITE, KIND_COUNT };

/* Waiting lines, in the order they are served. */
enum volume_class {
	CLASS_SWAP_READ,
	CLASS_READ,
	CLASS_SWAP_WRITE,
	CLASS_WRITE,	 /* WRITE, TRIM, WRITE_ZEROES */
	CLASS_FUA_FLUSH, /* second half of a FUA the server cannot do itself */
	CLASS_FLUSH,
	CLASS_COUNT,
};

struct volume_io {
	TAILQ_ENTRY(volume_io) link;	  /* free list or a waiting line */
	TAILQ_ENTRY(volume_io) open_link; /* volume.writes_open */
	TAILQ_ENTRY(volume_io) fua_link;  /* volume.fuas_open */
	TAILQ_ENTRY(volume_io) wait_link; /* volume.ios_open */
	struct block_req *req;		  /* NULL = free */
	uint64_t seq;			  /* order of take() */
	uint32_t issued_bytes;		  /* of req->bytes, given to subs */
	uint32_t subs_open;
	int result; /* first error, -errno */
	uint64_t covers[DEVICE_CHANNEL_MAX]; /* FLUSH: newest WRITE of each other channel when it
					     was taken */
	uint8_t class;
	bool is_queued;	  /* stands in a waiting line */
	bool is_write;	  /* a FLUSH taken later must wait for it */
	bool is_fua;	  /* the server is asked for FUA */
	bool needs_flush; /* FUA, and the server has only FLUSH */
	bool is_issued;	  /* nothing of it is left to be cut off */
	uint32_t losses;  /* of connections, when it was begun (or begun anew) */
};

struct volume_conn;
struct conn_tls; /* volume_tls.h */

struct volume_sub {
	struct nbd_req nbd;	      /* first: an event's req is the sub */
	TAILQ_ENTRY(volume_sub) link; /* free, replay, in_flight or answered */
	struct volume_io *io;
	struct volume_conn *conn; /* NULL unless in flight or answered */
	uint8_t kind;
	uint32_t cost_mbufs;	    /* read credit it holds while in flight */
	bool is_alone;		    /* next to no READ was in flight when it was sent */
	int32_t staging;	    /* piece of the staging memory, -1 = none */
	uint64_t sent_us, send_end; /* stream position behind its last byte */
	uint8_t tries;		    /* times it was lost in flight */
};
TAILQ_HEAD(volume_sub_list, volume_sub);
TAILQ_HEAD(volume_io_list, volume_io);

enum volume_conn_state {
	CONN_IDLE,	  /* no stream; opens at retry_us if it may */
	CONN_OPENING,	  /* SYN sent */
	CONN_NEGOTIATING, /* handshake of NBD */
	CONN_SERVING,
	CONN_LEAVING, /* the server said ESHUTDOWN: nothing new, PARTING when nothing is in flight
		       */
	CONN_PARTING, /* good-bye is said, the server's FIN is waited for (volume_soft.c) */
};

struct volume_conn {
	struct volume *volume;
	unsigned idx;
	enum volume_conn_state state;
	struct stream *stream;
	struct volume_sub_list in_flight; /* in order of sending, so the first is the oldest */
	struct volume_sub_list answered;  /* WRITEs whose reply overtook the ACK of their payload */
	uint32_t read_used_mbufs, write_used_mbufs;
	uint64_t in_flight_bytes;
	uint64_t deadline_us; /* OPENING, NEGOTIATING and PARTING */
	int part_err;	      /* PARTING: -errno to be reported at its end, 0 = none */
	bool is_shut;	      /* PARTING: our FIN was sent */
	bool was_serving;     /* until it was taken out of service */
	uint64_t due_us;      /* no deadline of a request in flight is earlier */
	uint64_t moved_us;    /* when the oldest in flight was last answered, or a piece of it */
	uint64_t retry_us;    /* IDLE */
	uint32_t attempts;    /* since a request was last answered */
	struct volume_again {
		struct net_ip ip;
		uint16_t port, local_port; /* host order; local_port 0: nothing is replaced */
	} again; /* what the next connection replaces */
	uint32_t misdirected_tries; /* local ports given up because replies arrived elsewhere */
	bool is_misdirected;	    /* … and this one was kept although they do */
	struct conn_tls *tls; /* NULL: a plain connection */
	uint32_t event_bits;  /* seen and not yet acted upon: EOF, DEAD */
	bool is_readable;
	struct nbd_conn nbd;
};

#define CREDIT_WINDOW_COUNT 16

/* What READs took lately; volume_credit.c. */
struct volume_credit {
	uint32_t granted_mbufs,
		wanted_mbufs; /* of each connection; the latter is read by any thread */
	uint32_t typical_bytes;		      /* of a READ of the last window */
	uint64_t window_us, mbufs, bytes, reads;
	uint64_t rates[CREDIT_WINDOW_COUNT]; /* mbufs a second */
	unsigned rate_idx;
	uint64_t delay_us[2], period_us; /* shortest: of this period, of the last; since when */
	uint64_t bytes_per_s, shown_delay_us; /* read by any thread */
};

/* The FLUSH of this channel; volume_flush.c. */
struct volume_flush {
	struct volume_sub *sub; /* in flight, in line for replay, or held back; NULL */
	struct volume_io_list riders; /* requests that end with it */
	bool has_token, is_answered, is_waiting, polls;
	uint64_t wait_us;    /* since when it polls; 0 = it does not */
	uint64_t fua_errors; /* of the device, when it was sent */
	uint64_t answered_bytes[DEVICE_CHANNEL_MAX]; /* of each channel, when it was sent */
	uint64_t fua_newest[DEVICE_CHANNEL_MAX];     /* of each channel, when it was answered */
	uint64_t exposed_bytes; /* answered_bytes of this channel at the last loss */
};

struct volume {
	struct volume_config cfg;
	enum volume_state state;
	struct nbd_client *client;
	struct block_front *front;
	struct volume_probe *probe;
	bool is_stopping, is_forced, has_identity;
	bool is_ending; /* stopped, its connections are parting */
	bool is_given_up; /* by a person: no server is looked for any more */
	bool is_left;	  /* held requests must not be failed: another daemon answers it */
	uint64_t stop_us;
	uint64_t now_us;

	/* where it is, and what it is there */
	unsigned server_idx, tried_count;
	uint32_t servers_gen; /* of a group: times the list was replaced */
	struct nbd_export identity; /* of the first READY: what comes back must be the same */
	struct block_limits limits;
	uint32_t read_piece_bytes, write_piece_bytes, trim_piece_bytes;
	uint64_t lost_us;   /* no connection, or none that answers, since then; 0 = all is well */
	uint32_t losses; /* connections that served and ended: the server may have restarted */
	uint64_t heard_us; /* the turn of the last reply of any kind */
	uint64_t wait_us;   /* a request has been waiting since then, if any is */
	bool is_slow_told;
	uint64_t
		flush_poll_us; /* a FLUSH waits for other workers: look again then; 0 = none does */
	uint64_t jitter;

	/* requests */
	struct volume_io *ios;
	struct volume_sub *subs;
	struct volume_io_list free_ios, ios_open, writes_open, fuas_open, waiting[CLASS_COUNT];
	struct volume_flush flush;
	struct volume_sync *sync,
		*own_sync; /* the device's; NULL unless it is this volume's alone */
	struct volume_sub_list free_subs, replay[KIND_COUNT + 1]; /* the last: FLUSH */
	uint32_t sub_used[KIND_COUNT], sub_max;
	uint64_t seq;
	int32_t *staging_free;
	uint32_t staging_free_count, staging_count;

	struct volume_conn *conns;
	unsigned conn_ready;
	struct volume_credit credit;

	/* read by volume_info() from any thread: volume_stat_*() only */
	uint32_t in_flight; /* ios held */
	uint64_t oldest_us; /* when the oldest of them was taken; 0 = none is held */
	uint64_t ops[BLOCK_OP_COUNT], bytes[BLOCK_OP_COUNT], errors[BLOCK_OP_COUNT];
	uint64_t reconnects, replayed, timeouts, protocol_errors, dirty_reconnects, events_lost;
	uint64_t unstable_lost;
	char error[288];
};

#define REPLAY_FLUSH KIND_COUNT

/* ---- volume.c ---- */
void volume_set_state(struct volume *v, enum volume_state state);
/* One line for the control thread. @type STATE carries the state of the moment. */
__attribute__((format(printf, 4, 5))) void volume_event_add(
	struct volume *v, enum volume_event_type type, int err, const char *fmt, ...);
/* True where requests are answered or carried, so take() makes sense. */
bool volume_is_taking(const struct volume *v);

/* ---- volume_servers.c ---- */
const struct volume_server *volume_server_now(const struct volume *v);
const struct nbd_uri *volume_uri_now(const struct volume *v); /* the URI that address belongs to */
void volume_server_next(struct volume *v);
#define VOLUME_WHERE_BYTES (256 + 64)
/* "host:port", and behind it the address, if the host is a name. */
void volume_where(const struct volume *v, char out[VOLUME_WHERE_BYTES]);

/* ---- volume_conn.c ---- */
void volume_conn_turn(struct volume_conn *vc);
/* Is what the server says still parsed? */
bool volume_conn_is_heard(const struct volume_conn *vc);
/* Plaintext from the server, to the protocol machine and on. Out: bytes taken. */
size_t volume_conn_feed(struct volume_conn *vc, const uint8_t *bytes, size_t len);
uint64_t volume_conn_deadline(const struct volume_conn *vc);

/* ---- volume_probe.c ---- */
void volume_probe_text(
	struct volume *v, const struct nbd_event *ev); /* EXPORT, NAME or DESCRIPTION */
void volume_probe_ready(struct volume *v, const struct nbd_export *x);
/* @c is dead. True: it delivered what was requested nevertheless, and the volume is stopping. */
bool volume_probe_is_enough(struct volume *v, const struct nbd_conn *c);

/* ---- volume_lost.c ---- */
/* What a stream's error means, with the remedy. */
const char *volume_stream_reason(int err);
/* Hands the handshake's output to the stream. */
void volume_conn_flush(struct volume_conn *vc);
/* Ends the connection at once; what was in flight waits for replay. @why goes to log and status. */
void volume_conn_lose(struct volume_conn *vc, int err, const char *why);
/* As volume_conn_lose(), with nothing told. */
void volume_conn_abort(struct volume_conn *vc);
/* Out of service: nothing is in flight or unanswered any more; what was is in line for replay. */
void volume_conn_unserve(struct volume_conn *vc);

/* ---- volume_soft.c ---- */
/*
 * Begins a soft disconnect; @err, -errno, is reported at its end with nbd.error or ESHUTDOWN's
 * words, 0: nothing is. What is not even open yet is aborted. Bounded by NBD_PART_US.
 */
void volume_conn_part(struct volume_conn *vc, int err);
void volume_conn_part_turn(struct volume_conn *vc); /* what was read is consumed already */

/* ---- volume_io.c ---- */
void volume_take(struct volume *v);
void volume_dispatch(struct volume *v);
void volume_io_queue(struct volume *v, struct volume_io *io, enum volume_class class);
/* A write whose FLUSH was answered begins anew, with its first piece. */
void volume_io_anew(struct volume *v, struct volume_io *io);
void volume_sub_give(struct volume *v, struct volume_sub *sub);
/* Puts a sub where it is sent again, in the order of its
 * request; replay: for it was not answered. */
void volume_sub_resend(struct volume *v, struct volume_sub *sub);
void volume_sub_replay(struct volume *v, struct volume_sub *sub);

/* ---- volume_credit.c ---- */
void volume_credit_init(struct volume *v);
void volume_credit_answer(struct volume *v, const struct volume_sub *sub); /* a READ was answered */
void volume_credit_turn(struct volume *v);

/* ---- volume_done.c ---- */
/* @len bytes of a READ's answer, from @ask_at of what @sub asks for; @bytes NULL: zeroes. */
void volume_payload(struct volume_sub *sub, uint32_t ask_at, const uint8_t *bytes, uint32_t len);
/* @sub was answered and its memory is free again. */
void volume_sub_done(struct volume *v, struct volume_sub *sub, int result);
/* An io none of whose subs is open ended with @result, 0 or -errno. */
void volume_io_done(struct volume *v, struct volume_io *io, int result);
/* Answers everything held with @result. No sub may be in flight. */
void volume_fail_held(struct volume *v, int result);
/* Gives @req back to the front end, counted. */
void volume_complete(struct volume *v, struct block_req *req, int result);

/* ---- volume_flush.c; worker thread but for create and destroy ---- */
/* The last reply to any channel of the device: now; when it was, 0 = never. */
void volume_sync_heard(struct volume *v);
uint64_t volume_sync_heard_us(const struct volume *v);
/* What all channels of a device share. NULL: no memory. The caller's; NULL may be destroyed. */
struct volume_sync *volume_sync_create(void);
void volume_sync_destroy(struct volume_sync *s);
size_t volume_sync_bytes(void);
/* The volume's group's (volume_group.c). */
struct volume_sync *volume_group_sync(struct volume_group *g);
/* A FUA that the server is asked for was taken; it ended with io->result. */
void volume_fua_taken(struct volume *v, struct volume_io *io);
void volume_fua_ended(struct volume *v, struct volume_io *io);
/* May @sub, a FLUSH, be sent now? True: the token is taken; sent or undo must follow at once. */
bool volume_flush_begin(struct volume *v, const struct volume_sub *sub);
void volume_flush_sent(struct volume *v, struct volume_sub *sub);
void volume_flush_undo(struct volume *v);
/* @io, which waits in line for a FLUSH, is covered by the one just sent: it shares its result. */
void volume_flush_ride(struct volume *v, struct volume_io *io);
/* The connection of @sub, a FLUSH, ended before its answer: it goes to the replay line. */
void volume_flush_lost(struct volume *v, const struct volume_sub *sub);
/* The server answered @sub, a FLUSH, 0 or -errno: settled
 * now, or when the FUAs beside it are over. */
void volume_flush_answered(struct volume *v, struct volume_sub *sub, int result);
/* First, and last, of a turn. */
void volume_flush_turn(struct volume *v);
void volume_flush_publish(struct volume *v);
/* Forgets this channel's FLUSH: its ios are answered by the caller, or by another daemon. */
void volume_flush_drop(struct volume *v);
/* @bytes were answered that only a FLUSH makes stable. How many of this channel are not stable yet?
 */
void volume_unstable_add(struct volume *v, uint64_t bytes);
uint64_t volume_unstable_bytes(const struct volume *v);
/* The server may have restarted: counts and reports what is unstable. */
void volume_unstable_expose(struct volume *v);

/* ---- volume_again.c ---- */
/*
 * @sub, a copy of whose wire request was answered with @result (0 or -errno, perhaps changed here),
 * and which is on no connection: must it be sent again (volume_sub_resend)? Never for a WRITE or a
 * FLUSH.
 */
bool volume_sub_again(struct volume *v, struct volume_sub *sub, int *result);

/* ---- volume_group.c ---- */
/* A WRITE was put among writes_open; one was taken out. */
void volume_group_write_taken(struct volume *v, uint64_t seq);
void volume_group_write_ended(struct volume *v);
void volume_group_flush_taken(const struct volume *v, struct volume_io *io);
/* Has every WRITE of other channels that @io covers been answered? */
bool volume_group_flush_may_go(const struct volume *v, const struct volume_io *io);
/* The leader's list was replaced: lets the others have it. */
void volume_group_servers_set(struct volume *v);
/* Is it this channel's time to open connections? */
bool volume_group_may_open(const struct volume *v);
/* Before one is opened to server_idx. False: not now, for
 * a sibling leads elsewhere, or is there. */
bool volume_group_claim(struct volume *v);
/* May this channel turn to the next address? */
bool volume_group_may_move(const struct volume *v);
/* First and last thing of a turn: go where the leader is; tell the others where we are. */
void volume_group_follow_leader(struct volume *v);
void volume_group_publish(struct volume *v);

/* ---- volume_policy.c ---- */
/* May this export be served? 0, or -errno with @err. */
int volume_export_check(const struct volume *v, const struct nbd_export *x, struct error *err);
/* Limits and piece sizes of the first READY. */
void volume_export_adopt(struct volume *v, const struct nbd_export *x);
void volume_policy_turn(struct volume *v);
/* Mbufs the reply to a READ of @bytes may occupy, the worst case. */
uint32_t volume_read_cost(const struct volume *v, uint32_t bytes);
uint32_t volume_write_quota(const struct volume *v);
uint32_t volume_read_quota(const struct volume *v);
uint32_t volume_read_least(const struct volume *v); /* of that, what is never taken back */

/* ---- volume_silence.c ---- */
/* @io was taken from the front end, and will be given back. */
void volume_wait_begin(struct volume *v, struct volume_io *io);
void volume_wait_end(struct volume *v, struct volume_io *io);
/* Reports a request that is older than NBD_SLOW_US, and when that will be. */
void volume_slow_turn(struct volume *v);
uint64_t volume_slow_us(const struct volume *v);
/* Sets the deadline of @sub, just sent; it was lost in flight; is any of @vc's requests overdue? */
void volume_due_set(struct volume_conn *vc, const struct volume_sub *sub);
/* @sub was answered, or a piece of it: what was sent after the oldest waits no longer behind it. */
void volume_due_move(struct volume_conn *vc, const struct volume_sub *sub);
void volume_due_again(struct volume_sub *sub);
bool volume_is_due(struct volume_conn *vc);
/* A reply, or payload of one, came. */
void volume_heard(struct volume *v);
/* A connection is ready, and no request waits. */
void volume_progress(struct volume *v);
/* A connection was lost: starts the clock of on_dead if none serves. */
void volume_lost(struct volume *v);
uint64_t volume_give_up_us(const struct volume *v); /* UINT64_MAX = never */

/* ---- one volume's part of a turn (volume.c) ---- */
/* False: the volume is VOLUME_GONE and no longer the worker's. */
bool volume_turn(struct volume *v, uint64_t now_us);
uint64_t volume_deadline(const struct volume *v);

/* ---- nbd_client.c ---- */
void nbd_client_answered(struct nbd_client *nc, uint64_t took_us); /* a request, from its taking */
struct net *nbd_client_net(struct nbd_client *nc);
/* Place for one more event, or NULL: the queue is full. */
struct volume_event *nbd_client_event_slot(struct nbd_client *nc);
uint64_t nbd_client_random(struct nbd_client *nc);

#endif
