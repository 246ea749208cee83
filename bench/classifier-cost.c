/*
 * classifier-cost.c - cycles to classify a packet, with few and with many protected flows
 *
 * A thousand frames in bursts of 32, each of another flow as far as there are flows, in three
 * mixes: all of them protected, one in two protected, and a UDP flood of which none is. The best of
 * many rounds is printed, since noise only adds. Needs no EAL and no NIC: frames stand in plain
 * memory, warm in the cache as they are after DDIO.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include "classifier/classifier.h"

#define FRAME_COUNT 1024u
#define FRAME_BYTES 64u
#define ROUNDS	    200u
#define MIX_COUNT   3u

struct frames {
	uint8_t bytes[FRAME_COUNT][FRAME_BYTES];
	struct rte_mbuf mbufs[FRAME_COUNT];
	struct rte_mbuf *burst[FRAME_COUNT];
};

static const uint8_t us[4] = {10, 0, 0, 1};

/* Flow @n: one port in 60,000 of one remote in as many as it takes. */
static struct flow_key key_of(uint32_t n)
{
	struct flow_key key = {.family = AF_INET,
		.proto = IPPROTO_TCP,
		.remote = {10, 0, 1, (uint8_t)(n % 251)},
		.remote_port_be = htons(10809),
		.local_port_be = htons((uint16_t)(5000 + n))};

	memcpy(key.local, us, 4);
	return key;
}

static void frame_fill(uint8_t *p, const struct flow_key *key, uint8_t proto)
{
	memset(p, 0, FRAME_BYTES);
	p[12] = 8; /* IPv4 */
	p[14] = 0x45;
	p[17] = FRAME_BYTES - 14;
	p[22] = 64;
	p[23] = proto;
	memcpy(p + 26, key->remote, 4);
	memcpy(p + 30, key->local, 4);
	memcpy(p + 34, &key->remote_port_be, 2);
	memcpy(p + 36, &key->local_port_be, 2);
	if (proto == IPPROTO_TCP)
		p[46] = 0x50;
	else
		p[39] = FRAME_BYTES - 34;
}

/* @mix 0: all protected, 1: every other one, 2: none, and UDP. */
static void frames_fill(struct frames *f, unsigned mix, uint32_t flows)
{
	for (uint32_t i = 0; i < FRAME_COUNT; i++) {
		/* A prime step, so that neighbours in a burst are no neighbours in the table. */
		struct flow_key key = key_of(i * 7919 % flows);

		if (mix == 1 && i % 2)
			key.local_port_be = htons(4999);
		frame_fill(f->bytes[i], &key, mix == 2 ? IPPROTO_UDP : IPPROTO_TCP);
		f->mbufs[i] = (struct rte_mbuf){.buf_addr = f->bytes[i],
			.data_len = FRAME_BYTES,
			.pkt_len = FRAME_BYTES,
			.nb_segs = 1};
		f->burst[i] = &f->mbufs[i];
	}
}

static double run(struct classifier *c, const struct frames *f)
{
	struct pkt_info info[BURST_MAX];
	uint64_t begin = rte_rdtsc_precise();

	for (uint32_t i = 0; i < FRAME_COUNT; i += BURST_MAX)
		classify_burst(c, f->burst + i, BURST_MAX, info);
	return (double)(rte_rdtsc_precise() - begin) / FRAME_COUNT;
}

static double best(struct classifier *c, const struct frames *f)
{
	double least = run(c, f);

	for (unsigned round = 1; round < ROUNDS; round++) {
		double cycles = run(c, f);

		if (cycles < least)
			least = cycles;
	}
	return least;
}

/* Exits if the mix was not what it should be: a fast wrong answer is no figure. */
static void check_mix(const struct classifier *c, unsigned mix)
{
	uint64_t all = (uint64_t)ROUNDS * FRAME_COUNT, want = mix == 0	 ? all
							      : mix == 1 ? all / 2
									 : 0;
	struct classifier_stats stats;

	classifier_stats(c, &stats);
	if (stats.count[PKT_PROTECTED] == want)
		return;
	fprintf(stderr, "classifier-cost: mix %u gave a wrong verdict\n", mix);
	exit(1);
}

static double measure(struct frames *f, unsigned mix, uint32_t flows)
{
	struct classifier *c = classifier_create(FLOW_MAX, 1);
	double cycles;

	if (!c || classifier_address_add(c, AF_INET, us))
		abort();
	for (uint32_t n = 0; n < flows; n++) {
		struct flow_key key = key_of(n);

		if (flow_insert(c, &key, n))
			abort();
	}
	frames_fill(f, mix, flows);
	cycles = best(c, f);
	check_mix(c, mix);
	classifier_destroy(c);
	return cycles;
}

int main(void)
{
	static const uint32_t flow_counts[] = {1, 64, 10000};
	static struct frames frames;

	printf("%-20s %12s %12s %12s\n", "cycles a packet", "protected", "one in two", "UDP flood");
	for (unsigned i = 0; i < RTE_DIM(flow_counts); i++) {
		printf("%-6u flows        ", flow_counts[i]);
		for (unsigned mix = 0; mix < MIX_COUNT; mix++)
			printf(" %12.1f", measure(&frames, mix, flow_counts[i]));
		printf("\n");
	}
	return 0;
}
