/*
 * tcp_conn.c - the life of a connection: open, established, closing, gone
 *
 * Active open only, simultaneous open included. tcp_state_set() is the one place where the state
 * changes and it refuses arcs RFC 9293 figure 5 does not have. A connection has two holders, the
 * protocol and the owner of the stream handle; its slot is free when the state is CLOSED and the
 * handle is released, whichever comes last. A failed connection keeps its unread in-order text for
 * the owner, and frees everything else at once.
 *
 * The flow stands in the classifier from open to CLOSED, TIME-WAIT included.
 */
#include "dataplane/net/tcp/tcp_conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <rte_byteorder.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_seq.h"

/* RFC 5961 7's example: ten in five seconds, here for each connection. */
#define CHALLENGE_MAX	    10u
#define CHALLENGE_WINDOW_US 5000000u
#define MSS_MIN		    64u /* a peer that offers less would cost a header a byte */

static bool is_legal(enum tcp_state from, enum tcp_state to)
{
	static const uint16_t arcs[] = {
		[TCP_STATE_CLOSED] = 1 << TCP_STATE_SYN_SENT,
		[TCP_STATE_SYN_SENT] = 1 << TCP_STATE_SYN_RECEIVED | 1 << TCP_STATE_ESTABLISHED,
		[TCP_STATE_SYN_RECEIVED] = 1 << TCP_STATE_ESTABLISHED,
		[TCP_STATE_ESTABLISHED] = 1 << TCP_STATE_FIN_WAIT_1 | 1 << TCP_STATE_CLOSE_WAIT,
		[TCP_STATE_FIN_WAIT_1] = 1 << TCP_STATE_FIN_WAIT_2 | 1 << TCP_STATE_CLOSING,
		[TCP_STATE_FIN_WAIT_2] = 1 << TCP_STATE_TIME_WAIT,
		[TCP_STATE_CLOSE_WAIT] = 1 << TCP_STATE_LAST_ACK,
		[TCP_STATE_CLOSING] = 1 << TCP_STATE_TIME_WAIT,
	};

	if (to == TCP_STATE_CLOSED)
		return from != TCP_STATE_CLOSED; /* reset, timeout, or the end */
	return from < sizeof(arcs) / sizeof(arcs[0]) && arcs[from] & 1 << to;
}

void tcp_state_set(struct tcp_conn *conn, enum tcp_state state)
{
	assert(is_legal(conn->state, state));
	conn->state = state;
}

static void flow_key_of(const struct tcp_conn *conn, struct flow_key *key)
{
	memset(key, 0, sizeof(*key));
	key->family = conn->path.remote.family;
	key->proto = IPPROTO_TCP;
	key->remote_port_be = rte_cpu_to_be_16(conn->peer_port);
	key->local_port_be = rte_cpu_to_be_16(conn->local_port);
	memcpy(key->remote, conn->path.remote.addr, key->family == AF_INET ? 4 : 16);
	memcpy(key->local, conn->path.local.addr, key->family == AF_INET ? 4 : 16);
}

static void flow_forget(struct tcp_conn *conn)
{
	struct flow_key key;

	if (!conn->is_flow_inserted)
		return;
	flow_key_of(conn, &key);
	flow_remove(conn->net->cfg.classifier, &key);
	conn->is_flow_inserted = false;
}

static void flow_announce(struct tcp_conn *conn)
{
	struct flow_key key;

	if (!conn->net->cfg.classifier)
		return;
	flow_key_of(conn, &key);
	conn->is_flow_inserted = flow_insert(conn->net->cfg.classifier, &key, conn->idx) == 0;
}

/* Local and remote address are in conn->path. */
void tcp_conn_open(struct tcp_conn *conn, const struct stream_target *target, uint16_t local_port,
	uint64_t now_us)
{
	const struct net_config *cfg = &conn->net->cfg;

	conn->local_port = local_port;
	conn->peer_port = target->port;
	conn->iss = conn->snd_una = conn->snd_nxt = tcp_id_iss(conn, now_us);
	conn->ts_offset = tcp_id_ts_offset(conn);
	conn->is_nodelay = true;
	conn->has_sack = !cfg->tcp_no_sack;
	conn->has_ts = !cfg->tcp_no_ts;
	conn->has_wscale = !cfg->tcp_no_wscale;
	conn->keepalive_us = target->keepalive_us;
	conn->keepalive_busy_us = target->keepalive_busy_us;
	conn->keepalive_step_us = target->keepalive_step_us;
	conn->user_timeout_us =
		target->user_timeout_us ? target->user_timeout_us : TCP_USER_TIMEOUT_US;
	conn->sndq.bytes_max =
		target->send_bytes_max ? target->send_bytes_max : TCP_SEND_BYTES_DEFAULT;
	conn->pmtu.mtu = conn->path.mtu;
	conn->mss = TCP_MSS_DEFAULT_IP4;
	conn->last_heard_us = conn->last_sent_us = conn->progress_us = conn->rate_us = now_us;
	conn->recovery.point = conn->iss;
	tcp_rcv_init(&conn->rcv, target, conn->rcv.ooo);
	conn->rcv.mss = tcp_conn_mss_offer(conn);
	tcp_rtx_init(&conn->rtx, conn->rtx.recs, conn->iss + 1);
	tcp_rtt_init(&conn->rtt, cfg->rto_us_min);
	tcp_rack_init(&conn->rack);
	tcp_timers_init(&conn->timers);
	tcp_cc_init(&conn->cc, tcp_cc_find(target->cc), conn->mss, now_us);
	tcp_timer_set(conn, TIMER_USER,
		now_us + (target->connect_us_max ? target->connect_us_max : TCP_CONNECT_US));
	conn->ecn.is_asked = !cfg->tcp_no_ecn;
	conn->syn_due = true;
	tcp_state_set(conn, TCP_STATE_SYN_SENT);
	flow_announce(conn);
	conn->net->stats.tcp_connect++;
	tcp_conn_touch(conn);
	tcp_conn_settle(conn);
}

static uint16_t hdr_bytes(const struct tcp_conn *conn)
{
	return (uint16_t)(ip_path_hdr_bytes(&conn->path) + TCP_HDR_BYTES);
}

uint16_t tcp_conn_mss_offer(const struct tcp_conn *conn)
{
	uint16_t mss = (uint16_t)(conn->path.mtu - hdr_bytes(conn));

	return conn->mss_limit && conn->mss_limit < mss ? conn->mss_limit : mss;
}

void tcp_conn_mss_update(struct tcp_conn *conn)
{
	uint16_t mss = (uint16_t)(conn->pmtu.mtu - hdr_bytes(conn));

	mss = RTE_MIN(mss, RTE_MAX(conn->peer_mss, (uint16_t)MSS_MIN));
	if (conn->mss_limit)
		mss = RTE_MIN(mss, conn->mss_limit);
	conn->mss = mss;
	tcp_cc_mss_set(&conn->cc, tcp_out_mss(conn));
}

/* RFC 9293 3.7.1, 7323 2 and 3, 2018 2, 3168 6.1.1: both must have offered. */
void tcp_conn_negotiate(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	bool is_ip4 = conn->path.remote.family == AF_INET;
	uint32_t wnd = tcp_rcv_wnd(&conn->rcv);
	uint8_t ecn_flags = seg->flags & (TCP_ECE | TCP_CWR);

	conn->peer_mss = seg->has_mss ? seg->mss
			 : is_ip4     ? TCP_MSS_DEFAULT_IP4
				      : TCP_MSS_DEFAULT_IP6;
	conn->has_ts = conn->has_ts && seg->has_ts;
	conn->has_sack = conn->has_sack && seg->has_sack_ok;
	conn->has_wscale = conn->has_wscale && seg->has_wscale;
	conn->snd_wscale = conn->has_wscale ? seg->wscale : 0;
	conn->rcv.wscale = conn->has_wscale ? tcp_rcv_wscale_choose(conn->rcv.quota) : 0;
	conn->ecn.is_on = conn->ecn.is_asked &&
			  ecn_flags == (seg->flags & TCP_ACK ? TCP_ECE : TCP_ECE | TCP_CWR);
	if (conn->has_ts) {
		conn->ts_recent = seg->tsval;
		conn->ts_recent_us = now_us;
	}
	conn->rcv.nxt = conn->rcv.acked = seg->seq + 1;
	conn->rcv.edge = conn->rcv.nxt + wnd; /* what our SYN promised */
	tcp_conn_mss_update(conn);
}

void tcp_conn_established(struct tcp_conn *conn, uint64_t now_us)
{
	tcp_state_set(conn, TCP_STATE_ESTABLISHED);
	conn->snd_una = conn->iss + 1;
	conn->round_end = conn->snd_una;
	conn->snd_wnd_max = RTE_MAX(conn->snd_wnd_max, conn->snd_wnd);
	conn->progress_us = conn->last_heard_us = now_us;
	tcp_cc_init(&conn->cc, conn->cc.ops, tcp_out_mss(conn), now_us);
	if (conn->syn_tries == 0) {
		tcp_rtt_sample(&conn->rtt,
			(uint32_t)RTE_MIN(now_us - conn->syn_sent_us, (uint64_t)TCP_RTO_US_MAX), 1,
			now_us);
	} else {
		tcp_rtt_backoff_clear(&conn->rtt);
		tcp_rtt_syn_lost(&conn->rtt);
		tcp_cc_syn_lost(&conn->cc);
	}
	conn->syn_due = false;
	tcp_timer_stop_all(conn);
	tcp_timer_keepalive_start(conn, now_us);
	ip_path_confirm(conn->net, &conn->path, now_us);
	if (conn->fin_queued)
		tcp_state_set(conn, TCP_STATE_FIN_WAIT_1);
	conn->net->stats.tcp_established++;
	tcp_conn_event(conn, STREAM_CONNECTED);
}

void tcp_conn_event(struct tcp_conn *conn, uint32_t bits)
{
	struct stream *s = &conn->stream;

	if (s->is_released)
		return;
	if (s->event_bits == 0)
		TAILQ_INSERT_TAIL(&conn->net->tcp->events, s, event_link);
	s->event_bits |= bits;
}

/* CLOSED: the protocol's half of the connection is over. */
static void close_now(struct tcp_conn *conn)
{
	tcp_state_set(conn, TCP_STATE_CLOSED);
	flow_forget(conn);
	tcp_timer_stop_all(conn);
	tcp_conn_untouch(conn);
	tcp_ooo_drop(&conn->rcv);
	tcp_sndq_drop(&conn->sndq);
	conn->ack_now = false;
}

void tcp_conn_die(struct tcp_conn *conn, int err)
{
	assert(err < 0);
	close_now(conn);
	conn->stream.error = err;
	conn->net->stats.tcp_aborted++;
	tcp_conn_event(conn, STREAM_DEAD);
}

void tcp_conn_reset(struct tcp_conn *conn, int err)
{
	struct tcp_reply reply = {
		.path = conn->path,
		.sport = conn->local_port,
		.dport = conn->peer_port,
		.seq = conn->snd_nxt,
		.ack = conn->rcv.nxt,
		.flags = TCP_RST | TCP_ACK,
		.has_ts = conn->has_ts, /* RFC 7323 3.2 */
		.tsval = tcp_ts_now(conn, conn->net->now_us),
		.tsecr = conn->ts_recent,
	};

	/* RFC 9293 3.10.5: nothing to reset before the SYN was answered, nor once both sides
	 * closed. */
	if (conn->state >= TCP_STATE_SYN_RECEIVED && conn->state < TCP_STATE_CLOSING)
		tcp_reply_push(conn->net->tcp, &reply, false);
	tcp_conn_die(conn, err);
}

void tcp_conn_finish(struct tcp_conn *conn)
{
	close_now(conn);
	conn->stream.error = -ENOTCONN;
	conn->net->stats.tcp_closed++;
	tcp_conn_event(conn, STREAM_DEAD);
}

void tcp_conn_time_wait(struct tcp_conn *conn, uint64_t now_us)
{
	tcp_state_set(conn, TCP_STATE_TIME_WAIT);
	tcp_timer_stop_all(conn);
	tcp_timer_set(conn, TIMER_WAIT, now_us + 2 * TCP_MSL_US);
}

void tcp_conn_challenge(struct tcp_conn *conn, uint64_t now_us)
{
	if (now_us >= conn->challenge_until_us) {
		conn->challenge_until_us = now_us + CHALLENGE_WINDOW_US;
		conn->challenge_left = CHALLENGE_MAX;
	}
	if (conn->challenge_left == 0)
		return;
	conn->challenge_left--;
	conn->ack_now = true;
	conn->net->stats.tcp_challenge_ack++;
}

void tcp_conn_free(struct tcp_conn *conn)
{
	assert(conn->state == TCP_STATE_CLOSED && conn->stream.is_released);
	tcp_rcv_drop(&conn->rcv);
	if (conn->stream.event_bits)
		TAILQ_REMOVE(&conn->net->tcp->events, &conn->stream, event_link);
	conn->stream.event_bits = 0;
	tcp_table_give(conn->net->tcp, conn);
}
