/*
 * test_dma.c - staging memory is aligned, empty and given back whole; what is not there is refused
 *
 * DPDK's heap is the real one, of ordinary memory.
 */
#include <string.h>
#include <rte_malloc.h>
#include "dataplane/dma.h"
#include "tests/unit/mempool_reserve/pool.h"

#define BYTES (256u << 10)
#define ALIGN 4096u

/* No machine has as much, so this says what was asked for. */
static size_t most_asked;

void *__real_rte_zmalloc(const char *type, size_t bytes, unsigned align);
void *__wrap_rte_zmalloc(const char *type, size_t bytes, unsigned align);
void *__wrap_rte_zmalloc(const char *type, size_t bytes, unsigned align)
{
	most_asked = RTE_MAX(most_asked, bytes);
	return __real_rte_zmalloc(type, bytes, align);
}

static size_t heap_used(void)
{
	struct rte_malloc_socket_stats s;
	size_t used = 0;

	for (int socket = 0; socket < RTE_MAX_NUMA_NODES; socket++)
		if (rte_malloc_get_socket_stats(socket, &s) == 0)
			used += s.heap_allocsz_bytes;
	return used;
}

static void buffer_is_page_aligned_known_by_its_address_and_empty(void **state)
{
	struct error err;
	struct stream_buf *buf = dma_buf_create(BYTES, &err);

	assert_non_null(buf);
	assert_int_equal((uintptr_t)buf->base % ALIGN, 0);
	assert_int_equal(buf->iova, rte_malloc_virt2iova(buf->base));
	assert_int_equal(buf->bytes, BYTES);
	assert_true(buf->page_bytes >= ALIGN);
	for (unsigned i = 0; i < BYTES; i++)
		assert_int_equal(buf->base[i], 0);
	memset(buf->base, 0xff, BYTES); /* the whole of it is ours */
	dma_buf_destroy(buf);
}

/* Data of the device before must not show in the next one's. */
static void buffer_used_before_is_empty_again(void **state)
{
	struct error err;
	struct stream_buf *buf = dma_buf_create(BYTES, &err);

	memset(buf->base, 0xff, BYTES);
	dma_buf_destroy(buf);
	buf = dma_buf_create(BYTES, &err);
	for (unsigned i = 0; i < BYTES; i++)
		assert_int_equal(buf->base[i], 0);
	dma_buf_destroy(buf);
}

static void memory_is_given_back_whole(void **state)
{
	size_t before = heap_used();
	struct error err;
	struct stream_buf *buf = dma_buf_create(BYTES, &err);

	assert_true(heap_used() >= before + BYTES);
	dma_buf_destroy(buf);
	dma_buf_destroy(NULL);
	assert_int_equal(heap_used(), before);
}

static void more_than_there_is_is_refused_with_the_remedy(void **state)
{
	size_t before = heap_used();
	struct error err = {""};

	assert_null(dma_buf_create(1u << 30, &err));
	assert_non_null(strstr(err.text, "1024 MiB"));
	assert_non_null(strstr(err.text, "queue_depth"));
	assert_null(dma_buf_create((1ull << 32) + BYTES, &err)); /* its size has 32 bits */
	assert_true(most_asked <= UINT32_MAX);
	assert_int_equal(heap_used(), before);
}

static void outside_the_heap_nothing_of_it_is_taken(void **state)
{
	size_t before = heap_used();
	struct error err;
	struct stream_buf *buf;

	dma_from_heap(false);
	buf = dma_buf_create(BYTES, &err);
	assert_non_null(buf);
	assert_true(heap_used() < before + BYTES);
	assert_int_equal((uintptr_t)buf->base % ALIGN, 0);
	assert_int_equal(buf->bytes, BYTES);
	assert_int_equal(buf->page_bytes, 0);
	for (unsigned i = 0; i < BYTES; i++)
		assert_int_equal(buf->base[i], 0);
	memset(buf->base, 0xff, BYTES);
	dma_buf_destroy(buf);
	assert_null(dma_buf_create((1ull << 32) + BYTES, &err));
	dma_from_heap(true);
	assert_int_equal(heap_used(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffer_is_page_aligned_known_by_its_address_and_empty),
		cmocka_unit_test(buffer_used_before_is_empty_again),
		cmocka_unit_test(memory_is_given_back_whole),
		cmocka_unit_test(outside_the_heap_nothing_of_it_is_taken),
		cmocka_unit_test(more_than_there_is_is_refused_with_the_remedy),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
