/*
 * tcp_pmtu.c - how large a packet the path takes (RFC 1191, 8201, 8899)
 *
 * Lowered by ICMP only after the quoted sequence number was found in flight (RFC 5927 7.2), never
 * below a floor, never raised by it. A router that names no size gets the next lower plateau. Where
 * ICMP is filtered, a few timeouts in a row of full-sized segments are taken for a black hole and a
 * size every path carries is tried; if that does not help either, the old size comes back. Ten
 * minutes after a decrease the link's own size is tried again (RFC 8201 4).
 *
 * A lower size changes nothing in the queue: records are cut when they are sent again.
 */
#include "dataplane/net/tcp/tcp_conn.h"
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_seq.h"

#include <rte_common.h>
#include <sys/socket.h>

#define MTU_FLOOR_IP4                                                                              \
	552u /* RFC 9293's default segment and its headers, as most stacks refuse less */
#define MTU_FLOOR_IP6	   1280u
#define MTU_BASE_IP4	   1024u /* RFC 4821 7.2 */
#define MTU_RETRY_US	   600000000u
#define BLACKHOLE_TIMEOUTS 4 /* one more than R1 */

static const uint16_t plateaus[] = {8166, 4352, 2002, 1492, 1006, 576}; /* RFC 1191 7.1 */

static uint16_t floor_of(const struct tcp_conn *conn)
{
	return conn->path.remote.family == AF_INET ? MTU_FLOOR_IP4 : MTU_FLOOR_IP6;
}

static void mtu_set(struct tcp_conn *conn, uint16_t mtu, uint64_t now_us)
{
	if (mtu < conn->pmtu.mtu) {
		conn->pmtu.lowered_us = now_us;
		tcp_timer_set(conn, TIMER_PMTU, now_us + MTU_RETRY_US);
	}
	conn->pmtu.mtu = mtu;
	tcp_conn_mss_update(conn);
}

static uint16_t next_plateau(uint16_t mtu)
{
	for (unsigned i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++)
		if (plateaus[i] < mtu)
			return plateaus[i];
	return mtu;
}

void tcp_pmtu_icmp(struct tcp_conn *conn, uint32_t mtu, uint64_t now_us)
{
	uint16_t before = conn->pmtu.mtu;

	if (conn->path.remote.family == AF_INET6 && mtu < MTU_FLOOR_IP6)
		return; /* RFC 8201 4: no link of IPv6 is so narrow, so that router is none */
	if (mtu == 0)
		mtu = next_plateau(before);
	if (mtu >= before)
		return;
	mtu_set(conn, (uint16_t)RTE_MAX(mtu, (uint32_t)floor_of(conn)), now_us);
	conn->pmtu.blackhole_mtu = 0;
	conn->pmtu.big_timeouts = 0;
	if (conn->pmtu.mtu == before || tcp_rtx_flight(&conn->rtx) == 0)
		return;
	/* RFC 1191 6.5: what was too big is sent again at once, and that is no sign of congestion.
	 */
	tcp_rtx_mark_all_lost(&conn->rtx);
	conn->rto_due = true;
	tcp_conn_touch(conn);
}

void tcp_pmtu_timeout(struct tcp_conn *conn, uint64_t now_us)
{
	struct tcp_pmtu *p = &conn->pmtu;
	const struct tcp_rec *head = tcp_rtx_first(&conn->rtx);
	uint16_t base = conn->path.remote.family == AF_INET ? MTU_BASE_IP4 : MTU_FLOOR_IP6;

	if (!head || head->end - head->seq < tcp_out_mss(conn))
		return;
	if (p->big_timeouts < UINT8_MAX)
		p->big_timeouts++;
	if (p->blackhole_mtu == 0 && p->big_timeouts >= BLACKHOLE_TIMEOUTS && p->mtu > base) {
		p->blackhole_mtu = p->mtu;
		p->big_timeouts = 0;
		mtu_set(conn, base, now_us);
	} else if (p->blackhole_mtu != 0 && p->big_timeouts >= BLACKHOLE_TIMEOUTS) {
		/* Not the size's fault. While the silence lasts both sizes have their turn. */
		uint16_t before = p->blackhole_mtu;

		p->blackhole_mtu = 0;
		p->big_timeouts = 0;
		mtu_set(conn, before, now_us);
	}
}

void tcp_pmtu_acked(struct tcp_conn *conn)
{
	conn->pmtu.big_timeouts = 0;
	conn->pmtu.blackhole_mtu = 0; /* what got through shows that the smaller size was the cure */
}

void tcp_pmtu_raise(struct tcp_conn *conn, uint64_t now_us)
{
	conn->pmtu.blackhole_mtu = 0;
	mtu_set(conn, conn->path.mtu, now_us);
}
