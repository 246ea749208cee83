/*
 * limits.h - every compile-time bound of Sluice, in one place
 *
 * Nothing allocates once a worker runs, so every table has a size and every size stands here.
 * The static_asserts tie sizes that must agree; a new bound goes here, never beside its user.
 * Bytes, counts and microseconds say so in their names.
 */
#ifndef CONFIG_LIMITS_H
#define CONFIG_LIMITS_H

#include <assert.h>

/* ---- topology ---- */
#define PORT_MAX	    4  /* NICs one daemon drives */
#define WORKER_MAX	    8  /* pinned datapath threads */
#define VOLUME_MAX	    64 /* block devices one daemon serves */
#define VOLUME_CONN_MAX	    8  /* NBD connections of one volume */
#define DEVICE_CHANNEL_MAX  WORKER_MAX /* workers one volume is spread over */
#define VOLUME_URI_MAX	    4  /* servers of one volume, as the file names them */
#define VOLUME_SERVER_MAX   16 /* … and their addresses: a name may have several */
#define NAME_BYTES_MAX	    64 /* of a volume or port, with its NUL */
#define URI_BYTES_MAX	    4352

/* ---- configuration file ---- */
#define CONFIG_FILE_BYTES_MAX (1u << 20)
#define CONFIG_DEPTH_MAX      8	   /* nesting of mappings and lists */
#define CONFIG_PATH_BYTES     96   /* "volumes[63].congestion_control" fits, with room */
#define CONFIG_LINE_MAX	      2048 /* keys and list entries of one file */
#define PORT_ADDRESS_MAX      4	   /* addresses one port may be given */
#define PROTECT_MAX	      16   /* protect: rules */

/* ---- datapath ---- */
#define THREAD_STACK_BYTES  (1u << 20) /* all of it resident; a turn takes a hundredth */
#define BURST_MAX	    32	/* packets of one rx_burst: the bound on unclassified mbufs */
#define RX_RING_DEFAULT	    256 /* small on purpose: each slot is a reserve mbuf (architecture 3) */
#define RX_RING_MAX	    4096
#define TX_RING_DEFAULT	    512
#define LOCAL_PORT_MAX	    (NET_CONN_MAX + 1) /* TCP ports of a worker; one is always free */
#define HANDOVER_SLOT_MAX   256 /* pieces of misdirected packets between workers */
#define TX_CHAIN_MAX	    24	 /* segments of one packet we send: header + payload pieces */
#define MTU_MIN		    576
#define MTU_MAX		    9000
#define MBUF_DATA_BYTES	    2048 /* data room of an RX mbuf, headroom apart */
#define HDR_DATA_BYTES	    256	 /* of a header mbuf: all headers and small payload */

/* ---- reserve ---- */
#define OWNER_MAX	    512 /* ledger entries of a pool: a volume, two a connection */
#define OWNER_DEPTH_MAX 4 /* port, device, its channels, and one to spare: bounds each charge */
#define RESERVE_SAFETY_DEFAULT_PCT 125
#define RESERVE_ALARM_RUN   16 /* so many failed refills in a row: a warning */
/*
 * Levels. Yellow begins with the first dip. It ends only when a burst more than one burst above the
 * floor is free, or every burst that comes and goes would flip it. Red leaves half of the reserve,
 * which a driver that refills a whole ring at once may ask for in one piece; it ends at 35 %, so
 * that the traffic let in again does not bring it straight back.
 */
#define RESERVE_GREEN_MARGIN_COUNT (2 * BURST_MAX)
#define RESERVE_RED_ENTER_PCT 50
#define RESERVE_RED_LEAVE_PCT 35

/* ---- exception port ---- */
#define EXCEPTION_RING_COUNT  256 /* packets on their way to the kernel; a power of two */
#define EXCEPTION_MBUF_MAX    512 /* … and their RX mbufs: a term of the reserve */
#define EXCEPTION_BLANK_COUNT 128 /* mbufs the tap may fill, or has filled */
#define HOLD_MAX	      512 /* mbufs of exception traffic held under pressure; packets too */
#define HOLD_US_MAX	      100000ull /* … and for how long: a sender resends after 200 ms */
#define HOLD_FLOW_COUNT	      256
#define HOLD_FLOW_IDLE_US     10000000ull /* silent for so long: a new flow when it returns */
#define EXCEPTION_SEG_MAX     40  /* mbufs of one packet: 64 KiB of LRO in 2 KiB each, and some */

/* ---- net ---- */
#define NET_CONN_MAX	    128 /* TCP connections of one worker, TIME-WAIT included */
#define NET_ADDR_MAX	    8	/* addresses of one port */
#define NEIGH_MAX	    64	/* ARP and ND entries */
#define NEIGH_QUEUE_MAX	    4	/* packets that wait for one neighbour */
#define REASS_MAX	    16	/* datagrams being reassembled, protected peers only */
#define REASS_FRAG_MAX	    48	/* fragments of one datagram */
#define FLOW_MAX	    16384 /* protected flows of one classifier */

/* ---- stream (TCP as nbd_client sees it) ---- */
#define STREAM_CHUNK_MAX    1024     /* pieces in one send queue */
#define STREAM_INLINE_BYTES_MAX 64 /* a piece up to this size is copied, a longer one is attached */
#define STREAM_EVENT_MAX    1024
#define STREAM_KEEPALIVE_PROBES 5 /* that go unanswered, and the peer is dead */

/* ---- TCP ---- */
#define TCP_RECORD_MAX	    1024 /* transmissions a connection remembers, 64 KiB each */
#define TCP_RECORD_SPARE    64	 /* of them, kept for splitting what was partly lost or SACKed */
#define TCP_OOO_MAX	    128	 /* separate runs of out-of-order data one connection holds */
#define TCP_REPLY_MAX	    16	 /* resets waiting to be sent that belong to no connection */
#define TCP_QUOTA_DEFAULT   512	 /* mbufs a stream may hold when its target names no quota */
#define TCP_MBUF_PAYLOAD_MIN (MBUF_DATA_BYTES / 4) /* the least a held mbuf carries on average */

/* ---- NBD and block ---- */
#define QUEUE_DEPTH_MAX	    256
#define QUEUE_DEPTH_DEFAULT 64
#define IO_BYTES_DEFAULT    (512u << 10)
#define IO_BYTES_MAX	    (4u << 20)
#define NBD_STRING_BYTES_MAX 4096u
#define NBD_PAYLOAD_BYTES_MAX (32u << 20)
#define NBD_BLOCK_BYTES_MAX 65536u /* largest minimum block a server may insist on */
#define NBD_BLOCK_BYTES_MIN 512u   /* smallest block a Linux block device has */
#define NBD_SLOT_MAX	    (2 * QUEUE_DEPTH_MAX) /* requests in flight on one connection */
#define NBD_RANGE_MAX	    64	/* disjoint pieces of one reply that may be waiting for the rest */
#define NBD_INFO_MAX	    64	/* INFO replies to one option */
#define NBD_LIST_MAX	    (1u << 20) /* names one LIST may answer with */
#define NBD_PROBE_NAMES_MAX 4096 /* of those, kept to be shown … */
#define NBD_PROBE_TEXT_BYTES (512u << 10) /* … with their descriptions, in so many bytes */
#define NBD_TRIM_BYTES_MAX  (128u << 20) /* of one TRIM or WRITE_ZEROES: bounds its time */
#define NBD_PART_US	    1000000u  /* for a server that shuts down to close after DISC */
#define NBD_RETRY_US_MIN    100000u   /* first pause before a reconnect that follows a failed one */
#define NBD_RETRY_US_MAX    10000000u /* longest pause */
#define NBD_MISDIRECTED_TRIES_MAX 32	    /* local ports tried until replies reach their worker */
#define NBD_FLUSH_POLL_US   50u	 /* a FLUSH polls the other workers this often */
#define NBD_TURN_BYTES_MAX  (1u << 20) /* parsed per connection and turn */
#define NBD_SPAN_MAX	    32	/* spans looked at in one go */
#define NBD_EVENT_MAX	    64	/* volume events waiting for the control thread */
#define NBD_KEEPALIVE_US    60000000u /* idle: a probe; firewalls forget in 2 to 5 minutes */
#define NBD_KEEPALIVE_BUSY_US 5000000u /* while replies are awaited; <= dead_peer_timeout / 3 */
#define NBD_SLOW_US	    10000000u /* a request that waits for so long is logged */
#define NBD_SEND_BYTES_MIN  (4u << 20) /* send queue of a connection, at least */
#define BENCH_BLOCK_MAX	    (1u << 26) /* blocks bench keeps a generation of: 256 MiB of table */

/* ---- TLS ---- */
#define TLS_SPARE_MAX	    1024u /* records with little data, in a row, that a peer may send */
#define TLS_SPARE_EARNED    32u	  /* … and by how many an answer raises that again */
#define TLS_SPARE_TEXT_BYTES 16u  /* a record with so much data, an NBD reply's header, is none */
#define TLS_TX_BUFS	    8u	  /* of a connection, for the ciphertext of WRITEs … */
#define TLS_TX_BUF_BYTES    (128u << 10) /* … each so long */
#define TLS_WRITE_BYTES_MAX (256u << 10) /* of one WRITE: three are in flight at least */
#define TLS_KEY_RECORDS_MAX (1u << 23) /* sealed, then a KeyUpdate: half of AES-GCM's 2^24 */

/* ---- ublk ---- */
#define UBLK_QUEUE_MAX	    WORKER_MAX /* hardware queues of one device: one a worker */
#define UBLK_CTL_US_MAX	    (10u * 1000 * 1000) /* a command that waits for no other process */
#define UBLK_START_US_MAX   (60u * 1000 * 1000) /* START_DEV: partition scan over the network */
#define UBLK_STOP_US_MAX    (60u * 1000 * 1000) /* STOP_DEV: what is in flight must be answered */
#define UBLK_TRY_STOP_US_MAX (3600u * 1000 * 1000) /* TRY_STOP_DEV: it cannot be taken back */
#define UBLK_CANCEL_US_MAX  (500u * 1000)       /* a cancelled command comes back, or never will */
#define UBLK_RECOVER_US_MAX (20u * 1000 * 1000) /* until the kernel releases the dead daemon */
#define UBLK_RECOVER_US_STEP (20u * 1000)

static_assert((EXCEPTION_RING_COUNT & (EXCEPTION_RING_COUNT - 1)) == 0, "ring index is masked");
static_assert(EXCEPTION_SEG_MAX * MBUF_DATA_BYTES > 65536 + 64, "the longest packet LRO makes");
static_assert(RESERVE_RED_LEAVE_PCT < RESERVE_RED_ENTER_PCT, "levels need hysteresis");
/* ---- counters ---- */
#define REGISTRY_ITEM_MAX   64 /* counters of one family */
#define REGISTRY_SERIES_MAX 512

static_assert(REGISTRY_SERIES_MAX >= 4 * (VOLUME_MAX + WORKER_MAX + PORT_MAX),
	"each volume, worker and port may bear a few families");
static_assert(OWNER_MAX >= VOLUME_MAX + 2 * NET_CONN_MAX + 16,
	"every connection of a worker has its owners");
static_assert(PORT_ADDRESS_MAX <= NET_ADDR_MAX, "what the file may give, the port can hold");
static_assert(NBD_RANGE_MAX >= NBD_BLOCK_BYTES_MAX / NBD_BLOCK_BYTES_MIN / 2,
	"one block in sectors, in any order");
static_assert(VOLUME_SERVER_MAX < 256, "a place in the list of addresses is a byte of a word");
static_assert(NBD_SLOT_MAX <= 65536, "a slot number has 16 bits of the cookie");
static_assert(3 * TLS_WRITE_BYTES_MAX < TLS_TX_BUFS * (TLS_TX_BUF_BYTES - (17u << 10)),
	"a buffer is left when a record does not fit into its rest");
static_assert(TLS_WRITE_BYTES_MAX >= NBD_BLOCK_BYTES_MAX, "a block is one WRITE");
static_assert(IO_BYTES_MAX <= NBD_PAYLOAD_BYTES_MAX, "one request must fit one NBD payload");
static_assert(QUEUE_DEPTH_MAX <= 4096, "ublk's tags");
static_assert(IO_BYTES_MAX <= (32u << 20), "ublk's request buffer in a file position");
static_assert(STREAM_CHUNK_MAX >= 2 * QUEUE_DEPTH_MAX, "a header and a payload for each request");
static_assert((STREAM_CHUNK_MAX & (STREAM_CHUNK_MAX - 1)) == 0, "ring index is masked");
static_assert((STREAM_EVENT_MAX & (STREAM_EVENT_MAX - 1)) == 0, "ring index is masked");
static_assert(TCP_RECORD_SPARE < TCP_RECORD_MAX, "some records are left for new data");
static_assert(STREAM_EVENT_MAX >= 2 * NET_CONN_MAX, "each connection may have two events pending");

#endif
