/*
 * host_hugepages.c - hugepages that are free, of every size the machine has
 *
 * DPDK takes its memory from pages of any size, the largest first, and one more of a large size
 * where small ones do not make up the rest. So what counts is the sum. A machine started with
 * default_hugepagesz=1G has none of 2 MiB; the larger ones are used then. sysfs:
 * Documentation/admin-guide/mm/hugetlbpage.rst. Any thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config/host/host.h"
#include "config/host/host_file.h"

#define POOLS_DIR  "/sys/kernel/mm/hugepages"
#define POOL_MAX   8 /* sizes; x86 has two, arm64 at most four */
#define KIB_IN_GIB (1u << 20)

/* @what of the pool @name: free_hugepages, nr_hugepages. 0 if it cannot be read. */
static uint64_t pool_number(const char *name, const char *what)
{
	char path[HOST_PATH_BYTES];
	uint64_t n;

	snprintf(path, sizeof(path), POOLS_DIR "/%.63s/%s", name, what);
	return host_file_number(path, &n) ? 0 : n;
}

static void text_append(char *text, unsigned bytes, uint64_t count, uint64_t kib)
{
	size_t at = strlen(text);

	if (at >= bytes)
		return;
	snprintf(text + at, bytes - at, "%s%llu of %llu %s", at ? ", " : "",
		(unsigned long long)count,
		(unsigned long long)(kib >= KIB_IN_GIB ? kib / KIB_IN_GIB : kib / 1024),
		kib >= KIB_IN_GIB ? "GiB" : "MiB");
}

uint32_t host_hugepages_free_mib(char *text, unsigned bytes)
{
	char names[POOL_MAX][HOST_NAME_BYTES];
	unsigned count = host_dir_names(POOLS_DIR, names, POOL_MAX);
	uint64_t mib = 0;

	if (text)
		text[0] = '\0';
	for (unsigned i = 0; i < count; i++) {
		uint64_t kib = strncmp(names[i], "hugepages-", 10) == 0
				       ? strtoull(names[i] + 10, NULL, 10)
				       : 0;
		uint64_t pages = pool_number(names[i], "free_hugepages");

		if (!pages || !kib)
			continue;
		mib += pages * kib / 1024;
		if (text)
			text_append(text, bytes, pages, kib);
	}
	return mib > UINT32_MAX ? UINT32_MAX : (uint32_t)mib;
}

void host_hugepages_command(uint32_t mib, char *out, unsigned bytes)
{
	const char *pool = host_file_exists(POOLS_DIR "/hugepages-2048kB") ? "hugepages-2048kB"
									   : "hugepages-1048576kB";
	uint64_t page_mib = strtoull(pool + 10, NULL, 10) / 1024,
		 want = (mib + page_mib - 1) / page_mib;
	uint64_t all = pool_number(pool, "nr_hugepages"),
		 unused = pool_number(pool, "free_hugepages");

	/* What others use stays theirs. */
	if (all > unused)
		want += all - unused;
	snprintf(out, bytes, "echo %llu > " POOLS_DIR "/%s/nr_hugepages", (unsigned long long)want,
		pool);
}
