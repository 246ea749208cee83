/*
 * nbd_range.c - which bytes of a request were answered, and which to ask for next
 *
 * A structured READ may be answered in any number of chunks in any order. What arrived is a sorted
 * list of disjoint ranges; chunks that touch become one. The list has NBD_RANGE_MAX places: when
 * all are taken, the highest range is forgotten, be it the new one, and when the reply has ended
 * the missing bytes are asked for again. The lowest are kept because that bounds the number of
 * trips: the piece with the first missing byte always finds a place, so each trip makes the prefix
 * longer.
 *
 * The next trip asks from the first missing byte to the last, in whole blocks, and no more than
 * piece_bytes. Between these lie bytes that are here already; they may be answered again, so in a
 * second answer an overlap with the first is no lie. Within one answer it is: a first answer shows
 * it by the ranges, a later one by having more bytes than were asked for.
 *
 * Pure functions of one request. Always: ranges are sorted, disjoint, not adjacent, none is empty.
 */
#include "nbd_client/nbd_conn_priv.h"
#include <assert.h>
#include <string.h>

uint32_t nbd_range_prefix(const struct nbd_req *req)
{
	return req->range_count > 0 && req->ranges[0].from == 0 ? req->ranges[0].to : 0;
}

bool nbd_range_is_answered(const struct nbd_req *req)
{
	for (unsigned i = 0; i < req->range_count; i++)
		if (req->ranges[i].from <= req->ask.from && req->ranges[i].to >= req->ask.to)
			return true;
	return req->ask.from == req->ask.to;
}

/* Behind the last byte that is missing. */
static uint32_t missing_end(const struct nbd_req *req)
{
	unsigned n = req->range_count;

	return n > 0 && req->ranges[n - 1].to == req->bytes ? req->ranges[n - 1].from : req->bytes;
}

/* From the first missing byte to the last, in whole blocks, no more than piece_bytes. */
static void part_ask(struct nbd_req *req, uint32_t block_bytes)
{
	uint32_t block = block_bytes > NBD_BLOCK_BYTES_MIN ? block_bytes : NBD_BLOCK_BYTES_MIN;
	uint32_t before, behind;

	assert((block & (block - 1)) == 0);
	req->prefix_bytes = nbd_range_prefix(req);
	req->is_again = req->range_count > 0;
	req->ask = (struct nbd_range){req->prefix_bytes, missing_end(req)};
	before = (uint32_t)((req->offset + req->ask.from) & (block - 1));
	req->ask.from -= before < req->ask.from ? before : req->ask.from;
	behind = (uint32_t)(-(req->offset + req->ask.to) & (block - 1));
	req->ask.to += behind < req->bytes - req->ask.to ? behind : req->bytes - req->ask.to;
	if (req->piece_bytes > 0 && req->ask.to - req->ask.from > req->piece_bytes)
		req->ask.to = req->ask.from + req->piece_bytes;
	assert(req->ask.to <= req->bytes);
}

void nbd_range_ask(struct nbd_req *req, uint32_t block_bytes)
{
	bool is_partial = req->is_partial;

	req->is_partial = req->is_told = req->is_forgotten = false;
	req->told_bytes = 0;
	if (!is_partial)
		req->range_count = 0;
	if (is_partial || req->piece_bytes > 0) {
		part_ask(req, block_bytes);
		return;
	}
	req->prefix_bytes = 0;
	req->is_again = false;
	req->ask = (struct nbd_range){0, req->bytes};
}

/* Puts a range that touches no other at place @i. */
static enum nbd_range_fate range_insert(struct nbd_req *req, unsigned i, uint32_t from, uint32_t to)
{
	struct nbd_range *r = req->ranges;
	bool is_full = req->range_count == NBD_RANGE_MAX;

	if (is_full && i == NBD_RANGE_MAX)
		return NBD_RANGE_FORGOTTEN;
	req->range_count -= is_full;
	memmove(&r[i + 1], &r[i], (req->range_count - i) * sizeof(*r));
	r[i] = (struct nbd_range){from, to};
	req->range_count++;
	return is_full ? NBD_RANGE_FORGOTTEN : NBD_RANGE_KEPT;
}

enum nbd_range_fate nbd_range_merge(struct nbd_req *req, uint32_t from, uint32_t to)
{
	struct nbd_range *r = req->ranges;
	unsigned first = req->range_count, end = first;
	bool is_twice = false;

	assert(from < to && to <= req->bytes);
	while (first > 0 && r[first - 1].to >= from) {
		first--;
		if (r[first].from > to)
			end = first;
		else
			is_twice |= r[first].from < to && r[first].to > from;
	}
	if (is_twice && !req->is_again)
		return NBD_RANGE_TWICE;
	if (first == end)
		return range_insert(req, first, from, to);
	r[first].to = r[end - 1].to > to ? r[end - 1].to : to;
	r[first].from = r[first].from < from ? r[first].from : from;
	memmove(&r[first + 1], &r[end], (req->range_count - end) * sizeof(*r));
	req->range_count -= end - first - 1;
	return NBD_RANGE_KEPT;
}
