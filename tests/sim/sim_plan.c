/*
 * sim_plan.c - what a seed means: link, peers, applications, memory, and how it all ends
 *
 * Sizes and times are drawn by magnitude, so that small and odd ones are as common as large ones.
 * A tenth of the seeds is large, a quarter has several connections. What would only take long (ten
 * megabytes in segments of sixty bytes over a slow line) is scaled down to a few thousand segments'
 * worth; everything else may meet everything.
 */
#include "tests/sim/sim.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

static const uint16_t mtus[] = { 576, 1280, 1300, 1500, 1500, 1500, 4000, 9000 };
static const uint16_t mss_list[] = { 0, 64, 256, 536, 1220, 1400, 1440, 1460, 1460, 8940 };

#define PICK(r, list) ((list)[rnd_below((r), sizeof(list) / sizeof((list)[0]))])

/* In @pct of the seeds: half of them rare, half of them plenty. */
static uint32_t draw_ppm(struct rnd *r, uint32_t pct, uint32_t max)
{
	if (!rnd_pct(r, pct))
		return 0;
	return (uint32_t)(rnd_pct(r, 50) ? rnd_log(r, max) : rnd_in(r, max / 100, max));
}

static void plan_link(struct sim *sim, struct link_config *l, struct rnd *r)
{
	bool is_lossy = rnd_pct(r, 75);

	l->delay_us = (uint32_t)rnd_log(r, 200000);
	l->jitter_us = rnd_pct(r, 50) ? (uint32_t)rnd_log(r, l->delay_us) : 0;
	if (rnd_pct(r, 30)) {
		l->bytes_per_s = rnd_in(r, 100000, 100000000);
		l->queue_bytes = (uint32_t)rnd_in(r, 10000, 2000000);
	}
	if (is_lossy) {
		l->loss_ppm = draw_ppm(r, 80, 300000);
		l->dup_ppm = draw_ppm(r, 40, 300000);
		l->reorder_ppm = draw_ppm(r, 50, 500000);
		l->corrupt_ppm = draw_ppm(r, 30, 100000);
	}
	l->ce_ppm = draw_ppm(r, 20, 500000);
	l->late_us_max = (uint32_t)rnd_in(r, 10, rnd_pct(r, 10) ? 3000000 : 50000);
	if (rnd_pct(r, 10)) {
		l->dark_from_us = rnd_below(r, sim->chaos_end_us + 1);
		l->dark_until_us = l->dark_from_us + rnd_below(r, 8000000);
	}
}

static void plan_stack(struct sim *sim, struct rnd *r)
{
	static const char *const cc[] = { "cubic", "cubic", "newreno", "dctcp" };
	struct stt_config *c = &sim->stt_cfg;

	*c = (struct stt_config){ .size = sizeof(*c), .mtu = PICK(r, mtus), .seed = rnd_next(r) };
	c->local_ip4 = htonl(0x0a000001);
	c->peer_ip4 = htonl(0x0a000002);
	inet_pton(AF_INET6, "fd00::1", c->local_ip6);
	inet_pton(AF_INET6, "fd00::2", c->peer_ip6);
	strcpy(c->cc, PICK(r, cc));
	for (unsigned bit = 0; bit < 4; bit++)
		c->disable |= rnd_pct(r, 15) ? 1u << bit : 0;
	sim->has_tso = rnd_pct(r, 40);
	c->disable |= sim->has_tso ? 0 : STT_NO_TSO;
	if (rnd_pct(r, 30))
		c->quota = (uint32_t)rnd_in(r, 16, 300);
	sim->us[0] = (struct wire_addr){ .family = AF_INET };
	sim->them[0] = sim->us[0];
	sim->us[1] = sim->them[1] = (struct wire_addr){ .family = AF_INET6 };
	memcpy(sim->us[0].bytes, &c->local_ip4, 4);
	memcpy(sim->them[0].bytes, &c->peer_ip4, 4);
	memcpy(sim->us[1].bytes, c->local_ip6, 16);
	memcpy(sim->them[1].bytes, c->peer_ip6, 16);
}

static void plan_peer(struct sim *sim, struct pair *p, unsigned idx, struct rnd *r)
{
	struct peer_config *c = &p->peer.cfg;
	uint16_t hdr = p->family == AF_INET ? 40 : 60;

	*c = (struct peer_config){
		.local = sim->them[p->family != AF_INET],
		.remote = sim->us[p->family != AF_INET],
		.local_port = (uint16_t)(7000 + idx),
		.remote_port = (uint16_t)(40000 + idx),
		.mtu = sim->stt_cfg.mtu,
		.mss = PICK(r, mss_list),
		.use_sack = rnd_pct(r, 75),
		.use_ts = rnd_pct(r, 75),
		.use_wscale = rnd_pct(r, 80),
		.use_ecn = rnd_pct(r, 40),
		.use_dsack = rnd_pct(r, 60),
		.is_active = rnd_pct(r, 4),
		.is_silly = rnd_pct(r, 10),
		.renege_ppm = draw_ppm(r, 15, 300000),
		.shrink_ppm = draw_ppm(r, 15, 100000),
		.tiny_bytes = rnd_pct(r, 8) ? (uint32_t)rnd_in(r, 1, 64) : 0,
		.isn = rnd_pct(r, 30) ? (uint32_t)-rnd_log(r, 1 << 20) : (uint32_t)rnd_next(r),
		.ts_offset = rnd_pct(r, 30) ? (uint32_t)-rnd_log(r, 20000) : (uint32_t)rnd_next(r),
		.rcv_bytes = (uint32_t)rnd_in(r, 600, rnd_pct(r, 50) ? 20000 : 4000000),
		.delack_us = rnd_pct(r, 70) ? (uint32_t)rnd_log(r, 400000) : 0,
		.rto_us_min = (uint32_t)rnd_in(r, 20000, 1000000),
		.rto_us_max = 8000000,
		.cwnd_max = (uint32_t)rnd_in(r, 16000, 3000000),
		.key = rnd_next(r),
	};
	if (c->mss > c->mtu - hdr)
		c->mss = (uint16_t)(c->mtu - hdr);
	for (c->wscale = 0; c->rcv_bytes >> c->wscale > 65535;)
		c->wscale++;
	/* Now and then a coarser one, as long as it can say anything at all of the buffer. */
	while (rnd_pct(r, 15) && c->wscale < 14 && c->rcv_bytes >> (c->wscale + 2) > 0)
		c->wscale++;
}

static uint64_t draw_bytes(const struct sim *sim, const struct pair *p, struct rnd *r)
{
	uint64_t mss = p->peer.cfg.mss ? p->peer.cfg.mss : 536;
	uint64_t max = sim->is_big || rnd_pct(r, 3) ? sim->bytes_max
		       : rnd_pct(r, 20)		    ? sim->bytes_max / 10
						    : sim->bytes_max / 100;

	max = max < 8000 * mss ? max : 8000 * mss;
	if (sim->links[0].cfg.delay_us + sim->links[1].cfg.delay_us > 20000)
		max /= 4;
	/* A window a round trip: a small one must not make the transfer a matter of hours. */
	max = max < 400ull * p->peer.cfg.rcv_bytes ? max : 400ull * p->peer.cfg.rcv_bytes;
	if (sim->is_big)
		return rnd_in(r, max / 2, max);
	return rnd_pct(r, 8) ? 0 : rnd_pct(r, 25) ? rnd_below(r, max) : rnd_log(r, max);
}

static void plan_apps(struct sim *sim, struct pair *p, struct rnd *r)
{
	uint64_t both;

	p->tx_bytes = draw_bytes(sim, p, r);
	p->rx_bytes = draw_bytes(sim, p, r);
	if (p->peer.cfg.tiny_bytes)
		p->rx_bytes %= 3000 * p->peer.cfg.tiny_bytes;
	both = p->tx_bytes + p->rx_bytes;
	p->tx_chunk = rnd_in(r, 1 + p->tx_bytes / 500, 65536 + p->tx_bytes / 20);
	p->rx_chunk = rnd_in(r, 1 + p->rx_bytes / 500, 65536 + p->rx_bytes / 20);
	p->peer_chunk = rnd_in(r, 1 + both / 500, 65536 + both / 20);
	/* Now and then long enough for a shut window to be probed, both ways. */
	p->pause_us = rnd_pct(r, 40) ? rnd_log(r, rnd_pct(r, 15) ? 5000000 : 100000) : 0;
	p->end = rnd_pct(r, 90) ? END_ORDERLY
				: (enum sim_end)rnd_in(r, END_OUR_ABORT, END_EARLY_CLOSE);
	p->end_at_bytes = rnd_below(r, both + 1);
	p->peer.cfg.key = rnd_next(r);
	p->watch = (struct watch){
		.key_tx = rnd_next(r),
		.key_rx = p->peer.cfg.key,
		.local_port = p->peer.cfg.remote_port,
		.peer_port = p->peer.cfg.local_port,
		.mtu = sim->stt_cfg.mtu,
		.is_tso_allowed = sim->has_tso,
		.is_reset_allowed = p->end != END_ORDERLY,
	};
	watch_init(&p->watch);
}

/* In a tenth of the seeds we read so slowly, with so little room, that our window is shut and
 * probed. */
static void plan_lazy(struct sim *sim)
{
	struct rnd r = { rnd_mix(sim->seed ^ 0x1a2e) };

	if (sim->is_big || !rnd_pct(&r, 10))
		return;
	sim->stt_cfg.quota = (uint32_t)rnd_in(&r, 16, 40);
	for (unsigned i = 0; i < sim->pair_count; i++) {
		struct pair *p = &sim->pairs[i];

		if (p->peer.cfg.tiny_bytes || p->rx_bytes == 0)
			continue;
		p->rx_bytes = rnd_in(&r, 20000, 150000);
		p->rx_chunk = rnd_in(&r, p->rx_bytes / 100, p->rx_bytes / 10);
		p->peer_chunk = p->rx_bytes;
		p->pause_us = rnd_in(&r, 1000000, 10000000);
		p->end_at_bytes = rnd_below(&r, p->tx_bytes + p->rx_bytes + 1);
	}
}

/*
 * In a tenth of the seeds the way out carries less than our link, jumbo frames mostly, and nobody
 * says so: from the beginning or from some moment of the chaos, and it stays so on the fair link.
 */
static void plan_hole(struct sim *sim)
{
	static const uint16_t narrow[] = { 1024, 1100, 1280, 1400, 1492, 1500 };
	struct rnd r = { rnd_mix(sim->seed ^ 0xb1ac) };
	struct link_config *l = &sim->links[TO_PEER].cfg;

	if (!rnd_pct(&r, 10))
		return;
	sim->stt_cfg.mtu = rnd_pct(&r, 75) ? 9000 : 1500;
	l->mtu = PICK(&r, narrow);
	l->mtu_from_us = rnd_pct(&r, 50) ? 0 : rnd_below(&r, sim->chaos_end_us + 1);
	for (unsigned i = 0; i < sim->pair_count; i++) {
		struct pair *p = &sim->pairs[i];

		if (p->family != AF_INET && l->mtu < 1280)
			l->mtu = 1280;
		p->peer.cfg.mtu = p->watch.mtu = sim->stt_cfg.mtu;
		p->peer.cfg.mss = (uint16_t)(sim->stt_cfg.mtu - (p->family == AF_INET ? 40 : 60));
		p->tx_bytes +=
			rnd_log(&r, 40000); /* mostly larger than the hole; full segments or not */
	}
}

void sim_plan(struct sim *sim)
{
	struct rnd r = { rnd_mix(sim->seed + 1) };

	sim->is_bursty = sim->seed & 1;
	sim->chaos_end_us = rnd_pct(&r, 50) ? rnd_log(&r, 20000000) : rnd_below(&r, 20000000);
	sim->late_us_max = rnd_pct(&r, 30) ? rnd_log(&r, 2000) : 0;
	sim->has_pool_failures = rnd_pct(&r, 35);
	sim->blind_ppm = rnd_pct(&r, 20) ? (uint32_t)rnd_log(&r, 50000) : 0;
	plan_stack(sim, &r);
	for (unsigned way = 0; way < WAYS; way++)
		plan_link(sim, &sim->links[way].cfg, &r);
	sim->pair_count = rnd_pct(&r, 75) ? 1 : (unsigned)rnd_in(&r, 2, SIM_PAIRS_MAX);
	for (unsigned i = 0; i < sim->pair_count; i++) {
		struct pair *p = &sim->pairs[i];

		p->family = rnd_pct(&r, 65) ? AF_INET : AF_INET6;
		if (sim->stt_cfg.mtu < 1280)
			p->family = AF_INET;
		plan_peer(sim, p, i, &r);
		plan_apps(sim, p, &r);
	}
	plan_lazy(sim);
	plan_hole(sim);
	sim->rnd = r;
}

static void print_pair(const struct pair *p, FILE *f)
{
	const struct peer_config *c = &p->peer.cfg;
	static const char *const ends[] = { "orderly", "our abort", "peer's abort", "early close" };

	fprintf(f, "  port %u IPv%c: %llu bytes out, %llu in, %s\n", c->remote_port,
		p->family == AF_INET ? '4' : '6', (unsigned long long)p->tx_bytes,
		(unsigned long long)p->rx_bytes, ends[p->end]);
	fprintf(f,
		"    peer: mss %u%s%s%s%s%s%s%s, scale %u, buffer %u, delayed ACK %u us, cwnd %u, "
		"RTO from %u us\n",
		c->mss, c->use_sack ? " SACK" : "", c->use_ts ? " TS" : "",
		c->use_wscale ? " WS" : "", c->use_ecn ? " ECN" : "", c->use_dsack ? " D-SACK" : "",
		c->is_active ? " opens too" : "", c->is_silly ? " silly" : "", c->wscale,
		c->rcv_bytes, c->delack_us, c->cwnd_max, c->rto_us_min);
	fprintf(f, "    reneges %u ppm, shrinks %u ppm, segments up to %u\n", c->renege_ppm,
		c->shrink_ppm, c->tiny_bytes);
	fprintf(f, "    chunks %llu/%llu/%llu, pause %llu us\n", (unsigned long long)p->tx_chunk,
		(unsigned long long)p->rx_chunk, (unsigned long long)p->peer_chunk,
		(unsigned long long)p->pause_us);
}

void sim_print_plan(const struct sim *sim, FILE *f)
{
	const struct stt_config *s = &sim->stt_cfg;

	fprintf(f,
		"seed %llu: %s, mtu %u, quota %u, disable %#x%s%s, chaos for %llu us, blind %u "
		"ppm, late by %llu us\n",
		(unsigned long long)sim->seed, s->cc, s->mtu, s->quota, s->disable,
		sim->has_tso ? ", TSO" : "", sim->has_pool_failures ? ", memory fails" : "",
		(unsigned long long)sim->chaos_end_us, sim->blind_ppm,
		(unsigned long long)sim->late_us_max);
	for (unsigned way = 0; way < WAYS; way++) {
		const struct link_config *l = &sim->links[way].cfg;

		fprintf(f,
			"  %s: delay %u+%u us, loss %u dup %u reorder %u damage %u CE %u ppm, late "
			"%u us, %llu B/s, queue %u, "
			"dark %llu-%llu, mtu %u from %llu\n",
			way == TO_PEER ? "out" : "in", l->delay_us, l->jitter_us, l->loss_ppm,
			l->dup_ppm, l->reorder_ppm, l->corrupt_ppm, l->ce_ppm, l->late_us_max,
			(unsigned long long)l->bytes_per_s, l->queue_bytes,
			(unsigned long long)l->dark_from_us, (unsigned long long)l->dark_until_us,
			l->mtu, (unsigned long long)l->mtu_from_us);
	}
	for (unsigned i = 0; i < sim->pair_count; i++)
		print_pair(&sim->pairs[i], f);
}
