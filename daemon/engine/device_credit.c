/*
 * device_credit.c - read credits follow what a volume's READs need, and the sum follows the credits
 *
 * A worker measures how many credits its channel of a volume could use
 * (nbd_client/volume_credit.c); here they are granted. More: first the floor and the limits of the
 * owners rise, then the worker gets the credits, so that the memory is there before. Less: the
 * worker's credits fall first, and the floor when the requests in flight fit. So at no time is
 * more asked for than the sum holds.
 *
 * A channel that does nothing for a while goes back to the least. Growth leaves half of the normal
 * mbufs, and room for two volumes more: no volume grows at the cost of an attach.
 *
 * Control thread. Looked at ten times a second, so a growing volume doubles within a blink.
 */
#include <string.h>
#include <rte_common.h>
#include "daemon/engine/device_channel.h"
#include "daemon/engine/device_steps.h"

#define LOOK_US	  100000ull
#define SHRINK_US 10000000ull /* it has requested less for this long */
#define GRAIN	  64u	      /* mbufs; a finer change is not worth a line in the log */

static bool is_told(const struct ports_queue *q, const struct channel *ch)
{
	return ch->credit_ticket == 0 || worker_done(q->worker, ch->credit_ticket);
}

static bool tell(const struct ports_queue *q, struct channel *ch, uint32_t mbufs)
{
	const struct worker_cmd cmd = {.type = WORKER_CREDIT_SET, .a = ch->volume, .n = mbufs};

	if (!worker_post(q->worker, &cmd, &ch->credit_ticket))
		return false; /* the ring is full: the next look tries again */
	ch->told = mbufs;
	return true;
}

static void grant(struct devices *ds, const struct device *d, struct channel *ch, uint32_t mbufs)
{
	ch->share.quota = mbufs;
	channel_limits(ds, d, ch);
	ports_floor_update(ds->ports, d->port, ch->share.queue, "read credits changed");
}

/* As far as there is room; a step too small is not made. */
static void grow(struct devices *ds, const struct device *d, struct channel *ch, uint32_t want)
{
	uint32_t mbufs = RTE_MIN(want, budget_room(ds->budget, &ch->share, d->quota));

	if (mbufs <= ch->share.quota + ch->share.quota / 8)
		return;
	grant(ds, d, ch, mbufs);
	tell(ports_queue(ds->ports, d->port, ch->share.queue), ch, mbufs);
}

/* Requests the minimum while nothing is read. */
static uint32_t wanted(
	const struct device *d, struct channel *ch, const struct volume_info *info, uint64_t now_us)
{
	uint32_t mbufs = RTE_ALIGN_CEIL(info->credit_wanted_mbufs, GRAIN);

	if (info->ops[BLOCK_READ] != ch->reads_seen) {
		ch->reads_seen = info->ops[BLOCK_READ];
		ch->read_us = now_us;
	}
	if (now_us - ch->read_us > SHRINK_US)
		mbufs = d->quota_least;
	return RTE_MIN(RTE_MAX(mbufs, d->quota_least), d->quota);
}

static void channel_look(
	struct devices *ds, const struct device *d, struct channel *ch, uint64_t now_us)
{
	const struct ports_queue *q = ports_queue(ds->ports, d->port, ch->share.queue);
	struct volume_info info;
	uint32_t want;

	if (!is_told(q, ch))
		return;
	volume_info(ch->volume, &info);
	want = wanted(d, ch, &info, now_us);
	if (ch->is_shrinking) {
		if (info.is_over_credit)
			return;
		ch->is_shrinking = false;
		grant(ds, d, ch, ch->told);
	} else if (ch->told != ch->share.quota) {
		tell(q, ch, ch->share.quota);
	} else if (want > ch->share.quota + ch->share.quota / 8) {
		grow(ds, d, ch, want);
	} else if (want >= ch->share.quota - ch->share.quota / 4) {
		ch->low_us = now_us;
	} else if (now_us - ch->low_us > SHRINK_US) {
		ch->is_shrinking = tell(q, ch, want);
	}
}

void devices_credit_poll(struct devices *ds, uint64_t now_us)
{
	if (now_us < ds->credit_due_us)
		return;
	ds->credit_due_us = now_us + LOOK_US;
	for (unsigned i = 0; i < VOLUME_MAX; i++) {
		struct device *d = &ds->list[i];

		for (unsigned k = 0; device_is_serving(d) && k < d->channel_count; k++)
			channel_look(ds, d, &d->channels[k], now_us);
	}
}
