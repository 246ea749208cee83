/*
 * bench_parse.c - fio's words and units, as numbers * Pure functions for a command line or a
 * control request. Units are binary, as fio's are by default: 4k is 4096. Results are written on
 * success only.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "nbd_client/bench/bench.h"

int bench_rw_parse(const char *text, enum bench_rw *out, struct error *err)
{
	static const char *const names[] = {
		[BENCH_READ] = "read",
		[BENCH_WRITE] = "write",
		[BENCH_RANDREAD] = "randread",
		[BENCH_RANDWRITE] = "randwrite",
		[BENCH_RW] = "rw",
		[BENCH_RANDRW] = "randrw",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum bench_rw)i;
			return 0;
		}
	}
	if (strcmp(text, "readwrite") == 0) {
		*out = BENCH_RW;
		return 0;
	}
	return error_set(err, -EINVAL,
		"--rw=%s is not known; give read, write, randread, randwrite, rw or randrw", text);
}

int bench_size_parse(const char *text, uint64_t *bytes, struct error *err)
{
	static const char units[] = "kmgt";
	char *end;
	const char *unit;
	unsigned long long value;
	unsigned shift = 0;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || errno)
		return error_set(
			err, -EINVAL, "size '%s': give a number such as 64, 4k or 1m", text);
	unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
		if (strcasecmp(end, "ib") == 0) /* "KiB": the same here, all units are binary */
			end += 2;
	}
	if (*end != '\0')
		return error_set(err, -EINVAL, "size '%s': units are k, m, g and t", text);
	if (value > UINT64_MAX >> shift)
		return error_set(err, -EINVAL, "size '%s' is too large", text);
	*bytes = (uint64_t)value << shift;
	return 0;
}
