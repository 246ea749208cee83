/*
 * device_impl.h - inside of the devices, for device*.c
 */
#ifndef DAEMON_ENGINE_DEVICE_IMPL_H
#define DAEMON_ENGINE_DEVICE_IMPL_H

#include "daemon/engine/backlog.h"
#include "daemon/engine/devices.h"
#include "daemon/engine/resolver.h"
#include "nbd_client/ublk/ublk.h"
#include "nbd_client/ublk/ublk_state.h"

#define DEVICE_BENCH_MAX (VOLUME_MAX * DEVICE_CHANNEL_MAX)
#define LINGER_MAX	 (2 * VOLUME_MAX * DEVICE_CHANNEL_MAX)
/* Of user copy's staging: no block is larger, so each fits a piece. */
#define USER_PIECE_BYTES  NBD_BLOCK_BYTES_MAX
#define USER_PIECES_TOTAL 64u /* 4 MiB: more WRITE payload in flight buys nothing */

/* What an attach or detach waits for; the order of attach, then of detach. */
enum device_step {
	STEP_FREE,    /* slot unused */
	STEP_RESOLVE, /* the addresses of its servers */
	STEP_CONNECT, /* the first READY of the volume */
	STEP_PORT,    /* the worker to release it, because another port is tried */
	STEP_SPREAD,  /* the other workers' channels to be READY */
	STEP_ADD,     /* the kernel to add the device, or to let us have it */
	STEP_FRONT,   /* the workers to start the front end's queues */
	STEP_START,   /* the kernel to accept the device */
	STEP_SERVE,   /* nothing: it serves */
	STEP_ASK,     /* whether the device is in use; it serves until then */
	STEP_STOP,    /* the kernel to give the device back */
	STEP_DRAIN,   /* the workers to be done with the volume */
	STEP_DELETE,  /* the kernel to delete the device */
};

/* A device's share of one worker; see device_channel.c. */
struct channel {
	struct volume *volume;
	struct bench *bench;
	struct stream_buf *buf;
	struct budget_share share; /* its queue, and so which worker; its connections and quota */
	int owner, owner_in[VOLUME_CONN_MAX], owner_ooo[VOLUME_CONN_MAX];
	struct backlog backlog; /* of commands about this channel */
	/* device_credit.c: the worker's credits, and since when … */
	uint32_t told;
	bool is_shrinking;
	uint64_t credit_ticket, reads_seen, read_us, low_us;
	bool is_gone, is_failed, was_ready, is_dismissed;
};

/* The hosts of a device's URIs; device_servers.c. */
struct device_names {
	uint64_t ticket[VOLUME_URI_MAX];	 /* 0: nothing is asked about it */
	struct resolver_ips ips[VOLUME_URI_MAX]; /* the last good ones */
	struct error why[VOLUME_URI_MAX];	 /* of those without */
	bool has_name, is_asking;
	uint64_t since_us, look_us, again_us;
	uint32_t pause_us;
	struct volume_servers servers; /* as posted to the worker: left alone until it is done */
};

struct device {
	enum device_step step;
	struct config_volume cfg;
	enum engine_front front_kind;
	struct bench_config bench_cfg;
	struct volume_config *plan; /* what all channels have in common */
	struct volume_group *group; /* NULL: one channel was requested */
	struct channel channels[DEVICE_CHANNEL_MAX];
	unsigned channel_count, channel_want;
	uint64_t spread_us; /* channels that are not ready by then are left out */
	char spread[192];   /* why it is on fewer workers than there are; empty = it is not */
	struct ublk *ublk;
	struct ublk_state state; /* what the next daemon will read, or what we read */
	bool is_recovery;	 /* the device was there before us */
	bool is_kept;		 /* the device stays when the volume goes */
	char user[160];		 /* of the device, as its detach began; empty: none */
	struct ublk_ask ask;	 /* STEP_ASK, and STEP_STOP while a claim is held */
	bool is_leaving;   /* STEP_ASK: if used, it is left to the next daemon; else it serves on */
	bool is_trying;	   /* STEP_ASK: TRY_STOP_DEV is with the kernel */
	uint64_t retry_us; /* until then TRY_STOP_DEV is tried again */
	bool is_user_copy;
	char degraded[384];
	char scheduler[32]; /* of the device, as last seen */
	uint64_t watch_us;  /* when to look at it next */
	struct device_names names;
	uint32_t attach_ms; /* the time a server has to become READY */
	unsigned port;
	uint32_t ports_tried; /* bits of those without a server that served, while it was attached
			       */
	uint64_t port_look_us, port_lost_us; /* device_move.c: the next look; without a connection
						since, 0: it has one */
	bool is_port_told;
	uint32_t quota, quota_least; /* of each connection: at most, and to begin with */
	uint64_t deadline_us;
	bool is_forced,
		is_added; /* added: the kernel has the device, and the run directory its file */
	bool is_stop_due; /* the kernel did not take STOP_DEV yet */
	bool is_late;	  /* a worker missed the deadline of STEP_DRAIN; the request is answered */
	int result;   /* of the attach, when it ends in teardown */
	struct error error;
	engine_done_fn *done;
	void *arg;
};

/* The question whether a device's server answers through another port; device_move.c. */
struct device_move {
	char name[NAME_BYTES_MAX]; /* of the device it is asked for */
	bool is_asking, is_found;
	uint64_t due_us; /* not before that is asked again */
};

struct devices {
	const struct config *cfg;
	struct budget *budget;
	struct ports *ports;
	struct clock *clock;
	struct resolver *resolver;
	int wake_fd; /* an eventfd: the kernel has answered a control command */
	int poll_fd; /* an epoll of that and the resolver's */
	struct device list[VOLUME_MAX];
	uint64_t credit_due_us;
	struct device_move move;
	/* Staging of detached volumes that mbufs in a quiet TX ring still point into. */
	struct stream_buf *lingering[LINGER_MAX];
};

#endif
