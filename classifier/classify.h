/*
 * classify.h - inside of a classifier, for the files of this room only
 */
#ifndef CLASSIFIER_CLASSIFY_H
#define CLASSIFIER_CLASSIFY_H

#include "classifier/classifier.h"
#include "classifier/flow.h"

struct address {
	uint8_t family;
	uint8_t bytes[16];
};

/* Ethernet, IPv4 without options, and the ports: the ends of a packet, which is_like() compares. */
#define MEMO_BYTES 38

/* The last packet of a flow, from one burst to the next: most bursts begin with another of it. */
struct memo {
	uint8_t frame[MEMO_BYTES];
	bool is_set; /* until a flow goes */
	struct pkt_info parsed, info; /* before the verdict, and with it */
};

struct classifier {
	struct memo memo;
	struct flow_table flows;
	struct flow_table remotes; /* by remote address alone: how many flows it has */
	unsigned own_count, gateway_count, rule_count;
	struct address own[NET_ADDR_MAX];
	struct address gateways[NET_ADDR_MAX];
	struct protect_rule rules[PROTECT_RULE_MAX];
	struct classifier_stats stats;
};

/* flow.c: the key under which a remote is counted. */
struct flow_key remote_key(uint8_t family, const uint8_t *addr);

/*
 * verdict.c: the questions that need no flow of the packet's own. @bytes is the frame, @len of it
 * readable; @info came from a parse that was content, and is of an untagged frame but for rules.
 */
bool fragment_is_protected(
	const struct classifier *c, const uint8_t *bytes, const struct pkt_info *info);
/* @info gets the cookie of the flow an error quotes. */
bool packet_is_essential(
	const struct classifier *c, const uint8_t *bytes, uint32_t len, struct pkt_info *info);
bool rule_matches(const struct classifier *c, const uint8_t *bytes, const struct pkt_info *info);

#endif
