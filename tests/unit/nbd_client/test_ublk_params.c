/*
 * test_ublk_params.c - an export's limits become exactly these queue limits, or a clear refusal
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "nbd_client/ublk/ublk_priv.h"

static struct ublk_config plain(void)
{
	return (struct ublk_config){
		.dev_id = -1,
		.queue_depth = 64,
		.io_bytes_max = 512 << 10,
		.limits = {.size_bytes = 1 << 30, .block_min = 512, .block_pref = 4096},
	};
}

static struct ublk_params filled(const struct ublk_config *cfg)
{
	struct ublk_params p;
	struct error err = {""};

	assert_int_equal(ublk_params_fill(cfg, &p, &err), 0);
	return p;
}

static void refused(const struct ublk_config *cfg, const char *word)
{
	struct ublk_params p;
	struct error err = {""};

	assert_int_equal(ublk_params_fill(cfg, &p, &err), -EINVAL);
	if (!strstr(err.text, word))
		fail_msg("\"%s\" does not say \"%s\"", err.text, word);
}

static void sizes_map_to_shifts_and_sectors(void **state)
{
	struct ublk_config cfg = plain();
	struct ublk_params p = filled(&cfg);

	assert_int_equal(p.len, sizeof(p));
	assert_int_equal(p.types, UBLK_PARAM_TYPE_BASIC);
	assert_int_equal(p.basic.attrs, 0);
	assert_int_equal(p.basic.logical_bs_shift, 9);
	assert_int_equal(p.basic.physical_bs_shift, 12);
	assert_int_equal(p.basic.io_min_shift, 12);
	assert_int_equal(p.basic.io_opt_shift, 19);
	assert_int_equal(p.basic.max_sectors, 1024);
	assert_int_equal(p.basic.dev_sectors, (1 << 30) / 512);
}

static void server_block_becomes_logical_block(void **state)
{
	struct ublk_config cfg = plain();
	struct ublk_params p;

	cfg.limits.block_min = 4096;
	cfg.limits.block_pref = 65536;
	p = filled(&cfg);
	assert_int_equal(p.basic.logical_bs_shift, 12);
	assert_int_equal(p.basic.physical_bs_shift, 12);
	assert_int_equal(p.basic.io_min_shift, 16);
}

static void block_of_one_byte_becomes_a_sector(void **state)
{
	struct ublk_config cfg = plain();
	struct ublk_params p;

	cfg.limits.block_min = 1;
	cfg.limits.block_pref = 0;
	p = filled(&cfg);
	assert_int_equal(p.basic.logical_bs_shift, 9);
	assert_int_equal(p.basic.physical_bs_shift, 9);
}

static void server_payload_limit_caps_requests_in_whole_blocks(void **state)
{
	struct ublk_config cfg = plain();
	struct ublk_params p;

	cfg.limits.block_min = 4096;
	cfg.limits.io_bytes_max = 100000;
	p = filled(&cfg);
	assert_int_equal(p.basic.max_sectors, 100000 / 4096 * 8);
	assert_int_equal(p.basic.io_opt_shift, 16);
}

static void cache_is_volatile_exactly_when_server_flushes(void **state)
{
	struct ublk_config cfg = plain();

	cfg.limits.can_fua = true;
	assert_int_equal(filled(&cfg).basic.attrs, 0); /* FUA counts only with a cache */
	cfg.limits.can_flush = true;
	assert_int_equal(filled(&cfg).basic.attrs, UBLK_ATTR_VOLATILE_CACHE | UBLK_ATTR_FUA);
	cfg.limits.can_fua = false;
	assert_int_equal(filled(&cfg).basic.attrs, UBLK_ATTR_VOLATILE_CACHE);
}

static void read_only_and_rotational_are_attributes(void **state)
{
	struct ublk_config cfg = plain();

	cfg.limits.is_read_only = cfg.limits.is_rotational = true;
	assert_int_equal(filled(&cfg).basic.attrs, UBLK_ATTR_READ_ONLY | UBLK_ATTR_ROTATIONAL);
}

static void discard_is_offered_with_what_the_driver_insists_on(void **state)
{
	struct ublk_config cfg = plain();
	struct ublk_params p;

	cfg.limits.can_trim = true;
	cfg.limits.trim_bytes_max = 64 << 20;
	cfg.limits.trim_granularity = 65536;
	p = filled(&cfg);
	assert_int_equal(p.types, UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_DISCARD);
	assert_int_equal(p.discard.discard_granularity, 65536);
	assert_int_equal(p.discard.max_discard_sectors, (64 << 20) / 512);
	assert_int_equal(p.discard.max_discard_segments, 1);
	assert_int_equal(p.discard.max_write_zeroes_sectors, 0);
}

static void write_zeroes_alone_still_needs_the_discard_part(void **state)
{
	struct ublk_config cfg = plain();
	struct ublk_params p;

	cfg.limits.can_write_zeroes = true;
	p = filled(&cfg);
	assert_true(p.types & UBLK_PARAM_TYPE_DISCARD);
	assert_int_equal(p.discard.discard_granularity, 512);
	assert_int_equal(p.discard.max_discard_sectors, 0);
	/* No limit said: what a 32-bit length can carry. */
	assert_int_equal(p.discard.max_write_zeroes_sectors, UINT32_MAX / 512);
}

static void read_only_offers_no_discard(void **state)
{
	struct ublk_config cfg = plain();
	struct ublk_params p;

	cfg.limits.can_trim = cfg.limits.can_write_zeroes = cfg.limits.is_read_only = true;
	p = filled(&cfg);
	assert_int_equal(p.discard.max_discard_sectors, 0);
	assert_int_equal(p.discard.max_write_zeroes_sectors, 0);
}

static void what_a_block_device_cannot_be_is_refused_in_words(void **state)
{
	struct ublk_config cfg = plain();

	cfg.limits.block_min = 65536;
	refused(&cfg, "minimum block size");
	cfg.limits.block_min = 1536;
	refused(&cfg, "power of two");
	cfg = plain();
	cfg.limits.size_bytes = 0;
	refused(&cfg, "empty");
	cfg.limits.size_bytes = (1 << 20) + 1;
	refused(&cfg, "not a multiple");
	cfg = plain();
	cfg.limits.block_min = 4096;
	cfg.limits.size_bytes = (1 << 20) + 512;
	refused(&cfg, "not a multiple");
	cfg = plain();
	cfg.io_bytes_max = 5000;
	refused(&cfg, "multiple of 4096");
	cfg.io_bytes_max = 2 * IO_BYTES_MAX;
	refused(&cfg, "at most");
	cfg = plain();
	cfg.limits.io_bytes_max = 2048;
	refused(&cfg, "requests of 2048 bytes");
	cfg = plain();
	cfg.queue_depth = 0;
	refused(&cfg, "depth");
	cfg.queue_depth = QUEUE_DEPTH_MAX + 1;
	refused(&cfg, "depth");
}

static void taken_over_device_must_fit_the_export(void **state)
{
	struct ublk_config cfg = plain();
	struct ublk_params have, want;
	struct error err = {""};

	cfg.limits.can_flush = true;
	have = filled(&cfg);
	assert_int_equal(ublk_params_match(&have, &have, &err), 0);
	cfg.limits.can_fua = true; /* more than the device uses is fine */
	want = filled(&cfg);
	assert_int_equal(ublk_params_match(&have, &want, &err), 0);
	assert_int_equal(ublk_params_match(&want, &have, &err), -EINVAL);
	cfg.limits.can_flush = cfg.limits.can_fua = false;
	want = filled(&cfg);
	assert_int_equal(ublk_params_match(&have, &want, &err), -EINVAL);
	assert_non_null(strstr(err.text, "uses FLUSH"));
	cfg = plain();
	cfg.limits.can_flush = true;
	cfg.limits.size_bytes *= 2;
	want = filled(&cfg);
	assert_int_equal(ublk_params_match(&have, &want, &err), 0); /* it keeps its size */
	assert_int_equal(ublk_params_match(&want, &have, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not the same disk"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_map_to_shifts_and_sectors),
		cmocka_unit_test(server_block_becomes_logical_block),
		cmocka_unit_test(block_of_one_byte_becomes_a_sector),
		cmocka_unit_test(server_payload_limit_caps_requests_in_whole_blocks),
		cmocka_unit_test(cache_is_volatile_exactly_when_server_flushes),
		cmocka_unit_test(read_only_and_rotational_are_attributes),
		cmocka_unit_test(discard_is_offered_with_what_the_driver_insists_on),
		cmocka_unit_test(write_zeroes_alone_still_needs_the_discard_part),
		cmocka_unit_test(read_only_offers_no_discard),
		cmocka_unit_test(what_a_block_device_cannot_be_is_refused_in_words),
		cmocka_unit_test(taken_over_device_must_fit_the_export),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
