/*
 * test_device_credit.c - read credits follow what a device could use, and the floor follows the
 * credits
 *
 * At no time may a worker grant its connections more than the sum holds: growing raises the
 * floor first, shrinking lowers it last.
 */
#include "tests/unit/daemon/engine_world.h"

#define LOOK_US	  (SECOND_US / 5) /* two looks */
#define SHRINK_US (11 * SECOND_US)

static struct volume *volume;
static uint32_t least;

static uint32_t floor_now(void)
{
	uint32_t total, floor;

	engine_sum(world, 0, &total, &floor);
	return floor;
}

static void serving(void)
{
	const struct config_volume v = world_volume(VOLUME, 1);
	struct device_info info;

	world_cfg.reserve.normal = 4096;
	world_make(1);
	world_serve(&v, FRONT_UBLK);
	volume = fake_volume(fake_workers[0], 0);
	assert_int_equal(engine_device_list(world, &info, 1), 1);
	least = info.quota_least_mbufs;
	assert_int_equal(fake_volume_credit(volume), least);
}

/* It reads all the time, and could use @mbufs. */
static void reads_for(uint64_t us, uint32_t mbufs)
{
	static uint64_t ops;

	fake_volume_wants(volume, mbufs, false);
	for (uint64_t at = 0; at < us; at += LOOK_US / 2) {
		fake_volume_ops(volume, BLOCK_READ, ++ops);
		world_run(LOOK_US / 2);
	}
}

static void device_that_could_use_more_is_granted_it_and_the_floor_rises(void **state)
{
	uint32_t floor;

	serving();
	floor = floor_now();
	reads_for(SECOND_US, 2 * least);
	assert_true(fake_volume_credit(volume) >= 2 * least);
	assert_true(floor_now() >= floor + least);
}

static void floor_rises_although_the_worker_has_not_heard_of_it_yet(void **state)
{
	uint32_t floor;

	serving();
	floor = floor_now();
	fake_workers[0]->is_mute = true;
	reads_for(SECOND_US, 2 * least);
	assert_int_equal(fake_volume_credit(volume), least);
	assert_true(floor_now() >= floor + least);
	fake_workers[0]->is_mute = false;
	reads_for(SECOND_US, 2 * least);
	assert_true(fake_volume_credit(volume) >= 2 * least);
}

static void growth_is_told_later_where_the_command_ring_was_full(void **state)
{
	serving();
	fake_workers[0]->room = 0;
	reads_for(SECOND_US, 2 * least);
	assert_int_equal(fake_volume_credit(volume), least);
	fake_workers[0]->room = FAKE_RING_MAX;
	reads_for(SECOND_US, 2 * least);
	assert_true(fake_volume_credit(volume) >= 2 * least);
}

static void growth_leaves_room_for_others(void **state)
{
	uint32_t total, floor;

	serving();
	reads_for(SECOND_US, UINT32_MAX / 2);
	engine_sum(world, 0, &total, &floor);
	assert_true(fake_volume_credit(volume) > least);
	assert_true(floor + world_cfg.reserve.normal / 2 <= total);
}

static void small_growth_is_not_worth_a_change(void **state)
{
	serving();
	reads_for(SECOND_US, least + least / 16);
	assert_int_equal(fake_volume_credit(volume), least);
	assert_int_equal(fake_workers[0]->carried[WORKER_CREDIT_SET], 0);
}

static void device_that_reads_nothing_goes_back_to_the_least(void **state)
{
	uint32_t floor;

	serving();
	floor = floor_now();
	reads_for(SECOND_US, 2 * least);
	world_run(2 * SHRINK_US);
	assert_int_equal(fake_volume_credit(volume), least);
	assert_int_equal(floor_now(), floor);
}

static void brief_pause_costs_no_credit(void **state)
{
	serving();
	reads_for(SECOND_US, 2 * least);
	world_run(5 * SECOND_US);
	assert_true(fake_volume_credit(volume) >= 2 * least);
}

static void floor_falls_only_when_what_is_in_flight_fits(void **state)
{
	uint32_t grown;

	serving();
	reads_for(SECOND_US, 2 * least);
	grown = floor_now();
	fake_volume_wants(volume, 0, true);
	world_run(2 * SHRINK_US);
	assert_int_equal(fake_volume_credit(volume), least);
	assert_int_equal(floor_now(), grown);
	fake_volume_wants(volume, 0, false);
	world_run(LOOK_US);
	assert_true(floor_now() < grown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(device_that_could_use_more_is_granted_it_and_the_floor_rises),
		world_test(floor_rises_although_the_worker_has_not_heard_of_it_yet),
		world_test(growth_is_told_later_where_the_command_ring_was_full),
		world_test(growth_leaves_room_for_others),
		world_test(small_growth_is_not_worth_a_change),
		world_test(device_that_reads_nothing_goes_back_to_the_least),
		world_test(brief_pause_costs_no_credit),
		world_test(floor_falls_only_when_what_is_in_flight_fits),
	};

	return cmocka_run_group_tests(tests, eal_world_start, eal_world_stop);
}
