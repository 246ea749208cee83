/*
 * test_volume_credit.c - credits wanted are rate x delay, within bounds; credits taken back take
 * nothing away
 *
 * The server answers once in ROUND_TURNS milliseconds: so long is the delay, and what is asked for
 * in it is the rate.
 */
#include "tests/unit/nbd_client/check.h"
#include "tests/unit/between.h"
#include "tests/unit/nbd_client/world.h"

#define ROUND_TURNS 10u
#define READ_BYTES  16384u
#define READ_COST   34u /* 32 mbufs of 512 bytes, and 2 */
#define WRITES	    16u /* mbufs kept for them: the queue depth bounds it */
#define LEAST	    (5 * READ_COST + WRITES)

static struct world *ready(uint32_t most)
{
	struct world *w = world_create();

	w->cfg.quota_mbufs = most;
	w->cfg.quota_least_mbufs = LEAST;
	w->cfg.mbuf_payload_min = 512;
	world_start(w);
	world_turns(w, 50);
	assert_int_equal(world_info(w).state, VOLUME_READY);
	return w;
}

/* @reads are asked for at once; those in flight are answered together after a while. */
static void round_turn(struct world *w, unsigned reads)
{
	w->srv->held_types = 1u << NBD_CMD_READ;
	for (unsigned i = 0; i < reads; i++)
		world_ask(w, BLOCK_READ, i * READ_BYTES, READ_BYTES, 0, 0);
	world_turns(w, ROUND_TURNS - 1);
	w->srv->held_types = 0;
	world_turns(w, 1);
}

static void rounds(struct world *w, unsigned count, unsigned reads)
{
	for (unsigned i = 0; i < count; i++)
		round_turn(w, reads);
}

static void volume_credit_begins_with_the_least(void **state)
{
	struct world *w = ready(4000);

	assert_int_equal(world_info(w).credit_granted_mbufs, LEAST);
	assert_int_equal(world_info(w).credit_wanted_mbufs, LEAST);
	rounds(w, 3, 12);
	assert_int_equal(w->srv->read_bytes_open_max, 5 * READ_BYTES);
	assert_true(world_settle(w, 1000000));
	world_destroy(w);
}

static void volume_credit_wants_twice_what_a_delay_brings(void **state)
{
	struct world *w = ready(4000);
	struct volume_info i;

	rounds(w, 14, 5);
	i = world_info(w);
	assert_between(i.read_delay_us, 9000, 11000);
	assert_between(i.read_bytes_per_s, 5 * READ_BYTES * 80, 5 * READ_BYTES * 120);
	assert_between(i.credit_wanted_mbufs, 2 * 5 * READ_COST * 8 / 10,
		2 * 5 * READ_COST * 12 / 10 + WRITES);
	assert_int_equal(i.credit_granted_mbufs, LEAST); /* wanting is not having */
	volume_credit_set(w->volume, i.credit_wanted_mbufs);
	rounds(w, 2, 12);
	assert_true(w->srv->read_bytes_open_max > 8 * READ_BYTES);
	assert_true(world_settle(w, 1000000));
	world_destroy(w);
}

static void volume_credit_wants_no_more_than_its_share(void **state)
{
	struct world *w = ready(LEAST + 40);

	rounds(w, 14, 5);
	assert_int_equal(world_info(w).credit_wanted_mbufs, LEAST + 40);
	assert_true(world_settle(w, 1000000));
	world_destroy(w);
}

static void volume_credit_wants_no_more_for_one_read_at_a_time(void **state)
{
	struct world *w = ready(4000);

	rounds(w, 14, 1);
	assert_int_equal(world_info(w).credit_wanted_mbufs, LEAST);
	world_destroy(w);
}

static void volume_credit_taken_back_is_paid_by_what_comes_home(void **state)
{
	struct world *w = ready(4000);
	unsigned write;

	volume_credit_set(w->volume, 2 * LEAST);
	w->srv->held_types = 1u << NBD_CMD_READ;
	for (unsigned i = 0; i < 14; i++)
		world_ask(w, BLOCK_READ, i * READ_BYTES, READ_BYTES, 0, 0);
	world_turns(w, 5);
	assert_int_equal(w->srv->read_bytes_open, 10 * READ_BYTES);
	volume_credit_set(w->volume, LEAST);
	assert_true(world_info(w).is_over_credit);
	world_turns(w, 5);
	assert_int_equal(w->srv->read_bytes_open, 10 * READ_BYTES); /* nothing new is sent */
	write = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1); /* but what is written is, meanwhile */
	world_turns(w, 20);
	assert_true(w->reqs[write].is_done);
	w->srv->held_types = 0;
	assert_true(world_settle(w, 1000000));
	assert_false(world_info(w).is_over_credit);
	world_destroy(w);
}

static void volume_credit_of_reads_leaves_writes_theirs(void **state)
{
	struct world *w = ready(4000);
	unsigned write;

	w->srv->held_types = 1u << NBD_CMD_READ;
	for (unsigned i = 0; i < 12; i++)
		world_ask(w, BLOCK_READ, i * READ_BYTES, READ_BYTES, 0, 0);
	world_turns(w, 5);
	assert_int_equal(w->srv->read_bytes_open, 5 * READ_BYTES);
	write = world_ask(w, BLOCK_WRITE, 0, 4096, 0, 1);
	world_turns(w, 20);
	assert_true(w->reqs[write].is_done);
	w->srv->held_types = 0;
	assert_true(world_settle(w, 1000000));
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volume_credit_begins_with_the_least),
		cmocka_unit_test(volume_credit_wants_twice_what_a_delay_brings),
		cmocka_unit_test(volume_credit_wants_no_more_than_its_share),
		cmocka_unit_test(volume_credit_wants_no_more_for_one_read_at_a_time),
		cmocka_unit_test(volume_credit_taken_back_is_paid_by_what_comes_home),
		cmocka_unit_test(volume_credit_of_reads_leaves_writes_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
