/*
 * log_thread.h - lines of the log go out by a thread, so that the one who logs never waits
 */
#ifndef CONFIG_LOG_THREAD_H
#define CONFIG_LOG_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_BYTES 1024

/*
 * From now on log_line() hands its lines to a thread. Before, and where no thread can be had, it
 * writes them itself. Call it once the process has its mount namespace: threads keep the old one. 0
 * or -errno.
 */
int log_thread_start(void);
/*
 * Writes what waits, for at most @ms, and ends the thread. If the reader of standard error takes
 * nothing, the thread is left behind, and every later line is counted as lost and not written.
 */
void log_thread_stop(unsigned ms);
/*
 * Takes over a whole line of @len bytes, at most LOG_LINE_BYTES, its newline included; or counts it
 * as lost, if LOG_RING_LINES wait. False: there is no thread, so write it yourself. Any thread;
 * allocates nothing, waits for a copy of one line at most.
 */
bool log_thread_put(const char *line, size_t len);
/* The reader takes nothing, and log_thread_stop() gave up. */
bool log_thread_is_stuck(void);
uint64_t log_lines_lost(void); /* since the start; any thread */

#endif
