/*
 * verdict.c - what matters besides the packets of our flows
 *
 * Essential is what keeps our flows alive though it is not of them: address resolution for our own
 * addresses, the gateways and the remotes, errors about a flow of ours, and pings to us, so that a
 * machine under pressure still answers the person who asks. Router advertisements, redirects and
 * echo replies are the kernel's. An error counts only with a quotation we can look up, or any
 * sender could make its packets essential.
 *
 * Rules protect what the kernel's stack owns. They see the packet last, so a rule cannot take away
 * what the stack here needs.
 */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>
#include "classifier/classify.h"
#include "classifier/parse.h"

#define ARP_OPCODE_OFF 6
#define ARP_REQUEST    1
#define ARP_SENDER_OFF 14
#define ARP_TARGET_OFF 24
#define ND_TARGET_OFF  8
#define ND_BYTES       24u
#define ND_HOP_LIMIT   255 /* RFC 4861 section 7.1: never forwarded, so it was sent on this link */

static uint32_t addr_bytes(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

static bool is_listed(
	const struct address *list, unsigned count, uint8_t family, const uint8_t *addr)
{
	for (unsigned i = 0; i < count; i++)
		if (list[i].family == family && !memcmp(list[i].bytes, addr, addr_bytes(family)))
			return true;
	return false;
}

static bool is_own(const struct classifier *c, uint8_t family, const uint8_t *addr)
{
	return is_listed(c->own, c->own_count, family, addr);
}

static bool is_remote(const struct classifier *c, uint8_t family, const uint8_t *addr)
{
	struct flow_key key = remote_key(family, addr);

	return flow_table_find(&c->remotes, &key, flow_table_tag(&c->remotes, &key));
}

static bool is_peer(const struct classifier *c, uint8_t family, const uint8_t *addr)
{
	return is_listed(c->gateways, c->gateway_count, family, addr) || is_remote(c, family, addr);
}

static int address_add(struct address *list, unsigned *count, uint8_t family, const uint8_t *addr)
{
	if (is_listed(list, *count, family, addr))
		return 0;
	if (*count == NET_ADDR_MAX)
		return -ENOSPC;
	list[*count] = (struct address){.family = family};
	memcpy(list[*count].bytes, addr, addr_bytes(family));
	++*count;
	return 0;
}

int classifier_address_add(struct classifier *c, uint8_t family, const uint8_t *addr)
{
	return address_add(c->own, &c->own_count, family, addr);
}

int classifier_gateway_add(struct classifier *c, uint8_t family, const uint8_t *addr)
{
	return address_add(c->gateways, &c->gateway_count, family, addr);
}

void classifier_address_clear(struct classifier *c)
{
	c->own_count = 0;
	c->gateway_count = 0;
}

static const uint8_t *source(const uint8_t *bytes, const struct pkt_info *info)
{
	return bytes + info->l3_off + (info->l3 == PKT_L3_IP4 ? 12 : 8);
}

static const uint8_t *destination(const uint8_t *bytes, const struct pkt_info *info)
{
	return bytes + info->l3_off + (info->l3 == PKT_L3_IP4 ? 16 : 24);
}

static uint8_t family_of(const struct pkt_info *info)
{
	return info->l3 == PKT_L3_IP4 ? AF_INET : AF_INET6;
}

bool fragment_is_protected(
	const struct classifier *c, const uint8_t *bytes, const struct pkt_info *info)
{
	return (info->flags & PKT_FRAGMENT) && !(info->flags & PKT_FRAGMENT_FIRST) &&
	       info->l4_proto == IPPROTO_TCP && is_remote(c, family_of(info), source(bytes, info));
}

static bool asks_us(struct pkt_info *info, bool does)
{
	if (does)
		info->flags |= PKT_ASKS_US;
	return does;
}

static bool arp_is_essential(const struct classifier *c, const uint8_t *arp, struct pkt_info *info)
{
	if (is_own(c, AF_INET, arp + ARP_TARGET_OFF)) {
		asks_us(info, load_be16(arp + ARP_OPCODE_OFF) == ARP_REQUEST);
		return true;
	}
	return is_own(c, AF_INET, arp + ARP_SENDER_OFF) ||
	       is_peer(c, AF_INET, arp + ARP_SENDER_OFF);
}

static bool quotes_a_flow(
	const struct classifier *c, const uint8_t *bytes, uint32_t len, struct pkt_info *info)
{
	struct flow_key key;

	if (!parse_quote(bytes, len, info, &key))
		return false;
	info->flow = flow_lookup(c, &key);
	return info->flow != FLOW_NONE;
}

static bool icmp4_is_essential(
	const struct classifier *c, const uint8_t *bytes, uint32_t len, struct pkt_info *info)
{
	switch (bytes[info->l4_off]) {
	case ICMP_ECHO:
		return asks_us(info, is_own(c, AF_INET, destination(bytes, info)));
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
		return quotes_a_flow(c, bytes, len, info);
	default:
		return false;
	}
}

/* A solicitation must ask for us; an advertisement must be for us or about a peer. */
static bool nd_is_essential(
	const struct classifier *c, const uint8_t *bytes, uint32_t len, struct pkt_info *info)
{
	const uint8_t *nd = bytes + info->l4_off;

	if (info->l4_off + ND_BYTES > info->end_off || info->l4_off + ND_BYTES > len)
		return false;
	if (bytes[info->l3_off + 7] != ND_HOP_LIMIT || nd[1] != 0)
		return false;
	if (is_own(c, AF_INET6, nd + ND_TARGET_OFF)) {
		asks_us(info, nd[0] == ND_NEIGHBOR_SOLICIT);
		return true;
	}
	return nd[0] == ND_NEIGHBOR_ADVERT && (is_own(c, AF_INET6, destination(bytes, info)) ||
						      is_peer(c, AF_INET6, nd + ND_TARGET_OFF));
}

static bool icmp6_is_essential(
	const struct classifier *c, const uint8_t *bytes, uint32_t len, struct pkt_info *info)
{
	switch (bytes[info->l4_off]) {
	case ICMP6_ECHO_REQUEST:
		return asks_us(info, is_own(c, AF_INET6, destination(bytes, info)));
	case ND_NEIGHBOR_SOLICIT:
	case ND_NEIGHBOR_ADVERT:
		return nd_is_essential(c, bytes, len, info);
	case ICMP6_DST_UNREACH:
	case ICMP6_PACKET_TOO_BIG:
	case ICMP6_TIME_EXCEEDED:
	case ICMP6_PARAM_PROB:
		return quotes_a_flow(c, bytes, len, info);
	default:
		return false;
	}
}

bool packet_is_essential(
	const struct classifier *c, const uint8_t *bytes, uint32_t len, struct pkt_info *info)
{
	if (info->l3 == PKT_L3_ARP)
		return arp_is_essential(c, bytes + info->l3_off, info);
	if (info->flags & PKT_FRAGMENT)
		return false;
	if (info->l3 == PKT_L3_IP4 && info->l4_proto == IPPROTO_ICMP)
		return icmp4_is_essential(c, bytes, len, info);
	if (info->l3 == PKT_L3_IP6 && info->l4_proto == IPPROTO_ICMPV6)
		return icmp6_is_essential(c, bytes, len, info);
	return false;
}

int classifier_rule_add(struct classifier *c, const struct protect_rule *rule)
{
	if (!rule->family && !rule->proto && !rule->port && !rule->ethertype)
		return -EINVAL;
	if (rule->family && rule->family != AF_INET && rule->family != AF_INET6)
		return -EINVAL;
	if (rule->remote_prefix_bits > (rule->family ? 8 * addr_bytes(rule->family) : 0))
		return -EINVAL;
	if (c->rule_count == PROTECT_RULE_MAX)
		return -ENOSPC;
	c->rules[c->rule_count++] = *rule;
	return 0;
}

void classifier_rule_clear(struct classifier *c)
{
	c->rule_count = 0;
}

static bool prefix_matches(const uint8_t *addr, const uint8_t *prefix, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(addr, prefix, whole))
		return false;
	return !rest || !((addr[whole] ^ prefix[whole]) >> (8 - rest));
}

static bool port_matches(const struct protect_rule *rule, const struct pkt_info *info)
{
	if (!rule->port)
		return true;
	if ((info->flags & PKT_FRAGMENT) && !(info->flags & PKT_FRAGMENT_FIRST))
		return rule->remote_prefix_bits > 0;
	return rule->port == info->sport || rule->port == info->dport;
}

static bool one_rule_matches(
	const struct protect_rule *rule, const uint8_t *bytes, const struct pkt_info *info)
{
	bool is_ip = info->l3 == PKT_L3_IP4 || info->l3 == PKT_L3_IP6;

	if (rule->ethertype && rule->ethertype != info->ethertype)
		return false;
	if (!is_ip)
		return !rule->family && !rule->proto && !rule->port;
	if (rule->family && rule->family != family_of(info))
		return false;
	if (rule->proto && rule->proto != info->l4_proto)
		return false;
	return prefix_matches(source(bytes, info), rule->remote, rule->remote_prefix_bits) &&
	       port_matches(rule, info);
}

bool rule_matches(const struct classifier *c, const uint8_t *bytes, const struct pkt_info *info)
{
	for (unsigned i = 0; i < c->rule_count; i++)
		if (one_rule_matches(&c->rules[i], bytes, info))
			return true;
	return false;
}
