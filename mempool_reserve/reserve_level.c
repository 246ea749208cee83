/*
 * reserve_level.c - how deep the pool is in its reserve, and what that calls for
 *
 * Depth is a fraction of the floor, so it means the same on a small port and on a large one. The
 * level is a state with hysteresis; the thresholds and their reasons stand in limits.h. Below it
 * are the figures of a pool as people see them.
 *
 * The owning worker updates the level once a turn. Anyone may read it.
 */
#include <rte_string_fns.h>
#include "mempool_reserve/reserve_impl.h"

static uint32_t depth_pct(const struct reserve *r)
{
	uint32_t free = reachable(r), floor = relaxed_load(&r->floor);

	if (!floor)
		return free ? 0 : 100;
	return free >= floor ? 0 : (uint32_t)((uint64_t)(floor - free) * 100 / floor);
}

/* Green comes back above the floor, but never above what a small pool can have. */
static bool is_relaxed(const struct reserve *r)
{
	uint32_t margin = RTE_MIN((uint32_t)RESERVE_GREEN_MARGIN_COUNT, (r->total - r->floor) / 2);

	return reachable(r) >= r->floor + margin;
}

enum reserve_level reserve_level_update(struct reserve *r)
{
	uint32_t depth = depth_pct(r);
	enum reserve_level level = r->level;

	peaks_renew(r);
	faults_take(r);
	guard_set(r);
	if (!r->is_armed)
		return level;
	if (level == RESERVE_RED && depth < RESERVE_RED_LEAVE_PCT)
		level = RESERVE_YELLOW;
	if (level == RESERVE_YELLOW && is_relaxed(r))
		level = RESERVE_GREEN;
	if (level == RESERVE_GREEN && depth > 0)
		level = RESERVE_YELLOW;
	if (depth >= RESERVE_RED_ENTER_PCT)
		level = RESERVE_RED;
	if (SLUICE_FAULT_INJECTION && relaxed_load(&r->level_wanted))
		level = (enum reserve_level)(relaxed_load(&r->level_wanted) - 1);
	relaxed_store(&r->level, level);
	return level;
}

enum reserve_level reserve_level(const struct reserve *r)
{
	return relaxed_load(&r->level);
}

void reserve_info(const struct reserve *r, struct reserve_info *out)
{
	*out = (struct reserve_info){
		.total = r->total,
		.floor = relaxed_load(&r->floor),
		.free = relaxed_load(&r->free),
		.low_water = relaxed_load(&r->low_water),
		.ring_debt = relaxed_load(&r->ring_debt),
		.depth_pct = depth_pct(r),
		.level = relaxed_load(&r->level),
		.dips = relaxed_load(&r->dips),
		.refused = relaxed_load(&r->refused),
		.refused_entitled = relaxed_load(&r->refused_entitled),
		.refused_run = relaxed_load(&r->refused_run),
		.refused_run_max = relaxed_load(&r->refused_run_max),
		.alarms = relaxed_load(&r->alarms),
		.emergency = relaxed_load(&r->emergency),
		.emergency_peak = relaxed_load(&r->emergency_peak),
		.allocs = relaxed_load(&r->allocs),
		.armed = relaxed_load(&r->is_armed),
		.starved = relaxed_load(&r->starve_wanted),
	};
	/* Not counted apart: what was taken and is not out is back. */
	out->frees = out->allocs - RTE_MIN(out->allocs, (uint64_t)(out->total - out->free));
	rte_strscpy(out->name, r->pool->name, sizeof(out->name));
}
