/*
 * test_volume_again.c - READs in any number of chunks in any order, and requests that are too long
 */
#include "tests/unit/nbd_client/check.h"
#include <errno.h>
#include "nbd_client/nbd_conn.h"
#include "tests/unit/between.h"
#include "tests/unit/nbd_client/world.h"

static struct world *ready(struct world *w)
{
	world_start(w);
	assert_true(world_until(w, VOLUME_READY, 100000));
	for (uint32_t i = 0; i < w->srv->size_bytes; i++)
		w->srv->disk[i] = (uint8_t)(i * 2654435761u >> 24);
	return w;
}

static void read_is_right(struct world *w, uint64_t offset, uint32_t bytes)
{
	unsigned r = world_ask(w, BLOCK_READ, offset, bytes, 0, 0xee);

	assert_true(world_settle(w, 5000000));
	assert_int_equal(w->reqs[r].result, 0);
	assert_int_equal(w->reqs[r].done_count, 1);
	assert_memory_equal(world_data(w, r), w->srv->disk + offset, bytes);
	assert_int_equal(world_info(w).protocol_errors, 0);
	assert_int_equal(world_info(w).reconnects, 0);
	assert_int_equal(world_info(w).replayed, 0);
}

/* 128 chunks of 4 KiB up to 1024 of 512 bytes: far more than a request has places for. */
static void volume_takes_a_read_in_any_number_of_chunks_in_any_order(void **state)
{
	for (unsigned i = 0; i < 2 * ORDER_COUNT; i++) {
		struct world *w = world_create();

		w->srv->shape = SHAPE_CHUNKS;
		w->srv->chunk_bytes = i < ORDER_COUNT ? 4096 : 512;
		w->srv->order = (enum fake_order)(i % ORDER_COUNT);
		w->srv->chunk_seed = i;
		w->cfg.io_bytes_max = 512 * 1024;
		ready(w);
		read_is_right(w, 4096, 512 * 1024);
		assert_between(
			fake_server_count(w->srv, NBD_CMD_READ), 1, i < ORDER_COUNT ? 2 : 12);
		world_destroy(w);
	}
}

/* Chunks that are no sectors, and a server that insists on blocks of 4 KiB: asks keep to them. */
static void volume_asks_again_in_whole_blocks(void **state)
{
	for (unsigned i = 0; i < ORDER_COUNT; i++) {
		struct world *w = world_create();

		w->srv->shape = SHAPE_CHUNKS;
		w->srv->chunk_bytes = 37;
		w->srv->order = (enum fake_order)i;
		w->srv->block_min = w->srv->block_pref = 4096;
		w->srv->block_max = 1u << 20;
		ready(w);
		read_is_right(w, 8192, 65536);
		for (unsigned k = 0; k < w->srv->cmd_count; k++)
			assert_int_equal(
				(w->srv->cmds[k].offset | w->srv->cmds[k].bytes) % 4096, 0);
		assert_true(i == ORDER_UP || i == ORDER_DOWN || w->srv->cmd_count > 1);
		world_destroy(w);
	}
}

/* Of the chunk that was cut only a part came, so its range counts no more. */
static void volume_reads_all_again_after_a_cut_in_any_ask(void **state)
{
	for (size_t cut = 10000; cut < 110000; cut += 1501) {
		struct world *w = world_create();
		unsigned r, k = 0;

		w->srv->shape = SHAPE_CHUNKS;
		w->srv->chunk_bytes = 128;
		w->srv->order = ORDER_EVEN_ODD;
		w->net->cut_to_client = cut;
		ready(w);
		r = world_ask(w, BLOCK_READ, 0, 65536, 0, 0xee);
		assert_true(world_settle(w, 20000000));
		assert_int_equal(w->reqs[r].result, 0);
		assert_memory_equal(world_data(w, r), w->srv->disk, 65536);
		assert_int_equal(world_info(w).reconnects, 1);
		while (w->srv->cmds[k].stream == w->srv->cmds[0].stream)
			k++;
		assert_int_equal(w->srv->cmds[k].bytes, 65536);
		world_destroy(w);
	}
}

static void volume_reads_refused_as_too_long_are_split(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct world *w = world_create();
		unsigned first;

		w->srv->knows_structured = i == 0;
		w->srv->too_long_bytes = 40000;
		w->srv->too_long_error = NBD_EOVERFLOW;
		ready(w);
		read_is_right(w, 4096, 262144);
		assert_has(w->last_event, "pieces of 32768 bytes");
		first = w->srv->cmd_count;
		assert_int_equal(
			first, 3 + 8); /* 256, 128, 64 KiB are refused; then eight pieces */
		read_is_right(w, 0, 262144);
		assert_int_equal(w->srv->cmd_count - first, 8); /* the search is made once */
		world_destroy(w);
	}
}

static void volume_read_of_a_block_refused_as_too_long_is_eio(void **state)
{
	struct world *w = world_create();
	unsigned r;

	w->srv->too_long_bytes = 100;
	w->srv->too_long_error = NBD_EOVERFLOW;
	ready(w);
	r = world_ask(w, BLOCK_READ, 0, 65536, 0, 0);
	assert_true(world_settle(w, 1000000));
	assert_int_equal(w->reqs[r].result, -EIO);
	assert_int_equal(w->srv->cmd_count, 8); /* 64 KiB down to 512 bytes */
	assert_int_equal(world_info(w).reconnects, 0);
	world_destroy(w);
}

/* EINVAL says it too, of a request with more bytes than
 * any payload; a FLUSH waits for all pieces. */
static void volume_trims_and_zeroes_refused_as_too_long_are_split(void **state)
{
	static const uint32_t errors[] = {NBD_EOVERFLOW, NBD_EINVAL};

	for (unsigned i = 0; i < 4; i++) {
		struct world *w = world_create();
		enum block_op op = i % 2 ? BLOCK_TRIM : BLOCK_WRITE_ZEROES;
		unsigned r, f;

		w->srv->block_min = w->srv->block_pref = 512;
		w->srv->block_max = 65536;
		w->srv->too_long_bytes = 65536;
		w->srv->too_long_error = errors[i / 2];
		ready(w);
		r = world_ask(w, op, 0, 1u << 20, 0, 0);
		f = world_ask(w, BLOCK_FLUSH, 0, 0, 0, 0);
		assert_true(world_settle(w, 5000000));
		assert_int_equal(w->reqs[r].result, 0);
		assert_int_equal(w->reqs[f].result, 0);
		assert_int_equal(w->srv->cmd_count, 4 + 16 + 1);
		assert_int_equal(w->srv->cmds[20].type, NBD_CMD_FLUSH);
		for (uint32_t b = 0; b < w->srv->size_bytes; b++)
			assert_int_equal(w->srv->disk[b], 0);
		world_destroy(w);
	}
}

/* An EINVAL of what is not long, and an EOVERFLOW of a WRITE, are the answer. */
static void volume_other_refusals_are_final(void **state)
{
	struct world *w = world_create();
	unsigned zeroes, write;

	w->srv->too_long_bytes = 512;
	w->srv->too_long_error = NBD_EINVAL;
	w->srv->error = NBD_EOVERFLOW;
	w->srv->error_type = NBD_CMD_WRITE;
	ready(w);
	zeroes = world_ask(w, BLOCK_WRITE_ZEROES, 0, 65536, 0, 0);
	write = world_ask(w, BLOCK_WRITE, 0, 65536, 0, 1);
	assert_true(world_settle(w, 1000000));
	assert_int_equal(w->reqs[zeroes].result, -EINVAL);
	assert_int_equal(w->reqs[write].result, -EOVERFLOW);
	assert_int_equal(w->srv->cmd_count, 2);
	world_destroy(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volume_takes_a_read_in_any_number_of_chunks_in_any_order),
		cmocka_unit_test(volume_asks_again_in_whole_blocks),
		cmocka_unit_test(volume_reads_all_again_after_a_cut_in_any_ask),
		cmocka_unit_test(volume_reads_refused_as_too_long_are_split),
		cmocka_unit_test(volume_read_of_a_block_refused_as_too_long_is_eio),
		cmocka_unit_test(volume_trims_and_zeroes_refused_as_too_long_are_split),
		cmocka_unit_test(volume_other_refusals_are_final),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
