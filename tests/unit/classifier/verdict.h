/*
 * verdict.h - a classifier that knows a flow of each family, and frames for it
 */
#ifndef TESTS_UNIT_CLASSIFIER_VERDICT_H
#define TESTS_UNIT_CLASSIFIER_VERDICT_H

#include <rte_mbuf.h>
#include "tests/unit/classifier/frame.h"

#define COOKIE 42u

static inline struct flow_key key4(void)
{
	struct flow_key key = {.family = AF_INET,
		.proto = IPPROTO_TCP,
		.remote_port_be = htons(RPORT),
		.local_port_be = htons(LPORT)};

	memcpy(key.remote, peer4, 4);
	memcpy(key.local, us4, 4);
	return key;
}

static inline struct flow_key key6(void)
{
	struct flow_key key = key4();

	key.family = AF_INET6;
	memcpy(key.remote, peer6, 16);
	memcpy(key.local, us6, 16);
	return key;
}

/* One flow of each family, our two addresses, a gateway of each family, no rule. */
static inline int setup(void **state)
{
	static const uint8_t gateway4[16] = {10, 0, 0, 254},
			     gateway6[16] = {0xfe, 0x80, [15] = 254};
	struct classifier *c = classifier_create(16, 7);
	struct flow_key k4 = key4(), k6 = key6();

	if (!c || flow_insert(c, &k4, COOKIE) || flow_insert(c, &k6, COOKIE + 1) ||
		classifier_address_add(c, AF_INET, us4) ||
		classifier_address_add(c, AF_INET6, us6) ||
		classifier_gateway_add(c, AF_INET, gateway4) ||
		classifier_gateway_add(c, AF_INET6, gateway6))
		return -1;
	*state = c;
	return 0;
}

static inline int teardown(void **state)
{
	classifier_destroy(*state);
	return 0;
}

static inline struct rte_mbuf mbuf_of(struct frame *f)
{
	frame_end(f);
	return (struct rte_mbuf){.buf_addr = f->bytes,
		.data_len = (uint16_t)f->len,
		.pkt_len = f->len,
		.nb_segs = 1};
}

static inline void make_tcp4(struct frame *f, unsigned sport, unsigned dport)
{
	put_eth(f, 0x0800);
	put_ip4(f, IPPROTO_TCP, 0, 0);
	put_tcp(f, sport, dport, 0);
	put_payload(f, 8);
}

static inline void make_echo(struct frame *f, bool is_ip4, unsigned type)
{
	put_eth(f, is_ip4 ? 0x0800 : 0x86dd);
	if (is_ip4)
		put_ip4_from(f, other4, IPPROTO_ICMP, 0, 0);
	else
		put_ip6_from(f, other6, IPPROTO_ICMPV6);
	put(f, NULL, 8)[0] = (uint8_t)type;
}

#define verdict_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
