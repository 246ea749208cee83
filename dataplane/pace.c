/*
 * pace.c - how long a worker may look away, while exception packets pour in or the storage is at
 * work
 *
 * A worker that spins after each packet never sleeps under a flood: it takes a whole processor,
 * from the very programs that wait for the storage, to look at packets one by one as they come.
 * The interrupt is no help, since it is raised for those packets too. What helps is to look less
 * often: a nap, after which the packets that arrived are taken in one burst.
 *
 * The price is that an answer of the storage may wait out the nap. So it is a quarter of the time
 * that lies between one turn of storage work and the next, as it was of late: a request then takes
 * an eighth longer on average, at most. Storage that is busy, or answers in less than four times
 * NAP_US_MIN, allows no nap, and the worker polls as it does without a flood. And it is no longer
 * than a quarter of the RX ring takes to fill at the flood's pace: a nap must not lose a packet.
 *
 * The same is true of answers. With many requests at the server, one answer more or less in a turn
 * makes no difference to who asked, but each turn is work: a packet sent, an ACK, a submission. So
 * while nothing comes and many requests wait, the worker rests for a part of what a request takes,
 * and finds several answers at once. In the midst of answers the server waits for our ACKs: then it
 * rests for a part of a round trip only, and not at all while they come slowly, for so they do when
 * the server has little leave to send.
 *
 * With few requests in flight each counts; but none is answered much before its time, and polling
 * takes the processor from the requesting program. So the worker rests for a quarter of what lies
 * between one answer and the next, and not at all when a part of an answer has come.
 *
 * Pure: packets and times go in, and a time comes out.
 */
#include "dataplane/pace.h"

#include "config/limits.h"

#define WINDOW_US     1000u
#define FLOOD_COUNT   4u   /* exception packets in a window, from which on they are a flood */
#define NAP_US_MIN    50u  /* shorter is not worth going to sleep for */
#define NAP_US_MAX    250u
#define NAP_SHARE     4u   /* of the gap between turns of storage work, and of the ring */
#define GAP_US_MAX    10000u /* storage that has been silent for longer is not in a hurry */
#define GAP_WEIGHT    8u

#define REST_US_MIN	16u /* a timer costs half of that */
#define REST_US_MAX	250u
#define MANY_IN_FLIGHT	8u
#define FLOW_COUNT	32u /* mbufs of the storage in a window, from which on answers flow */
#define REST_SHARE_MANY 8u /* of what a request takes */
#define REST_SHARE_RTT	4u /* of a round trip, while answers flow: the server waits for ACKs */
#define REST_SHARE_FEW	4u /* of what lies between one answer and the next */

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

void pace_turn(struct pace *p, unsigned exceptions, unsigned storage, uint64_t now_us)
{
	uint64_t gap_us;

	if (now_us - p->window_us >= WINDOW_US) {
		p->exceptions_last = now_us - p->window_us < 2 * WINDOW_US ? p->exceptions : 0;
		p->storage_last = now_us - p->window_us < 2 * WINDOW_US ? p->storage : 0;
		p->exceptions = p->storage = 0;
		p->window_us = now_us;
	}
	p->exceptions += exceptions;
	p->storage += storage;
	if (!storage)
		return;
	gap_us = smaller(now_us - p->storage_us, GAP_US_MAX);
	p->gap_us = (p->gap_us * (GAP_WEIGHT - 1) + gap_us) / GAP_WEIGHT;
	p->storage_us = now_us;
}

uint64_t pace_nap_us(const struct pace *p, unsigned ring_count, uint64_t now_us)
{
	uint32_t rate = larger(p->exceptions, p->exceptions_last);
	uint64_t gap_us = p->gap_us, nap_us;

	if (now_us - p->window_us >= 2 * WINDOW_US || rate < FLOOD_COUNT)
		return 0;
	/* Nothing for a long time: the gap of that time does not matter now. */
	if (now_us - p->storage_us > GAP_US_MAX)
		gap_us = GAP_US_MAX;
	nap_us = smaller(gap_us / NAP_SHARE, NAP_US_MAX);
	nap_us = smaller(nap_us, (uint64_t)ring_count * WINDOW_US / NAP_SHARE / rate);
	return nap_us < NAP_US_MIN ? 0 : nap_us;
}

uint64_t pace_rest_us(const struct pace *p, const struct nbd_client_load *load, unsigned ring_count)
{
	uint32_t rate =
		larger(p->exceptions, p->exceptions_last) + larger(p->storage, p->storage_last);
	bool has_many = load->in_flight >= MANY_IN_FLIGHT,
	     is_flow = larger(p->storage, p->storage_last) >= FLOW_COUNT;
	uint64_t rest_us;

	if (load->in_flight == 0 || (load->is_answering && !(has_many && is_flow)))
		return 0;
	rest_us =
		load->latency_us / (has_many ? REST_SHARE_MANY : REST_SHARE_FEW * load->in_flight);
	rest_us =
		smaller(rest_us, load->is_answering ? load->rtt_us / REST_SHARE_RTT : REST_US_MAX);
	rest_us = smaller(rest_us, REST_US_MAX);
	if (rate > 0)
		rest_us = smaller(rest_us, (uint64_t)ring_count * WINDOW_US / NAP_SHARE / rate);
	return rest_us < REST_US_MIN ? 0 : rest_us;
}
