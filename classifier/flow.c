/*
 * flow.c - a fixed table from 5-tuples to cookies
 *
 * Open addressing with linear probing, never more than half full, so a look-up ends after a few
 * steps in one or two cache lines. The probe runs over an array of 32-bit tags; the entry itself
 * is touched only when its whole tag agrees. Most packets under a flood belong to no flow, and for
 * them the tags alone say so.
 *
 * Removal shifts later entries of the run back instead of leaving a tombstone: connections come and
 * go for months and the table must not get slower by it.
 *
 * The hash is keyed: who can choose addresses and ports must not be able to choose collisions.
 * A classifier has two tables: flows, and remotes with the number of flows each has, so that a
 * fragment without ports can be judged by its sender in one look-up.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "classifier/classify.h"

static_assert(sizeof(struct flow_key) == 38, "the hash reads every byte of a key and no padding");

/* Folds a 128-bit product: each bit of either factor reaches all of the result. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Spreads one seed over the secrets; odd, so that no product loses bits. */
static void secrets_derive(uint64_t secret[4], uint64_t seed)
{
	for (unsigned i = 0; i < 4; i++) {
		seed += UINT64_C(0x9e3779b97f4a7c15);
		secret[i] = mix(seed ^ (seed >> 31), UINT64_C(0xd6e8feb86659fd93) + i) | 1;
	}
}

static size_t capacity_of(uint32_t max)
{
	size_t capacity = 16;

	while (capacity < 2 * (size_t)max)
		capacity *= 2;
	return capacity;
}

size_t flow_table_bytes(uint32_t max)
{
	return capacity_of(max) * (sizeof(uint32_t) + sizeof(struct flow_entry));
}

int flow_table_init(struct flow_table *t, uint32_t max, uint64_t seed)
{
	size_t capacity = capacity_of(max);

	*t = (struct flow_table){.mask = (uint32_t)(capacity - 1), .max = max};
	t->tags = calloc(capacity, sizeof(*t->tags));
	t->entries = calloc(capacity, sizeof(*t->entries));
	if (!t->tags || !t->entries) {
		flow_table_fini(t);
		return -ENOMEM;
	}
	secrets_derive(t->secret, seed);
	return 0;
}

void flow_table_fini(struct flow_table *t)
{
	free(t->tags);
	free(t->entries);
	*t = (struct flow_table){0};
}

uint32_t flow_table_tag(const struct flow_table *t, const struct flow_key *key)
{
	const uint8_t *p = (const uint8_t *)key;
	const uint64_t *secret = t->secret;
	uint64_t a = mix(load64(p) ^ secret[0], load64(p + 8) ^ secret[1]);
	uint64_t b = mix(load64(p + 16) ^ secret[1], load64(p + 24) ^ secret[2]);
	uint64_t c = mix(load64(p + 30) ^ secret[3], a ^ secret[2]);

	return (uint32_t)(mix(b ^ c, secret[3]) >> 32) | 1;
}

/* memcmp() of a length the compiler will not inline: five loads a side do it. */
static bool is_same_key(const struct flow_key *a, const struct flow_key *b)
{
	const uint8_t *p = (const uint8_t *)a, *q = (const uint8_t *)b;

	return !((load64(p) ^ load64(q)) | (load64(p + 8) ^ load64(q + 8)) |
		 (load64(p + 16) ^ load64(q + 16)) | (load64(p + 24) ^ load64(q + 24)) |
		 (load64(p + 30) ^ load64(q + 30)));
}

static uint32_t home(const struct flow_table *t, uint32_t tag)
{
	return (tag >> 1) & t->mask;
}

void flow_table_prefetch(const struct flow_table *t, uint32_t tag)
{
	__builtin_prefetch(&t->tags[home(t, tag)]);
}

/* Out: where @key is, or the free place that ends its run. Half of the places are free. */
static uint32_t probe(const struct flow_table *t, const struct flow_key *key, uint32_t tag)
{
	uint32_t at = home(t, tag);

	for (uint32_t n = 0; n <= t->mask; n++, at = (at + 1) & t->mask) {
		if (!t->tags[at])
			return at;
		if (t->tags[at] == tag && is_same_key(&t->entries[at].key, key))
			return at;
	}
	assert(!"a flow table is never full");
	return 0;
}

uint32_t *flow_table_find(const struct flow_table *t, const struct flow_key *key, uint32_t tag)
{
	uint32_t at = probe(t, key, tag);

	return t->tags[at] ? &t->entries[at].value : NULL;
}

int flow_table_insert(struct flow_table *t, const struct flow_key *key, uint32_t value)
{
	uint32_t tag = flow_table_tag(t, key), at = probe(t, key, tag);

	if (t->tags[at])
		return -EEXIST;
	if (t->count == t->max)
		return -ENOSPC;
	t->tags[at] = tag;
	t->entries[at] = (struct flow_entry){.key = *key, .value = value};
	t->count++;
	return 0;
}

int flow_table_remove(struct flow_table *t, const struct flow_key *key)
{
	uint32_t hole = probe(t, key, flow_table_tag(t, key)), at = hole;

	if (!t->tags[hole])
		return -ENOENT;
	for (uint32_t n = 0; n <= t->mask; n++) {
		uint32_t way, back;

		at = (at + 1) & t->mask;
		if (!t->tags[at])
			break;
		way = (at - home(t, t->tags[at])) & t->mask;
		back = (at - hole) & t->mask;
		if (way < back)
			continue; /* its home lies behind the hole: it may not move before it */
		t->tags[hole] = t->tags[at];
		t->entries[hole] = t->entries[at];
		hole = at;
	}
	t->tags[hole] = 0;
	t->count--;
	return 0;
}

/* Unused bytes of an IPv4 address must not tell two equal keys apart. */
static struct flow_key key_clean(const struct flow_key *key)
{
	struct flow_key clean = *key;

	assert(key->family == AF_INET || key->family == AF_INET6);
	if (key->family == AF_INET) {
		memset(clean.remote + 4, 0, 12);
		memset(clean.local + 4, 0, 12);
	}
	return clean;
}

struct flow_key remote_key(uint8_t family, const uint8_t *addr)
{
	struct flow_key key = {.family = family};

	memcpy(key.remote, addr, family == AF_INET ? 4 : 16);
	return key;
}

int flow_insert(struct classifier *c, const struct flow_key *key, uint32_t cookie)
{
	struct flow_key flow = key_clean(key), remote = remote_key(key->family, key->remote);
	uint32_t *flows_of;
	int rc;

	assert(key->proto == IPPROTO_TCP);
	assert(cookie != FLOW_NONE);
	rc = flow_table_insert(&c->flows, &flow, cookie);
	if (rc)
		return rc;
	flows_of = flow_table_find(&c->remotes, &remote, flow_table_tag(&c->remotes, &remote));
	if (flows_of) {
		++*flows_of;
		return 0;
	}
	rc = flow_table_insert(&c->remotes, &remote, 1);
	assert(!rc); /* each remote has a flow, and there is room for as many */
	return 0;
}

int flow_remove(struct classifier *c, const struct flow_key *key)
{
	struct flow_key flow = key_clean(key), remote = remote_key(key->family, key->remote);
	uint32_t *flows_of;
	int rc = flow_table_remove(&c->flows, &flow);

	if (rc)
		return rc;
	c->memo.is_set = false;
	flows_of = flow_table_find(&c->remotes, &remote, flow_table_tag(&c->remotes, &remote));
	assert(flows_of && *flows_of > 0);
	if (!--*flows_of)
		flow_table_remove(&c->remotes, &remote);
	return 0;
}

uint32_t flow_lookup(const struct classifier *c, const struct flow_key *key)
{
	struct flow_key flow = key_clean(key);
	const uint32_t *cookie =
		flow_table_find(&c->flows, &flow, flow_table_tag(&c->flows, &flow));

	return cookie ? *cookie : FLOW_NONE;
}

uint32_t flow_count(const struct classifier *c)
{
	return c->flows.count;
}
