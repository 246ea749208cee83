/*
 * test_volume_identity.c - what comes back must have what the device uses, and may have more
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include "tests/unit/nbd_client/world.h"

#define ALL  FAKE_FLAGS_ALL
#define MORE (NBD_FLAG_SEND_CACHE | NBD_FLAG_SEND_DF | NBD_FLAG_ROTATIONAL | (1u << 14))
#define MIB  (1u << 20)

struct export {
	uint64_t size_bytes;
	uint16_t flags;
	uint32_t block_min, block_max;
	const char *text; /* of the refusal; NULL: it is served */
};

static void export_set(struct fake_server *srv, const struct export *x)
{
	srv->size_bytes = x->size_bytes;
	srv->flags = x->flags;
	srv->block_min = x->block_min;
	srv->block_max = x->block_max;
}

/* Loses a server that is @was with a WRITE under way; it comes back as @is. Out: the request's
 * index. */
static struct world *comes_back(
	const struct export *was, const struct export *is, unsigned connections)
{
	struct world *w = world_create();

	w->cfg.connections = (uint16_t)connections;
	export_set(w->srv, was);
	world_start(w);
	world_turns(w, 50);
	assert_int_equal(world_info(w).state, VOLUME_READY);
	w->srv->is_silent = true;
	world_ask(w, BLOCK_WRITE, 0, 4096, 0, 7);
	world_turns(w, 3);
	export_set(w->srv, is);
	for (unsigned i = 0; i < w->net->opened; i++)
		fake_stream_close(&w->net->streams[i]);
	w->srv->is_silent = false;
	world_turns(w, 3000);
	return w;
}

static void refused_until_it_is_as_before(const struct export *was, const struct export *is,
	unsigned connections)
{
	struct world *w = comes_back(was, is, connections);

	assert_int_equal(world_info(w).state, VOLUME_LOST);
	assert_int_equal(w->last_type, VOLUME_EVENT_REFUSED);
	assert_has(w->last_event, is->text);
	assert_has(w->last_event, "the device and its requests wait");
	assert_false(w->reqs[0].is_done);
	export_set(w->srv, was);
	assert_true(world_settle(w, 13000000));
	assert_int_equal(w->reqs[0].result, 0);
	world_destroy(w);
}

static void less_than_the_device_uses_is_refused(void **state)
{
	static const struct export was = {MIB, ALL, 512, MIB, NULL}, less[] = {
		{MIB / 2, ALL, 512, MIB, "with 524288 bytes, it had 1048576"},
		{MIB, ALL, 4096, MIB, "blocks of 4096 to"},
		{MIB, ALL, 512, MIB / 4, "blocks of 512 to 262144 bytes"},
		{MIB, ALL & ~NBD_FLAG_SEND_FLUSH, 512, MIB, "without FLUSH"},
		{MIB, ALL & ~NBD_FLAG_SEND_FUA, 512, MIB, "without FUA"},
		{MIB, ALL & ~NBD_FLAG_SEND_TRIM, 512, MIB, "without TRIM"},
		{MIB, ALL & ~NBD_FLAG_SEND_WRITE_ZEROES, 512, MIB, "without WRITE_ZEROES"},
		{MIB, ALL | NBD_FLAG_READ_ONLY, 512, MIB, "read-only"},
	};

	for (unsigned i = 0; i < sizeof(less) / sizeof(*less); i++)
		refused_until_it_is_as_before(&was, &less[i], 1);
}

static void several_connections_need_the_promise(void **state)
{
	static const struct export was = {MIB, ALL, 512, MIB, NULL},
				   is = {MIB, ALL & ~NBD_FLAG_CAN_MULTI_CONN, 512, MIB,
					   "for one connection only"};

	refused_until_it_is_as_before(&was, &is, 2);
}

static void more_than_the_device_uses_is_served(void **state)
{
	static const struct export was = {MIB / 2, ALL, 4096, MIB / 2, NULL}, more[] = {
		{MIB / 2, ALL | MORE, 4096, MIB / 2, NULL},
		{MIB, ALL, 4096, MIB / 2, NULL},
		{MIB / 2, ALL, 512, MIB / 2, NULL},
		{MIB / 2, ALL, 4096, MIB, NULL},
		{MIB / 2, ALL & ~NBD_FLAG_CAN_MULTI_CONN, 4096, MIB / 2, NULL},
		{MIB, ALL | MORE, 512, MIB, NULL},
	};

	for (unsigned i = 0; i < sizeof(more) / sizeof(*more); i++) {
		struct world *w = comes_back(&was, &more[i], 1);

		assert_int_equal(world_info(w).state, VOLUME_READY);
		assert_true(w->reqs[0].is_done);
		assert_int_equal(w->reqs[0].result, 0);
		assert_true(world_info(w).limits.size_bytes == MIB / 2); /* as the device has it */
		assert_int_equal(world_info(w).limits.block_min, 4096);
		world_destroy(w);
	}
}

static void abilities_that_came_later_are_not_used(void **state)
{
	static const struct export was = {MIB, NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH, 512, MIB,
		NULL},
				   is = {MIB, ALL, 512, MIB, NULL};
	struct world *w = comes_back(&was, &is, 1);
	unsigned fua = world_ask(w, BLOCK_WRITE, 0, 4096, BLOCK_FUA, 1);

	assert_true(world_settle(w, 100000));
	assert_int_equal(w->reqs[fua].result, 0);
	assert_int_equal(fake_server_count(w->srv, NBD_CMD_FLUSH), 1);
	assert_false(world_info(w).limits.can_trim);
	world_destroy(w);
}

static void read_only_export_may_become_writable(void **state)
{
	static const struct export was = {MIB, ALL | NBD_FLAG_READ_ONLY, 512, MIB, NULL},
				   is = {MIB, ALL, 512, MIB, NULL};
	struct world *w = comes_back(&was, &is, 1);

	assert_int_equal(world_info(w).state, VOLUME_READY);
	assert_true(world_info(w).limits.is_read_only);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(less_than_the_device_uses_is_refused),
		cmocka_unit_test(several_connections_need_the_promise),
		cmocka_unit_test(more_than_the_device_uses_is_served),
		cmocka_unit_test(abilities_that_came_later_are_not_used),
		cmocka_unit_test(read_only_export_may_become_writable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
