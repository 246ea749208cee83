/*
 * tcp_pmtu.c - how large a packet the path takes (RFC 1191, 8201, 8899)
 *
 * Lowered by ICMP only after the quoted sequence number was found in flight (RFC 5927 4.1), never
 * below a floor, never raised by it. A router that names no size gets the next lower plateau. A
 * message that contradicts a size which got through, and the last of many without progress between,
 * are kept until the oldest segment has to be sent again, and forgotten when what they quote is
 * acknowledged (RFC 5927 7.2). IPv4 paths narrower than the floor get packets of the floor's size
 * that routers may cut.
 *
 * Where ICMP is filtered, a packet larger than the base, the oldest in flight, lost a few times in
 * a row and for a while, is taken for a black hole and the base is tried, which every path carries
 * (RFC 8899 4.3). Whether the packet was full says nothing: on a link of jumbo frames few are. Nor
 * do timeouts alone count, since small packets that get through make RACK resend the large one
 * before its timer goes off. If the base does not help either, the old size comes back, and both
 * take turns while the silence lasts.
 *
 * Ten minutes after a decrease the link's own size is tried again (RFC 8201 4); on a path that was
 * a black hole once one loss is enough then. A lower size changes nothing in the queue: records are
 * joined and cut when they are sent again.
 */
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_conn.h"
#include "dataplane/net/tcp/tcp_seq.h"

#include <rte_common.h>
#include <sys/socket.h>

/* RFC 9293's default segment and its headers, as most stacks refuse less. */
#define MTU_FLOOR_IP4	552u
#define MTU_FLOOR_IP6	1280u
#define MTU_BASE_IP4	1024u /* RFC 4821 7.2 */
#define MTU_RETRY_US	600000000u
#define BLACKHOLE_TRIES 3	 /* retransmissions of one packet before its size is doubted: R1 */
#define BLACKHOLE_US	2000000u /* and for so long nothing was acknowledged */
/* Followed at once without progress: more than there are plateaus and hops. */
#define MESSAGES_MAX 16

static const uint16_t plateaus[] = {8166, 4352, 2002, 1492, 1006, 576}; /* RFC 1191 7.1 */

static bool is_ip4(const struct tcp_conn *conn)
{
	return conn->path.remote.family == AF_INET;
}

/* Text of a full segment in a packet of @mtu bytes. */
static uint32_t text_of(const struct tcp_conn *conn, uint16_t mtu)
{
	return mtu - (ip_path_hdr_bytes(&conn->path) + TCP_HDR_BYTES +
			     (conn->has_ts ? TCP_OPT_TS_BYTES : 0u));
}

static void mtu_set(struct tcp_conn *conn, uint16_t mtu, uint64_t now_us)
{
	struct tcp_pmtu *p = &conn->pmtu;

	if (mtu < p->mtu) {
		p->lowered_us = now_us;
		tcp_timer_set(conn, TIMER_PMTU, now_us + MTU_RETRY_US);
		p->proved_bytes = (uint16_t)RTE_MIN(p->proved_bytes, text_of(conn, mtu));
		p->trial_bytes = 0;
	}
	p->mtu = mtu;
	p->losses = 0;
	p->claimed_mtu = 0;
	tcp_conn_mss_update(conn);
	conn->is_size_proved = p->proved_bytes >= tcp_out_mss(conn);
}

static uint16_t next_plateau(uint16_t mtu)
{
	for (unsigned i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++)
		if (plateaus[i] < mtu)
			return plateaus[i];
	return mtu;
}

/* RFC 1191 6.5: what was too big is sent again at once, and that is no sign of congestion. */
static void follow(struct tcp_conn *conn, uint16_t mtu, bool may_fragment, uint64_t now_us)
{
	mtu_set(conn, mtu, now_us);
	conn->pmtu.blackhole_mtu = 0;
	conn->path.may_fragment |= may_fragment;
	if (tcp_rtx_flight(&conn->rtx) == 0)
		return;
	tcp_rtx_mark_all_lost(&conn->rtx);
	conn->rto_due = true;
	tcp_conn_touch(conn);
}

void tcp_pmtu_icmp(struct tcp_conn *conn, uint32_t seq, uint32_t mtu, uint64_t now_us)
{
	struct tcp_pmtu *p = &conn->pmtu;
	bool may_fragment = is_ip4(conn) && mtu > 0 && mtu < MTU_FLOOR_IP4;

	if (!is_ip4(conn) && mtu < MTU_FLOOR_IP6)
		return; /* RFC 8201 4: no link of IPv6 is so narrow, so that router is none */
	if (mtu == 0)
		mtu = next_plateau(p->mtu);
	mtu = RTE_MAX(mtu, is_ip4(conn) ? MTU_FLOOR_IP4 : MTU_FLOOR_IP6);
	if (mtu > p->mtu || (mtu == p->mtu && (!may_fragment || conn->path.may_fragment)))
		return;
	if (text_of(conn, (uint16_t)mtu) < p->proved_bytes || p->messages == MESSAGES_MAX) {
		p->claimed_mtu = (uint16_t)mtu;
		p->claimed_seq = seq;
		return;
	}
	p->messages++;
	follow(conn, (uint16_t)mtu, may_fragment, now_us);
}

/* The base for the size in force, or what was in force before it. */
static void doubt(struct tcp_conn *conn, uint32_t bytes, uint64_t now_us)
{
	struct tcp_pmtu *p = &conn->pmtu;
	uint16_t base = is_ip4(conn) ? MTU_BASE_IP4 : MTU_FLOOR_IP6, before = p->blackhole_mtu;

	if (before != 0) {
		p->blackhole_mtu = 0;
		p->is_suspect = true;
		mtu_set(conn, before, now_us);
	} else if (p->mtu > base && bytes > text_of(conn, base) &&
		   (p->is_suspect || now_us - conn->progress_us >= BLACKHOLE_US)) {
		p->blackhole_mtu = p->mtu;
		mtu_set(conn, base, now_us);
	}
}

void tcp_pmtu_resend(struct tcp_conn *conn, const struct tcp_rec *rec, uint64_t now_us)
{
	struct tcp_pmtu *p = &conn->pmtu;
	uint32_t bytes = RTE_MIN(rec->end - rec->seq, tcp_out_mss(conn));

	if (rec != TAILQ_FIRST(&conn->rtx.by_seq))
		return;
	if (p->claimed_mtu && bytes > text_of(conn, p->claimed_mtu))
		follow(conn, p->claimed_mtu, false, now_us);
	else if (p->losses >= (p->is_suspect ? 1 : BLACKHOLE_TRIES))
		doubt(conn, bytes, now_us);
}

void tcp_pmtu_resent(struct tcp_conn *conn)
{
	if (conn->pmtu.losses < UINT8_MAX)
		conn->pmtu.losses++;
}

void tcp_pmtu_sent(struct tcp_conn *conn, uint32_t bytes)
{
	struct tcp_pmtu *p = &conn->pmtu;

	bytes = RTE_MIN(bytes, tcp_out_mss(conn));
	if (p->trial_bytes != 0 || bytes <= p->proved_bytes)
		return;
	p->trial_bytes = (uint16_t)bytes;
	p->trial_end = conn->snd_nxt;
}

void tcp_pmtu_acked(struct tcp_conn *conn)
{
	struct tcp_pmtu *p = &conn->pmtu;

	p->losses = p->messages = 0;
	if (p->blackhole_mtu != 0) { /* what got through shows that the smaller size was the cure */
		p->blackhole_mtu = 0;
		p->is_suspect = true;
	}
	if (p->claimed_mtu && seq_gt(conn->snd_una, p->claimed_seq))
		p->claimed_mtu = 0;
	if (p->trial_bytes == 0 || seq_lt(conn->snd_una, p->trial_end))
		return;
	p->proved_bytes = p->trial_bytes;
	p->trial_bytes = 0;
	conn->is_size_proved = p->proved_bytes >= tcp_out_mss(conn);
	if (p->proved_bytes > text_of(conn, is_ip4(conn) ? MTU_BASE_IP4 : MTU_FLOOR_IP6))
		p->is_suspect = false;
}

void tcp_pmtu_raise(struct tcp_conn *conn, uint64_t now_us)
{
	conn->pmtu.blackhole_mtu = 0;
	conn->pmtu.proved_bytes = conn->pmtu.trial_bytes = 0;
	conn->path.may_fragment = false;
	mtu_set(conn, conn->path.mtu, now_us);
}
