/*
 * tcp_table.c - all connections of one worker
 *
 * A fixed array of connections with their arrays behind them, allocated once; a list of those that
 * may have output; a binary heap of deadlines; the streams with events; and the few segments that
 * belong to no connection. A segment finds its connection by the cookie the classifier kept for
 * its flow, which is the index here; only a segment without one (an ICMP quote, a test without a
 * classifier) costs a walk over the array.
 *
 * Everything is pulled: input and timers only note what is owed and put the connection on the
 * pending list; tcp_pull() asks each in turn, a few packets at a time so that none starves.
 */
#include "dataplane/net/tcp/tcp_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/ip/reass.h"
#include "dataplane/net/tcp/tcp_conn.h"

#define REPLIES_PER_SECOND 100u /* resets to strangers */
#define REPLY_WINDOW_US	   1000000u

/* One allocation for each array of a connection: they live as long as the table. */
static int arrays_alloc(struct tcp_conn *conn)
{
	conn->sndq.chunks = calloc(STREAM_CHUNK_MAX, sizeof(*conn->sndq.chunks));
	conn->rtx.recs = calloc(TCP_RECORD_MAX, sizeof(*conn->rtx.recs));
	conn->rcv.ooo = calloc(TCP_OOO_MAX, sizeof(*conn->rcv.ooo));
	return conn->sndq.chunks && conn->rtx.recs && conn->rcv.ooo ? 0 : -ENOMEM;
}

static int conns_alloc(struct tcp_table *t)
{
	t->conns = calloc(t->conn_max, sizeof(*t->conns));
	t->is_taken = calloc(t->conn_max, sizeof(*t->is_taken));
	t->heap = calloc(t->conn_max, sizeof(*t->heap));
	if (!t->conns || !t->is_taken || !t->heap)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->conn_max; i++) {
		t->conns[i].net = t->net;
		t->conns[i].idx = (uint16_t)i;
		t->conns[i].heap_pos = TCP_HEAP_NONE;
		if (arrays_alloc(&t->conns[i]))
			return -ENOMEM;
	}
	return 0;
}

/* Of net's, and nearly all of it. */
static size_t table_bytes(uint32_t conn_max)
{
	const struct tcp_table *t = NULL; /* for the sizes of what conns_alloc() takes */
	const struct tcp_conn *conn = NULL;

	return sizeof(*t) +
	       conn_max * (sizeof(*t->conns) + sizeof(*t->is_taken) + sizeof(*t->heap) +
				  STREAM_CHUNK_MAX * sizeof(*conn->sndq.chunks) +
				  TCP_RECORD_MAX * sizeof(*conn->rtx.recs) +
				  TCP_OOO_MAX * sizeof(*conn->rcv.ooo));
}

size_t net_bytes(uint32_t conn_max)
{
	return sizeof(struct net) + reass_bytes() + table_bytes(conn_max);
}

struct tcp_table *tcp_table_create(struct net *net)
{
	const struct net_config *cfg = &net->cfg;
	struct tcp_table *t;

	if (cfg->conn_max > NET_CONN_MAX || cfg->mtu < MTU_MIN ||
		(cfg->ext_pool && rte_pktmbuf_priv_size(cfg->ext_pool) < NET_EXT_PRIV_BYTES)) {
		rte_errno = EINVAL;
		return NULL;
	}
	t = calloc(1, sizeof(*t));
	if (!t) {
		rte_errno = ENOMEM;
		return NULL;
	}
	t->net = net;
	t->conn_max = cfg->conn_max ? cfg->conn_max : NET_CONN_MAX;
	TAILQ_INIT(&t->pending);
	TAILQ_INIT(&t->events);
	if (conns_alloc(t)) {
		tcp_table_destroy(t);
		rte_errno = ENOMEM;
		return NULL;
	}
	return t;
}

void tcp_table_destroy(struct tcp_table *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; t->conns && i < t->conn_max; i++) {
		struct tcp_conn *conn = &t->conns[i];

		if (t->is_taken && t->is_taken[i])
			tcp_rcv_drop(&conn->rcv);
		free(conn->sndq.chunks);
		free(conn->rtx.recs);
		free(conn->rcv.ooo);
	}
	free(t->conns);
	free(t->is_taken);
	free(t->heap);
	free(t);
}

/* The oldest of those that only wait for TIME-WAIT to end: it may go when its slot is needed. */
static struct tcp_conn *recyclable(struct tcp_table *t)
{
	struct tcp_conn *best = NULL;

	for (uint32_t i = 0; i < t->conn_max; i++) {
		struct tcp_conn *conn = &t->conns[i];

		if (conn->state != TCP_STATE_TIME_WAIT || !conn->stream.is_released)
			continue;
		if (!best || conn->timers.at_us[TIMER_WAIT] < best->timers.at_us[TIMER_WAIT])
			best = conn;
	}
	return best;
}

static struct tcp_conn *find_free(struct tcp_table *t)
{
	for (uint32_t i = 0; i < t->conn_max; i++)
		if (!t->is_taken[i])
			return &t->conns[i];
	return NULL;
}

/* A slot starts as zeroes, but for what it keeps for life. */
static void slot_reset(struct tcp_conn *conn, uint32_t chunk_max)
{
	struct tcp_conn kept = {
		.net = conn->net,
		.idx = conn->idx,
		.heap_pos = TCP_HEAP_NONE,
		.sndq = {.chunks = conn->sndq.chunks, .count_max = chunk_max},
		.rtx = {.recs = conn->rtx.recs},
		.rcv = {.ooo = conn->rcv.ooo},
	};

	memset(conn, 0, sizeof(*conn));
	*conn = kept;
	tcp_timers_init(&conn->timers);
}

struct tcp_conn *tcp_table_take(struct tcp_table *t)
{
	uint32_t chunk_max = t->net->cfg.send_chunk_max;
	struct tcp_conn *conn = find_free(t);

	if (!conn) {
		conn = recyclable(t);
		if (!conn)
			return NULL;
		tcp_conn_finish(conn);
		tcp_conn_settle(conn); /* gives the slot back */
		assert(!t->is_taken[conn->idx]);
	}
	slot_reset(conn, chunk_max && chunk_max < STREAM_CHUNK_MAX ? chunk_max : STREAM_CHUNK_MAX);
	t->is_taken[conn->idx] = true;
	return conn;
}

void tcp_table_give(struct tcp_table *t, struct tcp_conn *conn)
{
	assert(t->is_taken[conn->idx]);
	assert(conn->heap_pos == TCP_HEAP_NONE && !conn->is_pending);
	t->is_taken[conn->idx] = false;
}

static bool is_same(const struct tcp_conn *conn, const struct net_ip *local, uint16_t local_port,
	const struct net_ip *peer, uint16_t peer_port)
{
	return conn->local_port == local_port && conn->peer_port == peer_port &&
	       ip_equal(&conn->path.remote, peer) && ip_equal(&conn->path.local, local);
}

struct tcp_conn *tcp_table_lookup(struct tcp_table *t, const struct net_ip *local,
	uint16_t local_port, const struct net_ip *peer, uint16_t peer_port)
{
	for (uint32_t i = 0; i < t->conn_max; i++) {
		struct tcp_conn *conn = &t->conns[i];

		if (t->is_taken[i] && conn->state != TCP_STATE_CLOSED &&
			is_same(conn, local, local_port, peer, peer_port))
			return conn;
	}
	return NULL;
}

void tcp_conn_touch(struct tcp_conn *conn)
{
	if (conn->is_pending)
		return;
	TAILQ_INSERT_TAIL(&conn->net->tcp->pending, conn, pending_link);
	conn->is_pending = true;
}

void tcp_conn_untouch(struct tcp_conn *conn)
{
	if (!conn->is_pending)
		return;
	TAILQ_REMOVE(&conn->net->tcp->pending, conn, pending_link);
	conn->is_pending = false;
}

void tcp_reply_push(struct tcp_table *t, const struct tcp_reply *reply, bool is_limited)
{
	uint64_t now_us = t->net->now_us;

	if (now_us >= t->reply_until_us) {
		t->reply_until_us = now_us + REPLY_WINDOW_US;
		t->reply_left = REPLIES_PER_SECOND;
	}
	if (is_limited && t->reply_left == 0)
		return;
	if (t->reply_count == TCP_REPLY_MAX)
		return;
	if (is_limited)
		t->reply_left--;
	t->replies[(t->reply_head + t->reply_count++) % TCP_REPLY_MAX] = *reply;
}

/* RFC 9293 3.10.7.1: no connection, so no state. */
static void answer_stranger(struct net *net, const struct ip_in *in, const struct tcp_seg *seg)
{
	struct tcp_reply reply = {.sport = seg->dport, .dport = seg->sport};

	net->stats.rx_no_conn++;
	if (seg->flags & TCP_RST || ip_path_find(net, &in->src, &reply.path))
		return;
	reply.path.local = in->dst;
	if (seg->flags & TCP_ACK) {
		reply.seq = seg->ack;
		reply.flags = TCP_RST;
	} else {
		reply.ack = seg->seq + seg->payload_bytes + !!(seg->flags & TCP_SYN) +
			    !!(seg->flags & TCP_FIN);
		reply.flags = TCP_RST | TCP_ACK;
	}
	tcp_reply_push(net->tcp, &reply, true);
}

static struct tcp_conn *conn_of_packet(
	struct tcp_table *t, const struct ip_in *in, const struct tcp_seg *seg)
{
	if (in->flow < t->conn_max && t->is_taken[in->flow]) {
		struct tcp_conn *conn = &t->conns[in->flow];

		if (conn->state != TCP_STATE_CLOSED &&
			is_same(conn, &in->dst, seg->dport, &in->src, seg->sport))
			return conn;
	}
	return tcp_table_lookup(t, &in->dst, seg->dport, &in->src, seg->sport);
}

void net_misdirected_note(struct net *net, uint32_t flow)
{
	if (flow < net->tcp->conn_max)
		net->tcp->conns[flow].is_misdirected = true;
}

void tcp_packet(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us)
{
	uint32_t readable = m->data_len > in->l4_off ? m->data_len - in->l4_off : 0;
	struct tcp_seg seg;
	struct tcp_conn *conn;

	net->stats.tcp_rx_segs++;
	if (tcp_wire_parse(rte_pktmbuf_mtod_offset(m, const uint8_t *, in->l4_off),
		    RTE_MIN(readable, in->l4_len), in->l4_len, &seg)) {
		net->stats.rx_bad_hdr++;
		rte_pktmbuf_free(m);
		return;
	}
	conn = conn_of_packet(net->tcp, in, &seg);
	if (!conn) {
		answer_stranger(net, in, &seg);
		rte_pktmbuf_free(m);
		return;
	}
	rte_pktmbuf_adj(m, (uint16_t)(in->l4_off + seg.hdr_len));
	assert(m->pkt_len == seg.payload_bytes);
	if (tcp_input(conn, m, &seg, in->ecn, now_us)) {
		net->tcp->run.conn = conn;
		net->tcp->run.in = *in;
	}
}
