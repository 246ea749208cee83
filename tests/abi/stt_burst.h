/*
 * stt_burst.h - several packets in one burst, beside the contract of sluice_tcp_test.h, whose
 * library does not export them
 *
 * What stt_rx() is given between the two is kept and goes to the stack in one burst, as a NIC that
 * is polled gives it; more than BURST_MAX make several. The time must not move and nothing may be
 * read or sent in between.
 */
#ifndef TESTS_ABI_STT_BURST_H
#define TESTS_ABI_STT_BURST_H

#include <stdint.h>

struct stt;

void stt_burst_begin(struct stt *t);
void stt_burst_end(struct stt *t);

/* Segments that were taken as the next of a run, since the start (net.h, tcp_run_segs). */
uint64_t stt_run_segs(const struct stt *t);

#endif
