/*
 * host_process.c - a process that the kernel can rely on when memory is gone
 *
 * sluiced serves the device the kernel writes dirty pages to. So it must not be killed for memory
 * (OOM score), must not wait for memory that only its own device can free (IO_FLUSHER makes its
 * allocations skip reclaim through block devices), must not page (mlockall), and must hold no mount
 * it does not need, of its own device least of all (host_mount.c).
 *
 * Nor must it wait for a processor behind the programs that wait for it: workers take the highest
 * ordinary priority (docs/adr/0012-workers-go-first.md).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "config/host/host.h"
#include "config/host/host_file.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

#define NICE_FIRST (-20)

int host_thread_protect(void)
{
	return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) ? -errno : 0;
}

void host_thread_punctual(void)
{
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
}

int host_thread_hurry(void)
{
	return setpriority(PRIO_PROCESS, 0, NICE_FIRST) ? -errno : 0; /* in Linux: of this thread */
}

/* Whether the workers may set their priority, checked here, where the result can be reported. */
static int hurry_try(void)
{
	int before = getpriority(PRIO_PROCESS, 0), rc = host_thread_hurry();

	if (rc == 0 && setpriority(PRIO_PROCESS, 0, before))
		rc = -errno;
	return rc;
}

static int oom_protect(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, "-1000", 5) != 5)
		rc = -errno;
	close(fd);
	return rc;
}

void host_files_allow(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int host_process_protect(const char *const paths[], unsigned count, struct error *err)
{
	const struct {
		const char *what;
		int rc;
	} steps[] = {
		{"PR_SET_IO_FLUSHER", host_thread_protect()},
		{"OOM score -1000", oom_protect()},
		{"own mount namespace", host_mounts_leave(paths, count)},
		{"priority of the workers", hurry_try()},
	};
	char refused[200] = "";
	int rc = 0;

	for (unsigned i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		size_t at = strlen(refused);

		if (steps[i].rc == 0)
			continue;
		snprintf(refused + at, sizeof(refused) - at, "%s%s (%s)", at ? ", " : "",
			steps[i].what, strerror(-steps[i].rc));
		rc = rc ? rc : steps[i].rc;
	}
	if (rc)
		error_set(err, rc, "the kernel does not allow: %s; %s", refused,
			geteuid() ? "run it as root"
				  : "the container or unit lacks a capability (CAP_SYS_ADMIN, "
				    "CAP_SYS_RESOURCE, CAP_SYS_NICE)");
	return rc;
}

/* Bytes that /proc tells in KiB. */
static uint64_t kib_of(const char *field)
{
	char text[32];

	if (host_file_field("/proc/self/status", field, text, sizeof(text)))
		return 0;
	return strtoull(text, NULL, 10) << 10;
}

int host_stacks_fit(void)
{
	pthread_attr_t attr;
	int rc = pthread_attr_init(&attr);

	if (rc)
		return -rc;
	rc = pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
	if (!rc)
		rc = pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
	return -rc;
}

int host_memory_lock(struct error *err)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE) == 0)
		return 0;
	return error_set(err, -errno,
		"memory cannot be locked: %s; ulimit -l unlimited, or LimitMEMLOCK=infinity",
		strerror(errno));
}

uint64_t host_memory_allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return (uint64_t)m.arena + m.hblkhd;
}

uint64_t host_memory_resident(void)
{
	return kib_of("VmRSS:") + kib_of("HugetlbPages:");
}

int host_memory_want(struct host_memory_want *out)
{
	char some[128] = "", pages[32] = "";
	const char *total;
	int rc = host_file_field("/proc/pressure/memory", "some ", some, sizeof(some));

	if (!rc)
		rc = host_file_field("/proc/vmstat", "pgsteal_kswapd ", pages, sizeof(pages));
	total = strstr(some, "total=");
	if (rc || !total)
		return rc ? rc : -EPROTO;
	out->stalled_us = strtoull(total + strlen("total="), NULL, 10);
	out->reclaimed = strtoull(pages, NULL, 10);
	return 0;
}

uint64_t host_memory_files(void)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	uint64_t sum = 0, start, end, file_end = 0, kib;
	bool is_file = false;
	char line[1024];

	/* What is written to of a file is copied, and counts with it; so does its zeroed part,
	 * which lies behind it. */
	for (unsigned i = 0; maps && i < HOST_FILE_LINE_MAX && fgets(line, sizeof(line), maps);
		i++) {
		const char *path = strchr(line, '/');

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2) {
			bool is_named = path && strncmp(path, "/memfd:", 7) != 0 &&
					strncmp(path, "/dev/", 5) != 0;

			is_file = is_named || (!path && !strchr(line, '[') && start == file_end);
			file_end = is_named ? end : 0;
		} else if (is_file && sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1) {
			sum += kib << 10;
		}
	}
	if (maps)
		fclose(maps);
	return sum;
}

/* The pid of the lock's holder, from the file; "?" if it is not written yet. */
static void holder_read(int fd, char *pid, size_t pid_bytes)
{
	ssize_t got = pread(fd, pid, pid_bytes - 1, 0);

	pid[got > 0 ? got : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	if (!pid[0])
		snprintf(pid, pid_bytes, "?");
}

int host_lock(const char *run_dir, struct error *err)
{
	char path[HOST_PATH_BYTES], pid[16];
	int fd, rc, len;

	if (mkdir(run_dir, 0755) && errno != EEXIST)
		return error_set(err, -errno,
			"cannot make %s: %s; run it as root, or set run_dir: elsewhere", run_dir,
			strerror(errno));
	snprintf(path, sizeof(path), "%s/lock", run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return error_set(err, -errno,
			"cannot open %s: %s; run it as root, or set run_dir: elsewhere", path,
			strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		rc = errno == EWOULDBLOCK ? -EBUSY : -errno;
		holder_read(fd, pid, sizeof(pid));
		error_set(err, rc,
			"another sluiced (pid %s) runs with %s; stop it, or give this one its own "
			"run_dir: and socket:",
			pid, run_dir);
		goto err_fd;
	}
	len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)len, 0) != len) {
		rc = error_set(err, -EIO, "cannot write %s: %s", path, strerror(errno));
		goto err_fd;
	}
	return fd;

err_fd:
	close(fd);
	return rc;
}
