/*
 * sim.c - the loop: drain both sides, let the applications move, check, go to the next event
 *
 * Chaos first: the links do what the plan says, allocations fail, blind segments come from nowhere.
 * Then the links are fair and memory is back, and from there on everything queued must arrive: a
 * stretch of SIM_STALL_US without a byte is a stall. At the end each mbuf must be back in the pool.
 *
 * A deadline that stays due after the stack was advanced to it and drained would spin a worker;
 * that is counted and found too.
 *
 * What is asserted after every event, and where:
 *   what is read is what was sent, at both ends          watch_received, peer_impl.h's text, check
 *   no ACK for bytes that never came                     watch.c, check_ack
 *   no SACK for them, nor for more than is held          watch.c, check_sack; check_claim
 *   the right edge never retreats                        watch.c, check_edge
 *   every queued byte leaves in finite time              stall, deadlock: once the link is fair
 *   no connection stalls while there is memory           the same
 *   no deadline lies in the past after a poll            play (spins)
 *   a window whose reader made room is open again        check_room
 *   free + held == total, held <= quota and a packet     check_memory
 *   all mbufs are back after close                       linger
 * and what else a strict reader of the wire can say: watch.c.
 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "config/limits.h"

#define SPINS_MAX	 1000u
#define SIM_MBUF_BYTES	 (MBUF_DATA_BYTES + 128u) /* data room and headroom */
#define SIM_PACKET_MBUFS 8u /* what one packet of the largest MTU fills */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void sim_fail(struct sim *sim, const char *format, ...)
{
	va_list args;

	if (sim->why[0])
		return;
	va_start(args, format);
	vsnprintf(sim->why, sizeof(sim->why), format, args);
	va_end(args);
}

static void log_packet(
	const struct sim *sim, enum sim_way way, const uint8_t *bytes, size_t len, const char *fate)
{
	struct wire_pkt pkt;
	const char *wrong = wire_parse(bytes, len, &pkt);
	uint32_t seq0 = 0, ack0 = 0;

	printf("%11.6f %s ", (double)sim->now_us / 1e6, way == TO_PEER ? ">" : "<");
	if (wrong) {
		printf("%zu bytes: %s%s\n", len, wrong, fate);
		return;
	}
	for (unsigned i = 0; i < sim->pair_count; i++) {
		const struct watch *w = &sim->pairs[i].watch;

		if (w->local_port == (way == TO_PEER ? pkt.sport : pkt.dport)) {
			seq0 = way == TO_PEER ? w->iss : w->irs;
			ack0 = way == TO_PEER ? w->irs : w->iss;
		}
	}
	printf("%u ", way == TO_PEER ? pkt.sport : pkt.dport);
	wire_print(stdout, &pkt, seq0, ack0);
	printf("%s\n", fate);
}

static void launch(struct sim *sim, enum sim_way way, const uint8_t *bytes, size_t len)
{
	unsigned fate =
		link_send(&sim->links[way], &sim->flights, &sim->rnd, way, bytes, len, sim->now_us);
	char words[64];

	sim->packets++;
	if (!sim->is_verbose)
		return;
	snprintf(words, sizeof(words), "%s%s%s%s%s", fate & LINK_LOST ? " [lost]" : "",
		fate & LINK_LATE ? " [late]" : "", fate & LINK_DUP ? " [twice]" : "",
		fate & LINK_BAD ? " [damaged]" : "", fate & LINK_CE ? " [CE]" : "");
	log_packet(sim, way, bytes, len, words);
}

/* A NIC with TSO cuts what the wire cannot carry; the pieces are of the size the stack meant. */
static void launch_ours(struct sim *sim, uint8_t *bytes, size_t len)
{
	static uint8_t piece[WIRE_PACKET_MAX];
	struct wire_pkt pkt;
	uint32_t text_max = UINT32_MAX;

	if (wire_parse(bytes, len, &pkt) == NULL && sim->has_tso) {
		text_max = sim->stt_cfg.mtu - wire_ip_bytes(pkt.src.family) - 20 -
			   wire_option_bytes(&pkt);
		for (unsigned i = 0; i < sim->pair_count; i++) {
			const struct watch *w = &sim->pairs[i].watch;
			uint32_t mss = w->peer_syn.has_mss	   ? w->peer_syn.mss
				       : pkt.src.family == AF_INET ? 536
								   : 1220;
			struct stt_info info = { .size = sizeof(info) };

			if (w->local_port != pkt.sport || !w->has_irs ||
				stt_info(sim->stt, sim->pairs[i].conn, &info))
				continue;
			/* What the stack thinks of the path: without the options of this very
			 * segment, but its timestamp. */
			if (info.state >= STT_ESTABLISHED)
				mss = (uint32_t)least(mss, info.mss + (pkt.has_ts ? 12 : 0));
			mss = (mss < 64 ? 64 : mss) - wire_option_bytes(&pkt);
			text_max = (uint32_t)least(text_max, mss);
		}
	}
	while (len > 0) {
		size_t n = wire_cut(bytes, &len, text_max, piece);

		launch(sim, TO_PEER, piece, n);
	}
}

/* RFC 2018 4: what is SACKed is held, so it needs room in what is held. A packet of the past says
 * what was, so only where time stops at every deadline. */
static void check_claim(struct sim *sim, const struct pair *p)
{
	struct stt_info info = { .size = sizeof(info) };

	if (p->watch.sacked == 0 || sim->late_us_max > 0)
		return;
	stt_info(sim->stt, p->conn, &info);
	if (p->watch.sacked > (uint64_t)info.held_mbufs * SIM_MBUF_BYTES)
		sim_fail(sim, "port %u: %llu bytes are SACKed, %u mbufs held", p->watch.local_port,
			(unsigned long long)p->watch.sacked, info.held_mbufs);
}

static void drain(struct sim *sim)
{
	static uint8_t bytes[WIRE_PACKET_MAX];
	long n;
	size_t m;

	while ((n = stt_tx(sim->stt, bytes, sizeof(bytes))) > 0) {
		for (unsigned i = 0; i < sim->pair_count; i++)
			watch_out(&sim->pairs[i].watch, bytes, (size_t)n);
		for (unsigned i = 0; i < sim->pair_count; i++)
			check_claim(sim, &sim->pairs[i]);
		launch_ours(sim, bytes, (size_t)n);
	}
	if (n < 0)
		sim_fail(sim, "stt_tx answers %ld", n);
	for (unsigned i = 0; i < sim->pair_count; i++)
		while ((m = peer_output(&sim->pairs[i].peer, bytes, sim->now_us)) > 0)
			launch(sim, TO_US, bytes, m);
}

/* What is there at the same time comes in one burst, but for half of the seeds. */
static void arrive(struct sim *sim)
{
	if (sim->is_bursty)
		stt_burst_begin(sim->stt);
	while (flights_next_us(&sim->flights) <= sim->now_us) {
		struct flight f = flights_take(&sim->flights);
		struct wire_pkt pkt;

		if (f.way == TO_US) {
			bool is_taken = stt_rx(sim->stt, f.bytes, f.len) == 0;

			for (unsigned i = 0; is_taken && i < sim->pair_count; i++)
				watch_in(&sim->pairs[i].watch, f.bytes, f.len);
		} else if (wire_parse(f.bytes, f.len, &pkt) == NULL) {
			for (unsigned i = 0; i < sim->pair_count; i++)
				peer_input(&sim->pairs[i].peer, &pkt, sim->now_us);
		}
		free(f.bytes);
	}
	stt_burst_end(sim->stt);
}

/* An attacker who sees nothing: guesses a number, hopes to reset, to inject or to desynchronize. */
static void blind(struct sim *sim)
{
	static const uint8_t kinds[] = {
		W_RST, W_RST | W_ACK, W_SYN, W_SYN | W_ACK, W_ACK, W_FIN | W_ACK};
	struct pair *p = &sim->pairs[rnd_below(&sim->rnd, sim->pair_count)];
	uint8_t bytes[256], text[8] = "evil";
	struct wire_pkt pkt = {
		.src = p->peer.cfg.local,
		.dst = p->peer.cfg.remote,
		.sport = p->watch.peer_port,
		.dport = p->watch.local_port,
		.seq = (uint32_t)rnd_next(&sim->rnd),
		.ack = (uint32_t)rnd_next(&sim->rnd),
		.flags = kinds[rnd_below(&sim->rnd, sizeof(kinds))],
		.wnd = (uint16_t)rnd_next(&sim->rnd),
	};
	uint32_t near = (uint32_t)(pkt.seq - p->watch.irs - (uint32_t)p->watch.ack),
		 edge = 1u << 24;

	/* Chance must not make it a good guess: an insider is another story. */
	if (near < edge || near > -edge || !p->watch.has_irs)
		return;
	if (pkt.flags == W_ACK) {
		pkt.text = text;
		pkt.text_bytes = sizeof(text);
	}
	if (sim->is_verbose)
		log_packet(sim, TO_US, bytes, wire_build(bytes, &pkt), " [blind]");
	stt_rx(sim->stt, bytes, wire_build(bytes, &pkt));
}

static void become_fair(struct sim *sim)
{
	sim->is_fair = true;
	sim->progress_us = sim->now_us;
	stt_pool_fail(sim->stt, 0, 0);
	for (unsigned way = 0; way < WAYS; way++) {
		struct link_config *l = &sim->links[way].cfg;

		l->loss_ppm = l->dup_ppm = l->reorder_ppm = l->corrupt_ppm = l->ce_ppm = 0;
		l->dark_until_us = 0;
		if (l->queue_bytes < 200000)
			l->queue_bytes = 200000;
	}
	for (unsigned i = 0; i < sim->pair_count; i++)
		sim_abort_again(sim, &sim->pairs[i]);
	if (sim->is_verbose)
		printf("%11.6f the link is fair from here\n", (double)sim->now_us / 1e6);
}

static void chaos(struct sim *sim)
{
	if (sim->now_us >= sim->chaos_end_us) {
		become_fair(sim);
		return;
	}
	if (sim->has_pool_failures && rnd_ppm(&sim->rnd, 20000)) {
		uint32_t skip = (uint32_t)rnd_log(&sim->rnd, 30),
			 count = (uint32_t)rnd_log(&sim->rnd, 300);

		if (sim->is_verbose)
			printf("%11.6f after %u allocations %u fail\n", (double)sim->now_us / 1e6,
				skip, count);
		stt_pool_fail(sim->stt, skip, count);
	}
	if (rnd_ppm(&sim->rnd, sim->blind_ppm))
		blind(sim);
}

/* Each mbuf is free or held by a connection, and none holds more than its quota and one packet. */
static void check_memory(struct sim *sim)
{
	uint32_t quota = sim->stt_cfg.quota ? sim->stt_cfg.quota : TCP_QUOTA_DEFAULT, held = 0;
	struct stt_info info = { .size = sizeof(info) };

	for (unsigned i = 0; i < sim->pair_count; i++) {
		if (stt_info(sim->stt, sim->pairs[i].conn, &info))
			sim_fail(sim, "port %u: no stt_info", sim->pairs[i].watch.local_port);
		if (info.held_mbufs > quota + SIM_PACKET_MBUFS)
			sim_fail(sim, "port %u: %u mbufs held, the quota is %u",
				sim->pairs[i].watch.local_port, info.held_mbufs, quota);
		held += info.held_mbufs;
	}
	if (info.free_mbufs + held != info.total_mbufs)
		sim_fail(sim, "%u mbufs free and %u held are not %u", info.free_mbufs, held,
			info.total_mbufs);
}

/*
 * RFC 9293 3.8.6.2.2: once the reader made room the peer is told, and need not find out by probing.
 * Of a window that is half open it learns from the next ACK.
 */
static void check_room(struct sim *sim, struct pair *p)
{
	uint32_t quota = sim->stt_cfg.quota ? sim->stt_cfg.quota : TCP_QUOTA_DEFAULT,
		 offered = quota - quota / 8;
	struct stt_info info = { .size = sizeof(info) };
	uint64_t fits, step, half = offered * TCP_MBUF_PAYLOAD_MIN / 2;
	bool has_read = p->has_read;

	p->has_read = false;
	if (!has_read || (sim->has_pool_failures && !sim->is_fair) ||
		p->watch.given_fin != UINT64_MAX || stt_info(sim->stt, p->conn, &info) ||
		info.state < STT_ESTABLISHED || info.state > STT_FIN_WAIT_2)
		return;
	fits = info.held_mbufs < offered
		       ? (uint64_t)(offered - info.held_mbufs) * TCP_MBUF_PAYLOAD_MIN
		       : 0;
	fits = least(fits, 65535); /* more only with a scale */
	step = least(2 * sim->stt_cfg.mtu, half);
	if (p->watch.edge - p->watch.ack >= half &&
		p->watch.edge - p->watch.ack >= 2 * sim->stt_cfg.mtu)
		return;
	if (p->watch.edge + step <= p->watch.ack + fits)
		sim_fail(sim,
			"port %u: %llu bytes of window are left, %llu fit, and nobody is told",
			p->watch.local_port, (unsigned long long)(p->watch.edge - p->watch.ack),
			(unsigned long long)fits);
}

static void check(struct sim *sim)
{
	bool has_moved = false;

	check_memory(sim);

	for (unsigned i = 0; i < sim->pair_count; i++) {
		struct pair *p = &sim->pairs[i];
		uint64_t seen = peer_received(&p->peer) + p->watch.received +
				peer_has_fin(&p->peer) + peer_is_fin_acked(&p->peer) +
				peer_readable(&p->peer);

		check_room(sim, p);
		if (p->watch.why[0])
			sim_fail(sim, "port %u: %s", p->watch.local_port, p->watch.why);
		if (peer_received(&p->peer) > p->tx_bytes)
			sim_fail(sim, "port %u: more arrived than was sent", p->watch.local_port);
		has_moved |= seen != p->seen;
		p->seen = seen;
	}
	if (has_moved)
		sim->progress_us = sim->now_us;
	if (sim->is_fair && sim->now_us - sim->progress_us > SIM_STALL_US)
		sim_fail(sim, "stall: nothing moved for %llu s on a fair link",
			SIM_STALL_US / 1000000);
	if (sim->steps++ > SIM_STEPS_MAX)
		sim_fail(sim, "no end after %llu steps", (unsigned long long)sim->steps);
}

static uint64_t next_event_us(struct sim *sim)
{
	uint64_t next = least(stt_deadline_us(sim->stt), flights_next_us(&sim->flights));

	for (unsigned i = 0; i < sim->pair_count; i++) {
		next = least(next, peer_deadline_us(&sim->pairs[i].peer));
		next = least(next, sim_apps_next_us(sim, &sim->pairs[i]));
	}
	if (!sim->is_fair)
		next = least(next, sim->chaos_end_us);
	return next;
}

static void go_to(struct sim *sim, uint64_t next_us)
{
	if (next_us > sim->now_us && sim->late_us_max)
		next_us += rnd_below(&sim->rnd, sim->late_us_max + 1);
	sim->now_us = next_us > sim->now_us ? next_us : sim->now_us;
	stt_advance_us(sim->stt, sim->now_us);
	if (stt_now_us(sim->stt) != sim->now_us)
		sim_fail(sim, "the clock says %llu, not %llu",
			(unsigned long long)stt_now_us(sim->stt), (unsigned long long)sim->now_us);
	drain(sim); /* what the timers made it say, before anything new is heard */
	for (unsigned i = 0; i < sim->pair_count; i++)
		peer_timeout(&sim->pairs[i].peer, sim->now_us);
	arrive(sim);
}

static bool is_done(const struct sim *sim)
{
	for (unsigned i = 0; i < sim->pair_count; i++)
		if (!sim_apps_are_done(&sim->pairs[i]))
			return false;
	return true;
}

/* Everything at this instant: until nobody has anything to say. */
static void settle(struct sim *sim)
{
	for (unsigned i = 0; i < sim->pair_count; i++)
		sim_apps(sim, &sim->pairs[i]);
	drain(sim);
	check(sim);
}

static void play(struct sim *sim)
{
	uint64_t spins = 0, next;

	while (!sim->why[0] && !(is_done(sim) && sim->is_fair)) {
		settle(sim);
		next = next_event_us(sim);
		if (next == UINT64_MAX && !is_done(sim)) {
			sim_fail(sim, "deadlock: nothing will ever happen");
			return;
		}
		spins = next <= sim->now_us ? spins + 1 : 0;
		if (spins > SPINS_MAX) {
			sim_fail(sim, "a deadline stays in the past");
			return;
		}
		if (next == UINT64_MAX)
			next = sim->chaos_end_us;
		go_to(sim, next);
		if (!sim->is_fair)
			chaos(sim);
	}
}

static bool is_gone(struct sim *sim)
{
	struct stt_info info = { .size = sizeof(info) };

	for (unsigned i = 0; i < sim->pair_count; i++)
		if (stt_info(sim->stt, sim->pairs[i].conn, &info) == 0 && info.state != STT_CLOSED)
			return false;
	return true;
}

/* After the last byte: FINs, TIME-WAIT, resets; then all memory is back. */
static void linger(struct sim *sim)
{
	uint64_t until_us = sim->now_us + SIM_LINGER_US, next;
	struct stt_info info = { .size = sizeof(info) };

	while (!sim->why[0] && !is_gone(sim) && sim->now_us < until_us) {
		settle(sim);
		next = next_event_us(sim);
		go_to(sim, next > until_us	? until_us
			   : next > sim->now_us ? next
						: sim->now_us + 1);
	}
	while (!sim->why[0] && flights_next_us(&sim->flights) != UINT64_MAX) {
		go_to(sim, flights_next_us(&sim->flights));
		drain(sim);
	}
	drain(sim);
	if (sim->why[0])
		return;
	for (unsigned i = 0; i < sim->pair_count; i++) {
		int rc = stt_info(sim->stt, sim->pairs[i].conn, &info);

		if (rc)
			sim_fail(sim, "stt_info answers %d", rc);
		if (info.state != STT_CLOSED && sim->pairs[i].end != END_PEER_ABORT)
			sim_fail(sim, "port %u: still in state %u", sim->pairs[i].watch.local_port,
				info.state);
		if (info.free_mbufs != info.total_mbufs && is_gone(sim))
			sim_fail(sim, "%u of %u mbufs are not back",
				info.total_mbufs - info.free_mbufs, info.total_mbufs);
	}
}

static bool start(struct sim *sim)
{
	sim->stt = stt_create(&sim->stt_cfg);
	if (!sim->stt) {
		sim_fail(sim, "stt_create failed");
		return false;
	}
	sim->now_us = stt_now_us(sim->stt);
	sim->chaos_end_us += sim->now_us;
	for (unsigned i = 0; i < sim->pair_count; i++) {
		struct pair *p = &sim->pairs[i];
		struct peer_config cfg = p->peer.cfg;

		p->conn = stt_connect(sim->stt, p->family, cfg.remote_port, cfg.local_port);
		if (p->conn < 0)
			sim_fail(sim, "stt_connect answers %d", p->conn);
		peer_init(&p->peer, &cfg, sim->now_us);
	}
	return !sim->why[0];
}

bool sim_run(struct sim *sim)
{
	sim_plan(sim);
	if (sim->is_verbose)
		sim_print_plan(sim, stdout);
	if (start(sim)) {
		play(sim);
		linger(sim);
	}
	stt_destroy(sim->stt);
	flights_clear(&sim->flights);
	for (unsigned i = 0; i < sim->pair_count; i++) {
		peer_fini(&sim->pairs[i].peer);
		watch_fini(&sim->pairs[i].watch);
	}
	return !sim->why[0];
}
