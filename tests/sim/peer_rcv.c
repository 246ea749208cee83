/*
 * peer_rcv.c - the reference peer's receiving half: order, window, SACK, delayed ACK
 *
 * The window is the buffer minus what the application has not read. Its right edge never retreats,
 * except by the less than one unit that the scale cannot say (RFC 7323 2.4); what was ever offered
 * is always taken.
 */
#include "tests/sim/peer_impl.h"

#include <string.h>

void peer_rcv_dup(struct peer *p, uint64_t start, uint64_t end)
{
	p->ack_due = true;
	if (p->cfg.use_dsack && p->has_sack && start < end && start != UINT64_MAX)
		p->dsack = (struct range){ .start = start, .end = end };
}

static void remember(struct peer *p, uint64_t start)
{
	memmove(&p->recent[1], &p->recent[0], sizeof(p->recent) - sizeof(p->recent[0]));
	p->recent[0] = start;
}

static void owe_ack(struct peer *p, uint64_t now_us)
{
	p->unacked_segs++;
	if (p->cfg.delack_us == 0 || p->unacked_segs >= 2 || p->ooo.count > 0)
		p->ack_due = true;
	else if (p->ack_at == PEER_NEVER)
		p->ack_at = now_us + p->cfg.delack_us;
}

void peer_rcv_text(struct peer *p, uint64_t start, uint64_t end, bool has_fin, uint64_t now_us)
{
	bool had_hole = p->ooo.count > 0;
	uint64_t last;

	if (has_fin)
		p->fin_pos = end++;
	if (end > p->rcv_edge + 1)
		end = p->rcv_edge + 1; /* a probe's byte may lie one beyond */
	if (start >= end)
		return;
	if (start < p->rcv_nxt)
		peer_rcv_dup(p, start, peer_min(end, p->rcv_nxt));
	else if (ranges_touch(&p->ooo, start, end))
		peer_rcv_dup(p, ranges_next(&p->ooo, start),
			peer_min(end, ranges_gap(&p->ooo, ranges_next(&p->ooo, start))));
	if (end <= p->rcv_nxt)
		return;
	if (end > p->rcv_edge && p->rcv_edge - p->rcv_nxt == 0 && start == p->rcv_nxt) {
		p->probes_seen++; /* into a shut window: answered, not taken */
		p->ack_due = true;
		return;
	}
	end = peer_min(end, p->rcv_edge + (end - 1 == p->fin_pos));
	if (start >= end)
		return;
	last = p->rcv_nxt;
	ranges_add(&p->ooo, peer_max(start, p->rcv_nxt), end);
	p->rcv_nxt = ranges_gap(&p->ooo, p->rcv_nxt);
	p->rcv_edge = peer_max(p->rcv_edge, p->rcv_nxt);
	ranges_cut_below(&p->ooo, p->rcv_nxt);
	if (p->rcv_nxt == last)
		remember(p, start);
	if (p->cfg.renege_ppm && rnd_ppm(&p->rnd, p->cfg.renege_ppm))
		ranges_clear(&p->ooo);
	if (p->rcv_nxt == last || had_hole || has_fin)
		p->ack_due = true;
	else
		owe_ack(p, now_us);
}

uint64_t peer_received(const struct peer *p)
{
	uint64_t pos = p->rcv_nxt > p->fin_pos ? p->fin_pos : p->rcv_nxt;

	return pos > 0 ? pos - 1 : 0;
}

bool peer_has_fin(const struct peer *p)
{
	return p->rcv_nxt > p->fin_pos;
}

uint64_t peer_readable(const struct peer *p)
{
	return 1 + peer_received(p) - p->read_pos;
}

void peer_read(struct peer *p, uint64_t bytes)
{
	uint64_t offered = p->rcv_edge - peer_min(p->rcv_edge, p->rcv_nxt), room;

	p->read_pos += peer_min(bytes, peer_readable(p));
	room = p->cfg.rcv_bytes - peer_min(p->cfg.rcv_bytes, p->rcv_nxt - p->read_pos);
	/* RFC 9293 3.8.6.2.2: tell when it pays. */
	if (room > offered &&
		(p->cfg.is_silly || room - offered >= peer_min(p->cfg.rcv_bytes / 2, 1460)) &&
		p->state == PEER_OPEN && !peer_has_fin(p))
		p->ack_due = true;
}

uint16_t peer_rcv_window(struct peer *p)
{
	uint8_t shift = p->has_wscale ? p->cfg.wscale : 0;
	uint64_t now = p->rcv_edge - peer_min(p->rcv_edge, p->rcv_nxt), unit = 1ull << shift, field;
	uint64_t held = p->rcv_nxt - p->read_pos;
	uint64_t room = p->cfg.rcv_bytes - peer_min(p->cfg.rcv_bytes, held);

	if (room > now && (p->cfg.is_silly || room - now >= peer_min(p->cfg.rcv_bytes / 2, 1460))) {
		field = room >> shift;
		if (field << shift < now)
			field = (now + unit - 1) >> shift;
	} else {
		field = (now + unit - 1) >> shift;
		if (held + (field << shift) > p->cfg.rcv_bytes + unit)
			field = now >> shift;
	}
	field = peer_min(field, 65535);
	/* What was offered before is still taken: only the promise is withdrawn. */
	if (p->cfg.shrink_ppm && rnd_ppm(&p->rnd, p->cfg.shrink_ppm))
		return (uint16_t)rnd_below(&p->rnd, field + 1);
	p->rcv_edge = peer_max(p->rcv_edge, p->rcv_nxt + (field << shift));
	return (uint16_t)field;
}

static bool is_listed(const struct wire_sack *list, uint8_t n, uint32_t start)
{
	for (uint8_t i = 0; i < n; i++)
		if (list[i].start == start)
			return true;
	return false;
}

uint8_t peer_rcv_sacks(struct peer *p, struct wire_sack *out, uint8_t max)
{
	uint8_t n = 0, first;

	if (p->dsack.end > 0 && max > 0)
		out[n++] = (struct wire_sack){
			p->irs + (uint32_t)p->dsack.start, p->irs + (uint32_t)p->dsack.end};
	p->dsack = (struct range){ 0 };
	first = n;
	for (unsigned i = 0; i < 4 && n < max; i++) {
		const struct range *r = p->recent[i] ? ranges_find(&p->ooo, p->recent[i]) : NULL;

		if (r && !is_listed(out + first, n - first, p->irs + (uint32_t)r->start))
			out[n++] = (struct wire_sack){
				p->irs + (uint32_t)r->start, p->irs + (uint32_t)r->end};
	}
	return n;
}
