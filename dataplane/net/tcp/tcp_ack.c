/*
 * tcp_ack.c - the fifth step of RFC 9293 3.10.7.4: what an acknowledgement says to the sender
 *
 * In order: is the number plausible (RFC 5961 5), does it open or shut the window, what did it
 * deliver (cumulatively, then by SACK), which round trip does it measure, what is lost by now, what
 * may the owner know. The scoreboard does the counting and tcp_recovery.c the deciding; here the
 * pieces are called in the order they depend on each other.
 *
 * An ACK older than SND.UNA brings nothing and is let pass for its text.
 */
#include "dataplane/net/tcp/tcp_conn.h"

#include <assert.h>
#include <rte_common.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_seq.h"

#define RATE_INTERVAL_US 100000u

/*
 * RFC 9293 3.10.7.4: the window of the newest segment counts. An ACK that advances is newer than
 * all before it, whatever its sequence number: a retransmission has an old one. Were its window
 * passed over, the last one would be counted from the new SND.UNA, and its right edge lie too far
 * out.
 */
static void window_update(struct tcp_conn *conn, const struct tcp_seg *seg, bool is_advance)
{
	uint32_t before = conn->snd_wnd;

	if (!(is_advance || seq_lt(conn->snd_wl1, seg->seq) ||
		    (conn->snd_wl1 == seg->seq && seq_le(conn->snd_wl2, seg->ack))))
		return;
	conn->snd_wnd = (uint32_t)seg->wnd << (seg->flags & TCP_SYN ? 0 : conn->snd_wscale);
	conn->snd_wnd_max = RTE_MAX(conn->snd_wnd_max, conn->snd_wnd);
	conn->snd_wl1 = seg->seq;
	conn->snd_wl2 = seg->ack;
	if (conn->snd_wnd == 0)
		return;
	if (before == 0) {
		/* What went into the shut window was a probe, or the peer shrank it: neither was
		 * taken, and what was sent again in a recovery was not either. */
		if (tcp_rtx_flight(&conn->rtx) > 0 && seg->ack == conn->snd_una) {
			tcp_rtx_mark_all_lost(&conn->rtx);
			conn->rto_due = true;
		}
		conn->probe_backoff = 0;
		tcp_timer_stop(conn, TIMER_PERSIST);
	}
}

/* RFC 5681 2: says nothing new, and something is outstanding. */
static bool is_duplicate(const struct tcp_conn *conn, const struct tcp_seg *seg)
{
	return seg->ack == conn->snd_una && tcp_rtx_flight(&conn->rtx) > 0 &&
	       seg->payload_bytes == 0 && !(seg->flags & (TCP_SYN | TCP_FIN)) &&
	       (uint32_t)seg->wnd << conn->snd_wscale == conn->snd_wnd;
}

/* Karn: only what was sent once, or what a timestamp names. The longest wait counts (RFC 6298). */
static uint32_t rtt_sample(struct tcp_conn *conn, const struct tcp_seg *seg,
	const struct tcp_delivery *d, const struct tcp_ack_info *info)
{
	uint64_t now_us = info->now_us, rtt_us = 0;

	if (d->has_first_rtt)
		rtt_us = now_us - d->first_sent_us;
	else if (d->has_rtt)
		rtt_us = now_us - d->rtt_sent_us;
	else if (conn->has_ts && seg->has_ts && seg->tsecr && !d->has_dsack &&
		 conn->snd_una != info->una_before) {
		uint32_t ms = tcp_ts_now(conn, now_us) - seg->tsecr;

		if ((int32_t)ms < 0 || ms > TCP_RTO_US_MAX / 1000)
			return 0;
		rtt_us = RTE_MAX(ms, 1u) * 1000ull;
	} else {
		return 0;
	}
	rtt_us = RTE_MIN(rtt_us, (uint64_t)TCP_RTO_US_MAX);
	tcp_rtt_sample(&conn->rtt, (uint32_t)rtt_us,
		tcp_rtt_expected_samples(info->flight_before, tcp_out_mss(conn)), now_us);
	return d->has_rtt ? (uint32_t)RTE_MAX(now_us - d->rtt_sent_us, 1ull) : (uint32_t)rtt_us;
}

/* Queue, owner and clocks after SND.UNA moved. */
static void advanced(struct tcp_conn *conn, uint64_t now_us)
{
	uint32_t fin_seq = tcp_fin_seq(conn);
	uint32_t text_end =
		conn->fin_sent && conn->rtx.una == fin_seq + 1 ? fin_seq : conn->rtx.una;
	uint64_t off = tcp_off_of(conn, text_end);

	conn->snd_una = conn->rtx.una;
	if (off > conn->sndq.start) {
		tcp_sndq_ack(&conn->sndq, off);
		tcp_conn_event(conn, STREAM_ACKED);
		if (conn->stream.wants_writable &&
			tcp_sndq_has_room(&conn->sndq, 2, conn->sndq.bytes_max / 4)) {
			conn->stream.wants_writable = false;
			tcp_conn_event(conn, STREAM_WRITABLE);
		}
	}
	conn->progress_us = now_us;
	conn->probe_backoff = 0;
	conn->rto_due = false;
	tcp_pmtu_acked(conn);
	ip_path_confirm(conn->net, &conn->path, now_us);
}

/* Bytes delivered over an interval, for status only. */
static void rate_update(struct tcp_conn *conn, uint32_t delivered, uint64_t now_us)
{
	conn->delivered_bytes += delivered;
	if (now_us - conn->rate_us < RATE_INTERVAL_US)
		return;
	conn->rate_bps = (conn->delivered_bytes - conn->rate_delivered) * 8 * 1000000 /
			 (now_us - conn->rate_us);
	conn->rate_us = now_us;
	conn->rate_delivered = conn->delivered_bytes;
}

/*
 * RFC 5961 5.2: neither from the future nor older than the largest window. Nor can anything before
 * our first byte be acknowledged: a sender that does is guessing.
 */
static bool is_plausible(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	uint64_t past = RTE_MIN((uint64_t)conn->snd_wnd_max, conn->sndq.start + conn->fin_sent);

	if (seq_le(seg->ack, conn->snd_nxt) && seq_ge(seg->ack, conn->snd_una - (uint32_t)past))
		return true;
	tcp_conn_challenge(conn, now_us);
	return false;
}

bool tcp_ack_input(struct tcp_conn *conn, const struct tcp_seg *seg, uint64_t now_us)
{
	struct tcp_ack_info info = {
		.now_us = now_us,
		.una_before = conn->snd_una,
		.flight_before = tcp_rtx_flight(&conn->rtx),
		.pipe_before = tcp_rtx_pipe(&conn->rtx),
		.has_ece = seg->flags & TCP_ECE,
	};
	struct tcp_delivery d = {
		.now_us = now_us,
		.min_rtt_us = tcp_rtt_min_us(&conn->rtt),
		.has_ts = conn->has_ts && seg->has_ts && seg->tsecr != 0,
		.tsecr = seg->tsecr,
		.ts_offset = conn->ts_offset,
	};

	if (!is_plausible(conn, seg, now_us))
		return false;
	if (seq_lt(seg->ack, conn->snd_una))
		return true;
	info.is_dup = is_duplicate(conn, seg);
	conn->net->stats.tcp_dupack_rx += info.is_dup;
	if (seq_gt(seg->ack, conn->rtx.una)) {
		tcp_rtx_ack(&conn->rtx, seg->ack, &d);
		advanced(conn, now_us);
	}
	window_update(conn, seg, conn->snd_una != info.una_before);
	if (conn->has_sack && seg->sack_count > 0)
		tcp_rtx_sack(
			&conn->rtx, seg, conn->snd_una - RTE_MAX(conn->snd_wnd_max, 65535u), &d);
	if (conn->snd_wnd == 0)
		conn->progress_us =
			now_us; /* a peer that answers probes is alive (RFC 9293 3.8.6.1) */
	info.rtt_us = rtt_sample(conn, seg, &d, &info);
	tcp_ecn_ack(conn, seg, now_us);
	tcp_recovery_ack(conn, seg, &d, &info);
	rate_update(conn, d.acked_bytes + d.sacked_bytes, now_us);
	if (conn->snd_una != info.una_before)
		tcp_timer_stop(conn, TIMER_RTO);
	tcp_timer_rearm(conn, now_us);
	return true;
}
