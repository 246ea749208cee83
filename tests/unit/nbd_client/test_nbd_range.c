/*
 * test_nbd_range.c - what arrived of a READ: kept, forgotten, asked for again
 *
 * A model beside the machine: one flag for each byte says what is here. After every piece the
 * ranges must say less or the same, never more, and an ask must begin at the first byte they lack.
 */
#include "tests/unit/nbd_client/check.h"
#include <stdlib.h>
#include "nbd_client/nbd_conn_priv.h"

#define BYTES_MAX 4096u

static void ranges_are_sound(const struct nbd_req *req, const uint8_t *here)
{
	assert_true(req->range_count <= NBD_RANGE_MAX);
	for (unsigned i = 0; i < req->range_count; i++) {
		const struct nbd_range *r = &req->ranges[i];

		assert_true(r->from < r->to && r->to <= req->bytes);
		if (i > 0)
			assert_true(r[-1].to < r->from);
		for (uint32_t b = r->from; b < r->to; b++)
			assert_int_equal(here[b], 1);
	}
}

/* Answers one ask in pieces of @piece bytes, in a random order. Out: how many were forgotten. */
static unsigned ask_answer(struct nbd_req *req, uint8_t *here, uint32_t piece)
{
	uint32_t n = (req->ask.to - req->ask.from + piece - 1) / piece, places[BYTES_MAX];
	unsigned forgotten = 0;

	for (uint32_t i = 0; i < n; i++)
		places[i] = i;
	for (uint32_t i = n; i > 0; i--) {
		uint32_t other = (uint32_t)rand() % i, was = places[other], from, to;
		enum nbd_range_fate fate;

		places[other] = places[i - 1];
		from = req->ask.from + was * piece;
		to = from + piece < req->ask.to ? from + piece : req->ask.to;
		memset(here + from, 1, to - from);
		fate = nbd_range_add(req, from, to);
		assert_int_not_equal(fate, NBD_RANGE_TWICE);
		forgotten += fate == NBD_RANGE_FORGOTTEN;
		ranges_are_sound(req, here);
	}
	return forgotten;
}

static void range_asks_until_every_byte_is_here(void **state)
{
	for (unsigned seed = 0; seed < 60; seed++) {
		uint32_t blocks = 1 + seed % 8, piece = 1 + seed % 13, trips = 0;
		struct nbd_req req = {.offset = 512 * seed, .bytes = 512 * blocks};
		uint8_t here[BYTES_MAX] = {0};

		srand(seed);
		do {
			uint32_t prefix = req.range_count ? nbd_range_prefix(&req) : 0;
			unsigned forgotten;

			nbd_range_ask(&req, 1);
			assert_int_equal((req.offset + req.ask.from) % 512, 0);
			assert_int_equal((req.offset + req.ask.to) % 512, 0);
			assert_true(req.ask.from <= prefix && prefix - req.ask.from < 512);
			forgotten = ask_answer(&req, here, piece);
			assert_true(nbd_range_is_answered(&req) || forgotten > 0);
			assert_true(nbd_range_prefix(&req) > prefix);
			req.is_partial = true;
			trips++;
		} while (!nbd_range_is_whole(&req));
		assert_true(trips == 1 || req.bytes / piece > NBD_RANGE_MAX);
	}
}

static void range_keeps_the_lowest(void **state)
{
	struct nbd_req req = {.bytes = BYTES_MAX};

	nbd_range_ask(&req, 1);
	for (uint32_t i = NBD_RANGE_MAX; i > 0; i--)
		assert_int_equal(nbd_range_add(&req, 4 * i, 4 * i + 2), NBD_RANGE_KEPT);
	assert_int_equal(nbd_range_add(&req, 4000, 4001), NBD_RANGE_FORGOTTEN);
	assert_int_equal(req.ranges[NBD_RANGE_MAX - 1].from, 4 * NBD_RANGE_MAX);
	assert_int_equal(nbd_range_add(&req, 0, 2), NBD_RANGE_FORGOTTEN);
	assert_int_equal(req.range_count, NBD_RANGE_MAX);
	assert_int_equal(req.ranges[0].to, 2);
	assert_int_equal(req.ranges[NBD_RANGE_MAX - 1].from, 4 * (NBD_RANGE_MAX - 1));
	assert_int_equal(nbd_range_add(&req, 2, 4), NBD_RANGE_KEPT);
	assert_int_equal(req.range_count, NBD_RANGE_MAX - 1);
	assert_int_equal(nbd_range_prefix(&req), 6);
}

/* In the first answer alone: a second one may repeat what lies between two gaps. */
static void range_overlap_is_seen_at_the_first_ask(void **state)
{
	static const uint32_t over[][2] = {
		{10, 20}, {5, 11}, {19, 30}, {12, 13}, {0, 40}, {30, 31}};
	struct nbd_req req = {.bytes = 64};

	nbd_range_ask(&req, 1);
	assert_int_equal(nbd_range_add(&req, 10, 20), NBD_RANGE_KEPT);
	assert_int_equal(nbd_range_add(&req, 30, 31), NBD_RANGE_KEPT);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(nbd_range_add(&req, over[i][0], over[i][1]), NBD_RANGE_TWICE);
	assert_int_equal(req.range_count, 2);
	req.is_partial = true;
	nbd_range_ask(&req, 1);
	assert_int_equal(nbd_range_add(&req, 0, 40), NBD_RANGE_KEPT);
	assert_int_equal(req.range_count, 1);
	assert_int_equal(nbd_range_prefix(&req), 40);
}

static void range_asks_in_pieces_of_whole_blocks(void **state)
{
	struct nbd_req req = {.offset = 8192, .bytes = 10240, .piece_bytes = 4096};
	static const uint32_t want[][2] = {{0, 4096}, {4096, 8192}, {8192, 10240}};

	for (unsigned i = 0; i < 3; i++) {
		nbd_range_ask(&req, 1024);
		assert_int_equal(req.ask.from, want[i][0]);
		assert_int_equal(req.ask.to, want[i][1]);
		assert_int_equal(nbd_range_add(&req, req.ask.from, req.ask.to), NBD_RANGE_KEPT);
		assert_true(nbd_range_is_answered(&req));
		req.is_partial = true;
	}
	assert_true(nbd_range_is_whole(&req));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(range_asks_until_every_byte_is_here),
		cmocka_unit_test(range_keeps_the_lowest),
		cmocka_unit_test(range_overlap_is_seen_at_the_first_ask),
		cmocka_unit_test(range_asks_in_pieces_of_whole_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
