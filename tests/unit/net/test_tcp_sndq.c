/*
 * test_tcp_sndq.c - how queued bytes become the segments of a packet
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include "dataplane/net/net_impl.h"
#include "dataplane/net/tcp/tcp_sndq.h"

#define PAGE	  4096u
#define PAGES	  8u
#define IOVA_BASE 0x7000000000ull
#define SEG_MAX	  24u

static struct net net;
static struct tcp_sndq queue;
static struct tcp_chunk chunks[STREAM_CHUNK_MAX];
static _Alignas(PAGE) uint8_t memory[PAGES * PAGE];
static struct stream_buf buf;

static int eal_start(void **state)
{
	static char arg[][24] = {"test", "--no-huge", "-m", "64", "--no-pci", "--no-shconf",
		"--iova-mode=va", "--no-telemetry", "--log-level=error", "-l", "0"};
	char *argv[RTE_DIM(arg) + 1] = {0};
	const struct reserve_config hdr = {.name = "hdr",
		.total_count = 63,
		.data_bytes = RTE_PKTMBUF_HEADROOM + 256,
		.socket = SOCKET_ID_ANY};

	for (size_t i = 0; i < RTE_DIM(arg); i++)
		argv[i] = arg[i];
	if (rte_eal_init((int)RTE_DIM(arg), argv) < 0)
		return -1;
	net.cfg.hdr_pool = reserve_create(&hdr);
	net.cfg.ext_pool = rte_pktmbuf_pool_create_by_ops(
		"ext", 63, 0, NET_EXT_PRIV_BYTES, 0, SOCKET_ID_ANY, "stack");
	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)(i * 167 + (i >> 8));
	return net.cfg.hdr_pool && net.cfg.ext_pool ? 0 : -1;
}

static int eal_stop(void **state)
{
	reserve_destroy(net.cfg.hdr_pool);
	rte_mempool_free(net.cfg.ext_pool);
	return rte_eal_cleanup();
}

/* An empty queue, over memory in pages of @page_bytes. */
static void queue_make(uint64_t page_bytes)
{
	queue = (struct tcp_sndq){
		.chunks = chunks, .count_max = STREAM_CHUNK_MAX, .bytes_max = 1u << 20};
	buf = (struct stream_buf){.base = memory,
		.iova = IOVA_BASE,
		.bytes = sizeof(memory),
		.page_bytes = page_bytes};
}

/* A packet of @len bytes from @off on; in @got how many it became. */
static struct rte_mbuf *packet(uint64_t off, uint32_t len, uint32_t seg_max, uint32_t *got)
{
	struct rte_mbuf *m = net_hdr_alloc(&net);

	assert_non_null(m);
	*got = tcp_sndq_fill(&net, &queue, m, off, len, seg_max);
	assert_int_equal(m->pkt_len, *got);
	rte_mbuf_sanity_check(m, 1);
	return m;
}

/* The packet's bytes are those of memory from @at on. */
static void bytes_check(const struct rte_mbuf *m, uint32_t at)
{
	for (; m; m = m->next) {
		assert_memory_equal(rte_pktmbuf_mtod(m, const uint8_t *), memory + at, m->data_len);
		at += m->data_len;
	}
}

static void fill_attaches_what_lies_in_one_page_in_one_piece(void **state)
{
	uint32_t got;
	struct rte_mbuf *m;

	queue_make(PAGE);
	tcp_sndq_push_buf(&queue, &buf, memory, PAGE);
	m = packet(0, PAGE, SEG_MAX, &got);
	assert_int_equal(got, PAGE);
	assert_int_equal(m->nb_segs, 2);
	bytes_check(m->next, 0);
	rte_pktmbuf_free(m);
}

static void fill_lets_no_piece_cross_a_page(void **state)
{
	const uint32_t at = 100, len = 3 * PAGE + 50;
	struct rte_mbuf *m;
	uint32_t got;

	queue_make(PAGE);
	tcp_sndq_push_buf(&queue, &buf, memory + at, len);
	m = packet(0, len, SEG_MAX, &got);
	assert_int_equal(got, len);
	assert_int_equal(m->nb_segs, 5);
	assert_int_equal(buf.refs, 4);
	bytes_check(m->next, at);
	for (const struct rte_mbuf *s = m->next; s; s = s->next) {
		uint64_t first = rte_mbuf_data_iova(s), last = first + s->data_len - 1;

		assert_int_equal(first / PAGE, last / PAGE);
	}
	rte_pktmbuf_free(m);
	assert_int_equal(buf.refs, 0);
}

static void fill_counts_pages_in_what_the_device_sees(void **state)
{
	struct rte_mbuf *m;
	uint32_t got;

	queue_make(PAGE);
	buf.iova += 1000; /* the device's pages end elsewhere than ours */
	tcp_sndq_push_buf(&queue, &buf, memory, PAGE);
	m = packet(0, PAGE, SEG_MAX, &got);
	assert_int_equal(m->nb_segs, 3);
	assert_int_equal(m->next->data_len, PAGE - 1000);
	bytes_check(m->next, 0);
	rte_pktmbuf_free(m);
}

static void fill_is_short_when_the_pages_need_too_many_pieces(void **state)
{
	struct rte_mbuf *m;
	uint32_t got;

	queue_make(PAGE);
	tcp_sndq_push_buf(&queue, &buf, memory + PAGE - 10, 100);
	m = packet(0, 100, 2, &got);
	assert_int_equal(got, 10);
	rte_pktmbuf_free(m);
	m = packet(got, 90, 2, &got);
	assert_int_equal(got, 90);
	bytes_check(m->next, PAGE);
	rte_pktmbuf_free(m);
}

static void fill_minds_no_page_where_there_is_none(void **state)
{
	struct rte_mbuf *m;
	uint32_t got;

	queue_make(0);
	tcp_sndq_push_buf(&queue, &buf, memory + 1, sizeof(memory) - 1);
	m = packet(0, sizeof(memory) - 1, SEG_MAX, &got);
	assert_int_equal(got, sizeof(memory) - 1);
	assert_int_equal(m->nb_segs, 2);
	rte_pktmbuf_free(m);
}

static void fill_copies_small_pieces_over_the_end_of_a_page(void **state)
{
	struct rte_mbuf *m;
	uint32_t got;

	queue_make(PAGE);
	tcp_sndq_push_buf(&queue, &buf, memory + PAGE - 10, 20);
	m = packet(0, 20, SEG_MAX, &got);
	assert_int_equal(got, 20);
	assert_int_equal(m->nb_segs, 1);
	bytes_check(m, PAGE - 10);
	rte_pktmbuf_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fill_attaches_what_lies_in_one_page_in_one_piece),
		cmocka_unit_test(fill_lets_no_piece_cross_a_page),
		cmocka_unit_test(fill_counts_pages_in_what_the_device_sees),
		cmocka_unit_test(fill_is_short_when_the_pages_need_too_many_pieces),
		cmocka_unit_test(fill_minds_no_page_where_there_is_none),
		cmocka_unit_test(fill_copies_small_pieces_over_the_end_of_a_page),
	};

	return cmocka_run_group_tests(tests, eal_start, eal_stop);
}
