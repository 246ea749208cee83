/*
 * block.h - the interface between NBD and a source of block I/O
 *
 * A front end (ublk, bench) hands requests in and gets each back exactly once. Everything runs on
 * the worker's own turn: the volume asks the front end for requests, up to the credits it has, and
 * what it does not ask for stays in the block layer, which is the throttle (architecture 3).
 */
#ifndef NBD_CLIENT_BLOCK_H
#define NBD_CLIENT_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct stream_buf;
struct block_front;

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,
	BLOCK_TRIM,
	BLOCK_WRITE_ZEROES,
	BLOCK_OP_COUNT
};

#define BLOCK_FUA	1u
#define BLOCK_NO_HOLE	2u
#define BLOCK_FAST_ZERO 4u
#define BLOCK_SWAP	8u /* swap I/O: goes first */

/* Owned by the front end; lent to the volume from take() to complete(). */
struct block_req {
	uint64_t offset;
	uint32_t bytes;
	uint8_t op; /* enum block_op */
	uint8_t flags;
	uint16_t tag; /* < depth of the front end */
	uint8_t *buf; /* READ: filled, WRITE: sent; inside *dma. NULL: payload moves by copy_* below
		       */
	struct stream_buf *dma;
	uint64_t start_us;
	void *volume_priv; /* the volume's own while it holds the request */
};

/* What the export supports and requires; set before a front end starts. */
struct block_limits {
	uint64_t size_bytes;
	uint32_t block_min, block_pref; /* bytes, powers of two */
	uint32_t io_bytes_max;	     /* READ/WRITE payload limit */
	uint32_t trim_bytes_max;	     /* TRIM and WRITE_ZEROES */
	uint32_t trim_granularity;
	bool is_read_only, is_rotational;
	bool can_flush, can_fua, can_trim, can_write_zeroes, can_fast_zero, can_multi_conn;
};

struct block_front_ops {
	/*
	 * Once, on the worker that will take(), before its first take(); NULL: nothing to start. An
	 * error is the front end's own to keep for the thread that made it.
	 */
	void (*start)(struct block_front *f);
	/* Next requests, at most @max. The volume owns them until complete(). */
	unsigned (*take)(
		struct block_front *f, struct block_req **out, unsigned max, uint64_t now_us);
	/* Ends @req: 0 or -errno. Never refused. The front end may batch; kick() ends the batch. */
	void (*complete)(struct block_front *f, struct block_req *req, int result);
	/* End of the turn: hand batched completions over (io_uring_enter at most once). */
	void (*kick)(struct block_front *f);
	/* Where buf is NULL: moves READ payload out, or WRITE payload in. 0 or -errno. */
	int (*copy_out)(struct block_front *f, struct block_req *req, uint32_t at,
		const void *bytes, uint32_t len);
	int (*copy_in)(struct block_front *f, struct block_req *req, uint32_t at, void *bytes,
		uint32_t len);
	/* True if take() would find something; for sleeping. */
	bool (*pending)(struct block_front *f);
};

/*
 * While it is barred, no new bytes may come into the buffers of requests that were completed:
 * frames of WRITEs that were failed may still wait in the NIC's ring, and are sent from there
 * (volume_done.c). The volume bars and unbars; until then it answers what it takes with an error.
 */
struct block_front {
	const struct block_front_ops *ops;
	uint16_t depth;
	int event_fd; /* readable when take() has something; -1 = must be polled */
	bool is_barred;
};

#endif
