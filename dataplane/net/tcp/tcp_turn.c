/*
 * tcp_turn.c - the table's part of a turn: timers, output, deadlines
 *
 * Connections stand in a binary heap by their earliest deadline. tcp_conn_settle() is called at
 * the end of everything that may have moved one of a connection's timers; it also frees a slot
 * both holders are done with, so no caller may touch a connection after settling it.
 */
#include "dataplane/net/tcp/tcp_table.h"

#include <assert.h>
#include <errno.h>
#include <rte_common.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_conn.h"
#include "dataplane/net/tcp/tcp_seq.h"
#include "dataplane/net/tcp/tcp_train.h"

#define QUANTUM 8 /* packets of one connection before the next has its turn */

static uint64_t key_of(const struct tcp_table *t, uint32_t pos)
{
	return t->conns[t->heap[pos]].timers.first_us;
}

static void heap_put(struct tcp_table *t, uint32_t pos, uint16_t idx)
{
	t->heap[pos] = idx;
	t->conns[idx].heap_pos = (uint16_t)pos;
}

/* Moves what is at @pos to where it belongs: log2(NET_CONN_MAX) steps. */
static void heap_fix(struct tcp_table *t, uint32_t pos)
{
	uint16_t idx = t->heap[pos];
	uint64_t key = t->conns[idx].timers.first_us;

	while (pos > 0 && key_of(t, (pos - 1) / 2) > key) {
		heap_put(t, pos, t->heap[(pos - 1) / 2]);
		pos = (pos - 1) / 2;
	}
	for (uint32_t child; (child = 2 * pos + 1) < t->heap_count; pos = child) {
		if (child + 1 < t->heap_count && key_of(t, child + 1) < key_of(t, child))
			child++;
		if (key_of(t, child) >= key)
			break;
		heap_put(t, pos, t->heap[child]);
	}
	heap_put(t, pos, idx);
}

static void heap_remove(struct tcp_table *t, struct tcp_conn *conn)
{
	uint32_t pos = conn->heap_pos;

	if (pos == TCP_HEAP_NONE)
		return;
	conn->heap_pos = TCP_HEAP_NONE;
	t->heap_count--;
	if (pos == t->heap_count)
		return;
	heap_put(t, pos, t->heap[t->heap_count]);
	heap_fix(t, pos);
}

void tcp_conn_settle(struct tcp_conn *conn)
{
	struct tcp_table *t = conn->net->tcp;
	uint64_t first_us = TCP_NEVER;

	for (unsigned i = 0; i < TIMER_COUNT; i++)
		first_us = RTE_MIN(first_us, conn->timers.at_us[i]);
	conn->timers.first_us = first_us;
	if (first_us == TCP_NEVER) {
		heap_remove(t, conn);
	} else {
		if (conn->heap_pos == TCP_HEAP_NONE)
			heap_put(t, t->heap_count++, conn->idx);
		heap_fix(t, conn->heap_pos);
	}
	if (conn->state == TCP_STATE_CLOSED && conn->stream.is_released)
		tcp_conn_free(conn);
}

void tcp_timers(struct net *net, uint64_t now_us)
{
	struct tcp_table *t = net->tcp;

	while (t->heap_count > 0 && key_of(t, 0) <= now_us) {
		struct tcp_conn *conn = &t->conns[t->heap[0]];

		tcp_timeout(conn, now_us);
		tcp_conn_settle(conn);
		assert(t->heap_count == 0 || t->heap[0] != conn->idx || key_of(t, 0) > now_us);
	}
}

static unsigned pull_replies(struct net *net, struct rte_mbuf **out, unsigned max, uint64_t now_us)
{
	struct tcp_table *t = net->tcp;
	unsigned n = 0;

	while (t->reply_count > 0 && n < max) {
		if (tcp_output_reply(net, &t->replies[t->reply_head], &out[n], now_us) ==
			TCP_OUT_BLOCKED)
			break;
		t->reply_head = (t->reply_head + 1) % TCP_REPLY_MAX;
		t->reply_count--;
		n += out[n] != NULL;
	}
	return n;
}

/* Up to QUANTUM packets of one connection. Out: packets written to @out. */
static unsigned pull_conn(
	struct tcp_conn *conn, struct rte_mbuf **out, unsigned max, uint64_t now_us)
{
	enum tcp_out rc = TCP_OUT_SENT;
	unsigned n = 0;

	max = RTE_MIN(max, (unsigned)QUANTUM);
	for (unsigned i = 0; i < QUANTUM && n < max && rc == TCP_OUT_SENT; i++) {
		struct rte_mbuf *m = NULL;

		rc = tcp_output(conn, &m, now_us);
		if (rc != TCP_OUT_SENT || !m)
			continue;
		out[n++] = m;
		if (conn->train_bytes > 0)
			n += tcp_train(conn, m, out + n, max - n, now_us);
	}
	tcp_conn_untouch(conn);
	if (rc == TCP_OUT_SENT && conn->state != TCP_STATE_CLOSED)
		tcp_conn_touch(conn); /* behind the others */
	else if (rc == TCP_OUT_BLOCKED)
		tcp_timer_set(conn, TIMER_RETRY, now_us + TCP_RETRY_US);
	tcp_conn_settle(conn);
	return n;
}

unsigned tcp_pull(struct net *net, struct rte_mbuf **out, unsigned max, uint64_t now_us)
{
	struct tcp_table *t = net->tcp;
	unsigned n;

	if (t->reply_count == 0 && TAILQ_EMPTY(&t->pending))
		return 0;
	net_stock_open(net);
	n = pull_replies(net, out, max, now_us);
	while (n < max && !TAILQ_EMPTY(&t->pending))
		n += pull_conn(TAILQ_FIRST(&t->pending), out + n, max - n, now_us);
	net_stock_close(net);
	return n;
}

uint64_t tcp_deadline(const struct net *net)
{
	const struct tcp_table *t = net->tcp;

	if (!TAILQ_EMPTY(&t->pending))
		return 0;
	if (t->reply_count > 0)
		return net->now_us + TCP_RETRY_US; /* the header pool was empty */
	return t->heap_count > 0 ? key_of(t, 0) : TCP_NEVER;
}

void tcp_path_changed(struct net *net)
{
	struct tcp_table *t = net->tcp;

	for (uint32_t i = 0; i < t->conn_max; i++) {
		struct tcp_conn *conn = &t->conns[i];

		if (!t->is_taken[i] || conn->state == TCP_STATE_CLOSED)
			continue;
		if (ip_path_renew(net, &conn->path))
			continue; /* no way at present; its timers will tell when that lasts */
		if (conn->pmtu.mtu > conn->path.mtu || conn->pmtu.lowered_us == 0)
			tcp_pmtu_raise(conn, net->now_us);
		tcp_conn_touch(conn);
		tcp_conn_settle(conn);
	}
}

/* RFC 5927 4.1 and 5: only about something in flight; a hard error ends an open, nothing else. */
void tcp_icmp_error(struct net *net, const struct ip_in *quoted, uint16_t sport, uint16_t dport,
	uint32_t seq, int err, uint32_t mtu, bool is_hard)
{
	struct tcp_conn *conn =
		tcp_table_lookup(net->tcp, &quoted->src, sport, &quoted->dst, dport);

	if (!conn || seq_lt(seq, conn->snd_una) || seq_ge(seq, conn->snd_nxt))
		return;
	if (err == -EMSGSIZE) {
		if (tcp_is_synchronized(conn))
			tcp_pmtu_icmp(conn, seq, mtu, net->now_us);
	} else if (is_hard && !tcp_is_synchronized(conn)) {
		tcp_conn_die(conn, err);
	} else {
		conn->soft_error = err;
	}
	tcp_conn_settle(conn);
}

void tcp_conn_info(const struct tcp_conn *conn, struct stream_info *out)
{
	*out = (struct stream_info){
		.state = conn->state,
		.mss = tcp_out_mss(conn),
		.cwnd_bytes = conn->cc.cwnd_bytes,
		.ssthresh_bytes = conn->cc.ssthresh_bytes,
		.rcv_wnd_bytes = tcp_rcv_wnd(&conn->rcv),
		.snd_wnd_bytes = conn->snd_wnd,
		.rto_us = tcp_rtt_rto_us(&conn->rtt),
		.srtt_us = tcp_rtt_srtt_us(&conn->rtt),
		.rttvar_us = tcp_rtt_rttvar_us(&conn->rtt),
		.min_rtt_us = tcp_rtt_min_us(&conn->rtt),
		.unacked_bytes = tcp_rtx_flight(&conn->rtx),
		.sacked_bytes = conn->rtx.sacked_bytes,
		.lost_bytes = conn->rtx.lost_bytes,
		.retrans_segs = conn->retrans_segs,
		.backoff = conn->rtt.backoff,
		.held_mbufs = tcp_rcv_held(&conn->rcv),
		.bytes_acked = conn->sndq.start,
		.bytes_received = conn->rcv.received,
		.delivery_rate_bps = conn->rate_bps,
		.local_port = conn->local_port,
		.peer_port = conn->peer_port,
	};
}

unsigned tcp_conn_infos(const struct net *net, struct stream_info *out, unsigned max)
{
	const struct tcp_table *t = net->tcp;
	unsigned n = 0;

	for (uint32_t i = 0; i < t->conn_max && n < max; i++)
		if (t->is_taken[i])
			tcp_conn_info(&t->conns[i], &out[n++]);
	return n;
}
