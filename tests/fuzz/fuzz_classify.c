/*
 * fuzz_classify.c - any bytes at all, as a frame
 *
 * Input: two bytes say how much of the frame lies in the first segment, one which tags the port
 * took out, the rest is the frame. The readable bytes are copied to memory of exactly that size, so
 * one byte read too many is seen. What every answer must satisfy is asserted, not only that none
 * crashes.
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <rte_mbuf.h>
#include "classifier/classifier.h"

#define PREFIX_BYTES 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t us4[16] = {10, 0, 0, 1}, peer4[16] = {10, 0, 0, 2};
static const uint8_t us6[16] = {0xfd, [15] = 1}, peer6[16] = {0xfd, [15] = 2};

/* As the unit tests have it: a flow and an address of each family, rules by port and ethertype. */
static struct classifier *classifier_make(void)
{
	const struct protect_rule rules[] = {
		{.family = AF_INET,
			.proto = IPPROTO_TCP,
			.port = 3260,
			.remote = {10},
			.remote_prefix_bits = 9},
		{.ethertype = 0x88a2},
	};
	struct flow_key key4 = {.family = AF_INET,
		.proto = IPPROTO_TCP,
		.remote_port_be = htons(10809),
		.local_port_be = htons(40000)};
	struct flow_key key6 = key4;
	struct classifier *c = classifier_create(64, 1);

	assert(c);
	memcpy(key4.remote, peer4, 16);
	memcpy(key4.local, us4, 16);
	key6.family = AF_INET6;
	memcpy(key6.remote, peer6, 16);
	memcpy(key6.local, us6, 16);
	if (flow_insert(c, &key4, 4) || flow_insert(c, &key6, 6) ||
		classifier_address_add(c, AF_INET, us4) ||
		classifier_address_add(c, AF_INET6, us6) || classifier_rule_add(c, &rules[0]) ||
		classifier_rule_add(c, &rules[1]))
		abort();
	return c;
}

static void check_offsets(const struct pkt_info *info, uint32_t len, uint32_t frame_len)
{
	assert(info->l3 <= PKT_L3_IP6);
	assert(!(info->flags & PKT_FRAGMENT_FIRST) || (info->flags & PKT_FRAGMENT));
	if (info->cls == PKT_BAD)
		return;
	assert(info->l3_off >= 14 && info->l3_off <= 22);
	assert(info->l4_off == info->l3_off + info->l3_len);
	assert(info->l4_off <= len && info->l4_off <= info->end_off);
	assert(info->end_off <= frame_len);
	if (info->sport || info->dport)
		assert(info->l4_off + 8u <= len && info->l4_off + 8u <= info->end_off);
}

static void check_verdict(const struct pkt_info *info, const struct pkt_info *parsed)
{
	assert((info->cls == PKT_BAD) == (parsed->cls == PKT_BAD));
	assert(info->l4_off == parsed->l4_off && info->end_off == parsed->end_off);
	switch (info->cls) {
	case PKT_PROTECTED:
		assert((info->flags & (PKT_RULE | PKT_FRAGMENT)) || info->flow == 4 ||
			info->flow == 6);
		assert(!(info->flags & PKT_VLAN) || (info->flags & PKT_RULE));
		break;
	case PKT_ESSENTIAL:
		assert(!(info->flags & (PKT_VLAN | PKT_RULE | PKT_FRAGMENT)));
		assert(info->flow == FLOW_NONE || info->flow == 4 || info->flow == 6);
		break;
	default:
		assert(info->cls <= PKT_BAD);
		assert(info->flow == FLOW_NONE && !(info->flags & PKT_RULE));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct classifier *c;
	struct rte_mbuf m = {.nb_segs = 1}, *burst = &m;
	struct pkt_info parsed, info;
	uint32_t len, frame_len;
	uint8_t *bytes;

	if (size < PREFIX_BYTES || size > UINT16_MAX)
		return 0;
	if (!c)
		c = classifier_make();
	frame_len = (uint32_t)size - PREFIX_BYTES;
	len = RTE_MIN((uint32_t)(data[0] << 8 | data[1]), frame_len);
	bytes = malloc(len ? len : 1);
	assert(bytes);
	memcpy(bytes, data + PREFIX_BYTES, len);
	classify_parse(bytes, len, frame_len, &parsed);
	assert(parsed.cls == PKT_EXCEPTION || parsed.cls == PKT_BAD);
	check_offsets(&parsed, len, frame_len);
	m.buf_addr = bytes;
	m.data_len = (uint16_t)len;
	m.pkt_len = frame_len;
	m.vlan_tci = data[2] & 0x0f;
	m.vlan_tci_outer = data[2] >> 4 & 3;
	m.ol_flags = (data[2] & 0x40 ? RTE_MBUF_F_RX_VLAN : 0) |
		     (data[2] & 0x80 ? RTE_MBUF_F_RX_QINQ : 0);
	classify_burst(c, &burst, 1, &info);
	check_offsets(&info, len, frame_len);
	check_verdict(&info, &parsed);
	free(bytes);
	return 0;
}
