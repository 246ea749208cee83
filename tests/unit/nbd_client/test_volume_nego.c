/*
 * test_volume_nego.c - servers a volume cannot use, each with its one line; and what it can
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include <stdlib.h>
#include "tests/unit/nbd_client/world.h"

/* Starts @w and expects it to give up, saying @text. */
static void refused(struct world *w, const char *text)
{
	world_start(w);
	assert_true(world_until(w, VOLUME_FAILED, 20000000));
	assert_has(world_info(w).error, text);
	assert_has(w->last_event, text);
	assert_has(w->last_event, "10.0.0.");
	world_destroy(w);
}

static void volume_refusals_say_what_to_do(void **state)
{
	struct world *w = world_create();

	w->srv->is_garbage = true;
	refused(w, "not an NBD server");
	w = world_create();
	w->srv->is_oldstyle = true;
	refused(w, "oldstyle");
	w = world_create();
	w->srv->every_option_error = (uint32_t)NBD_REP_ERR_TLS_REQD;
	refused(w, "requires TLS");
	w = world_create();
	w->srv->option_error = (uint32_t)NBD_REP_ERR_UNKNOWN;
	refused(w, "no export ''");
	w = world_create();
	w->net->syn_error = -ECONNREFUSED;
	refused(w, "connection refused; start the server");
	w = world_create();
	w->net->connect_error = -ENETUNREACH;
	refused(w, "network unreachable");
	w = world_create();
	w->net->is_deaf = true;
	refused(w, "no answer");
}

static void volume_sizes_that_are_no_disk_are_refused(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t min, max;
		const char *text;
	} cases[] = {
		{0, 512, 1 << 20, "size is 0"},
		{1ull << 63, 512, 1 << 20, "more than any disk has"},
		{511, 1, 1 << 20, "511 bytes) is less than one block of 512"},
		{1 << 16, 1 << 16, 1 << 20, NULL},
		{4095, 4096, 1 << 20, "4095 bytes) is less than one block of 4096"},
		{1 << 20, 1, 256, "smaller than a block"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_create();

		w->srv->size_bytes = cases[i].size;
		w->srv->block_min = cases[i].min;
		w->srv->block_max = cases[i].max;
		if (cases[i].text) {
			refused(w, cases[i].text);
			continue;
		}
		world_start(w);
		assert_true(world_until(w, VOLUME_READY, 100000));
		assert_int_equal(world_info(w).limits.block_min, 1 << 16);
		world_destroy(w);
	}
}

static void volume_serves_the_whole_blocks_of_a_size_between(void **state)
{
	static const struct {
		uint64_t size, served;
		uint32_t min;
		const char *text;
	} cases[] = {
		{1000, 512, 1, "the last 488 bytes of the export are not served"},
		{(1 << 20) + 1, 1 << 20, 512, "the last 1 bytes"},
		{(1 << 20) - 512, (1 << 20) - 4096, 4096, "no multiple of 4096"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world_create();

		w->srv->size_bytes = cases[i].size;
		w->srv->block_min = cases[i].min;
		world_start(w);
		assert_true(world_until(w, VOLUME_READY, 100000));
		assert_int_equal(world_info(w).limits.size_bytes, cases[i].served);
		assert_has(w->last_event, cases[i].text);
		world_destroy(w);
	}
}

static void volume_block_that_never_fits_the_quota_is_refused(void **state)
{
	struct world *w = world_create();

	w->srv->block_min = 65536;
	w->cfg.quota_mbufs = 100;
	w->cfg.mbuf_payload_min = 512;
	refused(w, "needs 130 mbufs");
}

static void volume_silence_in_the_handshake_has_a_deadline(void **state)
{
	struct world *w = world_create();
	uint64_t start = w->now_us;

	w->net->drip_bytes = 0;
	w->srv->phase[0] = 4; /* accepts and says nothing */
	world_start(w);
	assert_true(world_until(w, VOLUME_FAILED, 20000000));
	assert_true(w->now_us - start <= 2 * w->cfg.connect_us + 10000);
	assert_has(w->last_event, "no handshake in time");
	assert_int_equal(world_info(w).timeouts, 1);
	world_destroy(w);
}

static void volume_old_servers_are_asked_by_export_name(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		struct world *w = world_create();
		unsigned r;

		w->srv->is_plain_newstyle = i < 2;
		w->srv->knows_go = false;
		w->srv->has_no_zeroes = i % 2;
		world_start(w);
		assert_true(world_until(w, VOLUME_READY, 100000));
		assert_int_equal(world_info(w).structured, i >= 2);
		assert_false(world_info(w).has_block_size);
		memset(w->srv->disk, 9, 4096);
		r = world_ask(w, BLOCK_READ, 0, 4096, 0, 0);
		assert_true(world_settle(w, 100000));
		assert_memory_equal(world_data(w, r), w->srv->disk, 4096);
		world_destroy(w);
	}
}

static void volume_turns_to_the_next_address(void **state)
{
	struct world *w = world_create();

	w->cfg.servers.count = 2;
	w->srv->phase[0] = 4; /* the first accepts and says nothing */
	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 20000000));
	assert_int_equal(w->net->opened, 2);
	assert_int_equal(w->net->streams[0].target.ip.addr[3], 2);
	assert_int_equal(w->net->streams[1].target.ip.addr[3], 3);
	assert_string_equal(world_info(w).server, "10.0.0.3:10809");
	world_destroy(w);
}

static void volume_opens_more_connections_only_where_allowed(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = world_create();

		w->cfg.connections = 4;
		if (i == 0)
			w->srv->flags &= (uint16_t)~NBD_FLAG_CAN_MULTI_CONN;
		world_start(w);
		world_turns(w, 100);
		assert_int_equal(w->net->opened, i == 0 ? 1 : 4);
		assert_int_equal(world_info(w).conn_ready, i == 0 ? 1 : 4);
		world_destroy(w);
	}
}

static void volume_stream_targets_carry_what_is_configured(void **state)
{
	struct world *w = world_create();
	const struct stream_target *t = &w->net->streams[0].target;

	w->cfg.owner[0] = 17;
	w->cfg.owner_ooo[0] = 18;
	w->cfg.quota_mbufs = 1000;
	strcpy(w->cfg.cc, "dctcp");
	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	assert_int_equal(t->owner, 17);
	assert_int_equal(t->owner_ooo, 18);
	assert_int_equal(t->quota_mbufs, 1000);
	assert_string_equal(t->cc, "dctcp");
	assert_true(t->send_bytes_max >= 2 * w->cfg.io_bytes_max);
	world_destroy(w);
}

static void volume_probe_lists_asks_and_leaves(void **state)
{
	struct world *w = world_create();
	const struct volume_probe *p;

	w->cfg.probe_only = true;
	world_start(w);
	assert_true(world_until(w, VOLUME_GONE, 100000));
	world_turns(w, 2);
	p = volume_probe(w->volume);
	assert_true(p->has_export && p->has_list);
	assert_int_equal(p->export_count, 2);
	assert_string_equal(p->text + p->exports[0].name_at, "first");
	assert_string_equal(p->text + p->exports[1].name_at, "second");
	assert_string_equal(p->text + p->exports[1].description_at, "with a text");
	assert_int_equal(world_info(w).limits.size_bytes, 1 << 20);
	assert_int_equal(world_info(w).nbd_flags, FAKE_FLAGS_ALL);
	assert_int_equal(w->srv->abort_count, 1);
	assert_true(w->net->streams[0].is_shut);
	world_destroy(w);
}

static void volume_probe_of_a_wrong_name_still_lists(void **state)
{
	struct world *w = world_create();

	w->cfg.probe_only = true;
	strcpy(w->cfg.uris[0].export_name, "wrong");
	w->srv->option_error = (uint32_t)NBD_REP_ERR_UNKNOWN;
	world_start(w);
	assert_true(world_until(w, VOLUME_FAILED, 100000));
	assert_has(w->last_event, "no export 'wrong'");
	assert_false(volume_probe(w->volume)->has_export);
	assert_int_equal(volume_probe(w->volume)->export_count, 2);
	world_destroy(w);
}

/* Without a name it asks what there is, and the list is an answer; not so where TLS is required. */
static void volume_probe_of_no_name_is_content_with_the_list(void **state)
{
	static const int errors[] = {NBD_REP_ERR_UNKNOWN, NBD_REP_ERR_POLICY, NBD_REP_ERR_INVALID,
		NBD_REP_ERR_TLS_REQD};

	for (unsigned i = 0; i < 4; i++) {
		struct world *w = world_create();

		w->cfg.probe_only = true;
		w->srv->option_error = (uint32_t)errors[i];
		world_start(w);
		assert_true(world_until(w, i < 3 ? VOLUME_GONE : VOLUME_FAILED, 100000));
		assert_false(volume_probe(w->volume)->has_export);
		assert_true(volume_probe(w->volume)->has_list);
		assert_int_equal(volume_probe(w->volume)->export_count, 2);
		assert_true(i == 3 || (world_info(w).is_fixed && world_info(w).structured));
		assert_int_equal(w->srv->abort_count, 1);
		world_destroy(w);
	}
}

/* As nbd-server does: INFO answers 0. */
static void volume_probe_asks_go_where_info_tells_no_size(void **state)
{
	struct world *w = world_create();

	w->cfg.probe_only = true;
	w->srv->tells_size_by_go_only = true;
	world_start(w);
	assert_true(world_until(w, VOLUME_GONE, 100000));
	assert_int_equal(volume_probe(w->volume)->size_bytes, 1 << 20);
	assert_int_equal(w->srv->disc_count, 1);
	assert_int_equal(w->srv->abort_count, 0);
	world_destroy(w);
}

/* Names of every length up to the protocol's bound, and more of them than are kept. */
static void volume_probe_keeps_names_whole_and_counts_the_rest(void **state)
{
	struct world *w = world_create();
	const struct volume_probe *p;

	w->cfg.probe_only = true;
	w->srv->listed_count = 300;
	world_start(w);
	assert_true(world_until(w, VOLUME_GONE, 1000000));
	p = volume_probe(w->volume);
	assert_int_equal(p->export_total, 300);
	assert_true(p->export_count > 64 && p->export_count < 300); /* 300 of 4 KiB do not fit */
	for (unsigned i = 0; i < 120; i++) {
		assert_int_equal(strlen(p->text + p->exports[i].name_at), fake_name_bytes(i));
		assert_int_equal(p->text[p->exports[i].description_at], 0);
	}
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volume_refusals_say_what_to_do),
		cmocka_unit_test(volume_sizes_that_are_no_disk_are_refused),
		cmocka_unit_test(volume_serves_the_whole_blocks_of_a_size_between),
		cmocka_unit_test(volume_block_that_never_fits_the_quota_is_refused),
		cmocka_unit_test(volume_silence_in_the_handshake_has_a_deadline),
		cmocka_unit_test(volume_old_servers_are_asked_by_export_name),
		cmocka_unit_test(volume_turns_to_the_next_address),
		cmocka_unit_test(volume_opens_more_connections_only_where_allowed),
		cmocka_unit_test(volume_stream_targets_carry_what_is_configured),
		cmocka_unit_test(volume_probe_lists_asks_and_leaves),
		cmocka_unit_test(volume_probe_of_a_wrong_name_still_lists),
		cmocka_unit_test(volume_probe_of_no_name_is_content_with_the_list),
		cmocka_unit_test(volume_probe_asks_go_where_info_tells_no_size),
		cmocka_unit_test(volume_probe_keeps_names_whole_and_counts_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
