/*
 * sim.h - one seed: the product's stack against reference peers over a bad link, in virtual time
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "tests/abi/sluice_tcp_test.h"
#include "tests/abi/stt_burst.h"
#include "tests/sim/link.h"
#include "tests/sim/peer.h"
#include "tests/sim/rnd.h"
#include "tests/sim/watch.h"

#define SIM_PAIRS_MAX	3
#define SIM_PAIRS_TEXT	"3"
#define SIM_STALL_US	150000000ull /* on a fair link something moves at least this often */
#define SIM_LINGER_US	200000000ull /* and everything is gone this long after the last byte */
#define SIM_STEPS_MAX	40000000ull

enum sim_way { TO_PEER, TO_US, WAYS };
enum sim_end { END_ORDERLY, END_OUR_ABORT, END_PEER_ABORT, END_EARLY_CLOSE };

/* One connection with its two applications. */
struct pair {
	struct peer peer;
	struct watch watch;
	int conn, family;
	enum sim_end end;
	uint64_t tx_bytes, rx_bytes; /* what we send, what the peer sends */
	uint64_t tx_chunk, rx_chunk, peer_chunk, pause_us;
	uint64_t tx_at, rx_at, peer_tx_at, peer_rx_at; /* when each application moves next */
	uint64_t peer_written;
	uint64_t end_at_bytes;	 /* an abort comes after so many bytes of either way */
	bool is_shut, is_peer_shut, is_ended, is_closed;
	bool has_read; /* ours, since the last check */
	int error;
	uint64_t seen; /* progress made, both ways */
};

struct sim {
	uint64_t seed, bytes_max;
	bool is_verbose, is_big, is_bursty, has_tso, is_fair, has_pool_failures;
	struct rnd rnd;	 /* the events' */
	struct stt *stt;
	struct stt_config stt_cfg;
	struct pair pairs[SIM_PAIRS_MAX];
	unsigned pair_count;
	struct link links[WAYS];
	struct flights flights;
	uint64_t now_us, chaos_end_us, progress_us, late_us_max, steps, packets;
	uint32_t blind_ppm;
	struct wire_addr us[2], them[2]; /* by family: IPv4, IPv6 */
	char why[320];
};

/* Out: true when nothing was violated; else sim->why says what. The caller sets the first line's
 * members. */
bool sim_run(struct sim *sim);

/* ---- sim_plan.c ---- */
void sim_plan(struct sim *sim);
void sim_print_plan(const struct sim *sim, FILE *f);

/* ---- sim_apps.c: what the two applications of a pair do ---- */
void sim_apps(struct sim *sim, struct pair *p);
uint64_t sim_apps_next_us(const struct sim *sim, const struct pair *p);
bool sim_apps_are_done(const struct pair *p);

void sim_abort_again(struct sim *sim, struct pair *p);

void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
