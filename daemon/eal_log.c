/*
 * eal_log.c - the last thing DPDK logged while it and its drivers started
 *
 * rte_eal_init() and the drivers return one errno for many reasons and log the reason itself: "VFIO
 * group is not viable", "failed to initialize net_af_xdp0 device". On stderr that would be one line
 * among many that concern no one. So until ports are up the log goes into a buffer here, and when
 * something fails its last line stands in our sentence. Afterwards it is DPDK's own again.
 *
 * The stream is stdio's, line buffered in a buffer of ours; stdio's lock serialises writers.
 */
#include "daemon/eal_log.h"

#include <rte_log.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#define LINE_BYTES 256

static char last[LINE_BYTES]; /* the last whole line, without its newline */
static FILE *stream;

/* What stdio hands over ends with a line, except where one is longer than its buffer. */
static ssize_t keep(void *ctx, const char *bytes, size_t len)
{
	size_t end = len, start, n;

	while (end > 0 && (bytes[end - 1] == '\n' || bytes[end - 1] == ' '))
		end--;
	for (start = end; start > 0 && bytes[start - 1] != '\n'; start--)
		;
	n = end - start < LINE_BYTES ? end - start : LINE_BYTES - 1;
	if (n > 0) {
		memcpy(last, bytes + start, n);
		last[n] = '\0';
	}
	return (ssize_t)len;
}

void eal_log_keep(void)
{
	static char buf[1024];

	stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = keep});
	if (!stream)
		return; /* then it is on stderr as before */
	setvbuf(stream, buf, _IOLBF, sizeof(buf));
	last[0] = '\0';
	rte_openlog_stream(stream);
}

void eal_log_append(struct error *err)
{
	size_t at = strlen(err->text);

	if (last[0])
		snprintf(err->text + at, sizeof(err->text) - at, " (DPDK: %s)", last);
}

void eal_log_release(void)
{
	if (!stream)
		return;
	rte_openlog_stream(NULL);
	rte_log_set_global_level(RTE_LOG_CRIT);
	fclose(stream);
	stream = NULL;
}
