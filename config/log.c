/*
 * log.c - one line on stderr, whole or not at all
 *
 * A line is formatted on the stack and handed to the log's thread, or written with one write(2)
 * where there is none, so lines of several threads do not mix and logging allocates nothing. What
 * does not fit is cut; newlines inside a line (a server's error text, for example) become spaces,
 * so that no second line can be forged. Its prefix depends on the kind of stderr (log_prefix.c).
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include "config/log.h"
#include "config/log_prefix.h"
#include "config/log_thread.h"

static _Atomic int level_max = LOG_LEVEL_INFO;

void log_level_set(enum log_level level)
{
	atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

/* Control characters cannot move the reader's cursor or end the line. */
static void make_printable(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = ' ';
	}
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[LOG_LINE_BYTES];
	size_t at = 0;
	va_list ap;
	int n, saved = errno;

	if ((int)level > atomic_load_explicit(&level_max, memory_order_relaxed))
		return;
	at = log_prefix(line, STDERR_FILENO, level);
	va_start(ap, fmt);
	n = vsnprintf(line + at, sizeof(line) - at - 1, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	n = n < (int)(sizeof(line) - at - 1) ? n : (int)(sizeof(line) - at - 2);
	make_printable(line + at, (size_t)n);
	at += (size_t)n;
	line[at++] = '\n';
	/* A log that cannot be written has nowhere to say so. */
	if (!log_thread_put(line, at) && write(STDERR_FILENO, line, at) < 0)
		errno = saved;
	errno = saved;
}
