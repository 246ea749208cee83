/*
 * sluice_tcp_test.h - the product's TCP stack behind a small C interface, in virtual time
 *
 * For test drivers: packet scripts, simulators, fuzzers. What runs behind it is dataplane/net as
 * sluiced links it; only the clock, the wire and the memory are the driver's. Names, layout and
 * meaning are a contract with drivers outside this repository.
 *
 * The library is tests/abi/libsluice_tcp_test.so in the build directory, and needs nothing but
 * DPDK's.
 *
 * One thread only. Addresses are in network order, ports in host order. Functions answer -errno
 * where they fail. IP packets have no Ethernet header, which the library adds and takes away; it
 * answers the stack's ARP and neighbour solicitations itself, out of sight.
 */
#ifndef SLUICE_TCP_TEST_H
#define SLUICE_TCP_TEST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nothing else of the library is seen from outside. */
#pragma GCC visibility push(default)

struct stt;

#define STT_NO_SACK   1u
#define STT_NO_TS     2u
#define STT_NO_WSCALE 4u
#define STT_NO_ECN    8u
#define STT_NO_TSO    16u

enum stt_state {
	STT_CLOSED = 0,
	STT_LISTEN = 1,
	STT_SYN_SENT = 2,
	STT_SYN_RECEIVED = 3,
	STT_ESTABLISHED = 4,
	STT_FIN_WAIT_1 = 5,
	STT_FIN_WAIT_2 = 6,
	STT_CLOSE_WAIT = 7,
	STT_CLOSING = 8,
	STT_LAST_ACK = 9,
	STT_TIME_WAIT = 10,
};

struct stt_config {
	uint32_t size;		      /* sizeof, for growth */
	uint32_t local_ip4, peer_ip4; /* network order; used when family is AF_INET */
	uint8_t local_ip6[16], peer_ip6[16];
	uint16_t mtu;
	uint64_t seed;
	uint32_t pool_count, quota; /* mbufs; 0 = default */
	char cc[16];		    /* "cubic" default, "newreno", "dctcp" */
	uint32_t disable;	    /* STT_NO_* */
};

struct stt_info {
	uint32_t size, state, mss, cwnd_bytes, ssthresh_bytes, rcv_wnd_bytes, snd_wnd_bytes;
	uint32_t rto_us, srtt_us, rttvar_us, unacked_bytes, sacked_bytes, lost_bytes, retrans_segs;
	uint32_t backoff, held_mbufs, free_mbufs, total_mbufs;
	uint64_t bytes_acked, bytes_received;
};

/* Starts the EAL on first use. NULL: bad configuration, or no memory. */
struct stt *stt_create(const struct stt_config *config);
void stt_destroy(struct stt *t);

/* Arms the SYN; it leaves at the next stt_tx. @local_port 0 = chosen. Out: conn id >= 0. */
int stt_connect(struct stt *t, int family, uint16_t local_port, uint16_t peer_port);

/* Bytes queued, perhaps fewer than @len; -EAGAIN: full. */
long stt_send(struct stt *t, int conn, const void *bytes, size_t len);

/* Bytes read; 0 at the end of the stream; -EAGAIN: nothing yet. */
long stt_recv(struct stt *t, int conn, void *bytes, size_t len);

int stt_shutdown(struct stt *t, int conn); /* FIN behind what is queued */
int stt_close(struct stt *t, int conn);	   /* and nobody reads any more: unread data means RST */
int stt_abort(struct stt *t, int conn);	   /* RST */

/*
 * "nodelay", "keepalive_us", "keepalive_busy_us", "keepalive_step_us", "expect" (an answer is
 * awaited, or not), "user_timeout_us", "mss" (before the SYN left).
 */
int stt_set(struct stt *t, int conn, const char *name, int64_t value);

/* One IP packet from the peer. -ENOBUFS: there was no buffer for it, as a NIC would drop it. */
int stt_rx(struct stt *t, const void *ip_packet, size_t len);

/* The next IP packet to the peer: its bytes; 0 = none now;
 * -EMSGSIZE: @cap is too small, it stays. */
long stt_tx(struct stt *t, void *ip_packet, size_t cap);

uint64_t stt_now_us(struct stt *t);
void stt_advance_us(struct stt *t, uint64_t to_us); /* runs every timer due on the way */
uint64_t stt_deadline_us(struct stt *t);	    /* UINT64_MAX = none */

/* Of the allocations that follow (an arriving packet's too), let @skip pass and fail the next
 * @count. */
void stt_pool_fail(struct stt *t, uint32_t skip, uint32_t count);

int stt_info(struct stt *t, int conn, struct stt_info *info);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
