/*
 * device_credit.c - read credits follow what a volume's READs need, and the sum follows the credits
 *
 * A worker measures how many credits its part of a volume could use (nbd_client/volume_credit.c);
 * here they are granted. More: first the floor and the limits of the owners rise, then the worker
 * is told, so that what it asks for was there before. Less: the worker is told first, and the floor
 * falls when what is in flight fits. So at no time is more asked for than the sum holds.
 *
 * A part that does nothing for a while goes back to the least. Growth leaves half of the normal
 * mbufs, and room for two volumes more: nobody grows at the cost of an attach.
 *
 * Control thread. Looked at ten times a second, so a growing volume doubles within a blink.
 */
#include <string.h>
#include <rte_common.h>
#include "daemon/engine/engine_impl.h"

#define LOOK_US	  100000ull
#define SHRINK_US 10000000ull /* it has wanted less for so long */
#define GRAIN	  64u	      /* mbufs; a finer change is not worth a line in the log */

static bool is_told(const struct engine_queue *q, const struct engine_part *p)
{
	return p->credit_ticket == 0 || worker_done(q->worker, p->credit_ticket);
}

static bool tell(const struct engine_queue *q, struct engine_part *p, uint32_t mbufs)
{
	const struct worker_cmd cmd = {.type = WORKER_CREDIT_SET, .a = p->volume, .n = mbufs};

	if (!worker_post(q->worker, &cmd, &p->credit_ticket))
		return false; /* the ring is full: the next look tries again */
	p->told = mbufs;
	return true;
}

static void grant(
	struct engine *e, const struct engine_volume *v, struct engine_part *p, uint32_t mbufs)
{
	p->quota = mbufs;
	engine_part_limits(e, v, p);
	engine_floor_update(e, v->port, p->queue, "read credits changed");
}

/* As far as there is room; a step too small is not made. */
static void grow(
	struct engine *e, const struct engine_volume *v, struct engine_part *p, uint32_t want)
{
	uint32_t mbufs = RTE_MIN(want, engine_quota_room(e, v, p));

	if (mbufs <= p->quota + p->quota / 8)
		return;
	grant(e, v, p, mbufs);
	tell(&e->ports[v->port].queues[p->queue], p, mbufs);
}

/* Wants the least while nothing is read. */
static uint32_t wanted(const struct engine_volume *v, struct engine_part *p,
	const struct volume_info *info, uint64_t now_us)
{
	uint32_t mbufs = RTE_ALIGN_CEIL(info->credit_wanted_mbufs, GRAIN);

	if (info->ops[BLOCK_READ] != p->reads_seen) {
		p->reads_seen = info->ops[BLOCK_READ];
		p->read_us = now_us;
	}
	if (now_us - p->read_us > SHRINK_US)
		mbufs = v->quota_least;
	return RTE_MIN(RTE_MAX(mbufs, v->quota_least), v->quota);
}

static void part_look(
	struct engine *e, const struct engine_volume *v, struct engine_part *p, uint64_t now_us)
{
	const struct engine_queue *q = &e->ports[v->port].queues[p->queue];
	struct volume_info info;
	uint32_t want;

	if (!is_told(q, p))
		return;
	volume_info(p->volume, &info);
	want = wanted(v, p, &info, now_us);
	if (p->is_shrinking) {
		if (info.is_over_credit)
			return;
		p->is_shrinking = false;
		grant(e, v, p, p->told);
	} else if (p->told != p->quota) {
		tell(q, p, p->quota);
	} else if (want > p->quota + p->quota / 8) {
		grow(e, v, p, want);
	} else if (want >= p->quota - p->quota / 4) {
		p->low_us = now_us;
	} else if (now_us - p->low_us > SHRINK_US) {
		p->is_shrinking = tell(q, p, want);
	}
}

void engine_credit_poll(struct engine *e, uint64_t now_us)
{
	if (now_us < e->credit_due_us)
		return;
	e->credit_due_us = now_us + LOOK_US;
	for (unsigned i = 0; i < VOLUME_MAX; i++) {
		struct engine_volume *v = &e->volumes[i];

		for (unsigned k = 0; v->step == STEP_SERVE && k < v->part_count; k++)
			part_look(e, v, &v->parts[k], now_us);
	}
}
