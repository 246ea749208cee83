/*
 * log_thread.c - lines of the log go out by a thread, so that the one who logs never waits
 *
 * Standard error may be a pipe whose reader is stopped, a terminal after Ctrl-S, a file on a server
 * that is gone, perhaps the one we serve. A write to it then blocks, and the control thread with
 * it: no command, no signal, no reconnect. O_NONBLOCK is no way out, for it belongs to the open
 * file, which the user's shell shares. So lines go to a ring of LOG_RING_LINES, and one thread
 * writes them.
 *
 * When the ring is full the newest line is dropped and counted; the next one that fits carries how
 * many are missing before it. What is written is whole lines in order. The ring is part of the
 * program and locked into memory with it; nothing is allocated.
 *
 * Always: count lines wait from head on; the thread copies the oldest and writes it without the
 * lock.
 */
#include "config/log_thread.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "config/log.h"
#include "config/log_prefix.h"

#define LOG_RING_LINES 256
#define RETRY_MS       100 /* a descriptor that is O_NONBLOCK is tried again at this interval */

enum log_state { LOG_DIRECT, LOG_THREAD, LOG_ENDING, LOG_STUCK };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t has_line, is_over;
	enum log_state state;
	bool is_running; /* the thread has not come to its end */
	unsigned head, count;
	uint64_t lost, lost_noted; /* … of these, written in a line of the ring or by the thread */
	struct {
		uint64_t missing; /* lines lost between the one before and this one */
		size_t len;
		char text[LOG_LINE_BYTES];
	} ring[LOG_RING_LINES];
} q = {.lock = PTHREAD_MUTEX_INITIALIZER, .has_line = PTHREAD_COND_INITIALIZER};

/* All of it, whatever that takes. A reader that is gone for good ends it. */
static void line_write(const char *text, size_t len)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
	size_t at = 0;

	while (at < len) {
		ssize_t n = write(STDERR_FILENO, text + at, len - at);

		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			poll(&p, 1, RETRY_MS);
		else if (n == 0 || errno != EINTR)
			return;
	}
}

static void lost_write(uint64_t count)
{
	char text[LOG_PREFIX_BYTES + 96];
	size_t at = log_prefix(text, STDERR_FILENO, LOG_LEVEL_WARN);

	at += (size_t)snprintf(text + at, sizeof(text) - at,
		"%llu lines of the log are missing here: standard error was not read\n",
		(unsigned long long)count);
	line_write(text, at);
}

/* The oldest line, and how many are missing before it; 0
 * bytes: after the last. The lock is held. */
static size_t line_take(char text[LOG_LINE_BYTES], uint64_t *missing)
{
	size_t len;

	if (q.count == 0) {
		*missing = q.lost - q.lost_noted;
		q.lost_noted = q.lost;
		return 0;
	}
	len = q.ring[q.head].len;
	*missing = q.ring[q.head].missing;
	memcpy(text, q.ring[q.head].text, len);
	q.head = (q.head + 1) % LOG_RING_LINES;
	q.count--;
	return len;
}

static void *thread_main(void *arg)
{
	char text[LOG_LINE_BYTES];
	size_t len;

	(void)arg;
	pthread_mutex_lock(&q.lock);
	while (q.count > 0 || q.lost > q.lost_noted || q.state == LOG_THREAD) {
		uint64_t missing;

		if (q.count == 0 && q.lost == q.lost_noted) {
			pthread_cond_wait(&q.has_line, &q.lock);
			continue;
		}
		len = line_take(text, &missing);
		pthread_mutex_unlock(&q.lock);
		if (missing)
			lost_write(missing);
		if (len)
			line_write(text, len);
		pthread_mutex_lock(&q.lock);
	}
	q.is_running = false;
	pthread_cond_signal(&q.is_over);
	pthread_mutex_unlock(&q.lock);
	return NULL;
}

int log_thread_start(void)
{
	pthread_condattr_t attr;
	pthread_t thread;
	int rc;

	assert(q.state == LOG_DIRECT);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q.is_over, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_lock(&q.lock);
	rc = pthread_create(&thread, NULL, thread_main, NULL);
	if (rc == 0) {
		pthread_setname_np(thread, "log");
		pthread_detach(thread);
		q.is_running = true;
		q.state = LOG_THREAD;
	}
	pthread_mutex_unlock(&q.lock);
	return -rc;
}

void log_thread_stop(unsigned ms)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&q.lock);
	if (q.state == LOG_THREAD) {
		q.state = LOG_ENDING;
		pthread_cond_signal(&q.has_line);
		while (q.is_running && rc == 0)
			rc = pthread_cond_timedwait(&q.is_over, &q.lock, &until);
		q.state = q.is_running ? LOG_STUCK : LOG_DIRECT;
	}
	pthread_mutex_unlock(&q.lock);
}

bool log_thread_put(const char *line, size_t len)
{
	bool is_taken;

	assert(len > 0 && len <= LOG_LINE_BYTES);
	pthread_mutex_lock(&q.lock);
	is_taken = q.state != LOG_DIRECT;
	if (is_taken && (q.count == LOG_RING_LINES || q.state == LOG_STUCK)) {
		q.lost++;
	} else if (is_taken) {
		unsigned at = (q.head + q.count) % LOG_RING_LINES;

		memcpy(q.ring[at].text, line, len);
		q.ring[at].len = len;
		q.ring[at].missing = q.lost - q.lost_noted;
		q.lost_noted = q.lost;
		q.count++;
		pthread_cond_signal(&q.has_line);
	}
	pthread_mutex_unlock(&q.lock);
	return is_taken;
}

bool log_thread_is_stuck(void)
{
	bool is_stuck;

	pthread_mutex_lock(&q.lock);
	is_stuck = q.state == LOG_STUCK;
	pthread_mutex_unlock(&q.lock);
	return is_stuck;
}

uint64_t log_lines_lost(void)
{
	uint64_t lost;

	pthread_mutex_lock(&q.lock);
	lost = q.lost;
	pthread_mutex_unlock(&q.lock);
	return lost;
}
