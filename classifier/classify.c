/*
 * classify.c - a burst of mbufs in, a verdict for each out
 *
 * Three passes, so that memory is asked for before it is needed: headers are prefetched a few
 * packets ahead of the parse; the parse hashes the 5-tuple and prefetches its place in the table;
 * the third pass finds it there. A packet between the same ends as the last of its kind, as most of
 * a burst are, is judged as that was: the storage's is neither hashed nor looked up, and a flood's
 * is not held against the rules again. The last packet of a flow is remembered for the next burst.
 * Verdicts in order: bad, protected by its flow, protected as a fragment, essential, protected by a
 * rule, other. The first that fits is it.
 *
 * A tagged frame is on another network than our addresses, whatever addresses it carries, whether
 * the tag is still in the frame or the port took it out.
 *
 * One worker. Holds no mbuf; counts what it said.
 */
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include "classifier/classify.h"
#include "classifier/parse.h"
#include "config/counter.h"

#define AHEAD 4 /* packets whose headers are on their way while one is parsed */

/* What the last pass needs to know of a packet. */
struct lookup {
	const struct pkt_info *like; /* its verdict is that one's; NULL: classified by itself */
	bool is_flow;		     /* … and may be of the flow of this key */
	struct flow_key key;
	uint32_t tag;
};

/* The last packet of TCP, or of UDP, that others may be like. */
struct model {
	const uint8_t *bytes;	       /* NULL: none */
	const struct pkt_info *parsed; /* as the parse left it */
	const struct pkt_info *info;   /* what the last pass makes of it */
};

struct classifier *classifier_create(uint32_t flow_max, uint64_t seed)
{
	struct classifier *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (flow_table_init(&c->flows, flow_max, seed) ||
		flow_table_init(&c->remotes, flow_max, ~seed)) {
		classifier_destroy(c);
		return NULL;
	}
	return c;
}

size_t classifier_bytes(uint32_t flow_max)
{
	return sizeof(struct classifier) + 2 * flow_table_bytes(flow_max);
}

void classifier_destroy(struct classifier *c)
{
	if (!c)
		return;
	flow_table_fini(&c->flows);
	flow_table_fini(&c->remotes);
	free(c);
}

/* The port may have taken the tag out of the frame and put it beside. */
static void note_stripped_tags(const struct rte_mbuf *m, struct pkt_info *info)
{
	uint16_t inner = m->vlan_tci & 0xfff;
	bool is_tagged = inner;

	if ((m->ol_flags & RTE_MBUF_F_RX_QINQ) && (m->vlan_tci_outer & 0xfff))
		is_tagged = true;
	if (!is_tagged)
		return;
	info->flags |= PKT_VLAN;
	if (!info->vlan)
		info->vlan = inner ? inner : m->vlan_tci_outer & 0xfff;
}

static void parse_one(struct classifier *c, const struct rte_mbuf *m, struct pkt_info *info)
{
	enum parse_result res = parse_frame(rte_pktmbuf_mtod(m, const uint8_t *),
		rte_pktmbuf_data_len(m), rte_pktmbuf_pkt_len(m), info);

	if (m->ol_flags & (RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_QINQ))
		note_stripped_tags(m, info);
	if (info->flags & PKT_FRAGMENT)
		counter_add(&c->stats.fragments, 1);
	if (res == PARSE_OK)
		return;
	info->cls = PKT_BAD;
	counter_add(res == PARSE_SHORT ? &c->stats.bad_short : &c->stats.bad_length, 1);
}

/* Only TCP with its ports at hand, on the untagged network, can be of a flow. */
static bool may_be_a_flow(const struct pkt_info *info)
{
	return info->cls != PKT_BAD && info->l4_proto == IPPROTO_TCP && !(info->flags & PKT_VLAN) &&
	       (info->flags & (PKT_FRAGMENT | PKT_FRAGMENT_FIRST)) != PKT_FRAGMENT;
}

static void lookup_begin(struct classifier *c, const uint8_t *bytes, const struct pkt_info *info,
	struct lookup *look)
{
	const uint8_t *ip = bytes + info->l3_off;
	struct flow_key *key = &look->key;

	look->is_flow = true;
	*key = (struct flow_key){.proto = IPPROTO_TCP};
	key->remote_port_be = rte_cpu_to_be_16(info->sport);
	key->local_port_be = rte_cpu_to_be_16(info->dport);
	if (info->l3 == PKT_L3_IP4) {
		key->family = AF_INET;
		memcpy(key->remote, ip + 12, 4);
		memcpy(key->local, ip + 16, 4);
	} else {
		key->family = AF_INET6;
		memcpy(key->remote, ip + 8, 16);
		memcpy(key->local, ip + 24, 16);
	}
	look->tag = flow_table_tag(&c->flows, key);
	flow_table_prefetch(&c->flows, look->tag);
}

/*
 * Neither what is in it nor where it came from matters to the verdict, but its ends; and they lie
 * in one piece of twelve bytes, as in IPv4 without options.
 */
static bool is_model(const struct pkt_info *info)
{
	return info->cls != PKT_BAD && info->l3 == PKT_L3_IP4 && info->l3_len == 20 &&
	       (info->l4_proto == IPPROTO_TCP || info->l4_proto == IPPROTO_UDP) &&
	       !(info->flags & (PKT_FRAGMENT | PKT_VLAN));
}

static bool is_like(const uint8_t *bytes, const struct pkt_info *info, const struct model *model)
{
	return model->bytes && pkt_is_alike(info, model->parsed) &&
	       memcmp(bytes + info->l3_off + 12, model->bytes + info->l3_off + 12, 12) == 0;
}

/*
 * The parse and is_like() in one, of a plain packet between the ends of a plain model. False:
 * nothing is known.
 */
static bool look_again(const struct rte_mbuf *m, const struct model *models, struct pkt_info *out,
	struct lookup *look)
{
	const uint8_t *bytes = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t end = parse_plain_end(bytes, m->data_len, m->pkt_len);
	const struct model *model;

	if (!end || (m->ol_flags & (RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_QINQ)))
		return false;
	model = &models[bytes[PLAIN_IP_OFF + 9] == IPPROTO_TCP];
	if (!model->bytes || model->parsed->l3_off != PLAIN_IP_OFF ||
		memcmp(bytes + PLAIN_ENDS_OFF, model->bytes + PLAIN_ENDS_OFF, PLAIN_ENDS_BYTES) ||
		((bytes[0] ^ model->bytes[0]) & 1))
		return false;
	*out = *model->parsed;
	out->end_off = end;
	look->like = model->info;
	return true;
}

static uint32_t lookup_end(const struct classifier *c, const struct lookup *look)
{
	const uint32_t *cookie = flow_table_find(&c->flows, &look->key, look->tag);

	return cookie ? *cookie : FLOW_NONE;
}

static enum pkt_class verdict_without_flow(
	const struct classifier *c, const struct rte_mbuf *m, struct pkt_info *info)
{
	const uint8_t *bytes = rte_pktmbuf_mtod(m, const uint8_t *);

	if (!(info->flags & PKT_VLAN)) {
		if (fragment_is_protected(c, bytes, info))
			return PKT_PROTECTED;
		if (packet_is_essential(c, bytes, rte_pktmbuf_data_len(m), info))
			return PKT_ESSENTIAL;
	}
	if (rule_matches(c, bytes, info)) {
		info->flags |= PKT_RULE;
		return PKT_PROTECTED;
	}
	return PKT_EXCEPTION;
}

/* The first two passes. */
static void look_at(struct classifier *c, const struct rte_mbuf *m, struct model *models,
	struct pkt_info *out, struct lookup *look)
{
	const uint8_t *bytes = rte_pktmbuf_mtod(m, const uint8_t *);
	struct model *model;

	if (look_again(m, models, out, look))
		return;
	parse_one(c, m, out);
	model = &models[out->l4_proto == IPPROTO_TCP];
	look->like = is_like(bytes, out, model) ? model->info : NULL;
	if (look->like)
		return;
	look->is_flow = false;
	if (may_be_a_flow(out))
		lookup_begin(c, bytes, out, look);
	if (is_model(out))
		*model = (struct model){bytes, out, out};
}

/* And the last. */
static void judge(const struct classifier *c, const struct rte_mbuf *m, struct pkt_info *out,
	const struct lookup *look)
{
	if (look->like) {
		memcpy(out, look->like,
			offsetof(struct pkt_info,
				l3_off)); /* class and flags, and what is alike already */
		out->flow = look->like->flow;
		return;
	}
	if (look->is_flow)
		out->flow = lookup_end(c, look);
	if (out->flow != FLOW_NONE)
		out->cls = PKT_PROTECTED;
	else if (out->cls != PKT_BAD)
		out->cls = verdict_without_flow(c, m, out);
}

/* Keeps the burst's last packet of TCP for the next burst, where it is of a flow. */
static void memo_keep(struct classifier *c, const struct model *model)
{
	const struct pkt_info *info = model->info;

	if (model->bytes == c->memo.frame || !model->bytes || info->flow == FLOW_NONE ||
		info->l4_off + 4u > MEMO_BYTES)
		return;
	memcpy(c->memo.frame, model->bytes, MEMO_BYTES);
	c->memo.parsed = c->memo.info = *info;
	c->memo.parsed.cls = PKT_EXCEPTION; /* what a parse says of a good packet */
	c->memo.parsed.flags &= (uint8_t)~PKT_RULE;
	c->memo.is_set = true;
}

void classify_burst(
	struct classifier *c, struct rte_mbuf *const *m, unsigned n, struct pkt_info *out)
{
	struct lookup look[BURST_MAX];
	struct model models[2] = {{NULL, NULL, NULL}, /* UDP's, TCP's */
		{c->memo.is_set ? c->memo.frame : NULL, &c->memo.parsed, &c->memo.info}};
	uint32_t counts[PKT_BAD + 1] = {0};

	assert(n <= BURST_MAX);
	for (unsigned i = 0; i < n && i < AHEAD; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], const void *));
	for (unsigned i = 0; i < n; i++) {
		if (i + AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + AHEAD], const void *));
		look_at(c, m[i], models, &out[i], &look[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		judge(c, m[i], &out[i], &look[i]);
		counts[out[i].cls]++;
	}
	memo_keep(c, &models[1]);
	for (unsigned i = 0; i <= PKT_BAD; i++)
		counter_add(&c->stats.count[i], counts[i]);
}

void classifier_stats(const struct classifier *c, struct classifier_stats *out)
{
	for (unsigned i = 0; i < sizeof(out->count) / sizeof(out->count[0]); i++)
		out->count[i] = __atomic_load_n(&c->stats.count[i], __ATOMIC_RELAXED);
	out->bad_short = __atomic_load_n(&c->stats.bad_short, __ATOMIC_RELAXED);
	out->bad_length = __atomic_load_n(&c->stats.bad_length, __ATOMIC_RELAXED);
	out->fragments = __atomic_load_n(&c->stats.fragments, __ATOMIC_RELAXED);
}
