/*
 * tcp_packet.c - one outgoing segment: built and handed to IP
 *
 * Every packet has a header mbuf of its own from the header pool, retransmissions too: the one
 * before may still lie in the NIC's ring. Payload is copied behind the header or attached
 * (tcp_sndq.c). All memory is taken before anything of the connection changes, so a packet that
 * cannot be built leaves the connection as it was and is tried again a millisecond later.
 *
 * With SACK blocks or timestamps in it a segment carries less text (RFC 6691); the size is reckoned
 * for each packet from the options it really has.
 */
#include "dataplane/net/tcp/tcp_packet.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <rte_mbuf.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_seq.h"

#define IP_BYTES_MAX 65535u

static bool has_sack_blocks(const struct tcp_conn *conn)
{
	return conn->has_sack && (conn->rcv.ooo_count > 0 || conn->rcv.has_dsack);
}

/* The options a data segment or an ACK has now. */
static void fill_options(const struct tcp_conn *conn, struct tcp_seg *seg, uint64_t now_us)
{
	if (conn->has_ts) {
		seg->has_ts = true;
		seg->tsval = tcp_ts_now(conn, now_us);
		seg->tsecr = conn->ts_recent;
	}
	if (has_sack_blocks(conn))
		seg->sack_count = tcp_ooo_sacks(&conn->rcv, seg->sack, tcp_wire_sack_room(seg));
}

uint32_t tcp_out_mss(const struct tcp_conn *conn)
{
	uint32_t options = conn->has_ts ? TCP_OPT_TS_BYTES : 0;

	return conn->mss > options ? conn->mss - options : 1;
}

uint32_t tcp_packet_bytes_max(const struct tcp_conn *conn)
{
	const struct net_offload *o = &conn->net->cfg.offload;
	uint32_t mss, max;
	struct tcp_seg seg = {0};

	if (has_sack_blocks(conn)) {
		fill_options(conn, &seg, 0);
		mss = conn->mss - (tcp_wire_hdr_len(&seg) - TCP_HDR_BYTES);
	} else {
		mss = conn->mss - (conn->has_ts ? TCP_OPT_TS_BYTES : 0);
	}
	if (!o->tx_tso)
		return mss;
	max = RTE_MIN(o->tso_bytes_max, IP_BYTES_MAX - IP6_HDR_BYTES - TCP_HDR_BYTES_MAX);
	return max <= mss ? mss : max / mss * mss;
}

uint32_t tcp_packet_seg_max(const struct net *net)
{
	uint32_t max = net->cfg.offload.tx_seg_max;

	return max == 0 || max > TX_CHAIN_MAX ? TX_CHAIN_MAX : max;
}

/* IP's answers in TCP's words. The mbuf is gone in each case. */
static enum tcp_out hand_down(struct tcp_conn *conn, struct rte_mbuf *m, uint8_t tos,
	uint16_t segsz, struct rte_mbuf **out, uint64_t now_us)
{
	int rc;

	*out = NULL;
	conn->net->stats.tcp_tx_segs++;
	rc = ip_output(conn->net, &conn->path, m, IPPROTO_TCP, tos, segsz, now_us, out);
	if (rc == 0 || rc == -EINPROGRESS)
		return TCP_OUT_SENT;
	/*
	 * As good as lost on the wire: the timers know what to do. A neighbour that failed ends an
	 * open, but not at its first SYN: the questions without an answer were another's then, and
	 * the hold-off ends before the second SYN, which asks anew.
	 */
	static_assert(NEIGH_HOLDOFF_US <= TCP_RTO_US_INITIAL, "the second SYN asks");
	conn->soft_error = rc;
	if (conn->state == TCP_STATE_SYN_SENT && rc == -EHOSTUNREACH && conn->syn_tries > 0)
		tcp_conn_die(conn, rc);
	return TCP_OUT_SENT;
}

/* What an ACK in the packet settles. */
static void paid(struct tcp_conn *conn)
{
	struct tcp_rcv *r = &conn->rcv;

	tcp_rcv_acked(r);
	if (r->dup_acks_owed > 0)
		r->dup_acks_owed--;
	conn->ack_now = r->dup_acks_owed > 0;
	tcp_timer_stop(conn, TIMER_DELACK);
}

static struct rte_mbuf *build(struct tcp_conn *conn, struct tcp_plan *plan, struct tcp_seg *seg)
{
	struct net *net = conn->net;
	struct rte_mbuf *m = net_hdr_alloc(net);
	uint32_t got;

	if (!m)
		return NULL;
	m->data_len = tcp_wire_hdr_len(seg);
	m->pkt_len = m->data_len;
	if (plan->len == 0)
		return m;
	got = tcp_sndq_fill(net, &conn->sndq, m, tcp_off_of(conn, plan->seq), plan->len,
		tcp_packet_seg_max(net));
	if (got == 0) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	if (got < plan->len) {
		plan->len = got;
		plan->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	}
	return m;
}

enum tcp_out tcp_packet_send(
	struct tcp_conn *conn, struct tcp_plan *plan, struct rte_mbuf **out, uint64_t now_us)
{
	struct tcp_seg seg = {
		.sport = conn->local_port,
		.dport = conn->peer_port,
		.seq = plan->seq,
		.ack = conn->rcv.nxt,
	};
	uint8_t tos = IP_ECN_NOT_ECT;
	uint32_t segsz;
	struct rte_mbuf *m;

	fill_options(conn, &seg, now_us);
	m = build(conn, plan, &seg);
	if (!m)
		return TCP_OUT_BLOCKED;
	if (conn->ecn.is_on && plan->is_new && plan->len > 0)
		tos = IP_ECN_ECT0;
	seg.flags = plan->flags | TCP_ACK | tcp_ecn_flags(conn, plan->is_new && plan->len > 0);
	seg.wnd = tcp_rcv_window(&conn->rcv, conn->rcv.wscale);
	tcp_wire_build(rte_pktmbuf_mtod(m, uint8_t *), &seg);
	segsz = conn->mss - (seg.hdr_len - TCP_HDR_BYTES);
	if (plan->len <= segsz)
		segsz = 0;
	assert(segsz == 0 || conn->net->cfg.offload.tx_tso);
	paid(conn);
	return hand_down(conn, m, tos, (uint16_t)segsz, out, now_us);
}

enum tcp_out tcp_packet_send_owed(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us)
{
	struct rte_mbuf *m = net_hdr_alloc(conn->net);
	struct tcp_ecn_owed owed;
	struct tcp_seg seg;

	if (!m)
		return TCP_OUT_BLOCKED;
	owed = tcp_ecn_owed_take(conn);
	seg = (struct tcp_seg){
		.sport = conn->local_port,
		.dport = conn->peer_port,
		.seq = conn->snd_nxt,
		.ack = owed.ack,
		.flags = TCP_ACK | (owed.echo ? TCP_ECE : 0),
		.wnd = tcp_rcv_window_kept(&conn->rcv, owed.ack, conn->rcv.wscale),
		.has_ts = conn->has_ts,
		.tsval = tcp_ts_now(conn, now_us),
		.tsecr = conn->ts_recent,
	};
	conn->rcv.acked = owed.ack;
	m->data_len = tcp_wire_build(rte_pktmbuf_mtod(m, uint8_t *), &seg);
	m->pkt_len = m->data_len;
	return hand_down(conn, m, IP_ECN_NOT_ECT, 0, out, now_us);
}

enum tcp_out tcp_packet_send_syn(struct tcp_conn *conn, struct rte_mbuf **out, uint64_t now_us)
{
	const struct net_config *cfg = &conn->net->cfg;
	bool is_answer = conn->state == TCP_STATE_SYN_RECEIVED;
	struct tcp_seg seg = {
		.sport = conn->local_port,
		.dport = conn->peer_port,
		.seq = conn->iss,
		.ack = is_answer ? conn->rcv.nxt : 0,
		.flags = is_answer ? TCP_SYN | TCP_ACK : TCP_SYN,
		.has_mss = true,
		.mss = tcp_conn_mss_offer(conn),
		.has_sack_ok = conn->has_sack,
		.has_wscale = conn->has_wscale,
		.wscale = tcp_rcv_wscale_choose(conn->rcv.quota),
		.has_ts = conn->has_ts,
		.tsval = tcp_ts_now(conn, now_us),
		.tsecr = is_answer ? conn->ts_recent : 0,
	};
	struct rte_mbuf *m = net_hdr_alloc(conn->net);

	if (!m)
		return TCP_OUT_BLOCKED;
	conn->ecn.is_asked = !cfg->tcp_no_ecn && conn->syn_tries == 0;
	if (is_answer && conn->ecn.is_on)
		seg.flags |= TCP_ECE;
	else if (!is_answer && conn->ecn.is_asked)
		seg.flags |= TCP_ECE | TCP_CWR;
	conn->rcv.mss = seg.mss;
	seg.wnd = tcp_rcv_window(&conn->rcv, 0);
	m->data_len = tcp_wire_build(rte_pktmbuf_mtod(m, uint8_t *), &seg);
	m->pkt_len = m->data_len;
	conn->snd_nxt = conn->iss + 1;
	if (is_answer)
		paid(conn);
	return hand_down(conn, m, IP_ECN_NOT_ECT, 0, out, now_us);
}

enum tcp_out tcp_output_reply(
	struct net *net, struct tcp_reply *reply, struct rte_mbuf **out, uint64_t now_us)
{
	struct tcp_seg seg = {
		.sport = reply->sport,
		.dport = reply->dport,
		.seq = reply->seq,
		.ack = reply->ack,
		.flags = reply->flags,
		.has_ts = reply->has_ts,
		.tsval = reply->tsval,
		.tsecr = reply->tsecr,
	};
	struct rte_mbuf *m = net_hdr_alloc(net);

	*out = NULL;
	if (!m)
		return TCP_OUT_BLOCKED;
	m->data_len = tcp_wire_build(rte_pktmbuf_mtod(m, uint8_t *), &seg);
	m->pkt_len = m->data_len;
	net->stats.tcp_rst_tx++;
	net->stats.tcp_tx_segs++;
	ip_output(net, &reply->path, m, IPPROTO_TCP, IP_ECN_NOT_ECT, 0, now_us, out);
	return TCP_OUT_SENT;
}
