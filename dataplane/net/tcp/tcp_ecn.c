/*
 * tcp_ecn.c - explicit congestion notification (RFC 3168), and DCTCP's echo (RFC 8257)
 *
 * As receiver: a CE mark is echoed as ECE on every ACK until the peer answers with CWR. Under DCTCP
 * the echo follows the last mark instead, and a change of it is acknowledged at once (RFC
 * 8257 3.2), so the peer can count marked bytes: with what came before the change and is not
 * acknowledged yet in an ACK of its own, that carries the old echo. As sender: ECE means one
 * reduction a round trip, CWR on the next new data; retransmissions, probes and pure ACKs are never
 * ECN-capable (RFC 3168 6.1.4-6).
 *
 * Asked for in the first SYN only: a SYN that was lost is sent again without (RFC 3168 6.1.1.1),
 * for there are paths that drop what they do not know.
 */
#include "dataplane/net/tcp/tcp_conn.h"

#include <assert.h>
#include <string.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_seq.h"

/* What is not acknowledged yet came under the present echo. */
static void owe(struct tcp_conn *conn)
{
	struct tcp_ecn *ecn = &conn->ecn;
	uint32_t acked =
		ecn->owed_count ? conn->ecn_owed[ecn->owed_count - 1].ack : conn->rcv.acked;

	if (seq_le(conn->rcv.nxt, acked) || ecn->owed_count == TCP_ECN_OWED_MAX)
		return;
	conn->ecn_owed[ecn->owed_count++] =
		(struct tcp_ecn_owed){.ack = conn->rcv.nxt, .echo = ecn->echo};
}

struct tcp_ecn_owed tcp_ecn_owed_take(struct tcp_conn *conn)
{
	struct tcp_ecn *ecn = &conn->ecn;
	struct tcp_ecn_owed first = conn->ecn_owed[0];

	assert(ecn->owed_count > 0);
	ecn->owed_count--;
	memmove(conn->ecn_owed, conn->ecn_owed + 1, ecn->owed_count * sizeof(first));
	return first;
}

void tcp_ecn_received(struct tcp_conn *conn, const struct tcp_seg *seg, uint8_t ecn)
{
	if (!conn->ecn.is_on)
		return;
	if (conn->cc.ops->has_accurate_ecn) {
		bool is_marked = ecn == IP_ECN_CE;

		if (seg->payload_bytes > 0 && is_marked != conn->ecn.echo) {
			owe(conn);
			conn->ecn.echo = is_marked;
			conn->ack_now = true;
		}
		return;
	}
	if (seg->flags & TCP_CWR)
		conn->ecn.echo = false;
	if (ecn == IP_ECN_CE)
		conn->ecn.echo = true;
}

uint8_t tcp_ecn_flags(struct tcp_conn *conn, bool is_new_data)
{
	uint8_t flags = 0;

	if (!conn->ecn.is_on)
		return 0;
	if (conn->ecn.echo)
		flags |= TCP_ECE;
	if (is_new_data && conn->ecn.cwr_due) {
		conn->ecn.cwr_due = false;
		flags |= TCP_CWR;
	}
	return flags;
}

/* RFC 3168 6.1.2: CWR on the next new data, whatever the reduction was for. */
void tcp_ecn_reduced(struct tcp_conn *conn)
{
	struct tcp_ecn *ecn = &conn->ecn;

	ecn->is_reduced = ecn->cwr_due = ecn->is_on;
	ecn->cwr_point = conn->snd_nxt;
}

void tcp_ecn_ack(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	struct tcp_ecn *ecn = &conn->ecn;

	if (!ecn->is_on)
		return;
	if (ecn->is_reduced && seq_gt(conn->snd_una, ecn->cwr_point))
		ecn->is_reduced = false;
	if (!(seg->flags & TCP_ECE) || ecn->is_reduced || conn->recovery.phase != RECOVERY_NONE)
		return;
	if (tcp_rtx_flight(&conn->rtx) == 0 && conn->snd_una == conn->snd_nxt &&
		!conn->rtt.has_sample)
		return;
	tcp_cc_on_ecn(&conn->cc, tcp_rtx_flight(&conn->rtx), now_us);
	tcp_ecn_reduced(conn);
}
