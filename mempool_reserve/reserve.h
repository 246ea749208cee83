/*
 * reserve.h - the packet pool with an emergency reserve, and the ledger of who holds it
 *
 * One pool a port queue, used by one worker (and by the control thread before that worker starts
 * and after it stopped), so nothing in it is atomic. Allocation is by rte_mempool ops of our own,
 * found by every PMD without a change to it: dequeue may dip below the floor only while the caller
 * is entitled (around rte_eth_rx_burst), enqueue fills the reserve up first by construction, since
 * the floor is a count and not a second list.
 *
 *   free > floor : normal           free <= floor : only the entitled are served ("a dip")
 *
 * Every mbuf of the pool has one owner at any time. A free mbuf has no owner, one taken by the
 * driver belongs to OWNER_RING until reserve_move() hands it on, and the free path uncharges its
 * owner. Always: free + sum of used == total.
 */
#ifndef MEMPOOL_RESERVE_RESERVE_H
#define MEMPOOL_RESERVE_RESERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/limits.h"

struct rte_mbuf;
struct rte_mempool;
struct reserve;

/* Owners every pool has. Others are added by reserve_owner_add(). */
enum reserve_owner_id {
	OWNER_RING = 0, /* in a driver's RX ring, or taken from the pool and not yet handed on */
	OWNER_UNCLASSIFIED, /* between rx_burst and the verdict */
	OWNER_ESSENTIAL,    /* ARP, ND, ICMP being handled */
	OWNER_HOLD,	    /* held exception traffic */
	OWNER_EXCEPTION,    /* on its way to the kernel */
	OWNER_REASSEMBLY,   /* fragments of protected peers */
	OWNER_NEIGHBOUR,    /* waits for ARP or ND */
	OWNER_TX,	    /* header pools: built by us, owned by the TX ring */
	OWNER_FIXED_COUNT,
	OWNER_NONE = 0xffff,
};

struct reserve_config {
	const char *name;	/* of the mempool, unique */
	uint32_t total_count;	/* mbufs, normal and reserve together; fixed */
	uint32_t floor_count;	/* of those, the reserve */
	uint32_t data_bytes;	/* data room, headroom included */
	bool is_sent;		/* no mbuf crosses a page, which not every device could read from */
	int socket;
};

/*
 * Creates and populates the pool, disarmed: until reserve_arm() anyone is served from anything and
 * nothing is counted as a dip (objects pass through the ops before they are mbufs, and drivers
 * fill their rings during set-up).
 * Out: a pool the caller destroys, or NULL with rte_errno. Start-up only.
 */
struct reserve *reserve_create(const struct reserve_config *cfg);
void reserve_destroy(struct reserve *r); /* NULL is fine */

struct rte_mempool *reserve_pool(const struct reserve *r);
void reserve_arm(struct reserve *r); /* the floor holds from now on */

/*
 * Bytes a pool of @cfg takes: its mbufs with their headers, and the ledger. In pages of
 * @page_bytes, which mbufs that are sent do not cross. What one that is there has taken; and a pool
 * that is not ours.
 */
uint64_t reserve_bytes_plan(const struct reserve_config *cfg, uint64_t page_bytes);
uint64_t reserve_bytes(const struct reserve *r);
uint64_t reserve_foreign_bytes(const struct rte_mempool *mp);

/* The pool of @m, or NULL if @m comes from a foreign one. */
struct reserve *reserve_of(const struct rte_mbuf *m);

/* Calls between these two may dip. On the owning worker: for what arrives, by the NIC or from a
 * sibling. */
void reserve_entitle(struct reserve *r);
void reserve_disentitle(struct reserve *r);

/*
 * Moves the boundary between normal and reserve; takes effect at once, objects in use fill it as
 * they come back. On the owning worker. Out: 0 or -ENOSPC if @floor_count > total.
 */
int reserve_floor_set(struct reserve *r, uint32_t floor_count);

/* ---- ledger ---- */

/*
 * Adds an owner below @parent (OWNER_NONE: at the root). @limit 0 = no limit of its own; a charge
 * counts against the owner and every ancestor. Control thread, while the worker does not use the
 * id. Out: the id, -ENOSPC (also deeper than OWNER_DEPTH_MAX), or -EINVAL if @parent is unknown.
 */
int reserve_owner_add(struct reserve *r, const char *name, uint16_t parent, uint32_t limit);
/* 0, -EBUSY while it holds mbufs or has owners below it, -EINVAL for a fixed or unknown one */
int reserve_owner_del(struct reserve *r, uint16_t owner);
/*
 * Control thread, at any time. A peak is compared with the limit of its time: lowered below it, the
 * limit begins a new one, with the worker's next reserve_level_update().
 */
void reserve_owner_limit(struct reserve *r, uint16_t owner, uint32_t limit);

/*
 * Hands every segment of @m to @owner. Out: true; false (nothing changed, refused++ on the owner
 * that had no room) when a limit would be passed. The move is free of limits with reserve_force().
 * An mbuf of a foreign pool is accepted and not counted.
 *
 * The owner is kept in the mbuf, and DPDK copies that field along in rte_pktmbuf_attach(), _clone()
 * and _copy(): never let these write an mbuf of one of our pools. Attaching an external buffer is
 * fine.
 */
bool reserve_move(struct rte_mbuf *m, uint16_t owner, uint64_t now_us);
void reserve_force(struct rte_mbuf *m, uint16_t owner, uint64_t now_us);
/*
 * As reserve_force() to @to for each of @n packets that most likely are @r's, of one mbuf, and
 * @from's; and for @n single mbufs, whatever chain they are linked into.
 */
void reserve_force_burst(struct reserve *r, struct rte_mbuf *const *m, unsigned n, uint16_t from,
	uint16_t to, uint64_t now_us);
void reserve_force_segs(struct reserve *r, struct rte_mbuf *const *m, unsigned n, uint16_t from,
	uint16_t to, uint64_t now_us);
/* How many mbufs more @owner may be charged with, by its
 * limit and those above it. On the worker. */
uint32_t reserve_room(const struct reserve *r, uint16_t owner);
uint16_t reserve_owner(const struct rte_mbuf *m);   /* OWNER_NONE for a foreign mbuf */
bool reserve_emergency(const struct rte_mbuf *m);   /* taken from below the floor */

struct reserve_owner_info {
	char name[NAME_BYTES_MAX];
	uint16_t id, parent;
	uint32_t limit, used, peak;
	uint64_t refused;
};

/* Fills @out with live owners, parents before children. Any thread; values may be a turn old. */
unsigned reserve_owners(const struct reserve *r, struct reserve_owner_info *out, unsigned max);

/* How many owners have held more than their limit at some
 * time: 0, or the sum is wrong. Any thread. */
unsigned reserve_over_limit(const struct reserve *r);

/* ---- depth and levels ---- */
enum reserve_level { RESERVE_GREEN, RESERVE_YELLOW, RESERVE_RED };

/*
 * Level with hysteresis, evaluated once a turn by the owning worker. Depth is how far into the
 * reserve the pool is: 0 % = floor untouched, 100 % = nothing left.
 */
enum reserve_level reserve_level_update(struct reserve *r);
enum reserve_level reserve_level(const struct reserve *r);

struct reserve_info {
	char name[NAME_BYTES_MAX];
	uint32_t total, floor, free, low_water; /* low_water: least free since arming */
	uint32_t ring_debt; /* mbufs the last refused refill asked for, 0 once it was served */
	uint32_t depth_pct;
	enum reserve_level level;
	uint64_t dips;	  /* mbufs handed out from below the floor */
	uint64_t refused; /* dequeues refused: the caller not entitled, or nothing left */
	uint64_t refused_entitled; /* of those, refills that found nothing at all */
	uint32_t refused_run,
		refused_run_max; /* entitled refusals in a row: now, and the longest */
	uint64_t alarms; /* runs that reached RESERVE_ALARM_RUN */
	uint64_t allocs, frees; /* mbufs */
	uint32_t emergency,
		emergency_peak; /* mbufs in use that came from below the floor: now, most */
	bool armed, starved;
};
void reserve_info(const struct reserve *r, struct reserve_info *out); /* any thread */

/* Debug: asserts free + sum used == total. Owning worker. */
void reserve_check(const struct reserve *r);

/* ---- leaks ---- */
#define RESERVE_AGE_BUCKETS 8 /* < 1 ms, 10 ms, 100 ms, 1 s, 10 s, 60 s, 600 s, older */
struct reserve_leak {
	uint16_t owner;
	char name[NAME_BYTES_MAX];
	uint32_t count;
	uint64_t oldest_us;
	uint32_t ages[RESERVE_AGE_BUCKETS];
};
/*
 * Walks every mbuf of the pool: who holds how many, for how long. One row for each owner that holds
 * any. Ages are of the last hand-over, to about a millisecond; an mbuf in a driver's ring was never
 * handed over, so its age is an upper bound. Any thread but a worker (it is O(pool)), approximate.
 */
unsigned reserve_leaks(
	const struct reserve *r, uint64_t now_us, struct reserve_leak *out, unsigned max);

/* ---- the sum that sizes it (pure arithmetic; reserve_sum.c) ---- */
struct reserve_sum_input {
	uint32_t ring_count;	  /* RX descriptors of this queue */
	uint32_t burst_count;	  /* BURST_MAX */
	uint32_t essential_count;
	uint32_t device_count;
	uint32_t device_quota[VOLUME_MAX * 2]; /* mbufs a device (connection) may hold */
	uint32_t reassembly_count, neighbour_count;
	uint32_t exception_count; /* of exception traffic, on their way to the kernel */
	uint32_t safety_pct;	  /* 125 = a quarter more than the sum */
};
struct reserve_sum_term {
	const char *name;
	uint32_t count;
};
struct reserve_sum {
	struct reserve_sum_term terms[16];
	unsigned term_count;
	uint32_t subtotal, total; /* before and after the safety factor */
};
void reserve_sum(const struct reserve_sum_input *in, struct reserve_sum *out);

/*
 * Mbufs the reply to reads of @bytes can occupy when each segment carries at least @payload_min
 * useful bytes (compaction guarantees a quarter of the data room): the quota of a device.
 */
uint32_t reserve_quota(uint64_t bytes, uint32_t payload_min, uint32_t slack_count);

/*
 * ---- fault injection (always declared; answers -ENOTSUP when not compiled in) ----
 * Any thread; in force from the worker's next dequeue, or its next level update at the latest.
 *
 * starve: the normal mbufs free at that moment disappear, and so does every one freed later that
 * the reserve has no room for: to the entitled min(free, floor) is left, to others nothing.
 * level: what reserve_level_update() answers from now on, whatever the depth; -1 ends it.
 * fail: of the next dequeues that ask for mbufs, @skip pass, then @count are refused.
 */
int reserve_fault_starve(struct reserve *r, bool on);
int reserve_fault_level(struct reserve *r, int level);
int reserve_fault_fail(struct reserve *r, uint32_t skip, uint32_t count);
/* leak: @count normal mbufs are charged to @owner and forgotten. On the owning worker. Out: how
 * many. */
int reserve_fault_leak(struct reserve *r, uint16_t owner, uint32_t count, uint64_t now_us);

#endif
