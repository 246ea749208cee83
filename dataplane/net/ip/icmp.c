/*
 * icmp.c - pings answered, and what routers say about our segments
 *
 * An echo is answered in the mbuf it came in, turned round: nothing is allocated for a stranger. A
 * second's answers are bounded, and one that does not fit the link unfragmented is left out.
 *
 * An error is worth what it quotes. Only one that quotes a TCP segment from an address of ours is
 * returned, with the sequence number in it; whether that segment was ever sent is TCP's to judge
 * (RFC 5927), and so is what to make of the message. Source quench is ignored (RFC 6633), redirects
 * too: the kernel's routes are the routes.
 *
 * Packets are eaten. State: the echo budget in struct net. One worker.
 */
#include "dataplane/net/ip/icmp.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/ip/ip.h"
#include "dataplane/net/link/nd.h"
#include "dataplane/net/net_impl.h"

#define ICMP_HDR_BYTES	8
#define QUOTE_L4_BYTES	8 /* ports and sequence number, all that RFC 792 promises */
#define QUOTE_BYTES_MAX (60 + QUOTE_L4_BYTES)
#define SECOND_US	1000000u

enum icmp4_type {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_ECHO = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_BAD_PARAMETER = 12,
};

enum icmp6_type {
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_BAD_PARAMETER = 4,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_ND_SOLICIT = 135,
	ICMP6_ND_ADVERT = 136,
};

/* What an error says; err 0 = nothing to us. */
struct verdict {
	int err;
	bool is_hard;
	uint32_t mtu;
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* RFC 1122 4.2.3.9: codes 2 and 3 are hard; 4 is path MTU discovery (RFC 1191); others pass. */
static struct verdict unreachable4(const uint8_t *icmp)
{
	switch (icmp[1]) {
	case 2:
		return (struct verdict){-ENOPROTOOPT, true, 0};
	case 3:
		return (struct verdict){-ECONNREFUSED, true, 0};
	case 4:
		return (struct verdict){-EMSGSIZE, false, get16(icmp + 6)};
	case 0:
	case 6:
	case 9:
	case 11:
		return (struct verdict){-ENETUNREACH, false, 0};
	default:
		return (struct verdict){-EHOSTUNREACH, false, 0};
	}
}

static struct verdict verdict4(const uint8_t *icmp)
{
	switch (icmp[0]) {
	case ICMP4_UNREACHABLE:
		return unreachable4(icmp);
	case ICMP4_TIME_EXCEEDED:
		return (struct verdict){-EHOSTUNREACH, false, 0};
	case ICMP4_BAD_PARAMETER:
		return (struct verdict){-EPROTO, false, 0};
	default:
		return (struct verdict){0, false, 0};
	}
}

/* RFC 4443 3. A header that the peer does not know (parameter problem 1) is TCP itself: hard. */
static struct verdict verdict6(const uint8_t *icmp)
{
	switch (icmp[0]) {
	case ICMP6_UNREACHABLE:
		if (icmp[1] == 4)
			return (struct verdict){-ECONNREFUSED, true, 0};
		return (struct verdict){icmp[1] == 0 ? -ENETUNREACH : -EHOSTUNREACH, false, 0};
	case ICMP6_TOO_BIG:
		return (struct verdict){-EMSGSIZE, false, get32(icmp + 4)};
	case ICMP6_TIME_EXCEEDED:
		return (struct verdict){-EHOSTUNREACH, false, 0};
	case ICMP6_BAD_PARAMETER:
		return (struct verdict){-EPROTO, icmp[1] == 1, 0};
	default:
		return (struct verdict){0, false, 0};
	}
}

static void quote_l4(const uint8_t *l4, struct icmp_error *e)
{
	e->sport = get16(l4);
	e->dport = get16(l4 + 2);
	e->seq = get32(l4 + 4);
}

/* Out: false when it is no first fragment of a TCP segment, or cut short. */
static bool quote_read4(const uint8_t *ip, uint32_t len, struct icmp_error *e)
{
	uint32_t hdr_len;

	if (len < IP4_HDR_BYTES || ip[0] >> 4 != 4)
		return false;
	hdr_len = (ip[0] & 0xfu) * 4;
	if (hdr_len < IP4_HDR_BYTES || len < hdr_len + QUOTE_L4_BYTES)
		return false;
	if (ip[9] != IPPROTO_TCP || (get16(ip + 6) & 0x1fff) != 0)
		return false;
	e->quoted =
		(struct ip_in){.src = ip4_addr(ip + 12), .dst = ip4_addr(ip + 16), .ttl = ip[8]};
	quote_l4(ip + hdr_len, e);
	return true;
}

/* We send no extension headers, so a quotation that has any is not ours. */
static bool quote_read6(const uint8_t *ip, uint32_t len, struct icmp_error *e)
{
	if (len < IP6_HDR_BYTES + QUOTE_L4_BYTES || ip[0] >> 4 != 6 || ip[6] != IPPROTO_TCP)
		return false;
	e->quoted = (struct ip_in){.src = ip6_addr(ip + 8), .dst = ip6_addr(ip + 24), .ttl = ip[7]};
	quote_l4(ip + IP6_HDR_BYTES, e);
	return true;
}

/* Borrows @m. Out: whether @e is a segment from an address of ours, with what is said about it. */
static bool error_input(struct net *net, const struct rte_mbuf *m, const struct ip_in *in,
	const struct verdict *v, struct icmp_error *e)
{
	uint8_t copy[QUOTE_BYTES_MAX];
	uint32_t off = in->l4_off + ICMP_HDR_BYTES;
	uint32_t len = in->l4_len - ICMP_HDR_BYTES;
	const uint8_t *ip;
	bool is_read;

	net->stats.icmp_unreach_rx++;
	if (len > sizeof(copy))
		len = sizeof(copy);
	ip = rte_pktmbuf_read(m, off, len, copy);
	is_read = ip &&
		  (in->dst.family == AF_INET ? quote_read4(ip, len, e) : quote_read6(ip, len, e));
	if (!is_read || !ip_is_ours(net, &e->quoted.src)) {
		net->stats.rx_bad_hdr++;
		return false;
	}
	e->quoted.flow = in->flow;
	e->err = v->err;
	e->mtu = v->mtu;
	e->is_hard = v->is_hard;
	return true;
}

static bool echo_budget(struct net *net, uint64_t now_us)
{
	if (now_us >= net->echo_until_us) {
		net->echo_until_us = now_us + SECOND_US;
		net->echo_left = ICMP_ECHO_PER_SECOND_MAX;
	}
	if (net->echo_left == 0)
		return false;
	net->echo_left--;
	return true;
}

/* Eats @m: it becomes the answer, or is freed. */
static void echo_input(struct net *net, struct rte_mbuf *m, const struct ip_in *in,
	uint8_t reply_type, uint64_t now_us)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	uint32_t hdr_bytes = in->dst.family == AF_INET ? IP4_HDR_BYTES : IP6_HDR_BYTES;
	uint8_t mac[6], *icmp;

	memcpy(mac, &eth->src_addr, sizeof(mac));
	if (in->l4_len + hdr_bytes > net->cfg.mtu || ip_is_multicast(&in->dst) || (mac[0] & 1) ||
		!echo_budget(net, now_us) || !reserve_move(m, OWNER_ESSENTIAL, now_us)) {
		rte_pktmbuf_free(m);
		return;
	}
	icmp = (uint8_t *)rte_pktmbuf_adj(m, in->l4_off);
	assert(icmp);
	icmp[0] = reply_type;
	memset(icmp + 2, 0, 2);
	net->stats.icmp_echo_tx++;
	ip_reply(net, in, mac, m,
		in->dst.family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* Common to both: whole, in one piece as far as we read, and the checksum right. Eats @m if not. */
static const uint8_t *message(struct net *net, struct rte_mbuf *m, const struct ip_in *in,
	uint8_t proto)
{
	net->stats.icmp_rx++;
	if (in->l4_len < ICMP_HDR_BYTES ||
		rte_pktmbuf_data_len(m) < in->l4_off + (uint32_t)ICMP_HDR_BYTES) {
		net_drop(m, &net->stats.rx_bad_hdr);
		return NULL;
	}
	if (!ip_l4_csum_good(m, in, proto)) {
		net_drop(m, &net->stats.rx_bad_csum);
		return NULL;
	}
	return rte_pktmbuf_mtod_offset(m, const uint8_t *, in->l4_off);
}

bool icmp4_input(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us,
	struct icmp_error *error)
{
	const uint8_t *icmp = message(net, m, in, IPPROTO_ICMP);
	struct verdict v;
	bool is_error = false;

	if (!icmp)
		return false;
	if (icmp[0] == ICMP4_ECHO) {
		echo_input(net, m, in, ICMP4_ECHO_REPLY, now_us);
		return false;
	}
	v = verdict4(icmp);
	if (v.err)
		is_error = error_input(net, m, in, &v, error);
	rte_pktmbuf_free(m);
	return is_error;
}

bool icmp6_input(struct net *net, struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us,
	struct icmp_error *error)
{
	const uint8_t *icmp = message(net, m, in, IPPROTO_ICMPV6);
	struct verdict v;
	bool is_error = false;

	if (!icmp)
		return false;
	if (icmp[0] == ICMP6_ND_SOLICIT || icmp[0] == ICMP6_ND_ADVERT) {
		nd_input(net, m, in, now_us); /* who looks for duplicates has no address yet */
		rte_pktmbuf_free(m);
		return false;
	}
	if (!ip_is_possible_source(net, &in->src)) {
		net_drop(m, &net->stats.rx_bad_hdr);
		return false;
	}
	if (icmp[0] == ICMP6_ECHO) {
		echo_input(net, m, in, ICMP6_ECHO_REPLY, now_us);
		return false;
	}
	v = verdict6(icmp);
	if (v.err && !ip_is_multicast(&in->dst))
		is_error = error_input(net, m, in, &v, error);
	rte_pktmbuf_free(m);
	return is_error;
}
