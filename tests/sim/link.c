/*
 * link.c - loses, delays, reorders, repeats, damages and marks, all by the seed
 *
 * Packets keep their order unless one is picked to be late. Damage is one byte: ones' complement
 * sums always notice that, so a damaged packet that is accepted is the stack's fault and not
 * chance.
 */
#include "tests/sim/link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool is_before(const struct flight *a, const struct flight *b)
{
	if (a->at_us != b->at_us)
		return a->at_us < b->at_us;
	return a->wire_us < b->wire_us || (a->wire_us == b->wire_us && a->order < b->order);
}

static void swap(struct flight *a, struct flight *b)
{
	struct flight t = *a;

	*a = *b;
	*b = t;
}

static void push(struct flights *f, const struct link_config *c, uint64_t wire_us, uint8_t way,
	const uint8_t *bytes, size_t len)
{
	uint64_t at_us =
		c->gather_us ? (wire_us + c->gather_us - 1) / c->gather_us * c->gather_us : wire_us;
	uint32_t i = f->count++;

	if (f->count > f->room) {
		f->room = f->room ? 2 * f->room : 64;
		f->heap = realloc(f->heap, f->room * sizeof(f->heap[0]));
		assert(f->heap);
	}
	f->heap[i] = (struct flight){.at_us = at_us,
		.wire_us = wire_us,
		.order = f->order++,
		.way = way,
		.len = (uint32_t)len};
	f->heap[i].bytes = malloc(len);
	assert(f->heap[i].bytes);
	memcpy(f->heap[i].bytes, bytes, len);
	for (; i > 0 && is_before(&f->heap[i], &f->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&f->heap[i], &f->heap[(i - 1) / 2]);
}

uint64_t flights_next_us(const struct flights *f)
{
	return f->count ? f->heap[0].at_us : UINT64_MAX;
}

struct flight flights_take(struct flights *f)
{
	struct flight first = f->heap[0];
	uint32_t i = 0, least;

	assert(f->count > 0);
	f->heap[0] = f->heap[--f->count];
	for (;; i = least) {
		least = i;
		for (uint32_t k = 2 * i + 1; k <= 2 * i + 2 && k < f->count; k++)
			if (is_before(&f->heap[k], &f->heap[least]))
				least = k;
		if (least == i)
			return first;
		swap(&f->heap[i], &f->heap[least]);
	}
}

void flights_clear(struct flights *f)
{
	while (f->count > 0)
		free(f->heap[--f->count].bytes);
	free(f->heap);
	f->heap = NULL;
	f->room = 0;
}

/* When the last bit is on the wire, or UINT64_MAX when the queue before it is full. */
static uint64_t departure(struct link *l, size_t len, uint64_t now_us)
{
	uint64_t start = l->free_us > now_us ? l->free_us : now_us;

	if (l->cfg.bytes_per_s == 0)
		return now_us;
	if ((start - now_us) * l->cfg.bytes_per_s / 1000000 + len > l->cfg.queue_bytes &&
		start > now_us)
		return UINT64_MAX;
	l->free_us = start + len * 1000000 / l->cfg.bytes_per_s;
	return l->free_us;
}

/* RFC 3168: a router marks in place of dropping. IPv4's header checksum is mended too. */
static bool mark(uint8_t *bytes)
{
	uint32_t sum;

	if (bytes[0] >> 4 == 6 && (bytes[1] >> 4 & 3) == 2) {
		bytes[1] |= 3 << 4;
		return true;
	}
	if (bytes[0] >> 4 != 4 || (bytes[1] & 3) != 2)
		return false;
	bytes[1] |= 3;
	/* RFC 1624: the word grew by one, so its complement sum shrinks by one. */
	sum = (uint32_t)(bytes[10] << 8 | bytes[11]) + 0xfffe;
	sum = (sum & 0xffff) + (sum >> 16);
	bytes[10] = (uint8_t)(sum >> 8);
	bytes[11] = (uint8_t)sum;
	return true;
}

unsigned link_send(struct link *l, struct flights *f, struct rnd *r, uint8_t way,
	const uint8_t *bytes, size_t len, uint64_t now_us)
{
	const struct link_config *c = &l->cfg;
	uint8_t copy[65600];
	uint64_t at_us = departure(l, len, now_us);
	unsigned fate = LINK_OK;

	assert(len > 0 && len <= sizeof(copy));
	if (at_us == UINT64_MAX || rnd_ppm(r, c->loss_ppm) ||
		(c->mtu && len > c->mtu && now_us >= c->mtu_from_us) ||
		(now_us >= c->dark_from_us && now_us < c->dark_until_us))
		return LINK_LOST;
	memcpy(copy, bytes, len);
	if (rnd_ppm(r, c->ce_ppm) && mark(copy))
		fate |= LINK_CE;
	if (c->early_ppm && rnd_ppm(r, c->early_ppm)) {
		push(f, c, at_us, way, copy, len);
		return fate | LINK_LATE;
	}
	at_us += c->delay_us + rnd_below(r, c->jitter_us + 1);
	if (rnd_ppm(r, c->dup_ppm)) {
		push(f, c, at_us + rnd_log(r, c->late_us_max), way, copy, len);
		fate |= LINK_DUP;
	}
	if (rnd_ppm(r, c->corrupt_ppm)) {
		copy[rnd_below(r, len)] ^= (uint8_t)rnd_in(r, 1, 255);
		fate |= LINK_BAD;
	}
	if (rnd_ppm(r, c->reorder_ppm)) {
		at_us += 1 + rnd_log(r, c->late_us_max);
		fate |= LINK_LATE;
	} else {
		at_us = at_us > l->arrival_us ? at_us : l->arrival_us;
		l->arrival_us = at_us;
	}
	push(f, c, at_us, way, copy, len);
	return fate;
}
