/*
 * exception_impl.h - inside of the exception port: what a worker and its thread share, for
 * exception.c and exception_thread.c
 */
#ifndef DATAPLANE_EXCEPTION_EXCEPTION_IMPL_H
#define DATAPLANE_EXCEPTION_EXCEPTION_IMPL_H

#include <pthread.h>
#include "dataplane/exception/exception.h"

struct rte_ring;

enum exception_sleep {
	AWAKE,
	ASLEEP,
	ASLEEP_BLIND /* without blanks, so not looking at the tap */
};

struct exception_queue {
	/* the worker's */
	struct reserve *pool;
	uint32_t down_count, blank_count; /* with the other side */
	bool has_given, has_given_blanks; /* since the last kick */
	uint64_t kicked_us;

	/* both: rings have one giver and one taker */
	struct rte_ring *down, *done, *blank, *up;
	int tap_fd, kick_fd;
	enum exception_sleep sleep;
	bool is_ending;
	bool is_rationed;  /* the thread is to measure what a frame takes of its processor */
	uint32_t frame_ns; /* … a running mean */
	const bool *is_worker_waiting;
	int worker_fd;

	/* the thread's */
	uint64_t measured_ns; /* its processor's time when it measured last; 0 = it did not */
	pthread_t thread;
	bool is_started;

	struct exception_stats stats; /* each counter has one writer */
};

void *exception_thread_run(void *queue); /* until is_ending; @queue: struct exception_queue */

#endif
