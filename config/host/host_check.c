/*
 * host_check.c - is this machine ready for sluiced, and if not, what to type
 *
 * One list, two readers: sluiced stops at the first line that is required and not good, and
 * `sluice doctor` shows all of them. Each line says in a few words what was found, and what is not
 * good carries the command or setting that mends it.
 *
 * Nothing here changes the machine.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "config/host/host_check.h"
#include "config/host/host_file.h"

#define CAP_IPC_LOCK_BIT   14
#define MEMORY_MIB_DEFAULT 256 /* what a port and a volume or two come to */

/* The line being written, or a spare one when the caller's room is used up. */
static struct host_check_line *line_new(struct check_list *list, const char *what)
{
	struct host_check_line *line;

	if (list->count == list->max)
		return NULL;
	line = &list->line[list->count++];
	memset(line, 0, sizeof(*line));
	line->what = what;
	return line;
}

void check_good(struct check_list *list, const char *what, const char *fmt, ...)
{
	struct host_check_line *line = line_new(list, what);
	va_list ap;

	if (!line)
		return;
	line->is_good = line->is_required = true;
	va_start(ap, fmt);
	vsnprintf(line->text, sizeof(line->text), fmt, ap);
	va_end(ap);
}

void check_bad(
	struct check_list *list, const char *what, bool is_required, int rc, const char *fmt, ...)
{
	struct host_check_line *line = line_new(list, what);
	va_list ap;

	assert(rc < 0);
	if (!line)
		return;
	line->is_required = is_required;
	line->rc = rc;
	va_start(ap, fmt);
	vsnprintf(line->text, sizeof(line->text), fmt, ap);
	va_end(ap);
}

void check_remedy(struct check_list *list, const char *fmt, ...)
{
	struct host_check_line *line = &list->line[list->count - 1];
	va_list ap;

	assert(list->count > 0);
	if (line->is_good)
		return;
	va_start(ap, fmt);
	vsnprintf(line->remedy, sizeof(line->remedy), fmt, ap);
	va_end(ap);
}

/* ---- memory ---- */

static bool has_pci_port(const struct config *cfg)
{
	for (unsigned i = 0; cfg && i < cfg->port_count; i++) {
		if (cfg->ports[i].kind == DEVICE_PCI)
			return true;
	}
	return false;
}

/* MiB of memory the daemon will ask for; 0: only it can compute that. */
static uint32_t memory_mib(const struct config *cfg)
{
	if (!cfg)
		return 0;
	return cfg->memory_mib ? cfg->memory_mib : cfg->memory_plan_mib;
}

/* Of this process: a running daemon has what it needs. */
static uint32_t own_hugepages_mib(void)
{
	char text[32];

	if (host_file_field("/proc/self/status", "HugetlbPages:", text, sizeof(text)))
		return 0;
	return (uint32_t)(strtoull(text, NULL, 10) >> 10);
}

/*
 * Required by the file, or preferred because the NIC's DMA needs memory that does not move. With
 * fewer than the sum the daemon would run on ordinary memory, and its guarantee be partial: only
 * the file may say that this will do.
 */
static void check_hugepages(struct check_list *list, const struct config *cfg)
{
	bool is_given = cfg && cfg->is_hugepages_given;
	bool is_required = is_given ? cfg->use_hugepages : has_pci_port(cfg);
	char pages[96], command[128];
	uint32_t free_mib = host_hugepages_free_mib(pages, sizeof(pages)),
		 own_mib = own_hugepages_mib();
	uint32_t want_mib = memory_mib(cfg);

	if (is_given && !cfg->use_hugepages) {
		check_good(list, "hugepages", "not used (hugepages: false): ordinary memory");
		return;
	}
	if (own_mib > 0) {
		check_good(list, "hugepages", "%u MiB in use by this daemon", own_mib);
		return;
	}
	if (free_mib > 0 && free_mib >= want_mib) {
		if (want_mib)
			check_good(list, "hugepages", "%s free, %u MiB needed", pages, want_mib);
		else
			check_good(list, "hugepages", "%s free", pages);
		return;
	}
	if (free_mib)
		check_bad(list, "hugepages", is_required, -ENOMEM,
			"only %u MiB of hugepages are free (%s), and %s needs %u MiB", free_mib,
			pages, cfg->memory_mib ? "`memory:`" : "this configuration", want_mib);
	else
		check_bad(list, "hugepages", is_required, -ENOMEM, "no hugepage is free");
	host_hugepages_command(want_mib ? want_mib : MEMORY_MIB_DEFAULT, command, sizeof(command));
	check_remedy(list, "%s%s", command, is_required ? ", or set `hugepages: false`" : "");
}

/* Root without CAP_IPC_LOCK exists: in containers. The effective mask tells. */
static bool may_lock_all(void)
{
	char mask[32];

	if (host_file_field("/proc/self/status", "CapEff:", mask, sizeof(mask)))
		return geteuid() == 0;
	return strtoull(mask, NULL, 16) >> CAP_IPC_LOCK_BIT & 1;
}

static void check_locked_memory(struct check_list *list, const struct config *cfg)
{
	uint64_t want = (uint64_t)(cfg && cfg->memory_mib ? cfg->memory_mib : MEMORY_MIB_DEFAULT)
			<< 20;
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	if (may_lock_all() || getrlimit(RLIMIT_MEMLOCK, &limit) ||
		limit.rlim_cur == RLIM_INFINITY) {
		check_good(list, "locked memory", "no limit");
		return;
	}
	check_bad(list, "locked memory", true, -ENOMEM,
		"only %llu KiB may be locked, and all of sluiced's memory (%llu MiB) must be",
		(unsigned long long)limit.rlim_cur >> 10, (unsigned long long)want >> 20);
	check_remedy(list, "ulimit -l unlimited, or LimitMEMLOCK=infinity in the systemd unit");
}

/* ---- ublk ---- */

/* Debian's name for the architecture, as its kernel packages end in it. */
static const char *debian_arch(const char *machine)
{
	if (strcmp(machine, "x86_64") == 0)
		return "amd64";
	return strcmp(machine, "aarch64") == 0 ? "arm64" : machine;
}

static void check_ublk(struct check_list *list, bool is_required)
{
	char release[65] = "unknown", path[HOST_PATH_BYTES];
	struct utsname name = {0};

	if (host_file_exists("/dev/ublk-control")) {
		check_good(list, "ublk", "the driver is loaded");
		return;
	}
	host_file_read("/proc/sys/kernel/osrelease", release, sizeof(release));
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", release);
	if (host_file_has(path, "/ublk_drv.ko")) {
		check_bad(list, "ublk", is_required, -ENODEV,
			"the kernel's ublk driver is not loaded");
		check_remedy(list, "modprobe ublk_drv");
		return;
	}
	uname(&name);
	check_bad(list, "ublk", is_required, -ENOSYS,
		"this kernel (%s) has no ublk driver, which provides the block devices", release);
	check_remedy(list, "boot a kernel with CONFIG_BLK_DEV_UBLK, on Debian 12: %s%s%s",
		"apt install linux-image-6.12-", debian_arch(name.machine),
		", reboot, modprobe ublk_drv");
}

static void check_privilege(struct check_list *list)
{
	if (geteuid() == 0) {
		check_good(list, "privilege", "root");
		return;
	}
	check_bad(list, "privilege", true, -EPERM,
		"not root, and only root may drive a NIC and create block devices");
	check_remedy(list, "run it as root: sudo, or the systemd unit");
}

static unsigned checks_run(
	const struct config *cfg, bool need_ublk, struct host_check_line *out, unsigned max)
{
	struct check_list list = {.line = out, .max = max};

	for (unsigned i = 0; cfg && i < cfg->port_count; i++)
		check_port(&list, &cfg->ports[i]);
	check_hugepages(&list, cfg);
	check_locked_memory(&list, cfg);
	check_ublk(&list, need_ublk);
	check_privilege(&list);
	return list.count;
}

int host_check(const struct config *cfg, bool need_ublk, struct error *err)
{
	struct host_check_line lines[HOST_CHECK_LINE_MAX];
	unsigned count = checks_run(cfg, need_ublk, lines, HOST_CHECK_LINE_MAX);

	assert(cfg);
	for (unsigned i = 0; i < count; i++) {
		const struct host_check_line *line = &lines[i];

		if (!line->is_good && line->is_required)
			return error_set(err, line->rc, "%s; %s", line->text, line->remedy);
	}
	return 0;
}

unsigned host_doctor(const struct config *cfg, struct host_check_line *out, unsigned max)
{
	return checks_run(cfg, true, out, max);
}
