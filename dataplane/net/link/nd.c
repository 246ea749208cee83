/*
 * nd.c - neighbour solicitations and advertisements (RFC 4861 4.3, 4.4, 7)
 *
 * The IPv6 half of what arp.c does. A hop limit of 255 shows that a message was sent on this link;
 * all of RFC 4861 7.1's other tests are made before a byte is believed, since these messages decide
 * where our data goes. Routers are not discovered (the gateway is configured or the kernel's
 * knowledge), redirects are not followed, and duplicate detection is the kernel's.
 *
 * There is no state here: answers go to the control queue, what was learnt to neigh.c.
 */
#include "dataplane/net/link/nd.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/socket.h>
#include "dataplane/net/csum.h"
#include "dataplane/net/addr.h"
#include "dataplane/net/net_impl.h"

#define ND_SOLICIT	 135
#define ND_ADVERT	 136
#define ND_BYTES	 24 /* type, code, checksum, flags, target */
#define ND_TARGET_OFF	 8
#define ND_HOP_LIMIT	 255
#define ND_OPT_SOURCE	 1
#define ND_OPT_TARGET	 2
#define ND_OPT_MAC_BYTES 8
#define ND_OPT_MAX	 16 /* options read of one message */
#define ADVERT_SOLICITED 0x40
#define ADVERT_OVERRIDE	 0x20

#define FRAME_BYTES (sizeof(struct rte_ether_hdr) + IP6_HDR_BYTES + ND_BYTES + ND_OPT_MAC_BYTES)

static const struct net_ip all_nodes = {
	.family = AF_INET6, .addr = {0xff, 0x02, [15] = 1}};

/* RFC 2464 7: the group's last four bytes behind 33:33. */
static void group_mac(const struct net_ip *group, uint8_t mac[6])
{
	mac[0] = mac[1] = 0x33;
	memcpy(mac + 2, group->addr + 12, 4);
}

/* RFC 4291 2.7.1: ff02::1:ffXX:XXXX. */
static struct net_ip solicited_node(const struct net_ip *ip)
{
	struct net_ip group = {.family = AF_INET6, .addr = {0xff, 0x02, [11] = 1, [12] = 0xff}};

	memcpy(group.addr + 13, ip->addr + 13, 3);
	return group;
}

/* A message about @target with our MAC as its option. 0 or -ENOBUFS. */
static int emit(struct net *net, uint8_t type, uint8_t flags, const struct net_ip *src,
	const struct net_ip *dst, const uint8_t *mac, const struct net_ip *target)
{
	uint8_t group[6];
	const uint16_t len = ND_BYTES + ND_OPT_MAC_BYTES;
	struct rte_mbuf *m;
	struct rte_ipv6_hdr *ip;
	uint16_t csum;
	uint8_t *frame, *nd;

	if (!mac)
		group_mac(dst, group);
	frame = net_frame_build(net, mac ? mac : group, RTE_ETHER_TYPE_IPV6, FRAME_BYTES, &m);
	if (!frame)
		return -ENOBUFS;
	ip = (struct rte_ipv6_hdr *)(frame + sizeof(struct rte_ether_hdr));
	ip->vtc_flow = rte_cpu_to_be_32(6u << 28);
	ip->payload_len = rte_cpu_to_be_16(len);
	ip->proto = IPPROTO_ICMPV6;
	ip->hop_limits = ND_HOP_LIMIT;
	memcpy(&ip->src_addr, src->addr, 16);
	memcpy(&ip->dst_addr, dst->addr, 16);
	nd = (uint8_t *)(ip + 1);
	nd[0] = type;
	nd[4] = flags;
	memcpy(nd + ND_TARGET_OFF, target->addr, 16);
	nd[ND_BYTES] = type == ND_SOLICIT ? ND_OPT_SOURCE : ND_OPT_TARGET;
	nd[ND_BYTES + 1] = 1;
	memcpy(nd + ND_BYTES + 2, net->cfg.mac, 6);
	csum = csum_fold(csum_add(csum_pseudo(src, dst, IPPROTO_ICMPV6, len), nd, len));
	memcpy(nd + 2, &csum, sizeof(csum));
	net->stats.nd_tx++;
	if (type == ND_ADVERT)
		net_answer_push(net, m);
	else
		net_control_push(net, m);
	return 0;
}

int nd_ask(struct net *net, const struct net_ip *ip, const uint8_t *mac)
{
	const struct net_addr *local = ip_local_for(net, ip);
	struct net_ip group;

	assert(ip->family == AF_INET6);
	if (!local)
		return -EADDRNOTAVAIL;
	group = solicited_node(ip);
	return emit(net, ND_SOLICIT, 0, &local->ip, mac ? ip : &group, mac, ip);
}

void nd_announce(struct net *net, const struct net_ip *ip)
{
	assert(ip->family == AF_INET6);
	emit(net, ND_ADVERT, ADVERT_OVERRIDE, ip, &all_nodes, NULL, ip);
}

/* What a message says, once it is known to be well formed. */
struct nd_message {
	uint8_t type, flags;
	struct net_ip target;
	const uint8_t *source_mac, *target_mac; /* NULL = no such option */
};

/* RFC 4861 4.6: options in units of eight bytes; a length of zero spoils the whole message. */
static bool read_options(const uint8_t *opt, uint32_t len, struct nd_message *msg)
{
	for (unsigned i = 0; i < ND_OPT_MAX && len > 0; i++) {
		uint32_t opt_len;

		if (len < 8)
			return false;
		opt_len = opt[1] * 8u;
		if (opt_len == 0 || opt_len > len)
			return false;
		if (opt[0] == ND_OPT_SOURCE && opt_len == ND_OPT_MAC_BYTES)
			msg->source_mac = opt + 2;
		if (opt[0] == ND_OPT_TARGET && opt_len == ND_OPT_MAC_BYTES)
			msg->target_mac = opt + 2;
		opt += opt_len;
		len -= opt_len;
	}
	return true;
}

/* RFC 4861 7.1.1 and 7.1.2, all but the checksum, which icmp6_input() did; RFC 6980 5. */
static bool read_message(const struct rte_mbuf *m, const struct ip_in *in, struct nd_message *msg)
{
	static const struct net_ip unspecified = {.family = AF_INET6};
	const uint8_t *nd = rte_pktmbuf_mtod_offset(m, const uint8_t *, in->l4_off);

	if (in->ttl != ND_HOP_LIMIT || in->l4_len < ND_BYTES || in->was_fragment)
		return false;
	if (rte_pktmbuf_data_len(m) < in->l4_off + in->l4_len || nd[1] != 0)
		return false;
	*msg = (struct nd_message){.type = nd[0], .flags = nd[4]};
	msg->target = ip6_addr(nd + ND_TARGET_OFF);
	if (ip_is_multicast(&msg->target))
		return false;
	if (!read_options(nd + ND_BYTES, in->l4_len - ND_BYTES, msg))
		return false;
	if (msg->type == ND_ADVERT)
		return !ip_is_multicast(&in->dst) || !(msg->flags & ADVERT_SOLICITED);
	if (ip_equal(&in->src, &unspecified)) {
		const struct net_ip group = solicited_node(&msg->target);

		return !msg->source_mac && ip_equal(&in->dst, &group);
	}
	return true;
}

/*
 * RFC 4861 7.2.3, 7.2.4. A sender without an address (duplicate address detection) is answered by
 * all-nodes.
 */
static void solicit_input(struct net *net, const struct rte_mbuf *m, const struct ip_in *in,
	const struct nd_message *msg, uint64_t now_us)
{
	static const struct net_ip unspecified = {.family = AF_INET6};
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const uint8_t *mac = msg->source_mac ? msg->source_mac : eth->src_addr.addr_bytes;

	if (!ip_is_ours(net, &msg->target))
		return;
	if (ip_equal(&in->src, &unspecified)) {
		emit(net, ND_ADVERT, ADVERT_OVERRIDE, &msg->target, &all_nodes, NULL, &msg->target);
		return;
	}
	if (mac[0] & 1)
		return;
	if (msg->source_mac)
		neigh_learn(net, &in->src, msg->source_mac, NEIGH_CLAIM_OVERRIDE, now_us);
	emit(net, ND_ADVERT, ADVERT_SOLICITED | ADVERT_OVERRIDE, &msg->target, &in->src, mac,
		&msg->target);
}

/* RFC 4861 7.2.5. */
static void advert_input(struct net *net, const struct nd_message *msg, uint64_t now_us)
{
	bool is_override = msg->flags & ADVERT_OVERRIDE;
	enum neigh_claim claim;

	if (ip_is_ours(net, &msg->target))
		return; /* another host has our address: the kernel's duplicate detection says so */
	if (msg->flags & ADVERT_SOLICITED)
		claim = is_override ? NEIGH_CLAIM_ANSWER : NEIGH_CLAIM_ANSWER_WEAK;
	else
		claim = is_override ? NEIGH_CLAIM_OVERRIDE : NEIGH_CLAIM_UNSOLICITED;
	neigh_learn(net, &msg->target, msg->target_mac, claim, now_us);
}

void nd_input(struct net *net, const struct rte_mbuf *m, const struct ip_in *in, uint64_t now_us)
{
	struct nd_message msg;

	net->stats.nd_rx++;
	if (!read_message(m, in, &msg)) {
		net->stats.rx_bad_hdr++;
		return;
	}
	if (ip_is_ours(net, &in->src))
		return;
	if (msg.type == ND_SOLICIT)
		solicit_input(net, m, in, &msg, now_us);
	else if (msg.type == ND_ADVERT)
		advert_input(net, &msg, now_us);
}
