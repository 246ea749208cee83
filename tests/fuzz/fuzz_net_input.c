/*
 * fuzz_net_input.c - any frames, through the parser into everything below TCP
 *
 * The input is a row of frames: a byte of how, two of length, then the frame. The net has waiting
 * neighbours and lives as long as one input, so states build up; after it both pools must be whole.
 * The byte of how says which kind of frame it shall be (addresses and lengths are then put right),
 * whether checksums are mended, and how far the clock goes on: or no mutation would get anywhere.
 */
#include <assert.h>
#include <netinet/in.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>
#include "tests/unit/net/net_script.h"

#define FRAME_BYTES_MAX 2000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* From the peer to us, by @kind: 0 as it is, 1 ARP, 2 IPv4, 3 IPv6. */
static void shape(uint8_t *f, uint32_t len, uint8_t kind)
{
	static const uint16_t type[4] = {0, 0x0806, 0x0800, 0x86dd};

	if (kind == 0 || len < 54)
		return;
	memcpy(f + 6, peer_mac, 6);
	put16(f + 12, type[kind]);
	if (kind == 1) {
		memcpy(f + 14, "\x00\x01\x08\x00\x06\x04", 6);
		memcpy(f + 28, peer4.addr, 4);
	} else if (kind == 2) {
		f[14] = 0x40 | (f[14] & 15);
		put16(f + 16, len - 14);
		memcpy(f + 26, peer4.addr, 4);
		memcpy(f + 30, our4.addr, 4);
	} else {
		f[14] = 0x60;
		put16(f + 18, len - 54);
		memcpy(f + 22, peer6.addr, 16);
		if (f[38] != 0xff)
			memcpy(f + 38, our6.addr, 16);
	}
}

static void mend_l4(uint8_t *f, const struct pkt_info *info)
{
	uint8_t *ip = f + info->l3_off;
	uint32_t len = info->end_off - info->l4_off;
	bool is_ip4 = info->l3 == PKT_L3_IP4;
	struct net_ip src = is_ip4 ? ip4_addr(ip + 12) : ip6_addr(ip + 8);
	struct net_ip dst = is_ip4 ? ip4_addr(ip + 16) : ip6_addr(ip + 24);

	if (info->l4_proto == IPPROTO_TCP && len >= 20)
		l4_csum_set(f + info->l4_off, len, 16, &src, &dst, IPPROTO_TCP);
	else if (info->l4_proto == (is_ip4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) && len >= 8)
		l4_csum_set(f + info->l4_off, len, 2, &src, &dst, info->l4_proto);
}

static void mend(uint8_t *f, const struct pkt_info *info)
{
	uint8_t *ip = f + info->l3_off;

	if (info->l3 != PKT_L3_IP4 && info->l3 != PKT_L3_IP6)
		return;
	mend_l4(f, info);
	if (info->l3 == PKT_L3_IP4) {
		uint16_t csum;

		ip[10] = ip[11] = 0;
		csum = ref_csum(NULL, NULL, 0, ip, info->l3_len);
		ip[10] = (uint8_t)(csum >> 8);
		ip[11] = (uint8_t)csum;
	}
}

static void one_frame(uint8_t how, const uint8_t *data, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(reserve_pool(sc.rx));
	struct pkt_info info;
	uint8_t *bytes;

	if (!m)
		return;
	bytes = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len);
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = data[i];
	shape(bytes, len, how >> 2 & 3);
	classify_parse(bytes, len, len, &info);
	if (info.cls == PKT_BAD) {
		rte_pktmbuf_free(m);
		return;
	}
	if (how & 1)
		mend(bytes, &info);
	info.cls = PKT_PROTECTED;
	reserve_force(m, OWNER_UNCLASSIFIED, sc.now_us);
	net_input(sc.net, &m, &info, 1, sc.now_us);
	if (how & 2)
		at_us(sc.now_us + (how >> 4) * 500 * MS);
}

static void want_neighbours(void)
{
	const struct net_ip *const ips[] = {&peer4, &peer6, &gw4, &gw6};

	for (int i = 0; i < 4; i++) {
		struct rte_mbuf *out = NULL;
		uint16_t idx = neigh_want(sc.net, ips[i]);

		neigh_send(sc.net, idx, mbuf_of((const uint8_t *)"x", 1), sc.now_us, &out);
		rte_pktmbuf_free(out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_started;
	struct frame f;

	if (!is_started && (script_eal_start(NULL) || script_setup(NULL)))
		abort();
	is_started = true;
	script_offload(NULL); /* a new net, after the last one gave everything back */
	want_neighbours();
	while (size > 3) {
		uint32_t len = (uint32_t)(data[1] << 8 | data[2]) % FRAME_BYTES_MAX;
		uint8_t how = data[0];

		data += 3;
		size -= 3;
		if (len > size)
			len = (uint32_t)size;
		one_frame(how, data, len);
		data += len;
		size -= len;
		while (tx(&f))
			;
	}
	return 0;
}
