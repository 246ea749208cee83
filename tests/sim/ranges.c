/*
 * ranges.c - a sorted array is enough: a stream under loss has tens of holes, not thousands
 */
#include "tests/sim/ranges.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void ranges_clear(struct ranges *r)
{
	free(r->v);
	memset(r, 0, sizeof(*r));
}

/* Index of the first range whose end is above @pos, so that it holds @pos or lies after it. */
static uint32_t first_after(const struct ranges *r, uint64_t pos)
{
	uint32_t lo = 0, hi = r->count;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (r->v[mid].end > pos)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

void ranges_add(struct ranges *r, uint64_t start, uint64_t end)
{
	uint32_t from, to;

	if (start >= end)
		return;
	if (r->count == r->room) {
		r->room = r->room ? 2 * r->room : 8;
		r->v = realloc(r->v, r->room * sizeof(r->v[0]));
		assert(r->v);
	}
	from = start ? first_after(r, start - 1) : 0; /* one that only touches is joined too */
	for (to = from; to < r->count && r->v[to].start <= end; to++) {
		start = start < r->v[to].start ? start : r->v[to].start;
		end = end > r->v[to].end ? end : r->v[to].end;
	}
	memmove(&r->v[from + 1], &r->v[to], (r->count - to) * sizeof(r->v[0]));
	r->v[from] = (struct range){ .start = start, .end = end };
	r->count = r->count - (to - from) + 1;
}

void ranges_cut_below(struct ranges *r, uint64_t pos)
{
	uint32_t n = first_after(r, pos);

	if (n > 0)
		memmove(r->v, r->v + n, (r->count - n) * sizeof(r->v[0]));
	r->count -= n;
	if (r->count > 0 && r->v[0].start < pos)
		r->v[0].start = pos;
}

const struct range *ranges_find(const struct ranges *r, uint64_t pos)
{
	uint32_t i = first_after(r, pos);

	return i < r->count && r->v[i].start <= pos ? &r->v[i] : NULL;
}

bool ranges_cover(const struct ranges *r, uint64_t start, uint64_t end)
{
	const struct range *found = ranges_find(r, start);

	return start >= end || (found && found->end >= end);
}

bool ranges_touch(const struct ranges *r, uint64_t start, uint64_t end)
{
	uint32_t i = first_after(r, start);

	return start < end && i < r->count && r->v[i].start < end;
}

uint64_t ranges_gap(const struct ranges *r, uint64_t pos)
{
	const struct range *found = ranges_find(r, pos);

	return found ? found->end : pos;
}

uint64_t ranges_next(const struct ranges *r, uint64_t pos)
{
	uint32_t i = first_after(r, pos);

	if (i >= r->count)
		return UINT64_MAX;
	return r->v[i].start > pos ? r->v[i].start : pos;
}

uint64_t ranges_bytes(const struct ranges *r, uint64_t start, uint64_t end)
{
	uint64_t sum = 0;

	for (uint32_t i = first_after(r, start); i < r->count && r->v[i].start < end; i++) {
		uint64_t from = r->v[i].start > start ? r->v[i].start : start;

		sum += (r->v[i].end < end ? r->v[i].end : end) - from;
	}
	return sum;
}
