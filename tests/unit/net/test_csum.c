/*
 * test_csum.c - the fast sum against a slow one, at every length and alignment
 */
#include <string.h>
#include <rte_mbuf.h>
#include <sys/socket.h>
#include "dataplane/net/csum.h"
#include "tests/unit/net/net_script.h"

static uint16_t wire(uint16_t csum)
{
	const uint8_t *p = (const uint8_t *)&csum;

	return (uint16_t)(p[0] << 8 | p[1]);
}

/* The numbers of RFC 1071 section 3: the sum is ddf2. */
static void csum_is_the_example_of_rfc_1071(void **state)
{
	const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	assert_int_equal(wire(csum_fold(csum_add(0, bytes, 8))), (uint16_t)~0xddf2);
}

static void csum_agrees_at_every_length_and_alignment(void **state)
{
	uint8_t bytes[200];

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = pattern(i);
	for (uint32_t off = 0; off < 9; off++)
		for (uint32_t len = 0; len < sizeof(bytes) - off; len++)
			assert_int_equal(wire(csum_fold(csum_add(0, bytes + off, len))),
				ref_csum(NULL, NULL, 0, bytes + off, len));
}

/* All ones is where carries live. */
static void csum_carries_are_kept(void **state)
{
	static uint8_t bytes[65535];
	uint32_t sum = 0;

	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(wire(csum_fold(csum_add(0, bytes, 65534))), 0);
	assert_int_equal(wire(csum_fold(csum_add(UINT32_MAX, bytes, 4))), 0);
	for (int i = 0; i < 100; i++)
		sum = csum_add(sum, bytes, 65534);
	assert_int_equal(wire(csum_fold(sum)), 0);
}

static void csum_can_be_added_piece_by_piece(void **state)
{
	uint8_t bytes[64];

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = pattern(i);
	for (uint32_t cut = 0; cut <= 64; cut += 2) {
		uint32_t sum = csum_add(0, bytes, cut);

		assert_int_equal(csum_fold(csum_add(sum, bytes + cut, 64 - cut)),
			csum_fold(csum_add(0, bytes, 64)));
	}
}

static void csum_pseudo_header_is_of_both_families(void **state)
{
	const uint8_t l4[6] = {1, 2, 3, 4, 5, 6};

	assert_int_equal(wire(csum_fold(csum_add(csum_pseudo(&our4, &peer4, 6, 6), l4, 6))),
		ref_csum(&our4, &peer4, 6, l4, 6));
	assert_int_equal(wire(csum_fold(csum_add(csum_pseudo(&our6, &far6, 58, 6), l4, 6))),
		ref_csum(&our6, &far6, 58, l4, 6));
}

/* Segments of odd lengths: what follows begins at an odd offset of the message. */
static void csum_of_a_chain_minds_odd_segments(void **state)
{
	uint8_t bytes[160];

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = pattern(i);
	for (uint32_t seg = 1; seg < 40; seg++) {
		struct rte_mbuf *m = mbuf_of(bytes, seg);

		for (uint32_t at = seg; at < sizeof(bytes); at += seg) {
			uint32_t n = sizeof(bytes) - at < seg ? (uint32_t)sizeof(bytes) - at : seg;

			assert_int_equal(rte_pktmbuf_chain(m, mbuf_of(bytes + at, n)), 0);
		}
		for (uint32_t off = 0; off < 50; off += 7)
			assert_int_equal(wire(csum_fold(csum_mbuf(0, m, off, 160 - off - 3))),
				ref_csum(NULL, NULL, 0, bytes + off, 160 - off - 3));
		rte_pktmbuf_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		script_test(csum_is_the_example_of_rfc_1071),
		script_test(csum_agrees_at_every_length_and_alignment),
		script_test(csum_carries_are_kept),
		script_test(csum_can_be_added_piece_by_piece),
		script_test(csum_pseudo_header_is_of_both_families),
		script_test(csum_of_a_chain_minds_odd_segments),
	};

	return cmocka_run_group_tests(tests, script_eal_start, script_eal_stop);
}
