/*
 * conv.h - TCP tests that read like a conversation, in virtual time
 *
 *     open_with(.mss = 1000);
 *     send_bytes(1000);
 *     tx(.flags = ACK, .seq = 101, .len = 1000);
 *     at_ms(30);
 *     rx(.flags = ACK, .seq = 901, .ack = 1101);
 *     tx_none();
 *
 * rx() is a segment from the peer, tx() the segment that must come next from us. Our initial
 * sequence number is 100 in a script whatever it is on the wire; the peer's is 900. Payload follows
 * a pattern of its stream offset, so every byte of every segment is checked without being written
 * down. Each segment of ours also passes the checks no script states: IP and TCP checksums, an ACK
 * never beyond what was sent to us, a right edge that never goes back, SACK only of what we were
 * given, and at the end every mbuf back in its pool.
 *
 * In tx() a field that is 0 is not compared, except flags (PSH apart) and len.
 */
#ifndef TESTS_UNIT_NET_CONV_H
#define TESTS_UNIT_NET_CONV_H

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "tests/abi/sluice_tcp_test.h"

#define FIN 0x01u
#define SYN 0x02u
#define RST 0x04u
#define PSH 0x08u
#define ACK 0x10u
#define URG 0x20u
#define ECE 0x40u
#define CWR 0x80u

#define OUR_ISS	   100u
#define PEER_ISS   900u
#define LOCAL_PORT 40000
#define PEER_PORT  10809
#define TSVAL_PEER 5000u /* the peer's clock at the start of a script, in ms */

struct block {
	uint32_t start, end;
};

struct segment {
	uint8_t flags;
	uint32_t seq, ack;
	uint32_t len; /* payload bytes */
	uint16_t wnd; /* as on the wire */
	bool is_shut; /* tx: the window must be 0; rx: it is */
	uint16_t mss, urp;
	uint8_t wscale;
	bool has_wscale, sack_ok, has_ts, no_ts;
	uint32_t tsval, tsecr;
	unsigned sacks;
	struct block sack[4];
	bool no_sack; /* tx: there must be none */
	uint8_t ecn;  /* of the IP header */
	bool bad_csum, any_len;
	uint16_t sport, dport; /* 0 = the connection's */
	const char *raw;       /* rx: option bytes before the others */
	uint32_t raw_len;      /* padded with zeroes to a whole word */
};

struct options {
	uint32_t
		disable; /* STT_NO_*, beside TSO and window scale, which are off unless asked for */
	bool tso, wscale, ts, no_sack, ecn, ip6;
	bool is_narrow; /* packets without DF are no mistake */
	uint8_t wscale_value;
	uint16_t mss, wnd, mtu; /* the peer's MSS and window; 0 = 1000 and 60000 */
	uint32_t quota, pool;
	const char *cc;
	uint32_t rtt_ms; /* between SYN and SYN|ACK */
};

struct conv {
	struct stt *stt;
	int id;
	struct options opt;
	uint64_t start_us;
	uint32_t iss; /* ours, on the wire */
	bool has_iss, is_fin_ours;
	uint32_t peer_edge;  /* highest byte (and FIN) the peer ever sent, script numbers */
	uint32_t right_edge; /* highest ack + window of ours */
	bool has_edge;
	uint8_t wscale; /* ours, once both offered */
	uint64_t queued, read;
	struct segment last; /* the last segment of ours */
	uint32_t last_ip_len;
	bool has_df;	 /* of the last segment */
	bool is_cutting; /* TSO packets are cut before a script sees them */
};
extern struct conv conv;

/* Fixtures: a stack before the first SYN; an established connection; the end with its checks. */
void conv_begin(const struct options *opt);
void conv_open(const struct options *opt);
int conv_end(void **state);

void conv_rx(const struct segment *s);
void conv_tx(const struct segment *expect, const char *file, int line);
/* The next segment of ours into conv.last, checked for sanity only. False: none. */
bool conv_tx_any(const char *file, int line);
void conv_tx_none(const char *file, int line);
void conv_rx_raw(const void *packet, size_t len);
/* Builds @s as the peer sends it. Out: its length. */
size_t conv_build(const struct segment *s, uint8_t *packet);
/* An ICMP (or ICMPv6) error that quotes a segment of ours at @seq (script number). */
void conv_icmp(uint8_t type, uint8_t code, uint16_t mtu, uint32_t seq);

#define begin_with(...) conv_begin(&(struct options){__VA_ARGS__})
#define open_with(...)	conv_open(&(struct options){__VA_ARGS__})
#define rx(...)		conv_rx(&(struct segment){__VA_ARGS__})
#define tx(...)		conv_tx(&(struct segment){__VA_ARGS__}, __FILE__, __LINE__)
#define tx_any()	conv_tx_any(__FILE__, __LINE__)
#define tx_none()	conv_tx_none(__FILE__, __LINE__)

void at_ms(uint64_t ms);    /* since the script began */
void after_ms(uint64_t ms); /* later than now */
uint64_t now_ms(void);
void send_bytes(uint32_t len);
void read_bytes(uint32_t len); /* that many are there, and they are right */
void read_nothing(void);       /* -EAGAIN */
void read_end(void);	       /* end of the stream */
void read_fails(int err);
void connect_now(void); /* stt_connect */
struct stt_info info(void);
unsigned tx_drain(void); /* fetches what there is. Out: segments */

#define conv_test(name) cmocka_unit_test_teardown(name, conv_end)

#endif
