/*
 * nbd_client.c - the volumes of one worker, turned once a turn
 *
 * The worker hands over the time and gets work done in a fixed order: stream events are noted on
 * the connections they belong to, then each volume takes its turn. Nothing here blocks, allocates
 * or calls up; what the control thread should hear is put in a ring of NBD_EVENT_MAX lines, and a
 * line that finds it full is counted on its volume (the state itself is in volume_info()).
 *
 * One worker. A volume leaves the table in the turn it becomes VOLUME_GONE.
 */
#include "nbd_client/volume_priv.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LATENCY_WEIGHT 16u
#define LATENCY_US_MAX 1000000u

struct nbd_client {
	struct net *net;
	uint64_t random;
	struct volume *volumes[VOLUME_MAX];
	unsigned volume_count;
	uint64_t latency_us; /* a running mean, for nbd_client_load() */
	unsigned event_head, event_count;
	struct volume_event events[NBD_EVENT_MAX];
};

struct nbd_client *nbd_client_create(struct net *net, uint64_t seed)
{
	struct nbd_client *nc = calloc(1, sizeof(*nc));

	if (!nc)
		return NULL;
	nc->net = net;
	nc->random = seed ? seed : 1; /* xorshift never leaves 0 */
	return nc;
}

size_t nbd_client_bytes(void)
{
	return sizeof(struct nbd_client);
}

void nbd_client_destroy(struct nbd_client *nc)
{
	assert(!nc || nc->volume_count == 0);
	free(nc);
}

int nbd_client_add(struct nbd_client *nc, struct volume *v, uint64_t now_us)
{
	assert(v->state == VOLUME_IDLE && !v->client);
	if (nc->volume_count == VOLUME_MAX)
		return -ENOSPC;
	nc->volumes[nc->volume_count++] = v;
	v->client = nc;
	v->now_us = now_us;
	volume_set_state(v, VOLUME_CONNECTING);
	return 0;
}

/*
 * Each stream's ctx is its connection; one that has released the stream gets no more of its events.
 */
static void stream_events_note(struct nbd_client *nc)
{
	struct stream_event events[BURST_MAX];

	for (unsigned round = 0; round < STREAM_EVENT_MAX / BURST_MAX; round++) {
		unsigned n = stream_events(nc->net, events, BURST_MAX);

		for (unsigned i = 0; i < n; i++) {
			struct volume_conn *vc = events[i].ctx;

			if (vc->stream != events[i].stream)
				continue;
			vc->event_bits |= events[i].bits;
			vc->is_readable |= (events[i].bits & STREAM_READABLE) != 0;
		}
		if (n < BURST_MAX)
			return;
	}
}

void nbd_client_turn(struct nbd_client *nc, uint64_t now_us)
{
	unsigned kept = 0;

	stream_events_note(nc);
	for (unsigned i = 0; i < nc->volume_count; i++) {
		struct volume *v = nc->volumes[i];

		if (volume_turn(v, now_us))
			nc->volumes[kept++] = v;
	}
	nc->volume_count = kept;
}

uint64_t nbd_client_deadline(const struct nbd_client *nc)
{
	uint64_t first = UINT64_MAX;

	for (unsigned i = 0; i < nc->volume_count; i++) {
		uint64_t t = volume_deadline(nc->volumes[i]);

		first = t < first ? t : first;
	}
	return first;
}

void nbd_client_answered(struct nbd_client *nc, uint64_t took_us)
{
	took_us = took_us < LATENCY_US_MAX ? took_us : LATENCY_US_MAX;
	nc->latency_us = (nc->latency_us * (LATENCY_WEIGHT - 1) + took_us) / LATENCY_WEIGHT;
}

static void answers_note(const struct volume *v, struct nbd_client_load *out)
{
	for (unsigned i = 0; i < v->cfg.connections; i++) {
		const struct volume_conn *vc = &v->conns[i];
		uint32_t rtt_us;

		if (!vc->stream || vc->nbd.state != NBD_WAIT_DATA)
			continue;
		rtt_us = stream_rtt_us(vc->stream);
		out->rtt_us = out->is_answering && out->rtt_us < rtt_us ? out->rtt_us : rtt_us;
		out->is_answering = true;
	}
}

void nbd_client_load(const struct nbd_client *nc, struct nbd_client_load *out)
{
	*out = (struct nbd_client_load){.latency_us = nc->latency_us};
	for (unsigned i = 0; i < nc->volume_count; i++) {
		const struct volume *v = nc->volumes[i];

		out->in_flight += v->in_flight;
		if (v->in_flight > 0)
			answers_note(v, out);
	}
}

bool nbd_client_pending(const struct nbd_client *nc)
{
	for (unsigned i = 0; i < nc->volume_count; i++) {
		const struct volume *v = nc->volumes[i];

		if (volume_is_taking(v) && v->in_flight < v->cfg.queue_depth &&
			v->front->ops->pending(v->front))
			return true;
	}
	return false;
}

unsigned nbd_client_events(struct nbd_client *nc, struct volume_event *out, unsigned max)
{
	unsigned n = 0;

	while (n < max && nc->event_count > 0) {
		out[n++] = nc->events[nc->event_head];
		nc->event_head = (nc->event_head + 1) % NBD_EVENT_MAX;
		nc->event_count--;
	}
	return n;
}

struct volume_event *nbd_client_event_slot(struct nbd_client *nc)
{
	if (nc->event_count == NBD_EVENT_MAX)
		return NULL;
	return &nc->events[(nc->event_head + nc->event_count++) % NBD_EVENT_MAX];
}

struct net *nbd_client_net(struct nbd_client *nc)
{
	return nc->net;
}

uint64_t nbd_client_random(struct nbd_client *nc)
{
	nc->random ^= nc->random << 13;
	nc->random ^= nc->random >> 7;
	nc->random ^= nc->random << 17;
	return nc->random;
}
