/*
 * peer_impl.h - what the peer's receiving and sending halves share
 */
#ifndef SIM_PEER_IMPL_H
#define SIM_PEER_IMPL_H

#include "tests/sim/peer.h"

static inline uint64_t peer_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t peer_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The position @seq names, nearest to @near. */
static inline uint64_t peer_unwrap(uint32_t seq, uint32_t isn, uint64_t near)
{
	int64_t pos = (int64_t)near + (int32_t)(seq - (isn + (uint32_t)near));

	return pos < 0 ? UINT64_MAX : (uint64_t)pos; /* before the SYN: nowhere */
}

/* First position behind everything that will be sent as far as is known now. */
static inline uint64_t peer_send_end(const struct peer *p)
{
	return 1 + p->written + p->fin_wanted;
}

/* ---- peer_rcv.c ---- */
void peer_rcv_text(struct peer *p, uint64_t start, uint64_t end, bool has_fin, uint64_t now_us);
uint16_t peer_rcv_window(struct peer *p);
uint8_t peer_rcv_sacks(struct peer *p, struct wire_sack *out, uint8_t max);
void peer_rcv_dup(struct peer *p, uint64_t start, uint64_t end);

/* ---- peer_snd.c ---- */
void peer_snd_ack(struct peer *p, const struct wire_pkt *pkt, uint64_t ack, uint64_t now_us);
/* Decides what leaves next: [*start, *end) with the FIN inside, or false. */
bool peer_snd_pick(struct peer *p, uint64_t *start, uint64_t *end, uint32_t text_max);
void peer_snd_sent(struct peer *p, uint64_t start, uint64_t end, uint64_t now_us);
void peer_snd_timers(struct peer *p, uint64_t now_us);
void peer_snd_timeout(struct peer *p, uint64_t now_us);

#endif
