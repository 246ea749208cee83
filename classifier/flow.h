/*
 * flow.h - the table of flows, as the other files of this room use it
 */
#ifndef CLASSIFIER_FLOW_H
#define CLASSIFIER_FLOW_H

#include <stddef.h>
#include "classifier/classifier.h"

struct flow_entry {
	struct flow_key key;
	uint32_t value;
};

struct flow_table {
	uint32_t *tags; /* 0: free, else the hash of the key, its home in the upper bits */
	struct flow_entry *entries;
	uint32_t mask, count, max;
	uint64_t secret[4];
};

size_t flow_table_bytes(uint32_t max); /* what init allocates */
/* 0 or -ENOMEM. fini accepts zeroed memory. */
int flow_table_init(struct flow_table *t, uint32_t max, uint64_t seed);
void flow_table_fini(struct flow_table *t);

uint32_t flow_table_tag(const struct flow_table *t, const struct flow_key *key);
void flow_table_prefetch(const struct flow_table *t, uint32_t tag);
/* The value under @key, valid until the next insert or remove; NULL if there is none. */
uint32_t *flow_table_find(const struct flow_table *t, const struct flow_key *key, uint32_t tag);
int flow_table_insert(struct flow_table *t, const struct flow_key *key, uint32_t value);
int flow_table_remove(struct flow_table *t, const struct flow_key *key);

#endif
