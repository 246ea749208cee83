/*
 * net.h - one worker's network stack: bursts in, bursts out, one clock given to it
 *
 * The other public header of net, for the worker that drives it. The stack reads no clock,
 * allocates nothing after net_create and does no I/O: packets, bytes and time come in, packets and
 * events go out. Model: take the whole burst in, then pull output once per touched connection, so
 * one burst is answered by one ACK and sends are as large as the port's TSO allows.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/limits.h"
#include "dataplane/net/stream.h"

struct rte_mbuf;
struct rte_mempool;
struct reserve;
struct classifier;
struct pkt_info;

/* Private bytes each mbuf of ext_pool must have: its
 * reference to the attached buffer lives there. */
#define NET_EXT_PRIV_BYTES 24

/* What the port does for us; everything false is done in software. */
struct net_offload {
	bool tx_ip_csum, tx_tcp_csum, tx_tso;
	bool rx_csum;		 /* RX flags may be believed when they say GOOD */
	uint16_t tx_seg_max;	 /* mbufs a sent packet may have (nb_seg_max / nb_mtu_seg_max) */
	uint32_t tso_bytes_max;	 /* payload of one TSO packet */
};

struct net_addr {
	struct net_ip ip;
	uint8_t prefix_bits;
	struct net_ip gateway; /* family 0 = none */
};

struct net_config {
	uint8_t mac[6];
	uint16_t mtu; /* L3 bytes */
	struct net_addr addrs[NET_ADDR_MAX];
	unsigned addr_count;
	struct net_offload offload;
	struct reserve *rx_pool;    /* RX mbufs: quotas and owners live here */
	struct reserve *hdr_pool;   /* headers we send, data room HDR_DATA_BYTES + headroom */
	struct rte_mempool *ext_pool;  /* mbufs without data room, NET_EXT_PRIV_BYTES private:
					  payload is attached */
	struct classifier *classifier; /* live connections are inserted and removed here */
	/* Local TCP ports that are this worker's alone; none: any dynamic one (RFC 6335). */
	uint16_t local_ports[LOCAL_PORT_MAX];
	unsigned local_port_count;
	uint8_t secret[32]; /* seeds ISN, ports, timestamps, jitter (RFC 6528, 6056, 7323) */
	uint32_t conn_max;
	bool tcp_no_sack, tcp_no_ts, tcp_no_wscale, tcp_no_ecn;
	uint32_t rto_us_min;	    /* 0 = default */
	uint32_t send_chunk_max;    /* 0 = STREAM_CHUNK_MAX */
};

/* Start-up only. NULL with rte_errno. The pools and the classifier stay the caller's. */
struct net *net_create(const struct net_config *cfg);
size_t net_bytes(uint32_t conn_max); /* what it takes of memory, mbufs apart */
void net_destroy(struct net *net); /* gives every mbuf back; NULL is fine */

/*
 * Eats the PROTECTED and ESSENTIAL packets of a classified burst (each info belongs to the mbuf at
 * the same index; entries that are NULL are skipped), and sets their entries to NULL. The caller
 * keeps OTHER packets, and takes out what a rule protects (PKT_RULE) before: here that is dropped.
 */
void net_input(struct net *net, struct rte_mbuf **m, const struct pkt_info *info, unsigned n,
	uint64_t now_us);

/* A packet of the flow with this cookie (pkt_info) arrived
 * at another worker, which handed it over. */
void net_misdirected_note(struct net *net, uint32_t flow);

/* Runs every timer that is due. Call once a turn before net_output. */
void net_timers(struct net *net, uint64_t now_us);

/* Next packets to send, finished (headers, checksum or offload flags). The caller sends or frees
 * them. Out: their number, at most @max. Fewer than @max = nothing more to send now. */
unsigned net_output(struct net *net, struct rte_mbuf **out, unsigned max, uint64_t now_us);

/* When net_timers or net_output next has work without new input. UINT64_MAX = never. */
uint64_t net_deadline(const struct net *net);

/* The kernel told us (libnl): replace addresses or MTU. On the worker. */
int net_addrs_set(struct net *net, const struct net_addr *addrs, unsigned count);
int net_mtu_set(struct net *net, uint16_t mtu);
/* A neighbour the kernel knows already: saves the first ARP. Hint only. */
void net_neigh_hint(struct net *net, const struct net_ip *ip, const uint8_t mac[6]);

/* Counters; a flat struct so that the registry can name each. uint64_t only. */
struct net_stats {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t rx_bad_csum, rx_bad_hdr, rx_no_conn, rx_not_ours;
	uint64_t arp_rx, arp_tx, nd_rx, nd_tx, icmp_rx, icmp_echo_tx, icmp_unreach_rx, neigh_failed;
	uint64_t frag_rx, reass_ok, reass_drop;
	uint64_t tcp_run_segs; /* of tcp_rx_segs: taken by tcp_run.c */
	uint64_t tcp_train_segs; /* of tcp_tx_segs: made by tcp_train.c */
	uint64_t tcp_rx_segs, tcp_tx_segs, tcp_retrans_segs, tcp_rto, tcp_fast_rtx, tcp_tlp,
		tcp_dupack_rx;
	uint64_t tcp_ooo_segs, tcp_ooo_shed, tcp_compacted, tcp_out_of_window, tcp_paws_drop;
	uint64_t tcp_challenge_ack, tcp_rst_rx, tcp_rst_tx, tcp_zero_window_probe, tcp_undo;
	uint64_t tcp_connect, tcp_established, tcp_closed, tcp_aborted;
	uint64_t hdr_alloc_failed;
	uint64_t protected_drops; /* must stay 0: a segment of ours dropped for memory */
};
void net_stats(const struct net *net, struct net_stats *out);

/* Connections, for status: fills at most @max. */
unsigned net_conns(const struct net *net, struct stream_info *out, unsigned max);

#endif
