/*
 * engine_impl.h - inside of the engine, for engine.c, device.c and info.c
 */
#ifndef DAEMON_ENGINE_ENGINE_IMPL_H
#define DAEMON_ENGINE_ENGINE_IMPL_H

#include "config/host/host.h"
#include "config/host/host_guard.h"
#include "daemon/engine/backlog.h"
#include "daemon/engine/engine.h"
#include "daemon/engine/resolver.h"
#include "dataplane/clock.h"
#include "dataplane/exception/exception.h"
#include "daemon/engine/shortage.h"
#include "nbd_client/ublk/ublk.h"
#include "nbd_client/ublk/ublk_state.h"

/*
 * Quota of a connection, in bytes of reads in flight at the least payload per mbuf: it begins with
 * the largest request, but not less than LEAST; the pool has room for PLAN planned, and credits
 * grow to MOST.
 */
#define PAYLOAD_MIN	 (MBUF_DATA_BYTES / 4) /* compaction guarantees a quarter (tcp.md 2) */
#define QUOTA_SLACK	 64
#define QUOTA_BYTES_LEAST (256u << 10)
#define QUOTA_BYTES_PLAN  (1u << 20)
#define QUOTA_BYTES_MOST  (4u << 20)
#define ESSENTIAL_COUNT	 64
/* Of user copy's staging: no block is larger, so each fits a piece. */
#define USER_PIECE_BYTES NBD_BLOCK_BYTES_MAX
#define USER_PIECES_TOTAL 64u		      /* 4 MiB: more WRITE payload in flight buys nothing */
#define NORMAL_DEFAULT	 4096 /* normal mbufs beside the reserve */
#define SPARE_DEVICES	 2    /* run-time attaches the pool has room for beyond the configured */
#define HDR_POOL_COUNT	 8191
#define EXT_POOL_COUNT	 16383

#define CONN_SPARE 16 /* slots of connections on their way out, beside those the pool can serve */

#define ENGINE_BENCH_MAX (VOLUME_MAX * DEVICE_CHANNEL_MAX)
#define LINGER_MAX	 (2 * VOLUME_MAX * DEVICE_CHANNEL_MAX)

struct engine_queue {
	struct reserve *rx, *hdr;
	struct rte_mempool *ext;
	struct worker *worker;
	struct backlog backlog; /* of what concerns the worker as a whole: floor, addresses, MTU */
	struct reserve_sum sum;
	uint32_t floor, total;
	uint32_t conn_max; /* TCP connections its worker has tables for */
	uint64_t alarms_told; /* runs of failed refills the log has heard of */
	bool is_alarmed;
	int port_fds[LOCAL_PORT_MAX]; /* kernel sockets that hold this worker's TCP ports */
	unsigned port_fd_count;
};

struct engine_port {
	const struct config_port *cfg;
	struct port *port;
	struct host_iface iface; /* as last read: the kernel's own or its end of the exception port;
				    may be empty */
	struct net_addr addrs[NET_ADDR_MAX];
	unsigned addr_count, queue_count;
	struct worker_addrs follow_addrs; /* posted to the workers: theirs until the queues'
					     backlogs are done */
	bool is_follow_due, is_link_up;
	uint16_t stack_mtu; /* what the workers were told last */
	struct host_guard *guard; /* af_packet: NULL elsewhere, and where the kernel refused it */
	struct exception *exception; /* NULL: none, and exception_why tells why */
	char exception_iface[IF_NAMESIZE], exception_why[ERROR_TEXT_BYTES];
	struct engine_queue queues[WORKER_MAX];
	struct worker *workers[WORKER_MAX];
	struct handover *handover; /* NULL: one queue */
};

/* What an attach or detach waits for; the order of attach, then of detach. */
enum device_step {
	STEP_FREE,    /* slot unused */
	STEP_RESOLVE, /* the addresses of its servers */
	STEP_CONNECT, /* the first READY of the volume */
	STEP_SPREAD,  /* the other workers' channels to be READY */
	STEP_FRONT,   /* the workers to start the front end's queues */
	STEP_START,   /* the kernel to accept the device */
	STEP_SERVE,   /* nothing: it serves */
	STEP_STOP,    /* the kernel to give the device back */
	STEP_DRAIN,   /* the workers to be done with the volume */
};

/* A volume's share of one worker; see device_channel.c. */
struct channel {
	struct volume *volume;
	struct bench *bench;
	struct stream_buf *buf;
	unsigned queue; /* of the port, and so which worker */
	unsigned connections;
	int owner, owner_in[VOLUME_CONN_MAX], owner_ooo[VOLUME_CONN_MAX];
	struct backlog backlog; /* of commands about this channel */
	/* device_credit.c: what each connection has in the sum, what the worker was told, and since
	 * when … */
	uint32_t quota, told;
	bool is_shrinking;
	uint64_t credit_ticket, reads_seen, read_us, low_us;
	bool is_gone, is_failed, was_ready, is_dismissed;
};

/* The hosts of a device's URIs; device_servers.c. */
struct device_names {
	uint64_t ticket[VOLUME_URI_MAX]; /* 0: nothing is asked about it */
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
	struct volume_group *group; /* NULL: one channel was wanted */
	struct channel channels[DEVICE_CHANNEL_MAX];
	unsigned channel_count, channel_want;
	uint64_t spread_us; /* channels that are not ready by then are left out */
	char spread[192];   /* why it is on fewer workers than there are; empty = it is not */
	struct ublk *ublk;
	struct ublk_state state; /* what the next daemon will read, or what we read */
	bool is_recovery;	 /* the device was there before us */
	bool is_kept;		 /* the device stays when the volume goes */
	bool is_user_copy;
	char degraded[384];
	char scheduler[32]; /* of the device, as last seen */
	uint64_t watch_us;  /* when to look at it next */
	struct device_names names;
	uint32_t attach_ms; /* the time a server has to become READY */
	unsigned port;
	uint32_t quota, quota_least; /* of each connection: at most, and to begin with */
	uint64_t deadline_us;
	bool is_forced;
	bool is_stop_due; /* the kernel did not take STOP_DEV yet */
	bool is_late; /* a worker missed the deadline of STEP_DRAIN; whoever asked has the answer */
	int result; /* of the attach, when it ends in teardown */
	struct error error;
	engine_done_fn *done;
	void *arg;
};

struct engine {
	struct config cfg;
	struct engine_facts facts;
	struct worker_rules rules; /* as workers have them, or will once their commands are done */
	struct clock clock;
	struct engine_port ports[PORT_MAX];
	unsigned port_count;
	struct device devices[VOLUME_MAX];
	struct resolver *resolver;
	struct host_follow *follow; /* NULL: nothing is followed */
	uint64_t link_due_us, credit_due_us;
	uint64_t follow_due_us; /* the kernel's interfaces are not read again before */
	struct engine_shortage {
		struct shortage is;
		uint64_t due_us, count; /* times it began */
	} shortage;
	/* Staging of detached volumes that mbufs in a quiet TX ring still point into. */
	struct stream_buf *lingering[LINGER_MAX];
};

/* protect.c: what cfg->protect means to a worker. */
void engine_rules_of(const struct config *cfg, struct worker_rules *out);

/* device.c */
void device_poll(struct engine *e, struct device *d, uint64_t now_us);

/*
 * device_servers.c. Begin parses the URIs and asks for their hosts; done answers whether there is
 * nothing left to wait for; end forgets what was asked. Choose sets the port and plan->servers; 0,
 * or -EHOSTUNREACH or -ENETUNREACH with @err. Follow, while it serves: names are resolved again
 * when no connection is left.
 */
int engine_names_begin(struct engine *e, struct device *d, uint64_t now_us, struct error *err);
bool engine_names_done(struct engine *e, struct device *d, uint64_t now_us);
void engine_names_end(struct engine *e, struct device *d);
int engine_servers_choose(struct engine *e, struct device *d, struct error *err);
void engine_servers_follow(struct engine *e, struct device *d, uint64_t now_us);

/*
 * device_channel.c. Make: the first channel. Spread: the others, once the first is READY; begin
 * answers whether there are any to wait for, done whether that is over.
 */
int channels_make(struct engine *e, struct device *d, struct error *err);
bool engine_spread_begin(
	struct engine *e, struct device *d, const struct block_limits *limits, uint64_t now_us);
bool engine_spread_done(struct engine *e, struct device *d, uint64_t now_us);
void channel_free(struct engine *e, struct device *d, unsigned idx);
/*
 * Fills in the channel's volume and posts @cmd to its worker, at once or, where the command ring is
 * full, by a later channels_poll(), which also looks at the states of the volumes. Done says
 * that all that was posted has been carried out.
 */
void channel_post(
	struct engine *e, const struct device *d, struct channel *ch, struct worker_cmd cmd);
void channels_post(struct engine *e, struct device *d, struct worker_cmd cmd);
void channels_poll(struct engine *e, struct device *d);
/* Logs what a worker says of a channel; decisions rest on the state that channels_poll() reads. */
void channels_event(struct engine *e, const struct volume_event *ev);
bool channels_done(const struct engine *e, const struct device *d);
bool channels_gone(const struct device *d);
void channel_limits(const struct engine *e, const struct device *d, const struct channel *ch);
/* FRONT_BENCH: makes the load of channel @idx. 0, or -EINVAL with d->error. */
int channel_bench(struct device *d, unsigned idx, const struct block_limits *limits);
void channels_info(const struct device *d, struct volume_info *out); /* their sum */

/*
 * device_ublk.c. Shape and staging before the volume is made, make once it is READY, end when the
 * workers let go.
 */
int engine_ublk_shape(struct device *d, const struct ublk_state *recover, struct error *err);
int engine_ublk_staging(
	const struct device *d, struct channel *ch, struct volume_config *vc, struct error *err);
int engine_ublk_make(struct engine *e, struct device *d, const struct block_limits *limits);
/*
 * The kernel answers START_DEV when it has read the partition table through our queues, and
 * STOP_DEV when the last request came home. Silent: neither the step began nor a reply to any
 * channel came within the last @ms; 60 s, if more, while requests wait for a server that is
 * connected. Start_late fills in d->error. Out: -ETIMEDOUT.
 */
bool engine_ublk_silent(const struct device *d, uint64_t now_us, uint64_t ms);
int engine_ublk_start_late(struct device *d, uint64_t ms);
bool engine_ublk_may_stay(const struct device *d); /* is there a device that can outlive us */
/* While it serves: looks now and then whether somebody gave the device a scheduler. */
void engine_ublk_watch(struct device *d, uint64_t now_us);
void engine_ublk_degraded(const struct device *d, const char *scheduler, char *out, size_t bytes);
void engine_ublk_end(struct engine *e, struct device *d);

/*
 * port_exception.c: makes the kernel's end of @p if it is to have one. 0, or -errno with @err where
 * the configuration insists.
 */
void engine_exception_shape(
	const struct port_facts *f, struct exception_config *out); /* iface, mac, port apart */
int engine_exception_open(struct engine_port *p, unsigned idx, struct error *err);

/* port_shortage.c: looks whether the kernel is short of
 * memory, and has its frames rationed if so. */
void engine_shortage_start(struct engine *e); /* says so if the kernel does not tell */
void engine_shortage_poll(struct engine *e, uint64_t now_us);

/* device_credit.c: credits follow what is measured, and the sum follows them. */
void engine_credit_poll(struct engine *e, uint64_t now_us);

/* port_follow.c: what changes on the kernel's end. */
void engine_follow_start(struct engine *e);
void engine_follow_poll(struct engine *e, uint64_t now_us);

/* engine.c: the gateway of @a, from the file or else from @iface. */
void engine_gateway_set(
	struct net_addr *a, const struct config_port *cfg, const struct host_iface *iface);

/* device_make.c: resolves, reserves, creates. On failure
 * device_free() undoes what was done. */
int device_plan(struct engine *e, struct device *d, uint64_t now_us, struct error *err);
int device_make(struct engine *e, struct device *d, struct error *err);
void device_free(struct engine *e, struct device *d);

/* Binds a kernel socket to a free TCP port, for us alone. The socket, with *port; -1: none to be
 * had. */
int engine_local_port_take(uint16_t *port);

/* Takes memory that mbufs may still point into; NULL is fine. */
void engine_buf_put_aside(struct engine *e, struct stream_buf *buf);
/* Frees what no mbuf points into any more; all of it when @all (the ports are closed). */
void engine_linger_poll(struct engine *e, bool all);
bool engine_linger_has_room(const struct engine *e);

/* budget.c */
uint32_t engine_quota_least(const struct config_volume *v);
uint32_t engine_quota_most(const struct config_volume *v);
/* How much each connection of @ch may have without taking what others may need. */
uint32_t engine_quota_room(
	const struct engine *e, const struct device *d, const struct channel *ch);
/* Recomputes the sum of a queue with the volumes it has and moves the floor. */
void engine_floor_update(struct engine *e, unsigned port, unsigned queue, const char *why);
/* Would a volume of @quota more fit? 0, or -ENOSPC with the numbers in @err. */
int engine_fits(struct engine *e, unsigned port, unsigned queue, uint32_t quota, struct error *err);
/* Would every queue of @port hold the sum at that MTU? False: not, with the numbers in @err. */
bool engine_mtu_fits(const struct engine *e, unsigned port, uint16_t mtu, struct error *err);
/* Tells the log when a ring goes without refills, and when it is over. */
void engine_alarm_poll(struct engine *e);
/* What the pools of a queue are made of, names apart. @f may be planned: the volumes are the
 * file's. */
void engine_pools_shape(const struct config *cfg, const struct port_facts *f, bool has_exception,
	struct reserve_config *rx, struct reserve_config *hdr);
/* Connections a pool of so many mbufs can have at the least quota, and some that are on their way
 * out. */
uint32_t engine_conn_max(const struct config *cfg, uint32_t pool_total);
uint64_t engine_ext_pool_bytes(void); /* of one queue, as planned */
int engine_pools_create(
	struct engine *e, struct engine_port *p, unsigned port_idx, struct error *err);
void engine_pools_destroy(struct engine_port *p);

#endif
