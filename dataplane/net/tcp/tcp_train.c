/*
 * tcp_train.c - the full segments of new data behind one that has just left, in the same pull
 *
 * A sender that has much to say sends segments that differ in their sequence numbers only. Nothing
 * is received between two packets of one pull, so for the second everything that was decided for
 * the first (acknowledgement, window, timestamps, options, marks, next hop) has the same answer. It
 * gets a copy of the first one's headers, a sequence number, an IP identification and a checksum of
 * its own, and the next bytes of the queue; neither the options nor the route are worked out again.
 * The timers are set once, behind the last. tcp_run.c does the same for what is received.
 *
 * A segment follows only while nothing else could have to leave before it or instead of it: no
 * loss, no probe, no mark to be reported, no pacing; the windows have room for all of it; and data
 * is left behind it, so that the last one, with PSH or FIN, is built by tcp_out.c. Whatever does
 * not fit this goes there too: the caller asks it next.
 */
#include "dataplane/net/tcp/tcp_train.h"

#include <assert.h>
#include <string.h>
#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_conn.h"
#include "dataplane/net/tcp/tcp_packet.h"
#include "dataplane/net/tcp/tcp_recovery.h"
#include "dataplane/net/tcp/tcp_seq.h"

#define SEQ_OFF	  4 /* in the TCP header */
#define FLAGS_OFF 13

/* No mark to tell of (RFC 3168 6.1.2: CWR goes out once), and not the last. */
static bool is_plain(const struct rte_mbuf *first)
{
	const uint8_t *tcp =
		rte_pktmbuf_mtod_offset(first, const uint8_t *, first->l2_len + first->l3_len);

	return tcp[FLAGS_OFF] == TCP_ACK;
}

/* Nothing of the connection asks for another kind of packet, now or behind the next one. */
static bool is_open(const struct tcp_conn *conn, uint64_t now_us)
{
	return conn->train_bytes >= tcp_out_mss(conn) && conn->state == TCP_STATE_ESTABLISHED &&
	       !conn->ack_now && !conn->tlp_due && !conn->probe_due && !conn->rto_due &&
	       conn->ecn.owed_count == 0 && now_us >= conn->pace_end_us &&
	       !tcp_rtx_next_lost(&conn->rtx);
}

static bool has_room(const struct tcp_conn *conn)
{
	uint32_t bytes = conn->train_bytes, pipe = tcp_rtx_pipe(&conn->rtx);
	int32_t wnd = seq_diff(conn->snd_una + conn->snd_wnd, conn->snd_nxt);

	return tcp_fin_seq(conn) - conn->snd_nxt > bytes && wnd > 0 && (uint32_t)wnd >= bytes &&
	       pipe + bytes <= conn->cc.cwnd_bytes && tcp_rtx_has_room(&conn->rtx);
}

/* The headers of @first before the next bytes. NULL: no memory for all of them. */
static struct rte_mbuf *build(struct tcp_conn *conn, const struct rte_mbuf *first)
{
	uint32_t hdr = first->l2_len + first->l3_len + first->l4_len;
	uint32_t seq_be = rte_cpu_to_be_32(conn->snd_nxt);
	struct rte_mbuf *m = net_hdr_alloc(conn->net);
	uint8_t *bytes;

	if (!m)
		return NULL;
	m->data_off = first->data_off;
	m->data_len = (uint16_t)hdr;
	m->pkt_len = hdr;
	m->tx_offload = first->tx_offload;
	m->ol_flags = first->ol_flags;
	bytes = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(bytes, rte_pktmbuf_mtod(first, const uint8_t *), hdr);
	memcpy(bytes + m->l2_len + m->l3_len + SEQ_OFF, &seq_be, sizeof(seq_be));
	if (tcp_sndq_fill(conn->net, &conn->sndq, m, tcp_off_of(conn, conn->snd_nxt),
		    conn->train_bytes, tcp_packet_seg_max(conn->net)) == conn->train_bytes)
		return m;
	rte_pktmbuf_free(m);
	return NULL;
}

static void sent(struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t bytes = conn->train_bytes;

	conn->net->stats.tcp_tx_segs++;
	conn->net->stats.tcp_train_segs++;
	conn->snd_nxt += bytes;
	tcp_rtx_push(&conn->rtx, conn->snd_nxt, now_us);
	tcp_recovery_sent(conn, bytes, false, now_us);
	if (!conn->is_size_proved)
		tcp_pmtu_sent(conn, bytes);
}

unsigned tcp_train(struct tcp_conn *conn, const struct rte_mbuf *first, struct rte_mbuf **out,
	unsigned max, uint64_t now_us)
{
	unsigned n = 0;

	if (!is_open(conn, now_us) || !is_plain(first))
		return 0;
	assert(first->pkt_len == conn->train_bytes + first->l2_len + first->l3_len + first->l4_len);
	for (; n < max && has_room(conn); n++) {
		out[n] = build(conn, first);
		if (!out[n])
			break;
		ip_output_like(conn->net, &conn->path, out[n]);
		sent(conn, now_us);
	}
	if (n > 0)
		tcp_timer_rearm(conn, now_us);
	return n;
}
