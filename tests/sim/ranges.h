/*
 * ranges.h - a set of stream positions as sorted ranges that do not touch
 *
 * Positions are 64-bit and never wrap: 0 is the SYN, 1 the first byte. Zeroed memory is the empty
 * set.
 */
#ifndef SIM_RANGES_H
#define SIM_RANGES_H

#include <stdbool.h>
#include <stdint.h>

struct range {
	uint64_t start, end; /* first inside, first after */
};

struct ranges {
	struct range *v;
	uint32_t count, room;
};

void ranges_clear(struct ranges *r); /* also frees */
void ranges_add(struct ranges *r, uint64_t start, uint64_t end);
/* Takes away everything below @pos. */
void ranges_cut_below(struct ranges *r, uint64_t pos);
bool ranges_cover(const struct ranges *r, uint64_t start, uint64_t end);
bool ranges_touch(const struct ranges *r, uint64_t start, uint64_t end);
/* The range that holds @pos, or NULL. */
const struct range *ranges_find(const struct ranges *r, uint64_t pos);
/* First position >= @pos that is not in the set. */
uint64_t ranges_gap(const struct ranges *r, uint64_t pos);
/* Start of the first range at or above @pos, or UINT64_MAX. */
uint64_t ranges_next(const struct ranges *r, uint64_t pos);
uint64_t ranges_bytes(const struct ranges *r, uint64_t start, uint64_t end);

#endif
