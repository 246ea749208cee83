/*
 * sim_apps.c - the applications at both ends of a pair: write, read slowly, shut down, close, abort
 *
 * Orderly: each side writes its text, shuts down, reads to the end. Ours closes when both
 * directions are done. The other endings come when so many bytes have moved.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include "tests/sim/text.h"

#define PIECE_BYTES 65536u

static uint64_t after(const struct sim *sim, const struct pair *p, struct rnd *r)
{
	return sim->now_us + 1 + rnd_below(r, p->pause_us + 1);
}

static void failed(struct sim *sim, struct pair *p, const char *call, long rc)
{
	bool was_told = p->end != END_ORDERLY && p->is_ended;

	p->error = (int)rc;
	if (!was_told)
		sim_fail(sim, "port %u: %s answers %ld", p->watch.local_port, call, rc);
	stt_close(sim->stt, p->conn); /* what was not read is kept for us until then */
}

static void write_ours(struct sim *sim, struct pair *p)
{
	uint8_t piece[PIECE_BYTES];
	uint64_t left = p->tx_bytes - p->watch.queued,
		 chunk = 1 + rnd_below(&sim->rnd, p->tx_chunk);
	long rc = 0;

	for (chunk = chunk < left ? chunk : left; chunk > 0; chunk -= (uint64_t)rc) {
		size_t n = chunk < sizeof(piece) ? (size_t)chunk : sizeof(piece);

		text_fill(p->watch.key_tx, p->watch.queued, piece, n);
		rc = stt_send(sim->stt, p->conn, piece, n);
		if (rc == -EAGAIN)
			break;
		if (rc <= 0 || (size_t)rc > n) {
			failed(sim, p, "stt_send", rc);
			return;
		}
		watch_queued(&p->watch, (uint64_t)rc);
	}
	/* A full queue is tried again when something was acknowledged: at every step, that is. */
	p->tx_at = rc == -EAGAIN || p->watch.queued == p->tx_bytes ? UINT64_MAX
								   : after(sim, p, &sim->rnd);
}

/* Not before the SYN is answered: a CLOSE in SYN-SENT forgets the connection (RFC 9293 3.10.4). */
static void shut_ours(struct sim *sim, struct pair *p)
{
	struct stt_info info = { .size = sizeof(info) };
	int rc = stt_info(sim->stt, p->conn, &info);

	if (rc == 0 && info.state <= STT_SYN_SENT)
		return;
	p->is_shut = true;
	rc = stt_shutdown(sim->stt, p->conn);
	if (rc)
		failed(sim, p, "stt_shutdown", rc);
	watch_shutdown(&p->watch);
}

static void read_ours(struct sim *sim, struct pair *p)
{
	uint8_t piece[PIECE_BYTES];
	uint64_t chunk = 1 + rnd_below(&sim->rnd, p->rx_chunk);
	long rc = 0;

	while (chunk > 0) {
		rc = stt_recv(sim->stt, p->conn, piece,
			chunk < sizeof(piece) ? (size_t)chunk : sizeof(piece));
		if (rc <= 0)
			break;
		watch_received(&p->watch, piece, (uint64_t)rc);
		p->has_read = true;
		chunk -= (uint64_t)rc;
	}
	if (rc == 0) {
		watch_eof(&p->watch);
		p->rx_at = UINT64_MAX;
	} else if (rc == -EAGAIN) {
		p->rx_at = sim->now_us; /* whenever something came */
	} else if (rc < 0) {
		failed(sim, p, "stt_recv", rc);
	} else {
		p->rx_at = after(sim, p, &sim->rnd);
	}
}

static void peer_moves(struct sim *sim, struct pair *p)
{
	if (p->peer.state == PEER_RESET)
		return;
	if (p->peer_tx_at <= sim->now_us && p->peer.state == PEER_OPEN) {
		uint64_t left = p->rx_bytes - p->peer_written,
			 n = 1 + rnd_below(&sim->rnd, p->peer_chunk);

		n = n < left ? n : left;
		peer_write(&p->peer, n);
		p->peer_written += n;
		p->peer_tx_at = after(sim, p, &sim->rnd);
		if (p->peer_written == p->rx_bytes) {
			peer_shutdown(&p->peer);
			p->is_peer_shut = true;
			p->peer_tx_at = UINT64_MAX;
		}
	}
	if (p->peer_rx_at <= sim->now_us && peer_readable(&p->peer) > 0) {
		peer_read(&p->peer, 1 + rnd_below(&sim->rnd, p->peer_chunk));
		p->peer_rx_at = after(sim, p, &sim->rnd);
	}
}

static void end_it(struct sim *sim, struct pair *p)
{
	uint8_t packet[WIRE_PACKET_MAX];

	p->is_ended = true;
	switch (p->end) {
	case END_ORDERLY:
		break;
	case END_OUR_ABORT:
		stt_abort(sim->stt, p->conn);
		p->error = -ECONNABORTED;
		break;
	case END_EARLY_CLOSE:
		stt_close(sim->stt, p->conn);
		p->watch.fin_queued = true;
		p->is_closed = true;
		break;
	case END_PEER_ABORT:
		if (p->peer.state != PEER_RESET)
			link_send(&sim->links[TO_US], &sim->flights, &sim->rnd, TO_US, packet,
				peer_abort(&p->peer, packet), sim->now_us);
		break;
	}
}

/* A reset is not acknowledged: one that was lost must come again, or nobody would ever know. */
void sim_abort_again(struct sim *sim, struct pair *p)
{
	uint8_t packet[WIRE_PACKET_MAX];

	if (p->end == END_PEER_ABORT && p->peer.state == PEER_RESET)
		link_send(&sim->links[TO_US], &sim->flights, &sim->rnd, TO_US, packet,
			peer_abort(&p->peer, packet), sim->now_us);
}

static bool is_end_due(const struct pair *p)
{
	return !p->is_ended && p->end != END_ORDERLY && p->peer.state != PEER_LISTEN &&
		p->peer.state != PEER_SYN_SENT &&
		p->watch.received + peer_received(&p->peer) >= p->end_at_bytes;
}

void sim_apps(struct sim *sim, struct pair *p)
{
	if (!p->error && !p->is_closed) {
		if (p->watch.queued < p->tx_bytes &&
			(p->tx_at <= sim->now_us || p->tx_at == UINT64_MAX))
			write_ours(sim, p);
		if (!p->error && !p->is_shut && p->watch.queued == p->tx_bytes &&
			p->end != END_OUR_ABORT)
			shut_ours(sim, p);
		if (!p->error && p->rx_at <= sim->now_us)
			read_ours(sim, p);
	}
	peer_moves(sim, p);
	if (is_end_due(p))
		end_it(sim, p);
	if (!p->is_closed && !p->error && p->watch.eof_seen && p->is_shut &&
		(peer_has_fin(&p->peer) || p->peer.state == PEER_RESET)) {
		p->is_closed = true;
		stt_close(sim->stt, p->conn);
	}
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t sim_apps_next_us(const struct sim *sim, const struct pair *p)
{
	uint64_t next = UINT64_MAX;

	if (!p->error && !p->is_closed) {
		next = least(next, p->tx_at > sim->now_us ? p->tx_at : UINT64_MAX);
		next = least(next, p->rx_at > sim->now_us ? p->rx_at : UINT64_MAX);
	}
	if (p->peer.state == PEER_OPEN) {
		next = least(next, p->peer_tx_at > sim->now_us ? p->peer_tx_at : UINT64_MAX);
		next = least(next, p->peer_rx_at > sim->now_us ? p->peer_rx_at : UINT64_MAX);
	}
	return next;
}

bool sim_apps_are_done(const struct pair *p)
{
	if (p->end == END_ORDERLY)
		return p->is_closed && peer_is_fin_acked(&p->peer) &&
		       peer_received(&p->peer) == p->tx_bytes && p->watch.received == p->rx_bytes;
	return p->is_ended && (p->error || p->is_closed || p->watch.eof_seen);
}
