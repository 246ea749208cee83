/*
 * watch.c - what a correct TCP may say, given what it was told
 *
 * Each check is a sentence of an RFC that can be decided from the wire: nothing acknowledged that
 * was not handed in (9293 3.4), no SACK for it either (2018 4), no timestamp echoed before its turn
 * (7323 4.3), the right edge stays (9293 3.8.6),
 * text is the application's and the same at each sending, nothing beyond the peer's window but a
 * probe's byte (3.8.6.1), no segment above the peer's MSS (3.7.1), timestamps on all or none (7323
 * 3.2), no ECT on what is sent again (3168 6.1.5).
 *
 * A right edge may move back by less than the scale can say (RFC 7323 2.4).
 */
#include "tests/sim/watch.h"

#include <stdarg.h>
#include <string.h>
#include "tests/sim/text.h"

void watch_init(struct watch *w)
{
	w->given_fin = UINT64_MAX;
	w->peer_edge = 1;
}

void watch_fini(struct watch *w)
{
	ranges_clear(&w->given);
}

void watch_fail(struct watch *w, const char *format, ...)
{
	va_list args;

	if (w->why[0])
		return;
	va_start(args, format);
	vsnprintf(w->why, sizeof(w->why), format, args);
	va_end(args);
}

static uint64_t unwrap(uint32_t seq, uint32_t isn, uint64_t near)
{
	int64_t pos = (int64_t)near + (int32_t)(seq - (isn + (uint32_t)near));

	return pos < 0 ? UINT64_MAX : (uint64_t)pos;
}

static bool both_wscale(const struct watch *w)
{
	return w->syn.has_wscale && w->peer_syn.has_wscale;
}

static bool both_ts(const struct watch *w)
{
	return w->syn.has_ts && w->peer_syn.has_ts;
}

static bool both_sack(const struct watch *w)
{
	return w->syn.has_sack_ok && w->peer_syn.has_sack_ok;
}

static void check_syn(struct watch *w, const struct wire_pkt *pkt)
{
	if (w->has_iss && pkt->seq != w->iss)
		watch_fail(w, "a SYN was sent again with another number");
	if (pkt->text_bytes || pkt->flags & (W_FIN | W_RST))
		watch_fail(w, "a SYN carries text, FIN or RST");
	if (!pkt->has_mss)
		watch_fail(w, "a SYN without MSS");
	w->iss = pkt->seq;
	w->has_iss = true;
	w->syn = *pkt;
	if (w->sent_max < 1)
		w->sent_max = 1;
}

static void check_edge(struct watch *w, const struct wire_pkt *pkt, uint64_t ack)
{
	uint8_t shift = both_wscale(w) && !(pkt->flags & W_SYN) ? w->syn.wscale : 0;
	uint64_t edge = ack + ((uint64_t)pkt->wnd << shift);

	/* A SYN's window is not scaled (RFC 7323 2.2): one sent again cannot repeat what an ACK
	 * offered. */
	if (w->has_edge && !(pkt->flags & W_SYN) && edge + (1u << shift) <= w->edge)
		watch_fail(w, "the right edge retreats from %llu to %llu",
			(unsigned long long)w->edge, (unsigned long long)edge);
	w->edge = w->has_edge && w->edge > edge ? w->edge : edge;
	w->has_edge = true;
}

static void check_ack(struct watch *w, const struct wire_pkt *pkt)
{
	uint64_t ack;

	if (!w->has_irs) {
		watch_fail(w, "an ACK although no SYN came");
		return;
	}
	ack = unwrap(pkt->ack, w->irs, w->ack);
	if (ack > ranges_gap(&w->given, 0))
		watch_fail(w, "ACK of %llu, but only %llu was received", (unsigned long long)ack,
			(unsigned long long)ranges_gap(&w->given, 0));
	if (ack < w->ack)
		watch_fail(w, "ACK goes back from %llu to %llu", (unsigned long long)w->ack,
			(unsigned long long)ack);
	w->ack = ack;
	w->acks++;
	check_edge(w, pkt, ack);
}

/* Bytes beyond the hole that the blocks claim: a
 * duplicate's block lies inside one of the others. */
static uint64_t claimed(const struct range *block, unsigned count, uint64_t ack)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < count; i++) {
		bool is_repeated = block[i].end <= ack;

		for (unsigned k = 1; i == 0 && k < count; k++)
			is_repeated |=
				block[k].start <= block[0].start && block[0].end <= block[k].end;
		bytes += is_repeated ? 0 : block[i].end - block[i].start;
	}
	return bytes;
}

/* The first block may be a duplicate's (RFC 2883 4); the others lie above the ACK, apart from each
 * other. */
static void check_sack(struct watch *w, const struct wire_pkt *pkt)
{
	struct range block[WIRE_SACK_MAX];

	if (pkt->sack_count && !both_sack(w))
		watch_fail(w, "SACK was not agreed");
	for (unsigned i = 0; i < pkt->sack_count && !w->why[0]; i++) {
		block[i].start = unwrap(pkt->sack[i].start, w->irs, w->ack);
		block[i].end = unwrap(pkt->sack[i].end, w->irs, w->ack);
		if (block[i].start >= block[i].end ||
			!ranges_cover(&w->given, block[i].start, block[i].end))
			watch_fail(w, "SACK of %llu-%llu, which was not received",
				(unsigned long long)block[i].start,
				(unsigned long long)block[i].end);
		if (i > 0 && block[i].start <= w->ack)
			watch_fail(w, "SACK block %u is not above the ACK", i);
		for (unsigned k = 1; k < i; k++)
			if (block[i].start <= block[k].end && block[k].start <= block[i].end)
				watch_fail(w, "SACK blocks %u and %u touch", k, i);
	}
	if (!w->why[0])
		w->sacked = claimed(block, pkt->sack_count, w->ack);
}

static void check_ts(struct watch *w, const struct wire_pkt *pkt)
{
	if (pkt->has_ts != both_ts(w)) {
		watch_fail(w, pkt->has_ts ? "timestamps were not agreed"
					  : "a segment lacks its timestamp");
		return;
	}
	if (!pkt->has_ts)
		return;
	if (w->has_tsval && (int32_t)(pkt->tsval - w->tsval) < 0)
		watch_fail(w, "TSval goes back");
	if (w->has_tsecr && (int32_t)(pkt->tsecr - w->tsecr) < 0)
		watch_fail(w, "TSecr goes back");
	if (w->has_tsval_given && (int32_t)(pkt->tsecr - w->tsval_given) > 0)
		watch_fail(w, "TSecr echoes what never came");
	if (w->has_tsval_due && (int32_t)(pkt->tsecr - w->tsval_due) > 0)
		watch_fail(w, "TSecr is of a segment beyond the last ACK");
	w->tsval = pkt->tsval;
	w->tsecr = pkt->tsecr;
	w->has_tsval = w->has_tsecr = true;
}

static void check_size(struct watch *w, const struct wire_pkt *pkt)
{
	uint32_t peer_mss = w->peer_syn.has_mss	   ? w->peer_syn.mss
			    : pkt->src.family == 2 ? 536
						   : 1220;

	if (w->is_tso_allowed)
		return;
	if (pkt->packet_bytes > w->mtu)
		watch_fail(w, "packet of %u bytes, MTU is %u", pkt->packet_bytes, w->mtu);
	/* An MSS below 64 is taken as 64: the cost of a header for each byte is an attack. */
	if (pkt->text_bytes && w->has_irs &&
		pkt->text_bytes + wire_option_bytes(pkt) > (peer_mss < 64 ? 64 : peer_mss))
		watch_fail(w, "segment of %u bytes with its options, the peer's MSS is %u",
			pkt->text_bytes + wire_option_bytes(pkt), peer_mss);
}

static void check_text(struct watch *w, const struct wire_pkt *pkt)
{
	uint64_t start = unwrap(pkt->seq, w->iss, w->sent_max), end = start + pkt->text_bytes;
	bool has_fin = pkt->flags & W_FIN;

	if (pkt->text_bytes == 0 && !has_fin)
		return;
	if (start == 0 || start == UINT64_MAX || end > 1 + w->queued)
		watch_fail(w, "text %llu-%llu was never queued (%llu is)",
			(unsigned long long)start, (unsigned long long)end,
			(unsigned long long)w->queued);
	else if (text_diff(w->key_tx, start - 1, pkt->text, pkt->text_bytes) != pkt->text_bytes)
		watch_fail(w, "text at %llu is not what was queued", (unsigned long long)start);
	if (end > w->peer_edge && !(pkt->text_bytes == 1 && start <= w->peer_edge))
		watch_fail(w, "text to %llu, the peer's window ends at %llu",
			(unsigned long long)end, (unsigned long long)w->peer_edge);
	if (has_fin && (!w->fin_queued || end != 1 + w->queued))
		watch_fail(w, "FIN at %llu, the stream ends at %llu", (unsigned long long)end,
			(unsigned long long)w->queued + 1);
	w->texts++;
	w->resends += start < w->sent_max;
	if (pkt->ecn && start < w->sent_max)
		watch_fail(w, "ECT on a retransmission");
	if (end + has_fin > w->sent_max)
		w->sent_max = end + has_fin;
}

/* Both FINs are acknowledged: the connection is no more,
 * and what is still on its way gets a reset. */
static bool is_over(const struct watch *w)
{
	return w->fin_queued && w->peer_ack == w->queued + 2 && w->ack == w->given_fin + 1;
}

void watch_out(struct watch *w, const uint8_t *packet, size_t len)
{
	struct wire_pkt pkt;
	const char *wrong = wire_parse(packet, len, &pkt);

	w->sacked = 0;
	if (wrong) {
		watch_fail(w, "a packet cannot be read: %s", wrong);
		return;
	}
	if (pkt.sport != w->local_port || pkt.dport != w->peer_port)
		return;
	if (pkt.flags & W_RST) {
		if (!w->is_reset_allowed && !is_over(w))
			watch_fail(w, "a reset without a reason");
		w->rst_seen = true;
		return;
	}
	if (pkt.flags & W_URG || (pkt.ecn && pkt.text_bytes == 0))
		watch_fail(w, "URG, or ECT without text");
	if (pkt.flags & W_SYN)
		check_syn(w, &pkt);
	else if (!(pkt.flags & W_ACK) || (!w->has_iss && !w->may_miss_syn))
		watch_fail(w, "neither SYN nor ACK");
	if (!w->has_iss)
		return; /* its numbers say nothing yet */
	check_size(w, &pkt);
	if (!(pkt.flags & W_ACK))
		return;
	check_ack(w, &pkt);
	check_sack(w, &pkt);
	if (!(pkt.flags & W_SYN)) {
		check_ts(w, &pkt);
		check_text(w, &pkt);
	}
}

/* RFC 7323 4.3: what may be echoed is of a segment that does not begin beyond Last.ACK.sent. */
static void take_tsval(struct watch *w, const struct wire_pkt *pkt)
{
	uint64_t start = unwrap(pkt->seq, w->irs, w->ack);

	if (!w->has_tsval_given || (int32_t)(pkt->tsval - w->tsval_given) > 0)
		w->tsval_given = pkt->tsval;
	w->has_tsval_given = true;
	if (start != UINT64_MAX && start > 1 && start > w->ack)
		return;
	if (!w->has_tsval_due || (int32_t)(pkt->tsval - w->tsval_due) > 0)
		w->tsval_due = pkt->tsval;
	w->has_tsval_due = true;
}

static void take_syn(struct watch *w, const struct wire_pkt *pkt)
{
	/* A SYN of its own may even come before ours has left: both sides open at once. */
	if (w->has_irs || (pkt->flags & W_ACK && (!w->has_iss || pkt->ack != w->iss + 1)))
		return;
	w->has_irs = true;
	w->irs = pkt->seq;
	w->peer_syn = *pkt;
	w->peer_syn.text = NULL;
	w->edge = 1 + (uint64_t)w->syn.wnd;
	w->has_edge = w->has_iss;
	ranges_add(&w->given, 0, 1);
}

void watch_in(struct watch *w, const uint8_t *packet, size_t len)
{
	struct wire_pkt pkt;
	uint64_t start, end, ack;
	uint8_t shift;

	if (wire_parse(packet, len, &pkt) || pkt.sport != w->peer_port ||
		pkt.dport != w->local_port)
		return;
	if (pkt.flags & W_SYN && !(pkt.flags & W_RST))
		take_syn(w, &pkt);
	if (!w->has_irs)
		return;
	if (pkt.has_ts)
		take_tsval(w, &pkt);
	ack = unwrap(pkt.ack, w->iss, w->sent_max);
	shift = both_wscale(w) && !(pkt.flags & W_SYN) ? w->peer_syn.wscale : 0;
	if (pkt.flags & W_ACK && ack <= w->sent_max &&
		ack + ((uint64_t)pkt.wnd << shift) > w->peer_edge)
		w->peer_edge = ack + ((uint64_t)pkt.wnd << shift);
	if (pkt.flags & W_ACK && ack <= w->sent_max && ack > w->peer_ack)
		w->peer_ack = ack;
	end = unwrap(pkt.seq + !!(pkt.flags & W_SYN) + pkt.text_bytes, w->irs, w->ack);
	if (end == UINT64_MAX)
		return;
	/* What begins before the SYN may end in the window: the part that is text counts. */
	start = end > pkt.text_bytes ? end - pkt.text_bytes : 1;
	start = start < end ? start : end;
	ranges_add(&w->given, start, end + !!(pkt.flags & W_FIN));
	if (pkt.flags & W_FIN && end < w->given_fin)
		w->given_fin = end;
}

void watch_queued(struct watch *w, uint64_t bytes)
{
	if (w->fin_queued)
		watch_fail(w, "text was taken after shutdown");
	w->queued += bytes;
}

void watch_shutdown(struct watch *w)
{
	w->fin_queued = true;
}

void watch_received(struct watch *w, const uint8_t *bytes, uint64_t len)
{
	size_t good = text_diff(w->key_rx, w->received, bytes, len);

	if (good != len)
		watch_fail(
			w, "received byte %llu is wrong", (unsigned long long)(w->received + good));
	w->received += len;
	if (w->received + 1 > ranges_gap(&w->given, 0))
		watch_fail(w, "%llu bytes were received, more than were sent",
			(unsigned long long)w->received);
}

void watch_eof(struct watch *w)
{
	if (w->received + 1 != w->given_fin)
		watch_fail(w, "end of stream after %llu bytes, the FIN is at %llu",
			(unsigned long long)w->received, (unsigned long long)w->given_fin - 1);
	w->eof_seen = true;
}
