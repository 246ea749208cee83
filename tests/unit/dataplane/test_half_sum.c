/*
 * test_half_sum.c - a checksum that is only begun is told from one that is whole, and from one that
 * is wrong
 */
#include <rte_mbuf.h>
#include "dataplane/half_sum.h"
#include "dataplane/exception/vnet_hdr.h"
#include "tests/unit/classifier/frame.h"

struct packet {
	struct rte_mbuf m;
	struct pkt_info info;
};

/* The checksum field of @f's TCP or UDP header becomes @sum, which is in wire order. */
static uint64_t marked(struct frame *f, uint32_t sum_off, uint16_t sum)
{
	struct packet p;
	struct rte_mbuf *m = &p.m;

	frame_end(f);
	classify_parse(f->bytes, f->len, f->len, &p.info);
	memcpy(f->bytes + p.info.l4_off + sum_off, &sum, sizeof(sum));
	p.m = (struct rte_mbuf){.buf_addr = f->bytes,
		.data_len = (uint16_t)f->len,
		.pkt_len = f->len,
		.nb_segs = 1};
	half_sums_note(&m, &p.info, 1);
	return p.m.ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
}

static void tcp4(struct frame *f)
{
	*f = (struct frame){0};
	put_eth(f, 0x0800);
	put_ip4(f, IPPROTO_TCP, 0, 0);
	put_tcp(f, 7, 9, 12);
	put_payload(f, 101);
}

static void udp6(struct frame *f)
{
	*f = (struct frame){0};
	put_eth(f, 0x86dd);
	put_ip6(f, IPPROTO_UDP);
	put_udp(f, 7, 9, 30);
	put_payload(f, 30);
}

static void a_checksum_only_begun_is_marked(void **state)
{
	struct frame f;

	tcp4(&f);
	frame_end(&f);
	assert_int_equal(marked(&f, 16, vnet_pseudo_sum(f.bytes + 14, true, IPPROTO_TCP, 32 + 101)),
		RTE_MBUF_F_RX_L4_CKSUM_NONE);
	udp6(&f);
	frame_end(&f);
	assert_int_equal(marked(&f, 6, vnet_pseudo_sum(f.bytes + 14, false, IPPROTO_UDP, 8 + 30)),
		RTE_MBUF_F_RX_L4_CKSUM_NONE);
}

static void any_other_is_left_to_be_summed(void **state)
{
	struct frame f;
	uint16_t half, flipped;

	for (unsigned bit = 0; bit < 16; bit++) {
		tcp4(&f);
		frame_end(&f);
		half = vnet_pseudo_sum(f.bytes + 14, true, IPPROTO_TCP, 32 + 101);
		flipped = (uint16_t)(half ^ 1u << bit);
		assert_int_equal(marked(&f, 16, flipped), RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN);
	}
}

static void a_fragment_is_left_to_be_summed(void **state)
{
	struct frame f = {0};

	put_eth(&f, 0x0800);
	put_ip4(&f, IPPROTO_TCP, 0x2000, 0);
	put_tcp(&f, 7, 9, 12);
	put_payload(&f, 96);
	frame_end(&f);
	assert_int_equal(marked(&f, 16, vnet_pseudo_sum(f.bytes + 14, true, IPPROTO_TCP, 32 + 96)),
		RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_checksum_only_begun_is_marked),
		cmocka_unit_test(any_other_is_left_to_be_summed),
		cmocka_unit_test(a_fragment_is_left_to_be_summed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
