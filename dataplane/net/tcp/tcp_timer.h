/*
 * tcp_timer.h - the deadlines of one connection
 *
 * Each is an absolute time; the earliest is the connection's place in the table's heap.
 */
#ifndef DATAPLANE_NET_TCP_TCP_TIMER_H
#define DATAPLANE_NET_TCP_TCP_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_conn;

#define TCP_NEVER UINT64_MAX

enum tcp_timer {
	TIMER_TLP,     /* RFC 8985 7; before RTO, which a probe puts off */
	TIMER_RTO,     /* RFC 6298; the SYN's too */
	TIMER_REO,     /* RFC 8985 6.2 step 5 */
	TIMER_PERSIST, /* zero window, and the sender's SWS override */
	TIMER_DELACK,
	TIMER_KEEPALIVE,
	TIMER_USER, /* user timeout, connect timeout */
	TIMER_WAIT, /* TIME-WAIT; FIN-WAIT-2 without an owner */
	TIMER_OOO,  /* out-of-order data has waited too long */
	TIMER_PACE,
	TIMER_PMTU,
	TIMER_RETRY, /* memory was short */
	TIMER_COUNT,
};

struct tcp_timers {
	uint64_t at_us[TIMER_COUNT];
	uint64_t first_us;
};

void tcp_timers_init(struct tcp_timers *t);
void tcp_timer_set(struct tcp_conn *conn, enum tcp_timer which, uint64_t at_us);
void tcp_timer_stop(struct tcp_conn *conn, enum tcp_timer which);
bool tcp_timer_is_set(const struct tcp_conn *conn, enum tcp_timer which);
void tcp_timer_stop_all(struct tcp_conn *conn);

/* Runs what is due. Afterwards nothing of it is due at @now_us any more. */
void tcp_timeout(struct tcp_conn *conn, uint64_t now_us);

/* Something was sent, or acknowledged: RTO, probe and
 * persist timers as RFC 6298 5 and 8985 8 say. */
void tcp_timer_rearm(struct tcp_conn *conn, uint64_t now_us);
/* RTO armed if it is not (RFC 6298 5.1). */
void tcp_timer_rto_start(struct tcp_conn *conn, uint64_t now_us);
void tcp_timer_user_update(struct tcp_conn *conn);
/* The keep-alive timer looks again after the period in force (none: never). Touch the connection if
 * it may rest. */
void tcp_timer_keepalive_start(struct tcp_conn *conn, uint64_t now_us);
/* The probe timer runs while the window alone keeps data back. */
void tcp_timer_persist_update(struct tcp_conn *conn, uint64_t now_us);
/* Out-of-order data ages from the last time RCV.NXT moved (@is_moved). */
void tcp_timer_ooo_update(struct tcp_conn *conn, uint64_t now_us, bool is_moved);

#endif
