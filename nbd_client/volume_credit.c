/*
 * volume_credit.c - how many read credits a volume needs: what is answered in the time one answer
 * takes
 *
 * A connection must have as much asked for as comes back while one request is on its way, through
 * the network and the server's disk: rate x delay. With less the way is not full; more waits in the
 * server's queue, and its answers may hold mbufs of the reserve for nothing. Both factors are
 * measured on the READs that are answered:
 *
 *	rate	the best of the last windows, in mbufs at worst, the unit of everything
 *	delay	the shortest of the last ten seconds, of READs at least half as long as usual (the
 *		time of a short one says nothing of a long one) that were sent when next to none was
 *in flight: the others wait behind each other, and the volume's own queue must not count as delay
 *
 * Twice the product is requested. So a volume that is limited by its credits requests more, and
 * again more, until its rate rises no further.
 *
 * A request is not a grant. The control thread grants it where the sum of the port has room
 * (device_credit.c), never less than quota_least_mbufs, into which the largest request fits, and
 * never more than quota_mbufs. WRITEs have their part whatever is granted, and READs theirs.
 *
 * An answer costs additions; divisions are made once a window. One worker; volume_info() reads.
 */
#include "nbd_client/volume_priv.h"
#include <assert.h>

#define WINDOW_US   50000u
/* A shortest delay is believed for two of them, or until there is another. */
#define PERIOD_US 5000000u
#define SECOND_US   1000000u
#define GAIN	    2u
#define DELAY_NONE  UINT64_MAX

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void volume_credit_init(struct volume *v)
{
	struct volume_credit *c = &v->credit;

	c->granted_mbufs = c->wanted_mbufs = v->cfg.quota_least_mbufs;
	c->delay_us[0] = c->delay_us[1] = DELAY_NONE;
}

void volume_credit_set(struct volume *v, uint32_t mbufs)
{
	assert(mbufs >= v->cfg.quota_least_mbufs && mbufs <= v->cfg.quota_mbufs);
	__atomic_store_n(&v->credit.granted_mbufs, mbufs, __ATOMIC_RELAXED);
}

void volume_credit_answer(struct volume *v, const struct volume_sub *sub)
{
	struct volume_credit *c = &v->credit;
	uint64_t delay_us = v->now_us - sub->sent_us;

	if (c->reads == 0 && sub->sent_us > c->window_us)
		c->window_us = sub->sent_us; /* nothing was asked for in between */
	c->reads++;
	c->mbufs += sub->cost_mbufs;
	c->bytes += sub->nbd.bytes;
	if (sub->is_alone && sub->nbd.bytes >= c->typical_bytes / 2)
		c->delay_us[0] = smaller(c->delay_us[0], delay_us ? delay_us : 1);
}

/* Under a load that never pauses there is no new delay, and the old one stands. */
static void period_turn(struct volume_credit *c, uint64_t now_us)
{
	if (c->delay_us[0] == DELAY_NONE || now_us - c->period_us < PERIOD_US)
		return;
	c->delay_us[1] = c->delay_us[0];
	c->delay_us[0] = DELAY_NONE;
	c->period_us = now_us;
}

static uint32_t wanted(const struct volume *v, uint64_t delay_us)
{
	const struct volume_credit *c = &v->credit;
	uint64_t best = 0, mbufs;

	for (unsigned i = 0; i < CREDIT_WINDOW_COUNT; i++)
		best = c->rates[i] > best ? c->rates[i] : best;
	mbufs = best * GAIN * delay_us / SECOND_US / (v->conn_ready ? v->conn_ready : 1) +
		volume_write_quota(v);
	if (mbufs < v->cfg.quota_least_mbufs)
		return v->cfg.quota_least_mbufs;
	return mbufs < v->cfg.quota_mbufs ? (uint32_t)mbufs : v->cfg.quota_mbufs;
}

void volume_credit_turn(struct volume *v)
{
	struct volume_credit *c = &v->credit;
	uint64_t delay_us = smaller(c->delay_us[0], c->delay_us[1]),
		 spent_us = v->now_us - c->window_us;

	if (c->reads == 0 || spent_us < WINDOW_US ||
		(delay_us != DELAY_NONE && spent_us < 2 * delay_us))
		return;
	c->rates[c->rate_idx] = c->mbufs * SECOND_US / spent_us;
	c->rate_idx = (c->rate_idx + 1) % CREDIT_WINDOW_COUNT;
	__atomic_store_n(&c->bytes_per_s, c->bytes * SECOND_US / spent_us, __ATOMIC_RELAXED);
	if (delay_us != DELAY_NONE) {
		__atomic_store_n(&c->shown_delay_us, delay_us, __ATOMIC_RELAXED);
		__atomic_store_n(&c->wanted_mbufs, wanted(v, delay_us), __ATOMIC_RELAXED);
	}
	period_turn(c, v->now_us);
	c->typical_bytes = (uint32_t)(c->bytes / c->reads);
	c->window_us = v->now_us;
	c->mbufs = c->bytes = c->reads = 0;
}
