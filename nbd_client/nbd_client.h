/*
 * nbd_client.h - volumes on a worker: connections to NBD servers below, a block front end above
 *
 * A volume is created by the control thread (which allocates everything it will ever need), handed
 * to one worker, and lives there: connect, negotiate, serve, lose the server, come back. The worker
 * calls nbd_client_turn() once a turn. What the control thread must know comes out as events.
 */
#ifndef NBD_CLIENT_NBD_CLIENT_H
#define NBD_CLIENT_NBD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/config.h"
#include "config/error.h"
#include "config/nbd_uri.h"
#include "nbd_client/block.h"
#include "dataplane/net/stream.h"

struct nbd_client; /* one a worker */
struct volume;
struct volume_group; /* what the channels of one block device share */

/* ---- control thread ---- */

struct nbd_client *nbd_client_create(struct net *net, uint64_t seed);
void nbd_client_destroy(struct nbd_client *nc);

/* What a worker's client takes of memory, and each volume. */
size_t nbd_client_bytes(void);
size_t volume_bytes(const struct volume *v);

/* One address of one of the volume's URIs (the worker never asks a name server). */
struct volume_server {
	struct net_ip ip;
	uint8_t uri; /* place of the URI in volume_config.uris */
};
/* All of them, in the order in which they are tried. */
struct volume_servers {
	uint32_t count;
	struct volume_server list[VOLUME_SERVER_MAX];
};

struct tls_creds; /* nbd_client/tls/tls_creds.h */

/* TLS for a volume. The caller's, as all it points to, until volume_destroy(). */
struct volume_tls_config {
	const struct tls_creds *creds;
	const char *hostname; /* what certificates must be for; NULL: the URI's host */
	/*
	 * TLS_TX_BUFS a connection, of TLS_TX_BUF_BYTES each, DMA-able: ciphertext. Mbufs may refer
	 * to them after volume_destroy(), as to any stream_buf.
	 */
	struct stream_buf *const *bufs;
};

struct volume_config {
	char name[NAME_BYTES_MAX];
	struct nbd_uri uris[VOLUME_URI_MAX];
	struct volume_servers servers; /* to begin with; volume_servers_set() */
	uint16_t connections;
	uint16_t queue_depth;
	uint32_t io_bytes_max;
	enum config_on_dead on_dead;
	enum config_unstable unstable;
	uint64_t dead_us; /* on_dead: fail: silence for so long while a request waits is given up */
	uint64_t request_us;   /* deadline of a request; 0 = none */
	uint64_t dead_peer_us; /* silence of the peer's TCP that ends a connection; 0 = 15 s */
	uint64_t connect_us;
	bool read_only;
	char cc[16];	      /* congestion control of each connection; empty = TCP's default */
	uint32_t quota_mbufs; /* receive quota of each connection, mbufs: the most it is ever
				 granted */
	uint32_t quota_least_mbufs;   /* … and what it begins with; 0 = quota_mbufs, for good */
	uint32_t mbuf_payload_min;    /* payload bytes an mbuf surely carries, for read credits */
	uint16_t owner[VOLUME_CONN_MAX], owner_ooo[VOLUME_CONN_MAX]; /* ledger owners */
	struct volume_group *group; /* NULL: no other worker has a channel of this device */
	unsigned channel;	    /* in the group; 0 leads */
	bool probe_only; /* ask what there is (volume_probe), say good-bye, VOLUME_GONE */
	/*
	 * Where WRITE payload rests for a front end whose requests have no buf (block.h: copy_in):
	 * DMA-able memory of the caller's, cut into pieces of staging_bytes. NULL: all have one.
	 */
	struct stream_buf *staging;
	uint32_t staging_bytes;
	const struct volume_tls_config *tls; /* NULL: plain connections; else never a plain one */
};

/*
 * TLS. Mbufs a connection may hold beyond its quota, because a record is opened when it is whole;
 * and bytes it takes, buffers excluded.
 */
uint32_t volume_tls_rest(uint32_t mbuf_payload_min);
size_t volume_tls_bytes(void);
/*
 * Does the control thread's part of the handshakes under way, from nbd_client_add() on; without
 * it none succeeds. Never waits. True: there was something to do, and there may soon be more.
 */
bool volume_tls_serve(struct volume *v);

/* Allocates the volume, stopped. NULL: no memory, or @err
 * says why the configuration cannot work. */
struct volume *volume_create(const struct volume_config *cfg, struct error *err);
void volume_destroy(struct volume *v); /* after VOLUME_GONE */

/*
 * A device served by several workers is several volumes, one a worker. The first channel alone
 * finds out what the export is; the others get it before nbd_client_add(), and require the same.
 */
struct volume_group *volume_group_create(void); /* NULL: no memory */
void volume_group_destroy(struct volume_group *g); /* after its volumes; NULL is fine */
void volume_follow(struct volume *v, const struct volume *first); /* @first was READY */

enum volume_state {
	VOLUME_IDLE,	   /* created, not given to a worker */
	VOLUME_CONNECTING, /* TCP or negotiation in progress, never been ready */
	VOLUME_READY,	   /* at least one connection serves */
	VOLUME_LOST,	   /* was ready, no connection now: reconnecting, requests held */
	VOLUME_FAILED, /* given up: requests answered with -EIO (policy fail), or never became ready
			*/
	VOLUME_DRAINING, /* detach asked for */
	VOLUME_GONE,	 /* worker is done with it */
};

/* ---- worker ---- */

/* Starts @v on this worker. 0 or -ENOSPC. */
int nbd_client_add(struct nbd_client *nc, struct volume *v, uint64_t now_us);
/* Gives @v its front end; requests flow once it is READY. */
void volume_front_set(struct volume *v, struct block_front *front);
/* Grants each connection @mbufs, between quota_least_mbufs and quota_mbufs; what is in flight
 * stays. */
void volume_credit_set(struct volume *v, uint32_t mbufs);
/* Drains what is in flight (bounded by @deadline_us), sends DISC, ends in VOLUME_GONE. @force: at
 * once. */
void volume_stop(struct volume *v, bool force, uint64_t deadline_us);
/*
 * Replaces the addresses of a volume that has no connection: its names were resolved again.
 * @servers is copied. A volume that serves keeps the list it has, and an address that is tried at
 * this moment and is in both lists goes on. In a group the leader gets it, and passes it to the
 * others.
 */
void volume_servers_set(struct volume *v, const struct volume_servers *servers);
/*
 * Fails what is held and whatever still comes, at once and for good, but goes on taking it: the
 * kernel's STOP_DEV waits until every request is answered. volume_stop() comes after that.
 */
void volume_fail(struct volume *v);
/*
 * As volume_stop(), but what is not answered by @deadline_us is forgotten instead of failed: its
 * front end's device outlives us, and the kernel issues it again to the next daemon.
 */
void volume_leave(struct volume *v, uint64_t deadline_us);

/* One turn: stream events in, replies parsed, completions
 * handed up, new requests taken and queued. */
void nbd_client_turn(struct nbd_client *nc, uint64_t now_us);
uint64_t nbd_client_deadline(const struct nbd_client *nc); /* next time a turn has work by itself */
/* What the servers are asked for at present. */
struct nbd_client_load {
	uint64_t latency_us; /* what a request took of late, from its taking to its answer */
	unsigned in_flight;  /* requests that wait for their answer */
	bool is_answering;   /* of one of these a part has come */
	uint32_t rtt_us; /* then: of the connection it comes on; the shortest, if it is several */
};
void nbd_client_load(const struct nbd_client *nc, struct nbd_client_load *out);
bool nbd_client_pending(const struct nbd_client *nc);	   /* a front end has requests to take */

enum volume_event_type { VOLUME_EVENT_STATE, VOLUME_EVENT_SERVER, VOLUME_EVENT_REFUSED };
struct volume_event {
	struct volume *volume;
	enum volume_event_type type;
	enum volume_state state;
	int err;
	char text[352]; /* one line for the log: what happened, what happens next */
};
/* Oldest first; the worker forwards them to the control thread. */
unsigned nbd_client_events(struct nbd_client *nc, struct volume_event *out, unsigned max);

/* ---- any thread (values may be a turn old) ---- */
struct volume_info {
	char name[NAME_BYTES_MAX];
	enum volume_state state;
	struct block_limits limits; /* valid from the first READY on */
	char server[300];	    /* host:port of the URI in use */
	char error[288];	    /* last reason, empty if none */
	unsigned conn_count, conn_ready;
	unsigned conn_misdirected; /* of the ready: replies arrive at another worker, which hands
				 them over */
	uint64_t oldest_us;   /* the worker's clock when the oldest request held was taken; 0 = none
				 is held */
	uint64_t heard_us;    /* the worker's clock at the last reply to any channel; 0 =
				 there was none */
	uint32_t in_flight, in_flight_max, read_credit_mbufs, read_credit_used_mbufs;
	/* Of each connection, WRITEs' part included: granted, and what rate x delay asks for. */
	uint32_t credit_granted_mbufs, credit_wanted_mbufs;
	bool is_over_credit; /* more is in flight than was granted since */
	uint64_t read_bytes_per_s, read_delay_us; /* as measured; 0 = not yet */
	uint64_t ops[BLOCK_OP_COUNT], bytes[BLOCK_OP_COUNT], errors[BLOCK_OP_COUNT];
	uint64_t reconnects, replayed, timeouts, protocol_errors;
	bool structured, has_block_size,
		is_fixed; /* fixed newstyle, as everything but EXPORT_NAME needs */
	uint32_t block_min, block_pref,
		block_max;	   /* bytes, as the server told them; 0 if it did not */
	uint16_t nbd_flags;	   /* NBD_FLAG_* of nbd_proto.h, as the server sent them */
	bool is_through_asked;	   /* `unstable: through`, and the server was asked what it has */
	bool is_through;	   /* every write goes with FUA: nothing is ever unstable */
	uint64_t unstable_bytes;   /* answered WRITEs that no FLUSH has covered yet */
	uint64_t unstable_lost; /* … of those, when the last connection was lost: a restart may have
				   lost them */
	uint64_t dirty_reconnects; /* connections lost while answered WRITEs were not flushed */
	uint64_t events_lost;	   /* the control thread did not fetch them in time */
};
void volume_info(const struct volume *v, struct volume_info *out);
/*
 * Its state alone. VOLUME_GONE is the worker's last store: after reading it the volume may be
 * destroyed. Unlike an event it cannot get lost, so this is what the control thread's decisions
 * rest on.
 */
enum volume_state volume_state_of(const struct volume *v);

/*
 * What a probe found. Valid from VOLUME_GONE (or FAILED) on, until volume_destroy(). Texts are
 * UTF-8 without controls, at the named places in text; at 0 is the empty one.
 */
struct volume_probe {
	bool has_export; /* the URI's export could be asked about: its facts are in volume_info */
	bool has_list;	 /* the server answered LIST to its end */
	uint64_t size_bytes;		     /* of the export, as the server told it */
	unsigned export_count, export_total; /* kept here, told by the server */
	uint32_t name_at, description_at; /* of the URI's export: canonical name, and description */
	struct {
		uint32_t name_at, description_at;
	} exports[NBD_PROBE_NAMES_MAX];
	uint32_t text_bytes;
	char text[NBD_PROBE_TEXT_BYTES];
};
/* NULL unless probe_only was set. */
const struct volume_probe *volume_probe(const struct volume *v);

#endif
