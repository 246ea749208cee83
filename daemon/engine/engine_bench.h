/*
 * engine_bench.h - what `sluice bench` and `sluice probe` ask an engine of their own
 */
#ifndef DAEMON_ENGINE_ENGINE_BENCH_H
#define DAEMON_ENGINE_ENGINE_BENCH_H

#include "daemon/engine/engine.h"

/* What a probe (FRONT_NONE) found, from its done call until it returns. NULL: no such volume. */
const struct volume_probe *engine_probe(const struct engine *e, const char *name);
/* Asks for requests that a pause held back, where they are due. Out: nanoseconds until the next;
 * UINT64_MAX: none known. */
uint64_t engine_bench_ask(const struct engine *e);
bool engine_bench_done(
	const struct engine *e); /* the load of every volume that makes one is through */
/* What all of them did together; so far, if it is not through. */
void engine_bench_result(const struct engine *e, struct bench_result *out);

#endif
