/*
 * tcp_ooo.c - received data beyond a hole: sorted runs, their SACK blocks, and shedding
 *
 * At most TCP_OOO_MAX runs in an array sorted by sequence; neighbours always have a hole between
 * them. New data is trimmed against what is held (the first copy of a byte wins), except that a
 * segment which covers a whole run replaces it: that needs no mbuf to be cut in two. Out-of-order
 * data has no claim to memory: over its quota the highest bytes go first, which are the ones that
 * will be needed last, and their SACK blocks shrink with them (RFC 2018 8).
 *
 * Always: ooo_mbufs is the sum over the runs; every run lies above RCV.NXT once absorb() has run.
 */
#include "dataplane/net/tcp/tcp_rcv.h"

#include <assert.h>
#include <string.h>
#include <rte_mbuf.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_seq.h"

static void run_remove(struct tcp_rcv *r, uint32_t i)
{
	assert(i < r->ooo_count);
	r->ooo_count--;
	memmove(&r->ooo[i], &r->ooo[i + 1], (r->ooo_count - i) * sizeof(r->ooo[0]));
}

static void run_free(struct tcp_rcv *r, uint32_t i)
{
	r->ooo_mbufs -= r->ooo[i].chain.mbufs;
	tcp_chain_free(&r->ooo[i].chain);
	run_remove(r, i);
}

void tcp_ooo_drop(struct tcp_rcv *r)
{
	while (r->ooo_count > 0)
		run_free(r, r->ooo_count - 1);
	assert(r->ooo_mbufs == 0);
}

uint32_t tcp_ooo_shed(struct net *net, struct tcp_rcv *r, uint32_t need, uint32_t above)
{
	uint32_t freed = 0;

	while (freed < need && r->ooo_count > 0) {
		struct tcp_ooo *run = &r->ooo[r->ooo_count - 1];
		uint32_t want = RTE_MIN(need - freed, run->chain.mbufs);

		if (seq_le(run->seq, above))
			break;
		freed += want;
		r->ooo_mbufs -= want;
		run->end -= tcp_chain_truncate(&run->chain, run->chain.mbufs - want);
		if (!run->chain.head)
			run_remove(r, r->ooo_count - 1);
	}
	net->stats.tcp_ooo_shed += freed;
	return freed;
}

bool tcp_ooo_absorb(struct tcp_rcv *r, struct tcp_chain *out, uint32_t *end)
{
	while (r->ooo_count > 0 && seq_le(r->ooo[0].seq, r->nxt)) {
		struct tcp_ooo run = r->ooo[0];

		if (seq_le(run.end, r->nxt)) {
			tcp_rcv_dsack(r, run.seq, run.end);
			run_free(r, 0);
			continue;
		}
		r->ooo_mbufs -= run.chain.mbufs;
		run_remove(r, 0);
		if (seq_lt(run.seq, r->nxt)) {
			tcp_rcv_dsack(r, run.seq, r->nxt);
			tcp_chain_trim(&run.chain, r->nxt - run.seq);
		}
		*out = run.chain;
		*end = run.end;
		return true;
	}
	return false;
}

/* Makes room for @need more mbufs at @seq, from what lies above. */
static bool make_room(struct net *net, struct tcp_rcv *r, uint32_t need, uint32_t seq)
{
	uint32_t held = tcp_rcv_held(r), short_by = 0;

	if (held + need > r->quota)
		short_by = held + need - r->quota;
	if (r->ooo_mbufs + need > r->quota_ooo)
		short_by = RTE_MAX(short_by, r->ooo_mbufs + need - r->quota_ooo);
	return tcp_ooo_shed(net, r, short_by, seq) >= short_by;
}

/*
 * Trims [seq, end) against the runs and finds its place: *at is the first run above it, and runs it
 * covers are gone. Out: false when nothing new is left.
 */
static bool carve(
	struct tcp_rcv *r, struct tcp_chain *c, uint32_t *seq, uint32_t *end, uint32_t *at)
{
	uint32_t i = 0;

	while (i < r->ooo_count && seq_le(r->ooo[i].seq, *seq))
		i++;
	if (i > 0 && seq_lt(*seq, r->ooo[i - 1].end)) {
		uint32_t dup = seq_min(r->ooo[i - 1].end, *end) - *seq;

		tcp_rcv_dsack(r, *seq, *seq + dup);
		tcp_chain_trim(c, dup);
		*seq += dup;
	}
	while (i < r->ooo_count && seq_le(r->ooo[i].end, *end)) {
		tcp_rcv_dsack(r, r->ooo[i].seq, r->ooo[i].end);
		run_free(r, i);
	}
	if (i < r->ooo_count && seq_gt(*end, r->ooo[i].seq)) {
		tcp_rcv_dsack(r, r->ooo[i].seq, *end);
		*end = r->ooo[i].seq;
		tcp_chain_clip(c, *end - *seq);
	}
	*at = i;
	return seq_lt(*seq, *end);
}

static void run_insert(
	struct tcp_rcv *r, uint32_t i, struct tcp_chain c, uint32_t seq, uint32_t end)
{
	assert(r->ooo_count < TCP_OOO_MAX && i <= r->ooo_count);
	memmove(&r->ooo[i + 1], &r->ooo[i], (r->ooo_count - i) * sizeof(r->ooo[0]));
	r->ooo_count++;
	r->ooo[i] = (struct tcp_ooo){.seq = seq, .end = end, .chain = c};
	r->ooo_mbufs += c.mbufs;
}

/* Run @i and the one after it touch: they become one. */
static void run_join(struct net *net, struct tcp_rcv *r, uint32_t i)
{
	struct tcp_ooo *run = &r->ooo[i];
	uint32_t saved;

	if (i + 1 >= r->ooo_count || run->end != r->ooo[i + 1].seq)
		return;
	saved = tcp_chain_pack(run->chain.tail, &r->ooo[i + 1].chain);
	net->stats.tcp_compacted += saved;
	r->ooo_mbufs -= saved;
	tcp_chain_join(&run->chain, r->ooo[i + 1].chain);
	run->end = r->ooo[i + 1].end;
	run_remove(r, i + 1);
}

/*
 * Room in the quota, in the table of runs and in the ledger for @c at @seq? Only runs above @seq
 * are shed for it, so indices at or below it stay what they are.
 */
static bool is_affordable(
	struct net *net, struct tcp_rcv *r, const struct tcp_chain *c, uint32_t seq, bool joins)
{
	if (!make_room(net, r, c->mbufs, seq))
		return false;
	if (!joins && r->ooo_count == TCP_OOO_MAX &&
		!tcp_ooo_shed(net, r, r->ooo[r->ooo_count - 1].chain.mbufs, seq))
		return false;
	while (c->head && !reserve_move(c->head, r->owner_ooo, net->now_us))
		if (!tcp_ooo_shed(net, r, c->mbufs, seq))
			return false;
	return true;
}

bool tcp_ooo_insert(
	struct net *net, struct tcp_rcv *r, struct tcp_chain c, uint32_t seq, uint32_t end)
{
	uint32_t at;

	if (!carve(r, &c, &seq, &end, &at)) {
		tcp_chain_free(&c);
		assert(at > 0);
		r->ooo[at - 1].stamp = ++r->stamp; /* RFC 2883 4: told right behind the duplicate */
		return true;			   /* nothing was lost */
	}
	struct tcp_ooo *left = at > 0 && r->ooo[at - 1].end == seq ? &r->ooo[at - 1] : NULL;

	net->stats.tcp_compacted += tcp_chain_pack(left ? left->chain.tail : NULL, &c);
	if (!is_affordable(net, r, &c, seq, left != NULL)) {
		/* What was packed into @left stays held: it costs nothing. */
		net->stats.tcp_ooo_shed += c.mbufs;
		end -= tcp_chain_truncate(&c, 0);
		if (end == seq)
			return false;
	}
	if (left) {
		r->ooo_mbufs += c.mbufs;
		tcp_chain_join(&left->chain, c);
		left->end = end;
		at--;
	} else {
		run_insert(r, at, c, seq, end);
	}
	r->ooo[at].stamp = ++r->stamp;
	run_join(net, r, at);
	net->stats.tcp_ooo_segs++;
	return true;
}

uint8_t tcp_ooo_sacks(const struct tcp_rcv *r, struct tcp_sack *out, uint8_t max)
{
	uint32_t below = UINT32_MAX;
	uint8_t n = 0;

	if (r->has_dsack && max > 0)
		out[n++] = r->dsack;
	while (n < max) {
		const struct tcp_ooo *latest = NULL;

		for (uint32_t i = 0; i < r->ooo_count; i++)
			if (r->ooo[i].stamp < below && (!latest || r->ooo[i].stamp > latest->stamp))
				latest = &r->ooo[i];
		if (!latest)
			break;
		out[n++] = (struct tcp_sack){.start = latest->seq, .end = latest->end};
		below = latest->stamp;
	}
	return n;
}
