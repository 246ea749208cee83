/*
 * tcp_timer.c - the deadlines of one connection
 *
 * Absolute times in a small array; the earliest is kept beside it and orders the table's heap. A
 * timer is cleared before its handler runs, and a handler that sets it again sets it later than
 * now, so one pass over the array leaves nothing due: a deadline is never in the past after a poll.
 *
 * RFC 8985 8 asks for one timer shared by RTO, probe and reordering; here each has its own slot and
 * the rules that relate them are in tcp_timer_rearm().
 */
#include "dataplane/net/tcp/tcp_timer.h"

#include <assert.h>
#include <errno.h>
#include <rte_common.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_conn.h"
#include "dataplane/net/tcp/tcp_seq.h"

#define KEEPALIVE_STEP_US_MIN 1000000u
#define KEEPALIVE_STEP_US_MAX 75000000u
#define OOO_AGE_US_MIN	      5000000u
#define OOO_AGE_RTOS	      4
#define PROBE_US_MAX	      60000000u
#define PROBES_PER_PATIENCE   4 /* a peer that answers is heard long before patience ends */

void tcp_timers_init(struct tcp_timers *t)
{
	for (unsigned i = 0; i < TIMER_COUNT; i++)
		t->at_us[i] = TCP_NEVER;
	t->first_us = TCP_NEVER;
}

void tcp_timer_set(struct tcp_conn *conn, enum tcp_timer which, uint64_t at_us)
{
	conn->timers.at_us[which] = at_us;
}

void tcp_timer_stop(struct tcp_conn *conn, enum tcp_timer which)
{
	conn->timers.at_us[which] = TCP_NEVER;
}

void tcp_timer_stop_all(struct tcp_conn *conn)
{
	tcp_timers_init(&conn->timers);
}

bool tcp_timer_is_set(const struct tcp_conn *conn, enum tcp_timer which)
{
	return conn->timers.at_us[which] != TCP_NEVER;
}

void tcp_timer_rto_start(struct tcp_conn *conn, uint64_t now_us)
{
	if (!tcp_timer_is_set(conn, TIMER_RTO))
		tcp_timer_set(conn, TIMER_RTO, now_us + tcp_rtt_rto_us(&conn->rtt));
}

void tcp_timer_user_update(struct tcp_conn *conn)
{
	bool is_waiting = tcp_is_synchronized(conn) && conn->state != TCP_STATE_TIME_WAIT &&
			  (tcp_rtx_flight(&conn->rtx) > 0 || tcp_out_has_unsent(conn));

	if (!tcp_is_synchronized(conn))
		return;
	if (is_waiting)
		tcp_timer_set(conn, TIMER_USER, conn->progress_us + conn->user_timeout_us);
	else
		tcp_timer_stop(conn, TIMER_USER);
}

/* Nothing is sent while the window is closed, or too small: ask now and then. */
void tcp_timer_persist_update(struct tcp_conn *conn, uint64_t now_us)
{
	bool has_flight = tcp_rtx_flight(&conn->rtx) > 0;
	bool is_shut = conn->snd_wnd == 0 && (has_flight || tcp_out_has_unsent(conn));
	bool is_stuck = !has_flight && tcp_out_has_unsent(conn);
	uint64_t wait_us;

	if (!is_shut && !is_stuck) {
		tcp_timer_stop(conn, TIMER_PERSIST);
		return;
	}
	if (is_shut) {
		tcp_timer_stop(conn, TIMER_RTO);
		tcp_timer_stop(conn, TIMER_TLP);
	}
	if (tcp_timer_is_set(conn, TIMER_PERSIST))
		return;
	wait_us = (uint64_t)tcp_rtt_rto_us(&conn->rtt) << RTE_MIN(conn->probe_backoff, 16);
	wait_us = RTE_MIN(
		wait_us, RTE_MIN(PROBE_US_MAX, conn->user_timeout_us / PROBES_PER_PATIENCE));
	tcp_timer_set(conn, TIMER_PERSIST, now_us + wait_us);
	if (conn->probe_backoff == 0 && !has_flight) {
		conn->progress_us = now_us; /* patience begins with the first byte that must wait */
		tcp_timer_user_update(conn);
	}
}

void tcp_timer_rearm(struct tcp_conn *conn, uint64_t now_us)
{
	if (!tcp_is_synchronized(conn) || conn->state == TCP_STATE_TIME_WAIT)
		return;
	if (tcp_rtx_flight(&conn->rtx) == 0) {
		tcp_timer_stop(conn, TIMER_RTO); /* RFC 6298 5.2 */
		tcp_timer_stop(conn, TIMER_TLP);
		tcp_timer_stop(conn, TIMER_REO);
	} else if (conn->snd_wnd > 0) {
		tcp_timer_rto_start(conn, now_us); /* 5.3 */
		tcp_rack_tlp_arm(conn, now_us);
	}
	tcp_timer_persist_update(conn, now_us);
	tcp_timer_user_update(conn);
}

/*
 * RFC 9293 3.8.3, 6298 5.5-5.7 for the SYN. At R1 the way is in doubt (RFC 1122 3.3.1.4): a router
 * that was replaced would keep its old link address for the neighbour cache's 45 s, and nothing
 * else would probe it.
 */
static void syn_timeout(struct tcp_conn *conn, uint64_t now_us)
{
	conn->syn_tries++;
	conn->retrans_segs++;
	conn->net->stats.tcp_rto++;
	tcp_rtt_backoff(&conn->rtt);
	conn->syn_due = true;
	if (conn->syn_tries == TCP_R1_RETRIES)
		ip_path_doubt(conn->net, &conn->path, now_us);
}

static void rto_timeout(struct tcp_conn *conn, uint64_t now_us)
{
	if (!tcp_is_synchronized(conn)) {
		syn_timeout(conn, now_us);
		return;
	}
	if (tcp_rtx_flight(&conn->rtx) == 0)
		return;
	if (conn->rto_due) {
		/* What the last one marked could not leave, for lack of memory: the path is not to
		 * blame. */
		tcp_timer_set(conn, TIMER_RTO, now_us + tcp_rtt_rto_us(&conn->rtt));
		return;
	}
	tcp_recovery_rto(conn, now_us);
	tcp_rtt_backoff(&conn->rtt);
	tcp_timer_set(conn, TIMER_RTO, now_us + tcp_rtt_rto_us(&conn->rtt));
	if (conn->rtt.backoff == TCP_R1_RETRIES)
		ip_path_doubt(conn->net, &conn->path, now_us);
}

static void persist_timeout(struct tcp_conn *conn)
{
	conn->probe_due = true;
	if (conn->probe_backoff < UINT8_MAX)
		conn->probe_backoff++;
	conn->net->stats.tcp_zero_window_probe++;
}

/* Silence that draws a probe; 0 = none. */
static uint32_t keepalive_period_us(const struct tcp_conn *conn)
{
	return conn->is_expecting && conn->keepalive_busy_us ? conn->keepalive_busy_us
							     : conn->keepalive_us;
}

void tcp_timer_keepalive_start(struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t period_us = keepalive_period_us(conn);

	tcp_timer_stop(conn, TIMER_KEEPALIVE);
	if (period_us && tcp_is_synchronized(conn) && conn->state != TCP_STATE_TIME_WAIT)
		tcp_timer_set(conn, TIMER_KEEPALIVE, now_us + period_us);
}

static uint32_t keepalive_step_us(const struct tcp_conn *conn, uint32_t period_us)
{
	if (conn->keepalive_step_us)
		return conn->keepalive_step_us;
	return RTE_MAX(KEEPALIVE_STEP_US_MIN, RTE_MIN(period_us / 4, KEEPALIVE_STEP_US_MAX));
}

/*
 * RFC 9293 3.8.4: only with nothing outstanding. Where there is, retransmission or window probes
 * ask, and the user timeout judges the answer. Those who hear nothing for a period after that are
 * asked TCP_KEEPALIVE_PROBES times.
 */
static void keepalive_timeout(struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t period_us = keepalive_period_us(conn);
	bool is_idle = tcp_rtx_flight(&conn->rtx) == 0 && !tcp_out_has_unsent(conn);
	uint64_t due_us = is_idle ? conn->last_heard_us + period_us : now_us + period_us;

	if (due_us > now_us || period_us == 0) {
		conn->keepalive_tries = 0;
		tcp_timer_keepalive_start(conn, due_us - period_us);
		return;
	}
	if (conn->keepalive_tries >= TCP_KEEPALIVE_PROBES) {
		tcp_conn_reset(conn, -ETIMEDOUT);
		return;
	}
	conn->keepalive_tries++;
	conn->keepalive_due = true;
	if (conn->keepalive_tries == TCP_R1_RETRIES)
		ip_path_doubt(conn->net, &conn->path, now_us);
	tcp_timer_set(conn, TIMER_KEEPALIVE, now_us + keepalive_step_us(conn, period_us));
}

/* RFC 9293 3.9.1.1: the user's patience, also with the open. */
static void user_timeout(struct tcp_conn *conn, uint64_t now_us)
{
	if (tcp_is_synchronized(conn) && conn->progress_us + conn->user_timeout_us > now_us) {
		tcp_timer_user_update(conn);
		return;
	}
	tcp_conn_reset(conn, conn->soft_error ? conn->soft_error : -ETIMEDOUT);
}

/* The peer has not filled the hole for a few RTO: the memory is worth more than the data. */
static void ooo_timeout(struct tcp_conn *conn)
{
	conn->net->stats.tcp_ooo_shed += conn->rcv.ooo_mbufs;
	tcp_ooo_drop(&conn->rcv);
}

static void fire(struct tcp_conn *conn, enum tcp_timer which, uint64_t now_us)
{
	switch (which) {
	case TIMER_RTO:
		rto_timeout(conn, now_us);
		break;
	case TIMER_TLP:
		tcp_rack_tlp_fire(conn, now_us);
		break;
	case TIMER_REO:
		if (tcp_rack_detect(conn, now_us) > 0)
			tcp_recovery_lost(conn, now_us);
		break;
	case TIMER_PERSIST:
		persist_timeout(conn);
		break;
	case TIMER_DELACK:
		conn->ack_now = true;
		break;
	case TIMER_KEEPALIVE:
		keepalive_timeout(conn, now_us);
		break;
	case TIMER_USER:
		user_timeout(conn, now_us);
		break;
	case TIMER_WAIT:
		tcp_conn_finish(conn);
		break;
	case TIMER_OOO:
		ooo_timeout(conn);
		break;
	case TIMER_PMTU:
		tcp_pmtu_raise(conn, now_us);
		break;
	case TIMER_PACE:
	case TIMER_RETRY:
	case TIMER_COUNT:
		break; /* being asked for output again is all */
	}
}

void tcp_timeout(struct tcp_conn *conn, uint64_t now_us)
{
	for (unsigned i = 0; i < TIMER_COUNT; i++) {
		if (conn->timers.at_us[i] > now_us)
			continue;
		tcp_timer_stop(conn, i);
		fire(conn, i, now_us);
		if (conn->state == TCP_STATE_CLOSED)
			return;
	}
	tcp_conn_touch(conn);
}

void tcp_timer_ooo_update(struct tcp_conn *conn, uint64_t now_us, bool is_moved)
{
	uint64_t age_us = RTE_MAX(
		(uint64_t)OOO_AGE_US_MIN, OOO_AGE_RTOS * (uint64_t)tcp_rtt_rto_us(&conn->rtt));

	if (conn->rcv.ooo_count == 0)
		tcp_timer_stop(conn, TIMER_OOO);
	else if (is_moved || !tcp_timer_is_set(conn, TIMER_OOO))
		tcp_timer_set(conn, TIMER_OOO, now_us + age_us);
}
