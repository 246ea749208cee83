/*
 * log_prefix.c - what stands in front of a line of the log
 *
 * Three readers need three prefixes. journald and /dev/kmsg take the level as "<6>", keep it apart
 * from the text, and add time and name themselves. A person at a terminal needs none of this. A
 * file or a pipe has nothing but the line: it gets time (UTC), program, pid and the level as a
 * word.
 *
 * That stderr is no terminal does not make it journald's: systemd names the socket it connected in
 * JOURNAL_STREAM, as "device:inode", and only the descriptor with these numbers is the journal
 * (systemd.exec(5)). It is compared for every line, because stderr may be redirected later.
 */
#include "config/log_prefix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define KMSG_MAJOR 1 /* Documentation/admin-guide/devices.txt */
#define KMSG_MINOR 11

static int is_level_parsed(int fd)
{
	const char *journal = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;
	int used = 0;

	if (fstat(fd, &st))
		return 0;
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(KMSG_MAJOR, KMSG_MINOR))
		return 1;
	return journal && sscanf(journal, "%llu:%llu%n", &dev, &ino, &used) == 2 &&
	       !journal[used] && st.st_dev == (dev_t)dev && st.st_ino == (ino_t)ino;
}

size_t log_prefix(char buf[LOG_PREFIX_BYTES], int fd, enum log_level level)
{
	static const char *const words[] = {
		[LOG_LEVEL_ERROR] = " error", [LOG_LEVEL_WARN] = " warning", [LOG_LEVEL_INFO] = "",
		[LOG_LEVEL_DEBUG] = " debug"};
	struct timespec ts;
	struct tm tm;
	int n;

	buf[0] = '\0';
	if (is_level_parsed(fd))
		return (size_t)snprintf(buf, LOG_PREFIX_BYTES, "<%d>", (int)level);
	if (isatty(fd))
		return 0;
	clock_gettime(CLOCK_REALTIME, &ts);
	if (!gmtime_r(&ts.tv_sec, &tm))
		return 0;
	n = snprintf(buf, LOG_PREFIX_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %.20s[%d]%s: ",
		tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		ts.tv_nsec / 1000000, program_invocation_short_name, (int)getpid(), words[level]);
	return n < LOG_PREFIX_BYTES ? (size_t)n : LOG_PREFIX_BYTES - 1;
}
